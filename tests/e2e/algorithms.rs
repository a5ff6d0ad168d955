//! Every algorithm, verified by the proxy's native code or in the module, and none that was not configured.

use boundgate_testbed::Algorithm;
use serde_json::json;

use crate::expectations::{bed, refused, with};
use boundgate_testbed::Testbed;

#[tokio::test]
async fn every_configured_algorithm_verifies_and_a_flipped_bit_does_not() {
    let bed = bed().await;
    let alice = bed.client("alice").kept();
    for algorithm in Algorithm::ALL {
        let good = bed.token(&bed.client("alice")).scope("read:orders").algorithm(algorithm).issue().await;
        let mut forged = good.clone().into_bytes();
        // Inside the signature, where every bit counts.
        let place = forged.len() - 10;
        forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        let before = bed.upstream.count();
        let answer = alice.get("/orders/7").token(&forged).send().await;
        assert_eq!(bed.envoy.details(&answer).await, "boundgate:signature-invalid", "{algorithm:?}");
        assert_eq!(bed.upstream.count(), before);
        assert_eq!(alice.get("/orders/7").token(&good).send().await.status, 200, "{algorithm:?}");
    }
}

#[tokio::test]
async fn the_proxys_own_cryptography_is_found_and_used() {
    let bed = bed().await;
    assert!(bed.envoy.log().contains("signatures the proxy verifies natively: ES256 ES384 RS256 RS384 RS512"));
}

#[tokio::test]
async fn an_algorithm_that_is_not_configured_is_refused_although_its_key_is_known() {
    let bed = Testbed::start(with(|config| config["issuers"]["main"]["algorithms"] = json!(["ES256"]))).await;
    let alice = bed.client("alice");
    let token = bed.token(&alice).scope("read:orders").algorithm(Algorithm::Rs256).issue().await;
    refused(&bed, &alice.get("/orders/7").token(&token).send().await, 401, "algorithm-not-allowed").await;
}

#[tokio::test]
async fn the_old_name_of_ed25519_passes_only_where_it_is_listed() {
    let named = |names: serde_json::Value| with(move |config| config["issuers"]["main"]["algorithms"] = names);
    for (names, status) in [(json!(["Ed25519"]), 401), (json!(["EdDSA"]), 200)] {
        let bed = Testbed::start(named(names)).await;
        // A key that is pinned to one name is not used under the other.
        let mut keys = bed.authority.jwks();
        keys["keys"].as_array_mut().unwrap().iter_mut().for_each(|key| {
            key.as_object_mut().unwrap().remove("alg");
        });
        bed.authority
            .answer_jwks_with(boundgate_testbed::JwksAnswer::Bytes("application/json", keys.to_string().into_bytes()));
        let alice = bed.client("alice");
        bed.envoy.config_update(named_again(status)).await.unwrap();
        let claims = bed.authority.claims().algorithm(Algorithm::Ed25519).scope("read:orders");
        let token = claims.bound_to(alice.identity().unwrap()).header("alg", "EdDSA").sign();
        assert_eq!(alice.get("/orders/7").token(&token).send().await.status, status);
    }
}

/// The same algorithms, but another URI, so that keys are fetched anew.
fn named_again(status: u16) -> serde_json::Value {
    let mut config = crate::expectations::config();
    config["issuers"]["main"]["algorithms"] = if status == 200 { json!(["EdDSA"]) } else { json!(["Ed25519"]) };
    config["issuers"]["main"]["jwks"]["uri"] = json!("https://as.example.com/jwks?new");
    config
}
