//! The generic cell rate algorithm (ITU-T I.371), as a pure function. In: one timestamp, the time, a [`Quota`] and
//! a cost. Out: a [`Decision`]. Not here: where the timestamp is kept.
//!
//! The whole state of a budget is its *theoretical arrival time* (TAT): the moment at which it will be full again.
//! It gives the exact burst, the permits left, the time of refill and the time to wait. In any stretch of time `t`
//! at most `burst + t / interval` permits are taken.

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
    window_seconds: u64,
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
        let window_seconds = whole_seconds_up(Duration::from_nanos(u64::try_from(exact).unwrap_or(u64::MAX)));
        Ok(Self { interval, burst, window_seconds })
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

    /// The same in whole seconds, rounded up: at least 1.
    pub fn window_seconds(&self) -> u64 {
        self.window_seconds
    }

    /// The TAT of a budget spent to the last permit at `now`: no charge made until `now` can leave a later one.
    pub fn spent(&self, now: MonoNanos) -> MonoNanos {
        now.plus(self.window())
    }

    /// The TAT once `permits` are given back: never before `now`, which is a full budget.
    pub fn given_back(&self, tat: MonoNanos, now: MonoNanos, permits: u32) -> MonoNanos {
        MonoNanos::from_nanos(tat.as_nanos().saturating_sub(self.price(permits)).max(now.as_nanos()))
    }

    fn window_nanos(&self) -> u64 {
        self.price(self.burst)
    }

    fn price(&self, permits: u32) -> u64 {
        self.interval.get().saturating_mul(u64::from(permits))
    }

    /// Whole permits that come back in `nanos`; at most the burst.
    fn permits_in(&self, nanos: u64) -> u32 {
        let permits = nanos.checked_div(self.interval.get()).unwrap_or(0);
        u32::try_from(permits).unwrap_or(u32::MAX).min(self.burst)
    }
}

/// What the algorithm says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is enough.
    Admit {
        /// The state once the cost is taken.
        tat: MonoNanos,
        /// Permits left after that.
        remaining: u32,
        /// The time until the budget is full.
        reset: Duration,
    },
    /// There is not enough; the state does not change.
    Refuse {
        /// Permits left: fewer than the cost.
        remaining: u32,
        /// The time until the cost can be taken, to the nanosecond, unless somebody else takes some meanwhile.
        retry_after: Duration,
    },
}

/// Whether `cost` permits can be taken at `now` from a budget whose state is `tat`. A budget never used has any past
/// TAT, such as zero. A cost above the burst is always refused.
pub fn decide(tat: MonoNanos, now: MonoNanos, quota: &Quota, cost: u32) -> Decision {
    let window = quota.window_nanos();
    let owed = tat.as_nanos().saturating_sub(now.as_nanos());
    let owed_after = owed.saturating_add(quota.price(cost));
    match window.checked_sub(owed_after) {
        Some(left) => Decision::Admit {
            tat: MonoNanos::from_nanos(now.as_nanos().saturating_add(owed_after)),
            remaining: quota.permits_in(left),
            reset: Duration::from_nanos(owed_after),
        },
        None => Decision::Refuse {
            remaining: quota.permits_in(window.saturating_sub(owed)),
            retry_after: Duration::from_nanos(owed_after.saturating_sub(window)),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use proptest::prelude::*;

    use super::*;

    const NEVER_USED: MonoNanos = MonoNanos::from_nanos(0);

    fn at(nanos: u64) -> MonoNanos {
        MonoNanos::from_nanos(nanos)
    }

    #[test]
    fn a_burst_passes_at_once_and_the_next_permit_comes_after_one_interval() {
        let quota = Quota::new(10, Duration::from_secs(1), 3).unwrap();
        let now = at(5_000_000_000);
        let mut tat = NEVER_USED;
        for left in [2, 1, 0] {
            let Decision::Admit { tat: next, remaining, .. } = decide(tat, now, &quota, 1) else { panic!("refused") };
            assert_eq!(remaining, left);
            tat = next;
        }
        let wait = Duration::from_millis(100);
        assert_eq!(decide(tat, now, &quota, 1), Decision::Refuse { remaining: 0, retry_after: wait });
        assert!(matches!(decide(tat, now.plus(wait), &quota, 1), Decision::Admit { remaining: 0, .. }));
    }

    #[test]
    fn a_refusal_says_how_much_is_left_for_a_cheaper_request() {
        let quota = Quota::new(1, Duration::from_secs(1), 10).unwrap();
        let Decision::Admit { tat, .. } = decide(NEVER_USED, at(0), &quota, 7) else { panic!("refused") };
        let refusal = Decision::Refuse { remaining: 3, retry_after: Duration::from_secs(2) };
        assert_eq!(decide(tat, at(0), &quota, 5), refusal);
    }

    #[test]
    fn a_cost_above_the_burst_never_passes() {
        let quota = Quota::new(1, Duration::from_secs(1), 2).unwrap();
        for now in [0, 1, u64::MAX / 2] {
            assert!(matches!(decide(NEVER_USED, at(now), &quota, 3), Decision::Refuse { .. }));
        }
    }

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
    fn a_rate_that_does_not_divide_a_second_is_rounded_down_but_shown_as_written() {
        let quota = Quota::new(3, Duration::from_secs(1), 3).unwrap();
        assert_eq!(quota.interval(), Duration::from_nanos(333_333_334));
        assert_eq!(quota.window_seconds(), 1);
    }

    fn quotas() -> impl Strategy<Value = Quota> {
        (1u64..2_000, 1u64..5_000_000_000, 1u32..50).prop_filter_map("a rate", |(permits, per, burst)| {
            Quota::new(permits, Duration::from_nanos(per), burst).ok()
        })
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_sees_more_than_the_burst_and_the_rate(
            quota in quotas(),
            start in 0u64..u64::MAX / 4,
            steps in prop::collection::vec((0u64..3_000, 1u32..5), 1..200),
        ) {
            let interval = quota.interval.get();
            let (mut now, mut tat) = (start, NEVER_USED);
            let mut taken = Vec::new();
            for (thousandths, cost) in steps {
                now += interval * thousandths / 1_000;
                if let Decision::Admit { tat: next, .. } = decide(tat, at(now), &quota, cost) {
                    tat = next;
                    taken.push((now, u64::from(cost)));
                }
            }
            for (first, (from, _)) in taken.iter().enumerate() {
                let mut permits = 0;
                for (to, cost) in &taken[first..] {
                    permits += cost;
                    // permits ≤ burst + t / interval, without the division.
                    let allowed = u128::from(quota.burst()) * u128::from(interval) + u128::from(to - from);
                    prop_assert!(u128::from(permits) * u128::from(interval) <= allowed);
                }
            }
        }

        #[test]
        fn waiting_as_told_suffices_and_one_nanosecond_less_does_not(
            quota in quotas(),
            now in 0u64..u64::MAX / 4,
            owed in 0.0f64..=1.0,
            cost in 1u32..50,
        ) {
            prop_assume!(cost <= quota.burst());
            let tat = at(now + (quota.window().as_nanos() as f64 * owed) as u64);
            if let Decision::Refuse { retry_after, remaining } = decide(tat, at(now), &quota, cost) {
                prop_assert!(remaining < cost);
                let then = at(now).plus(retry_after);
                let passes = matches!(decide(tat, then, &quota, cost), Decision::Admit { .. });
                prop_assert!(passes);
                let refused = matches!(decide(tat, at(then.as_nanos() - 1), &quota, cost), Decision::Refuse { .. });
                prop_assert!(refused);
            }
        }

        #[test]
        fn what_is_said_to_remain_can_be_taken_and_not_one_more(
            quota in quotas(),
            now in 0u64..u64::MAX / 4,
            cost in 1u32..50,
        ) {
            if let Decision::Admit { tat, remaining, reset } = decide(NEVER_USED, at(now), &quota, cost) {
                let rest_passes = matches!(decide(tat, at(now), &quota, remaining), Decision::Admit { .. });
                prop_assert!(rest_passes);
                let more_is_refused = matches!(decide(tat, at(now), &quota, remaining + 1), Decision::Refuse { .. });
                prop_assert!(more_is_refused);
                let then = decide(tat, at(now).plus(reset), &quota, quota.burst());
                let full_again = matches!(then, Decision::Admit { remaining: 0, .. });
                prop_assert!(full_again);
            }
        }

        #[test]
        fn no_timestamp_and_no_clock_make_the_arithmetic_fail(
            quota in quotas(), tat: u64, now: u64, cost: u32,
        ) {
            decide(at(tat), at(now), &quota, cost);
            quota.spent(at(now));
        }
    }
}
