//! HTTP connection managers, and what each does to requests before its filters see them. In: a configuration of Envoy; what is wrong
//! with one manager. Out: a finding for each wasm filter in a manager that has one. Not here: what is wrong (`escaped_slashes`,
//! `removed_header`).

use crate::config::files::documents::filters;
use crate::config::reading::finding::Findings;
use crate::json::{Object, Value};

/// The wasm filters in `value` whose manager `judge` finds something wrong with, each with that.
pub(in crate::config) fn each<'v>(
    value: &'v Value,
    judge: &dyn Fn(&Object) -> Option<Findings>,
) -> Vec<(&'v Object, Findings)> {
    let mut found = Vec::new();
    look_into(value, judge, &mut found);
    found
}

/// However deep. As deep as the file, which is bounded.
fn look_into<'v>(
    value: &'v Value,
    judge: &dyn Fn(&Object) -> Option<Findings>,
    found: &mut Vec<(&'v Object, Findings)>,
) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| look_into(item, judge, found)),
        Value::Object(object) => {
            if let Some(listed) = object.get("http_filters")
                && let Some(findings) = judge(object)
            {
                let mut inside = Vec::new();
                filters(listed, &mut inside);
                found.extend(inside.into_iter().map(|filter| (filter, findings.clone())));
            }
            object.members().for_each(|(_, member)| look_into(member, judge, found));
        }
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) | Value::Text(_) => {}
    }
}

#[cfg(test)]
pub(in crate::config) mod tests {
    use crate::config::files::documents::documents;

    /// What is said of a document in a manager with these members.
    pub(in crate::config) fn said(manager: &str, document: &str) -> String {
        let file = format!(
            r#"{{ "static_resources": {{ "listeners": [{{ "typed_config": {{ {manager} "http_filters": [{{ "typed_config": {{
                "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": {{ "name": "boundgate",
                "configuration": {{ "@type": "type.googleapis.com/google.protobuf.Struct", "value": {document} }} }} }} }}] }} }}] }} }}"#
        );
        let document = documents(&file).unwrap().documents.pop().unwrap();
        document.policy().err().map(|findings| findings.to_string()).unwrap_or_default()
    }
}
