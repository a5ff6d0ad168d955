//! The keys of an authorization server. In: an algorithm and bytes. Out: JWS in compact form (RFC 7515 §7.1), and
//! the JWK set (RFC 7517). Signs whatever it is given, so that tests can make every wrong token.
//!
//! An ordinary token is made as a whole by jwt-simple, which shares no code with the filter's reader. It writes headers
//! of its own, does not know ES512, and calls Ed25519 by its old name only: every other token gets nothing but a
//! signature, by the same keys.
//!
//! Not here: what a good access token says (`claims`).

use std::fmt;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_simple::algorithms::{
    ECDSAP256KeyPairLike, ECDSAP384KeyPairLike, ES256KeyPair, ES384KeyPair, Ed25519KeyPair, EdDSAKeyPairLike,
    MLDSA44KeyPair, MLDSA65KeyPair, MLDSA87KeyPair, MLDSAKeyPairLike, PS256KeyPair, PS384KeyPair, PS512KeyPair,
    RS256KeyPair, RS384KeyPair, RS512KeyPair, RSAKeyPairLike,
};
use jwt_simple::claims::JWTClaims;
use jwt_simple::common::HeaderOptions;
use p521::ecdsa::signature::Signer as _;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
    RsaKeyPair,
};
use serde_json::{Map, Value, json};

/// A signature algorithm (RFC 7518 §3.1, RFC 9864, RFC 9964).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
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
    /// ML-DSA-44.
    MlDsa44,
    /// ML-DSA-65.
    MlDsa65,
    /// ML-DSA-87.
    MlDsa87,
}

impl Algorithm {
    /// All that an authorization server has keys for.
    pub const ALL: [Self; 13] = [
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Ed25519,
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
    ];

    /// The registered name: `alg` in headers and keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Ed25519 => "Ed25519",
            Self::MlDsa44 => "ML-DSA-44",
            Self::MlDsa65 => "ML-DSA-65",
            Self::MlDsa87 => "ML-DSA-87",
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
    es256: ES256KeyPair,
    es384: ES384KeyPair,
    es512: p521::ecdsa::SigningKey,
    ed25519: Ed25519KeyPair,
    ml_dsa_44: MLDSA44KeyPair,
    ml_dsa_65: MLDSA65KeyPair,
    ml_dsa_87: MLDSA87KeyPair,
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
        let kid = |algorithm| kid(algorithm, generation);
        Self {
            generation,
            es256: ES256KeyPair::generate().with_key_id(&kid(Algorithm::Es256)),
            es384: ES384KeyPair::generate().with_key_id(&kid(Algorithm::Es384)),
            es512: p521_key(&SystemRandom::new()),
            ed25519: Ed25519KeyPair::generate(),
            ml_dsa_44: MLDSA44KeyPair::generate().with_key_id(&kid(Algorithm::MlDsa44)),
            ml_dsa_65: MLDSA65KeyPair::generate().with_key_id(&kid(Algorithm::MlDsa65)),
            ml_dsa_87: MLDSA87KeyPair::generate().with_key_id(&kid(Algorithm::MlDsa87)),
        }
    }

    /// The `kid` of the key for `algorithm`.
    pub fn kid(&self, algorithm: Algorithm) -> String {
        kid(algorithm, self.generation)
    }

    /// The public keys, each with `kid`, `alg` and `use`.
    pub fn jwks(&self) -> Value {
        json!({ "keys": Algorithm::ALL.map(|algorithm| self.jwk(algorithm)) })
    }

    /// The public key for `algorithm`.
    pub fn jwk(&self, algorithm: Algorithm) -> Value {
        let text = match algorithm {
            Algorithm::Es256 => self.es256.public_key().to_jwk(),
            Algorithm::Es384 => self.es384.public_key().to_jwk(),
            Algorithm::Es512 => ec_jwk("P-521", self.es512.verifying_key().to_sec1_point(false).as_bytes()).to_string(),
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => rsa_keys().rs256.public_key().to_jwk(),
            Algorithm::Ed25519 => self.ed25519.public_key().to_jwk(),
            Algorithm::MlDsa44 => self.ml_dsa_44.public_key().to_jwk(),
            Algorithm::MlDsa65 => self.ml_dsa_65.public_key().to_jwk(),
            Algorithm::MlDsa87 => self.ml_dsa_87.public_key().to_jwk(),
        };
        let mut jwk: Value = serde_json::from_str(&text).expect("a JWK is JSON");
        jwk["kid"] = json!(self.kid(algorithm));
        jwk["alg"] = json!(algorithm.name());
        jwk["use"] = json!("sig");
        jwk
    }

    /// `header.claims.signature`.
    pub fn sign(&self, algorithm: Algorithm, header: &Value, claims: &Value) -> String {
        self.sign_ordinary(algorithm, header, claims)
            .unwrap_or_else(|| self.sign_raw(algorithm, header.to_string().as_bytes(), claims.to_string().as_bytes()))
    }

    /// The whole token by jwt-simple; `None` where it does not know the algorithm, or would write another header.
    fn sign_ordinary(&self, algorithm: Algorithm, header: &Value, claims: &Value) -> Option<String> {
        let (kid, typ) = (self.kid(algorithm), header["typ"].as_str()?);
        if *header != json!({ "alg": algorithm.name(), "kid": kid, "typ": typ }) {
            return None;
        }
        let claims = JWTClaims { custom: claims.as_object()?.clone(), ..JWTClaims::<Map<String, Value>>::new() };
        let options = HeaderOptions { content_type: None, signature_type: Some(typ.to_owned()) };
        let rsa = rsa_keys();
        let token = match algorithm {
            Algorithm::Es256 => self.es256.sign_with_options(claims, &options),
            Algorithm::Es384 => self.es384.sign_with_options(claims, &options),
            Algorithm::Rs256 => rsa.rs256.clone().with_key_id(&kid).sign_with_options(claims, &options),
            Algorithm::Rs384 => rsa.rs384.clone().with_key_id(&kid).sign_with_options(claims, &options),
            Algorithm::Rs512 => rsa.rs512.clone().with_key_id(&kid).sign_with_options(claims, &options),
            Algorithm::Ps256 => rsa.ps256.clone().with_key_id(&kid).sign_with_options(claims, &options),
            Algorithm::Ps384 => rsa.ps384.clone().with_key_id(&kid).sign_with_options(claims, &options),
            Algorithm::Ps512 => rsa.ps512.clone().with_key_id(&kid).sign_with_options(claims, &options),
            Algorithm::MlDsa44 => self.ml_dsa_44.sign_with_options(claims, &options),
            Algorithm::MlDsa65 => self.ml_dsa_65.sign_with_options(claims, &options),
            Algorithm::MlDsa87 => self.ml_dsa_87.sign_with_options(claims, &options),
            Algorithm::Es512 | Algorithm::Ed25519 => return None,
        };
        Some(token.expect("jwt-simple signs any claims"))
    }

    /// Signs any bytes as header and payload: malformed JSON, duplicate members, deep nesting.
    pub fn sign_raw(&self, algorithm: Algorithm, header: &[u8], payload: &[u8]) -> String {
        let input = format!("{}.{}", base64url(header), base64url(payload));
        let signature = self.signature(algorithm, input.as_bytes());
        format!("{input}.{}", base64url(&signature))
    }

    /// The raw signature over any bytes (for ECDSA r‖s, RFC 7518 §3.4).
    pub fn signature(&self, algorithm: Algorithm, input: &[u8]) -> Vec<u8> {
        let rsa = |padding: &'static dyn RsaEncoding| {
            let key = &rsa_keys().raw;
            let mut signature = vec![0; key.public().modulus_len()];
            key.sign(padding, &SystemRandom::new(), input, &mut signature).expect("RSA signs anything");
            signature
        };
        match algorithm {
            Algorithm::Es256 => {
                let signature: p256::ecdsa::Signature = self.es256.key_pair().as_ref().sign(input);
                signature.to_bytes().to_vec()
            }
            Algorithm::Es384 => {
                let signature: p384::ecdsa::Signature = self.es384.key_pair().as_ref().sign(input);
                signature.to_bytes().to_vec()
            }
            Algorithm::Es512 => {
                let signature: p521::ecdsa::Signature = self.es512.sign(input);
                signature.to_bytes().to_vec()
            }
            Algorithm::Rs256 => rsa(&RSA_PKCS1_SHA256),
            Algorithm::Rs384 => rsa(&RSA_PKCS1_SHA384),
            Algorithm::Rs512 => rsa(&RSA_PKCS1_SHA512),
            Algorithm::Ps256 => rsa(&RSA_PSS_SHA256),
            Algorithm::Ps384 => rsa(&RSA_PSS_SHA384),
            Algorithm::Ps512 => rsa(&RSA_PSS_SHA512),
            Algorithm::Ed25519 => self.ed25519.key_pair().as_ref().sk.sign(input, None).to_vec(),
            Algorithm::MlDsa44 => ml_dsa(&self.ml_dsa_44, input),
            Algorithm::MlDsa65 => ml_dsa(&self.ml_dsa_65, input),
            Algorithm::MlDsa87 => ml_dsa(&self.ml_dsa_87, input),
        }
    }
}

fn kid(algorithm: Algorithm, generation: u32) -> String {
    format!("{}-{generation}", algorithm.name().to_ascii_lowercase())
}

fn ml_dsa(key: &impl MLDSAKeyPairLike, input: &[u8]) -> Vec<u8> {
    key.key_pair().as_ref().sign(input).expect("ML-DSA signs anything")
}

/// One key, as each of the types that sign with it.
struct RsaKeys {
    rs256: RS256KeyPair,
    rs384: RS384KeyPair,
    rs512: RS512KeyPair,
    ps256: PS256KeyPair,
    ps384: PS384KeyPair,
    ps512: PS512KeyPair,
    /// For any bytes.
    raw: RsaKeyPair,
}

fn rsa_keys() -> &'static RsaKeys {
    static KEYS: OnceLock<RsaKeys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let rs256 = RS256KeyPair::generate(2048).expect("an RSA key can be made");
        let der = rs256.to_der().expect("an RSA key can be encoded");
        let made = "the key was just made";
        RsaKeys {
            rs256,
            rs384: RS384KeyPair::from_der(&der).expect(made),
            rs512: RS512KeyPair::from_der(&der).expect(made),
            ps256: PS256KeyPair::from_der(&der).expect(made),
            ps384: PS384KeyPair::from_der(&der).expect(made),
            ps512: PS512KeyPair::from_der(&der).expect(made),
            raw: RsaKeyPair::from_pkcs8(&der).expect(made),
        }
    })
}

fn p521_key(random: &SystemRandom) -> p521::ecdsa::SigningKey {
    let mut number = [0; 66];
    // Below 2^520, and with that below the order of the curve.
    random.fill(&mut number[1..]).expect("the system has random bytes");
    p521::ecdsa::SigningKey::from_slice(&number).expect("not 0 and below the order")
}

/// `point` is 0x04, x, y (SEC 1 §2.3.3).
fn ec_jwk(curve: &str, point: &[u8]) -> Value {
    let (x, y) = point[1..].split_at(point.len() / 2);
    json!({ "kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y) })
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
