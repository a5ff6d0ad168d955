//! The last word about a request in one slot: a place that is free again, an outcome that is counted. In: what is to be
//! written. Out: a slot in which it is. It must be written, however others race for the slot: what is not is kept by the
//! table and tried again.
//! Not here: which outcomes count (`exchange`), what is decided beforehand (`page`).

use crate::host::Host;
use crate::limit::identity::Tag;
use crate::limit::reading::{ATTEMPTS, read};
use crate::policy::{BudgetId, Quota};
use crate::shared::Holder;
use crate::time::MonoNanos;

/// The most that somebody can owe beyond a spent budget: outcomes that were undecided when it was spent. As many as may be
/// undecided by any configuration.
const MOST_BEYOND: u32 = 10_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Settlement {
    pub(super) slot_key: String,
    pub(super) tag: Tag,
    pub(super) release: Option<Release>,
    pub(super) charge: Option<Charge>,
}

/// A place that is free again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Release {
    pub(super) budget: BudgetId,
    pub(super) holder: Holder,
    pub(super) permits: u32,
}

/// An outcome that is counted, whatever is left: what was let pass before it was known may cost more than that, and is owed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    pub(super) budget: BudgetId,
    pub(super) quota: Quota,
    pub(super) cost: u32,
}

/// Writes all that concerns the first one's slot. Out: what is left, in any order; and whether it was written.
pub(super) fn settle(mut all: Vec<Settlement>, host: &dyn Host, now: MonoNanos) -> (Vec<Settlement>, bool) {
    let Some(slot_key) = all.first().map(|first| first.slot_key.clone()) else { return (all, true) };
    let these: Vec<Settlement> = all.extract_if(.., |one| one.slot_key == slot_key).collect();
    for _ in 0..ATTEMPTS {
        let mut reading = read(host, &slot_key, now);
        for Settlement { tag, release, charge, .. } in &these {
            if let Some(Release { budget, holder, permits }) = release {
                reading.slot.release(*budget, *tag, *holder, *permits);
            }
            if let Some(Charge { budget, quota, cost }) = charge {
                let owed = reading.slot.debt(*budget, *tag).tat.max(reading.now).as_nanos();
                let most = reading.now.plus(quota.window()).as_nanos().saturating_add(quota.price(MOST_BEYOND));
                let owes = owed.saturating_add(quota.price(*cost)).min(most).max(owed);
                reading.slot.owe(*budget, *tag, MonoNanos::from_nanos(owes));
            }
        }
        if host.shared_set(&slot_key, &reading.slot.encode(), reading.expect).is_ok() {
            return (all, true);
        }
    }
    all.extend(these);
    (all, false)
}
