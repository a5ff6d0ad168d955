//! What operators see: counters and the audit record. In: what a request was and became. Out: metric names, JSON.
//! Not here: handing them to the proxy (`filter`), counting inside the core (`worker::Tally`).

mod audit;
mod metrics;

pub use audit::{Decision, audit_record};
pub use metrics::{decision_index, decision_names, event_name, gauge_name, limit_name};
