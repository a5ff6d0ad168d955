//! All fleet limits of one worker: the table of leases, the requests that wait, the calls to send. In: demands, ends
//! of calls, time. Out: verdicts, calls, and who is to ask again. Not here: how much is asked (`lease`).
//!
//! A request waits once at most. What it waited for is settled before it is woken, so that nobody takes it meanwhile:
//! its next [`Leases::take`] gives a definite answer. Its wait ends at its own deadline, whatever the calls do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use crate::limit::Identity;
use crate::limit::fleet::breaker::{Breaker, Breakers, PROBE_INTERVAL};
use crate::limit::fleet::generations::Generations;
use crate::limit::fleet::lease::{Asking, Lease};
use crate::limit::fleet::name::DescriptorValue;
use crate::limit::fleet::outcome::{Grant, NoAnswer, Retry, Taken, Waiter};
use crate::limit::fleet::rls::{self, Fault};
use crate::limit::fleet::tally::FleetTally;
use crate::policy::{FleetLimit, Service};
use crate::time::MonoNanos;

/// More requests than this never wait at once.
const MOST_WAITING: usize = 10_000;
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
}

/// A call, by our number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(u64);

/// A call to send: [`rls::GRPC_METHOD`] of [`rls::GRPC_SERVICE`].
#[derive(Debug)]
pub struct Ask {
    /// To be given back with its end.
    pub id: AskId,
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

/// The limit and the identity.
type Key = (u128, Identity);

struct Sent {
    key: Key,
    service: Rc<Service>,
    hits: u32,
    at: MonoNanos,
    timeout: Duration,
}

/// What a request hears when it asks again, for the limit that it waited for alone.
struct Settled {
    key: Key,
    taken: Taken,
}

struct Parked {
    key: Key,
    service: Rc<Service>,
    deadline: MonoNanos,
}

/// See the module.
pub struct Leases {
    table: Generations<Key, Lease>,
    breakers: Breakers,
    outbox: VecDeque<Key>,
    sent: BTreeMap<AskId, Sent>,
    parked: BTreeMap<Waiter, Parked>,
    deadlines: BTreeSet<(MonoNanos, Waiter)>,
    settled: BTreeMap<Waiter, Settled>,
    last_ask: u64,
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
            parked: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            settled: BTreeMap::new(),
            last_ask: 0,
            tally: FleetTally::default(),
        }
    }

    /// Takes permits, or says why not. After `Wait`, the same waiter asks again once it is named by
    /// [`Leases::answer`] or [`Leases::tick`], or calls [`Leases::abandon`].
    pub fn take(&mut self, demand: &FleetDemand<'_>, now: MonoNanos) -> Taken {
        let FleetDemand { limit, identity, cost, waiter, .. } = *demand;
        let service = &limit.service;
        let key = (limit.scope(), identity);
        match self.settled.remove(&waiter) {
            Some(settled) if settled.key == key => return settled.taken,
            other => self.recover(other, now),
        }
        if self.parked.get(&waiter).is_some_and(|parked| parked.key == key) {
            return Taken::Wait;
        }
        self.leave(waiter);
        let cost = cost.max(1);
        let new = || Lease::new(limit, (demand.value)(), now);
        let (lease, forgotten) = self.table.get_or_insert(key, new, Lease::has_waiting);
        self.tally.forgotten = self.tally.forgotten.saturating_add(forgotten);
        if !Rc::ptr_eq(&lease.limit, limit) {
            lease.limit = Rc::clone(limit);
        }
        if let Some(taken) = lease.take(cost, now) {
            let ahead = matches!(taken, Taken::Granted(_)) && lease.asking == Asking::No && lease.runs_dry(now);
            if ahead && !self.breakers.is_open(service) {
                lease.asking = Asking::Queued { probe: false };
                self.outbox.push_back(key);
            }
            return taken;
        }
        if self.breakers.is_open(service) {
            if lease.asking == Asking::No && self.breakers.change(service, |breaker| breaker.take_probe(now)) {
                lease.asking = Asking::Queued { probe: true };
                self.outbox.push_back(key);
            }
            return fallback(service, NoAnswer::BreakerOpen);
        }
        if self.parked.len() >= MOST_WAITING {
            return fallback(service, NoAnswer::Crowded);
        }
        lease.wait(waiter, cost);
        if lease.asking == Asking::No {
            lease.asking = Asking::Queued { probe: false };
            self.outbox.push_back(key);
        }
        let deadline = now.plus(service.timeout);
        self.parked.insert(waiter, Parked { key, service: Rc::clone(service), deadline });
        self.deadlines.insert((deadline, waiter));
        Taken::Wait
    }

    /// When a request may come again that this worker knows to be refused, without asking anybody.
    pub fn refusal(&mut self, limit: &FleetLimit, identity: Identity, cost: u32, now: MonoNanos) -> Option<Retry> {
        match self.table.get((limit.scope(), identity))?.refuses(cost, now)? {
            Taken::Over { retry, .. } => Some(retry),
            _ => None,
        }
    }

    /// The request is over or was refused by another limit: what it took can serve another one.
    pub fn give_back(&mut self, limit: &FleetLimit, identity: Identity, grant: Grant, now: MonoNanos) {
        if let Some(lease) = self.table.get((limit.scope(), identity)) {
            lease.give_back(grant, now);
        }
    }

    /// A request waits no longer. What was settled for it already can serve another one.
    pub fn abandon(&mut self, waiter: Waiter, now: MonoNanos) {
        let settled = self.settled.remove(&waiter);
        self.recover(settled, now);
        self.leave(waiter);
    }

    fn recover(&mut self, settled: Option<Settled>, now: MonoNanos) {
        if let Some(Settled { key, taken: Taken::Granted(grant) }) = settled
            && let Some(lease) = self.table.get(key)
        {
            lease.give_back(grant, now);
        }
    }

    fn leave(&mut self, waiter: Waiter) {
        if let Some(parked) = self.unpark(waiter)
            && let Some(lease) = self.table.get(parked.key)
        {
            lease.leave(waiter);
        }
    }

    /// Whether a call may be there to send.
    pub fn has_asks(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// The next call to send, at once: a lease lives from `now`.
    pub fn next_ask(&mut self, now: MonoNanos) -> Option<Ask> {
        loop {
            let key = self.outbox.pop_front()?;
            let Some(lease) = self.table.get(key) else { continue };
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
            let id = AskId(self.last_ask);
            self.sent.insert(id, Sent { key, service: Rc::clone(&service), hits, at: now, timeout });
            self.tally.asks = self.tally.asks.saturating_add(1);
            return Some(Ask { id, service, body, timeout });
        }
    }

    /// The end of a call, however it ended. Names the requests to poll again. An end that is not waited for (late,
    /// reported twice) changes nothing: what it granted is spent.
    pub fn answer(&mut self, id: AskId, answer: Result<Vec<u8>, CallFailed>, now: MonoNanos) -> Vec<Waiter> {
        let Some(Sent { key, service, hits, at, .. }) = self.sent.remove(&id) else { return Vec::new() };
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
        let Some(answer) = answer else { return self.failed(key, &service, now) };
        self.breakers.change(&service, Breaker::succeeded);
        if answer == rls::Answer::NoLimit {
            self.tally.no_limit = self.tally.no_limit.saturating_add(1);
        }
        // Forgotten meanwhile: nobody waits, its permits are lost.
        let Some(lease) = self.table.get(key) else { return Vec::new() };
        lease.asking = Asking::No;
        let settled = lease.answer(answer, hits, at, now, id.0);
        if lease.has_waiting() || lease.runs_dry(now) {
            lease.asking = Asking::Queued { probe: false };
            self.outbox.push_back(key);
        }
        settled.into_iter().map(|(waiter, taken)| self.settle(waiter, key, taken)).collect()
    }

    /// Time passes: waits that are over, calls that never end. Names the requests to poll again.
    pub fn tick(&mut self, now: MonoNanos) -> Vec<Waiter> {
        let lost = |sent: &Sent| now.since(sent.at) >= sent.timeout.saturating_add(LOST_AFTER);
        let lost: Vec<AskId> = self.sent.iter().filter(|(_, sent)| lost(sent)).map(|(id, _)| *id).collect();
        let mut wake = Vec::new();
        for id in lost {
            wake.extend(self.answer(id, Err(CallFailed), now));
        }
        while let Some((_, waiter)) = self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.pop_first();
            let Some(parked) = self.parked.get(&waiter) else { continue };
            let (key, taken) = (parked.key, fallback(&parked.service, NoAnswer::TimedOut));
            if let Some(lease) = self.table.get(key) {
                lease.leave(waiter);
            }
            wake.push(self.settle(waiter, key, taken));
        }
        wake
    }

    /// When [`Leases::tick`] is needed next.
    pub fn next_tick(&self) -> Option<MonoNanos> {
        let waits = self.deadlines.first().map(|(deadline, _)| *deadline);
        let calls = self.sent.values().map(|sent| sent.at.plus(sent.timeout).plus(LOST_AFTER)).min();
        waits.into_iter().chain(calls).min()
    }

    /// What happened since the last time, to be added to the metrics.
    pub fn take_tally(&mut self) -> FleetTally {
        std::mem::take(&mut self.tally)
    }

    fn failed(&mut self, key: Key, service: &Rc<Service>, now: MonoNanos) -> Vec<Waiter> {
        self.tally.failed = self.tally.failed.saturating_add(1);
        let mut wake = Vec::new();
        if let Some(lease) = self.table.get(key) {
            lease.asking = Asking::No;
            wake.extend(lease.leave_all());
        }
        for waiter in &wake {
            self.settle(*waiter, key, fallback(service, NoAnswer::Failed));
        }
        if self.breakers.change(service, |breaker| breaker.failed(now)) {
            self.tally.opened = self.tally.opened.saturating_add(1);
            log::warn!("rate-limit service {}: calls to cluster {} fail", service.origin.name, service.cluster);
            wake.extend(self.release_all(service));
        }
        wake
    }

    /// Nobody waits for a service whose breaker is open.
    fn release_all(&mut self, service: &Rc<Service>) -> Vec<Waiter> {
        let waiting = self.parked.iter().filter(|(_, parked)| parked.service.is_same(service));
        let waiting: Vec<(Waiter, Key)> = waiting.map(|(waiter, parked)| (*waiter, parked.key)).collect();
        let mut wake = Vec::with_capacity(waiting.len());
        for (waiter, key) in waiting {
            if let Some(lease) = self.table.get(key) {
                lease.leave(waiter);
            }
            wake.push(self.settle(waiter, key, fallback(service, NoAnswer::BreakerOpen)));
        }
        wake
    }

    fn settle(&mut self, waiter: Waiter, key: Key, taken: Taken) -> Waiter {
        self.unpark(waiter);
        self.settled.insert(waiter, Settled { key, taken });
        waiter
    }

    fn unpark(&mut self, waiter: Waiter) -> Option<Parked> {
        let parked = self.parked.remove(&waiter)?;
        self.deadlines.remove(&(parked.deadline, waiter));
        Some(parked)
    }

    fn tell(&self, service: &Service, fault: Fault) {
        log::debug!("rate-limit service {}: {fault}", service.origin.name);
    }
}

fn fallback(service: &Service, why: NoAnswer) -> Taken {
    Taken::Fallback { on_error: service.on_error, why }
}
