//! The compiled configuration: immutable, shared by `Rc`, swapped whole. In: nothing here reads text; `config`
//! makes these values. Out: what each check of a request needs, already parsed.
//!
//! Not here: what the operator writes and its errors (`config`), the checks themselves (`exchange` and its rooms).

mod api_key;
mod body_rule;
mod budget;
mod charges;
mod claim_rule;
mod dialects;
mod dpop;
mod fact;
mod forward;
mod hosts;
mod introspection;
mod issuer;
mod limit;
mod mark;
mod objects;
mod peer_pattern;
mod peer_source;
mod profile;
mod quota;
mod resource;
mod revocation;
mod route;
mod routes;
mod service;
mod source_ip;
mod status_lists;
mod step_up;
mod tls_floor;
mod token_form;

use std::rc::Rc;
use std::time::Duration;

use crate::host::Host;

pub use api_key::{ApiKey, ApiKeys, EnvironmentDigest, KeyDigest, KeyDigestSource};
pub use body_rule::BodyRule;
pub use budget::{BudgetId, FilterId};
pub use charges::{Charges, unrouted};
pub use claim_rule::{ClaimDemand, ClaimRule, ClaimTest, ClaimValue};
pub use dialects::{Dialects, XRateLimit};
pub use dpop::DpopRule;
pub use fact::Fact;
pub use forward::ForwardRule;
pub use hosts::Hosts;
pub use introspection::{AskedTokens, AskingClient, ClientAuth, ClientSecret, Introspection};
pub use issuer::{Discovery, Endpoint, Issuer, JwksAt, JwksSource, KeySource, TrustId};
pub use limit::{
    Allowance, AtOnce, Charge, Condition, Counts, DayTimes, Event, Limit, Outcomes, Override, TableSize, Watch,
};
pub use mark::Mark;
pub use objects::{ObjectName, ObjectRule};
pub use peer_pattern::{PeerPattern, PeerRule, is_below};
pub use peer_source::{ConveyedIn, PeerSource, TrustedHops};
pub use profile::Profile;
pub use quota::{Quota, QuotaFault};
pub use resource::{Mode, Resource};
pub use revocation::{OnStale, RevocationRule, RevocationSource};
pub use route::{Access, BindingRule, KeyRule, MethodSet, Route, ScopeRule, SubjectRule, TokenRule};
pub use routes::{Pattern, PatternFault, RouteConflict, RouteMatch, Routes, RoutesBuilder, Segment};
pub use service::{FleetLimit, Kind, OnError, Service};
pub use source_ip::SourceIp;
pub use status_lists::StatusListRule;
pub use step_up::StepUp;
pub use tls_floor::TlsFloor;
pub use token_form::{ClaimPlace, OptionalClaim, RequiredClaim, Says, ScopePlaces, SubjectKind, TokenForm, TypRule};

/// Where a rule was written: quoted by verdicts, metrics and audit records.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The name the operator gave (`per-client`, `GET /orders/{id}`).
    pub name: Box<str>,
    /// The place in the configuration (`resources[0].routes[2]`).
    pub path: Box<str>,
}

/// Everything a request is judged by.
#[derive(Debug)]
pub struct Policy {
    /// Resources, in configuration order.
    pub resources: Vec<Rc<Resource>>,
    /// Which of them serves a host.
    pub hosts: Hosts,
    /// Whether refusals are carried out where no resource serves the host.
    pub mode: Mode,
    /// Limits on answers that count requests for which no resource is found.
    pub unrouted: Vec<Charge>,
    /// All issuers that a resource uses.
    pub issuers: Vec<Rc<Issuer>>,
    /// All API keys that a resource takes.
    pub api_keys: Vec<Rc<ApiKey>>,
    /// All limits, by name.
    pub limits: Vec<Rc<Limit>>,
    /// Where the certificate of a caller is read where no resource is known.
    pub peer: Rc<PeerSource>,
    /// Whether a certificate counts as validated on an Envoy that does not say (`connection.peer_certificate_valid`
    /// is missing before 1.39). Without it, such a certificate binds tokens but is no identity.
    pub assume_validated: bool,
    /// How long before its end a peer's certificate is told to be about to end.
    pub warn_before: Duration,
    /// Whether anything here depends on who a peer is, beyond its thumbprint.
    pub needs_identities: bool,
    /// What the filter marks with that it let a request through.
    pub mark: Mark,
    /// How many identities the shared table of limits is sized for.
    pub limit_identities: u32,
    /// Which fields tell callers where they stand.
    pub limit_fields: Dialects,
    /// Whether they are told also where refusals are only reported.
    pub limit_fields_in_report: bool,
    /// For which bodies refusals wait.
    pub awaited_body: AwaitedBody,
    /// Bounds of the verified-token cache of each worker.
    pub token_cache: TokenCacheBounds,
    /// The longest token accepted, in bytes.
    pub max_token_bytes: usize,
    /// What was written and is probably not meant, each with its place and what to do.
    pub doubts: Vec<String>,
}

/// For the body of which request its refusal waits, so that the connection outlives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwaitedBody {
    /// The longest.
    pub bytes: u32,
    /// How long at most.
    pub lasts: Duration,
}

impl AwaitedBody {
    /// The bytes to wait for, of a request with these fields. `None` where nothing is to come, where nobody says how much, or
    /// too much, and where the client itself waits for the answer before it sends the body (RFC 9110 §10.1.1).
    pub fn of(self, content_length: Option<&[u8]>, expect: Option<&[u8]>) -> Option<u32> {
        let length = std::str::from_utf8(content_length?).ok()?.parse().ok()?;
        (expect.is_none() && (1..=self.bytes).contains(&length)).then_some(length)
    }
}

/// Bounds of the verified-token cache of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCacheBounds {
    /// Tokens.
    pub entries: usize,
    /// Bytes of tokens and claims together.
    pub bytes: usize,
}

impl TokenCacheBounds {
    /// In each respect the larger of both.
    pub fn or_larger(self, other: Self) -> Self {
        Self { entries: self.entries.max(other.entries), bytes: self.bytes.max(other.bytes) }
    }
}

impl Policy {
    /// Whether a route takes identifiers with escaped slashes.
    pub fn takes_slashes(&self) -> bool {
        let mut routes = self.resources.iter().flat_map(|resource| resource.routes.iter());
        routes.any(|route| route.pattern.takes_slashes())
    }

    /// Whether callers are read in this header, of any resource or where none is known.
    pub fn reads(&self, header: ConveyedIn) -> bool {
        let mut sources = self.resources.iter().map(|resource| &resource.peer).chain([&self.peer]);
        sources.any(|source| source.reads(header))
    }

    /// API keys whose digests the environment of the VM should have and has not: nobody can present them. For operators.
    pub fn missing_digests(&self, host: &dyn Host) -> Vec<String> {
        let missing = |key: &Rc<ApiKey>| match &key.digest {
            KeyDigestSource::Environment(variable) if key.digest.digest(host).is_none() => Some(format!(
                "{}.sha256: the environment variable {} is missing or no SHA-256 digest, so that nobody can use this key. Set it in \
                 vm_config.environment_variables.",
                key.origin.path,
                variable.name()
            )),
            KeyDigestSource::Environment(_) | KeyDigestSource::Here(_) => None,
        };
        self.api_keys.iter().filter_map(missing).collect()
    }

    /// Whether refusals are carried out for requests to this resource, or to a host that none serves.
    pub fn mode_of(&self, resource: Option<&Resource>) -> Mode {
        resource.map_or(self.mode, |resource| resource.mode)
    }

    /// Where the certificate of a caller of this resource is read, or of a host that none serves.
    pub fn peer_of(&self, resource: Option<&Resource>) -> Rc<PeerSource> {
        resource.map_or(&self.peer, |resource| &resource.peer).clone()
    }

    /// Which fields the answers to requests for this resource carry.
    pub fn limit_fields_of(&self, resource: Option<&Resource>) -> Dialects {
        match self.mode_of(resource) {
            Mode::Report if !self.limit_fields_in_report => Dialects::NONE,
            Mode::Report | Mode::Enforce => self.limit_fields,
        }
    }

    /// What the operator chose against safety, or probably did not mean, told at each load.
    pub fn warnings(&self) -> Vec<String> {
        let assumed = self.assume_validated.then_some(
            "peer.insecure_assume_validated is set: on an Envoy that does not tell (before 1.39), every client \
             certificate counts as validated",
        );
        let routes = self.resources.iter().flat_map(|resource| resource.routes.warnings());
        let for_nobody = self.issuers.iter().filter(|issuer| issuer.form.insecure_no_audience);
        let for_nobody = for_nobody.map(|issuer| {
            let place = &issuer.origin.path;
            format!("{place}.insecure_no_audience is set: a token without aud passes wherever this issuer is trusted")
        });
        let chosen = assumed.map(str::to_owned).into_iter().chain(self.reporting()).chain(for_nobody).chain(routes);
        chosen.chain(self.doubts.iter().cloned()).collect()
    }

    /// What is only reported, and what happens all the same.
    fn reporting(&self) -> Vec<String> {
        const ALL_THE_SAME: &str = "What still happens: CONNECT, TRACE and requests without one method, host and path are \
             refused, headers that claim an identity or are set by forward.headers are taken from requests to a resource, a \
             filter that fails answers 503, and the interlock stands";
        let of_mode = |mode| self.resources.iter().filter(move |resource| resource.mode == mode);
        let places = |mode| of_mode(mode).map(|resource| &*resource.origin.path).collect::<Vec<_>>().join(", ");
        match self.mode {
            Mode::Report => {
                let all = format!(
                    "mode is report: nothing is refused for what is wrong with it, also where no resource lists the host. {ALL_THE_SAME}"
                );
                let enforced = of_mode(Mode::Enforce).next().map(|_| {
                    format!(
                        "mode is report, beside {} with mode enforce: hosts that no resource lists pass unjudged, to the same \
                         service if the proxy's routes lead there",
                        places(Mode::Enforce)
                    )
                });
                [all].into_iter().chain(enforced).collect()
            }
            Mode::Enforce if of_mode(Mode::Report).next().is_some() => vec![format!(
                "mode is report in {}: nothing is refused there for what is wrong with it; hosts that no resource lists are \
                 refused. {ALL_THE_SAME}",
                places(Mode::Report)
            )],
            Mode::Enforce => Vec::new(),
        }
    }
}
