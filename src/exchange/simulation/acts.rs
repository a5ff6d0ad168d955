//! The acts of a case: each is one callback of one worker, and what is noted of it once it is over. In: which worker, which request. Out:
//! entries of the ledger. Not here: which act is next (`case`), what a request came to (`books`).

use super::baton::{Heard, WaitEnd};
use super::case::{Brought, Case, Doing, Request, SECOND, State, clock};
use super::documents::keys;
use super::oracle::{Moment, Span};
use super::party::{Report, Sent, Step, Wanted};
use super::random::pick;
use super::tokens::said;
use super::world::{Access, Caller};
use crate::limit::fleet::fake::asked;
use crate::worker::{Answered, FetchFailed};

impl Case<'_, '_> {
    pub(super) fn arrive(&mut self, worker: usize, version: usize, path: String, caller: Caller) -> u32 {
        let id = self.requests.last_key_value().map_or(1, |(id, _)| id + 1);
        let route = self.world.versions[version].route(&path);
        let with_token = route.is_some_and(|route| route.access == Access::Token);
        let proof = with_token.then(|| self.proof(&path, &caller)).flatten();
        let text = proof.map(|proof| self.proofs[proof].text.clone());
        let step = Step::Arrive { id, version, path: path.clone(), caller, with_token, proof: text };
        let (lines, state, now) = (Vec::new(), State::Over, self.now);
        let request = Request {
            worker,
            version,
            path,
            caller,
            proof,
            arrived: now,
            told_active: false,
            lines,
            state,
            judged: now,
            said: None,
        };
        self.requests.insert(id, request);
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
        for owner in request.lines.iter().filter_map(|line| line.owner.clone()) {
            self.written.entry(owner).or_default().insert(request.caller.header);
        }
        self.start(worker, Doing::Judge(id), step);
    }

    pub(super) fn leave(&mut self, id: u32) {
        let request = self.requests.get_mut(&id).unwrap();
        request.state = State::Over;
        let worker = request.worker;
        self.start(worker, Doing::Nothing, Step::Leave(id));
    }

    /// What the upstream says, or the end.
    pub(super) fn proceed(&mut self, id: u32) {
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
        let ask = match &call.wanted {
            Wanted::Permits(ask) => ask,
            Wanted::Keys => {
                let body = keys().to_string().into_bytes();
                let answer = if fails { Err(FetchFailed::NoAnswer) } else { said(200, body) };
                self.hands[worker].keys_failed |= fails;
                return self.start(worker, Doing::Hear(Brought::Keys), Step::Answer(call.id, answer));
            }
            Wanted::Revocations => return self.publish(worker, call.id, fails),
            Wanted::Answer(token) => return self.tell_of(worker, call.id, token, call.at, fails),
        };
        let failed = Step::Answer(call.id, Err(FetchFailed::NoAnswer));
        if fails && self.random.happens(0.5) {
            return self.start(worker, Doing::Hear(Brought::NoPermits), failed);
        }
        let answered = self.service.answer(ask, self.now / SECOND);
        if fails {
            return self.start(worker, Doing::Hear(Brought::NoPermits), failed);
        }
        let account = self.whose[&(answered.limit, answered.whose)].clone();
        let heard = Brought::Permits(account, answered.granted.then_some(answered.hits));
        let answer = Ok(Answered::Grpc(answered.answer));
        self.start(worker, Doing::Hear(heard), Step::Answer(call.id, answer));
    }

    /// A worker is never heard of again, wherever it stands.
    pub(super) fn lose(&mut self, worker: usize) {
        let now = self.moment();
        if let Some((doing, from)) = self.hands[worker].stands_still.take() {
            self.was_lost_at(&doing, Span { from, to: now });
        }
        self.tell(|_| format!("worker {worker} is lost"));
        self.hands[worker].lost = true;
        self.ledger.lose(worker, now);
        self.reins[worker].tell(WaitEnd::Vanish);
        for request in self.requests.values_mut().filter(|request| request.worker == worker) {
            request.state = State::Over;
        }
    }

    pub(super) fn start(&mut self, worker: usize, doing: Doing, step: Step) {
        let from = self.moment();
        self.tell(|_| format!("worker {worker} begins {step:?}"));
        let storm = !self.calm && !matches!(step, Step::Make(_)) && self.random.happens(0.004);
        let turns = self.turns();
        self.reins[worker].tell(WaitEnd::Do { step, now: clock(self.now), turns, storm });
        self.listen(worker, doing, from);
    }

    fn turns(&mut self) -> u32 {
        if self.calm || self.random.happens(0.6) { u32::MAX } else { self.random.below(4) as u32 }
    }

    pub(super) fn go_on(&mut self, worker: usize) {
        let Some((doing, from)) = self.hands[worker].stands_still.take() else { return };
        self.tell(|_| format!("worker {worker} goes on"));
        let turns = self.turns();
        self.reins[worker].tell(WaitEnd::GoOn { turns });
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
            let request = self.requests.get_mut(id).unwrap();
            request.state = State::Named;
            if let Doing::Hear(Brought::Answer(token, _, Some(true))) = doing {
                request.told_active |= report.in_time && request.caller.token_id() == *token;
            }
        }
        self.note_asks(doing, &report);
        match doing {
            Doing::Nothing => {}
            Doing::Tick => self.nobody_waits_too_long(worker, span.from.time),
            Doing::Judge(id) => self.judged(*id, span, &report),
            Doing::Respond(id, status) => self.responded(*id, *status, span),
            Doing::End(id) => self.ended(*id, span),
            Doing::Hear(brought) => self.heard(worker, brought, report.in_time),
        }
        let hand = &mut self.hands[worker];
        hand.calls.extend(report.sent);
        (hand.settled, hand.leftovers, hand.under_way) = (settled, report.leftovers, report.under_way);
        if settled {
            self.ledger.settled(worker, span.to);
        }
    }

    fn heard(&mut self, worker: usize, brought: &Brought, in_time: bool) {
        let hand = &mut self.hands[worker];
        match brought {
            Brought::Permits(account, Some(hits)) if in_time => {
                *hand.granted.entry(account.clone()).or_default() += hits;
            }
            Brought::Permits(account, None) if in_time => drop(hand.told_over.insert(account.clone())),
            Brought::Permits(..) | Brought::NoPermits => {}
            // Those that are late have failed.
            Brought::Keys => hand.keys_failed |= !in_time,
            Brought::Revocations(named) => self.heard_revocations(worker, named.as_ref().filter(|_| in_time)),
            Brought::Answer(token, asked, active) => {
                self.heard_answer(worker, token, *asked, active.filter(|_| in_time))
            }
        }
    }

    /// Two budgets at the service never are one, nor one two.
    fn note_asks(&mut self, doing: &Doing, report: &Report) {
        let Doing::Judge(id) = doing else { return };
        for (limit, whose, _) in report.sent.iter().filter_map(|sent| sent.ask().map(asked)) {
            let request = &self.requests[id];
            let line = request.lines.iter().find(|line| line.limit == limit && line.service.is_some());
            let account = line.and_then(|line| line.service.clone()).expect("an ask for another limit");
            let known = self.whose.entry((limit, whose)).or_insert_with(|| account.clone());
            assert_eq!(*known, account, "one budget at the service for two");
            assert_eq!(self.whose.values().filter(|other| **other == account).count(), 1, "two budgets for one");
        }
    }
}
