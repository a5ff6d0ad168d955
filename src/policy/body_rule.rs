//! What the body of a request may be. In: nothing; `config` makes these values. Out: the types and the length of a route.
//! Not here: the check (`exchange::body`), counting what comes without a length (`filter::stream`).

use crate::http::MediaRange;

/// The bodies that a route takes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct BodyRule {
    /// Their types; empty: any.
    pub accepts: Vec<MediaRange>,
    /// The longest, in bytes; `None`: any.
    pub max_bytes: Option<u64>,
}

impl BodyRule {
    /// Whether whatever passes here would pass `other` as well.
    pub fn demands_all_of(&self, other: &Self) -> bool {
        let shorter = other.max_bytes.is_none_or(|theirs| self.max_bytes.is_some_and(|mine| mine <= theirs));
        let narrower = || !self.accepts.is_empty() && self.accepts.iter().all(|mine| other.accepts.contains(mine));
        shorter && (other.accepts.is_empty() || narrower())
    }
}
