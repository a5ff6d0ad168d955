//! Which workers of the proxy live. In: the host, time. Out: this worker's number, and whether another one is gone. A worker
//! that is lost (its VM trapped) reports no end of its requests: what it held is free once it is not heard of any more.
//!
//! One key holds the number of each worker and when it was heard of last; each says so once a second. A number belongs
//! to one life: a worker that was silent so long that others may have given it up takes another one. It still says that the one
//! before lives: if they have not, its requests of that life are under way and hold what they held.
//! Not here: what is held (`limit`).

use std::time::Duration;

use crate::host::{Expect, Host};
use crate::time::MonoNanos;

/// Where the process keeps it.
const SHARED_KEY: &str = "boundgate/workers/1";
/// How often a worker says that it lives.
const BEAT: Duration = Duration::from_secs(1);
/// Whoever was silent for that long may have been given up by others: no less is ever waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// A worker that missed that much takes another number.
const MISSED: Duration = Duration::from_secs(30);
/// So many earlier lives of a worker are kept alive.
const LIVES: usize = 4;
/// The longest silence that anybody asks about.
const MEMORY: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// The most workers that are remembered, dead ones included.
const MOST: usize = 1024;
/// How often a lost race is run again.
const ATTEMPTS: usize = 16;

/// The number of a worker's life. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder(u32);

impl Holder {
    /// From its number.
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// This worker among the others.
#[derive(Debug, Default)]
pub struct Presence {
    me: Option<(Holder, MonoNanos)>,
    /// The numbers before, the latest first.
    before: Vec<Holder>,
}

impl Presence {
    /// This worker's number; the first time, others learn of it. `None` if they cannot: then it must hold nothing.
    pub fn me(&mut self, host: &dyn Host, now: MonoNanos) -> Option<Holder> {
        if let Some((me, _)) = self.me {
            return Some(me);
        }
        let numbers = host.random();
        let me = say(host, now, &self.before, |workers| {
            let is_free = |number: &u32| *number > 0 && workers.iter().all(|(other, _)| other.0 != *number);
            let mut drawn = numbers.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
            let next = || workers.iter().map(|(other, _)| other.0).max().unwrap_or(0).wrapping_add(1).max(1);
            Holder(drawn.find(is_free).unwrap_or_else(next))
        })?;
        self.me = Some((me, now));
        Some(me)
    }

    /// Says that this worker lives, if it is time to. To be called at each tick.
    pub fn beat(&mut self, host: &dyn Host, now: MonoNanos) {
        let Some((me, last)) = self.me else {
            if !self.before.is_empty() {
                self.me(host, now);
            }
            return;
        };
        let silent = now.since(last);
        if silent >= MISSED {
            self.before.insert(0, me);
            self.before.truncate(LIVES);
            self.me = None;
            self.me(host, now);
        } else if silent >= BEAT && say(host, now, &self.before, |_| me).is_some() {
            self.me = Some((me, now));
        }
    }
}

/// Whether nothing was heard of `holder` for `silence`, at least a minute. Where that cannot be read, nobody is gone.
pub fn is_gone(holder: Holder, silence: Duration, host: &dyn Host, now: MonoNanos) -> bool {
    let Some(workers) = host.shared_get(SHARED_KEY).and_then(|(value, _)| decode(&value)) else { return false };
    let heard = workers.iter().find(|(worker, _)| *worker == holder).map(|(_, heard)| *heard);
    heard.is_none_or(|heard| now.since(heard) >= silence.max(PATIENCE))
}

/// Each worker and when it was heard of.
type Workers = Vec<(Holder, MonoNanos)>;

/// `None` if the bytes are no list of workers.
fn decode(bytes: &[u8]) -> Option<Workers> {
    let (entries, rest) = bytes.as_chunks::<16>();
    let entry = |entry: &[u8; 16]| {
        let word = u128::from_le_bytes(*entry);
        // The casts keep the two halves; a number of more than 32 bits is none of ours.
        Some((Holder(u32::try_from(word as u64).ok()?), MonoNanos::from_nanos((word >> 64) as u64)))
    };
    let workers: Option<Workers> = entries.iter().map(entry).collect();
    workers.filter(|workers| rest.is_empty() && workers.len() <= MOST)
}

fn encode(workers: &Workers) -> Vec<u8> {
    let words = workers.iter().map(|(worker, heard)| u128::from(worker.0) | u128::from(heard.as_nanos()) << 64);
    words.flat_map(u128::to_le_bytes).collect()
}

/// Writes down that the worker chosen among the others was heard of now, and its numbers `before`. `None` if others were
/// faster each time.
fn say(host: &dyn Host, now: MonoNanos, before: &[Holder], who: impl Fn(&Workers) -> Holder) -> Option<Holder> {
    for _ in 0..ATTEMPTS {
        let (mut workers, expect) = match host.shared_get(SHARED_KEY) {
            None => (Workers::new(), Expect::Absent),
            Some((value, cas)) => (decode(&value).unwrap_or_default(), Expect::Unchanged(cas)),
        };
        let me = who(&workers);
        let all = || before.iter().copied().chain([me]);
        workers.retain(|(worker, heard)| all().all(|mine| mine != *worker) && now.since(*heard) < MEMORY);
        let room = MOST.saturating_sub(all().count());
        if workers.len() > room {
            workers.sort_unstable_by_key(|(_, heard)| std::cmp::Reverse(*heard));
            workers.truncate(room);
        }
        workers.extend(all().map(|mine| (mine, now)));
        if host.shared_set(SHARED_KEY, &encode(&workers), expect).is_ok() {
            return Some(me);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeHost, at};

    const SILENCE: Duration = Duration::from_secs(60);

    fn gone(holder: Holder, host: &FakeHost, seconds: f64) -> bool {
        is_gone(holder, SILENCE, host, at(seconds).mono)
    }

    #[test]
    fn every_worker_has_a_number_of_its_own_even_where_nothing_is_random() {
        let host = FakeHost::default();
        let numbers: Vec<_> = (0..100).map(|_| Presence::default().me(&host, at(0.0).mono).unwrap().number()).collect();
        let distinct: std::collections::HashSet<_> = numbers.iter().collect();
        assert_eq!(distinct.len(), 100);
    }

    #[test]
    fn a_worker_that_is_silent_is_gone_and_one_that_beats_is_not() {
        let host = FakeHost::default();
        let (mut lives, mut lost) = (Presence::default(), Presence::default());
        let (living, dead) = (lives.me(&host, at(0.0).mono).unwrap(), lost.me(&host, at(0.0).mono).unwrap());
        for second in 0..60 {
            lives.beat(&host, at(f64::from(second)).mono);
        }
        assert!(!gone(dead, &host, 59.9));
        assert!(gone(dead, &host, 60.0));
        assert!(!gone(living, &host, 60.0));
        assert!(gone(Holder(77), &host, 0.0), "never heard of");
    }

    #[test]
    fn a_worker_that_was_held_up_for_long_begins_another_life() {
        let host = FakeHost::default();
        let mut worker = Presence::default();
        let first = worker.me(&host, at(0.0).mono).unwrap();
        worker.beat(&host, at(40.0).mono);
        assert_ne!(worker.me(&host, at(40.0).mono).unwrap(), first);
    }

    #[test]
    fn a_worker_that_was_held_up_and_lives_keeps_alive_what_it_held_before() {
        let host = FakeHost::default();
        let mut worker = Presence::default();
        let first = worker.me(&host, at(0.0).mono).unwrap();
        for second in (40..200).chain(240..400) {
            worker.beat(&host, at(f64::from(second)).mono);
            assert!(!gone(first, &host, f64::from(second)));
        }
        assert!(gone(first, &host, 459.0));
    }

    #[test]
    fn a_scribble_makes_nobody_gone_and_is_repaired() {
        let host = FakeHost::default();
        let mut worker = Presence::default();
        let me = worker.me(&host, at(0.0).mono).unwrap();
        host.overwrite(SHARED_KEY, b"scribble");
        assert!(!gone(me, &host, 10.0));
        worker.beat(&host, at(10.0).mono);
        assert!(!gone(me, &host, 69.0));
        assert!(gone(me, &host, 70.0));
    }

    #[test]
    fn dead_workers_are_forgotten_in_time() {
        let host = FakeHost::default();
        for life in 0..2000 {
            Presence::default().me(&host, at(f64::from(life)).mono).unwrap();
        }
        let (value, _) = host.shared_get(SHARED_KEY).unwrap();
        assert!(decode(&value).unwrap().len() <= MOST);
    }
}
