//! One worker of the proxy and its streams, as the filter drives them. In: steps, each one callback of the proxy. Out: a
//! [`Report`] of what came of it. Not here: which steps, and when (`case`).

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::baton::{Baton, Shared, WaitEnd};
use super::case::nanos;
use super::documents::{connection, head};
use super::world::{Caller, World};
use crate::config;
use crate::exchange::{Exchange, Step as Polled, Surroundings, ended, responded};
use crate::fake::FakeHost;
use crate::http::AnswerForm;
use crate::limit::Why;
use crate::limit::fleet::fake::asked;
use crate::policy::{Dialects, FilterId, Policy};
use crate::reason::Reason;
use crate::time::Now;
use crate::verdict::{Detail, Forward, Verdict};
use crate::worker::{Answered, Batch, CallId, Counter, ExchangeId, FetchFailed, Gauge, Message, Worker};

/// A worker's birth.
pub(super) struct Begin {
    pub(super) host: Arc<FakeHost>,
    pub(super) filter: usize,
    pub(super) random: u8,
}

/// One callback.
#[derive(Debug)]
pub(super) enum Step {
    /// It is made for a version.
    Make(usize),
    /// It goes over to a version.
    Adopt(usize),
    /// A request comes.
    Arrive {
        id: u32,
        version: usize,
        path: String,
        caller: Caller,
        with_token: bool,
        proof: Option<String>,
    },
    /// One that was named.
    Poll(u32),
    /// A client hangs up that waits.
    Leave(u32),
    /// The head of a response. `None`: the proxy's own.
    Respond(u32, Option<u16>),
    /// The stream is over.
    End(u32),
    Tick,
    /// The end of a call.
    Answer(CallId, Result<Answered, FetchFailed>),
}

/// What came of a request.
#[derive(Clone, Debug)]
pub(super) enum Said {
    Waits,
    Passes {
        shadowed: Vec<String>,
    },
    Refused {
        reason: Reason,
        status: u16,
        retry_after: Option<u64>,
        violated: Vec<(String, Why)>,
        /// Whether something was charged that could not be given back.
        kept: bool,
    },
}

/// What a dependency is called for.
pub(super) enum Wanted {
    Keys,
    Revocations,
    /// What the issuer says of this token.
    Answer(String),
    Permits(Vec<u8>),
}

/// A call to a dependency.
pub(super) struct Sent {
    pub(super) id: CallId,
    pub(super) wanted: Wanted,
    /// As of the worker's clock, in nanoseconds since the start.
    pub(super) at: u64,
}

impl Sent {
    pub(super) fn ask(&self) -> Option<&[u8]> {
        match &self.wanted {
            Wanted::Permits(ask) => Some(ask),
            Wanted::Keys | Wanted::Revocations | Wanted::Answer(_) => None,
        }
    }
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.wanted {
            Wanted::Permits(ask) => write!(f, "{:?}: {:?}", self.id, asked(ask)),
            Wanted::Keys => write!(f, "{:?}: keys", self.id),
            Wanted::Revocations => write!(f, "{:?}: revocations", self.id),
            Wanted::Answer(token) => write!(f, "{:?}: about {token}", self.id),
        }
    }
}

/// What came of a step.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) said: Option<Said>,
    pub(super) sent: Vec<Sent>,
    pub(super) named: Vec<u32>,
    /// How often the service had no say.
    pub(super) fallbacks: u32,
    pub(super) conflicts: u32,
    /// Whether all last words are written.
    pub(super) settled: bool,
    /// Whether the call that ended was waited for.
    pub(super) in_time: bool,
    pub(super) leftovers: Vec<String>,
    /// Calls that have not ended.
    pub(super) under_way: usize,
    /// The nonce that the caller is told.
    pub(super) nonce: Option<String>,
}

/// See the module.
pub(super) struct Party<'w> {
    world: &'w World,
    baton: Baton,
    policies: [Option<Rc<Policy>>; 2],
}

struct Life<'b> {
    shared: Shared<'b>,
    filter: usize,
    worker: Option<Worker>,
    exchanges: HashMap<u32, (Exchange, Caller)>,
    forwards: HashMap<u32, Forward>,
}

impl<'w> Party<'w> {
    pub(super) fn new(world: &'w World, baton: Baton) -> Self {
        Self { world, baton, policies: [None, None] }
    }

    pub(super) fn run(mut self) {
        let mut told = self.baton.next();
        while let Some(what) = told {
            told = match what {
                WaitEnd::Begin(begin) => self.live(begin),
                _ => self.baton.next(),
            };
        }
    }

    /// Until it is lost or reborn. Out: what it was told last.
    fn live(&mut self, begin: Begin) -> Option<WaitEnd> {
        for version in 0..2 {
            let load = || Rc::new(config::load(self.world.document(version).as_bytes()).unwrap());
            self.policies[version].get_or_insert_with(load);
        }
        let policies = self.policies.each_ref().map(|policy| policy.clone().unwrap());
        let Begin { host, filter, random } = begin;
        let shared = Shared { host, baton: &self.baton, conflicts: Cell::new(0), random };
        let (exchanges, forwards) = (HashMap::new(), HashMap::new());
        let mut life = Life { shared, filter, worker: None, exchanges, forwards };
        loop {
            match self.baton.next()? {
                WaitEnd::Do { step, now, .. } => {
                    let report = life.callback(step, now, &policies);
                    if !self.baton.done(report) {
                        return self.baton.next();
                    }
                }
                WaitEnd::Vanish => return self.baton.next(),
                WaitEnd::GoOn { .. } => {}
                begin @ WaitEnd::Begin(_) => return Some(begin),
            }
        }
    }
}

impl Life<'_> {
    fn callback(&mut self, step: Step, now: Now, policies: &[Rc<Policy>; 2]) -> Report {
        self.shared.conflicts.set(0);
        let mut report = Report::default();
        if let Step::Make(version) = step {
            let name = format!("filter {}", self.filter);
            self.worker = Some(Worker::new(FilterId::new(name.as_bytes()), &policies[version], &self.shared));
        }
        let worker = self.worker.as_mut().unwrap();
        match step {
            Step::Make(_) => {}
            Step::Adopt(version) => worker.adopt(&policies[version]),
            Step::Arrive { id, version, path, caller, with_token, proof } => {
                let head = head(&path, &caller, with_token, proof.as_deref());
                let exchange = Exchange::new(ExchangeId(id), policies[version].clone(), head, false);
                self.exchanges.insert(id, (exchange, caller));
                (report.said, report.nonce) = self.poll(id, now);
            }
            Step::Poll(id) => (report.said, report.nonce) = self.poll(id, now),
            Step::Leave(id) => self.exchanges.remove(&id).unwrap().0.leave(worker, now),
            Step::Respond(id, status) => {
                let forward = self.forwards.get_mut(&id).unwrap();
                responded(forward.permits_mut(), status, worker, &self.shared, now);
            }
            Step::End(id) => {
                let mut forward = self.forwards.remove(&id).unwrap();
                ended(forward.permits_mut(), worker, &self.shared, now);
            }
            Step::Tick => worker.tick(&self.shared, now),
            Step::Answer(call, answer) => {
                report.in_time = worker.calls_under_way().contains(&call);
                worker.answered(call, answer, &self.shared, now);
            }
        }
        self.conclude(report, now)
    }

    /// What the root context does after each callback.
    fn conclude(&mut self, mut report: Report, now: Now) -> Report {
        let worker = self.worker.as_mut().unwrap();
        while let Some(call) = worker.next_call(now) {
            let wanted = match call.message {
                Message::RateLimitCall(ask) => Wanted::Permits(ask.body),
                Message::Fetch(fetch) if &*fetch.path == "/revoked" => Wanted::Revocations,
                Message::Fetch(fetch) if &*fetch.path == "/introspect" => {
                    let body = String::from_utf8(fetch.body).unwrap();
                    let token = body.strip_prefix("token=").and_then(|rest| rest.split('&').next());
                    Wanted::Answer(token.unwrap().to_owned())
                }
                Message::Fetch(_) => Wanted::Keys,
            };
            report.sent.push(Sent { id: call.id, wanted, at: nanos(now) });
        }
        loop {
            let (mut batch, named) = (Batch::begin(now.mono), report.named.len());
            report.named.extend(std::iter::from_fn(|| worker.next_woken(&mut batch, now)).map(|id| id.0));
            if report.named.len() == named {
                break;
            }
        }
        let fallbacks = Counter::ALL.iter().position(|counter| *counter == Counter::FleetFallback);
        let tally = worker.take_tally();
        report.fallbacks = tally.events().find(|(which, _)| Some(*which) == fallbacks).map_or(0, |(_, count)| count);
        report.conflicts = self.shared.conflicts.get();
        report.settled = worker.limits().is_settled();
        report.leftovers = worker.leftovers();
        report.under_way = worker.level(Gauge::Calls);
        report
    }

    fn poll(&mut self, id: u32, now: Now) -> (Option<Said>, Option<String>) {
        let worker = self.worker.as_mut().unwrap();
        let (exchange, caller) = self.exchanges.get_mut(&id).unwrap();
        let connection = connection(caller);
        let polled = exchange.poll(&mut Surroundings { worker, host: &self.shared, connection: &connection, now });
        let nonce = exchange.facts().nonce.as_ref().map(|nonce| nonce.to_string());
        let Polled::Done(verdict) = polled else { return (Some(Said::Waits), nonce) };
        let (exchange, _) = self.exchanges.remove(&id).unwrap();
        let said = match verdict {
            Verdict::Forward(forward) => {
                self.forwards.insert(id, forward);
                let shadowed = &exchange.facts().shadowed;
                Said::Passes { shadowed: shadowed.iter().map(|limit| limit.origin.name.to_string()).collect() }
            }
            Verdict::Refuse(refusal) | Verdict::Report(refusal, _) => {
                let answer = refusal.answer(AnswerForm::Problem, Dialects { draft: true, older: None }, now.wall);
                let told = answer.headers.iter().find(|(name, _)| *name == "retry-after");
                let (violated, kept) = match &refusal.detail {
                    Detail::Limits(over) => {
                        let violated = over.violated().iter();
                        let violated = violated.map(|one| (one.limit.origin.name.to_string(), one.why)).collect();
                        (violated, over.strain().kept > 0)
                    }
                    _ => (Vec::new(), false),
                };
                let retry_after = told.map(|(_, value)| value.parse().unwrap());
                Said::Refused { reason: refusal.reason, status: answer.status, retry_after, violated, kept }
            }
        };
        (Some(said), nonce)
    }
}
