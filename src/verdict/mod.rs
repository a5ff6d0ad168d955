//! The outcome of a request. In: proofs from the checks, or a [`Reason`](crate::reason::Reason). Out: [`Verdict`], and for a refusal the
//! whole [`Answer`] to the caller.
//!
//! Not here: applying it to a stream (`filter`), counting and recording it (`observe`).

mod answer;
mod challenge;
#[cfg(test)]
mod reference;
mod upstream;

use std::rc::Rc;
use std::time::Duration;

pub use answer::Answer;
pub use upstream::Upstream;
pub(crate) use upstream::for_no_log;

use crate::authz::{Denial, DenyingRule, Grant};
use crate::http::PathFault;
use crate::limit::{OverLimit, Permits, Violation};
use crate::policy::{Pattern, Resource, Route};
use crate::reason::Reason;
use crate::token::Scheme;

/// What becomes of a request.
#[derive(Debug)]
pub enum Verdict {
    /// It goes upstream, or to what the filter itself serves.
    Forward(Forward),
    /// It is answered here.
    Refuse(Refusal),
    /// It would be answered here, but the resource only reports: it goes upstream as nobody's.
    Report(Refusal, Upstream),
}

/// Leave to go upstream. Takes what only the checks can make, so that a forgotten check does not compile.
#[derive(Debug)]
pub struct Forward {
    grant: Grant,
    permits: Permits,
    upstream: Upstream,
    document: Option<Rc<str>>,
}

impl Forward {
    /// From the proof of authorisation, the proof that the limits were charged, and what the upstream may learn.
    pub fn new(grant: Grant, permits: Permits, upstream: Upstream) -> Self {
        Self { grant, permits, upstream, document: None }
    }

    /// Instead of the upstream, the filter answers: with the document of the route, if it has one.
    pub fn serving(self, document: Option<Rc<str>>) -> Self {
        Self { document, ..self }
    }

    /// What the filter answers with.
    pub fn document(&self) -> Option<&str> {
        self.document.as_deref()
    }

    /// Who was let in, and why.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// What was charged.
    pub fn permits(&self) -> &Permits {
        &self.permits
    }

    /// The same, for what is to be done once the outcome is known.
    pub fn permits_mut(&mut self) -> &mut Permits {
        &mut self.permits
    }

    /// What changes on the way upstream.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }
}

/// Figures that go with some reasons.
#[derive(Debug)]
pub enum Detail {
    /// None.
    None,
    /// When to try again.
    RetryAfter(Duration),
    /// What is wrong with the path.
    Path(PathFault),
    /// The methods that are allowed, and the path they are allowed on, as it is configured.
    Allow(Vec<String>, Box<str>),
    /// Which limits said no.
    Limits(OverLimit),
    /// Which rule of the route said no.
    Rule(DenyingRule),
}

/// A refusal with what its answer may say.
#[derive(Debug)]
pub struct Refusal {
    /// Why: the row of the table.
    pub reason: Reason,
    /// Figures that go with some reasons.
    pub detail: Detail,
    /// The resource, once known: its realm stands in challenges.
    pub resource: Option<Rc<Resource>>,
    /// The route, once known: its scopes stand in challenges.
    pub route: Option<Rc<Route>>,
    /// How the token came, once that is known.
    pub scheme: Option<Scheme>,
    /// The nonce that the client's next proof is to have, where it has not got it.
    pub nonce: Option<Box<str>>,
    /// What the proxy calls the request: callers quote it when they complain.
    pub request_id: Option<Box<str>>,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: Detail::None, resource: None, route: None, scheme: None, nonce: None, request_id: None }
    }
}

impl From<Denial> for Refusal {
    fn from(Denial { reason, rule }: Denial) -> Self {
        Self { detail: rule.map_or(Detail::None, Detail::Rule), ..reason.into() }
    }
}

impl Refusal {
    /// The rule of the route that said no.
    pub fn denying_rule(&self) -> Option<&DenyingRule> {
        if let Detail::Rule(rule) = &self.detail { Some(rule) } else { None }
    }

    /// The names of the limits that said no.
    pub fn violated_limits(&self) -> impl Iterator<Item = &str> {
        let over = if let Detail::Limits(over) = &self.detail { Some(over) } else { None };
        over.into_iter().flat_map(OverLimit::violated_names)
    }

    /// A dependency of ours is not there; try again after `retry_after`.
    pub fn unavailable(reason: Reason, retry_after: Duration) -> Self {
        Self { detail: Detail::RetryAfter(retry_after), ..reason.into() }
    }

    /// The path has no one reading.
    pub fn path_ambiguous(fault: PathFault) -> Self {
        Self { detail: Detail::Path(fault), ..Reason::PathAmbiguous.into() }
    }

    /// The method is none of `allowed` (RFC 9110 §15.5.6).
    pub fn method_not_allowed(allowed: Vec<String>, pattern: &Pattern) -> Self {
        Self { detail: Detail::Allow(allowed, pattern.to_string().into()), ..Reason::MethodNotAllowed.into() }
    }

    /// The path of the routes that were found, where none of them is for the method.
    pub fn path_of_others(&self) -> Option<&str> {
        if let Detail::Allow(_, path) = &self.detail { Some(path) } else { None }
    }

    /// A source has spent its budget of failures.
    pub fn locked_out(over: OverLimit) -> Self {
        Self { detail: Detail::Limits(over), ..Reason::SourceLockedOut.into() }
    }

    /// Limits on what comes of a source's requests said no.
    pub fn of_source(over: OverLimit) -> Self {
        let of_failures = |violation: &Violation| violation.limit.counts.failures();
        let failed = over.violated().iter().any(of_failures);
        if failed { Self::locked_out(over) } else { Self::over_limit(over) }
    }

    /// Limits said no.
    pub fn over_limit(over: OverLimit) -> Self {
        let reason = match (over.contended(), over.crowded()) {
            (true, _) => Reason::LimitContended,
            (false, true) => Reason::LimitCrowded,
            (false, false) => Reason::OverLimit,
        };
        Self { detail: Detail::Limits(over), ..reason.into() }
    }
}
