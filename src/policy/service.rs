//! What the operator says about a fleet's limits: the service that counts them, and each limit. Plain data.
//! Not here: reading it (`config`), calls and permits (`limit::fleet`).

use std::rc::Rc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::policy::{Fact, Origin};

/// Which server it is: the two answer the same protocol differently, see [`super`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// envoyproxy/ratelimit: a refused ask is counted, and every answer tells the window.
    Ratelimit,
    /// Kuadrant's Limitador: a refused ask is not counted, and the window stands in response fields, if anywhere.
    Limitador,
}

/// What becomes of a request when the service does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// It is counted by this proxy alone, by the rate and burst of the limit.
    Local,
    /// It is refused.
    Refuse,
    /// It passes.
    Allow,
}

/// A rate-limit service as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Name and place.
    pub origin: Origin,
    /// Which server.
    pub kind: Kind,
    /// The proxy's cluster; not empty.
    pub cluster: Box<str>,
    /// The `domain` of every ask; not empty.
    pub domain: Box<str>,
    /// The longest that a request waits for it; not zero.
    pub timeout: Duration,
    /// The most permits asked at once, unless one request costs more; at least 1. With 1 nothing is leased.
    pub lease: u32,
    /// What happens without it.
    pub on_error: OnError,
}

impl Service {
    /// Whether two configurations mean the same server.
    pub fn is_same(&self, other: &Self) -> bool {
        self.cluster == other.cluster && self.domain == other.domain
    }
}

/// A limit that the whole fleet shares.
#[derive(Debug)]
pub struct FleetLimit {
    /// Name and place. The name is the descriptor's key.
    pub origin: Origin,
    /// The identity counted; empty: one budget for everybody. In one order, however it was written.
    pub key: Vec<Fact>,
    /// Who counts it.
    pub service: Rc<Service>,
    scope: u128,
}

impl FleetLimit {
    /// A limit counted by `service`.
    pub fn new(origin: Origin, mut key: Vec<Fact>, service: Rc<Service>) -> Self {
        Fact::sort(&mut key);
        let mut hash = Sha256::new();
        for text in [&*service.cluster, &*service.domain, &*origin.name] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        let scope = hash.finalize().first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes));
        Self { origin, key, service, scope }
    }

    /// The same for the same name at the same service, also after a reload: leases survive it.
    pub fn scope(&self) -> u128 {
        self.scope
    }
}
