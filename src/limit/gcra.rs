//! The generic cell rate algorithm (ITU-T I.371), as a pure function. In: one timestamp, the time, a [`Quota`] and
//! a cost. Out: a [`Decision`]. Not here: where the timestamp is kept.
//!
//! The whole state of a budget is its *theoretical arrival time* (TAT): the moment at which it will be full again.
//! It gives the exact burst, the permits left, the time of refill and the time to wait. In any stretch of time `t`
//! at most `burst + t / interval` permits are taken.

use std::time::Duration;

use crate::policy::Quota;
use crate::time::MonoNanos;

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
    let window = quota.price(quota.burst());
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
            let interval = quota.interval().as_nanos() as u64;
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
