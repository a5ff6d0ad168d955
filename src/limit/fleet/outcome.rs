//! What a request hears. Out: [`Taken`]. Not here: how it is reached (`leases`), how it is told (`limit::fields`).

use std::time::Duration;

use crate::policy::OnError;

/// A request that may wait, by a number of the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Waiter(pub u64);

/// Where one identity stands with a fleet limit, as far as this worker knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetStanding {
    /// Permits of a window.
    pub limit: Option<u32>,
    /// Permits left: what the service told last, and what is left of the lease. Others may have taken some since.
    pub remaining: Option<u32>,
    /// The time until the window is surely over.
    pub reset: Option<Duration>,
}

/// The proof that the service counted a request. Made only by [`super::Leases`]. Not `Clone`: it can be given back
/// once.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    pub(super) standing: FleetStanding,
    pub(super) cost: u32,
    pub(super) window: u64,
}

impl Grant {
    /// Where the identity stands now.
    pub fn standing(&self) -> FleetStanding {
        self.standing
    }
}

/// Why the service had no say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The call failed while the request waited.
    Failed,
    /// The service was slower than a request may wait.
    TimedOut,
    /// Calls failed before; this request did not wait.
    BreakerOpen,
    /// As many requests wait as may wait; this one did not.
    Crowded,
}

/// When a request that a service refused may come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// There is a budget again after that time, unless others spend it.
    After(Duration),
    /// The service does not tell its window.
    Untold,
    /// Never: it costs more than a whole window has.
    Never,
}

/// The answer to a request.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Taken {
    /// It is counted.
    Granted(Grant),
    /// The budget is spent.
    Over {
        /// When to come again.
        retry: Retry,
        /// Where the identity stands.
        standing: FleetStanding,
    },
    /// The service counts nothing under that name: the request passes, and the operator should know.
    NoLimit,
    /// RateLimitCall again when told to.
    Wait,
    /// The service does not answer: do that.
    Fallback {
        /// As configured. A local budget is the caller's to keep.
        on_error: OnError,
        /// Why.
        why: NoAnswer,
    },
}
