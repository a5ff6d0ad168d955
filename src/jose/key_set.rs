//! A JWK set (RFC 7517 §5). In: a document from an authorization server or from the configuration. Out: the keys that
//! can verify access tokens. One bad key does not spoil the others; a set without a good one is refused.

use std::fmt;
use std::rc::Rc;

use crate::jose::{Algorithm, VerifyingKey};
use crate::json::{Bounds, Value, parse};

/// The largest document that is read.
pub const MAX_KEY_SET_BYTES: usize = 256 * 1024;
/// The most keys that are looked at.
const MAX_KEYS: usize = 64;
/// The most keys that one token is tried with.
const MAX_CANDIDATES: usize = 4;

/// The usable keys of a set.
#[derive(Debug)]
pub struct KeySet(Vec<Rc<VerifyingKey>>);

/// Why a document is no key set. The texts are for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySetFault {
    /// Larger than is read.
    TooLarge,
    /// No strict JSON.
    NotJson(String),
    /// No object with an array `keys`.
    NotKeySet,
    /// More keys than are looked at.
    TooMany,
    /// None of the keys can verify access tokens.
    NoUsableKey,
}

impl fmt::Display for KeySetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySetFault::TooLarge => write!(f, "the key set is larger than {MAX_KEY_SET_BYTES} bytes"),
            KeySetFault::NotJson(why) => write!(f, "the key set is not JSON: {why}"),
            KeySetFault::NotKeySet => f.write_str("the document is no key set: it has no array \"keys\""),
            KeySetFault::TooMany => write!(f, "the key set has more than {MAX_KEYS} keys"),
            KeySetFault::NoUsableKey => f.write_str(
                "no key of the set can verify access tokens: RSA of 2048 to 8192 bits, P-256, P-384 or Ed25519, public, \
                 for signatures",
            ),
        }
    }
}

impl KeySet {
    /// Reads a document.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetFault> {
        if document.len() > MAX_KEY_SET_BYTES {
            return Err(KeySetFault::TooLarge);
        }
        Self::from_value(&parse(document, Bounds::KEYS).map_err(|fault| KeySetFault::NotJson(fault.0))?)
    }

    /// Reads a document that is parsed already.
    pub fn from_value(document: &Value) -> Result<Self, KeySetFault> {
        let keys = document.as_object().and_then(|set| set.get("keys")).and_then(Value::as_array);
        let keys = keys.ok_or(KeySetFault::NotKeySet)?;
        if keys.len() > MAX_KEYS {
            return Err(KeySetFault::TooMany);
        }
        let usable = |key: &Value| VerifyingKey::from_jwk(key.as_object()?).ok().map(Rc::new);
        let keys: Vec<_> = keys.iter().filter_map(usable).collect();
        if keys.is_empty() { Err(KeySetFault::NoUsableKey) } else { Ok(Self(keys)) }
    }

    /// The keys to try for a token: those of its `kid`, or all if it has none, that fit its algorithm. Two keys may
    /// share a `kid` where their types tell them apart (RFC 7517 §4.5).
    pub fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &Rc<VerifyingKey>> {
        let named = move |key: &&Rc<VerifyingKey>| kid.is_none() || key.kid.as_deref() == kid;
        self.0.iter().filter(named).filter(move |key| key.fits(algorithm)).take(MAX_CANDIDATES)
    }

    /// Whether the set has this key.
    pub fn contains(&self, key: &VerifyingKey) -> bool {
        self.0.iter().any(|known| known.is(key))
    }

    /// The number of usable keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: a set without a usable key is refused.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
