//! The RateLimit and RateLimit-Policy fields (draft-ietf-httpapi-ratelimit-headers-11). In: where a caller stands.
//! Out: field names and values. Not here: fields that the upstream sent (`merge`), and Retry-After, which every refusal
//! may carry (`verdict`).
//!
//! On request also the fields that came before: `X-RateLimit-Limit`, `-Remaining` and `-Reset`, in Envoy's dialect
//! (draft-polli-ratelimit-headers-03, seconds until the reset) or with the reset as seconds since 1970. They speak of
//! the tightest limit.
//!
//! `q` is the burst and `w` the whole seconds in which a spent burst comes back; `r` is what is left and `t` the
//! seconds until the budget is full or, on a refusal, until the request would pass.

use std::fmt::Write;
use std::time::Duration;

use sfv::{Integer, KeyRef, ListSerializer, StringRef};

use crate::limit::outcome::{OverLimit, Standing};
use crate::time::{UnixMillis, whole_seconds_up};

/// A response field: its name in lower case, and its value.
pub(super) type Field = (&'static str, String);

/// Which fields callers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialects {
    /// RateLimit and RateLimit-Policy.
    pub draft: bool,
    /// X-RateLimit-*, if at all.
    pub older: Option<Older>,
}

/// What `X-RateLimit-Reset` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Older {
    /// Seconds from now, as Envoy's own filters write it.
    Envoy,
    /// Seconds since 1970.
    Epoch,
}

impl OverLimit {
    /// The fields of a refusal. They speak of the violated limits alone.
    pub fn fields(&self, dialects: Dialects, now: UnixMillis) -> Vec<Field> {
        let mut told = if dialects.draft { draft(self.violated()) } else { Vec::new() };
        told.extend(dialects.older.and_then(|dialect| older(self.violated(), dialect, now)).into_iter().flatten());
        told
    }
}

/// X-RateLimit-Limit, -Remaining and -Reset, in this order; `None` without standings.
pub(super) fn older(standings: &[Standing], dialect: Older, now: UnixMillis) -> Option<[Field; 3]> {
    // The tightest: the fewest permits, and of equals the longest wait.
    let tightest = standings.iter().min_by_key(|standing| (standing.remaining, std::cmp::Reverse(standing.reset)))?;
    let mut limit = tightest.quota.burst().to_string();
    let reset = whole_seconds_up(tightest.reset).max(1);
    let reset = match dialect {
        Older::Envoy => {
            for Standing { limit: of, quota, .. } in standings {
                // Configuration allows names of letters, digits and dashes only. Writing to a String cannot fail.
                let _ = write!(limit, ", {};w={};name=\"{}\"", quota.burst(), quota.window_seconds(), of.origin.name);
            }
            reset
        }
        Older::Epoch => whole_seconds_up(Duration::from_millis(now.as_millis())).saturating_add(reset),
    };
    Some([
        ("x-ratelimit-limit", limit),
        ("x-ratelimit-remaining", tightest.remaining.to_string()),
        ("x-ratelimit-reset", reset.to_string()),
    ])
}

/// RateLimit-Policy and RateLimit; none without standings.
pub(super) fn draft(standings: &[Standing]) -> Vec<Field> {
    const KEYS: [&KeyRef; 4] =
        [KeyRef::constant("q"), KeyRef::constant("w"), KeyRef::constant("r"), KeyRef::constant("t")];
    let [q, w, r, t] = KEYS;
    let (mut policy, mut state) = (ListSerializer::new(), ListSerializer::new());
    for Standing { limit, quota, remaining, reset } in standings {
        // A name that is no structured-field string cannot be told; configuration refuses such names.
        let Ok(name) = StringRef::from_str(&limit.origin.name) else { continue };
        let reset = whole_seconds_up(*reset).max(1);
        let _ = policy
            .bare_item(name)
            .parameter(q, integer(quota.burst().into()))
            .parameter(w, integer(quota.window_seconds()));
        let _ = state.bare_item(name).parameter(r, integer(*remaining)).parameter(t, integer(reset));
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
    use crate::limit::{Quota, Strain};
    use crate::policy::{Limit, Origin};

    const DRAFT: Dialects = Dialects { draft: true, older: None };
    const NOW: UnixMillis = UnixMillis::from_millis(1_767_225_600_500);

    fn standing(name: &str, quota: Quota, remaining: u64, reset: Duration) -> Standing {
        let origin = Origin { name: name.into(), path: "limits".into() };
        let limit = Limit::new(origin, vec![], quota);
        Standing { limit: Rc::new(limit), quota, remaining, reset }
    }

    fn per_second(permits: u64, burst: u32) -> Quota {
        Quota::new(permits, Duration::from_secs(1), burst).unwrap()
    }

    #[test]
    fn a_response_tells_the_quota_and_what_is_left_of_it() {
        let standing = standing("per-client", per_second(100, 200), 12, Duration::from_millis(1880));
        let expected = [
            ("ratelimit-policy", r#""per-client";q=200;w=2"#.to_owned()),
            ("ratelimit", r#""per-client";r=12;t=2"#.to_owned()),
        ];
        assert_eq!(draft(&[standing]), expected);
    }

    #[test]
    fn the_older_fields_speak_of_the_tightest_limit() {
        let standings = [
            standing("wide", per_second(100, 200), 12, Duration::from_millis(1880)),
            standing("tight", per_second(1, 5), 3, Duration::from_secs(2)),
        ];
        let values = |dialect| older(&standings, dialect, NOW).unwrap().map(|(_, value)| value);
        assert_eq!(values(Older::Envoy), [r#"5, 200;w=2;name="wide", 5;w=5;name="tight""#, "3", "2"]);
        assert_eq!(values(Older::Epoch), ["5", "3", "1767225603"]);
    }

    #[test]
    fn a_refusal_tells_the_same_time_as_retry_after() {
        let violated = |name, wait| standing(name, per_second(1, 1), 0, Duration::from_millis(wait));
        let over = OverLimit::new(vec![violated("one", 1), violated("two", 2_500)], Strain::default());
        let [_, (_, state)] = over.fields(DRAFT, NOW).try_into().unwrap();
        assert_eq!(state, r#""one";r=0;t=1, "two";r=0;t=3"#);
        assert_eq!(whole_seconds_up(over.retry_after()), 3);
    }

    #[test]
    fn any_standing_gives_fields_that_parse_as_a_list_of_strings_with_integers() {
        let slowest = Quota::new(1, Duration::from_nanos(1 << 62), 1).unwrap();
        let standings = [
            standing(r#"quote " and \"#, per_second(1_000_000_000, u32::MAX), u64::MAX, Duration::MAX),
            standing("slow", slowest, 0, Duration::ZERO),
            standing("not printable: ü", slowest, 0, Duration::ZERO),
        ];
        for (name, value) in draft(&standings) {
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
