//! Tokens this worker has verified, found by their whole text. In: a verified token and its bytes. Out: the same
//! token for the same bytes. A hit proves the signature only: the caller re-checks everything else.
//!
//! Bounded by two generations: when the young one holds half of the bound, it becomes the old one and what was old
//! and not used since is forgotten. Only verified tokens enter, so an attacker cannot push others out for free.

use std::hash::BuildHasher;
use std::rc::Rc;

use foldhash::fast::{FixedState, FoldHasher};
use hashbrown::HashTable;

use crate::policy::TokenCacheBounds;
use crate::token::AccessToken;

/// What an entry costs for each byte of the token: the text itself, and the claims in many small allocations.
const COST_PER_BYTE: usize = 4;
/// What an entry costs besides: table slot, key, fixed fields.
const COST_OF_ENTRY: usize = 512;

struct Entry<T> {
    text: Box<[u8]>,
    token: Rc<T>,
}

struct Generation<T> {
    table: HashTable<Entry<T>>,
    bytes: usize,
}

impl<T> Default for Generation<T> {
    fn default() -> Self {
        Self { table: HashTable::new(), bytes: 0 }
    }
}

/// The verified-token cache of one worker.
pub struct TokenCache<T = AccessToken> {
    young: Generation<T>,
    old: Generation<T>,
    hash: FixedState,
    bounds: TokenCacheBounds,
}

impl<T> TokenCache<T> {
    /// An empty cache. `seed` must be unpredictable: the hash decides only where an entry is looked for, the whole
    /// text decides whether it is the one.
    pub fn new(seed: u64, bounds: TokenCacheBounds) -> Self {
        Self { young: Generation::default(), old: Generation::default(), hash: FixedState::with_seed(seed), bounds }
    }

    /// Changes the bounds; what is there stays until the next turn of generations.
    pub fn set_bounds(&mut self, bounds: TokenCacheBounds) {
        self.bounds = bounds;
    }

    /// The token with exactly this text.
    pub fn get(&mut self, text: &[u8]) -> Option<Rc<T>> {
        let hash = self.hash(text);
        if let Some(entry) = self.young.table.find(hash, |entry| same(&entry.text, text)) {
            return Some(entry.token.clone());
        }
        let entry = self.old.table.find_entry(hash, |entry| same(&entry.text, text)).ok()?.remove().0;
        self.old.bytes = self.old.bytes.saturating_sub(cost(&entry.text));
        let token = entry.token.clone();
        self.keep(hash, entry);
        Some(token)
    }

    /// Remembers a verified token. One that alone exceeds half of the bound is not kept.
    pub fn insert(&mut self, text: &[u8], token: Rc<T>) {
        let hash = self.hash(text);
        self.forget(text);
        self.keep(hash, Entry { text: text.into(), token });
    }

    /// Forgets a token.
    pub fn forget(&mut self, text: &[u8]) {
        let hash = self.hash(text);
        for generation in [&mut self.young, &mut self.old] {
            if let Ok(entry) = generation.table.find_entry(hash, |entry| same(&entry.text, text)) {
                generation.bytes = generation.bytes.saturating_sub(cost(&entry.remove().0.text));
            }
        }
    }

    /// Tokens held.
    pub fn len(&self) -> usize {
        self.young.table.len().saturating_add(self.old.table.len())
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn keep(&mut self, hash: u64, entry: Entry<T>) {
        let half = TokenCacheBounds { entries: self.bounds.entries / 2, bytes: self.bounds.bytes / 2 };
        let cost = cost(&entry.text);
        if cost > half.bytes || half.entries == 0 {
            return;
        }
        if self.young.table.len() >= half.entries || self.young.bytes.saturating_add(cost) > half.bytes {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.bytes = self.young.bytes.saturating_add(cost);
        let state = self.hash.clone();
        self.young.table.insert_unique(hash, entry, move |entry| hash_of(&state, &entry.text));
    }

    fn hash(&self, text: &[u8]) -> u64 {
        hash_of(&self.hash, text)
    }
}

fn hash_of(state: &FixedState, text: &[u8]) -> u64 {
    use std::hash::Hasher;
    let mut hasher: FoldHasher<'_> = state.build_hasher();
    hasher.write(text);
    hasher.finish()
}

fn cost(text: &[u8]) -> usize {
    text.len().saturating_mul(COST_PER_BYTE).saturating_add(COST_OF_ENTRY)
}

/// Equality by words and without an early exit: `memcmp` goes byte by byte in wasm.
fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let (left_words, left_rest) = left.as_chunks::<8>();
    let (right_words, right_rest) = right.as_chunks::<8>();
    let words = left_words
        .iter()
        .zip(right_words)
        .fold(0, |difference, (left, right)| difference | (u64::from_ne_bytes(*left) ^ u64::from_ne_bytes(*right)));
    let rest = left_rest.iter().zip(right_rest).fold(0, |difference, (left, right)| difference | (left ^ right));
    words == 0 && rest == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(entries: usize, bytes: usize) -> TokenCache<usize> {
        TokenCache::new(7, TokenCacheBounds { entries, bytes })
    }

    fn text(number: usize) -> Vec<u8> {
        format!("header.payload.{number:08}").into_bytes()
    }

    #[test]
    fn a_token_is_found_by_its_whole_text_only() {
        let mut cache = cache(10, 100_000);
        cache.insert(&text(1), Rc::new(1));
        assert_eq!(cache.get(&text(1)).as_deref(), Some(&1));
        let mut other = text(1);
        for place in 0..other.len() {
            other[place] ^= 1;
            assert_eq!(cache.get(&other), None, "byte {place}");
            other[place] ^= 1;
        }
        assert_eq!(cache.get(&other[..other.len() - 1]), None);
    }

    #[test]
    fn entries_and_bytes_stay_within_their_bounds() {
        let mut few = cache(100, 1 << 30);
        let mut small = cache(1 << 30, 100_000);
        for number in 0..10_000 {
            few.insert(&text(number), Rc::new(number));
            small.insert(&text(number), Rc::new(number));
            assert!(few.len() <= 100);
            assert!(small.young.bytes + small.old.bytes <= 100_000);
        }
        assert!(few.len() >= 50 && !small.is_empty());
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let mut cache = cache(100, 1 << 30);
        cache.insert(&text(0), Rc::new(0));
        cache.insert(&text(1), Rc::new(1));
        for number in 2..1_000 {
            assert!(cache.get(&text(0)).is_some());
            cache.insert(&text(number), Rc::new(number));
        }
        assert_eq!((cache.get(&text(0)).as_deref(), cache.get(&text(1))), (Some(&0), None));
    }

    #[test]
    fn a_token_too_large_for_the_cache_is_not_kept() {
        let mut cache = cache(10, 4_000);
        cache.insert(&[b'a'; 2_000], Rc::new(1));
        assert!(cache.is_empty());
    }

    #[test]
    fn the_same_token_again_takes_no_second_place() {
        let mut cache = cache(10, 100_000);
        cache.insert(&text(1), Rc::new(1));
        cache.insert(&text(1), Rc::new(2));
        assert_eq!((cache.len(), cache.get(&text(1)).as_deref()), (1, Some(&2)));
        cache.forget(&text(1));
        assert_eq!((cache.len(), cache.young.bytes), (0, 0));
    }
}
