//! A moment in a configuration. In: a date and time as RFC 3339 has them. Out: milliseconds since 1970, or a finding.

use crate::config::reading::finding::quoted;
use crate::config::reading::table::{Mistake, TextKey};
use crate::time::UnixMillis;

/// A date and time with its offset from UTC: `2026-11-28T07:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Moment(pub(in crate::config) UnixMillis);

impl TextKey for Moment {
    const WHAT: &'static str = "a moment";
    const EXAMPLE: &'static str = r#"date and time (RFC 3339), like "2026-11-28T07:00:00Z""#;

    fn parse(text: &str) -> Result<Self, Mistake> {
        moment(text)
            .map(Self)
            .ok_or_else(|| Mistake::new(format!("{} is no moment", quoted(text)), format!("Write {}.", Self::EXAMPLE)))
    }

    fn restrict(schema: &mut serde_json::Value) {
        crate::config::reading::values::set(schema, "format", "date-time");
    }
}

/// RFC 3339 §5.6, from 1970 on, without fractions of a second.
fn moment(text: &str) -> Option<UnixMillis> {
    let (date, rest) = text.split_once(['T', 't'])?;
    let (time, offset) = match rest.strip_suffix(['Z', 'z']) {
        Some(time) => (time, 0),
        None => {
            let (time, zone) = rest.split_at_checked(8)?;
            let (sign, zone) = match zone.split_at_checked(1)? {
                ("+", zone) => (-1_i64, zone),
                ("-", zone) => (1, zone),
                _ => return None,
            };
            let [hours, minutes] = numbers(zone, ':', [2, 2])?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?;
            (time, seconds.checked_mul(sign)?)
        }
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let of_day = hour.checked_mul(3600)?.checked_add(minute.checked_mul(60)?)?.checked_add(second)?;
    let seconds = days(year, month, day)?.checked_mul(86_400)?.checked_add(of_day)?.checked_add(offset)?;
    u64::try_from(seconds).ok()?.checked_mul(1000).map(UnixMillis::from_millis)
}

/// Days since 1970-01-01.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    const LENGTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let leap = |year: i64| year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    let before = usize::try_from(month.checked_sub(1)?).ok()?;
    let february = |index: usize| i64::from(index == 1 && leap(year));
    let length = LENGTHS.get(before)?.checked_add(february(before))?;
    if year < 1970 || !(1..=length).contains(&day) {
        return None;
    }
    // Days of whole years since the year 0, and leap days among them up to the year before this one.
    let past = year.checked_sub(1)?;
    let leap_days = past.div_euclid(4).checked_sub(past.div_euclid(100))?.checked_add(past.div_euclid(400))?;
    let of_years = year.checked_mul(365)?.checked_add(leap_days)?;
    let of_months = LENGTHS.iter().take(before).sum::<i64>().checked_add(i64::from(before > 1 && leap(year)))?;
    // What this is on 1970-01-01.
    const EPOCH: i64 = 1970 * 365 + 477;
    of_years.checked_add(of_months)?.checked_add(day.checked_sub(1)?)?.checked_sub(EPOCH)
}

/// Numbers of so many digits with `separator` between them.
fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i64; N]> {
    let parts: Vec<&str> = text.split(separator).collect();
    let mut numbers = [0; N];
    if parts.len() != N {
        return None;
    }
    for ((number, part), width) in numbers.iter_mut().zip(parts).zip(widths) {
        if part.len() != width || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_counted_from_1970_in_utc() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1972-03-01T00:00:00Z", 68_256_000),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2026-01-01T00:00:00Z", 1_767_225_600),
            ("2026-01-01T01:30:00+01:30", 1_767_225_600),
            ("2025-12-31T19:00:00-05:00", 1_767_225_600),
            ("2100-03-01T00:00:00z", 4_107_542_400),
        ] {
            let parsed = Moment::parse(text).ok().map(|moment| moment.0.as_millis());
            assert_eq!(parsed, Some(seconds * 1000), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01 00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00é",
            "2026-1-1T00:00:00Z",
            "+026-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "1767225600",
        ] {
            assert!(Moment::parse(text).is_err(), "{text}");
        }
    }
}
