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

/// What an entry costs beyond the token's text: parsed claims, table slot, allocations.
const OVERHEAD: usize = 4;
const FIXED_OVERHEAD: usize = 512;

struct Entry {
    text: Box<[u8]>,
    token: Rc<AccessToken>,
}

#[derive(Default)]
struct Generation {
    table: HashTable<Entry>,
    bytes: usize,
}

/// The verified-token cache of one worker.
pub struct TokenCache {
    young: Generation,
    old: Generation,
    hash: FixedState,
    bounds: TokenCacheBounds,
}

impl TokenCache {
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
    pub fn get(&mut self, text: &[u8]) -> Option<Rc<AccessToken>> {
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
    pub fn insert(&mut self, text: &[u8], token: Rc<AccessToken>) {
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

    fn keep(&mut self, hash: u64, entry: Entry) {
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

/// Claims hold about the payload's text once more, in many small allocations.
fn cost(text: &[u8]) -> usize {
    text.len().saturating_mul(OVERHEAD).saturating_add(FIXED_OVERHEAD)
}

/// Equality by words and without an early exit: `memcmp` goes byte by byte in wasm.
fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let (left_words, left_rest) = left.as_chunks::<8>();
    let (right_words, right_rest) = right.as_chunks::<8>();
    let words = left_words.iter().zip(right_words).fold(0, |difference, (left, right)| {
        difference | (u64::from_ne_bytes(*left) ^ u64::from_ne_bytes(*right))
    });
    let rest = left_rest.iter().zip(right_rest).fold(0, |difference, (left, right)| difference | (left ^ right));
    words == 0 && rest == 0
}
