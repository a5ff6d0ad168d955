//! What the proxy's own signature verification can do. In: the host. Out: for which algorithms it may be asked. It is 10
//! to 40 times faster than Rust in the module, which therefore does without: every proxy that is supported has it. It is
//! tried on known answers first, and an algorithm that it fails is not verified at all.

use std::fmt;

use crate::host::{Digest, Host, NativeVerdict};
use crate::jose::Algorithm;

/// Algorithms that the host verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Native {
    /// ES256.
    pub es256: bool,
    /// ES384.
    pub es384: bool,
    /// ES512.
    pub es512: bool,
    /// RS256.
    pub rs256: bool,
    /// RS384.
    pub rs384: bool,
    /// RS512.
    pub rs512: bool,
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
const ES512: KnownAnswer = KnownAnswer {
    digest: Digest::Sha512,
    spki: include_bytes!("known_answers/es512.spki"),
    signature: include_bytes!("known_answers/es512.signature"),
};
const RS256: KnownAnswer = KnownAnswer {
    digest: Digest::Sha256,
    spki: include_bytes!("known_answers/rs256.spki"),
    signature: include_bytes!("known_answers/rs256.signature"),
};
const RS384: KnownAnswer = KnownAnswer {
    digest: Digest::Sha384,
    spki: include_bytes!("known_answers/rs384-rs512.spki"),
    signature: include_bytes!("known_answers/rs384.signature"),
};
const RS512: KnownAnswer = KnownAnswer {
    digest: Digest::Sha512,
    spki: include_bytes!("known_answers/rs384-rs512.spki"),
    signature: include_bytes!("known_answers/rs512.signature"),
};

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
        match algorithm {
            Algorithm::Es256 => self.es256,
            Algorithm::Es384 => self.es384,
            Algorithm::Es512 => self.es512,
            Algorithm::Rs256 => self.rs256,
            Algorithm::Rs384 => self.rs384,
            Algorithm::Rs512 => self.rs512,
            _ => true,
        }
    }

    /// Nothing: only what the module verifies itself can be verified.
    #[cfg(test)]
    pub const NONE: Self = Self { es256: false, es384: false, es512: false, rs256: false, rs384: false, rs512: false };
    /// Everything that a host can do.
    #[cfg(test)]
    pub const ALL: Self = Self { es256: true, es384: true, es512: true, rs256: true, rs384: true, rs512: true };

    /// Asks the host for a signature that is right and for one that is wrong. Only one that tells them apart is used.
    pub fn probe(host: &dyn Host) -> Self {
        let works = |known: &KnownAnswer| {
            let ask = |signature: &[u8]| host.verify(known.digest, known.spki, signature, MESSAGE);
            // One bit of the last octet: an ECDSA signature stays well-formed DER.
            let mut wrong = known.signature.to_vec();
            if let Some(last) = wrong.last_mut() {
                *last ^= 1;
            }
            ask(known.signature) == NativeVerdict::Valid && ask(&wrong) == NativeVerdict::Invalid
        };
        Self {
            es256: works(&ES256),
            es384: works(&ES384),
            es512: works(&ES512),
            rs256: works(&RS256),
            rs384: works(&RS384),
            rs512: works(&RS512),
        }
    }
}

impl fmt::Display for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            ("ES256", self.es256),
            ("ES384", self.es384),
            ("ES512", self.es512),
            ("RS256", self.rs256),
            ("RS384", self.rs384),
            ("RS512", self.rs512),
        ];
        let names: Vec<&str> = all.iter().filter(|(_, native)| *native).map(|(name, _)| *name).collect();
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
        let expected = Native { es384: false, rs384: false, ..Native::ALL };
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
