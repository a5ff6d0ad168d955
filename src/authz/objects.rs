//! Objects: whether what a request names belongs to whom its token is about (OWASP API1, broken object level authorisation). In: the
//! rules of a route, the request's head, the token. Out: nothing, or the rule that refuses and why.
//!
//! The comparison is exact, byte for byte, after escapes are resolved once. Nothing is folded: what the upstream would look up under
//! another spelling must be in that spelling in the token. Not here: how a query is read (`http::query`).

use std::borrow::Cow;

use crate::authz::Denial;
use crate::authz::said::{Said, said};
use crate::http::{Head, QueryFault, query_parameter, unescaped};
use crate::json::Value;
use crate::policy::{ObjectName, ObjectRule};
use crate::reason::Reason;
use crate::token::AccessToken;

/// What a claim of an owner is that is no name of an object.
const NO_NAME: &str = "a claim is no text, no whole number and no list of these";

/// All rules hold.
pub fn owned(rules: &[ObjectRule], head: &Head, token: &AccessToken) -> Result<(), Denial> {
    rules.iter().try_for_each(|rule| {
        let denied = |because| Denial::by(Reason::ObjectMismatch, &rule.path, because);
        let named = named(&rule.name, head).map_err(denied)?;
        belongs(&named, rule, token).map_err(denied)
    })
}

/// What the request names.
fn named<'h>(name: &'h ObjectName, head: &'h Head) -> Result<Cow<'h, [u8]>, &'static str> {
    let value = match name {
        // A path that was accepted has escapes of one reading only.
        ObjectName::Parameter(_, segment) => match head.path().segments().nth(*segment) {
            Some(segment) => unescaped(segment.as_bytes()),
            None => return Err("the path has no such segment"),
        },
        ObjectName::Query(name) => {
            query_parameter(head.path().query().unwrap_or_default(), name).map_err(|fault| match fault {
                QueryFault::Missing => "the query does not have it",
                QueryFault::Repeated => "the query has it more than once",
                QueryFault::Ambiguous => "servers differ about what the query says of it",
            })?
        }
        ObjectName::Header(name) => Cow::Borrowed(head.only(name).map_err(|lacking| match lacking {
            true => "the header is missing",
            false => "the header is there more than once, or spelled with _",
        })?),
    };
    if value.is_empty() { Err("it is empty") } else { Ok(value) }
}

/// Whether one of the owners' claims says so. One that could not say it spoils the rule, whatever the others say.
fn belongs(named: &[u8], rule: &ObjectRule, token: &AccessToken) -> Result<(), &'static str> {
    let (mut found, mut missing) = (false, true);
    for owner in &rule.owners {
        let said = said(token, owner);
        missing &= matches!(said, Said::Nothing);
        found |= match said {
            Said::Nothing => false,
            Said::Text(text) => text.as_bytes() == named,
            Said::Value(Value::Array(items)) => {
                items.iter().try_fold(false, |found, item| Some(is_name(item, named)? || found)).ok_or(NO_NAME)?
            }
            Said::Value(value) => is_name(value, named).ok_or(NO_NAME)?,
        };
    }
    match (found, missing) {
        (true, _) => Ok(()),
        (false, true) => Err("the token does not have the claim"),
        (false, false) => Err("it is another's"),
    }
}

/// Whether a claim, or an item of one, says `named`; whole numbers by their decimal digits. `None` of what names nothing.
fn is_name(value: &Value, named: &[u8]) -> Option<bool> {
    match value {
        Value::Text(text) => Some(text.as_bytes() == named),
        Value::Integer(number) => Some(number.to_string().as_bytes() == named),
        Value::Null | Value::Bool(_) | Value::Decimal(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
