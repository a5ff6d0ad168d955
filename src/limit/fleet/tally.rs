//! What happened to fleet limits, for metrics.

/// Counts since they were last read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetTally {
    /// Calls sent.
    pub calls: usize,
    /// Calls without a usable answer.
    pub failed: usize,
    /// Answers that name no limit: a domain or name that the service does not know.
    pub no_limit: usize,
    /// Times that a service was given up until it answers a probe.
    pub opened: usize,
    /// Leases forgotten to make room.
    pub forgotten: usize,
}
