//! Who calls, wherever the proxy stands: at the edge, behind a balancer that ends TLS, as a sidecar behind a gateway, as a
//! waypoint. Of each place the honest caller, and what a dishonest one may try there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use boundgate_testbed::{Client, EnvoyConfig, Identity, Testbed};
use serde_json::{Value, json};

use crate::expectations::{alices_token, config, recorded, refused};
use crate::front::{as_waypoint, handles, in_front_of, logs_clients_in_front, writes_client_cert};

const ALICE: &str = "spiffe://example.org/client/alice";
const GATEWAY: &str = "spiffe://example.org/client/gateway";

/// [`config`], where callers are read `from` there.
fn reading(from: Value) -> Value {
    let mut config = config();
    config["peer"] = json!({ "from": from });
    config["resources"][0]["forward"] = json!({"headers": {"x-peer": "peer"}});
    let alice = json!({"path": "/alice", "access": "peer", "peers": [ALICE]});
    config["resources"][0]["routes"].as_array_mut().unwrap().push(alice);
    config
}

/// Headers by which a caller may try to be alice.
fn forged(alice: &Identity) -> Vec<(&'static str, String)> {
    let (hash, pem) = (alice.digest(), alice.certificate_pem());
    vec![
        ("x-forwarded-client-cert", format!("Hash={hash};Subject=\"CN=alice\";URI={ALICE}")),
        ("x-forwarded-client-cert", json!([{"hash": hash, "cert": pem, "uri": [ALICE]}]).to_string()),
        ("client-cert", format!(":{}:", STANDARD.encode(alice.der()))),
        ("io.istio.peer-principal", ALICE.to_owned()),
        ("x-peer", ALICE.to_owned()),
        ("ssl-client-verify", "SUCCESS".to_owned()),
    ]
}

/// Nobody of `others` is alice, with her token, with headers that claim to be her, or with both. The upstream receives nothing.
async fn nobody_is_alice(bed: &Testbed, token: Option<&str>, others: &[Client]) {
    let alice = bed.pki.client("alice");
    for client in others {
        for (name, value) in [("x-none", String::new())].into_iter().chain(forged(&alice)) {
            let answer = client.get("/alice").header(name, &value).send().await;
            assert_eq!(answer.status, 403, "{client:?} {name}: {value}");
            if let Some(token) = token {
                let answer = client.get("/orders/7").token(token).header(name, &value).send().await;
                assert_eq!(answer.status, 401, "{client:?} {name}: {value}");
            }
        }
    }
    assert_eq!(bed.upstream.count(), 0, "the upstream was reached");
}

/// Alice is alice, whatever she writes besides, and the upstream is told so and nothing else.
async fn alice_is_alice(bed: &Testbed, token: Option<&str>, alice: &Client, source: &str) {
    let headers = forged(&bed.pki.client("mallory"));
    for (name, value) in [("x-none", String::new())].into_iter().chain(headers) {
        // What another proxy in front writes itself, it replaces.
        let answer = alice.get("/alice").header(name, &value).send().await;
        assert_eq!(answer.status, 200, "{name}: {value}: {}", answer.text());
        let record = recorded(bed, &answer).await;
        assert_eq!((record["peer"].as_str(), record["peer_source"].as_str()), (Some(ALICE), Some(source)));
        if let Some(token) = token {
            assert_eq!(alice.get("/orders/7").token(token).header(name, &value).send().await.status, 200);
        }
    }
    for request in bed.upstream.received() {
        assert_eq!(request.header("x-peer").as_deref(), Some(ALICE));
        for gone in ["x-forwarded-client-cert", "client-cert", "ssl-client-verify"] {
            assert_eq!(request.header(gone), None);
        }
    }
}

#[tokio::test]
async fn at_the_edge_a_caller_is_who_its_own_certificate_says() {
    let bed = Testbed::start(reading(json!("tls"))).await;
    let token = alices_token(&bed).await;
    nobody_is_alice(&bed, Some(&token), &[bed.client("mallory"), bed.anonymous(), bed.client("gateway")]).await;
    alice_is_alice(&bed, Some(&token), &bed.client("alice"), "tls").await;
}

#[tokio::test]
async fn behind_an_envoy_that_ends_tls_a_caller_is_who_that_envoy_says() {
    let config = reading(json!({"xfcc": {"trusted": [GATEWAY]}}));
    let behind = EnvoyConfig::new(config).edit(|envoy| {
        handles(envoy, "FORWARD_ONLY", &json!({}));
        logs_clients_in_front(envoy);
    });
    let bed = Testbed::start(behind).await;
    let details = json!({"cert": true, "subject": true, "uri": true, "dns": true});
    let edge = in_front_of(&bed, move |envoy| handles(envoy, "SANITIZE_SET", &details)).await;
    let token = alices_token(&bed).await;
    // Through the balancer, and around it.
    let others =
        [edge.client("mallory"), edge.anonymous(), edge.client("gateway"), bed.client("mallory"), bed.client("alice")];
    nobody_is_alice(&bed, Some(&token), &others).await;
    alice_is_alice(&bed, Some(&token), &edge.client("alice"), "xfcc").await;
}

#[tokio::test]
async fn behind_a_balancer_that_writes_client_cert_a_caller_is_who_that_balancer_says() {
    let config = reading(json!({"client_cert": {"trusted": [GATEWAY]}}));
    let bed = Testbed::start(EnvoyConfig::new(config).edit(logs_clients_in_front)).await;
    let balancer = in_front_of(&bed, writes_client_cert).await;
    let token = alices_token(&bed).await;
    let others = [
        balancer.client("mallory"),
        balancer.anonymous(),
        balancer.client("gateway"),
        bed.client("mallory"),
        bed.client("alice"),
    ];
    nobody_is_alice(&bed, Some(&token), &others).await;
    alice_is_alice(&bed, Some(&token), &balancer.client("alice"), "client-cert").await;
}

#[tokio::test]
async fn in_a_sidecar_a_caller_is_who_the_gateway_says_or_its_own_workload() {
    let config = reading(json!({"xfcc": {"trusted": [GATEWAY], "direct": true}}));
    // As Istio sets sidecars and gateways.
    let sidecar = EnvoyConfig::new(config).edit(|envoy| {
        handles(envoy, "APPEND_FORWARD", &json!({"subject": true, "uri": true, "dns": true}));
        logs_clients_in_front(envoy);
    });
    let bed = Testbed::start(sidecar).await;
    let details = json!({"cert": true, "subject": true, "uri": true, "dns": true});
    let gateway = in_front_of(&bed, move |envoy| handles(envoy, "SANITIZE_SET", &details)).await;
    let token = alices_token(&bed).await;
    // Another workload may write elements in front of what the sidecar adds.
    let others = [gateway.client("mallory"), gateway.anonymous(), bed.client("mallory"), bed.anonymous()];
    nobody_is_alice(&bed, Some(&token), &others).await;
    alice_is_alice(&bed, Some(&token), &gateway.client("alice"), "xfcc").await;
    let received = bed.upstream.count();
    assert_eq!(bed.client("alice").get("/alice").send().await.status, 200, "as a workload of the mesh");
    assert_eq!(bed.upstream.count(), received + 1);
}

#[tokio::test]
async fn at_a_waypoint_a_caller_is_who_the_mesh_says_and_no_token_is_bound() {
    let mut config = reading(json!("mesh-principal"));
    for route in config["resources"][0]["routes"].as_array_mut().unwrap() {
        if route["access"].is_null() {
            route["bound"] = "when-bound".into();
        }
    }
    let bed = Testbed::start(EnvoyConfig::new(config).edit(as_waypoint)).await;
    let token = alices_token(&bed).await;
    nobody_is_alice(&bed, Some(&token), &[bed.client("mallory"), bed.anonymous(), bed.client("gateway")]).await;
    let answer = bed.client("alice").get("/orders/7").token(&token).send().await;
    refused(&bed, &answer, 401, "certificate-missing").await;
    alice_is_alice(&bed, None, &bed.client("alice"), "mesh-principal").await;
}
