//! What came of a request, as an entry in the ledger; a word that needs no sums is checked at once. In: what a callback said. Out:
//! entries of the [`Ledger`](super::oracle::Ledger). Not here: which promise they break (`oracle`).

use super::case::{Case, Doing, SECOND, State};
use super::oracle::{Held, Span, Spent};
use super::party::{Report, Said, Wanted};
use super::world::{Counts, Line};
use crate::limit::Why;
use crate::reason::Reason;

/// After so many lost races a request is refused, and after so many a worker does not know its own number.
const RACES: u32 = 32;
const RACES_FOR_A_NUMBER: u32 = 16;
/// An owner that writes more than so many texts into a header has to make room for them among its own.
const TEXTS_OF_AN_OWNER: usize = 5;
/// The silence after which a worker waits for no outcome.
const UNDECIDED_HEAL: u64 = 60;

/// The silence after which nothing is held by a line's place, in nanoseconds.
fn heal(line: &Line) -> u64 {
    SECOND * if let Counts::AtOnce { heal, .. } = line.counts { heal } else { UNDECIDED_HEAL }
}

/// How much more may be counted than the rate allows.
fn beyond(line: &Line) -> u32 {
    if let Counts::Outcomes { undecided, .. } = line.counts { undecided * line.cost } else { 0 }
}

impl Case<'_, '_> {
    pub(super) fn judged(&mut self, id: u32, span: Span, report: &Report) {
        let said = report.said.clone().unwrap();
        self.requests.get_mut(&id).unwrap().said = Some(said.clone());
        self.note_nonce(id, report.nonce.as_ref());
        let lines = self.requests[&id].lines.clone();
        match said {
            Said::Waits => {
                self.requests.get_mut(&id).unwrap().state = State::Waits;
            }
            Said::Passes { shadowed } => {
                self.requests.get_mut(&id).unwrap().state = State::Passed { answered: false };
                assert!(self.may_pass(id), "request {id} passed");
                self.showed_enough(id);
                for line in &lines {
                    self.passed(id, line, span, report, shadowed.iter().any(|name| name == line.limit));
                }
            }
            Said::Refused { reason, status, violated, kept, .. } => {
                for line in &lines {
                    self.may_have_spent(id, line, span, kept, false);
                }
                if status != 429 {
                    self.counted_refusal(id, status, span);
                }
                self.excuse(id, reason, &violated, span, report);
            }
        }
    }

    fn may_pass(&self, id: u32) -> bool {
        let request = &self.requests[&id];
        self.world.versions[request.version].may_pass(&request.path, &request.caller)
    }

    fn passed(&mut self, id: u32, line: &Line, span: Span, report: &Report, shadowed: bool) {
        let worker = self.requests[&id].worker;
        let contended = report.conflicts >= RACES;
        let spent = Spent { request: id, span, cost: line.cost, certain: !contended, lasting: true, worker };
        match line.counts {
            Counts::Shadow if shadowed && self.crowds_itself(line) => {}
            Counts::Shadow if shadowed => self.ledger.deny(&line.account, line.rate, id, span, line.cost),
            Counts::Requests | Counts::Shadow => self.ledger.spend(&line.account, line.rate, 0, spent),
            Counts::Fleet if report.fallbacks == 0 => {
                let account = line.service.clone().unwrap();
                *self.hands[worker].used.entry(account).or_default() += line.cost;
            }
            Counts::Fleet if self.world.on_error == "local" => self.ledger.spend(&line.account, line.rate, 0, spent),
            Counts::Fleet | Counts::Outcomes { .. } | Counts::AtOnce { .. } => {}
        }
        self.hold(id, line, span, true);
    }

    fn hold(&mut self, id: u32, line: &Line, asked: Span, certain: bool) {
        let worker = self.requests[&id].worker;
        if let Some((place, most, permits)) = &line.place {
            let held = Held { request: id, worker, asked, certain, permits: *permits, most: *most, ended: None };
            self.ledger.hold(place, heal(line), held);
        }
    }

    /// A request that did not pass may have been charged for a moment.
    fn may_have_spent(&mut self, id: u32, line: &Line, span: Span, lasting: bool, is_lost: bool) {
        let worker = self.requests[&id].worker;
        let spent = Spent { request: id, span, cost: line.cost, certain: false, lasting, worker };
        if !matches!(line.counts, Counts::Outcomes { .. } | Counts::AtOnce { .. }) {
            self.ledger.spend(&line.account, line.rate, 0, spent);
        }
        self.hold(id, line, span, false);
        if let (Some((place, ..)), false) = (&line.place, is_lost) {
            self.ledger.end(place, id, span);
        }
    }

    /// A refusal of the filter's own counts against the source.
    fn counted_refusal(&mut self, id: u32, status: u16, span: Span) {
        let request = &self.requests[&id];
        let filter = self.world.filters[request.worker];
        let version = &self.world.versions[request.version];
        let second = request.judged / SECOND;
        for line in version.lines(filter, &request.path, &request.caller, second, false) {
            let counts = matches!(line.counts, Counts::Outcomes { status: counted, .. } if counted == status);
            if counts && line.of_source {
                self.count_outcome(id, &line, span, false);
            }
        }
    }

    /// Every refusal has a reason that is documented.
    fn excuse(&mut self, id: u32, reason: Reason, violated: &[(String, Why)], span: Span, report: &Report) {
        let request = &self.requests[&id];
        let is_excused = match reason {
            _ if self.is_of_tokens(reason) => self.lacked(id, reason, report),
            Reason::OverLimit | Reason::LimitCrowded => !violated.is_empty(),
            Reason::LimitContended => report.conflicts >= RACES,
            Reason::LimiterUnavailable => report.fallbacks > 0 && self.world.on_error == "refuse",
            // Workers agree on when to try again: also after what another one met, or did not live to hear.
            Reason::KeysUnavailable => self.hands.iter().any(|hand| {
                hand.keys_failed || hand.lost || hand.calls.iter().any(|call| matches!(call.wanted, Wanted::Keys))
            }),
            Reason::RouteUnknown => request.path == "/nowhere",
            _ => !self.may_pass(id),
        };
        assert!(is_excused, "request {id} was refused without need: {reason:?}");
        for (name, why) in violated {
            let line = self.requests[&id].lines.iter().find(|line| line.limit == name).expect("another limit").clone();
            assert_ne!(line.counts, Counts::Shadow, "{name} only counts");
            match why {
                Why::Spent { .. } if line.counts == Counts::Fleet && self.is_spent_at_service(&line) => {}
                // It may owe what those texts owed that were forgotten.
                Why::Spent { .. } | Why::Crowded { .. } if self.crowds_itself(&line) => {}
                Why::Spent { .. } => self.ledger.deny(&line.account, line.rate, id, span, line.cost),
                Why::AtOnce { most } => {
                    let (place, expected, permits) = line.place.unwrap();
                    assert_eq!(*most, expected, "{name} says another number");
                    self.ledger.deny_place(&place, id, span, permits, expected);
                }
                Why::Crowded { .. } => assert!(report.conflicts >= RACES_FOR_A_NUMBER, "{name} is not crowded"),
                Why::Never => assert!(line.cost > self.world.quota, "{name} grants so much"),
            }
        }
    }

    pub(super) fn crowds_itself(&self, line: &Line) -> bool {
        let written = line.owner.as_ref().and_then(|owner| self.written.get(owner));
        written.is_some_and(|written| written.len() > TEXTS_OF_AN_OWNER)
    }

    fn is_spent_at_service(&self, line: &Line) -> bool {
        let account = line.service.as_ref().unwrap();
        let asked = self.whose.iter().find(|(_, known)| *known == account).map(|(asked, _)| asked);
        asked.is_some_and(|(limit, whose)| self.service.counted(limit, whose) + line.cost > self.world.quota)
    }

    pub(super) fn responded(&mut self, id: u32, status: Option<u16>, span: Span) {
        let lines = self.requests[&id].lines.clone();
        self.requests.get_mut(&id).unwrap().state = State::Passed { answered: true };
        for line in lines {
            let Counts::Outcomes { status: counted, .. } = line.counts else { continue };
            if status == Some(counted) {
                self.count_outcome(id, &line, span, true);
            }
            self.ledger.end(&line.place.unwrap().0, id, span);
        }
    }

    pub(super) fn ended(&mut self, id: u32, span: Span) {
        if self.requests[&id].state == (State::Passed { answered: false }) {
            let lines = self.requests[&id].lines.clone();
            // Whoever hangs up before the answer came counts as if it had failed.
            for line in lines.iter().filter(|line| matches!(line.counts, Counts::Outcomes { .. })) {
                self.count_outcome(id, line, span, true);
            }
        }
        let lines = self.requests[&id].lines.clone();
        for (place, ..) in lines.into_iter().filter_map(|line| line.place) {
            self.ledger.end(&place, id, span);
        }
        self.requests.get_mut(&id).unwrap().state = State::Over;
    }

    fn count_outcome(&mut self, id: u32, line: &Line, span: Span, certain: bool) {
        let worker = self.requests[&id].worker;
        let spent = Spent { request: id, span, cost: line.cost, certain, lasting: true, worker };
        self.ledger.spend(&line.account, line.rate, beyond(line), spent);
    }

    /// What a worker may have written that was lost in the middle of a callback.
    pub(super) fn was_lost_at(&mut self, doing: &Doing, span: Span) {
        let id = match doing {
            Doing::Judge(id) | Doing::Respond(id, _) | Doing::End(id) => *id,
            Doing::Nothing | Doing::Tick | Doing::Hear(_) => return,
        };
        let lines = self.requests[&id].lines.clone();
        for line in &lines {
            if let (Doing::Respond(..) | Doing::End(_), Some((place, ..))) = (doing, &line.place) {
                // It may have been given back, or not yet.
                self.ledger.end(place, id, span);
            }
            match (doing, line.counts) {
                (Doing::Judge(_), _) => self.may_have_spent(id, line, span, true, true),
                (_, Counts::Outcomes { .. }) => self.count_outcome(id, line, span, false),
                _ => {}
            }
        }
        if matches!(doing, Doing::Judge(_)) {
            for status in [403, 404] {
                self.counted_refusal(id, status, span);
            }
        }
    }
}
