//! What may happen once only in all workers of the proxy. In: what, as bytes, and until when it could happen again. Out: whether this
//! is the first time. Not here: what it is (`binding`).
//!
//! Nothing is forgotten before its end: a full slot takes nothing new, and whoever loses each race for one is refused. Neither is
//! wrong about anything else, up to a chance of 64 in 2^64. Ends are of the wall clock, because it decides whether a proof could
//! still be good: if that clock goes back, what is good again is remembered again.
//!
//! A slot holds up to 64 entries. The number of slots is fixed: with another one, what
//! was remembered would be looked for in other places.

use std::time::Duration;

use crate::host::{Expect, Host};
use crate::shared::entries::{Entry, Table, decode, encode};
use crate::shared::{Purpose, Secret};
use crate::time::UnixMillis;

/// Raised when the meaning of stored bytes changes.
const LAYOUT: u32 = 2;
/// A power of two.
const SLOTS: u64 = 32_768;
/// Entries of one slot.
const WAYS: usize = 64;
/// How often a lost race is run again: more workers than that rarely meet in one slot.
const ATTEMPTS: usize = 32;

/// See the module. Costs nothing until it is used.
#[derive(Debug)]
pub struct OnceOnly {
    name: &'static str,
    secret: Secret,
}

/// What had not happened when it was looked for.
#[derive(Debug)]
pub struct NotYet {
    key: String,
    tag: u64,
    slot: Slot,
}

/// What a slot remembered when it was read.
#[derive(Debug)]
struct Slot {
    entries: Vec<Entry>,
    expect: Expect,
}

/// Why something may not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOnce {
    /// It has happened.
    Again,
    /// Whether it has would not be known the next time: there is no room, or others were faster each time.
    NoRoom,
}

impl OnceOnly {
    /// Nothing is remembered longer.
    pub const LONGEST: Duration = Duration::from_secs(15 * 60);
    /// So many are remembered at once with hardly a full slot.
    pub const CAPACITY: u64 = SLOTS * (WAYS as u64 / 2);
    /// The most memory, whatever comes: the stored values, and for each about as much as a short one again for its key, the map's
    /// node and two allocations.
    pub const MEMORY: u64 = SLOTS * (176 + 16 * WAYS as u64);

    /// The table of that name, which is part of every key.
    pub fn new(name: &'static str, host: &dyn Host) -> Self {
        Self { name, secret: Secret::agree(host) }
    }

    /// `None` if `what` has happened, as far as is known by now.
    pub fn look(&self, what: &[u8], host: &dyn Host, now: UnixMillis) -> Option<NotYet> {
        let (key, tag) = self.place(what);
        let slot = read(&key, host, now);
        let has_happened = slot.entries.iter().any(|entry| entry.tag == tag);
        (!has_happened).then_some(NotYet { key, tag, slot })
    }

    /// Lets something happen that had not when it was looked for. It must be such that it cannot happen any more from `end` on.
    pub fn happens(&self, what: NotYet, end: UnixMillis, host: &dyn Host, now: UnixMillis) -> Result<(), NotOnce> {
        let NotYet { key, tag, mut slot } = what;
        if end > now.plus(Self::LONGEST) {
            return Err(NotOnce::NoRoom);
        }
        for _ in 0..ATTEMPTS {
            if slot.entries.iter().any(|entry| entry.tag == tag) {
                return Err(NotOnce::Again);
            }
            if slot.entries.len() >= WAYS {
                return Err(NotOnce::NoRoom);
            }
            slot.entries.push(Entry { tag, end: end.as_millis() });
            if host.shared_set(&key, &encode(&slot.entries), slot.expect).is_ok() {
                return Ok(());
            }
            slot = read(&key, host, now);
        }
        Err(NotOnce::NoRoom)
    }

    /// The key of its slot, and its tag there.
    fn place(&self, what: &[u8]) -> (String, u64) {
        let table = Table { name: self.name, layout: LAYOUT, slots: SLOTS, purpose: Purpose::Proof };
        table.place(what, &self.secret)
    }
}

/// What a slot remembers. Other plugins of the proxy may write under our keys: then nobody knows what stood there, and nothing fits
/// in until all of that is over.
fn read(key: &str, host: &dyn Host, now: UnixMillis) -> Slot {
    let Some((value, cas)) = host.shared_get(key) else { return Slot { entries: Vec::new(), expect: Expect::Absent } };
    let latest = now.plus(OnceOnly::LONGEST).as_millis();
    let expect = Expect::Unchanged(cas);
    match decode(&value, WAYS) {
        Some(mut entries) => {
            entries.retain(|entry| now.as_millis() < entry.end && entry.end <= latest);
            Slot { entries, expect }
        }
        None => {
            let unknown = vec![Entry { tag: 0, end: latest }; WAYS];
            // Whoever is faster finds the same.
            let _ = host.shared_set(key, &encode(&unknown), expect);
            Slot { entries: unknown, expect }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;
    use crate::fake::FakeHost;
    use crate::host::{Cas, Conflict, Digest, NativeVerdict};

    fn at(seconds: u64) -> UnixMillis {
        UnixMillis::from_millis(1_767_225_600_000 + 1000 * seconds)
    }

    /// Lets `what` happen if it has not.
    fn happens(once: &OnceOnly, what: &[u8], end: UnixMillis, host: &dyn Host, now: UnixMillis) -> Result<(), NotOnce> {
        once.look(what, host, now).ok_or(NotOnce::Again).and_then(|what| once.happens(what, end, host, now))
    }

    /// Something that belongs into the slot of `host`'s only key.
    fn neighbours(once: &OnceOnly, number: usize) -> Vec<[u8; 8]> {
        let (slot, _) = once.place(&0_u64.to_le_bytes());
        let all = (0_u64..).map(u64::to_le_bytes).filter(|what| once.place(what).0 == slot);
        all.take(number).collect()
    }

    #[test]
    fn something_happens_once_in_all_workers_until_its_end() {
        let host = FakeHost::with_random(1);
        let (one, other) = (OnceOnly::new("proofs", &host), OnceOnly::new("proofs", &host));
        assert_eq!(happens(&one, b"a", at(60), &host, at(0)), Ok(()));
        for worker in [&one, &other] {
            assert_eq!(happens(worker, b"a", at(60), &host, at(59)), Err(NotOnce::Again));
            assert!(worker.look(b"a", &host, at(59)).is_none() && worker.look(b"b", &host, at(59)).is_some());
        }
        assert_eq!(happens(&other, b"b", at(60), &host, at(59)), Ok(()));
        assert_eq!(happens(&other, b"a", at(120), &host, at(60)), Ok(()));
    }

    /// Eight threads are the workers of one proxy.
    #[test]
    fn of_eight_workers_at_once_exactly_one_lets_it_happen_ten_thousand_times_over() {
        const WORKERS: usize = 8;
        const ROUNDS: usize = 10_000;
        let host = FakeHost::with_random(1);
        let passed: Vec<AtomicUsize> = (0..ROUNDS).map(|_| AtomicUsize::new(0)).collect();
        let replayed = AtomicUsize::new(0);
        let start = Barrier::new(WORKERS);
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    let once = OnceOnly::new("proofs", &host);
                    for (round, passed) in passed.iter().enumerate() {
                        start.wait();
                        match happens(&once, &round.to_le_bytes(), at(60), &host, at(0)) {
                            Ok(()) => passed.fetch_add(1, SeqCst),
                            Err(NotOnce::Again) => replayed.fetch_add(1, SeqCst),
                            Err(NotOnce::NoRoom) => panic!("no room in round {round}"),
                        };
                    }
                });
            }
        });
        assert!(passed.iter().all(|passed| passed.load(SeqCst) == 1));
        assert_eq!(replayed.load(SeqCst), ROUNDS * (WORKERS - 1));
    }

    #[test]
    fn a_full_slot_refuses_what_is_new_and_forgets_nothing_until_something_ends() {
        let host = FakeHost::with_random(1);
        let once = OnceOnly::new("proofs", &host);
        let all = neighbours(&once, WAYS + 1);
        let (last, first) = all.split_last().unwrap();
        for (number, what) in first.iter().enumerate() {
            let end = if number == 7 { at(30) } else { at(60) };
            assert_eq!(happens(&once, what, end, &host, at(0)), Ok(()));
        }
        assert_eq!(happens(&once, last, at(60), &host, at(0)), Err(NotOnce::NoRoom));
        assert!(first.iter().all(|what| happens(&once, what, at(60), &host, at(29)) == Err(NotOnce::Again)));
        assert_eq!(happens(&once, last, at(90), &host, at(30)), Ok(()));
        assert_eq!(host.keys("boundgate/proofs/").len(), 1);
    }

    #[test]
    fn a_clock_that_goes_back_makes_nothing_happen_again() {
        let host = FakeHost::with_random(1);
        let once = OnceOnly::new("proofs", &host);
        assert_eq!(happens(&once, b"a", at(160), &host, at(100)), Ok(()));
        assert_eq!(happens(&once, b"a", at(160), &host, at(70)), Err(NotOnce::Again));
    }

    #[test]
    fn a_value_that_is_no_slot_lets_nothing_happen_until_all_that_stood_there_is_over() {
        let host = FakeHost::with_random(1);
        let once = OnceOnly::new("proofs", &host);
        assert_eq!(happens(&once, b"a", at(60), &host, at(0)), Ok(()));
        let key = once.place(b"a").0;
        for garbage in [&b"x"[..], &[0; 17], &[0xff; 65 * 16]] {
            host.overwrite(&key, garbage);
            let end = OnceOnly::LONGEST.as_secs();
            for second in [0, 59, end - 1] {
                assert_eq!(happens(&once, b"a", at(second + 60), &host, at(second)), Err(NotOnce::NoRoom), "{second}");
            }
            assert_eq!(happens(&once, b"a", at(end + 60), &host, at(end)), Ok(()));
        }
    }

    #[test]
    fn a_host_that_refuses_every_write_costs_a_bounded_number_of_attempts_and_lets_nothing_happen() {
        struct Refusing(FakeHost);
        impl Host for Refusing {
            fn shared_get(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
                self.0.shared_get(key)
            }
            fn shared_set(&self, _: &str, _: &[u8], _: Expect) -> Result<(), Conflict> {
                Err(Conflict)
            }
            fn verify(&self, _: Digest, _: &[u8], _: &[u8], _: &[u8]) -> NativeVerdict {
                NativeVerdict::Missing
            }
            fn random(&self) -> [u8; 32] {
                [0; 32]
            }
        }
        let host = Refusing(FakeHost::default());
        let once = OnceOnly::new("proofs", &host);
        let before = host.0.calls().0;
        assert_eq!(happens(&once, b"a", at(60), &host, at(0)), Err(NotOnce::NoRoom));
        assert_eq!(host.0.calls().0 - before, 1 + ATTEMPTS, "looked for once, and again after each lost race");
    }

    #[test]
    fn a_million_are_all_remembered_and_fill_no_more_memory_than_is_promised() {
        let host = FakeHost::with_random(1);
        let once = OnceOnly::new("proofs", &host);
        let passes = |what: u64| happens(&once, &what.to_le_bytes(), at(60), &host, at(0)) == Ok(());
        assert_eq!((0..OnceOnly::CAPACITY).filter(|what| !passes(*what)).count(), 0);
        let keys = host.keys("boundgate/proofs/");
        let bytes: usize = keys.iter().map(|key| key.len() + host.shared_get(key).unwrap().0.len()).sum();
        assert!(keys.len() as u64 == SLOTS && (bytes as u64) < OnceOnly::MEMORY);
        assert_eq!((0..OnceOnly::CAPACITY).step_by(7).filter(|what| passes(*what)).count(), 0, "none is forgotten");
    }

    #[test]
    fn what_would_have_to_be_remembered_too_long_does_not_happen() {
        let host = FakeHost::default();
        let once = OnceOnly::new("proofs", &host);
        assert_eq!(happens(&once, b"a", at(901), &host, at(0)), Err(NotOnce::NoRoom));
        assert_eq!(happens(&once, b"a", at(900), &host, at(0)), Ok(()));
    }
}
