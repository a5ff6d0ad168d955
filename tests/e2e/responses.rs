//! Limits that count responses: guessed passwords and enumerated IDs at the upstream, and failures at the filter.

use boundgate_testbed::Testbed;
use serde_json::json;

use crate::expectations::{alices_token, with};

async fn bed() -> Testbed {
    let counting = |config: &mut serde_json::Value| {
        config["limits"]["guesses"] = json!({"key": ["ip"], "rate": "1/min", "burst": 3, "on": [401, 403]});
        config["limits"]["enumeration"] = json!({"key": ["client_id"], "rate": "1/min", "burst": 3, "on": [404]});
        config["limits"]["scan"] = json!({"key": ["client_id"], "rate": "2/h", "on": [404], "event": "enumeration"});
        let routes = config["resources"][0]["routes"].as_array_mut().unwrap();
        routes.push(json!({"path": "/login", "methods": ["POST"], "access": "public", "limits": ["guesses"]}));
        routes[1]["limits"] = json!(["guesses", "enumeration", "scan"]);
    };
    Testbed::start(with(counting)).await
}

#[tokio::test]
async fn guessed_passwords_are_slowed_down_and_right_ones_cost_nothing() {
    let bed = bed().await;
    let client = bed.anonymous();
    let guess = |status: &'static str| client.post("/login").header("x-upstream-status", status);
    for _ in 0..5 {
        assert_eq!(guess("200").send().await.status, 200);
    }
    for _ in 0..3 {
        assert_eq!(guess("401").send().await.status, 401);
    }
    let answer = guess("401").send().await;
    assert_eq!((answer.status, bed.envoy.details(&answer).await.as_str()), (429, "boundgate:over-limit"));
    assert_eq!(bed.upstream.count(), 8);
}

#[tokio::test]
async fn enumerated_ids_are_counted_for_the_client_that_asks() {
    let bed = bed().await;
    let (alice, token) = (bed.client("alice"), alices_token(&bed).await);
    for number in 0..3 {
        let path = format!("/orders/{number}");
        assert_eq!(alice.get(path).token(&token).header("x-upstream-status", "404").send().await.status, 404);
    }
    assert_eq!(alice.get("/orders/3").token(&token).send().await.status, 429);
    assert_eq!(bed.upstream.count(), 3);
}

#[tokio::test]
async fn the_audit_record_tells_of_a_caller_who_tries_out_what_exists() {
    let bed = bed().await;
    let (alice, token) = (bed.client("alice"), alices_token(&bed).await);
    let mut records = Vec::new();
    for number in 0..3 {
        let answer =
            alice.get(format!("/orders/{number}")).token(&token).header("x-upstream-status", "404").send().await;
        let line = bed.envoy.access_log_of(&answer).await;
        records.push(line["audit"].as_str().expect("an audit record").to_owned());
    }
    let told: Vec<bool> = records.iter().map(|record| record.contains(r#""events":["enumeration"]"#)).collect();
    assert_eq!(told, [false, false, true], "{records:?}");
    bed.envoy.stat_reaches("wasmcustom.boundgate.event_enumeration", 1).await.expect("it is counted");
}

#[tokio::test]
async fn the_outcome_of_a_grpc_call_is_counted_as_its_http_status() {
    let counting = |config: &mut serde_json::Value| {
        let limit = json!({"key": ["client_id", "header.x-case"], "rate": "1/min", "burst": 3, "on": [404]});
        config["limits"]["enumeration"] = limit;
        config["resources"][0]["routes"][5]["limits"] = json!(["enumeration"]);
    };
    let http2 = |config: &mut serde_json::Value| {
        const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        config["static_resources"]["clusters"][0]["typed_extension_protocol_options"][OPTIONS] = json!({
            "@type": format!("type.googleapis.com/{OPTIONS}"),
            "explicit_http_config": {"http2_protocol_options": {}}
        });
    };
    let bed = Testbed::start(with(counting).edit(http2)).await;
    let (alice, token) = (bed.client("alice").http2(), alices_token(&bed).await);
    // The code for NOT_FOUND in trailers and in a response that has no others, and no code at all.
    for (field, found, not_found) in [
        ("x-upstream-grpc-trailers", "0", "5"),
        ("x-upstream-grpc-status", "0", "5"),
        ("x-upstream-status", "200", "404"),
    ] {
        let before = bed.upstream.count();
        let call = |outcome| {
            let call = alice.grpc("/orders.Orders/Get").token(&token).header("x-case", field);
            call.header(field, outcome).send()
        };
        for outcome in [found, found, found, found, not_found, not_found, not_found] {
            assert_ne!(call(outcome).await.grpc_status(), Some(8), "{field}");
        }
        let answer = call(not_found).await;
        assert_eq!(bed.envoy.details(&answer).await, "boundgate:over-limit", "{field}");
        assert_eq!(bed.upstream.count(), before + 7, "{field}");
    }
}

#[tokio::test]
async fn a_source_of_forged_tokens_is_locked_out_and_a_known_token_still_passes() {
    let bed = bed().await;
    let (alice, token) = (bed.client("alice"), alices_token(&bed).await);
    assert_eq!(alice.get("/orders/7").token(&token).send().await.status, 200);
    for number in 0..3 {
        let forged = bed.authority.claims().set("jti", format!("forged-{number}")).header("kid", "es256-0").sign();
        assert_eq!(alice.get("/orders/7").token(&forged).send().await.status, 401);
    }
    let forged = bed.authority.claims().set("jti", "forged-3").header("kid", "es256-0").sign();
    let answer = alice.get("/orders/7").token(&forged).send().await;
    assert_eq!((answer.status, bed.envoy.details(&answer).await.as_str()), (429, "boundgate:source-locked-out"));
    assert_eq!(alice.get("/orders/7").token(&token).send().await.status, 200);
    assert_eq!(bed.upstream.count(), 2);
}

#[tokio::test]
async fn a_source_that_floods_with_new_tokens_has_no_more_of_them_verified() {
    let budget = |config: &mut serde_json::Value| {
        config["limits"]["strangers"] = json!({"key": ["source"], "rate": "1/min", "burst": 3, "on": ["verification"]});
        config["resources"][0]["routes"][1]["limits"] = json!(["strangers"]);
    };
    let bed = Testbed::start(with(budget)).await;
    let alice = bed.client("alice");
    let mut tokens = Vec::new();
    for _ in 0..4 {
        tokens.push(alices_token(&bed).await);
    }
    for token in &tokens[..3] {
        assert_eq!(alice.get("/orders/7").token(token).send().await.status, 200);
    }
    let answer = alice.get("/orders/7").token(&tokens[3]).send().await;
    assert_eq!((answer.status, bed.envoy.details(&answer).await.as_str()), (429, "boundgate:source-locked-out"));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(alice.get("/orders/7").token(&tokens[0]).send().await.status, 200);
    assert_eq!(bed.upstream.count(), 4);
}
