//! What a listener buffers for each connection. In: a configuration of Envoy, a policy. Out: a warning where a refusal waits for
//! bodies that do not fit. Not here: the waiting (`worker::bodies`).

use crate::config::files::documents::{at, filters};
use crate::config::reading::finding::quoted;
use crate::json::{Object, Value};
use crate::policy::Policy;

const KEY: &str = "per_connection_buffer_limit_bytes";

/// What Envoy buffers where nothing is written.
const DEFAULT: u64 = 1 << 20;

/// The buffer of a listener.
#[derive(Clone)]
pub(in crate::config) struct Buffer {
    listener: String,
    bytes: u64,
}

impl Buffer {
    /// The warning, where refusals of `policy` wait for bodies that fill it.
    pub(in crate::config) fn too_small_for(&self, policy: &Policy) -> Option<String> {
        let (awaited, bytes) = (policy.awaited_body.bytes, self.bytes);
        (awaited > 0 && bytes <= u64::from(awaited)).then(|| {
            format!(
                "listener {} buffers {bytes} bytes for each connection, and refusals wait for bodies of up to {awaited} \
                 (refusals.await_body): a body that fills the buffer is awaited in vain. Raise {KEY} above it.",
                quoted(&self.listener)
            )
        })
    }
}

/// The wasm filters in `value`, each with the buffer of the listener it stands in.
pub(in crate::config) fn of_listeners(value: &Value) -> Vec<(&Object, Buffer)> {
    let mut found = Vec::new();
    listeners(value, &mut found);
    found
}

/// Looks into `value`, however deep. As deep as the file, which is bounded.
fn listeners<'v>(value: &'v Value, found: &mut Vec<(&'v Object, Buffer)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| listeners(item, found)),
        Value::Object(object) if object.get("filter_chains").is_some() => {
            let bytes = match object.get(KEY) {
                Some(Value::Integer(bytes)) => u64::try_from(*bytes).unwrap_or(DEFAULT),
                Some(Value::Text(bytes)) => bytes.parse().unwrap_or(DEFAULT),
                _ => DEFAULT,
            };
            let listener = at(value, &["name"]).and_then(Value::as_text).unwrap_or_default().to_owned();
            let mut inside = Vec::new();
            filters(value, &mut inside);
            let buffer = Buffer { listener, bytes };
            found.extend(inside.into_iter().map(|filter| (filter, buffer.clone())));
        }
        Value::Object(object) => object.members().for_each(|(_, member)| listeners(member, found)),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) | Value::Text(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::config::files::documents::documents;

    /// The warnings about a listener with `limit` around a document with `refusals`.
    fn warned(limit: &str, refusals: &str) -> Vec<String> {
        let file = format!(
            "listeners:\n- name: main\n{limit}  filter_chains:\n  - \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n    config:\n      \
             name: boundgate\n      configuration:\n        \"@type\": type.googleapis.com/google.protobuf.StringValue\n        value: |\n          \
             refusals: {{ {refusals} }}\n          resources: [{{ hosts: [a], routes: [{{ path: /, access: public }}] }}]\n"
        );
        let document = documents(&file).unwrap().documents.pop().unwrap();
        document.warnings(&document.policy().unwrap())
    }

    #[test]
    fn a_buffer_that_a_body_can_fill_which_a_refusal_waits_for_is_a_warning() {
        for (limit, refusals) in [
            ("  per_connection_buffer_limit_bytes: 65536\n", ""),
            ("  per_connection_buffer_limit_bytes: \"1000\"\n", ""),
            ("", "await_body: 1MiB"),
        ] {
            let warned = warned(limit, refusals);
            assert!(
                matches!(&warned[..], [warning] if warning.starts_with("listener \"main\" buffers ")),
                "{limit} {warned:?}"
            );
        }
        for (limit, refusals) in [
            ("  per_connection_buffer_limit_bytes: 65537\n", ""),
            ("", ""),
            ("  per_connection_buffer_limit_bytes: 1\n", "await_body: \"0\""),
        ] {
            assert_eq!(warned(limit, refusals), Vec::<String>::new(), "{limit}");
        }
    }
}
