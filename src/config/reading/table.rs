//! How keys are declared, once each: type, default and meaning. From one declaration come the struct, its reader, which
//! finds everything that is wrong, and its JSON Schema. Not here: the keys (`keys`), the types of values (`values`).

use serde_json::json;
use strsim::levenshtein;

use crate::config::reading::elsewhere::elsewhere;
use crate::config::reading::finding::{Findings, Place, quoted};
use crate::json::{Object, Value};

/// The type of a key's value.
pub(in crate::config) trait Key: Sized {
    /// Reads it. `None` only after a finding at `at` or inside it.
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self>;

    /// Its JSON Schema, without description and default.
    fn schema() -> serde_json::Value;

    /// How a list of these is written.
    fn listed() -> String {
        "Write it in brackets, like [a, b].".to_owned()
    }
}

/// A value as the operator would write it: for defaults.
pub(in crate::config) trait Written {
    /// As JSON.
    fn written(&self) -> serde_json::Value;
}

/// Why text is not what a key takes. Both parts complete a [`Finding`](super::Finding).
#[derive(Clone)]
pub(in crate::config) struct Mistake {
    pub(in crate::config) finding: String,
    pub(in crate::config) remedy: String,
}

impl Mistake {
    pub(in crate::config) fn new(finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { finding: finding.into(), remedy: remedy.into() }
    }
}

/// A value that is written as text.
pub(in crate::config) trait TextKey: Sized {
    /// What it is, with its article: `a duration`.
    const WHAT: &'static str;
    /// How one is written: `"10m"`.
    const EXAMPLE: &'static str;
    /// Whether it may be text that YAML reads as a number or as true or false: `0123`, `no`.
    const LOOKS_LIKE_ANYTHING: bool = false;

    /// Reads it.
    fn parse(text: &str) -> Result<Self, Mistake>;

    /// What the JSON Schema says beyond "string".
    fn restrict(_schema: &mut serde_json::Value) {}
}

impl<T: TextKey> Key for T {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        let Some(text) = value.as_text() else {
            let quoted = match value {
                Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) if T::LOOKS_LIKE_ANYTHING => {
                    " If that is what it is called, put it in quotation marks."
                }
                _ => "",
            };
            findings.add(at, not_what(value, T::WHAT), format!("Write {}.{quoted}", T::EXAMPLE));
            return None;
        };
        T::parse(text).map_err(|Mistake { finding, remedy }| findings.add(at, finding, remedy)).ok()
    }

    fn schema() -> serde_json::Value {
        let mut schema = json!({ "type": "string" });
        T::restrict(&mut schema);
        schema
    }
}

/// `this is a number, not a duration`
pub(in crate::config) fn not_what(value: &Value, wanted: &str) -> String {
    let found = match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Integer(_) | Value::Decimal(_) => "a number",
        Value::Text(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    };
    format!("this is {found}, not {wanted}")
}

/// A value and where it was written.
#[derive(Debug)]
pub(in crate::config) struct At<T> {
    pub(in crate::config) at: Place,
    pub(in crate::config) value: T,
}

/// A list. Items that are wrong are reported and left out.
impl<T: Key> Key for Vec<At<T>> {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        let Some(items) = value.as_array() else {
            findings.add(at, not_what(value, "a list"), T::listed());
            return None;
        };
        let mut list = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let at = at.item(index);
            list.extend(T::read(item, &at, findings).map(|value| At { at, value }));
        }
        Some(list)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "array", "items": T::schema() })
    }
}

/// A table whose names the operator chooses, sorted by name: `google.protobuf.Struct` keeps no order.
#[derive(Debug, Default)]
pub(in crate::config) struct Named<T>(pub(in crate::config) Vec<(String, At<Option<T>>)>);

impl<T: Key> Key for Named<T> {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        let Some(members) = value.as_object() else {
            findings.add(at, not_what(value, "a table"), "Write names and what each stands for.");
            return None;
        };
        let mut sorted: Vec<_> = members.members().collect();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        let entries = sorted.into_iter().map(|(name, value)| {
            let at = at.key(name);
            let value = T::read(value, &at, findings);
            (name.to_owned(), At { at, value })
        });
        Some(Self(entries.collect()))
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
}

/// A table with fixed keys, made by [`config_table!`].
pub(in crate::config) trait Table: Key {
    /// Reads it. Wrong keys are reported and count as not written.
    fn read_members(members: &Object, at: &Place, findings: &mut Findings) -> Self;

    /// Reads it where it was not written.
    fn absent(at: &Place, findings: &mut Findings) -> Self {
        Self::read_members(&Object::default(), at, findings)
    }
}

/// Reads the keys of one table.
pub(in crate::config) struct Reader<'r> {
    pub(in crate::config) members: &'r Object,
    pub(in crate::config) at: &'r Place,
    pub(in crate::config) findings: &'r mut Findings,
}

impl Reader<'_> {
    pub(in crate::config) fn optional<T: Key>(&mut self, name: &str) -> Option<T> {
        let value = self.members.get(name)?;
        T::read(value, &self.at.key(name), self.findings)
    }

    pub(in crate::config) fn required<T: Key>(&mut self, name: &str) -> Option<T> {
        if self.members.get(name).is_none() {
            self.findings.add(&self.at.key(name), "missing", "It has no default: write it.");
        }
        self.optional(name)
    }

    pub(in crate::config) fn or<T: Key>(&mut self, name: &str, default: T) -> T {
        self.optional(name).unwrap_or(default)
    }

    pub(in crate::config) fn table<T: Table>(&mut self, name: &str) -> T {
        self.optional(name).unwrap_or_else(|| T::absent(&self.at.key(name), self.findings))
    }

    /// Reports what is no key, and says which of `known` were written.
    pub(in crate::config) fn finish(self, known: &'static [&'static str], later: &[&str]) -> Vec<&'static str> {
        let mut unknown: Vec<&str> = self.members.members().map(|(name, _)| name).collect();
        unknown.retain(|name| !known.contains(name));
        unknown.sort_unstable();
        for name in unknown {
            let at = self.at.key(name);
            match (later.contains(&name), nearest(name, known.iter().copied())) {
                (true, _) => self.findings.add(&at, "not supported yet", "Leave it out."),
                (false, Some(near)) => self.findings.add(&at, "unknown key", format!("Did you mean {near:?}?")),
                (false, None) => {
                    let elsewhere = elsewhere(name, self.members, self.at);
                    let remedy = elsewhere.unwrap_or_else(|| format!("Known here: {}.", known.join(", ")));
                    self.findings.add(&at, "unknown key", remedy);
                }
            }
        }
        known.iter().copied().filter(|name| self.members.get(name).is_some()).collect()
    }
}

/// The name that `written` is probably a slip of.
pub(in crate::config) fn nearest<'n>(written: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // The distance costs the product of both lengths.
    if written.len() > 64 {
        return None;
    }
    let slips = if written.chars().count() < 4 { 1 } else { 2 };
    let letters = |name: &str| if name.eq_ignore_ascii_case(written) { 0 } else { levenshtein(written, name) };
    let near = names.map(|name| (letters(name), name)).filter(|(distance, _)| *distance <= slips);
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// The finding and the remedy for a word that is none of `words`.
pub(in crate::config) fn unknown_word(written: &str, words: &[&str]) -> Mistake {
    let remedy = match nearest(written, words.iter().copied()) {
        Some(near) => format!("Did you mean {near:?}?"),
        None => format!("Known here: {}.", words.join(", ")),
    };
    Mistake::new(format!("{} is unknown here", quoted(written)), remedy)
}

/// The text of doc comments as a schema's description.
pub(in crate::config) fn described(mut schema: serde_json::Value, lines: &[&str]) -> serde_json::Value {
    let text: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".into(), text.join(" ").into());
    }
    schema
}

/// Declares a table of keys: `name: Type = required`, `= optional`, `= table` (a table whose own keys all have
/// defaults) or `= default(value)`. `later` names keys of versions to come, which get a finding that says so.
macro_rules! config_table {
    (
        $(#[doc = $about:literal])*
        $table:ident { $( $(#[doc = $doc:literal])* $key:ident: $type:ty = $kind:ident $(($default:expr))?, )* }
        $(later { $($later:literal),* })?
    ) => {
        $(#[doc = $about])*
        #[derive(Debug)]
        pub(in crate::config) struct $table {
            /// Where it stands.
            #[allow(dead_code, reason = "not every table has findings of its own")]
            pub(in crate::config) at: Place,
            /// The keys that were written.
            #[allow(dead_code, reason = "for tables whose keys depend on each other")]
            given: Vec<&'static str>,
            $( $(#[doc = $doc])* pub(in crate::config) $key: config_table!(@type $kind $type), )*
        }

        impl $table {
            /// Whether `key` was written, rightly or wrongly.
            #[allow(dead_code, reason = "for tables whose keys depend on each other")]
            pub(in crate::config) fn wrote(&self, key: &str) -> bool {
                self.given.contains(&key)
            }
        }

        impl Table for $table {
            fn read_members(members: &Object, at: &Place, findings: &mut Findings) -> Self {
                let mut reader = Reader { members, at, findings };
                $( let $key = config_table!(@read reader $key $type, $kind $(($default))?); )*
                let given = reader.finish(&[$(config_table!(@name $key)),*], &[$($($later),*)?]);
                Self { at: at.clone(), given, $($key),* }
            }
        }

        impl Key for $table {
            fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
                match value {
                    Value::Object(members) => Some(Self::read_members(members, at, findings)),
                    _ => {
                        let keys = [$(config_table!(@name $key)),*].join(", ");
                        findings.add(at, not_what(value, "a table"), format!("Its keys: {keys}."));
                        None
                    }
                }
            }

            fn schema() -> serde_json::Value {
                let mut properties = serde_json::Map::new();
                $(
                    let schema = described(<$type as Key>::schema(), &[$($doc),*]);
                    let schema = config_table!(@schema schema $type, $kind $(($default))?);
                    properties.insert(config_table!(@name $key).into(), schema);
                )*
                let keys = [$((config_table!(@name $key), stringify!($kind))),*];
                let required: Vec<&str> = keys.iter().filter(|(_, kind)| *kind == "required").map(|(key, _)| *key).collect();
                let mut schema = serde_json::json!({
                    "type": "object", "properties": properties, "additionalProperties": false
                });
                if let (false, Some(schema)) = (required.is_empty(), schema.as_object_mut()) {
                    schema.insert("required".into(), required.into());
                }
                described(schema, &[$($about),*])
            }

            fn listed() -> String {
                let keys = [$(config_table!(@name $key)),*];
                format!("Write a list of tables, each behind a dash, like - {}: ...", keys.first().unwrap_or(&""))
            }
        }
    };

    // A key that is a word of Rust.
    (@name r#where) => { "where" };
    (@name $key:ident) => { stringify!($key) };

    (@type required $type:ty) => { Option<$type> };
    (@type optional $type:ty) => { Option<$type> };
    (@type table $type:ty) => { $type };
    (@type default $type:ty) => { $type };

    (@read $reader:ident $key:ident $type:ty, default($default:expr)) => {
        $reader.or::<$type>(config_table!(@name $key), $default)
    };
    (@read $reader:ident $key:ident $type:ty, $kind:ident) => { $reader.$kind::<$type>(config_table!(@name $key)) };

    (@schema $schema:ident $type:ty, default($default:expr)) => {{
        let default: $type = $default;
        with_default($schema, default.written())
    }};
    (@schema $schema:ident $type:ty, table) => { with_default($schema, serde_json::json!({})) };
    (@schema $schema:ident $type:ty, $kind:ident) => { $schema };
}
pub(in crate::config) use config_table;

/// `schema` with its default.
pub(in crate::config) fn with_default(mut schema: serde_json::Value, default: serde_json::Value) -> serde_json::Value {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("default".into(), default);
    }
    schema
}

/// Declares an enum whose values are written as words, each with its meaning. `refused` words get a finding of their
/// own.
macro_rules! config_settings {
    (
        $(#[doc = $about:literal])*
        $name:ident { $( $(#[doc = $doc:literal])* $variant:ident = $word:literal, )* }
        refused { $( $refused:literal => $finding:literal, $remedy:literal; )* }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(in crate::config) enum $name { $( $(#[doc = $doc])* $variant, )* }

        impl TextKey for $name {
            const WHAT: &'static str = "a word";
            const EXAMPLE: &'static str = concat!("one of", $(" \"", $word, "\""),*);

            fn parse(text: &str) -> Result<Self, Mistake> {
                match text {
                    $( $word => Ok(Self::$variant), )*
                    $( $refused => Err(Mistake::new($finding, $remedy)), )*
                    _ => Err(unknown_word(text, &[$($word),*])),
                }
            }

            fn restrict(schema: &mut serde_json::Value) {
                let words = [$( described(serde_json::json!({ "const": $word }), &[$($doc),*]) ),*];
                if let Some(schema) = schema.as_object_mut() {
                    schema.insert("oneOf".into(), words.to_vec().into());
                }
            }
        }

        impl $name {
            /// As it is written.
            pub(in crate::config) const fn word(self) -> &'static str {
                match self { $( Self::$variant => $word, )* }
            }
        }

        impl Written for $name {
            fn written(&self) -> serde_json::Value {
                self.word().into()
            }
        }
    };
}
pub(in crate::config) use config_settings;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_recognised_and_another_word_is_not() {
        let known = ["cluster", "uri", "refresh"];
        for (written, near) in [
            ("clustr", Some("cluster")),
            ("urI", Some("uri")),
            ("refersh", Some("refresh")),
            ("url", Some("uri")),
            ("hosts", None),
        ] {
            assert_eq!(nearest(written, known.into_iter()), near, "{written}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), known.into_iter()), None);
    }
}
