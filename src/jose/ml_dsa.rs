//! ML-DSA as JOSE uses it (RFC 9964, FIPS 204): pure, with an empty context. In: bytes. Out: a key, and what it signed.
//! Not here: how a key stands in a JWK (`jwk`).

use ml_dsa::{EncodedVerifyingKey, MlDsa44, MlDsa65, MlDsa87, MlDsaParams, Signature, VerifyingKey};

use crate::jose::Algorithm;

/// A public key, for one of the three sets of parameters.
#[derive(Debug)]
pub(super) enum MlDsaKey {
    Of44(VerifyingKey<MlDsa44>),
    Of65(VerifyingKey<MlDsa65>),
    Of87(VerifyingKey<MlDsa87>),
}

impl MlDsaKey {
    /// The key for `algorithm`; `None` for another length (FIPS 204 §4), and for an algorithm that is none of ML-DSA.
    pub(super) fn new(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        Some(match algorithm {
            Algorithm::MlDsa44 => Self::Of44(decode(bytes)?),
            Algorithm::MlDsa65 => Self::Of65(decode(bytes)?),
            Algorithm::MlDsa87 => Self::Of87(decode(bytes)?),
            _ => return None,
        })
    }

    /// The one algorithm it is for.
    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Of44(_) => Algorithm::MlDsa44,
            Self::Of65(_) => Algorithm::MlDsa65,
            Self::Of87(_) => Algorithm::MlDsa87,
        }
    }

    /// Whether it signed `message`.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Of44(key) => verify(key, message, signature),
            Self::Of65(key) => verify(key, message, signature),
            Self::Of87(key) => verify(key, message, signature),
        }
    }
}

fn decode<P: MlDsaParams>(bytes: &[u8]) -> Option<VerifyingKey<P>> {
    EncodedVerifyingKey::<P>::try_from(bytes).ok().map(|bytes| VerifyingKey::decode(&bytes))
}

fn verify<P: MlDsaParams>(key: &VerifyingKey<P>, message: &[u8], signature: &[u8]) -> bool {
    Signature::try_from(signature).is_ok_and(|signature| key.verify_with_context(message, &[], &signature))
}

#[cfg(test)]
mod tests {
    use fips204::traits::{KeyGen as _, SerDes as _, Signer as _};
    use fips204::{ml_dsa_44, ml_dsa_65, ml_dsa_87, pre_hash};
    use proptest::prelude::*;
    use sha2::Digest as _;

    use super::*;
    use crate::fake::FakeHost;
    use crate::jose::ring_host::{agreed, key_of};
    use crate::jose::{Compact, Header, Native, VerifyingKey, base64url};

    const ALL: [Algorithm; 3] = [Algorithm::MlDsa44, Algorithm::MlDsa65, Algorithm::MlDsa87];
    /// RFC 9964 §4: octets of a public key and of a signature.
    const LENGTHS: [(usize, usize); 3] = [(1312, 2420), (1952, 3309), (2592, 4627)];

    /// Bytes of a public key, and a signature over `message` with this context, or over its hash: not by the crate that
    /// verifies.
    fn signed(algorithm: Algorithm, message: &[u8], context: &[u8], hashed: bool) -> (Vec<u8>, Vec<u8>) {
        macro_rules! sign {
            ($parameters:ident) => {{
                let (public, private) = $parameters::KG::keygen_from_seed(&[7; 32]);
                let signature = if hashed {
                    let digest = sha2::Sha512::digest(message);
                    private.try_hash_sign_with_seed(&[9; 32], &digest, context, &pre_hash::SHA2_512)
                } else {
                    private.try_sign_with_seed(&[9; 32], message, context)
                };
                (public.into_bytes().to_vec(), signature.unwrap().to_vec())
            }};
        }
        match algorithm {
            Algorithm::MlDsa44 => sign!(ml_dsa_44),
            Algorithm::MlDsa65 => sign!(ml_dsa_65),
            _ => sign!(ml_dsa_87),
        }
    }

    fn key(algorithm: Algorithm, bytes: &[u8]) -> VerifyingKey {
        let jwk = serde_json::json!({"kty": "AKP", "alg": algorithm.name(), "pub": base64url::encode(bytes)});
        key_of(&jwk).unwrap()
    }

    fn jws(algorithm: Algorithm, message: &[u8], signature: Vec<u8>) -> Compact<'_> {
        let header = Header { algorithm, kid: None, typ: None };
        Compact { header, payload: Default::default(), signing_input: message, signature }
    }

    #[test]
    fn signatures_of_another_implementation_verify_and_fit_their_key_only() {
        for (algorithm, lengths) in ALL.into_iter().zip(LENGTHS) {
            let (public, signature) = signed(algorithm, b"a message", &[], false);
            assert_eq!((public.len(), signature.len()), lengths, "{algorithm:?}");
            let key = key(algorithm, &public);
            assert!(agreed(&key, &jws(algorithm, b"a message", signature.clone())), "{algorithm:?}");
            assert!(!agreed(&key, &jws(algorithm, b"another", signature.clone())), "{algorithm:?}");
            for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
                assert!(!key.fits(other), "{algorithm:?} {other:?}");
                let jws = jws(other, b"a message", signature.clone());
                assert!(!key.verify(&jws, &FakeHost::default(), Native::NONE), "{algorithm:?} under {other:?}");
            }
        }
    }

    #[test]
    fn what_signs_a_hash_or_for_another_context_signs_no_token() {
        for algorithm in ALL {
            for (context, hashed) in [(&b""[..], true), (b"JOSE", false), (b"\0", false), (&[0; 255], false)] {
                let (public, signature) = signed(algorithm, b"a message", context, hashed);
                let jws = jws(algorithm, b"a message", signature);
                assert!(!agreed(&key(algorithm, &public), &jws), "{algorithm:?} {context:?} {hashed}");
            }
        }
    }

    #[test]
    fn a_key_and_a_signature_have_exactly_the_length_of_their_kind() {
        for (algorithm, (key_octets, signature_octets)) in ALL.into_iter().zip(LENGTHS) {
            let (public, signature) = signed(algorithm, b"", &[], false);
            assert!(MlDsaKey::new(algorithm, &public).is_some());
            for octets in [0, 32, key_octets - 1, key_octets + 1, 1312, 1952, 2592] {
                assert_eq!(
                    MlDsaKey::new(algorithm, &vec![1; octets]).is_some(),
                    octets == key_octets,
                    "{octets} octets"
                );
            }
            for octets in [0, 64, signature_octets - 1, signature_octets + 1] {
                let mut other = signature.clone();
                other.resize(octets, 0);
                assert!(
                    !agreed(&key(algorithm, &public), &jws(algorithm, b"", other)),
                    "{algorithm:?} {octets} octets"
                );
            }
        }
        assert!(MlDsaKey::new(Algorithm::Es256, &[1; 1312]).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_octet_of_a_signature_may_change(which in 0..3_usize, place: prop::sample::Index, change in 1..=255_u8) {
            let algorithm = ALL[which];
            let (public, mut signature) = signed(algorithm, b"a message", &[], false);
            let place = place.index(signature.len());
            signature[place] ^= change;
            prop_assert!(!agreed(&key(algorithm, &public), &jws(algorithm, b"a message", signature)), "octet {}", place);
        }
    }
}
