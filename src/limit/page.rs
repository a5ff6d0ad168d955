//! One slot in the decision about one request: read, judge, charge, and give back. In: the lines of a request that
//! count there. Out: an [`Outcome`] for each line, and a slot that was charged as a whole or not at all.
//! Not here: what happens when other slots say no (`meter`).

use std::rc::Rc;

use crate::host::{Conflict, Expect, Host};
use crate::limit::gcra::{Decision, Quota, decide};
use crate::limit::identity::{Identity, Tag};
use crate::limit::outcome::Strain;
use crate::limit::slot::Slot;
use crate::limit::table;
use crate::policy::Limit;
use crate::time::MonoNanos;

/// How often a lost race is run again. A bound, so that no request spins; running out of it only refuses.
pub(super) const ATTEMPTS: usize = 32;

/// One limit of the request.
pub(super) struct Line<'d> {
    pub(super) limit: &'d Rc<Limit>,
    pub(super) quota: Quota,
    pub(super) identity: Identity,
    pub(super) tag: Tag,
    pub(super) cost: u32,
    /// The number of the page that counts it.
    pub(super) page: usize,
}

/// What was decided about a line.
#[derive(Clone, Copy, Default)]
pub(super) struct Outcome {
    /// `None`: its slot has no room for so many limits of one request.
    pub(super) decision: Option<Decision>,
    /// It had no entry and started with a debt.
    pub(super) inherited: bool,
    /// What it owes is not what is stored.
    unrecorded: bool,
}

impl Outcome {
    pub(super) fn admits(&self) -> bool {
        matches!(self.decision, Some(Decision::Admit { .. }))
    }
}

/// All that one decision is made of.
pub(super) struct Case<'d> {
    pub(super) lines: Vec<Line<'d>>,
    /// One for each line.
    pub(super) outcomes: Vec<Outcome>,
    pub(super) host: &'d dyn Host,
    pub(super) now: MonoNanos,
    pub(super) strain: Strain,
}

/// A limit says no by now (then its line is refused), or others were faster each time (then none is).
pub(super) struct Unpaid;

/// See the module.
pub(super) struct Page {
    number: usize,
    slot_key: String,
    expect: Expect,
    now: MonoNanos,
    /// With an entry for each line, nothing charged.
    seated: Slot,
    /// With everything charged that was admitted.
    charged: Slot,
}

impl Page {
    pub(super) fn new(number: usize, slot_key: String) -> Self {
        let now = MonoNanos::from_nanos(0);
        Self { number, slot_key, expect: Expect::Absent, now, seated: Slot::EMPTY, charged: Slot::EMPTY }
    }

    pub(super) fn slot_key(&self) -> &str {
        &self.slot_key
    }

    /// Reads the slot and decides on the lines that count here. Writes nothing.
    pub(super) fn judge(&mut self, case: &mut Case<'_>) {
        let reading = table::read(case.host, &self.slot_key, case.now);
        case.strain.unreadable = case.strain.unreadable.saturating_add(usize::from(reading.unreadable));
        self.expect = reading.expect;
        self.now = reading.now;
        self.seated = reading.slot;
        let lines = &case.lines;
        let number = self.number;
        let needed = |tag| lines.iter().any(|line| line.page == number && line.tag == tag);
        for (line, outcome) in lines.iter().zip(&mut case.outcomes).filter(|(line, _)| line.page == number) {
            let known = self.seated.get(line.tag);
            let Some(tat) = known.or_else(|| self.seated.seat(line.tag, needed)) else {
                *outcome = Outcome::default();
                continue;
            };
            // Nobody can owe more than a spent budget, whatever a floor, a former quota or a stray write says.
            let owed = tat.min(line.quota.spent(self.now));
            self.seated.set(line.tag, owed);
            let inherited = known.is_none() && owed > self.now;
            *outcome = Outcome { decision: None, inherited, unrecorded: inherited || owed < tat };
        }
        self.charged = self.seated.clone();
        for (line, outcome) in lines.iter().zip(&mut case.outcomes).filter(|(line, _)| line.page == number) {
            let Some(tat) = self.charged.get(line.tag) else { continue };
            let decision = decide(tat, self.now, &line.quota, line.cost);
            if let Decision::Admit { tat, .. } = decision {
                self.charged.set(line.tag, tat);
            }
            outcome.decision = Some(decision);
        }
    }

    fn outcomes<'c>(&'c self, case: &'c Case<'_>) -> impl Iterator<Item = &'c Outcome> {
        let mine = case.lines.iter().zip(&case.outcomes).filter(|(line, _)| line.page == self.number);
        mine.map(|(_, outcome)| outcome)
    }

    /// Writes down what a refused newcomer owes, charging nothing: so that the wait it was told counts from now.
    pub(super) fn record_debts(&self, case: &Case<'_>) {
        if self.outcomes(case).any(|outcome| outcome.unrecorded && !outcome.admits()) {
            // Whoever was faster changed the slot; then the next attempt records.
            let _: Result<(), Conflict> = case.host.shared_set(&self.slot_key, &self.seated.encode(), self.expect);
        }
    }

    /// Charges what [`Page::judge`] decided; judges again when another worker was faster.
    pub(super) fn charge(&mut self, case: &mut Case<'_>) -> Result<(), Unpaid> {
        for _ in 0..ATTEMPTS {
            if case.host.shared_set(&self.slot_key, &self.charged.encode(), self.expect).is_ok() {
                return Ok(());
            }
            case.strain.retries = case.strain.retries.saturating_add(1);
            self.judge(case);
            if !self.outcomes(case).all(Outcome::admits) {
                self.record_debts(case);
                return Err(Unpaid);
            }
        }
        Err(Unpaid)
    }

    /// Takes the charges of [`Page::charge`] back, if nobody has charged the same entries since. Otherwise they stay:
    /// part of them has come back with time, and how much cannot be known, so that giving them back in full could
    /// refill the budget.
    pub(super) fn give_back(&self, case: &mut Case<'_>) {
        let mine = || case.lines.iter().filter(|line| line.page == self.number);
        for _ in 0..ATTEMPTS {
            let reading = table::read(case.host, &self.slot_key, case.now);
            let mut slot = reading.slot;
            if mine().any(|line| slot.get(line.tag) != self.charged.get(line.tag)) {
                break;
            }
            for line in mine() {
                slot.set(line.tag, self.seated.get(line.tag).unwrap_or(reading.now));
            }
            if case.host.shared_set(&self.slot_key, &slot.encode(), reading.expect).is_ok() {
                return;
            }
        }
        case.strain.kept = case.strain.kept.saturating_add(mine().count());
    }
}
