//! Envoy counters and gauges of this VM. Defined when the filter is configured; a counter that Envoy refuses stays silent. Counts are
//! collected here and handed over at each tick, because a call to the host costs more than everything else about them.

use std::cell::Cell;

use crate::filter::abi;
use crate::observe::{decision_index, decision_names, event_name, gauge_name};
use crate::verdict::Verdict;
use crate::worker::{Counter, Gauge, Tally};

/// Numbers of the counters, in the order of their tables, and what was counted since the last tick.
pub struct Metrics {
    decisions: Vec<Counted>,
    events: Vec<Option<u32>>,
    levels: Vec<Counted>,
}

struct Counted {
    metric: Option<u32>,
    count: Cell<u32>,
}

impl Metrics {
    /// Defines all counters.
    pub fn define() -> Self {
        let define = |name: String| abi::root::define_counter(&name).ok();
        let counted = |name| Counted { metric: define(name), count: Cell::new(0) };
        let level = |gauge: &Gauge| {
            let metric = abi::root::define_gauge(&gauge_name(*gauge)).ok();
            Counted { metric, count: Cell::new(0) }
        };
        Self {
            decisions: decision_names().map(counted).collect(),
            events: Counter::ALL.iter().map(|counter| define(event_name(*counter))).collect(),
            levels: Gauge::ALL.iter().map(level).collect(),
        }
    }

    /// Counts a decision.
    pub fn decided(&self, verdict: &Verdict) {
        if let Some(counted) = self.decisions.get(decision_index(verdict)) {
            counted.count.set(counted.count.get().saturating_add(1));
        }
    }

    /// Hands all decisions to Envoy, and what the core counted.
    pub fn publish(&self, tally: &Tally) {
        for counted in &self.decisions {
            increment(counted.metric, counted.count.take());
        }
        for (index, count) in tally.events() {
            increment(self.events.get(index).copied().flatten(), count);
        }
    }

    /// Hands the level of a gauge to Envoy: what changed, because all workers of the proxy share it.
    pub fn level(&self, gauge: Gauge, level: usize) {
        let Some(Counted { metric: Some(metric), count: last }) = self.levels.get(gauge as usize) else { return };
        let level = u32::try_from(level).unwrap_or(u32::MAX);
        let change = i64::from(level).saturating_sub(i64::from(last.replace(level)));
        if change != 0 {
            let _ = abi::root::change_metric(*metric, change);
        }
    }
}

fn increment(metric: Option<u32>, by: u32) {
    if let (Some(metric), 1..) = (metric, by) {
        // A counter that cannot be raised must not stop a request.
        let _ = abi::root::change_metric(metric, by.into());
    }
}
