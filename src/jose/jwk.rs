//! One JSON Web Key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2, RFC 9964 §4). In: its members. Out: a [`VerifyingKey`], or why it is not
//! one: keys of other kinds and for other uses are normal in a set, malformed ones are not used either.

use std::fmt;

use rsa::{BigUint, RsaPublicKey};

use crate::jose::key::{Material, VerifyingKey};
use crate::jose::ml_dsa::MlDsaKey;
use crate::jose::{Algorithm, base64url};
use crate::json::{Object, Value};

/// Members that only private and symmetric keys have (RFC 7518 §6.2.2, §6.3.2, §6.4.1, RFC 9964 §4).
pub const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];
/// RSA moduli (RFC 7518 §3.3), in bits. Above, one verification costs milliseconds.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Why a JWK does not verify access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwkFault {
    /// `kty` or `crv` is none that is used here.
    Kind,
    /// `use` is not `sig`, or `key_ops` does not hold `verify` or repeats an operation.
    Use,
    /// `alg` is there and is none of [`Algorithm::ALL`].
    Algorithm,
    /// `alg` is missing in a key of type `AKP`, whose kind it alone tells.
    NoAlgorithm,
    /// It has private or symmetric members.
    Private,
    /// `kid` is there and no text.
    Kid,
    /// The numbers are missing, in another spelling than the RFC's, out of range, or no point of the curve.
    Numbers,
}

impl fmt::Display for JwkFault {
    /// For operators; the sentence's subject is the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JwkFault::Kind => "is no RSA, P-256, P-384, P-521, Ed25519 or ML-DSA key",
            JwkFault::Use => "is not for verifying signatures, by its \"use\" or \"key_ops\"",
            JwkFault::Algorithm => "is for an \"alg\" that signs no access tokens here, or for one of another type",
            JwkFault::NoAlgorithm => "is of type AKP and has no \"alg\", which tells what kind of key it is",
            JwkFault::Private => "has private or symmetric members",
            JwkFault::Kid => "has a \"kid\" that is no text",
            JwkFault::Numbers => "has numbers that are missing, out of range (RSA: 2048 to 8192 bits), not on the curve or not in their shortest base64url",
        })
    }
}

impl VerifyingKey {
    /// Reads a JWK.
    pub(super) fn from_jwk(jwk: &Object) -> Result<Self, JwkFault> {
        if PRIVATE_MEMBERS.iter().any(|member| jwk.get(member).is_some()) {
            return Err(JwkFault::Private);
        }
        if !may_verify(jwk) {
            return Err(JwkFault::Use);
        }
        let pinned = match jwk.get("alg") {
            None => None,
            Some(alg) => Some(alg.as_text().and_then(Algorithm::from_name).ok_or(JwkFault::Algorithm)?),
        };
        let kid = match jwk.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_text().ok_or(JwkFault::Kid)?.into()),
        };
        let text = |name: &str| jwk.get(name).and_then(Value::as_text);
        let (material, spki) = match (text("kty"), text("crv")) {
            (Some("RSA"), _) => rsa(jwk)?,
            (Some("EC"), Some("P-256")) => p256(jwk)?,
            (Some("EC"), Some("P-384")) => p384(jwk)?,
            (Some("EC"), Some("P-521")) => p521(jwk)?,
            (Some("OKP"), Some("Ed25519")) => ed25519(jwk)?,
            (Some("AKP"), _) => ml_dsa(jwk, pinned.ok_or(JwkFault::NoAlgorithm)?)?,
            _ => return Err(JwkFault::Kind),
        };
        let mut key = Self { kid, pinned, material, spki: spki.into() };
        // A key pinned to an algorithm of another type would never be found.
        if pinned.is_some_and(|pinned| !key.fits(pinned)) {
            return Err(JwkFault::Algorithm);
        }
        if matches!(key.material, Material::Ed25519(_)) {
            // The old name and the new one say the same of a key of this curve (RFC 9864 §2.2): servers go over to the new
            // one for keys and for tokens at different times.
            key.pinned = None;
        }
        Ok(key)
    }
}

/// RFC 7517 §4.2, §4.3.
fn may_verify(jwk: &Object) -> bool {
    let for_signatures = jwk.get("use").is_none_or(|purpose| purpose.as_text() == Some("sig"));
    let operations = match jwk.get("key_ops") {
        None => true,
        Some(operations) => operations.as_array().is_some_and(|operations| {
            let distinct = (1..operations.len()).all(|index| {
                let (before, rest) = operations.split_at_checked(index).unwrap_or_default();
                rest.first().is_none_or(|operation| !before.contains(operation))
            });
            distinct && operations.iter().any(|operation| operation.as_text() == Some("verify"))
        }),
    };
    for_signatures && operations
}

fn number(jwk: &Object, name: &str) -> Result<Vec<u8>, JwkFault> {
    let text = jwk.get(name).and_then(Value::as_text).ok_or(JwkFault::Numbers)?;
    base64url::decode(text.as_bytes()).map_err(|_| JwkFault::Numbers)
}

/// A number of exactly `N` bytes (RFC 7518 §6.2.1.2).
fn fixed<const N: usize>(jwk: &Object, name: &str) -> Result<[u8; N], JwkFault> {
    number(jwk, name)?.try_into().map_err(|_| JwkFault::Numbers)
}

/// Base64urlUInt: no leading zero octet (RFC 7518 §2).
fn minimal(jwk: &Object, name: &str) -> Result<Vec<u8>, JwkFault> {
    let bytes = number(jwk, name)?;
    if bytes.first().is_none_or(|first| *first == 0) { Err(JwkFault::Numbers) } else { Ok(bytes) }
}

type Key = (Material, Vec<u8>);

fn p256(jwk: &Object) -> Result<Key, JwkFault> {
    const HEAD: &[u8] = &[
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    let point = [&[0x04][..], &fixed::<32>(jwk, "x")?, &fixed::<32>(jwk, "y")?].concat();
    p256::PublicKey::from_sec1_bytes(&point).map_err(|_| JwkFault::Numbers)?;
    Ok((Material::P256, [HEAD, &point].concat()))
}

fn p384(jwk: &Object) -> Result<Key, JwkFault> {
    const HEAD: &[u8] = &[
        0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
        0x00, 0x22, 0x03, 0x62, 0x00,
    ];
    let point = [&[0x04][..], &fixed::<48>(jwk, "x")?, &fixed::<48>(jwk, "y")?].concat();
    p384::PublicKey::from_sec1_bytes(&point).map_err(|_| JwkFault::Numbers)?;
    Ok((Material::P384, [HEAD, &point].concat()))
}

/// Whether it is a point of the curve is found out by the proxy, whenever it verifies: a key that is none verifies nothing.
fn p521(jwk: &Object) -> Result<Key, JwkFault> {
    const HEAD: &[u8] = &[
        0x30, 0x81, 0x9b, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
        0x04, 0x00, 0x23, 0x03, 0x81, 0x86, 0x00,
    ];
    let coordinate = |name: &str| {
        let bytes = fixed::<66>(jwk, name)?;
        // Below 2^521 - 1, the prime of the field.
        let below = match bytes {
            [0, ..] => true,
            [1, rest @ ..] => rest.iter().any(|byte| *byte != 0xff),
            _ => false,
        };
        if below { Ok(bytes) } else { Err(JwkFault::Numbers) }
    };
    Ok((Material::P521, [HEAD, &[0x04], &coordinate("x")?, &coordinate("y")?].concat()))
}

fn ed25519(jwk: &Object) -> Result<Key, JwkFault> {
    const HEAD: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let key = ed25519_compact::PublicKey::new(fixed(jwk, "x")?);
    // Canonical, a point, and not of small order: such a key signs everything.
    key.validate().map_err(|_| JwkFault::Numbers)?;
    Ok((Material::Ed25519(key), [HEAD, &key[..]].concat()))
}

/// The last arc of the object identifier tells the kind (RFC 9881 §2).
fn ml_dsa(jwk: &Object, algorithm: Algorithm) -> Result<Key, JwkFault> {
    const IDENTIFIER: &[u8] = &[0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03];
    let arc = match algorithm {
        Algorithm::MlDsa44 => 17,
        Algorithm::MlDsa65 => 18,
        Algorithm::MlDsa87 => 19,
        _ => return Err(JwkFault::Algorithm),
    };
    let bytes = number(jwk, "pub")?;
    let key = MlDsaKey::new(algorithm, &bytes).ok_or(JwkFault::Numbers)?;
    let identifier = tlv(0x30, &[IDENTIFIER, &[arc]].concat());
    let spki = tlv(0x30, &[identifier, tlv(0x03, &[&[0][..], &bytes].concat())].concat());
    Ok((Material::MlDsa(key), spki))
}

fn rsa(jwk: &Object) -> Result<Key, JwkFault> {
    let (n, e) = (minimal(jwk, "n")?, minimal(jwk, "e")?);
    let (modulus, exponent) = (BigUint::from_bytes_be(&n), BigUint::from_bytes_be(&e));
    // Even numbers and an exponent of 1 are refused by the crate, below.
    if !RSA_BITS.contains(&modulus.bits()) || e.len() > 4 {
        return Err(JwkFault::Numbers);
    }
    let spki = rsa_spki(&n, &e);
    let key = RsaPublicKey::new_with_max_size(modulus, exponent, *RSA_BITS.end()).map_err(|_| JwkFault::Numbers)?;
    Ok((Material::Rsa { key, modulus_bytes: n.len() }, spki))
}

/// SEQUENCE { rsaEncryption, BIT STRING { SEQUENCE { INTEGER n, INTEGER e } } } (RFC 3279 §2.3.1).
fn rsa_spki(n: &[u8], e: &[u8]) -> Vec<u8> {
    const ALGORITHM: &[u8] =
        &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let key = two_integers(n, e);
    tlv(0x30, &[ALGORITHM, &tlv(0x03, &[&[0][..], &key].concat())].concat())
}

/// SEQUENCE { INTEGER, INTEGER }, each of a number that is not 0 and has no leading zero octet.
pub(super) fn two_integers(one: &[u8], other: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
        tlv(0x02, &[if negative { &[0][..] } else { &[] }, bytes].concat())
    };
    tlv(0x30, &[integer(one), integer(other)].concat())
}

/// Tag, length, value. No value here is longer than 64 KiB.
fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let [.., high, low] = value.len().to_be_bytes();
    let length = match (high, low) {
        (0, 0..=0x7f) => vec![low],
        (0, _) => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag][..], &length, value].concat()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::json::{Bounds, parse};

    fn fault(jwk: &Json) -> Option<JwkFault> {
        let parsed = parse(jwk.to_string().as_bytes(), Bounds::KEYS).unwrap();
        VerifyingKey::from_jwk(parsed.as_object().unwrap()).err()
    }

    fn p256() -> Json {
        let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
    }

    fn with(mut jwk: Json, member: &str, value: Json) -> Json {
        jwk[member] = value;
        jwk
    }

    #[test]
    fn members_decide_what_a_key_is_for() {
        for (member, value, expected) in [
            ("use", json!("sig"), None),
            ("use", json!("enc"), Some(JwkFault::Use)),
            ("use", json!(1), Some(JwkFault::Use)),
            ("key_ops", json!(["verify"]), None),
            ("key_ops", json!(["sign", "verify"]), None),
            ("key_ops", json!(["sign"]), Some(JwkFault::Use)),
            ("key_ops", json!(["encrypt"]), Some(JwkFault::Use)),
            ("key_ops", json!([]), Some(JwkFault::Use)),
            ("key_ops", json!(["verify", "verify"]), Some(JwkFault::Use)),
            ("key_ops", json!("verify"), Some(JwkFault::Use)),
            ("alg", json!("ES256"), None),
            ("alg", json!("RS256"), Some(JwkFault::Algorithm)),
            ("alg", json!("ES384"), Some(JwkFault::Algorithm)),
            ("alg", json!("ESP256"), Some(JwkFault::Algorithm)),
            ("alg", json!("ECDH-ES"), Some(JwkFault::Algorithm)),
            ("alg", json!(null), Some(JwkFault::Algorithm)),
            ("d", json!("AA"), Some(JwkFault::Private)),
            ("kid", json!("any"), None),
            ("kid", json!(1), Some(JwkFault::Kid)),
            ("x5c", json!(["AAAA"]), None),
            ("unknown", json!({}), None),
        ] {
            assert_eq!(fault(&with(p256(), member, value.clone())), expected, "{member}: {value}");
        }
    }

    #[test]
    fn other_kinds_of_keys_are_none() {
        for (jwk, expected) in [
            (json!({"kty": "oct", "k": "AAAA"}), JwkFault::Private),
            (json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}), JwkFault::Numbers),
            (json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}), JwkFault::Kind),
            (json!({"kty": "OKP", "crv": "X25519", "x": "AA"}), JwkFault::Kind),
            (json!({"kty": "OKP", "crv": "Ed448", "x": "AA"}), JwkFault::Kind),
            (json!({"kty": "ec", "crv": "P-256"}), JwkFault::Kind),
            (json!({}), JwkFault::Kind),
        ] {
            assert_eq!(fault(&jwk), Some(expected), "{jwk}");
        }
    }

    #[test]
    fn a_point_must_be_on_the_curve_and_written_in_full() {
        assert_eq!(fault(&p256()), None);
        let zero = "A".repeat(43);
        let y_of_zero = "ZkhceA4vg9ckM71dhKBrtlQcKvMdrocXKL-FahdPk_Q";
        for (x, y, what) in [
            (
                "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a4",
                "off the curve",
            ),
            (zero.as_str(), zero.as_str(), "(0, 0)"),
            ("_____wAAAAEAAAAAAAAAAAAAAAD_______________8", y_of_zero, "x = p, which is 0 again"),
            ("AvN8ziVw9sRdQYPL7m_bS3tYBzM1e-nvE7rPbjx70VRF", "", "compressed"),
            ("zc4ncPbEXUGDy-5v20t7WAczNXvp7xO6z248e9FURQ", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", "a short x"),
            ("AH_NzidwdsRdQYPL7m_bS3tYBzM1e-nvE7rPbjx70VRF", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", "a long x"),
            ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU=", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", "padding"),
        ] {
            assert_eq!(fault(&json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})), Some(JwkFault::Numbers), "{what}");
        }
        assert_eq!(fault(&json!({"kty": "EC", "crv": "P-256", "x": zero, "y": y_of_zero})), None, "a point with x = 0");
        assert_eq!(fault(&with(p256(), "crv", json!("P-384"))), Some(JwkFault::Numbers), "P-256 numbers under P-384");
    }

    #[test]
    fn a_number_of_p_521_is_below_its_prime_and_written_in_full() {
        let key = |x: &[u8]| {
            let y = base64url::encode(&[&[1][..], &[7; 65]].concat());
            fault(&json!({"kty": "EC", "crv": "P-521", "x": base64url::encode(x), "y": y}))
        };
        let number = |first: u8, last: u8| [&[first][..], &[0xff; 64], &[last]].concat();
        for good in [number(0, 0xff), number(1, 0xfe)] {
            assert_eq!(key(&good), None);
        }
        for wrong in [number(1, 0xff), number(2, 0), vec![0; 65], vec![0; 67], vec![]] {
            assert_eq!(key(&wrong), Some(JwkFault::Numbers), "{wrong:?}");
        }
    }

    #[test]
    fn an_ed25519_key_must_be_a_canonical_point_that_is_not_of_small_order() {
        let key = |bytes: &[u8]| fault(&json!({"kty": "OKP", "crv": "Ed25519", "x": base64url::encode(bytes)}));
        let filled = |first: u8, middle: u8, last: u8| [&[first][..], &[middle; 30], &[last]].concat();
        assert_eq!(key(&base64url::decode(b"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap()), None);
        for (bytes, what) in [
            (filled(1, 0, 0), "order 1"),
            (filled(1, 0, 0x80), "order 1, x negative"),
            (filled(0xec, 0xff, 0x7f), "order 2"),
            (filled(0, 0, 0), "order 4"),
            (filled(0, 0, 0x80), "order 4"),
            (filled(0xed, 0xff, 0x7f), "y = p"),
            (filled(0xee, 0xff, 0x7f), "y = p + 1"),
            (filled(2, 0, 0), "no point"),
            (vec![9; 31], "31 octets"),
            (vec![9; 33], "33 octets"),
        ] {
            assert_eq!(key(&bytes), Some(JwkFault::Numbers), "{what}");
        }
    }

    #[test]
    fn a_key_of_ml_dsa_names_its_algorithm_and_is_exactly_as_long_as_that_says() {
        let key = |octets: usize| json!({"kty": "AKP", "pub": base64url::encode(&vec![7; octets])});
        for (name, octets) in [("ML-DSA-44", 1312), ("ML-DSA-65", 1952), ("ML-DSA-87", 2592)] {
            let named = |octets| with(key(octets), "alg", json!(name));
            assert_eq!(fault(&named(octets)), None, "{name}");
            for other in [0, 32, octets - 1, octets + 1, 1312, 1952, 2592].into_iter().filter(|other| *other != octets)
            {
                assert_eq!(fault(&named(other)), Some(JwkFault::Numbers), "{name}, {other} octets");
            }
            assert_eq!(fault(&key(octets)), Some(JwkFault::NoAlgorithm), "{name}");
            assert_eq!(fault(&with(named(octets), "priv", json!("AAAA"))), Some(JwkFault::Private), "{name}");
            assert_eq!(fault(&json!({"kty": "AKP", "alg": name})), Some(JwkFault::Numbers), "{name} without pub");
            assert_eq!(fault(&with(p256(), "alg", json!(name))), Some(JwkFault::Algorithm), "{name} for a curve");
            for (member, value) in [("use", json!("enc")), ("key_ops", json!(["sign"]))] {
                assert_eq!(fault(&with(named(octets), member, value)), Some(JwkFault::Use), "{name}, {member}");
            }
        }
        for alg in ["ES256", "HashML-DSA-44", "ML-DSA-44-ES256", "ml-dsa-44", "SLH-DSA-SHA2-128s", "ML-KEM-768"] {
            assert_eq!(fault(&with(key(1312), "alg", json!(alg))), Some(JwkFault::Algorithm), "{alg}");
        }
    }

    #[test]
    fn an_rsa_key_must_be_strong_odd_and_written_minimally() {
        let key =
            |n: &[u8], e: &[u8]| fault(&json!({"kty": "RSA", "n": base64url::encode(n), "e": base64url::encode(e)}));
        let n = |octets: usize, first: u8| [vec![first], vec![0x55; octets - 1]].concat();
        let good = n(256, 0x80);
        for (modulus, what) in [(good.clone(), "2048 bits"), (n(257, 1), "2049 bits"), (n(1024, 0x80), "8192 bits")] {
            assert_eq!(key(&modulus, &[1, 0, 1]), None, "{what}");
        }
        for e in [&[3][..], &[0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(key(&good, e), None, "e = {e:?}");
        }
        for (modulus, what) in [
            (n(64, 0x80), "512 bits"),
            (n(128, 0x80), "1024 bits"),
            (n(256, 0x7f), "2047 bits"),
            (n(1025, 1), "8193 bits"),
            (n(2048, 0x80), "16384 bits"),
            ([&good[..255], &[0x54]].concat(), "even"),
            ([&[0], &good[..]].concat(), "a leading zero"),
            (vec![], "empty"),
        ] {
            assert_eq!(key(&modulus, &[1, 0, 1]), Some(JwkFault::Numbers), "{what}");
        }
        for e in [&[][..], &[0], &[1], &[2], &[1, 0, 0], &[0, 1, 0, 1], &[1, 0, 0, 0, 1]] {
            assert_eq!(key(&good, e), Some(JwkFault::Numbers), "e = {e:?}");
        }
    }
}
