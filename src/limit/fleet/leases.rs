//! All fleet limits of one worker: the table of leases, the calls to send. In: demands, ends of calls, time. Out:
//! verdicts, calls, and what those hear who waited. Not here: how much is asked (`lease`), who waits for what
//! (`worker::waits`): a lease only knows its own queue.
//!
//! A request waits for one limit once at most: what ends its wait is its answer ([`Settled`]), which nobody else takes
//! meanwhile. Its wait ends at its own deadline, whatever the calls do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use crate::limit::Identity;
use crate::limit::fleet::breaker::{Breaker, Breakers, PROBE_INTERVAL};
use crate::limit::fleet::generations::Generations;
use crate::limit::fleet::lease::{Asking, Ended, Lease, Waiting};
use crate::limit::fleet::name::DescriptorValue;
use crate::limit::fleet::outcome::{Grant, NoAnswer, Retry, Taken, Waiter};
use crate::limit::fleet::rls::{self, Fault};
use crate::limit::fleet::tally::FleetTally;
use crate::policy::{FleetLimit, Service};
use crate::time::MonoNanos;

/// An end of a call that is this much later than its time-out is never reported.
const LOST_AFTER: Duration = Duration::from_millis(250);

/// What a request asks of one limit.
pub struct FleetDemand<'p> {
    /// The limit.
    pub limit: &'p Rc<FleetLimit>,
    /// Whose budget, as this process hashes it.
    pub identity: Identity,
    /// The same as the fleet knows it. Only computed for an identity that is not remembered.
    pub value: &'p dyn Fn() -> DescriptorValue,
    /// Permits; at least 1.
    pub cost: u32,
    /// Who asks. It waits for one limit at a time.
    pub waiter: Waiter,
    /// Whether there is room for one more that waits.
    pub may_wait: bool,
}

impl FleetDemand<'_> {
    /// The budget it is for.
    pub fn budget(&self) -> Budget {
        Budget { scope: self.limit.scope(), identity: self.identity }
    }
}

/// One identity's budget of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    scope: u128,
    identity: Identity,
}

/// What a request hears that waited: good for the budget that it waited for, and no other.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Settled {
    /// Who waited.
    pub waiter: Waiter,
    budget: Budget,
    taken: Taken,
}

impl Settled {
    /// The answer to a demand for that budget; else it goes [back](Leases::put_back).
    pub fn answers(self, demand: &FleetDemand<'_>) -> Result<Taken, Self> {
        if self.budget == demand.budget() { Ok(self.taken) } else { Err(self) }
    }
}

/// A call, by our number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseCallId(u64);

/// A call to send: [`rls::GRPC_METHOD`] of [`rls::GRPC_SERVICE`].
#[derive(Debug)]
pub struct RateLimitCall {
    /// To be given back with its end.
    pub id: LeaseCallId,
    /// Where to.
    pub service: Rc<Service>,
    /// The message.
    pub body: Vec<u8>,
    /// When to give up; not zero.
    pub timeout: Duration,
}

/// The proxy has no answer: not sent, refused, reset, timed out, or a gRPC status other than 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallFailed;

struct Sent {
    budget: Budget,
    service: Rc<Service>,
    hits: u32,
    at: MonoNanos,
    timeout: Duration,
}

/// See the module.
pub struct Leases {
    table: Generations<Budget, Lease>,
    breakers: Breakers,
    outbox: VecDeque<Budget>,
    sent: BTreeMap<LeaseCallId, Sent>,
    /// Of all that wait.
    deadlines: BTreeMap<(MonoNanos, Waiter), Budget>,
    last_ask: u64,
    /// Limits whose operator was told that some request costs more than they ever grant.
    unfit: BTreeSet<u128>,
    tally: FleetTally,
}

impl Leases {
    /// Remembers about `identities` leases; a forgotten one loses its permits and nothing else.
    pub fn new(identities: usize) -> Self {
        Self {
            table: Generations::new(identities),
            breakers: Breakers::default(),
            outbox: VecDeque::new(),
            sent: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            last_ask: 0,
            unfit: BTreeSet::new(),
            tally: FleetTally::default(),
        }
    }

    /// Takes permits, or says why not. After `Wait`, the waiter is told by [`Leases::answer`] or [`Leases::tick`], unless
    /// it [leaves](Leases::leave).
    pub fn take(&mut self, demand: &FleetDemand<'_>, now: MonoNanos) -> Taken {
        let FleetDemand { limit, cost, waiter, .. } = *demand;
        let service = &limit.service;
        let budget = demand.budget();
        let cost = cost.max(1);
        let new = || Lease::new(limit, (demand.value)(), now);
        let (lease, forgotten) = self.table.get_or_insert(budget, new, Lease::has_waiting);
        self.tally.forgotten = self.tally.forgotten.saturating_add(forgotten);
        if !Rc::ptr_eq(&lease.limit, limit) {
            lease.limit = Rc::clone(limit);
        }
        if lease.is_waiting(waiter) {
            return Taken::Wait;
        }
        if let Some(taken) = lease.take(cost, now) {
            if matches!(taken, Taken::Over { retry: Retry::Never, .. }) && self.unfit.insert(limit.scope()) {
                log::warn!(
                    "{}: a request costs {cost}, and service {} never grants as much: it can never pass. Lower the cost, \
                     or raise the limit at the service.",
                    limit.origin.path,
                    service.origin.name
                );
            }
            let ahead = matches!(taken, Taken::Granted(_)) && lease.asking == Asking::No && lease.runs_dry(now);
            if ahead && !self.breakers.is_open(service) {
                lease.asking = Asking::Queued { probe: false };
                self.outbox.push_back(budget);
            }
            return taken;
        }
        if self.breakers.is_open(service) {
            if lease.asking == Asking::No && self.breakers.change(service, |breaker| breaker.take_probe(now)) {
                lease.asking = Asking::Queued { probe: true };
                self.outbox.push_back(budget);
            }
            return fallback(service, NoAnswer::BreakerOpen);
        }
        if !demand.may_wait {
            return fallback(service, NoAnswer::Crowded);
        }
        let deadline = now.plus(service.timeout);
        lease.wait(waiter, Waiting { cost, deadline });
        if lease.asking == Asking::No {
            lease.asking = Asking::Queued { probe: false };
            self.outbox.push_back(budget);
        }
        self.deadlines.insert((deadline, waiter), budget);
        Taken::Wait
    }

    /// When a request may come again that this worker knows to be refused, without asking anybody.
    pub fn refusal(&mut self, limit: &FleetLimit, identity: Identity, cost: u32, now: MonoNanos) -> Option<Retry> {
        match self.table.get(Budget { scope: limit.scope(), identity })?.refuses(cost, now)? {
            Taken::Over { retry, .. } => Some(retry),
            _ => None,
        }
    }

    /// The request is over or was refused by another limit: what it took can serve another one.
    pub fn give_back(&mut self, limit: &FleetLimit, identity: Identity, grant: Grant, now: MonoNanos) {
        if let Some(lease) = self.table.get(Budget { scope: limit.scope(), identity }) {
            lease.give_back(grant, now);
        }
    }

    /// The same for what nobody heard who waited for it.
    pub fn put_back(&mut self, settled: Settled, now: MonoNanos) {
        if let Settled { budget, taken: Taken::Granted(grant), .. } = settled
            && let Some(lease) = self.table.get(budget)
        {
            lease.give_back(grant, now);
        }
    }

    /// A request waits no longer.
    pub fn leave(&mut self, budget: Budget, waiter: Waiter) {
        if let Some(waiting) = self.table.get(budget).and_then(|lease| lease.leave(waiter)) {
            self.deadlines.remove(&(waiting.deadline, waiter));
        }
    }

    /// Whether a call may be there to send.
    pub fn has_calls(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// The next call to send, at once: a lease lives from `now`.
    pub fn next_call(&mut self, now: MonoNanos) -> Option<RateLimitCall> {
        loop {
            let budget = self.outbox.pop_front()?;
            let Some(lease) = self.table.get(budget) else { continue };
            let Asking::Queued { probe } = lease.asking else { continue };
            let given_up = !probe && self.breakers.is_open(&lease.limit.service);
            let Some(hits) = lease.ask(now).filter(|_| !given_up) else {
                lease.asking = Asking::No;
                continue;
            };
            lease.asking = Asking::Sent;
            let service = Rc::clone(&lease.limit.service);
            let body = rls::encode(&service.domain, &lease.limit.origin.name, &lease.value.to_string(), hits);
            let timeout = if probe { service.timeout.min(PROBE_INTERVAL) } else { service.timeout };
            self.last_ask = self.last_ask.wrapping_add(1);
            let id = LeaseCallId(self.last_ask);
            self.sent.insert(id, Sent { budget, service: Rc::clone(&service), hits, at: now, timeout });
            self.tally.calls = self.tally.calls.saturating_add(1);
            return Some(RateLimitCall { id, service, body, timeout });
        }
    }

    /// The end of a call, however it ended, and so of waits. An end that is not waited for (late,
    /// reported twice) changes nothing: what it granted is spent.
    pub fn answer(&mut self, id: LeaseCallId, answer: Result<Vec<u8>, CallFailed>, now: MonoNanos) -> Vec<Settled> {
        let Some(Sent { budget, service, hits, at, .. }) = self.sent.remove(&id) else { return Vec::new() };
        let answer = match answer {
            Err(CallFailed) => None,
            Ok(body) => match rls::decode(service.kind, &body) {
                Ok(answer) => Some(answer),
                Err(fault) => {
                    self.tell(&service, fault);
                    None
                }
            },
        };
        let Some(answer) = answer else { return self.failed(budget, &service, now) };
        self.breakers.change(&service, Breaker::succeeded);
        if answer == rls::Answer::NoLimit {
            self.tally.no_limit = self.tally.no_limit.saturating_add(1);
        }
        // Forgotten meanwhile: nobody waits, its permits are lost.
        let Some(lease) = self.table.get(budget) else { return Vec::new() };
        lease.asking = Asking::No;
        let ended = lease.answer(answer, hits, at, now, id.0);
        if lease.has_waiting() || lease.runs_dry(now) {
            lease.asking = Asking::Queued { probe: false };
            self.outbox.push_back(budget);
        }
        self.settle(budget, ended)
    }

    /// Time passes: waits that are over, calls that never end.
    pub fn tick(&mut self, now: MonoNanos) -> Vec<Settled> {
        let lost = |sent: &Sent| now.since(sent.at) >= sent.timeout.saturating_add(LOST_AFTER);
        let lost: Vec<LeaseCallId> = self.sent.iter().filter(|(_, sent)| lost(sent)).map(|(id, _)| *id).collect();
        let mut settled = Vec::new();
        for id in lost {
            settled.extend(self.answer(id, Err(CallFailed), now));
        }
        while let Some(first) = self.deadlines.first_entry().filter(|first| first.key().0 <= now) {
            let ((_, waiter), budget) = first.remove_entry();
            settled.extend(self.gives_up(budget, waiter, NoAnswer::TimedOut));
        }
        settled
    }

    /// When [`Leases::tick`] is needed next.
    pub fn next_tick(&self) -> Option<MonoNanos> {
        let waits = self.deadlines.first_key_value().map(|((deadline, _), _)| *deadline);
        let calls = self.sent.values().map(|sent| sent.at.plus(sent.timeout).plus(LOST_AFTER)).min();
        waits.into_iter().chain(calls).min()
    }

    /// What happened since the last time, to be added to the metrics.
    pub fn take_tally(&mut self) -> FleetTally {
        std::mem::take(&mut self.tally)
    }

    /// Whether the end of this call is waited for.
    pub fn awaits(&self, id: LeaseCallId) -> bool {
        self.sent.contains_key(&id)
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.deadlines.len()
    }

    fn failed(&mut self, budget: Budget, service: &Rc<Service>, now: MonoNanos) -> Vec<Settled> {
        self.tally.failed = self.tally.failed.saturating_add(1);
        let mut ended = Vec::new();
        if let Some(lease) = self.table.get(budget) {
            lease.asking = Asking::No;
            let all = lease.leave_all().into_iter();
            ended.extend(all.map(|(waiter, waiting)| (waiter, waiting, fallback(service, NoAnswer::Failed))));
        }
        let mut settled = self.settle(budget, ended);
        if self.breakers.change(service, |breaker| breaker.failed(now)) {
            self.tally.opened = self.tally.opened.saturating_add(1);
            log::warn!("rate-limit service {}: calls to cluster {} fail", service.origin.name, service.cluster);
            settled.extend(self.release_all(service));
        }
        settled
    }

    /// Nobody waits for a service whose breaker is open.
    fn release_all(&mut self, service: &Rc<Service>) -> Vec<Settled> {
        let all = std::mem::take(&mut self.deadlines);
        let mut settled = Vec::new();
        for ((deadline, waiter), budget) in all {
            if self.table.get(budget).is_some_and(|lease| !lease.limit.service.is_same(service)) {
                self.deadlines.insert((deadline, waiter), budget);
            } else {
                settled.extend(self.gives_up(budget, waiter, NoAnswer::BreakerOpen));
            }
        }
        settled
    }

    /// The service had no say, for one that waits; its deadline is taken out already.
    fn gives_up(&mut self, budget: Budget, waiter: Waiter, why: NoAnswer) -> Option<Settled> {
        let lease = self.table.get(budget)?;
        lease.leave(waiter)?;
        Some(Settled { waiter, budget, taken: fallback(&lease.limit.service, why) })
    }

    fn settle(&mut self, budget: Budget, ended: Vec<Ended>) -> Vec<Settled> {
        let settle = |(waiter, waiting, taken): Ended| {
            self.deadlines.remove(&(waiting.deadline, waiter));
            Settled { waiter, budget, taken }
        };
        ended.into_iter().map(settle).collect()
    }

    fn tell(&self, service: &Service, fault: Fault) {
        log::debug!("rate-limit service {}: {fault}", service.origin.name);
    }
}

fn fallback(service: &Service, why: NoAnswer) -> Taken {
    Taken::Fallback { on_error: service.on_error, why }
}
