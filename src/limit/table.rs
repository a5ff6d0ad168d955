//! Tables of slots in the data that all workers share. In: a key's parts and an identity. Out: the slot that counts
//! it. Not here: what a slot holds (`slot`), deciding and charging (`page`, `meter`).
//!
//! Keys of shared data can never be deleted, so identities do not get keys of their own: a table has a fixed number
//! of slots, and the identity chooses one. Each kind of key (`client_id`, `ip`, …) has its own table: a flood of
//! addresses cannot push clients out. All limits that count the same identity stand in the same slot, each with entries
//! of its own.

use std::cell::RefCell;
use std::fmt::Write;

use crate::host::Host;
use crate::limit::identity::Identity;
use crate::limit::parts::KeyValue;
use crate::limit::settlement::{Settlement, settle};
use crate::limit::slot::{BYTES, MOST_ENTRIES};
use crate::policy::{BudgetId, Fact, FilterId, Limit, TableSize};
use crate::shared::{Holder, Presence, Secret};
use crate::time::MonoNanos;

/// Raised when the meaning of stored bytes changes: then all begin afresh instead of misreading each other.
const LAYOUT: u32 = 2;

/// The tables of one filter: one for each kind of key. Costs nothing until it is used.
#[derive(Debug)]
pub struct SharedTable {
    filter: FilterId,
    secret: Secret,
    presence: RefCell<Presence>,
    /// What could not be written yet, because others were faster each time.
    unsettled: RefCell<Vec<Settlement>>,
}

/// Bytes of the proxy's memory that one kind of key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableMemory {
    /// With as many identities as it was made for.
    pub made_for: u64,
    /// At most, whatever comes.
    pub most: u64,
}

impl TableMemory {
    /// Of one kind of key that `limits` limits count by: the stored values, and for each about as much as a short one again
    /// for its key, the map's node and two allocations.
    pub fn of(size: TableSize, limits: usize) -> Self {
        const BESIDE_THE_VALUE: u64 = 176;
        let [slot, section, entry] = BYTES.map(|bytes| bytes as u64);
        let with = |entries: u64| {
            let section = section.saturating_add(entry.saturating_mul(entries));
            let value = slot.saturating_add(section.saturating_mul(limits as u64));
            size.slots().saturating_mul(BESIDE_THE_VALUE.saturating_add(value))
        };
        Self { made_for: with(TableSize::IDENTITIES_PER_SLOT), most: with(MOST_ENTRIES as u64) }
    }
}

impl SharedTable {
    /// The tables of `filter`: limits of another one are never the same.
    pub fn new(filter: FilterId, host: &dyn Host) -> Self {
        Self { filter, secret: Secret::agree(host), presence: RefCell::default(), unsettled: RefCell::default() }
    }

    /// The identity that `key` counts, with the values that `value_of` gives its parts.
    pub fn identity<'k, 'v>(&self, key: &'k [Fact], value_of: impl FnMut(&'k Fact) -> KeyValue<'v>) -> Identity {
        self.secret.identity(key, value_of)
    }

    /// Time passes: this worker says that it lives, so that nobody frees what it holds, and writes what it could not write
    /// before.
    pub fn tick(&self, host: &dyn Host, now: MonoNanos) {
        self.presence.borrow_mut().beat(host, now);
        let unsettled = self.unsettled.take();
        self.settle(unsettled, host, now);
    }

    /// Whether all last words are written.
    pub fn is_settled(&self) -> bool {
        self.unsettled.borrow().is_empty()
    }

    pub(super) fn settle(&self, mut settlements: Vec<Settlement>, host: &dyn Host, now: MonoNanos) {
        while !settlements.is_empty() {
            let (rest, written) = settle(settlements, host, now);
            settlements = rest;
            if !written {
                self.unsettled.borrow_mut().append(&mut settlements);
            }
        }
    }

    /// Who holds what this worker's requests hold.
    pub(super) fn holder(&self, host: &dyn Host, now: MonoNanos) -> Option<Holder> {
        self.presence.borrow_mut().me(host, now)
    }

    /// The budget of this filter.
    pub(super) fn own(&self, budget: BudgetId) -> BudgetId {
        budget.in_filter(self.filter)
    }

    /// The key of the slot where `limit` counts `identity`, an identity of its key.
    pub(super) fn slot_key(&self, limit: &Limit, identity: Identity) -> String {
        let mut name = String::with_capacity(64);
        name.push_str("boundgate/limits");
        for (part, separator) in limit.key.iter().zip(std::iter::once('/').chain(std::iter::repeat('+'))) {
            let (kind, claim) = part.kind();
            name.push(separator);
            name.push_str(kind);
            name.push_str(claim);
        }
        let slots = limit.table.slots();
        // Writing to a String does not fail.
        let _ = write!(name, "/{LAYOUT}.{slots}/{}", identity.slot(slots));
        name
    }
}

/// How many permits are held in all tables of a process.
#[cfg(test)]
pub(crate) fn places_held(host: &crate::fake::FakeHost) -> u32 {
    let slots = host.keys("boundgate/limits").into_iter().filter_map(|key| host.shared_get(&key));
    slots.map(|(value, _)| crate::limit::slot::Slot::decode(&value).map_or(0, |slot| slot.held_by_all())).sum()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fake::FakeHost;
    use crate::policy::{Origin, Quota};

    fn table() -> SharedTable {
        SharedTable::new(FilterId::new(b"filter"), &FakeHost::default())
    }

    fn limit(key: &[Fact], identities: u32) -> Limit {
        let origin = Origin { name: "limit".into(), path: "limits.limit".into() };
        let quota = Quota::new(1, Duration::from_secs(1), 1).unwrap();
        Limit::new(origin, key.to_vec(), quota, TableSize::for_identities(identities))
    }

    fn slot_key(key: &[Fact], identities: u32, name: &str) -> String {
        let (table, limit) = (table(), limit(key, identities));
        let identity = table.identity(&limit.key, |_| KeyValue::Text(name.into()));
        table.slot_key(&limit, identity)
    }

    #[test]
    fn each_kind_of_key_has_its_own_slots_in_whatever_order_it_is_written() {
        let key = |key: &[Fact]| slot_key(key, 8, "alice");
        assert_eq!(key(&[]), "boundgate/limits/2.1/0");
        assert_eq!(key(&[Fact::Ip]), "boundgate/limits/ip/2.1/0");
        let (client, tenant) = (Fact::ClientId, Fact::Claim("tenant".into()));
        assert_eq!(key(&[client.clone(), tenant.clone()]), "boundgate/limits/claim.tenant+client_id/2.1/0");
        assert_eq!(key(&[tenant, client]), "boundgate/limits/claim.tenant+client_id/2.1/0");
    }

    #[test]
    fn tables_of_different_size_do_not_read_each_other() {
        assert_ne!(slot_key(&[], 8, ""), slot_key(&[], 1_000, ""));
    }

    #[test]
    fn a_slot_is_for_eight_identities() {
        let slots = |identities| TableSize::for_identities(identities).slots();
        assert_eq!([0, 1, 8, 9, 65_536, 1_000_000].map(slots), [1, 1, 1, 2, 8_192, 131_072]);
    }

    #[test]
    fn a_hundred_thousand_identities_fill_no_more_keys_than_there_are_slots() {
        let mut keys = std::collections::HashMap::new();
        for number in 0..100_000 {
            *keys.entry(slot_key(&[Fact::Peer], 4_096, &number.to_string())).or_insert(0) += 1;
        }
        assert_eq!(keys.len(), 512);
        // 195 on average; a spread by a good hash stays well within twice that.
        assert!(keys.values().all(|count| (100..400).contains(count)));
    }
}
