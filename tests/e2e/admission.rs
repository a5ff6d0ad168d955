//! The main job: who is let in.

use boundgate_testbed::RESOURCE;

use crate::expectations::{alices_token, bed, refused};

const INVALID: &str = r#"Bearer realm="api", error="invalid_token", error_description="The access token is invalid""#;

#[tokio::test]
async fn the_rightful_holder_of_a_token_reaches_the_upstream_over_either_http() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    for client in [bed.client("alice"), bed.client("alice").http2(), bed.client("alice").tls12()] {
        assert_eq!(client.get("/orders/7").token(&token).send().await.status, 200);
    }
    assert_eq!(bed.upstream.count(), 3);
}

#[tokio::test]
async fn a_stolen_token_is_useless_without_the_clients_key() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    let answer = bed.client("bob").get("/orders/7").token(&token).send().await;
    refused(&bed, &answer, 401, "binding-mismatch").await;
    assert_eq!(answer.challenges(), [INVALID]);
    let answer = bed.anonymous().get("/orders/7").token(&token).send().await;
    refused(&bed, &answer, 401, "certificate-missing").await;
    assert_eq!(answer.challenges(), [INVALID]);
}

#[tokio::test]
async fn a_stolen_token_that_the_worker_has_verified_before_is_refused_too() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    assert_eq!(bed.client("alice").get("/orders/7").token(&token).send().await.status, 200);
    let answer = bed.client("bob").get("/orders/7").token(&token).send().await;
    assert_eq!((answer.status, bed.envoy.details(&answer).await.as_str()), (401, "boundgate:binding-mismatch"));
    assert_eq!(bed.upstream.count(), 1);
}

#[tokio::test]
async fn no_token_gets_a_bare_challenge() {
    let bed = bed().await;
    for request in [
        bed.client("alice").get("/orders/7"),
        bed.client("alice").get("/orders/7").header("authorization", "Basic eDp5"),
        bed.client("alice").get("/orders/7?access_token=a.b.c"),
        bed.client("alice").get("/orders/7").header("cookie", "access_token=a.b.c"),
    ] {
        let answer = request.send().await;
        refused(&bed, &answer, 401, "token-missing").await;
        assert_eq!(answer.challenges(), [r#"Bearer realm="api""#]);
    }
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    let bed = bed().await;
    let alice = bed.client("alice");
    let token = bed.token(&alice).scope("write:orders READ:ORDERS read:orders:all").issue().await;
    let answer = alice.get("/orders/7").token(&token).send().await;
    refused(&bed, &answer, 403, "scope-missing").await;
    assert_eq!(
        answer.challenges(),
        [
            r#"Bearer realm="api", error="insufficient_scope", scope="read:orders", error_description="The request requires higher privileges than provided by the access token""#
        ]
    );
}

#[tokio::test]
async fn expired_and_misdirected_tokens_are_refused() {
    let bed = bed().await;
    let alice = bed.client("alice");
    let expired = bed.token(&alice).scope("read:orders").lifetime(-60).issue().await;
    let answer = alice.get("/orders/7").token(&expired).send().await;
    refused(&bed, &answer, 401, "token-expired").await;
    let other = bed.token(&alice).scope("read:orders").resource("https://other.example.com").issue().await;
    let answer = alice.get("/orders/7").token(&other).send().await;
    refused(&bed, &answer, 401, "audience-mismatch").await;
    let near = format!("{RESOURCE}/");
    let near = bed.token(&alice).scope("read:orders").resource(&near).issue().await;
    refused(&bed, &alice.get("/orders/7").token(&near).send().await, 401, "audience-mismatch").await;
    let long = bed.token(&alice).scope("read:orders").lifetime(901).issue().await;
    refused(&bed, &alice.get("/orders/7").token(&long).send().await, 401, "lifetime-too-long").await;
}

#[tokio::test]
async fn an_unbound_token_passes_only_where_the_route_says_so() {
    let bed = bed().await;
    let alice = bed.client("alice");
    let bearer = bed.authority.claims().scope("read:orders").sign();
    refused(&bed, &alice.get("/orders/7").token(&bearer).send().await, 401, "token-unbound").await;
    let strange = bed.authority.claims().scope("read:orders").set("cnf", serde_json::json!({"kid": "x"})).sign();
    refused(&bed, &alice.get("/plain").token(&strange).send().await, 401, "confirmation-unusable").await;
    let bound = bed.authority.claims().scope("read:orders").bound_to(&bed.pki.client("bob")).sign();
    refused(&bed, &alice.get("/plain").token(&bound).send().await, 401, "binding-mismatch").await;
    assert_eq!(bed.anonymous().get("/plain").token(&bearer).send().await.status, 200);
}

#[tokio::test]
async fn a_peer_route_needs_a_certificate_on_its_list() {
    let bed = bed().await;
    refused(&bed, &bed.anonymous().get("/mesh").send().await, 403, "peer-missing").await;
    let stranger = bed.pki.client_with("mallory", |params| {
        let uri = "spiffe://example.org/clients/mallory".try_into().expect("ASCII");
        params.subject_alt_names = vec![boundgate_testbed::rcgen::SanType::URI(uri)];
    });
    refused(&bed, &bed.client_with(stranger).get("/mesh").send().await, 403, "peer-not-allowed").await;
    let nameless = bed.pki.client_with("nameless", |params| params.subject_alt_names.clear());
    refused(&bed, &bed.client_with(nameless).get("/mesh").send().await, 403, "peer-unidentified").await;
    assert_eq!(bed.client("alice").get("/mesh").send().await.status, 200);
}
