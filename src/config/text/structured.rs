//! `google.protobuf.Struct` as strict JSON values. In: a serialized Struct. Out: a [`Value`] such as the same text
//! would give as JSON. Depth is bounded by prost while decoding and by [`Bounds::CONFIG`] after it.
//!
//! The messages are declared here because a map, as generated code has it, keeps only the last of two equal names.

use crate::json::{Bounds, Object, Value};

#[derive(Clone, PartialEq, prost::Message)]
struct Struct {
    #[prost(message, repeated, tag = "1")]
    fields: Vec<Entry>,
}

/// An entry of a map is this message on the wire.
#[derive(Clone, PartialEq, prost::Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(int32, tag = "1")]
    Null(i32),
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Bool(bool),
    #[prost(message, tag = "5")]
    Struct(Struct),
    #[prost(message, tag = "6")]
    List(List),
}

#[derive(Clone, PartialEq, prost::Message)]
struct List {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Any>,
}

/// The largest magnitude up to which every whole number is exact: 2⁵³ − 1.
const EXACT: f64 = 9_007_199_254_740_991.0;

/// Decodes a Struct, which must have a member.
pub(in crate::config) fn decode(bytes: &[u8]) -> Result<Value, String> {
    let message = <Struct as prost::Message>::decode(bytes).map_err(|fault| fault.to_string())?;
    // Other messages (a TypedStruct) decode to an empty Struct: their fields have other numbers.
    if message.fields.is_empty() {
        return Err("it has no members".to_owned());
    }
    let mut left = Bounds::CONFIG.values;
    object(message, Bounds::CONFIG.depth, &mut left)
}

fn object(message: Struct, depth: usize, left: &mut usize) -> Result<Value, String> {
    let depth = depth.checked_sub(1).ok_or("nested deeper than is accepted")?;
    if message.fields.len() > Bounds::CONFIG.members {
        return Err("more members than are accepted".to_owned());
    }
    let mut object = Object::default();
    for Entry { key, value } in message.fields {
        let value = self::value(value.unwrap_or_default(), depth, left)?;
        let key = text(key)?;
        object.insert(key, value).map_err(|name| format!("member {name:?} occurs twice"))?;
    }
    Ok(Value::Object(object))
}

fn value(message: Any, depth: usize, left: &mut usize) -> Result<Value, String> {
    *left = left.checked_sub(1).ok_or("more values than are accepted")?;
    match message.kind {
        None => Err("a value without a kind".to_owned()),
        Some(Kind::Null(_)) => Ok(Value::Null),
        Some(Kind::Bool(flag)) => Ok(Value::Bool(flag)),
        Some(Kind::Text(plain)) => text(plain).map(Value::Text),
        // The range makes the cast exact.
        Some(Kind::Number(number)) if number.fract() == 0.0 && number.abs() <= EXACT => {
            Ok(Value::Integer(number as i64))
        }
        Some(Kind::Number(number)) if number.is_finite() => Ok(Value::Decimal(number)),
        Some(Kind::Number(_)) => Err("a number that is not finite".to_owned()),
        Some(Kind::Struct(message)) => object(message, depth, left),
        Some(Kind::List(list)) => {
            let depth = depth.checked_sub(1).ok_or("nested deeper than is accepted")?;
            let items: Result<Vec<Value>, String> =
                list.values.into_iter().map(|item| value(item, depth, left)).collect();
            items.map(Value::Array)
        }
    }
}

fn text(text: String) -> Result<String, String> {
    if text.contains('\0') { Err("NUL in text".to_owned()) } else { Ok(text) }
}
