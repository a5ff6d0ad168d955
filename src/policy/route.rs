//! A route: the request it matches and what it demands.

use std::rc::Rc;
use std::time::Duration;

use crate::policy::{
    ApiKey, ApiKeys, BodyRule, Charge, Charges, ClaimRule, ObjectRule, Origin, Pattern, PeerRule, SourceIp, StepUp,
    SubjectKind,
};

/// A compiled route.
#[derive(Debug)]
pub struct Route {
    /// Name (`GET /orders/{id}`) and place.
    pub origin: Origin,
    /// What tells it from all other routes, whatever its place: host, methods and paths.
    pub identity: Box<str>,
    /// The paths it matches.
    pub pattern: Pattern,
    /// The methods it matches; HEAD follows GET.
    pub methods: MethodSet,
    /// Who may pass.
    pub access: Access,
    /// What its bodies may be.
    pub body: BodyRule,
    /// What a request is counted by.
    pub limits: Charges,
    /// Whether a CORS preflight for it passes without a token.
    pub preflight: bool,
    /// What the filter itself answers with, instead of the upstream: JSON.
    pub document: Option<Rc<str>>,
}

impl Route {
    /// Whether whoever may pass here may pass `other` as well, and is counted by all of its limits that can refuse.
    pub fn demands_all_of(&self, other: &Self) -> bool {
        let charges = |theirs: &Charge| {
            let mut mine = self.limits.iter();
            mine.any(|mine| Rc::ptr_eq(&mine.limit, &theirs.limit) && mine.cost >= theirs.cost)
        };
        let refusing = |charge: &&Charge| !charge.limit.shadow && charge.limit.watch.is_none();
        self.access.demands_all_of(&other.access)
            && self.body.demands_all_of(&other.body)
            && other.limits.iter().filter(refusing).all(charges)
    }

    /// Whether a decision on this route depends on who the peer is, beyond its thumbprint.
    pub fn needs_identity(&self) -> bool {
        let listed = match &self.access {
            Access::Public => false,
            Access::Peer(_) => true,
            Access::Token(rule) => rule.peers.is_some(),
            Access::Key(rule) => rule.peers.is_some() || rule.keys.keys.iter().any(|key| key.peers.is_some()),
        };
        listed || self.limits.iter().any(|charge| charge.limit.needs_identity())
    }
}

/// The methods of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MethodSet {
    /// Every method but CONNECT and TRACE, which never pass.
    Any,
    /// These, upper case.
    Listed(Vec<Box<str>>),
}

impl MethodSet {
    /// Whether a request with `method` belongs here (RFC 9110 §9.3.2: HEAD is GET without content).
    pub fn contains(&self, method: &str) -> bool {
        match self {
            MethodSet::Any => true,
            MethodSet::Listed(listed) => {
                let has = |wanted: &str| listed.iter().any(|listed| &**listed == wanted);
                has(method) || (method == "HEAD" && has("GET"))
            }
        }
    }

    /// The methods that were listed; none where any will do.
    pub fn listed(&self) -> impl Iterator<Item = &str> {
        let listed = match self {
            MethodSet::Any => &[][..],
            MethodSet::Listed(listed) => listed,
        };
        listed.iter().map(|method| &**method)
    }

    /// Whether every method of `other` belongs here too.
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (MethodSet::Any, _) => true,
            (MethodSet::Listed(_), MethodSet::Any) => false,
            (MethodSet::Listed(_), MethodSet::Listed(theirs)) => theirs.iter().all(|method| self.contains(method)),
        }
    }

    /// The methods that are listed in one of both and belong to both.
    pub fn shared_with(&self, other: &Self) -> Vec<Box<str>> {
        let mut shared: Vec<&str> = self.listed().filter(|method| other.contains(method)).collect();
        let theirs = other.listed().filter(|method| self.contains(method));
        shared.extend(theirs.filter(|method| !self.listed().any(|mine| mine == *method)));
        shared.into_iter().map(Box::from).collect()
    }

    /// Whether some method belongs to both.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (MethodSet::Any, _) | (_, MethodSet::Any) => true,
            (MethodSet::Listed(mine), MethodSet::Listed(theirs)) => {
                mine.iter().any(|method| other.contains(method)) || theirs.iter().any(|method| self.contains(method))
            }
        }
    }
}

/// Who may pass.
#[derive(Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Holders of a validated client certificate.
    Peer(PeerRule),
    /// Bearers of an access token.
    Token(TokenRule),
    /// Clients with an API key.
    Key(KeyRule),
}

impl Access {
    fn demands_all_of(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Access::Public) => true,
            (Access::Peer(mine), Access::Peer(theirs)) => mine == theirs,
            (Access::Token(mine), Access::Token(theirs)) => {
                mine.binding.demands_all_of(theirs.binding)
                    && mine.scopes.demands_all_of(&theirs.scopes)
                    && (theirs.peers.is_none() || mine.peers == theirs.peers)
                    && SubjectRule::demands_all_of(mine.subject.as_ref(), theirs.subject.as_ref())
                    && ClaimRule::demand_all_of(&mine.claims, &theirs.claims)
                    && ObjectRule::demand_all_of(&mine.objects, &theirs.objects)
                    && SourceIp::demands_all_of(mine.source_ip.as_ref(), theirs.source_ip.as_ref())
                    && StepUp::demands_all_of(mine.step_up.as_ref(), theirs.step_up.as_ref())
                    && theirs.asked_within.is_none_or(|most| mine.asked_within.is_some_and(|within| within <= most))
            }
            (Access::Key(mine), Access::Key(theirs)) => {
                Rc::ptr_eq(&mine.keys, &theirs.keys)
                    && (theirs.only.is_none() || mine.only == theirs.only)
                    && mine.scopes.demands_all_of(&theirs.scopes)
                    && (theirs.peers.is_none() || mine.peers == theirs.peers)
            }
            (
                Access::Public | Access::Peer(_) | Access::Token(_) | Access::Key(_),
                Access::Peer(_) | Access::Token(_) | Access::Key(_),
            ) => false,
        }
    }
}

/// What a token must be and allow.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TokenRule {
    /// How it is bound to its sender.
    pub binding: BindingRule,
    /// The scopes it must carry.
    pub scopes: ScopeRule,
    /// Which peers may use it; `None`: any.
    pub peers: Option<PeerRule>,
    /// Whom it must be about; `None`: anybody.
    pub subject: Option<SubjectRule>,
    /// What its claims must say. All of these hold; those of the resource come first.
    pub claims: Vec<Rc<ClaimRule>>,
    /// Whose the objects must be that a request names. All of these hold.
    pub objects: Vec<ObjectRule>,
    /// Whence it must come; `None`: from anywhere.
    pub source_ip: Option<SourceIp>,
    /// How its user must have signed in; `None`: in any way.
    pub step_up: Option<StepUp>,
    /// How long its issuer's answer about it counts, where that is shorter than the issuer's own time.
    pub asked_within: Option<Duration>,
}

/// What an API key must allow.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyRule {
    /// Those of the resource.
    pub keys: Rc<ApiKeys>,
    /// Those of them that are good here; `None`: all.
    pub only: Option<Vec<Rc<ApiKey>>>,
    /// The scopes its client must have.
    pub scopes: ScopeRule,
    /// Which peers may use one; `None`: any.
    pub peers: Option<PeerRule>,
}

impl KeyRule {
    /// Whether this key of the resource is good here.
    pub fn takes(&self, key: &ApiKey) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|one| **one == *key))
    }
}

/// Whom a token must be about.
#[derive(Debug, PartialEq, Eq)]
pub struct SubjectRule {
    /// A user, or the client itself.
    pub kind: SubjectKind,
    /// Where it is written.
    pub path: Box<str>,
}

impl SubjectRule {
    fn demands_all_of(mine: Option<&Self>, theirs: Option<&Self>) -> bool {
        theirs.is_none_or(|theirs| mine.is_some_and(|mine| mine.kind == theirs.kind))
    }
}

/// Sender constraint of a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BindingRule {
    /// The token must be bound to the client certificate (RFC 8705 §3).
    #[default]
    Mtls,
    /// The token must be bound to a key, of which the request has a proof (RFC 9449 §7).
    Dpop,
    /// The token must be bound to a certificate or to a key.
    Any,
    /// A token without `cnf` passes; one with `cnf` is held to it.
    WhenBound,
}

impl BindingRule {
    fn demands_all_of(self, other: Self) -> bool {
        match (self, other) {
            (_, Self::WhenBound) | (Self::Mtls | Self::Dpop, Self::Any) => true,
            (mine, theirs) => mine == theirs,
        }
    }
}

/// Scopes of a route. Exact, case-sensitive values (RFC 6749 §3.3).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ScopeRule {
    /// Every one of these.
    pub all: Vec<Box<str>>,
    /// At least one of these, unless empty.
    pub any: Vec<Box<str>>,
}

impl ScopeRule {
    fn demands_all_of(&self, other: &Self) -> bool {
        let any =
            other.any.is_empty() || self.any == other.any || other.any.iter().any(|scope| self.all.contains(scope));
        any && other.all.iter().all(|scope| self.all.contains(scope))
    }
}
