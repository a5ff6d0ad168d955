//! What the proxy's own signature verification can do. In: the host. Out: for which algorithms it may be asked. It is 10
//! to 40 times faster than Rust in the module, but older proxies lack it, so it is tried on known answers first.

use crate::host::{Digest, Host, NativeVerdict};

/// Algorithms that the host verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Native {
    /// ES256.
    pub es256: bool,
    /// ES384.
    pub es384: bool,
    /// RS256.
    pub rs256: bool,
}

const MESSAGE: &[u8] = include_bytes!("known_answers/message");

struct KnownAnswer {
    digest: Digest,
    spki: &'static [u8],
    signature: &'static [u8],
}

const ES256: KnownAnswer = KnownAnswer {
    digest: Digest::Sha256,
    spki: include_bytes!("known_answers/es256.spki"),
    signature: include_bytes!("known_answers/es256.signature"),
};
const ES384: KnownAnswer = KnownAnswer {
    digest: Digest::Sha384,
    spki: include_bytes!("known_answers/es384.spki"),
    signature: include_bytes!("known_answers/es384.signature"),
};
const RS256: KnownAnswer = KnownAnswer {
    digest: Digest::Sha256,
    spki: include_bytes!("known_answers/rs256.spki"),
    signature: include_bytes!("known_answers/rs256.signature"),
};

impl Native {
    /// Nothing: everything is verified by Rust.
    pub const NONE: Self = Self { es256: false, es384: false, rs256: false };

    /// Asks the host for a signature that is right and for one that is wrong. Only one that tells them apart is used.
    pub fn probe(host: &dyn Host) -> Self {
        let works = |known: &KnownAnswer| {
            let ask = |message| host.verify(known.digest, known.spki, known.signature, message);
            ask(MESSAGE) == NativeVerdict::Valid && ask(&[MESSAGE, b"!"].concat()) == NativeVerdict::Invalid
        };
        Self { es256: works(&ES256), es384: works(&ES384), rs256: works(&RS256) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use ring::signature::{self, UnparsedPublicKey};

    use super::*;
    use crate::fake::FakeHost;
    use crate::host::{Cas, Conflict, Expect};

    /// A host whose native cryptography is ring: another implementation than the module's.
    pub struct RingHost;

    impl Host for RingHost {
        fn shared_get(&self, _: &str) -> Option<(Vec<u8>, Cas)> {
            None
        }

        fn shared_set(&self, _: &str, _: &[u8], _: Expect) -> Result<(), Conflict> {
            Err(Conflict)
        }

        fn verify(&self, digest: Digest, spki: &[u8], signature: &[u8], message: &[u8]) -> NativeVerdict {
            // The point or the RSAPublicKey behind the BIT STRING's unused-bits octet.
            let (algorithm, key): (&dyn signature::VerificationAlgorithm, &[u8]) = match (digest, spki.len()) {
                (Digest::Sha256, 91) => (&signature::ECDSA_P256_SHA256_ASN1, &spki[26..]),
                (Digest::Sha384, 120) => (&signature::ECDSA_P384_SHA384_ASN1, &spki[23..]),
                _ => (&signature::RSA_PKCS1_2048_8192_SHA256, &spki[24..]),
            };
            match UnparsedPublicKey::new(algorithm, key).verify(message, signature) {
                Ok(()) => NativeVerdict::Valid,
                Err(_) => NativeVerdict::Invalid,
            }
        }

        fn random(&self) -> [u8; 32] {
            [0; 32]
        }
    }

    #[test]
    fn a_host_that_tells_right_from_wrong_is_used() {
        assert_eq!(Native::probe(&RingHost), Native { es256: true, es384: true, rs256: true });
    }

    #[test]
    fn a_host_without_the_function_is_not_asked_again() {
        assert_eq!(Native::probe(&FakeHost::default()), Native::NONE);
    }

    #[test]
    fn a_host_that_says_yes_to_everything_is_not_trusted() {
        struct Yes;
        impl Host for Yes {
            fn shared_get(&self, _: &str) -> Option<(Vec<u8>, Cas)> {
                None
            }
            fn shared_set(&self, _: &str, _: &[u8], _: Expect) -> Result<(), Conflict> {
                Err(Conflict)
            }
            fn verify(&self, _: Digest, _: &[u8], _: &[u8], _: &[u8]) -> NativeVerdict {
                NativeVerdict::Valid
            }
            fn random(&self) -> [u8; 32] {
                [0; 32]
            }
        }
        assert_eq!(Native::probe(&Yes), Native::NONE);
    }
}
