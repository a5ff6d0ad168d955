//! Subject: whether a token is about whom the route is for. In: a route's rule, what the token says of it. Out: nothing, or why not.

use crate::authz::Denial;
use crate::policy::{SubjectKind, SubjectRule};
use crate::reason::Reason;

/// Only a token that is known to be of the kind passes.
pub fn admits(rule: &SubjectRule, kind: Option<SubjectKind>) -> Result<(), Denial> {
    let because = match kind {
        Some(kind) if kind == rule.kind => return Ok(()),
        Some(SubjectKind::User) => "the token is a user's",
        Some(SubjectKind::Client) => "the token is the client's own",
        None => "the token does not tell whether it is a user's or the client's own",
    };
    Err(Denial::by(Reason::SubjectRefused, &rule.path, because))
}
