//! The wasm filters in a configuration of Envoy. In: a value that may hold some. Out: the documents of those that are ours, with what
//! undoes each from around it, and which were passed over.

use crate::config::Findings;
use crate::config::files::chains::of_mixed_trust;
use crate::config::files::clusters::Clusters;
use crate::config::files::documents::{Content, Document, File, at};
use crate::config::files::{buffers, escaped_slashes, removed_header};
use crate::config::reading::finding::{Place, quoted};
use crate::config::text::scalars;
use crate::config::text::spots::Spot;
use crate::config::text::yaml::{self, Read};
use crate::json::{Bounds, Object, Value};

pub(super) const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
pub(super) const STRING: &str = "type.googleapis.com/google.protobuf.StringValue";
pub(super) const STRUCT: &str = "type.googleapis.com/google.protobuf.Struct";

/// Looks for wasm filters.
pub(super) fn in_filters(value: &Value, spot: &Spot, text: &str, file: &mut File) {
    let mut wasm = Vec::new();
    filters(value, &mut wasm);
    file.is_envoys |= !wasm.is_empty();
    // A proxy may have wasm filters of others. Where any says that it is Boundgate, or looks so, those are meant.
    let some_are_ours = wasm.iter().any(|filter| is_ours(filter));
    if some_are_ours {
        let others = wasm.iter().filter(|filter| !is_ours(filter));
        file.passed_over.extend(others.map(|other| {
            format!(
                "filter {} was not judged: neither its name, root_id and module say boundgate, nor has its configuration resources",
                name_of(other)
            )
        }));
    }
    let (mixed, hidden) = (of_mixed_trust(value), escaped_slashes::hidden(value));
    let removed = removed_header::hidden(value);
    let of = |findings: &[(&Object, Findings)], wasm: &Object| {
        findings.iter().find(|(filter, _)| std::ptr::eq(*filter, wasm)).map(|(_, findings)| findings.clone())
    };
    wasm.retain(|wasm| !some_are_ours || is_ours(wasm));
    let mut repeated = Vec::new();
    repeated_marks(value, &wasm, &mut repeated);
    let is_repeated = |wasm: &Object| repeated.iter().any(|other| std::ptr::eq(*other, wasm));
    let (buffers, clusters) = (buffers::of_listeners(value), Clusters::of(value));
    file.documents.extend(wasm.iter().map(|wasm| {
        Document {
            clusters: clusters.clone(),
            mixed_trust: of(&mixed, wasm),
            hidden_slashes: of(&hidden, wasm),
            removed_header: of(&removed, wasm),
            buffers: buffers
                .iter()
                .filter(|(filter, _)| std::ptr::eq(*filter, *wasm))
                .map(|(_, buffer)| buffer.clone())
                .collect(),
            ..filter(wasm, is_repeated(wasm), spot.of(wasm, value), text)
        }
    }));
}

/// The wasm filters in `value`, however deep. As deep as the file, which is bounded.
pub(in crate::config) fn filters<'v>(value: &'v Value, found: &mut Vec<&'v Object>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| filters(item, found)),
        Value::Object(object) if object.get("@type").and_then(Value::as_text) == Some(WASM) => found.push(object),
        Value::Object(object) => object.members().for_each(|(_, member)| filters(member, found)),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) | Value::Text(_) => {}
    }
}

/// Whether its names or the place of its module say Boundgate, or its configuration is one of these.
fn is_ours(wasm: &Object) -> bool {
    let code: [&[&str]; 2] =
        [&["vm_config", "code", "local", "filename"], &["vm_config", "code", "remote", "http_uri", "uri"]];
    let places = code.into_iter().chain([&["name"][..], &["root_id"]]);
    let config = wasm.get("config");
    let mut texts = places.filter_map(|path| at(config?, path)?.as_text());
    texts.any(|text| text.contains("boundgate"))
        || document_of(wasm).is_some_and(|document| at(&document, &["resources"]).is_some())
}

fn name_of(wasm: &Object) -> &str {
    let name = wasm.get("config").and_then(|config| at(config, &["name"])).and_then(Value::as_text);
    name.unwrap_or("without a name")
}

/// `repeated`: another filter before it in its chain has the same mark. `spot`: where the filter stands in `text`.
fn filter(wasm: &Object, repeated: bool, spot: Option<&Spot>, text: &str) -> Document {
    let mut around = Findings::default();
    let goes_on = wasm.get("config").and_then(|config| at(config, &["allow_on_headers_stop_iteration"]));
    if goes_on.is_some_and(|goes_on| !matches!(goes_on, Value::Bool(false) | Value::Null)) {
        around.add(
            &Place::root().key("allow_on_headers_stop_iteration"),
            "set, so that the proxy goes on with what comes behind a head that is not judged yet",
            "Remove it from the filter.",
        );
    }
    if repeated {
        around.add(
            &Place::root().key("mark"),
            "the same as that of another filter of this chain, so that what one let through passes the interlock of the other",
            "Write mark: <name>, and let the interlock behind this filter ask for wasm.boundgate_<name>.",
        );
    }
    let part = |path: &[&str]| spot.and_then(|spot| spot.at(path));
    let value = part(&["config", "configuration", "value"]);
    let begins = value.or(part(&["config"])).or(spot).map(|spot| spot.begins);
    let content = content(wasm, value, text);
    let variables = variables(wasm);
    Document { around, variables, ..Document::new(Some(format!("filter {}", name_of(wasm))), content, begins) }
}

/// The variables that the VM of a filter gets. `None` where its VM is not described.
fn variables(wasm: &Object) -> Option<Vec<String>> {
    let vm = at(wasm.get("config")?, &["vm_config"]).filter(|vm| vm.as_object().is_some())?;
    let taken = at(vm, &["environment_variables", "host_env_keys"]).and_then(Value::as_array).unwrap_or_default();
    let taken = taken.iter().filter_map(Value::as_text);
    let written = at(vm, &["environment_variables", "key_values"]).and_then(Value::as_object);
    let written = written.into_iter().flat_map(Object::members).map(|(name, _)| name);
    Some(taken.chain(written).map(str::to_owned).collect())
}

fn content(wasm: &Object, spot: Option<&Spot>, file: &str) -> Content {
    let inside = |path: &[&str]| wasm.get("config").and_then(|config| at(config, path));
    let kind = inside(&["configuration", "@type"]).and_then(Value::as_text);
    let other = |finding: String, remedy: &str| Content::Other(Findings::single(finding, remedy));
    match (kind, inside(&["configuration", "value"]), spot) {
        (Some(STRING), Some(Value::Text(text)), spot) => {
            Content::Text(text.clone(), spot.map(|spot| spot.inlay(text, file)))
        }
        (Some(STRING), Some(_), _) => other(
            "the value of this google.protobuf.StringValue is no text".to_owned(),
            "Write value: | and the configuration in the lines below, indented.",
        ),
        (Some(STRUCT), Some(value), Some(spot)) => Content::Value(Read { value: value.clone(), spot: spot.clone() }),
        (Some(STRING | STRUCT), _, _) => other(
            "there is no value beside its @type".to_owned(),
            "Write value: | and the configuration in the lines below, indented.",
        ),
        (Some(kind), _, _) => other(
            format!("its @type is {}, which the filter does not understand", quoted(kind)),
            "Write \"@type\": type.googleapis.com/google.protobuf.StringValue, and the configuration as its value.",
        ),
        (None, _, _) => other(
            match inside(&["configuration"]) {
                Some(_) => "it has no @type".to_owned(),
                None => "there is none".to_owned(),
            },
            "Write one under config.configuration, as text in a google.protobuf.StringValue.",
        ),
    }
}

/// Those of `ours` that stand in one list of filters behind another with the same mark.
fn repeated_marks<'v>(value: &'v Value, ours: &[&'v Object], repeated: &mut Vec<&'v Object>) {
    match value {
        Value::Array(items) => {
            let mut marks = Vec::new();
            for item in items {
                let Some(Value::Object(filter)) = at(item, &["typed_config"]) else { continue };
                if ours.iter().any(|our| std::ptr::eq(*our, filter)) {
                    let mark = mark(filter);
                    if marks.contains(&mark) {
                        repeated.push(filter);
                    }
                    marks.push(mark);
                }
            }
            items.iter().for_each(|item| repeated_marks(item, ours, repeated));
        }
        Value::Object(object) => object.members().for_each(|(_, member)| repeated_marks(member, ours, repeated)),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) | Value::Text(_) => {}
    }
}

/// The `mark` of a filter's configuration, as it is written.
fn mark(wasm: &Object) -> Option<String> {
    at(&document_of(wasm)?, &["mark"]).and_then(Value::as_text).map(str::to_owned)
}

/// The document of a filter, where it can be read.
fn document_of(wasm: &Object) -> Option<Value> {
    match at(wasm.get("config")?, &["configuration", "value"])? {
        Value::Text(text) => Some(yaml::read(text, Bounds::CONFIG, scalars::plain).ok()?.into_iter().next()?.value),
        value => Some(value.clone()),
    }
}
