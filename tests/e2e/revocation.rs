//! Tokens that end before their time, under clients that go on calling, and servers of revocations in every state.

use std::time::Duration;

use boundgate_testbed::{Answer, App, Client, EnvoyConfig, JwksAnswer, Testbed, Update};
use serde_json::{Value, json};

use crate::expectations::{alices_token, config, eventually, refused};

const WORKERS: u32 = 4;
/// Main thread and workers.
const VMS: usize = 5;

fn revoking(rule: &Value) -> Value {
    let mut config = config();
    let source = json!({
        "cluster": "as", "uri": "https://as.example.com/documents/revoked", "refresh": "1s", "max_stale": "1h", "timeout": "1s"
    });
    config["issuers"]["main"]["revocation"] = source;
    for (name, value) in rule.as_object().expect("an object") {
        config["issuers"]["main"]["revocation"][name] = value.clone();
    }
    config
}

/// A proxy whose workers have all read a document that revokes nothing.
async fn bed(rule: &Value) -> Testbed {
    let config = EnvoyConfig::new(revoking(rule)).concurrency(WORKERS);
    let bed = Testbed::start_with(|authority| {
        authority.publish(&json!({}));
        config
    })
    .await;
    every_worker_has_read_it(&bed).await;
    bed
}

/// Each fetches once a second: twice as many fetches as there are cannot all be those of some.
async fn every_worker_has_read_it(bed: &Testbed) {
    let read = bed.envoy.stat("wasmcustom.boundgate.revocation_fetch_ok").await;
    eventually(|| bed.authority.document_fetches() >= 3 * VMS).await;
    bed.envoy.stat_reaches("wasmcustom.boundgate.revocation_fetch_ok", read + 2 * VMS as u64).await.unwrap();
}

async fn publish(bed: &Testbed, document: &Value) {
    bed.authority.publish(document);
    every_worker_has_read_it(bed).await;
}

async fn order(client: &Client, token: &str) -> Answer {
    client.get("/orders/7").token(token).send().await
}

/// The answers on so many connections of their own, which the workers share.
async fn on_many_connections(client: &Client, token: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    for _ in 0..40 {
        answers.push(order(client, token).await);
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_revoked_under_a_running_client_is_refused_by_every_worker_and_others_go_on() {
    let bed = bed(&json!({})).await;
    let alice = bed.client("alice");
    let claims = |id: &str| {
        let claims = bed.authority.claims().set("jti", id).set("sub", id).set("sid", id).scope("read:orders");
        claims.bound_to(alice.identity().unwrap())
    };
    let other = claims("other").sign();
    for (id, document) in [
        ("jti", json!({"jti": ["x", "jti"]})),
        ("sub", json!({"sub": ["sub"]})),
        ("sid", json!({"sid": ["sid"]})),
        ("issued_before", json!({"issued_before": {"sub": {"issued_before": 4_000_000_000_u64}}})),
    ] {
        let token = claims(id).sign();
        let before = on_many_connections(&alice, &token).await;
        assert!(before.iter().all(|answer| answer.status == 200), "{id}");
        publish(&bed, &document).await;
        let reached = bed.upstream.count();
        for answer in on_many_connections(&alice, &token).await {
            assert_eq!(answer.status, 401, "{id}: {}", answer.text());
            assert!(answer.header("www-authenticate").unwrap().contains("error=\"invalid_token\""), "{id}");
            assert_eq!(bed.envoy.details(&answer).await, "boundgate:token-revoked");
        }
        assert_eq!(bed.upstream.count(), reached, "{id}: the upstream was reached");
        assert!(on_many_connections(&alice, &other).await.iter().all(|answer| answer.status == 200), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_server_answers_instead_the_last_document_stays_in_force() {
    let bed = bed(&json!({"max_bytes": "64KiB"})).await;
    let alice = bed.client("alice");
    let (good, bad) = (alices_token(&bed).await, {
        let claims = bed.authority.claims().set("jti", "bad").scope("read:orders");
        claims.bound_to(alice.identity().unwrap()).sign()
    });
    publish(&bed, &json!({"jti": ["bad"]})).await;
    refused(&bed, &order(&alice, &bad).await, 401, "token-revoked").await;
    for (what, answer) in [
        ("an error", JwksAnswer::Status(500)),
        ("nothing there", JwksAnswer::Status(404)),
        ("a page", JwksAnswer::html()),
        ("nothing", JwksAnswer::Bytes("application/json", Vec::new())),
        ("null", JwksAnswer::Bytes("application/json", b"null".to_vec())),
        ("a large one", JwksAnswer::huge(70_000)),
        ("a huge one", JwksAnswer::huge(8 << 20)),
        ("a redirect", JwksAnswer::Redirect("https://elsewhere.example.com/".into())),
        ("silence", JwksAnswer::Held),
    ] {
        let failed = bed.envoy.stat("wasmcustom.boundgate.revocation_fetch_failed").await;
        bed.authority.answer_documents_with(answer);
        bed.envoy.stat_reaches("wasmcustom.boundgate.revocation_fetch_failed", failed + 1).await.unwrap();
        let reached = bed.upstream.count();
        let answer = order(&alice, &bad).await;
        assert_eq!((answer.status, bed.upstream.count()), (401, reached), "{what}");
        assert_eq!(order(&alice, &good).await.status, 200, "{what}");
        // So that the next attempt comes soon.
        publish(&bed, &json!({"jti": ["bad"]})).await;
    }
    bed.authority.publish(&json!({}));
    eventually_passes(&bed, &alice, &bad).await;
}

async fn eventually_passes(bed: &Testbed, client: &Client, token: &str) {
    bed.passes(client, "/orders/7", token).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_is_stale_or_was_never_there_refuses_or_allows_as_configured() {
    for (on_stale, status) in [("refuse", 503), ("allow", 200)] {
        let rule = json!({"on_stale": on_stale, "max_stale": "2s"});
        let bed = Testbed::start(revoking(&rule)).await;
        let alice = bed.client("alice");
        let token = alices_token(&bed).await;
        bed.envoy.stat_reaches("wasmcustom.boundgate.revocation_fetch_failed", 2).await.unwrap();
        let answer = order(&alice, &token).await;
        assert_eq!(answer.status, status, "never there, {on_stale}: {}", answer.text());
        if status == 503 {
            assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
            refused(&bed, &answer, 503, "revocation-stale").await;
        }
        bed.authority.publish(&json!({}));
        eventually_passes(&bed, &alice, &token).await;
        bed.authority.stop().await;
        let reached = bed.upstream.count();
        let mut last = 200;
        for _ in 0..400 {
            last = order(&alice, &token).await.status;
            if last != 200 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(last, status, "stale, {on_stale}");
        if status == 503 {
            let before = bed.upstream.count();
            assert_eq!((order(&alice, &token).await.status, bed.upstream.count()), (503, before));
            assert!(before >= reached);
        }
        bed.authority.restart().await;
        eventually_passes(&bed, &alice, &token).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_resource_takes_back_dies_in_every_worker_whatever_the_issuer_says() {
    let mut config = revoking(&json!({}));
    let mut own = config["issuers"]["main"]["revocation"].take();
    own["uri"] = json!("https://as.example.com/documents/own");
    config["issuers"]["main"].as_object_mut().unwrap().remove("revocation");
    config["resources"][0]["revocation"] = own;
    let config = EnvoyConfig::new(config).concurrency(WORKERS);
    let bed = Testbed::start_with(|authority| {
        authority.publish(&json!({}));
        config
    })
    .await;
    every_worker_has_read_it(&bed).await;
    let alice = bed.client("alice");
    let token = |id: &str| {
        let claims = bed.authority.claims().set("jti", id).scope("read:orders");
        claims.bound_to(alice.identity().unwrap()).sign()
    };
    let (bad, other) = (token("bad"), token("other"));
    for token in [&bad, &other] {
        assert!(on_many_connections(&alice, token).await.iter().all(|answer| answer.status == 200));
    }
    publish(&bed, &json!({"jti": ["bad"]})).await;
    let reached = bed.upstream.count();
    for answer in on_many_connections(&alice, &bad).await {
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert_eq!(bed.envoy.details(&answer).await, "boundgate:token-revoked");
    }
    assert_eq!(bed.upstream.count(), reached, "the upstream was reached");
    assert!(on_many_connections(&alice, &other).await.iter().all(|answer| answer.status == 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_revoked_ends_the_tokens_that_are_bound_to_it_with_good_proofs_too() {
    let mut config = revoking(&json!({}));
    config["resources"][0]["origin"] = json!("https://api.example.com");
    let bed = Testbed::start_with(|authority| {
        authority.publish(&json!({}));
        EnvoyConfig::new(config)
    })
    .await;
    bed.envoy.stat_reaches("wasmcustom.boundgate.revocation_fetch_ok", 2).await.unwrap();
    let app = App::new(&bed);
    let (alice, phone) = (bed.client("alice"), bed.anonymous());
    let bound = alices_token(&bed).await;
    let mut number = 0;
    let mut proof = || {
        number += 1;
        app.proof("/orders/7", &number.to_string(), |_| {})
    };
    assert_eq!(app.get(&phone, "/orders/7", &proof()).send().await.status, 200);
    bed.authority.publish(&json!({"jkt": [app.jkt()]}));
    let read = bed.envoy.stat("wasmcustom.boundgate.revocation_fetch_ok").await;
    bed.envoy.stat_reaches("wasmcustom.boundgate.revocation_fetch_ok", read + 4).await.unwrap();
    let reached = bed.upstream.count();
    let answer = app.get(&phone, "/orders/7", &proof()).send().await;
    assert_eq!((answer.status, bed.upstream.count()), (401, reached), "{}", answer.text());
    assert_eq!(bed.envoy.details(&answer).await, "boundgate:token-revoked");
    assert_eq!(order(&alice, &bound).await.status, 200, "whose token names another");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_of_the_configuration_kills_known_tokens_without_any_server() {
    let bed = Testbed::start(config()).await;
    let alice = bed.client("alice");
    let token = alices_token(&bed).await;
    bed.passes(&alice, "/orders/7", &token).await;
    let mut emergency = config();
    let thumbprint = alice.identity().unwrap().thumbprint();
    emergency["issuers"]["main"]["revocation"] = json!({"entries": {"x5t#S256": [thumbprint]}});
    assert!(matches!(bed.envoy.config_update(emergency).await, Ok(Update::Accepted)));
    let reached = bed.upstream.count();
    let answer = order(&alice, &token).await;
    assert_eq!((answer.status, bed.upstream.count()), (401, reached));
    assert_eq!(bed.envoy.details(&answer).await, "boundgate:token-revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_on_the_list_of_its_ca_ends_in_a_tls_alert() {
    let pki = boundgate_testbed::Pki::shared();
    let list = pki.revoked(&[&pki.client("mallory")]);
    let with_list = move |envoy: &mut Value| {
        let tls =
            &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["transport_socket"]["typed_config"];
        tls["common_tls_context"]["validation_context"]["crl"] = json!({"inline_string": list});
    };
    let bed = Testbed::start(EnvoyConfig::new(config()).edit(with_list)).await;
    assert_eq!(bed.client("alice").get("/healthz").send().await.status, 200);
    let refusal = bed.client("mallory").get("/healthz").try_send().await.expect_err("its certificate is revoked");
    assert!(refusal.to_string().contains("CertificateRevoked"), "{refusal}");
    let failed = bed.envoy.stats("ssl.fail_verify_error").await;
    assert_eq!(failed.values().sum::<u64>(), 1, "{failed:?}");
    assert_eq!(bed.upstream.count(), 1, "alice's alone");
}
