//! What the proxy's own signature verification can do. In: the host. Out: for which algorithms it may be asked. It is 10
//! to 40 times faster than Rust in the module, which therefore does without: every proxy that is supported has it. It is
//! tried on known answers first, and an algorithm that it fails is not verified at all.

use std::fmt;

use crate::host::{Digest, Host, NativeVerdict};
use crate::jose::Algorithm;

/// Algorithms that the host verifies: of each known answer, whether it gave the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Native([bool; KNOWN_ANSWERS.len()]);

/// A signature over [`MESSAGE`] that is right.
struct KnownAnswer {
    algorithm: Algorithm,
    spki: &'static [u8],
    signature: &'static [u8],
}

const MESSAGE: &[u8] = include_bytes!("known_answers/message");

static KNOWN_ANSWERS: [KnownAnswer; 6] = [
    KnownAnswer {
        algorithm: Algorithm::Es256,
        spki: include_bytes!("known_answers/es256.spki"),
        signature: include_bytes!("known_answers/es256.signature"),
    },
    KnownAnswer {
        algorithm: Algorithm::Es384,
        spki: include_bytes!("known_answers/es384.spki"),
        signature: include_bytes!("known_answers/es384.signature"),
    },
    KnownAnswer {
        algorithm: Algorithm::Es512,
        spki: include_bytes!("known_answers/es512.spki"),
        signature: include_bytes!("known_answers/es512.signature"),
    },
    KnownAnswer {
        algorithm: Algorithm::Rs256,
        spki: include_bytes!("known_answers/rs256.spki"),
        signature: include_bytes!("known_answers/rs256.signature"),
    },
    KnownAnswer {
        algorithm: Algorithm::Rs384,
        spki: include_bytes!("known_answers/rs384-rs512.spki"),
        signature: include_bytes!("known_answers/rs384.signature"),
    },
    KnownAnswer {
        algorithm: Algorithm::Rs512,
        spki: include_bytes!("known_answers/rs384-rs512.spki"),
        signature: include_bytes!("known_answers/rs512.signature"),
    },
];

/// The digest of the algorithms that the proxy verifies; `None` for those that the module does.
pub(super) fn digest_of(algorithm: Algorithm) -> Option<Digest> {
    match algorithm {
        Algorithm::Rs256 | Algorithm::Es256 => Some(Digest::Sha256),
        Algorithm::Rs384 | Algorithm::Es384 => Some(Digest::Sha384),
        Algorithm::Rs512 | Algorithm::Es512 => Some(Digest::Sha512),
        Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 | Algorithm::Ed25519 | Algorithm::EdDsa => None,
        Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => None,
    }
}

impl Native {
    /// Whether signatures of `algorithm` can be verified at all: by the host, or in the module, which asks no host.
    pub fn verifies(self, algorithm: Algorithm) -> bool {
        digest_of(algorithm).is_none() || self.algorithms().any(|native| native == algorithm)
    }

    fn algorithms(self) -> impl Iterator<Item = Algorithm> {
        KNOWN_ANSWERS.iter().zip(self.0).filter(|(_, works)| *works).map(|(known, _)| known.algorithm)
    }

    /// Nothing: only what the module verifies itself can be verified.
    #[cfg(test)]
    pub const NONE: Self = Self([false; KNOWN_ANSWERS.len()]);
    /// Everything that a host can do.
    #[cfg(test)]
    pub const ALL: Self = Self([true; KNOWN_ANSWERS.len()]);

    /// Asks the host for a signature that is right and for one that is wrong. Only one that tells them apart is used.
    pub fn probe(host: &dyn Host) -> Self {
        let works = |known: &KnownAnswer| {
            let Some(digest) = digest_of(known.algorithm) else { return false };
            let ask = |signature: &[u8]| host.verify(digest, known.spki, signature, MESSAGE);
            // One bit of the last octet: an ECDSA signature stays well-formed DER.
            let mut wrong = known.signature.to_vec();
            if let Some(last) = wrong.last_mut() {
                *last ^= 1;
            }
            ask(known.signature) == NativeVerdict::Valid && ask(&wrong) == NativeVerdict::Invalid
        };
        Self(KNOWN_ANSWERS.each_ref().map(works))
    }
}

impl fmt::Display for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.algorithms().map(Algorithm::name).collect();
        if names.is_empty() { f.write_str("none") } else { f.write_str(&names.join(" ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::ring_host::{Verifying, ring};

    #[test]
    fn a_host_that_tells_right_from_wrong_is_used() {
        assert_eq!(Native::probe(&Verifying(ring)), Native::ALL);
    }

    #[test]
    fn a_host_without_the_function_is_not_used() {
        assert_eq!(Native::probe(&Verifying(|_, _: &[u8], _: &[u8], _: &[u8]| NativeVerdict::Missing)), Native::NONE);
    }

    #[test]
    fn a_host_that_always_says_the_same_is_not_trusted() {
        for verdict in [NativeVerdict::Valid, NativeVerdict::Invalid, NativeVerdict::Missing] {
            assert_eq!(
                Native::probe(&Verifying(|_, _: &[u8], _: &[u8], _: &[u8]| verdict)),
                Native::NONE,
                "{verdict:?}"
            );
        }
    }

    #[test]
    fn an_algorithm_that_the_host_lacks_is_not_verified() {
        let without_sha384 = |digest, spki: &[u8], signature: &[u8], message: &[u8]| match digest {
            Digest::Sha256 | Digest::Sha512 => ring(digest, spki, signature, message),
            Digest::Sha384 => NativeVerdict::Invalid,
        };
        let of_sha384 = |known: &KnownAnswer| matches!(known.algorithm, Algorithm::Es384 | Algorithm::Rs384);
        let expected = Native(KNOWN_ANSWERS.each_ref().map(|known| !of_sha384(known)));
        let native = Native::probe(&Verifying(without_sha384));
        assert_eq!(native, expected);
        let lost = Algorithm::ALL.into_iter().filter(|algorithm| !native.verifies(*algorithm));
        assert_eq!(lost.collect::<Vec<_>>(), [Algorithm::Rs384, Algorithm::Es384]);
    }

    #[test]
    fn without_a_host_the_module_verifies_what_no_host_can() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Native::NONE.verifies(algorithm), digest_of(algorithm).is_none(), "{algorithm:?}");
        }
    }
}
