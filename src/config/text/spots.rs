//! Where the parts of a text stand. In: the parts as they were read. Out: line and column of each, found by names and numbers as in the
//! parsed values; and what is wrong with how they are written. Where a text stands in another one, as in a file of Envoy: the place there.
//! Not here: what the parts say (`keys`), reading them (`yaml`).

#[cfg(feature = "cli")]
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use crate::config::reading::finding::{Findings, Place};
use crate::config::reading::table::Mistake;
#[cfg(feature = "cli")]
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
pub(in crate::config) struct Spot {
    pub(in crate::config) begins: Position,
    /// The bytes of a scalar, as it is written.
    #[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "for texts in files"))]
    pub(in crate::config) range: Range<usize>,
    /// Whether it is a block whose lines are those of the text (`|`).
    #[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "for texts in files"))]
    pub(in crate::config) is_literal: bool,
    pub(in crate::config) inside: Inside,
    /// What is wrong with how it is written.
    pub(in crate::config) slip: Option<Box<Mistake>>,
}

#[derive(Clone)]
pub(in crate::config) enum Inside {
    Nothing,
    Items(Vec<Spot>),
    Members(Vec<(String, Spot)>),
}

impl Spot {
    /// What is wrong with how this part and those in it are written. As deep as the text, which is bounded.
    pub(in crate::config) fn slips(&self) -> Findings {
        let mut findings = Findings::default();
        self.collect(&Place::root(), &mut findings);
        findings
    }

    fn collect(&self, at: &Place, findings: &mut Findings) {
        if let Some(slip) = &self.slip {
            findings.add_at(at, slip.finding.clone(), slip.remedy.clone(), Some(self.begins));
        }
        match &self.inside {
            Inside::Nothing => {}
            Inside::Items(items) => {
                items.iter().enumerate().for_each(|(index, spot)| spot.collect(&at.item(index), findings));
            }
            Inside::Members(members) => {
                members.iter().for_each(|(name, spot)| spot.collect(&at.key(name), findings));
            }
        }
    }

    /// Where the part begins that a finding about `path` is about; of something that is missing, the part that lacks it.
    pub(in crate::config) fn position(&self, path: &str) -> Position {
        self.search(&Place::root(), path)
    }

    fn search(&self, at: &Place, path: &str) -> Position {
        self.deeper(at, path).map_or(self.begins, |(at, spot)| spot.search(&at, path))
    }

    /// The part in this one that `path` is, or is in, with its place.
    fn deeper(&self, at: &Place, path: &str) -> Option<(Place, &Self)> {
        match &self.inside {
            Inside::Nothing => None,
            Inside::Items(items) => {
                let mut items = items.iter().enumerate().map(|(index, spot)| (at.item(index), spot));
                items.find(|(at, _)| at.holds(path))
            }
            Inside::Members(members) => {
                let mut members = members.iter().map(|(name, spot)| (at.key(name), spot));
                members.find(|(at, _)| at.holds(path))
            }
        }
    }
}

#[cfg(feature = "cli")]
impl Spot {
    /// The part at `path` inside this one.
    pub(in crate::config) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |spot, name| spot.member(name))
    }

    /// The part that `object` was read from, which stands somewhere in `value`, which this one was read from. As deep as the
    /// file, which is bounded.
    pub(in crate::config) fn of(&self, object: &Object, value: &Value) -> Option<&Self> {
        match value {
            Value::Array(items) => {
                items.iter().enumerate().find_map(|(index, item)| self.item(index)?.of(object, item))
            }
            Value::Object(here) if std::ptr::eq(here, object) => Some(self),
            Value::Object(here) => here.members().find_map(|(name, member)| self.member(name)?.of(object, member)),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) | Value::Text(_) => None,
        }
    }

    /// The keys in this part that occur twice in a table, but for those in the parts `except`.
    pub(in crate::config) fn repeated(&self, at: &Place, except: &[&Self], findings: &mut Findings) {
        if except.iter().any(|part| std::ptr::eq(*part, self)) {
            return;
        }
        match &self.inside {
            Inside::Nothing => {}
            Inside::Items(items) => {
                items.iter().enumerate().for_each(|(index, spot)| spot.repeated(&at.item(index), except, findings));
            }
            Inside::Members(members) => {
                let mut known = HashSet::new();
                for (name, spot) in members {
                    if !known.insert(name)
                        && let Some(slip) = &spot.slip
                    {
                        findings.add_at(&at.key(name), &*slip.finding, &*slip.remedy, Some(spot.begins));
                    }
                    spot.repeated(&at.key(name), except, findings);
                }
            }
        }
    }

    /// Where the part at `path` begins, which is seen from the whole as `at` is; `None` of one that is not written. As deep as the
    /// text, which is bounded.
    pub(in crate::config) fn written(&self, at: &Place, path: &str) -> Option<Position> {
        if at.as_str() == path {
            return Some(self.begins);
        }
        let (at, spot) = self.deeper(at, path)?;
        spot.written(&at, path)
    }

    pub(in crate::config) fn item(&self, index: usize) -> Option<&Self> {
        if let Inside::Items(items) = &self.inside { items.get(index) } else { None }
    }

    pub(in crate::config) fn member(&self, name: &str) -> Option<&Self> {
        let Inside::Members(members) = &self.inside else { return None };
        members.iter().find(|(member, _)| member == name).map(|(_, spot)| spot)
    }

    /// Where the lines of `text` stand in `file`, whose scalar this is.
    pub(in crate::config) fn inlay(&self, text: &str, file: &str) -> Inlay {
        let whole = Inlay { first: self.begins, indentation: None };
        let Some(written) = file.get(self.range.clone()) else { return whole };
        let before = file.get(..self.range.start).unwrap_or_default();
        let line = before.matches('\n').count();
        if self.is_literal {
            let spaces = |line: &str| line.len().saturating_sub(line.trim_start_matches(' ').len());
            let first_of = |text: &'_ str, from: usize| {
                let mut lines = text.lines().enumerate().skip(from).filter(|(_, line)| !line.trim().is_empty());
                lines.next().map(|(index, line)| (index, spaces(line)))
            };
            let (Some((inner, fewer)), Some((outer, more))) = (first_of(text, 0), first_of(file, line)) else {
                return whole;
            };
            let indentation = from(more.saturating_sub(fewer));
            let line = from(outer.saturating_sub(inner)).saturating_add(1);
            return Inlay {
                first: Position { line, column: indentation.saturating_add(1) },
                indentation: Some(indentation),
            };
        }
        let line = from(line).saturating_add(1);
        let column = from(before.rsplit('\n').next().unwrap_or_default().chars().count()).saturating_add(1);
        let quotes = if written.starts_with(['\'', '"']) { 1 } else { 0 };
        let as_it_is = written.get(quotes..written.len().saturating_sub(quotes)) == Some(text);
        if !as_it_is || text.contains('\n') {
            return whole;
        }
        Inlay { first: Position { line, column: column.saturating_add(from(quotes)) }, indentation: Some(0) }
    }
}

#[cfg(feature = "cli")]
fn from(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Where a text stands in another one.
#[cfg(feature = "cli")]
#[derive(Clone, Copy)]
pub(in crate::config) struct Inlay {
    /// Where it begins.
    first: Position,
    /// The spaces before each of its lines; `None` where its lines are no lines of the other.
    indentation: Option<u64>,
}

#[cfg(feature = "cli")]
impl Inlay {
    /// Where a position of the text is in the other one.
    pub(in crate::config) fn outside(self, inside: Position) -> Position {
        let Some(indentation) = self.indentation else { return self.first };
        let before = if inside.line == 1 { self.first.column.saturating_sub(1) } else { indentation };
        Position {
            line: self.first.line.saturating_add(inside.line.saturating_sub(1)),
            column: before.saturating_add(inside.column),
        }
    }
}
