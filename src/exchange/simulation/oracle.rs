//! What promises.md says, checked on a log of what happened. In: what was let in, counted, held and refused, each with the stretch
//! of time of its callback and its place in the order of all. Out: nothing, or the promise that was broken. It knows budgets by
//! name and sums over stretches of time, and no algorithm.
//!
//! A callback reads the clock once and then may stand still, so that its charge happens at some moment between its begin and
//! its end. What must not be more is therefore counted where a callback lies within a stretch as a whole; what may excuse
//! a refusal counts if it could have been there.

use std::collections::BTreeMap;

use super::world::Rate;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) time: u64,
    /// Its place in the order of all moments.
    pub(super) order: u64,
}

/// From the begin of a callback to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Moment,
    pub(super) to: Moment,
}

/// What a budget was charged, or may have been.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent {
    pub(super) request: u32,
    pub(super) span: Span,
    pub(super) cost: u32,
    /// Counted by the promise; else it only excuses refusals.
    pub(super) certain: bool,
    /// Whether it may be owed once the callback is over.
    pub(super) lasting: bool,
    pub(super) worker: usize,
}

/// A place of a request that is limited at once, or whose outcome is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) request: u32,
    pub(super) worker: usize,
    pub(super) asked: Span,
    /// The request passed; else it only excuses refusals.
    pub(super) certain: bool,
    pub(super) permits: u32,
    pub(super) most: u32,
    /// The callback in which it was given back.
    pub(super) ended: Option<Span>,
}

/// The end of everything.
const NEVER: u64 = u64::MAX;

#[derive(Debug)]
struct Entry<T> {
    what: T,
    /// By when it surely is written: the time of a charge, the place in the order of the end of a place.
    by: u64,
}

#[derive(Debug)]
struct Denied {
    request: u32,
    span: Span,
    permits: u32,
    most: u32,
}

#[derive(Debug)]
struct Budget {
    rate: Rate,
    /// How much more may be counted, since it was let in before.
    beyond: u32,
    spent: Vec<Entry<Spent>>,
    denied: Vec<Denied>,
}

#[derive(Debug, Default)]
struct Places {
    /// The silence after which a worker holds nothing.
    heal: u64,
    held: Vec<Entry<Held>>,
    denied: Vec<Denied>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    budgets: BTreeMap<String, Budget>,
    places: BTreeMap<String, Places>,
    lost: BTreeMap<usize, Moment>,
}

impl Ledger {
    fn budget(&mut self, account: &str, rate: Rate) -> &mut Budget {
        let new = || Budget { rate, beyond: 0, spent: Vec::new(), denied: Vec::new() };
        self.budgets.entry(account.to_owned()).or_insert_with(new)
    }

    /// `beyond`: how much more than the rate allows may be counted at most.
    pub(super) fn spend(&mut self, account: &str, rate: Rate, beyond: u32, spent: Spent) {
        let budget = self.budget(account, rate);
        budget.beyond = budget.beyond.max(beyond);
        budget.spent.push(Entry { what: spent, by: NEVER });
    }

    /// A request was refused because that budget is spent.
    pub(super) fn deny(&mut self, account: &str, rate: Rate, request: u32, span: Span, permits: u32) {
        self.budget(account, rate).denied.push(Denied { request, span, permits, most: 0 });
    }

    pub(super) fn hold(&mut self, place: &str, heal: u64, held: Held) {
        let places = self.places.entry(place.to_owned()).or_default();
        places.heal = places.heal.max(heal);
        places.held.push(Entry { what: held, by: NEVER });
    }

    /// A request gave a place back.
    pub(super) fn end(&mut self, place: &str, request: u32, span: Span) {
        let held = self.places.get_mut(place).into_iter().flat_map(|places| &mut places.held);
        for entry in held.filter(|entry| entry.what.request == request && entry.what.ended.is_none()) {
            entry.what.ended = Some(span);
        }
    }

    /// A request was refused because so many are held.
    pub(super) fn deny_place(&mut self, place: &str, request: u32, span: Span, permits: u32, most: u32) {
        let places = self.places.entry(place.to_owned()).or_default();
        places.denied.push(Denied { request, span, permits, most });
    }

    /// By now, all that a worker had to write is written.
    pub(super) fn settled(&mut self, worker: usize, now: Moment) {
        let spent = self.budgets.values_mut().flat_map(|budget| &mut budget.spent);
        for entry in spent.filter(|entry| entry.by == NEVER && entry.what.worker == worker) {
            entry.by = now.time;
        }
        let held = self.places.values_mut().flat_map(|places| &mut places.held);
        for entry in held.filter(|entry| entry.by == NEVER && entry.what.worker == worker) {
            if entry.what.ended.is_some() {
                entry.by = now.order;
            }
        }
    }

    pub(super) fn lose(&mut self, worker: usize, now: Moment) {
        self.lost.insert(worker, now);
    }

    pub(super) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Every promise, on all that happened.
    pub(super) fn check(&self) -> Result<(), String> {
        for (account, budget) in &self.budgets {
            budget.check().map_err(|fault| format!("{account}: {fault}"))?;
        }
        for (place, places) in &self.places {
            places.check(&self.lost).map_err(|fault| format!("{place}: {fault}"))?;
        }
        Ok(())
    }
}

impl Budget {
    fn check(&self) -> Result<(), String> {
        self.has_given_no_more_than_promised()?;
        for denied in &self.denied {
            if !self.excuses(denied) {
                return Err(format!(
                    "request {} was refused {} of {:?} at {:?} without need: {:?}",
                    denied.request, denied.permits, self.rate, denied.span, self.spent
                ));
            }
        }
        Ok(())
    }

    /// In any stretch of time at most the burst, the rate and what may be beyond it.
    fn has_given_no_more_than_promised(&self) -> Result<(), String> {
        let interval = u128::from(self.rate.interval());
        let most = u128::from(self.rate.burst) + u128::from(self.beyond);
        let certain = || self.spent.iter().map(|entry| entry.what).filter(|spent| spent.certain);
        for first in certain() {
            let from = first.span.from.time;
            let mut within: Vec<Spent> = certain().filter(|spent| spent.span.from.time >= from).collect();
            within.sort_by_key(|spent| spent.span.to.time);
            let mut sum = 0;
            for (place, spent) in within.iter().enumerate() {
                sum += u128::from(spent.cost);
                let last = within.get(place + 1).is_none_or(|next| next.span.to.time > spent.span.to.time);
                let stretch = u128::from(spent.span.to.time - from);
                if last && sum * interval > most * interval + stretch {
                    return Err(format!(
                        "{sum} in {stretch} ns from {from}, where {:?} and {} more were promised: {within:?}",
                        self.rate, self.beyond
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether there is a stretch of time up to the refusal that holds so much that one more would have been too much.
    fn excuses(&self, denied: &Denied) -> bool {
        let interval = u128::from(self.rate.interval());
        let before = |entry: &&Entry<Spent>| {
            let Spent { request, span, lasting, .. } = entry.what;
            request != denied.request
                && span.from.order < denied.span.to.order
                && (lasting || span.to.order > denied.span.from.order)
        };
        let mut owed: Vec<(u64, u128)> =
            self.spent.iter().filter(before).map(|entry| (entry.by, u128::from(entry.what.cost))).collect();
        owed.sort_unstable();
        owed.reverse();
        let mut sum = u128::from(denied.permits);
        let too_much =
            |sum: u128, stretch: u64| sum * interval > u128::from(self.rate.burst) * interval + u128::from(stretch);
        too_much(sum, 0)
            || owed.iter().any(|(by, cost)| {
                sum += cost;
                too_much(sum, denied.span.from.time.saturating_sub(*by))
            })
    }
}

impl Places {
    fn check(&self, lost: &BTreeMap<usize, Moment>) -> Result<(), String> {
        self.were_never_too_many(lost)?;
        for denied in &self.denied {
            let possible = self.held.iter().filter(|entry| self.may_be_held(entry, denied, lost));
            let held: u32 = possible.map(|entry| entry.what.permits).sum();
            if held + denied.permits <= denied.most {
                return Err(format!(
                    "request {} was refused a place of {} at {:?} without need: {:?}",
                    denied.request, denied.most, denied.span, self.held
                ));
            }
        }
        Ok(())
    }

    fn may_be_held(&self, entry: &Entry<Held>, denied: &Denied, lost: &BTreeMap<usize, Moment>) -> bool {
        let held = entry.what;
        let healed = |lost: &Moment| denied.span.from.time >= lost.time + self.heal;
        held.request != denied.request
            && held.asked.from.order < denied.span.to.order
            && entry.by > denied.span.from.order
            && !lost.get(&held.worker).is_some_and(healed)
    }

    /// Of those that passed and have not ended, and whose worker lives.
    fn were_never_too_many(&self, lost: &BTreeMap<usize, Moment>) -> Result<(), String> {
        let certain = || self.held.iter().map(|entry| entry.what).filter(|held| held.certain);
        let most = certain().map(|held| held.most).max().unwrap_or(0);
        for one in certain() {
            let surely = |other: &Held, since: u64, until: u64| {
                let ended = other.ended.map_or(NEVER, |ended| ended.from.order);
                let gone = lost.get(&other.worker).map_or(NEVER, |lost| lost.order);
                other.asked.to.order <= since && ended.min(gone) > until
            };
            let sum =
                |since, until| certain().filter(|other| surely(other, since, until)).map(|held| held.permits).sum();
            let now = one.asked.to.order;
            let together: u32 = sum(now, now);
            // Those that were there all the while it was judged: its own version's number holds for these and it.
            let with_it: u32 = sum(one.asked.from.order, now) + one.permits;
            if together > most || with_it > one.most {
                return Err(format!(
                    "{together} at once where {most} may be, {with_it} with request {} where {} may be: {:?}",
                    one.request, one.most, self.held
                ));
            }
        }
        Ok(())
    }
}
