//! The compiled configuration: immutable, shared by `Rc`, swapped whole. In: nothing here reads text; `config`
//! makes these values. Out: what each check of a request needs, already parsed.
//!
//! Not here: what the operator writes and its errors (`config`), the checks themselves (`exchange` and its rooms).

mod charges;
mod forward;
mod issuer;
mod limit;
mod mark;
mod resource;
mod route;
mod routes;

use std::rc::Rc;

pub use charges::Charges;
pub use forward::{ForwardRule, ForwardedClaim};
pub use issuer::{Issuer, JwksSource, KeySource, TrustId, TypRule};
pub use limit::{Charge, Condition, Counts, DayTimes, Event, KeyPart, Limit, Outcomes, Override, Watch};
pub use mark::Mark;
pub use resource::{Mode, Resource};
pub use route::{Access, BindingRule, MethodSet, PeerPattern, PeerRule, Route, ScopeRule, TokenRule};
pub use routes::{Pattern, PatternFault, RouteConflict, RouteMatch, Routes, RoutesBuilder, Segment};

use crate::http::Authority;
use crate::limit::Dialects;

/// Where a rule was written: quoted by verdicts, metrics and audit records.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The name the operator gave (`per-client`, `GET /orders/{id}`).
    pub name: Box<str>,
    /// The place in the configuration (`resources[0].routes[2]`).
    pub path: Box<str>,
}

/// How the peer of a connection is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerSource {
    /// Whether a certificate counts as validated on an Envoy that does not say (`connection.peer_certificate_valid`
    /// is missing before 1.39). Without it, such a certificate binds tokens but is no identity.
    pub insecure_assume_validated: bool,
}

/// Everything a request is judged by.
#[derive(Debug)]
pub struct Policy {
    /// Resources, in configuration order.
    pub resources: Vec<Rc<Resource>>,
    /// All issuers that a resource uses.
    pub issuers: Vec<Rc<Issuer>>,
    /// All limits, by name.
    pub limits: Vec<Rc<Limit>>,
    /// How peers are read.
    pub peer: PeerSource,
    /// What the filter marks with that it let a request through.
    pub mark: Mark,
    /// How many identities the shared table of limits is sized for.
    pub limit_identities: u32,
    /// Which fields tell callers where they stand.
    pub limit_fields: Dialects,
    /// Bounds of the verified-token cache of each worker.
    pub token_cache: TokenCacheBounds,
    /// The longest token accepted, in bytes.
    pub max_token_bytes: usize,
}

/// Bounds of the verified-token cache of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCacheBounds {
    /// Tokens.
    pub entries: usize,
    /// Bytes of tokens and claims together.
    pub bytes: usize,
}

impl Policy {
    /// The resource served under `authority`, if any.
    pub fn resource(&self, authority: &Authority) -> Option<&Rc<Resource>> {
        self.resources.iter().find(|resource| resource.hosts.contains(authority))
    }

    /// What the operator chose against safety, told at each load.
    pub fn warnings(&self) -> Vec<String> {
        let assumed = self.peer.insecure_assume_validated.then_some(
            "peer.insecure_assume_validated is set: on an Envoy that does not tell (before 1.39), every client \
             certificate counts as validated",
        );
        let reporting = self.resources.iter().filter(|resource| resource.mode == Mode::Report);
        let reporting =
            reporting.map(|resource| format!("{}.mode is report: nothing is refused there", resource.origin.path));
        let routes = self.resources.iter().flat_map(|resource| resource.routes.warnings());
        assumed.map(str::to_owned).into_iter().chain(reporting).chain(routes).collect()
    }
}
