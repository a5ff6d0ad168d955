//! The testbed itself: Envoy comes up with mTLS, carries a request, and goes away.

use std::time::Instant;

use boundgate_testbed::{Client, ClientCertificates, Envoy, EnvoyConfig, Pki, PluginConfig, Testbed};

fn unfiltered() -> EnvoyConfig {
    EnvoyConfig::new(PluginConfig::shipped()).without_filter()
}

#[tokio::test]
async fn a_request_reaches_the_upstream_over_either_http() {
    let bed = Testbed::start(unfiltered()).await;
    let alice = bed.client("alice");

    for client in [alice.clone(), alice.http2(), alice.tls12(), bed.anonymous()] {
        let answer = client.get("/healthz?x=1").header("x-bytes", b"\xff\x80").send().await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["path"], "/healthz?x=1");
        let line = bed.envoy.access_log_of(&answer).await;
        assert_eq!((&line["path"], &line["details"]), (&"/healthz".into(), &"via_upstream".into()));
    }
    let received = bed.upstream.received();
    assert_eq!(received.len(), 4);
    assert_eq!(received[0].authority, "api.example.com");
    assert!(received[0].headers.contains(&("x-bytes".into(), b"\xff\x80".to_vec())));
}

#[tokio::test]
async fn a_token_is_issued_only_to_the_client_the_certificate_names() {
    let bed = Testbed::start(unfiltered()).await;
    let alice = bed.client("alice");

    let token = bed.token(&alice).scope("read:orders").issue().await;
    assert_eq!(token.split('.').count(), 3);
    let refused = bed.token(&alice).client_id("bob").send().await;
    assert_eq!((refused.status, refused.json()["error"].clone()), (401, "invalid_client".into()));
    let refused = bed.token(&bed.anonymous()).client_id("alice").send().await;
    assert_eq!((refused.status, refused.json()["error"].clone()), (401, "invalid_client".into()));
}

#[tokio::test]
async fn a_connection_without_the_required_certificate_carries_nothing() {
    let bed = Testbed::start(unfiltered().client_certificates(ClientCertificates::Required)).await;

    assert!(bed.anonymous().get("/healthz").try_send().await.is_err());
    assert!(bed.client_with(bed.pki.self_signed_client("alice")).get("/healthz").try_send().await.is_err());
    assert!(bed.client_with(bed.pki.expired_client("alice")).get("/healthz").try_send().await.is_err());
    assert_eq!(bed.client("alice").get("/healthz").send().await.status, 200);
    assert_eq!(bed.upstream.count(), 1);
}

#[tokio::test]
async fn kept_connections_and_grpc_calls_find_their_lines_in_the_access_log() {
    let bed = Testbed::start(unfiltered()).await;

    let kept = bed.client("alice").kept();
    for path in ["/a", "/b"] {
        let answer = kept.get(path).send().await;
        assert_eq!(bed.envoy.access_log_of(&answer).await["path"], path);
    }
    let call = bed.client("alice").http2().grpc("/orders.Orders/Get").send().await;
    assert_eq!((call.status, call.grpc_status()), (200, Some(0)));
}

#[tokio::test]
async fn the_shipped_proxy_of_a_fleet_counts_alone_without_its_service() {
    let pki = Pki::shared();
    let envoy = Envoy::start_shipped("envoy/fleet.yaml", &pki).await.unwrap();
    assert_eq!(envoy.address("boundgate").port(), 7443);

    let alice = Client::tls(envoy.address("boundgate"), "localhost:7443", &pki, Some(pki.client("alice"))).kept();
    let started = Instant::now();
    let mut admitted = 0;
    for _ in 0..80 {
        admitted += u64::from(alice.get("/orders").send().await.status == 200);
    }
    assert!((60..=60 + started.elapsed().as_secs()).contains(&admitted), "{admitted} admitted");
    envoy.stat_reaches("wasmcustom.boundgate.fleet_fallback", 80).await.unwrap();
    assert_eq!(envoy.stop(), 0);
}

#[tokio::test]
async fn the_shipped_configuration_serves_as_it_is_and_ends_on_ctrl_c() {
    let pki = Pki::shared();
    let envoy = Envoy::start_shipped("envoy/boundgate.yaml", &pki).await.unwrap();
    assert_eq!(envoy.address("boundgate").port(), 8443);

    let client = Client::tls(envoy.address("boundgate"), "localhost:8443", &pki, None);
    let answer = client.get("/healthz").send().await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "the upstream was reached\n"));
    assert_eq!(client.get("/orders/7").send().await.status, 401);
    assert_eq!(envoy.stop(), 0);
}
