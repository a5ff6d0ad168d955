//! One authorization server: whose tokens are accepted, by which keys and rules.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::jose::{Algorithm, KeySet};
use crate::policy::{Introspection, Origin, RevocationRule, StatusListRule, TokenForm};
use crate::time::UnixMillis;

/// What decides whether keys and verified tokens of an issuer are good for another configuration or resource: all that
/// a verification relied on and that claims were read by. A digest of it, because every request compares it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustId([u8; 32]);

impl TrustId {
    /// Of the text of everything relied on. Equal text, equal trust.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for TrustId {
    /// In hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An authorization server and the rules for its tokens (RFC 9068, RFC 8725).
#[derive(Debug)]
pub struct Issuer {
    /// Where it was configured.
    pub origin: Origin,
    /// The exact `iss` value, compared by code points (RFC 9068 §4).
    pub issuer: Box<str>,
    /// The algorithms its tokens may use, never taken from a token (RFC 8725 §3.1). Empty only where it signs none.
    pub algorithms: Vec<Algorithm>,
    /// Where its keys come from.
    pub keys: KeySource,
    /// How it is asked about tokens, if it is.
    pub introspection: Option<Introspection>,
    /// The profile that was configured, in its own word.
    pub profile: &'static str,
    /// What its tokens look like.
    pub form: TokenForm,
    /// Tokens that were issued before this moment are refused.
    pub not_issued_before: Option<UnixMillis>,
    /// What it takes back before its time.
    pub revocation: RevocationRule,
    /// Lists that its tokens name, with the state of each.
    pub status_lists: Option<StatusListRule>,
    /// The longest lifetime (`exp` − `iat`) accepted.
    pub max_lifetime: Duration,
    /// Tolerance for `exp`, `nbf` and `iat`; at most 60 s.
    pub leeway: Duration,
    /// Identity of this trust over configurations.
    pub trust: TrustId,
}

/// Where keys come from.
#[derive(Debug)]
pub enum KeySource {
    /// Written in the configuration.
    Inline(Rc<KeySet>),
    /// Fetched from a JWK set URI.
    Remote(JwksSource),
    /// Nowhere: it is asked about every token.
    None,
}

/// A remote JWK set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksSource {
    /// Where it is.
    pub at: JwksAt,
    /// Age after which keys are fetched anew.
    pub refresh: Duration,
    /// Age up to which keys are used while fetches fail.
    pub max_stale: Duration,
    /// Time-out of one fetch.
    pub timeout: Duration,
    /// Header fields of every fetch; names in lower case.
    pub headers: Vec<(Box<str>, Box<str>)>,
}

/// Where a JWK set is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksAt {
    /// There.
    Configured(Endpoint),
    /// Where the issuer's metadata says.
    Discovered(Discovery),
}

/// The metadata of an issuer, and what is believed of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// Where it is.
    pub metadata: Endpoint,
    /// The exact `issuer` it must be of (RFC 8414 §3.3).
    pub issuer: Box<str>,
    /// The hosts that keys may be at, the issuer's own among them, each with Envoy's cluster that leads there.
    pub hosts: Vec<(Box<str>, Box<str>)>,
}

/// Something that is fetched over https.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Envoy's cluster that the fetch goes to.
    pub cluster: Box<str>,
    /// `:authority` of the fetch.
    pub authority: Box<str>,
    /// `:path` of the fetch.
    pub path: Box<str>,
}

impl fmt::Display for Endpoint {
    /// As a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
impl Endpoint {
    /// At the host of the issuer of [`JwksSource::example`].
    pub(crate) fn example(path: &str) -> Self {
        Self { cluster: "as".into(), authority: "as.example.com".into(), path: path.into() }
    }
}

#[cfg(test)]
impl JwksSource {
    /// Fetched every ten minutes, good for an hour.
    pub(crate) fn example() -> Self {
        Self {
            at: JwksAt::Configured(Endpoint::example("/jwks")),
            refresh: Duration::from_secs(600),
            max_stale: Duration::from_secs(3600),
            timeout: Duration::from_secs(5),
            headers: Vec::new(),
        }
    }

    /// The same, where the metadata of `https://as.example.com` names it, which may also say `keys.example.com`.
    pub(crate) fn discovered() -> Self {
        let hosts = [("as.example.com", "as"), ("keys.example.com", "keys")];
        let discovery = Discovery {
            metadata: Endpoint::example("/.well-known/openid-configuration"),
            issuer: "https://as.example.com".into(),
            hosts: hosts.map(|(host, cluster)| (host.into(), cluster.into())).into(),
        };
        Self { at: JwksAt::Discovered(discovery), ..Self::example() }
    }
}
