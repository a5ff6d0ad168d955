//! Limits: whose budget, how large, and what counts.

use super::*;
use crate::limit::Change;
use crate::policy::Event;

/// What is told with a response without fields of its own.
fn told(forward: &Forward) -> Vec<Change> {
    forward.permits().fields(TOLD, at(0.0).wall, |_| None)
}

fn problem(refusal: &Refusal) -> String {
    String::from_utf8(refusal.answer(AnswerForm::Problem, TOLD, at(0.0).wall).body).unwrap()
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
    assert!(problem(&refusal).contains("\"violated-policies\":[\"per-client\"]"));
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
        crate::observe::audit_record(exchange.facts(), (&verdict).into()).contains(r#""shadow_limits":["per-client"]"#)
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
        exchange.take_facts().events
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
        crate::observe::audit_record(exchange.facts(), (&verdict).into())
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
    assert!(problem(&refusal).contains("#abnormal-usage-detected"));
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

/// Another worker of the proxy.
fn other_worker(scene: &mut Scene) -> Worker {
    std::mem::replace(&mut scene.worker, Worker::new(FilterId::new(b"filter"), &scene.policy, &scene.host))
}

#[test]
fn a_token_that_one_worker_verified_passes_the_lockout_of_its_source_at_every_other() {
    for on in [json!([401]), json!(["verification"])] {
        let mut scene = limit(json!({"key": ["peer"], "on": on, "rate": "1/h", "burst": 2}));
        let known = get("/limited").peer(ALICE).token(&token());
        forwarded(scene.run(&known));
        let _first = other_worker(&mut scene);
        let forged = |number: u8| get("/limited").peer(ALICE).token(&token().claim("jti", json!(number)).signed_by(2));
        let locked_out =
            (0..9).position(|number| refused(scene.run(&forged(number))).reason == Reason::SourceLockedOut);
        assert!(locked_out.is_some_and(|after| after <= 2));
        forwarded(scene.run(&known));
        let fresh = get("/limited").peer(ALICE).token(&token().claim("jti", json!("fresh")));
        assert_eq!(refused(scene.run(&fresh)).reason, Reason::SourceLockedOut);
    }
}

#[test]
fn a_limit_on_other_answers_than_401_limits_known_tokens_too() {
    let mut scene = limit(json!({"key": ["ip"], "on": [404], "rate": "1/h", "burst": 2}));
    let request = get("/limited").peer(ALICE).token(&token());
    for _ in 0..2 {
        answered(&mut scene, &request, 404);
    }
    assert_eq!(refused(scene.run(&request)).reason, Reason::OverLimit);
}

#[test]
fn nothing_is_verified_for_a_source_that_a_limit_on_answers_refuses_anyway() {
    let mut scene = limit(json!({"key": ["ip"], "on": [401, 403], "rate": "1/h", "burst": 2}));
    let forged = get("/limited").peer(ALICE).token(&token().signed_by(2));
    let reasons = [0; 3].map(|_| refused(scene.run(&forged)).reason);
    assert_eq!(reasons, [Reason::SignatureInvalid, Reason::SignatureInvalid, Reason::SourceLockedOut]);
}

#[test]
fn refusals_of_ours_end_in_429_once_they_are_too_many() {
    let mut scene = limit(json!({"key": ["ip"], "on": [401, 403], "rate": "1/h", "burst": 3}));
    let bare = get("/limited");
    let scope = get("/limited").peer(ALICE).token(&token().claim("scope", json!("other")));
    let reasons = [&bare, &scope, &bare, &scope, &bare].map(|request| refused(scene.run(request)).reason);
    let (missing, scope, out) = (Reason::TokenMissing, Reason::ScopeMissing, Reason::SourceLockedOut);
    assert_eq!(reasons, [missing, scope, missing, out, out]);
}

#[test]
fn a_limit_on_401_and_other_answers_locks_its_source_out_and_spares_no_token() {
    let mut scene = limit(json!({"key": ["peer"], "on": [401, 403], "rate": "1/h", "burst": 2}));
    let known = get("/limited").peer(ALICE).token(&token());
    forwarded(scene.run(&known));
    let forged = |number: u8| get("/limited").peer(ALICE).token(&token().claim("jti", json!(number)).signed_by(2));
    assert_eq!(refused(scene.run(&forged(1))).reason, Reason::SignatureInvalid);
    assert_eq!(refused(scene.run(&forged(2))).reason, Reason::SignatureInvalid);
    assert_eq!(refused(scene.run(&forged(3))).reason, Reason::SourceLockedOut);
    assert_eq!(refused(scene.run(&known)).reason, Reason::OverLimit);
}

#[test]
fn a_limit_on_401_spares_known_tokens() {
    let mut scene = limit(json!({"key": ["ip"], "on": [401], "rate": "1/h", "burst": 2}));
    for _ in 0..9 {
        answered(&mut scene, &get("/limited").peer(ALICE).token(&token()), 401);
    }
}

#[test]
fn whoever_hangs_up_before_the_answer_pays_for_it() {
    let mut scene = limit(json!({"key": ["ip"], "on": [404], "rate": "1/h", "burst": 3}));
    let request = get("/limited").peer(ALICE).token(&token());
    for _ in 0..3 {
        let forward = forwarded(scene.run(&request));
        end(&mut scene, forward);
    }
    assert_eq!(refused(scene.run(&request)).reason, Reason::OverLimit);
}

#[test]
fn an_answer_that_is_not_the_upstreams_costs_nothing() {
    let mut scene = limit(json!({"key": ["ip"], "on": [404, 503], "rate": "1/h", "burst": 1}));
    let request = get("/limited").peer(ALICE).token(&token());
    for _ in 0..9 {
        let mut forward = forwarded(scene.run(&request));
        responded(forward.permits_mut(), None, &mut scene.worker, &scene.host, at(scene.seconds));
        end(&mut scene, forward);
    }
}

#[test]
fn no_more_requests_wait_for_their_outcome_than_may_be_undecided() {
    let mut scene = limit(json!({"key": ["client_id"], "on": [404], "rate": "10/h", "burst": 10, "undecided": 5}));
    let request = get("/limited").peer(ALICE).token(&token());
    let under_way: Vec<_> = (0..5).map(|_| forwarded(scene.run(&request))).collect();
    let refusal = refused(scene.run(&request));
    assert_eq!((refusal.reason, header(&refusal, "retry-after").unwrap().as_str()), (Reason::OverLimit, "1"));
    assert_eq!(header(&refusal, "ratelimit-policy").unwrap(), r#""per-client";q=5;qu="concurrent-requests""#);
    for forward in under_way {
        end(&mut scene, forward);
    }
    let _again = forwarded(scene.run(&request));
}

#[test]
fn refusals_by_limits_are_no_outcomes_that_count() {
    let mut config = config();
    config["limits"] = json!({
        "rate": {"key": ["ip"], "rate": "1/h"},
        "too-many": {"key": ["ip"], "on": [429], "rate": "2/h"}
    });
    config["resources"][0]["routes"][3]["limits"] = json!(["rate", "too-many"]);
    let mut scene = Scene::new(&config);
    let request = get("/limited").peer(ALICE).token(&token());
    answered(&mut scene, &request, 200);
    for _ in 0..9 {
        assert_eq!(refused(scene.run(&request)).violated_limits().collect::<Vec<_>>(), ["rate"]);
    }
}

#[test]
fn a_scan_of_paths_methods_and_hosts_is_counted_and_limited() {
    let mut scene = limit(json!({"key": ["ip"], "on": [404, 405, 421], "rate": "3/h", "burst": 3}));
    let host = |host: &'static str| get("/limited").host(host);
    assert_eq!(refused(scene.run(&get("/nowhere"))).reason, Reason::RouteUnknown);
    assert_eq!(refused(scene.run(&request("DELETE", "/orders/7"))).reason, Reason::MethodNotAllowed);
    assert_eq!(refused(scene.run(&host("unknown.example"))).reason, Reason::HostUnknown);
    for scanning in [get("/elsewhere"), request("DELETE", "/orders/7"), host("unknown.example")] {
        let refusal = refused(scene.run(&scanning));
        assert_eq!((refusal.reason, refusal.violated_limits().collect()), (Reason::OverLimit, vec!["per-client"]));
    }
    assert_eq!(refused(scene.run(&get("/limited").peer(ALICE).token(&token()))).reason, Reason::OverLimit);
    forwarded(scene.run(&get("/orders/7").peer(ALICE).token(&token())));
    scene.seconds = 1200.0;
    assert_eq!(refused(scene.run(&get("/nowhere"))).reason, Reason::RouteUnknown);
}

#[test]
fn a_peer_with_a_quota_of_its_own_scans_at_its_own_cost() {
    let other = json!([{"peer": "spiffe://example.org/client/alice", "rate": "1/h"}]);
    let mut scene = limit(json!({"key": ["ip"], "on": [404], "rate": "2/h", "burst": 2, "overrides": other}));
    let reason = |scene: &mut Scene, request: &Request| refused(scene.run(request)).reason;
    assert_eq!(reason(&mut scene, &get("/nowhere").peer(ALICE)), Reason::RouteUnknown);
    assert_eq!(reason(&mut scene, &get("/nowhere").peer(ALICE)), Reason::OverLimit);
    for expected in [Reason::RouteUnknown, Reason::RouteUnknown, Reason::OverLimit] {
        assert_eq!(reason(&mut scene, &get("/nowhere")), expected);
    }
}

#[test]
fn preflights_are_counted_by_what_needs_no_token() {
    let mut config = config();
    config["limits"] = json!({
        "by-ip": {"key": ["ip"], "rate": "3/h"},
        "per-client": {"key": ["client_id"], "rate": "1/h"}
    });
    config["resources"][0]["routes"][5]["limits"] = json!(["by-ip", "per-client"]);
    config["resources"][0]["routes"][3]["limits"] = json!(["per-client"]);
    let mut scene = Scene::new(&config);
    let preflight = request("OPTIONS", "/cors")
        .header("origin", "https://app.example")
        .header("access-control-request-method", "PUT");
    for _ in 0..3 {
        forwarded(scene.run(&preflight));
    }
    assert_eq!(refused(scene.run(&preflight)).violated_limits().collect::<Vec<_>>(), ["by-ip"]);
}

#[test]
fn shadow_limits_are_reported_each_by_itself() {
    let mut config = config();
    config["limits"] = json!({
        "one": {"key": ["client_id"], "rate": "1/h", "shadow": true},
        "three": {"key": ["client_id"], "rate": "3/h", "shadow": true}
    });
    config["resources"][0]["routes"][3]["limits"] = json!(["one", "three"]);
    let mut scene = Scene::new(&config);
    let request = get("/limited").peer(ALICE).token(&token());
    let shadowed: Vec<Vec<String>> = (0..5)
        .map(|_| {
            let mut exchange = scene.exchange(&request);
            assert!(matches!(scene.poll(&mut exchange, Some(ALICE)), Step::Done(Verdict::Forward(_))));
            exchange.facts().shadowed.iter().map(|limit| limit.origin.name.to_string()).collect()
        })
        .collect();
    assert_eq!(shadowed, [&[][..], &["one"], &["one"], &["one", "three"], &["one", "three"]]);
}

#[test]
fn a_caller_is_told_the_longest_wait_of_all_its_limits() {
    let mut config = config();
    config["limits"] = json!({
        "by-second": {"key": ["client_id"], "rate": "1/s", "burst": 1},
        "failures": {"key": ["client_id"], "on": [404], "rate": "20/min", "burst": 1}
    });
    config["resources"][0]["routes"][3]["limits"] = json!(["by-second", "failures"]);
    let mut scene = Scene::new(&config);
    let request = get("/limited").peer(ALICE).token(&token());
    answered(&mut scene, &request, 404);
    assert_eq!(header(&refused(scene.run(&request)), "retry-after").unwrap(), "3");
    scene.seconds = 3.0;
    forwarded(scene.run(&request));
}

#[test]
fn claims_of_every_type_have_budgets_of_their_own() {
    let mut scene = limit(json!({"key": ["claim.tenant"], "rate": "1/h", "burst": 1}));
    let values = [json!("7"), json!(7), json!(true), json!(7.5), json!(["a"]), json!({"id": 7}), json!(u64::MAX)];
    for (number, value) in values.iter().enumerate() {
        let token = token().claim("tenant", value.clone()).claim("jti", json!(number.to_string()));
        assert_eq!(burst(&mut scene, &token), 1, "{value}");
    }
    assert_eq!(burst(&mut scene, &token().claim("jti", json!("without"))), 1);
    assert_eq!(burst(&mut scene, &token().claim("tenant", Value::Null).claim("jti", json!("null"))), 0);
}

/// Goes over to `config`; the old policy lives on while its listener drains.
fn update(scene: &mut Scene, config: &Value) -> Rc<Policy> {
    let old = std::mem::replace(&mut scene.policy, policy(config));
    scene.worker.adopt(&scene.policy);
    old
}

#[test]
fn a_route_that_moves_in_the_configuration_keeps_its_budgets() {
    let mut config = config();
    config["limits"]["per-client"] = json!({"key": ["route", "client_id"], "rate": "2/h"});
    let mut scene = Scene::new(&config);
    assert_eq!(burst(&mut scene, &token()), 2);
    let mut changed = config.clone();
    let routes = changed["resources"][0]["routes"].as_array_mut().unwrap();
    routes.insert(0, json!({"path": "/new", "limits": ["per-client"]}));
    let _draining = update(&mut scene, &changed);
    assert_eq!(burst(&mut scene, &token()), 0);
}

#[test]
fn an_edit_that_leaves_a_limit_alone_changes_no_budget_and_another_rate_begins_anew() {
    let mut config = config();
    config["limits"]["per-client"] = json!({"key": ["client_id", "const.x"], "rate": "2/h"});
    let mut scene = Scene::new(&config);
    assert_eq!(burst(&mut scene, &token()), 2);
    let mut changed = config.clone();
    changed["limits"]["per-client"]["key"] = json!(["const.x", "client_id"]);
    changed["limits"]["another"] = json!({"key": ["client_id", "const.x"], "rate": "100/s"});
    changed["resources"][0]["routes"][3]["limits"] = json!(["another", "per-client"]);
    changed["limits"]["per-client"]["overrides"] = json!([{"sub": "bob", "rate": "9/s"}]);
    let old = update(&mut scene, &changed);
    assert_eq!(burst(&mut scene, &token()), 0);
    changed["limits"]["per-client"]["rate"] = json!("3/h");
    let _newer = update(&mut scene, &changed);
    assert_eq!(burst(&mut scene, &token()), 3);
    scene.policy = old;
    assert_eq!(burst(&mut scene, &token()), 0, "the old version still knows what is owed");
}

#[test]
fn an_override_neither_pays_for_nor_refills_what_it_overrides() {
    let mut scene =
        limit(json!({"key": ["ip"], "rate": "5/h", "burst": 5, "overrides": [{"client_id": "vip", "rate": "100/s"}]}));
    let vip = token().claim("client_id", json!("vip")).claim("jti", json!("vip"));
    for round in 0..5 {
        scene.seconds = f64::from(round) * 1.1;
        assert_eq!(burst(&mut scene, &token()), if round == 0 { 5 } else { 0 });
        forwarded(scene.run(&get("/limited").peer(ALICE).token(&vip)));
    }
}

#[test]
fn two_filters_of_one_proxy_share_no_budget() {
    let mut scene = limit(json!({"rate": "5/h", "burst": 5}));
    assert_eq!(burst(&mut scene, &token()), 5);
    let mine = std::mem::replace(&mut scene.worker, Worker::new(FilterId::new(b"other"), &scene.policy, &scene.host));
    assert_eq!(burst(&mut scene, &token()), 5);
    scene.worker = mine;
    assert_eq!(burst(&mut scene, &token()), 0);
}
