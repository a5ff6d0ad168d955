//! The RateLimit and RateLimit-Policy fields (draft-ietf-httpapi-ratelimit-headers-11). In: where a caller stands.
//! Out: field names and values. Not here: fields that the upstream sent (`merge`), and Retry-After, which every refusal
//! may carry (`verdict`).
//!
//! On request also the fields that came before: `X-RateLimit-Limit`, `-Remaining` and `-Reset`, in Envoy's dialect
//! (draft-polli-ratelimit-headers-03, seconds until the reset) or with the reset as seconds since 1970. They speak of
//! the tightest limit.
//!
//! `q` is what comes back in `w` seconds, the fewest whole seconds in which a spent burst does; `r` is what is left and `t` the
//! seconds until the budget is full or, on a refusal, until the request would pass. A limit of requests at once has
//! `qu="concurrent-requests"` and no window. Only budgets that belong to the caller alone are told.

use std::cmp::Reverse;
use std::fmt::Write;
use std::time::Duration;

use sfv::{Integer, KeyRef, ListSerializer, StringRef};

use crate::limit::outcome::{OverLimit, Standing, Violation, Why};
use crate::policy::{Dialects, XRateLimit};
use crate::time::{UnixMillis, whole_seconds_up};

/// A response field: its name in lower case, and its value.
pub(super) type Field = (&'static str, String);

/// What is told about one limit.
pub(super) struct Told<'s> {
    name: &'s str,
    policy: ToldPolicy,
    remaining: Option<u64>,
    reset: Option<Duration>,
}

#[derive(Clone, Copy)]
enum ToldPolicy {
    /// Permits, and the seconds in which they come back; at most that many at once.
    Rate { permits: u64, seconds: u64, burst: u32 },
    /// Requests at once.
    AtOnce(u32),
}

impl Told<'_> {
    fn rate(quota: &crate::policy::Quota) -> ToldPolicy {
        let (permits, seconds) = quota.per_window();
        ToldPolicy::Rate { permits, seconds, burst: quota.burst() }
    }
}

/// What callers are told of limits that let a request pass.
pub(super) fn told(standings: &[Standing]) -> Vec<Told<'_>> {
    let own = standings.iter().filter(|standing| standing.limit.is_of_callers());
    let told = own.map(|Standing { limit, quota, remaining, reset }| Told {
        name: &limit.origin.name,
        policy: Told::rate(quota),
        remaining: Some(*remaining),
        reset: Some(*reset),
    });
    told.collect()
}

fn told_refusal(violated: &[Violation]) -> Vec<Told<'_>> {
    let own = violated.iter().filter(|violation| violation.limit.is_of_callers());
    let told = own.map(|violation| {
        let (policy, remaining) = match violation.why {
            Why::Spent { remaining, .. } => (Told::rate(&violation.quota), Some(remaining)),
            Why::Crowded { .. } => (Told::rate(&violation.quota), Some(0)),
            Why::AtOnce { most } => (ToldPolicy::AtOnce(most), Some(0)),
            Why::Never => (Told::rate(&violation.quota), None),
        };
        let told = !matches!(violation.why, Why::AtOnce { .. });
        let reset = violation.retry_after().filter(|_| told);
        Told { name: &violation.limit.origin.name, policy, remaining, reset }
    });
    told.collect()
}

impl OverLimit {
    /// The fields of a refusal. They speak of the violated limits alone.
    pub fn fields(&self, dialects: Dialects, now: UnixMillis) -> Vec<Field> {
        let refusal = told_refusal(self.violated());
        let mut told = if dialects.draft { draft(&refusal) } else { Vec::new() };
        told.extend(dialects.older.and_then(|dialect| older(&refusal, dialect, now)).into_iter().flatten());
        told
    }
}

/// X-RateLimit-Limit, -Remaining and -Reset, in this order; `None` without a rate. They know no requests at once.
pub(super) fn older(told: &[Told<'_>], dialect: XRateLimit, now: UnixMillis) -> Option<[Field; 3]> {
    let rates = || {
        told.iter().filter_map(|told| match told.policy {
            ToldPolicy::Rate { permits, seconds, burst } => {
                Some((told.name, permits, seconds, burst, told.remaining?, told.reset?))
            }
            ToldPolicy::AtOnce(_) => None,
        })
    };
    // The tightest: the fewest permits, and of equals the longest wait.
    let (_, _, _, burst, remaining, reset) =
        rates().min_by_key(|(.., remaining, reset)| (*remaining, Reverse(*reset)))?;
    let mut limit = burst.to_string();
    let reset = match dialect {
        XRateLimit::Envoy => {
            for (name, permits, seconds, ..) in rates() {
                // Configuration allows names of letters, digits and dashes only. Writing to a String cannot fail.
                let _ = write!(limit, ", {permits};w={seconds};name=\"{name}\"");
            }
            whole_seconds_up(reset).max(1)
        }
        XRateLimit::Epoch => whole_seconds_up(Duration::from_millis(now.as_millis()).saturating_add(reset)),
    };
    Some([
        ("x-ratelimit-limit", limit),
        ("x-ratelimit-remaining", remaining.to_string()),
        ("x-ratelimit-reset", reset.to_string()),
    ])
}

/// RateLimit-Policy and RateLimit; none where nothing is told.
pub(super) fn draft(told: &[Told<'_>]) -> Vec<Field> {
    const KEYS: [&KeyRef; 5] = [
        KeyRef::constant("q"),
        KeyRef::constant("w"),
        KeyRef::constant("r"),
        KeyRef::constant("t"),
        KeyRef::constant("qu"),
    ];
    const CONCURRENT: &StringRef = StringRef::constant("concurrent-requests");
    let [q, w, r, t, qu] = KEYS;
    let (mut policy, mut state) = (ListSerializer::new(), ListSerializer::new());
    for told in told {
        // A name that is no structured-field string cannot be told; configuration refuses such names.
        let Ok(name) = StringRef::from_str(told.name) else { continue };
        let item = policy.bare_item(name);
        let _ = match told.policy {
            ToldPolicy::Rate { permits, seconds, .. } => {
                item.parameter(q, integer(permits)).parameter(w, integer(seconds))
            }
            ToldPolicy::AtOnce(most) => item.parameter(q, integer(most.into())).parameter(qu, CONCURRENT),
        };
        if let Some(remaining) = told.remaining {
            let item = state.bare_item(name).parameter(r, integer(remaining));
            if let Some(reset) = told.reset {
                let _ = item.parameter(t, integer(whole_seconds_up(reset).max(1)));
            }
        }
    }
    let named = [("ratelimit-policy", policy.finish()), ("ratelimit", state.finish())];
    named.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect()
}

/// A number out of range is cut to the largest Integer (RFC 9651 §3.3.1).
fn integer(number: u64) -> Integer {
    Integer::try_from(number).unwrap_or(Integer::MAX)
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use sfv::{BareItem, List, ListEntry, Parser};

    use super::*;
    use crate::limit::Strain;
    use crate::policy::{Fact, Limit, Origin, Quota, TableSize};

    const DRAFT: Dialects = Dialects { draft: true, older: None };
    const NOW: UnixMillis = UnixMillis::from_millis(1_767_225_600_500);

    fn limit(name: &str, quota: Quota) -> Rc<Limit> {
        let origin = Origin { name: name.into(), path: "limits".into() };
        Rc::new(Limit::new(origin, vec![Fact::ClientId], quota, TableSize::for_identities(8)))
    }

    fn standing(name: &str, quota: Quota, remaining: u64, reset: Duration) -> Standing {
        Standing { limit: limit(name, quota), quota, remaining, reset }
    }

    fn per_second(permits: u64, burst: u32) -> Quota {
        Quota::new(permits, Duration::from_secs(1), burst).unwrap()
    }

    fn violated(name: &str, why: Why) -> Violation {
        let quota = per_second(1, 1);
        Violation { limit: limit(name, quota), quota, why }
    }

    fn spent(wait: u64) -> Why {
        Why::Spent { remaining: 0, retry_after: Duration::from_millis(wait) }
    }

    fn fields(violated: Vec<Violation>, dialects: Dialects, now: UnixMillis) -> Vec<String> {
        let over = OverLimit::new(violated, Strain::default());
        over.fields(dialects, now).into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn a_response_tells_the_rate_and_what_is_left() {
        let standing = standing("per-client", per_second(100, 200), 12, Duration::from_millis(1880));
        let expected = [
            ("ratelimit-policy", r#""per-client";q=200;w=2"#.to_owned()),
            ("ratelimit", r#""per-client";r=12;t=2"#.to_owned()),
        ];
        assert_eq!(draft(&told(&[standing])), expected);
    }

    #[test]
    fn nobody_is_told_what_is_left_of_a_budget_that_others_share() {
        let origin = Origin { name: "all".into(), path: "limits".into() };
        let key = vec![Fact::Route, Fact::Constant("x".into())];
        let quota = per_second(1, 1);
        let limit = Rc::new(Limit::new(origin, key, quota, TableSize::for_identities(8)));
        let shared = Standing { limit: limit.clone(), quota, remaining: 7, reset: Duration::ZERO };
        assert!(told(&[shared]).is_empty());
        assert!(fields(vec![Violation { limit, quota, why: spent(1) }], DRAFT, NOW).is_empty());
    }

    #[test]
    fn the_older_fields_speak_of_the_tightest_limit() {
        let standings = [
            standing("wide", per_second(100, 200), 12, Duration::from_millis(1880)),
            standing("tight", per_second(1, 5), 3, Duration::from_secs(2)),
        ];
        let values = |dialect| older(&told(&standings), dialect, NOW).unwrap().map(|(_, value)| value);
        assert_eq!(values(XRateLimit::Envoy), [r#"5, 200;w=2;name="wide", 5;w=5;name="tight""#, "3", "2"]);
        assert_eq!(values(XRateLimit::Epoch), ["5", "3", "1767225603"]);
    }

    #[test]
    fn a_refusal_tells_the_same_time_in_every_dialect() {
        let refused = || vec![violated("one", spent(1)), violated("two", spent(2_500))];
        assert_eq!(fields(refused(), DRAFT, NOW)[1], r#""one";r=0;t=1, "two";r=0;t=3"#);
        let wait = OverLimit::new(refused(), Strain::default()).retry_after().unwrap();
        assert_eq!(whole_seconds_up(wait), 3);
        let epoch = Dialects { draft: false, older: Some(XRateLimit::Epoch) };
        for (millis, expected) in [(500, "1767225603"), (501, "1767225604"), (0, "1767225603")] {
            let now = UnixMillis::from_millis(1_767_225_600_000 + millis);
            assert_eq!(fields(vec![violated("two", spent(2_500))], epoch, now)[2], expected);
        }
    }

    #[test]
    fn too_many_requests_at_once_are_no_quota_of_a_window() {
        let told = fields(vec![violated("busy", Why::AtOnce { most: 20 })], DRAFT, NOW);
        assert_eq!(told, [r#""busy";q=20;qu="concurrent-requests""#, r#""busy";r=0"#]);
        let older = Dialects { draft: false, older: Some(XRateLimit::Envoy) };
        assert!(fields(vec![violated("busy", Why::AtOnce { most: 20 })], older, NOW).is_empty());
    }

    #[test]
    fn what_never_passes_is_told_no_time() {
        let over = OverLimit::new(vec![violated("a", spent(5_000)), violated("b", Why::Never)], Strain::default());
        assert_eq!(over.retry_after(), None);
    }

    #[test]
    fn any_standing_gives_fields_that_parse_as_a_list_of_strings_with_integers() {
        let slowest = Quota::new(1, Duration::from_nanos(1 << 62), 1).unwrap();
        let standings = [
            standing(r#"quote " and \"#, per_second(1_000_000_000, u32::MAX), u64::MAX, Duration::MAX),
            standing("slow", slowest, 0, Duration::ZERO),
            standing("not printable: ü", slowest, 0, Duration::ZERO),
        ];
        for (name, value) in draft(&told(&standings)) {
            let parsed = Parser::new(&value).parse::<List>().unwrap();
            assert_eq!(parsed.len(), 2, "{name}");
            for entry in parsed {
                let ListEntry::Item(item) = entry else { panic!("{name}: {value}") };
                assert!(matches!(item.bare_item, BareItem::String(_)));
                assert!(item.params.values().all(|value| matches!(value, BareItem::Integer(_))));
                assert_eq!(item.params.len(), 2);
            }
        }
    }
}
