//! A bounded map that forgets what was not used for longest, in two generations. In: keys and values. Out: the same
//! values while they are remembered. Forgetting costs one rotation for each half of the bound, nothing on a lookup.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::hash::Hash;

pub(super) struct Generations<K, V> {
    young: HashMap<K, V, FixedState>,
    old: HashMap<K, V, FixedState>,
    bound: usize,
}

impl<K: Eq + Hash + Copy, V> Generations<K, V> {
    /// At most `bound` values, beside those that must be kept. Keys are hashes already, under a secret: nobody
    /// outside can make them meet.
    pub(super) fn new(bound: usize) -> Self {
        let empty = || HashMap::with_hasher(FixedState::with_seed(0));
        Self { young: empty(), old: empty(), bound: bound.max(2) }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len().saturating_add(self.old.len())
    }

    /// The value, which is young again.
    pub(super) fn get(&mut self, key: K) -> Option<&mut V> {
        if let Some(value) = self.old.remove(&key) {
            self.young.insert(key, value);
        }
        self.young.get_mut(&key)
    }

    /// The value, or a new one. Values that `keep` names are never forgotten. Out: also how many were.
    pub(super) fn get_or_insert(
        &mut self,
        key: K,
        new: impl FnOnce() -> V,
        keep: impl Fn(&V) -> bool,
    ) -> (&mut V, usize) {
        let mut forgotten = 0;
        if !self.young.contains_key(&key) && !self.old.contains_key(&key) && self.young.len() >= self.bound / 2 {
            let full = std::mem::replace(&mut self.young, HashMap::with_hasher(FixedState::with_seed(0)));
            for (key, value) in std::mem::replace(&mut self.old, full) {
                if keep(&value) {
                    self.young.insert(key, value);
                } else {
                    forgotten = usize::saturating_add(forgotten, 1);
                }
            }
        }
        if let Some(value) = self.old.remove(&key) {
            self.young.insert(key, value);
        }
        (self.young.entry(key).or_insert_with(new), forgotten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(map: &mut Generations<u32, bool>, key: u32, keep: bool) {
        map.get_or_insert(key, || keep, |keep| *keep);
    }

    #[test]
    fn what_is_used_stays_and_the_rest_is_forgotten_within_the_bound() {
        let mut map = Generations::new(10);
        for key in 0..1000 {
            insert(&mut map, key, false);
            assert!(map.get(0).is_some());
            assert!(map.len() <= 10 + 1);
        }
        assert!(map.get(1).is_none());
        assert!(map.get(999).is_some());
    }

    #[test]
    fn what_must_be_kept_is_never_forgotten() {
        let mut map = Generations::new(10);
        insert(&mut map, 0, true);
        for key in 1..1000 {
            insert(&mut map, key, false);
        }
        assert!(map.get(0).is_some());
    }
}
