//! Proofs of possession that are right in all but one thing, and honest ones that look unusual. All of them come with a good token
//! for the key, unless the test is about that, and are signed by it.

use super::*;
use crate::binding::dpop::tests::Client;
use crate::exchange::tests::proofs::{self, KEY, ORIGIN, bound_to_key, by, challenges, client};
use crate::observe::audit_record;

const PATH: &str = "/key";

/// A proxy that is tried with proofs.
struct Proofs {
    trial: Trial,
    token: Token,
}

impl Proofs {
    fn new() -> Self {
        Self::of(&proofs::config())
    }

    fn of(config: &Value) -> Self {
        Self { trial: Trial::new(config), token: bound_to_key(KEY) }
    }

    fn client(&self) -> Client {
        client(PATH, &self.token)
    }

    fn with(&self, proof: &str) -> Request {
        get(PATH).header("authorization", &format!("DPoP {}", self.token.text())).header("dpop", proof)
    }

    #[track_caller]
    fn refuses(&mut self, what: &str, proof: &str, expected: Reason) {
        let (reason, challenge) = self.trial.refused(what, &self.with(proof), 401);
        let error =
            if reason == Reason::KeyMismatch { "DPoP" } else { "DPoP realm=\"api\", error=\"invalid_dpop_proof\"" };
        assert!(reason == expected && challenge.starts_with(error), "{what}: {reason:?}, {challenge}");
        assert!(self.trial.scene.host.keys("boundgate/proofs/").is_empty(), "{what}: it was used up");
    }

    #[track_caller]
    fn admits(&mut self, what: &str, proof: &str) {
        self.trial.admits_request(what, &self.with(proof));
    }
}

/// A JSON object with one more member, as text.
fn added(object: &Value, member: &str) -> String {
    format!("{},{member}}}", object.to_string().strip_suffix('}').unwrap())
}

#[test]
fn no_header_makes_a_proof_of_something_else() {
    let mut proofs = Proofs::new();
    let honest = proofs.client();
    for member in [
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""b64":false"#,
        r#""b64":true"#,
        r#""b64":false,"crit":["b64"]"#,
        r#""zip":"DEF""#,
        r#""enc":"A128GCM""#,
        r#""jku":"https://evil.example/keys""#,
        r#""x5u":"https://evil.example/c""#,
        r#""x5c":["AAAA"]"#,
        r#""x5c":[]"#,
        r#""cty":"JWT""#,
        r#""kid":1"#,
        r#""kid":["k"]"#,
        r#""kid":"\n""#,
        r#""typ":"dpop+jwt""#,
        r#""alg":"ES256""#,
        r#""\u0061lg":"ES256""#,
        r#""jwk":{}"#,
    ] {
        let proof = honest.signed(&added(&honest.header, member), &honest.claims.to_string());
        proofs.refuses(member, &proof, Reason::ProofMalformed);
    }
    for algorithm in [
        "none", "None", "", "HS256", "HS512", "RS256", "ES256K", "ESP256", "ES384", "es256", "ES256 ", "Ed25519",
        "PS256",
    ] {
        proofs.refuses(algorithm, &honest.clone().header("alg", json!(algorithm)).proof(), Reason::ProofMalformed);
    }
    for alg in [Value::Null, json!(1), json!(["ES256"]), json!({})] {
        let what = alg.to_string();
        proofs.refuses(&what, &honest.clone().header("alg", alg).proof(), Reason::ProofMalformed);
    }
    for typ in
        ["JWT", "at+jwt", "dpop", "dpop+jwt ", "dpop+jwt;v=1", "text/dpop+jwt", "application/application/dpop+jwt"]
    {
        proofs.refuses(typ, &honest.clone().header("typ", json!(typ)).proof(), Reason::ProofMalformed);
    }
    proofs.admits("none of these", &honest.proof());
    proofs.trial.sums("headers of proofs", (43, 1));
}

#[test]
fn no_key_is_one_but_the_public_key_that_the_token_names() {
    let mut proofs = Proofs::new();
    let honest = proofs.client();
    let jwk = &honest.header["jwk"];
    let with = |name: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        honest.clone().header("jwk", jwk).proof()
    };
    let (x, y) = (jwk["x"].as_str().unwrap(), jwk["y"].as_str().unwrap());
    let longer = format!("{x}A");
    let padded = format!("{x}=");
    for (what, name, value) in [
        ("another type", "kty", json!("RSA")),
        ("another type", "kty", json!("OKP")),
        ("a secret", "kty", json!("oct")),
        ("an unknown type", "kty", json!("ec")),
        ("no type", "kty", Value::Null),
        ("another curve", "crv", json!("P-384")),
        ("another curve", "crv", json!("secp256k1")),
        ("another spelling", "crv", json!("p-256")),
        ("no point of the curve", "x", json!(y)),
        ("zero", "x", json!("A".repeat(43))),
        ("padding", "x", json!(padded)),
        ("a longer number", "x", json!(longer)),
        ("a shorter number", "x", json!(&x[..40])),
        ("bits behind the end", "y", json!(format!("{}{}", &y[..42], "9"))),
        ("no text", "y", json!([y])),
        ("a private member", "d", json!("AAAA")),
        ("an empty private member", "d", json!("")),
        ("a private member that is none", "d", Value::Bool(false)),
        ("a symmetric member", "k", json!("AAAA")),
        ("a private member of other keys", "priv", json!("AAAA")),
        ("for encryption", "use", json!("enc")),
        ("for signing", "key_ops", json!(["sign"])),
        ("twice for verifying", "key_ops", json!(["verify", "verify"])),
        ("for another algorithm", "alg", json!("ES384")),
        ("for none", "alg", json!("none")),
        ("a name that is none", "kid", json!(7)),
    ] {
        proofs.refuses(what, &with(name, value), Reason::ProofMalformed);
    }
    for jwk in [json!(null), json!("x"), json!([jwk]), json!({}), json!({"keys": [jwk]})] {
        proofs.refuses("no key", &honest.clone().header("jwk", jwk).proof(), Reason::ProofMalformed);
    }
    let members = [format!(r#""x":"{x}""#), r#""kty":"EC""#.to_owned(), r#""\u006bty":"EC""#.to_owned()];
    for member in &members {
        let header = honest.header.to_string().replace(&jwk.to_string(), &added(jwk, member));
        proofs.refuses(member, &honest.signed(&header, &honest.claims.to_string()), Reason::ProofMalformed);
    }
    // The issuer's own key, another client's, and another client's under the signature of ours.
    let other = Client::new(KEY + 1, &format!("{ORIGIN}{PATH}"), &proofs.token.text(), 0.0);
    proofs.refuses("another key", &other.proof(), Reason::KeyMismatch);
    let borrowed = honest.clone().header("jwk", other.header["jwk"].clone());
    proofs.refuses("another key that did not sign", &borrowed.proof(), Reason::KeyMismatch);
    let stolen = other.header("jwk", jwk.clone());
    proofs.refuses("our key, which did not sign", &stolen.proof(), Reason::ProofInvalid);
    for (name, value) in [
        ("alg", json!("ES256")),
        ("use", json!("sig")),
        ("key_ops", json!(["verify"])),
        ("key_ops", json!(["sign", "verify"])),
        ("ext", json!(true)),
        ("kid", json!("k")),
        ("x5c", json!(["AAAA"])),
        ("x5t#S256", json!("AAAA")),
        ("iat", json!(1)),
        ("e", json!("AQAB")),
    ] {
        let proof = with(name, value);
        let mut fresh = Proofs::new();
        fresh.admits(name, &proof);
    }
    proofs.admits("none of these", &honest.proof());
    proofs.trial.sums("keys of proofs", (37, 1));
}

#[test]
fn no_claim_makes_a_proof_good_elsewhere_longer_or_twice() {
    let mut proofs = Proofs::new();
    let honest = proofs.client();
    let header = honest.header.to_string();
    for member in [
        r#""jti":"j2""#,
        r#""\u006ati":"j2""#,
        r#""htm":"GET""#,
        r#""htu":"https://api.example.com/key""#,
        r#""ath":"x""#,
        r#""iat":1"#,
        r#""nonce":"a","nonce":"b""#,
        r#""x":1e400"#,
        r#""x":"\u0000""#,
        r#""x":"\ud800""#,
        r#""x":01"#,
    ] {
        let proof = honest.signed(&header, &added(&honest.claims, member));
        proofs.refuses(member, &proof, Reason::ProofMalformed);
    }
    let ath = honest.claims["ath"].as_str().unwrap().to_owned();
    let iat = honest.claims["iat"].as_i64().unwrap();
    for (name, value, reason) in [
        ("jti", json!(""), Reason::ProofMalformed),
        ("jti", json!(7), Reason::ProofMalformed),
        ("jti", json!(["j1"]), Reason::ProofMalformed),
        ("jti", json!("é".repeat(129)), Reason::ProofMalformed),
        ("htm", json!("get"), Reason::ProofElsewhere),
        ("htm", json!("HEAD"), Reason::ProofElsewhere),
        ("htm", json!("OPTIONS"), Reason::ProofElsewhere),
        ("htm", json!(""), Reason::ProofElsewhere),
        ("htm", json!("*"), Reason::ProofElsewhere),
        ("htm", json!(["GET"]), Reason::ProofMalformed),
        ("ath", json!(format!("{ath}=")), Reason::ProofElsewhere),
        ("ath", json!(ath.to_lowercase()), Reason::ProofElsewhere),
        ("ath", json!(""), Reason::ProofElsewhere),
        ("ath", json!("47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"), Reason::ProofElsewhere),
        ("ath", Value::Null, Reason::ProofMalformed),
        ("iat", json!(iat.to_string()), Reason::ProofMalformed),
        ("iat", json!(iat * 1000), Reason::ProofMalformed),
        ("iat", json!(-1), Reason::ProofMalformed),
        ("iat", json!(1e300), Reason::ProofMalformed),
        ("iat", json!(u64::MAX), Reason::ProofMalformed),
        ("iat", json!(true), Reason::ProofMalformed),
        ("iat", json!(0), Reason::ProofUntimely),
        ("iat", json!(iat - 60), Reason::ProofUntimely),
        ("iat", json!(iat as f64 + 10.5), Reason::ProofUntimely),
        ("iat", json!(253_402_300_799_i64), Reason::ProofUntimely),
    ] {
        let what = format!("{name}: {value}");
        proofs.refuses(&what, &honest.clone().claim(name, value).proof(), reason);
    }
    for htu in [
        "https://api.example.com",
        "https://api.example.com/",
        "https://api.example.com/key/",
        "https://api.example.com/KEY",
        "https://api.example.com//key",
        "https://api.example.com/%2Fkey",
        "https://api.example.com/key%20",
        "https://api.example.com/key;x",
        "https://api.example.com/key/..",
        "https://api.example.com/a/key",
        "https://api.example.com:8443/key",
        "https://api.example.com.evil.example/key",
        "https://xn--pi-7ba.example.com/key",
        "https://example.com/key",
        "https://[::1]/key",
    ] {
        let proof = honest.clone().claim("htu", json!(htu)).proof();
        proofs.refuses(htu, &proof, Reason::ProofElsewhere);
    }
    for htu in [
        "http://api.example.com/key",
        "wss://api.example.com/key",
        "https:/api.example.com/key",
        "//api.example.com/key",
        "/key",
        "",
        "*",
        "https://user@api.example.com/key",
        "https://user:pass@api.example.com/key",
        "https://api.example.com@evil.example/key",
        "https://api.example.com:0443/key",
        "https://api.example.com:+443/key",
        "https://api.example.com:65979/key",
        "https://api%2Eexample.com/key",
        "https://äpi.example.com/key",
        "https://api.example.com\\key",
        "https://api..example.com/key",
        "https://[api.example.com]/key",
        "https://[::1%25lo]/key",
        " https://api.example.com/key",
        "https://api.example.com\t/key",
        "https://api.example.com,https://api.example.com/key",
    ] {
        let proof = honest.clone().claim("htu", json!(htu)).proof();
        proofs.refuses(htu, &proof, Reason::ProofMalformed);
    }
    proofs.admits("none of these", &honest.proof());
    proofs.trial.sums("claims of proofs", (73, 1));
}

/// What honest clients do, each in its way.
#[test]
fn honest_proofs_pass_however_unusual_they_are() {
    let iat = start();
    let mut admitted = 0;
    let mut passes = |what: &str, alter: &dyn Fn(Client) -> Client| {
        let mut proofs = Proofs::new();
        let proof = alter(proofs.client()).proof();
        proofs.admits(what, &proof);
        admitted += 1;
    };
    for (name, value) in [
        ("iat", json!(iat as f64 + 0.25)),
        ("iat", json!(iat + 10)),
        ("iat", json!(iat - 59)),
        ("jti", json!("é".repeat(128))),
        ("jti", json!(" ")),
        ("jti", json!("\"\\\u{1f600}")),
        ("exp", json!(iat + 60)),
        ("exp", json!("never")),
        ("nbf", json!(iat + 9)),
        ("iss", json!("app")),
        ("aud", json!(["x"])),
        ("sub", json!({})),
        ("nonce", json!("of another server")),
        ("nonce", Value::Bool(true)),
        ("htu", json!("https://api.example.com/key?a=b#c")),
        ("htu", json!("https://api.example.com/key#")),
        ("htu", json!("HTTPS://API.EXAMPLE.COM:443/key")),
        ("htu", json!("https://api.example.com:/key")),
        ("htu", json!("https://api.example.com./key")),
        ("htu", json!("https://api.example.com/%6b%65y")),
        ("htu", json!("https://api.example.com/x/../key")),
        ("htu", json!("https://api.example.com/./key?https://evil.example/")),
    ] {
        passes(&format!("{name}: {value}"), &|client| client.claim(name, value.clone()));
    }
    for (name, value) in [
        ("typ", json!("DPOP+JWT")),
        ("typ", json!("application/dpop+jwt")),
        ("kid", json!("did:example:123#key-1")),
        ("cty", json!("json")),
        ("x5t#S256", json!("AAAA")),
        ("iat", json!(1)),
        ("trust_chain", json!(["x"])),
    ] {
        passes(&format!("{name}: {value}"), &|client| client.header(name, value.clone()));
    }
    let token = bound_to_key(KEY);
    for scheme in ["DPoP", "dpop", "DPOP", "dPoP", "DPoP  "] {
        let request = get(PATH)
            .header("authorization", &format!("{scheme} {}", token.text()))
            .header("dpop", &client(PATH, &token).proof());
        Trial::new(&proofs::config()).admits_request(scheme, &request);
        admitted += 1;
    }
    assert_eq!(admitted, 34);
}

/// Each of these has the same token, key and `jti` as one that passed before.
#[test]
fn a_captured_proof_is_of_no_use_anywhere() {
    let mut config = proofs::config();
    let mut other = config["resources"][0].clone();
    other["hosts"] = json!(["api2.example.com"]);
    config["resources"].as_array_mut().unwrap().push(other);
    config["resources"][0]["routes"].as_array_mut().unwrap().push(
        json!({"path": "/every", "bound": "dpop", "methods": ["GET", "HEAD", "POST", "OPTIONS"], "preflight": true}),
    );
    let mut scene = Scene::new(&config);
    let token = bound_to_key(KEY);
    let client = client("/every", &token);
    let sent = |method: &str, path: &str| {
        let authorization = format!("DPoP {}", token.text());
        request(method, path).header("authorization", &authorization).header("dpop", &client.proof())
    };
    forwarded(scene.run(&sent("GET", "/every")));
    use Reason::{ProofElsewhere, ProofReplayed};
    let captured = |request: Request, scene: &mut Scene| refused(scene.run(&request)).reason;
    for (what, request, reason) in [
        ("again", sent("GET", "/every"), ProofReplayed),
        ("with a query", sent("GET", "/every?x=1"), ProofReplayed),
        ("in another spelling", sent("GET", "/%65very"), ProofReplayed),
        ("of another host of the same origin", sent("GET", "/key").host("api2.example.com"), ProofElsewhere),
        ("by another method", sent("POST", "/every"), ProofElsewhere),
        ("by HEAD", sent("HEAD", "/every"), ProofElsewhere),
        ("by OPTIONS", sent("OPTIONS", "/every"), ProofElsewhere),
        ("on another route", sent("GET", "/key"), ProofElsewhere),
        ("with another method beside", sent("POST", "/every").header("x-http-method-override", "GET"), ProofElsewhere),
        ("with another host beside", sent("GET", "/every").header("x-forwarded-host", "evil.example"), ProofReplayed),
        ("under another port", sent("GET", "/every").host("api.example.com:8443"), ProofReplayed),
        ("from another address", sent("GET", "/every").header("x-forwarded-for", "192.0.2.9"), ProofReplayed),
        ("with another certificate", sent("GET", "/every").peer(BOB), ProofReplayed),
    ] {
        assert_eq!(captured(request, &mut scene), reason, "{what}");
    }
    // A preflight carries no credentials: whatever it has beside is not looked at, used up or sent on.
    let preflight = sent("OPTIONS", "/every").header("origin", "https://app.example");
    let forward = forwarded(scene.run(&preflight.header("access-control-request-method", "GET")));
    assert!(forward.grant().is_of_nobody());
    assert_eq!(forward.upstream().remove, ["dpop"]);
}

/// The fields by which proxies tell where a request was sent decide nothing.
#[test]
fn where_a_request_was_sent_is_what_the_configuration_says() {
    for (name, value) in [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "8443"),
        ("x-forwarded-prefix", "/svc2"),
        ("forwarded", "host=evil.example;proto=http"),
        ("x-original-url", "/other"),
        ("x-envoy-original-path", "/other"),
        ("x-rewrite-url", "/other"),
        ("host", "evil.example"),
    ] {
        let mut scene = Scene::new(&proofs::config());
        let token = bound_to_key(KEY);
        let elsewhere = |htu: &str| client(PATH, &token).claim("htu", json!(htu));
        for htu in ["https://evil.example/key", "https://api.example.com:8443/key", "https://api.example.com/svc2/key"]
        {
            let request = by(PATH, &token, &elsewhere(htu)).header(name, value);
            assert_eq!(refused(scene.run(&request)).reason, Reason::ProofElsewhere, "{name}, {htu}");
        }
        forwarded(scene.run(&by(PATH, &token, &client(PATH, &token)).header(name, value)));
    }
    // Ports and hosts that lead here lead to the same origin, and to no other.
    for host in ["api.example.com:8443", "API.example.com.", "api.example.com:443"] {
        let mut scene = Scene::new(&proofs::config());
        let token = bound_to_key(KEY);
        let as_called = client(PATH, &token).claim("htu", json!(format!("https://{host}{PATH}")));
        let passes = matches!(scene.run(&by(PATH, &token, &as_called).host(host)), Verdict::Forward(_));
        assert_eq!(passes, !host.ends_with("8443"), "{host}");
        forwarded(scene.run(&by(PATH, &token, &client(PATH, &token).claim("jti", json!("2"))).host(host)));
    }
    for host in ["api.example.com/key?", "api.example.com@evil.example", "api.example.com#", "user@api.example.com"] {
        let token = bound_to_key(KEY);
        let request = by(PATH, &token, &client(PATH, &token)).host(host);
        assert_eq!(refused(Scene::new(&proofs::config()).run(&request)).reason, Reason::AuthorityMalformed, "{host}");
    }
}

/// A confirmation that this filter keeps, and one that it does not know, in one `cnf`, and what is no confirmation.
#[test]
fn a_key_that_a_token_names_is_demanded_whatever_it_names_besides() {
    let jkt = client("", &bound_to_key(KEY)).jkt();
    let hex = "d1971c08e459358cbe0d6a6aab7d236722461d33747761e09415";
    let mut scene = Scene::new(&proofs::config());
    for cnf in [
        json!({"jkt": jkt, "kid": "k"}),
        json!({"jkt": jkt, "kc-jkt-type": "thumbprint"}),
        json!({"jkt": jkt, "jwk": {"kty": "EC"}}),
        json!({"jkt": jkt, "x5t": "AAAA"}),
        json!({"kid": "k", "jkt": jkt, "jku": "https://evil.example"}),
    ] {
        let token = token().claim("cnf", cnf.clone());
        assert_eq!(refused(scene.run(&get("/plain").token(&token))).reason, Reason::SchemeMismatch, "{cnf}");
        let request = by("/plain", &token, &client("/plain", &token).claim("jti", json!(cnf.to_string())));
        forwarded(scene.run(&request));
    }
    for cnf in [
        json!(jkt),
        json!([jkt]),
        json!(null),
        json!({}),
        json!({"jkt": null}),
        json!({"jkt": [jkt]}),
        json!({"jkt": format!("{jkt}=")}),
        json!({"jkt": format!("{jkt}\n")}),
        json!({"jkt": hex}),
        json!({"jkt": ""}),
        json!({"jkt": jkt, "x5t#S256": ""}),
        json!({"jkt": jkt, "x5t#S256": null}),
        json!({"JKT": jkt}),
        json!({"jwk": client("", &token()).header["jwk"]}),
        json!({"kid": "k"}),
    ] {
        let claims = token().claims.to_string();
        let (before, after) = claims.split_once(&token().claims["cnf"].to_string()).unwrap();
        let text = signed(good_header().as_bytes(), format!("{before}{cnf}{after}").as_bytes());
        for scheme in ["Bearer", "DPoP"] {
            let proof = Client::new(KEY, &format!("{ORIGIN}/plain"), &text, 0.0).proof();
            let request = get("/plain").peer(ALICE).header("authorization", &format!("{scheme} {text}"));
            let mut exchange = scene.exchange(&request.header("dpop", &proof));
            let Step::Done(verdict) = scene.poll(&mut exchange, Some(ALICE)) else { panic!("it waits") };
            let record = audit_record(exchange.facts(), (&verdict).into());
            assert_eq!(refused(verdict).reason, Reason::ConfirmationUnusable, "{scheme} {cnf}");
            let because = r#""claim":"cnf","because":"names no x5t#S256 or jkt of 43 letters of base64url""#;
            assert!(record.contains(because), "{record}");
        }
    }
}

/// Where no token is looked at, no proof is either, and what is there of both serves nobody.
#[test]
fn a_proof_opens_no_route_that_asks_for_something_else() {
    let mut config = proofs::config();
    config["api_keys"] = json!({"shop": {"sha256": super::super::api_keys::digest("secret"), "client_id": "shop"}});
    let resource = &mut config["resources"][0];
    resource["api_keys"] = json!(["shop"]);
    let routes = resource["routes"].as_array_mut().unwrap();
    routes.push(json!({"path": "/stock", "access": "key"}));
    routes.push(json!({"path": "/mesh", "access": "peer", "peers": ["spiffe://example.org/client/*"]}));
    let mut scene = Scene::new(&config);
    let token = bound_to_key(KEY);
    let proved = |path: &str| by(path, &token, &client(path, &token));
    assert_eq!(refused(scene.run(&proved("/stock"))).reason, Reason::ApiKeyMissing);
    assert_eq!(refused(scene.run(&proved("/mesh"))).reason, Reason::PeerMissing);
    for request in [proved("/healthz"), proved("/stock").header("x-api-key", "secret"), proved("/mesh").peer(ALICE)] {
        let forward = forwarded(scene.run(&request));
        assert!(forward.upstream().remove.iter().any(|name| name == "dpop"));
        assert!(forward.grant().access_token().is_none());
    }
    assert!(scene.host.keys("boundgate/proofs/").is_empty(), "none was used up");
}

/// Where refusals are only reported the same is told, and nobody is named.
#[test]
fn a_replay_is_reported_where_refusals_are_only_reported() {
    let mut config = proofs::config();
    config["mode"] = json!("report");
    let mut scene = Scene::new(&config);
    let token = bound_to_key(KEY);
    let honest = by(PATH, &token, &client(PATH, &token));
    forwarded(scene.run(&honest));
    for (request, reason) in [
        (honest.clone(), Reason::ProofReplayed),
        (get(PATH).token(&token), Reason::SchemeMismatch),
        (honest.header("dpop", "x"), Reason::ProofRepeated),
    ] {
        let mut exchange = scene.exchange(&request);
        let Step::Done(verdict) = scene.poll(&mut exchange, None) else { panic!("it waits") };
        let record = audit_record(exchange.facts(), (&verdict).into());
        let Verdict::Report(refusal, upstream) = verdict else { panic!("{verdict:?}") };
        assert_eq!(refusal.reason, reason);
        assert!(upstream.set.is_empty() && upstream.remove.iter().all(|name| name == "dpop"), "{upstream:?}");
        let proof = client(PATH, &token).proof();
        let (token, signature) = (token.text(), proof.rsplit('.').next().unwrap());
        assert!(!record.contains(&token[token.len() - 40..]) && !record.contains(signature), "{record}");
    }
}

/// What a stranger can do with a token, without its key, costs the client nothing.
#[test]
fn whoever_has_the_token_and_a_copy_of_the_proof_cannot_use_up_a_jti_or_make_work() {
    let mut scene = Scene::new(&proofs::config());
    let token = bound_to_key(KEY);
    let honest = client(PATH, &token);
    let proof = honest.proof();
    let (input, signature) = proof.rsplit_once('.').unwrap();
    let mut flipped = base64url::decode(signature.as_bytes()).unwrap();
    flipped[63] ^= 1;
    let thief = Client::new(KEY + 1, &format!("{ORIGIN}{PATH}"), &token.text(), 0.0);
    for forged in [
        format!("{input}.{}", base64url::encode(&flipped)),
        format!("{input}.{}", base64url::encode(&[0; 64])),
        format!("{input}.{}", base64url::encode(&[1; 63])),
        thief.proof(),
        thief.header("jwk", honest.header["jwk"].clone()).proof(),
    ] {
        let request = get(PATH).header("authorization", &format!("DPoP {}", token.text())).header("dpop", &forged);
        let refusal = refused(scene.run(&request));
        assert!(matches!(refusal.reason, Reason::ProofInvalid | Reason::KeyMismatch), "{:?}", refusal.reason);
        assert!(!challenges(&refusal).concat().contains("nonce"));
    }
    forwarded(scene.run(&by(PATH, &token, &honest)));
    // The other form of the signature, which needs no key to make, and other bits of text are the same proof.
    let signature = base64url::decode(signature.as_bytes()).unwrap();
    let twin = Signature::from_slice(&signature).unwrap();
    let negated = Signature::from_scalars(twin.r().to_bytes(), (-*twin.s()).to_bytes()).unwrap();
    let request = get(PATH)
        .header("authorization", &format!("dpop {}", token.text()))
        .header("dpop", &format!("{input}.{}", base64url::encode(&negated.to_bytes())));
    assert_eq!(refused(scene.run(&request)).reason, Reason::ProofReplayed);
}
