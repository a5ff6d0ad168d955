//! Slots of shared data that remember things by a tag, each until its end. In: what is remembered, as bytes; the stored value of its
//! slot. Out: where it belongs, and the entries there. Not here: what a full slot or a foreign value means (`marks`, `replay`).
//!
//! A value is a list of (tag, end), each a little-endian `u64`.

use std::fmt::Write;
use std::hash::Hasher;

use siphasher::sip128::Hasher128;

use crate::shared::{Purpose, Secret};

/// One thing that is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) tag: u64,
    /// By the clock of its table.
    pub(super) end: u64,
}

/// A table of slots, as far as keys tell it from others.
#[derive(Clone, Copy)]
pub(super) struct Table<'n> {
    pub(super) name: &'n str,
    /// Raised when the meaning of stored bytes changes.
    pub(super) layout: u32,
    /// A power of two.
    pub(super) slots: u64,
    pub(super) purpose: Purpose,
}

impl Table<'_> {
    /// The key of the slot of `what`, and its tag there.
    pub(super) fn place(self, what: &[u8], secret: &Secret) -> (String, u64) {
        let mut hasher = secret.hasher(self.purpose);
        hasher.write(self.name.as_bytes());
        hasher.write(&[0]);
        hasher.write(what);
        let hash = hasher.finish128();
        let mut key = String::with_capacity(64);
        let slot = hash.h1 & self.slots.saturating_sub(1);
        // Writing to a String does not fail.
        let _ = write!(key, "boundgate/{}/{}.{}/{slot}", self.name, self.layout, self.slots);
        (key, hash.h2)
    }
}

/// The entries of a value. `None` for what is no list of entries, or one of more than `most`.
pub(super) fn decode(bytes: &[u8], most: usize) -> Option<Vec<Entry>> {
    let (entries, rest) = bytes.as_chunks::<16>();
    let entry = |entry: &[u8; 16]| match entry.as_chunks::<8>().0 {
        [tag, end] => Some(Entry { tag: u64::from_le_bytes(*tag), end: u64::from_le_bytes(*end) }),
        _ => None,
    };
    if !rest.is_empty() || entries.len() > most { None } else { entries.iter().map(entry).collect() }
}

/// The value of these entries.
pub(super) fn encode(entries: &[Entry]) -> Vec<u8> {
    entries.iter().flat_map(|entry| [entry.tag, entry.end]).flat_map(u64::to_le_bytes).collect()
}
