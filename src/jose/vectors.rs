//! Third-party vectors: Wycheproof, the JOSE cookbook, the examples of the RFCs. They are not part of this repository:
//! the tests read them from the folder in `BOUNDGATE_VECTORS`, and say so when there is none. Every signature is
//! verified by Rust and by a "native" host of another implementation, and both must agree.

#![allow(clippy::arithmetic_side_effects)]

use std::path::PathBuf;

use serde_json::Value as Json;

use crate::fake::FakeHost;
use crate::host::Host;
use crate::jose::native::tests::RingHost;
use crate::jose::{Algorithm, Compact, KeySet, Native, VerifyingKey, base64url};
use crate::json::{Bounds, parse};

fn read(file: &str) -> Option<String> {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
    let folder = std::env::var_os("BOUNDGATE_VECTORS").map_or_else(default, PathBuf::from);
    let text = std::fs::read_to_string(folder.join(file));
    if text.is_err() {
        eprintln!("skipped: no {file} in {} (set BOUNDGATE_VECTORS)", folder.display());
    }
    text.ok()
}

/// The verdict of both implementations.
#[track_caller]
fn both(key: &VerifyingKey, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
    let verify = |host: &dyn Host, native| key.fits(algorithm) && key.verify_bytes(algorithm, message, signature, host, native);
    let rust = verify(&FakeHost::default(), Native::NONE);
    assert_eq!(rust, verify(&RingHost, Native { es256: true, es384: true, rs256: true }), "Rust and native disagree");
    rust
}

/// A JWS whose payload need not be claims: the payload is replaced for the strict parser, not for the signature.
fn accepts(keys: &KeySet, jws: &str) -> bool {
    let mut parts = jws.split('.');
    let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    if base64url::decode(payload.as_bytes()).is_err() {
        return false;
    }
    let plain = format!("{header}.e30.{signature}");
    let Ok(parsed) = Compact::parse(plain.as_bytes()) else { return false };
    let message = format!("{header}.{payload}");
    let algorithm = parsed.header.algorithm;
    keys.candidates(None, algorithm).any(|key| both(key, algorithm, message.as_bytes(), &parsed.signature))
}

/// Rows whose verdict differs from the label, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("wycheproof/json_web_crypto", "46", "a ROCA modulus: the signature is right; weak generators are the issuer's to avoid"),
    ("wycheproof/json_web_key", "7", "a ROCA modulus, as 46"),
    ("rfc", "rfc9449-proof--BwC3ESc6acc2lTc-1562262616", "a DPoP proof: its header offers a key, which no access token may"),
    ("rfc", "rfc9449-proof--BwC3ESc6acc2lTc-1562265296", "a DPoP proof"),
    ("rfc", "rfc9449-proof-e1j3V_bKic8-LAEB-1562262618", "a DPoP proof"),
];

#[test]
fn signatures_of_others_get_the_verdict_of_a_strict_verifier() {
    let Some(rows) = read("jws.jsonl") else { return };
    let mut wrong = Vec::new();
    let mut counts = [0, 0];
    for line in rows.lines() {
        let row: Json = serde_json::from_str(line).unwrap();
        // The JSON serialisations are no tokens.
        let Some(jws) = row["jws"].as_str() else { continue };
        let (source, id) = (row["source"].as_str().unwrap(), row["id"].to_string());
        let id = id.trim_matches('"');
        let algorithm = row["alg"].as_str().and_then(Algorithm::from_name);
        let label = row.get("strict").filter(|strict| *strict != "policy").unwrap_or(&row["expected"]);
        let expected = label == "valid" && algorithm.is_some();
        let accepted = keys(&row["jwk"]).is_some_and(|keys| accepts(&keys, jws));
        counts[usize::from(accepted)] += 1;
        let excepted = EXCEPTIONS.iter().any(|(of, row, _)| *of == source && *row == id);
        if (accepted != expected) != excepted {
            wrong.push(format!("{source} {id} ({}): {accepted}, not {expected}", row["comment"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(counts[1] > 20 && counts[0] > 300, "{counts:?}");
}

/// The public half of a key or set; the vectors give some private ones.
fn keys(jwk: &Json) -> Option<KeySet> {
    let mut set = match jwk.get("keys") {
        Some(_) => jwk.clone(),
        None => serde_json::json!({ "keys": [jwk] }),
    };
    for key in set["keys"].as_array_mut()? {
        if key["kty"] != "oct" {
            key.as_object_mut()?.retain(|name, _| !matches!(name.as_str(), "d" | "p" | "q" | "dp" | "dq" | "qi"));
        }
    }
    KeySet::from_value(&parse(set.to_string().as_bytes(), Bounds::KEYS).unwrap()).ok()
}

#[test]
fn ecdsa_signatures_of_fixed_length_get_their_verdict() {
    for (file, algorithm) in
        [("ecdsa_secp256r1_sha256_p1363_test.json", Algorithm::Es256), ("ecdsa_secp384r1_sha384_p1363_test.json", Algorithm::Es384)]
    {
        let Some(text) = read(file) else { continue };
        let vectors: Json = serde_json::from_str(&text).unwrap();
        let mut count = 0;
        for group in vectors["testGroups"].as_array().unwrap() {
            let Some(keys) = group.get("publicKeyJwk").and_then(keys) else { continue };
            let key = keys.candidates(None, algorithm).next().unwrap().clone();
            for test in group["tests"].as_array().unwrap() {
                let bytes = |name: &str| hex(test[name].as_str().unwrap());
                let accepted = both(&key, algorithm, &bytes("msg"), &bytes("sig"));
                assert_eq!(accepted, test["result"] == "valid", "{file} {} {}", test["tcId"], test["comment"]);
                count += 1;
            }
        }
        assert!(count > 200, "{file}: {count}");
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|index| u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap()).collect()
}

/// RFC 8037 appendix A.4.
#[test]
fn the_ed25519_example_of_rfc_8037_verifies() {
    let jwk = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let jws = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let keys = KeySet::parse(jwk.as_bytes()).unwrap();
    assert!(accepts(&keys, jws));
    assert!(!accepts(&keys, &jws.replace("hgyY", "hgyZ")));
}

/// RFC 7515 appendix A.3.
#[test]
fn the_es256_example_of_rfc_7515_verifies() {
    let jwk = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
    let jws = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let keys = KeySet::parse(jwk.as_bytes()).unwrap();
    assert!(accepts(&keys, jws));
    assert!(!accepts(&keys, &jws.replace("DtEh", "DtEi")));
}

#[test]
fn keys_that_must_not_verify_are_left_out_and_the_rest_is_used() {
    const GOOD: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;
    let count = |keys: &str| KeySet::parse(format!("{{\"keys\":[{keys}]}}").as_bytes()).map(|set| set.len());
    for member in [
        r#""use":"enc""#, r#""use":1"#, r#""key_ops":["sign"]"#, r#""key_ops":["verify","verify"]"#, r#""key_ops":"verify""#, r#""alg":"RS256""#,
        r#""alg":"ES384""#, r#""alg":"ESP256""#, r#""d":"AA""#, r#""kid":1"#,
    ] {
        assert_eq!(count(&format!("{{{GOOD},{member}}},{{{GOOD}}}")), Ok(1), "{member}");
    }
    for key in [
        r#"{"kty":"oct","k":"AAAA"}"#, r#"{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}"#, r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#, "1", "{}",
        // Off the curve; a short coordinate; the point at infinity; a compressed point in x.
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1"}"#,
        r#"{"kty":"EC","crv":"P-256","x":"AAAA","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
        r#"{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
        r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
    ] {
        assert_eq!(count(&format!("{key},{{{GOOD}}}")), Ok(1), "{key}");
    }
}

#[test]
fn documents_that_are_no_key_set_say_why() {
    let fault = |document: &str| KeySet::parse(document.as_bytes()).unwrap_err().to_string();
    assert!(fault("<!DOCTYPE html>").contains("not JSON"));
    assert!(fault("[]").contains("no array \"keys\""));
    assert!(fault(r#"{"keys":[]}"#).contains("no key of the set"));
    assert!(fault(&format!(r#"{{"keys":[{}1]}}"#, "1,".repeat(64))).contains("more than 64"));
    assert!(fault(&" ".repeat(300_000)).contains("larger than"));
}

#[test]
fn weak_and_odd_rsa_keys_are_left_out() {
    use rsa::traits::PublicKeyParts;
    let vector = |n: &[u8], e: &[u8]| {
        let (n, e) = (base64url::encode(n), base64url::encode(e));
        KeySet::parse(format!(r#"{{"keys":[{{"kty":"RSA","n":"{n}","e":"{e}"}}]}}"#).as_bytes()).is_ok()
    };
    let spki = include_bytes!("known_answers/rs256.spki");
    let key = rsa::RsaPublicKey::new(rsa::BigUint::from_bytes_be(&spki[33..289]), rsa::BigUint::from(65_537_u32)).unwrap();
    let n = key.n().to_bytes_be();
    assert!(vector(&n, &[1, 0, 1]) && vector(&n, &[3]));
    for e in [&[1][..], &[2], &[0, 1, 0, 1], &[], &[1, 0, 0, 0, 1]] {
        assert!(!vector(&n, e), "e = {e:?}");
    }
    let even = [&n[..255], &[n[255] & 0xfe]].concat();
    for (n, what) in [(&n[..128], "1024 bits"), (&even, "even"), (&[&[0], &n[..]].concat(), "leading zero"), (&[0xff; 2048], "16384 bits")] {
        assert!(!vector(n, &[1, 0, 1]), "{what}");
    }
}
