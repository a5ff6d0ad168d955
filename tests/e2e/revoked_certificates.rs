//! Client certificates that the CA takes back, and what they got before, with `envoy/revocation.yaml` as it is shipped.

use boundgate_testbed::{Client, Envoy, EnvoyConfig, Pki, Testbed};
use serde_json::{Value, json};

const FILE: &str = "envoy/revocation.yaml";

/// A proxy that has read a document which revokes nothing.
async fn bed(config: EnvoyConfig) -> Testbed {
    let bed = Testbed::start_with(|authority| {
        authority.publish(&json!({}));
        config
    })
    .await;
    // The main thread's too.
    bed.envoy.stat_reaches("wasmcustom.boundgate.revocation_fetch_ok", 2).await.unwrap();
    bed
}

fn orders(bed: &Testbed, client: &str) -> String {
    bed.authority.claims().client(client).scope("read:orders").bound_to(&bed.pki.client(client)).sign()
}

/// Puts these on the CA's list, and waits until Envoy goes by it.
async fn revoke(bed: &Testbed, clients: &[&str]) {
    let clients: Vec<_> = clients.iter().map(|client| bed.pki.client(client)).collect();
    let list = bed.pki.revoked(&clients.iter().map(AsRef::as_ref).collect::<Vec<_>>());
    let updates = async || bed.envoy.stats("ssl_context_update_by_sds").await.values().sum::<u64>();
    let before = updates().await;
    bed.envoy.replace_revoked(&list);
    let mut seen = before;
    while seen == before {
        seen = updates().await;
    }
}

async fn handshake_fails(client: &Client) {
    let refusal = client.get("/healthz").try_send().await.expect_err("its certificate is revoked");
    assert!(refusal.to_string().contains("CertificateRevoked"), "{refusal}");
}

#[tokio::test]
async fn the_shipped_configuration_with_revocations_serves_as_it_is() {
    let pki = Pki::shared();
    let envoy = Envoy::start_shipped(FILE, &pki).await.unwrap();
    assert_eq!(envoy.address("boundgate").port(), 4443);
    let alice = Client::tls(envoy.address("boundgate"), "localhost:4443", &pki, Some(pki.client("alice")));
    let answer = alice.get("/healthz").send().await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "the upstream was reached\n"));
    assert_eq!(alice.get("/orders/7").send().await.status, 401);
    assert_eq!(envoy.stop(), 0);
}

#[tokio::test]
async fn a_certificate_that_is_revoked_under_a_running_client_ends_in_a_tls_alert_in_either_version() {
    let bed = bed(EnvoyConfig::shipped_in(FILE)).await;
    let (alice, mallory) = (bed.client("alice"), bed.client("mallory"));
    let (good, stolen) = (orders(&bed, "alice"), orders(&bed, "mallory"));
    // Sessions to resume, and a connection that stays open.
    let resuming = [mallory.resuming(), mallory.tls12().resuming()];
    for client in &resuming {
        for resumed in [false, true] {
            let answer = client.get("/orders/7").token(&stolen).send().await;
            assert_eq!((answer.status, answer.resumed()), (200, resumed));
        }
    }
    let open = mallory.kept();
    assert_eq!(open.get("/orders/7").token(&stolen).send().await.status, 200);
    assert_eq!(alice.get("/orders/7").token(&good).send().await.status, 200);
    let reached = bed.upstream.count();

    revoke(&bed, &["mallory"]).await;
    for client in [&mallory, &mallory.tls12()].into_iter().chain(&resuming) {
        handshake_fails(client).await;
    }
    assert_eq!(bed.upstream.count(), reached, "the upstream was reached");
    assert_eq!(alice.get("/orders/7").token(&good).send().await.status, 200);

    // Who is connected already stays so. What ends then is what the certificate got.
    assert_eq!(open.get("/orders/7").token(&stolen).send().await.status, 200);
    bed.authority.publish(&json!({"x5t#S256": [bed.pki.client("mallory").thumbprint()]}));
    while open.get("/orders/7").token(&stolen).send().await.status != 401 {}
    let reached = bed.upstream.count();
    let answer = open.get("/orders/7").token(&stolen).send().await;
    assert_eq!((answer.status, bed.upstream.count()), (401, reached));
    assert_eq!(bed.envoy.details(&answer).await, "boundgate:token-revoked");

    // A mistake is undone in the same way.
    revoke(&bed, &[]).await;
    assert_eq!(mallory.get("/healthz").send().await.status, 200);
}

/// Ticket keys of the operator's, as several proxies share them.
fn with_ticket_keys(envoy: &mut Value) {
    let tls = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["transport_socket"]["typed_config"];
    tls["session_ticket_keys"] = json!({"keys": [{"inline_string": "k".repeat(80)}]});
}

#[tokio::test]
async fn no_session_is_resumed_beyond_the_list_also_with_ticket_keys_that_outlive_it() {
    let bed = bed(EnvoyConfig::shipped_in(FILE).edit(with_ticket_keys)).await;
    let (alice, mallory) = (bed.client("alice"), bed.client("mallory"));
    let of_mallory = [mallory.resuming(), mallory.tls12().resuming()];
    let of_alice = [alice.resuming(), alice.tls12().resuming()];
    for client in of_mallory.iter().chain(&of_alice) {
        for resumed in [false, true] {
            let answer = client.get("/healthz").send().await;
            assert_eq!((answer.status, answer.resumed()), (200, resumed));
        }
    }
    let reached = bed.upstream.count();
    revoke(&bed, &["mallory"]).await;
    for client in &of_mallory {
        handshake_fails(client).await;
    }
    assert_eq!(bed.upstream.count(), reached, "the upstream was reached");
    for client in &of_alice {
        assert_eq!(client.get("/healthz").send().await.status, 200);
    }
}
