//! Where the status lists of an issuer's tokens may be. In: the `uri` of a token's `status`. Out: where to fetch that list, if it may be
//! fetched at all: no token chooses where this proxy connects to.

use std::time::Duration;

use crate::http::HttpsUrl;
use crate::policy::{Endpoint, OnStale};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusListRule {
    /// Envoy's cluster, host, and the path that the path of each list begins with.
    pub below: Endpoint,
    /// Age after which a list is fetched anew, unless it says more itself.
    pub refresh: Duration,
    /// Age beyond which it counts as stale.
    pub max_stale: Duration,
    /// Time-out of one fetch.
    pub timeout: Duration,
    /// What becomes of tokens whose list is stale or was never there.
    pub on_stale: OnStale,
    /// The longest list, once it is unpacked.
    pub max_bytes: usize,
    /// So many lists are kept in each worker.
    pub max_lists: usize,
}

impl StatusListRule {
    /// Where the list called `uri` is.
    pub fn endpoint(&self, uri: &str) -> Option<Endpoint> {
        let url = HttpsUrl::parse(uri).ok()?;
        let rest = url.path.strip_prefix(&*self.below.path)?;
        // What a server might resolve could lead out again.
        let plain = rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte));
        let leads_out = rest.split('/').any(|segment| matches!(segment, "" | "." | ".."));
        let fits = url.authority.as_str() == &*self.below.authority && plain && !leads_out;
        fits.then(|| Endpoint { path: url.path.clone(), ..self.below.clone() })
    }

    /// So many bytes of memory all lists may come to take in each worker, with one that is read.
    pub fn memory(&self) -> usize {
        self.max_lists.saturating_add(3).saturating_mul(self.max_bytes)
    }
}

#[cfg(test)]
impl StatusListRule {
    /// Fetched every 30 seconds, stale after two minutes.
    pub(crate) fn example() -> Self {
        Self {
            below: Endpoint::example("/statuslists/"),
            refresh: Duration::from_secs(30),
            max_stale: Duration::from_secs(120),
            timeout: Duration::from_secs(5),
            on_stale: OnStale::Refuse,
            max_bytes: 1024,
            max_lists: 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_fetched_only_below_what_is_configured() {
        let rule = StatusListRule::example();
        let at = |uri: &str| rule.endpoint(uri).map(|endpoint| endpoint.to_string());
        for uri in ["https://as.example.com/statuslists/1", "https://as.example.com/statuslists/a/b_.~-1"] {
            assert_eq!(at(uri).as_deref(), Some(uri));
        }
        for uri in [
            "http://as.example.com/statuslists/1",
            "https://evil.example.com/statuslists/1",
            "https://as.example.com:8443/statuslists/1",
            "https://as.example.com@169.254.169.254/statuslists/1",
            "https://169.254.169.254/statuslists/1",
            "https://as.example.com/statuslists/",
            "https://as.example.com/statuslists",
            "https://as.example.com/statuslists/../admin",
            "https://as.example.com/statuslists/%2e%2e/admin",
            "https://as.example.com/statuslists/a//b",
            "https://as.example.com/statuslists/1?x=y",
            "https://as.example.com/statuslists/1#x",
            "https://as.example.com/statuslists/1;x",
            "/statuslists/1",
            "",
        ] {
            assert_eq!(at(uri), None, "{uri}");
        }
    }
}
