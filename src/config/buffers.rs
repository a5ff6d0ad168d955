//! What a listener buffers for each connection. In: a configuration of Envoy, a policy. Out: a warning where a refusal waits for
//! bodies that do not fit. Not here: the waiting (`worker::bodies`).

use crate::config::documents::{at, filters};
use crate::config::finding::quoted;
use crate::json::{Object, Value};
use crate::policy::Policy;

const KEY: &str = "per_connection_buffer_limit_bytes";

/// What Envoy buffers where nothing is written.
const DEFAULT: u64 = 1 << 20;

/// The buffer of a listener.
#[derive(Clone)]
pub(super) struct Buffer {
    listener: String,
    bytes: u64,
}

impl Buffer {
    /// The warning, where refusals of `policy` wait for bodies that fill it.
    pub(super) fn too_small_for(&self, policy: &Policy) -> Option<String> {
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
pub(super) fn of_listeners(value: &Value) -> Vec<(&Object, Buffer)> {
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
