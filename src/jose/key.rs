//! A public key and what it verifies. In: a parsed JWS. Out: yes or no, by the proxy's native code where that is known
//! to work, by Rust otherwise; both give the same verdict.

use p256::ecdsa::signature::Verifier as _;
use rsa::RsaPublicKey;
use rsa::sha2::Sha256;
use rsa::signature::Verifier as _;

use crate::host::{Digest, Host, NativeVerdict};
use crate::jose::{Algorithm, Compact, Native};

/// A public key that may verify access tokens.
#[derive(Debug)]
pub struct VerifyingKey {
    pub(super) kid: Option<Box<str>>,
    /// The one algorithm it is for, where its JWK says so (RFC 8725 §3.1).
    pub(super) pinned: Option<Algorithm>,
    pub(super) material: Material,
    /// DER SubjectPublicKeyInfo: what native code takes, and what makes two keys the same.
    pub(super) spki: Box<[u8]>,
}

/// The parsed key.
#[derive(Debug)]
pub(super) enum Material {
    Rsa { key: RsaPublicKey, modulus_bytes: usize },
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Ed25519(ed25519_compact::PublicKey),
}

impl VerifyingKey {
    /// Whether it may be used with `algorithm`: by its type, and by its JWK.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        let of_type = match (&self.material, algorithm) {
            (Material::Rsa { .. }, Algorithm::Rs256 | Algorithm::Ps256)
            | (Material::P256(_), Algorithm::Es256)
            | (Material::P384(_), Algorithm::Es384)
            | (Material::Ed25519(_), Algorithm::Ed25519 | Algorithm::EdDsa) => true,
            (Material::Rsa { .. } | Material::P256(_) | Material::P384(_) | Material::Ed25519(_), _) => false,
        };
        of_type && self.pinned.is_none_or(|pinned| pinned == algorithm)
    }

    /// Whether it is the same key: the same numbers, for the same use, under the same name.
    pub fn is(&self, other: &Self) -> bool {
        self.spki == other.spki && self.pinned == other.pinned && self.kid == other.kid
    }

    /// Whether it signed `jws` with the algorithm of its header (RFC 7515 §5.2).
    pub fn verify(&self, jws: &Compact<'_>, host: &dyn Host, native: Native) -> bool {
        self.fits(jws.header.algorithm) && self.verify_bytes(jws.header.algorithm, jws.signing_input, &jws.signature, host, native)
    }

    pub(super) fn verify_bytes(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
        host: &dyn Host,
        native: Native,
    ) -> bool {
        let ask = |digest, signature: &[u8]| host.verify(digest, &self.spki, signature, message) == NativeVerdict::Valid;
        match (&self.material, algorithm) {
            (Material::P256(key), Algorithm::Es256) => match p256::ecdsa::Signature::from_slice(signature) {
                Ok(signature) if native.es256 => ask(Digest::Sha256, signature.to_der().as_bytes()),
                Ok(signature) => key.verify(message, &signature).is_ok(),
                Err(_) => false,
            },
            (Material::P384(key), Algorithm::Es384) => match p384::ecdsa::Signature::from_slice(signature) {
                Ok(signature) if native.es384 => ask(Digest::Sha384, signature.to_der().as_bytes()),
                Ok(signature) => key.verify(message, &signature).is_ok(),
                Err(_) => false,
            },
            (Material::Rsa { key, modulus_bytes }, Algorithm::Rs256 | Algorithm::Ps256) => {
                signature.len() == *modulus_bytes
                    && match algorithm {
                        Algorithm::Rs256 if native.rs256 => ask(Digest::Sha256, signature),
                        Algorithm::Rs256 => pkcs1_v15(key, message, signature),
                        _ => pss(key, message, signature),
                    }
            }
            (Material::Ed25519(key), Algorithm::Ed25519 | Algorithm::EdDsa) => {
                ed25519_compact::Signature::from_slice(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
            }
            _ => false,
        }
    }
}

fn pkcs1_v15(key: &RsaPublicKey, message: &[u8], signature: &[u8]) -> bool {
    let verifier = rsa::pkcs1v15::VerifyingKey::<Sha256>::new(key.clone());
    rsa::pkcs1v15::Signature::try_from(signature).is_ok_and(|signature| verifier.verify(message, &signature).is_ok())
}

fn pss(key: &RsaPublicKey, message: &[u8], signature: &[u8]) -> bool {
    let verifier = rsa::pss::VerifyingKey::<Sha256>::new(key.clone());
    rsa::pss::Signature::try_from(signature).is_ok_and(|signature| verifier.verify(message, &signature).is_ok())
}
