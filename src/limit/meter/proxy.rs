//! A proxy of the tests: one process with one table of limits, and what callers ask of it.

use std::rc::Rc;
use std::time::Duration;

use crate::fake::FakeHost;
use crate::limit::{Demand, KeyValue, OverLimit, Permits, SharedTable, take};
use crate::policy::{Counts, Fact, FilterId, Limit, Origin, Outcomes, Quota, TableSize};
use crate::time::MonoNanos;

pub(super) const START: MonoNanos = MonoNanos::from_nanos(1_000_000_000_000);
pub(super) const SLOTS: &str = "boundgate/limits/";

pub(super) fn after(nanos: u64) -> MonoNanos {
    START.plus(Duration::from_nanos(nanos))
}

/// A burst that comes back one permit each `interval` ns. All identities of one kind meet in one slot.
pub(super) fn limit(name: &str, key: &[Fact], interval: u64, burst: u32) -> Rc<Limit> {
    let quota = Quota::new(1, Duration::from_nanos(interval), burst).unwrap();
    let origin = Origin { name: name.into(), path: "limits".into() };
    Rc::new(Limit::new(origin, key.to_vec(), quota, TableSize::for_identities(1)))
}

pub(super) fn by_peer(name: &str, interval: u64, burst: u32) -> Rc<Limit> {
    limit(name, &[Fact::Peer], interval, burst)
}

pub(super) fn for_everyone(interval: u64, burst: u32) -> Rc<Limit> {
    limit("everyone", &[], interval, burst)
}

/// Instead of requests, it counts responses, and waits for so many.
pub(super) fn on_responses(limit: Rc<Limit>, undecided: u32) -> Rc<Limit> {
    let outcomes = Outcomes { statuses: vec![401], verifications: false, undecided };
    let limit = Rc::into_inner(limit).unwrap();
    Rc::new(Limit { counts: Counts::Outcomes(outcomes), ..limit })
}

/// What `peer` asks for: one permit of each limit.
pub(super) fn ask<'p>(table: &SharedTable, peer: &str, limits: &[&'p Rc<Limit>]) -> Vec<Demand<'p>> {
    let demand = |limit: &&'p Rc<Limit>| {
        let identity = table.identity(&limit.key, |_| KeyValue::Text(peer.into()));
        Demand { limit, allowance: limit.allowance, identity, cost: 1 }
    };
    limits.iter().map(demand).collect()
}

/// What one worker of `host` knows of the limits of a filter.
pub(super) fn table(host: &FakeHost) -> SharedTable {
    SharedTable::new(FilterId::new(b"filter"), host)
}

/// A process with one worker.
pub(super) struct Proxy {
    pub(super) host: FakeHost,
    pub(super) table: SharedTable,
}

impl Proxy {
    pub(super) fn new() -> Self {
        let host = FakeHost::default();
        let table = table(&host);
        Self { host, table }
    }

    /// Another worker of the process.
    pub(super) fn worker(&self) -> SharedTable {
        table(&self.host)
    }

    pub(super) fn take(&self, peer: &str, limits: &[&Rc<Limit>], now: MonoNanos) -> Result<Permits, OverLimit> {
        take(&ask(&self.table, peer, limits), &self.table, &self.host, now)
    }

    pub(super) fn admits(&self, peer: &str, limits: &[&Rc<Limit>], now: MonoNanos) -> bool {
        self.take(peer, limits, now).is_ok()
    }

    /// Takes all that is left.
    pub(super) fn spend(&self, peer: &str, limit: &Rc<Limit>, now: MonoNanos) -> usize {
        std::iter::repeat_with(|| self.admits(peer, &[limit], now)).take_while(|admitted| *admitted).count()
    }

    /// As many others as there is room for owe a lot.
    pub(super) fn fill_slot(&self, limit: &Rc<Limit>, now: MonoNanos) {
        for other in 0..32 {
            assert_eq!(self.spend(&format!("other-{other}"), limit, now), limit.allowance.quota.burst() as usize);
        }
    }
}
