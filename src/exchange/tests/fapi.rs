//! A resource with `profile: fapi2` beside one without, which trust the same issuer: algorithms, also of remembered tokens;
//! clocks; the number of each interaction.

use p384::ecdsa::signature::Signer as _;
use serde_json::json;

use super::*;
use crate::observe::{Decision, audit_record};
use crate::policy::Profile;

const BANK: &str = "bank.example.com";
const SENT: &str = "93bac548-d2de-4546-B106-880a5018460d";
const MADE: &str = "00000000-0000-4000-8000-000000000000";

fn es384_key() -> p384::ecdsa::SigningKey {
    p384::ecdsa::SigningKey::from_slice(&[7; 48]).unwrap()
}

/// [`config`] and the same resource again under another host, with the profile. The issuer signs with ES384 too.
fn with_bank() -> Value {
    let mut config = config();
    let point = es384_key().verifying_key().to_sec1_point(false);
    let (x, y) = (base64url::encode(&point.as_bytes()[1..49]), base64url::encode(&point.as_bytes()[49..]));
    let keys = config["issuers"]["main"]["keys"]["keys"].as_array_mut().unwrap();
    keys.push(json!({"kty": "EC", "crv": "P-384", "kid": "strong", "x": x, "y": y}));
    config["issuers"]["main"]["algorithms"] = json!(["ES256", "ES384"]);
    let mut bank = config["resources"][0].clone();
    (bank["hosts"], bank["profile"], bank["realm"]) = (json!([BANK]), json!("fapi2"), json!("bank"));
    bank["routes"].as_array_mut().unwrap().retain(|route| route["bound"].is_null());
    config["resources"].as_array_mut().unwrap().push(bank);
    config
}

/// Alice's token, signed with ES384.
fn es384_token() -> String {
    let token = token().header("alg", json!("ES384")).header("kid", json!("strong"));
    let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
    let input = format!("{}.{}", part(&token.header), part(&token.claims));
    let signature: p384::ecdsa::Signature = es384_key().sign(input.as_bytes());
    format!("{input}.{}", base64url::encode(&signature.to_bytes()))
}

fn order(token: &str) -> Request {
    get("/orders/7").peer(ALICE).header("authorization", &format!("Bearer {token}"))
}

#[test]
fn a_token_with_another_algorithm_is_refused_whatever_its_issuer_may_sign_with() {
    let mut scene = Scene::new(&with_bank());
    assert_eq!(refused(scene.run(&order(&es384_token()).host(BANK))).reason, Reason::AlgorithmNotAllowed);
    forwarded(scene.run(&order(&token().text()).host(BANK)));
}

#[test]
fn a_token_with_another_algorithm_is_refused_also_where_it_is_remembered_from_another_resource() {
    let mut scene = Scene::new(&with_bank());
    let strong = es384_token();
    for _ in 0..2 {
        forwarded(scene.run(&order(&strong)));
        let refusal = refused(scene.run(&order(&strong).host(BANK)));
        assert_eq!(refusal.reason, Reason::AlgorithmNotAllowed);
        let challenge = header(&refusal, "www-authenticate").unwrap();
        assert!(challenge.starts_with(r#"Bearer realm="bank", error="invalid_token""#), "{challenge}");
    }
    let usual = token().text();
    forwarded(scene.run(&order(&usual)));
    forwarded(scene.run(&order(&usual).host(BANK)));
}

#[test]
fn a_token_from_ten_seconds_in_the_future_passes_and_one_from_beyond_a_minute_does_not() {
    let now = at(0.0).wall.as_millis() / 1000;
    for leeway in ["10s", "30s", "1m"] {
        let mut config = with_bank();
        config["issuers"]["main"]["leeway"] = json!(leeway);
        let mut scene = Scene::new(&config);
        for claim in ["iat", "nbf"] {
            let mut run = |ahead: u64| {
                let token = token().claim(claim, json!(now + ahead)).claim("exp", json!(now + 300));
                scene.run(&order(&token.text()).host(BANK))
            };
            forwarded(run(0));
            forwarded(run(10));
            assert_eq!(refused(run(61)).reason, Reason::TokenNotYetValid);
        }
    }
}

#[test]
fn an_unbound_token_never_passes() {
    let token = token().claim("cnf", json!(null)).text();
    assert_eq!(refused(Scene::new(&with_bank()).run(&order(&token).host(BANK))).reason, Reason::TokenUnbound);
}

/// The number of the interaction of a request, what the upstream is told, and the audit record.
fn numbered(config: &Value, request: &Request) -> (Option<String>, Option<String>, Value) {
    let mut scene = Scene::new(config);
    let mut exchange = scene.exchange(request);
    let Step::Done(verdict) = scene.poll(&mut exchange, request.peer) else { panic!("it waits") };
    let number = exchange.facts().interaction.as_ref().map(|interaction| interaction.text().to_string());
    let record = audit_record(exchange.facts(), Decision::from(&verdict));
    let told = match &verdict {
        Verdict::Forward(forward) => Some(forward.upstream()),
        Verdict::Report(_, upstream) => Some(upstream),
        Verdict::Refuse(_) => None,
    };
    let mut set = told.into_iter().flat_map(|upstream| &upstream.set);
    let told = set.find(|(name, _)| name == Profile::INTERACTION_ID).map(|(_, value)| value.clone());
    (number, told, serde_json::from_str(&record).unwrap())
}

#[test]
fn every_request_has_a_number_whatever_becomes_of_it() {
    let passes = order(&token().text());
    for (request, reason) in [
        (passes.clone(), None),
        (get("/healthz"), None),
        (get("/orders/7"), Some("token-missing")),
        (order("x"), Some("token-malformed")),
        (get("/nowhere"), Some("route-unknown")),
        (get("/orders/a%2Fb"), Some("path-ambiguous")),
        (get("/orders/../x"), Some("path-ambiguous")),
        (request("CONNECT", "/"), Some("method-refused")),
        (request("DELETE", "/orders/7"), Some("method-not-allowed")),
        (get("/mesh"), Some("peer-missing")),
    ] {
        let request = request.host(BANK);
        let (number, told, record) = numbered(&with_bank(), &request.clone().header(Profile::INTERACTION_ID, SENT));
        assert_eq!((number.as_deref(), told), (Some(SENT), None), "{record}");
        assert_eq!((record["reason"].as_str(), record["interaction_id"].as_str()), (reason, Some(SENT)));
        for sent in [None, Some("7")] {
            let request =
                sent.iter().fold(request.clone(), |request, sent| request.header(Profile::INTERACTION_ID, sent));
            let (number, told, record) = numbered(&with_bank(), &request);
            assert_eq!(number.as_deref(), Some(MADE), "{record}");
            assert_eq!(told.as_deref(), reason.is_none().then_some(MADE));
            assert_eq!(record["interaction_id"], MADE);
        }
    }
}

#[test]
fn a_resource_that_only_reports_numbers_its_requests_as_well() {
    let mut config = with_bank();
    config["resources"][1]["mode"] = json!("report");
    let (number, told, _) = numbered(&config, &get("/orders/7").host(BANK));
    assert_eq!((number.as_deref(), told.as_deref()), (Some(MADE), Some(MADE)));
}

#[test]
fn a_resource_without_the_profile_numbers_nothing() {
    for request in [order(&token().text()), get("/nowhere"), get("/healthz").host("other.example.com")] {
        let request = request.header(Profile::INTERACTION_ID, "7");
        let (number, told, record) = numbered(&with_bank(), &request);
        assert_eq!((number, told, record.get("interaction_id")), (None, None, None));
    }
}
