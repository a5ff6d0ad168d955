//! Configurations in files: alone, in an Istio WasmPlugin, or in a configuration of Envoy. In: the text of a YAML or
//! JSON file. Out: each Boundgate configuration in it, in the form in which the proxy will get it.

use serde::de::{Deserialize, Deserializer};
use serde_saphyr::UserMessageFormatter;

use crate::config::chains::of_mixed_trust;
use crate::config::escaped_slashes;
use crate::config::finding::Place;
use crate::config::spots::{Spot, spots};
use crate::config::{Finding, Findings, compile, load};
use crate::json::{self, Bounds, Object, Value};
use crate::policy::Policy;

pub use crate::config::spots::Position;

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
    /// What is wrong around it.
    around: Findings,
    /// The same, if it asks who peers are.
    mixed_trust: Option<Findings>,
    /// The same, if a route takes escaped slashes.
    hidden_slashes: Option<Findings>,
    /// Where its parts stand in the file, if they are YAML there.
    spot: Option<Spot>,
}

enum Content {
    /// JSON text in a StringValue.
    Text(String),
    Value(Value),
    /// No or another `configuration` of a filter.
    Other(&'static str),
}

impl Document {
    fn new(place: Option<String>, content: Content, spot: Option<&Spot>) -> Self {
        let around = Findings::default();
        Self { place, content, around, mixed_trust: None, hidden_slashes: None, spot: spot.cloned() }
    }

    /// The same policy, and the same findings, as when the proxy loads it; and what the proxy cannot see.
    pub fn policy(&self) -> Result<Policy, Findings> {
        let judged = match &self.content {
            Content::Text(text) => load(text.as_bytes()),
            Content::Value(value) => compile(value),
            Content::Other(finding) => Err(Findings::single(
                *finding,
                "Write one, as google.protobuf.Struct or as JSON in a google.protobuf.StringValue.",
            )),
        };
        let around = |policy: &Policy| {
            let mixed_trust = self.mixed_trust.iter().filter(|_| policy.needs_identities);
            let hidden_slashes = self.hidden_slashes.iter().filter(|_| policy.takes_slashes());
            mixed_trust.chain(hidden_slashes).fold(self.around.clone(), Findings::and)
        };
        match judged {
            Ok(policy) => {
                let around = around(&policy);
                if around.is_empty() { Ok(policy) } else { Err(around) }
            }
            Err(findings) => Err(findings.and(&self.around)),
        }
    }

    /// Where in the file the part stands that a finding is about.
    pub fn position(&self, finding: &Finding) -> Option<Position> {
        self.spot.as_ref()?.position(&finding.path)
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
            whole
                .map_err(|fault| fault.without_snippet().render_with_formatter(&UserMessageFormatter))?
                .into_iter()
                .map(|whole| whole.0)
                .collect()
        }
    };
    let spots = spots(text);
    let mut found = Vec::new();
    for (index, value) in parsed.into_iter().enumerate() {
        in_document(value, spots.get(index), &mut found);
    }
    if found.is_empty() {
        return Err("no Boundgate configuration is in it, no WasmPlugin, and no wasm filter of Envoy".to_owned());
    }
    Ok(found)
}

fn in_document(value: Value, spot: Option<&Spot>, found: &mut Vec<Document>) {
    let text = |path: &[&str]| at(&value, path).and_then(Value::as_text);
    if text(&["kind"]) == Some("WasmPlugin") {
        let name = text(&["metadata", "name"]).unwrap_or("without a name");
        let content = match at(&value, &["spec", "pluginConfig"]) {
            Some(config) => Content::Value(config.clone()),
            None => Content::Other("spec.pluginConfig is missing"),
        };
        let spot = spot.and_then(|spot| spot.at(&["spec", "pluginConfig"]));
        return found.push(Document::new(Some(format!("WasmPlugin {name}")), content, spot));
    }
    let before = found.len();
    let mut wasm = Vec::new();
    filters(&value, &mut wasm);
    // A proxy may have wasm filters of others. Where any says that it is Boundgate, those are meant.
    let named = wasm.iter().any(|filter| is_named(filter));
    let (mixed, hidden) = (of_mixed_trust(&value), escaped_slashes::hidden(&value));
    let of = |findings: &[(&Object, Findings)], wasm: &Object| {
        findings.iter().find(|(filter, _)| std::ptr::eq(*filter, wasm)).map(|(_, findings)| findings.clone())
    };
    wasm.retain(|wasm| !named || is_named(wasm));
    let mut repeated = Vec::new();
    repeated_marks(&value, &wasm, &mut repeated);
    let is_repeated = |wasm: &Object| repeated.iter().any(|other| std::ptr::eq(*other, wasm));
    found.extend(wasm.iter().map(|wasm| Document {
        mixed_trust: of(&mixed, wasm),
        hidden_slashes: of(&hidden, wasm),
        ..filter(wasm, is_repeated(wasm), spot.and_then(|spot| spot.of(wasm, &value)))
    }));
    let foreign = ["apiVersion", "kind", "static_resources", "dynamic_resources", "@type"];
    let alone = value.as_object().is_none_or(|object| foreign.iter().all(|name| object.get(name).is_none()));
    if found.len() == before && alone {
        found.push(Document::new(None, Content::Value(value), spot));
    }
}

/// The wasm filters in `value`, however deep. As deep as the file, which is bounded.
pub(super) fn filters<'v>(value: &'v Value, found: &mut Vec<&'v Object>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| filters(item, found)),
        Value::Object(object) if object.get("@type").and_then(Value::as_text) == Some(WASM) => found.push(object),
        Value::Object(object) => object.members().for_each(|(_, member)| filters(member, found)),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) | Value::Text(_) => {}
    }
}

/// Whether its names or the place of its module say Boundgate.
fn is_named(wasm: &Object) -> bool {
    let code: [&[&str]; 2] =
        [&["vm_config", "code", "local", "filename"], &["vm_config", "code", "remote", "http_uri", "uri"]];
    let places = code.into_iter().chain([&["name"][..], &["root_id"]]);
    let config = wasm.get("config");
    let mut texts = places.filter_map(|path| at(config?, path)?.as_text());
    texts.any(|text| text.contains("boundgate"))
}

/// `repeated`: another filter before it in its chain has the same mark. `spot`: where the filter stands.
fn filter(wasm: &Object, repeated: bool, spot: Option<&Spot>) -> Document {
    let config = wasm.get("config");
    let name = config.and_then(|config| at(config, &["name"])).and_then(Value::as_text).unwrap_or("without a name");
    let mut around = Findings::default();
    let goes_on = config.and_then(|config| at(config, &["allow_on_headers_stop_iteration"]));
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
    let content = content(wasm);
    let spot = match &content {
        Content::Value(_) => spot.and_then(|spot| spot.at(&["config", "configuration", "value"])),
        Content::Text(_) | Content::Other(_) => None,
    };
    Document { around, ..Document::new(Some(format!("filter {name}")), content, spot) }
}

fn content(wasm: &Object) -> Content {
    let inside = |path: &[&str]| wasm.get("config").and_then(|config| at(config, path));
    match (inside(&["configuration", "@type"]).and_then(Value::as_text), inside(&["configuration", "value"])) {
        (Some(STRING), Some(Value::Text(text))) => Content::Text(text.clone()),
        (Some(STRUCT), Some(value)) => Content::Value(value.clone()),
        _ => Content::Other("there is none that the filter understands"),
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
    let parsed = match content(wasm) {
        Content::Text(text) => json::parse(text.as_bytes(), Bounds::CONFIG).ok()?,
        Content::Value(value) => value,
        Content::Other(_) => return None,
    };
    at(&parsed, &["mark"]).and_then(Value::as_text).map(str::to_owned)
}

/// The value at `path` below `value`.
pub(super) fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| value.as_object()?.get(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "{ resources: [{ hosts: [a], routes: [{ path: /, access: public }] }] }";

    fn places(text: &str) -> Vec<(Option<String>, Result<(), String>)> {
        let judged = |document: Document| {
            (document.place.clone(), document.policy().map(drop).map_err(|findings| findings.to_string()))
        };
        documents(text).unwrap().into_iter().map(judged).collect()
    }

    fn filter(configuration: &str) -> String {
        format!("a: [{{ b: {{ \"@type\": {WASM}, config: {{ name: ours, configuration: {configuration} }} }} }}]")
    }

    #[test]
    fn every_configuration_of_a_file_is_found_where_it_stands() {
        let file = format!(
            "# a comment\n---\n{CONFIG}\n---\nkind: WasmPlugin\nmetadata: {{ name: gateway }}\nspec: {{ pluginConfig: {CONFIG} }}\n\
             ---\nkind: Service\n---\n{}\n---\n{}\n",
            filter(&format!("{{ \"@type\": {STRUCT}, value: {CONFIG} }}")),
            filter(&format!("{{ \"@type\": {STRING}, value: '{{\"resources\": 1}}' }}")),
        );
        let wrong =
            "resources: this is a number, not a list. Write a list of tables, each behind a dash, like - hosts: ..."
                .to_owned();
        assert_eq!(
            places(&file),
            [
                (None, Ok(())),
                (Some("WasmPlugin gateway".into()), Ok(())),
                (Some("filter ours".into()), Ok(())),
                (Some("filter ours".into()), Err(wrong)),
            ]
        );
    }

    #[test]
    fn the_wasm_filters_of_others_are_left_alone_where_one_is_named_boundgate() {
        let ours = format!("{{ \"@type\": {STRUCT}, value: {CONFIG} }}");
        let other = "{ \"@type\": type.googleapis.com/google.protobuf.StringValue, value: other }";
        let both = |name: &str| {
            let ours = filter(&ours).replace("name: ours", name);
            places(&format!("all: {{ x: {{ {} }}, y: {{ {} }} }}", ours, filter(other)))
        };
        for name in
            ["name: boundgate", "root_id: boundgate", "vm_config: { code: { local: { filename: /a/boundgate.wasm } } }"]
        {
            assert!(matches!(&both(name)[..], [(_, Ok(()))]), "{name}");
        }
        assert!(matches!(&both("name: ours")[..], [(_, Ok(())), (_, Err(_))]));
    }

    #[test]
    fn what_undoes_a_filter_from_around_it_is_a_finding() {
        let ours = |more: &str, mark: &str| {
            let config = format!("{{ mark: {mark}, {}", &CONFIG[1..]).replace("mark: none, ", "");
            let config = format!("{{ name: ours, {more} configuration: {{ \"@type\": {STRUCT}, value: {config} }} }}");
            format!("{{ name: x, typed_config: {{ \"@type\": {WASM}, config: {config} }} }}")
        };
        let judged = |chains: &[&[String]]| {
            let chains: Vec<String> =
                chains.iter().map(|chain| format!("{{ http_filters: [{}] }}", chain.join(", "))).collect();
            let judged = places(&format!("listeners: [{}]", chains.join(", ")));
            judged.into_iter().map(|(_, judged)| judged.err().unwrap_or_default()).collect::<Vec<_>>()
        };
        let (alone, edge) = (ours("", "none"), ours("", "edge"));
        let [first, second] = &judged(&[&[alone.clone(), alone.clone()]])[..] else { panic!() };
        assert!(first.is_empty() && second.starts_with("mark: the same as that of another filter"), "{second}");
        assert_eq!(judged(&[&[alone.clone(), edge.clone()]]), ["", ""]);
        let alone = std::slice::from_ref(&alone);
        assert_eq!(judged(&[alone, alone]), ["", ""], "two chains");
        assert_eq!(judged(&[&[edge.clone(), edge]])[0], "");
        let [goes_on] = &judged(&[&[ours("allow_on_headers_stop_iteration: true,", "none")]])[..] else { panic!() };
        assert!(goes_on.starts_with("allow_on_headers_stop_iteration: set"), "{goes_on}");
        assert_eq!(judged(&[&[ours("allow_on_headers_stop_iteration: false,", "none")]]), [""]);
    }

    #[test]
    fn a_filter_without_a_configuration_is_a_finding() {
        let wrong = filter("{ \"@type\": type.googleapis.com/google.protobuf.BytesValue, value: AA== }");
        for file in [wrong.as_str(), "kind: WasmPlugin\nspec: {}\n"] {
            assert!(matches!(&places(file)[..], [(Some(_), Err(_))]), "{file}");
        }
    }

    #[test]
    fn a_finding_is_told_with_its_line_and_column() {
        let file = format!(
            "---\nlimts: {{}}\nresources:\n  - hosts: [a, b]\n    routes:\n      - {{ path: /, access: public }}\n  - routes: [{{ path: /x, acess: public }}]\n    \
             hosts:\n      - c\n      - b\n---\nkind: WasmPlugin\nspec:\n  pluginConfig:\n    resources: []\n---\n{}\n---\n{}\n",
            filter(&format!("{{ \"@type\": {STRUCT}, value: {{ resources: [{{ hosts: [] }}] }} }}")),
            filter(&format!("{{ \"@type\": {STRING}, value: '{{\"resources\": 1}}' }}")),
        );
        let mut told = Vec::new();
        for document in documents(&file).unwrap() {
            for finding in document.policy().err().unwrap().iter() {
                let position = document.position(finding).map(|position| position.to_string());
                told.push((position.unwrap_or_default(), finding.path.clone()));
            }
        }
        let value = file.find("value: { res").map(|place| place - file[..place].rfind('\n').unwrap()).unwrap();
        let inside = |text: &str| format!("17:{}", value + "value: { resources: [{ hosts: [] }] }".find(text).unwrap());
        let expected = [
            ("2:1".to_owned(), "limts"),
            ("7:5".to_owned(), "resources[1].audiences"),
            ("7:5".to_owned(), "resources[1].issuers"),
            ("7:26".to_owned(), "resources[1].routes[0].acess"),
            ("10:9".to_owned(), "resources[1].hosts[1]"),
            ("15:5".to_owned(), "resources"),
            (inside("{ hosts"), "resources[0].routes"),
            (inside("hosts"), "resources[0].hosts"),
            (String::new(), "resources"),
        ];
        let told: Vec<(String, &str)> = told.iter().map(|(position, path)| (position.clone(), &**path)).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_repeated_key_and_a_file_without_configuration_are_errors() {
        let error = |text: &str| documents(text).err().unwrap();
        assert_eq!(error("a: 1\na: 2\n"), "duplicate mapping key `a` is not allowed here at line 2, column 1");
        assert_eq!(error("{\"a\": 1, \"a\": 2}"), "member \"a\" occurs twice at line 1 column 16");
        for text in ["", "kind: Service\n", "static_resources: {}\n"] {
            assert_eq!(error(text), "no Boundgate configuration is in it, no WasmPlugin, and no wasm filter of Envoy");
        }
    }
}
