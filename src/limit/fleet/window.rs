//! When the service's window ends, as far as one worker can tell. In: what answers told, and when they were sent for
//! and came. Out: how long the window surely lasts, when it is surely over, and which window an answer means.
//!
//! ```text
//!   sent            answered              sent + at_least          answered + at_most
//!    |─────call──────|═══ permits may be spent ═══|···· nothing is known ····|
//! ```
//! Answers about one window are put together: the latest moment at which it surely lasts and the earliest at which it
//! is surely over hold. Where windows follow each other at a known distance, what was known of one tells of the next.

use std::time::Duration;

use crate::limit::fleet::rls::Reset;
use crate::time::MonoNanos;

/// Two clocks part by one in so many, at most: a kernel slews its clock by 500 ppm.
const DRIFT: u32 = 2000;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Tells windows apart.
    pub(super) number: u64,
    /// It lasts at least until then.
    sure_until: MonoNanos,
    /// It is over by then.
    pub(super) over_by: MonoNanos,
    /// The next one ends so much later.
    period: Option<Duration>,
    /// Permits left at the service, as told last.
    pub(super) rest: Option<u32>,
}

impl Window {
    /// The window of an answer to what was sent at `sent` and came at `now`.
    pub(super) fn told(number: u64, rest: Option<u32>, reset: Reset, sent: MonoNanos, now: MonoNanos) -> Self {
        let Reset { at_least, at_most, period } = reset;
        Self { number, sure_until: sent.plus(at_least), over_by: now.plus(at_most), period, rest }
    }

    /// How long it surely lasts; `None` once that is over.
    pub(super) fn lasts(&self, now: MonoNanos) -> Option<Duration> {
        Some(self.sure_until.since(now)).filter(|left| !left.is_zero())
    }

    /// How long the window that came after it lasts, once that has surely begun.
    pub(super) fn next_lasts(&self, now: MonoNanos) -> Option<Duration> {
        let period = self.period.filter(|_| now >= self.over_by)?;
        let into_window = now.since(self.over_by).as_nanos().checked_rem(period.as_nanos())?;
        Some(period.saturating_sub(Duration::from_nanos(u64::try_from(into_window).ok()?)))
    }

    /// `told`, and what is known already. It has this window's number if it is this window. If they contradict each
    /// other, what was told last holds.
    pub(super) fn joined(&self, told: Window, now: MonoNanos) -> Window {
        let Some(known) = self.moved_to(&told, now) else { return told };
        let joined = Window {
            number: known.number,
            sure_until: known.sure_until.max(told.sure_until),
            over_by: known.over_by.min(told.over_by),
            ..told
        };
        if joined.sure_until < joined.over_by { joined } else { told }
    }

    /// What is known, as of the window that was told.
    fn moved_to(&self, told: &Window, now: MonoNanos) -> Option<Window> {
        let Some(period) = self.period.filter(|_| self.period == told.period) else {
            return self.lasts(now).map(|_| *self);
        };
        let ahead =
            told.over_by.plus(period.checked_div(2)?).since(self.over_by).as_nanos().checked_div(period.as_nanos())?;
        if ahead == 0 {
            return Some(*self);
        }
        let ahead = period.checked_mul(u32::try_from(ahead).ok()?)?;
        let drift = ahead.checked_div(DRIFT)?;
        Some(Window {
            number: told.number,
            sure_until: self.sure_until.plus(ahead.saturating_sub(drift)),
            over_by: self.over_by.plus(ahead.saturating_add(drift)),
            ..*self
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::at;

    const MINUTE: Option<Duration> = Some(Duration::from_secs(60));

    /// Of an answer that came at once and said: between `reset` - 1 and `reset` seconds.
    fn told(number: u64, reset: u64, period: Option<Duration>, seconds: f64) -> Window {
        let at_most = Duration::from_secs(reset);
        let reset = Reset { at_least: at_most - Duration::from_secs(1), at_most, period };
        Window::told(number, None, reset, at(seconds).mono, at(seconds).mono)
    }

    /// The window ends at 60.0; by 0.95 that is known but for a tenth of a second.
    fn known(period: Option<Duration>) -> Window {
        told(1, 60, period, 0.05).joined(told(2, 60, period, 0.95), at(0.95).mono)
    }

    #[track_caller]
    fn is_between(window: Window, sure_until: f64, over_by: f64) {
        let off = |moment: MonoNanos, seconds: f64| moment.as_nanos().abs_diff(at(seconds).mono.as_nanos());
        assert!(off(window.sure_until, sure_until) < 1000, "{:?}", window.sure_until.since(at(0.0).mono));
        assert!(off(window.over_by, over_by) < 1000, "{:?}", window.over_by.since(at(0.0).mono));
    }

    #[test]
    fn answers_about_one_window_narrow_its_end_and_keep_its_number() {
        for period in [MINUTE, None] {
            assert_eq!(known(period).number, 1);
            is_between(known(period), 59.95, 60.05);
        }
    }

    #[test]
    fn a_window_tells_of_a_later_one_but_for_the_drift_of_two_clocks() {
        let next = known(MINUTE).joined(told(3, 60, MINUTE, 60.5), at(60.5).mono);
        assert_eq!(next.number, 3);
        is_between(next, 119.95 - 0.03, 120.05 + 0.03);
        let third = known(MINUTE).joined(told(3, 60, MINUTE, 120.5), at(120.5).mono);
        is_between(third, 179.95 - 0.06, 180.05 + 0.06);
    }

    #[test]
    fn the_same_window_is_known_again_after_it_might_have_been_over() {
        let same = known(MINUTE).joined(told(3, 1, MINUTE, 59.97), at(59.97).mono);
        assert_eq!(same.number, 1);
        is_between(same, 59.97, 60.05);
    }

    #[test]
    fn a_window_that_starts_with_its_first_request_tells_of_no_other() {
        let next = known(None).joined(told(3, 60, None, 60.5), at(60.5).mono);
        assert_eq!(next.number, 3);
        is_between(next, 119.5, 120.5);
        assert_eq!(known(None).next_lasts(at(70.0).mono), None);
    }

    #[test]
    fn of_answers_that_contradict_each_other_the_last_holds() {
        let set = known(MINUTE).joined(told(3, 30, MINUTE, 10.0), at(10.0).mono);
        assert_eq!(set.number, 3);
        is_between(set, 39.0, 40.0);
    }

    #[test]
    fn the_next_window_lasts_from_the_moment_at_which_this_one_is_surely_over() {
        let window = told(1, 60, MINUTE, 0.0);
        assert_eq!(window.next_lasts(at(59.5).mono), None);
        assert_eq!(window.next_lasts(at(60.0).mono), MINUTE);
        assert_eq!(window.next_lasts(at(130.0).mono), Some(Duration::from_secs(50)));
    }
}
