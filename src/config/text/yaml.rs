//! Strict YAML, and JSON, which is a part of it. In: text from outside. Out: values in which nothing is left to the reader,
//! and where each of them stands; or the first place where the text is none.
//!
//! Syntax is granit-parser's; what is added is what makes one reading of it: every key once, no tags, no merge keys,
//! one table of scalars (`scalars`), bounds. What breaks these rules is a slip that the parts carry with them, so that all
//! are told at once. Aliases are read, within the same bounds as if everything were written out.
//! Not here: why a text is no YAML (`syntax`), what the values mean (`keys`).

use boundgate_yaml::{Event, ScalarStyle, Span};

use crate::config::reading::finding::{Finding, quoted};
use crate::config::reading::table::Mistake;
use crate::config::text::scalars::Scalars;
use crate::config::text::spots::{Inside, Position, Spot};
use crate::config::text::syntax;
use crate::json::{Bounds, Object, Value};

/// One document of a text.
pub(in crate::config) struct Read {
    pub(in crate::config) value: Value,
    pub(in crate::config) spot: Spot,
}

/// The most bytes that aliases may add to a text.
const ADDED_BYTES: usize = 4 << 20;

/// All documents of `text`, each within `bounds`.
pub(in crate::config) fn read(text: &str, bounds: Bounds, scalars: Scalars) -> Result<Vec<Read>, Finding> {
    let mut builder = Builder {
        bounds,
        scalars,
        values: bounds.values,
        bytes: text.len().saturating_add(ADDED_BYTES),
        open: Vec::new(),
        anchors: Vec::new(),
        read: Vec::new(),
    };
    let mut fault = None;
    let parsed = boundgate_yaml::read(text, &mut |event, span| match builder.take(event, span) {
        Ok(()) => true,
        Err((finding, remedy)) => {
            let finding = format!("no YAML that could be read: {finding}");
            let position = Some(position(span));
            fault = Some(Finding { path: String::new(), finding, remedy: remedy.to_owned(), position });
            false
        }
    });
    parsed.map_err(|error| syntax::fault(text, &error))?;
    fault.map_or(Ok(()), Err)?;
    Ok(builder.read)
}

fn position(span: &Span) -> Position {
    let from = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    Position { line: from(span.start.line()), column: from(span.start.col()).saturating_add(1) }
}

/// Finding and remedy.
type Fault = (&'static str, &'static str);

const SMALLER: &str = "Write a smaller one.";

struct Builder {
    bounds: Bounds,
    scalars: Scalars,
    /// Values that may still come in this document.
    values: usize,
    /// Bytes of text that may still come.
    bytes: usize,
    open: Vec<Open>,
    /// By number, as the parser counts them.
    anchors: Vec<Option<(Value, Spot)>>,
    read: Vec<Read>,
}

/// A list or a table that has begun.
struct Open {
    filling: Filling,
    begins: Position,
    anchor: usize,
    slip: Option<Mistake>,
}

enum Filling {
    List(Vec<Value>, Vec<Spot>),
    Table { object: Object, spots: Vec<(String, Spot)>, key: Option<Name> },
}

/// A key whose value is still to come.
struct Name {
    text: String,
    begins: Position,
    plain: bool,
    tagged: bool,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Fault> {
        let begins = position(span);
        match event {
            Event::DocumentStart(..) => {
                self.values = self.bounds.values;
                self.anchors.clear();
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                self.bytes = self.bytes.checked_sub(text.len()).ok_or(("more text than is accepted", SMALLER))?;
                if text.contains('\0') {
                    return Err(("NUL in text", "Remove it."));
                }
                if let Some(key) = self.awaited_key() {
                    *key = Some(Name { text: text.into_owned(), begins, plain, tagged: tag.is_some() });
                    return Ok(());
                }
                let (value, slip) = match plain {
                    true => (self.scalars)(&text),
                    false => (Value::Text(text.into_owned()), None),
                };
                let slip = tag.map(|_| tagged()).or(slip);
                let range = span.byte_range().unwrap_or_default();
                let is_literal = style == ScalarStyle::Literal;
                let slip = slip.map(Box::new);
                self.finish(value, Spot { begins, range, is_literal, inside: Inside::Nothing, slip }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.begin(Filling::List(Vec::new(), Vec::new()), begins, anchor, tag.is_some())
            }
            Event::MappingStart(_, anchor, tag) => {
                let filling = Filling::Table { object: Object::default(), spots: Vec::new(), key: None };
                self.begin(filling, begins, anchor, tag.is_some())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { filling, begins, anchor, slip }) = self.open.pop() else { return Ok(()) };
                let (value, inside) = match filling {
                    Filling::List(items, spots) => (Value::Array(items), Inside::Items(spots)),
                    Filling::Table { object, spots, .. } => (Value::Object(object), Inside::Members(spots)),
                };
                let spot = Spot { begins, range: 0..0, is_literal: false, inside, slip: slip.map(Box::new) };
                self.finish(value, spot, anchor)
            }
            Event::Alias(anchor) => {
                if self.awaited_key().is_some() {
                    return Err(KEY);
                }
                let own = ("an alias of what it stands in", "Write out what is meant.");
                let (value, spot) = self.anchors.get(anchor).and_then(Option::as_ref).ok_or(own)?;
                let depth = self.bounds.depth.saturating_sub(self.open.len());
                spend(value, depth, &mut self.values, &mut self.bytes)?;
                let (value, spot) = (value.clone(), Spot { begins, ..spot.clone() });
                self.place(value, spot)
            }
            _ => Ok(()),
        }
    }

    /// The place for the key that must come next, if one must.
    fn awaited_key(&mut self) -> Option<&mut Option<Name>> {
        match self.open.last_mut() {
            Some(Open { filling: Filling::Table { key: key @ None, .. }, .. }) => Some(key),
            _ => None,
        }
    }

    fn begin(&mut self, filling: Filling, begins: Position, anchor: usize, is_tagged: bool) -> Result<(), Fault> {
        if self.awaited_key().is_some() {
            return Err(KEY);
        }
        if self.open.len() >= self.bounds.depth {
            return Err(DEEP);
        }
        self.open.push(Open { filling, begins, anchor, slip: is_tagged.then(tagged) });
        Ok(())
    }

    /// Takes a value that is complete and was written here.
    fn finish(&mut self, value: Value, spot: Spot, anchor: usize) -> Result<(), Fault> {
        self.values = self.values.checked_sub(1).ok_or(MANY)?;
        if anchor > 0 {
            let (mut values, mut bytes) = (self.values, self.bytes);
            spend(&value, self.bounds.depth, &mut values, &mut bytes)?;
            (self.values, self.bytes) = (values, bytes);
            // As many as there are nodes in the text.
            if self.anchors.len() <= anchor {
                self.anchors.resize_with(anchor.saturating_add(1), || None);
            }
            if let Some(place) = self.anchors.get_mut(anchor) {
                *place = Some((value.clone(), spot.clone()));
            }
        }
        self.place(value, spot)
    }

    /// Puts a value where it belongs.
    fn place(&mut self, value: Value, mut spot: Spot) -> Result<(), Fault> {
        match self.open.last_mut().map(|open| &mut open.filling) {
            None => self.read.push(Read { value, spot }),
            Some(Filling::List(items, spots)) => {
                items.push(value);
                spots.push(spot);
            }
            Some(Filling::Table { object, spots, key }) => {
                let Some(name) = key.take() else { return Err(KEY) };
                if object.len() >= self.bounds.members {
                    return Err(("more keys in a table than are accepted", SMALLER));
                }
                let repeated = spots.iter().any(|(other, _)| *other == name.text);
                let slip = slip_of(&name, &value, repeated);
                spot.begins = name.begins;
                // A key that is no key of the operator's would only cause findings about what it is not.
                if slip.is_none() || (name.tagged && !repeated) {
                    let _ = object.insert(name.text.clone(), value);
                }
                spot.slip = slip.map(Box::new).or(spot.slip);
                spots.push((name.text, spot));
            }
        }
        Ok(())
    }
}

const KEY: Fault = (
    "a key that is no text",
    "Write a text before the colon; put text with braces or brackets in quotation marks; render templates first.",
);
const DEEP: Fault = ("nested deeper than is accepted", "Write it flatter.");
const MANY: Fault = ("more values than are accepted", SMALLER);

/// Takes what `value` would cost, were it written out once more.
fn spend(value: &Value, depth: usize, values: &mut usize, bytes: &mut usize) -> Result<(), Fault> {
    *values = values.checked_sub(1).ok_or(MANY)?;
    let text = |text: &str, bytes: &mut usize| {
        *bytes = bytes.checked_sub(text.len()).ok_or(("more text than is accepted", SMALLER))?;
        Ok(())
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) => Ok(()),
        Value::Text(written) => text(written, bytes),
        Value::Array(items) => {
            let depth = depth.checked_sub(1).ok_or(DEEP)?;
            items.iter().try_for_each(|item| spend(item, depth, values, bytes))
        }
        Value::Object(object) => {
            let depth = depth.checked_sub(1).ok_or(DEEP)?;
            object.members().try_for_each(|(name, member)| {
                text(name, bytes)?;
                spend(member, depth, values, bytes)
            })
        }
    }
}

fn tagged() -> Mistake {
    Mistake::new(
        "has a tag, and tags mean something else to each reader",
        "Remove the tag; put text in quotation marks.",
    )
}

/// What is wrong with a key and its value.
fn slip_of(name: &Name, value: &Value, repeated: bool) -> Option<Mistake> {
    if name.tagged {
        return Some(tagged());
    }
    if repeated {
        let remedy = "Remove one of the two: readers differ about which of them counts.";
        return Some(Mistake::new("the same key stands in this table already", remedy));
    }
    if name.plain && name.text == "<<" {
        return Some(Mistake::new(
            "a merge key, which only some readers of YAML know",
            "Write out what it stands for.",
        ));
    }
    match name.text.split_once(':') {
        Some((before, behind)) if name.plain && *value == Value::Null && !behind.is_empty() => Some(Mistake::new(
            "no value behind it",
            format!("Write a space behind the colon, like {}.", quoted(&format!("{before}: {behind}"))),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::text::scalars::plain;

    fn one(text: &str) -> Read {
        let mut read = read(text, Bounds::CONFIG, plain).unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(read.len(), 1, "{text}");
        read.remove(0)
    }

    /// Path and position of all slips.
    fn slips(text: &str) -> Vec<(String, String)> {
        let slips = one(text).spot.slips();
        slips.iter().map(|slip| (slip.path.clone(), slip.position.unwrap().to_string())).collect()
    }

    fn fault(text: &str) -> String {
        read(text, Bounds::CONFIG, plain).map(|_| ()).unwrap_err().finding
    }

    #[test]
    fn json_means_in_yaml_what_it_means_in_json() {
        for text in [
            r#"{"a":[1,-2,0.5,"x",null,true,{"b":{},"c":[]}],"d e":"\u0041\/\ud83d\ude00\n"}"#,
            "\t{\n\t\"a\" :\t[ 1 ,\t2 ]\n}\n",
            r#"{"a":"yes","b":"010","c":"<<","<":"- # : {}","":""}"#,
        ] {
            let expected = crate::json::parse(text.as_bytes(), Bounds::CONFIG).unwrap();
            let Read { value, spot } = one(text);
            assert_eq!(value, expected, "{text}");
            assert!(spot.slips().is_empty(), "{text}");
        }
    }

    #[test]
    fn a_key_that_occurs_twice_is_a_slip_at_any_depth_and_in_any_spelling() {
        for (text, path, position) in [
            ("a: 1\nb: 2\na: 3\n", "a", "3:1"),
            ("{\"a\":1,\"\\u0061\":2}", "a", "1:8"),
            ("x: [{ a: 1, 'a': 2 }]", "x[0].a", "1:13"),
            ("on: 1\n\"on\": 2\n", "on", "2:1"),
        ] {
            assert_eq!(slips(text), [(path.to_owned(), position.to_owned())], "{text}");
        }
    }

    #[test]
    fn tags_merge_keys_and_keys_without_a_space_are_slips_and_all_are_told() {
        let text = "a: !!str 1\nb: !mode x\nc: ! y\nd: &d { e: 1 }\nf: { <<: *d, path:/x, g: 010 }\n\"<<\": 1\n!!str h: 1\ni: !!seq []\n";
        let expected = [
            ("a", "1:1"),
            ("b", "2:1"),
            ("c", "3:1"),
            ("f[\"<<\"]", "5:6"),
            ("f[\"path:/x\"]", "5:14"),
            ("f.g", "5:23"),
        ];
        let told = slips(text);
        let told: Vec<(&str, &str)> = told.iter().map(|(path, position)| (&**path, &**position)).collect();
        assert_eq!(told[..6], expected);
        assert_eq!(told[6..], [("h", "7:7"), ("i", "8:1")]);
    }

    #[test]
    fn what_has_no_place_in_a_configuration_is_a_fault() {
        for (text, finding) in [
            ("? [a]\n: b\n", "a key that is no text"),
            ("{{ .Values.x }}: 1\n", "a key that is no text"),
            ("a: &x b\n*x : 1\n", "a key that is no text"),
            ("a: &x [*x]\n", "an alias of what it stands in"),
            ("a: \"\\0\"\n", "NUL in text"),
        ] {
            assert_eq!(fault(text), format!("no YAML that could be read: {finding}"), "{text}");
        }
        for text in [
            "%YAML 1.2\n---\na: 1\n",
            "a: \u{1}\n",
            "a: x\u{12}y\n",
            "a: *nobody\n",
            "[a]]",
            "a: [b\n",
            "a: b\n\u{feff}c: d\n",
        ] {
            assert!(fault(text).starts_with("no YAML that could be read: "), "{text}");
        }
    }

    #[test]
    fn aliases_stand_for_what_was_written() {
        let Read { value, spot } = one("a: &x { b: [1, 010] }\nc: *x\nd: &y text\ne: [*y, *x]\n");
        let expected = r#"{"a":{"b":[1,"010"]},"c":{"b":[1,"010"]},"d":"text","e":["text",{"b":[1,"010"]}]}"#;
        assert_eq!(value, crate::json::parse(expected.as_bytes(), Bounds::CONFIG).unwrap());
        assert_eq!(spot.position("c.b[1]").to_string(), "1:16", "where it is written");
        assert_eq!(spot.slips().iter().count(), 3);
    }

    #[test]
    fn aliases_of_aliases_are_bounded_as_if_they_were_written_out() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let before = format!("*a{}", level - 1);
            text += &format!("a{level}: &a{level} [{}]\n", [&*before; 10].join(", "));
        }
        assert_eq!(fault(&text), "no YAML that could be read: more values than are accepted");
        let long = "x".repeat(1 << 20);
        assert_eq!(
            fault(&format!("a: &a {long}\nb: [*a, *a, *a, *a, *a, *a]\n")),
            "no YAML that could be read: more text than is accepted"
        );
        let deep = format!("a: &a {}{}\nb: {}*a{}\n", "[".repeat(20), "]".repeat(20), "[".repeat(20), "]".repeat(20));
        assert_eq!(fault(&deep), "no YAML that could be read: nested deeper than is accepted");
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read(&nested(32), Bounds::CONFIG, plain).is_ok());
        for depth in [33, 200, 10_000] {
            assert!(read(&nested(depth), Bounds::CONFIG, plain).is_err(), "{depth}");
        }
        let block: String = (0..40).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert!(read(&block, Bounds::CONFIG, plain).is_err());
        assert_eq!(
            fault(&format!("[{}1]", "1,".repeat(200_000))),
            "no YAML that could be read: more values than are accepted"
        );
    }
}
