//! From which address a token may be shown. Plain data. Not here: the judgement (`authz::source_ip`).

/// The claim that names the address of whoever may show the token.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceIp {
    /// Its name here.
    pub claim: Box<str>,
    /// Whether an IPv6 address means all of its /64, which one household or host has.
    pub whole_64: bool,
    /// Where it is written.
    pub path: Box<str>,
}

impl SourceIp {
    /// Whether whoever meets `mine` meets `theirs`.
    pub(super) fn demands_all_of(mine: Option<&Self>, theirs: Option<&Self>) -> bool {
        let covers = |mine: &Self, theirs: &Self| mine.claim == theirs.claim && (theirs.whole_64 || !mine.whole_64);
        theirs.is_none_or(|theirs| mine.is_some_and(|mine| covers(mine, theirs)))
    }
}
