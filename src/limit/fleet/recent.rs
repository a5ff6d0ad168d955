//! How much was demanded lately, as one decaying number. In: costs and times. Out: what may be expected.
//!
//! Each permit demanded counts for `exp(-age / MEMORY)`. At a steady rate that is what is demanded in one [`MEMORY`];
//! after a pause it is less, so that a burst long ago does not lead to large calls.

use std::time::Duration;

use crate::time::MonoNanos;

/// How far back demand counts, and how far ahead it is asked for.
const MEMORY: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
pub(super) struct Recent {
    permits: f64,
    at: MonoNanos,
}

impl Recent {
    pub(super) fn new(now: MonoNanos) -> Self {
        Self { permits: 0.0, at: now }
    }

    pub(super) fn note(&mut self, cost: u32, now: MonoNanos) {
        self.permits = self.at(now) + f64::from(cost);
        self.at = now;
    }

    /// Permits that the next `span` may need, if it goes on as in the last [`MEMORY`]; never more than that saw.
    pub(super) fn expected(&self, span: Duration, now: MonoNanos) -> u32 {
        let share = (span.as_secs_f64() / MEMORY.as_secs_f64()).min(1.0);
        // A cast from a float stops at the ends of the range.
        (self.at(now) * share) as u32
    }

    fn at(&self, now: MonoNanos) -> f64 {
        let age = now.since(self.at).as_secs_f64() / MEMORY.as_secs_f64();
        self.permits * (-age).exp()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use super::*;
    use crate::fake::at;

    fn steady(rate: u32, seconds: u32) -> Recent {
        let mut recent = Recent::new(at(0.0).mono);
        for request in 0..rate * seconds {
            recent.note(1, at(f64::from(request) / f64::from(rate)).mono);
        }
        recent
    }

    #[test]
    fn a_steady_rate_is_expected_to_go_on() {
        let expected = steady(10, 200).expected(Duration::from_secs(5), at(200.0).mono);
        assert!((45..=52).contains(&expected), "{expected}");
    }

    #[test]
    fn a_burst_is_expected_once_at_most() {
        let mut recent = Recent::new(at(0.0).mono);
        for _ in 0..10 {
            recent.note(1, at(0.0).mono);
        }
        assert_eq!(recent.expected(Duration::from_secs(86_400), at(0.0).mono), 10);
        assert_eq!(recent.expected(Duration::from_secs(86_400), at(300.0).mono), 0);
    }
}
