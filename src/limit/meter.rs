//! One decision over all limits of a request. In: [`Demand`]s. Out: [`Permits`], with everything charged, or
//! [`OverLimit`], with nothing charged. Not here: what happens inside one slot (`page`).
//!
//! All limits are decided on before any is charged. Limits that count the same identity share a slot and are charged
//! in one write. Slots are charged one after another; if another worker takes the last permits of a later one
//! meanwhile, the earlier ones are given back.

use std::rc::Rc;
use std::time::Duration;

use crate::host::Host;
use crate::limit::gcra::{Decision, Quota};
use crate::limit::identity::Identity;
use crate::limit::outcome::{OverLimit, Pending, Permits, Standing, Strain};
use crate::limit::page::{ATTEMPTS, Case, Line, Outcome, Page, Unpaid};
use crate::limit::table::{SharedTable, read};
use crate::policy::{Counts, Limit};
use crate::time::MonoNanos;

/// What a caller is told to wait who has too many requests under way.
const IN_FLIGHT_RETRY: Duration = Duration::from_secs(1);

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
    /// How much this caller may do: the limit's quota, or one of its overrides.
    pub quota: Quota,
    /// Whose budget: an identity of `limit.key`, from [`SharedTable::identity`].
    pub identity: Identity,
    /// Permits; at most the burst, or it is always refused.
    pub cost: u32,
}

impl<'p> From<&'p Pending> for Demand<'p> {
    fn from(pending: &'p Pending) -> Self {
        let Pending { limit, quota, identity, cost, distinct: _ } = pending;
        Self { limit, quota: *quota, identity: *identity, cost: *cost }
    }
}

impl From<Demand<'_>> for Pending {
    fn from(demand: Demand<'_>) -> Self {
        let Demand { limit, quota, identity, cost } = demand;
        Self { limit: Rc::clone(limit), quota, identity, cost, distinct: None }
    }
}

/// Takes what is demanded from all limits, or nothing from any.
///
/// A request that other workers outrun again and again is refused ([`OverLimit::contended`]), and so is one with
/// more than [`crate::limit::MAX_LIMITS_PER_KEY`] limits of one key: never let through uncounted.
pub fn take(
    demands: &[Demand<'_>],
    table: &SharedTable,
    host: &dyn Host,
    now: MonoNanos,
) -> Result<Permits, OverLimit> {
    let (mut case, mut pages) = open(demands, table, host, now);
    for page in &mut pages {
        page.judge(&mut case);
    }
    if !case.outcomes.iter().all(Outcome::admits) {
        for page in &pages {
            page.record_debts(&case);
        }
        return Err(over_limit(case));
    }
    let mut paid = Vec::with_capacity(pages.len());
    for mut page in pages {
        match page.charge(&mut case) {
            Ok(()) => paid.push(page),
            Err(Unpaid) => {
                for page in &paid {
                    page.give_back(&mut case);
                }
                return Err(over_limit(case));
            }
        }
    }
    Ok(permits(case))
}

/// Whether [`take`] would succeed by now. Charges nothing.
pub fn look(demands: &[Demand<'_>], table: &SharedTable, host: &dyn Host, now: MonoNanos) -> Result<(), OverLimit> {
    let (mut case, mut pages) = open(demands, table, host, now);
    for page in &mut pages {
        page.judge(&mut case);
    }
    if case.outcomes.iter().all(Outcome::admits) { Ok(()) } else { Err(over_limit(case)) }
}

/// Gives permits back that were taken for as long as a request lasts. A race lost too often leaves them to come back by
/// the quota.
pub fn release(held: &[Pending], table: &SharedTable, host: &dyn Host, now: MonoNanos) {
    for Pending { limit, quota, identity, cost, .. } in held {
        let (slot_key, tag) = (table.slot_key(&limit.key, *identity), table.tag(*identity, &limit.origin.name));
        for _ in 0..ATTEMPTS {
            let reading = read(host, &slot_key, now);
            let mut slot = reading.slot;
            // Forgotten meanwhile: then nothing is held any more.
            let Some(tat) = slot.get(tag) else { break };
            slot.set(tag, quota.given_back(tat, reading.now, *cost));
            if host.shared_set(&slot_key, &slot.encode(), reading.expect).is_ok() {
                break;
            }
        }
    }
}

/// The lines of a decision, and the pages they stand on.
fn open<'d>(demands: &[Demand<'d>], table: &SharedTable, host: &'d dyn Host, now: MonoNanos) -> (Case<'d>, Vec<Page>) {
    let mut lines: Vec<Line<'_>> = Vec::with_capacity(demands.len());
    let mut pages: Vec<Page> = Vec::new();
    for demand in demands {
        let Demand { limit, quota, identity, cost } = *demand;
        let page = lines.iter().find(|line| line.identity == identity).map(|line| line.page);
        let page = page.unwrap_or_else(|| page_of(table.slot_key(&limit.key, identity), &mut pages));
        lines.push(Line { limit, quota, identity, tag: table.tag(identity, &limit.origin.name), cost, page });
    }
    let outcomes = vec![Outcome::default(); lines.len()];
    (Case { lines, outcomes, host, now, strain: Strain::default() }, pages)
}

/// The number of the page for that slot; identities may meet in one.
fn page_of(slot_key: String, pages: &mut Vec<Page>) -> usize {
    pages.iter().position(|page| page.slot_key() == slot_key).unwrap_or_else(|| {
        let number = pages.len();
        pages.push(Page::new(number, slot_key));
        number
    })
}

fn permits(case: Case<'_>) -> Permits {
    let standings = case.lines.iter().zip(&case.outcomes).filter_map(|(line, outcome)| match outcome.decision {
        Some(Decision::Admit { remaining, reset, .. }) => {
            Some(Standing { limit: Rc::clone(line.limit), quota: line.quota, remaining: remaining.into(), reset })
        }
        Some(Decision::Refuse { .. }) | None => None,
    });
    Permits::new(standings.collect(), strain(&case))
}

fn over_limit(case: Case<'_>) -> OverLimit {
    let violated = case.lines.iter().zip(&case.outcomes).filter_map(|(line, outcome)| match outcome.decision {
        Some(Decision::Refuse { remaining, retry_after }) => Some(Standing {
            limit: Rc::clone(line.limit),
            quota: line.quota,
            remaining: remaining.into(),
            // When another request ends cannot be known.
            reset: if line.limit.counts == Counts::InFlight { IN_FLIGHT_RETRY } else { retry_after },
        }),
        Some(Decision::Admit { .. }) | None => None,
    });
    OverLimit::new(violated.collect(), strain(&case))
}

fn strain(case: &Case<'_>) -> Strain {
    Strain { inherited: case.outcomes.iter().filter(|outcome| outcome.inherited).count(), ..case.strain }
}
