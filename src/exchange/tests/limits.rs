//! Limits: whose budget, how large, and what counts.

use super::*;
use crate::limit::Change;
use crate::policy::Event;

/// What is told with a response without fields of its own.
fn told(forward: &Forward) -> Vec<Change> {
    forward.permits().fields(TOLD, at(0.0).wall, |_| None)
}

#[test]
fn a_greedy_client_is_slowed_down_and_honouring_retry_after_succeeds() {
    let mut scene = Scene::new(&config());
    let limited = get("/limited").peer(ALICE).token(&token());
    forwarded(scene.run(&limited));
    let told = told(&forwarded(scene.run(&limited)));
    let spent = |change: &Change| matches!(change, Change::Add("ratelimit", value) if value.starts_with("\"per-client\";r=0;t="));
    assert!(told.iter().any(spent), "{told:?}");
    let refusal = refused(scene.run(&limited));
    assert_eq!((refusal.reason, header(&refusal, "retry-after").unwrap().as_str()), (Reason::OverLimit, "1"));
    assert!(refusal.answer(false, TOLD, at(0.0).wall).body.contains("\"violated-policies\":[\"per-client\"]"));
    scene.seconds = 1.0;
    forwarded(scene.run(&limited));
}

/// The request ended.
fn end(scene: &mut Scene, mut forward: Forward) {
    ended(forward.permits_mut(), &scene.worker, &scene.host, at(scene.seconds));
}

fn limit(change: Value) -> Scene {
    let mut config = config();
    for (key, value) in change.as_object().unwrap() {
        config["limits"]["per-client"][key] = value.clone();
    }
    Scene::new(&config)
}

/// How many requests with this token pass at once.
fn burst(scene: &mut Scene, token: &Token) -> usize {
    let request = get("/limited").peer(ALICE).token(token);
    (0..50).take_while(|_| matches!(scene.run(&request), Verdict::Forward(_))).count()
}

#[test]
fn a_partner_has_a_rate_of_its_own() {
    let mut scene = limit(json!({"overrides": [
        {"client_id": "alice", "claims": {"plan": "gold"}, "rate": "7/s"},
        {"peer": "spiffe://example.org/client/*", "rate": "3/s"}
    ]}));
    let named = |jti: &str| token().claim("jti", json!(jti));
    assert_eq!(burst(&mut scene, &named("a").claim("client_id", json!("x")).claim("plan", json!("gold"))), 3);
    assert_eq!(burst(&mut scene, &named("b").claim("plan", json!("gold"))), 7);
}

#[test]
fn a_batch_may_run_at_night_and_neither_quota_pays_for_the_other() {
    let mut scene = limit(json!({"rate": "2/h", "overrides": [{"utc": "00:00-00:02", "rate": "9/min"}]}));
    scene.seconds = 119.0;
    assert_eq!(burst(&mut scene, &token()), 9);
    scene.seconds = 120.0;
    assert_eq!(burst(&mut scene, &token()), 2, "the day's quota was not spent at night");
    scene.seconds = 121.0;
    assert_eq!(burst(&mut scene, &token()), 0);
}

#[test]
fn a_shadow_limit_counts_and_reports_and_never_refuses() {
    let mut scene = limit(json!({"shadow": true}));
    assert_eq!(burst(&mut scene, &token()), 50);
    let mut exchange = scene.exchange(&get("/limited").peer(ALICE).token(&token()));
    let Step::Done(verdict) = scene.poll(&mut exchange, Some(ALICE)) else { panic!() };
    assert!(
        crate::observe::audit_record(exchange.seen(), (&verdict).into()).contains(r#""shadow_limits":["per-client"]"#)
    );
    assert!(told(&forwarded(verdict)).is_empty(), "callers are not told");
}

#[test]
fn keys_may_hold_the_route_and_a_header() {
    let mut scene = limit(json!({"key": ["client_id", "route", "header.x-tenant"]}));
    let request = |tenant: &str| get("/limited").peer(ALICE).token(&token()).header("x-tenant", tenant);
    for tenant in ["a", "b", "a,b"] {
        forwarded(scene.run(&request(tenant)));
        forwarded(scene.run(&request(tenant)));
        refused(scene.run(&request(tenant)));
    }
    refused(scene.run(&request("a").header("x-tenant", "b")));
}

/// Counts what the source or the client gets as `status`.
fn counting(status: u16, key: &str) -> Scene {
    limit(json!({"key": [key], "on": [status], "rate": "1/min", "burst": 2}))
}

#[test]
fn a_limit_on_responses_counts_those_and_refuses_once_it_is_spent() {
    let mut scene = counting(404, "client_id");
    let request = get("/limited").peer(ALICE).token(&token());
    for status in [200, 404, 500, 200, 404] {
        answered(&mut scene, &request, status);
    }
    assert_eq!(refused(scene.run(&request)).reason, Reason::OverLimit);
    forwarded(scene.run(&get("/orders/7").peer(ALICE).token(&token())));
    scene.seconds = 60.0;
    forwarded(scene.run(&request));
}

/// Watches what the limit counts.
fn watching(change: Value) -> Scene {
    let mut scene = json!({"on": [401, 404], "rate": "2/h", "event": "enumeration"});
    scene.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    limit(scene)
}

/// The events of a response of the upstream.
fn answered(scene: &mut Scene, request: &Request, status: u16) -> Vec<Event> {
    let mut forward = forwarded(scene.run(request));
    let events = responded(forward.permits_mut(), Some(status), &mut scene.worker, &scene.host, at(scene.seconds));
    end(scene, forward);
    events
}

#[test]
fn a_caller_who_tries_out_what_exists_raises_an_event_and_still_passes() {
    let mut scene = watching(json!({"key": ["client_id"]}));
    let request = get("/limited").peer(ALICE).token(&token());
    for status in [404, 200, 404] {
        assert!(answered(&mut scene, &request, status).is_empty());
    }
    assert_eq!(answered(&mut scene, &request, 404), [Event::Enumeration]);
    let other = get("/limited").peer(ALICE).token(&token().claim("client_id", json!("other")));
    assert!(answered(&mut scene, &other, 404).is_empty());
    scene.seconds = 1800.0;
    let fresh = token()
        .claim("iat", json!(at(1800.0).wall.as_millis() / 1000))
        .claim("exp", json!(at(1900.0).wall.as_millis() / 1000));
    let request = get("/limited").peer(ALICE).token(&fresh);
    assert!(answered(&mut scene, &request, 404).is_empty(), "quiet again");
}

#[test]
fn many_sources_that_fail_with_the_tokens_of_one_client_raise_an_event_and_one_source_does_not() {
    let mut scene = watching(json!({"key": ["client_id"], "distinct": "peer", "event": "credential-stuffing"}));
    scene.validates = false;
    let mut steal = |thief: u8| {
        let mut exchange = scene.exchange(&get("/limited").token(&token()));
        let Step::Done(verdict) = scene.poll(&mut exchange, Some([thief; 32])) else { panic!() };
        assert_eq!(refused(verdict).reason, Reason::BindingMismatch);
        exchange.take_seen().events
    };
    for thief in [1, 1, 1, 1, 2, 2, 1] {
        assert!(steal(thief).is_empty());
    }
    assert_eq!(steal(3), [Event::CredentialStuffing]);
    assert!(steal(3).is_empty(), "that source was counted");
    forwarded(scene.run(&get("/limited").peer(ALICE).token(&token())));
}

#[test]
fn a_refusal_that_raises_an_event_says_so_in_its_record() {
    let mut scene = watching(json!({"key": ["client_id"], "event": "brute-force"}));
    let mut records = (0..3).map(|_| {
        let mut exchange = scene.exchange(&get("/limited").token(&token()));
        let Step::Done(verdict) = scene.poll(&mut exchange, Some(BOB)) else { panic!() };
        crate::observe::audit_record(exchange.seen(), (&verdict).into())
    });
    assert!(records.by_ref().take(2).all(|record| !record.contains("events")));
    assert!(records.next().unwrap().contains(r#""events":["brute-force"]"#));
}

#[test]
fn requests_at_once_are_limited_until_one_of_them_ends() {
    let mut config = config();
    config["limits"]["per-client"] = json!({"key": ["client_id"], "in_flight": 2, "heal": "2m"});
    let mut scene = Scene::new(&config);
    let request = get("/limited").peer(ALICE).token(&token());
    let mut first = forwarded(scene.run(&request));
    let _second = forwarded(scene.run(&request));
    let refusal = refused(scene.run(&request));
    assert_eq!((refusal.reason, header(&refusal, "retry-after").unwrap().as_str()), (Reason::OverLimit, "1"));
    assert!(told(&first).is_empty(), "no quota to pace oneself by");
    for _ in 0..10 {
        end(&mut scene, first);
        first = forwarded(scene.run(&request));
        refused(scene.run(&request));
    }
    scene.seconds = 3600.0;
    refused(scene.run(&request));
}

#[test]
fn a_source_that_fails_too_often_is_locked_out_and_known_tokens_still_pass() {
    let mut scene = counting(401, "peer");
    let known = get("/limited").peer(ALICE).token(&token());
    forwarded(scene.run(&known));
    let forged = |number: u8| get("/limited").peer(ALICE).token(&token().claim("jti", json!(number)).signed_by(2));
    assert_eq!(refused(scene.run(&forged(1))).reason, Reason::SignatureInvalid);
    assert_eq!(refused(scene.run(&forged(2))).reason, Reason::SignatureInvalid);
    let refusal = refused(scene.run(&forged(3)));
    assert_eq!(refusal.reason, Reason::SourceLockedOut);
    assert!(refusal.answer(false, TOLD, at(0.0).wall).body.contains("#abnormal-usage-detected"));
    let fresh = get("/limited").peer(ALICE).token(&token().claim("jti", json!("fresh")));
    assert_eq!(refused(scene.run(&fresh)).reason, Reason::SourceLockedOut, "nothing new is verified");
    forwarded(scene.run(&known));
    scene.seconds = 60.0;
    forwarded(scene.run(&fresh));
}

#[test]
fn a_source_pays_for_each_token_that_is_new_and_for_none_that_is_known() {
    let mut scene = limit(json!({"key": ["source"], "on": ["verification"], "rate": "1/min", "burst": 2}));
    let fresh = |number: u8| get("/limited").peer(ALICE).token(&token().claim("jti", json!(number.to_string())));
    for _ in 0..5 {
        forwarded(scene.run(&fresh(1)));
    }
    let forged = get("/limited").peer(ALICE).token(&token().signed_by(2));
    assert_eq!(refused(scene.run(&forged)).reason, Reason::SignatureInvalid);
    for request in [&fresh(2), &forged] {
        assert_eq!(refused(scene.run(request)).reason, Reason::SourceLockedOut);
    }
    forwarded(scene.run(&fresh(1)));
    scene.seconds = 60.0;
    forwarded(scene.run(&fresh(2)));
    assert_eq!(refused(scene.run(&fresh(3))).reason, Reason::SourceLockedOut);
}

#[test]
fn a_source_is_no_other_for_a_certificate_that_nobody_validated() {
    let mut scene = limit(json!({"key": ["source"], "on": ["verification"], "rate": "1/min", "burst": 1}));
    let fresh = |certificate, jti: &str| {
        get("/limited").peer(certificate).token(&token().claim("jti", json!(jti)).bound_to(certificate))
    };
    scene.validates = false;
    forwarded(scene.run(&fresh(ALICE, "a")));
    assert_eq!(refused(scene.run(&fresh(BOB, "b"))).reason, Reason::SourceLockedOut);
    scene.validates = true;
    forwarded(scene.run(&fresh(BOB, "b")));
}

#[test]
fn a_refused_request_is_not_counted() {
    let mut scene = Scene::new(&config());
    for _ in 0..5 {
        refused(scene.run(&get("/limited").peer(BOB).token(&token())));
    }
    forwarded(scene.run(&get("/limited").peer(ALICE).token(&token())));
    forwarded(scene.run(&get("/limited").peer(ALICE).token(&token())));
}
