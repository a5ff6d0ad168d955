//! API keys: who presents one is a client that is known by nothing else. In: nothing; `config` makes these values. Out: the header that
//! carries them, whose key it is, what its client may do. The keys themselves are known nowhere, only their digests.
//! Not here: finding the key in a request and comparing it (`token::api_key`).

use std::cell::OnceCell;
use std::fmt;

use subtle::ConstantTimeEq;

use crate::host::Host;
use crate::policy::{Origin, PeerRule};
use crate::time::UnixMillis;

/// The keys of a resource.
#[derive(Debug, PartialEq, Eq)]
pub struct ApiKeys {
    /// The header that carries one, in lower case.
    pub header: Box<str>,
    /// Those that are good there.
    pub keys: Vec<std::rc::Rc<ApiKey>>,
}

/// A key and its client.
#[derive(Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its name, and where it was configured.
    pub origin: Origin,
    /// The key, as far as it is known.
    pub digest: KeyDigestSource,
    /// Who presents it.
    pub client_id: Box<str>,
    /// The scopes of that client.
    pub scopes: Vec<Box<str>>,
    /// The peers over whose connections it may come; `None`: any, and none.
    pub peers: Option<PeerRule>,
    /// The first moment at which it is no longer good.
    pub not_after: Option<UnixMillis>,
}

impl ApiKey {
    /// What stands for an issuer where clients are counted: issuers are https URLs, so that no client of an issuer shares a budget
    /// with one of a key.
    pub const ISSUER: &'static str = "api-key";

    /// Whether it is no longer good.
    pub fn is_over(&self, wall: UnixMillis) -> bool {
        self.not_after.is_some_and(|end| end <= wall)
    }
}

/// Where the digest of a key stands.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyDigestSource {
    /// In the configuration.
    Here(KeyDigest),
    /// In an environment variable of the VM.
    Environment(EnvironmentDigest),
}

impl KeyDigestSource {
    /// The digest. `None` where the environment has none.
    pub fn digest(&self, host: &dyn Host) -> Option<KeyDigest> {
        match self {
            KeyDigestSource::Here(digest) => Some(*digest),
            KeyDigestSource::Environment(variable) => variable.digest(host),
        }
    }
}

/// The digest that an environment variable holds. It is read once: a variable of the VM never changes.
#[derive(Debug, PartialEq, Eq)]
pub struct EnvironmentDigest {
    name: Box<str>,
    read: OnceCell<Option<KeyDigest>>,
}

impl EnvironmentDigest {
    /// That of the variable `name`.
    pub fn of(name: &str) -> Self {
        Self { name: name.into(), read: OnceCell::new() }
    }

    /// The name of the variable.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn digest(&self, host: &dyn Host) -> Option<KeyDigest> {
        *self.read.get_or_init(|| KeyDigest::from_hex(host.variable(&self.name)?.trim()))
    }
}

/// SHA-256 of a key: compared in constant time.
#[derive(Clone, Copy)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest itself.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// From 64 hexadecimal digits.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let bytes: Option<Vec<u8>> =
            pairs.iter().map(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?)).collect();
        bytes.filter(|_| rest.is_empty())?.try_into().ok().map(Self)
    }
}

impl PartialEq for KeyDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for KeyDigest {}

/// Not the digest: of a weak key it tells the key.
impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;

    #[test]
    fn a_digest_is_64_hexadecimal_digits() {
        let digest = KeyDigest::from_bytes([0xab; 32]);
        assert_eq!(KeyDigest::from_hex(&"ab".repeat(32)), Some(digest));
        assert_eq!(KeyDigest::from_hex(&"AB".repeat(32)), Some(digest));
        for wrong in ["", "ab", &"ab".repeat(31), &"ab".repeat(33), &"+b".repeat(32), &format!("{}a", "ab".repeat(31))]
        {
            assert_eq!(KeyDigest::from_hex(wrong), None, "{wrong}");
        }
        assert_eq!(format!("{digest:?}"), "KeyDigest(..)");
    }

    #[test]
    fn a_variable_that_is_not_there_or_is_no_digest_stands_for_no_key() {
        let host = FakeHost::default().with_variables(&[("GOOD", &"ab".repeat(32)), ("KEY", "secret")]);
        let digest = |name| KeyDigestSource::Environment(EnvironmentDigest::of(name)).digest(&host);
        assert_eq!(digest("GOOD"), Some(KeyDigest::from_bytes([0xab; 32])));
        assert_eq!((digest("KEY"), digest("MISSING")), (None, None));
    }
}
