//! What a resource demands of proofs of possession (RFC 9449). Plain data.
//! Not here: keeping to it (`binding`), which routes take tokens that need a proof (`route`).

use std::time::Duration;

use crate::http::TargetUri;
use crate::jose::Algorithm;

/// The rule for proofs of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DpopRule {
    /// Where clients find the resource: what `htu` begins with.
    pub origin: TargetUri,
    /// What proofs may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// What nonces of ours are for, where a proof needs one: the origin as text.
    pub nonce: Option<Box<str>>,
    /// How old a proof may be, by its `iat`.
    pub max_age: Duration,
    /// How far in the future its `iat` may lie.
    pub leeway: Duration,
    /// Whether the proof goes upstream.
    pub forward: bool,
}

impl DpopRule {
    /// Whether a proof may be good for resources with either rule, and for one of them when the other has forgotten it.
    pub fn outlasts_or_is_outlasted(&self, other: &Self) -> bool {
        let by_nonce = self.nonce.is_some();
        let same = by_nonce == other.nonce.is_some() && (by_nonce || self.max_age == other.max_age);
        !same && self.origin.overlaps(&other.origin)
    }
}
