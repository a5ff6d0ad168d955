//! Private keys that sign tokens, all by jwt-simple: what signs shares no code with what verifies in the filter. In: an
//! algorithm and where its key comes from. Out: a signer.

use boundgate::jose::base64url;
use clap::ValueEnum;
use jwt_simple::Error;
use jwt_simple::algorithms::{
    ECDSAP256KeyPairLike, ECDSAP384KeyPairLike, ES256KeyPair, ES384KeyPair, Ed25519KeyPair, EdDSAKeyPairLike,
    MLDSA44KeyPair, MLDSA65KeyPair, MLDSA87KeyPair, MLDSAKeyPairLike, PS256KeyPair, PS384KeyPair, PS512KeyPair,
    RS256KeyPair, RS384KeyPair, RS512KeyPair, RSAKeyPairLike,
};
use jwt_simple::claims::JWTClaims;
use jwt_simple::common::HeaderOptions;
use serde_json::{Map, Value, json};

/// What a token can be signed with here. ES512 is missing: jwt-simple does not know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "verbatim")]
pub enum Algorithm {
    ES256,
    ES384,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    Ed25519,
    #[value(name = "EdDSA")]
    EdDsa,
    #[value(name = "ML-DSA-44")]
    MlDsa44,
    #[value(name = "ML-DSA-65")]
    MlDsa65,
    #[value(name = "ML-DSA-87")]
    MlDsa87,
}

impl Algorithm {
    /// The algorithm of that registered name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::from_str(name, false).ok()
    }
}

/// Where a private key comes from.
pub enum Source {
    /// It is made now.
    New,
    /// The text of a private JWK.
    Jwk(String),
    /// PEM: PKCS#8, for RSA also PKCS#1.
    Pem(String),
}

/// A private key for one algorithm.
pub trait Signer {
    /// A whole token with exactly these claims.
    fn sign(&self, typ: &str, claims: Map<String, Value>) -> Result<String, Error>;
    /// The public key.
    fn jwk(&self) -> String;
}

macro_rules! signer {
    ($key:ty) => {
        impl Signer for $key {
            fn sign(&self, typ: &str, claims: Map<String, Value>) -> Result<String, Error> {
                let options = HeaderOptions { content_type: None, signature_type: Some(typ.to_owned()) };
                self.sign_with_options(JWTClaims { custom: claims, ..JWTClaims::new() }, &options)
            }

            fn jwk(&self) -> String {
                self.public_key().to_jwk()
            }
        }
    };
}
signer!(ES256KeyPair);
signer!(ES384KeyPair);
signer!(RS256KeyPair);
signer!(RS384KeyPair);
signer!(RS512KeyPair);
signer!(PS256KeyPair);
signer!(PS384KeyPair);
signer!(PS512KeyPair);
signer!(Ed25519KeyPair);
signer!(MLDSA44KeyPair);
signer!(MLDSA65KeyPair);
signer!(MLDSA87KeyPair);

/// jwt-simple writes the old name of the algorithm only, so that this one's header is ours and its signature theirs.
struct Ed25519ByItsName(Ed25519KeyPair);

impl Signer for Ed25519ByItsName {
    fn sign(&self, typ: &str, claims: Map<String, Value>) -> Result<String, Error> {
        let header = json!({ "alg": "Ed25519", "typ": typ, "kid": self.0.key_id() }).to_string();
        let claims = Value::Object(claims).to_string();
        let input = format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(claims.as_bytes()));
        let signature = self.0.key_pair().as_ref().sk.sign(&input, None);
        Ok(format!("{input}.{}", base64url::encode(&signature[..])))
    }

    fn jwk(&self) -> String {
        self.0.public_key().to_jwk()
    }
}

/// The key for `algorithm` under the name `kid`, or its thumbprint (RFC 7638) if there is none.
pub fn signer(algorithm: Algorithm, source: &Source, kid: Option<&str>) -> Result<Box<dyn Signer>, Error> {
    macro_rules! key {
        ($key:ty, $new:expr, $pem:expr) => {{
            let key = match source {
                Source::New => $new,
                Source::Jwk(jwk) => <$key>::from_jwk(jwk)?,
                Source::Pem(pem) => $pem(pem)?,
            };
            let kid = kid.map_or_else(|| key.jwk_thumbprint(), str::to_owned);
            key.with_key_id(&kid)
        }};
        ($key:ty) => {
            Box::new(key!($key, <$key>::generate(), <$key>::from_pem))
        };
        (rsa $key:ty) => {
            Box::new(key!($key, <$key>::generate(2048)?, <$key>::from_pem))
        };
        (jwk $key:ty) => {
            Box::new(key!($key, <$key>::generate(), |_| Err(Error::msg("a key of ML-DSA is read as a JWK only"))))
        };
    }
    Ok(match algorithm {
        Algorithm::ES256 => key!(ES256KeyPair),
        Algorithm::ES384 => key!(ES384KeyPair),
        Algorithm::RS256 => key!(rsa RS256KeyPair),
        Algorithm::RS384 => key!(rsa RS384KeyPair),
        Algorithm::RS512 => key!(rsa RS512KeyPair),
        Algorithm::PS256 => key!(rsa PS256KeyPair),
        Algorithm::PS384 => key!(rsa PS384KeyPair),
        Algorithm::PS512 => key!(rsa PS512KeyPair),
        Algorithm::Ed25519 => {
            Box::new(Ed25519ByItsName(key!(Ed25519KeyPair, Ed25519KeyPair::generate(), Ed25519KeyPair::from_pem)))
        }
        Algorithm::EdDsa => key!(Ed25519KeyPair),
        Algorithm::MlDsa44 => key!(jwk MLDSA44KeyPair),
        Algorithm::MlDsa65 => key!(jwk MLDSA65KeyPair),
        Algorithm::MlDsa87 => key!(jwk MLDSA87KeyPair),
    })
}
