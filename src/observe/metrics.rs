//! Names of Envoy counters and gauges. They are all known when the filter is configured: labels never come from a request.
//!
//! A decision's name holds its labels for a `stats_tags` rule to extract:
//! `boundgate.requests.decision.refused.reason.scope-missing`.

use crate::VERSION;
use crate::reason::Reason;
use crate::verdict::{Refusal, Verdict};
use crate::worker::{Counter, Gauge};

/// The place of a verdict's counter among [`decision_names`].
pub fn decision_index(verdict: &Verdict) -> usize {
    let row = |refusal: &Refusal| (refusal.reason as usize).saturating_add(1);
    match verdict {
        Verdict::Forward(forward) if forward.document().is_some() => {
            Reason::ALL.len().saturating_mul(2).saturating_add(1)
        }
        Verdict::Forward(_) => 0,
        Verdict::Refuse(refusal) => row(refusal),
        Verdict::Report(refusal, _) => row(refusal).saturating_add(Reason::ALL.len()),
    }
}

/// The names of the decision counters, in the order of [`decision_index`].
pub fn decision_names() -> impl Iterator<Item = String> {
    let of = |decision| {
        let name = move |reason: &Reason| format!("boundgate.requests.decision.{decision}.reason.{}", reason.slug());
        Reason::ALL.iter().map(name)
    };
    std::iter::once(String::from("boundgate.requests.decision.forwarded.reason.none"))
        .chain(of("refused"))
        .chain(of("reported"))
        .chain([String::from("boundgate.requests.decision.answered.reason.none")])
}

/// The name of an event's counter.
pub fn event_name(counter: Counter) -> String {
    format!("boundgate.{}", counter.metric())
}

/// The name of the counter of what a limit refused.
pub fn limit_name(limit: &str) -> String {
    format!("boundgate.limit.{limit}.refused")
}

/// The gauge of the version that took a configuration last: [`version_number`].
pub const VERSION_GAUGE: &str = "boundgate.version";

/// The version as one number: 1.2.3 is 1002003.
pub fn version_number() -> u64 {
    let parts = VERSION.split(['.', '-', '+']).map_while(|part| part.parse::<u64>().ok()).chain(std::iter::repeat(0));
    parts.take(3).fold(0, |number, part| number.saturating_mul(1_000).saturating_add(part))
}

/// The name of a gauge.
pub fn gauge_name(gauge: Gauge) -> String {
    format!("boundgate.{}", gauge.metric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::Grant;
    use crate::limit::Permits;
    use crate::verdict::{Forward, Upstream};

    #[test]
    fn every_verdict_has_the_counter_of_its_name() {
        let names: Vec<String> = decision_names().collect();
        assert_eq!(names.len(), 2 * Reason::ALL.len() + 2);
        let forward = || Forward::new(Grant::public(), Permits::none(), Upstream::default());
        assert_eq!(decision_index(&Verdict::Forward(forward())), 0);
        let served = Verdict::Forward(forward().serving(Some("{}".into())));
        assert!(names[decision_index(&served)].ends_with("answered.reason.none"));
        for reason in Reason::ALL {
            let reported = Verdict::Report(Refusal::from(*reason), Upstream::default());
            assert!(names[decision_index(&reported)].ends_with(&format!("reported.reason.{}", reason.slug())));
            let verdict = Verdict::Refuse(Refusal::from(*reason));
            assert!(names[decision_index(&verdict)].ends_with(&format!("refused.reason.{}", reason.slug())));
        }
    }
}
