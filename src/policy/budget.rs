//! Which quota an entry belongs to. In: a limit's name and one of its quotas, with the condition under which it is somebody's.
//! Out: a [`BudgetId`], the same in every version of a configuration that leaves these alone.
//! Not here: whose entry it is and where it is kept (`limit`).

use sha2::{Digest, Sha256};

use crate::policy::Quota;

/// One quota of one limit of one filter. No two quotas share a budget: what is spent of one is never owed to another,
/// and none can make another's debt smaller.
///
/// The lowest bit tells what is held from what is owed: their states mean different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BudgetId(u64);

impl BudgetId {
    /// Of a rate: its limit's name, and for whom or when it counts, in one canonical spelling (empty: for everybody). Another
    /// rate or burst is another budget: a debt is time, and means something else at another rate.
    pub fn of_rate(limit: &str, condition: &str, quota: &Quota) -> Self {
        Self::hash("rate", limit, condition, &[quota.price(1), quota.burst().into()], 0)
    }

    /// Of what is under way by a limit at once. Its number is no part of it: a changed one counts what is under way.
    pub fn of_flight(limit: &str) -> Self {
        Self::hash("in flight", limit, "", &[], 1)
    }

    /// Of requests whose outcome a limit waits for.
    pub fn of_undecided(limit: &str, condition: &str) -> Self {
        Self::hash("undecided", limit, condition, &[], 1)
    }

    /// The same quota in the filter of that name: limits of two filters never meet.
    pub fn in_filter(self, filter: FilterId) -> Self {
        Self((self.0 ^ filter.0) & !1 | self.0 & 1)
    }

    /// Whether its entries say who holds something.
    pub fn is_held(self) -> bool {
        self.0 & 1 == 1
    }

    /// As it is stored.
    pub fn word(self) -> u64 {
        self.0
    }

    /// From what was stored.
    pub fn from_word(word: u64) -> Self {
        Self(word)
    }

    fn hash(kind: &str, limit: &str, condition: &str, figures: &[u64], held: u64) -> Self {
        let mut hash = Sha256::new();
        for text in [kind, limit, condition] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        for figure in figures {
            hash.update(figure.to_le_bytes());
        }
        let hash = hash.finalize().first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
        Self(hash & !1 | held)
    }
}

/// A filter, by the name under which the proxy knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterId(u64);

impl FilterId {
    /// The filter of that name.
    pub fn new(name: &[u8]) -> Self {
        Self(Sha256::digest(name).first_chunk().map_or(0, |first| u64::from_le_bytes(*first)))
    }
}
