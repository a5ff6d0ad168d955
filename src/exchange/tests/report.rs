//! A rollout: what passes, and what is not touched, while refusals are only reported.

use super::*;
use crate::observe::audit_record;

fn reporting(config: Value) -> Value {
    let mut config = config;
    config["mode"] = json!("report");
    config
}

/// What is reported about a request, and what changes on its way upstream.
#[track_caller]
fn reported(scene: &mut Scene, request: &Request) -> (Reason, Upstream) {
    let mut exchange = scene.exchange(request);
    let Step::Done(verdict) = scene.poll(&mut exchange, request.peer) else { panic!("it waits") };
    let record: Value = serde_json::from_str(&audit_record(exchange.facts(), (&verdict).into())).unwrap();
    let Verdict::Report(refusal, upstream) = verdict else { panic!("{verdict:?}") };
    assert_eq!((&record["decision"], &record["reason"]), (&json!("reported"), &json!(refusal.reason.slug())));
    (refusal.reason, upstream)
}

#[test]
fn a_host_that_no_resource_lists_passes_unchanged_and_is_reported() {
    let mut scene = Scene::new(&reporting(config()));
    for host in ["other.example", "10.0.0.1:8443", "[::1]:15021", "api.example.com.other.example"] {
        let request =
            get("/orders//7").host(host).header("x-forwarded-user", "ann").header("authorization", "Basic eDp5");
        assert_eq!(reported(&mut scene, &request), (Reason::PathAmbiguous, Upstream::default()), "{host}");
        let request = get("/probe").host(host).header("x-forwarded-user", "ann").header("x-client-id", "ann");
        assert_eq!(reported(&mut scene, &request), (Reason::HostUnknown, Upstream::default()), "{host}");
    }
    let request = get("/").host("a host");
    assert_eq!(reported(&mut scene, &request), (Reason::AuthorityMalformed, Upstream::default()));
}

#[test]
fn what_is_wrong_with_a_request_for_a_resource_is_reported_whatever_it_is() {
    let mut scene = Scene::new(&reporting(config()));
    for (request, reason) in [
        (get("/orders/7"), Reason::TokenMissing),
        (get("/orders/7").peer(BOB).token(&token()), Reason::BindingMismatch),
        (get("/nowhere"), Reason::RouteUnknown),
        (request("DELETE", "/orders/7"), Reason::MethodNotAllowed),
        (get("/orders/../x"), Reason::PathAmbiguous),
        (get("/orders/a%2Fb"), Reason::PathAmbiguous),
        (get(&format!("/{}", "a".repeat(9_000))), Reason::UriTooLong),
    ] {
        let request = request.header("x-client-id", "mallory");
        let (found, upstream) = reported(&mut scene, &request);
        assert_eq!((found, upstream.set.len(), &upstream.remove[..]), (reason, 0, &["x-client-id".to_owned()][..]));
    }
    forwarded(scene.run(&get("/orders/7").peer(ALICE).token(&token())));
}

#[test]
fn what_could_not_be_forwarded_safely_is_refused_all_the_same() {
    let mut config = reporting(config());
    config["resources"][0]["routes"][0]["limits"] = json!(["scans"]);
    config["limits"]["scans"] = json!({"key": ["ip"], "on": [400, 501], "rate": "1/h", "burst": 1});
    let mut scene = Scene::new(&config);
    for host in ["api.example.com", "other.example", "a host"] {
        for method in ["CONNECT", "TRACE"] {
            let refusal = refused(scene.run(&request(method, "/healthz").host(host)));
            assert!(matches!(refusal.reason, Reason::MethodRefused | Reason::AuthorityMalformed | Reason::OverLimit));
        }
        refused(scene.run(&request("TRACE", "/a//b").host(host)));
        refused(scene.run(&request("get", "/healthz").host(host)));
        refused(scene.run(&get("/healthz").host(host).header(":path", "/orders/7")));
        refused(scene.run(&get("/healthz").host(host).header(":authority", "api.example.com")));
    }
}

#[test]
fn a_resource_may_be_enforced_before_all_others_and_reported_longer_than_they() {
    let mut config = reporting(config());
    config["resources"][0]["mode"] = json!("enforce");
    let mut scene = Scene::new(&config);
    assert_eq!(refused(scene.run(&get("/orders/7"))).reason, Reason::TokenMissing);
    assert_eq!(refused(scene.run(&get("/orders/../x"))).reason, Reason::PathAmbiguous);
    assert_eq!(reported(&mut scene, &get("/orders/7").host("other.example")).0, Reason::HostUnknown);
    config["mode"] = json!("enforce");
    config["resources"][0]["mode"] = json!("report");
    let mut scene = Scene::new(&config);
    assert_eq!(reported(&mut scene, &get("/orders/7")).0, Reason::TokenMissing);
    assert_eq!(refused(scene.run(&get("/orders/7").host("other.example"))).reason, Reason::HostUnknown);
}

#[test]
fn nobody_waits_for_keys_while_refusals_are_only_reported() {
    let mut scene = Scene::new(&reporting(remote_keys()));
    let request = get("/orders/7").peer(ALICE).token(&token());
    assert_eq!(reported(&mut scene, &request).0, Reason::KeysUnavailable);
    let call = scene.fetch().expect("they are fetched");
    assert_eq!(reported(&mut scene, &request).0, Reason::KeysUnavailable);
    assert!(scene.fetch().is_none(), "once");
    scene.answer_with_keys(call, &[jwk("k", 1)]);
    forwarded(scene.run(&request));
    let unknown = get("/orders/7").peer(ALICE).token(&token().header("kid", json!("new")));
    assert_eq!(reported(&mut scene, &unknown).0, Reason::KeysUnavailable);
    let call = scene.fetch().expect("they are fetched again");
    scene.answer_with_keys(call, &[jwk("k", 1), jwk("new", 1)]);
    forwarded(scene.run(&unknown));
}

#[test]
fn callers_are_told_of_limits_only_where_these_refuse_or_the_operator_asks_for_it() {
    let mut config = config();
    let told = |config: &Value| {
        let policy = policy(config);
        (policy.limit_fields_of(policy.resources.first().map(|resource| &**resource)), policy.limit_fields_of(None))
    };
    assert_eq!(told(&config), (TOLD, TOLD));
    config["mode"] = json!("report");
    assert_eq!(told(&config), (Dialects::NONE, Dialects::NONE));
    config["resources"][0]["mode"] = json!("enforce");
    assert_eq!(told(&config), (TOLD, Dialects::NONE));
    config["limit_fields_in_report"] = json!(true);
    config["x_ratelimit"] = json!("envoy");
    let all = Dialects { draft: true, older: Some(crate::policy::XRateLimit::Envoy) };
    assert_eq!(told(&config), (all, all));
}
