//! Tables of slots in the data that all workers share. In: a key's parts and an identity. Out: the slot that counts
//! it. Not here: what a slot holds (`slot`), deciding and charging (`page`, `meter`).
//!
//! Keys of shared data can never be deleted, so identities do not get keys of their own: a table has a fixed number
//! of slots, and the identity chooses one. Each kind of key (`client_id`, `ip`, …) has its own table: a flood of
//! addresses cannot push clients out. All limits that count the same identity stand in the same slot.

use std::fmt::Write;
use std::time::Duration;

use crate::host::{Expect, Host};
use crate::limit::identity::{Identity, KeyValue, Tag};
use crate::limit::parts::kind;
use crate::limit::slot::{BYTES, Slot, WAYS};
use crate::policy::KeyPart;
use crate::shared::Secret;
use crate::time::MonoNanos;

/// Raised when the meaning of stored bytes changes: then all begin afresh instead of misreading each other.
const LAYOUT: u32 = 1;

/// What everybody owes whose slot was overwritten by somebody else: as long as that lasts, a newcomer starts with a
/// spent budget. At least as long as the windows of limits usually are.
const UNREADABLE: Duration = Duration::from_secs(24 * 60 * 60);

/// How far the clock of a slot may be ahead of a worker that was held up after reading its own.
const AHEAD: Duration = Duration::from_secs(60);

/// The tables of one purpose: one for each kind of key. Costs nothing until it is used.
#[derive(Debug)]
pub struct SharedTable {
    purpose: &'static str,
    identities: u32,
    slots: u64,
    secret: Secret,
}

impl SharedTable {
    /// Tables for `identities` entries each, when half full. An entry is what one limit holds about one identity:
    /// two limits with the same key need two. Memory: `2 × identities / 16`, rounded up to a power of two, slots of
    /// 272 bytes and their key, for each kind of key.
    ///
    /// `purpose` is part of every key: a flood in one never touches another.
    pub fn new(purpose: &'static str, identities: u32, host: &dyn Host) -> Self {
        Self { purpose, identities, slots: slots(identities), secret: Secret::agree(host) }
    }

    /// The most bytes of the proxy's memory that one kind of key takes, when every slot has been used: the stored
    /// value, and about as much again for its key, the map's node and two allocations.
    pub fn memory(identities: u32) -> u64 {
        const BESIDE_THE_VALUE: u64 = 176;
        slots(identities).saturating_mul(BESIDE_THE_VALUE.saturating_add(BYTES as u64))
    }

    /// The number it was made for.
    pub fn identities(&self) -> u32 {
        self.identities
    }

    /// The identity that `key` counts, with the values that `value_of` gives its parts.
    pub fn identity<'k, 'v>(&self, key: &'k [KeyPart], value_of: impl FnMut(&'k KeyPart) -> KeyValue<'v>) -> Identity {
        self.secret.identity(key, value_of)
    }

    pub(super) fn tag(&self, identity: Identity, limit: &str) -> Tag {
        self.secret.tag(identity, limit)
    }

    /// The key of the slot that counts `identity`, an identity of `key`.
    pub(super) fn slot_key(&self, key: &[KeyPart], identity: Identity) -> String {
        let number = identity.low_bits() & self.slots.saturating_sub(1);
        let mut name = String::with_capacity(64);
        name.push_str("boundgate/");
        name.push_str(self.purpose);
        for (part, separator) in key.iter().zip(std::iter::once('/').chain(std::iter::repeat('+'))) {
            let (kind, claim) = kind(part);
            name.push(separator);
            name.push_str(kind);
            name.push_str(claim);
        }
        // Writing to a String does not fail.
        let _ = write!(name, "/{LAYOUT}.{}/{number}", self.slots);
        name
    }
}

/// Half of the ways stay free when the table holds what it was made for.
fn slots(identities: u32) -> u64 {
    u64::from(identities).saturating_mul(2).div_ceil(WAYS as u64).max(1).next_power_of_two()
}

/// A slot as it was read.
pub(super) struct Reading {
    pub(super) slot: Slot,
    /// The time to decide by: that of the slot, if it is ahead of the worker's.
    pub(super) now: MonoNanos,
    /// What a write must expect, to be about what was read.
    pub(super) expect: Expect,
    /// The value was no slot of this table.
    pub(super) unreadable: bool,
}

/// Reads a slot. Other plugins of the proxy may write under our keys (an empty `vm_id` is shared by all): a value
/// that is no slot, or comes from the future, counts as one that forgot entries with great debts. Anything milder would
/// be a refill.
pub(super) fn read(host: &dyn Host, slot_key: &str, now: MonoNanos) -> Reading {
    let (slot, expect) = match host.shared_get(slot_key) {
        None => (Some(Slot::EMPTY), Expect::Absent),
        Some((value, cas)) => (Slot::decode(&value), Expect::Unchanged(cas)),
    };
    let slot = slot.filter(|slot| slot.clock() <= now.plus(AHEAD));
    let unreadable = slot.is_none();
    let mut slot = slot.unwrap_or_else(|| Slot::forgotten(now.plus(UNREADABLE)));
    let now = slot.advance(now);
    Reading { slot, now, expect, unreadable }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;

    fn peer(table: &SharedTable, name: &str) -> Identity {
        table.identity(&[KeyPart::Peer], |_| KeyValue::Text(name.into()))
    }

    #[test]
    fn each_kind_of_key_has_its_own_slots() {
        let table = SharedTable::new("limits", 8, &FakeHost::default());
        let identity = peer(&table, "alice");
        let key = |key: &[KeyPart]| table.slot_key(key, identity);
        assert_eq!(key(&[]), "boundgate/limits/1.1/0");
        assert_eq!(key(&[KeyPart::Ip]), "boundgate/limits/ip/1.1/0");
        let compound = [KeyPart::ClientId, KeyPart::Claim("tenant".into())];
        assert_eq!(key(&compound), "boundgate/limits/client_id+claim.tenant/1.1/0");
    }

    #[test]
    fn tables_of_different_size_do_not_read_each_other() {
        let host = FakeHost::default();
        let key = |identities| {
            let table = SharedTable::new("limits", identities, &host);
            table.slot_key(&[], table.identity(&[], |_| KeyValue::Missing))
        };
        assert_ne!(key(8), key(1_000));
    }

    #[test]
    fn the_number_of_slots_leaves_half_of_the_ways_free() {
        let host = FakeHost::default();
        let slots = |identities| SharedTable::new("limits", identities, &host).slots;
        assert_eq!([0, 1, 8, 9, 65_536, 1_000_000].map(slots), [1, 1, 1, 2, 8_192, 131_072]);
    }

    #[test]
    fn a_hundred_thousand_identities_fill_no_more_keys_than_there_are_slots() {
        let table = SharedTable::new("limits", 4_096, &FakeHost::default());
        let mut keys = std::collections::HashMap::new();
        for number in 0..100_000 {
            let key = table.slot_key(&[KeyPart::Peer], peer(&table, &number.to_string()));
            *keys.entry(key).or_insert(0) += 1;
        }
        assert_eq!(keys.len(), 512);
        // 195 on average; a spread by a good hash stays well within twice that.
        assert!(keys.values().all(|count| (100..400).contains(count)));
    }
}
