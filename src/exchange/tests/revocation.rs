//! Tokens that end before their time: known ones too, also between two steps of one request.

use super::trust::verified;
use super::*;
use crate::verdict::Detail;

fn revocation(rule: Value) -> Value {
    let mut config = config();
    config["issuers"]["main"]["revocation"] = rule;
    config
}

fn fetched() -> Value {
    json!({"cluster": "as", "uri": "https://as.example.com/revoked", "max_stale": "2m"})
}

fn order() -> Request {
    get("/orders/7").peer(ALICE).token(&token())
}

/// Lets time pass until this second, and answers what is fetched with this document.
fn publish(scene: &mut Scene, seconds: f64, document: &Value) {
    scene.seconds = seconds;
    scene.tick();
    let (call, path) = scene.fetch_from().expect("it is due");
    assert_eq!(path, "/revoked");
    let body = document.to_string().into_bytes();
    scene.answer(call, Ok(Answered::Http(HttpAnswer { status: 200, body, ..HttpAnswer::default() })));
}

#[test]
fn a_known_token_is_refused_once_the_document_names_it_in_any_way() {
    for document in [
        json!({"jti": ["1"]}),
        json!({"sub": ["alice"]}),
        json!({"client_id": ["alice"]}),
        json!({"sid": ["session-1"]}),
        json!({"x5t#S256": [base64url::encode(&ALICE)]}),
        json!({"issued_before": {"sub": {"alice": 1_767_225_600}}}),
        json!({"issued_before": {"all": 1_767_225_600}}),
    ] {
        let order = get("/orders/7").peer(ALICE).token(&token().claim("sid", json!("session-1")));
        let mut scene = Scene::new(&revocation(fetched()));
        publish(&mut scene, 0.0, &json!({"jti": ["2"]}));
        forwarded(scene.run(&order));
        publish(&mut scene, 30.0, &document);
        assert_eq!(refused(scene.run(&order)).reason, Reason::TokenRevoked, "{document}");
        assert_eq!(verified(&mut scene), 1, "it was known: {document}");
        publish(&mut scene, 60.0, &json!({}));
        forwarded(scene.run(&order));
    }
}

#[test]
fn without_a_document_that_is_not_stale_the_operator_decides() {
    let rule = |on_stale| {
        let mut rule = fetched();
        rule["on_stale"] = json!(on_stale);
        revocation(rule)
    };
    let mut scene = Scene::new(&rule("refuse"));
    let refusal = refused(scene.run(&order()));
    assert!(matches!(refusal.detail, Detail::RetryAfter(_)));
    assert_eq!(refusal.reason, Reason::RevocationStale);
    publish(&mut scene, 0.0, &json!({"jti": ["2"]}));
    forwarded(scene.run(&order()));
    scene.seconds = 119.0;
    forwarded(scene.run(&order()));
    scene.seconds = 121.0;
    assert_eq!(refused(scene.run(&order())).reason, Reason::RevocationStale);
    let listed = get("/orders/7").peer(ALICE).token(&token().claim("jti", json!("2")));
    assert_eq!(refused(scene.run(&listed)).reason, Reason::TokenRevoked, "what was revoked stays so");

    let mut scene = Scene::new(&rule("allow"));
    forwarded(scene.run(&order()));
    publish(&mut scene, 0.0, &json!({"jti": ["2"]}));
    scene.seconds = 121.0;
    forwarded(scene.run(&order()));
    assert_eq!(refused(scene.run(&listed)).reason, Reason::TokenRevoked);
}

#[test]
fn entries_of_the_configuration_count_at_once_and_for_known_tokens() {
    let mut scene = Scene::new(&config());
    forwarded(scene.run(&order()));
    let _draining = std::mem::replace(&mut scene.policy, policy(&revocation(json!({"entries": {"sub": ["alice"]}}))));
    scene.worker.adopt(&scene.policy);
    assert_eq!(refused(scene.run(&order())).reason, Reason::TokenRevoked);
}

#[test]
fn the_document_survives_a_new_configuration_that_names_it() {
    let mut scene = Scene::new(&revocation(fetched()));
    publish(&mut scene, 0.0, &json!({"jti": ["1"]}));
    let mut other = fetched();
    other["refresh"] = json!("1m");
    scene.policy = policy(&revocation(other));
    scene.worker.adopt(&scene.policy);
    scene.tick();
    assert_eq!(refused(scene.run(&order())).reason, Reason::TokenRevoked);
    scene.seconds = 45.0;
    scene.tick();
    assert!(scene.fetch().is_none(), "by the new times");
}

#[test]
fn a_token_that_is_revoked_while_its_request_waits_does_not_pass() {
    let mut config = revocation(fetched());
    config["services"] = json!({"counter": {"kind": "ratelimit", "cluster": "ratelimit"}});
    config["limits"]["per-client"] = json!({"key": ["client_id"], "rate": "100/h", "service": "counter"});
    config["resources"][0]["routes"][1]["limits"] = json!(["per-client"]);
    let mut scene = Scene::new(&config);
    publish(&mut scene, 0.0, &json!({}));
    let mut waiting = scene.exchange(&order());
    assert!(matches!(scene.poll(&mut waiting, Some(ALICE)), Step::Wait));
    let (ask, _) = scene.ask().unwrap();
    publish(&mut scene, 30.0, &json!({"jti": ["1"]}));
    scene.answer(ask, Err(FetchFailed::NoAnswer));
    match scene.poll(&mut waiting, Some(ALICE)) {
        Step::Done(verdict) => assert_eq!(refused(verdict).reason, Reason::TokenRevoked),
        Step::Wait => panic!("it waits on"),
    }
}

#[test]
fn a_token_that_the_issuer_was_asked_about_is_looked_for_like_others() {
    let mut config = revocation(fetched());
    config["issuers"]["main"]["introspection"] =
        json!({"cluster": "as", "uri": "https://as.example.com/introspect", "ttl": "10m"});
    let mut scene = Scene::new(&config);
    publish(&mut scene, 0.0, &json!({"jti": ["1"]}));
    let active = introspection::active().to_string().into_bytes();
    let verdict = scene.told(&introspection::bearer("opaque"), introspection::said(200, active));
    assert_eq!(refused(verdict).reason, Reason::TokenRevoked);
    publish(&mut scene, 30.0, &json!({}));
    let active = introspection::active().to_string().into_bytes();
    forwarded(scene.told(&introspection::bearer("opaque2"), introspection::said(200, active)));
    publish(&mut scene, 60.0, &json!({"sub": ["alice"]}));
    assert_eq!(
        refused(scene.run(&introspection::bearer("opaque2"))).reason,
        Reason::TokenRevoked,
        "known, and refused"
    );
}
