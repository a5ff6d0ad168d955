//! A document of revocations. In: its bytes (JSON, of our own form: docs/configuration.md), a secret. Out: [`Revocations`], or what is wrong
//! with it. Strict: an unknown member might revoke something, so it is an error.
//!
//! Read in one pass without a tree: a document may have a million values. Of each a keyed digest of 128 bits is kept (`digests`). Two
//! values share one with a probability of 2^-128; the key is secret, so nobody can look for a value that shares another's.

use std::fmt;
use std::hash::Hasher as _;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use siphasher::sip128::Hasher128;

use crate::revocation::digests::Digests;
use crate::revocation::{ALL, ISSUED_BEFORE, Kind, Revocable};
use crate::shared::{Purpose, Secret};
use crate::time::UnixMillis;

/// Every value needs so many bytes of `max_bytes`: what bounds the memory of a document.
pub const BYTES_PER_VALUE: usize = 16;

/// What a document revokes.
#[derive(Debug)]
pub struct Revocations {
    secret: Secret,
    whole: Digests,
    dated: Digests,
    /// Of which kinds there are any, by [`Kind::bit`].
    kinds: u8,
    dated_kinds: u8,
    all_before: Option<UnixMillis>,
}

/// Why a document is not one of revocations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationsFault(pub String);

impl fmt::Display for RevocationsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Revocations {
    /// Reads a document of at most `max_bytes`.
    pub fn parse(document: &[u8], max_bytes: usize, secret: &Secret) -> Result<Self, RevocationsFault> {
        if document.len() > max_bytes {
            return Err(RevocationsFault(format!("longer than {max_bytes} bytes")));
        }
        // Every value stands between two quotation marks; escaped ones only make this too many.
        let texts = document.iter().filter(|byte| **byte == b'"').count() / 2;
        let most = max_bytes / BYTES_PER_VALUE;
        let whole = Digests::with_room(texts.min(most), false);
        let mut reading = Reading { secret, whole, dated: Vec::new(), kinds: 0, left: most, all_before: None };
        let mut deserializer = serde_json::Deserializer::from_slice(document);
        let read = Part::Document.read(&mut reading).deserialize(&mut deserializer).and_then(|_| deserializer.end());
        read.map_err(|fault| RevocationsFault(fault.to_string()))?;
        let Reading { whole, dated: pending, kinds, all_before, .. } = reading;
        let mut dated = Digests::with_room(pending.len(), true);
        let mut dated_kinds = 0;
        for (kind, digest, moment) in pending {
            dated_kinds |= kind.bit();
            dated.insert(digest, moment);
        }
        Ok(Self { secret: secret.clone(), whole, dated, kinds, dated_kinds, all_before })
    }

    /// Whether it names a token.
    pub fn name(&self, token: &Revocable<'_>) -> bool {
        self.all_before.is_some_and(|moment| token.is_older_than(moment))
            || token.values().any(|(kind, value)| {
                if (self.kinds | self.dated_kinds) & kind.bit() == 0 {
                    return false;
                }
                let digest = digest(&self.secret, kind, value);
                self.whole.contains(digest)
                    || self.dated.moment(digest).is_some_and(|moment| token.is_older_than(moment))
            })
    }

    /// How many values it has.
    pub fn len(&self) -> usize {
        self.whole.len().saturating_add(self.dated.len())
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of memory it takes.
    pub fn memory(&self) -> usize {
        size_of::<Self>().saturating_add(self.whole.memory()).saturating_add(self.dated.memory())
    }
}

fn digest(secret: &Secret, kind: Kind, value: &[u8]) -> u128 {
    let mut hasher = secret.hasher(Purpose::Revocation);
    hasher.write(&[kind as u8]);
    hasher.write(value);
    hasher.finish128().as_u128()
}

/// What was read so far.
struct Reading<'r> {
    secret: &'r Secret,
    whole: Digests,
    dated: Vec<(Kind, u128, UnixMillis)>,
    kinds: u8,
    /// Values that may come yet.
    left: usize,
    all_before: Option<UnixMillis>,
}

/// How many values one with a moment counts for, by its memory.
const DATED: usize = 8;

impl Reading<'_> {
    fn add<E: de::Error>(&mut self, kind: Kind, written: &str, moment: Option<UnixMillis>) -> Result<(), E> {
        let value =
            kind.value(written).map_err(|what| E::custom(format!("a value of \"{}\" is {what}", kind.member())))?;
        let digest = digest(self.secret, kind, &value);
        let cost = if moment.is_some() { DATED } else { 1 };
        let left = self.left.checked_sub(cost);
        let fits = match moment {
            None => {
                self.kinds |= kind.bit();
                left.is_some() && self.whole.insert(digest, UnixMillis::from_millis(0))
            }
            Some(moment) => {
                self.dated.push((kind, digest, moment));
                left.is_some()
            }
        };
        self.left = left.unwrap_or(0);
        if fits { Ok(()) } else { Err(E::custom("more values than \"max_bytes\" has room for: 16 bytes for each")) }
    }
}

/// Whether this member, by its bit, is the first of its name in an object. Without a bit it may come again.
fn once<E: de::Error>(seen: &mut u8, bit: u8, name: &str) -> Result<(), E> {
    let again = *seen & bit != 0;
    *seen |= bit;
    if again { Err(E::custom(format!("member {name:?} occurs twice"))) } else { Ok(()) }
}

/// The bit of the one member that is no kind.
const OTHER: u8 = 1 << 7;

/// A part of a document, by what it has to be.
#[derive(Clone, Copy)]
enum Part {
    /// The whole.
    Document,
    /// A list of values.
    Values(Kind),
    /// One of them.
    Text(Kind),
    /// Moments by value of a kind; without one, tables of these by kind.
    Moments(Option<Kind>),
    /// A NumericDate (RFC 7519 §2).
    Moment,
}

impl Part {
    fn told(self) -> &'static str {
        match self {
            Part::Document => "an object with lists of what is revoked",
            Part::Values(_) => "a list of texts",
            Part::Text(_) => "text",
            Part::Moments(_) => "an object with moments",
            Part::Moment => "a moment: seconds since 1970",
        }
    }

    fn read<'a, 'r>(self, reading: &'a mut Reading<'r>) -> PartReader<'a, 'r> {
        PartReader { part: self, reading }
    }

    fn expected<E: de::Error>(self) -> Result<Option<UnixMillis>, E> {
        Err(E::custom(format_args!("expected {}", self.told())))
    }

    fn moment<E: de::Error>(self, number: f64) -> Result<Option<UnixMillis>, E> {
        match self {
            Part::Moment => match UnixMillis::from_numeric_date(number) {
                None => Err(E::custom("a moment is out of range")),
                moment => Ok(moment),
            },
            _ => self.expected(),
        }
    }
}

/// Reads a part; what comes out is its moment, if it is one. One visitor for all parts, and none of those that serde has for a number:
/// these print numbers, for which the module has no other use and a lot of code.
struct PartReader<'a, 'r> {
    part: Part,
    reading: &'a mut Reading<'r>,
}

impl<'de> DeserializeSeed<'de> for PartReader<'_, '_> {
    type Value = Option<UnixMillis>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PartReader<'_, '_> {
    type Value = Option<UnixMillis>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.part.told())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        self.part.expected()
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
        self.part.expected()
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        self.part.moment(number as f64)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        self.part.moment(number as f64)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        self.part.moment(number)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        match self.part {
            Part::Text(kind) => self.reading.add(kind, text, None).map(|()| None),
            part => part.expected(),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let Part::Values(kind) = self.part else { return self.part.expected() };
        while items.next_element_seed(Part::Text(kind).read(self.reading))?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let Self { part, reading } = self;
        if !matches!(part, Part::Document | Part::Moments(_)) {
            return part.expected();
        }
        let mut seen = 0;
        while let Some(name) = members.next_key::<String>()? {
            let (bit, inside) = match (part, Kind::of_member(&name)) {
                // A value that occurs twice has the latest of its moments.
                (Part::Moments(Some(_)), _) => (0, Part::Moment),
                (Part::Document, Some(kind)) => (kind.bit(), Part::Values(kind)),
                (Part::Document, None) if name == ISSUED_BEFORE => (OTHER, Part::Moments(None)),
                (Part::Moments(None), Some(kind @ (Kind::Subject | Kind::ClientId))) => {
                    (kind.bit(), Part::Moments(Some(kind)))
                }
                (Part::Moments(None), None) if name == ALL => (OTHER, Part::Moment),
                _ => return Err(unknown(&name)),
            };
            once(&mut seen, bit, &name)?;
            let moment = members.next_value_seed(inside.read(reading))?;
            match (part, moment) {
                (Part::Moments(Some(kind)), moment @ Some(_)) => reading.add(kind, &name, moment)?,
                (_, Some(moment)) => reading.all_before = Some(moment),
                (_, None) => {}
            }
        }
        Ok(None)
    }
}

fn unknown<E: de::Error>(name: &str) -> E {
    let name: String = name.chars().take(40).collect();
    E::custom(format!("unknown member {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::KINDS;

    const THUMBPRINT: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
    const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

    fn parse(text: &str) -> Result<Revocations, RevocationsFault> {
        Revocations::parse(text.as_bytes(), 65_536, &Secret::fixed(1, 2))
    }

    fn fault(text: &str) -> String {
        parse(text).unwrap_err().0
    }

    fn token() -> Revocable<'static> {
        let certificate: &'static [u8] = Vec::leak(crate::jose::base64url::decode(THUMBPRINT.as_bytes()).unwrap());
        let key: &'static [u8] = Vec::leak(crate::jose::base64url::decode(JKT.as_bytes()).unwrap());
        let values = [&b"t1"[..], b"alice", b"app", b"s1", certificate, key].map(Some);
        Revocable { values, issued: Some(UnixMillis::from_millis(1_767_225_600_000)) }
    }

    #[test]
    fn a_token_is_named_by_each_of_its_values_and_not_by_another_kinds() {
        let values = [
            ("jti", "t1"),
            ("sub", "alice"),
            ("client_id", "app"),
            ("sid", "s1"),
            ("x5t#S256", THUMBPRINT),
            ("jkt", JKT),
        ];
        let is_thumbprint = |member: &str| ["x5t#S256", "jkt"].contains(&member);
        for (member, value) in values {
            let named = |member: &str| parse(&format!(r#"{{"{member}":["{value}"]}}"#)).unwrap().name(&token());
            assert!(named(member), "{member}");
            for (other, _) in values.iter().filter(|(other, _)| *other != member) {
                assert!((is_thumbprint(other) && !is_thumbprint(member)) || !named(other), "{member} as {other}");
            }
        }
        let nameless = Revocable { values: [None; KINDS], ..token() };
        assert!(!parse(r#"{"jti":["t1"]}"#).unwrap().name(&nameless));
    }

    #[test]
    fn what_was_issued_before_a_moment_is_named_and_so_is_what_does_not_say_when() {
        for (document, named) in [
            (r#"{"issued_before":{"sub":{"alice":1767225601}}}"#, true),
            (r#"{"issued_before":{"sub":{"alice":1767225600}}}"#, false),
            (r#"{"issued_before":{"sub":{"bob":1767225601}}}"#, false),
            (r#"{"issued_before":{"client_id":{"app":1767225600.5}}}"#, true),
            (r#"{"issued_before":{"client_id":{"alice":1767225601}}}"#, false),
            (r#"{"issued_before":{"all":1767225601}}"#, true),
            (r#"{"issued_before":{"all":1767225600}}"#, false),
            (r#"{"sub":["alice"],"issued_before":{"sub":{"alice":1}}}"#, true),
            (r#"{"issued_before":{"sub":{"alice":1767225601,"alice":1}}}"#, true),
        ] {
            let revocations = parse(document).unwrap();
            assert_eq!(revocations.name(&token()), named, "{document}");
            let undated = Revocable { issued: None, ..token() };
            assert_eq!(
                revocations.name(&undated),
                !document.contains("bob") && !document.contains(r#"d":{"al"#),
                "{document}"
            );
        }
    }

    #[test]
    fn an_empty_document_names_nobody() {
        for text in ["{}", r#" {"jti":[],"issued_before":{}} "#] {
            let revocations = parse(text).unwrap();
            assert!(revocations.is_empty() && !revocations.name(&token()), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_revokes_nothing_and_is_a_fault() {
        for (text, says) in [
            ("", "EOF"),
            ("[]", "an object with lists of what is revoked"),
            ("null", "an object with lists of what is revoked"),
            ("<!DOCTYPE html>", "expected value"),
            (r#"{"jti":["a"]"#, "EOF"),
            (r#"{"jti":["a"]} x"#, "trailing characters"),
            (r#"{"jti":"a"}"#, "a list of texts"),
            (r#"{"jti":[1]}"#, "expected text"),
            (r#"{"jti":[null]}"#, "expected text"),
            (r#"{"jti":[""]}"#, r#"a value of "jti" is empty"#),
            (r#"{"jti":["a"],"jti":["b"]}"#, r#"member "jti" occurs twice"#),
            (r#"{"jti":["a"],"iss":["b"]}"#, r#"unknown member "iss""#),
            (r#"{"keys":[]}"#, r#"unknown member "keys""#),
            (r#"{"x5t#S256":["abc"]}"#, r#"a value of "x5t#S256" is no thumbprint"#),
            (r#"{"jkt":["abc"]}"#, r#"a value of "jkt" is no thumbprint"#),
            (r#"{"jti":[{}]}"#, "expected text"),
            (r#"{"jti":[true]}"#, "expected text"),
            (r#"{"jti":1.5}"#, "expected a list of texts"),
            (r#"{"jti":{}}"#, "expected a list of texts"),
            ("1", "expected an object with lists"),
            ("true", "expected an object with lists"),
            (r#""jti""#, "expected an object with lists"),
            (r#"{"issued_before":{"jti":{"a":1}}}"#, r#"unknown member "jti""#),
            (r#"{"issued_before":{"all":1,"all":2}}"#, r#"member "all" occurs twice"#),
            (r#"{"issued_before":{"sub":{"a":"1"}}}"#, "expected a moment"),
            (r#"{"issued_before":{"sub":{"a":null}}}"#, "expected a moment"),
            (r#"{"issued_before":{"sub":{"a":[1]}}}"#, "expected a moment"),
            (r#"{"issued_before":{"sub":{"a":{}}}}"#, "expected a moment"),
            (r#"{"issued_before":{"sub":{"a":-1}}}"#, "a moment is out of range"),
            (r#"{"issued_before":{"sub":{"a":-0.5}}}"#, "a moment is out of range"),
            (r#"{"issued_before":{"all":1e20}}"#, "a moment is out of range"),
            (r#"{"issued_before":{"all":99999999999999999999}}"#, "a moment is out of range"),
            (r#"{"issued_before":{"all":1e400}}"#, "number out of range"),
            (r#"{"issued_before":{"sub":5}}"#, "an object with moments"),
            (r#"{"issued_before":{"sub":{"":1}}}"#, r#"a value of "sub" is empty"#),
            (r#"{"issued_before":5}"#, "an object with moments"),
        ] {
            let fault = fault(text);
            assert!(fault.contains(says), "{text}: {fault}");
        }
    }

    #[test]
    fn a_document_is_bounded_in_bytes_and_in_values() {
        let ids = |number: usize| {
            let ids: Vec<String> = (0..number).map(|id| format!("\"{id:04}\"")).collect();
            format!(r#"{{"jti":[{}]}}"#, ids.join(","))
        };
        assert_eq!(parse(&ids(4096)).unwrap().len(), 4096);
        assert!(fault(&ids(4097)).contains("16 bytes for each"));
        assert_eq!(fault(&" ".repeat(65_537)), "longer than 65536 bytes");
        let dated: Vec<String> = (0..513).map(|id| format!("\"{id}\":1")).collect();
        assert!(fault(&format!(r#"{{"issued_before":{{"sub":{{{}}}}}}}"#, dated.join(","))).contains("16 bytes"));
        assert!(fault(&format!(r#"{{"jti":["{}"]}}"#, "x".repeat(1025))).contains("longer than 1024 bytes"));
    }

    #[test]
    fn depth_cannot_exhaust_the_stack() {
        let deep = format!(r#"{{"jti":{}"#, "[".repeat(60_000));
        assert!(parse(&deep).is_err() && parse(&"{\"issued_before\":".repeat(3000)).is_err());
    }

    #[test]
    fn escapes_are_read_as_what_they_mean() {
        assert!(parse(r#"{"\u006ati":["\u0074\u0031"]}"#).unwrap().name(&token()));
    }
}
