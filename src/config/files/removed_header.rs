//! What a proxy does to `x-forwarded-client-cert` before the filter sees it. In: a configuration of Envoy. Out: a finding for each wasm
//! filter in an HTTP connection manager that removes the header, as it does by default, or writes its own in its place.
//! Not here: whether the document reads the header (`documents`).

use crate::config::files::managers;
use crate::config::reading::finding::{Findings, Place};
use crate::json::{Object, Value};

const KEY: &str = "forward_client_cert_details";

/// The wasm filters in `value` that never see what a hop wrote, each with its finding.
pub(in crate::config) fn hidden(value: &Value) -> Vec<(&Object, Findings)> {
    managers::each(value, &|manager| (!passes(manager)).then(finding))
}

/// Whether the header may pass: by name or by number, or by rules for some requests, which are not known here.
fn passes(manager: &Object) -> bool {
    let has_rules = manager.members().any(|(name, _)| name.starts_with("forward_client_cert") && name != KEY);
    has_rules
        || match manager.get(KEY) {
            None | Some(Value::Null) => false,
            Some(Value::Integer(number)) => matches!(number, 1 | 2 | 4),
            Some(action) => !matches!(action.as_text(), Some("SANITIZE" | "SANITIZE_SET")),
        }
}

fn finding() -> Findings {
    let mut findings = Findings::default();
    findings.add(
        &Place::root().key(KEY),
        "of the HTTP connection manager removes the x-forwarded-client-cert of hops, and peer.from: xfcc reads it, so that nobody would have a certificate",
        "Write FORWARD_ONLY: the filter removes the header itself.",
    );
    findings
}

#[cfg(test)]
mod tests {
    use crate::config::files::managers;

    fn said(manager: &str, peer: &str) -> String {
        let config = format!(
            r#"{{ "peer": {{ "from": {peer} }}, "resources": [{{ "hosts": ["a"], "routes": [{{ "path": "/", "access": "public" }}] }}] }}"#
        );
        managers::tests::said(manager, &config)
    }

    #[test]
    fn a_proxy_that_removes_the_header_which_is_read_is_a_finding() {
        const XFCC: &str = r#"{ "xfcc": { "trusted": ["dns:hop"] } }"#;
        for action in ["", r#""SANITIZE""#, r#""SANITIZE_SET""#, "null", "0", "3"] {
            let manager = if action.is_empty() { String::new() } else { format!(r#""{}": {action},"#, super::KEY) };
            let finding = said(&manager, XFCC);
            assert!(finding.starts_with("forward_client_cert_details: of the HTTP"), "{action} {finding}");
            for other in [r#""tls""#, r#""mesh-principal""#, r#"{ "client_cert": { "trusted": ["dns:hop"] } }"#] {
                assert_eq!(said(&manager, other), "", "{other} does not read it");
            }
        }
        for manager in [
            r#""forward_client_cert_details": "FORWARD_ONLY","#,
            r#""forward_client_cert_details": "APPEND_FORWARD","#,
            r#""forward_client_cert_details": "ALWAYS_FORWARD_ONLY","#,
            r#""forward_client_cert_details": 2,"#,
            r#""forward_client_cert_matcher": {},"#,
        ] {
            assert_eq!(said(manager, XFCC), "", "{manager}");
        }
    }
}
