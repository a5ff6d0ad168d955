//! The value of one key of shared data: room for a fixed number of entries. In: bytes. Out: the state of a budget by
//! its tag, and what somebody without an entry owes. Not here: reading and writing it (`table`, `page`).
//!
//! Layout, little-endian: the clock, the floor, then 16 ways of (tag, TAT), each a `u64`: 272 bytes. An empty way is
//! all zero.
//!
//! The *clock* is the latest time of all writers: a worker that read its own clock earlier, and was then held up,
//! decides by this one. So the time of a slot never runs backwards, and no entry owes more than a spent budget.
//!
//! Entries are given away (the least indebted first), and yet never for free: the *floor* is the latest TAT that was
//! ever given away, so whoever has no entry owes at most that, and starts with that. A budget can get stricter by
//! being forgotten, never looser.

use crate::limit::identity::Tag;
use crate::time::MonoNanos;

pub(super) const WAYS: usize = 16;

pub(super) const BYTES: usize = 272;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    tag: u64,
    tat: u64,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    clock: u64,
    floor: u64,
    ways: [Way; WAYS],
}

impl Slot {
    /// Without entries, and nobody forgotten.
    pub(super) const EMPTY: Self = Self { clock: 0, floor: 0, ways: [Way { tag: 0, tat: 0 }; WAYS] };

    /// Without entries, but whoever comes owes what a budget with that TAT owes.
    pub(super) fn forgotten(floor: MonoNanos) -> Self {
        Self { floor: floor.as_nanos(), ..Self::EMPTY }
    }

    /// `None` if the bytes are no slot.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != BYTES {
            return None;
        }
        let mut words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        let mut slot = Self { clock: words.next()?, floor: words.next()?, ..Self::EMPTY };
        for way in &mut slot.ways {
            *way = Way { tag: words.next()?, tat: words.next()? };
        }
        Some(slot)
    }

    pub(super) fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let words = [self.clock, self.floor].into_iter().chain(self.ways.iter().flat_map(|way| [way.tag, way.tat]));
        for (place, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        bytes
    }

    /// The latest time of all writers.
    pub(super) fn clock(&self) -> MonoNanos {
        MonoNanos::from_nanos(self.clock)
    }

    /// Sets the clock to `now`, unless it is later already, and says the time to decide by.
    pub(super) fn advance(&mut self, now: MonoNanos) -> MonoNanos {
        self.clock = self.clock.max(now.as_nanos());
        self.clock()
    }

    /// The TAT of the entry.
    pub(super) fn get(&self, tag: Tag) -> Option<MonoNanos> {
        self.ways.iter().find(|way| way.tag == tag.0).map(|way| MonoNanos::from_nanos(way.tat))
    }

    /// Changes an entry; without one, nothing happens.
    pub(super) fn set(&mut self, tag: Tag, tat: MonoNanos) {
        if let Some(way) = self.ways.iter_mut().find(|way| way.tag == tag.0) {
            way.tat = tat.as_nanos();
        }
    }

    /// Makes an entry for a newcomer and says the TAT it starts with. It takes the way that owes least among those
    /// that are not `kept`; `None` if all are.
    pub(super) fn seat(&mut self, newcomer: Tag, kept: impl Fn(Tag) -> bool) -> Option<MonoNanos> {
        let open = self.ways.iter_mut().filter(|way| !kept(Tag(way.tag)));
        let way = open.min_by_key(|way| way.tat)?;
        // The newcomer was not here before the way was given away: the floor until now is what it may owe.
        let start = self.floor;
        self.floor = self.floor.max(way.tat);
        *way = Way { tag: newcomer.0, tat: start };
        Some(MonoNanos::from_nanos(start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> MonoNanos {
        MonoNanos::from_nanos(nanos)
    }

    fn nobody(_: Tag) -> bool {
        false
    }

    /// Entries 1 to 16, which owe 101 to 116.
    fn full() -> Slot {
        let mut slot = Slot::EMPTY;
        for (tag, tat) in (1..=16).zip(101..) {
            slot.seat(Tag(tag), |kept| kept.0 != 0).unwrap();
            slot.set(Tag(tag), at(tat));
        }
        slot
    }

    #[test]
    fn a_slot_survives_its_encoding() {
        let mut slot = full();
        slot.seat(Tag(99), nobody);
        assert_eq!(Slot::decode(&slot.encode()), Some(slot));
    }

    #[test]
    fn bytes_of_another_length_are_no_slot() {
        for length in [0, 1, 271, 273] {
            assert_eq!(Slot::decode(&vec![0; length]), None);
        }
    }

    #[test]
    fn the_time_of_a_slot_never_runs_backwards() {
        let mut slot = Slot::EMPTY;
        assert_eq!([5, 3, 7].map(|now| slot.advance(at(now))), [at(5), at(5), at(7)]);
    }

    #[test]
    fn a_newcomer_takes_the_place_of_whoever_owes_least() {
        let mut slot = full();
        slot.seat(Tag(99), nobody);
        assert_eq!(slot.get(Tag(1)), None);
        assert!((2..=16).all(|tag| slot.get(Tag(tag)).is_some()));
    }

    #[test]
    fn whoever_was_forgotten_comes_back_with_what_it_owed() {
        let mut slot = full();
        assert_eq!(slot.seat(Tag(99), nobody), Some(at(0)));
        assert_eq!(slot.seat(Tag(1), nobody), Some(at(101)));
    }

    #[test]
    fn an_entry_that_is_needed_is_not_given_away() {
        let mut slot = full();
        slot.seat(Tag(99), |tag| tag == Tag(1));
        assert_eq!(slot.get(Tag(1)), Some(at(101)));
        assert_eq!(slot.get(Tag(2)), None);
        assert_eq!(full().seat(Tag(99), |_| true), None);
    }
}
