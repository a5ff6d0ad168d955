//! Other implementations of the signatures, for tests. In: keys and signatures. Out: our verdict, on which ring and crates
//! in Rust agree. ring also plays the proxy's native code: like Envoy's, it stems from BoringSSL.

use fips204::traits::{SerDes as _, Verifier as _};
use fips204::{ml_dsa_44, ml_dsa_65, ml_dsa_87};
use p521::ecdsa::signature::Verifier as _;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use crate::host::{Cas, Conflict, Digest, Expect, Host, NativeVerdict};
use crate::jose::native::digest_of;
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

/// Our verdict, with ring as the host, after asking others for the same, who get the signature as it stands in the token.
#[track_caller]
pub fn agreed(key: &VerifyingKey, jws: &Compact<'_>) -> bool {
    let ours = key.verify(jws, &Verifying(ring), Native::ALL);
    let alone = key.verify(jws, &Verifying(|_, _: &[u8], _: &[u8], _: &[u8]| NativeVerdict::Valid), Native::NONE);
    assert_eq!(
        alone,
        ours && digest_of(jws.header.algorithm).is_none(),
        "a host decides what is its own, and only that"
    );
    let fits = key.fits(jws.header.algorithm);
    for (name, other) in [("ring", by_ring(key, jws)), ("a crate in Rust", by_rust(key, jws))] {
        let Some(other) = other.map(|other| fits && other) else { continue };
        // Of Ed25519, ring lets points of small order pass.
        let may_be_stricter = matches!(jws.header.algorithm, Algorithm::Ed25519 | Algorithm::EdDsa);
        assert!(ours == other || (may_be_stricter && other), "we and {name} disagree: {ours}, {other}");
    }
    ours
}

/// By ring; `None` for what it does not know.
fn by_ring(key: &VerifyingKey, jws: &Compact<'_>) -> Option<bool> {
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
        Algorithm::Es512 | Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => return None,
    };
    let key = UnparsedPublicKey::new(algorithm, subject_public_key(&key.spki));
    Some(key.verify(jws.signing_input, &jws.signature).is_ok())
}

/// From PKCS#1.
fn rsa_key(der: &[u8]) -> Option<rsa::RsaPublicKey> {
    let key = rsa::pkcs1::RsaPublicKey::try_from(der).ok()?;
    let [n, e] = [key.modulus, key.public_exponent].map(|number| rsa::BigUint::from_bytes_be(number.as_bytes()));
    rsa::RsaPublicKey::new_with_max_size(n, e, 8192).ok()
}

/// By a crate in Rust that the module does not use for it; `None` where there is none.
fn by_rust(key: &VerifyingKey, jws: &Compact<'_>) -> Option<bool> {
    let (message, signature, public) = (jws.signing_input, jws.signature.as_slice(), subject_public_key(&key.spki));
    macro_rules! ecdsa {
        ($curve:ident) => {
            $curve::ecdsa::VerifyingKey::from_sec1_bytes(public).is_ok_and(|key| {
                $curve::ecdsa::Signature::from_slice(signature).is_ok_and(|it| key.verify(message, &it).is_ok())
            })
        };
    }
    macro_rules! pkcs1 {
        ($digest:ident) => {{
            let key = rsa_key(public).map(rsa::pkcs1v15::VerifyingKey::<rsa::sha2::$digest>::new);
            let signature = rsa::pkcs1v15::Signature::try_from(signature).ok();
            key.zip(signature).is_some_and(|(key, it)| rsa::signature::Verifier::verify(&key, message, &it).is_ok())
        }};
    }
    if !key.fits(jws.header.algorithm) {
        return Some(false);
    }
    Some(match jws.header.algorithm {
        Algorithm::Es256 => ecdsa!(p256),
        Algorithm::Es384 => ecdsa!(p384),
        Algorithm::Es512 => ecdsa!(p521),
        Algorithm::Rs256 => pkcs1!(Sha256),
        Algorithm::Rs384 => pkcs1!(Sha384),
        Algorithm::Rs512 => pkcs1!(Sha512),
        Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => fips204(key, jws),
        Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 | Algorithm::Ed25519 | Algorithm::EdDsa => return None,
    })
}

/// The key of a JWK, if it is usable.
pub fn key_of(jwk: &serde_json::Value) -> Option<VerifyingKey> {
    let jwk = parse(jwk.to_string().as_bytes(), Bounds::KEYS).ok()?;
    VerifyingKey::from_jwk(jwk.as_object()?).ok()
}
