//! Tokens whose state stands in a list of their issuer.

use super::*;
use crate::verdict::Detail;

const URI: &str = "https://as.example.com/statuslists/1";

fn listing(on_stale: &str) -> Value {
    let mut config = config();
    config["issuers"]["main"]["revocation"] = json!({
        "on_stale": on_stale, "max_stale": "2m",
        "status_lists": {"cluster": "as", "uri": "https://as.example.com/statuslists/", "max_bytes": "1KiB", "max_lists": 2}
    });
    config
}

fn order(status: Value) -> Request {
    get("/orders/7").peer(ALICE).token(&token().claim("status", status))
}

fn at_place(index: u64) -> Request {
    order(json!({"status_list": {"idx": index, "uri": URI}}))
}

/// The list of the draft's first example: places 0 and 3 are revoked, 1 and 2 are not.
fn list() -> Token {
    let claims = json!({
        "sub": URI, "iat": at(0.0).wall.as_millis() / 1000, "status_list": {"bits": 1, "lst": "eNrbuRgAAhcBXQ"}
    });
    Token { header: json!({"alg": "ES256", "kid": "k", "typ": "statuslist+jwt"}), claims, seed: 1 }
}

fn signed(list: &Token) -> Result<Answered, FetchFailed> {
    Ok(Answered::Http(HttpAnswer { status: 200, body: list.text().into_bytes(), ..HttpAnswer::default() }))
}

/// The verdict on a request that waits for its list, which is answered so.
fn waits_for(scene: &mut Scene, request: &Request, answer: Result<Answered, FetchFailed>) -> Verdict {
    let mut exchange = scene.exchange(request);
    assert!(matches!(scene.poll(&mut exchange, request.peer), Step::Wait));
    let (call, path) = scene.fetch_from().unwrap();
    assert_eq!(path, "/statuslists/1");
    if scene.answer(call, answer).is_empty() {
        scene.seconds += 6.0;
        assert_eq!(scene.tick(), [ExchangeId(request.id)], "it waits no longer than one fetch may take");
    }
    match scene.poll(&mut exchange, request.peer) {
        Step::Done(verdict) => verdict,
        Step::Wait => panic!("it waits on"),
    }
}

#[test]
fn the_first_token_of_a_list_waits_for_it_and_others_go_by_it() {
    let mut scene = Scene::new(&listing("refuse"));
    forwarded(waits_for(&mut scene, &at_place(1), signed(&list())));
    forwarded(scene.run(&at_place(2)));
    assert_eq!(refused(scene.run(&at_place(0))).reason, Reason::TokenRevoked);
    assert_eq!(refused(scene.run(&at_place(16))).reason, Reason::StatusUnusable, "behind the end");
    forwarded(scene.run(&get("/orders/7").peer(ALICE).token(&token())));
    assert!(scene.fetch().is_none(), "one fetch for all");
}

#[test]
fn a_known_token_ends_when_its_list_says_so() {
    let mut scene = Scene::new(&listing("refuse"));
    forwarded(waits_for(&mut scene, &at_place(1), signed(&list())));
    scene.seconds = 31.0;
    scene.tick();
    let (call, _) = scene.fetch_from().unwrap();
    let mut next = list();
    next.claims["status_list"]["lst"] = json!(base64url::encode(&miniz_oxide::deflate::compress_to_vec_zlib(&[2], 9)));
    scene.answer(call, signed(&next));
    assert_eq!(refused(scene.run(&at_place(1))).reason, Reason::TokenRevoked);
}

#[test]
fn a_status_that_leads_elsewhere_is_refused_and_nothing_is_fetched() {
    for status in [
        json!({"status_list": {"idx": 1, "uri": "https://169.254.169.254/statuslists/1"}}),
        json!({"status_list": {"idx": 1, "uri": "https://as.example.com/other/1"}}),
        json!({"status_list": {"idx": -1, "uri": URI}}),
        json!({"status_list": {"idx": "1", "uri": URI}}),
        json!({"another_mechanism": {}}),
        json!("valid"),
        json!(null),
    ] {
        let request = order(status.clone());
        let mut scene = Scene::new(&listing("allow"));
        if status.is_null() {
            forwarded(scene.run(&request));
        } else {
            assert_eq!(refused(scene.run(&request)).reason, Reason::StatusUnusable, "{status}");
        }
        assert!(scene.fetch().is_none(), "{status}");
        forwarded(Scene::new(&config()).run(&request));
    }
}

#[test]
fn a_list_that_may_not_be_believed_counts_as_none() {
    let with = |edit: fn(&mut Token)| {
        let mut list = list();
        edit(&mut list);
        list
    };
    for (what, list) in [
        ("another's signature", list().signed_by(2)),
        ("a key that it brings itself", with(|list| list.header["jwk"] = jwk("k", 2)).signed_by(2)),
        ("a certificate that it brings itself", with(|list| list.header["x5c"] = json!(["MIIB"])).signed_by(2)),
        ("an access token", with(|list| list.header["typ"] = json!("at+jwt"))),
        ("no typ", with(|list| drop(list.header.as_object_mut().unwrap().remove("typ")))),
        ("another algorithm", with(|list| list.header["alg"] = json!("ES384"))),
        ("another key", with(|list| list.header["kid"] = json!("x"))),
        ("another list", with(|list| list.claims["sub"] = json!("https://as.example.com/statuslists/2"))),
        ("expired", with(|list| list.claims["exp"] = json!(1000))),
        ("three bits", with(|list| list.claims["status_list"]["bits"] = json!(3))),
        (
            "a bomb",
            with(|list| {
                let bomb = miniz_oxide::deflate::compress_to_vec_zlib(&vec![0; 1 << 20], 9);
                list.claims["status_list"]["lst"] = json!(base64url::encode(&bomb));
            }),
        ),
    ] {
        let refusal = refused(waits_for(&mut Scene::new(&listing("refuse")), &at_place(1), signed(&list)));
        assert_eq!(refusal.reason, Reason::RevocationStale, "{what}");
        assert!(matches!(refusal.detail, Detail::RetryAfter(_)), "{what}");
        forwarded(waits_for(&mut Scene::new(&listing("allow")), &at_place(1), signed(&list)));
    }
    let list = get("/orders/7").peer(ALICE).token(&list());
    assert_ne!(refused(Scene::new(&listing("allow")).run(&list)).reason, Reason::TokenRevoked, "it is no access token");
}

#[test]
fn a_list_that_is_stale_refuses_what_it_refused_and_else_as_configured() {
    for on_stale in ["refuse", "allow"] {
        let mut scene = Scene::new(&listing(on_stale));
        forwarded(waits_for(&mut scene, &at_place(1), signed(&list())));
        scene.seconds = 121.0;
        assert_eq!(refused(scene.run(&at_place(0))).reason, Reason::TokenRevoked);
        match waits_for(&mut scene, &at_place(1), Err(FetchFailed::NoAnswer)) {
            Verdict::Forward(_) => assert_eq!(on_stale, "allow"),
            verdict => assert_eq!((on_stale, refused(verdict).reason), ("refuse", Reason::RevocationStale)),
        }
    }
}

#[test]
fn a_list_that_ends_by_itself_is_fetched_anew_and_nobody_is_refused_meanwhile() {
    let mut config = listing("refuse");
    config["issuers"]["main"]["revocation"]["refresh"] = json!("1m");
    let mut scene = Scene::new(&config);
    let ends_at = |seconds: f64| {
        let mut list = list();
        list.claims["exp"] = json!(at(seconds).wall.as_millis() / 1000);
        list
    };
    forwarded(waits_for(&mut scene, &at_place(1), signed(&ends_at(10.0))));
    scene.seconds = 9.0;
    scene.tick();
    assert!(scene.fetch().is_none(), "it is good");
    scene.seconds = 10.0;
    scene.tick();
    let (call, _) = scene.fetch_from().expect("it has ended");
    forwarded(scene.run(&at_place(1)));
    scene.answer(call, signed(&ends_at(10.0)));
    scene.tick();
    assert!(scene.fetch().is_none(), "not again at once, for the same");
    scene.seconds = 11.5;
    scene.tick();
    let (call, _) = scene.fetch_from().expect("it has ended");
    scene.answer(call, signed(&ends_at(70.0)));
    scene.seconds = 45.0;
    scene.tick();
    assert!(scene.fetch().is_none());
    forwarded(scene.run(&at_place(1)));
}

#[test]
fn a_list_that_a_new_key_signed_is_believed_once_that_key_is_fetched() {
    let mut config = remote_keys();
    config["issuers"]["main"]["revocation"] = listing("refuse")["issuers"]["main"]["revocation"].clone();
    let mut scene = Scene::new(&config);
    let request = at_place(1);
    let mut exchange = scene.exchange(&request);
    assert!(matches!(scene.poll(&mut exchange, request.peer), Step::Wait));
    let keys = scene.fetch().unwrap();
    scene.answer_with_keys(keys, &[jwk("k", 1)]);
    assert!(matches!(scene.poll(&mut exchange, request.peer), Step::Wait));
    let (call, _) = scene.fetch_from().unwrap();
    let mut rotated = list().signed_by(2);
    rotated.header["kid"] = json!("k2");
    assert_eq!(scene.answer(call, signed(&rotated)), [], "its key is unknown");
    let (call, path) = scene.fetch_from().expect("keys");
    assert_eq!(path, "/jwks");
    scene.answer_with_keys(call, &[jwk("k", 1), jwk("k2", 2)]);
    scene.seconds += 0.5;
    scene.tick();
    let (call, path) = scene.fetch_from().expect("the list");
    assert_eq!(path, "/statuslists/1");
    assert_eq!(scene.answer(call, signed(&rotated)), [ExchangeId(request.id)]);
    match scene.poll(&mut exchange, request.peer) {
        Step::Done(verdict) => forwarded(verdict),
        Step::Wait => panic!("it waits on"),
    };
}

#[test]
fn lists_of_another_issuer_push_out_none() {
    let mut config = listing("refuse");
    let mut other = config["issuers"]["main"].clone();
    other["issuer"] = json!("https://other.example.com");
    other["revocation"]["status_lists"]["max_lists"] = json!(1);
    config["issuers"]["other"] = other;
    config["resources"][0]["issuers"] = json!(["main", "other"]);
    let mut scene = Scene::new(&config);
    forwarded(waits_for(&mut scene, &at_place(1), signed(&list())));
    let of_other = token()
        .claim("iss", json!("https://other.example.com"))
        .claim("status", json!({"status_list": {"idx": 1, "uri": URI}}));
    let of_other = get("/orders/7").peer(ALICE).token(&of_other);
    forwarded(waits_for(&mut scene, &of_other, signed(&list())));
    forwarded(scene.run(&at_place(2)));
    forwarded(scene.run(&of_other));
    assert!(scene.fetch().is_none());
}

#[test]
fn a_token_that_waits_for_its_list_is_asked_about_once_however_short_the_answer_counts() {
    let asked = |on_stale: &str| {
        let mut config = listing(on_stale);
        config["issuers"]["main"]["introspection"] =
            json!({"cluster": "as", "uri": "https://as.example.com/introspect", "ttl": "0s"});
        config
    };
    for (on_stale, brings) in [("refuse", true), ("refuse", false), ("allow", false)] {
        let mut scene = Scene::new(&asked(on_stale));
        let request = introspection::bearer("opaque");
        let mut exchange = scene.exchange(&request);
        assert!(matches!(scene.poll(&mut exchange, request.peer), Step::Wait));
        let (question, _) = scene.question().unwrap();
        let mut answer = introspection::active();
        answer["status"] = json!({"status_list": {"idx": 1, "uri": URI}});
        scene.answer(question, introspection::said(200, answer.to_string().into_bytes()));
        assert!(matches!(scene.poll(&mut exchange, request.peer), Step::Wait));
        let (call, _) = scene.fetch_from().unwrap();
        if brings {
            scene.answer(call, signed(&list()));
        } else {
            scene.answer(call, Err(FetchFailed::NoAnswer));
            scene.seconds = 6.0;
            scene.tick();
        }
        match scene.poll(&mut exchange, request.peer) {
            Step::Done(Verdict::Forward(_)) => assert!(brings || on_stale == "allow"),
            Step::Done(verdict) => assert_eq!(refused(verdict).reason, Reason::RevocationStale),
            Step::Wait => panic!("it waits on"),
        }
    }
}

#[test]
fn a_request_that_finds_a_list_at_its_end_waits_for_the_next_one() {
    let mut config = listing("refuse");
    config["issuers"]["main"]["revocation"]["refresh"] = json!("1m");
    config["issuers"]["main"]["leeway"] = json!("0s");
    let mut scene = Scene::new(&config);
    let mut short = list();
    let seconds = at(0.0).wall.as_millis() / 1000;
    short.claims["exp"] = json!(seconds + 20);
    forwarded(waits_for(&mut scene, &at_place(1), signed(&short)));
    scene.seconds = 20.1;
    assert_eq!(refused(scene.run(&at_place(0))).reason, Reason::TokenRevoked);
    forwarded(waits_for(&mut scene, &at_place(1), signed(&list())));
}

#[test]
fn where_tokens_pass_without_their_list_nobody_waits_for_one_that_does_not_come() {
    let mut scene = Scene::new(&listing("allow"));
    let request = at_place(1);
    let mut exchange = scene.exchange(&request);
    assert!(matches!(scene.poll(&mut exchange, request.peer), Step::Wait));
    let (call, _) = scene.fetch_from().unwrap();
    assert_eq!(scene.answer(call, Err(FetchFailed::NoAnswer)), [ExchangeId(request.id)]);
    assert!(matches!(scene.poll(&mut exchange, request.peer), Step::Done(Verdict::Forward(_))));
    forwarded(scene.run(&at_place(1)));
    scene.seconds = 10.0;
    scene.tick();
    let (call, _) = scene.fetch_from().expect("another attempt");
    forwarded(scene.run(&at_place(1)));
    scene.answer(call, signed(&list()));
    assert_eq!(refused(scene.run(&at_place(0))).reason, Reason::TokenRevoked);
}

#[test]
fn what_a_list_revoked_stays_revoked_however_long_nobody_asked() {
    for on_stale in ["refuse", "allow"] {
        let mut scene = Scene::new(&listing(on_stale));
        forwarded(waits_for(&mut scene, &at_place(1), signed(&list())));
        let fresh = |index: u64, seconds: f64| {
            let issued = at(seconds).wall.as_millis() / 1000;
            let claims = token().claim("iat", json!(issued)).claim("exp", json!(issued + 300));
            get("/orders/7")
                .peer(ALICE)
                .token(&claims.claim("status", json!({"status_list": {"idx": index, "uri": URI}})))
        };
        scene.seconds = 3600.0;
        scene.tick();
        assert!(scene.fetch().is_none(), "nobody asked for it");
        assert_eq!(refused(scene.run(&fresh(0, 3600.0))).reason, Reason::TokenRevoked);
        let mut next = list();
        next.claims["iat"] = json!(at(3600.0).wall.as_millis() / 1000);
        forwarded(waits_for(&mut scene, &fresh(1, 3600.0), signed(&next)));
    }
}
