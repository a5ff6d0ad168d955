//! What operators see: details, counters, the audit record; and what nobody may see.

use boundgate_testbed::Testbed;
use serde_json::{Value, json};

use crate::expectations::{alices_token, bed, config, record_in, refused, with};

#[tokio::test]
async fn every_request_leaves_an_audit_record_with_verified_identities() {
    let bed = bed().await;
    let alice = bed.client("alice");
    let token = alices_token(&bed).await;
    let answer = alice.get("/orders/7").token(&token).send().await;
    let record = record_in(&bed.envoy.access_log_of(&answer).await);
    assert_eq!(record["decision"], "forwarded");
    assert_eq!((&record["client_id"], &record["iss"]), (&"alice".into(), &"https://as.example.com".into()));
    assert_eq!(record["x5t#S256"], Value::from(alice.identity().unwrap().thumbprint()));

    let answer = bed.client("bob").get("/orders/7").token(&token).send().await;
    let record = record_in(&bed.envoy.access_log_of(&answer).await);
    assert_eq!((&record["decision"], &record["reason"]), (&"refused".into(), &"binding-mismatch".into()));
    assert_eq!(record["client_id"], "alice", "whose token it is");
    assert_eq!(record["x5t#S256"], Value::from(bed.pki.client("bob").thumbprint()), "who presented it");

    let forged = bed.authority.claims().client("victim").header("kid", "other").sign();
    let answer = alice.get("/orders/7").token(&forged).send().await;
    let record = record_in(&bed.envoy.access_log_of(&answer).await);
    assert_eq!(record.get("client_id"), None, "what was not verified is not recorded as an identity");
}

#[tokio::test]
async fn a_refused_token_is_explained_to_the_operator_alone_and_the_complaint_can_be_found() {
    let bed = bed().await;
    let alice = bed.client("alice");
    let claims = || bed.authority.claims().scope("read:orders").bound_to(alice.identity().unwrap());
    let mut told = std::collections::HashSet::new();
    for (token, reason, place, value) in [
        (
            claims().set("iss", "https://as.example.com/"),
            "issuer-untrusted",
            "/unverified/iss",
            json!("https://as.example.com/"),
        ),
        (claims().header("kid", "other"), "key-unknown", "/unverified/kid", json!("other")),
        (claims().header("typ", "JWT"), "typ-unacceptable", "/unverified/typ", json!("JWT")),
        (claims().set("scope", json!(["read:orders"])), "claims-malformed", "/claim", json!("scope")),
        (claims().set("jti", json!(null)), "claims-malformed", "/because", json!("missing")),
        (
            claims().set("aud", "https://other.example"),
            "audience-mismatch",
            "/token/aud",
            json!(["https://other.example"]),
        ),
        (claims().set("exp", 4_000_000_000_i64), "lifetime-too-long", "/token/alg", json!("ES256")),
    ] {
        let answer = alice.get("/orders/7").token(&token.sign()).send().await;
        refused(&bed, &answer, 401, reason).await;
        let record = record_in(&bed.envoy.access_log_of(&answer).await);
        assert_eq!(record.pointer(place), Some(&value), "{record}");
        let mut problem = answer.problem();
        let id = problem.as_object_mut().unwrap().remove("request_id").expect("Envoy numbers requests");
        assert_eq!((id.as_str().unwrap().len(), &record["request_id"]), (36, &id));
        told.insert(format!("{problem} {:?}", answer.challenges()));
    }
    assert_eq!(told.len(), 1, "callers learn nothing of it: {told:?}");
    let read = claims().scope("other").sign();
    let answer = alice.get("/orders/7").token(&read).send().await;
    refused(&bed, &answer, 403, "scope-missing").await;
    assert_eq!(record_in(&bed.envoy.access_log_of(&answer).await)["missing_scopes"], json!(["read:orders"]));
}

#[tokio::test]
async fn callers_by_grpc_learn_the_request_id_from_a_header_if_envoy_is_told_to_send_it() {
    let told = |envoy: &mut Value| {
        let manager = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        manager["always_set_request_id_in_response"] = json!(true);
    };
    let bed = Testbed::start(with(|_| {}).edit(told)).await;
    let alice = bed.client("alice").http2();
    let answer = alice.post("/orders.Orders/Get").header("content-type", "application/grpc").send().await;
    assert_eq!(answer.header("grpc-status").as_deref(), Some("16"));
    let record = record_in(&bed.envoy.access_log_of(&answer).await);
    assert_eq!(record["request_id"], answer.header("x-request-id").unwrap());
    assert_eq!(bed.upstream.count(), 0);
}

#[tokio::test]
async fn the_version_stands_in_the_log_in_a_gauge_and_in_every_record() {
    let bed = bed().await;
    let version = env!("CARGO_PKG_VERSION");
    let log = bed.envoy.log();
    assert!(log.contains(&format!("boundgate {version}")), "{log}");
    let parts = version.split('.').map(|part| part.parse::<u64>().unwrap());
    bed.envoy
        .stat_becomes("wasmcustom.boundgate.version", parts.fold(0, |sum, part| sum * 1_000 + part))
        .await
        .unwrap();
    let answer = bed.anonymous().get("/healthz").send().await;
    assert_eq!(record_in(&bed.envoy.access_log_of(&answer).await)["version"], version);
}

#[tokio::test]
async fn a_route_for_peers_records_who_the_certificate_names() {
    let bed = bed().await;
    let answer = bed.client("alice").get("/mesh").send().await;
    let record = record_in(&bed.envoy.access_log_of(&answer).await);
    assert_eq!(record["peer"], "spiffe://example.org/client/alice");
    assert_eq!(record["subject"], "CN=alice");
    assert_eq!(record["serial"].as_str().unwrap().len(), 32);
}

#[tokio::test]
async fn each_decision_is_counted_under_its_reason() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    bed.client("alice").get("/orders/7").token(&token).send().await;
    bed.client("alice").get("/orders/7").token(&token).send().await;
    bed.client("bob").get("/orders/7").token(&token).send().await;
    let decision = |name: &str| format!("wasmcustom.boundgate.requests.decision.{name}");
    bed.envoy.stat_reaches(&decision("forwarded.reason.none"), 2).await.unwrap();
    bed.envoy.stat_reaches(&decision("refused.reason.binding-mismatch"), 1).await.unwrap();
    bed.envoy.stat_reaches("wasmcustom.boundgate.token_cache_hit", 2).await.unwrap();
    let prometheus = bed.envoy.admin("/stats/prometheus").await.unwrap();
    let line = r#"boundgate_requests{decision="refused",reason="binding-mismatch"} 1"#;
    assert!(
        prometheus.contains(line),
        "{}",
        prometheus.lines().filter(|line| line.contains("boundgate")).collect::<Vec<_>>().join("\n")
    );
}

#[tokio::test]
async fn hostile_identities_are_bounded_and_escaped_in_the_record() {
    let bed = bed().await;
    let alice = bed.client("alice");
    let sub = format!("\"}}\n{}", "x".repeat(5_000));
    let claims =
        bed.authority.claims().scope("read:orders").bound_to(alice.identity().unwrap()).set("sub", sub.as_str());
    let answer = alice.get("/orders/7").token(&claims.sign()).send().await;
    assert_eq!(answer.status, 200);
    let record = record_in(&bed.envoy.access_log_of(&answer).await);
    let recorded = record["sub"].as_str().unwrap();
    assert!(sub.starts_with(recorded.trim_end_matches('…')) && recorded.chars().count() == 129, "{recorded}");
}

#[tokio::test]
async fn hostile_identities_are_bounded_and_escaped_in_filter_state() {
    let state = |config: &mut Value| {
        config["resources"][0]["forward"] = json!({"filter_state": {"subject": "sub"}});
    };
    let log = |envoy: &mut Value| {
        let manager = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        let format = &mut manager["access_log"][0]["typed_config"]["log_format"]["json_format"];
        format["subject"] = json!("%FILTER_STATE(wasm.subject:PLAIN)%");
    };
    let bed = Testbed::start(with(state).edit(log)).await;
    let alice = bed.client("alice");
    for (sub, expected) in [
        ("alice".to_owned(), "alice".to_owned()),
        ("a\n{\"decision\": \"forwarded\"}".to_owned(), r#"a\u{a}{\"decision\": \"forwarded\"}"#.to_owned()),
        ("x".repeat(8_000), "x".repeat(256) + "…"),
    ] {
        let claims = bed.authority.claims().scope("read:orders").bound_to(alice.identity().unwrap());
        let answer = alice.get("/orders/7").token(&claims.set("sub", sub.as_str()).sign()).send().await;
        assert_eq!(answer.status, 200);
        assert_eq!(bed.envoy.access_log_of(&answer).await["subject"], expected);
    }
}

#[tokio::test]
async fn the_record_shows_the_path_as_it_was_judged() {
    let rewrite = |envoy: &mut Value| {
        let manager = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        let route = &mut manager["route_config"]["virtual_hosts"][0]["routes"][0];
        route["match"] = json!({"prefix": "/orders/"});
        route["route"]["prefix_rewrite"] = json!("/elsewhere/");
    };
    let bed = Testbed::start(with(|_| {}).edit(rewrite)).await;
    let token = alices_token(&bed).await;
    let alice = bed.client("alice");
    let answer = alice.get("/orders/7?secret=1").token(&token).send().await;
    assert_eq!(bed.upstream.received()[0].path, "/elsewhere/7?secret=1");
    let line = bed.envoy.access_log_of(&answer).await;
    assert_eq!(record_in(&line)["path"], "/orders/7");
    let long = format!("/orders/{}", "x".repeat(5_000));
    let answer = alice.get(long.as_str()).send().await;
    let record = record_in(&bed.envoy.access_log_of(&answer).await);
    assert_eq!(record["path"].as_str().unwrap().chars().count(), 513, "cut");
}

#[tokio::test]
async fn no_token_key_or_certificate_is_ever_logged() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    let alice = bed.client("alice");
    for client in [&alice, &bed.client("bob"), &bed.anonymous()] {
        client.get("/orders/7").token(&token).send().await;
    }
    let last = alice.get("/orders/7").token(&format!("{token}x")).send().await;
    bed.envoy.access_log_of(&last).await;
    let written = format!("{} {:?}", bed.envoy.log(), bed.envoy.access_log());
    for part in token.split('.') {
        assert!(!written.contains(part), "a part of the token was logged");
    }
    assert!(!written.contains("BEGIN CERTIFICATE"));
}

#[tokio::test]
async fn each_limit_has_a_counter_of_what_it_refused_also_one_that_an_update_brings() {
    let bed = bed().await;
    let (alice, token) = (bed.client("alice").kept(), alices_token(&bed).await);
    while alice.get("/greedy").token(&token).send().await.status == 200 {}
    bed.envoy.stat_reaches("wasmcustom.boundgate.limit.per-client.refused", 1).await.unwrap();
    assert_eq!(bed.envoy.stat("wasmcustom.boundgate.limit.everyone.refused").await, 0);
    let mut changed = config();
    changed["limits"]["new"] = json!({"key": ["client_id"], "rate": "1/h"});
    changed["resources"][0]["routes"][4]["limits"] = json!(["new", "everyone"]);
    bed.envoy.config_update(changed).await.unwrap();
    // On a new connection: the old one belongs to a listener that drains.
    while bed.client("alice").get("/greedy").token(&token).send().await.status == 200 {}
    bed.envoy.stat_reaches("wasmcustom.boundgate.limit.new.refused", 1).await.unwrap();
}
