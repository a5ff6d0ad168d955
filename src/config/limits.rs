//! Limits: rates, bursts and keys. In: their tables. Out: [`Limit`]s by name.

use crate::config::defined::Defined;
use crate::config::finding::Findings;
use crate::config::keys::LimitTable;
use crate::config::table::Named;
use crate::config::values::LONGEST_SHORT_PERIOD;
use crate::limit::Quota;
use crate::policy::{Limit, Origin};

pub(super) fn compile(written: Option<&Named<LimitTable>>, findings: &mut Findings) -> Defined<Limit> {
    Defined::compile("limit", written, findings, limit)
}

fn limit(origin: Origin, table: &LimitTable, findings: &mut Findings) -> Option<Limit> {
    let rate = table.rate?;
    if rate.per > LONGEST_SHORT_PERIOD && !table.local_only {
        findings.add(
            &table.at.key("rate"),
            "a limit by the day, which each proxy would count alone and forget when it restarts",
            "Write local_only: true if that is meant, or a rate by the hour.",
        );
    }
    let burst = table.burst.map_or(rate.permits, |burst| burst.0);
    let quota = Quota::new(u64::from(rate.permits), rate.per, burst)
        .map_err(|fault| findings.add(&table.at.key("rate"), fault.to_string(), "Choose another rate or burst."))
        .ok()?;
    let mut key = Vec::new();
    for part in table.key.as_ref()? {
        if key.contains(&part.value.0) {
            findings.add(&part.at, "stands there twice", "Remove one.");
        } else {
            key.push(part.value.0.clone());
        }
    }
    Some(Limit { origin, key, quota })
}
