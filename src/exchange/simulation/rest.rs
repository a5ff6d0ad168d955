//! How a proxy comes to rest. In: a [`Case`] in which much happened. Out: nothing, if `Retry-After` was enough, what the service
//! granted was used or can be, and nothing is left. Not here: what happened before (`case`).

use std::collections::BTreeSet;

use super::case::{Case, Hand, SECOND, State};
use super::party::Said;
use super::world::{Caller, Counts};
use crate::limit::places_held;
use crate::reason::Reason;

/// After so long no call is waited for.
const LONGEST_CALL: u64 = 10 * SECOND;

/// The request that probes.
#[derive(Clone)]
struct Target {
    worker: usize,
    version: usize,
    path: String,
    caller: Caller,
}

impl Case<'_, '_> {
    /// Everything under way goes on to its end.
    pub(super) fn rest(&mut self) -> Result<(), String> {
        self.calm_down();
        self.answer_all();
        if self.ledger.has_lost() && self.random.happens(0.5) {
            let until = self.now + 80 * SECOND;
            self.wait_until(until);
            self.answer_all();
        }
        let counts_for_fleet = self.world.versions[0].limits.iter().any(|limit| limit.counts == Counts::Fleet);
        if counts_for_fleet && self.random.happens(0.5) {
            self.end_all();
            self.use_up()?;
        } else {
            self.retry()?;
        }
        self.end_all();
        self.answer_all();
        self.nothing_is_left()
    }

    fn living(&self) -> Vec<usize> {
        (0..self.hands.len()).filter(|worker| !self.hands[*worker].lost).collect()
    }

    /// Whoever waits hangs up; every call is answered.
    fn answer_all(&mut self) {
        let waits = |state| matches!(state, State::Waits | State::Named);
        let waiting: Vec<u32> = self.requests.iter().filter(|(_, one)| waits(one.state)).map(|(id, _)| *id).collect();
        for id in waiting {
            self.leave(id);
        }
        for worker in self.living() {
            // What is wanted ahead of demand is asked for again: not without end.
            while let Some(call) = self.hands[worker].calls.pop() {
                self.answer(worker, call, false);
            }
            self.tick(worker);
        }
    }

    /// What is under way ends, and well.
    fn end_all(&mut self) {
        let passed = self.requests.iter().filter_map(|(id, request)| match request.state {
            State::Passed { answered } => Some((*id, answered)),
            State::Waits | State::Named | State::Over => None,
        });
        for (id, answered) in passed.collect::<Vec<_>>() {
            if !answered {
                self.respond(id, Some(200));
            }
            self.end(id);
        }
    }

    /// One more request, and what comes of it, with the dependencies answering.
    fn send(&mut self, target: &Target) -> (u32, Said) {
        let Target { worker, version, path, caller } = target.clone();
        let id = self.arrive(worker, version, path, caller);
        loop {
            match self.requests[&id].said.clone() {
                Some(Said::Waits) => {
                    match self.hands[worker].calls.pop() {
                        Some(call) => self.answer(worker, call, false),
                        // For the next attempt to have keys.
                        None => {
                            self.now += SECOND / 10;
                            self.tick(worker);
                        }
                    }
                    if self.requests[&id].state == State::Named {
                        self.poll(id);
                    }
                }
                said => return (id, said.unwrap()),
            }
        }
    }

    /// Whoever waits as long as it was told passes, when nobody else spends and what was under way has ended.
    fn retry(&mut self) -> Result<(), String> {
        let Some(target) = self.probe() else { return Ok(()) };
        for _ in 0..14 {
            let (id, said) = self.send(&target);
            let Said::Refused { reason: Reason::OverLimit | Reason::LimitContended, retry_after, violated, .. } = said
            else {
                if matches!(said, Said::Passes { .. }) {
                    continue;
                }
                return Ok(());
            };
            let Some(seconds) = retry_after else { return Ok(()) };
            let (accounts, told) = (self.accounts(id), self.requests[&id].judged + seconds * SECOND);
            let spent = self.hands[target.worker].told_over.clone();
            self.end_all();
            // Nobody need tick so long: nothing is held.
            self.now = self.now.max(told);
            for worker in self.living() {
                self.tick(worker);
            }
            let (again, said) = self.send(&target);
            // Limits may have refused it before its token was verified; then it may be refused for another reason now.
            let by_a_limit = matches!(said, Said::Refused { status: 429, .. });
            if !by_a_limit || self.accounts(again) != accounts {
                return Ok(());
            }
            return if self.could_not_know(&spent, again, &said) {
                Ok(())
            } else {
                Err(format!("request {again} waited {seconds} s as told by {violated:?}: {said:?}"))
            };
        }
        Ok(())
    }

    /// A request that was refused before, or any that was judged, at a worker that lives.
    fn probe(&mut self) -> Option<Target> {
        let lives = |worker: usize| !self.hands[worker].lost;
        let refused = |said: &Option<Said>| matches!(said, Some(Said::Refused { reason: Reason::OverLimit, .. }));
        let judged = || self.requests.values().filter(|request| lives(request.worker) && request.path != "/nowhere");
        let last = judged().rfind(|request| refused(&request.said)).or_else(|| judged().next_back())?;
        let Target { worker, version, path, caller } =
            Target { worker: last.worker, version: last.version, path: last.path.clone(), caller: last.caller };
        Some(Target { worker, version, path, caller })
    }

    fn accounts(&self, id: u32) -> Vec<String> {
        self.requests[&id].lines.iter().map(|line| line.account.clone()).collect()
    }

    /// What the worker could not tell: that the service would refuse, or would not answer; that places of a lost worker are
    /// not free yet.
    fn could_not_know(&self, spent: &BTreeSet<String>, id: u32, said: &Said) -> bool {
        let Said::Refused { reason, violated, .. } = said else { return false };
        if *reason == Reason::LimiterUnavailable {
            return true;
        }
        let unknown = |name: &str| {
            let line = self.requests[&id].lines.iter().find(|line| line.limit == name).unwrap();
            match line.counts {
                Counts::Fleet => !spent.contains(line.service.as_ref().unwrap()),
                Counts::AtOnce { .. } | Counts::Outcomes { .. } if self.ledger.has_lost() => true,
                _ => self.crowds_itself(line),
            }
        };
        violated.iter().any(|(name, _)| unknown(name))
    }

    /// What the service granted to a worker served requests, or still serves some.
    fn use_up(&mut self) -> Result<(), String> {
        for worker in self.living() {
            let granted: Vec<(String, u32)> = self.hands[worker].granted.clone().into_iter().collect();
            for (account, granted) in granted {
                let Some(target) = self.alone(worker, &account) else { continue };
                let used = |case: &Self| case.hands[worker].used.get(&account).copied().unwrap_or(0);
                let mut before = None;
                while before != Some(used(self)) {
                    before = Some(used(self));
                    self.send_without_an_ask(&target);
                }
                let used = used(self);
                if used != granted {
                    return Err(format!("worker {worker} was granted {granted} for {account} and used {used}"));
                }
            }
        }
        Ok(())
    }

    /// One more, which what is leased may serve.
    fn send_without_an_ask(&mut self, target: &Target) {
        let Target { worker, version, path, caller } = target.clone();
        let id = self.arrive(worker, version, path, caller);
        // It may need keys first.
        if self.hands[worker].calls.last().is_some_and(|call| call.ask().is_none()) {
            let fetch = self.hands[worker].calls.pop().unwrap();
            self.answer(worker, fetch, false);
            if self.requests[&id].state == State::Named {
                self.poll(id);
            }
        }
        if self.requests[&id].state == State::Waits {
            self.leave(id);
        }
    }

    /// A request that is charged to that account at the service and to nothing else.
    fn alone(&self, worker: usize, account: &str) -> Option<Target> {
        // Elsewhere a token may have ended.
        if self.world.has_tokens() {
            return None;
        }
        let versions = &self.world.versions;
        let version = &versions[0];
        let is_fleet = |place: &usize| version.limits[*place].counts == Counts::Fleet;
        let routes = version.routes.iter().filter(|route| route.limits.len() == 1 && route.limits.iter().all(is_fleet));
        // The last one is open, if that is possible: elsewhere keys may fail.
        let routes = routes.rev();
        let filter = self.world.filters[worker];
        let mut targets = routes.flat_map(|route| self.world.callers.iter().map(move |caller| (route, caller)));
        let charged = |path: &str, caller: &Caller| {
            let lines = version.lines(filter, path, caller, self.now / SECOND, true);
            let may_pass = version.may_pass(path, caller);
            may_pass && lines.iter().any(|line| line.service.as_deref() == Some(account))
        };
        let (route, caller) = targets.find(|(route, caller)| charged(&route.path, caller))?;
        Some(Target { worker, version: 0, path: route.path.clone(), caller: *caller })
    }

    fn nothing_is_left(&mut self) -> Result<(), String> {
        for worker in self.living() {
            self.tick(worker);
            let left = &self.hands[worker].leftovers;
            if !left.is_empty() {
                return Err(format!("left at worker {worker}: {left:?}"));
            }
            if !self.hands[worker].settled {
                return Err(format!("worker {worker} has last words"));
            }
        }
        let held = places_held(&self.host);
        if held > 0 && !self.ledger.has_lost() {
            return Err(format!("{held} places are held"));
        }
        self.no_call_is_left()?;
        self.ledger.check()
    }

    /// What is answered by nobody is given up.
    fn no_call_is_left(&mut self) -> Result<(), String> {
        self.now += LONGEST_CALL;
        for worker in self.living() {
            self.hands[worker].calls.clear();
            self.tick(worker);
            // What is due may have been asked for again.
            let Hand { under_way, calls, .. } = &self.hands[worker];
            if *under_way != calls.len() {
                return Err(format!(
                    "{under_way} calls of worker {worker} are under way, of which {} were sent",
                    calls.len()
                ));
            }
        }
        Ok(())
    }
}
