//! Configurations in files: alone, in an Istio WasmPlugin, in a configuration of Envoy, or in a ConfigMap that has one of these as a
//! text. In: the text of a YAML or JSON file. Out: each Boundgate configuration in it, in the form in which the proxy will get it, and
//! what was passed over. Not here: which filters of Envoy are meant, and what undoes them (`filters`).

mod filters;

pub(in crate::config) use filters::filters;
use filters::in_filters;

use std::borrow::Cow;

use crate::config::files::buffers::Buffer;
use crate::config::files::clusters::Clusters;
use crate::config::reading::finding::{Place, quoted};
use crate::config::reading::table::nearest;
use crate::config::text::scalars::{self, Scalars};
use crate::config::text::spots::{Inlay, Position, Spot};
use crate::config::text::yaml::{self, Read};
use crate::config::{Finding, Findings, check_secrets, compile, load};
use crate::json::{Bounds, Object, Value};
use crate::policy::{ConveyedIn, Policy};

/// A whole file may hold much more than one configuration.
const FILE: Bounds = Bounds { depth: 64, values: 1_000_000, members: 10_000 };

/// The most texts inside each other: a ConfigMap, a configuration of Envoy, the document.
const MOST_TEXTS: usize = 3;

/// What a file holds.
#[derive(Default)]
pub struct File {
    /// The configurations in it.
    pub documents: Vec<Document>,
    /// The wasm filters in it that were not judged, each with the reason.
    pub passed_over: Vec<String>,
    /// Whether there is a filter of Envoy in it, so that much around the configurations was not judged.
    pub is_envoys: bool,
}

/// A configuration in a file.
pub struct Document {
    /// Where in the file, if the file has other things: `WasmPlugin boundgate`, `filter boundgate`.
    pub place: Option<String>,
    content: Content,
    /// Where it begins in its text.
    begins: Option<Position>,
    /// Where its text stands in others, from the inside out; where each ends is the text of the next.
    inlays: Vec<Inlay>,
    /// What is wrong around it.
    around: Findings,
    /// The same, if it asks who peers are.
    mixed_trust: Option<Findings>,
    /// The same, if a route takes escaped slashes.
    hidden_slashes: Option<Findings>,
    /// The same, if it reads `x-forwarded-client-cert`.
    removed_header: Option<Findings>,
    /// What its listeners buffer.
    buffers: Vec<Buffer>,
    /// The clusters beside it.
    clusters: Clusters,
    /// The variables that its VM gets, where the file says it.
    variables: Option<Vec<String>>,
}

enum Content {
    /// Text in a StringValue, and where it stands.
    Text(String, Option<Inlay>),
    Value(Read),
    /// Nothing that could be judged, and why.
    Other(Findings),
}

impl Document {
    fn new(place: Option<String>, content: Content, begins: Option<Position>) -> Self {
        Self {
            place,
            content,
            begins,
            inlays: Vec::new(),
            around: Findings::default(),
            mixed_trust: None,
            hidden_slashes: None,
            removed_header: None,
            buffers: Vec::new(),
            clusters: Clusters::default(),
            variables: None,
        }
    }

    /// The same policy, and the same findings, as when the proxy loads it; and what the proxy cannot see. Positions are those
    /// in the file.
    pub fn policy(&self) -> Result<Policy, Findings> {
        let judged = match &self.content {
            Content::Text(text, inlay) => load(text.as_bytes()).map_err(|findings| {
                findings.moved(|inside| match (inside, inlay) {
                    (Some(inside), Some(inlay)) => Some(inlay.outside(inside)),
                    _ => self.begins,
                })
            }),
            Content::Value(read) => compile(read),
            Content::Other(findings) => Err(findings.clone()),
        };
        let around = |policy: &Policy| {
            let mixed_trust = self.mixed_trust.iter().filter(|_| policy.needs_identities);
            let hidden_slashes = self.hidden_slashes.iter().filter(|_| policy.takes_slashes());
            let removed_header = self.removed_header.iter().filter(|_| policy.reads(ConveyedIn::Xfcc));
            let around = mixed_trust.chain(hidden_slashes).chain(removed_header);
            let around = around.fold(self.around.clone(), Findings::and).and(&self.clusters.unpinned(policy));
            let Some(variables) = &self.variables else { return around };
            // What they hold is known where the proxy runs.
            let named = |name: &str| variables.iter().find(|variable| *variable == name).cloned();
            check_secrets(policy, &named).err().iter().fold(around, Findings::and)
        };
        let judged = match judged {
            Ok(policy) => {
                let around = around(&policy);
                if around.is_empty() { Ok(policy) } else { Err(around) }
            }
            Err(findings) => Err(findings.and(&self.around)),
        };
        judged.map_err(|findings| {
            findings.moved(|position| {
                let position = position.or(self.begins)?;
                Some(self.inlays.iter().fold(position, |position, inlay| inlay.outside(position)))
            })
        })
    }

    /// Where its parts are written in the file.
    pub fn places(&self) -> Places<'_> {
        let (spot, inlay) = match &self.content {
            Content::Text(text, inlay) => {
                let read = yaml::read(text, Bounds::CONFIG, scalars::plain).ok();
                (read.and_then(|read| Some(Cow::Owned(read.into_iter().next()?.spot))), *inlay)
            }
            Content::Value(read) => (Some(Cow::Borrowed(&read.spot)), None),
            Content::Other(_) => (None, None),
        };
        Places { spot, inlays: inlay.iter().chain(&self.inlays).copied().collect() }
    }

    /// What is no mistake and yet not as it should be, around it.
    pub fn warnings(&self, policy: &Policy) -> Vec<String> {
        let too_small = self.buffers.iter().filter_map(|buffer| buffer.too_small_for(policy));
        too_small.chain(self.clusters.doubtful(policy)).collect()
    }
}

/// Where the parts of a configuration are written in its file.
pub struct Places<'d> {
    /// `None` where the text cannot be read.
    spot: Option<Cow<'d, Spot>>,
    /// From the inside out.
    inlays: Vec<Inlay>,
}

impl Places<'_> {
    /// Where the part at `path` begins, which is written as in findings; `None` of one that is not written.
    pub fn of(&self, path: &str) -> Option<Position> {
        let position = self.spot.as_ref()?.written(&Place::root(), path)?;
        Some(self.inlays.iter().fold(position, |position, inlay| inlay.outside(position)))
    }
}

/// What is in a file. `Err`: it is neither YAML nor JSON, or has no configuration.
pub fn documents(text: &str) -> Result<File, Finding> {
    let mut file = File::default();
    in_text(text, MOST_TEXTS, &mut file)?;
    if file.documents.is_empty() {
        return Err(Finding {
            path: String::new(),
            finding: "no Boundgate configuration is in it, no WasmPlugin, and no wasm filter of Envoy".to_owned(),
            remedy: "Where one stands as a text inside (Helm, a Secret's base64), render or decode it and check that: \
                     `boundgate check -` reads its input."
                .to_owned(),
            position: None,
        });
    }
    Ok(file)
}

/// `left`: how many more texts may stand inside each other.
fn in_text(text: &str, left: usize, file: &mut File) -> Result<(), Finding> {
    let mut read = yaml::read(text, FILE, scalars::plain)?;
    // What is YAML to Envoy is read as Envoy reads it; everything with a `kind` comes through Kubernetes, and JSON has one reading.
    if !text.trim_start().starts_with('{') && read.iter().any(|read| of_kind(&read.value).is_none()) {
        let as_envoy: Scalars = scalars::of_envoy;
        let envoys = yaml::read(text, FILE, as_envoy)?;
        for (read, envoys) in read.iter_mut().zip(envoys) {
            let mut found = Vec::new();
            filters(&read.value, &mut found);
            if of_kind(&read.value).is_none() && !found.is_empty() {
                *read = envoys;
            }
        }
    }
    read.iter().for_each(|read| in_document(read, text, left, file));
    Ok(())
}

fn of_kind(value: &Value) -> Option<&str> {
    at(value, &["kind"]).and_then(Value::as_text)
}

fn in_document(Read { value, spot }: &Read, text: &str, left: usize, file: &mut File) {
    // What is left between two lines of ---, where a template rendered nothing.
    if *value == Value::Null {
        return;
    }
    let before = file.documents.len();
    match of_kind(value) {
        Some("WasmPlugin") => file.documents.push(in_plugin(value, spot)),
        Some(kind @ ("ConfigMap" | "Secret")) => in_texts(kind, value, spot, text, left, file),
        Some("List") => {
            for (index, item) in at(value, &["items"]).and_then(Value::as_array).unwrap_or_default().iter().enumerate()
            {
                if let Some(spot) = spot.at(&["items"]).and_then(|items| items.item(index)) {
                    in_document(&Read { value: item.clone(), spot: spot.clone() }, text, left, file);
                }
            }
            return;
        }
        _ => in_filters(value, spot, text, file),
    }
    let foreign = ["apiVersion", "kind", "static_resources", "dynamic_resources", "@type"];
    let names = |name: &str| value.as_object().is_some_and(|object| object.get(name).is_some());
    // Texts of a ConfigMap may be anything.
    let is_one = left == MOST_TEXTS || names("resources");
    if file.documents.len() == before && is_one && !foreign.iter().any(|name| names(name)) {
        let read = Read { value: value.clone(), spot: spot.clone() };
        return file.documents.push(Document::new(None, Content::Value(read), Some(spot.begins)));
    }
    let parts: [&[&str]; 1] = [&["spec", "pluginConfig"]];
    let mut judged: Vec<&Spot> = parts.iter().filter_map(|part| spot.at(part)).collect();
    let mut wasm = Vec::new();
    filters(value, &mut wasm);
    judged.extend(wasm.iter().filter_map(|wasm| spot.of(wasm, value)?.at(&["config", "configuration", "value"])));
    let mut repeated = Findings::default();
    spot.repeated(&Place::root(), &judged, &mut repeated);
    if !repeated.is_empty() {
        file.documents.push(Document::new(None, Content::Other(repeated), Some(spot.begins)));
    }
}

fn in_plugin(value: &Value, spot: &Spot) -> Document {
    let name = at(value, &["metadata", "name"]).and_then(Value::as_text).unwrap_or("without a name");
    let config = ["spec", "pluginConfig"];
    let content = match (at(value, &config), spot.at(&config)) {
        (Some(config), Some(spot)) => Content::Value(Read { value: config.clone(), spot: spot.clone() }),
        _ => {
            let spec = at(value, &["spec"]).and_then(Value::as_object);
            let names = spec.into_iter().flat_map(Object::members).map(|(name, _)| name);
            let remedy = match nearest("pluginConfig", names) {
                Some(near) => format!("Write pluginConfig instead of {near}."),
                None => "Write the configuration as a table under spec.pluginConfig.".to_owned(),
            };
            Content::Other(Findings::single("spec.pluginConfig is missing", remedy))
        }
    };
    let begins = spot.at(&["spec"]).unwrap_or(spot).begins;
    let environment = at(value, &["spec", "vmConfig", "env"]).and_then(Value::as_array).unwrap_or_default();
    let variables = environment.iter().filter_map(|variable| at(variable, &["name"])?.as_text().map(str::to_owned));
    let variables = Some(variables.collect());
    Document { variables, ..Document::new(Some(format!("WasmPlugin {name}")), content, Some(begins)) }
}

/// Looks into the texts of a ConfigMap, or of a Secret that is not encoded.
fn in_texts(kind: &str, value: &Value, spot: &Spot, text: &str, left: usize, file: &mut File) {
    let name = at(value, &["metadata", "name"]).and_then(Value::as_text).unwrap_or("without a name");
    let data = if kind == "ConfigMap" { "data" } else { "stringData" };
    let (Some(texts), Some(left)) = (at(value, &[data]).and_then(Value::as_object), left.checked_sub(1)) else {
        return;
    };
    for (member, inner) in texts.members() {
        let (Some(inner), Some(spot)) = (inner.as_text(), spot.at(&[data, member])) else { continue };
        let mut inside = File::default();
        if let Err(fault) = in_text(inner, left, &mut inside) {
            // Other texts are nobody's concern here.
            if inner.contains("boundgate") || inner.contains("resources:") {
                inside.documents.push(Document::new(None, Content::Other(Findings::of(fault)), None));
            }
        }
        let place = format!("{kind} {name}, {data} {}", quoted(member));
        let inlay = spot.inlay(inner, text);
        file.documents.extend(inside.documents.into_iter().map(|mut document| {
            document.inlays.push(inlay);
            document.place = Some(document.place.map_or_else(|| place.clone(), |inner| format!("{place}: {inner}")));
            document.begins.get_or_insert(Position { line: 1, column: 1 });
            document
        }));
        file.passed_over.extend(inside.passed_over.into_iter().map(|other| format!("{place}: {other}")));
        file.is_envoys |= inside.is_envoys;
    }
}

/// The value at `path` below `value`.
pub(in crate::config) fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| value.as_object()?.get(name))
}

#[cfg(test)]
mod tests {
    use super::filters::{STRING, STRUCT, WASM};
    use super::*;

    const CONFIG: &str = "{ resources: [{ hosts: [a], routes: [{ path: /, access: public }] }] }";

    fn places(text: &str) -> Vec<(Option<String>, Result<(), String>)> {
        let judged = |document: Document| {
            (document.place.clone(), document.policy().map(drop).map_err(|findings| findings.to_string()))
        };
        documents(text).unwrap().documents.into_iter().map(judged).collect()
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
    fn the_wasm_filters_of_others_are_passed_over_by_name_where_one_is_or_looks_like_ours() {
        let ours = format!("{{ \"@type\": {STRUCT}, value: {CONFIG} }}");
        let other = "{ \"@type\": type.googleapis.com/google.protobuf.StringValue, value: other }";
        let both = |name: &str| {
            let ours = filter(&ours).replace("name: ours", name);
            places(&format!("all: {{ x: {{ {} }}, y: {{ {} }} }}", ours, filter(other)))
        };
        for name in [
            "name: boundgate",
            "root_id: boundgate",
            "vm_config: { code: { local: { filename: /a/boundgate.wasm } } }",
            "name: gate",
        ] {
            assert!(matches!(&both(name)[..], [(_, Ok(()))]), "{name}");
        }
        let file = documents(&format!("all: [{}, {}]", filter(&ours), filter(other).replace("ours", "stamp"))).unwrap();
        assert!(matches!(&file.passed_over[..], [other] if other.starts_with("filter stamp was not judged: ")));
        assert!(file.is_envoys && !documents(CONFIG).unwrap().is_envoys);
    }

    #[test]
    fn a_second_filter_with_another_name_is_judged_too() {
        let ours = |name: &str, config: &str| {
            let configuration = format!("{{ \"@type\": {STRUCT}, value: {config} }}");
            filter(&configuration).replace("name: ours", name)
        };
        let wrong = CONFIG.replace("path", "pth");
        let file =
            format!("all: {{ x: {{ {} }}, y: {{ {} }} }}", ours("name: boundgate", CONFIG), ours("name: gate", &wrong));
        assert!(matches!(&places(&file)[..], [(_, Ok(())), (_, Err(_))]));
        let nobodys = filter("{ \"@type\": type.googleapis.com/google.protobuf.StringValue, value: other }");
        assert!(matches!(&places(&nobodys)[..], [(_, Err(_))]), "where none looks like ours, all are judged");
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
    fn a_filter_without_a_configuration_is_a_finding_that_says_what_it_has_instead() {
        let of = |configuration: &str| {
            let file = filter(configuration).replace("ours", "boundgate");
            places(&file).remove(0).1.unwrap_err()
        };
        let any =
            |kind: &str, rest: &str| of(&format!("{{ \"@type\": type.googleapis.com/google.protobuf.{kind}{rest} }}"));
        for (said, expected) in [
            (
                any("BytesValue", ", value: AA=="),
                r#"its @type is "type.googleapis.com/google.protobuf.BytesValue", which"#,
            ),
            (any("Struct", ""), "there is no value beside its @type. Write value: |"),
            (
                any("StringValue", ", value: { resources: [] }"),
                "the value of this google.protobuf.StringValue is no text. Write",
            ),
            (of("{ value: {} }"), "it has no @type. Write one under config.configuration"),
        ] {
            assert!(said.starts_with(&format!("configuration: {expected}")), "{said}");
        }
        for (file, expected) in [
            ("kind: WasmPlugin\nspec: {}\n", "Write the configuration as a table under spec.pluginConfig."),
            ("kind: WasmPlugin\nspec: { pluginconfig: {} }\n", "Write pluginConfig instead of pluginconfig."),
        ] {
            let said = places(file).remove(0).1.unwrap_err();
            assert_eq!(said, format!("configuration: spec.pluginConfig is missing. {expected}"));
        }
    }

    /// Position, path and finding of everything that is said about a file.
    fn said(file: &str) -> Vec<(String, String, String)> {
        let mut said = Vec::new();
        for document in documents(file).unwrap().documents {
            for finding in document.policy().err().iter().flat_map(Findings::iter) {
                let position = finding.position.map_or_else(String::new, |position| position.to_string());
                said.push((position, finding.path.clone(), finding.finding.clone()));
            }
        }
        said
    }

    #[test]
    fn a_finding_is_told_with_its_line_and_column() {
        let file = format!(
            "---\nlimts: {{}}\nresources:\n  - hosts: [a, b]\n    routes:\n      - {{ path: /, access: public }}\n  - routes: [{{ path: /x, acess: public }}]\n    \
             hosts:\n      - c\n      - b\n---\nkind: WasmPlugin\nspec:\n  pluginConfig:\n    resources: []\n---\n{}\n---\n{}\n",
            filter(&format!("{{ \"@type\": {STRUCT}, value: {{ resources: [{{ hosts: [] }}] }} }}")),
            filter(&format!("{{ \"@type\": {STRING}, value: '{{\"resources\": 1}}' }}")),
        );
        let column = |text: &str, line: usize| file.lines().nth(line - 1).unwrap().find(text).unwrap() + 1;
        let inside = |text: &str, line: usize| format!("{line}:{}", column(text, line));
        let expected = [
            ("2:1".to_owned(), "limts"),
            ("7:5".to_owned(), "resources[1].audiences"),
            ("7:5".to_owned(), "resources[1].issuers"),
            ("7:26".to_owned(), "resources[1].routes[0].acess"),
            ("10:9".to_owned(), "resources[1].hosts[1]"),
            ("15:5".to_owned(), "resources"),
            (inside("{ hosts", 17), "resources[0].routes"),
            (inside("hosts: [] }", 17), "resources[0].hosts"),
            (inside("\"resources\": 1", 19), "resources"),
        ];
        let told = said(&file);
        let told: Vec<(String, &str)> = told.iter().map(|(position, path, _)| (position.clone(), &**path)).collect();
        assert_eq!(told, expected);
    }

    /// `text` as a block, behind so many spaces.
    fn block(text: &str, spaces: usize) -> String {
        text.lines().map(|line| format!("{}{line}\n", " ".repeat(spaces))).collect()
    }

    #[test]
    fn a_finding_in_a_text_of_envoys_file_is_told_where_it_stands_in_the_file() {
        let text = "# ours\n\nresources:\n- hosts: [a]\n  routes: [{ pth: / }]\n";
        let at = |header: &str, spaces: usize| {
            let file = format!(
                "x:\n- \"@type\": {WASM}\n  config:\n    name: boundgate\n    configuration:\n      \"@type\": {STRING}\n      value: {header}\n{}",
                block(text, spaces)
            );
            let (position, path, _) = said(&file).into_iter().find(|(_, path, _)| path.ends_with("pth")).unwrap();
            assert_eq!(path, "resources[0].routes[0].pth");
            position
        };
        assert_eq!(at("|", 8), "12:22");
        assert_eq!(at("|2-   # a comment", 8), "12:22");
        assert_eq!(at("|", 9), "12:23");
        let folded = format!(
            "x: [{}]",
            filter(&format!("{{ \"@type\": {STRING}, value: \"resources: [{{ hosts: \\x5b] }}]\" }}"))
        );
        assert!(said(&folded).iter().all(|(position, ..)| *position == said(&folded)[0].0), "no lines of its own");
    }

    #[test]
    fn a_text_of_a_config_map_is_read_as_the_file_that_it_is() {
        let envoy = format!(
            "listeners:\n- \"@type\": {WASM}\n  config:\n    name: boundgate\n    configuration:\n      \"@type\": {STRING}\n      value: |\n        resources:\n        - hosts: [a]\n          rotes: []\n"
        );
        let map = |kind: &str, data: &str| {
            format!(
                "apiVersion: v1\nkind: {kind}\nmetadata: {{ name: envoy }}\n{data}:\n  other.txt: \"a: {{\"\n  lds.yaml: |\n{}  policy.yaml: |\n    resources: 1\n",
                block(&envoy, 4)
            )
        };
        for (kind, data) in [("ConfigMap", "data"), ("Secret", "stringData")] {
            let file = map(kind, data);
            let found = documents(&file).unwrap();
            let found: Vec<String> = found.documents.into_iter().filter_map(|document| document.place).collect();
            let inside = |member: &str| format!("{kind} envoy, {data} \"{member}\"");
            assert_eq!(found, [inside("lds.yaml") + ": filter boundgate", inside("policy.yaml")]);
            let said = said(&file);
            let at = |path: &str| said.iter().find(|(_, other, _)| other == path).unwrap().0.clone();
            assert_eq!((at("resources[0].rotes").as_str(), at("resources").as_str()), ("16:15", "18:5"));
        }
        let list =
            format!("apiVersion: v1\nkind: List\nitems:\n- {}", block(&map("ConfigMap", "data"), 2).trim_start());
        assert_eq!(documents(&list).unwrap().documents.len(), 2);
        assert!(documents("kind: ConfigMap\ndata: { a: 'b: 1' }\n").is_err(), "texts of others");
        let broken = said("kind: ConfigMap\ndata:\n  boundgate.yaml: |\n    resources:\n    - {\n");
        assert_eq!(broken[0].0, "5:7");
    }

    #[test]
    fn what_envoy_reads_differently_in_its_own_yaml_is_a_finding() {
        let config = "resources: [{ hosts: [a], realm: REALM, routes: [{ path: /, access: public, limits: [l] }] }], \
                      limits: { l: { key: [ip], rate: 1/s, burst: BURST } }";
        let of = |burst: &str, realm: &str| {
            let config = config.replace("BURST", burst).replace("REALM", realm);
            said(&filter(&format!("{{ \"@type\": {STRUCT}, value: {{ {config} }} }}")))
        };
        for burst in ["010", "1e3", "1_000", "0o10", "0x10", "!!int 10", "yes"] {
            let said = of(burst, "a");
            assert!(matches!(&said[..], [(_, path, _)] if path == "limits.l.burst"), "{burst} {said:?}");
        }
        assert_eq!(of("5.0", "a")[0].2, "this is text, not a whole number");
        assert!(of("10", "a, mode: report, mode: enforce")[0].2.starts_with("the same key stands in this table"));
        assert_eq!(of("10", "a, <<: { mode: report }")[0].1, "resources[0][\"<<\"]");
        for realm in ["1.10", "12345678901", "'010'"] {
            assert_eq!(of("10", realm), [], "{realm}");
        }
    }

    #[test]
    fn a_repeated_key_and_a_file_without_configuration_are_errors() {
        let error = |text: &str| documents(text).err().unwrap().finding;
        assert_eq!(
            said("a: 1\na: 2\n")[1],
            ("2:1".into(), "a".into(), "the same key stands in this table already".into())
        );
        let envoys = format!(
            "node: {{ id: a, id: b }}\nx: [{}]",
            filter(&format!("{{ \"@type\": {STRUCT}, value: {CONFIG} }}"))
        );
        assert_eq!(
            said(&envoys),
            [("1:16".into(), "node.id".into(), "the same key stands in this table already".into())]
        );
        for text in ["", "# a comment\n---\n---\n", "kind: Service\n", "static_resources: {}\n"] {
            assert_eq!(error(text), "no Boundgate configuration is in it, no WasmPlugin, and no wasm filter of Envoy");
        }
    }

    #[test]
    fn what_is_written_has_its_place_in_the_file_and_what_is_not_has_none() {
        let lines = "resources:\n- hosts: [a]\n  routes:\n  - { path: /, access: public }\n";
        let indented: String = lines.lines().map(|line| format!("      {line}\n")).collect();
        let map = format!("kind: ConfigMap\ndata:\n  a: |\n{indented}");
        let value = "\n'resources: [{ hosts: [a], routes: [{ path: /, access: public }] }]'";
        let filter = filter(&format!("{{ \"@type\": {STRING}, value: {value} }}"));
        for (text, path, told) in [
            (lines, "resources[0].routes[0].access", Some((4, 16))),
            (lines, "resources[0].routes[0].bound", None),
            (lines, "resources[1]", None),
            (&map, "resources[0].routes[0]", Some((7, 11))),
            (&filter, "resources[0].routes", Some((2, 28))),
        ] {
            let position = documents(text).unwrap().documents[0].places().of(path);
            assert_eq!(position, told.map(|(line, column)| Position { line, column }), "{text} {path}");
        }
    }
}
