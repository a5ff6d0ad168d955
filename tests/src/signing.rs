//! The keys of an authorization server. In: an algorithm and bytes. Out: JWS in compact form (RFC 7515 §7.1), and
//! the JWK set (RFC 7517). Signs whatever it is given, so that tests can make every wrong token.
//!
//! Not here: what a good access token says (`claims`).

use std::fmt;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair as RsaKeyPair;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding,
};
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::rand_core::OsRng;
use rsa::traits::PublicKeyParts;
use serde_json::{Value, json};

/// A signature algorithm (RFC 7518 §3.1, RFC 9864).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// EdDSA on Curve25519.
    Ed25519,
}

impl Algorithm {
    /// All that an authorization server has keys for.
    pub const ALL: [Self; 9] = [
        Self::Es256,
        Self::Es384,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Ed25519,
    ];

    /// The registered name: `alg` in headers and keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// The algorithm of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// One key per algorithm; those of RSA share theirs, under a name for each.
pub struct SigningKeys {
    generation: u32,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeys(generation {})", self.generation)
    }
}

impl SigningKeys {
    /// New keys, named `es256-<generation>` and so on. The RSA key is the same for the whole process, because it
    /// takes long to make.
    pub fn new(generation: u32) -> Self {
        let random = SystemRandom::new();
        let ed25519 = Ed25519KeyPair::generate_pkcs8(&random).expect("an Ed25519 key can be made");
        Self {
            generation,
            p256: ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
            p384: ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, &random),
            ed25519: Ed25519KeyPair::from_pkcs8(ed25519.as_ref()).expect("the key was just made"),
        }
    }

    /// The `kid` of the key for `algorithm`.
    pub fn kid(&self, algorithm: Algorithm) -> String {
        format!("{}-{}", algorithm.name().to_ascii_lowercase(), self.generation)
    }

    /// The public keys, each with `kid`, `alg` and `use`.
    pub fn jwks(&self) -> Value {
        json!({ "keys": Algorithm::ALL.map(|algorithm| self.jwk(algorithm)) })
    }

    /// The public key for `algorithm`.
    pub fn jwk(&self, algorithm: Algorithm) -> Value {
        let mut jwk = match algorithm {
            Algorithm::Es256 => ec_jwk("P-256", self.p256.public_key().as_ref()),
            Algorithm::Es384 => ec_jwk("P-384", self.p384.public_key().as_ref()),
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => rsa_key().jwk.clone(),
            Algorithm::Ed25519 => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(self.ed25519.public_key().as_ref()) })
            }
        };
        jwk["kid"] = json!(self.kid(algorithm));
        jwk["alg"] = json!(algorithm.name());
        jwk["use"] = json!("sig");
        jwk
    }

    /// `header.claims.signature` with both texts as `serde_json` writes them.
    pub fn sign(&self, algorithm: Algorithm, header: &Value, claims: &Value) -> String {
        self.sign_raw(algorithm, header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// Signs any bytes as header and payload: malformed JSON, duplicate members, deep nesting.
    pub fn sign_raw(&self, algorithm: Algorithm, header: &[u8], payload: &[u8]) -> String {
        let input = format!("{}.{}", base64url(header), base64url(payload));
        let signature = self.signature(algorithm, input.as_bytes());
        format!("{input}.{}", base64url(&signature))
    }

    /// The raw signature over any bytes (for ECDSA r‖s, RFC 7518 §3.4).
    pub fn signature(&self, algorithm: Algorithm, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |padding: &'static dyn RsaEncoding| {
            let key = &rsa_key().pair;
            let mut signature = vec![0; key.public().modulus_len()];
            key.sign(padding, &random, input, &mut signature).expect("RSA signs anything");
            signature
        };
        match algorithm {
            Algorithm::Es256 => self.p256.sign(&random, input).expect("ECDSA signs anything").as_ref().to_vec(),
            Algorithm::Es384 => self.p384.sign(&random, input).expect("ECDSA signs anything").as_ref().to_vec(),
            Algorithm::Rs256 => rsa(&RSA_PKCS1_SHA256),
            Algorithm::Rs384 => rsa(&RSA_PKCS1_SHA384),
            Algorithm::Rs512 => rsa(&RSA_PKCS1_SHA512),
            Algorithm::Ps256 => rsa(&RSA_PSS_SHA256),
            Algorithm::Ps384 => rsa(&RSA_PSS_SHA384),
            Algorithm::Ps512 => rsa(&RSA_PSS_SHA512),
            Algorithm::Ed25519 => self.ed25519.sign(input).as_ref().to_vec(),
        }
    }
}

struct RsaKey {
    pair: RsaKeyPair,
    jwk: Value,
}

fn rsa_key() -> &'static RsaKey {
    static KEY: OnceLock<RsaKey> = OnceLock::new();
    KEY.get_or_init(|| {
        let key = RsaPrivateKey::new(&mut OsRng, 2048).expect("an RSA key can be made");
        let der = key.to_pkcs1_der().expect("an RSA key can be encoded");
        let jwk = json!({
            "kty": "RSA",
            "n": base64url(&key.n().to_bytes_be()),
            "e": base64url(&key.e().to_bytes_be()),
        });
        RsaKey { pair: RsaKeyPair::from_der(der.as_bytes()).expect("the key was just made"), jwk }
    })
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm, random: &SystemRandom) -> EcdsaKeyPair {
    let key = EcdsaKeyPair::generate_pkcs8(algorithm, random).expect("an EC key can be made");
    EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), random).expect("the key was just made")
}

/// `point` is 0x04, x, y (SEC 1 §2.3.3).
fn ec_jwk(curve: &str, point: &[u8]) -> Value {
    let (x, y) = point[1..].split_at(point.len() / 2);
    json!({ "kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y) })
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
