//! What becomes of permits once more is known: the outcome of a request, or its end. In: permits, a status, time. Out: what is
//! counted, what is free again, and events. Every end of a request goes through [`ended`], which leaves nothing behind.
//! Not here: taking permits (`limits`), what a response says (`outcome`).

use crate::host::Host;
use crate::limit::{Demand, Pending, Permits, Strain, conclude, spend};
use crate::policy::Event;
use crate::time::Now;
use crate::worker::{Counter, Worker};

/// Counts a response of the upstream with this status, once, and says what it makes of what was seen before. `None`: the
/// answer is not the upstream's, and nothing is counted.
pub fn responded(
    permits: &mut Permits,
    status: Option<u16>,
    worker: &mut Worker,
    host: &dyn Host,
    now: Now,
) -> Vec<Event> {
    let pending = permits.take_awaiting_response();
    let counts = |pending: &Pending| status.is_some_and(|status| pending.limit.counts.response(status));
    count_afterwards(&pending, counts, worker, host, now)
}

/// The request ended: what it held while it lasted is free again. Whoever did not wait for the answer is counted as if it were
/// the worst, where a place was held for it: hanging up is no way to try for free.
pub fn ended(permits: &mut Permits, worker: &Worker, host: &dyn Host, now: Now) {
    let unanswered = |pending: &Pending| pending.limit.counts.any_response() && pending.held_by.is_some();
    conclude(&permits.take_pending(), unanswered, worker.limits(), host, now.mono);
}

/// Counts what has happened. Where nobody is refused for it, what is beyond the budget is not counted, but raises the event.
pub(super) fn count_afterwards(
    pending: &[Pending],
    counts: impl Fn(&Pending) -> bool,
    worker: &mut Worker,
    host: &dyn Host,
    now: Now,
) -> Vec<Event> {
    if pending.is_empty() {
        return Vec::new();
    }
    conclude(pending, |pending| pending.limit.watch.is_none() && counts(pending), worker.limits(), host, now.mono);
    let watching = pending.iter().filter(|pending| pending.limit.watch.is_some() && counts(pending));
    let events: Vec<Event> = watching.filter_map(|pending| watch(pending, worker, host, now)).collect();
    for event in &events {
        worker.count(raised(*event), 1);
    }
    events
}

fn watch(pending: &Pending, worker: &Worker, host: &dyn Host, now: Now) -> Option<Event> {
    let Pending { limit, allowance, identity, cost, .. } = pending;
    let watch = limit.watch.as_ref()?;
    let table = worker.limits();
    if let (Some(first), Some(identity)) = (watch.distinct.as_ref(), pending.distinct) {
        let seen_first = Demand { limit: first, allowance: first.allowance, identity, cost: 1 };
        spend(&[seen_first], table, host, now.mono).ok()?;
    }
    let counted = Demand { limit, allowance: *allowance, identity: *identity, cost: *cost };
    let over = spend(&[counted], table, host, now.mono).err()?;
    (!over.contended()).then_some(watch.event)
}

fn raised(event: Event) -> Counter {
    match event {
        Event::BruteForce => Counter::EventBruteForce,
        Event::Enumeration => Counter::EventEnumeration,
        Event::CredentialStuffing => Counter::EventCredentialStuffing,
    }
}

pub(super) fn note_strain(strain: Strain, worker: &mut Worker) {
    worker.count(Counter::LimitInherited, strain.inherited);
    worker.count(Counter::LimitUnreadable, strain.unreadable);
}
