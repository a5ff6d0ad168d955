//! Tokens that OpenSSL signed, in Node: those of every algorithm pass, and none under the name of another or with another
//! signature.

use std::time::{SystemTime, UNIX_EPOCH};

use boundgate_testbed::{EnvoyConfig, ISSUER, NodeSigner, RESOURCE, Testbed};
use serde_json::{Value, json};

use crate::tell;

fn config(jwks: &Value) -> Value {
    let algorithms: Vec<&Value> = jwks["keys"].as_array().into_iter().flatten().map(|key| &key["alg"]).collect();
    json!({
        "issuers": {"as": {"issuer": ISSUER, "keys": jwks, "algorithms": algorithms}},
        "resources": [{
            "hosts": ["api.example.com"], "audiences": [RESOURCE], "issuers": ["as"],
            "routes": [{"path": "/orders/{id}", "methods": ["GET"], "scopes": ["read:orders"]}]
        }]
    })
}

#[tokio::test]
async fn tokens_that_openssl_signs_pass_by_every_algorithm_and_by_no_other() {
    let node = match NodeSigner::find() {
        Ok(node) => node,
        Err(why) => return tell(&format!("skipped: signatures of OpenSSL: {why}")),
    };
    let pki = boundgate_testbed::Pki::shared();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right").as_secs();
    let signed = node.sign(&json!({
        "iss": ISSUER, "sub": "alice", "client_id": "alice", "aud": RESOURCE, "jti": "one", "scope": "read:orders",
        "iat": now, "exp": now + 300, "cnf": {"x5t#S256": pki.client("alice").thumbprint()}
    }));
    let bed = Testbed::start(EnvoyConfig::new(config(&signed["jwks"]))).await;
    let alice = bed.client("alice").kept();

    let tokens = signed["tokens"].as_object().expect("tokens by algorithm");
    for (algorithm, token) in tokens {
        let token = token.as_str().expect("a token");
        let mut forged = token.as_bytes().to_vec();
        // Inside the signature, where every bit counts.
        let place = forged.len() - 10;
        forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
        let before = bed.upstream.count();
        let refused = alice.get("/orders/7").token(&String::from_utf8(forged).expect("base64url")).send().await;
        assert_eq!(bed.envoy.details(&refused).await, "boundgate:signature-invalid", "{algorithm}");
        assert_eq!((refused.status, bed.upstream.count()), (401, before), "{algorithm}");
        for time in ["first seen", "known"] {
            let answer = alice.get("/orders/7").token(token).send().await;
            assert_eq!(answer.status, 200, "{algorithm}, {time}: {}", bed.envoy.details(&answer).await);
        }
    }
    let crossed = signed["crossed"].as_array().expect("tokens");
    for token in crossed {
        let before = bed.upstream.count();
        let refused = alice.get("/orders/7").token(token.as_str().expect("a token")).send().await;
        assert_eq!(bed.envoy.details(&refused).await, "boundgate:key-unknown");
        assert_eq!((refused.status, bed.upstream.count()), (401, before));
    }
    tell(&format!(
        "OpenSSL: tokens of {} algorithms passed, none with another signature; {} under the name of another were refused",
        tokens.len(),
        crossed.len()
    ));
}
