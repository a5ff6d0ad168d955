//! Envoy counters of this VM. Defined when the filter is configured; a counter that Envoy refuses stays silent.

use proxy_wasm::hostcalls;
use proxy_wasm::types::MetricType;

use crate::observe::{decision_index, decision_names, event_name};
use crate::verdict::Verdict;
use crate::worker::{Counter, Tally};

/// Numbers of the counters, in the order of their tables.
pub struct Metrics {
    decisions: Vec<Option<u32>>,
    events: Vec<Option<u32>>,
}

impl Metrics {
    /// Defines all counters.
    pub fn define() -> Self {
        let define = |name: String| hostcalls::define_metric(MetricType::Counter, &name).ok();
        Self {
            decisions: decision_names().map(define).collect(),
            events: Counter::ALL.iter().map(|counter| define(event_name(*counter))).collect(),
        }
    }

    /// Counts a decision.
    pub fn decided(&self, verdict: &Verdict) {
        increment(self.decisions.get(decision_index(verdict)), 1);
    }

    /// Adds what the core counted.
    pub fn add(&self, tally: &Tally) {
        for (index, count) in tally.events() {
            increment(self.events.get(index), count);
        }
    }
}

fn increment(metric: Option<&Option<u32>>, by: u32) {
    if let Some(Some(metric)) = metric {
        // A counter that cannot be raised must not stop a request.
        let _ = hostcalls::increment_metric(*metric, i64::from(by));
    }
}
