//! Envoy counters and gauges of this VM. Defined when the filter is configured, those of limits by each policy that it goes over
//! to; a counter that Envoy refuses stays silent. Counts are collected here and handed over at each tick, because a call to
//! the host costs more than everything else about them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::filter::abi;
use crate::observe::{
    VERSION_GAUGE, decision_index, decision_names, event_name, gauge_name, limit_name, version_number,
};
use crate::policy::Policy;
use crate::verdict::Verdict;
use crate::worker::{Counter, Gauge, Tally};

/// Numbers of the counters, in the order of their tables, and what was counted since the last tick.
pub struct Metrics {
    decisions: Vec<Counted>,
    events: Vec<Option<u32>>,
    levels: Vec<Counted>,
    /// By the name of the limit: what it refused.
    limits: RefCell<BTreeMap<Box<str>, Counted>>,
}

struct Counted {
    metric: Option<u32>,
    count: Cell<u32>,
}

impl Counted {
    fn raise(&self) {
        self.count.set(self.count.get().saturating_add(1));
    }
}

impl Metrics {
    /// Defines all counters that every policy has.
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
            limits: RefCell::default(),
        }
    }

    /// Tells which version took a configuration last.
    pub fn tell_version() {
        // Without it the version stands in the log and in the records.
        let _ = abi::root::define_gauge(VERSION_GAUGE).and_then(|gauge| abi::root::set_metric(gauge, version_number()));
    }

    /// Defines the counters of the limits of a policy. Names of older ones stay: their listeners drain.
    pub fn adopt(&self, policy: &Policy) {
        let mut limits = self.limits.borrow_mut();
        for name in policy.limits.iter().map(|limit| &limit.origin.name) {
            limits.entry(name.clone()).or_insert_with(|| Counted {
                metric: abi::root::define_counter(&limit_name(name)).ok(),
                count: Cell::new(0),
            });
        }
    }

    /// Counts a decision.
    pub fn decided(&self, verdict: &Verdict) {
        if let Some(counted) = self.decisions.get(decision_index(verdict)) {
            counted.raise();
        }
        if let Verdict::Refuse(refusal) | Verdict::Report(refusal, _) = verdict {
            let limits = self.limits.borrow();
            refusal.violated_limits().filter_map(|name| limits.get(name)).for_each(Counted::raise);
        }
    }

    /// Hands all decisions to Envoy, and what the core counted.
    pub fn publish(&self, tally: &Tally) {
        for counted in self.decisions.iter().chain(self.limits.borrow().values()) {
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
