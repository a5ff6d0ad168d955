//! The parts of a key as bytes that no other parts give: every text stands behind its length, so that (`a`, `bc`) is
//! not (`ab`, `c`). In: a key and its values in one request. Out: bytes into whatever hash counts by them: the keyed one
//! of this process (`identity`), or the one that a fleet shares (`fleet::name`).

use std::borrow::Cow;
use std::net::IpAddr;

use sha2::{Digest, Sha256};
use siphasher::sip128::SipHasher13;

use crate::json::Value;
use crate::policy::Fact;

/// What a fact, such as a part of a key, is in one request.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyValue<'a> {
    /// Text that means the same for every issuer: a peer, a constant.
    Text(Cow<'a, str>),
    /// A claim of a token: what two issuers call by the same name are two identities, and so are `7` and `"7"`.
    Claim {
        /// `iss` of the token.
        issuer: &'a str,
        /// The claim's value.
        value: ClaimValue<'a>,
    },
    /// An address. IPv6 counts as its /64, an IPv4 address mapped into IPv6 as itself.
    Address(IpAddr),
    /// The request has none. All such requests share one budget: leaving a claim out is no way around a limit.
    Missing,
}

impl<'a> KeyValue<'a> {
    /// As text, where it has one: a string as it is, an integer in decimal, no other JSON.
    pub fn text(self) -> Option<Cow<'a, str>> {
        match self {
            KeyValue::Text(text) | KeyValue::Claim { value: ClaimValue::Text(text), .. } => Some(text),
            KeyValue::Claim { value: ClaimValue::Json(Value::Integer(number)), .. } => Some(number.to_string().into()),
            KeyValue::Address(address) => Some(address.to_string().into()),
            KeyValue::Claim { .. } | KeyValue::Missing => None,
        }
    }
}

/// The value of a claim.
#[derive(Clone, Debug, PartialEq)]
pub enum ClaimValue<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Anything else. Numbers count by their value, arrays in their order, objects whatever their order.
    Json(&'a Value),
}

/// A hash that takes bytes.
pub(super) trait Sink {
    /// Takes the next bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for SipHasher13 {
    fn put(&mut self, bytes: &[u8]) {
        std::hash::Hasher::write(self, bytes);
    }
}

impl Sink for Sha256 {
    fn put(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

/// How much of a key is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    /// All of it.
    Identity,
    /// What a caller cannot choose at will.
    Owner,
}

/// The parts of `key`, with the values that `value_of` gives them. Out: whether that is all about it that its caller cannot
/// choose.
pub(super) fn write_key<'k, 'v>(
    sink: &mut impl Sink,
    key: &'k [Fact],
    whole: Whole,
    mut value_of: impl FnMut(&'k Fact) -> KeyValue<'v>,
) -> bool {
    let mut is_owner = true;
    for part in key {
        if matches!(part, Fact::Header(_)) {
            is_owner = false;
            if whole == Whole::Owner {
                continue;
            }
        }
        let (kind, name) = part.kind();
        write_text(sink, kind);
        write_text(sink, name);
        is_owner &= write_value(sink, &value_of(part), whole);
    }
    is_owner
}

/// Text behind its length.
pub(super) fn write_text(sink: &mut impl Sink, text: &str) {
    // A usize of this or any target fits.
    sink.put(&(text.len() as u64).to_le_bytes());
    sink.put(text.as_bytes());
}

/// Out: whether an owner has no other value.
fn write_value(sink: &mut impl Sink, value: &KeyValue<'_>, whole: Whole) -> bool {
    match value {
        KeyValue::Text(text) => {
            sink.put(b"T");
            write_text(sink, text);
        }
        KeyValue::Claim { issuer, value: ClaimValue::Text(text) } => {
            sink.put(b"C");
            write_text(sink, issuer);
            write_text(sink, text);
        }
        KeyValue::Claim { issuer, value: ClaimValue::Json(value) } => {
            sink.put(b"J");
            write_text(sink, issuer);
            write_json(sink, value);
        }
        KeyValue::Address(address) => match address.to_canonical() {
            IpAddr::V4(address) => {
                sink.put(b"4");
                sink.put(&address.octets());
            }
            IpAddr::V6(address) => {
                sink.put(b"6");
                let [a, b, c, d, ..] = address.segments();
                let network = if whole == Whole::Owner { [a, b, c, 0] } else { [a, b, c, d] };
                for segment in network {
                    sink.put(&segment.to_be_bytes());
                }
                return false;
            }
        },
        KeyValue::Missing => sink.put(b"M"),
    }
    true
}

/// Equal values give equal bytes, however they were written.
fn write_json(sink: &mut impl Sink, value: &Value) {
    match value {
        Value::Null => sink.put(b"n"),
        Value::Bool(flag) => sink.put(if *flag { b"t" } else { b"f" }),
        Value::Integer(number) => write_integer(sink, *number),
        Value::Decimal(number) => write_number(sink, *number),
        Value::Text(text) => {
            sink.put(b"s");
            write_text(sink, text);
        }
        Value::Array(items) => {
            sink.put(b"a");
            sink.put(&(items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| write_json(sink, item));
        }
        Value::Object(object) => {
            sink.put(b"o");
            sink.put(&(object.len() as u64).to_le_bytes());
            let mut members: Vec<_> = object.members().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            for (name, value) in members {
                write_text(sink, name);
                write_json(sink, value);
            }
        }
    }
}

/// By its value: `7`, `7.0` and `70e-1` are one number. Of those beyond 2⁶³, what a double cannot tell apart is one too.
fn write_number(sink: &mut impl Sink, number: f64) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        return write_integer(sink, number as i64);
    }
    sink.put(b"d");
    sink.put(&number.to_bits().to_le_bytes());
}

fn write_integer(sink: &mut impl Sink, number: i64) {
    sink.put(b"i");
    sink.put(&number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_integers_and_addresses_have_a_text_and_nothing_else_has() {
        let claim = |value: &Value| {
            let value = KeyValue::Claim { issuer: "https://as.example.com", value: ClaimValue::Json(value) };
            value.text().map(Cow::into_owned)
        };
        assert_eq!(claim(&Value::Integer(-7)).as_deref(), Some("-7"));
        for other in [Value::Bool(true), Value::Decimal(7.0), Value::Array(vec![Value::Integer(7)])] {
            assert_eq!(claim(&other), None);
        }
        assert_eq!(KeyValue::Text("a".into()).text().as_deref(), Some("a"));
        assert_eq!(KeyValue::Address(IpAddr::from([192, 0, 2, 1])).text().as_deref(), Some("192.0.2.1"));
        assert_eq!(KeyValue::Missing.text(), None);
    }
}
