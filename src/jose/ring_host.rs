//! Another implementation of the signatures, for tests. In: keys and signatures. Out: the verdict on which Rust, native
//! code and ring agree. ring plays the proxy's native code: like Envoy's, it stems from BoringSSL. For what it lacks there
//! are other crates: p521 for ES512, fips204 for ML-DSA.

use fips204::traits::{SerDes as _, Verifier as _};
use fips204::{ml_dsa_44, ml_dsa_65, ml_dsa_87};
use p521::ecdsa::signature::Verifier as _;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use crate::fake::FakeHost;
use crate::host::{Cas, Conflict, Digest, Expect, Host, NativeVerdict};
use crate::jose::{Algorithm, Compact, Native, VerifyingKey};
use crate::json::{Bounds, parse};

/// A host that only verifies signatures, with this function.
pub struct Verifying<F>(pub F);

impl<F: Fn(Digest, &[u8], &[u8], &[u8]) -> NativeVerdict> Host for Verifying<F> {
    fn shared_get(&self, _: &str) -> Option<(Vec<u8>, Cas)> {
        None
    }

    fn shared_set(&self, _: &str, _: &[u8], _: Expect) -> Result<(), Conflict> {
        Err(Conflict)
    }

    fn verify(&self, digest: Digest, spki: &[u8], signature: &[u8], message: &[u8]) -> NativeVerdict {
        self.0(digest, spki, signature, message)
    }

    fn random(&self) -> [u8; 32] {
        [0; 32]
    }
}

/// What native code says: the kind of key is known by the length of its SubjectPublicKeyInfo.
pub fn ring(digest: Digest, spki: &[u8], signature: &[u8], message: &[u8]) -> NativeVerdict {
    if (digest, spki.len()) == (Digest::Sha512, 158) {
        let verified = p521::ecdsa::DerSignature::try_from(signature)
            .is_ok_and(|signature| p521_key(spki).is_some_and(|key| key.verify(message, &signature).is_ok()));
        return if verified { NativeVerdict::Valid } else { NativeVerdict::Invalid };
    }
    let algorithm: &dyn VerificationAlgorithm = match (digest, spki.len()) {
        (Digest::Sha256, 91) => &signature::ECDSA_P256_SHA256_ASN1,
        (Digest::Sha384, 120) => &signature::ECDSA_P384_SHA384_ASN1,
        (Digest::Sha256, _) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (Digest::Sha384, _) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (Digest::Sha512, _) => &signature::RSA_PKCS1_2048_8192_SHA512,
    };
    match UnparsedPublicKey::new(algorithm, subject_public_key(spki)).verify(message, signature) {
        Ok(()) => NativeVerdict::Valid,
        Err(_) => NativeVerdict::Invalid,
    }
}

/// ring does not have this curve.
fn p521_key(spki: &[u8]) -> Option<p521::ecdsa::VerifyingKey> {
    p521::ecdsa::VerifyingKey::from_sec1_bytes(subject_public_key(spki)).ok()
}

/// What stands in the BIT STRING of a SubjectPublicKeyInfo.
fn subject_public_key(spki: &[u8]) -> &[u8] {
    match spki.len() {
        91 => &spki[26..],
        120 => &spki[23..],
        44 => &spki[12..],
        158 => &spki[25..],
        _ => &spki[24..],
    }
}

/// The verdict on a signature of ML-DSA.
fn fips204(key: &VerifyingKey, jws: &Compact<'_>) -> bool {
    macro_rules! verify {
        ($parameters:ident) => {{
            // The key is all that stands behind a head of 22 octets.
            let key = key.spki[22..].try_into().ok().and_then(|key| $parameters::PublicKey::try_from_bytes(key).ok());
            let signature = <[u8; $parameters::SIG_LEN]>::try_from(&*jws.signature);
            signature.is_ok_and(|signature| key.unwrap().verify(jws.signing_input, &signature, &[]))
        }};
    }
    match jws.header.algorithm {
        Algorithm::MlDsa44 => verify!(ml_dsa_44),
        Algorithm::MlDsa65 => verify!(ml_dsa_65),
        _ => verify!(ml_dsa_87),
    }
}

/// The verdict of Rust, after asking native code and ring without a host for the same.
#[track_caller]
pub fn agreed(key: &VerifyingKey, jws: &Compact<'_>) -> bool {
    let rust = key.verify(jws, &FakeHost::default(), Native::NONE);
    let native = key.verify(jws, &Verifying(ring), Native::ALL);
    if jws.header.algorithm == Algorithm::Es512 {
        assert!(!rust, "only a host verifies it");
        let other = p521::ecdsa::Signature::from_slice(&jws.signature).is_ok_and(|signature| {
            p521_key(&key.spki).is_some_and(|key| key.verify(jws.signing_input, &signature).is_ok())
        });
        assert_eq!(native, key.fits(Algorithm::Es512) && other, "native code and Rust disagree");
        return native;
    }
    assert_eq!(rust, native, "Rust and native code disagree");
    let algorithm: &dyn VerificationAlgorithm = match jws.header.algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
        Algorithm::Ed25519 | Algorithm::EdDsa => &signature::ED25519,
        Algorithm::Es512 => return native,
        Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => {
            assert_eq!(rust, key.fits(jws.header.algorithm) && fips204(key, jws), "Rust and fips204 disagree");
            return rust;
        }
    };
    let other = UnparsedPublicKey::new(algorithm, subject_public_key(&key.spki));
    let other = key.fits(jws.header.algorithm) && other.verify(jws.signing_input, &jws.signature).is_ok();
    // Of Ed25519, ring lets points of small order pass.
    let may_be_stricter = matches!(jws.header.algorithm, Algorithm::Ed25519 | Algorithm::EdDsa);
    assert!(rust == other || (may_be_stricter && other), "Rust and ring disagree: {rust}, {other}");
    rust
}

/// The key of a JWK, if it is usable.
pub fn key_of(jwk: &serde_json::Value) -> Option<VerifyingKey> {
    let jwk = parse(jwk.to_string().as_bytes(), Bounds::KEYS).ok()?;
    VerifyingKey::from_jwk(jwk.as_object()?).ok()
}
