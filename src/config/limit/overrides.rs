//! Overrides: other quotas for some callers, or for some time of the day. In: their tables, in the order in which they are
//! asked. Out: [`Override`]s, and findings about those that nobody could ever get.
//! Not here: whether the routes let such callers in (`uses`).

use crate::config::limit::keys::{LimitTable, OverrideTable};
use crate::config::limit::quota;
use crate::config::reading::finding::{Findings, Place};
use crate::config::reading::table::{At, Mistake};
use crate::config::reading::values::Outcome;
use crate::config::resource::caller::chosen_claim;
use crate::policy::{Condition, DayTimes, Fact, Origin, Override};

/// The keys of an override that are conditions.
const CONDITIONS: &[&str] = &["client_id", "sub", "claims", "peer", "utc"];

/// Those of a token.
pub(in crate::config) const OF_TOKENS: &[&str] = &["client_id", "sub", "claims"];

pub(in crate::config) fn compile(origin: &Origin, table: &LimitTable, findings: &mut Findings) -> Vec<Override> {
    let mut compiled = Vec::new();
    let mut earlier: Vec<(&Place, Vec<Condition>)> = Vec::new();
    for At { at, value: written } in table.overrides.iter().flatten() {
        let conditions = conditions(written, findings);
        let quota = quota(at, written.rate, written.burst.map(|burst| burst.0), table.local_only, findings);
        compiled.extend(quota.map(|quota| Override::new(&origin.name, conditions.clone(), quota)));
        if CONDITIONS.iter().any(|key| findings.touch(&at.key(key))) || conditions.is_empty() {
            continue;
        }
        if let Some((first, _)) = earlier.iter().find(|(_, theirs)| covers(theirs, &conditions)) {
            findings.add(
                at,
                format!(
                    "never reached: whoever meets its conditions meets those of {}, which comes first",
                    first.as_str()
                ),
                "Put the narrower one first, or remove one of both.",
            );
        }
        earlier.push((at, conditions));
    }
    of_unknown_tokens(table, findings);
    compiled
}

fn conditions(table: &OverrideTable, findings: &mut Findings) -> Vec<Condition> {
    let mut conditions = Vec::new();
    conditions.extend(table.client_id.iter().map(|id| Condition::Is(Fact::ClientId, id.0.clone())));
    conditions.extend(table.sub.iter().map(|sub| Condition::Is(Fact::Sub, sub.0.clone())));
    for (name, claim) in table.claims.iter().flat_map(|claims| &claims.0) {
        match chosen_claim(name) {
            Ok(name) => conditions
                .extend(claim.value.iter().map(|text| Condition::Is(Fact::Claim(name.clone()), text.0.clone()))),
            Err(Mistake { finding, remedy }) => findings.add(&claim.at, finding, remedy),
        }
    }
    conditions.extend(table.peer.iter().map(|peer| Condition::Peer(peer.0.clone())));
    conditions.extend(table.utc.iter().map(|times| Condition::Utc(times.0)));
    if table.claims.as_ref().is_some_and(|claims| claims.0.is_empty()) {
        findings.add(
            &table.at.key("claims"),
            "an empty table, which every caller satisfies",
            "Write claims and their texts, or remove the key.",
        );
    } else if !CONDITIONS.iter().any(|key| table.wrote(key)) {
        findings.add(
            &table.at,
            "has no condition, so that it would be everybody's rate",
            "Write client_id, sub, claims, peer or utc.",
        );
    }
    conditions
}

/// A verification is counted before anything is known from the token.
fn of_unknown_tokens(table: &LimitTable, findings: &mut Findings) {
    let on = table.on.as_deref().unwrap_or_default();
    if on.is_empty() || findings.touch(&table.at.key("on")) || on.iter().any(|item| item.value != Outcome::Verification)
    {
        return;
    }
    for written in table.overrides.iter().flatten() {
        for key in OF_TOKENS.iter().filter(|key| written.value.wrote(key)) {
            findings.add(
                &written.at.key(key),
                "never met, because verifications are counted before the token is known",
                "Write peer or utc, or remove the override.",
            );
        }
    }
}

/// Whether all that meet `theirs` are among those that meet `mine`.
fn covers(mine: &[Condition], theirs: &[Condition]) -> bool {
    mine.iter().all(|mine| theirs.iter().any(|theirs| follows(mine, theirs)))
}

/// Whether `condition` holds wherever `given` does.
fn follows(condition: &Condition, given: &Condition) -> bool {
    match (condition, given) {
        (Condition::Peer(condition), Condition::Peer(given)) => condition.includes(given),
        (Condition::Utc(condition), Condition::Utc(given)) => lies_within(*given, *condition),
        (condition, given) => condition == given,
    }
}

/// Whether every minute of `inner` is one of `outer`; neither is the whole day.
fn lies_within(inner: DayTimes, outer: DayTimes) -> bool {
    let minutes = 0..24 * 60;
    minutes.into_iter().all(|minute| !inner.contains(minute) || outer.contains(minute))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(from: u16, to: u16) -> DayTimes {
        DayTimes { from: from * 60, to: to * 60 }
    }

    #[test]
    fn a_stretch_of_the_day_lies_within_another_past_midnight_too() {
        assert!(lies_within(times(23, 5), times(22, 6)) && lies_within(times(1, 2), times(22, 6)));
        assert!(lies_within(times(22, 24), times(22, 0)));
        assert!(!lies_within(times(21, 5), times(22, 6)) && !lies_within(times(5, 23), times(22, 6)));
    }
}
