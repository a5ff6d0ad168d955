//! What was taken back before its time. In: documents of revocations, entries of the configuration. Out: whether they name a
//! token. Not here: where documents come from and how long they serve (`worker`), what a token says (`token`).

mod digests;
mod document;
mod listed;
mod status_list;

pub use document::{Revocations, RevocationsFault};
pub use listed::Listed;
pub use status_list::{STATUS_LIST_TYP, StatusList, StatusReference};

use crate::jose::base64url;
use crate::time::UnixMillis;

/// The longest value by which anything is revoked, in bytes.
const LONGEST: usize = 1024;

/// How many kinds there are.
pub const KINDS: usize = 6;

/// What of a token a revocation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One token, by its `jti`.
    TokenId,
    /// All tokens of a subject.
    Subject,
    /// All tokens of a client.
    ClientId,
    /// All tokens of a session.
    Session,
    /// All tokens bound to a certificate.
    Certificate,
    /// All tokens bound to a key, of which their senders prove possession (RFC 9449).
    Key,
}

impl Kind {
    /// Every kind, in the order in which their values stand in [`Revocable`].
    pub const ALL: [Kind; KINDS] =
        [Kind::TokenId, Kind::Subject, Kind::ClientId, Kind::Session, Kind::Certificate, Kind::Key];

    /// The member of a document that has its values.
    pub const fn member(self) -> &'static str {
        match self {
            Kind::TokenId => "jti",
            Kind::Subject => "sub",
            Kind::ClientId => "client_id",
            Kind::Session => "sid",
            Kind::Certificate => "x5t#S256",
            Kind::Key => "jkt",
        }
    }

    fn of_member(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.member() == name)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// What is compared of a written value; why not, if no token can have it.
    fn value(self, written: &str) -> Result<Vec<u8>, &'static str> {
        match self {
            Kind::Certificate | Kind::Key => {
                let bytes = base64url::decode(written.as_bytes()).ok().filter(|bytes| bytes.len() == 32);
                bytes.ok_or("no thumbprint: 43 characters of base64url")
            }
            _ if written.is_empty() => Err("empty"),
            _ if written.len() > LONGEST => Err("longer than 1024 bytes"),
            _ => Ok(written.as_bytes().to_vec()),
        }
    }
}

/// Who takes tokens back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokedBy {
    /// The issuer, wherever it is trusted.
    Issuer,
    /// The resource, for itself.
    Resource,
}

/// One content of one document, told apart from all that a worker ever loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edition(u64);

impl Edition {
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// What of one token revocations may name.
#[derive(Clone, Copy, Debug)]
pub struct Revocable<'t> {
    /// By each [`Kind`], in the order of [`Kind::ALL`].
    pub values: [Option<&'t [u8]>; KINDS],
    /// When it was issued.
    pub issued: Option<UnixMillis>,
}

impl<'t> Revocable<'t> {
    fn values(&self) -> impl Iterator<Item = (Kind, &'t [u8])> {
        Kind::ALL.into_iter().zip(self.values).filter_map(|(kind, value)| Some((kind, value?)))
    }

    /// Whether it was issued before `bound`, or does not say when.
    fn is_older_than(&self, bound: UnixMillis) -> bool {
        self.issued.is_none_or(|issued| issued < bound)
    }
}

/// The member of a document with moments: what was issued before is revoked.
const ISSUED_BEFORE: &str = "issued_before";
/// Its member for all tokens.
const ALL: &str = "all";
