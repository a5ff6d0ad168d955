//! One slot in the decision about one request: read, judge, charge, and give back. In: the lines of a request that
//! count there. Out: an [`Outcome`] for each line, and a slot that was charged as a whole or not at all.
//! Not here: what happens when other slots say no (`meter`).

use std::rc::Rc;
use std::time::Duration;

use crate::host::{Conflict, Expect, Host};
use crate::limit::gcra::{Decision, decide};
use crate::limit::identity::{Identity, Tag};
use crate::limit::outcome::{Strain, Why};
use crate::limit::reading::{ATTEMPTS, read};
use crate::limit::settlement::{Release, Settlement};
use crate::limit::slot::Slot;
use crate::policy::{Allowance, BudgetId, Limit};
use crate::shared::{Holder, is_gone};
use crate::time::MonoNanos;

/// What a caller is told to wait whom there is no room to count.
const NO_ROOM_RETRY: Duration = Duration::from_secs(1);

/// One limit of the request.
pub(super) struct Line<'d> {
    pub(super) limit: &'d Rc<Limit>,
    pub(super) allowance: Allowance,
    pub(super) identity: Identity,
    pub(super) tag: Tag,
    pub(super) cost: u32,
    /// A rate that must have enough.
    pub(super) rate: Option<Rate>,
    /// A place that is held until the request ends.
    pub(super) place: Option<Place>,
    /// The number of the page that counts it.
    pub(super) page: usize,
}

/// What a line asks of a rate.
#[derive(Clone, Copy)]
pub(super) struct Rate {
    pub(super) budget: BudgetId,
    /// Whether it is charged now, or only looked at.
    pub(super) charged: bool,
}

/// What a line asks to hold.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) budget: BudgetId,
    /// What all may hold together.
    pub(super) most: u32,
    /// How much of it.
    pub(super) permits: u32,
    /// The silence after which a worker holds nothing any more.
    pub(super) heal: Duration,
}

/// What was decided about a line.
#[derive(Clone, Copy, Default)]
pub(super) enum Outcome {
    /// Nothing yet.
    #[default]
    Open,
    /// There is enough. With what is left of the rate that is charged, if one is.
    Admits(Option<(u32, Duration)>),
    /// It says no.
    Refuses(Why),
}

impl Outcome {
    pub(super) fn admits(&self) -> bool {
        matches!(self, Outcome::Admits(_))
    }
}

/// All that one decision is made of.
pub(super) struct Case<'d> {
    pub(super) lines: Vec<Line<'d>>,
    /// One for each line.
    pub(super) outcomes: Vec<Outcome>,
    pub(super) host: &'d dyn Host,
    pub(super) holder: Option<Holder>,
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
    /// As it was read, with what refused newcomers owe.
    read: Slot,
    /// Whether it is worth writing down.
    unrecorded: bool,
    inherited: usize,
    /// With everything charged that was admitted.
    charged: Slot,
}

impl Page {
    pub(super) fn new(number: usize, slot_key: String) -> Self {
        let (now, read, charged) = (MonoNanos::from_nanos(0), Slot::default(), Slot::default());
        Self { number, slot_key, expect: Expect::Absent, now, read, unrecorded: false, inherited: 0, charged }
    }

    pub(super) fn slot_key(&self) -> &str {
        &self.slot_key
    }

    /// How many newcomers started with a debt.
    pub(super) fn inherited(&self) -> usize {
        self.inherited
    }

    /// Reads the slot and decides on the lines that count here. Writes nothing.
    pub(super) fn judge(&mut self, case: &mut Case<'_>) {
        let reading = read(case.host, &self.slot_key, case.now);
        case.strain.unreadable = case.strain.unreadable.saturating_add(usize::from(reading.unreadable));
        self.expect = reading.expect;
        self.now = reading.now;
        self.read = reading.slot;
        self.charged = self.read.clone();
        self.unrecorded = false;
        self.inherited = 0;
        let number = self.number;
        for (line, outcome) in case.lines.iter().zip(&mut case.outcomes).filter(|(line, _)| line.page == number) {
            let rate = line.rate.map(|rate| self.judge_rate(line, rate));
            let place = match line.place {
                Some(place) if !matches!(rate, Some(Outcome::Refuses(_))) => {
                    Some(self.judge_place(line.tag, place, case.holder, case.host))
                }
                Some(_) | None => None,
            };
            *outcome = match (rate, place) {
                (Some(refused @ Outcome::Refuses(_)), _) | (_, Some(refused @ Outcome::Refuses(_))) => refused,
                (rate, _) => rate.unwrap_or(Outcome::Admits(None)),
            };
        }
    }

    fn judge_rate(&mut self, line: &Line<'_>, rate: Rate) -> Outcome {
        let debt = self.charged.debt(rate.budget, line.tag);
        self.inherited = self.inherited.saturating_add(usize::from(debt.inherited));
        let quota = &line.allowance.quota;
        // A newcomer owes no more than a spent budget, whatever a floor says.
        let owed = if debt.inherited { debt.tat.min(quota.spent(self.now)) } else { debt.tat };
        match decide(owed, self.now, quota, line.cost) {
            Decision::Admit { .. } if !rate.charged => Outcome::Admits(None),
            Decision::Admit { tat, remaining, reset } => {
                if self.charged.owe(rate.budget, line.tag, tat) {
                    Outcome::Admits(Some((remaining, reset)))
                } else {
                    Outcome::Refuses(Why::Crowded { retry_after: NO_ROOM_RETRY })
                }
            }
            Decision::Refuse { retry_after, .. } if debt.inherited => {
                // So that the wait it is told counts from now, and does not grow with what others are forgotten for.
                self.unrecorded |= self.read.owe(rate.budget, line.tag, owed);
                Outcome::Refuses(Why::Crowded { retry_after })
            }
            Decision::Refuse { remaining, retry_after } => {
                Outcome::Refuses(Why::Spent { remaining: remaining.into(), retry_after })
            }
        }
    }

    fn judge_place(&mut self, tag: Tag, place: Place, holder: Option<Holder>, host: &dyn Host) -> Outcome {
        let Place { budget, most, permits, heal } = place;
        let fits = |slot: &Slot| slot.held(budget, tag).saturating_add(permits) <= most;
        if !fits(&self.charged) {
            let others = self.charged.holders(budget).into_iter().filter(|other| Some(*other) != holder);
            for gone in others.filter(|other| is_gone(*other, heal, host, self.now)).collect::<Vec<_>>() {
                self.charged.release_all(budget, gone);
            }
        }
        match holder {
            _ if !fits(&self.charged) => Outcome::Refuses(Why::AtOnce { most }),
            Some(holder) if self.charged.hold(budget, tag, holder, permits) => Outcome::Admits(None),
            Some(_) | None => Outcome::Refuses(Why::Crowded { retry_after: NO_ROOM_RETRY }),
        }
    }

    fn refuses(&self, case: &Case<'_>) -> bool {
        let mut mine = case.lines.iter().zip(&case.outcomes).filter(|(line, _)| line.page == self.number);
        mine.any(|(_, outcome)| !outcome.admits())
    }

    /// Writes down what a refused newcomer owes, charging nothing: so that the wait it was told counts from now.
    pub(super) fn record_debts(&self, case: &Case<'_>) {
        if self.unrecorded {
            // Whoever was faster changed the slot; then the next attempt records.
            let _: Result<(), Conflict> = case.host.shared_set(&self.slot_key, &self.read.encode(), self.expect);
        }
    }

    /// Charges what [`Page::judge`] decided; judges again when another worker was faster.
    pub(super) fn charge(&mut self, case: &mut Case<'_>) -> Result<(), Unpaid> {
        if self.charged == self.read {
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            if case.host.shared_set(&self.slot_key, &self.charged.encode(), self.expect).is_ok() {
                return Ok(());
            }
            case.strain.retries = case.strain.retries.saturating_add(1);
            self.judge(case);
            if self.refuses(case) {
                self.record_debts(case);
                return Err(Unpaid);
            }
        }
        Err(Unpaid)
    }

    /// Takes back what [`Page::charge`] charged and held. A rate that others have charged since stays: part of it has come
    /// back with time, and how much cannot be known, so that giving it back in full could refill the budget. Out: places
    /// that are still held, because others were faster each time.
    pub(super) fn give_back(&self, case: &mut Case<'_>) -> Vec<Settlement> {
        let mine = || case.lines.iter().filter(|line| line.page == self.number);
        for _ in 0..ATTEMPTS {
            let reading = read(case.host, &self.slot_key, case.now);
            let mut slot = reading.slot;
            let mut kept = 0_usize;
            for line in mine() {
                if let Some(Rate { budget, charged: true }) = line.rate {
                    if slot.debt(budget, line.tag) == self.charged.debt(budget, line.tag) {
                        let before = self.read.debt(budget, line.tag).tat.max(reading.now);
                        slot.owe(budget, line.tag, before);
                    } else {
                        kept = kept.saturating_add(1);
                    }
                }
                if let (Some(place), Some(holder)) = (line.place, case.holder) {
                    slot.release(place.budget, line.tag, holder, place.permits);
                }
            }
            if case.host.shared_set(&self.slot_key, &slot.encode(), reading.expect).is_ok() {
                case.strain.kept = case.strain.kept.saturating_add(kept);
                return Vec::new();
            }
        }
        case.strain.kept = case.strain.kept.saturating_add(mine().count());
        let held = |line: &Line<'_>| {
            let release = Release { budget: line.place?.budget, holder: case.holder?, permits: line.place?.permits };
            Some(Settlement { slot_key: self.slot_key.clone(), tag: line.tag, release: Some(release), charge: None })
        };
        mine().filter_map(held).collect()
    }
}
