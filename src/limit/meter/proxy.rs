//! A proxy of the tests: one process with one table of limits, and what callers ask of it.

use std::rc::Rc;
use std::time::Duration;

use crate::fake::FakeHost;
use crate::limit::{Demand, KeyValue, OverLimit, Permits, Quota, SharedTable, take};
use crate::policy::{KeyPart, Limit, Origin};
use crate::time::MonoNanos;

pub(super) const START: MonoNanos = MonoNanos::from_nanos(1_000_000_000_000);
pub(super) const SLOTS: &str = "boundgate/limits/";

pub(super) fn after(nanos: u64) -> MonoNanos {
    START.plus(Duration::from_nanos(nanos))
}

/// A burst that comes back one permit each `interval` ns.
pub(super) fn limit(name: &str, key: &[KeyPart], interval: u64, burst: u32) -> Rc<Limit> {
    let quota = Quota::new(1, Duration::from_nanos(interval), burst).unwrap();
    let origin = Origin { name: name.into(), path: "limits".into() };
    Rc::new(Limit::new(origin, key.to_vec(), quota))
}

pub(super) fn by_peer(name: &str, interval: u64, burst: u32) -> Rc<Limit> {
    limit(name, &[KeyPart::Peer], interval, burst)
}

pub(super) fn for_everyone(interval: u64, burst: u32) -> Rc<Limit> {
    limit("everyone", &[], interval, burst)
}

/// What `peer` asks for: one permit of each limit.
pub(super) fn ask<'p>(table: &SharedTable, peer: &str, limits: &[&'p Rc<Limit>]) -> Vec<Demand<'p>> {
    let demand = |limit: &&'p Rc<Limit>| {
        let identity = table.identity(&limit.key, |_| KeyValue::Text(peer.into()));
        Demand { limit, quota: limit.quota, identity, cost: 1 }
    };
    limits.iter().map(demand).collect()
}

/// A process with one table.
pub(super) struct Proxy {
    pub(super) host: FakeHost,
    pub(super) table: SharedTable,
}

impl Proxy {
    pub(super) fn sized_for(identities: u32) -> Self {
        let host = FakeHost::default();
        let table = SharedTable::new("limits", identities, &host);
        Self { host, table }
    }

    /// All identities of one kind meet in one slot.
    pub(super) fn with_one_slot() -> Self {
        Self::sized_for(1)
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

    /// Sixteen others who owe a lot fill the only slot.
    pub(super) fn fill_slot(&self, limit: &Rc<Limit>, now: MonoNanos) {
        for other in 0..16 {
            assert_eq!(self.spend(&format!("other-{other}"), limit, now), limit.quota.burst() as usize);
        }
    }
}
