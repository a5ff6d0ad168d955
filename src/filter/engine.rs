//! What judges and counts in one VM: the core's worker, and the proxy's counters. It knows no stream and no context.

use std::cell::RefCell;
use std::rc::Rc;

use crate::filter::host::Envoy;
use crate::filter::metrics::Metrics;
use crate::policy::{FilterId, Policy};
use crate::worker::{Gauge, Worker};

/// See the module.
pub struct Engine {
    /// Never borrowed across a call into another context.
    pub worker: RefCell<Worker>,
    /// Counters.
    pub metrics: Metrics,
}

impl Engine {
    /// Of the filter `id`, by `policy`.
    pub fn new(id: FilterId, policy: &Rc<Policy>) -> Self {
        let engine = Self { worker: RefCell::new(Worker::new(id, policy, &Envoy)), metrics: Metrics::define() };
        engine.metrics.adopt(policy);
        Metrics::tell_version();
        log::info!("signatures the proxy verifies natively: {}", engine.worker.borrow().native());
        engine
    }

    /// Goes over to `policy`.
    pub fn adopt(&self, policy: &Rc<Policy>) {
        self.worker.borrow_mut().adopt(policy);
        self.metrics.adopt(policy);
        Metrics::tell_version();
    }

    /// Hands what was counted to Envoy.
    pub fn publish(&self) {
        let mut worker = self.worker.borrow_mut();
        self.metrics.publish(&worker.take_tally());
        for gauge in Gauge::ALL {
            self.metrics.level(*gauge, worker.level(*gauge));
        }
    }
}
