//! Keys that are where the issuer's metadata says: both well-known documents, hosts that are listed, and metadata that is not
//! believed.

use boundgate_testbed::{EnvoyConfig, JwksAnswer, Testbed, Update};
use serde_json::{Value, json};

use crate::expectations::{alices_token, config, eventually, refused};

/// [`config`], with keys that the metadata names, fetched by these keys of the configuration besides.
fn discovered(more: &Value) -> Value {
    let mut config = config();
    let mut jwks = json!({"cluster": "as", "discovery": "openid-configuration", "timeout": "2s"});
    for (name, value) in more.as_object().unwrap() {
        jwks[name] = value.clone();
    }
    config["issuers"]["main"]["jwks"] = jwks;
    config
}

fn metadata(issuer: &str, jwks_uri: &str) -> JwksAnswer {
    let metadata = json!({"issuer": issuer, "jwks_uri": jwks_uri, "response_types_supported": ["code"]});
    JwksAnswer::Bytes("application/json", metadata.to_string().into_bytes())
}

#[tokio::test]
async fn keys_are_found_by_either_metadata_of_the_issuer_and_at_a_listed_host() {
    let bed = Testbed::start(discovered(&json!({}))).await;
    let alice = bed.client("alice");
    let token = alices_token(&bed).await;
    assert_eq!(alice.get("/orders/7").token(&token).send().await.status, 200);
    // Main thread and worker ask once each.
    eventually(|| bed.authority.jwks_fetches() == 2).await;
    assert_eq!(bed.authority.metadata_fetches(), 2);

    let oauth = discovered(&json!({"discovery": "oauth-authorization-server"}));
    assert!(matches!(bed.envoy.config_update(oauth).await, Ok(Update::Accepted)));
    assert_eq!(alice.get("/orders/7").token(&token).send().await.status, 200);
    eventually(|| bed.authority.jwks_fetches() == 4).await;
    assert_eq!(bed.authority.metadata_fetches(), 4);

    bed.authority.answer_metadata_with(metadata("https://as.example.com", "https://keys.example.net/jwks?of=main"));
    let listed = discovered(&json!({"hosts": {"keys.example.net": "as"}}));
    assert!(matches!(bed.envoy.config_update(listed).await, Ok(Update::Accepted)));
    assert_eq!(alice.get("/orders/7").token(&token).send().await.status, 200);
    eventually(|| bed.authority.jwks_fetches_with("of=main").len() == 2).await;
    bed.envoy.stat_reaches("wasmcustom.boundgate.metadata_fetch_ok", 6).await.unwrap();
    assert_eq!(bed.envoy.stat("wasmcustom.boundgate.metadata_fetch_failed").await, 0);
}

#[tokio::test]
async fn metadata_that_is_not_the_issuers_or_points_elsewhere_is_not_believed() {
    let issuer = "https://as.example.com";
    let bed = Testbed::start_with(|authority| {
        authority.answer_metadata_with(JwksAnswer::Held);
        EnvoyConfig::new(discovered(&json!({})))
    })
    .await;
    let (alice, token) = (bed.client("alice"), alices_token(&bed).await);
    for (number, (answer, told)) in [
        (metadata("https://as.example.com/", "https://as.example.com/jwks"), "that of \"https://as.example.com/\""),
        (metadata(issuer, "https://127.0.0.1/jwks"), "at \"127.0.0.1\", which is not the issuer's host"),
        (metadata(issuer, "http://as.example.com/jwks"), "does not begin with https://"),
        (JwksAnswer::Redirect("https://as.example.com/jwks".into()), "redirects are not followed"),
        (JwksAnswer::huge(100_000), "the metadata is larger than 65536 bytes"),
        (JwksAnswer::html(), "the metadata is not JSON"),
    ]
    .into_iter()
    .enumerate()
    {
        // Another trust each time, so that nothing is known of it.
        let host = format!("keys-{number}.example.net");
        let other = discovered(&json!({"timeout": "1s", "hosts": {host: "as"}}));
        bed.authority.answer_metadata_with(answer);
        assert!(matches!(bed.envoy.config_update(other).await, Ok(Update::Accepted)));
        let answer = alice.get("/orders/7").token(&token).send().await;
        refused(&bed, &answer, 503, "keys-unavailable").await;
        eventually(|| {
            let log = bed.envoy.log();
            let mut lines =
                log.lines().filter(|line| line.contains("issuers.main.jwks: metadata at https://as.example.com/"));
            lines.any(|line| line.contains(told))
        })
        .await;
    }
    assert_eq!(bed.authority.jwks_fetches(), 0, "no keys were asked for");
    bed.authority.answer_metadata_with(JwksAnswer::Keys);
    assert_eq!(alice.get("/orders/7").token(&token).send().await.status, 200, "once it is right");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_wait_for_metadata_and_keys_and_go_on_when_both_are_there() {
    let bed = Testbed::start_with(|authority| {
        authority.answer_metadata_with(JwksAnswer::Held);
        authority.answer_jwks_with(JwksAnswer::Held);
        EnvoyConfig::new(discovered(&json!({"timeout": "20s"})))
    })
    .await;
    let (alice, token) = (bed.client("alice"), alices_token(&bed).await);
    let requests: Vec<_> = (0..5)
        .map(|_| {
            let (alice, token) = (alice.clone(), token.clone());
            tokio::spawn(async move { alice.get("/orders/7").token(&token).send().await.status })
        })
        .collect();
    bed.envoy.stat_becomes("wasmcustom.boundgate.waiting", 5).await.unwrap();
    assert_eq!(bed.authority.jwks_fetches(), 0);
    bed.authority.answer_metadata_with(JwksAnswer::Keys);
    eventually(|| bed.authority.jwks_fetches() == 2).await;
    assert_eq!(bed.envoy.stat("wasmcustom.boundgate.waiting").await, 5, "where keys are is not yet keys");
    bed.authority.answer_jwks_with(JwksAnswer::Keys);
    for request in requests {
        assert_eq!(request.await.unwrap(), 200);
    }
    assert_eq!((bed.authority.metadata_fetches(), bed.authority.jwks_fetches()), (2, 2));
}

/// The rules of a cold start hold for the metadata as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_requests_wait_where_the_metadata_fails_at_first() {
    let bed = Testbed::start_with(|authority| {
        authority.answer_metadata_with(JwksAnswer::Status(503));
        EnvoyConfig::new(discovered(&json!({"timeout": "30s"})))
    })
    .await;
    let (alice, token) = (bed.client("alice"), alices_token(&bed).await);
    let request = tokio::spawn(async move { alice.get("/orders/7").token(&token).send().await.status });
    bed.envoy.stat_becomes("wasmcustom.boundgate.waiting", 1).await.unwrap();
    bed.envoy.stat_reaches("wasmcustom.boundgate.metadata_fetch_failed", 3).await.unwrap();
    bed.authority.answer_metadata_with(JwksAnswer::Keys);
    assert_eq!(request.await.unwrap(), 200);
}
