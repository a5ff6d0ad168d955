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
    assert!(bed.envoy.log().contains("signatures the proxy verifies natively: ES256 ES384 ES512 RS256 RS384 RS512"));
}

#[tokio::test]
async fn an_algorithm_that_is_not_configured_is_refused_although_its_key_is_known() {
    let bed = Testbed::start(with(|config| config["issuers"]["main"]["algorithms"] = json!(["ES256"]))).await;
    let alice = bed.client("alice");
    let token = bed.token(&alice).scope("read:orders").algorithm(Algorithm::Rs256).issue().await;
    refused(&bed, &alice.get("/orders/7").token(&token).send().await, 401, "algorithm-not-allowed").await;
}

#[tokio::test]
async fn either_name_of_ed25519_passes_only_where_it_is_listed_whatever_the_key_is_called() {
    for (listed, other) in [("EdDSA", "Ed25519"), ("Ed25519", "EdDSA")] {
        for called in [Some("EdDSA"), Some("Ed25519"), None] {
            let start = |authority: &boundgate_testbed::AuthorizationServer| {
                let mut key = authority.keys().jwk(Algorithm::Ed25519);
                match called {
                    Some(name) => key["alg"] = json!(name),
                    None => drop(key.as_object_mut().unwrap().remove("alg")),
                }
                with(|config| {
                    let issuer = config["issuers"]["main"].as_object_mut().unwrap();
                    issuer.remove("jwks");
                    issuer.insert("keys".to_owned(), json!({"keys": [key]}));
                    issuer["algorithms"] = json!([listed]);
                })
            };
            let bed = Testbed::start_with(start).await;
            let alice = bed.client("alice");
            let named = |name: &str| {
                let claims = bed.authority.claims().algorithm(Algorithm::Ed25519).scope("read:orders");
                claims.bound_to(alice.identity().unwrap()).header("alg", name).sign()
            };
            refused(&bed, &alice.get("/orders/7").token(&named(other)).send().await, 401, "algorithm-not-allowed")
                .await;
            let answer = alice.get("/orders/7").token(&named(listed)).send().await;
            assert_eq!(answer.status, 200, "{listed} by a key called {called:?}");
        }
    }
}

/// Everything that the module asks of its host and offers to it, but for the proxy's cryptography.
fn all_but_cryptography() -> serde_json::Value {
    let module = std::fs::read(crate::module::MODULE).expect("`make build` makes it");
    let mut allowed = serde_json::Map::new();
    for payload in wasmparser::Parser::new(0).parse_all(&module) {
        let names: Vec<String> = match payload.expect("a wasm module") {
            wasmparser::Payload::ImportSection(imports) => {
                imports.into_imports().map(|import| import.expect("a wasm module").name.to_owned()).collect()
            }
            wasmparser::Payload::ExportSection(exports) => {
                exports.into_iter().map(|export| export.expect("a wasm module").name.to_owned()).collect()
            }
            _ => continue,
        };
        allowed.extend(names.into_iter().map(|name| (name, json!({}))));
    }
    allowed.remove("proxy_call_foreign_function").expect("the module asks for it");
    json!({ "allowed_capabilities": allowed })
}

#[tokio::test]
async fn a_proxy_that_verifies_nothing_says_so_at_start_and_never_verifies_less() {
    let capabilities = all_but_cryptography();
    let bed = Testbed::start(with(|_| {}).edit(move |envoy| {
        let manager = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        manager["http_filters"][0]["typed_config"]["config"]["capability_restriction_config"] = capabilities.clone();
    }))
    .await;
    let alice = bed.client("alice").kept();
    let mut passed = 0;
    for algorithm in Algorithm::ALL {
        let token = bed.token(&bed.client("alice")).scope("read:orders").algorithm(algorithm).issue().await;
        let answer = alice.get("/orders/7").token(&token).send().await;
        if matches!(&algorithm.name()[..2], "ES" | "RS") {
            assert_eq!(bed.envoy.details(&answer).await, "boundgate:filter-unavailable", "{algorithm:?}");
            assert_eq!((answer.status, bed.upstream.count()), (503, passed), "{algorithm:?}");
            let said = format!("issuers.main.algorithms: this proxy does not verify {}, so", algorithm.name());
            assert!(bed.envoy.log().contains(&said), "{algorithm:?}");
        } else {
            passed += 1;
            assert_eq!((answer.status, bed.upstream.count()), (200, passed), "{algorithm:?}");
        }
    }
}
