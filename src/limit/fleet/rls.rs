//! The messages of `envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit`. In: whose permits and how many, and
//! the bytes of an answer. Out: the bytes of a call, and an [`Answer`] or why it is none ([`Fault`]).
//!
//! The messages are declared here, with the fields that are used: generated crates do not build for wasm. A call has
//! one descriptor of one entry: with several, a refusal by one would spend the others; with several entries, the
//! service's store could read two callers as one. Never sent: `is_negative_hits`, which both servers charge.

use std::fmt;
use std::time::Duration;

use prost::Message;

use crate::policy::Kind;

/// The gRPC service of a call.
pub const GRPC_SERVICE: &str = "envoy.service.ratelimit.v3.RateLimitService";
/// The gRPC method of a call.
pub const GRPC_METHOD: &str = "ShouldRateLimit";

/// No answer to one descriptor is nearly as long.
const LONGEST_ANSWER: usize = 64 * 1024;
/// No window is longer; what claims to be is not believed.
const LONGEST_WINDOW: Duration = Duration::from_secs(400 * 86_400);

const OK: i32 = 1;
const OVER_LIMIT: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub(super) struct RateLimitRequest {
    #[prost(string, tag = "1")]
    pub(super) domain: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) descriptors: Vec<Descriptor>,
    #[prost(uint32, tag = "3")]
    pub(super) hits_addend: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Descriptor {
    #[prost(message, repeated, tag = "1")]
    pub(super) entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Entry {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RateLimitResponse {
    #[prost(int32, tag = "1")]
    pub(super) overall_code: i32,
    #[prost(message, repeated, tag = "2")]
    pub(super) statuses: Vec<Status>,
    #[prost(message, repeated, tag = "3")]
    pub(super) response_headers_to_add: Vec<HeaderValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) current_limit: Option<CurrentLimit>,
    #[prost(uint32, tag = "3")]
    pub(super) limit_remaining: u32,
    #[prost(message, optional, tag = "4")]
    pub(super) duration_until_reset: Option<Seconds>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CurrentLimit {
    #[prost(uint32, tag = "1")]
    pub(super) requests_per_unit: u32,
    #[prost(int32, tag = "2")]
    pub(super) unit: i32,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Seconds {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HeaderValue {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) raw_value: Vec<u8>,
}

/// When the window ends, counted from the moment at which the service answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reset {
    pub(super) at_least: Duration,
    pub(super) at_most: Duration,
    /// The windows follow each other without a gap, each as long as that.
    pub(super) period: Option<Duration>,
}

/// What the service says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// All that was asked is granted.
    Granted {
        /// Permits of a window.
        limit: Option<u32>,
        /// Permits left in this one.
        remaining: Option<u32>,
        reset: Option<Reset>,
    },
    /// Nothing is granted.
    Over {
        /// Permits of a window.
        limit: Option<u32>,
        reset: Option<Reset>,
    },
    /// It knows no limit for that descriptor. Most likely the domain or the name is mistyped on one side.
    NoLimit,
}

/// Why bytes are no answer: the service failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They are not the message, or far too many.
    Undecodable,
    /// Neither OK nor OVER_LIMIT.
    Code(i32),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Undecodable => f.write_str("the answer is no RateLimitResponse"),
            Fault::Code(code) => write!(f, "the answer has overall_code {code}, neither OK nor OVER_LIMIT"),
        }
    }
}

/// A call for `hits` permits: one descriptor of one entry.
pub(super) fn encode(domain: &str, key: &str, value: &str, hits: u32) -> Vec<u8> {
    let entry = Entry { key: key.to_owned(), value: value.to_owned() };
    let descriptors = vec![Descriptor { entries: vec![entry] }];
    RateLimitRequest { domain: domain.to_owned(), descriptors, hits_addend: hits }.encode_to_vec()
}

/// Reads an answer of that kind of server. Only `overall_code` decides: a service in shadow mode says OVER_LIMIT in
/// the status and OK over all.
pub(super) fn decode(kind: Kind, bytes: &[u8]) -> Result<Answer, Fault> {
    if bytes.len() > LONGEST_ANSWER {
        return Err(Fault::Undecodable);
    }
    let response = RateLimitResponse::decode(bytes).map_err(|_| Fault::Undecodable)?;
    let granted = match response.overall_code {
        OK => true,
        OVER_LIMIT => false,
        code => return Err(Fault::Code(code)),
    };
    Ok(match kind {
        Kind::Ratelimit => of_status(granted, response.statuses.first()),
        Kind::Limitador => of_fields(granted, &response.response_headers_to_add),
    })
}

fn of_status(granted: bool, status: Option<&Status>) -> Answer {
    let limit = status.and_then(|status| status.current_limit.as_ref());
    let period = limit.and_then(|limit| period(limit.unit));
    let reset = status.and_then(|status| status.duration_until_reset.as_ref());
    let longest = limit.and_then(|limit| longest(limit.unit)).unwrap_or(LONGEST_WINDOW);
    let reset = reset.and_then(|duration| rounded_up(duration, period)).filter(|reset| reset.at_most <= longest);
    match (granted, status, limit) {
        (true, Some(status), Some(limit)) => {
            Answer::Granted { limit: Some(limit.requests_per_unit), remaining: Some(status.limit_remaining), reset }
        }
        (true, _, _) => Answer::NoLimit,
        (false, _, _) => Answer::Over { limit: limit.map(|limit| limit.requests_per_unit), reset },
    }
}

/// The units that are worth knowing: a second is not leased, and of a week or longer one answer tells enough.
fn period(unit: i32) -> Option<Duration> {
    let seconds = match unit {
        2 => 60,
        3 => 3600,
        4 => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

/// The longest that a window of that unit lasts; what claims to last longer is not believed.
fn longest(unit: i32) -> Option<Duration> {
    let seconds = match unit {
        1 => 1,
        2 => 60,
        3 => 3600,
        4 => 86_400,
        5 => 7 * 86_400,
        6 => 31 * 86_400,
        7 => 366 * 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

/// envoyproxy/ratelimit rounds up to whole seconds: `d` means more than `d` - 1.
fn rounded_up(duration: &Seconds, period: Option<Duration>) -> Option<Reset> {
    let seconds = u64::try_from(duration.seconds).ok()?;
    let nanos = u32::try_from(duration.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    let at_most = Duration::new(seconds, nanos);
    let at_least = at_most.saturating_sub(Duration::from_secs(1));
    (!at_most.is_zero() && at_most <= LONGEST_WINDOW).then_some(Reset { at_least, at_most, period })
}

/// Limitador's X-RateLimit fields (draft 3), about the limit that is nearest to its end. A refusal's `Remaining`
/// means different things in different versions and is not read.
fn of_fields(granted: bool, fields: &[HeaderValue]) -> Answer {
    let number = |name: &str| fields.iter().find(|field| field.key.eq_ignore_ascii_case(name)).and_then(leading_number);
    let reset = number("x-ratelimit-reset").map(u64::from).map(Duration::from_secs).and_then(rounded_down);
    let limit = number("x-ratelimit-limit");
    if granted {
        Answer::Granted { limit, remaining: number("x-ratelimit-remaining"), reset }
    } else {
        Answer::Over { limit, reset }
    }
}

/// Limitador rounds down: `r` means less than `r` + 1.
fn rounded_down(at_least: Duration) -> Option<Reset> {
    let at_most = at_least.saturating_add(Duration::from_secs(1));
    (at_most <= LONGEST_WINDOW).then_some(Reset { at_least, at_most, period: None })
}

/// The first number of `10, 10;w=60`.
fn leading_number(field: &HeaderValue) -> Option<u32> {
    let text = if field.raw_value.is_empty() { field.value.as_bytes() } else { &field.raw_value };
    let first = text.split(|byte| *byte == b',' || *byte == b';').next()?;
    std::str::from_utf8(first).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn status(limit: Option<u32>, limit_remaining: u32, reset: Option<i64>) -> Status {
        Status {
            code: OK,
            current_limit: limit.map(|requests_per_unit| CurrentLimit { requests_per_unit, unit: 0 }),
            limit_remaining,
            duration_until_reset: reset.map(|seconds| Seconds { seconds, nanos: 0 }),
        }
    }

    fn ratelimit(overall_code: i32, statuses: Vec<Status>) -> Result<Answer, Fault> {
        let response = RateLimitResponse { overall_code, statuses, response_headers_to_add: vec![] };
        decode(Kind::Ratelimit, &response.encode_to_vec())
    }

    fn limitador(overall_code: i32, fields: &[(&str, &str)]) -> Result<Answer, Fault> {
        let field =
            |(key, value): &(&str, &str)| HeaderValue { key: (*key).into(), value: (*value).into(), raw_value: vec![] };
        let response_headers_to_add = fields.iter().map(field).collect();
        decode(
            Kind::Limitador,
            &RateLimitResponse { overall_code, statuses: vec![], response_headers_to_add }.encode_to_vec(),
        )
    }

    #[test]
    fn an_ask_has_the_bytes_of_the_protocol() {
        let bytes = encode("d", "k", "v", 5);
        assert_eq!(bytes, b"\x0a\x01d\x12\x08\x0a\x06\x0a\x01k\x12\x01v\x18\x05");
    }

    #[test]
    fn an_answer_of_ratelimit_tells_limit_rest_and_window() {
        // OK; one status: OK, 10 an hour, 7 left, 1800 s.
        let bytes = b"\x08\x01\x12\x0d\x08\x01\x12\x04\x08\x0a\x10\x03\x18\x07\x22\x03\x08\x88\x0e";
        let reset = Some(Reset { at_least: seconds(1799), at_most: seconds(1800), period: Some(seconds(3600)) });
        let expected = Answer::Granted { limit: Some(10), remaining: Some(7), reset };
        assert_eq!(decode(Kind::Ratelimit, &bytes[..]), decode(Kind::Ratelimit, &bytes[..]));
        assert_eq!(decode(Kind::Ratelimit, &fix_length(bytes)), Ok(expected));
    }

    /// The length of the status, set right.
    fn fix_length(bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        bytes[3] = u8::try_from(bytes.len() - 4).unwrap();
        bytes
    }

    #[test]
    fn rule_2_a_refusal_is_decided_by_the_overall_code() {
        let over_in_status = Status { code: OVER_LIMIT, ..status(Some(10), 0, Some(5)) };
        assert!(matches!(ratelimit(OK, vec![over_in_status.clone()]), Ok(Answer::Granted { .. })), "shadow mode");
        let reset = Some(Reset { at_least: seconds(4), at_most: seconds(5), period: None });
        assert_eq!(ratelimit(OVER_LIMIT, vec![over_in_status]), Ok(Answer::Over { limit: Some(10), reset }));
        assert_eq!(ratelimit(OVER_LIMIT, vec![]), Ok(Answer::Over { limit: None, reset: None }));
    }

    #[test]
    fn rule_3_limitador_tells_its_window_in_fields_or_not_at_all() {
        let fields = [
            ("X-RateLimit-Limit", "10, 10;w=60;name=\"x\""),
            ("X-RateLimit-Remaining", "7"),
            ("X-RateLimit-Reset", "59"),
        ];
        let reset = Some(Reset { at_least: seconds(59), at_most: seconds(60), period: None });
        assert_eq!(limitador(OK, &fields), Ok(Answer::Granted { limit: Some(10), remaining: Some(7), reset }));
        assert_eq!(limitador(OVER_LIMIT, &fields), Ok(Answer::Over { limit: Some(10), reset }));
        let nothing = Answer::Granted { limit: None, remaining: None, reset: None };
        assert_eq!(limitador(OK, &[]), Ok(nothing));
        assert_eq!(limitador(OK, &[("x-ratelimit-remaining", "-1"), ("x-ratelimit-reset", "soon")]), Ok(nothing));
    }

    #[test]
    fn rule_4_ok_without_a_current_limit_is_no_limit() {
        assert_eq!(ratelimit(OK, vec![status(None, 0, None)]), Ok(Answer::NoLimit));
        assert_eq!(ratelimit(OK, vec![status(None, u32::MAX, None)]), Ok(Answer::NoLimit));
        assert_eq!(ratelimit(OK, vec![]), Ok(Answer::NoLimit));
    }

    #[test]
    fn rule_8_other_codes_and_other_bytes_are_failures() {
        assert_eq!(ratelimit(0, vec![]), Err(Fault::Code(0)));
        assert_eq!(ratelimit(3, vec![]), Err(Fault::Code(3)));
        assert_eq!(decode(Kind::Ratelimit, b""), Err(Fault::Code(0)));
        assert_eq!(decode(Kind::Ratelimit, b"<html>"), Err(Fault::Undecodable));
        assert_eq!(decode(Kind::Limitador, &vec![0; LONGEST_ANSWER + 1]), Err(Fault::Undecodable));
    }

    #[test]
    fn a_window_that_makes_no_sense_is_no_window() {
        for wrong in [0, -1, i64::MIN, i64::MAX] {
            let answer = ratelimit(OK, vec![status(Some(10), 7, Some(wrong))]);
            assert_eq!(answer, Ok(Answer::Granted { limit: Some(10), remaining: Some(7), reset: None }), "{wrong}");
        }
    }
}
