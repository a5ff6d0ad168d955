//! Configurations in files: alone, in an Istio WasmPlugin, or in a configuration of Envoy. In: the text of a YAML or JSON
//! file. Out: each Boundgate configuration in it, in the form in which the proxy will get it.

use serde::de::{Deserialize, Deserializer};

use crate::config::{Findings, compile, load};
use crate::json::{self, Bounds, Object, Value};
use crate::policy::Policy;

/// A whole file may hold much more than one configuration.
const FILE: Bounds = Bounds { depth: 64, values: 1_000_000, members: 10_000 };

const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
const STRING: &str = "type.googleapis.com/google.protobuf.StringValue";
const STRUCT: &str = "type.googleapis.com/google.protobuf.Struct";

/// A configuration in a file.
pub struct Document {
    /// Where in the file, if the file has other things: `WasmPlugin boundgate`, `filter boundgate`.
    pub place: Option<String>,
    content: Content,
}

enum Content {
    /// JSON text in a StringValue.
    Text(String),
    Value(Value),
    /// No or another `configuration` of a filter.
    Other(&'static str),
}

impl Document {
    /// The same policy, and the same findings, as when the proxy loads it.
    pub fn policy(&self) -> Result<Policy, Findings> {
        match &self.content {
            Content::Text(text) => load(text.as_bytes()),
            Content::Value(value) => compile(value),
            Content::Other(finding) => Err(Findings::single(
                *finding,
                "Write one, as google.protobuf.Struct or as JSON in a google.protobuf.StringValue.",
            )),
        }
    }
}

struct Whole(Value);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::from_deserializer(deserializer, FILE).map(Self)
    }
}

/// All configurations in a file. `Err`: the file is neither YAML nor JSON, or repeats a key; or has no configuration.
pub fn documents(text: &str) -> Result<Vec<Document>, String> {
    // JSON is YAML, but its own parser is stricter and says more.
    let parsed = match text.trim_start().starts_with('{') {
        true => json::parse(text.as_bytes(), FILE).map(|value| vec![value]).map_err(|fault| fault.to_string())?,
        false => {
            let whole: Result<Vec<Whole>, _> = serde_saphyr::from_multiple(text);
            whole.map_err(|fault| fault.without_snippet().to_string())?.into_iter().map(|whole| whole.0).collect()
        }
    };
    let mut found = Vec::new();
    for value in parsed {
        in_document(value, &mut found);
    }
    if found.is_empty() {
        return Err("no Boundgate configuration is in it, no WasmPlugin, and no wasm filter of Envoy".to_owned());
    }
    Ok(found)
}

fn in_document(value: Value, found: &mut Vec<Document>) {
    let text = |path: &[&str]| at(&value, path).and_then(Value::as_text);
    if text(&["kind"]) == Some("WasmPlugin") {
        let name = text(&["metadata", "name"]).unwrap_or("without a name");
        let content = match at(&value, &["spec", "pluginConfig"]) {
            Some(config) => Content::Value(config.clone()),
            None => Content::Other("spec.pluginConfig is missing"),
        };
        return found.push(Document { place: Some(format!("WasmPlugin {name}")), content });
    }
    let before = found.len();
    filters(&value, found);
    let foreign = ["apiVersion", "kind", "static_resources", "dynamic_resources", "@type"];
    let alone = value.as_object().is_none_or(|object| foreign.iter().all(|name| object.get(name).is_none()));
    if found.len() == before && alone {
        found.push(Document { place: None, content: Content::Value(value) });
    }
}

/// The wasm filters in `value`, however deep. As deep as the file, which is bounded.
fn filters(value: &Value, found: &mut Vec<Document>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| filters(item, found)),
        Value::Object(object) if object.get("@type").and_then(Value::as_text) == Some(WASM) => {
            found.push(filter(object))
        }
        Value::Object(object) => object.members().for_each(|(_, member)| filters(member, found)),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) | Value::Text(_) => {}
    }
}

fn filter(wasm: &Object) -> Document {
    let config = wasm.get("config");
    let inside = |path: &[&str]| config.and_then(|config| at(config, path));
    let name = inside(&["name"]).and_then(Value::as_text).unwrap_or("without a name");
    let content =
        match (inside(&["configuration", "@type"]).and_then(Value::as_text), inside(&["configuration", "value"])) {
            (Some(STRING), Some(Value::Text(text))) => Content::Text(text.clone()),
            (Some(STRUCT), Some(value)) => Content::Value(value.clone()),
            _ => Content::Other("there is none that the filter understands"),
        };
    Document { place: Some(format!("filter {name}")), content }
}

fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| value.as_object()?.get(name))
}
