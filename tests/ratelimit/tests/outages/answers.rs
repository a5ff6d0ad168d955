//! Which requests there are, and what each may be answered. In: a kind of request, the server in trouble. Out: the documented answers: the reasons in
//! `docs/refusals.md`, or `passed`. This is the table of docs/operations.md, "When a server is in trouble".

use std::time::Duration;

use crate::servers::Server::{self, Asking, Documents, Keys, Limiter, Lists, Redis, Upstream};

/// The upstream answered.
pub const PASSED: &str = "passed";

/// Envoy answered for the upstream: 502, 503 or 504.
pub const BY_ENVOY: &str = "by Envoy";

/// The upstream's answer has no end.
pub const CUT_OFF: &str = "cut off";

/// What a request is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Without a token, where none is needed.
    Public,
    /// With a token that was verified before.
    Known,
    /// With a token that comes for the first time.
    New,
    /// The same, of an issuer whose keys were not fetched before the trouble.
    NewIssuer,
    /// With an opaque token that was asked about before.
    KnownOpaque,
    /// With an opaque token that comes for the first time.
    NewOpaque,
    /// With an opaque token that nobody issued.
    Inactive,
    /// With a token bound to a key, and a new proof.
    Proof,
    /// The same, with a proof that was used before.
    Replayed,
    /// With a signature that is wrong.
    Forged,
    /// With a key that nobody has.
    UnknownKey,
    /// With another's token.
    Stolen,
    /// With a known token of an issuer that publishes revocations.
    Revocable,
    /// With a token that the document names.
    Revoked,
    /// With a known token whose place in a list says that it is good.
    Listed,
    /// With one whose place says that it is not.
    Suspended,
    /// Of somebody new, on a route whose limit the service counts, and that refuses without it.
    Limited,
    /// The same on a route that counts by itself without it.
    LimitedOrCounted,
    /// Of somebody who has spent a local limit.
    Spent,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 19] = [
        Self::Public,
        Self::Known,
        Self::New,
        Self::NewIssuer,
        Self::KnownOpaque,
        Self::NewOpaque,
        Self::Inactive,
        Self::Proof,
        Self::Replayed,
        Self::Forged,
        Self::UnknownKey,
        Self::Stolen,
        Self::Revocable,
        Self::Revoked,
        Self::Listed,
        Self::Suspended,
        Self::Limited,
        Self::LimitedOrCounted,
        Self::Spent,
    ];

    /// What it is answered where all servers are well.
    pub fn usual(self) -> &'static str {
        match self {
            Self::Inactive => "token-inactive",
            Self::Replayed => "proof-replayed",
            Self::Forged => "signature-invalid",
            Self::UnknownKey => "key-unknown",
            Self::Stolen => "binding-mismatch",
            Self::Revoked | Self::Suspended => "token-revoked",
            Self::Spent => "over-limit",
            _ => PASSED,
        }
    }

    /// What else it may be answered while this server is in trouble, and until it is found again.
    pub fn otherwise(self, server: Server) -> &'static [&'static str] {
        match (server, self) {
            // One waits for the fetch that its key made sure of, no longer than a fetch may take.
            (Keys, Self::NewIssuer | Self::UnknownKey) => &["keys-unavailable"],
            (Asking, Self::NewOpaque | Self::Inactive) => &["introspection-unavailable"],
            (Documents, Self::Revocable) | (Lists, Self::Listed) => &["revocation-stale"],
            (Limiter | Redis, Self::Limited) => &["limiter-unavailable"],
            (Upstream, _) if self.usual() == PASSED => &[BY_ENVOY, CUT_OFF],
            _ => &[],
        }
    }

    /// The longest that it waits, whatever the servers do: the time-outs in the configuration, one after the other.
    pub fn patience(self) -> Duration {
        use crate::world::TIMEOUT;
        match self {
            Self::Public => Duration::ZERO,
            // Keys.
            Self::New | Self::NewIssuer | Self::UnknownKey | Self::Forged | Self::Proof => TIMEOUT,
            Self::NewOpaque | Self::Inactive => TIMEOUT,
            // Keys, then permits.
            Self::Limited | Self::LimitedOrCounted => TIMEOUT * 2,
            _ => TIMEOUT,
        }
    }
}
