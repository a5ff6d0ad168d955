//! What a token says that it is signed with: nothing at all, a secret, or another algorithm than its key is for.

use ring::hmac;

use super::*;

const HMACS: [(&str, hmac::Algorithm); 3] =
    [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)];

/// A token whose signature is the HMAC with this secret.
fn authenticated(name: &str, kid: &str, algorithm: hmac::Algorithm, secret: &[u8]) -> String {
    let header = json!({"alg": name, "kid": kid, "typ": "at+jwt"}).to_string();
    let input = signing_input(header.as_bytes(), good_claims().as_bytes());
    let tag = hmac::sign(&hmac::Key::new(algorithm, secret), input.as_bytes());
    format!("{input}.{}", base64url::encode(tag.as_ref()))
}

#[test]
fn no_token_passes_unsigned_however_none_is_spelled() {
    let mut trial = Trial::new(&config());
    let names = ["none", "None", "NONE", "nOnE", "noNE", "none ", " none", "none\\u0000", "\\u006eone", ""];
    let names = names.map(|name| format!("\"alg\":\"{name}\",")).into_iter();
    let others = ["null", "0", "1", "true", "{}", "[]", "[\"none\"]", "[\"ES256\"]", "[\"none\",\"ES256\"]"];
    for alg in names.chain(others.map(|value| format!("\"alg\":{value},"))).chain([String::new()]) {
        let header = format!("{{{alg}\"kid\":\"k\",\"typ\":\"at+jwt\"}}");
        let input = signing_input(header.as_bytes(), good_claims().as_bytes());
        let junk = base64url::encode(&[7; 64]);
        for token in [format!("{input}."), input.clone(), format!("{input}.{junk}"), signed_input(&input)] {
            trial.refuses(&header, &token);
        }
    }
    trial.admits("signed", &token().text());
    trial.sums("unsigned tokens", (80, 1));
}

#[test]
fn a_public_key_is_no_secret_of_an_hmac_in_whatever_form_it_is_taken() {
    let mut trial = Trial::new(&foreign_config());
    let foreign = foreign();
    for form in foreign["public_key_forms"].as_array().unwrap() {
        let what = form["what"].as_str().unwrap();
        let secret = base64url::decode(form["bytes"].as_str().unwrap().as_bytes()).unwrap();
        let kid = what.split(' ').next().unwrap();
        for (name, algorithm) in HMACS {
            let reason = trial.refuses(what, &authenticated(name, kid, algorithm, &secret));
            assert_eq!(reason, Reason::AlgorithmNotAllowed, "{what}");
        }
        // Under the name of the key's own algorithm.
        let own = match kid {
            "p256" => "ES256",
            "ed25519" => "Ed25519",
            _ => "RS256",
        };
        for (_, algorithm) in HMACS {
            trial.refuses(what, &authenticated(own, kid, algorithm, &secret));
        }
    }
    trial.sums("HMACs with a public key", (264, 0));
}

#[test]
fn no_secret_makes_an_hmac_a_signature_not_even_one_that_the_issuer_publishes() {
    let mut trial = Trial::new(&remote_keys());
    let oct = |kid: &str, secret: &[u8]| json!({"kty": "oct", "kid": kid, "k": base64url::encode(secret)});
    let secrets = [&b""[..], b"secret", b"root:x:0:0:root:/root:/bin/bash\n", &[0; 32], &[0x42; 64]];
    let mut keys = vec![jwk("k", 1)];
    keys.extend(secrets.iter().zip(["a", "b", "c", "d", "e"]).map(|(secret, kid)| oct(kid, secret)));
    load_keys(&mut trial.scene, &keys);
    for (secret, kid) in secrets.iter().zip(["a", "b", "../../../../dev/null", "/etc/passwd", "e"]) {
        for (name, algorithm) in HMACS {
            let reason = trial.refuses(kid, &authenticated(name, kid, algorithm, secret));
            assert_eq!(reason, Reason::AlgorithmNotAllowed, "{kid}");
        }
    }
    trial.admits("signed", &token().text());
    trial.sums("HMACs with a known secret", (15, 1));
}

#[test]
fn a_signature_counts_for_nothing_but_the_algorithm_and_the_curve_of_its_key() {
    // Key sets may hold what no configuration may.
    let mut config = foreign_config();
    let issuer = config["issuers"]["main"].as_object_mut().unwrap();
    issuer.remove("keys");
    issuer.insert("jwks".into(), json!({"cluster": "as", "uri": "https://as.example.com/jwks"}));
    let mut trial = Trial::new(&config);
    let foreign = foreign();
    load_keys(&mut trial.scene, foreign["keys"].as_array().unwrap());
    for row in foreign["tokens"].as_array().unwrap() {
        let (what, token) = (row["what"].as_str().unwrap(), row["token"].as_str().unwrap());
        match row["reason"].as_str() {
            None => trial.admits(what, token),
            // No key of that name is for that algorithm: the issuer is asked once, whether it has one by now.
            Some("key-unknown") => {
                let mut exchange = trial.scene.exchange(&bearing(token));
                if matches!(trial.scene.poll(&mut exchange, Some(ALICE)), Step::Wait) {
                    load_keys(&mut trial.scene, foreign["keys"].as_array().unwrap());
                }
                trial.scene.leave(&mut exchange);
                assert_eq!(trial.refuses(what, token), Reason::KeyUnknown, "{what}");
            }
            Some(reason) => assert_eq!(trial.refuses(what, token).slug(), reason, "{what}"),
        }
    }
    trial.sums("right signatures under another name", (39, 12));
}

/// The next call fetches keys, and these are what it gets.
pub(super) fn load_keys(scene: &mut Scene, keys: &[Value]) {
    scene.tick();
    let call = scene.fetch().unwrap();
    scene.answer_with_keys(call, keys);
}
