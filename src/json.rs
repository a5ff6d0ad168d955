//! Strict JSON. In: bytes from outside. Out: a [`Value`] without ambiguity, or why not.
//!
//! Parsing is serde_json's (syntax, UTF-8, surrogates, number range); what is added is what a security
//! decision needs: no duplicate member at any depth (RFC 8725bis §3, RFC 7515 §4), no NUL in text, a bound on
//! depth and on the number of values, nothing but white space behind the document.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value whose objects have distinct member names, in the order they were written.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number without fraction or exponent that fits.
    Integer(i64),
    /// Any other finite number.
    Decimal(f64),
    /// Text.
    Text(String),
    /// An array.
    Array(Vec<Value>),
    /// An object; names are distinct.
    Object(Object),
}

/// The members of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object(Vec<(String, Value)>);

impl Object {
    /// The member called `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    /// All members, in the order they were written.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Adds a member; `Err` gives the name back if there is one of that name already.
    pub fn insert(&mut self, name: String, value: Value) -> Result<(), String> {
        if self.get(&name).is_some() {
            return Err(name);
        }
        self.0.push((name, value));
        Ok(())
    }

    /// Puts `value` in the place of the member called `name`; `None` removes that one.
    pub fn replace(&mut self, name: &str, value: Option<Value>) {
        self.0.retain(|(member, _)| member != name);
        self.0.extend(value.map(|value| (name.to_owned(), value)));
    }

    /// The bytes of memory that the members take.
    pub fn memory(&self) -> usize {
        let inside = |total: usize, (name, value): &(String, Value)| {
            total.saturating_add(allocation(name.capacity())).saturating_add(value.memory())
        };
        self.0.iter().fold(allocation_of::<(String, Value)>(self.0.capacity()), inside)
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Value {
    /// The text, if this is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The members, if this is an object.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The items, if this is an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The bytes of memory it takes besides itself. As deep as the value, which is bounded where it was parsed.
    pub fn memory(&self) -> usize {
        match self {
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) => 0,
            Value::Text(text) => allocation(text.capacity()),
            Value::Array(items) => items
                .iter()
                .fold(allocation_of::<Value>(items.capacity()), |total, item| total.saturating_add(item.memory())),
            Value::Object(object) => object.memory(),
        }
    }

    /// The number, if this is one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            // Dates and sizes stay far below 2^53; a larger integer is out of every range anyway.
            Value::Integer(integer) => Some(*integer as f64),
            Value::Decimal(decimal) => Some(*decimal),
            _ => None,
        }
    }
}

/// What an allocator takes for itself and for rounding up.
const ALLOCATION: usize = 16;

/// The bytes of memory that an allocation of `bytes` takes.
pub fn allocation(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { bytes.saturating_add(ALLOCATION) }
}

/// The bytes of memory that an allocation for this many values of one type takes.
pub fn allocation_of<T>(count: usize) -> usize {
    allocation(count.saturating_mul(size_of::<T>()))
}

/// How much a document may hold.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Nesting of arrays and objects.
    pub depth: usize,
    /// Values altogether, members and items counted alike.
    pub values: usize,
    /// Members of one object.
    pub members: usize,
}

impl Bounds {
    /// A JOSE header or the claims of a token.
    pub const TOKEN: Self = Self { depth: 16, values: 512, members: 256 };
    /// A JWK set.
    pub const KEYS: Self = Self { depth: 8, values: 16_384, members: 256 };
    /// The metadata of an authorization server.
    pub const METADATA: Self = Self { depth: 8, values: 4_096, members: 512 };
    /// A configuration.
    pub const CONFIG: Self = Self { depth: 32, values: 200_000, members: 10_000 };

    /// What remains inside an array or object of a document with these bounds.
    fn inside<E: de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested deeper than is accepted"))?;
        Ok(Self { depth, ..self })
    }
}

/// Why a document is not accepted. The text is for operators; it never goes to a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotStrict(pub String);

impl fmt::Display for NotStrict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Parses one JSON document within `bounds`.
pub fn parse(bytes: &[u8], bounds: Bounds) -> Result<Value, NotStrict> {
    let mut left = bounds.values;
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { bounds, left: &mut left }
        .deserialize(&mut deserializer)
        .map_err(|error| NotStrict(error.to_string()))?;
    deserializer.end().map_err(|error| NotStrict(error.to_string()))?;
    Ok(value)
}

/// Reads one value while depth and number of values last.
struct Strict<'a> {
    bounds: Bounds,
    left: &'a mut usize,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.left.checked_sub(1) {
            Some(left) => *self.left = left,
            None => return Err(de::Error::custom("more values than are accepted")),
        }
        deserializer.deserialize_any(self)
    }
}

fn text<E: de::Error>(text: String) -> Result<String, E> {
    if text.contains('\0') { Err(E::custom("NUL in text")) } else { Ok(text) }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Decimal(value as f64), Value::Integer))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        if value.is_finite() { Ok(Value::Decimal(value)) } else { Err(E::custom("a number that is not finite")) }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        text(value).map(Value::Text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let bounds = self.bounds.inside()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Strict { bounds, left: self.left })? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let bounds = self.bounds.inside()?;
        let mut object = Object::default();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(Strict { bounds, left: self.left })?;
            if object.len() >= bounds.members {
                return Err(de::Error::custom("more members than are accepted"));
            }
            object
                .insert(text(name)?, value)
                .map_err(|name| de::Error::custom(format!("member {name:?} occurs twice")))?;
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Result<Value, NotStrict> {
        parse(text.as_bytes(), Bounds::TOKEN)
    }

    #[test]
    fn members_keep_their_order_and_numbers_their_kind() {
        let value = token(r#"{"b":1,"a":[1.5,"x",null,true]}"#).unwrap();
        let names: Vec<_> = value.as_object().unwrap().members().map(|(name, _)| name).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!(value.as_object().unwrap().get("b"), Some(&Value::Integer(1)));
    }

    #[test]
    fn a_member_that_occurs_twice_is_refused_at_any_depth_and_in_any_spelling() {
        for text in [
            r#"{"alg":1,"alg":1}"#,
            r#"{"alg":1,"\u0061lg":1}"#,
            r#"{"cnf":{"a":1,"a":2}}"#,
            r#"[{"x":{"a":1,"a":2}}]"#,
        ] {
            assert!(token(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            "{",
            "{}x",
            "{} {}",
            "\u{feff}{}",
            "{'a':1}",
            r#"{"a":1,}"#,
            "[1,]",
            "[01]",
            "[1.]",
            "[NaN]",
            "[Infinity]",
            "[1e400]",
            "// c\n{}",
            r#"["\ud800"]"#,
            r#"["\u0000"]"#,
            "{\"a\u{0}\":1}",
            "[\"\n\"]",
            r#"{"a\u0000":1}"#,
        ] {
            assert!(token(text).is_err(), "{text:?}");
        }
        assert!(parse(b"[\"\xff\"]", Bounds::TOKEN).is_err());
        assert!(parse(b"[\"\xc0\xaf\"]", Bounds::TOKEN).is_err(), "overlong");
    }

    #[test]
    fn memory_is_what_the_values_take_however_little_text_they_were() {
        assert_eq!(token("[1,true,null,1.5]").unwrap().memory(), 4 * size_of::<Value>() + ALLOCATION);
        assert_eq!(token(r#""12345678""#).unwrap().memory(), 8 + ALLOCATION);
        let member = size_of::<(String, Value)>();
        let object = token(r#"{"abc":"12345678"}"#).unwrap().memory();
        assert!((member + 3 + 8..8 * member).contains(&object), "{object}");
        let nested = token(&format!("[{}[]]", "[],".repeat(400))).unwrap().memory();
        assert!(nested >= 401 * size_of::<Value>(), "{nested}");
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(token(&nested(16)).is_ok());
        assert!(token(&nested(17)).is_err());
        assert!(token(&nested(100_000)).is_err());
        assert!(token(&format!("[{}1]", "1,".repeat(510))).is_ok());
        assert!(token(&format!("[{}1]", "1,".repeat(511))).is_err());
    }
}
