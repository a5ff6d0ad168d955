//! What becomes of the body of a refused request, and of the connection that carried it.

use boundgate_testbed::{Answer, Client, JwksAnswer, Testbed};
use serde_json::json;
use tokio::task::JoinSet;

use crate::expectations::{alices_token, bed, refused, with};
use crate::keys::{active, without_keys};

/// Requests of every kind that are refused, with a body of that many bytes, one after the other.
async fn refusals(bed: &Testbed, client: &Client, bytes: usize) -> Vec<Answer> {
    let token = alices_token(bed).await;
    let post = |path: &'static str| client.post(path).body(vec![b'x'; bytes]);
    let requests = [
        post("/orders.Orders/Get"),
        post("/nowhere").token(&token),
        post("/orders/7").token(&token),
        post("/mesh").token(&token),
        post("/spent"),
        post("/spent"),
    ];
    let mut answers = Vec::new();
    for request in requests {
        answers.push(request.send().await);
    }
    answers
}

#[tokio::test]
async fn a_refused_request_with_a_body_keeps_its_connection() {
    let bed = Testbed::start(with(|config| {
        config["resources"][0]["routes"]
            .as_array_mut()
            .unwrap()
            .extend([json!({"path": "/spent", "limits": ["unauthorized"]})]);
        config["limits"]["unauthorized"] = json!({"key": ["ip"], "rate": "1/h", "on": [401], "undecided": 1});
    }))
    .await;
    for client in [bed.anonymous().kept(), bed.anonymous().http2().kept()] {
        let mut carried = 0;
        for bytes in [5, 3_000, 30_000, 60_000] {
            for answer in refusals(&bed, &client, bytes).await {
                assert!([401, 403, 404, 405, 429].contains(&answer.status), "{} {}", answer.status, answer.text());
                assert_eq!(answer.nth(), carried, "{bytes} bytes, {}: another connection", answer.status);
                carried += 1;
            }
        }
    }
    assert_eq!(bed.upstream.count(), 0);
}

/// A request whose body of `declared` bytes does not come.
fn without_its_body(declared: usize) -> String {
    format!("POST /orders.Orders/Get HTTP/1.1\r\nhost: api.example.com\r\ncontent-length: {declared}\r\n\r\n")
}

#[tokio::test]
async fn a_body_that_is_too_long_or_does_not_come_is_cut_with_the_refusal() {
    let bed =
        Testbed::start(with(|config| config["refusals"] = json!({"await_body": "1KiB", "within": "300ms"}))).await;
    for declared in [1_000, 2_000] {
        let answer = bed.anonymous().raw(without_its_body(declared)).await.unwrap();
        refused(&bed, &answer, 401, "token-missing").await;
        assert_eq!(answer.header("connection").as_deref(), Some("close"), "{declared} bytes");
    }
    assert_eq!(bed.envoy.stat("wasmcustom.boundgate.awaited_bodies").await, 0);
}

/// A theft that is seen once the keys are there; of its body comes only a part.
#[tokio::test]
async fn a_refusal_after_a_wait_for_keys_is_sent_although_its_body_does_not_come() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    without_keys(&bed).await;
    let bob = bed.client("bob");
    let request =
        without_its_body(1_000).replace("\r\n\r\n", &format!("\r\nauthorization: Bearer {token}\r\n\r\nbegins"));
    let call = tokio::spawn(async move { bob.raw(request).await });
    active(&bed, 1).await;
    bed.authority.answer_jwks_with(JwksAnswer::Keys);
    let answer = call.await.unwrap().unwrap();
    refused(&bed, &answer, 401, "binding-mismatch").await;
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let bed = Testbed::start(with(|config| config["refusals"] = json!({"within": "10s"}))).await;
    let anonymous = bed.anonymous();
    let call = tokio::spawn(async move { anonymous.raw(without_its_body(1_000)).await });
    bed.envoy.stat_becomes("wasmcustom.boundgate.awaited_bodies", 1).await.unwrap();
    call.abort();
    bed.envoy.stat_becomes("wasmcustom.boundgate.awaited_bodies", 0).await.unwrap();
    assert_eq!(bed.upstream.count(), 0);
}

/// One worker, more than its bound.
#[tokio::test]
async fn a_thousand_slow_bodies_hold_no_more_places_than_there_are() {
    let bed = Testbed::start(with(|config| config["refusals"] = json!({"within": "2s"})).concurrency(1)).await;
    let mut calls = JoinSet::new();
    for _ in 0..1_000 {
        let anonymous = bed.anonymous();
        calls.spawn(async move { anonymous.raw(without_its_body(1_000)).await.unwrap().status });
    }
    let (mut answered, mut most) = (0, 0);
    while let Some(status) = calls.join_next().await {
        assert_eq!(status.unwrap(), 401);
        answered += 1;
        if answered % 100 == 0 {
            most = most.max(bed.envoy.stat("wasmcustom.boundgate.awaited_bodies").await);
        }
    }
    assert!(answered == 1_000 && most <= 256, "{most} waited at once");
    bed.envoy.stat_becomes("wasmcustom.boundgate.awaited_bodies", 0).await.unwrap();
    assert_eq!(bed.upstream.count(), 0);
}

#[tokio::test]
async fn an_honest_body_is_not_touched() {
    let bed = bed().await;
    let answer = bed.client("alice").post("/healthz").body(vec![b'x'; 60_000]).send().await;
    assert_eq!((answer.status, bed.upstream.count()), (200, 1));
}
