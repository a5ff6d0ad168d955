//! How tokens may end before their time: those of an issuer, or those that come to a resource. Not here: what is revoked (`revocation`).

use std::time::Duration;

use crate::policy::{Endpoint, Policy};
use crate::revocation::Listed;

/// See the module.
#[derive(Debug, Default)]
pub struct RevocationRule {
    /// Entries of the configuration.
    pub listed: Listed,
    /// A document that is fetched.
    pub source: Option<RevocationSource>,
}

/// A document of revocations that is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationSource {
    /// Tells it apart from others, in every configuration.
    pub id: Box<str>,
    /// Where it is.
    pub at: Endpoint,
    /// Age after which it is fetched anew.
    pub refresh: Duration,
    /// Age beyond which it counts as stale.
    pub max_stale: Duration,
    /// Time-out of one fetch.
    pub timeout: Duration,
    /// The longest document that is read.
    pub max_bytes: usize,
    /// What becomes of tokens that the document does not name, once it is stale or was never there.
    pub on_stale: OnStale,
}

/// What becomes of tokens of which nobody knows whether they were revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStale {
    /// They are refused.
    Refuse,
    /// They pass.
    Allow,
}

impl RevocationSource {
    /// So many bytes of memory it may come to take in each worker: the document, what was read of it, and what is read of the next one.
    pub fn memory(&self) -> usize {
        self.max_bytes.saturating_mul(4)
    }
}

impl Policy {
    /// All documents of revocations, each with the place of its issuer or resource in the configuration. One may come several times.
    pub fn revocation_sources(&self) -> impl Iterator<Item = (&str, &RevocationSource)> {
        let of_issuers = self.issuers.iter().map(|issuer| (&*issuer.origin.path, &issuer.revocation));
        let of_resources = self.resources.iter().map(|resource| (&*resource.origin.path, &resource.revocation));
        of_issuers.chain(of_resources).filter_map(|(place, rule)| Some((place, rule.source.as_ref()?)))
    }
}

#[cfg(test)]
impl RevocationSource {
    /// Fetched every 30 seconds, stale after two minutes.
    pub(crate) fn example() -> Self {
        Self {
            id: "revoked".into(),
            at: Endpoint::example("/revoked"),
            refresh: Duration::from_secs(30),
            max_stale: Duration::from_secs(120),
            timeout: Duration::from_secs(5),
            max_bytes: 65_536,
            on_stale: OnStale::Refuse,
        }
    }
}
