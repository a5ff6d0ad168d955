//! Exchanges whose token the issuer is asked about.

use super::*;
use crate::policy::FilterId;

/// The issuer has no keys, and is asked.
fn opaque() -> Value {
    let mut config = config();
    let main = &mut config["issuers"]["main"];
    main.as_object_mut().unwrap().retain(|key, _| key == "issuer");
    main["introspection"] = json!({"cluster": "as", "uri": "https://as.example.com/introspect"});
    config
}

/// It has keys as well.
fn both() -> Value {
    let mut config = config();
    config["issuers"]["main"]["introspection"] = opaque()["issuers"]["main"]["introspection"].clone();
    config
}

pub(super) fn bearer(token: &str) -> Request {
    get("/orders/7").peer(ALICE).header("authorization", &format!("Bearer {token}"))
}

/// What the issuer says of a good token of Alice's.
pub(super) fn active() -> Value {
    let mut claims = token().claims;
    claims["active"] = json!(true);
    claims["token_type"] = json!("Bearer");
    claims
}

fn with_claim(name: &str, value: Value) -> Value {
    let mut claims = active();
    claims[name] = value;
    claims
}

pub(super) fn inactive() -> Value {
    json!({"active": false})
}

pub(super) fn said(status: u16, body: Vec<u8>) -> Result<Answered, FetchFailed> {
    Ok(Answered::Http(HttpAnswer { status, body, ..HttpAnswer::default() }))
}

fn says(answer: &Value) -> Result<Answered, FetchFailed> {
    said(200, answer.to_string().into_bytes())
}

impl Scene {
    /// The next call, which is about a token; and its body.
    pub(super) fn question(&mut self) -> Option<(CallId, String)> {
        match self.worker.next_call(at(self.seconds))? {
            Call { id, message: Message::Fetch(fetch) } if fetch.method == "POST" => {
                Some((id, String::from_utf8(fetch.body).unwrap()))
            }
            Call { message, .. } => panic!("{message:?}"),
        }
    }

    /// The verdict on a request that waits for this answer.
    pub(super) fn told(&mut self, request: &Request, answer: Result<Answered, FetchFailed>) -> Verdict {
        let mut exchange = self.exchange(request);
        assert!(matches!(self.poll(&mut exchange, request.peer), Step::Wait));
        let (call, _) = self.question().unwrap();
        assert_eq!(self.answer(call, answer), [ExchangeId(request.id)]);
        match self.poll(&mut exchange, request.peer) {
            Step::Done(verdict) => verdict,
            Step::Wait => panic!("it waits on"),
        }
    }
}

#[test]
fn an_opaque_token_waits_for_its_issuer_and_passes_as_a_verified_one_does() {
    let mut scene = Scene::new(&opaque());
    let forward = forwarded(scene.told(&bearer("opaque"), says(&active())));
    assert!(forward.upstream().set.iter().any(|(name, value)| name == "x-client-id" && value == "alice"));
    forwarded(scene.run(&bearer("opaque")));
    assert!(scene.question().is_none(), "it is known");
}

#[test]
fn the_answer_is_no_leave_by_itself() {
    let issued = at(0.0).wall.as_millis() / 1000;
    for (answer, reason) in [
        (inactive(), Reason::TokenInactive),
        (with_claim("exp", json!(issued - 60)), Reason::TokenExpired),
        (with_claim("nbf", json!(issued + 60)), Reason::TokenNotYetValid),
        (with_claim("iat", json!(issued + 60)), Reason::TokenNotYetValid),
        (with_claim("exp", json!(issued + 100_000)), Reason::LifetimeTooLong),
        (with_claim("aud", json!("https://other.example.com")), Reason::AudienceMismatch),
        (with_claim("iss", json!("https://other.example.com")), Reason::IssuerUntrusted),
        (with_claim("client_id", json!(7)), Reason::ClaimsMalformed),
        (with_claim("scope", json!("other")), Reason::ScopeMissing),
        (with_claim("cnf", json!({"x5t#S256": base64url::encode(&BOB)})), Reason::BindingMismatch),
        (with_claim("cnf", json!({"other": 1})), Reason::ConfirmationUnusable),
        (with_claim("token_type", json!("refresh_token")), Reason::TypUnacceptable),
    ] {
        let mut scene = Scene::new(&opaque());
        let refusal = refused(scene.told(&bearer("opaque"), says(&answer)));
        assert_eq!(refusal.reason, reason, "{answer}");
    }
}

#[test]
fn a_certificate_is_compared_for_each_request_and_never_remembered_with_the_token() {
    let mut scene = Scene::new(&opaque());
    forwarded(scene.told(&bearer("opaque"), says(&active())));
    let theft = Request { peer: Some(BOB), ..bearer("opaque") };
    assert_eq!(refused(scene.run(&theft)).reason, Reason::BindingMismatch);
}

#[test]
fn whoever_waits_for_the_same_token_shares_one_question_and_who_hangs_up_loses_nothing_for_the_others() {
    let mut scene = Scene::new(&opaque());
    let mut exchanges: Vec<_> = (1..=4).map(|id| scene.exchange(&bearer("opaque").number(id))).collect();
    for exchange in &mut exchanges {
        assert!(matches!(scene.poll(exchange, Some(ALICE)), Step::Wait));
    }
    let (call, body) = scene.question().unwrap();
    assert_eq!(body, "token=opaque&token_type_hint=access_token");
    assert!(scene.question().is_none(), "one for all");
    scene.leave(&mut exchanges[0]);
    assert_eq!(scene.answer(call, says(&active())), [ExchangeId(2), ExchangeId(3), ExchangeId(4)]);
    for exchange in &mut exchanges[1..] {
        assert!(matches!(scene.poll(exchange, Some(ALICE)), Step::Done(Verdict::Forward(_))));
    }
}

#[test]
fn each_token_has_a_question_of_its_own() {
    let mut scene = Scene::new(&opaque());
    let mut exchanges: Vec<_> =
        [(1, "one"), (2, "two")].map(|(id, token)| scene.exchange(&bearer(token).number(id))).into();
    for exchange in &mut exchanges {
        scene.poll(exchange, Some(ALICE));
    }
    let (first, second) = (scene.question().unwrap().0, scene.question().unwrap().0);
    assert_eq!(scene.answer(second, says(&inactive())), [ExchangeId(2)]);
    assert_eq!(scene.answer(first, says(&active())), [ExchangeId(1)]);
    assert!(matches!(scene.poll(&mut exchanges[0], Some(ALICE)), Step::Done(Verdict::Forward(_))));
    let Step::Done(verdict) = scene.poll(&mut exchanges[1], Some(ALICE)) else { panic!() };
    assert_eq!(refused(verdict).reason, Reason::TokenInactive);
}

#[test]
fn whatever_is_no_answer_is_503_with_retry_after_and_is_asked_again() {
    let garbage: Vec<Result<Answered, FetchFailed>> = vec![
        Err(FetchFailed::NotSent),
        Err(FetchFailed::NoAnswer),
        said(400, Vec::new()),
        said(401, active().to_string().into_bytes()),
        said(404, Vec::new()),
        said(500, active().to_string().into_bytes()),
        said(302, Vec::new()),
        said(200, Vec::new()),
        said(200, b"null".to_vec()),
        said(200, b"<html>".to_vec()),
        said(200, br#"{"error":"invalid_request"}"#.to_vec()),
        said(200, br#"{"active":"true"}"#.to_vec()),
        said(200, vec![b' '; 100_000]),
        said(204, active().to_string().into_bytes()),
        Ok(Answered::Grpc(Vec::new())),
    ];
    for answer in garbage {
        let mut scene = Scene::new(&opaque());
        let told = format!("{answer:?}");
        let refusal = refused(scene.told(&bearer("opaque"), answer));
        assert_eq!(refusal.reason, Reason::IntrospectionUnavailable, "{told}");
        assert_eq!(header(&refusal, "retry-after").as_deref(), Some("1"), "{told}");
        assert_eq!(header(&refusal, "www-authenticate"), None, "a good token must not be thrown away");
        forwarded(scene.told(&bearer("opaque"), says(&active())));
    }
}

#[test]
fn nobody_waits_longer_than_the_time_out_and_a_lost_question_is_asked_again() {
    let mut scene = Scene::new(&opaque());
    let mut exchange = scene.exchange(&bearer("opaque"));
    scene.poll(&mut exchange, Some(ALICE));
    let (lost, _) = scene.question().unwrap();
    scene.seconds = 1.9;
    assert_eq!(scene.tick(), []);
    scene.seconds = 2.0;
    assert_eq!(scene.tick(), [ExchangeId(1)]);
    let Step::Done(verdict) = scene.poll(&mut exchange, Some(ALICE)) else { panic!() };
    assert_eq!(refused(verdict).reason, Reason::IntrospectionUnavailable);
    scene.seconds = 3.1;
    scene.tick();
    forwarded(scene.told(&bearer("opaque"), says(&active())));
    assert_eq!(scene.answer(lost, says(&inactive())), [], "an answer after its end changes nothing");
    forwarded(scene.run(&bearer("opaque")));
}

#[test]
fn a_good_token_is_good_for_its_ttl_and_a_known_one_passes_meanwhile_without_the_server() {
    let mut scene = Scene::new(&opaque());
    forwarded(scene.told(&bearer("opaque"), says(&active())));
    for seconds in [10.0, 29.9] {
        scene.seconds = seconds;
        forwarded(scene.run(&bearer("opaque")));
    }
    scene.seconds = 30.0;
    assert_eq!(refused(scene.told(&bearer("opaque"), says(&inactive()))).reason, Reason::TokenInactive, "revoked");
}

#[test]
fn no_answer_counts_beyond_the_end_of_its_token() {
    let mut scene = Scene::new(&opaque());
    let ends = at(0.0).wall.as_millis() / 1000 + 5;
    forwarded(scene.told(&bearer("opaque"), says(&with_claim("exp", json!(ends)))));
    scene.seconds = 4.9;
    forwarded(scene.run(&bearer("opaque")));
    scene.seconds = 5.0;
    assert_eq!(refused(scene.told(&bearer("opaque"), says(&inactive()))).reason, Reason::TokenInactive);
}

#[test]
fn a_ttl_of_zero_asks_for_each_request_and_serves_those_that_waited() {
    let mut config = opaque();
    config["issuers"]["main"]["introspection"]["ttl"] = json!("0s");
    let mut scene = Scene::new(&config);
    for _ in 0..3 {
        forwarded(scene.told(&bearer("opaque"), says(&active())));
    }
}

#[test]
fn a_route_may_have_an_answer_count_for_a_shorter_time_and_takes_nothing_from_others() {
    let mut config = opaque();
    config["resources"][0]["routes"][3]["introspection_ttl"] = json!("0s");
    config["limits"]["per-client"]["rate"] = json!("100/s");
    let mut scene = Scene::new(&config);
    let strict = get("/limited").peer(ALICE).header("authorization", "Bearer good");
    forwarded(scene.told(&bearer("good"), says(&active())));
    scene.seconds = 10.0;
    forwarded(scene.told(&strict, says(&active())));
    forwarded(scene.told(&strict, says(&active())));
    scene.seconds = 35.0;
    forwarded(scene.run(&bearer("good")));
    refused(scene.told(&strict, said(500, Vec::new())));
    forwarded(scene.run(&bearer("good")));
    assert_eq!(refused(scene.told(&strict, says(&inactive()))).reason, Reason::TokenInactive);
    assert_eq!(refused(scene.run(&bearer("good"))).reason, Reason::TokenInactive, "a newer answer counts everywhere");
}

#[test]
fn a_shorter_ttl_of_a_new_configuration_holds_for_tokens_that_are_known() {
    let mut scene = Scene::new(&opaque());
    forwarded(scene.told(&bearer("opaque"), says(&active())));
    let mut config = opaque();
    config["issuers"]["main"]["introspection"]["ttl"] = json!("5s");
    scene.policy = policy(&config);
    scene.worker.adopt(&scene.policy);
    scene.seconds = 4.9;
    forwarded(scene.run(&bearer("opaque")));
    scene.seconds = 5.0;
    forwarded(scene.told(&bearer("opaque"), says(&active())));
}

#[test]
fn an_answer_of_no_is_remembered_shortly() {
    let mut scene = Scene::new(&opaque());
    refused(scene.told(&bearer("opaque"), says(&inactive())));
    scene.seconds = 4.9;
    assert_eq!(refused(scene.run(&bearer("opaque"))).reason, Reason::TokenInactive);
    scene.seconds = 5.0;
    forwarded(scene.told(&bearer("opaque"), says(&active())));
}

#[test]
fn tokens_that_nobody_issued_push_out_no_good_one() {
    let mut config = opaque();
    config["token_cache"] = json!({"entries": 16});
    let mut scene = Scene::new(&config);
    forwarded(scene.told(&bearer("good"), says(&active())));
    for number in 0..3000 {
        refused(scene.told(&bearer(&format!("forged-{number}")), says(&inactive())));
    }
    forwarded(scene.run(&bearer("good")));
}

#[test]
fn after_failures_in_a_row_nobody_waits_and_one_request_a_second_asks() {
    let mut scene = Scene::new(&opaque());
    for number in 0..5 {
        refused(scene.told(&bearer(&format!("t{number}")), Err(FetchFailed::NoAnswer)));
    }
    let refusal = refused(scene.run(&bearer("another")));
    assert_eq!(
        (refusal.reason, header(&refusal, "retry-after").as_deref()),
        (Reason::IntrospectionUnavailable, Some("1"))
    );
    assert!(scene.question().is_none());
    scene.seconds = 1.1;
    let mut probe = scene.exchange(&bearer("probe").number(9));
    assert!(matches!(scene.poll(&mut probe, Some(ALICE)), Step::Wait));
    assert_eq!(refused(scene.run(&bearer("another"))).reason, Reason::IntrospectionUnavailable, "one alone");
    let (call, _) = scene.question().unwrap();
    scene.answer(call, says(&active()));
    assert!(matches!(scene.poll(&mut probe, Some(ALICE)), Step::Done(Verdict::Forward(_))));
    forwarded(scene.told(&bearer("another"), says(&active())));
}

#[test]
fn answers_that_a_token_can_bring_about_close_the_door_for_nobody_else() {
    let mut scene = Scene::new(&opaque());
    for number in 0..20 {
        refused(scene.told(&bearer(&format!("odd-{number}")), said(400, Vec::new())));
        refused(scene.told(&bearer(&format!("odd-{number}")), said(200, b"what?".to_vec())));
    }
    forwarded(scene.told(&bearer("good"), says(&active())));
}

#[test]
fn a_probe_that_is_answered_opens_the_door_again_whatever_the_answer_is() {
    for (status, body) in [(400, ""), (200, "what?"), (200, r#"{"active":false}"#)] {
        let mut scene = Scene::new(&opaque());
        for number in 0..5 {
            refused(scene.told(&bearer(&format!("t{number}")), Err(FetchFailed::NoAnswer)));
        }
        scene.seconds = 1.1;
        refused(scene.told(&bearer("odd"), said(status, body.into())));
        forwarded(scene.told(&bearer("good"), says(&active())));
    }
}

#[test]
fn a_known_token_passes_while_the_server_is_given_up() {
    let mut scene = Scene::new(&opaque());
    forwarded(scene.told(&bearer("good"), says(&active())));
    for number in 0..5 {
        refused(scene.told(&bearer(&format!("t{number}")), Err(FetchFailed::NoAnswer)));
    }
    forwarded(scene.run(&bearer("good")));
}

#[test]
fn an_issuer_with_keys_is_asked_about_opaque_tokens_alone() {
    let mut scene = Scene::new(&both());
    forwarded(scene.run(&get("/orders/7").peer(ALICE).token(&token())));
    assert!(scene.question().is_none());
    forwarded(scene.told(&bearer("opaque"), says(&active())));
    let forged = get("/orders/7").peer(ALICE).token(&token().signed_by(9));
    assert_eq!(refused(scene.run(&forged)).reason, Reason::SignatureInvalid);
}

#[test]
fn a_token_that_looks_like_a_jwt_is_shown_to_no_server_that_it_does_not_name() {
    let mut always = both();
    always["issuers"]["main"]["introspection"]["tokens"] = json!("always");
    for config in [opaque(), both(), always.clone()] {
        let mut scene = Scene::new(&config);
        let foreign = get("/orders/7").peer(ALICE).token(&token().claim("iss", json!("https://other.example.com")));
        assert_eq!(refused(scene.run(&foreign)).reason, Reason::IssuerUntrusted);
        assert_eq!(refused(scene.run(&bearer("eyJhbGciOiJFUzI1NiJ9.x.y"))).reason, Reason::TokenMalformed);
        assert!(scene.question().is_none());
    }
    let mut scene = Scene::new(&always);
    let revoked = get("/orders/7").peer(ALICE).token(&token());
    assert_eq!(refused(scene.told(&revoked, says(&inactive()))).reason, Reason::TokenInactive);
}

#[test]
fn a_jwt_that_is_bound_is_no_unbound_one_because_the_answer_leaves_that_out() {
    let mut config = both();
    config["issuers"]["main"]["introspection"]["tokens"] = json!("always");
    config["resources"][0]["routes"][1]["bound"] = json!("when-bound");
    let mut unbound = active();
    unbound.as_object_mut().unwrap().remove("cnf");
    let mut scene = Scene::new(&config);
    let stolen = get("/orders/7").peer(BOB).token(&token());
    assert_eq!(refused(scene.told(&stolen, says(&unbound))).reason, Reason::ConfirmationUnusable);
    assert_eq!(refused(scene.run(&stolen)).reason, Reason::ConfirmationUnusable, "it is remembered");
    let mut bare = token();
    bare.claims.as_object_mut().unwrap().remove("cnf");
    forwarded(scene.told(&get("/orders/7").peer(BOB).token(&bare), says(&unbound)));
    forwarded(scene.told(&bearer("opaque"), says(&unbound)));
}

#[test]
fn a_source_is_charged_before_its_token_is_asked_about_and_not_for_one_that_is_known() {
    let mut config = opaque();
    config["limits"]["work"] = json!({"key": ["ip"], "rate": "1/min", "burst": 2, "on": ["verification"]});
    config["resources"][0]["routes"][1]["limits"] = json!(["work"]);
    let mut scene = Scene::new(&config);
    forwarded(scene.told(&bearer("good"), says(&active())));
    refused(scene.told(&bearer("forged-1"), says(&inactive())));
    let refusal = refused(scene.run(&bearer("forged-2")));
    assert_eq!((refusal.reason, scene.question().is_none()), (Reason::SourceLockedOut, true));
    forwarded(scene.run(&bearer("good")));
    scene.seconds = 31.0;
    forwarded(scene.told(&bearer("good"), says(&active())));
}

#[test]
fn in_report_mode_nobody_is_held_and_the_answer_serves_the_next_request() {
    let mut config = opaque();
    config["mode"] = json!("report");
    let mut scene = Scene::new(&config);
    let Verdict::Report(refusal, _) = scene.run(&bearer("opaque")) else { panic!() };
    assert_eq!(refusal.reason, Reason::IntrospectionUnavailable);
    let (call, _) = scene.question().unwrap();
    assert_eq!(scene.answer(call, says(&active())), []);
    forwarded(scene.run(&bearer("opaque")));
}

#[test]
fn questions_are_bounded_in_number() {
    let mut scene = Scene::new(&opaque());
    let mut exchanges = Vec::new();
    let refusal = loop {
        let number = exchanges.len() as u32;
        let mut exchange = scene.exchange(&bearer(&format!("t{number}")).number(number));
        match scene.poll(&mut exchange, Some(ALICE)) {
            Step::Wait => exchanges.push(exchange),
            Step::Done(verdict) => break refused(verdict),
        }
    };
    assert_eq!((refusal.reason, exchanges.len()), (Reason::Overloaded, 1000));
    exchanges.iter_mut().for_each(|exchange| scene.leave(exchange));
}

#[test]
fn a_server_that_is_slow_leaves_questions_to_others() {
    let mut config = opaque();
    let mut other = config["issuers"]["main"].clone();
    other["issuer"] = json!("https://other.example.com");
    other["introspection"]["cluster"] = json!("other");
    config["issuers"]["other"] = other;
    let mut resource = config["resources"][0].clone();
    resource["hosts"] = json!(["other.example.com"]);
    resource["issuers"] = json!(["other"]);
    config["resources"].as_array_mut().unwrap().push(resource);
    let mut scene = Scene::new(&config);
    let mut exchanges = Vec::new();
    loop {
        let number = exchanges.len() as u32;
        let mut exchange = scene.exchange(&bearer(&format!("t{number}")).number(number));
        match scene.poll(&mut exchange, Some(ALICE)) {
            Step::Wait => exchanges.push(exchange),
            Step::Done(verdict) => break assert_eq!(refused(verdict).reason, Reason::Overloaded),
        }
    }
    while scene.question().is_some() {}
    let mut answer = active();
    answer.as_object_mut().unwrap().remove("iss");
    forwarded(scene.told(&bearer("good").host("other.example.com").number(9_999), says(&answer)));
    exchanges.iter_mut().for_each(|exchange| scene.leave(exchange));
}

#[test]
fn what_is_wrong_with_an_answer_stands_in_the_audit_record() {
    let mut scene = Scene::new(&opaque());
    let request = bearer("opaque");
    let mut exchange = scene.exchange(&request);
    scene.poll(&mut exchange, request.peer);
    let (call, _) = scene.question().unwrap();
    let mut answer = active();
    answer.as_object_mut().unwrap().remove("jti");
    scene.answer(call, says(&answer));
    scene.poll(&mut exchange, request.peer);
    let claimed = exchange.take_facts().claimed.unwrap();
    assert_eq!((claimed.member.as_deref(), claimed.because), (Some("jti"), Some("missing")));
}

#[test]
fn a_new_configuration_in_the_middle_of_a_question_loses_nobody() {
    let mut scene = Scene::new(&opaque());
    let request = bearer("opaque");
    let mut exchange = scene.exchange(&request);
    scene.poll(&mut exchange, request.peer);
    let mut config = opaque();
    config["issuers"]["main"]["introspection"]["uri"] = json!("https://as.example.com/other");
    let old = std::mem::replace(&mut scene.policy, policy(&config));
    scene.worker.adopt(&scene.policy);
    let (call, _) = scene.question().unwrap();
    scene.answer(call, says(&active()));
    assert!(matches!(scene.poll(&mut exchange, request.peer), Step::Done(Verdict::Forward(_))));
    drop((exchange, old));
    forwarded(scene.told(&request, says(&active())));
}

#[test]
fn another_worker_does_not_charge_for_a_token_that_one_has_asked_about() {
    let mut config = opaque();
    config["limits"]["work"] = json!({"key": ["ip"], "rate": "1/min", "burst": 1, "on": ["verification"]});
    config["resources"][0]["routes"][1]["limits"] = json!(["work"]);
    let mut scene = Scene::new(&config);
    forwarded(scene.told(&bearer("good"), says(&active())));
    scene.worker = Worker::new(FilterId::new(b"filter"), &scene.policy, &scene.host);
    forwarded(scene.told(&bearer("good"), says(&active())));
}
