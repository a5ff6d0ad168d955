//! How a user must have signed in (RFC 9470). Plain data. Not here: the judgement (`authz::step_up`), the challenge (`verdict`).

use std::time::Duration;

/// What a route demands of the authentication behind a token. One of both is there.
#[derive(Debug, PartialEq, Eq)]
pub struct StepUp {
    /// The authentication contexts (`acr`) of which one will do, the preferred first. Empty: any.
    pub contexts: Vec<Box<str>>,
    /// How long ago it may have been (`auth_time`).
    pub max_age: Option<Duration>,
    /// Where it is written.
    pub path: Box<str>,
}

impl StepUp {
    /// Whether whoever meets `mine` meets `theirs`.
    pub(super) fn demands_all_of(mine: Option<&Self>, theirs: Option<&Self>) -> bool {
        let Some(theirs) = theirs else { return true };
        let Some(mine) = mine else { return false };
        let contexts = theirs.contexts.is_empty()
            || (!mine.contexts.is_empty() && mine.contexts.iter().all(|context| theirs.contexts.contains(context)));
        let age = theirs.max_age.is_none_or(|theirs| mine.max_age.is_some_and(|mine| mine <= theirs));
        contexts && age
    }
}
