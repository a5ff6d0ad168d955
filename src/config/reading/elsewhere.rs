//! Where something belongs that stands in the wrong table. In: a name that is no key there. Out: what to do, if that is
//! known. Not here: names that are mistyped (`table`).

use crate::config::reading::finding::Place;
use crate::json::{Object, Value};

/// Keys that are often written in another table than theirs.
const ELSEWHERE: &[(&str, &str)] = &[
    ("routes", "resources[]"),
    ("hosts", "resources[]"),
    ("audiences", "resources[]"),
    ("forward", "resources[]"),
    ("origin", "resources[]"),
    ("dpop", "resources[]"),
    ("path", "resources[].routes[]"),
    ("methods", "resources[].routes[]"),
    ("access", "resources[].routes[]"),
    ("bound", "resources[].routes[]"),
    ("scopes", "resources[].routes[]"),
    ("peers", "resources[].routes[]"),
    ("cost", "resources[].routes[]"),
    ("where", "resources[].routes[]"),
    ("step_up", "resources[].routes[]"),
    ("jwks", "issuers.<name>"),
    ("algorithms", "issuers.<name>"),
    ("leeway", "issuers.<name>"),
    ("max_lifetime", "issuers.<name>"),
    ("introspection", "issuers.<name>"),
    ("revocation", "issuers.<name>"),
    ("status_lists", "issuers.<name>.revocation"),
    ("on_stale", "issuers.<name>.revocation"),
    ("ttl", "issuers.<name>.introspection"),
    ("negative_ttl", "issuers.<name>.introspection"),
    ("nonce", "resources[].dpop"),
    ("max_age", "resources[].dpop"),
    ("uri", "issuers.<name>.jwks"),
    ("discovery", "issuers.<name>.jwks"),
    ("rate", "limits.<name>"),
    ("burst", "limits.<name>"),
    ("in_flight", "limits.<name>"),
    ("on", "limits.<name>"),
    ("lease", "services.<name>"),
    ("on_error", "services.<name>"),
    ("limit_fields", "the top level"),
    ("x_ratelimit", "the top level"),
    ("token_cache", "the top level"),
    ("max_token_bytes", "the top level"),
];

/// What to do with `name`, a member of the table at `at`.
pub(in crate::config) fn elsewhere(name: &str, members: &Object, at: &Place) -> Option<String> {
    let is_top = *at == Place::root();
    let inside = members.get(name).and_then(Value::as_object);
    if is_top && inside.is_some_and(|inside| inside.get("resources").is_some()) {
        return Some("What stands below it is the configuration: write that alone.".to_owned());
    }
    if is_top && (name.starts_with("x-") || name.starts_with('.')) {
        let remedy = "No key is for anchors alone: write &name where the value is used first, and *name after that.";
        return Some(remedy.to_owned());
    }
    if let Some(remedy) = nearby(name, at) {
        return Some(remedy.to_owned());
    }
    let (_, home) = ELSEWHERE.iter().find(|(key, _)| *key == name)?;
    Some(format!("It belongs into {home}."))
}

/// What is meant by names that other programs have for something, and by keys one table too high or too low.
fn nearby(name: &str, at: &Place) -> Option<&'static str> {
    let (_, table) = at.as_str().rsplit_once('.')?;
    Some(match (table, name) {
        ("introspection", "client_id" | "client_secret") => {
            "Write client: { id: ..., secret: { env: NAME } }, with the variable of the VM that holds the secret."
        }
        ("introspection", "endpoint" | "introspection_endpoint") => "Write uri.",
        ("revocation", "jti" | "sub" | "client_id" | "sid" | "x5t#S256" | "issued_before") => {
            "It belongs into entries."
        }
        ("status_lists", "refresh" | "max_stale" | "timeout" | "on_stale") => {
            "It belongs into revocation, beside status_lists."
        }
        (_, "introspect") => "Write introspection: { cluster: ..., uri: ... } in issuers.<name>.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_elsewhere_is_a_key_there() {
        let schema = crate::config::schema();
        for (key, home) in ELSEWHERE {
            let mut table = &schema;
            for step in home.split('.').filter(|_| *home != "the top level") {
                let property = &table["properties"][step.trim_end_matches("[]")];
                table = match step {
                    "<name>" => &table["additionalProperties"],
                    _ if step.ends_with("[]") => &property["items"],
                    _ => property,
                };
            }
            assert!(table["properties"][key].is_object(), "{key} in {home}");
        }
    }
}
