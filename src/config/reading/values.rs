//! The types of simple values: numbers, times, rates, names. In: one value. Out: it, parsed, or a finding.
//! Not here: which key has which type (`keys`), hosts and URLs (`addresses`), text that only one part understands
//! (`access`, `caller`, `trust`).

use std::time::Duration;

use serde_json::json;

use crate::config::reading::finding::{Findings, Place, quoted};
use crate::config::reading::table::{Key, Mistake, TextKey, Written, not_what, unknown_word};
use crate::json::{self, Bounds, Value};
use crate::policy::DayTimes;

impl Key for bool {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        let Value::Bool(flag) = value else {
            findings.add(at, not_what(value, "true or false"), "Write true or false, without quotation marks.");
            return None;
        };
        Some(*flag)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "boolean" })
    }
}

impl Written for bool {
    fn written(&self) -> serde_json::Value {
        (*self).into()
    }
}

/// A whole number. Digits as text mean the same: that is what large numbers become on the way through Envoy's YAML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Count<const MIN: u32, const MAX: u32>(pub(in crate::config) u32);

impl<const MIN: u32, const MAX: u32> Key for Count<MIN, MAX> {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        let number = match value {
            Value::Integer(number) => Some(*number),
            // In a Struct, 2.0 cannot be told from 2. The range makes the cast exact.
            Value::Decimal(number) if number.fract() == 0.0 && number.abs() <= f64::from(u32::MAX) => {
                Some(*number as i64)
            }
            Value::Text(text) => digits(text).and_then(|number| i64::try_from(number).ok()),
            _ => None,
        };
        let Some(number) = number else {
            findings.add(at, not_what(value, "a whole number"), format!("Write a number from {MIN} to {MAX}."));
            return None;
        };
        let count = u32::try_from(number).ok().filter(|count| (MIN..=MAX).contains(count));
        if count.is_none() {
            findings.add(at, format!("{number} is out of range"), format!("Write a number from {MIN} to {MAX}."));
        }
        count.map(Self)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// What may come of a request: a status, or the word `verification`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Outcome {
    /// From 200 to 599: what ends an exchange.
    Status(u16),
    /// A token that was not known yet was verified.
    Verification,
}

impl Outcome {
    /// As it is written.
    pub(in crate::config) fn text(self) -> String {
        match self {
            Outcome::Status(status) => status.to_string(),
            Outcome::Verification => "verification".to_owned(),
        }
    }
}

impl Key for Outcome {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        match value.as_text() {
            Some(word) if digits(word).is_none() => {
                let known = word == "verification";
                if !known {
                    let Mistake { finding, remedy } = unknown_word(word, &["verification"]);
                    let is_slip = remedy.starts_with("Did you mean");
                    let all = "Write each status from 200 to 599 that counts, like 401, or verification.";
                    findings.add(at, finding, if is_slip { remedy } else { all.to_owned() });
                }
                known.then_some(Self::Verification)
            }
            _ => {
                let Count(status) = Count::<200, 599>::read(value, at, findings)?;
                u16::try_from(status).ok().map(Self::Status)
            }
        }
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [Count::<200, 599>::schema(), { "const": "verification" }] })
    }
}

impl<const MIN: u32, const MAX: u32> Written for Count<MIN, MAX> {
    fn written(&self) -> serde_json::Value {
        self.0.into()
    }
}

/// ASCII digits only: no sign, no space.
fn digits(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// A number and the unit behind it.
fn measure(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((digits(number).filter(|_| !number.is_empty())?, unit))
}

/// A time span between two bounds in seconds, both allowed: `500ms`, `10s`, `10m`, `1h`, `1d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Span<const MIN: u64, const MAX: u64>(pub(in crate::config) Duration);

impl<const MIN: u64, const MAX: u64> Span<MIN, MAX> {
    pub(in crate::config) const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl<const MIN: u64, const MAX: u64> TextKey for Span<MIN, MAX> {
    const WHAT: &'static str = "a duration";
    const EXAMPLE: &'static str = r#"a number and a unit, like "30s", "10m", "1h""#;

    fn parse(text: &str) -> Result<Self, Mistake> {
        let range = || {
            format!(
                "Write one from \"{}\" to \"{}\".",
                span_text(Duration::from_secs(MIN)),
                span_text(Duration::from_secs(MAX))
            )
        };
        let unit =
            |millis: u64| measure(text).and_then(|(number, _)| number.checked_mul(millis)).map(Duration::from_millis);
        let span = match measure(text).map(|(_, unit)| unit) {
            Some("ms") => unit(1),
            Some("s") => unit(1_000),
            Some("m") => unit(60_000),
            Some("h") => unit(3_600_000),
            Some("d") => unit(86_400_000),
            Some("") => {
                return Err(Mistake::new(
                    format!("{} has no unit", quoted(text)),
                    format!("Write \"{text}s\", \"{text}m\" or \"{text}h\"."),
                ));
            }
            _ => {
                return Err(Mistake::new(
                    format!("{} is no duration", quoted(text)),
                    format!("Write {}.", Self::EXAMPLE),
                ));
            }
        };
        let fits = |span: &Duration| (Duration::from_secs(MIN)..=Duration::from_secs(MAX)).contains(span);
        span.filter(fits).map(Self).ok_or_else(|| Mistake::new(format!("{} is out of range", quoted(text)), range()))
    }

    fn restrict(schema: &mut serde_json::Value) {
        set(schema, "pattern", "^[0-9]+(ms|s|m|h|d)$");
    }
}

impl<const MIN: u64, const MAX: u64> Written for Span<MIN, MAX> {
    fn written(&self) -> serde_json::Value {
        span_text(self.0).into()
    }
}

/// In the largest unit that needs no fraction.
pub(in crate::config) fn span_text(span: Duration) -> String {
    let millis = span.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let whole = units.into_iter().find_map(|(unit, name)| match (millis.checked_div(unit), millis.checked_rem(unit)) {
        (Some(number), Some(0)) if number > 0 => Some(format!("{number}{name}")),
        _ => None,
    });
    whole.unwrap_or_else(|| "0s".to_owned())
}

/// A number of bytes between `MIN` and `MAX`: `512KiB`, `32MiB`, or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Size<const MIN: u64, const MAX: u64>(pub(in crate::config) u32);

impl<const MIN: u64, const MAX: u64> Size<MIN, MAX> {
    pub(in crate::config) const fn kibibytes(number: u32) -> Self {
        Self(number << 10)
    }
}

impl<const MIN: u64, const MAX: u64> Key for Size<MIN, MAX> {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        let bytes = match value {
            Value::Integer(bytes) => u64::try_from(*bytes).ok(),
            Value::Text(text) => match measure(text) {
                Some((number, "")) => Some(number),
                Some((number, "KiB")) => number.checked_mul(1 << 10),
                Some((number, "MiB")) => number.checked_mul(1 << 20),
                Some((number, "GiB")) => number.checked_mul(1 << 30),
                _ => None,
            },
            _ => None,
        };
        let size = bytes.filter(|bytes| (MIN..=MAX).contains(bytes)).and_then(|bytes| u32::try_from(bytes).ok());
        if size.is_none() {
            let remedy = format!(r#"Write one from "{}" to "{}"."#, size_text(MIN), size_text(MAX));
            findings.add(at, "this is no size in range", remedy);
        }
        size.map(Self)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": ["string", "integer"], "pattern": "^[0-9]+(KiB|MiB|GiB)?$" })
    }
}

impl<const MIN: u64, const MAX: u64> Written for Size<MIN, MAX> {
    fn written(&self) -> serde_json::Value {
        size_text(self.0.into()).into()
    }
}

/// A size in the largest unit that makes it whole.
fn size_text(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = units.into_iter().find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    whole.map_or_else(|| bytes.to_string(), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

/// A stretch of every day in UTC: `22:00-06:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct DayTimesText(pub(in crate::config) DayTimes);

impl TextKey for DayTimesText {
    const WHAT: &'static str = "times of the day";
    const EXAMPLE: &'static str = r#"two times in UTC, like "22:00-06:00""#;

    fn parse(text: &str) -> Result<Self, Mistake> {
        /// In minutes.
        const DAY: u16 = 24 * 60;
        let minute = |time: &str| {
            let (hour, minute) = time.split_once(':')?;
            let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.len() == 2 && digits(text).is_some());
            let minute = number(hour)?.checked_mul(60)?.checked_add(number(minute).filter(|minute| *minute < 60)?)?;
            (minute <= DAY).then_some(minute)
        };
        let times = text.split_once('-').and_then(|(from, to)| Some(DayTimes { from: minute(from)?, to: minute(to)? }));
        let (finding, remedy) = match times {
            None => ("is no stretch of a day", format!("Write {}.", Self::EXAMPLE)),
            Some(DayTimes { from, to }) if from % DAY == to % DAY => {
                ("is nothing or the whole day", "Write a part of the day, or leave it out.".to_owned())
            }
            Some(DayTimes { from: DAY, .. }) => ("begins when a day ends", "Write 00:00 for the beginning.".to_owned()),
            Some(times) => return Ok(Self(times)),
        };
        Err(Mistake::new(format!("{} {finding}", quoted(text)), remedy))
    }

    fn restrict(schema: &mut serde_json::Value) {
        set(schema, "pattern", r"^\d\d:\d\d-\d\d:\d\d$");
    }
}

/// Permits in a time: `100/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Rate {
    pub(in crate::config) permits: u32,
    pub(in crate::config) per: Duration,
}

/// The longest period that a single proxy can answer for.
pub(in crate::config) const LONGEST_SHORT_PERIOD: Duration = Duration::from_secs(3600);

/// The most permits in a rate, whatever its unit.
const MOST_PERMITS: u32 = 1_000_000_000;

impl Rate {
    fn from_text(text: &str) -> Result<Self, Mistake> {
        const REMEDY: &str = r#"Write a whole number and a unit, like "10/s", "10/min", "10/h" or "10/day"."#;
        let (number, unit) = match text.split_once('/') {
            Some((number, unit)) => (number, Some(unit)),
            None => (text, None),
        };
        let out_of_range = || {
            Err(Mistake::new(
                format!("{} is out of range", quoted(text)),
                "Write a whole number from 1 to 1000000000 before the unit.",
            ))
        };
        let permits = digits(number).filter(|_| !number.is_empty());
        let Some(permits) = permits else {
            let large = |number: f64| number > f64::from(MOST_PERMITS);
            return match json::parse(number.as_bytes(), Bounds::TOKEN).ok().and_then(|number| number.as_number()) {
                Some(number) if large(number) => out_of_range(),
                _ => Err(Mistake::new(format!("{} is no rate", quoted(text)), REMEDY)),
            };
        };
        let per = match unit {
            None => {
                let remedy = format!(r#"Write "{number}/s", "{number}/min", "{number}/h" or "{number}/day"."#);
                return Err(Mistake::new(format!("{} has no unit", quoted(text)), remedy));
            }
            Some("s") => Duration::from_secs(1),
            Some("min") => Duration::from_secs(60),
            Some("h") => LONGEST_SHORT_PERIOD,
            Some("day") => Duration::from_secs(86_400),
            Some(unit) => {
                let remedy = format!(r#"Write "{number}/s", "{number}/min", "{number}/h" or "{number}/day"."#);
                return Err(Mistake::new(format!("{} is no unit", quoted(unit)), remedy));
            }
        };
        match u32::try_from(permits).ok().filter(|permits| (1..=MOST_PERMITS).contains(permits)) {
            Some(permits) => Ok(Self { permits, per }),
            None => out_of_range(),
        }
    }
}

impl Key for Rate {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        let rate = match value {
            Value::Text(text) => Self::from_text(text),
            Value::Integer(number) => Self::from_text(&number.to_string()),
            other => Err(Mistake::new(not_what(other, "a rate"), r#"Write a whole number and a unit, like "10/s"."#)),
        };
        rate.map_err(|Mistake { finding, remedy }| findings.add(at, finding, remedy)).ok()
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "pattern": "^[0-9]+/(s|min|h|day)$" })
    }
}

/// A name that the operator gives, to refer to it elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Name(pub(in crate::config) Box<str>);

impl Name {
    /// What a name may be, as a finding's remedy.
    pub(in crate::config) const RULE: &'static str = "Write 1 to 64 of a-z, 0-9 and -.";

    pub(in crate::config) fn is_one(text: &str) -> bool {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=64).contains(&text.len()) && text.bytes().all(allowed)
    }
}

impl TextKey for Name {
    const WHAT: &'static str = "a name";
    const EXAMPLE: &'static str = "the name of what is meant";
    const LOOKS_LIKE_ANYTHING: bool = true;

    // Whether there is something of that name is asked later; so the spelling does not matter here.
    fn parse(text: &str) -> Result<Self, Mistake> {
        Ok(Self(text.into()))
    }
}

/// Words for people: realm, names of routes and resources. What RFC 6750 §3 allows in a quoted-string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Label(pub(in crate::config) Box<str>);

impl TextKey for Label {
    const WHAT: &'static str = "text";
    const EXAMPLE: &'static str = "text";
    const LOOKS_LIKE_ANYTHING: bool = true;

    fn parse(text: &str) -> Result<Self, Mistake> {
        let allowed = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if (1..=128).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.into()));
        }
        Err(Mistake::new(
            format!("{} cannot be shown in header fields", quoted(text)),
            r#"Write 1 to 128 printable ASCII characters without " and \."#,
        ))
    }
}

/// Adds a rule to a schema.
pub(in crate::config) fn set(schema: &mut serde_json::Value, rule: &str, value: &str) {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert(rule.into(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_written_in_the_largest_unit_that_fits() {
        for (seconds, text) in [(0, "0s"), (90, "90s"), (600, "10m"), (86_400, "1d")] {
            assert_eq!(span_text(Duration::from_secs(seconds)), text);
        }
        assert_eq!(span_text(Duration::from_millis(1500)), "1500ms");
    }

    #[test]
    fn huge_numbers_are_out_of_range_instead_of_wrapping() {
        assert!(Span::<0, 60>::parse("18446744073709551615d").is_err());
        assert!(Span::<0, 60>::parse("99999999999999999999s").is_err());
        assert!(Rate::from_text("4294967297/s").is_err());
    }
}
