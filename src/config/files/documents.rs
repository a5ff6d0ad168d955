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
mod tests;
