//! `claims` of a route or a resource: what a token must say. In: the table as it is written. Out: [`ClaimRule`]s, or findings. Bounded in
//! depth and number, so that a request costs what a reader sees. Not here: the judgement (`authz::claims`).

use std::rc::Rc;

use serde_json::json;

use crate::config::issuer::token_form::{list_schema, one_or_list};
use crate::config::reading::finding::{Findings, Place, quoted};
use crate::config::reading::table::{Key, Mistake, Table, not_what};
use crate::config::resource::caller::demanded_claim;
use crate::config::route::keys::ClaimTestTable;
use crate::json::Value;
use crate::policy::{ClaimDemand, ClaimRule, ClaimTest, ClaimValue};

/// How deep `all`, `any` and `not` may stand in each other.
const MOST_LEVELS: usize = 2;
/// The most tests of claims in one table.
const MOST_TESTS: usize = 64;
/// The whole numbers that a double can be exactly: how numbers come through a Struct.
const EXACT: i64 = 1 << 53;

const REMEDY: &str = "Write a text, a whole number, true or false, a list of these, or { contains: ... }, { min: ..., max: ... }, { present: true }.";

/// The rules, each with its place.
#[derive(Debug)]
pub(in crate::config) struct ClaimDemands(pub(in crate::config) Vec<Rc<ClaimRule>>);

impl Key for ClaimDemands {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        let mut left = MOST_TESTS;
        let rule = |(at, demand): (Place, _)| Rc::new(ClaimRule { demand, path: at.as_str().into() });
        let demands = demands(value, at, MOST_LEVELS, &mut left, findings)?;
        Some(Self(demands.into_iter().map(rule).collect()))
    }

    fn schema() -> serde_json::Value {
        let test = json!({ "oneOf": [scalar_schema(), list_schema(&scalar_schema()), ClaimTestTable::schema()] });
        let inner = json!({ "type": "object", "minProperties": 1 });
        json!({
            "type": "object", "minProperties": 1, "additionalProperties": test,
            "properties": { "all": list_schema(&inner), "any": list_schema(&inner), "not": inner }
        })
    }
}

/// The entries of one table. `levels`: how many more may stand in it; `left`: how many more tests.
fn demands(
    value: &Value,
    at: &Place,
    levels: usize,
    left: &mut usize,
    findings: &mut Findings,
) -> Option<Vec<(Place, ClaimDemand)>> {
    let Some(members) = value.as_object() else {
        findings.add(at, not_what(value, "a table of claims"), "Write claims by name, each with what it must be.");
        return None;
    };
    if members.is_empty() {
        findings.add(at, "an empty table, so that every token would pass", "Write claims, or remove it.");
    }
    let mut sorted: Vec<_> = members.members().collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    let mut read = Vec::new();
    for (name, value) in sorted {
        let at = at.key(name);
        let demand = match name {
            "all" | "any" | "not" => together(name, value, &at, levels, left, findings),
            _ => of_one(name, value, &at, left, findings),
        };
        read.extend(demand.map(|demand| (at, demand)));
    }
    Some(read)
}

/// What stands under `all`, `any` or `not`.
fn together(
    word: &str,
    value: &Value,
    at: &Place,
    levels: usize,
    left: &mut usize,
    findings: &mut Findings,
) -> Option<ClaimDemand> {
    let Some(levels) = levels.checked_sub(1) else {
        let remedy = "Split the route, or have the issuer write one claim that says it.";
        findings.add(at, format!("{word} stands deeper than {MOST_LEVELS} levels"), remedy);
        return None;
    };
    let mut inner = |value: &Value, at: &Place, findings: &mut Findings| {
        let demands = demands(value, at, levels, left, findings)?;
        Some(ClaimDemand::All(demands.into_iter().map(|(_, demand)| demand).collect()))
    };
    if word == "not" {
        return Some(ClaimDemand::Not(Box::new(inner(value, at, findings)?)));
    }
    let Some(items) = value.as_array().filter(|items| (1..=MOST_TESTS).contains(&items.len())) else {
        findings.add(
            at,
            format!("{word} takes a list of tables"),
            format!("Write 1 to {MOST_TESTS}, like {word}: [{{ a: b }}, {{ c: d }}]."),
        );
        return None;
    };
    let mut demands = Vec::new();
    for (index, item) in items.iter().enumerate() {
        demands.extend(inner(item, &at.item(index), findings));
    }
    Some(if word == "all" { ClaimDemand::All(demands) } else { ClaimDemand::Any(demands) })
}

fn of_one(name: &str, value: &Value, at: &Place, left: &mut usize, findings: &mut Findings) -> Option<ClaimDemand> {
    match left.checked_sub(1) {
        Some(fewer) => *left = fewer,
        None => {
            findings.add(at, format!("more than {MOST_TESTS} claims"), "Have the issuer write one claim that says it.");
            return None;
        }
    }
    let fact = match demanded_claim(name) {
        Ok(fact) => fact,
        Err(Mistake { finding, remedy }) => {
            findings.add(at, finding, remedy);
            return None;
        }
    };
    let test = match value {
        Value::Object(members) => of_table(&ClaimTestTable::read_members(members, at, findings), findings)?,
        _ => ClaimTest::OneOf(one_or_list(value, at, findings, scalar)?),
    };
    Some(ClaimDemand::Of(fact, test))
}

/// One kind of test each: several are several entries of `all`.
fn of_table(table: &ClaimTestTable, findings: &mut Findings) -> Option<ClaimTest> {
    let bounds = table.wrote("min") || table.wrote("max");
    let kinds = [bounds, table.wrote("contains"), table.wrote("present")];
    if kinds.iter().filter(|kind| **kind).count() != 1 {
        if !findings.touch(&table.at) {
            let finding = "is not one of contains, present, or min and max";
            findings.add(&table.at, finding, "Write one of these; for several, all: [...] with the claim in each.");
        }
        return None;
    }
    if let Some(present) = table.present {
        return Some(ClaimTest::Present(present));
    }
    if let Some(Words(words)) = &table.contains {
        return Some(ClaimTest::Contains(words.clone()));
    }
    let (min, max) = (table.min.map(|Bound(min)| min), table.max.map(|Bound(max)| max));
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        findings.add(&table.at.key("max"), "is below min, so that no token could pass", "Exchange both.");
    }
    (min.is_some() || max.is_some()).then_some(ClaimTest::Within { min, max })
}

/// A text, a whole number, true or false. What is decimal has many spellings.
fn scalar(value: &Value, at: &Place, findings: &mut Findings) -> Option<ClaimValue> {
    if let Value::Bool(flag) = value {
        return Some(ClaimValue::Flag(*flag));
    }
    let text = match value {
        Value::Text(text) if !text.is_empty() => Some(text.as_str().into()),
        other => whole(other).map(|number| number.to_string().into()),
    };
    if text.is_none() {
        findings.add(at, not_what(value, "what a claim can be compared with"), REMEDY);
    }
    text.map(ClaimValue::Text)
}

/// Also as it comes through a Struct, which knows doubles only.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        // The bound makes the cast exact.
        Value::Decimal(number) if number.fract() == 0.0 && number.abs() <= EXACT as f64 => Some(*number as i64),
        _ => None,
    }
}

fn scalar_schema() -> serde_json::Value {
    json!({ "type": ["string", "integer", "boolean"] })
}

/// What a list or the words of a text must have one of: one, or several.
#[derive(Clone, Debug)]
pub(in crate::config) struct Words(Vec<Box<str>>);

impl Key for Words {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        let word = |value: &Value, at: &Place, findings: &mut Findings| match scalar(value, at, findings)? {
            ClaimValue::Text(text) => Some(text),
            ClaimValue::Flag(flag) => {
                findings.add(at, format!("{flag} is no item of a list of texts"), "Write a text or a whole number.");
                None
            }
        };
        one_or_list(value, at, findings, word).map(Self)
    }

    fn schema() -> serde_json::Value {
        let word = json!({ "type": ["string", "integer"] });
        json!({ "anyOf": [word, list_schema(&word)] })
    }
}

/// A bound of a number.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Bound(i64);

impl Key for Bound {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        // Large numbers become text on the way through Envoy's YAML.
        let number = whole(value).or_else(|| value.as_text()?.parse().ok());
        let bound = number.filter(|number| (-EXACT..=EXACT).contains(number));
        if bound.is_none() {
            let found = value.as_text().map_or_else(
                || not_what(value, "a whole number"),
                |text| format!("{} is no whole number in range", quoted(text)),
            );
            findings.add(at, found, format!("Write one from -{EXACT} to {EXACT}."));
        }
        bound.map(Self)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "integer", "minimum": -EXACT, "maximum": EXACT })
    }
}
