//! What a proxy does to escaped slashes before the filter sees them. In: a configuration of Envoy. Out: a finding for each
//! wasm filter in an HTTP connection manager that refuses or resolves them.
//! Not here: whether a route takes any (`documents`).

use crate::config::files::managers;
use crate::config::reading::finding::{Findings, Place};
use crate::json::{Object, Value};

const KEY: &str = "path_with_escaped_slashes_action";

/// The wasm filters in `value` that never see an escaped slash, each with its finding.
pub(in crate::config) fn hidden(value: &Value) -> Vec<(&Object, Findings)> {
    managers::each(value, &|manager| manager.get(KEY).is_some_and(|action| !keeps(action)).then(finding))
}

/// The two values that leave them alone, by name or by number; the first one means the second, unless the runtime says
/// otherwise.
fn keeps(action: &Value) -> bool {
    let by_name = |name: &str| matches!(name, "IMPLEMENTATION_SPECIFIC_DEFAULT" | "KEEP_UNCHANGED");
    action.as_text().is_some_and(by_name) || matches!(action, Value::Null | Value::Integer(0 | 1))
}

fn finding() -> Findings {
    let mut findings = Findings::default();
    findings.add(
        &Place::root().key(KEY),
        "of the HTTP connection manager refuses or resolves escaped slashes, and a route with slash_in takes them",
        "Write KEEP_UNCHANGED: the filter refuses them wherever no route takes them.",
    );
    findings
}

#[cfg(test)]
mod tests {
    use crate::config::files::managers;

    fn said(action: &str, slash_in: &str) -> String {
        let config = format!(
            r#"{{ "resources": [{{ "hosts": ["a"], "routes": [{{ "path": "/p/{{id}}", "access": "public"{slash_in} }}] }}] }}"#
        );
        managers::tests::said(action, &config)
    }

    #[test]
    fn a_proxy_that_hides_escaped_slashes_from_a_route_that_takes_them_is_a_finding() {
        let slash_in = r#", "slash_in": ["id"]"#;
        for action in [r#""REJECT_REQUEST""#, r#""UNESCAPE_AND_FORWARD""#, r#""UNESCAPE_AND_REDIRECT""#, "2", "4"] {
            let action = format!(r#""path_with_escaped_slashes_action": {action},"#);
            let finding = said(&action, slash_in);
            assert!(finding.starts_with("path_with_escaped_slashes_action: of the HTTP"), "{action} {finding}");
            assert_eq!(said(&action, ""), "", "no route takes them");
        }
        for action in [
            "",
            r#""path_with_escaped_slashes_action": "KEEP_UNCHANGED","#,
            r#""path_with_escaped_slashes_action": 0,"#,
        ] {
            assert_eq!(said(action, slash_in), "");
        }
    }
}
