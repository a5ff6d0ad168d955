//! `where` of a route: what in a request names an object, and the claims that say whose it is. In: the table as it is written. Out:
//! [`ObjectRule`]s, or findings. Not here: the judgement (`authz::objects`).

use serde_json::json;

use crate::config::issuer::token_form::{list_schema, one_or_list};
use crate::config::reading::finding::{Findings, Place, quoted};
use crate::config::reading::table::{At, Key, Mistake, TextKey};
use crate::config::resource::caller::{HeaderName, OwnerClaim};
use crate::config::route::keys::RouteTable;
use crate::json::Value;
use crate::policy::{Fact, ObjectName, ObjectRule, Pattern, Segment};

/// The most objects of one route.
const MOST: usize = 16;

/// The claims of which one must say what the request names: one, or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Owners(pub(in crate::config) Vec<Fact>);

impl Key for Owners {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        let owners = one_or_list(value, at, findings, OwnerClaim::read)?;
        Some(Self(owners.into_iter().map(|owner| owner.0).collect()))
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [OwnerClaim::schema(), list_schema(&OwnerClaim::schema())] })
    }
}

/// The rules of a route.
pub(in crate::config) fn compile(table: &RouteTable, findings: &mut Findings) -> Vec<ObjectRule> {
    let Some(written) = &table.r#where else { return Vec::new() };
    let at = table.at.key("where");
    if written.0.is_empty() {
        findings.add(
            &at,
            "an empty table, so that every token would pass",
            "Write what names an object, or remove it.",
        );
    }
    if written.0.len() > MOST {
        findings.add(&at, format!("{} objects", written.0.len()), format!("Write {MOST} at most."));
    }
    let mut rules = Vec::new();
    for (name, At { at, value }) in &written.0 {
        match object(name, table.path.as_ref().map(|path| &path.0)) {
            Ok(Some(name)) => {
                let Some(Owners(owners)) = value.clone() else { continue };
                rules.push(ObjectRule { name, owners, path: at.as_str().into() });
            }
            Ok(None) => {}
            Err(Mistake { finding, remedy }) => findings.add(at, finding, remedy),
        }
    }
    rules
}

/// What `written` means; `None` of a parameter where the path is none.
fn object(written: &str, pattern: Option<&Pattern>) -> Result<Option<ObjectName>, Mistake> {
    match written.split_once('.') {
        Some(("query", name)) => {
            let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
            if (1..=128).contains(&name.len()) && name.bytes().all(letter) {
                return Ok(Some(ObjectName::Query(name.into())));
            }
            Err(Mistake::new(
                format!("{} is no name of a parameter that every server reads alike", quoted(name)),
                "Write one of letters, digits, _, - and . behind query.",
            ))
        }
        Some(("header", name)) => HeaderName::parse(name).map(|name| Some(ObjectName::Header(name.0))),
        _ => {
            let Some(pattern) = pattern else { return Ok(None) };
            let is_named = |segment: &Segment| matches!(segment, Segment::Parameter(own) if **own == *written);
            if let Some(number) = pattern.segments().iter().position(is_named) {
                return Ok(Some(ObjectName::Parameter(written.into(), number)));
            }
            let names: Vec<&str> = pattern.parameters().collect();
            let has = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Err(Mistake::new(
                format!("the path has no parameter {{{written}}}"),
                format!("It has {has}. Write one of its parameters, query.<name> or header.<name>."),
            ))
        }
    }
}
