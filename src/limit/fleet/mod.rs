//! Limits that a whole fleet shares, without a call per request.
//!
//! In: demands, ends of calls, time. Out: verdicts ([`Taken`]) and calls to send ([`Ask`]). No host, no clock.
//!
//! ```text
//!  request ──take──▶ Leases (one per worker) ──next_ask──▶ rate-limit service
//!          ◀─Taken──  one lease per limit      ◀──answer──  counts N at once
//!                     and identity
//! ```
mod breaker;
#[cfg(test)]
mod fake;
mod generations;
mod lease;
mod leases;
mod name;
mod outcome;
mod recent;
pub mod rls;
mod service;
mod tally;
#[cfg(test)]
mod tests;

pub use leases::{Ask, AskId, CallFailed, FleetDemand, Leases};
pub use name::DescriptorValue;
pub use outcome::{FleetStanding, Grant, NoAnswer, Taken, Waiter};
pub use service::{FleetLimit, Kind, OnError, Service};
pub use tally::FleetTally;
