//! One decision over all limits of a request. In: [`Demand`]s. Out: [`Permits`], with everything charged, or
//! [`OverLimit`], with nothing charged. Not here: what happens inside one slot (`page`).
//!
//! All limits are decided on before any is charged. Limits that count the same identity share a slot and are charged
//! in one write. Slots are charged one after another; if another worker takes the last permits of a later one
//! meanwhile, the earlier ones are given back.

use std::rc::Rc;
use std::time::Duration;

use crate::host::Host;
use crate::limit::identity::Identity;
use crate::limit::outcome::{OverLimit, Pending, Permits, Standing, Strain, Violation};
use crate::limit::page::{Case, Line, Outcome, Page, Place, Rate, Unpaid};
use crate::limit::settlement::{Charge, Release, Settlement};
use crate::limit::table::SharedTable;
use crate::policy::{Allowance, Counts, Limit};
use crate::time::MonoNanos;

/// The silence after which a worker waits for no outcome any more: its requests died with it.
const UNDECIDED_HEAL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod tests;

/// What a request asks of one limit.
#[derive(Clone, Debug)]
pub struct Demand<'p> {
    /// The limit.
    pub limit: &'p Rc<Limit>,
    /// How much this caller may do: what the limit allows, or one of its overrides.
    pub allowance: Allowance,
    /// Whose budget: an identity of `limit.key`, from [`SharedTable::identity`].
    pub identity: Identity,
    /// Permits; at most the burst, or it is always refused.
    pub cost: u32,
}

impl From<Demand<'_>> for Pending {
    /// Without a place held for it.
    fn from(demand: Demand<'_>) -> Self {
        let Demand { limit, allowance, identity, cost } = demand;
        Self { limit: Rc::clone(limit), allowance, identity, cost, distinct: None, held_by: None }
    }
}

/// Takes what is demanded from all limits, or nothing from any: permits of rates, places of what is limited at once, and
/// where outcomes are counted a place until the outcome is known.
///
/// A request that other workers outrun again and again is refused ([`OverLimit::contended`]): never let through uncounted.
pub fn take(
    demands: &[Demand<'_>],
    table: &SharedTable,
    host: &dyn Host,
    now: MonoNanos,
) -> Result<Permits, OverLimit> {
    charge(demands, asked, table, host, now)
}

/// Charges what has happened, or is about to, at once: also where `take` would wait for an outcome.
pub fn spend(demands: &[Demand<'_>], table: &SharedTable, host: &dyn Host, now: MonoNanos) -> Result<(), OverLimit> {
    charge(demands, rate, table, host, now).map(drop)
}

/// Charges in advance for work, and takes the charge back where something comes of it.
pub fn venture<T>(
    demands: &[Demand<'_>],
    table: &SharedTable,
    host: &dyn Host,
    now: MonoNanos,
    work: impl FnOnce() -> Option<T>,
) -> Result<Option<T>, OverLimit> {
    let (mut case, pages) = charged(demands, rate, table, host, now)?;
    let made = work();
    if made.is_some() {
        for page in &pages {
            let unsettled = page.give_back(&mut case);
            table.settle(unsettled, host, now);
        }
    }
    Ok(made)
}

type Asked = (Option<Rate>, Option<Place>);

/// What has happened is charged at once.
fn rate(_: &Limit, allowance: &Allowance, _: u32, table: &SharedTable) -> Asked {
    (Some(Rate { budget: table.own(allowance.budget), charged: true }), None)
}

fn charge(
    demands: &[Demand<'_>],
    asked: impl Fn(&Limit, &Allowance, u32, &SharedTable) -> Asked,
    table: &SharedTable,
    host: &dyn Host,
    now: MonoNanos,
) -> Result<Permits, OverLimit> {
    charged(demands, asked, table, host, now).map(|(case, pages)| permits(&case, &pages))
}

/// The decision, and where it was charged.
fn charged<'d>(
    demands: &[Demand<'d>],
    asked: impl Fn(&Limit, &Allowance, u32, &SharedTable) -> Asked,
    table: &SharedTable,
    host: &'d dyn Host,
    now: MonoNanos,
) -> Result<(Case<'d>, Vec<Page>), OverLimit> {
    let (mut case, mut pages) = open(demands, asked, table, host, now);
    for page in &mut pages {
        page.judge(&mut case);
    }
    if !case.outcomes.iter().all(Outcome::admits) {
        for page in &pages {
            page.record_debts(&case);
        }
        return Err(over_limit(&case, &pages));
    }
    for number in 0..pages.len() {
        let paid = pages.get_mut(number).map(|page| page.charge(&mut case));
        if let Some(Err(Unpaid)) = paid {
            for page in pages.iter().take(number) {
                let unsettled = page.give_back(&mut case);
                table.settle(unsettled, host, now);
            }
            return Err(over_limit(&case, &pages));
        }
    }
    Ok((case, pages))
}

/// Whether [`take`] would succeed by now. Charges nothing.
pub fn look(demands: &[Demand<'_>], table: &SharedTable, host: &dyn Host, now: MonoNanos) -> Result<(), OverLimit> {
    let (mut case, mut pages) = open(demands, asked, table, host, now);
    for page in &mut pages {
        page.judge(&mut case);
    }
    if case.outcomes.iter().all(Outcome::admits) { Ok(()) } else { Err(over_limit(&case, &pages)) }
}

/// Says the last word: frees what is held, and counts those outcomes that `counted` names, whatever is left for them.
pub fn conclude(
    pending: &[Pending],
    counted: impl Fn(&Pending) -> bool,
    table: &SharedTable,
    host: &dyn Host,
    now: MonoNanos,
) {
    let settlement = |pending: &Pending| {
        let Pending { limit, allowance, identity, cost, held_by, .. } = pending;
        let release = held_by.map(|holder| {
            let (budget, permits) = match limit.counts {
                Counts::InFlight(_) => (allowance.budget, *cost),
                Counts::Requests | Counts::Outcomes(_) => (allowance.undecided, 1),
            };
            Release { budget: table.own(budget), holder, permits }
        });
        let charge = counted(pending).then(|| Charge {
            budget: table.own(allowance.budget),
            quota: allowance.quota,
            cost: *cost,
        });
        let wanted = release.is_some() || charge.is_some();
        let slot_key = || table.slot_key(limit, *identity);
        wanted.then(|| Settlement { slot_key: slot_key(), tag: identity.tag(), release, charge })
    };
    table.settle(pending.iter().filter_map(settlement).collect(), host, now);
}

/// The lines of a decision, and the pages they stand on.
fn open<'d>(
    demands: &[Demand<'d>],
    asked: impl Fn(&Limit, &Allowance, u32, &SharedTable) -> Asked,
    table: &SharedTable,
    host: &'d dyn Host,
    now: MonoNanos,
) -> (Case<'d>, Vec<Page>) {
    let mut lines: Vec<Line<'_>> = Vec::with_capacity(demands.len());
    let mut pages: Vec<Page> = Vec::new();
    for Demand { limit, allowance, identity, cost } in demands {
        let known = |line: &&Line<'_>| line.identity == *identity && line.limit.table == limit.table;
        let page = lines.iter().find(known).map(|line| line.page);
        let page = page.unwrap_or_else(|| page_of(table.slot_key(limit, *identity), &mut pages));
        let (rate, place) = asked(limit, allowance, *cost, table);
        let (allowance, tag) = (*allowance, identity.tag());
        lines.push(Line { limit, allowance, identity: *identity, tag, cost: *cost, rate, place, page });
    }
    let outcomes = vec![Outcome::default(); lines.len()];
    let holds = lines.iter().any(|line| line.place.is_some());
    let holder = if holds { table.holder(host, now) } else { None };
    (Case { lines, outcomes, host, holder, now, strain: Strain::default() }, pages)
}

/// What a request asks of a limit.
fn asked(limit: &Limit, allowance: &Allowance, cost: u32, table: &SharedTable) -> Asked {
    let budget = table.own(allowance.budget);
    match &limit.counts {
        Counts::Requests => (Some(Rate { budget, charged: true }), None),
        Counts::InFlight(at_once) => {
            let most = allowance.quota.burst();
            (None, Some(Place { budget, most, permits: cost, heal: at_once.heal }))
        }
        Counts::Outcomes(outcomes) => {
            let (budget_of_places, most) = (table.own(allowance.undecided), outcomes.undecided);
            let place = Place { budget: budget_of_places, most, permits: 1, heal: UNDECIDED_HEAL };
            (Some(Rate { budget, charged: false }), outcomes.any_status().then_some(place))
        }
    }
}

/// The number of the page for that slot; identities may meet in one.
fn page_of(slot_key: String, pages: &mut Vec<Page>) -> usize {
    pages.iter().position(|page| page.slot_key() == slot_key).unwrap_or_else(|| {
        let number = pages.len();
        pages.push(Page::new(number, slot_key));
        number
    })
}

fn permits(case: &Case<'_>, pages: &[Page]) -> Permits {
    let lines = || case.lines.iter().zip(&case.outcomes);
    let standings = lines().filter_map(|(line, outcome)| match outcome {
        Outcome::Admits(Some((remaining, reset))) => {
            let (limit, quota) = (Rc::clone(line.limit), line.allowance.quota);
            Some(Standing { limit, quota, remaining: (*remaining).into(), reset: *reset })
        }
        _ => None,
    });
    let held = lines().filter(|(line, _)| line.place.is_some()).map(|(line, _)| Pending {
        limit: Rc::clone(line.limit),
        allowance: line.allowance,
        identity: line.identity,
        cost: line.cost,
        distinct: None,
        held_by: case.holder,
    });
    Permits::new(standings.collect(), held.collect(), strain(case, pages))
}

fn over_limit(case: &Case<'_>, pages: &[Page]) -> OverLimit {
    let violated = case.lines.iter().zip(&case.outcomes).filter_map(|(line, outcome)| match outcome {
        Outcome::Refuses(why) => {
            Some(Violation { limit: Rc::clone(line.limit), quota: line.allowance.quota, why: *why })
        }
        Outcome::Open | Outcome::Admits(_) => None,
    });
    OverLimit::new(violated.collect(), strain(case, pages))
}

fn strain(case: &Case<'_>, pages: &[Page]) -> Strain {
    let inherited = pages.iter().map(Page::inherited).sum();
    Strain { inherited, ..case.strain }
}
