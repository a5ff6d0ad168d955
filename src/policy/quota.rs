//! How much may be done. In: figures. Out: a [`Quota`], or why they make none. Not here: what is left of it (`limit::gcra`).

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::time::{MonoNanos, whole_seconds_up};

/// How much may be done: a burst at once, then one permit each `interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Nanoseconds in which one permit comes back; rounded up, so that the rate is never exceeded.
    interval: NonZeroU64,
    burst: u32,
    per_window: (u64, u64),
}

/// Why numbers make no quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaFault {
    /// No permits at all, which would mean "never".
    NoPermits,
    /// The period is zero.
    NoPeriod,
    /// The burst is zero, so that nothing would ever pass.
    NoBurst,
    /// More than one permit each nanosecond.
    TooFast,
    /// A spent burst would take more than 146 years to come back.
    TooSlow,
}

impl fmt::Display for QuotaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            QuotaFault::NoPermits => "the rate is zero",
            QuotaFault::NoPeriod => "the period is zero",
            QuotaFault::NoBurst => "the burst is zero",
            QuotaFault::TooFast => "the rate is above one permit each nanosecond",
            QuotaFault::TooSlow => "a spent burst would take more than 146 years to come back",
        })
    }
}

impl std::error::Error for QuotaFault {}

impl Quota {
    /// 2⁶² ns: added to any reading of a clock that starts with the machine, it stays far from the end of `u64`.
    const LONGEST_WINDOW: u128 = 1 << 62;

    /// `permits` for each `per`, and at most `burst` at once.
    pub fn new(permits: u64, per: Duration, burst: u32) -> Result<Self, QuotaFault> {
        if permits == 0 {
            return Err(QuotaFault::NoPermits);
        }
        if per.is_zero() {
            return Err(QuotaFault::NoPeriod);
        }
        if burst == 0 {
            return Err(QuotaFault::NoBurst);
        }
        if per.as_nanos() < u128::from(permits) {
            return Err(QuotaFault::TooFast);
        }
        let interval = per.as_nanos().div_ceil(u128::from(permits));
        let window = interval.checked_mul(u128::from(burst)).filter(|window| *window <= Self::LONGEST_WINDOW);
        let interval = u64::try_from(interval).ok().and_then(NonZeroU64::new);
        let (Some(interval), Some(_)) = (interval, window) else { return Err(QuotaFault::TooSlow) };
        // From the figures as given: the rounding of the interval would turn one second into two.
        let exact = per.as_nanos().saturating_mul(u128::from(burst)).div_ceil(u128::from(permits));
        let seconds = whole_seconds_up(Duration::from_nanos(u64::try_from(exact).unwrap_or(u64::MAX)));
        let nanos = Duration::from_secs(seconds).as_nanos();
        let in_window = nanos.saturating_mul(u128::from(permits)).checked_div(per.as_nanos()).unwrap_or(0);
        Ok(Self { interval, burst, per_window: (u64::try_from(in_window).unwrap_or(u64::MAX), seconds) })
    }

    /// The time in which one permit comes back.
    pub fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval.get())
    }

    /// How many permits can be taken at once.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// The time in which a spent burst comes back: `burst × interval`.
    pub fn window(&self) -> Duration {
        Duration::from_nanos(self.window_nanos())
    }

    /// The rate as a caller is told it: permits, and the whole seconds in which they come back. These are the fewest seconds
    /// in which a spent burst does.
    pub fn per_window(&self) -> (u64, u64) {
        self.per_window
    }

    /// The TAT of a budget spent to the last permit at `now`: no charge made until `now` can leave a later one.
    pub fn spent(&self, now: MonoNanos) -> MonoNanos {
        now.plus(self.window())
    }

    fn window_nanos(&self) -> u64 {
        self.price(self.burst)
    }

    /// The nanoseconds in which that many permits come back.
    pub(crate) fn price(&self, permits: u32) -> u64 {
        self.interval.get().saturating_mul(u64::from(permits))
    }

    /// Whole permits that come back in `nanos`; at most the burst.
    pub(crate) fn permits_in(&self, nanos: u64) -> u32 {
        let permits = nanos.checked_div(self.interval.get()).unwrap_or(0);
        u32::try_from(permits).unwrap_or(u32::MAX).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_make_no_limit_are_refused() {
        let second = Duration::from_secs(1);
        assert_eq!(Quota::new(0, second, 1), Err(QuotaFault::NoPermits));
        assert_eq!(Quota::new(1, Duration::ZERO, 1), Err(QuotaFault::NoPeriod));
        assert_eq!(Quota::new(1, second, 0), Err(QuotaFault::NoBurst));
        assert_eq!(Quota::new(1_000_000_001, second, 1), Err(QuotaFault::TooFast));
        assert_eq!(Quota::new(1, second * 86_400, u32::MAX), Err(QuotaFault::TooSlow));
        assert_eq!(Quota::new(1, Duration::MAX, 1), Err(QuotaFault::TooSlow));
    }

    #[test]
    fn what_callers_are_told_is_the_rate_as_it_was_written() {
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
        for (permits, per, burst, told) in [
            (3, second, 3, (3, 1)),
            (3, second, 4, (6, 2)),
            (100, second, 200, (200, 2)),
            (1000, second, 1, (1000, 1)),
            (100, second, 10, (100, 1)),
            (5, hour, 5, (5, 3600)),
            (2, hour, 1, (1, 1800)),
            (7, Duration::from_secs(60), 3, (3, 26)),
        ] {
            assert_eq!(Quota::new(permits, per, burst).unwrap().per_window(), told, "{permits}/{per:?} {burst}");
        }
        assert_eq!(Quota::new(3, second, 3).unwrap().interval(), Duration::from_nanos(333_333_334));
    }
}
