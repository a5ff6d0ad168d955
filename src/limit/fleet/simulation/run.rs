//! One run: the requests, the network and the workers, event by event. In: a [`Fleet`] and a seed. Out: its [`Report`].
//! Not here: how the service counts (`server`).

#![allow(clippy::arithmetic_side_effects)]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use super::random::Random;
use super::server::{Server, Time, nanos};
use super::{Fleet, Outage, Report};
use crate::fake::FakeHost;
use crate::limit::fleet::{
    CallFailed, DescriptorValue, FleetDemand, LeaseCallId, Leases, RateLimitCall, Settled, Taken, Waiter, fake,
};
use crate::limit::{Identity, KeyValue, SharedTable};
use crate::policy::{Fact, FilterId, FleetLimit, Service};
use crate::time::MonoNanos;

enum Event {
    Request,
    Reach { holder: usize, call: RateLimitCall, asked: Time },
    End { holder: usize, id: LeaseCallId, reply: Result<Vec<u8>, CallFailed>, asked: Time },
    Tick { holder: usize },
    Phase,
    Wipe,
}

/// A call under way.
#[derive(Clone, Copy)]
struct Call {
    holder: usize,
    id: LeaseCallId,
    timeout: Duration,
    asked: Time,
}

/// Where requests come from for a while, and by what factor more or fewer of them.
struct Phase {
    first_worker: usize,
    workers: usize,
    factor: f64,
}

struct Arrived {
    at: Time,
    holder: usize,
    key: usize,
}

struct Run<'f> {
    fleet: &'f Fleet,
    random: Random,
    server: Server,
    holders: Vec<Leases>,
    next_tick: Vec<Option<Time>>,
    limit: Rc<FleetLimit>,
    keys: Vec<(Identity, DescriptorValue)>,
    events: BinaryHeap<Reverse<(Time, u64)>>,
    what: HashMap<u64, Event>,
    last_event: u64,
    last_request: u64,
    phase: Phase,
    waiting: HashMap<u64, Arrived>,
    /// Key, when, and when the call was sent that it waited for, if it did.
    admitted: Vec<(usize, Time, Time)>,
    report: Report,
}

/// Simulated time 0 is not the clock's zero.
fn mono(time: Time) -> MonoNanos {
    MonoNanos::from_nanos(1_000_000_000_000 + time)
}

fn seconds(seconds: f64) -> Time {
    (seconds * 1e9) as Time
}

fn demand<'d>(
    limit: &'d Rc<FleetLimit>,
    identity: Identity,
    value: &'d dyn Fn() -> DescriptorValue,
    number: u64,
) -> FleetDemand<'d> {
    FleetDemand { limit, identity, value, cost: 1, waiter: Waiter(number), may_wait: true }
}

/// Runs it to the end and checks the invariants.
pub(super) fn run(fleet: &Fleet, seed: u64) -> Report {
    let service = Service { kind: fleet.kind, timeout: fleet.timeout, ..fake::service() };
    let limit = fake::limit(service);
    let table = SharedTable::new(FilterId::new(b"test"), &FakeHost::default());
    let key = |number: usize| {
        let part = [Fact::Constant(number.to_string().into())];
        let value = || KeyValue::Text(number.to_string().into());
        let named = FleetLimit::new(limit.origin.clone(), part.to_vec(), Rc::clone(&limit.service));
        (table.identity(&part, |_| value()), DescriptorValue::new(&named, |_| value()))
    };
    let keys = (0..fleet.keys).map(key).collect();
    let holders = fleet.proxies * fleet.workers;
    let mut run = Run {
        fleet,
        random: Random(seed),
        server: Server::new(fleet.kind, fleet.quota, fleet.window, fleet.into_window, fleet.fields),
        holders: (0..holders).map(|_| Leases::new(1000)).collect(),
        next_tick: vec![None; holders],
        limit,
        keys,
        events: BinaryHeap::new(),
        what: HashMap::new(),
        last_event: 0,
        last_request: 0,
        phase: Phase { first_worker: 0, workers: holders, factor: 1.0 },
        waiting: HashMap::new(),
        admitted: Vec::new(),
        report: Report::default(),
    };
    run.go();
    run.check();
    run.report
}

impl Run<'_> {
    fn go(&mut self) {
        for outage in self.fleet.faults.outages.iter().filter(|outage| outage.forgets) {
            self.after(0, seconds(outage.from), Event::Wipe);
        }
        self.after(0, 0, Event::Request);
        if self.fleet.phases {
            self.after(0, 0, Event::Phase);
        }
        while let Some(Reverse((now, number))) = self.events.pop() {
            match self.what.remove(&number).unwrap() {
                Event::Request => self.request(now),
                Event::Reach { holder, call, asked } => {
                    self.reach(Call { holder, id: call.id, timeout: call.timeout, asked }, &call.body, now)
                }
                Event::End { holder, id, reply, asked } => {
                    let woken = self.holders[holder].answer(id, reply, mono(now));
                    self.wake(woken, asked, now);
                    self.pump(holder, now);
                }
                Event::Tick { holder } => {
                    self.next_tick[holder] = None;
                    let woken = self.holders[holder].tick(mono(now));
                    self.wake(woken, now, now);
                    self.pump(holder, now);
                }
                Event::Phase => self.change_phase(now),
                Event::Wipe => self.server.wipe(),
            }
        }
        assert!(self.waiting.is_empty(), "{} requests heard no verdict", self.waiting.len());
        assert!(self.holders.iter().all(|leases| leases.waiting() == 0), "a lease still has a queue");
    }

    fn after(&mut self, now: Time, delay: Time, event: Event) {
        self.last_event += 1;
        self.events.push(Reverse((now + delay, self.last_event)));
        self.what.insert(self.last_event, event);
    }

    fn change_phase(&mut self, now: Time) {
        let workers = 1 + self.random.below(self.holders.len());
        let factor = [0.1, 0.5, 1.0, 5.0][self.random.below(4)];
        self.phase = Phase { first_worker: self.random.below(self.holders.len()), workers, factor };
        let lasts = seconds(self.random.between(0.1, 2.0));
        if now + lasts < nanos(self.fleet.runs) {
            self.after(now, lasts, Event::Phase);
        }
    }

    fn request(&mut self, now: Time) {
        let rate = self.fleet.rps * self.fleet.keys as f64 * self.phase.factor;
        let pause = -(1.0 - self.random.share()).ln() / rate;
        if now + seconds(pause) < nanos(self.fleet.runs) {
            self.after(now, seconds(pause), Event::Request);
        }
        self.report.toll(self.fleet, now).requests += 1;
        self.last_request += 1;
        let number = self.last_request;
        let worker = self.phase.first_worker + self.random.below(self.phase.workers);
        let arrived = Arrived { at: now, holder: worker % self.holders.len(), key: self.random.below(self.keys.len()) };
        let holder = arrived.holder;
        match self.take(number, &arrived, now) {
            Taken::Wait => {
                self.waiting.insert(number, arrived);
            }
            taken => self.verdict(&arrived, taken, now, now),
        }
        self.pump(holder, now);
    }

    fn take(&mut self, number: u64, arrived: &Arrived, now: Time) -> Taken {
        let (identity, value) = self.keys[arrived.key];
        let value = || value;
        self.holders[arrived.holder].take(&demand(&self.limit, identity, &value, number), mono(now))
    }

    fn wake(&mut self, woken: Vec<Settled>, asked: Time, now: Time) {
        for settled in woken {
            let Waiter(number) = settled.waiter;
            let arrived = self.waiting.remove(&number).expect("woken once, and only while it waits");
            let waited = Duration::from_nanos(now - arrived.at);
            assert!(waited <= self.fleet.timeout, "request {number} waited {waited:?}");
            self.report.toll(self.fleet, now).waited += 1;
            self.report.longest_wait = self.report.longest_wait.max(waited);
            let (identity, value) = self.keys[arrived.key];
            let value = || value;
            let taken = settled.answers(&demand(&self.limit, identity, &value, number));
            let taken = taken.expect("it is told of what it waited for");
            self.verdict(&arrived, taken, asked, now);
        }
    }

    fn verdict(&mut self, arrived: &Arrived, taken: Taken, asked: Time, now: Time) {
        match taken {
            Taken::Granted(_) => {
                self.report.admitted += 1;
                self.admitted.push((arrived.key, now, asked));
            }
            Taken::Over { .. } => self.report.over += 1,
            Taken::Fallback { .. } => self.report.fallbacks += 1,
            Taken::NoLimit | Taken::Wait => panic!("no definite verdict: {taken:?}"),
        }
    }

    /// Sends what a worker wants sent, and sees to its next tick.
    fn pump(&mut self, holder: usize, now: Time) {
        while let Some(call) = self.holders[holder].next_call(mono(now)) {
            self.report.toll(self.fleet, now).calls += 1;
            let way = self.way();
            self.after(now, way, Event::Reach { holder, call, asked: now });
        }
        let tick = self.holders[holder].next_tick().map(|at| at.as_nanos() - mono(0).as_nanos());
        if let Some(tick) = tick.filter(|tick| self.next_tick[holder].is_none_or(|planned| *tick < planned)) {
            self.next_tick[holder] = Some(tick);
            self.after(tick.max(now), 0, Event::Tick { holder });
        }
    }

    fn way(&mut self) -> Time {
        seconds(self.random.between(0.000_2, 0.001))
    }

    /// A call reaches the service, or the place where it would be.
    fn reach(&mut self, call: Call, body: &[u8], now: Time) {
        let faults = &self.fleet.faults;
        let back = self.way();
        let left = nanos(call.timeout).saturating_sub(now - call.asked);
        let away = faults.outages.iter().find(|away| seconds(away.from) <= now && now < seconds(away.to));
        match away {
            Some(Outage { black_hole: true, .. }) => return self.end(call, now, left, Err(CallFailed)),
            Some(_) => return self.end(call, now, back.min(left), Err(CallFailed)),
            None => {}
        }
        if self.random.happens(faults.lost / 2.0) {
            return self.end(call, now, left, Err(CallFailed));
        }
        let ahead = Duration::from_secs_f64(self.random.share().round() * faults.skew.as_secs_f64());
        let reply = self.server.answer(body, now, ahead);
        if self.random.happens(faults.lost / 2.0) {
            return self.end(call, now, left, Err(CallFailed));
        }
        if self.random.happens(faults.unreported) {
            return;
        }
        let late = self.random.happens(faults.late);
        let back = if late { seconds(self.random.between(0.0, 5.0 * call.timeout.as_secs_f64())) } else { back };
        if back > left {
            // The proxy gives up; the answer comes all the same.
            self.end(call, now, left, Err(CallFailed));
        }
        let reply = if self.random.happens(faults.garbage) { b"<html>".to_vec() } else { reply };
        if self.random.happens(faults.twice) {
            let again = seconds(self.random.between(0.0, 0.1));
            self.end(call, now, back + again, Ok(reply.clone()));
        }
        self.end(call, now, back, Ok(reply));
    }

    fn end(&mut self, call: Call, now: Time, delay: Time, reply: Result<Vec<u8>, CallFailed>) {
        let Call { holder, id, asked, .. } = call;
        self.after(now, delay, Event::End { holder, id, reply, asked });
    }

    /// See [`super`].
    fn check(&mut self) {
        let skew = nanos(self.fleet.faults.skew);
        let quota = self.fleet.quota;
        for (key, (_, value)) in self.keys.iter().enumerate() {
            for window in self.server.windows(&value.to_string()) {
                let within = |from: Time, to: Time| {
                    let admitted = self.admitted.iter();
                    admitted.filter(move |(other, at, _)| *other == key && (from..to).contains(at))
                };
                let (from, to) = (window.start + skew, window.end.saturating_sub(skew));
                let all = within(from, to).count() as u64;
                let carried = within(from, to).filter(|(_, _, asked)| *asked < from).count() as u64;
                assert!(window.granted <= quota * (1 + window.wiped), "the model counts wrong");
                assert!(
                    all <= quota * (1 + window.wiped) + carried,
                    "{all} admitted of {quota} ({carried} had waited) in {window:?}"
                );
                let whole = window.start > 0 && window.end <= nanos(self.fleet.runs);
                if whole {
                    let all = within(window.start, window.end).count();
                    self.report.unused.push(1.0 - all as f64 / quota as f64);
                }
            }
        }
    }
}
