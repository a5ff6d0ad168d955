//! When a document of somebody else's is to be fetched, and how long the one that is there serves. In: starts and ends
//! of fetches, time. Out: answers to these two questions. Not here: what is fetched, and what is in it.
//!
//! ```text
//!  Idle ──start, not before `not_before`──▶ UnderWay ──end──▶ Idle (succeeded: not_before = now;
//!                                                                   failed: not_before = now + back-off)
//! ```
//! One fetch at a time. What was fetched is due again after `refresh`, and serves up to `max_stale` while fetches fail.

use std::time::Duration;

use crate::time::MonoNanos;

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LAST_BACKOFF: Duration = Duration::from_secs(30);
/// An answer this much later than its time-out is never coming.
const LOST_AFTER: Duration = Duration::from_secs(2);

/// How often, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    /// Age after which it is fetched anew.
    pub(super) refresh: Duration,
    /// Age up to which it serves.
    pub(super) max_stale: Duration,
    /// Time-out of one fetch.
    pub(super) timeout: Duration,
}

/// Whether a fetch may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Allowed,
    UnderWay,
    /// The last one failed; the next is allowed that much later.
    NotBefore(Duration),
}

enum State {
    Idle { not_before: MonoNanos },
    UnderWay { since: MonoNanos },
}

/// See the module.
pub(super) struct Refresh {
    schedule: Schedule,
    state: State,
    last_start: Option<MonoNanos>,
    last_success: Option<MonoNanos>,
    failures: u32,
}

impl Refresh {
    /// Of something that was never fetched.
    pub(super) fn new(schedule: Schedule) -> Self {
        let state = State::Idle { not_before: MonoNanos::from_nanos(0) };
        Self { schedule, state, last_start: None, last_success: None, failures: 0 }
    }

    /// Goes by `schedule` from now on.
    pub(super) fn follow(&mut self, schedule: Schedule) {
        self.schedule = schedule;
    }

    /// Whether a fetch may start.
    pub(super) fn attempt(&self, now: MonoNanos) -> Attempt {
        match self.state {
            State::UnderWay { .. } => Attempt::UnderWay,
            State::Idle { not_before } if now >= not_before => Attempt::Allowed,
            State::Idle { not_before } => Attempt::NotBefore(not_before.since(now)),
        }
    }

    /// Whether it was never fetched or is old, and a fetch may start.
    pub(super) fn is_due(&self, now: MonoNanos) -> bool {
        self.attempt(now) == Attempt::Allowed && !self.is_younger_than(self.schedule.refresh, now)
    }

    /// Whether what was fetched last may be used.
    pub(super) fn serves(&self, now: MonoNanos) -> bool {
        self.is_younger_than(self.schedule.max_stale, now)
    }

    /// Whether no fetch started for this long.
    pub(super) fn rested(&self, interval: Duration, now: MonoNanos) -> bool {
        self.last_start.is_none_or(|last| now.since(last) >= interval)
    }

    /// Whether the fetch under way will never end.
    pub(super) fn is_lost(&self, now: MonoNanos) -> bool {
        let patience = self.schedule.timeout.saturating_add(LOST_AFTER);
        matches!(self.state, State::UnderWay { since } if now.since(since) > patience)
    }

    /// A fetch starts.
    pub(super) fn started(&mut self, now: MonoNanos) {
        self.state = State::UnderWay { since: now };
        self.last_start = Some(now);
    }

    /// The fetch under way brought what it was for.
    pub(super) fn succeeded(&mut self, now: MonoNanos) {
        self.state = State::Idle { not_before: now };
        self.last_success = Some(now);
        self.failures = 0;
    }

    /// The fetch under way ended without.
    pub(super) fn failed(&mut self, now: MonoNanos) {
        let backoff = FIRST_BACKOFF.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.state = State::Idle { not_before: now.plus(backoff.min(LAST_BACKOFF)) };
        self.failures = self.failures.saturating_add(1).min(16);
    }

    fn is_younger_than(&self, age: Duration, now: MonoNanos) -> bool {
        self.last_success.is_some_and(|last| now.since(last) < age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::at;

    fn refresh() -> Refresh {
        let seconds = Duration::from_secs;
        Refresh::new(Schedule { refresh: seconds(600), max_stale: seconds(3600), timeout: seconds(5) })
    }

    fn now(seconds: f64) -> MonoNanos {
        at(seconds).mono
    }

    #[test]
    fn what_was_never_fetched_is_due_at_once_and_once() {
        let mut document = refresh();
        assert!(document.is_due(now(0.0)) && !document.serves(now(0.0)));
        document.started(now(0.0));
        assert_eq!((document.attempt(now(0.1)), document.is_due(now(0.1))), (Attempt::UnderWay, false));
        document.succeeded(now(0.2));
        assert!(document.serves(now(0.2)) && !document.is_due(now(600.1)) && document.is_due(now(600.2)));
    }

    #[test]
    fn the_pause_after_a_failure_doubles_up_to_thirty_seconds_and_a_success_ends_it() {
        let mut document = refresh();
        let mut time = 0.0;
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            document.started(now(time));
            document.failed(now(time));
            assert_eq!(document.attempt(now(time)), Attempt::NotBefore(Duration::from_secs(pause)));
            time += pause as f64;
            assert_eq!(document.attempt(now(time)), Attempt::Allowed);
        }
        for _ in 0..100 {
            document.failed(now(time));
        }
        assert_eq!(document.attempt(now(time)), Attempt::NotBefore(Duration::from_secs(30)));
        document.succeeded(now(time));
        document.failed(now(time));
        assert_eq!(document.attempt(now(time)), Attempt::NotBefore(Duration::from_secs(1)));
    }

    #[test]
    fn what_is_old_serves_while_fetches_fail_and_not_beyond_its_bound() {
        let mut document = refresh();
        document.succeeded(now(0.0));
        document.started(now(600.0));
        document.failed(now(600.0));
        assert!(document.serves(now(3599.0)) && !document.serves(now(3600.0)));
    }

    #[test]
    fn a_fetch_is_lost_two_seconds_after_its_time_out() {
        let mut document = refresh();
        assert!(!document.is_lost(now(100.0)), "none is under way");
        document.started(now(0.0));
        assert!(!document.is_lost(now(7.0)) && document.is_lost(now(7.1)));
    }
}
