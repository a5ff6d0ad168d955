//! Limits that count responses: guessed passwords and enumerated IDs at the upstream, and failures at the filter.

use boundgate_testbed::Testbed;
use serde_json::json;
use tokio::task::JoinSet;

use crate::expectations::{alices_token, eventually, with};
use crate::front::managers;

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

/// The proxy answers 401 by itself, as a filter behind this one may.
#[tokio::test]
async fn what_is_not_the_upstreams_answer_is_no_guess() {
    let counting = |config: &mut serde_json::Value| {
        config["limits"]["guesses"] = json!({"key": ["ip"], "rate": "1/min", "burst": 3, "on": [401, 403]});
        let routes = config["resources"][0]["routes"].as_array_mut().unwrap();
        routes.push(json!({"path": "/login", "access": "public", "limits": ["guesses"]}));
    };
    let by_itself = |envoy: &mut serde_json::Value| {
        for manager in managers(envoy) {
            let routes = manager["route_config"]["virtual_hosts"][0]["routes"].as_array_mut().unwrap();
            routes.insert(0, json!({"match": {"path": "/login"}, "direct_response": {"status": 401}}));
        }
    };
    let bed = Testbed::start(with(counting).edit(by_itself)).await;
    for _ in 0..6 {
        let answer = bed.anonymous().get("/login").send().await;
        assert_eq!((answer.status, bed.envoy.details(&answer).await.as_str()), (401, "direct_response"));
    }
    assert_eq!(bed.upstream.count(), 0);
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

/// gRPC needs HTTP/2 on the way to the upstream.
fn http2_upstream(config: &mut serde_json::Value) {
    const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    config["static_resources"]["clusters"][0]["typed_extension_protocol_options"][OPTIONS] = json!({
        "@type": format!("type.googleapis.com/{OPTIONS}"),
        "explicit_http_config": {"http2_protocol_options": {}}
    });
}

#[tokio::test]
async fn whoever_breaks_a_grpc_call_off_before_its_outcome_is_known_pays_for_it() {
    let counting = |config: &mut serde_json::Value| {
        config["limits"]["guesses"] = json!({"key": ["client_id"], "rate": "1/h", "on": [401]});
        config["resources"][0]["routes"][5]["limits"] = json!(["guesses"]);
    };
    let bed = Testbed::start(with(counting).edit(http2_upstream)).await;
    let (alice, token) = (bed.client("alice").http2(), alices_token(&bed).await);
    let mut call = JoinSet::new();
    let (client, bearer) = (alice.clone(), token.clone());
    call.spawn(async move {
        client.grpc("/orders.Orders/Get").token(&bearer).header("x-upstream-grpc-trailers", "never").try_send().await
    });
    bed.envoy.stat_reaches("cluster.upstream.upstream_rq_200", 1).await.expect("the head of the response came");
    call.shutdown().await;
    eventually(|| bed.envoy.access_log().len() == 1).await;
    let answer = alice.grpc("/orders.Orders/Get").token(&token).send().await;
    assert_eq!(answer.grpc_status(), Some(8));
    assert_eq!(bed.envoy.details(&answer).await, "boundgate:over-limit");
    assert_eq!(bed.upstream.count(), 1);
}

#[tokio::test]
async fn the_outcome_of_a_grpc_call_is_counted_as_its_http_status() {
    let counting = |config: &mut serde_json::Value| {
        let limit = json!({"key": ["client_id", "header.x-case"], "rate": "1/min", "burst": 3, "on": [404]});
        config["limits"]["enumeration"] = limit;
        config["resources"][0]["routes"][5]["limits"] = json!(["enumeration"]);
    };
    let bed = Testbed::start(with(counting).edit(http2_upstream)).await;
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
async fn a_source_of_forged_tokens_is_locked_out_and_a_limit_on_403_as_well_spares_no_known_token() {
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
    let answer = alice.get("/orders/7").token(&token).send().await;
    assert_eq!((answer.status, bed.envoy.details(&answer).await.as_str()), (429, "boundgate:over-limit"));
    assert_eq!(bed.upstream.count(), 1);
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

/// `/login` for anybody, with this limit on its failures; for callers with and without TLS.
async fn login(limit: serde_json::Value) -> Testbed {
    let counting = |config: &mut serde_json::Value| {
        config["limits"] = json!({"guesses": limit});
        config["resources"][0]["routes"] =
            json!([{"path": "/login", "methods": ["POST"], "access": "public", "limits": ["guesses"]}]);
    };
    Testbed::start(with(counting).with_plaintext_listener().concurrency(2)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_that_come_all_at_once_get_no_further_than_the_burst_and_what_may_be_undecided() {
    let bed = login(json!({"key": ["ip"], "on": [401], "rate": "10/h"})).await;
    let mut guesses = JoinSet::new();
    for _ in 0..300 {
        let client = bed.plaintext();
        guesses.spawn(async move {
            let guess = client.post("/login").header("x-upstream-status", "401").header("x-upstream-delay-ms", "500");
            guess.send().await.status
        });
    }
    let statuses = guesses.join_all().await;
    assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
    let tried = statuses.iter().filter(|status| **status == 401).count();
    assert!((10..=110).contains(&tried), "{tried} guesses");
    let answer = bed.plaintext().post("/login").send().await;
    assert_eq!((answer.status, bed.envoy.details(&answer).await.as_str()), (429, "boundgate:over-limit"));
    assert_eq!(bed.upstream.count(), tried);
}

#[tokio::test]
async fn whoever_hangs_up_before_the_answer_pays_for_it() {
    let bed = login(json!({"key": ["ip"], "on": [401], "rate": "3/h"})).await;
    for client in [bed.plaintext(), bed.plaintext().http2(), bed.plaintext()] {
        let (tried, ended) = (bed.upstream.count(), bed.envoy.access_log().len());
        let mut guess = JoinSet::new();
        guess.spawn(async move { client.post("/login").header("x-upstream-hang", "1").try_send().await });
        eventually(|| bed.upstream.count() == tried + 1).await;
        guess.shutdown().await;
        eventually(|| bed.envoy.access_log().len() == ended + 1).await;
    }
    let answer = bed.plaintext().post("/login").send().await;
    assert_eq!((answer.status, bed.envoy.details(&answer).await.as_str()), (429, "boundgate:over-limit"));
    assert_eq!(bed.upstream.count(), 3);
}

#[tokio::test]
async fn a_token_that_was_verified_before_passes_the_lockout_of_its_source_at_every_worker() {
    let lockout = |config: &mut serde_json::Value| {
        config["limits"]["lockout"] = json!({"key": ["ip"], "rate": "3/h", "on": [401]});
        config["resources"][0]["routes"][1]["limits"] = json!(["lockout"]);
    };
    let bed = Testbed::start(with(lockout).concurrency(4)).await;
    let (alice, token, fresh) = (bed.client("alice"), alices_token(&bed).await, alices_token(&bed).await);
    assert_eq!(alice.get("/orders/7").token(&token).send().await.status, 200);
    for number in 0..3 {
        let forged = bed.authority.claims().set("jti", format!("forged-{number}")).header("kid", "es256-0").sign();
        assert_eq!(alice.get("/orders/7").token(&forged).send().await.status, 401);
    }
    for _ in 0..40 {
        assert_eq!(alice.get("/orders/7").token(&token).send().await.status, 200);
    }
    let answer = alice.get("/orders/7").token(&fresh).send().await;
    assert_eq!((answer.status, bed.envoy.details(&answer).await.as_str()), (429, "boundgate:source-locked-out"));
    assert_eq!(bed.upstream.count(), 41);
}

#[tokio::test]
async fn a_limit_on_other_answers_than_401_limits_known_tokens_too() {
    for key in ["ip", "peer", "source"] {
        let counting = |config: &mut serde_json::Value| {
            config["limits"]["scan"] = json!({"key": [key], "rate": "3/h", "on": [404]});
            config["resources"][0]["routes"][1]["limits"] = json!(["scan"]);
        };
        let bed = Testbed::start(with(counting)).await;
        let (alice, token) = (bed.client("alice"), alices_token(&bed).await);
        for number in 0..3 {
            let request = alice.get(format!("/orders/{number}")).token(&token).header("x-upstream-status", "404");
            assert_eq!(request.send().await.status, 404, "{key}");
        }
        let answer = alice.get("/orders/3").token(&token).send().await;
        let details = bed.envoy.details(&answer).await;
        assert_eq!((answer.status, details.as_str()), (429, "boundgate:over-limit"), "{key}");
        assert_eq!(bed.upstream.count(), 3, "{key}");
    }
}

#[tokio::test]
async fn preflights_are_counted_by_what_needs_no_token() {
    let counting = |config: &mut serde_json::Value| {
        config["limits"]["by-ip"] = json!({"key": ["ip"], "rate": "3/h"});
        config["limits"]["by-client"] = json!({"key": ["client_id"], "rate": "1/h"});
        let limits = json!(["by-ip", "by-client"]);
        let route = json!({"path": "/cors", "methods": ["PUT"], "preflight": true, "limits": limits});
        config["resources"][0]["routes"].as_array_mut().unwrap().push(route);
    };
    let bed = Testbed::start(with(counting)).await;
    let client = bed.anonymous();
    let preflight = || {
        let request = client.request("OPTIONS", "/cors").header("origin", "https://app.example");
        request.header("access-control-request-method", "PUT").send()
    };
    for _ in 0..3 {
        assert_eq!(preflight().await.status, 200);
    }
    let answer = preflight().await;
    assert_eq!((answer.status, bed.envoy.details(&answer).await.as_str()), (429, "boundgate:over-limit"));
    assert_eq!(answer.problem()["violated-policies"], json!(["by-ip"]));
    assert_eq!(bed.upstream.count(), 3);
}

#[tokio::test]
async fn a_scan_of_paths_methods_and_hosts_is_counted_and_limited() {
    let counting = |config: &mut serde_json::Value| {
        config["limits"]["scan"] = json!({"key": ["source"], "rate": "6/h", "on": [404, 405, 421]});
        config["resources"][0]["routes"][1]["limits"] = json!(["scan"]);
    };
    let bed = Testbed::start(with(counting)).await;
    let client = bed.anonymous();
    let asked = async |case: usize| {
        let answer = match case % 3 {
            0 => client.get(format!("/nowhere-{case}")).send().await,
            1 => client.request("DELETE", "/orders/7").send().await,
            _ => client.get("/orders/7").authority("unknown.example").send().await,
        };
        (answer.status, bed.envoy.details(&answer).await)
    };
    for case in 0..6 {
        let (status, details) = [(404, "route-unknown"), (405, "method-not-allowed"), (421, "host-unknown")][case % 3];
        assert_eq!(asked(case).await, (status, format!("boundgate:{details}")), "{case}");
    }
    for case in 6..12 {
        assert_eq!(asked(case).await, (429, String::from("boundgate:over-limit")), "{case}");
    }
    assert_eq!(bed.upstream.count(), 0);
}

#[tokio::test]
async fn refusals_by_limits_are_no_answers_that_count() {
    let counting = |config: &mut serde_json::Value| {
        config["limits"]["rate"] = json!({"key": ["ip"], "rate": "1/h"});
        config["limits"]["too-many"] = json!({"key": ["ip"], "rate": "2/h", "on": [429]});
        config["resources"][0]["routes"][0]["limits"] = json!(["rate", "too-many"]);
        let other = json!({"path": "/other", "access": "public", "limits": ["too-many"]});
        config["resources"][0]["routes"].as_array_mut().unwrap().push(other);
    };
    let bed = Testbed::start(with(counting)).await;
    let client = bed.anonymous().kept();
    assert_eq!(client.get("/healthz").send().await.status, 200);
    for _ in 0..30 {
        let answer = client.get("/healthz").send().await;
        assert_eq!((answer.status, &answer.problem()["violated-policies"]), (429, &json!(["rate"])));
    }
    assert_eq!(bed.upstream.count(), 1);
    // Those of the upstream do count.
    for status in [429, 429] {
        let answer = client.get("/other").header("x-upstream-status", status.to_string()).send().await;
        assert_eq!((answer.status, answer.problem()), (status, serde_json::Value::Null));
    }
    let answer = client.get("/other").send().await;
    assert_eq!((answer.status, &answer.problem()["violated-policies"]), (429, &json!(["too-many"])));
    assert_eq!(bed.upstream.count(), 3);
}
