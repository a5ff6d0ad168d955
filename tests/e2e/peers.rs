//! The same client stays the same: on resumed TLS sessions, where Envoy says of no certificate that it was validated.

use std::sync::Arc;

use boundgate_testbed::{Answer, Client, ClientCertificates, EnvoyConfig, Pki, Testbed};
use serde_json::{Value, json};

use crate::expectations::{alices_token, bed, config, refused, with};

/// Each over a connection of its own; all but the first resume a session.
async fn over_three_connections(client: &Client, path: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    for nth in 0..3 {
        let answer = client.get(path).send().await;
        assert_eq!(answer.resumed(), nth > 0, "connection {nth}");
        answers.push(answer);
    }
    answers
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

/// The client in both versions of TLS, with a session to resume of its own for each.
fn versions(client: Client) -> [Client; 2] {
    [client.resuming(), client.tls12().resuming()]
}

#[tokio::test]
async fn a_peer_that_resumes_its_session_is_still_that_peer() {
    let bed = bed().await;
    for alice in versions(bed.client("alice")) {
        assert_eq!(statuses(&over_three_connections(&alice, "/mesh").await), [200, 200, 200]);
    }
    let bob = bed.client("bob").http2().resuming();
    assert_eq!(statuses(&over_three_connections(&bob, "/mesh").await), [200, 200, 200]);
}

#[tokio::test]
async fn a_peer_that_was_seen_by_one_worker_is_known_to_the_other() {
    let bed = Testbed::start(with(|_| {}).concurrency(2)).await;
    for alice in versions(bed.client("alice")) {
        let first = alice.get("/mesh").send().await;
        assert_eq!((first.status, first.resumed()), (200, false));
        // The kernel hands connections to workers as it likes: of forty both have some.
        for _ in 0..40 {
            let answer = alice.get("/mesh").send().await;
            assert_eq!((answer.status, answer.resumed()), (200, true));
        }
    }
    let served = bed.envoy.stats("worker_").await;
    let served = served.iter().filter(|(name, _)| name.ends_with("downstream_cx_total"));
    assert!(served.clone().count() == 2 && served.clone().all(|(_, count)| *count > 0), "{served:?}");
}

#[tokio::test]
async fn a_peer_is_known_on_a_resumed_session_also_if_its_first_request_was_for_something_else() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    for first in ["/orders/7", "/healthz", "/nowhere", "/a//b"] {
        for alice in versions(bed.client("alice")) {
            let answer = alice.get(first).token(&token).send().await;
            assert!(!answer.resumed());
            let answer = alice.get("/mesh").send().await;
            assert_eq!((answer.status, answer.resumed()), (200, true), "{first}");
        }
    }
}

#[tokio::test]
async fn a_resumed_session_refills_no_budget_of_the_peer() {
    let limited = |config: &mut Value| {
        config["limits"]["per-peer"] = json!({"key": ["peer"], "rate": "2/h", "burst": 2});
        let routes = config["resources"][0]["routes"].as_array_mut().unwrap();
        routes.push(json!({"path": "/scarce", "access": "peer", "peers": ["*"], "limits": ["per-peer"]}));
        routes.push(json!({"path": "/open", "access": "public", "limits": ["per-peer"]}));
    };
    for path in ["/scarce", "/open"] {
        let bed = Testbed::start(with(limited)).await;
        let alice = bed.client("alice").resuming();
        assert_eq!(statuses(&over_three_connections(&alice, path).await), [200, 200, 429], "{path}");
        assert_eq!(bed.upstream.count(), 2);
    }
}

#[tokio::test]
async fn the_upstream_is_told_the_same_name_on_a_resumed_session() {
    let bed = Testbed::start(with(|config| {
        config["resources"][0]["forward"] = json!({"headers": {"x-peer": "peer"}});
    }))
    .await;
    for alice in versions(bed.client("alice")) {
        for path in ["/healthz", "/mesh"] {
            alice.get(path).send().await;
        }
    }
    let told: Vec<_> = bed.upstream.received().iter().map(|request| request.header("x-peer")).collect();
    assert_eq!(told, vec![Some(String::from("spiffe://example.org/client/alice")); 4]);
}

#[tokio::test]
async fn a_certificate_that_nobody_validated_stays_nobody_on_its_resumed_session() {
    let accepting = EnvoyConfig::new(config()).client_certificates(ClientCertificates::AcceptUntrusted);
    let bed = Testbed::start(accepting).await;
    let mallory = Arc::new(bed.pki.self_signed_client("alice"));
    let address = bed.envoy.address("boundgate");
    for mallory in versions(Client::tls(address, "api.example.com", &bed.pki, Some(mallory))) {
        for answer in over_three_connections(&mallory, "/mesh").await {
            refused(&bed, &answer, 403, "peer-unidentified").await;
        }
    }
    for alice in versions(bed.client("alice")) {
        assert_eq!(statuses(&over_three_connections(&alice, "/mesh").await), [200, 200, 200]);
    }
}

/// The chain trusts this CA alone, and lets in what it did not sign.
fn trusts_only(chain: &mut Value, ca: &str) {
    chain["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"] =
        json!({"trusted_ca": {"inline_string": ca}, "trust_chain_verification": "ACCEPT_UNTRUSTED"});
}

#[tokio::test]
async fn a_certificate_validated_for_one_chain_is_nobody_where_another_ca_decides() {
    let other_ca = Pki::new().ca_pem();
    let accepting = EnvoyConfig::new(config()).client_certificates(ClientCertificates::AcceptUntrusted);
    let bed = Testbed::start(accepting.edit(move |envoy| {
        let listeners = envoy["static_resources"]["listeners"].as_array_mut().unwrap();
        let mut second = listeners[0].clone();
        second["name"] = json!("second");
        trusts_only(&mut second["filter_chains"][0], &other_ca);
        let inspector = "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
        listeners[0]["listener_filters"] = json!([{"name": "tls", "typed_config": {"@type": inspector}}]);
        let chains = listeners[0]["filter_chains"].as_array_mut().unwrap();
        let mut http2 = chains[0].clone();
        chains[0]["name"] = json!("http1");
        http2["name"] = json!("http2");
        http2["filter_chain_match"] = json!({"application_protocols": ["h2"]});
        trusts_only(&mut http2, &other_ca);
        chains.push(http2);
        listeners.push(second);
    }))
    .await;
    let alice = bed.client("alice");
    assert_eq!(alice.get("/mesh").send().await.status, 200);
    for elsewhere in [alice.http2(), alice.at(bed.envoy.address("second"), "api.example.com")] {
        let answer = elsewhere.get("/mesh").send().await;
        assert_eq!((answer.status, bed.envoy.details(&answer).await.as_str()), (403, "boundgate:peer-unidentified"));
        assert_eq!(bed.upstream.count(), 1);
    }
    assert_eq!(alice.get("/mesh").send().await.status, 200);
}

#[tokio::test]
async fn a_resource_that_demands_tls_1_3_refuses_older_versions_and_none() {
    let config = with(|config| {
        let mut other = config["resources"][0].clone();
        other["hosts"] = json!(["old.example.com"]);
        config["resources"].as_array_mut().unwrap().push(other);
        config["resources"][0]["require_tls"] = json!("1.3");
    });
    let bed = Testbed::start(config.with_plaintext_listener()).await;
    let (token, alice) = (alices_token(&bed).await, bed.client("alice"));
    for client in [alice.tls12(), alice.tls12().http2(), alice.tls12().resuming(), bed.plaintext()] {
        for path in ["/healthz", "/orders/7", "/mesh", "/nowhere"] {
            refused(&bed, &client.get(path).token(&token).send().await, 403, "tls-too-old").await;
        }
    }
    for client in [alice.clone(), alice.http2()] {
        assert_eq!(client.get("/orders/7").token(&token).send().await.status, 200);
    }
    let elsewhere = alice.tls12().get("/orders/7").authority("old.example.com").token(&token).send().await;
    assert_eq!(elsewhere.status, 200, "where nothing is demanded");
}
