//! Vectors of others. The examples of the RFCs stand here; Wycheproof and the JOSE cookbook are not part of this
//! repository: the tests read them from the folder in `BOUNDGATE_VECTORS`, and say so when there is none. Every
//! signature is verified as in the proxy, by ring and by a crate in Rust, and all must agree.

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Value as Json, json};

use crate::jose::ring_host::agreed;
use crate::jose::{Algorithm, Compact, Header, KeySet, PRIVATE_MEMBERS, base64url};

/// The text of a vector file; `None`, and a line on stderr, where there is no folder of vectors.
fn read(file: &str) -> Option<String> {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
    let folder = std::env::var_os("BOUNDGATE_VECTORS").map_or_else(default, PathBuf::from);
    if !folder.is_dir() {
        tell(&format!("skipped: {file}, no folder {} (set BOUNDGATE_VECTORS)", folder.display()));
        return None;
    }
    Some(std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}")))
}

/// Not eprintln, which the test harness keeps for itself; in one piece, because tests run side by side.
fn tell(line: &str) {
    let _ = std::io::stderr().write_all(format!("\n{line}\n").as_bytes());
}

/// The usable keys of a JWK or of a set, without the private members that vectors give along.
fn public_keys(jwk: &Json) -> Option<KeySet> {
    let mut set = if jwk.get("keys").is_some() { jwk.clone() } else { json!({ "keys": [jwk] }) };
    for key in set["keys"].as_array_mut()? {
        if key["kty"] != "oct" {
            key.as_object_mut()?.retain(|name, _| !PRIVATE_MEMBERS.contains(&name.as_str()));
        }
    }
    KeySet::parse(set.to_string().as_bytes()).ok()
}

/// Whether one of `keys` verifies `jws`. Most payloads are no claims, so the parser gets an empty object instead of
/// theirs; what is verified is the original.
fn accepts(keys: &KeySet, jws: &str) -> bool {
    let parts: Vec<_> = jws.split('.').collect();
    let [header, payload, signature] = parts[..] else { return Compact::parse(jws.as_bytes()).is_ok() };
    if payload.is_empty() || base64url::decode(payload.as_bytes()).is_err() {
        return false;
    }
    let with_claims = format!("{header}.e30.{signature}");
    let Ok(parsed) = Compact::parse(with_claims.as_bytes()) else { return false };
    let original = format!("{header}.{payload}");
    let parsed = Compact { signing_input: original.as_bytes(), ..parsed };
    keys.candidates(None, parsed.header.algorithm).any(|key| agreed(key, &parsed))
}

/// Rows whose verdict here differs from the label: source, id, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("wycheproof/json_web_crypto", "46", "ROCA: the signature is right; weak generators are the issuer's to avoid"),
    ("wycheproof/json_web_key", "7", "ROCA, as 46"),
    ("wycheproof/json_web_signature", "259", "an empty payload: no claims, so no access token"),
    ("wycheproof/json_web_signature", "264", "an empty payload, as 259"),
    ("wycheproof/json_web_signature", "268", "an empty payload, as 259"),
    ("wycheproof/json_web_signature", "272", "an empty payload, as 259"),
    ("wycheproof/json_web_signature", "320", "an empty payload, as 259"),
    ("wycheproof/json_web_signature", "325", "an empty payload, as 259"),
    ("rfc", "rfc9449-proof--BwC3ESc6acc2lTc-1562262616", "a DPoP proof: its header offers a key, no access token may"),
    ("rfc", "rfc9449-proof--BwC3ESc6acc2lTc-1562265296", "a DPoP proof"),
    ("rfc", "rfc9449-proof-e1j3V_bKic8-LAEB-1562262618", "a DPoP proof"),
];

#[test]
fn signatures_of_others_get_the_verdict_of_a_strict_verifier() {
    let Some(rows) = read("jws.jsonl") else { return };
    let (mut wrong, mut excepted) = (Vec::new(), Vec::new());
    let mut accepted = Vec::new();
    for line in rows.lines() {
        let row: Json = serde_json::from_str(line).unwrap();
        let (source, id) = (row["source"].as_str().unwrap(), row["id"].to_string().trim_matches('"').to_owned());
        let (jws, compact) = match &row["jws"] {
            Json::String(jws) => (jws.clone(), true),
            // The JSON serialisations are no tokens.
            other => (other.to_string(), false),
        };
        // "policy" leaves the verdict to us: the label stands.
        let label = row.get("strict").filter(|strict| *strict != "policy").unwrap_or(&row["expected"]);
        let known_algorithm = row["alg"].as_str().and_then(Algorithm::from_name).is_some();
        let expected = label == "valid" && known_algorithm && compact;
        let verdict = public_keys(&row["jwk"]).is_some_and(|keys| accepts(&keys, &jws));
        if verdict {
            accepted.push(id.clone());
        }
        if EXCEPTIONS.iter().any(|(of, name, _)| *of == source && *name == id) {
            excepted.push((source.to_owned(), id.clone()));
            if verdict == expected {
                wrong.push(format!("{source} {id} is an exception no more"));
            }
        } else if verdict != expected {
            wrong.push(format!("{source} {id} ({}): {verdict}, not {expected}", row["comment"]));
        }
    }
    let count = rows.lines().count();
    tell(&format!(
        "vectors: of {count} JWS {} verified, {} were refused; {} of these verdicts are exceptions with a reason",
        accepted.len(),
        count - accepted.len(),
        excepted.len()
    ));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(excepted.len(), EXCEPTIONS.len(), "exceptions without a row");
    assert!(accepted.len() > 33, "only {accepted:?} verified");
}

#[test]
fn ecdsa_signatures_of_fixed_length_get_their_verdict() {
    for (file, algorithm, least) in [
        ("ecdsa_secp256r1_sha256_p1363_test.json", Algorithm::Es256, 200),
        ("ecdsa_secp384r1_sha384_p1363_test.json", Algorithm::Es384, 200),
    ] {
        let Some(text) = read(file) else { continue };
        let vectors: Json = serde_json::from_str(&text).unwrap();
        let (mut count, mut right) = (0, 0);
        for group in vectors["testGroups"].as_array().unwrap() {
            let Some(keys) = group.get("publicKeyJwk").and_then(public_keys) else { continue };
            let key = keys.candidates(None, algorithm).next().unwrap();
            for test in group["tests"].as_array().unwrap() {
                let message = hex(&test["msg"]);
                let jws = Compact {
                    header: Header { algorithm, kid: None, typ: None },
                    payload: Default::default(),
                    signing_input: &message,
                    signature: hex(&test["sig"]),
                };
                assert_eq!(agreed(key, &jws), test["result"] == "valid", "{file} {} {}", test["tcId"], test["comment"]);
                count += 1;
                right += usize::from(test["result"] == "valid");
            }
        }
        tell(&format!("vectors: of {count} signatures of {} {right} verified", algorithm.name()));
        assert!(count > least, "{file}: {count}");
    }
}

fn hex(text: &Json) -> Vec<u8> {
    let digits = text.as_str().unwrap().as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn an_encrypted_token_is_refused() {
    let Some(text) = read("rfc7519_jwe.json") else { return };
    let vector: Json = serde_json::from_str(&text).unwrap();
    assert!(Compact::parse(vector["jwe"].as_str().unwrap().as_bytes()).is_err());
}

/// Examples of the RFCs: name, public key, JWS.
const EXAMPLES: [(&str, &str, &str); 3] = [
    (
        "RFC 7515 appendix A.2",
        r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#,
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    ),
    (
        "RFC 7515 appendix A.3",
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    ),
    (
        "RFC 8037 appendix A.4",
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    ),
];

#[test]
fn the_examples_of_the_rfcs_verify_and_no_part_of_them_can_be_exchanged() {
    for (name, jwk, jws) in EXAMPLES {
        let keys = public_keys(&serde_json::from_str(jwk).unwrap()).unwrap();
        assert!(accepts(&keys, jws), "{name}");
        let parts: Vec<_> = jws.split('.').collect();
        let changed = |part: &str| {
            if let Some(rest) = part.strip_prefix('A') { format!("B{rest}") } else { format!("A{}", &part[1..]) }
        };
        for other in [
            format!("{}.e30.{}", parts[0], parts[2]),
            format!("{}.{}.{}", parts[0], parts[1], changed(parts[2])),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}", parts[0], parts[1]),
            format!("{}.{}.{}", parts[1], parts[0], parts[2]),
        ] {
            assert!(!accepts(&keys, &other), "{name}: {other}");
        }
        for (_, _, foreign) in EXAMPLES.iter().filter(|(other, _, _)| *other != name) {
            assert!(!accepts(&keys, foreign), "{name}");
            let foreign_signature = foreign.rsplit('.').next().unwrap();
            assert!(!accepts(&keys, &format!("{}.{}.{foreign_signature}", parts[0], parts[1])), "{name}");
        }
    }
}
