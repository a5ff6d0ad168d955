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
        let read = Document(&mut reading).deserialize(&mut deserializer).and_then(|()| deserializer.end());
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

/// An object none of whose members occurs twice, by the numbers that `number` gives to their names.
fn once<E: de::Error>(seen: &mut u8, bit: u8, name: &str) -> Result<(), E> {
    let again = *seen & bit != 0;
    *seen |= bit;
    if again { Err(E::custom(format!("member {name:?} occurs twice"))) } else { Ok(()) }
}

/// The bit of the one member that is no kind.
const OTHER: u8 = 1 << 7;

/// The whole.
struct Document<'a, 'r>(&'a mut Reading<'r>);

impl<'de> DeserializeSeed<'de> for Document<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with lists of what is revoked")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut seen = 0;
        while let Some(name) = members.next_key::<String>()? {
            match Kind::of_member(&name) {
                Some(kind) => {
                    once(&mut seen, kind.bit(), &name)?;
                    members.next_value_seed(Values { kind, reading: self.0 })?;
                }
                None if name == ISSUED_BEFORE => {
                    once(&mut seen, OTHER, &name)?;
                    members.next_value_seed(Moments { kind: None, reading: self.0 })?;
                }
                None => return Err(unknown(&name)),
            }
        }
        Ok(())
    }
}

fn unknown<E: de::Error>(name: &str) -> E {
    let name: String = name.chars().take(40).collect();
    E::custom(format!("unknown member {name:?}"))
}

/// A list of values.
struct Values<'a, 'r> {
    kind: Kind,
    reading: &'a mut Reading<'r>,
}

impl<'de> DeserializeSeed<'de> for Values<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Values<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Text { kind: self.kind, reading: self.reading })?.is_some() {}
        Ok(())
    }
}

/// One value.
struct Text<'a, 'r> {
    kind: Kind,
    reading: &'a mut Reading<'r>,
}

impl<'de> DeserializeSeed<'de> for Text<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Text<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.reading.add(self.kind, text, None)
    }
}

/// Moments by value of a kind, or tables of these by kind.
struct Moments<'a, 'r> {
    kind: Option<Kind>,
    reading: &'a mut Reading<'r>,
}

impl<'de> DeserializeSeed<'de> for Moments<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Moments<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with moments")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { kind: outer, reading } = self;
        let mut seen = 0;
        while let Some(name) = members.next_key::<String>()? {
            match (outer, Kind::of_member(&name)) {
                // A value that occurs twice has the latest of its moments.
                (Some(kind), _) => {
                    let moment = moment(members.next_value()?)?;
                    reading.add(kind, &name, Some(moment))?;
                }
                (None, Some(kind @ (Kind::Subject | Kind::ClientId))) => {
                    once(&mut seen, kind.bit(), &name)?;
                    members.next_value_seed(Moments { kind: Some(kind), reading })?;
                }
                (None, None) if name == ALL => {
                    once(&mut seen, OTHER, &name)?;
                    reading.all_before = Some(moment(members.next_value()?)?);
                }
                (None, _) => return Err(unknown(&name)),
            }
        }
        Ok(())
    }
}

/// A NumericDate (RFC 7519 §2).
fn moment<E: de::Error>(number: f64) -> Result<UnixMillis, E> {
    UnixMillis::from_numeric_date(number).ok_or_else(|| E::custom("a moment is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const THUMBPRINT: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";

    fn parse(text: &str) -> Result<Revocations, RevocationsFault> {
        Revocations::parse(text.as_bytes(), 65_536, &Secret::fixed(1, 2))
    }

    fn fault(text: &str) -> String {
        parse(text).unwrap_err().0
    }

    fn token() -> Revocable<'static> {
        let certificate: &'static [u8] = Vec::leak(crate::jose::base64url::decode(THUMBPRINT.as_bytes()).unwrap());
        let values = [&b"t1"[..], b"alice", b"app", b"s1", certificate].map(Some);
        Revocable { values, issued: Some(UnixMillis::from_millis(1_767_225_600_000)) }
    }

    #[test]
    fn a_token_is_named_by_each_of_its_values_and_not_by_another_kinds() {
        let values = [("jti", "t1"), ("sub", "alice"), ("client_id", "app"), ("sid", "s1"), ("x5t#S256", THUMBPRINT)];
        for (member, value) in values {
            let named = |member: &str| parse(&format!(r#"{{"{member}":["{value}"]}}"#)).unwrap().name(&token());
            assert!(named(member), "{member}");
            let others = values.iter().filter(|(other, _)| *other != member && *other != "x5t#S256");
            assert!(member == "x5t#S256" || others.map(|(other, _)| named(other)).all(|named| !named), "{member}");
        }
        let nameless = Revocable { values: [None; 5], ..token() };
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
            (r#"{"issued_before":{"jti":{"a":1}}}"#, r#"unknown member "jti""#),
            (r#"{"issued_before":{"all":1,"all":2}}"#, r#"member "all" occurs twice"#),
            (r#"{"issued_before":{"sub":{"a":"1"}}}"#, "invalid type"),
            (r#"{"issued_before":{"sub":{"a":-1}}}"#, "a moment is out of range"),
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
