//! Where the parts of a YAML file stand. In: its text. Out: line and column of each part, found by names and numbers as in the
//! parsed values. Not here: what the parts say (`documents`).

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::config::finding::Place;
use crate::json::{Object, Value};

/// A line and a column of a file, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Where a part begins, and the parts in it. A member begins with its name.
#[derive(Clone)]
pub(super) struct Spot {
    begins: Option<Position>,
    inside: Inside,
}

#[derive(Clone)]
enum Inside {
    Nothing,
    Items(Vec<Spot>),
    Members(Vec<(String, Spot)>),
}

/// Of each document of a file; empty if the text is none that could be read so.
pub(super) fn spots(text: &str) -> Vec<Spot> {
    serde_saphyr::from_multiple(text).unwrap_or_default()
}

impl Spot {
    /// The part at `path` inside this one.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |spot, name| spot.member(name))
    }

    /// The part that `object` was read from, which stands somewhere in `value`, which this one was read from. As deep as the
    /// file, which is bounded.
    pub(super) fn of(&self, object: &Object, value: &Value) -> Option<&Self> {
        match value {
            Value::Array(items) => {
                items.iter().enumerate().find_map(|(index, item)| self.item(index)?.of(object, item))
            }
            Value::Object(here) if std::ptr::eq(here, object) => Some(self),
            Value::Object(here) => here.members().find_map(|(name, member)| self.member(name)?.of(object, member)),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) | Value::Text(_) => None,
        }
    }

    /// Where the part begins that a finding about `path` is about; of something that is missing, the part that lacks it.
    pub(super) fn position(&self, path: &str) -> Option<Position> {
        self.search(&Place::root(), path)
    }

    fn search(&self, at: &Place, path: &str) -> Option<Position> {
        let deeper = match &self.inside {
            Inside::Nothing => None,
            Inside::Items(items) => {
                let mut items = items.iter().enumerate().map(|(index, spot)| (at.item(index), spot));
                items.find(|(at, _)| at.holds(path))
            }
            Inside::Members(members) => {
                let mut members = members.iter().map(|(name, spot)| (at.key(name), spot));
                members.find(|(at, _)| at.holds(path))
            }
        };
        deeper.and_then(|(at, spot)| spot.search(&at, path)).or(self.begins)
    }

    fn item(&self, index: usize) -> Option<&Self> {
        if let Inside::Items(items) = &self.inside { items.get(index) } else { None }
    }

    fn member(&self, name: &str) -> Option<&Self> {
        let Inside::Members(members) = &self.inside else { return None };
        members.iter().find(|(member, _)| member == name).map(|(_, spot)| spot)
    }
}

fn position(location: Location) -> Option<Position> {
    let position = Position { line: location.line(), column: location.column() };
    (position.line > 0).then_some(position)
}

impl<'de> Deserialize<'de> for Spot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value: inside, referenced, .. } = Spanned::<Inside>::deserialize(deserializer)?;
        Ok(Self { begins: position(referenced), inside })
    }
}

impl<'de> Deserialize<'de> for Inside {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InsideVisitor)
    }
}

struct InsideVisitor;

macro_rules! nothing_inside {
    ($($visit:ident($type:ty)),*) => {
        $( fn $visit<E>(self, _: $type) -> Result<Inside, E> {
            Ok(Inside::Nothing)
        } )*
    };
}

impl<'de> Visitor<'de> for InsideVisitor {
    type Value = Inside;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    nothing_inside!(
        visit_bool(bool),
        visit_i64(i64),
        visit_u64(u64),
        visit_i128(i128),
        visit_u128(u128),
        visit_f64(f64),
        visit_str(&str)
    );

    fn visit_unit<E>(self) -> Result<Inside, E> {
        Ok(Inside::Nothing)
    }

    fn visit_none<E>(self) -> Result<Inside, E> {
        Ok(Inside::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Inside, D::Error> {
        Inside::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Inside, A::Error> {
        let mut spots = Vec::new();
        while let Some(spot) = items.next_element()? {
            spots.push(spot);
        }
        Ok(Inside::Items(spots))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Inside, A::Error> {
        let mut spots = Vec::new();
        while let Some(Spanned { value: name, referenced, .. }) = members.next_key::<Spanned<String>>()? {
            let spot: Spot = members.next_value()?;
            spots.push((name, Spot { begins: position(referenced).or(spot.begins), ..spot }));
        }
        Ok(Inside::Members(spots))
    }
}
