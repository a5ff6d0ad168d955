//! What happens in one proxy, step by step. In: a [`World`], workers, a seed. Out: a [`Ledger`] of what came of it, and every word
//! that needs no sums checked at once. Not here: how it comes to rest (`rest`), which promise is broken (`oracle`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::baton::{Heard, Reins, Told};
use super::documents::keys;
use super::oracle::{Ledger, Moment, Span};
use super::party::{Begin, Report, Said, Sent, Step};
use super::random::{Random, pick};
use super::world::{Access, Caller, Line, World};
use crate::fake::FakeHost;
use crate::limit::fleet::fake::{Hours, asked};
use crate::time::{MonoNanos, Now, UnixMillis};
use crate::worker::{Answered, FetchFailed, HttpAnswer};

pub(super) const SECOND: u64 = 1_000_000_000;
/// A worker that lives ticks that often at least.
const TICKS: u64 = 10 * SECOND;

/// `nanos` after the start.
pub(super) fn clock(nanos: u64) -> Now {
    let wall = UnixMillis::from_millis(1_767_225_600_000 + nanos / 1_000_000);
    Now { wall, mono: MonoNanos::from_nanos(1_000_000_000_000 + nanos) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waits,
    Named,
    Passed { answered: bool },
    Over,
}

pub(super) struct Request {
    pub(super) worker: usize,
    pub(super) version: usize,
    pub(super) path: String,
    pub(super) caller: Caller,
    /// What it is charged to, as of when it was judged last.
    pub(super) lines: Vec<Line>,
    pub(super) state: State,
    /// When it was judged last.
    pub(super) judged: u64,
    pub(super) said: Option<Said>,
}

/// What a worker is at.
#[derive(Clone, Debug)]
pub(super) enum Doing {
    Nothing,
    Judge(u32),
    Respond(u32, Option<u16>),
    End(u32),
    /// The account at the service, and what it granted; `None`: it was refused.
    Hear(Option<(String, Option<u32>)>),
}

#[derive(Default)]
pub(super) struct Hand {
    pub(super) lost: bool,
    pub(super) stands_still: Option<(Doing, Moment)>,
    pub(super) ticked: u64,
    pub(super) adopted: bool,
    pub(super) calls: Vec<Sent>,
    pub(super) keys_failed: bool,
    /// Of each account at the service: what it granted to this worker, and what that used.
    pub(super) granted: BTreeMap<String, u32>,
    pub(super) used: BTreeMap<String, u32>,
    pub(super) told_over: BTreeSet<String>,
    /// As of its last callback.
    pub(super) settled: bool,
    pub(super) leftovers: Vec<String>,
}

/// See the module.
pub(super) struct Case<'s, 'scope> {
    pub(super) world: &'s World,
    pub(super) reins: &'s [Reins<'scope>],
    pub(super) random: Random,
    pub(super) now: u64,
    order: u64,
    tempo: u64,
    pub(super) host: Arc<FakeHost>,
    pub(super) hands: Vec<Hand>,
    pub(super) requests: BTreeMap<u32, Request>,
    pub(super) service: Hours,
    /// The account behind each budget that the service was asked for.
    pub(super) whose: BTreeMap<(String, String), String>,
    pub(super) ledger: Ledger,
    /// Whether steps are interrupted and storms happen.
    pub(super) calm: bool,
    hot: Vec<(String, Caller)>,
    pub(super) story: Vec<String>,
    pub(super) tells: bool,
}

impl<'s, 'scope> Case<'s, 'scope> {
    pub(super) fn new(world: &'s World, reins: &'s [Reins<'scope>], seed: u64, tells: bool) -> Self {
        let mut random = Random(seed);
        let host = Arc::new(FakeHost::default());
        for (reins, filter) in reins.iter().zip(&world.filters) {
            reins.tell(Told::Begin(Begin { host: host.clone(), filter: *filter, random: random.next() as u8 }));
        }
        let tempo = pick(&mut random, &[SECOND / 1000, SECOND / 20, SECOND / 3, 2 * SECOND]);
        let mut case = Self {
            world,
            reins,
            now: (random.below(50) as u64) * SECOND,
            random,
            order: 0,
            tempo,
            host,
            hands: world.filters.iter().map(|_| Hand::default()).collect(),
            requests: BTreeMap::new(),
            service: Hours::new(world.quota),
            whose: BTreeMap::new(),
            ledger: Ledger::default(),
            calm: false,
            hot: Vec::new(),
            story: Vec::new(),
            tells,
        };
        case.hot = (0..2).map(|_| case.target()).collect();
        for worker in 0..case.hands.len() {
            let version = usize::from(case.random.happens(0.1));
            case.hands[worker].adopted = version == 1;
            case.start(worker, Doing::Nothing, Step::Make(version));
        }
        case
    }

    fn target(&mut self) -> (String, Caller) {
        let routes = &self.world.versions[0].routes;
        let limited: Vec<&str> =
            routes.iter().filter(|route| !route.limits.is_empty()).map(|route| route.path.as_str()).collect();
        (pick(&mut self.random, &limited).into(), pick(&mut self.random, &self.world.callers))
    }

    pub(super) fn moment(&mut self) -> Moment {
        self.order += 1;
        Moment { time: self.now, order: self.order }
    }

    pub(super) fn tell(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.tells {
            let told = format!("{:>12.6} {}", self.now as f64 / SECOND as f64, what(self));
            self.story.push(told);
        }
    }

    /// The next few steps, as chance has it.
    pub(super) fn happen(&mut self, steps: usize) {
        for _ in 0..steps {
            let standing: Vec<usize> = (0..self.hands.len()).filter(|worker| self.stands_still(*worker)).collect();
            if !standing.is_empty() && self.random.happens(0.5) {
                let worker = pick(&mut self.random, &standing);
                if self.random.happens(0.01) {
                    self.lose(worker)
                } else {
                    self.go_on(worker)
                }
                continue;
            }
            self.pass_time(!standing.is_empty());
            let idle: Vec<usize> = (0..self.hands.len()).filter(|worker| self.is_idle(*worker)).collect();
            if idle.is_empty() {
                continue;
            }
            let worker = pick(&mut self.random, &idle);
            self.step(worker);
        }
    }

    fn stands_still(&self, worker: usize) -> bool {
        self.hands[worker].stands_still.is_some()
    }

    fn is_idle(&self, worker: usize) -> bool {
        let hand = &self.hands[worker];
        !hand.lost && hand.stands_still.is_none()
    }

    fn pass_time(&mut self, somebody_stands_still: bool) {
        if somebody_stands_still {
            self.now += self.random.next() % self.tempo.min(SECOND / 5);
        } else if self.random.happens(0.02) {
            let until = self.now + self.random.next() % (40 * SECOND);
            self.wait_until(until);
        } else if self.random.happens(0.5) {
            self.now += self.random.next() % (2 * self.tempo);
        }
        for worker in 0..self.hands.len() {
            if self.is_idle(worker) && self.now - self.hands[worker].ticked >= TICKS {
                self.tick(worker);
            }
        }
    }

    /// Workers that live tick meanwhile.
    pub(super) fn wait_until(&mut self, until: u64) {
        // Whoever stood still for so long would be given up.
        let calm = std::mem::replace(&mut self.calm, true);
        while self.now < until {
            self.now = until.min(self.now + TICKS);
            for worker in 0..self.hands.len() {
                if self.is_idle(worker) {
                    self.tick(worker);
                }
            }
        }
        self.calm = calm;
    }

    pub(super) fn tick(&mut self, worker: usize) {
        self.hands[worker].ticked = self.now;
        self.start(worker, Doing::Nothing, Step::Tick);
    }

    fn step(&mut self, worker: usize) {
        match self.random.below(100) {
            0..=14 => {
                if let Some(id) = self.one_of(worker, |state| state == State::Named) {
                    return if self.random.happens(0.1) { self.leave(id) } else { self.poll(id) };
                }
            }
            15..=36 => {
                if let Some(id) = self.one_of(worker, |state| matches!(state, State::Passed { .. })) {
                    return self.proceed(id);
                }
            }
            37..=54 if !self.hands[worker].calls.is_empty() => {
                let call = self.random.below(self.hands[worker].calls.len());
                let call = self.hands[worker].calls.remove(call);
                return self.answer(worker, call, true);
            }
            55..=58 => {
                if let Some(id) = self.one_of(worker, |state| state == State::Waits) {
                    return self.leave(id);
                }
            }
            59..=62 => return self.tick(worker),
            63..=65 => {
                self.hands[worker].adopted = true;
                return self.start(worker, Doing::Nothing, Step::Adopt(1));
            }
            66 if self.random.happens(0.3) => return self.lose(worker),
            _ => {}
        }
        let (path, caller) = match self.random.below(20) {
            0 => ("/nowhere".into(), pick(&mut self.random, &self.world.callers)),
            1..=5 => self.target(),
            which => self.hot[which % 2].clone(),
        };
        let version = usize::from(self.hands[worker].adopted && self.random.happens(0.7));
        self.arrive(worker, version, path, caller);
    }

    fn one_of(&mut self, worker: usize, which: impl Fn(State) -> bool) -> Option<u32> {
        let fits = |request: &Request| request.worker == worker && which(request.state);
        let all: Vec<u32> = self.requests.iter().filter(|(_, request)| fits(request)).map(|(id, _)| *id).collect();
        (!all.is_empty()).then(|| pick(&mut self.random, &all))
    }

    pub(super) fn arrive(&mut self, worker: usize, version: usize, path: String, caller: Caller) -> u32 {
        let id = self.requests.last_key_value().map_or(1, |(id, _)| id + 1);
        let route = self.world.versions[version].route(&path);
        let with_token = route.is_some_and(|route| route.access == Access::Token);
        let step = Step::Arrive { id, version, path: path.clone(), caller, with_token };
        let (lines, state) = (Vec::new(), State::Over);
        self.requests.insert(id, Request { worker, version, path, caller, lines, state, judged: self.now, said: None });
        self.judge(id, step);
        id
    }

    pub(super) fn poll(&mut self, id: u32) {
        self.judge(id, Step::Poll(id));
    }

    fn judge(&mut self, id: u32, step: Step) {
        let (now, request) = (self.now, self.requests.get_mut(&id).unwrap());
        let worker = request.worker;
        let version = &self.world.versions[request.version];
        let filter = self.world.filters[worker];
        request.lines = version.lines(filter, &request.path, &request.caller, now / SECOND, true);
        (request.state, request.judged, request.said) = (State::Over, now, None);
        self.start(worker, Doing::Judge(id), step);
    }

    pub(super) fn leave(&mut self, id: u32) {
        let request = self.requests.get_mut(&id).unwrap();
        request.state = State::Over;
        let worker = request.worker;
        self.start(worker, Doing::Nothing, Step::Leave(id));
    }

    /// What the upstream says, or the end.
    fn proceed(&mut self, id: u32) {
        let State::Passed { answered } = self.requests[&id].state else { return };
        if answered || self.random.happens(0.3) {
            return self.end(id);
        }
        let status = pick(&mut self.random, &[200, 200, 403, 404, 404, 429, 500]);
        let status = (!self.random.happens(0.08)).then_some(status);
        self.respond(id, status);
    }

    pub(super) fn respond(&mut self, id: u32, status: Option<u16>) {
        let worker = self.requests[&id].worker;
        self.start(worker, Doing::Respond(id, status), Step::Respond(id, status));
    }

    pub(super) fn end(&mut self, id: u32) {
        let worker = self.requests[&id].worker;
        self.start(worker, Doing::End(id), Step::End(id));
    }

    /// A call ends. It may `fail`, before the service counted it or after.
    pub(super) fn answer(&mut self, worker: usize, call: Sent, may_fail: bool) {
        let fails = may_fail && self.random.happens(0.15);
        let step = |answer| Step::Answer(call.id, answer);
        let Some(ask) = &call.ask else {
            let body = keys().to_string().into_bytes();
            let answer = Ok(Answered::Http(HttpAnswer { status: 200, body }))
                .and_then(|answer| if fails { Err(FetchFailed::NoAnswer) } else { Ok(answer) });
            self.hands[worker].keys_failed |= fails;
            return self.start(worker, Doing::Hear(None), step(answer));
        };
        if fails && self.random.happens(0.5) {
            return self.start(worker, Doing::Hear(None), step(Err(FetchFailed::NoAnswer)));
        }
        let answered = self.service.answer(ask, self.now / SECOND);
        if fails {
            return self.start(worker, Doing::Hear(None), step(Err(FetchFailed::NoAnswer)));
        }
        let account = self.whose[&(answered.limit, answered.whose)].clone();
        let heard = Some((account, answered.granted.then_some(answered.hits)));
        self.start(worker, Doing::Hear(heard), step(Ok(Answered::Grpc(answered.answer))));
    }

    /// A worker is never heard of again, wherever it stands.
    fn lose(&mut self, worker: usize) {
        let now = self.moment();
        if let Some((doing, from)) = self.hands[worker].stands_still.take() {
            self.was_lost_at(&doing, Span { from, to: now });
        }
        self.tell(|_| format!("worker {worker} is lost"));
        self.hands[worker].lost = true;
        self.ledger.lose(worker, now);
        self.reins[worker].tell(Told::Vanish);
        for request in self.requests.values_mut().filter(|request| request.worker == worker) {
            request.state = State::Over;
        }
    }

    pub(super) fn start(&mut self, worker: usize, doing: Doing, step: Step) {
        let from = self.moment();
        self.tell(|_| format!("worker {worker} begins {step:?}"));
        let storm = !self.calm && !matches!(step, Step::Make(_)) && self.random.happens(0.004);
        let turns = self.turns();
        self.reins[worker].tell(Told::Do { step, now: clock(self.now), turns, storm });
        self.listen(worker, doing, from);
    }

    fn turns(&mut self) -> u32 {
        if self.calm || self.random.happens(0.6) { u32::MAX } else { self.random.below(4) as u32 }
    }

    fn go_on(&mut self, worker: usize) {
        let Some((doing, from)) = self.hands[worker].stands_still.take() else { return };
        self.tell(|_| format!("worker {worker} goes on"));
        let turns = self.turns();
        self.reins[worker].tell(Told::GoOn { turns });
        self.listen(worker, doing, from);
    }

    /// Whoever stands still goes on to the end.
    pub(super) fn calm_down(&mut self) {
        self.calm = true;
        for worker in 0..self.hands.len() {
            self.go_on(worker);
        }
    }

    fn listen(&mut self, worker: usize, doing: Doing, from: Moment) {
        match self.reins[worker].hear() {
            Heard::StandsStill => self.hands[worker].stands_still = Some((doing, from)),
            Heard::Done(report) => {
                let span = Span { from, to: self.moment() };
                self.tell(|_| format!("worker {worker} did {doing:?}: {report:?}"));
                self.done(worker, &doing, span, *report);
            }
        }
    }

    fn done(&mut self, worker: usize, doing: &Doing, span: Span, report: Report) {
        let settled = report.settled;
        for id in &report.named {
            self.requests.get_mut(id).unwrap().state = State::Named;
        }
        self.note_asks(doing, &report);
        match doing {
            Doing::Nothing => {}
            Doing::Judge(id) => self.judged(*id, span, &report),
            Doing::Respond(id, status) => self.responded(*id, *status, span),
            Doing::End(id) => self.ended(*id, span),
            Doing::Hear(Some((account, granted))) if report.in_time => match granted {
                Some(hits) => *self.hands[worker].granted.entry(account.clone()).or_default() += hits,
                None => drop(self.hands[worker].told_over.insert(account.clone())),
            },
            // Calls for keys that are late have failed.
            Doing::Hear(_) => self.hands[worker].keys_failed |= !report.in_time,
        }
        let hand = &mut self.hands[worker];
        hand.calls.extend(report.sent);
        (hand.settled, hand.leftovers) = (settled, report.leftovers);
        if settled {
            self.ledger.settled(worker, span.to);
        }
    }

    /// Two budgets at the service never are one, nor one two.
    fn note_asks(&mut self, doing: &Doing, report: &Report) {
        let Doing::Judge(id) = doing else { return };
        for (limit, whose, _) in report.sent.iter().filter_map(|sent| sent.ask.as_deref().map(asked)) {
            let request = &self.requests[id];
            let line = request.lines.iter().find(|line| line.limit == limit && line.service.is_some());
            let account = line.and_then(|line| line.service.clone()).expect("an ask for another limit");
            let known = self.whose.entry((limit, whose)).or_insert_with(|| account.clone());
            assert_eq!(*known, account, "one budget at the service for two");
            assert_eq!(self.whose.values().filter(|other| **other == account).count(), 1, "two budgets for one");
        }
    }
}
