//! Exchanges whose issuer signs what it answers about tokens.

use super::introspection::{active, bearer, inactive, said};
use super::*;
use crate::token::signed_answer::SIGNED_ANSWER;

/// Keys in the configuration, unless they are to be fetched.
fn signed(remote: bool) -> Value {
    let mut config = if remote { remote_keys() } else { config() };
    config["issuers"]["main"]["introspection"] = json!({
        "cluster": "as", "uri": "https://as.example.com/introspect", "client": {"id": "orders-api"}, "signed": true
    });
    config
}

/// A signed answer to be: as a token, but for its header and what it says.
fn answer(says: Value) -> Token {
    let now = at(0.0).wall.as_millis() / 1000;
    let claims = json!({"iss": "https://as.example.com", "aud": "orders-api", "iat": now, "token_introspection": says});
    Token { header: json!({"alg": "ES256", "kid": "k", "typ": "token-introspection+jwt"}), claims, seed: 1 }
}

fn sent_as(content_type: &str, body: Vec<u8>) -> Result<Answered, FetchFailed> {
    let fields = AnswerFields { content_type: Some(content_type.as_bytes().to_vec()), ..AnswerFields::default() };
    Ok(Answered::Http(HttpAnswer { status: 200, fields, body, ..HttpAnswer::default() }))
}

fn sent(answer: &Token) -> Result<Answered, FetchFailed> {
    sent_as(SIGNED_ANSWER, answer.text().into_bytes())
}

#[test]
fn a_signed_answer_counts_as_a_plain_one_does() {
    let mut scene = Scene::new(&signed(false));
    forwarded(scene.told(&bearer("opaque"), sent(&answer(active()))));
    forwarded(scene.run(&bearer("opaque")));
    assert_eq!(refused(scene.told(&bearer("dead"), sent(&answer(inactive())))).reason, Reason::TokenInactive);
    let list = answer(active()).claim("aud", json!(["another", "orders-api"]));
    forwarded(
        scene.told(&bearer("list"), sent_as("Application/Token-Introspection+JWT; charset=utf-8", list.text().into())),
    );
}

#[test]
fn whatever_is_wrong_with_a_signed_answer_makes_it_none() {
    let now = at(0.0).wall.as_millis() / 1000;
    let good = || answer(active());
    for (wrong, what) in [
        (sent(&good().signed_by(9)), "the signature"),
        (sent(&good().header("kid", json!("another"))), "the key"),
        (sent(&good().header("typ", json!("at+jwt"))), "typ of an access token"),
        (sent(&good().header("typ", json!("JWT"))), "typ"),
        (sent(&good().header("alg", json!("ES384"))), "alg"),
        (sent(&good().header("alg", json!("none"))), "no alg"),
        (sent(&good().header("crit", json!(["x"]))), "crit"),
        (sent(&good().claim("iss", json!("https://other.example.com"))), "iss"),
        (sent(&good().claim("aud", json!("https://api.example.com"))), "aud"),
        (sent(&good().claim("aud", Value::Null)), "no aud"),
        (sent(&good().claim("iat", json!(now - 60))), "an old answer"),
        (sent(&good().claim("iat", json!(now + 60))), "one of tomorrow"),
        (sent(&good().claim("iat", Value::Null)), "no iat"),
        (sent(&good().claim("token_introspection", json!("active"))), "no object"),
        (sent(&token()), "an access token"),
        (sent(&answer(json!({"sub": "alice"}))), "no active"),
        (said(200, active().to_string().into_bytes()), "plain"),
        (sent_as(SIGNED_ANSWER, active().to_string().into_bytes()), "plain, called signed"),
        (sent_as("application/json", good().text().into_bytes()), "signed, called plain"),
        (sent_as("application/jwt", good().text().into_bytes()), "of an older draft"),
    ] {
        let mut scene = Scene::new(&signed(false));
        assert_eq!(refused(scene.told(&bearer("opaque"), wrong)).reason, Reason::IntrospectionUnavailable, "{what}");
        forwarded(scene.told(&bearer("opaque"), sent(&good())));
    }
}

#[test]
fn a_signed_answer_never_passes_for_an_access_token() {
    let mut scene = Scene::new(&signed(false));
    let mut claims = active();
    claims["token_introspection"] = active();
    let twofold = Token { claims, ..answer(active()) };
    let request = get("/orders/7").peer(ALICE).token(&twofold);
    assert_eq!(refused(scene.run(&request)).reason, Reason::TypUnacceptable);
}

#[test]
fn the_server_is_asked_for_a_signed_answer() {
    let mut scene = Scene::new(&signed(false));
    let mut exchange = scene.exchange(&bearer("opaque"));
    scene.poll(&mut exchange, Some(ALICE));
    let Some(Call { message: Message::Fetch(fetch), .. }) = scene.worker.next_call(at(0.0)) else { panic!() };
    assert!(fetch.headers.iter().any(|(name, value)| &**name == "accept" && &**value == SIGNED_ANSWER));
    scene.leave(&mut exchange);
}

#[test]
fn an_answer_waits_for_the_keys_that_it_is_signed_with() {
    let mut scene = Scene::new(&signed(true));
    let request = bearer("opaque");
    let mut exchange = scene.exchange(&request);
    assert!(matches!(scene.poll(&mut exchange, request.peer), Step::Wait));
    let (question, _) = scene.question().unwrap();
    assert_eq!(scene.answer(question, sent(&answer(active()))), [], "there are no keys");
    let keys = scene.fetch().unwrap();
    assert_eq!(scene.answer_with_keys(keys, &[jwk("k", 1)]), [ExchangeId(1)]);
    assert!(matches!(scene.poll(&mut exchange, request.peer), Step::Done(Verdict::Forward(_))));
}

#[test]
fn a_new_key_of_the_server_is_fetched_for_its_answer_and_nobody_is_refused() {
    let mut scene = Scene::new(&signed(true));
    scene.tick();
    let keys = scene.fetch().unwrap();
    scene.answer_with_keys(keys, &[jwk("k", 1)]);
    scene.seconds = 60.0;
    let now = at(60.0).wall.as_millis() / 1000;
    let new = answer(active()).header("kid", json!("new")).signed_by(2).claim("iat", json!(now));
    let request = bearer("opaque");
    let mut exchange = scene.exchange(&request);
    scene.poll(&mut exchange, request.peer);
    let (question, _) = scene.question().unwrap();
    assert_eq!(scene.answer(question, sent(&new)), []);
    let keys = scene.fetch().unwrap();
    assert_eq!(scene.answer_with_keys(keys, &[jwk("k", 1), jwk("new", 2)]), [ExchangeId(1)]);
    assert!(matches!(scene.poll(&mut exchange, request.peer), Step::Done(Verdict::Forward(_))));
}

#[test]
fn an_answer_whose_keys_do_not_come_is_given_up_with_its_time_out_and_asked_for_again() {
    let mut scene = Scene::new(&signed(true));
    let request = bearer("opaque");
    let mut exchange = scene.exchange(&request);
    scene.poll(&mut exchange, request.peer);
    let (question, _) = scene.question().unwrap();
    scene.answer(question, sent(&answer(active())));
    let keys = scene.fetch().unwrap();
    scene.answer(keys, Err(FetchFailed::NoAnswer));
    scene.seconds = 2.0;
    assert_eq!(scene.tick(), [ExchangeId(1)]);
    let Step::Done(verdict) = scene.poll(&mut exchange, request.peer) else { panic!() };
    assert_eq!(refused(verdict).reason, Reason::IntrospectionUnavailable);

    let keys = loop {
        scene.seconds += 0.1;
        scene.tick();
        if let Some(keys) = scene.fetch() {
            break keys;
        }
    };
    scene.answer_with_keys(keys, &[jwk("k", 1)]);
    let now = at(scene.seconds).wall.as_millis() / 1000;
    forwarded(scene.told(&request, sent(&answer(active()).claim("iat", json!(now)))));
}
