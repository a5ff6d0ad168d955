//! Limits that can never refuse, because another one of the same route always refuses before. In: the compiled resources
//! and limits. Out: doubts.

use std::collections::HashMap;
use std::rc::Rc;

use crate::config::reading::doubts::DoubtSetting;
use crate::config::reading::finding::{Findings, Place};
use crate::policy::{Charges, Counts, Limit, Quota, Resource};

/// The limits of `resources`, which are all understood.
pub(in crate::config) fn check(resources: &[Rc<Resource>], limits: &[Rc<Limit>], findings: &mut Findings) {
    let mut uses: HashMap<*const Limit, Vec<&Charges>> = HashMap::new();
    for route in resources.iter().flat_map(|resource| resource.routes.iter()) {
        for charge in route.limits.iter() {
            uses.entry(Rc::as_ptr(&charge.limit)).or_default().push(&route.limits);
        }
    }
    for (index, limit) in limits.iter().enumerate() {
        let Some(uses) = uses.get(&Rc::as_ptr(limit)) else { continue };
        let stands_beside = |other: &Rc<Limit>| {
            let has = |charges: &&Charges| charges.iter().any(|charge| Rc::ptr_eq(&charge.limit, other));
            uses.iter().all(has)
        };
        // Of two that allow the same, the second is idle.
        let is_stricter = |place: usize, other: &Limit| {
            place != index && refuses_before(other, limit) && (place < index || !refuses_before(limit, other))
        };
        let others = || limits.iter().enumerate();
        let Some((_, other)) = others().find(|(place, other)| is_stricter(*place, other) && stands_beside(other))
        else {
            continue;
        };
        let at = Place::of(&limit.origin);
        let finding = format!(
            "never refuses: {} counts the same callers on all its routes, and allows no more",
            other.origin.path
        );
        findings.doubt(DoubtSetting::IdleLimit, &at, &at, finding, "Make it stricter, or remove it.");
    }
}

/// Whether `limit` refuses whatever `other` would, where both are charged: the same callers or more together, no higher a
/// rate, no more at once. A quota that changes with the caller or the hour is left alone.
fn refuses_before(limit: &Limit, other: &Limit) -> bool {
    let counts = match (&limit.counts, &other.counts) {
        (Counts::Requests, Counts::Requests) => true,
        (Counts::InFlight(_), Counts::InFlight(_)) => true,
        (Counts::Requests | Counts::Outcomes(_) | Counts::InFlight(_), _) => false,
    };
    let is_plain = |limit: &Limit| !limit.shadow && limit.fleet.is_none() && limit.watch.is_none();
    let mine = limit.allowance.quota;
    let allows_more = |theirs: Quota| {
        theirs.burst() >= mine.burst()
            && (theirs.interval() <= mine.interval() || matches!(other.counts, Counts::InFlight(_)))
    };
    let theirs = other.overrides.iter().map(|other| other.allowance.quota).chain([other.allowance.quota]);
    counts
        && is_plain(limit)
        && is_plain(other)
        && limit.overrides.is_empty()
        && limit.key.iter().all(|part| other.key.contains(part))
        && theirs.into_iter().all(allows_more)
}
