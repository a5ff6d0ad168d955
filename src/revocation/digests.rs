//! Many values in little memory, each found in a few steps however many there are. In: digests of 128 bits. Out: whether one is among them,
//! and the moment that goes with it. Not here: what is digested (`document`).
//!
//! One flat table: a digest stands at the place that its upper bits name, or at the next free one. A third of the places stays free, so
//! that a few steps are enough.

use std::num::NonZeroU128;

use crate::time::UnixMillis;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Digests {
    places: Vec<Option<NonZeroU128>>,
    /// Beside each place, where moments go with digests; empty where none do.
    moments: Vec<UnixMillis>,
    len: usize,
}

/// The bytes that a digest takes, and one with a moment.
pub(super) const PLACES_PER_DIGEST: (usize, usize) = (3, 2);

impl Digests {
    /// With room for so many.
    pub(super) fn with_room(number: usize, with_moments: bool) -> Self {
        let (most, least) = PLACES_PER_DIGEST;
        let places = if number == 0 { 0 } else { number.saturating_mul(most).div_ceil(least).saturating_add(1) };
        let moments = if with_moments { places } else { 0 };
        Self { places: vec![None; places], moments: vec![UnixMillis::from_millis(0); moments], len: 0 }
    }

    /// Adds one. `false` if there is no room.
    pub(super) fn insert(&mut self, digest: u128, moment: UnixMillis) -> bool {
        let (at, found) = match self.find(digest) {
            Some(Found::Here(at)) => (at, true),
            Some(Found::Free(at)) => (at, false),
            None => return false,
        };
        if let Some(place) = self.places.get_mut(at) {
            *place = Some(nonzero(digest));
        }
        // Of several moments the latest counts.
        if let Some(there) = self.moments.get_mut(at) {
            *there = moment.max(*there);
        }
        self.len = self.len.saturating_add(usize::from(!found));
        true
    }

    /// Whether it is there.
    pub(super) fn contains(&self, digest: u128) -> bool {
        matches!(self.find(digest), Some(Found::Here(_)))
    }

    /// The moment that goes with it, if it is there.
    pub(super) fn moment(&self, digest: u128) -> Option<UnixMillis> {
        match self.find(digest) {
            Some(Found::Here(at)) => self.moments.get(at).copied(),
            Some(Found::Free(_)) | None => None,
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The bytes of memory they take.
    pub(super) fn memory(&self) -> usize {
        size_of_val(&*self.places).saturating_add(size_of_val(&*self.moments))
    }

    /// `None` only where no place is free, which a table that was made with enough room never is.
    fn find(&self, digest: u128) -> Option<Found> {
        let digest = nonzero(digest);
        let upper = u64::from((digest.get() >> 96) as u32);
        let number = u64::try_from(self.places.len()).unwrap_or(0);
        let first = usize::try_from(upper.saturating_mul(number) >> 32).unwrap_or(0);
        let (before, from) = self.places.split_at_checked(first)?;
        let around = from.iter().enumerate().map(|(step, place)| (first.saturating_add(step), place));
        around.chain(before.iter().enumerate()).find_map(|(at, place)| match place {
            None => Some(Found::Free(at)),
            Some(there) => (*there == digest).then_some(Found::Here(at)),
        })
    }
}

enum Found {
    Here(usize),
    Free(usize),
}

fn nonzero(digest: u128) -> NonZeroU128 {
    NonZeroU128::new(digest).unwrap_or(NonZeroU128::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::fleet::simulation::random::Random;

    fn moment(millis: u64) -> UnixMillis {
        UnixMillis::from_millis(millis)
    }

    #[test]
    fn what_was_put_in_is_found_and_nothing_else() {
        let mut random = Random(3);
        let mut digest = || u128::from(random.next()) << 64 | u128::from(random.next());
        for number in [0, 1, 2, 1000] {
            let inside: Vec<u128> = (0..number).map(|_| digest()).collect();
            let mut digests = Digests::with_room(number, true);
            assert!(inside.iter().zip(1..).all(|(digest, millis)| digests.insert(*digest, moment(millis))));
            assert_eq!(digests.len(), number);
            assert!(inside.iter().zip(1..).all(|(digest, at)| digests.moment(*digest) == Some(moment(at))));
            assert!((0..1000).all(|_| !digests.contains(digest())));
        }
    }

    #[test]
    fn digests_that_share_a_place_stand_beside_each_other_around_the_end() {
        for upper in [0, u128::MAX << 64] {
            let mut digests = Digests::with_room(100, false);
            assert!((0..100).all(|lower| digests.insert(upper | lower, moment(0))));
            assert!((0..100).all(|lower| digests.contains(upper | lower)) && !digests.contains(upper | 100));
        }
    }

    #[test]
    fn one_that_comes_again_takes_no_more_room_and_the_latest_moment_counts() {
        let mut digests = Digests::with_room(1, true);
        assert!([5, 9, 7].into_iter().all(|millis| digests.insert(1, moment(millis))));
        assert_eq!((digests.len(), digests.moment(1)), (1, Some(moment(9))));
        assert!(digests.insert(0, moment(1)), "zero is one like others, and means 1");
    }

    #[test]
    fn a_table_that_is_full_says_so() {
        let mut digests = Digests::with_room(1, false);
        let fitted = (1..10).take_while(|digest| digests.insert(*digest, moment(0))).count();
        assert_eq!(fitted, 3);
        assert!(!digests.contains(10) && !Digests::default().contains(1) && !Digests::default().insert(1, moment(0)));
    }

    #[test]
    fn a_million_take_24_mib_and_few_steps() {
        let mut random = Random(5);
        let number = 1_000_000;
        let mut digests = Digests::with_room(number, false);
        for _ in 0..number {
            digests.insert(u128::from(random.next()) << 64 | u128::from(random.next()), moment(0));
        }
        assert_eq!(digests.memory() / number, 24);
        let longest = digests.places.split(Option::is_none).map(<[_]>::len).max().unwrap();
        assert!(longest < 200, "{longest} places without a free one");
    }
}
