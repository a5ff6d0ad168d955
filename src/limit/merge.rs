//! Fields of the upstream and ours as one: a proxy may make what callers are told stricter, never looser
//! (draft-ietf-httpapi-ratelimit-headers-11, "Intermediaries"). In: where a caller stands, and a way to read the response's
//! fields. Out: what to change in the response. Not here: what our fields say (`fields`).
//!
//! RateLimit and RateLimit-Policy: their items stay, ours come behind them. An item of theirs with the name of one of
//! ours stands for both, with the smaller `r`, the larger `t` and the smaller `q`, which keeps its own `w`.
//! X-RateLimit-*: the three fields of whoever leaves fewer permits.

use std::cmp::Reverse;

use sfv::{BareItem, FieldType, List, ListEntry, Parameters, Parser};

use crate::limit::fields::{Field, draft, older, told};
use crate::limit::outcome::Permits;
use crate::policy::Dialects;
use crate::time::UnixMillis;

/// The longest value that is read, in bytes: an upstream must not choose how much is parsed.
const LONGEST: usize = 2048;

/// A change to the fields of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// One more line: the name in lower case, and the value.
    Add(&'static str, String),
    /// Instead of all lines of this name.
    Set(&'static str, String),
}

impl Permits {
    /// What to tell with a response; nothing for a request without limits. `theirs` reads a field of the response: all
    /// its lines, joined by commas.
    pub fn fields(
        &self,
        dialects: Dialects,
        now: UnixMillis,
        theirs: impl Fn(&'static str) -> Option<Vec<u8>>,
    ) -> Vec<Change> {
        let told = told(self.standings());
        let ours = if dialects.draft { draft(&told) } else { Vec::new() };
        let mut changes: Vec<_> = ours.into_iter().map(|(name, ours)| beside(name, ours, theirs(name))).collect();
        if let Some(ours) = dialects.older.and_then(|dialect| older(&told, dialect, now))
            && !theirs_are_stricter(&ours, theirs)
        {
            changes.extend(ours.map(|(name, value)| Change::Set(name, value)));
        }
        changes
    }
}

fn beside(name: &'static str, ours: String, theirs: Option<Vec<u8>>) -> Change {
    match theirs.and_then(|theirs| merged(name, &ours, &theirs)) {
        Some(both) => Change::Set(name, both),
        // What cannot be read may still be stricter than ours, so it stays.
        None => Change::Add(name, ours),
    }
}

/// `None` if theirs is too long or no List (RFC 9651 §3.1).
fn merged(name: &str, ours: &str, theirs: &[u8]) -> Option<String> {
    if theirs.len() > LONGEST {
        return None;
    }
    let mut list: List = Parser::new(theirs).parse().ok()?;
    let tighten = if name == "ratelimit" { tighten_state } else { tighten_policy };
    for entry in Parser::new(ours).parse::<List>().ok()? {
        let ListEntry::Item(ours) = entry else { continue };
        let mut alone = true;
        for entry in &mut list {
            if let ListEntry::Item(theirs) = entry
                && theirs.bare_item == ours.bare_item
            {
                tighten(&mut theirs.params, &ours.params);
                alone = false;
            }
        }
        if alone {
            list.push(ours.into());
        }
    }
    list.serialize()
}

fn tighten_state(theirs: &mut Parameters, ours: &Parameters) {
    if number(theirs, "r").is_none_or(|r| Some(r) > number(ours, "r")) {
        copy("r", ours, theirs);
    }
    if number(theirs, "t") < number(ours, "t") {
        copy("t", ours, theirs);
    }
}

fn tighten_policy(theirs: &mut Parameters, ours: &Parameters) {
    // The smaller the stricter.
    let strictness = |params| number(params, "q").map(|q| (q, Reverse(number(params, "w"))));
    if strictness(theirs).is_none_or(|theirs| Some(theirs) > strictness(ours)) {
        copy("q", ours, theirs);
        copy("w", ours, theirs);
    }
}

/// The value of a parameter that the draft defines as an Integer from 0.
fn number(params: &Parameters, key: &str) -> Option<u64> {
    match params.get(key) {
        Some(BareItem::Integer(number)) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn copy(key: &str, from: &Parameters, to: &mut Parameters) {
    if let Some((key, value)) = from.get_key_value(key) {
        to.insert(key.clone(), value.clone());
    }
}

/// Whether the response has X-RateLimit fields that leave fewer permits than ours or, of equals, later a full budget.
fn theirs_are_stricter(ours: &[Field; 3], theirs: impl Fn(&'static str) -> Option<Vec<u8>>) -> bool {
    let [_, (remaining, our_remaining), (reset, our_reset)] = ours;
    let number = |value: &[u8]| std::str::from_utf8(value).ok()?.trim().parse::<u64>().ok();
    let Some(their_remaining) = theirs(remaining).and_then(|value| number(&value)) else { return false };
    let their_reset = theirs(reset).and_then(|value| number(&value));
    let strictness = |remaining, reset| (remaining, Reverse(reset));
    // Ours are numbers.
    let ours = strictness(number(our_remaining.as_bytes()).unwrap_or(0), number(our_reset.as_bytes()));
    strictness(their_remaining, their_reset) < ours
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: &str = "ratelimit-policy";
    const STATE: &str = "ratelimit";

    fn both(name: &str, ours: &str, theirs: &str) -> String {
        merged(name, ours, theirs.as_bytes()).unwrap()
    }

    #[test]
    fn of_items_with_the_same_name_the_fewer_permits_and_the_longer_wait_remain() {
        for (theirs, expected) in [
            (r#""a";r=3;t=9"#, r#""a";r=3;t=9"#),
            (r#""a";r=9;t=3"#, r#""a";r=5;t=5"#),
            (r#""a";r=3;t=3"#, r#""a";r=3;t=5"#),
            (r#""a";r=3"#, r#""a";r=3;t=5"#),
            (r#""a";t=9"#, r#""a";t=9;r=5"#),
            (r#""a";r=-1;t="soon""#, r#""a";r=5;t=5"#),
            (r#""a";r=9;pk=:MTI=:;x-y=?0, "a";r=1;t=7"#, r#""a";r=5;pk=:MTI=:;x-y=?0;t=5, "a";r=1;t=7"#),
        ] {
            assert_eq!(both(STATE, r#""a";r=5;t=5"#, theirs), expected, "{theirs}");
        }
    }

    #[test]
    fn of_policies_with_the_same_name_the_smaller_quota_remains_with_its_window() {
        for (theirs, expected) in [
            (r#""a";q=9;w=1"#, r#""a";q=9;w=1"#),
            (r#""a";q=11;w=3600"#, r#""a";q=10;w=60"#),
            (r#""a";q=11;qu="requests""#, r#""a";q=10;qu="requests";w=60"#),
            (r#""a";q=10"#, r#""a";q=10;w=60"#),
            (r#""a";q=10;w=61"#, r#""a";q=10;w=61"#),
            (r#""a";w=1"#, r#""a";w=60;q=10"#),
        ] {
            assert_eq!(both(POLICY, r#""a";q=10;w=60"#, theirs), expected, "{theirs}");
        }
    }

    #[test]
    fn everything_else_that_the_upstream_says_stays_as_it_is() {
        for theirs in [r#""b";r=0;t=1;c=1.5;d=@7"#, "a;r=1", "(\"a\" 2);r=1", "1, ?1, %\"%c3%bc\""] {
            assert_eq!(both(STATE, r#""a";r=5;t=5"#, theirs), format!(r#"{theirs}, "a";r=5;t=5"#));
        }
        assert_eq!(both(STATE, r#""a";r=5;t=5"#, " "), r#""a";r=5;t=5"#);
    }

    #[test]
    fn a_field_that_is_no_list_or_too_long_is_left_alone() {
        let long = format!(r#""a";r=1, "{}""#, "b".repeat(LONGEST));
        for theirs in ["limit=100, remaining=5", r#""a";r=1,"#, r#""a"#, "\u{fc}", &long] {
            let ours = String::from(r#""a";r=5;t=5"#);
            assert_eq!(beside(STATE, ours.clone(), Some(theirs.into())), Change::Add(STATE, ours), "{theirs}");
        }
    }

    /// Whether the upstream's X-RateLimit fields stay, where ours say that 5 remain and that the reset is at 60.
    fn stay(remaining: Option<&str>, reset: Option<&str>) -> bool {
        let ours = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
        let ours = [(ours[0], "10".into()), (ours[1], "5".into()), (ours[2], "60".into())];
        theirs_are_stricter(&ours, |name| {
            let value = match name {
                "x-ratelimit-remaining" => remaining,
                "x-ratelimit-reset" => reset,
                _ => None,
            };
            value.map(Into::into)
        })
    }

    #[test]
    fn older_fields_stay_if_they_leave_fewer_permits() {
        for (remaining, reset, expected) in [
            (Some("4"), Some("1"), true),
            (Some("4"), None, true),
            (Some("5"), Some("61"), true),
            (Some("5"), Some("60"), false),
            (Some("5"), None, false),
            (Some("6"), Some("61"), false),
            (None, Some("61"), false),
            (Some("few"), Some("61"), false),
            (Some("1,2"), Some("61"), false),
        ] {
            assert_eq!(stay(remaining, reset), expected, "{remaining:?} {reset:?}");
        }
    }

    /// A field with some of three names, each as two parameters.
    fn list(first: &'static str, second: &'static str) -> impl Strategy<Value = String> {
        let item = ("[abc]", 0..5_u64, 0..5_u64);
        proptest::collection::vec(item, 1..4).prop_map(move |items| {
            let item = |(name, one, two)| format!(r#""{name}";{first}={one};{second}={two}"#);
            items.into_iter().map(item).collect::<Vec<_>>().join(", ")
        })
    }

    /// The strictest that a field says about a name: the first parameter, and the second negated.
    fn strictest(field: &str, name: &str, keys: [&str; 2]) -> Vec<(u64, u64)> {
        let items = Parser::new(field).parse::<List>().unwrap();
        let items = items.into_iter().filter_map(|entry| match entry {
            ListEntry::Item(item) if item.bare_item.as_string().unwrap().as_str() == name => Some(item.params),
            _ => None,
        });
        items.map(|params| (number(&params, keys[0]).unwrap(), number(&params, keys[1]).unwrap())).collect()
    }

    proptest! {
        #[test]
        fn no_name_is_told_more_than_either_side_tells(ours in list("r", "t"), theirs in list("r", "t")) {
            let told = both(STATE, &ours, &theirs);
            for name in ["a", "b", "c"] {
                let told = strictest(&told, name, ["r", "t"]);
                for (r, t) in [&ours, &theirs].into_iter().flat_map(|side| strictest(side, name, ["r", "t"])) {
                    prop_assert!(told.iter().any(|told| told.0 <= r && told.1 >= t), "{name}: {told:?}");
                }
            }
        }

        #[test]
        fn no_policy_is_told_wider_than_either_side_tells(ours in list("q", "w"), theirs in list("q", "w")) {
            let told = both(POLICY, &ours, &theirs);
            for name in ["a", "b", "c"] {
                let told = strictest(&told, name, ["q", "w"]);
                for (q, w) in [&ours, &theirs].into_iter().flat_map(|side| strictest(side, name, ["q", "w"])) {
                    prop_assert!(told.iter().any(|told| (told.0, Reverse(told.1)) <= (q, Reverse(w))), "{name}: {told:?}");
                }
            }
        }

        #[test]
        fn any_bytes_leave_a_field_that_ours_can_be_read_from(theirs: Vec<u8>) {
            let ours = String::from(r#""a";r=5;t=5"#);
            let (Change::Set(_, told) | Change::Add(_, told)) = beside(STATE, ours, Some(theirs));
            prop_assert!(Parser::new(&told).parse::<List>().is_ok());
        }
    }
}
