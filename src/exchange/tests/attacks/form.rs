//! Other forms than a signed token in three parts, and header members that mean one.

use super::*;

#[test]
fn an_encrypted_or_nested_token_is_refused_whoever_made_it() {
    let mut trial = Trial::new(&config());
    for header in [
        json!({"alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "JWT", "kid": "k", "typ": "at+jwt"}),
        json!({"alg": "ECDH-ES", "enc": "A128CBC-HS256", "epk": jwk("k", 2), "kid": "k", "typ": "at+jwt"}),
        json!({"alg": "dir", "enc": "A256GCM", "kid": "k", "typ": "at+jwt"}),
        json!({"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2_000_000_000, "p2s": "AAAA"}),
        json!({"alg": "ES256", "kid": "k", "typ": "at+jwt"}),
    ] {
        let part = |bytes: &[u8]| base64url::encode(bytes);
        let head = part(header.to_string().as_bytes());
        let token = format!("{head}.{}.{}.{}.{}", part(&[1; 256]), part(&[2; 12]), part(&[3; 300]), part(&[4; 16]));
        assert_eq!(trial.refuses("five parts", &token), Reason::TokenMalformed);
        let direct = format!("{head}..{}.{}.{}", part(&[2; 12]), part(&[3; 300]), part(&[4; 16]));
        assert_eq!(trial.refuses("five parts, no key", &direct), Reason::TokenMalformed);
    }
    let inner = token().text();
    for cty in ["JWT", "jwt", "application/jwt", "at+jwt"] {
        let header = token().header("cty", json!(cty)).header.to_string();
        for payload in [inner.clone(), json!(inner).to_string(), good_claims()] {
            trial.refuses(cty, &signed(header.as_bytes(), payload.as_bytes()));
        }
    }
    trial.refuses("nested without saying so", &signed(good_header().as_bytes(), inner.as_bytes()));
    trial.admits("content that is JSON", &with_header(r#""cty":"application/json""#));
    trial.sums("encrypted and nested tokens", (23, 1));
}

#[test]
fn a_signed_token_whose_header_is_an_encrypted_ones_is_refused() {
    let mut trial = Trial::new(&config());
    for member in [
        r#""enc":"A128GCM""#,
        r#""enc":null"#,
        r#""zip":"DEF""#,
        r#""zip":"none""#,
        r#""epk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
        r#""apu":"AAAA""#,
        r#""apv":"AAAA""#,
        r#""iv":"AAAA""#,
        r#""tag":"AAAA""#,
        r#""p2s":"AAAA""#,
        r#""p2c":1"#,
        r#""p2c":2147483647"#,
    ] {
        assert_eq!(trial.refuses(member, &with_header(member)), Reason::TokenMalformed, "{member}");
    }
    trial.admits("a member that only informs", &with_header(r#""org.example/enc":"A128GCM""#));
    trial.sums("members of encrypted tokens", (12, 1));
}

#[test]
fn a_token_in_a_json_serialisation_is_none() {
    let mut trial = Trial::new(&config());
    let good = token().text();
    let parts: Vec<_> = good.split('.').collect();
    let flat = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]});
    let general = json!({"payload": parts[1], "signatures": [{"protected": parts[0], "signature": parts[2]}]});
    let both = json!({"payload": parts[1], "signature": parts[2], "protected": parts[0], "header": {"alg": "none"}});
    let mixed = json!({"header": format!("{}.{}.", parts[0], parts[1]), "signature": parts[2]});
    for serialised in [flat, general, both, mixed] {
        let text = serialised.to_string();
        let (reason, challenge) = trial.refused("as it is", &bearing(&text), 400);
        assert!(reason == Reason::AuthorizationRepeated && challenge.contains("invalid_request"), "{reason:?}");
        trial.refuses("in base64url", &base64url::encode(text.as_bytes()));
        trial.refuses("as a header", &format!("{}.{}.{}", base64url::encode(text.as_bytes()), parts[1], parts[2]));
    }
    // One of the forms that a lax parser reads from a compact token: JSON with dots in it.
    trial.refused("JSON of three parts", &bearing(&format!("{{\"x\":\"{good}\"}}")), 400);
    trial.admits("compact", &good);
    trial.sums("JSON serialisations", (13, 1));
}

#[test]
fn content_that_is_not_encoded_or_stands_elsewhere_is_refused() {
    let mut trial = Trial::new(&config());
    for member in [
        r#""b64":false,"crit":["b64"]"#,
        r#""b64":false"#,
        r#""b64":true"#,
        r#""b64":true,"crit":["b64"]"#,
        r#""b64":0"#,
    ] {
        assert_eq!(trial.refuses(member, &with_header(member)), Reason::TokenMalformed, "{member}");
        // And as such a token is really made.
        let header = base64url::encode(adding(&good_header(), member).as_bytes());
        let signature = base64url::encode(&es256(&format!("{header}.{}", good_claims()), 1));
        let (reason, _) = trial.refused("unencoded", &bearing(&format!("{header}.{}.{signature}", good_claims())), 400);
        assert_eq!(reason, Reason::AuthorizationRepeated);
        trial.refuses("detached", &format!("{header}..{signature}"));
    }
    trial.refuses(
        "detached without a member",
        &signed_input(&format!("{}.", base64url::encode(good_header().as_bytes()))),
    );
    trial.refuses("an empty payload", &signed(good_header().as_bytes(), b""));
    trial.sums("unencoded and detached content", (17, 0));
}

#[test]
fn nothing_that_is_called_critical_is_understood() {
    let mut trial = Trial::new(&config());
    for member in [
        r#""crit":[]"#,
        r#""crit":["x"]"#,
        r#""crit":["x"],"x":1"#,
        r#""crit":["exp"],"exp":1"#,
        r#""crit":["alg"]"#,
        r#""crit":["kid","typ"]"#,
        r#""crit":["crit"]"#,
        r#""crit":["b64"]"#,
        r#""crit":["x","x"],"x":1"#,
        r#""crit":[""]"#,
        r#""crit":[1]"#,
        r#""crit":"x""#,
        r#""crit":"b64""#,
        r#""crit":{}"#,
        r#""crit":null"#,
        r#""crit":false"#,
        r#""\u0063rit":["x"]"#,
    ] {
        assert_eq!(trial.refuses(member, &with_header(member)), Reason::TokenMalformed, "{member}");
    }
    trial.admits("another name", &with_header(r#""CRIT":["x"]"#));
    trial.sums("critical members", (17, 1));
}
