//! Which key a token is verified with: whatever it offers or points at, none but its issuer's own.

use super::algorithms::load_keys;
use super::*;

const ADDRESSES: [&str; 14] = [
    "https://evil.example/jwks",
    "https://as.example.com@evil.example/jwks",
    "https://as.example.com.evil.example/jwks",
    "https://as.example.com/jwks?next=https://evil.example",
    "https://as.example.com/redirect?to=//evil.example",
    "https://as.example.com/jwks",
    "http://127.0.0.1/jwks",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::1]:9901/config_dump",
    "https://rebind.evil.example/jwks",
    "file:///etc/passwd",
    "data:application/json,{}",
    "",
    "jwks",
];

#[test]
fn a_kid_is_only_ever_compared_and_causes_one_fetch_at_most() {
    let kids = [
        "../../dev/null",
        "../../../../../../dev/null",
        "/proc/self/environ",
        "' OR 1=1--",
        "' UNION SELECT 'key';--",
        "\"; ls",
        "$(id)",
        "`id`",
        "| sleep 5",
        "%00",
        "__proto__",
        "constructor",
        "https://evil.example/key",
        "\u{43a}",  // The Cyrillic letter that looks like k.
        "\u{212a}", // The Kelvin sign, whose lower case is k.
        "\u{ff4b}",
        "K",
        "k ",
        " k",
        "k\u{200b}",
        "",
        "*",
        "undefined",
        "null",
    ];
    let mut trial = Trial::new(&remote_keys());
    load_keys(&mut trial.scene, &[jwk("k", 1)]);
    let with_kid = |kid: &str| token().header("kid", json!(kid)).text();
    let mut first = trial.scene.exchange(&bearing(&with_kid("../../dev/null")));
    assert!(matches!(trial.scene.poll(&mut first, Some(ALICE)), Step::Wait), "the issuer is asked once");
    load_keys(&mut trial.scene, &[jwk("k", 1)]);
    trial.scene.leave(&mut first);
    for kid in kids {
        assert_eq!(trial.refuses(kid, &with_kid(kid)), Reason::KeyUnknown, "{kid}");
    }
    let long = ["k".repeat(129), "k".repeat(10_000), "k\0".to_owned(), "k\r\nx: y".to_owned(), "k\u{85}".to_owned()];
    for kid in &long {
        assert_eq!(trial.refuses(kid, &with_kid(kid)), Reason::TokenMalformed);
    }
    assert_eq!(trial.refuses("64 kB", &with_kid(&"k".repeat(65_536))), Reason::TokenTooLarge);
    for kid in [json!(0), json!(-1), json!(true), json!(null), json!({}), json!(["k"]), json!({"k": "k"})] {
        let malformed = token().header("kid", kid.clone()).text();
        assert_eq!(trial.refuses(&kid.to_string(), &malformed), Reason::TokenMalformed);
    }
    trial.admits("its own", &token().text());
    trial.sums("kids", (37, 1));
    // A name is a name, however strange.
    let mut config = config();
    config["issuers"]["main"]["keys"]["keys"] = Value::Array(kids.iter().take(13).map(|kid| jwk(kid, 1)).collect());
    let mut trial = Trial::new(&config);
    for kid in kids.iter().take(13) {
        trial.admits(kid, &with_kid(kid));
    }
    trial.sums("strange kids of the issuer", (0, 13));
}

#[test]
fn what_a_token_says_of_kids_stands_in_the_record_escaped_and_as_unverified_only() {
    let mut scene = Scene::new(&config());
    for kid in ["' OR 1=1--", "../../dev/null", "\u{2028}{\"decision\":\"forwarded\"}"] {
        let request = bearing(&token().header("kid", json!(kid)).text());
        let mut exchange = scene.exchange(&request);
        let Step::Done(verdict) = scene.poll(&mut exchange, request.peer) else { panic!("it waits") };
        let record = crate::observe::audit_record(exchange.facts(), (&verdict).into());
        assert!(!record.contains('\u{2028}') && record.contains("key-unknown"), "{record}");
        let mut record: Value = serde_json::from_str(&record).unwrap();
        let told = record["unverified"].as_object_mut().unwrap().remove("kid").unwrap();
        assert_eq!(told, kid.replace('\u{2028}', r"\u{2028}"));
        assert!(!record.to_string().contains(&kid[3..]), "nowhere else: {record}");
    }
}

#[test]
fn an_address_in_a_token_is_never_asked_for_keys() {
    let attacker = Attacker::new();
    let mut trial = Trial::new(&remote_keys());
    load_keys(&mut trial.scene, &[jwk("k", 1)]);
    for member in ["jku", "x5u"] {
        for address in ADDRESSES {
            // By the attacker's key, and even if all else is right.
            let header = token().header(member, json!(address)).header;
            for token in [attacker.signed(&header, &token().claims), token().header(member, json!(address)).text()] {
                assert_eq!(trial.refuses(address, &token), Reason::TokenMalformed);
            }
        }
    }
    trial.admits("without an address", &token().text());
    trial.sums("addresses of keys", (56, 1));
}

#[test]
fn a_key_that_comes_with_the_token_proves_nothing() {
    let attacker = Attacker::new();
    let mut trial = Trial::new(&config());
    let unnamed = |mut header: Value| {
        header.as_object_mut().unwrap().remove("kid");
        header
    };
    let own = jwk("k", 1);
    for key in [attacker.jwk(), own.clone(), json!({"keys": [attacker.jwk()]}), json!([attacker.jwk()]), json!({})] {
        let header = token().header("jwk", key).header;
        for header in [header.clone(), unnamed(header)] {
            let claims = token().claims;
            assert_eq!(trial.refuses("of an attacker", &attacker.signed(&header, &claims)), Reason::TokenMalformed);
            let right = signed(header.to_string().as_bytes(), claims.to_string().as_bytes());
            assert_eq!(trial.refuses("of the issuer", &right), Reason::TokenMalformed);
        }
    }
    // The same without the key: it is the issuer's that counts.
    let plain = token();
    assert_eq!(trial.refuses("", &attacker.signed(&plain.header, &plain.claims)), Reason::SignatureInvalid);
    trial.admits("by the issuer's key", &plain.text());
    trial.sums("keys in the header", (21, 1));
}

#[test]
fn a_certificate_that_comes_with_the_token_proves_nothing() {
    let random = SystemRandom::new();
    let root_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let named = |name: &str| rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    let alone = named("as.example.com").self_signed(&key).unwrap();
    let root = named("root.example").self_signed(&root_key).unwrap();
    let below = named("as.example.com").signed_by(&key, &rcgen::Issuer::new(named("root.example"), &root_key)).unwrap();
    let algorithm = &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let attacker = Attacker(EcdsaKeyPair::from_pkcs8(algorithm, &key.serialize_der(), &random).unwrap());
    let base64 = |der: &[u8]| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(der)
    };
    let mut trial = Trial::new(&config());
    for chain in [json!([base64(alone.der())]), json!([base64(below.der()), base64(root.der())]), json!([]), json!("x")]
    {
        let offering = token().header("x5c", chain);
        let forged = attacker.signed(&offering.header, &offering.claims);
        assert_eq!(trial.refuses("of an attacker", &forged), Reason::TokenMalformed);
        assert_eq!(trial.refuses("by the issuer's key", &offering.text()), Reason::TokenMalformed);
    }
    // A thumbprint only names a key, as kid does.
    for member in ["x5t", "x5t#S256"] {
        let naming = token().header(member, json!(base64url::encode(&[7; 32])));
        let forged = attacker.signed(&naming.header, &naming.claims);
        assert_eq!(trial.refuses("of an attacker", &forged), Reason::SignatureInvalid);
        trial.admits(member, &naming.text());
    }
    trial.sums("certificates in the header", (10, 2));
}

/// Two issuers, both trusted, whose keys have the same name.
fn two_issuers() -> Value {
    let mut config = config();
    let mut other = config["issuers"]["main"].clone();
    other["issuer"] = json!("https://other.example.com");
    other["keys"] = json!({"keys": [jwk("k", 2), jwk("only-here", 2)]});
    config["issuers"]["other"] = other;
    config["resources"][0]["issuers"] = json!(["main", "other"]);
    config
}

#[test]
fn a_key_of_one_issuer_never_verifies_a_token_of_another() {
    let mut trial = Trial::new(&two_issuers());
    let other = || token().claim("iss", json!("https://other.example.com"));
    for _ in 0..2 {
        trial.admits("main", &token().text());
        trial.admits("other", &other().signed_by(2).text());
        assert_eq!(trial.refuses("main by other", &token().signed_by(2).text()), Reason::SignatureInvalid);
        assert_eq!(trial.refuses("other by main", &other().text()), Reason::SignatureInvalid);
        let kid = |token: Token| token.header("kid", json!("only-here"));
        assert_eq!(trial.refuses("main, kid of other", &kid(token()).signed_by(2).text()), Reason::KeyUnknown);
        trial.admits("other, kid of other", &kid(other()).signed_by(2).text());
        let mut nameless = token().signed_by(2);
        nameless.header.as_object_mut().unwrap().remove("kid");
        assert_eq!(trial.refuses("main by other, without kid", &nameless.text()), Reason::SignatureInvalid);
    }
    trial.sums("keys of another issuer", (8, 6));
}

#[test]
fn keys_of_a_set_that_are_not_for_verifying_verify_nothing() {
    let with = |kid: &str, seed: u8, member: &str, value: Value| {
        let mut key = jwk(kid, seed);
        key[member] = value;
        key
    };
    let keys = [
        jwk("k", 1),
        with("enc", 2, "use", json!("enc")),
        with("sign", 2, "key_ops", json!(["sign"])),
        with("derive", 2, "key_ops", json!(["deriveKey"])),
        with("private", 2, "d", json!(base64url::encode(&[2; 32]))),
        with("for-another", 2, "alg", json!("ES384")),
        with("for-agreement", 2, "alg", json!("ECDH-ES")),
        with("no-point", 2, "y", json!(base64url::encode(&[2; 32]))),
        json!({"kty": "oct", "kid": "oct", "alg": "HS256", "k": base64url::encode(&[2; 32])}),
        // One name, two kinds of key: the algorithm tells them apart.
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": foreign()["keys"][4]["x"]}),
        jwk("twice", 3),
        jwk("twice", 4),
    ];
    let mut trial = Trial::new(&remote_keys());
    load_keys(&mut trial.scene, &keys);
    let signed = |kid: &str, seed: u8| token().header("kid", json!(kid)).signed_by(seed).text();
    let mut first = trial.scene.exchange(&bearing(&signed("enc", 2)));
    assert!(matches!(trial.scene.poll(&mut first, Some(ALICE)), Step::Wait));
    load_keys(&mut trial.scene, &keys);
    trial.scene.leave(&mut first);
    for kid in ["enc", "sign", "derive", "private", "for-another", "for-agreement", "no-point", "oct"] {
        assert_eq!(trial.refuses(kid, &signed(kid, 2)), Reason::KeyUnknown, "{kid}");
    }
    trial.admits("the good one", &signed("k", 1));
    for seed in [3, 4] {
        trial.admits("either of one name", &signed("twice", seed));
    }
    assert_eq!(trial.refuses("neither", &signed("twice", 5)), Reason::SignatureInvalid);
    trial.sums("keys for something else", (9, 3));
}

#[test]
fn a_document_that_is_no_key_set_takes_no_keys_away() {
    let mut trial = Trial::new(&remote_keys());
    load_keys(&mut trial.scene, &[jwk("k", 1)]);
    let answer = |status: u16, body: Vec<u8>| Ok(Answered::Http(HttpAnswer { status, body, ..HttpAnswer::default() }));
    let many = json!({"keys": vec![jwk("k", 2); 10_000]}).to_string().into_bytes();
    let bad = [
        answer(200, many),
        answer(200, vec![b' '; 5_000_000]),
        answer(200, b"{\"keys\":[".to_vec()),
        answer(200, b"{\"keys\":[],\"keys\":[]}".to_vec()),
        answer(200, b"{\"keys\":[]}".to_vec()),
        answer(200, b"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}".to_vec()),
        answer(200, b"<!DOCTYPE html>".to_vec()),
        answer(200, vec![0x1f, 0x8b, 8, 0]),
        answer(200, Vec::new()),
        answer(302, json!({"keys": [jwk("k", 2)]}).to_string().into_bytes()),
        answer(404, json!({"keys": [jwk("k", 2)]}).to_string().into_bytes()),
        answer(500, Vec::new()),
        Err(FetchFailed::NoAnswer),
    ];
    for bad in bad {
        trial.scene.seconds += 620.0;
        trial.scene.tick();
        let call = trial.scene.fetch().expect("keys are due");
        trial.scene.answer(call, bad);
        let now = at(trial.scene.seconds).wall.as_millis() / 1000;
        let fresh = || token().claim("iat", json!(now)).claim("exp", json!(now + 60));
        trial.admits("by the key that was there", &fresh().text());
        assert_eq!(trial.refuses("by another", &fresh().signed_by(2).text()), Reason::SignatureInvalid);
        // A good one, so that the old set does not come to its end meanwhile.
        trial.scene.seconds += 60.0;
        load_keys(&mut trial.scene, &[jwk("k", 1)]);
    }
    trial.sums("documents that are no key set", (13, 13));
}
