//! One request, from its head to a verdict. In: the head as the proxy holds it, the connection, both clocks.
//! Out: [`Step::Done`] with a [`Verdict`], or [`Step::Wait`]: park it and poll again when the worker says so.
//!
//! The two functions to read are [`approach`](Exchange::approach), which finds the route without any secret, and
//! [`judge`](Exchange::judge), which decides. Every check stands in a room of its own; the order is theirs here.
//!
//! ```text
//! Fresh ──poll──▶ Judged
//!   └─▶ Waiting (for keys, or for permits of the fleet) ──poll──▶ Judged | Waiting
//! ```

mod fleet;
mod limits;
mod outcome;
mod seen;
#[cfg(test)]
mod tests;

use std::rc::Rc;

pub use limits::{ended, responded};
pub use outcome::Outcome;
pub use seen::Seen;

use fleet::FleetGrants;
use limits::Caller;

use crate::authz::Grant;
use crate::binding::bind;
use crate::host::{Connection, Host};
use crate::http::{Head, HeadFault, HeaderMap, wants_grpc};
use crate::peer::{Peer, PeerIdentity};
use crate::policy::{Access, Issuer, Mode, Policy, Resource, Route, RouteMatch};
use crate::reason::Reason;
use crate::time::Now;
use crate::token::{AccessToken, RawToken, Unverified, presented};
use crate::verdict::{Forward, Refusal, Upstream, Verdict};
use crate::worker::{ExchangeId, Full, KeyLookup, Worker};

/// What a poll of an exchange needs besides the exchange.
pub struct Surroundings<'a> {
    /// What outlives the request.
    pub worker: &'a mut Worker,
    /// The process.
    pub host: &'a dyn Host,
    /// The connection that carried the request.
    pub connection: &'a dyn Connection,
    /// Both clocks.
    pub now: Now,
}

/// The answer to a poll.
#[derive(Debug)]
pub enum Step {
    /// Decided.
    Done(Verdict),
    /// The worker will name this exchange when it is to be polled again.
    Wait,
}

/// One request.
pub struct Exchange {
    id: ExchangeId,
    policy: Rc<Policy>,
    stage: Stage,
    seen: Seen,
}

enum Stage {
    Fresh(HeaderMap),
    Waiting(Way, FleetGrants),
    Judged,
}

/// A request whose route is known.
struct Way {
    head: Head,
    resource: Rc<Resource>,
    route: Rc<Route>,
    preflight: bool,
    peer: Option<Peer>,
}

/// Why a judgement ended without leave to go on.
enum Stop {
    Refuse(Refusal),
    WaitForKeys(Rc<Issuer>),
    WaitForPermits(FleetGrants),
}

impl<R: Into<Refusal>> From<R> for Stop {
    fn from(refusal: R) -> Self {
        Stop::Refuse(refusal.into())
    }
}

impl Exchange {
    /// A request with the header map `head`, to be judged by `policy` however long it waits.
    pub fn new(id: ExchangeId, policy: Rc<Policy>, head: HeaderMap) -> Self {
        Self { id, policy, stage: Stage::Fresh(head), seen: Seen::default() }
    }

    /// What was found out about the request, for the audit record.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The same, to keep for a record that is written again once the response is known.
    pub fn take_seen(&mut self) -> Seen {
        std::mem::take(&mut self.seen)
    }

    /// Takes the request as far as it goes now.
    pub fn poll(&mut self, around: &mut Surroundings<'_>) -> Step {
        let (way, granted) = match std::mem::replace(&mut self.stage, Stage::Judged) {
            Stage::Fresh(head) => match self.approach(head, around) {
                Ok(way) => (way, FleetGrants::default()),
                Err(verdict) => return Step::Done(*verdict),
            },
            Stage::Waiting(way, granted) => (way, granted),
            Stage::Judged => return Step::Done(Verdict::Refuse(Reason::FilterUnavailable.into())),
        };
        match self.judge(&way, granted, around) {
            Ok(forward) => Step::Done(Verdict::Forward(forward)),
            Err(Stop::Refuse(refusal)) => {
                self.count_refusal(refusal.reason.row().status, &way, around);
                Step::Done(self.refuse(refusal, &way.resource, &way.head))
            }
            Err(Stop::WaitForKeys(issuer)) => match around.worker.park(self.id, &issuer) {
                Ok(()) => {
                    self.stage = Stage::Waiting(way, FleetGrants::default());
                    Step::Wait
                }
                Err(Full) => Step::Done(self.refuse(Reason::Overloaded.into(), &way.resource, &way.head)),
            },
            Err(Stop::WaitForPermits(granted)) => {
                self.stage = Stage::Waiting(way, granted);
                Step::Wait
            }
        }
    }

    /// Which route the request is for, and over whose connection it came.
    fn approach(&mut self, head: HeaderMap, around: &mut Surroundings<'_>) -> Result<Way, Box<Verdict>> {
        self.seen.grpc = wants_grpc(&head);
        let refuse = |reason: Reason| Box::new(Verdict::Refuse(reason.into()));
        let head = Head::parse(head).map_err(|fault| refuse(malformed(fault)))?;
        self.seen.path = Some(head.path().as_str().into());
        let resource = self.policy.resource(head.authority());
        let resource = resource.ok_or_else(|| refuse(Reason::HostUnknown))?.clone();
        self.seen.resource = Some(resource.clone());
        let found = find_route(&resource, &head);
        let (route, preflight) = found.map_err(|refusal| Box::new(self.refuse(refusal, &resource, &head)))?;
        self.seen.route = Some(route.clone());
        let peer = Peer::of(around.connection).map_err(|_| refuse(Reason::PeerUnreadable))?;
        self.seen.thumbprint = peer.as_ref().map(|peer| peer.thumbprint);
        Ok(Way { head, resource, route, preflight, peer })
    }

    /// Refusals are outcomes as well. They count against the source alone, and for events: whoever sends another's token must
    /// not spend the other's budget.
    fn count_refusal(&mut self, status: u16, way: &Way, around: &mut Surroundings<'_>) {
        let source = Caller { way, token: None, peer: self.seen.identity.as_ref(), wall: around.now.wall };
        source.refused(way.route.limits.of_sources(), status, around);
        let sender = Caller { token: self.seen.token.as_ref(), ..source };
        self.seen.events = sender.refused(&way.route.limits.watching, status, around);
    }

    /// A refusal, carried out or only reported as the resource says. Methods that never pass do not pass then either.
    fn refuse(&self, refusal: Refusal, resource: &Resource, head: &Head) -> Verdict {
        let refusal = self.seen.explain(refusal);
        match resource.mode {
            Mode::Report if refusal.reason != Reason::MethodRefused => {
                let upstream = Upstream::of_nobody(&resource.forward, head);
                Verdict::Report(refusal, upstream)
            }
            Mode::Report | Mode::Enforce => Verdict::Refuse(refusal),
        }
    }

    /// Whether it may go upstream. The order is the precedence of refusals.
    fn judge(&mut self, way: &Way, granted: FleetGrants, around: &mut Surroundings<'_>) -> Result<Forward, Stop> {
        let peer = way.peer.as_ref();
        let identity = self.identity(way, around);
        let identity = identity.as_ref();
        let grant = match &way.route.access {
            _ if way.preflight => Grant::preflight(),
            Access::Public => Grant::public(),
            Access::Peer(rule) => Grant::peer(rule, identity)?,
            Access::Token(rule) => {
                let raw = presented(&way.head, self.policy.max_token_bytes)?;
                let token = match around.worker.verified(raw, around.now) {
                    Some(token) => token,
                    // Only here: a source that is locked out may still use a token known to be good.
                    None => {
                        let source = Caller { way, token: None, peer: identity, wall: around.now.wall };
                        source.look_at_source(around)?;
                        verify(raw, &source, around)?
                    }
                };
                self.seen.token = Some(token.clone());
                token.acceptable(&way.resource, around.now)?;
                let bound = bind(token, peer, rule.binding)?;
                Grant::token(rule, bound, identity)?
            }
        };
        let upstream = Upstream::of(&way.resource.forward, &way.head, &grant, identity)?;
        let caller = Caller { way, token: grant.access_token(), peer: identity, wall: around.now.wall };
        let (permits, shadowed) = caller.charge(self.id, granted, around)?;
        self.seen.shadowed = shadowed;
        Ok(Forward::new(grant, permits, upstream))
    }

    /// Who the peer is, where something on this route depends on it: it costs several questions to the proxy.
    fn identity(&mut self, way: &Way, around: &mut Surroundings<'_>) -> Option<PeerIdentity> {
        if !way.route.needs_identity() && !way.resource.forward.needs_identity() {
            return None;
        }
        let certificates = around.worker.certificates();
        let identity = way.peer.as_ref()?.identify(around.connection, self.policy.peer, certificates, around.now);
        self.seen.identity = Some(identity.clone());
        Some(identity)
    }
}

fn malformed(fault: HeadFault) -> Reason {
    match fault {
        HeadFault::Malformed => Reason::HeadMalformed,
        HeadFault::Authority(_) => Reason::AuthorityMalformed,
        HeadFault::Path(_) => Reason::PathAmbiguous,
    }
}

/// The route, and whether the request only is the CORS preflight of one that allows it.
fn find_route(resource: &Resource, head: &Head) -> Result<(Rc<Route>, bool), Refusal> {
    let method = head.method();
    if matches!(method, "CONNECT" | "TRACE") {
        return Err(Reason::MethodRefused.into());
    }
    let path = head.path();
    if let Some(RouteMatch::Found(route)) = head.preflight_for().map(|asked| resource.routes.find(asked, path))
        && route.preflight
    {
        return Ok((route.clone(), true));
    }
    match resource.routes.find(method, path) {
        RouteMatch::Found(route) => Ok((route.clone(), false)),
        RouteMatch::LookAlike => Err(Reason::PathAmbiguous.into()),
        RouteMatch::MethodNotAllowed(allowed) => Err(Refusal::method_not_allowed(allowed)),
        RouteMatch::None => Err(Reason::RouteUnknown.into()),
    }
}

/// A token that is not known yet, with its signature verified; the source pays for the work.
fn verify(raw: RawToken<'_>, source: &Caller<'_>, around: &mut Surroundings<'_>) -> Result<Rc<AccessToken>, Stop> {
    raw.check_syntax()?;
    let unverified = Unverified::parse(raw.as_bytes(), &source.way.resource)?;
    let keys = match around.worker.keys(unverified.issuer(), unverified.header(), around.host, around.now) {
        KeyLookup::Found(keys) => keys,
        KeyLookup::Wait => return Err(Stop::WaitForKeys(unverified.issuer().clone())),
        KeyLookup::Unknown => return Err(Reason::KeyUnknown.into()),
        KeyLookup::Unavailable(wait) => return Err(Refusal::unavailable(Reason::KeysUnavailable, wait).into()),
    };
    source.charge_source(around)?;
    let token = Rc::new(unverified.verify(&keys, around.host, around.worker.native())?);
    around.worker.remember(raw, &token);
    Ok(token)
}
