//! What operators see: counters and the audit record. In: what a request was and became. Out: metric names, JSON.
//! Not here: handing them to the proxy (`filter`), counting inside the core (`worker::Tally`).

mod audit;
mod bounded;
mod metrics;
mod token_facts;

pub use audit::{Decision, audit_record, stopped};
pub use metrics::{VERSION_GAUGE, decision_index, decision_names, event_name, gauge_name, limit_name, version_number};
