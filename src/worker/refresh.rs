//! When a document of somebody else's is to be fetched, and how long the one that is there serves. In: starts and ends
//! of fetches, what all workers know about failures, time. Out: answers to these two questions. Not here: what is
//! fetched, what is in it, and how workers tell each other (`key_store`).
//!
//! ```text
//!  Idle ──start, where the failures allow it──▶ UnderWay ──end──▶ Idle
//! ```
//! One fetch at a time. What was fetched is due again after `refresh`, or when the server says within bounds, and serves up to `max_stale` while fetches fail.
//! While fetches fail, all workers together make one attempt after a pause that doubles: from a second while there is
//! something that serves, from a fifth of one while there is nothing. No pause is longer than `refresh`, or what is known would be
//! older once the server is back than it ever is while it is there. Where requests wait no pause is longer than a second from one
//! start to the next, so that service returns as soon as the server does.

use std::time::Duration;

use crate::time::MonoNanos;

/// While nothing serves.
const COLD_PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// While there is something that serves.
const WARM_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Whatever workers tell each other.
const LEAST_PAUSE: Duration = Duration::from_millis(100);
/// From start to start while requests wait.
const PRESSED: Duration = Duration::from_secs(1);
/// An answer this much later than its time-out is never coming.
const LOST_AFTER: Duration = Duration::from_secs(2);
/// Pauses do not grow beyond so many failures.
const MOST_FAILURES: u32 = 16;

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

/// What the workers of the proxy know together about failures since the last success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trouble {
    /// How many there were, one after the other.
    pub(super) failures: u32,
    /// When the last attempt in spite of them began.
    pub(super) began: Option<MonoNanos>,
    /// When the last of them was known.
    pub(super) failed: Option<MonoNanos>,
}

impl Trouble {
    /// With one failure more, of a fetch that began at `started`. Fetches of several workers that were under way together
    /// failed once.
    pub(super) fn and(self, started: MonoNanos, now: MonoNanos) -> Self {
        if self.past(now).is_some_and(|failed| started < failed) {
            return self;
        }
        let failures = self.failures.saturating_add(1).min(MOST_FAILURES);
        Self { failures, began: Some(started), failed: Some(now) }
    }

    /// With an attempt that begins now.
    pub(super) fn retried(self, now: MonoNanos) -> Self {
        Self { began: Some(now), ..self }
    }

    /// When it last failed. A time in the future is not ours, and must not stop fetches for good.
    fn past(&self, now: MonoNanos) -> Option<MonoNanos> {
        self.failed.filter(|failed| self.failures > 0 && *failed <= now)
    }
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
    /// How long the server says that what came last is good for.
    max_age: Option<Duration>,
    /// Makes this worker's pauses differ from those of other proxies that lost the same server.
    seed: u64,
}

impl Refresh {
    /// Of something that was never fetched.
    pub(super) fn new(schedule: Schedule, seed: u64) -> Self {
        let state = State::Idle { not_before: MonoNanos::from_nanos(0) };
        Self { schedule, state, last_start: None, last_success: None, max_age: None, seed }
    }

    /// Goes by `schedule` from now on.
    pub(super) fn follow(&mut self, schedule: Schedule) {
        self.schedule = schedule;
    }

    /// Whether a fetch is under way.
    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.state, State::UnderWay { .. })
    }

    /// Whether a fetch may start after these failures; `waited_for`: requests wait for it.
    pub(super) fn may_start(&self, trouble: &Trouble, waited_for: bool, now: MonoNanos) -> bool {
        match self.state {
            State::UnderWay { .. } => false,
            State::Idle { not_before } if now < not_before => false,
            State::Idle { .. } => trouble.past(now).is_none_or(|failed| self.is_over(trouble, failed, waited_for, now)),
        }
    }

    /// Whether it was never fetched or is old, and none is under way.
    pub(super) fn is_due(&self, now: MonoNanos) -> bool {
        !self.is_under_way() && !self.is_younger_than(self.refresh_age(), now)
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
        matches!(self.state, State::UnderWay { since } if now.since(since) > self.patience())
    }

    /// A fetch starts.
    pub(super) fn started(&mut self, now: MonoNanos) {
        self.state = State::UnderWay { since: now };
        self.last_start = Some(now);
    }

    /// The fetch under way brought what it was for; `max_age`: how long the server says that it is good for.
    pub(super) fn succeeded(&mut self, max_age: Option<Duration>, now: MonoNanos) {
        self.state = State::Idle { not_before: now };
        self.max_age = max_age;
        self.last_success = Some(now);
    }

    /// The fetch under way ended without; when it began. Whatever others say, the next one is not at once.
    pub(super) fn failed(&mut self, now: MonoNanos) -> MonoNanos {
        self.state = State::Idle { not_before: now.plus(LEAST_PAUSE) };
        self.last_start.unwrap_or(now)
    }

    /// Whether the pause after the last failure is over, and nobody else has made use of it.
    fn is_over(&self, trouble: &Trouble, failed: MonoNanos, waited_for: bool, now: MonoNanos) -> bool {
        let began = trouble.began.filter(|began| *began <= now);
        if let Some(began) = began.filter(|began| *began > failed) {
            return now.since(began) > self.patience();
        }
        let cold = !self.serves(now);
        let (first, last) = if cold { COLD_PAUSES } else { WARM_PAUSES };
        let last = last.min(self.schedule.refresh.max(first));
        let doubled = first.saturating_mul(1_u32.checked_shl(trouble.failures.saturating_sub(1)).unwrap_or(u32::MAX));
        let pause = self.jittered(doubled.min(last), failed);
        let pause = if cold && waited_for {
            let took = began.map_or(Duration::ZERO, |began| failed.since(began));
            pause.min(PRESSED.saturating_sub(took).max(first))
        } else {
            pause
        };
        now.since(failed) >= pause
    }

    /// Three to five quarters of `pause`: the same whenever it is asked for after one failure.
    fn jittered(&self, pause: Duration, failed: MonoNanos) -> Duration {
        // The finaliser of SplitMix64.
        let mixed = (self.seed ^ failed.as_nanos()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let byte = mixed.to_le_bytes()[7];
        pause.checked_div(512).unwrap_or(pause).saturating_mul(384_u32.saturating_add(u32::from(byte)))
    }

    /// As long as the server says, but no shorter than `refresh`, and no longer than leaves as much time again until
    /// `max_stale` for fetches that fail.
    fn refresh_age(&self) -> Duration {
        let Schedule { refresh, max_stale, .. } = self.schedule;
        let most = refresh.max(max_stale.checked_div(2).unwrap_or(max_stale));
        self.max_age.map_or(refresh, |max_age| max_age.clamp(refresh, most))
    }

    /// How long after its start a fetch may still end.
    fn patience(&self) -> Duration {
        self.schedule.timeout.saturating_add(LOST_AFTER)
    }

    fn is_younger_than(&self, age: Duration, now: MonoNanos) -> bool {
        self.last_success.is_some_and(|last| now.since(last) < age)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use super::*;
    use crate::fake::at;

    fn refresh() -> Refresh {
        let seconds = Duration::from_secs;
        Refresh::new(Schedule { refresh: seconds(600), max_stale: seconds(3600), timeout: seconds(5) }, 7)
    }

    fn now(seconds: f64) -> MonoNanos {
        at(seconds).mono
    }

    /// The seconds from each failure to the next attempt, of a server whose answers each take `takes`.
    fn pauses(document: &mut Refresh, waited_for: bool, takes: f64, mut time: f64, count: usize) -> Vec<f64> {
        let mut trouble = Trouble::default();
        let attempt = |document: &mut Refresh, trouble: &mut Trouble, time: f64| {
            *trouble = trouble.retried(now(time));
            document.started(now(time));
            let started = document.failed(now(time + takes));
            *trouble = trouble.and(started, now(time + takes));
        };
        attempt(document, &mut trouble, time);
        let mut pauses = Vec::new();
        for _ in 0..count {
            let failed = time + takes;
            time = failed;
            while !document.may_start(&trouble, waited_for, now(time)) {
                time += 0.01;
            }
            pauses.push(time - failed);
            attempt(document, &mut trouble, time);
        }
        pauses
    }

    fn assert_about(pauses: &[f64], expected: &[f64]) {
        assert_eq!(pauses.len(), expected.len());
        for (pause, expected) in pauses.iter().zip(expected) {
            assert!((expected * 0.75..expected * 1.25 + 0.02).contains(pause), "{pauses:?} {expected}");
        }
    }

    #[test]
    fn what_was_never_fetched_is_due_at_once_and_once() {
        let mut document = refresh();
        assert!(document.is_due(now(0.0)) && !document.serves(now(0.0)));
        assert!(document.may_start(&Trouble::default(), false, now(0.0)));
        document.started(now(0.0));
        assert!(!document.may_start(&Trouble::default(), true, now(0.1)) && !document.is_due(now(0.1)));
        document.succeeded(None, now(0.2));
        assert!(document.serves(now(0.2)) && !document.is_due(now(600.1)) && document.is_due(now(600.2)));
    }

    #[test]
    fn what_the_server_says_about_its_age_counts_between_refresh_and_half_of_max_stale() {
        for (max_age, due) in [(None, 600.0), (Some(0), 600.0), (Some(900), 900.0), (Some(86_400), 1800.0)] {
            let mut document = refresh();
            document.succeeded(max_age.map(Duration::from_secs), now(0.0));
            assert!(!document.is_due(now(due - 1.0)) && document.is_due(now(due)), "{max_age:?}");
            document.succeeded(None, now(due));
            assert!(document.is_due(now(due + 600.0)), "only the last answer counts");
        }
        let mut document = refresh();
        document.schedule.max_stale = document.schedule.refresh;
        document.succeeded(Some(Duration::from_secs(900)), now(0.0));
        assert!(document.is_due(now(600.0)), "no room for more");
    }

    #[test]
    fn the_pause_after_a_failure_doubles_from_a_fifth_of_a_second_while_nothing_serves() {
        assert_about(&pauses(&mut refresh(), false, 0.0, 0.0, 7), &[0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]);
    }

    #[test]
    fn the_pause_doubles_from_a_second_to_thirty_while_something_serves() {
        let mut document = refresh();
        document.succeeded(None, now(0.0));
        assert_about(&pauses(&mut document, true, 0.0, 600.0, 7), &[1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
    }

    #[test]
    fn no_pause_is_longer_than_what_is_there_serves_without_being_fetched_anew() {
        let mut document = refresh();
        document.schedule.refresh = Duration::from_secs(3);
        document.succeeded(None, now(0.0));
        assert_about(&pauses(&mut document, false, 0.0, 3.0, 6), &[1.0, 2.0, 3.0, 3.0, 3.0, 3.0]);
    }

    #[test]
    fn while_requests_wait_attempts_start_a_second_apart_at_most() {
        let at_once = pauses(&mut refresh(), true, 0.0, 0.0, 20);
        assert_about(&at_once[..2], &[0.2, 0.4]);
        assert!(at_once.iter().all(|pause| *pause <= 1.02), "{at_once:?}");
        assert!(at_once[4..].iter().all(|pause| *pause >= 0.99), "{at_once:?}");
        let slow = pauses(&mut refresh(), true, 0.9, 0.0, 20);
        assert!(slow.iter().all(|pause| (0.15..=0.25).contains(pause)), "{slow:?}");
    }

    #[test]
    fn pauses_of_several_proxies_differ() {
        let schedule = Schedule { timeout: Duration::from_secs(5), ..refresh().schedule };
        let of = |seed| (pauses(&mut Refresh::new(schedule, seed), false, 0.0, 0.0, 6)[5] * 100.0) as u64;
        let different: std::collections::BTreeSet<_> = (0..20).map(of).collect();
        assert!(different.len() > 5, "{different:?}");
    }

    #[test]
    fn an_attempt_of_one_worker_is_that_of_all_until_it_ends_or_is_lost() {
        let worker = refresh();
        let trouble = Trouble::default().and(now(0.0), now(0.1));
        assert!(worker.may_start(&trouble, true, now(0.5)));
        let retried = trouble.retried(now(0.5));
        assert!(!worker.may_start(&retried, true, now(0.5)) && !worker.may_start(&retried, true, now(7.4)));
        assert!(worker.may_start(&retried, true, now(7.6)), "whoever began it is gone");
        assert!(worker.may_start(&Trouble::default(), true, now(0.5)), "it succeeded");
    }

    #[test]
    fn fetches_that_were_under_way_together_fail_once() {
        let first = Trouble::default().and(now(0.0), now(1.0));
        assert_eq!(first.and(now(0.1), now(1.1)), first);
        assert_eq!(first.and(now(1.2), now(1.3)).failures, 2);
        assert_eq!(
            (0..100).fold(first, |trouble, n| trouble.and(now(2.0 + f64::from(n)), now(2.5 + f64::from(n)))).failures,
            16
        );
    }

    #[test]
    fn failures_from_the_future_stop_nothing() {
        let trouble = Trouble { failures: 9, began: Some(now(1e6)), failed: Some(now(1e6)) };
        assert!(refresh().may_start(&trouble, false, now(0.0)));
        assert_eq!(trouble.and(now(0.0), now(1.0)).failed, Some(now(1.0)));
    }

    #[test]
    fn what_is_old_serves_while_fetches_fail_and_not_beyond_its_bound() {
        let mut document = refresh();
        document.succeeded(None, now(0.0));
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
