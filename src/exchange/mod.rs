//! One request, from its head to a verdict. In: the head as the proxy holds it, the connection, both clocks.
//! Out: [`Step::Done`] with a [`Verdict`], or [`Step::Wait`]: park it and poll again when the worker says so.
//!
//! The functions to read are [`approach`](Exchange::approach), which finds the route without any secret, and
//! [`judge`](Exchange::judge), which decides. Every check stands in a room of its own; the order is theirs here.
//!
//! ```text
//! Fresh ──▶ WaitsForKeys or WaitsForAnswer ──▶ WaitsForPermits ──▶ Judged        each poll goes as far to the right as it can
//! ```
//! A stage keeps what was proved on the way to it. After a wait only that is looked at again which time can undo, and
//! nothing that has an effect happens twice. Whatever ends a wait, [`Exchange::leave`] gives back what it held.

mod approach;
mod audit_facts;
mod body;
mod caller;
mod fleet;
mod holder;
mod interaction;
mod introspect;
mod judge;
mod limits;
mod outcome;
mod proof;
mod routed_request;
mod settling;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod unrouted;
mod verify;

use std::rc::Rc;
use std::time::Duration;

pub use audit_facts::{AuditFacts, CertificateLife};
pub use body::body_too_large;
pub use interaction::InteractionId;
pub use outcome::Outcome;
pub use settling::{ended, responded};

use fleet::FleetGrants;
use limits::count_refusal;
use routed_request::RoutedRequest;
use unrouted::Unrouted;

use crate::authz::Grant;
use crate::host::{Connection, Host};
use crate::http::HeaderMap;
use crate::policy::{Issuer, Mode, Policy, Profile, Resource, TrustId};
use crate::reason::Reason;
use crate::time::{MonoNanos, Now};
use crate::token::introspection::{asked_about, is_opaque};
use crate::token::{AccessToken, Claimed, presented};
use crate::verdict::{Refusal, Upstream, Verdict};
use crate::worker::{ExchangeId, QuestionId, Told, WaitEnd, Woken, Worker};

/// What a caller is told to wait while an issuer has no keys: a request that waits has them fetched once a second.
const RETRY: Duration = Duration::from_secs(1);

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
    facts: AuditFacts,
    /// Whether more than the head belongs to the request.
    body_follows: bool,
    /// Whether it may wait for what tells its token's standing.
    may_wait: bool,
    /// When it first had to wait for keys or a status list.
    waits_since: Option<MonoNanos>,
}

enum Stage {
    Fresh(HeaderMap),
    /// Of the issuer of its token. Nothing is proved yet.
    WaitsForKeys(RoutedRequest),
    /// That its token names; and the token, if its issuer was asked about it.
    WaitsForList(RoutedRequest, Option<Rc<AccessToken>>),
    /// Of the issuer that is asked about its token. Nothing is proved yet.
    WaitsForAnswer(RoutedRequest),
    /// Of services of the fleet. It may use the route, and some of them may have counted it.
    WaitsForPermits(RoutedRequest, Grant, FleetGrants),
    Judged,
}

/// Why a judgement ended without leave to go on.
enum Stop {
    Refuse(Refusal),
    /// For what its token is verified or looked up by.
    WaitFor(Awaited),
    /// Of services of the fleet.
    WaitForPermits(Grant),
}

/// What a token may have to wait for.
enum Awaited {
    /// The keys of its issuer.
    Keys(Rc<Issuer>),
    /// A status list of its issuer, so long; and the token, if its issuer was asked about it.
    List(TrustId, Duration, Option<Rc<AccessToken>>),
    /// What its issuer says of it.
    Answer(Rc<Issuer>, QuestionId),
}

/// What a wait has brought.
enum Proved {
    Nothing,
    /// What the issuer says of the token.
    Told(Told),
    /// It may use the route.
    Granted(Grant),
}

impl<R: Into<Refusal>> From<R> for Stop {
    fn from(refusal: R) -> Self {
        Stop::Refuse(refusal.into())
    }
}

impl Exchange {
    /// A request with the header map `head`, to be judged by `policy` however long it waits; `body_follows`: more than the head belongs to it.
    pub fn new(id: ExchangeId, policy: Rc<Policy>, head: HeaderMap, body_follows: bool) -> Self {
        let (stage, facts) = (Stage::Fresh(head), AuditFacts::default());
        Self { id, policy, stage, facts, body_follows, may_wait: false, waits_since: None }
    }

    /// What was found out about the request, for the audit record.
    pub fn facts(&self) -> &AuditFacts {
        &self.facts
    }

    /// The same, to keep for a record that is written again once the response is known.
    pub fn take_facts(&mut self) -> AuditFacts {
        std::mem::take(&mut self.facts)
    }

    /// Takes the request as far as it goes now.
    pub fn poll(&mut self, around: &mut Surroundings<'_>) -> Step {
        let waits = !matches!(self.stage, Stage::Fresh(_) | Stage::Judged);
        let ended = match waits.then(|| around.worker.waits().poll(self.id)) {
            Some(Woken::No) => return Step::Wait,
            Some(Woken::Yes(ended)) => ended,
            None => None,
        };
        let too_late = matches!(ended, Some(WaitEnd::TooLate));
        let (told, settled) = match ended {
            Some(WaitEnd::Introspected(told)) => (Some(told), None),
            Some(WaitEnd::Permits(settled)) => (None, Some(settled)),
            Some(WaitEnd::Keys | WaitEnd::TooLate) | None => (None, None),
        };
        let (request, proved, mut fleet) = match std::mem::replace(&mut self.stage, Stage::Judged) {
            Stage::Fresh(head) => match self.approach(head, around) {
                Ok(request) => (request, Proved::Nothing, FleetGrants::default()),
                Err(unrouted) => return Step::Done(self.refuse_unrouted(*unrouted, around)),
            },
            Stage::WaitsForKeys(request) => (request, Proved::Nothing, FleetGrants::default()),
            Stage::WaitsForList(request, told) => {
                // It is not asked about again.
                let proved = told.map_or(Proved::Nothing, |token| Proved::Told(Ok(token)));
                (request, proved, FleetGrants::default())
            }
            Stage::WaitsForAnswer(request) => {
                let told = told.unwrap_or(Err(Reason::IntrospectionUnavailable.into()));
                (request, Proved::Told(told), FleetGrants::default())
            }
            Stage::WaitsForPermits(request, grant, fleet) => (request, Proved::Granted(grant), fleet),
            Stage::Judged => return Step::Done(Verdict::Refuse(Reason::FilterUnavailable.into())),
        };
        fleet.answered(settled);
        self.may_wait = !too_late && request.resource.mode == Mode::Enforce;
        let refusal = match self.judge(&request, proved, &mut fleet, around) {
            Ok(forward) => return Step::Done(Verdict::Forward(forward)),
            Err(Stop::WaitForPermits(grant)) => {
                self.stage = Stage::WaitsForPermits(request, grant, fleet);
                return Step::Wait;
            }
            Err(Stop::WaitFor(awaited)) => match self.wait(&awaited, &request, too_late, around) {
                Ok(()) => {
                    self.stage = match awaited {
                        Awaited::Keys(_) => Stage::WaitsForKeys(request),
                        Awaited::List(_, _, told) => Stage::WaitsForList(request, told),
                        Awaited::Answer(..) => Stage::WaitsForAnswer(request),
                    };
                    return Step::Wait;
                }
                Err(refusal) => refusal,
            },
            Err(Stop::Refuse(refusal)) => {
                count_refusal(refusal, Some(&request.head), request.preflight, &mut self.facts, around)
            }
        };
        self.give_back(fleet, around.worker, around.now);
        if self.facts.claimed.is_none() {
            self.facts.claimed = self.claimed(refusal.reason, &request);
        }
        Step::Done(self.refuse(refusal, Some(&request.resource), request.head.fields()))
    }

    /// Begins to wait, if it may and there is room.
    fn wait(
        &mut self,
        awaited: &Awaited,
        request: &RoutedRequest,
        too_late: bool,
        around: &mut Surroundings<'_>,
    ) -> Result<(), Refusal> {
        let reports = request.resource.mode == Mode::Report;
        match awaited {
            Awaited::Keys(_) if too_late || reports => {
                return Err(Refusal::unavailable(Reason::KeysUnavailable, RETRY));
            }
            Awaited::Answer(..) if reports => return Err(introspect::unavailable()),
            Awaited::Keys(_) | Awaited::List(..) | Awaited::Answer(..) => {}
        }
        let Surroundings { worker, now, .. } = around;
        let waits = worker.waits();
        let Some(room) = waits.room_for_keys(request.size()) else { return Err(Reason::Overloaded.into()) };
        let mut since = || *self.waits_since.get_or_insert(now.mono);
        match awaited {
            Awaited::Keys(issuer) => waits.for_keys(self.id, room, issuer, since()),
            Awaited::List(list, timeout, _) => waits.for_list(self.id, room, list.clone(), since().plus(*timeout)),
            Awaited::Answer(issuer, question) => waits.for_answer(self.id, room, *question, issuer, *now),
        }
        Ok(())
    }

    /// The request is over, whatever ended it. If it waits, it does so no longer.
    pub fn leave(&mut self, worker: &mut Worker, now: Now) {
        match std::mem::replace(&mut self.stage, Stage::Judged) {
            Stage::WaitsForPermits(_, _, fleet) => self.give_back(fleet, worker, now),
            Stage::WaitsForKeys(_) | Stage::WaitsForList(..) | Stage::WaitsForAnswer(_) => {
                self.give_back(FleetGrants::default(), worker, now);
            }
            Stage::Fresh(_) | Stage::Judged => {}
        }
    }

    /// The one way out of every wait that does not lead upstream: what was granted serves others.
    fn give_back(&self, fleet: FleetGrants, worker: &mut Worker, now: Now) {
        fleet.give_back(worker.leases(), now.mono);
        worker.leave(self.id, now);
    }

    /// Tells the upstream a number that the caller did not send.
    fn number_interaction(&self, upstream: &mut Upstream) {
        let new = self.facts.interaction.iter().filter(|interaction| interaction.is_new());
        upstream.set.extend(new.map(|new| (Profile::INTERACTION_ID.to_owned(), new.text().to_string())));
    }

    /// Without a route, what is refused still counts.
    fn refuse_unrouted(&self, mut unrouted: Unrouted, around: &mut Surroundings<'_>) -> Verdict {
        let refusal = unrouted.count(&self.policy, around);
        match unrouted.may_pass() {
            true => self.refuse(refusal, unrouted.resource.as_deref(), unrouted.fields()),
            false => Verdict::Refuse(self.facts.explain(refusal)),
        }
    }

    /// What a token says of itself that is refused for `reason` and was not verified. Not of a source that is locked out: it has
    /// made enough work.
    fn claimed(&self, reason: Reason, request: &RoutedRequest) -> Option<Box<Claimed>> {
        if self.facts.token.is_some() || !reason.is_of_token() {
            return None;
        }
        let raw = presented(&request.head, self.policy.max_token_bytes, request.resource.dpop.is_some()).ok()?;
        if is_opaque(raw.as_bytes()) && asked_about(raw.as_bytes(), &request.resource).is_some() {
            return None;
        }
        Some(Box::new(Claimed::read(raw.as_bytes(), reason, &request.resource)))
    }

    /// A refusal, carried out or only reported: as the resource says, or the whole configuration where there is none.
    fn refuse(&self, refusal: Refusal, resource: Option<&Resource>, fields: &HeaderMap) -> Verdict {
        let refusal = self.facts.explain(refusal);
        match (self.policy.mode_of(resource), resource) {
            (Mode::Enforce, _) => Verdict::Refuse(refusal),
            (Mode::Report, Some(resource)) => {
                let mut upstream = Upstream::of_nobody(&resource.forward, fields);
                self.number_interaction(&mut upstream);
                Verdict::Report(refusal, upstream)
            }
            // No rule says what may not pass here. Whatever serves this host gets what it got without this filter.
            (Mode::Report, None) => Verdict::Report(refusal, Upstream::default()),
        }
    }
}
