//! What happens in one proxy, step by step. In: a [`World`], workers, a seed. Out: a [`Ledger`] of what came of it, and every word
//! that needs no sums checked at once. Not here: how it comes to rest (`rest`), which promise is broken (`oracle`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::baton::{Reins, WaitEnd};
use super::oracle::{Ledger, Moment};
use super::party::{Begin, Said, Sent, Step};
use super::random::{Random, pick};
use super::tokens::{AuthorizationServer, Proof};
use super::world::{Caller, FIRST, Line, World};
use crate::fake::FakeHost;
use crate::limit::fleet::fake::Hours;
use crate::time::{MonoNanos, Now, UnixMillis};

pub(super) const SECOND: u64 = 1_000_000_000;
/// A worker that lives ticks that often at least.
const TICKS: u64 = 10 * SECOND;

/// `nanos` after the start.
pub(super) fn clock(nanos: u64) -> Now {
    let wall = UnixMillis::from_millis(1_767_225_600_000 + nanos / 1_000_000);
    Now { wall, mono: MonoNanos::from_nanos(1_000_000_000_000 + nanos) }
}

/// The same backwards.
pub(super) fn nanos(now: Now) -> u64 {
    now.mono.as_nanos() - clock(0).mono.as_nanos()
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
    /// The proof that came with it, by its number.
    pub(super) proof: Option<usize>,
    /// When it came.
    pub(super) arrived: u64,
    /// Whether it waited for what the issuer says of its token, and that was that it is active.
    pub(super) told_active: bool,
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
    Tick,
    Judge(u32),
    Respond(u32, Option<u16>),
    End(u32),
    Hear(Brought),
}

/// What the end of a call brought.
#[derive(Clone, Debug)]
pub(super) enum Brought {
    /// The account at the service, and what it granted; `None`: it was refused.
    Permits(String, Option<u32>),
    NoPermits,
    Keys,
    /// The tokens that the document names; `None`: it is no document.
    Revocations(Option<BTreeSet<String>>),
    /// Of this token, what was asked then: whether it is active; `None`: it is no answer.
    Answer(String, u64, Option<bool>),
}

#[derive(Default)]
pub(super) struct Hand {
    pub(super) lost: bool,
    pub(super) stands_still: Option<(Doing, Moment)>,
    pub(super) ticked: u64,
    pub(super) adopted: bool,
    pub(super) calls: Vec<Sent>,
    pub(super) keys_failed: bool,
    pub(super) answers_failed: bool,
    /// The tokens that its document of revocations names, and when that came.
    pub(super) revoked: Option<(u64, BTreeSet<String>)>,
    /// When the issuer was asked about a token that it said is active.
    pub(super) active: BTreeMap<String, u64>,
    /// The same of one that it said is not, and when that was heard.
    pub(super) inactive: BTreeMap<String, (u64, u64)>,
    /// Of each account at the service: what it granted to this worker, and what that used.
    pub(super) granted: BTreeMap<String, u32>,
    pub(super) used: BTreeMap<String, u32>,
    pub(super) told_over: BTreeSet<String>,
    /// As of its last callback.
    pub(super) settled: bool,
    pub(super) leftovers: Vec<String>,
    pub(super) under_way: usize,
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
    pub(super) server: AuthorizationServer,
    pub(super) proofs: Vec<Proof>,
    /// The newest nonce that a caller was told, and when.
    pub(super) nonce: Option<(String, u64)>,
    /// What each owner wrote into headers that a limit counts by.
    pub(super) written: BTreeMap<String, BTreeSet<Option<u16>>>,
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
            reins.tell(WaitEnd::Begin(Begin { host: host.clone(), filter: *filter, random: random.next() as u8 }));
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
            server: AuthorizationServer::default(),
            proofs: Vec::new(),
            nonce: None,
            written: BTreeMap::new(),
            calm: false,
            hot: Vec::new(),
            story: Vec::new(),
            tells,
        };
        case.hot = (0..2).map(|_| case.target()).collect();
        if world.has_tokens() {
            case.hot[0].0 = FIRST.into();
        }
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

    /// A caller writes something else into a header each time. Nobody else may notice.
    pub(super) fn flood(&mut self, requests: u16) {
        let calm = std::mem::replace(&mut self.calm, true);
        let (path, caller) = self.hot[0].clone();
        self.go_on(0);
        for header in 0..requests {
            self.arrive(
                0,
                usize::from(self.hands[0].adopted),
                path.clone(),
                Caller { header: Some(100 + header), ..caller },
            );
        }
        self.calm = calm;
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
        self.start(worker, Doing::Tick, Step::Tick);
    }

    fn step(&mut self, worker: usize) {
        if self.world.has_tokens() && self.random.happens(0.015) {
            self.take_back();
        }
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
}
