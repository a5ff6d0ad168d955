//! A table of marks: what one worker found out, until when all may rely on it. In: what, as bytes, and until when. Out:
//! whether some worker marked it and the mark still lasts. Not here: what a mark means to whom (`peer`, `token`).
//!
//! A mark may be forgotten early: a full slot gives away the one that ends first, and a lost race is not run for ever. It
//! never holds for what nobody marked, or beyond its end, up to a chance of 16 in 2^64. Whoever reads the secret of the
//! process can make one up, as any plugin with the same `vm_id` could.
//!
//! A slot holds up to 16 entries.

use std::time::Duration;

use crate::host::{Expect, Host};
use crate::shared::entries::{Entry, Table, decode, encode};
use crate::shared::{Purpose, Secret};
use crate::time::MonoNanos;

/// Raised when the meaning of stored bytes changes.
const LAYOUT: u32 = 1;

/// Entries of one slot.
const WAYS: usize = 16;

/// How often a lost race is run again.
const ATTEMPTS: usize = 8;

/// No mark lasts longer. An entry that claims to was not written here, and must not keep its place for ever.
const LONGEST: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// See the module. Costs nothing until it is used.
#[derive(Debug)]
pub struct Marks {
    name: &'static str,
    slots: u64,
    secret: Secret,
}

impl Marks {
    /// A table for `capacity` marks, when half full. `name` is part of every key: tables of different names know nothing
    /// of each other.
    pub fn new(name: &'static str, capacity: u32, host: &dyn Host) -> Self {
        Self { name, slots: slots(capacity), secret: Secret::agree(host) }
    }

    /// The memory of such a table once all slots were used: their values, and about as much again for key and map.
    pub fn memory(capacity: u32) -> u64 {
        const SLOT: u64 = 2 * 16 * WAYS as u64;
        slots(capacity).saturating_mul(SLOT)
    }

    /// Marks `what`. An earlier mark that ends later stays as it is.
    pub fn mark(&self, what: &[u8], until: MonoNanos, host: &dyn Host, now: MonoNanos) {
        let (key, tag) = self.place(what);
        let latest = now.plus(LONGEST);
        let end = until.min(latest).as_nanos();
        for _ in 0..ATTEMPTS {
            let (mut entries, expect) = read(&key, host);
            entries.retain(|entry| lasts(*entry, now) && entry.end <= latest.as_nanos());
            if entries.iter().any(|entry| entry.tag == tag && entry.end >= end) {
                return;
            }
            entries.retain(|entry| entry.tag != tag);
            if entries.len() >= WAYS
                && let Some((first, _)) = entries.iter().enumerate().min_by_key(|(_, entry)| entry.end)
            {
                entries.swap_remove(first);
            }
            entries.push(Entry { tag, end });
            if host.shared_set(&key, &encode(&entries), expect).is_ok() {
                return;
            }
        }
    }

    /// Whether `what` is marked.
    pub fn holds(&self, what: &[u8], host: &dyn Host, now: MonoNanos) -> bool {
        let (key, tag) = self.place(what);
        let (entries, _) = read(&key, host);
        let latest = now.plus(LONGEST).as_nanos();
        entries.iter().any(|entry| entry.tag == tag && lasts(*entry, now) && entry.end <= latest)
    }

    /// The key of its slot, and its tag there.
    fn place(&self, what: &[u8]) -> (String, u64) {
        let table = Table { name: self.name, layout: LAYOUT, slots: self.slots, purpose: Purpose::Mark };
        table.place(what, &self.secret)
    }
}

fn slots(capacity: u32) -> u64 {
    u64::from(capacity).saturating_mul(2).div_ceil(WAYS as u64).max(1).next_power_of_two()
}

fn lasts(entry: Entry, now: MonoNanos) -> bool {
    now.as_nanos() < entry.end
}

/// The entries of a slot. Other plugins of the proxy may write under our keys: what is no list of entries counts as none.
fn read(key: &str, host: &dyn Host) -> (Vec<Entry>, Expect) {
    match host.shared_get(key) {
        None => (Vec::new(), Expect::Absent),
        Some((value, cas)) => (decode(&value, WAYS).unwrap_or_default(), Expect::Unchanged(cas)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::fake::FakeHost;

    fn at(seconds: u64) -> MonoNanos {
        MonoNanos::from_nanos(1_000_000_000 * (1000 + seconds))
    }

    fn one_slot(host: &FakeHost) -> Marks {
        Marks::new("certificates", 1, host)
    }

    fn only_key(host: &FakeHost) -> String {
        match &host.keys("boundgate/certificates/")[..] {
            [key] => key.clone(),
            keys => panic!("{keys:?}"),
        }
    }

    #[test]
    fn what_one_worker_marked_holds_for_all_until_its_end() {
        let host = FakeHost::with_random(1);
        let (one, other) = (one_slot(&host), one_slot(&host));
        one.mark(b"alice", at(60), &host, at(0));
        assert!(other.holds(b"alice", &host, at(59)));
        assert!(!other.holds(b"alice", &host, at(60)));
        assert!(!other.holds(b"alic", &host, at(0)) && !other.holds(b"", &host, at(0)));
    }

    #[test]
    fn a_table_is_known_by_its_name_its_layout_and_its_size() {
        let host = FakeHost::default();
        let marks = Marks::new("certificates", 1000, &host);
        marks.mark(b"alice", at(60), &host, at(0));
        let prefix = "boundgate/certificates/1.128/";
        assert!(only_key(&host).strip_prefix(prefix).unwrap().parse::<u32>().unwrap() < 128);
        let value = host.shared_get(&only_key(&host)).unwrap().0;
        let tokens = Marks::new("tokens", 1000, &host);
        for slot in 0..128 {
            host.overwrite(&format!("boundgate/tokens/1.128/{slot}"), &value);
        }
        assert!(!tokens.holds(b"alice", &host, at(0)), "another table's entries mean nothing");
    }

    #[test]
    fn a_later_end_takes_the_place_of_an_earlier_one_and_no_earlier_one_shortens_it() {
        let host = FakeHost::default();
        let marks = one_slot(&host);
        marks.mark(b"alice", at(60), &host, at(0));
        marks.mark(b"alice", at(90), &host, at(0));
        let writes = host.calls().1;
        marks.mark(b"alice", at(30), &host, at(0));
        assert!(marks.holds(b"alice", &host, at(89)));
        assert_eq!(host.calls().1, writes, "nothing to write");
        assert_eq!(host.shared_get(&only_key(&host)).unwrap().0.len(), 16, "one entry");
    }

    #[test]
    fn a_full_slot_gives_away_the_mark_that_ends_first_and_ended_ones_before_it() {
        let host = FakeHost::default();
        let marks = one_slot(&host);
        let name = |number: u64| number.to_le_bytes();
        for number in 0..16 {
            marks.mark(&name(number), at(100 - number), &host, at(0));
        }
        marks.mark(b"new", at(50), &host, at(0));
        assert!(!marks.holds(&name(15), &host, at(0)));
        assert!((0..15).all(|number| marks.holds(&name(number), &host, at(0))) && marks.holds(b"new", &host, at(0)));
        marks.mark(b"newer", at(500), &host, at(90));
        assert!((0..10).all(|number| marks.holds(&name(number), &host, at(90))));
        assert_eq!(host.shared_get(&only_key(&host)).unwrap().0.len(), 11 * 16);
    }

    #[test]
    fn a_value_that_is_no_slot_counts_as_an_empty_one() {
        let host = FakeHost::default();
        let marks = one_slot(&host);
        marks.mark(b"alice", at(60), &host, at(0));
        for garbage in [&b"x"[..], &[0; 17], &[0xff; 17 * 16], &[0xff; 16 * 16]] {
            host.overwrite(&only_key(&host), garbage);
            assert!(!marks.holds(b"alice", &host, at(0)));
            marks.mark(b"alice", at(60), &host, at(0));
            assert!(marks.holds(b"alice", &host, at(0)), "{garbage:?}");
            assert_eq!(host.shared_get(&only_key(&host)).unwrap().0.len(), 16, "garbage does not stay");
        }
    }

    #[test]
    fn no_mark_lasts_longer_than_a_month() {
        let host = FakeHost::default();
        let marks = one_slot(&host);
        marks.mark(b"alice", MonoNanos::from_nanos(u64::MAX), &host, at(0));
        let month = LONGEST.as_secs();
        assert!(marks.holds(b"alice", &host, at(month - 1)) && !marks.holds(b"alice", &host, at(month)));
    }

    #[test]
    fn a_host_that_refuses_every_write_costs_a_bounded_number_of_attempts() {
        struct Refusing(FakeHost);
        impl Host for Refusing {
            fn shared_get(&self, key: &str) -> Option<(Vec<u8>, crate::host::Cas)> {
                self.0.shared_get(key)
            }
            fn shared_set(&self, _: &str, _: &[u8], _: Expect) -> Result<(), crate::host::Conflict> {
                Err(crate::host::Conflict)
            }
            fn verify(&self, _: crate::host::Digest, _: &[u8], _: &[u8], _: &[u8]) -> crate::host::NativeVerdict {
                crate::host::NativeVerdict::Missing
            }
            fn random(&self) -> [u8; 32] {
                [0; 32]
            }
        }
        let host = Refusing(FakeHost::default());
        let marks = Marks::new("certificates", 1, &host);
        let before = host.0.calls().0;
        marks.mark(b"alice", at(60), &host, at(0));
        assert_eq!(host.0.calls().0 - before, ATTEMPTS);
        assert!(!marks.holds(b"alice", &host, at(0)));
    }

    #[test]
    fn workers_that_mark_at_once_lose_nothing_in_a_slot_with_room() {
        let host = FakeHost::default();
        let name = |worker: u8, number: u8| [worker, number];
        for round in 0..200 {
            let marks = Marks::new("certificates", 1, &host);
            let (now, until) = (at(round * 100), at(round * 100 + 50));
            std::thread::scope(|scope| {
                for worker in 0..2 {
                    let (host, marks) = (&host, &marks);
                    scope.spawn(move || {
                        for number in 0..8 {
                            marks.mark(&name(worker, number), until, host, now);
                        }
                    });
                }
            });
            // To lose eight races in a row takes all eight marks of the other worker: at most one mark is lost.
            let held = (0..2).flat_map(|worker| (0..8).map(move |number| (worker, number)));
            assert!(held.filter(|(worker, number)| marks.holds(&name(*worker, *number), &host, now)).count() >= 15);
        }
    }

    proptest! {
        /// Against memory without bounds: what is held was marked and has not ended; and what was marked is held as
        /// long as its slot never was full.
        #[test]
        fn nothing_is_held_that_was_not_marked_or_has_ended(
            steps in prop::collection::vec((0u64..20, 0u8..40, 1u64..100, any::<bool>()), 1..200), kinds in 1u8..40
        ) {
            let host = FakeHost::default();
            let marks = one_slot(&host);
            let mut ends: HashMap<u8, u64> = HashMap::new();
            let mut now = 0;
            for (pause, what, life, marking) in steps {
                now += pause;
                let what = what % kinds;
                if marking {
                    marks.mark(&[what], at(now + life), &host, at(now));
                    let end = ends.entry(what).or_default();
                    *end = (*end).max(now + life);
                }
                for what in 0..kinds {
                    let lasts = ends.get(&what).is_some_and(|end| now < *end);
                    let held = marks.holds(&[what], &host, at(now));
                    prop_assert!(lasts || !held);
                    prop_assert!(held || !lasts || usize::from(kinds) > WAYS);
                }
            }
        }
    }
}
