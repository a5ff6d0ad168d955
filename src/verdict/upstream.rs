//! What the upstream learns about the caller (RFC 9700 §4.13, RFC 9440 §4). In: the resource's rule, the facts
//! about the caller, the request's fields. Out: the headers to remove and to set, and filter state. Nothing goes upstream
//! about the caller that is not on the operator's list, and nothing the caller says under one of those names.

use crate::http::HeaderMap;
use crate::policy::{Fact, ForwardRule};
use crate::reason::Reason;

/// The longest value in filter state, in characters; longer ones are cut and end in `…`.
const MAX_STATE: usize = 256;
/// The longest value that is put into a header.
const MAX_VALUE: usize = 8 * 1024;

/// Changes to a request on its way upstream.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    /// Header names to remove; all are present.
    pub remove: Vec<String>,
    /// Headers to set.
    pub set: Vec<(String, String)>,
    /// Filter state to set: key below `wasm.`, and value, bounded and escaped.
    pub filter_state: Vec<(String, String)>,
}

impl Upstream {
    /// For a caller of whom nothing was proved.
    pub fn of_nobody(rule: &ForwardRule, fields: &HeaderMap) -> Self {
        // Where no fact is known, none can be unfit for a header.
        Self::of(rule, fields, |_| None).unwrap_or_default()
    }

    /// By `rule`, for a caller of whom `value_of` tells each fact that is known.
    pub fn of(
        rule: &ForwardRule,
        fields: &HeaderMap,
        value_of: impl Fn(&Fact) -> Option<String>,
    ) -> Result<Self, Reason> {
        let mut upstream = Self::default();
        for (name, fact) in &rule.headers {
            match value_of(fact) {
                Some(value) if fits_a_header(&value) => upstream.set.push((name.to_string(), value)),
                Some(_) => return Err(Reason::ClaimUnforwardable),
                None if fields.all(name).next().is_some() => upstream.remove.push(name.to_string()),
                None => {}
            }
        }
        for (key, fact) in &rule.filter_state {
            let value = value_of(fact).map(|value| (key.to_string(), for_logs(&value)));
            upstream.filter_state.extend(value);
        }
        for name in fields.names() {
            // Whether or not it was looked at: on a public route it may be good elsewhere.
            let token = !rule.token && name == "authorization";
            let proof = !rule.proof && name == "dpop";
            if (token || proof || rule.spoofs(name)) && !upstream.remove.iter().any(|removed| removed == name) {
                upstream.remove.push(name.to_owned());
            }
        }
        Ok(upstream)
    }
}

/// Visible ASCII and inner spaces: what every HTTP implementation reads the same way.
fn fits_a_header(value: &str) -> bool {
    let visible = |byte: u8| matches!(byte, b' '..=b'~');
    value.len() <= MAX_VALUE && value.bytes().all(visible) && value.trim() == value
}

/// Fit for a log that writes it as it is: no quotation mark ends a field, no control or separator ends a line, no mark of
/// direction turns what is read around.
fn for_logs(value: &str) -> String {
    let mut text = String::with_capacity(value.len().min(MAX_STATE));
    for (number, letter) in value.chars().enumerate() {
        match letter {
            _ if number == MAX_STATE => {
                text.push('…');
                break;
            }
            '"' | '\\' => text.extend(['\\', letter]),
            letter if for_no_log(letter) => text.extend(letter.escape_unicode()),
            letter => text.push(letter),
        }
    }
    text
}

/// Controls, separators of lines, and marks of direction.
pub(crate) fn for_no_log(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_state_is_bounded_and_escaped() {
        for (value, expected) in [
            ("auth0|alice", "auth0|alice"),
            ("zoë é", "zoë é"),
            ("a\nb", "a\\u{a}b"),
            ("a\"b\\", "a\\\"b\\\\"),
            ("\u{85}\u{2028}\u{202e}", "\\u{85}\\u{2028}\\u{202e}"),
        ] {
            assert_eq!(for_logs(value), expected);
        }
        assert_eq!(for_logs(&"é".repeat(256)), "é".repeat(256));
        assert_eq!(for_logs(&"é".repeat(8_192)), "é".repeat(256) + "…");
    }
}
