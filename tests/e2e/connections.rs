//! Whose certificate counts: that of the connection which carried this request.

use boundgate_testbed::{ClientCertificates, EnvoyConfig, Testbed};

use crate::expectations::{alices_token, bed, config, refused, with};

#[tokio::test]
async fn two_tokens_on_one_connection_are_judged_each_by_itself() {
    let bed = bed().await;
    let alice = bed.client("alice").http2().kept();
    let own = alices_token(&bed).await;
    let bobs = bed.token(&bed.client("bob")).scope("read:orders").issue().await;
    let (mine, stolen) =
        tokio::join!(alice.get("/orders/7").token(&own).send(), alice.get("/orders/7").token(&bobs).send());
    assert_eq!((mine.status, stolen.status), (200, 401));
    assert_eq!(bed.upstream.count(), 1);
}

#[tokio::test]
async fn a_resumed_session_is_still_the_same_client() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    for client in [bed.client("alice").resuming(), bed.client("alice").tls12().resuming()] {
        for _ in 0..3 {
            assert_eq!(client.get("/orders/7").token(&token).send().await.status, 200);
        }
        assert!(bed.envoy.stat("listener.127.0.0.1_0.ssl.session_reused").await > 0 || reused(&bed).await);
    }
}

async fn reused(bed: &Testbed) -> bool {
    bed.envoy.stats("ssl.session_reused").await.values().any(|count| *count > 0)
}

#[tokio::test]
async fn a_bound_token_is_worth_nothing_without_tls() {
    let bed = Testbed::start(with(|_| {}).with_plaintext_listener()).await;
    let token = alices_token(&bed).await;
    let answer = bed.plaintext().get("/orders/7").token(&token).send().await;
    refused(&bed, &answer, 401, "certificate-missing").await;
    let forwarded = format!("Hash={};URI=spiffe://example.org/client/alice", "00".repeat(32));
    let answer = bed.plaintext().get("/mesh").header("x-forwarded-client-cert", forwarded).send().await;
    refused(&bed, &answer, 403, "peer-missing").await;
}

#[tokio::test]
async fn an_unvalidated_certificate_binds_tokens_but_is_nobody() {
    let bed = Testbed::start(EnvoyConfig::new(config()).client_certificates(ClientCertificates::AcceptUntrusted)).await;
    let identity = bed.pki.self_signed_client("alice");
    let token = bed.authority.claims().scope("read:orders").bound_to(&identity).sign();
    let alice = bed.client_with(identity);
    refused(&bed, &alice.get("/mesh").send().await, 403, "peer-unidentified").await;
    assert_eq!(alice.get("/orders/7").token(&token).send().await.status, 200);
}
