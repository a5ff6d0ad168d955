//! Tokens that are bound to a key, and the proofs that come with them.

use super::*;
use crate::binding::dpop::tests::Client;

pub(super) const ORIGIN: &str = "https://api.example.com";
pub(super) const KEY: u8 = 7;

/// Routes for every way of binding.
pub(super) fn config() -> Value {
    json!({
        "issuers": {"main": {
            "issuer": "https://as.example.com", "keys": {"keys": [jwk("k", 1)]}, "algorithms": ["ES256"], "max_lifetime": "15m"
        }},
        "resources": [{
            "hosts": ["api.example.com"], "audiences": ["https://api.example.com"], "issuers": ["main"], "realm": "api",
            "origin": ORIGIN,
            "routes": [
                {"path": "/healthz", "access": "public"},
                {"path": "/orders/{id}", "methods": ["GET", "POST"], "scopes": ["read:orders"]},
                {"path": "/key", "bound": "dpop"},
                {"path": "/mtls", "bound": "mtls"},
                {"path": "/plain", "bound": "when-bound"}
            ]
        }]
    })
}

pub(super) fn with_nonces() -> Value {
    let mut config = config();
    config["resources"][0]["dpop"] = json!({"nonce": true});
    config
}

/// A token for the key of `seed`.
pub(super) fn bound_to_key(seed: u8) -> Token {
    token().claim("cnf", json!({"jkt": Client::new(seed, ORIGIN, "", 0.0).jkt()}))
}

pub(super) fn client(path: &str, token: &Token) -> Client {
    Client::new(KEY, &format!("{ORIGIN}{path}"), &token.text(), 0.0)
}

/// `GET path` as an honest client sends it.
pub(super) fn proved(path: &str, token: &Token) -> Request {
    let client = client(path, token);
    by(path, token, &client)
}

pub(super) fn by(path: &str, token: &Token, client: &Client) -> Request {
    get(path).header("authorization", &format!("DPoP {}", token.text())).header("dpop", &client.proof())
}

/// The same token with a proof that nobody has seen.
pub(super) fn fresh(path: &str, token: &Token, jti: u32) -> Request {
    by(path, token, &client(path, token).claim("jti", json!(jti.to_string())))
}

pub(super) fn challenges(refusal: &Refusal) -> Vec<String> {
    let headers = refusal.answer(AnswerForm::Problem, TOLD, at(0.0).wall).headers;
    headers.into_iter().filter(|(name, _)| *name == "www-authenticate").map(|(_, value)| value).collect()
}

pub(super) const ALGS: &str = "algs=\"ES256 PS256 Ed25519 EdDSA\"";

#[test]
fn a_token_for_a_key_goes_upstream_with_a_proof_and_the_proof_does_not() {
    let mut scene = Scene::new(&config());
    let token = bound_to_key(KEY);
    for path in ["/orders/7", "/orders/7?x=1", "/key", "/plain"] {
        let client = client(path, &token).claim("jti", json!(path));
        let forward = forwarded(scene.run(&by(path, &token, &client)));
        assert_eq!(forward.upstream().remove, ["dpop"], "{path}");
    }
    for scheme in ["dpop", "DPOP", "Dpop"] {
        let client = client("/key", &token).claim("jti", json!(scheme));
        let request =
            get("/key").header("authorization", &format!("{scheme} {}", token.text())).header("dpop", &client.proof());
        forwarded(scene.run(&request));
    }
    let mut forwarding = config();
    forwarding["resources"][0]["dpop"] = json!({"forward": true});
    let forward = forwarded(Scene::new(&forwarding).run(&proved("/key", &token)));
    assert_eq!(forward.upstream().remove, Vec::<String>::new());
    let forward = forwarded(scene.run(&get("/healthz").header("dpop", "x")));
    assert_eq!(forward.upstream().remove, ["dpop"], "nor from whom nothing is demanded");
}

#[test]
fn what_is_demanded_of_a_token_is_kept_in_either_scheme() {
    let mut scene = Scene::new(&config());
    let both = token().claim("cnf", json!({"x5t#S256": base64url::encode(&ALICE), "jkt": client("", &token()).jkt()}));
    let (by_key, by_certificate, plain) = (bound_to_key(KEY), token(), token().claim("cnf", Value::Null));
    let mut number = 0;
    let mut judged = |token: &Token, path: &str, proof: bool, peer: Option<[u8; 32]>| {
        number += 1;
        let request = if proof { fresh(path, token, number) } else { get(path).token(token) };
        match scene.run(&Request { peer, ..request }) {
            Verdict::Forward(_) => None,
            Verdict::Refuse(refusal) | Verdict::Report(refusal, _) => Some(refusal.reason),
        }
    };
    use Reason::{BindingMismatch, CertificateMissing, SchemeMismatch, TokenUnbound};
    for (what, token, path, proof, peer, expected) in [
        ("key", &by_key, "/orders/7", true, None, None),
        ("key beside a certificate", &by_key, "/orders/7", true, Some(ALICE), None),
        ("key as bearer", &by_key, "/orders/7", false, Some(ALICE), Some(SchemeMismatch)),
        ("key as bearer where none must be", &by_key, "/plain", false, None, Some(SchemeMismatch)),
        ("key where a certificate must be", &by_key, "/mtls", true, Some(ALICE), Some(TokenUnbound)),
        ("certificate", &by_certificate, "/orders/7", false, Some(ALICE), None),
        ("certificate with a proof", &by_certificate, "/orders/7", true, Some(ALICE), Some(SchemeMismatch)),
        ("certificate where a key must be", &by_certificate, "/key", false, Some(ALICE), Some(TokenUnbound)),
        ("plain", &plain, "/plain", false, None, None),
        ("plain with a proof", &plain, "/plain", true, None, Some(SchemeMismatch)),
        ("plain where it must not be", &plain, "/orders/7", false, Some(ALICE), Some(TokenUnbound)),
        ("both", &both, "/orders/7", true, Some(ALICE), None),
        ("both for a certificate", &both, "/mtls", true, Some(ALICE), None),
        ("both for a key", &both, "/key", true, Some(ALICE), None),
        ("both without a proof", &both, "/orders/7", false, Some(ALICE), Some(SchemeMismatch)),
        ("both without a certificate", &both, "/orders/7", true, None, Some(CertificateMissing)),
        ("both with another certificate", &both, "/key", true, Some(BOB), Some(BindingMismatch)),
    ] {
        assert_eq!(judged(token, path, proof, peer), expected, "{what}");
    }
}

#[test]
fn a_resource_without_an_origin_takes_no_token_for_a_key() {
    let mut scene = Scene::new(&super::config());
    let token = bound_to_key(KEY);
    assert_eq!(refused(scene.run(&get("/plain").token(&token))).reason, Reason::ConfirmationUnusable);
    let refusal = refused(scene.run(&proved("/plain", &token)));
    assert_eq!(refusal.reason, Reason::TokenMissing);
    assert!(challenges(&refusal)[0].starts_with("Bearer realm=\"api\", resource_metadata="));
}

#[test]
fn every_wrong_proof_has_its_reason_and_one_challenge() {
    let token = bound_to_key(KEY);
    let (text, path) = (token.text(), "/orders/7");
    let good = client(path, &token);
    let authorized = || get(path).header("authorization", &format!("DPoP {text}"));
    let with = |client: Client| authorized().header("dpop", &client.proof());
    for (what, request, reason) in [
        ("none", authorized(), Reason::ProofMissing),
        ("two", with(good.clone()).header("dpop", &good.proof()), Reason::ProofRepeated),
        ("two in one", authorized().header("dpop", &format!("{0},{0}", good.proof())), Reason::ProofRepeated),
        ("none that is one", authorized().header("dpop", "x"), Reason::ProofMalformed),
        ("another typ", with(good.clone().header("typ", json!("JWT"))), Reason::ProofMalformed),
        ("another algorithm", with(good.clone().header("alg", json!("HS256"))), Reason::ProofMalformed),
        ("another method", with(good.clone().claim("htm", json!("POST"))), Reason::ProofElsewhere),
        ("another path", with(good.clone().claim("htu", json!("https://api.example.com/key"))), Reason::ProofElsewhere),
        (
            "another host",
            with(good.clone().claim("htu", json!("https://evil.example/orders/7"))),
            Reason::ProofElsewhere,
        ),
        ("another token", with(good.clone().claim("ath", json!("x"))), Reason::ProofElsewhere),
        ("old", with(good.clone().claim("iat", json!(1))), Reason::ProofUntimely),
        (
            "another key's signature",
            with(good.clone().header("jwk", Client::new(8, path, &text, 0.0).header["jwk"].clone())),
            Reason::KeyMismatch,
        ),
    ] {
        let mut scene = Scene::new(&config());
        let refusal = refused(scene.run(&request));
        assert_eq!(refusal.reason, reason, "{what}");
        let challenges = challenges(&refusal);
        if reason == Reason::KeyMismatch {
            assert!(challenges[1].starts_with("DPoP realm=\"api\", error=\"invalid_token\""), "{challenges:?}");
            continue;
        }
        let text =
            if reason == Reason::ProofMissing { "A DPoP proof is required" } else { "The DPoP proof is invalid" };
        let expected =
            format!("DPoP realm=\"api\", error=\"invalid_dpop_proof\", error_description=\"{text}\", {ALGS}");
        assert_eq!(challenges, [expected], "{what}");
        forwarded(scene.run(&with(good.clone())));
    }
    let (input, _) = good.proof().rsplit_once('.').map(|(input, rest)| (input.to_owned(), rest.to_owned())).unwrap();
    let forged = authorized().header("dpop", &format!("{input}.{}", base64url::encode(&[1; 64])));
    assert_eq!(refused(Scene::new(&config()).run(&forged)).reason, Reason::ProofInvalid);
}

#[test]
fn challenges_say_what_is_taken_and_what_is_wrong_with_what_came() {
    let mut scene = Scene::new(&config());
    let bare = |scheme: &str| match scheme {
        "DPoP" => format!("DPoP realm=\"api\", {ALGS}"),
        other => format!("{other} realm=\"api\""),
    };
    for (path, expected) in [
        ("/orders/7", vec![bare("Bearer"), bare("DPoP")]),
        ("/plain", vec![bare("Bearer"), bare("DPoP")]),
        ("/key", vec![bare("DPoP")]),
        ("/mtls", vec![bare("Bearer")]),
    ] {
        let refusal = refused(scene.run(&get(path)));
        assert_eq!((refusal.reason, challenges(&refusal)), (Reason::TokenMissing, expected.clone()), "{path}");
        let refusal = refused(scene.run(&get(path).header("dpop", "a.b.c")));
        assert_eq!((refusal.reason, challenges(&refusal)), (Reason::TokenMissing, expected), "a proof without a token");
    }
    let invalid = "error=\"invalid_token\", error_description=\"The access token is invalid\"";
    let downgraded = refused(scene.run(&get("/orders/7").token(&bound_to_key(KEY))));
    assert_eq!(challenges(&downgraded), [format!("Bearer realm=\"api\", {invalid}"), bare("DPoP")]);
    let upgraded = refused(scene.run(&proved("/plain", &token().claim("cnf", Value::Null))));
    assert_eq!(challenges(&upgraded), [bare("Bearer"), format!("DPoP realm=\"api\", {invalid}, {ALGS}")]);
    let two = get("/orders/7").header("authorization", "Bearer a").header("authorization", "DPoP b");
    let several = challenges(&refused(scene.run(&two)));
    assert!(several.len() == 2 && several.iter().all(|one| one.contains("error=\"invalid_request\"")), "{several:?}");
    let no_scope = bound_to_key(KEY).claim("scope", json!("other"));
    let refusal = refused(scene.run(&proved("/orders/7", &no_scope)));
    assert_eq!((refusal.reason, challenges(&refusal).len()), (Reason::ScopeMissing, 1));
    assert!(
        challenges(&refusal)[0].starts_with("DPoP realm=\"api\", error=\"insufficient_scope\", scope=\"read:orders\"")
    );
}

#[test]
fn a_proof_passes_once_in_all_workers_and_under_every_configuration() {
    let token = bound_to_key(KEY);
    let mut scene = Scene::new(&config());
    forwarded(scene.run(&proved("/key", &token)));
    assert_eq!(refused(scene.run(&proved("/key", &token))).reason, Reason::ProofReplayed);
    let policy = policy(&with_nonces());
    let mut other = Worker::new(FilterId::new(b"another"), &scene.policy, &scene.host);
    std::mem::swap(&mut scene.worker, &mut other);
    assert_eq!(refused(scene.run(&proved("/key", &token))).reason, Reason::ProofReplayed);
    scene.worker.adopt(&policy);
    assert_eq!(refused(scene.run(&proved("/key", &token))).reason, Reason::ProofReplayed);
    forwarded(scene.run(&fresh("/key", &token, 2)));
}

#[test]
fn a_proof_that_cannot_be_remembered_is_refused_as_unavailable() {
    let mut scene = Scene::new(&config());
    let token = bound_to_key(KEY);
    forwarded(scene.run(&proved("/key", &token)));
    for key in scene.host.keys("boundgate/proofs/") {
        scene.host.overwrite(&key, b"x");
    }
    // What nobody knows any more may have been there.
    let refusal = refused(scene.run(&proved("/key", &token)));
    assert_eq!(refusal.reason, Reason::ProofsCrowded);
    assert_eq!(header(&refusal, "retry-after").as_deref(), Some("1"));
}

#[test]
fn a_nonce_is_asked_for_and_each_answer_carries_one_until_the_client_has_it() {
    let mut scene = Scene::new(&with_nonces());
    let token = bound_to_key(KEY).claim("exp", json!(at(600.0).wall.as_millis() / 1000));
    let nonce_of = |refusal: &Refusal| header(refusal, "dpop-nonce");
    let refusal = refused(scene.run(&proved("/key", &token)));
    let expected = format!(
        "DPoP realm=\"api\", error=\"use_dpop_nonce\", error_description=\"The DPoP proof needs a nonce\", {ALGS}"
    );
    assert_eq!((refusal.reason, challenges(&refusal)), (Reason::NonceNeeded, vec![expected]));
    assert_eq!(header(&refusal, "cache-control").as_deref(), Some("no-store"));
    let nonce = nonce_of(&refusal).unwrap();
    let with = |jti: &str, nonce: &str| client("/key", &token).claim("nonce", json!(nonce)).claim("jti", json!(jti));
    let run = |scene: &mut Scene, client: &Client| {
        let request = by("/key", &token, client);
        let mut exchange = scene.exchange(&request);
        let Step::Done(verdict) = scene.poll(&mut exchange, None) else { panic!("it waits") };
        (verdict, exchange.take_facts().nonce)
    };
    let (verdict, told) = run(&mut scene, &with("1", &nonce));
    forwarded(verdict);
    assert_eq!(told, None, "it has got it");
    // Every other answer to a request without the nonce has it as well.
    let refusal = refused(scene.run(&get("/key").header("authorization", &format!("DPoP {}", token.text()))));
    assert_eq!((refusal.reason, nonce_of(&refusal)), (Reason::ProofMissing, Some(nonce.clone())));
    scene.worker = Worker::new(FilterId::new(b"filter"), &scene.policy, &scene.host);
    scene.seconds = 200.0;
    let (verdict, told) = run(&mut scene, &with("2", &nonce));
    forwarded(verdict);
    let next = told.unwrap();
    assert_ne!(*next, *nonce, "the one before is still good, and the next is handed out");
    let (verdict, told) = run(&mut scene, &with("3", &next));
    forwarded(verdict);
    assert_eq!(told, None);
    scene.seconds = 360.0;
    let refusal = refused(scene.run(&by("/key", &token, &with("4", &nonce))));
    assert_eq!(refusal.reason, Reason::NonceNeeded);
    let bearer = refused(scene.run(&get("/key")));
    assert_eq!(nonce_of(&bearer), None, "nobody asked");
}

#[test]
fn a_source_pays_for_a_proof_before_it_is_verified_and_gets_it_back_if_that_is_right() {
    let mut config = config();
    config["limits"] = json!({"work": {"key": ["ip"], "rate": "3/h", "on": ["verification"]}});
    config["resources"][0]["limits"] = json!(["work"]);
    config["resources"][0]["routes"][0]["limits"] = json!("none");
    let mut scene = Scene::new(&config);
    let token = bound_to_key(KEY);
    for jti in 0..20 {
        forwarded(scene.run(&fresh("/key", &token, jti)));
    }
    let forged = |jti: u32| {
        let (input, _) = client("/key", &token)
            .claim("jti", json!(format!("f{jti}")))
            .proof()
            .rsplit_once('.')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        let proof = format!("{input}.{}", base64url::encode(&[1; 64]));
        get("/key").header("authorization", &format!("DPoP {}", token.text())).header("dpop", &proof)
    };
    // The token itself was the first of three.
    let reasons: Vec<Reason> = (0..4).map(|jti| refused(scene.run(&forged(jti))).reason).collect();
    use Reason::{ProofInvalid, SourceLockedOut};
    assert_eq!(reasons, [ProofInvalid, ProofInvalid, SourceLockedOut, SourceLockedOut]);
    // What costs no signature is refused for what it is.
    assert_eq!(refused(scene.run(&fresh("/key", &token, 1))).reason, Reason::ProofReplayed);
}

#[test]
fn a_proof_is_used_up_once_by_a_request_that_waits_for_keys() {
    let mut remote = config();
    let issuer = remote["issuers"]["main"].as_object_mut().unwrap();
    issuer.remove("keys");
    issuer.insert("jwks".into(), json!({"cluster": "as", "uri": "https://as.example.com/jwks"}));
    let mut scene = Scene::new(&remote);
    let request = proved("/key", &bound_to_key(KEY));
    let mut exchange = scene.exchange(&request);
    assert!(matches!(scene.poll(&mut exchange, None), Step::Wait));
    let call = scene.fetch().unwrap();
    scene.answer_with_keys(call, &[jwk("k", 1)]);
    let Step::Done(verdict) = scene.poll(&mut exchange, None) else { panic!("it waits") };
    forwarded(verdict);
}

#[test]
fn the_record_says_what_is_wrong_with_a_proof_and_never_the_proof() {
    let mut scene = Scene::new(&config());
    let token = bound_to_key(KEY);
    let client = client("/key", &token).claim("htm", json!("POST"));
    let request = by("/key", &token, &client);
    let mut exchange = scene.exchange(&request);
    let Step::Done(verdict) = scene.poll(&mut exchange, None) else { panic!("it waits") };
    let record = crate::observe::audit_record(&exchange.take_facts(), (&verdict).into());
    let read: Value = serde_json::from_str(&record).unwrap();
    assert_eq!((&read["claim"], &read["because"]), (&json!("htm"), &json!("another method")));
    assert!(!record.contains(&client.proof()[..20]) && !record.contains(&token.text()[..20]), "{record}");
}

#[test]
fn a_token_of_keycloak_for_a_key_needs_its_proof() {
    let mut config = config();
    config["issuers"]["main"]["profile"] = json!("keycloak");
    let of_keycloak = |cnf: Value| {
        bound_to_key(KEY)
            .claim("azp", json!("app"))
            .claim("typ", json!("DPoP"))
            .claim("cnf", cnf)
            .header("typ", json!("JWT"))
    };
    let token = of_keycloak(json!({"jkt": client("", &token()).jkt()}));
    let mut scene = Scene::new(&config);
    forwarded(scene.run(&proved("/key", &token)));
    assert_eq!(refused(scene.run(&get("/plain").token(&token))).reason, Reason::SchemeMismatch);
    let without = of_keycloak(Value::Null);
    assert_eq!(refused(scene.run(&get("/plain").token(&without))).reason, Reason::ConfirmationUnusable);
}

#[test]
fn an_opaque_token_for_a_key_needs_its_proof() {
    let mut config = config();
    let main = &mut config["issuers"]["main"];
    main.as_object_mut().unwrap().retain(|key, _| key == "issuer");
    main["introspection"] = json!({"cluster": "as", "uri": "https://as.example.com/introspect"});
    let mut scene = Scene::new(&config);
    let client = Client::new(KEY, &format!("{ORIGIN}/key"), "opaque", 0.0);
    let mut answer = introspection::active();
    answer["cnf"] = json!({"jkt": client.jkt()});
    answer["token_type"] = json!("DPoP");
    let request = get("/key").header("authorization", "DPoP opaque").header("dpop", &client.proof());
    forwarded(scene.told(&request, introspection::said(200, answer.to_string().into_bytes())));
    assert_eq!(refused(scene.run(&request)).reason, Reason::ProofReplayed);
    let bearer = get("/key").header("authorization", "Bearer opaque");
    assert_eq!(refused(scene.run(&bearer)).reason, Reason::SchemeMismatch);
}

#[test]
fn what_limits_refuse_takes_no_room_for_proofs() {
    let mut config = config();
    config["limits"] = json!({"per-client": {"key": ["client_id"], "rate": "2/min", "burst": 1}});
    config["resources"][0]["limits"] = json!(["per-client"]);
    config["resources"][0]["routes"][0]["limits"] = json!("none");
    let mut scene = Scene::new(&config);
    let token = bound_to_key(KEY);
    forwarded(scene.run(&fresh("/key", &token, 0)));
    let remembered = scene.host.keys("boundgate/proofs/").len();
    for jti in 1..20 {
        let refusal = refused(scene.run(&fresh("/key", &token, jti)));
        assert_eq!(refusal.reason, Reason::OverLimit);
        assert_eq!(refusal.violated_limits().collect::<Vec<_>>(), ["per-client"]);
        assert!(header(&refusal, "retry-after").is_some());
    }
    assert_eq!(scene.host.keys("boundgate/proofs/").len(), remembered);
    scene.seconds = 30.0;
    forwarded(scene.run(&fresh("/key", &token, 1)));
    scene.seconds = 59.0;
    assert_eq!(refused(scene.run(&fresh("/key", &token, 1))).reason, Reason::ProofReplayed);
    // Without the key nobody learns that, nor spends anything.
    let thief = Client::new(KEY + 1, &format!("{ORIGIN}/key"), &token.text(), 59.0);
    assert_eq!(refused(scene.run(&by("/key", &token, &thief))).reason, Reason::KeyMismatch);
}
