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

/// Two resources, for which one token is good; the first has a document of its own.
fn own(rule: Value) -> Value {
    let mut config = config();
    let mut other = config["resources"][0].clone();
    other["hosts"] = json!(["other.example.com"]);
    config["resources"][0]["revocation"] = rule;
    config["resources"].as_array_mut().unwrap().push(other);
    config
}

#[test]
fn a_resource_takes_known_tokens_back_for_itself_and_not_for_others() {
    let mut scene = Scene::new(&own(fetched()));
    publish(&mut scene, 0.0, &json!({"jti": ["2"]}));
    let elsewhere = order().host("other.example.com");
    for request in [&order(), &elsewhere] {
        forwarded(scene.run(request));
    }
    for (seconds, document) in [(30.0, json!({"jti": ["1"]})), (60.0, json!({"issued_before": {"all": 1_767_225_600}}))]
    {
        publish(&mut scene, seconds, &document);
        // In turns: what one resource knows of the token does not clear it at the other.
        for _ in 0..2 {
            forwarded(scene.run(&elsewhere));
            assert_eq!(refused(scene.run(&order())).reason, Reason::TokenRevoked, "{document}");
        }
    }
    publish(&mut scene, 90.0, &json!({}));
    forwarded(scene.run(&order()));
    assert_eq!(verified(&mut scene), 1, "it was known");
    let _draining = std::mem::replace(&mut scene.policy, policy(&own(json!({"entries": {"sub": ["alice"]}}))));
    scene.worker.adopt(&scene.policy);
    assert_eq!(refused(scene.run(&order())).reason, Reason::TokenRevoked);
    forwarded(scene.run(&elsewhere));
}

#[test]
fn what_either_takes_back_is_refused_and_one_that_does_not_know_hides_nothing() {
    let mut config = revocation(fetched());
    let mut rule = fetched();
    rule["uri"] = json!("https://as.example.com/own");
    config["resources"][0]["revocation"] = rule;
    // Of the issuer, and of the resource; `None`: it was never there.
    let names = json!({"jti": ["1"]});
    let others = json!({"jti": ["2"]});
    for (issuers, own, expected) in [
        (None, None, Some(Reason::RevocationStale)),
        (Some(&others), None, Some(Reason::RevocationStale)),
        (None, Some(&others), Some(Reason::RevocationStale)),
        (None, Some(&names), Some(Reason::TokenRevoked)),
        (Some(&names), None, Some(Reason::TokenRevoked)),
        (Some(&names), Some(&others), Some(Reason::TokenRevoked)),
        (Some(&others), Some(&names), Some(Reason::TokenRevoked)),
        (Some(&others), Some(&others), None),
    ] {
        let mut scene = Scene::new(&config);
        scene.tick();
        while let Some((call, path)) = scene.fetch_from() {
            let document = if path == "/own" { own } else { issuers };
            let body = document.map(|document| document.to_string().into_bytes());
            let answer = body.map(|body| HttpAnswer { status: 200, body, ..HttpAnswer::default() });
            scene.answer(call, answer.map(Answered::Http).ok_or(FetchFailed::NoAnswer));
        }
        let reason = match scene.run(&order()) {
            Verdict::Forward(_) => None,
            verdict => Some(refused(verdict).reason),
        };
        assert_eq!(reason, expected, "{issuers:?} {own:?}");
    }
}

#[test]
fn a_document_that_issuer_and_resource_share_is_fetched_once() {
    let mut config = revocation(fetched());
    config["resources"][0]["revocation"] = fetched();
    let mut scene = Scene::new(&config);
    publish(&mut scene, 0.0, &json!({"jti": ["2"]}));
    assert!(scene.fetch().is_none());
    forwarded(scene.run(&order()));
    // It is still followed when only the resource names it.
    let _draining = std::mem::replace(&mut scene.policy, policy(&own(fetched())));
    drop(_draining);
    scene.worker.adopt(&scene.policy);
    publish(&mut scene, 30.0, &json!({"jti": ["1"]}));
    assert_eq!(refused(scene.run(&order())).reason, Reason::TokenRevoked);
}

#[test]
fn a_revoked_key_ends_all_tokens_that_are_bound_to_it() {
    let (key, other) = ([7; 32], [8; 32]);
    let entries = |jkt: [u8; 32]| revocation(json!({"entries": {"jkt": [base64url::encode(&jkt)]}}));
    for cnf in [
        json!({"jkt": base64url::encode(&key)}),
        json!({"jkt": base64url::encode(&key), "x5t#S256": base64url::encode(&ALICE)}),
    ] {
        let request = get("/orders/7").peer(ALICE).token(&token().claim("cnf", cnf.clone()));
        assert_eq!(refused(Scene::new(&entries(key)).run(&request)).reason, Reason::TokenRevoked, "{cnf}");
        assert_ne!(refused(Scene::new(&entries(other)).run(&request)).reason, Reason::TokenRevoked, "{cnf}");
        let mut scene = Scene::new(&revocation(fetched()));
        publish(&mut scene, 0.0, &json!({"jkt": [base64url::encode(&key)]}));
        assert_eq!(refused(scene.run(&request)).reason, Reason::TokenRevoked, "{cnf}");
    }
    // The bytes of a key are not those of a certificate.
    forwarded(Scene::new(&entries(ALICE)).run(&order()));
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
