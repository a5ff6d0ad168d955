//! What a request may bring: bodies that are too long, as they say or as they come, and of other types; and what could be a replay.

use boundgate_testbed::{Answer, Client, Testbed};
use serde_json::{Value, json};

use crate::expectations::{alices_token, eventually, recorded, refused, with};

/// More than Envoy sends on in one piece.
const MOST: usize = 100_000;

fn shaped(config: &mut Value) {
    config["resources"][0]["routes"].as_array_mut().expect("a list").extend([
        json!({"path": "/upload", "access": "public", "max_body": MOST}),
        json!({"path": "/json", "methods": ["POST", "GET"], "access": "public", "accepts": ["application/json", "image/*"]}),
        json!({"path": "/spool", "scopes": ["read:orders"], "max_body": MOST, "limits": ["few"]}),
    ]);
    config["limits"]["few"] = json!({"key": ["client_id"], "in_flight": 1});
}

async fn bed() -> Testbed {
    Testbed::start(with(shaped)).await
}

fn body(bytes: usize) -> Vec<u8> {
    vec![b'x'; bytes]
}

/// In both versions of HTTP.
fn versions(client: Client) -> [Client; 2] {
    [client.http2(), client]
}

/// The refusal was sent, and the upstream has seen no end of the request.
async fn broken_off(bed: &Testbed, answer: &Answer) {
    assert_eq!((answer.status, answer.problem()["status"].as_u64()), (413, Some(413)), "{}", answer.text());
    let line = bed.envoy.access_log_of(answer).await;
    assert_eq!(line["details"], "boundgate:body-too-large");
    let record = recorded(bed, answer).await;
    assert_eq!((&record["decision"], &record["reason"]), (&"refused".into(), &"body-too-large".into()));
    assert!(bed.upstream.received().iter().all(|request| !request.complete), "the upstream has the whole");
}

#[tokio::test]
async fn a_body_that_says_it_is_too_long_is_refused_before_anything_of_it_goes_on() {
    let bed = bed().await;
    for client in versions(bed.client("alice")) {
        let answer = client.post("/upload").body(body(MOST + 1)).send().await;
        refused(&bed, &answer, 413, "body-too-large").await;
    }
}

#[tokio::test]
async fn a_body_that_says_nothing_of_its_length_is_refused_when_it_is_too_long() {
    let bed = bed().await;
    for client in versions(bed.client("alice")) {
        for bytes in [MOST + 1, 3 * MOST] {
            let answer = client.post("/upload").body(body(bytes)).streamed().send().await;
            broken_off(&bed, &answer).await;
        }
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_length_passes_whole() {
    let bed = bed().await;
    for client in versions(bed.client("alice")) {
        for request in [client.post("/upload").body(body(MOST)), client.post("/upload").body(body(MOST)).streamed()] {
            let answer = request.send().await;
            assert_eq!((answer.status, &answer.json()["body_len"]), (200, &MOST.into()), "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_body_is_counted_also_if_it_came_while_the_request_waited_for_keys_and_its_place_is_given_back() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    let alice = bed.client("alice").http2();
    // The first token: its keys are fetched.
    let answer = alice.post("/spool").token(&token).body(body(MOST + 1)).streamed().send().await;
    broken_off(&bed, &answer).await;
    for _ in 0..2 {
        let answer = alice.post("/spool").token(&token).body(body(MOST + 1)).streamed().send().await;
        broken_off(&bed, &answer).await;
    }
    let answer = alice.post("/spool").token(&token).body(body(MOST)).streamed().send().await;
    assert_eq!(answer.status, 200, "the place of a request that was broken off is free: {}", answer.text());
}

#[tokio::test]
async fn whoever_sends_bodies_that_turn_out_too_long_is_stopped_where_a_limit_counts_them() {
    let bed = Testbed::start(with(|config| {
        shaped(config);
        let routes = config["resources"][0]["routes"].as_array_mut().expect("a list");
        let upload = routes.iter_mut().find(|route| route["path"] == "/upload").expect("it is there");
        upload["limits"] = json!(["large"]);
        config["limits"]["large"] = json!({"key": ["source"], "rate": "2/h", "burst": 2, "on": [413]});
    }))
    .await;
    let alice = bed.client("alice");
    for _ in 0..2 {
        broken_off(&bed, &alice.post("/upload").body(body(MOST + 1)).streamed().send().await).await;
    }
    let answer = alice.post("/upload").body("x").send().await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(bed.upstream.received().iter().all(|request| !request.complete), "the upstream has a whole request");
}

#[tokio::test]
async fn in_report_mode_a_long_body_passes_and_is_recorded() {
    let bed = Testbed::start(with(|config| {
        shaped(config);
        config["mode"] = json!("report");
    }))
    .await;
    let answer = bed.client("alice").post("/upload").body(body(2 * MOST)).streamed().send().await;
    assert_eq!((answer.status, &answer.json()["body_len"]), (200, &(2 * MOST).into()), "{}", answer.text());
    let record = recorded(&bed, &answer).await;
    assert_eq!((&record["decision"], &record["reason"]), (&"reported".into(), &"body-too-large".into()));
}

#[tokio::test]
async fn a_body_of_another_type_is_refused_and_a_request_without_one_passes() {
    let bed = bed().await;
    for client in versions(bed.client("alice")) {
        for request in [
            client.post("/json").header("content-type", "text/plain").body("{}"),
            client.post("/json").header("content-type", "text/plain").body("{}").streamed(),
            client.post("/json").body("{}"),
            client.post("/json").header("content-type", "application/json,text/plain").body("{}"),
        ] {
            let answer = request.send().await;
            refused(&bed, &answer, 415, "type-not-accepted").await;
            assert_eq!(answer.header("accept").as_deref(), Some("application/json, image/*"));
        }
    }
    for client in versions(bed.client("alice")) {
        for request in [
            client.post("/json").header("content-type", "application/json; charset=utf-8").body("{}"),
            client.post("/json").header("content-type", "image/png").body("{}").streamed(),
            client.post("/json").header("content-type", "text/plain"),
            client.get("/json"),
            client.get("/json").header("content-type", "text/plain"),
        ] {
            let answer = request.send().await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn what_came_in_early_data_is_sent_back_unless_it_is_open_and_safe() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    for client in versions(bed.client("alice")) {
        for request in [client.get("/orders/7").token(&token), client.post("/healthz"), client.get("/mesh")] {
            let answer = request.header("early-data", "1").send().await;
            refused(&bed, &answer, 425, "too-early").await;
        }
    }
    for client in versions(bed.client("alice")) {
        assert_eq!(client.get("/healthz").header("early-data", "1").send().await.status, 200);
    }
    eventually(|| bed.upstream.received().iter().all(|request| request.header("early-data").is_some())).await;
}
