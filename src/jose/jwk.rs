//! One JSON Web Key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2). In: its members. Out: a [`VerifyingKey`], or why it is not
//! one: keys of other kinds and for other uses are normal in a set, malformed ones are not used either.

use rsa::{BigUint, RsaPublicKey};

use crate::jose::key::{Material, VerifyingKey};
use crate::jose::{Algorithm, base64url};
use crate::json::{Object, Value};

/// Members that only private and symmetric keys have.
const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];
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
    /// It has private or symmetric members.
    Private,
    /// `kid` is there and no text.
    Kid,
    /// The numbers are missing, in another spelling than the RFC's, out of range, or no point of the curve.
    Numbers,
}

impl VerifyingKey {
    /// Reads a JWK.
    pub(super) fn from_jwk(jwk: &Object) -> Result<Self, JwkFault> {
        if PRIVATE.iter().any(|member| jwk.get(member).is_some()) {
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
            (Some("OKP"), Some("Ed25519")) => ed25519(jwk)?,
            _ => return Err(JwkFault::Kind),
        };
        let key = Self { kid, pinned, material, spki: spki.into() };
        // A key pinned to an algorithm of another type would never be found.
        if pinned.is_some_and(|pinned| !key.fits(pinned)) { Err(JwkFault::Algorithm) } else { Ok(key) }
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
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
        0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    let point = [&[0x04][..], &fixed::<32>(jwk, "x")?, &fixed::<32>(jwk, "y")?].concat();
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).map_err(|_| JwkFault::Numbers)?;
    Ok((Material::P256(key), [HEAD, &point].concat()))
}

fn p384(jwk: &Object) -> Result<Key, JwkFault> {
    const HEAD: &[u8] = &[
        0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22,
        0x03, 0x62, 0x00,
    ];
    let point = [&[0x04][..], &fixed::<48>(jwk, "x")?, &fixed::<48>(jwk, "y")?].concat();
    let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(&point).map_err(|_| JwkFault::Numbers)?;
    Ok((Material::P384(key), [HEAD, &point].concat()))
}

fn ed25519(jwk: &Object) -> Result<Key, JwkFault> {
    const HEAD: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let bytes = fixed::<32>(jwk, "x")?;
    Ok((Material::Ed25519(ed25519_compact::PublicKey::new(bytes)), [HEAD, &bytes].concat()))
}

fn rsa(jwk: &Object) -> Result<Key, JwkFault> {
    let (n, e) = (minimal(jwk, "n")?, minimal(jwk, "e")?);
    let (modulus, exponent) = (BigUint::from_bytes_be(&n), BigUint::from_bytes_be(&e));
    let odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last & 1 == 1);
    if !RSA_BITS.contains(&modulus.bits()) || !odd(&n) || !odd(&e) || e.len() > 4 || e == [1] {
        return Err(JwkFault::Numbers);
    }
    let spki = rsa_spki(&n, &e);
    let key = RsaPublicKey::new_with_max_size(modulus, exponent, *RSA_BITS.end()).map_err(|_| JwkFault::Numbers)?;
    Ok((Material::Rsa { key, modulus_bytes: n.len() }, spki))
}

/// SEQUENCE { rsaEncryption, BIT STRING { SEQUENCE { INTEGER n, INTEGER e } } } (RFC 3279 §2.3.1).
fn rsa_spki(n: &[u8], e: &[u8]) -> Vec<u8> {
    const ALGORITHM: &[u8] = &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let integer = |bytes: &[u8]| {
        let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
        tlv(0x02, &[if negative { &[0][..] } else { &[] }, bytes].concat())
    };
    let key = tlv(0x30, &[integer(n), integer(e)].concat());
    tlv(0x30, &[ALGORITHM, &tlv(0x03, &[&[0][..], &key].concat())].concat())
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
