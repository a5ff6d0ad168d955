//! The key that comes with a JWS (`jwk`, RFC 7515 §4.1.3), and its thumbprint (RFC 7638). In: the header's member. Out: the key
//! and the digest that names it. Such a key proves that its holder signed, and nothing about who that is: only a token that
//! names its thumbprint makes it worth something.
//! Not here: what a JWK must be (`jwk`), what is signed with it (`binding`).

use sha2::{Digest, Sha256};

use crate::jose::{JwkFault, VerifyingKey, base64url};
use crate::json::{Object, Value};

/// Which members are hashed of each kind of key, in their order (RFC 7638 §3.2, RFC 8037 §2, RFC 9964 §4.1).
const REQUIRED: [(&str, &[&str]); 4] = [
    ("EC", &["crv", "kty", "x", "y"]),
    ("RSA", &["e", "kty", "n"]),
    ("OKP", &["crv", "kty", "x"]),
    ("AKP", &["alg", "kty", "pub"]),
];

/// How long the numbers of an RSA key may be, as text: 4096 bits, and an exponent of three octets. Here the caller chooses the key, and
/// with it what each verification costs.
const RSA_NUMBERS: [(&str, usize); 2] = [("n", 683), ("e", 4)];

/// SHA-256 of a public key's required members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyThumbprint([u8; 32]);

/// Text that is no thumbprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoThumbprint;

impl KeyThumbprint {
    /// From the `jkt` of a token (RFC 9449 §6.1): 43 characters of base64url, no bit set behind the last byte.
    pub fn from_jkt(text: &str) -> Result<Self, NoThumbprint> {
        let bytes = base64url::decode(text.as_bytes()).map_err(|_| NoThumbprint)?;
        bytes.try_into().map(Self).map_err(|_| NoThumbprint)
    }

    /// The text that stands in tokens.
    pub fn to_jkt(self) -> String {
        base64url::encode(&self.0)
    }

    /// The digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Of a JWK that was found to be a key: each value then has one spelling, without anything to escape.
    fn of(jwk: &Object) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_text);
        let kind = text("kty")?;
        let (_, required) = REQUIRED.iter().find(|(known, _)| *known == kind)?;
        let mut input = String::from("{");
        for name in *required {
            let separator = if input.len() > 1 { ",\"" } else { "\"" };
            for part in [separator, name, "\":\"", text(name)?, "\""] {
                input.push_str(part);
            }
        }
        input.push('}');
        Some(Self(Sha256::digest(input.as_bytes()).into()))
    }
}

/// See the module.
#[derive(Debug)]
pub struct EmbeddedKey {
    /// The public key.
    pub key: VerifyingKey,
    /// What names it.
    pub thumbprint: KeyThumbprint,
}

impl EmbeddedKey {
    /// Reads the member. Private and symmetric keys are none, nor are those that cost too much.
    pub(super) fn from_jwk(jwk: &Object) -> Result<Self, JwkFault> {
        let length = |name: &str| jwk.get(name).and_then(Value::as_text).map_or(0, str::len);
        if RSA_NUMBERS.iter().any(|(name, most)| length(name) > *most) {
            return Err(JwkFault::Numbers);
        }
        let key = VerifyingKey::from_jwk(jwk)?;
        let thumbprint = KeyThumbprint::of(jwk).ok_or(JwkFault::Kind)?;
        Ok(Self { key, thumbprint })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::json::{Bounds, parse};

    fn thumbprint(jwk: &Json) -> Result<String, JwkFault> {
        let parsed = parse(jwk.to_string().as_bytes(), Bounds::TOKEN).unwrap();
        EmbeddedKey::from_jwk(parsed.as_object().unwrap()).map(|embedded| embedded.thumbprint.to_jkt())
    }

    fn p256() -> Json {
        let (x, y) = ("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs", "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA");
        json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
    }

    #[test]
    fn the_keys_of_the_rfcs_have_their_thumbprints() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3\
                 oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA\
                 ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-\
                 kEgU8awapJzKnqDKgw";
        let rsa = json!({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"});
        let ed25519 = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        for (what, jwk, expected) in [
            ("RFC 7638 §3.1", rsa, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
            ("RFC 8037 A.3", ed25519, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
            ("RFC 9449 §6.1", p256(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
        ] {
            assert_eq!(thumbprint(&jwk), Ok(expected.to_owned()), "{what}");
        }
    }

    #[test]
    fn a_thumbprint_is_of_the_required_members_alone() {
        let mut beside = p256();
        for (member, value) in
            [("kid", json!("k")), ("use", json!("sig")), ("alg", json!("ES256")), ("x5c", json!(["A"]))]
        {
            beside[member] = value;
        }
        assert_eq!(thumbprint(&beside), thumbprint(&p256()));
    }

    #[test]
    fn an_rsa_key_that_costs_more_than_usual_ones_is_none_that_could_be_embedded() {
        let key = |octets: usize, e: &[u8]| {
            let n = [vec![0x80], vec![0x55; octets - 1]].concat();
            thumbprint(&json!({"kty": "RSA", "n": base64url::encode(&n), "e": base64url::encode(e)})).err()
        };
        for octets in [256, 384, 512] {
            assert_eq!(key(octets, &[1, 0, 1]), None, "{octets} octets");
            assert_eq!(key(octets, &[3]), None, "{octets} octets");
        }
        for (octets, e) in [(513, &[1, 0, 1][..]), (1024, &[1, 0, 1]), (256, &[1, 0, 0, 1]), (256, &[0xff; 4])] {
            assert_eq!(key(octets, e), Some(JwkFault::Numbers), "{octets} octets, e = {e:?}");
        }
    }

    #[test]
    fn a_private_or_symmetric_key_is_none_that_could_be_embedded() {
        for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] {
            let mut jwk = p256();
            jwk[member] = json!("AAAA");
            assert_eq!(thumbprint(&jwk), Err(JwkFault::Private), "{member}");
        }
        assert_eq!(thumbprint(&json!({"kty": "oct", "k": "AAAA"})), Err(JwkFault::Private));
        assert_eq!(thumbprint(&json!({"kty": "oct"})), Err(JwkFault::Kind));
    }

    #[test]
    fn a_jkt_has_one_spelling() {
        const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
        assert_eq!(KeyThumbprint::from_jkt(JKT).map(KeyThumbprint::to_jkt), Ok(JKT.to_owned()));
        for wrong in ["", &JKT[..42], &format!("{JKT}="), &format!("{}J", &JKT[..42]), &JKT.replace('-', "+")] {
            assert_eq!(KeyThumbprint::from_jkt(wrong), Err(NoThumbprint), "{wrong}");
        }
    }
}
