//! Tokens this worker has verified, found by their whole text. In: a verified token and its bytes. Out: the same
//! token for the same bytes. A hit proves the signature only: the caller re-checks everything else.
//!
//! One text may stand here several times: once for each trust it was verified under, told apart by what the caller asks
//! of the token. How many trusts there are is the operator's choice; those nobody uses any more are dropped.
//!
//! Bounded by two generations: when the young one holds half of the bound, it becomes the old one and what was old
//! and not used since is forgotten. Only verified tokens enter, so an attacker cannot push others out for free.

use std::hash::BuildHasher;
use std::rc::Rc;

use foldhash::fast::{FixedState, FoldHasher};
use hashbrown::HashTable;

use crate::json::{allocation, allocation_of};
use crate::policy::TokenCacheBounds;
use crate::token::AccessToken;

struct Entry<T> {
    text: Box<[u8]>,
    token: Rc<T>,
    /// The bytes of memory that all this takes.
    cost: usize,
}

impl<T> Entry<T> {
    fn new(text: &[u8], token: Rc<T>, memory: usize) -> Self {
        // A table may be half empty, and an `Rc` counts in two words.
        let place = allocation_of::<Self>(2).saturating_add(allocation_of::<usize>(2));
        let cost = allocation(text.len()).saturating_add(memory).saturating_add(place);
        Self { text: text.into(), token, cost }
    }
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

    /// The token with exactly this text that is the `wanted` one.
    pub fn get(&mut self, text: &[u8], wanted: impl Fn(&T) -> bool) -> Option<Rc<T>> {
        let hash = self.hash(text);
        let fits = |entry: &Entry<T>| same(&entry.text, text) && wanted(&entry.token);
        if let Some(entry) = self.young.table.find(hash, fits) {
            return Some(entry.token.clone());
        }
        let entry = self.old.table.find_entry(hash, fits).ok()?.remove().0;
        self.old.bytes = self.old.bytes.saturating_sub(entry.cost);
        let token = entry.token.clone();
        self.keep(hash, entry);
        Some(token)
    }

    /// Remembers a verified token that takes this many bytes of memory, in place of the one with this text that is
    /// `replaced`. One that alone exceeds half of the bound is not kept.
    pub fn insert(&mut self, text: &[u8], token: Rc<T>, memory: usize, replaced: impl Fn(&T) -> bool) {
        let hash = self.hash(text);
        self.forget(text, replaced);
        self.keep(hash, Entry::new(text, token, memory));
    }

    /// Forgets the token with this text that is the `unwanted` one.
    pub fn forget(&mut self, text: &[u8], unwanted: impl Fn(&T) -> bool) {
        let hash = self.hash(text);
        let fits = |entry: &Entry<T>| same(&entry.text, text) && unwanted(&entry.token);
        for generation in [&mut self.young, &mut self.old] {
            if let Ok(entry) = generation.table.find_entry(hash, fits) {
                generation.bytes = generation.bytes.saturating_sub(entry.remove().0.cost);
            }
        }
    }

    /// Forgets all tokens but these.
    pub fn retain(&mut self, kept: impl Fn(&T) -> bool) {
        for Generation { table, bytes } in [&mut self.young, &mut self.old] {
            table.retain(|entry| {
                let stays = kept(&entry.token);
                if !stays {
                    *bytes = bytes.saturating_sub(entry.cost);
                }
                stays
            });
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
        let cost = entry.cost;
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

    fn any(_: &usize) -> bool {
        true
    }

    fn text(number: usize) -> Vec<u8> {
        format!("header.payload.{number:08}").into_bytes()
    }

    #[test]
    fn a_token_is_found_by_its_whole_text_only() {
        let mut cache = cache(10, 100_000);
        cache.insert(&text(1), Rc::new(1), 0, any);
        assert_eq!(cache.get(&text(1), any).as_deref(), Some(&1));
        let mut other = text(1);
        for place in 0..other.len() {
            other[place] ^= 1;
            assert_eq!(cache.get(&other, any), None, "byte {place}");
            other[place] ^= 1;
        }
        assert_eq!(cache.get(&other[..other.len() - 1], any), None);
    }

    #[test]
    fn entries_and_bytes_stay_within_their_bounds() {
        let mut few = cache(100, 1 << 30);
        let mut small = cache(1 << 30, 100_000);
        for number in 0..10_000 {
            few.insert(&text(number), Rc::new(number), 0, any);
            small.insert(&text(number), Rc::new(number), 0, any);
            assert!(few.len() <= 100);
            assert!(small.young.bytes + small.old.bytes <= 100_000);
        }
        assert!(few.len() >= 50 && !small.is_empty());
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let mut cache = cache(100, 1 << 30);
        cache.insert(&text(0), Rc::new(0), 0, any);
        cache.insert(&text(1), Rc::new(1), 0, any);
        for number in 2..1_000 {
            assert!(cache.get(&text(0), any).is_some());
            cache.insert(&text(number), Rc::new(number), 0, any);
        }
        assert_eq!((cache.get(&text(0), any).as_deref(), cache.get(&text(1), any)), (Some(&0), None));
    }

    #[test]
    fn a_token_too_large_for_the_cache_is_not_kept() {
        let mut cache = cache(10, 4_000);
        cache.insert(&[b'a'; 2_000], Rc::new(1), 0, any);
        assert!(cache.is_empty());
    }

    #[test]
    fn the_same_token_again_takes_no_second_place() {
        let mut cache = cache(10, 100_000);
        cache.insert(&text(1), Rc::new(1), 0, any);
        cache.insert(&text(1), Rc::new(2), 0, any);
        assert_eq!((cache.len(), cache.get(&text(1), any).as_deref()), (1, Some(&2)));
        cache.forget(&text(1), any);
        assert_eq!((cache.len(), cache.young.bytes), (0, 0));
    }

    #[test]
    fn one_text_stands_beside_itself_for_each_trust() {
        let mut cache = cache(10, 100_000);
        let is = |wanted: usize| move |token: &usize| *token == wanted;
        for number in [1, 2, 2] {
            cache.insert(&text(1), Rc::new(number), 0, is(number));
        }
        assert_eq!(cache.len(), 2);
        assert_eq!(cache.get(&text(1), is(1)).as_deref(), Some(&1));
        assert_eq!(cache.get(&text(1), is(2)).as_deref(), Some(&2));
        assert_eq!(cache.get(&text(1), is(3)), None);
        cache.forget(&text(1), is(1));
        assert_eq!((cache.get(&text(1), is(1)), cache.get(&text(1), is(2)).as_deref()), (None, Some(&2)));
    }

    #[test]
    fn what_is_dropped_frees_its_bytes_in_both_generations() {
        let mut cache = cache(8, 100_000);
        for number in 0..6 {
            cache.insert(&text(number), Rc::new(number % 2), 0, any);
        }
        assert!(!cache.old.table.is_empty() && !cache.young.table.is_empty());
        cache.retain(|token| *token == 1);
        assert_eq!((cache.len(), cache.get(&text(0), any), cache.get(&text(1), any).as_deref()), (3, None, Some(&1)));
        cache.retain(|_| false);
        assert_eq!((cache.len(), cache.young.bytes, cache.old.bytes), (0, 0, 0));
    }

    #[test]
    fn an_entry_costs_what_it_keeps_and_a_long_signature_only_once() {
        let mut cache = cache(1 << 20, 32 << 20);
        let text = |number: usize| [vec![b'a'; 6_500], text(number)].concat();
        for number in 0..10_000 {
            cache.insert(&text(number), Rc::new(number), 1_500, any);
        }
        assert!((1_900..4_200).contains(&cache.len()), "{}", cache.len());
        let mut full = TokenCache::new(7, TokenCacheBounds { entries: 1 << 20, bytes: 1 << 20 });
        for number in 0..1_000 {
            full.insert(&text(number), Rc::new(number), 100_000, any);
        }
        assert!(full.len() <= 10, "claims that take more than their text count as what they take: {}", full.len());
    }

    #[test]
    fn the_bytes_counted_are_those_of_the_entries_whatever_happens() {
        let mut cache = cache(64, 40_000);
        let mut random = 1_u64;
        for step in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let pick = |bits: u32, below: u64| ((random >> bits) % below) as usize;
            let (text, trust, memory) = (text(pick(16, 100)), pick(24, 3), pick(32, 2_000));
            match pick(48, 100) {
                0 => cache.retain(|token| *token != trust),
                1 => {
                    cache.set_bounds(TokenCacheBounds { entries: 32 + pick(20, 64), bytes: 20_000 + pick(40, 40_000) })
                }
                2..10 => cache.forget(&text, |token| *token == trust),
                10..50 => cache.insert(&text, Rc::new(trust), memory, |token| *token == trust),
                _ => assert!(cache.get(&text, |token| *token == trust).is_none_or(|token| *token == trust)),
            }
            for generation in [&cache.young, &cache.old] {
                let costs: usize = generation.table.iter().map(|entry| entry.cost).sum();
                assert_eq!(generation.bytes, costs, "step {step}");
            }
            let entries = || cache.young.table.iter().chain(cache.old.table.iter());
            let kept: std::collections::BTreeSet<_> = entries().map(|entry| (&entry.text, *entry.token)).collect();
            assert_eq!(kept.len(), cache.len(), "step {step}: twice the same");
        }
    }
}
