//! The body of a request: what its head tells of it, and what becomes of the request if more comes. In: the rule of the route, the head,
//! whether a body follows. Out: nothing, or the refusal. Not here: counting what comes (`filter::stream`).

use crate::exchange::limits::count_refusal;
use crate::exchange::{AuditFacts, Surroundings};
use crate::http::Head;
use crate::policy::{BodyRule, Mode, Policy};
use crate::reason::Reason;
use crate::verdict::{Upstream, Verdict};

/// Whether a request with this head may bring its body. Of what the head says nothing, the proxy knows whether something `follows`.
pub(super) fn admitted(rule: &BodyRule, head: &Head, follows: bool) -> Result<(), Reason> {
    let declared = head.headers("content-length").next().map(length);
    if rule.max_bytes.is_some_and(|most| declared.is_some_and(|declared| declared > most)) {
        return Err(Reason::BodyTooLarge);
    }
    let has_one = declared.map_or(follows, |declared| declared > 0);
    if !has_one || rule.accepts.is_empty() {
        return Ok(());
    }
    let mut types = head.headers("content-type");
    let is_meant = |kind: &[u8]| rule.accepts.iter().any(|range| range.includes(kind));
    match (types.next(), types.next()) {
        (Some(kind), None) if is_meant(kind) => Ok(()),
        _ => Err(Reason::TypeNotAccepted),
    }
}

/// What becomes of a request that went on, of which these facts are known, when more of its body comes than its route takes. It counts as any
/// other refusal does; headers are not there any more to count by.
pub fn body_too_large(facts: &mut AuditFacts, policy: &Policy, around: &mut Surroundings<'_>) -> Verdict {
    let refusal = count_refusal(Reason::BodyTooLarge.into(), None, false, facts, around);
    let refusal = facts.explain(refusal);
    match policy.mode_of(facts.resource.as_deref()) {
        Mode::Enforce => Verdict::Refuse(refusal),
        // What the upstream is told was told before.
        Mode::Report => Verdict::Report(refusal, Upstream::default()),
    }
}

/// What cannot be a number is more than any.
fn length(field: &[u8]) -> u64 {
    std::str::from_utf8(field).ok().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
}
