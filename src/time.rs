//! The two clocks, as values. In: what the host read. Out: types that cannot be mixed up.
//!
//! The wall clock judges tokens (`exp`, `nbf`, `iat`); the monotonic clock drives limits, time-outs and
//! refreshes. Nothing in this crate reads a clock: [`Now`] is an argument everywhere.

use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z, by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMillis(u64);

impl UnixMillis {
    /// The last millisecond of the year 9999: what is later is not a date but a mistake.
    const LAST: u64 = 253_402_300_799_999;

    /// From whole milliseconds since the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// From a JWT NumericDate (RFC 7519 §2): seconds since the epoch, with or without a fraction.
    /// `None` for what is negative, not finite, or after the year 9999.
    pub fn from_numeric_date(seconds: f64) -> Option<Self> {
        let millis = seconds * 1000.0;
        // The comparison is false for NaN; the range makes the cast exact enough and in bounds.
        if (0.0..=Self::LAST as f64).contains(&millis) { Some(Self(millis as u64)) } else { None }
    }

    /// Whole milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The minute of its day in UTC, from 0 to 1439.
    pub fn minute_of_day(self) -> u16 {
        const MINUTE: u64 = 60_000;
        // Below 1440, so that it always fits.
        u16::try_from((self.0 / MINUTE) % 1440).unwrap_or(0)
    }

    /// This moment and `by` later; stops at the end of time instead of wrapping.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this moment is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Nanoseconds of the kernel's monotonic clock: one epoch for all workers and processes of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonoNanos(u64);

impl MonoNanos {
    /// From the clock's reading.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The clock's reading.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This moment and `by` later; stops at the end of time instead of wrapping.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this moment is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// One reading of both clocks, taken once for each callback of the proxy.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For dates in tokens.
    pub wall: UnixMillis,
    /// For limits, time-outs and refreshes.
    pub mono: MonoNanos,
}

/// `duration` in whole seconds, rounded up: what a client may be told to wait.
pub fn whole_seconds_up(duration: Duration) -> u64 {
    let started = u64::from(duration.subsec_nanos() > 0);
    duration.as_secs().saturating_add(started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_dates_keep_their_fraction_and_have_an_end() {
        assert_eq!(UnixMillis::from_numeric_date(1893456000.5), Some(UnixMillis(1_893_456_000_500)));
        for wrong in [-1.0, f64::NAN, f64::INFINITY, 253_402_300_800.0] {
            assert_eq!(UnixMillis::from_numeric_date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_client_is_never_told_to_wait_too_short() {
        assert_eq!(whole_seconds_up(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds_up(Duration::from_secs(2)), 2);
        assert_eq!(whole_seconds_up(Duration::from_millis(2001)), 3);
    }
}
