//! What the audit record tells of a request: whoever reads it must not need the token to learn why it was refused.

use super::*;
use crate::observe::audit_record;

/// The record of a request, as JSON.
fn record(scene: &mut Scene, request: &Request) -> Value {
    let mut exchange = scene.exchange(request);
    let Step::Done(verdict) = scene.poll(&mut exchange, request.peer) else { panic!("it waits") };
    serde_json::from_str(&audit_record(exchange.facts(), (&verdict).into())).unwrap()
}

fn of(token: &Token) -> Value {
    record(&mut Scene::new(&config()), &get("/orders/7").peer(ALICE).token(token))
}

#[test]
fn a_refused_token_is_told_with_the_value_it_was_refused_for_and_marked_as_unverified() {
    for (token, reason, place, value) in [
        (
            token().claim("iss", json!("https://as.example.com/")),
            "issuer-untrusted",
            "/unverified/iss",
            json!("https://as.example.com/"),
        ),
        (token().header("kid", json!("new")), "key-unknown", "/unverified/kid", json!("new")),
        (token().header("typ", json!("JWT")), "typ-unacceptable", "/unverified/typ", json!("JWT")),
        (token().header("typ", json!("JWT")), "typ-unacceptable", "/claim", json!("typ")),
        (token().header("alg", json!("HS256")), "algorithm-not-allowed", "/unverified/alg", json!("HS256")),
        (token().signed_by(2), "signature-invalid", "/unverified/client_id", json!("alice")),
        (token().signed_by(2), "signature-invalid", "/unverified/lifetime", json!(300)),
        (token().claim("jti", Value::Null), "claims-malformed", "/claim", json!("jti")),
        (token().claim("jti", Value::Null), "claims-malformed", "/because", json!("missing")),
        (token().claim("jti", Value::Null), "claims-malformed", "/unverified/iss", json!("https://as.example.com")),
        (token().claim("scope", json!(["read:orders"])), "claims-malformed", "/because", json!("a list")),
        (token().claim("exp", json!("soon")), "claims-malformed", "/because", json!("text")),
        (token().claim("exp", json!(-1)), "claims-malformed", "/because", json!("out of range")),
        (token().claim("aud", json!([1])), "claims-malformed", "/claim", json!("aud")),
        (token().claim("iss", json!(7)), "claims-malformed", "/claim", json!("iss")),
        (token().claim("cnf", json!({"jkt": "x"})), "confirmation-unusable", "/claim", json!("cnf")),
        (token().header("crit", json!(["exp"])), "token-malformed", "/because", json!("the header has crit")),
    ] {
        let record = of(&token);
        assert_eq!(record["reason"], reason);
        assert_eq!(record.pointer(place), Some(&value), "{record}");
        assert_eq!((record.get("iss"), record.get("client_id")), (None, None), "no identity: {record}");
    }
}

#[test]
fn a_verified_token_is_told_with_the_value_it_was_refused_for() {
    let now = at(0.0).wall.as_millis() / 1000;
    for (token, reason, place, value) in [
        (
            token().claim("aud", json!("https://other.example")),
            "audience-mismatch",
            "/token/aud/0",
            json!("https://other.example"),
        ),
        (token().claim("exp", json!(now + 900)), "lifetime-too-long", "/token/lifetime", json!(910)),
        (token().claim("exp", json!(now - 60)), "token-expired", "/token/exp", json!(now - 60)),
        (token().claim("nbf", json!(now + 60)), "token-not-yet-valid", "/token/nbf", json!(now + 60)),
        (token().claim("scope", json!("read write")), "scope-missing", "/missing_scopes", json!(["read:orders"])),
        (token().claim("scope", json!("read write")), "scope-missing", "/token/scope", json!(["read", "write"])),
        (token().bound_to(BOB), "binding-mismatch", "/token/bound_to", json!(base64url::encode(&BOB))),
        (token().bound_to(BOB), "binding-mismatch", "/token/alg", json!("ES256")),
    ] {
        let record = of(&token);
        assert_eq!((&record["reason"], &record["iss"]), (&reason.into(), &"https://as.example.com".into()));
        assert_eq!(record.pointer(place), Some(&value), "{record}");
        assert_eq!(record.get("unverified"), None, "{record}");
    }
}

#[test]
fn whoever_passes_is_told_with_the_issuers_name_and_url_and_no_more_of_the_token() {
    let record = of(&token());
    assert_eq!((&record["decision"], &record["issuer"]), (&"forwarded".into(), &"main".into()));
    assert_eq!(record["iss"], "https://as.example.com");
    for absent in ["token", "unverified", "claim", "because", "missing_scopes", "reason"] {
        assert_eq!(record.get(absent), None, "{record}");
    }
}

#[test]
fn what_a_stranger_writes_into_a_token_is_bounded_and_escaped() {
    let long = "x".repeat(500);
    let aud: Vec<String> = (0..12).map(|number| format!("{number}{long}")).collect();
    let hostile =
        token().claim("iss", json!(format!("https://evil.example/\u{202e}\n\"}}{long}"))).claim("aud", json!(aud));
    let hostile = hostile.claim("client_id", json!(long)).claim("exp", json!(i64::MAX)).claim("iat", json!(-1e300));
    let record = of(&hostile);
    let told = record["unverified"]["iss"].as_str().unwrap();
    assert!(told.starts_with(r"https://evil.example/\u{202e}") && told.ends_with('…'), "{told}");
    assert_eq!(record["unverified"]["aud"].as_array().unwrap().len(), 8);
    assert!(record.to_string().len() < 2_000, "{record}");
}

#[test]
fn neither_token_nor_signature_stands_in_any_record() {
    for token in [token().signed_by(2), token().claim("jti", Value::Null), token().bound_to(BOB), token()] {
        let (text, record) = (token.text(), of(&token).to_string());
        assert!(text.split('.').all(|part| !record.contains(part)), "{record}");
    }
}

#[test]
fn a_source_that_is_locked_out_makes_no_work_for_the_record() {
    let mut config = config();
    config["limits"]["strangers"] = json!({"key": ["source"], "rate": "1/h", "burst": 5, "on": ["verification", 401]});
    config["resources"][0]["routes"][1]["limits"] = json!(["strangers"]);
    let mut scene = Scene::new(&config);
    let forged = |jti: &str| get("/orders/7").peer(ALICE).token(&token().claim("jti", json!(jti)).signed_by(2));
    assert_eq!(record(&mut scene, &forged("a"))["unverified"]["iss"], "https://as.example.com");
    let mut records = (0..10).map(|jti| record(&mut scene, &forged(&jti.to_string())));
    let locked_out = records.find(|record| record["reason"] == "source-locked-out").unwrap();
    assert_eq!(locked_out.get("unverified"), None);
}

#[test]
fn a_token_whose_keys_are_missing_names_its_issuer() {
    let mut scene = Scene::new(&remote_keys());
    let request = get("/orders/7").peer(ALICE).token(&token());
    let mut exchange = scene.exchange(&request);
    assert!(matches!(scene.poll(&mut exchange, request.peer), Step::Wait));
    for _ in 0..100 {
        scene.seconds += 0.5;
        while let Some(call) = scene.fetch() {
            scene.answer(call, Err(FetchFailed::NoAnswer));
        }
        scene.tick();
        if let Step::Done(verdict) = scene.poll(&mut exchange, request.peer) {
            let record = audit_record(exchange.facts(), (&verdict).into());
            let record: Value = serde_json::from_str(&record).unwrap();
            assert_eq!(record["reason"], "keys-unavailable");
            assert_eq!(record["unverified"]["iss"], "https://as.example.com");
            return;
        }
    }
    panic!("it waits for ever");
}

#[test]
fn the_request_id_stands_in_the_record_and_in_the_answer() {
    let body = |refusal: &Refusal| -> Value {
        serde_json::from_slice(&refusal.answer(AnswerForm::Problem, TOLD, at(0.0).wall).body).unwrap()
    };
    let long = "i".repeat(500);
    for (sent, told) in [("4d1f-7", "4d1f-7"), ("a\"b c\u{e9}", "a\"b?c??"), (long.as_str(), &long[..128])] {
        for path in ["/orders/7", "/nowhere", "/orders//7", "/healthz"] {
            let request = get(path).header("x-request-id", sent);
            assert_eq!(record(&mut Scene::new(&config()), &request)["request_id"], told, "{path}");
            if let Verdict::Refuse(refusal) = request.run() {
                assert_eq!(body(&refusal)["request_id"], told, "{path}");
            }
        }
    }
    assert_eq!(record(&mut Scene::new(&config()), &get("/nowhere")).get("request_id"), None);
    assert_eq!(body(&refused(get("/nowhere").run())).get("request_id"), None);
    assert_eq!(body(&refused(get("/").host("other.example").header("x-request-id", "7").run()))["request_id"], "7");
}

#[test]
fn a_method_that_is_not_allowed_is_told_with_the_path_of_the_routes() {
    let record = record(&mut Scene::new(&config()), &request("DELETE", "/orders/7"));
    assert_eq!((&record["reason"], &record["route"]), (&"method-not-allowed".into(), &"/orders/{id}".into()));
}
