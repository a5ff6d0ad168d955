//! Limits that a whole fleet shares, without a call per request.
//!
//! In: demands, ends of calls, time. Out: verdicts ([`Taken`]) and calls to send ([`RateLimitCall`]). No host, no clock.
//!
//! ```text
//!  request ──take──▶ Leases (one per worker) ──next_call──▶ rate-limit service
//!          ◀─Taken──  one lease for each     ◀──answer───   counts N at once,
//!                     limit and identity                    or refuses N
//! ```
//! **Promise.** In one window of the service, a fleet admits no more than the quota the service granted in it, and
//! the requests that were waiting for an answer when the window began. Permits that are lost (a late answer, a
//! forgotten lease) are never used: every fault makes the limit stricter, except a service that loses its counters,
//! which grants its quota anew, and `on_error`, which is the operator's choice.
//!
//! **Rules** that follow from how the two servers count ([`Kind`]); the tests carry their numbers:
//! 1. envoyproxy/ratelimit counts what it refuses, so one call beyond the rest spends the window for everybody. The
//!    first call is what its first request costs, the first of a later window at most a 256th of the quota; then at
//!    most a sixteenth of what is left is leased. Both within the configured bound and what the rest of the window
//!    needs if demand stays as it was in the last minute. At most half of what is left is asked for requests that wait.
//! 2. A refusal by it is final until the window ends. Limitador counts no refusals: it is asked for half, until it
//!    refuses a single request.
//! 3. A lease dies with the first moment at which its window may be over. Windows of a second are not leased, nor is
//!    anything where no window is told. An answer that comes later serves those who waited, nobody else.
//! 4. OK without a limit means that the service knows none: the request passes, and a metric tells. OK with nothing
//!    left is no refusal: shadow mode looks like that.
//! 5. Permits are not given back to the service: it would charge for it. They serve the next request here.
//! 6. One descriptor in one call: a refusal spends no other budget.
//! 7. No call is repeated inside a request. One that failed may have been counted: its permits are spent.
//! 8. Any other code, status or bytes: the service failed, and `on_error` holds.
//! 9. The service's response fields are not forwarded: they tell of the lease.
//! 10. Only durations are trusted, not clocks. Answers put the end of their window together, and tell of the next
//!     window where they follow each other by the minute, hour or day, but for the drift of two clocks that are kept
//!     right; if answers contradict each other, the older permits are dropped.
//!
//! A service should have one limit for one descriptor: of several, only the nearest to its end is told.
//!
//! Bottom up: `service` is what the operator says; `name` what an identity is called in the fleet; [`rls`] the
//! messages; `recent` the demand; `window` when it ends; `lease` one budget; `generations` the bounded table; `breaker` when not to wait;
//! `leases` all of it for a worker; `outcome` what a request hears; `simulation` a fleet under a seed.
//! Not here: local budgets (`limit::meter`), sending calls (`filter`).

mod breaker;
#[cfg(test)]
pub(crate) mod fake;
mod generations;
mod lease;
mod leases;
mod name;
mod outcome;
mod recent;
pub mod rls;
#[cfg(test)]
pub(crate) mod simulation;
mod tally;
#[cfg(test)]
mod tests;
mod window;

pub use breaker::Breaker;
pub use leases::{Budget, CallFailed, FleetDemand, LeaseCallId, Leases, RateLimitCall, Settled};
pub use name::DescriptorValue;
pub use outcome::{FleetStanding, Grant, NoAnswer, Retry, Taken, Waiter};
pub use tally::FleetTally;
