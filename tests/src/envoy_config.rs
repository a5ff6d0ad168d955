//! The configuration of a test's Envoy. In: a shipped file, `envoy/boundgate.yaml` unless a test wants another, and
//! what is to be different. Out: a bootstrap without listeners, and the listeners, which Envoy gets by file so that they
//! can be updated (LDS).
//!
//! Not here: running it (`envoy`).

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::pki::Identity;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ has a parent").to_owned()
}

/// The shipped configuration that the others repeat.
const USUAL: &str = "envoy/boundgate.yaml";

/// A shipped configuration as a value.
fn shipped(file: &str) -> Value {
    let file = root().join(file);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    yaml(&text)
}

pub(crate) fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("not YAML: {error}\n{text}"))
}

/// The configuration of the filter, in the form it is handed over.
#[derive(Clone, Debug)]
pub enum PluginConfig {
    /// A `google.protobuf.StringValue`: YAML as shipped, JSON as Istio hands it over, or any other text.
    Text(String),
    /// A `google.protobuf.Struct`.
    Struct(Value),
}

impl PluginConfig {
    /// The one in `envoy/boundgate.yaml`.
    pub fn shipped() -> Self {
        Self::shipped_in(USUAL)
    }

    /// The one in a shipped file.
    pub fn shipped_in(file: &str) -> Self {
        let mut shipped = shipped(file);
        let listener = listener_mut(&mut shipped, MAIN);
        let value = &filter_mut(listener, FILTER)["typed_config"]["config"]["configuration"]["value"];
        Self::Text(value.as_str().expect("the shipped configuration is text").to_owned())
    }

    /// The one in `envoy/boundgate.yaml`, with a change.
    pub fn shipped_but(change: impl FnOnce(&mut Value)) -> Self {
        let Self::Text(text) = Self::shipped() else { unreachable!("the shipped configuration is text") };
        let mut config = yaml(&text);
        change(&mut config);
        config.into()
    }

    fn any(&self) -> Value {
        match self {
            Self::Text(text) => json!({ "@type": "type.googleapis.com/google.protobuf.StringValue", "value": text }),
            Self::Struct(value) => json!({ "@type": "type.googleapis.com/google.protobuf.Struct", "value": value }),
        }
    }
}

impl From<Value> for PluginConfig {
    fn from(json: Value) -> Self {
        Self::Text(json.to_string())
    }
}

impl From<&str> for PluginConfig {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// What the listener does about client certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Asks; a certificate that is sent must be valid. As shipped.
    Requested,
    /// No certificate, no connection.
    Required,
    /// Asks, and lets in certificates that no CA signed.
    AcceptUntrusted,
    /// Does not ask.
    NotRequested,
}

/// Where the others are.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    /// Takes the place of the cluster `as`.
    pub authorization_server: SocketAddr,
    /// Takes the place of the cluster `upstream`.
    pub upstream: SocketAddr,
}

type Edit = Arc<dyn Fn(&mut Value) + Send + Sync>;

/// How a test's Envoy differs from the shipped one.
#[derive(Clone)]
pub struct EnvoyConfig {
    file: &'static str,
    plugin: PluginConfig,
    module: PathBuf,
    filter: bool,
    interlock: bool,
    plaintext: bool,
    client_certificates: ClientCertificates,
    failure_policy: Option<&'static str>,
    variables: Vec<(&'static str, &'static str)>,
    pub(crate) concurrency: u32,
    pub(crate) drain_seconds: u32,
    edits: Vec<Edit>,
}

impl fmt::Debug for EnvoyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvoyConfig").field("plugin", &self.plugin).finish_non_exhaustive()
    }
}

impl<P: Into<PluginConfig>> From<P> for EnvoyConfig {
    fn from(plugin: P) -> Self {
        Self::new(plugin)
    }
}

impl EnvoyConfig {
    /// As shipped, with this configuration of the filter and one worker.
    pub fn new(plugin: impl Into<PluginConfig>) -> Self {
        Self {
            file: USUAL,
            plugin: plugin.into(),
            module: root().join("dist/boundgate.wasm"),
            filter: true,
            interlock: true,
            plaintext: false,
            client_certificates: ClientCertificates::Requested,
            failure_policy: None,
            variables: Vec::new(),
            concurrency: 1,
            drain_seconds: 1,
            edits: Vec::new(),
        }
    }

    /// As this shipped file has it, with one worker.
    pub fn shipped_in(file: &'static str) -> Self {
        Self { file, ..Self::new(PluginConfig::shipped_in(file)) }
    }

    /// This many workers.
    pub fn concurrency(self, concurrency: u32) -> Self {
        Self { concurrency, ..self }
    }

    /// After an update, connections to the old listeners live on for so many seconds, instead of one.
    pub fn drain_seconds(self, drain_seconds: u32) -> Self {
        Self { drain_seconds, ..self }
    }

    /// Another module than `dist/boundgate.wasm`.
    pub fn module(self, module: impl Into<PathBuf>) -> Self {
        Self { module: module.into(), ..self }
    }

    /// Without the filter and its interlock: every request goes through.
    pub fn without_filter(self) -> Self {
        Self { filter: false, interlock: false, ..self }
    }

    /// Without the interlock.
    pub fn without_interlock(self) -> Self {
        Self { interlock: false, ..self }
    }

    /// With a second listener, `plaintext`, that is the same without TLS.
    pub fn with_plaintext_listener(self) -> Self {
        Self { plaintext: true, ..self }
    }

    /// Another treatment of client certificates.
    pub fn client_certificates(self, client_certificates: ClientCertificates) -> Self {
        Self { client_certificates, ..self }
    }

    /// Another `failure_policy`.
    pub fn failure_policy(self, policy: &'static str) -> Self {
        Self { failure_policy: Some(policy), ..self }
    }

    /// The environment of the VM has this variable.
    pub fn variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    /// The connections of this cluster show this certificate.
    pub fn cluster_shows(self, name: &'static str, identity: &Identity) -> Self {
        let (certificate, key) = (identity.certificate_pem(), identity.key_pem());
        self.edit(move |envoy| {
            let cluster = named(&mut envoy["static_resources"]["clusters"], name);
            cluster["transport_socket"]["typed_config"]["common_tls_context"]["tls_certificates"] = json!([{
                "certificate_chain": { "inline_string": certificate }, "private_key": { "inline_string": key }
            }]);
        })
    }

    /// The cluster of this name is at `address`.
    pub fn cluster_at(self, name: &'static str, address: SocketAddr) -> Self {
        self.edit(move |envoy| set_endpoint(envoy, name, address))
    }

    /// With another cluster, at `address`, that is otherwise as that of the authorization server.
    pub fn like_as(self, name: &'static str, address: SocketAddr) -> Self {
        let config = self.edit(move |envoy| {
            let mut cluster = named(&mut envoy["static_resources"]["clusters"], "as").clone();
            cluster["name"] = json!(name);
            cluster["load_assignment"]["cluster_name"] = json!(name);
            array(&mut envoy["static_resources"]["clusters"]).push(cluster);
        });
        config.cluster_at(name, address)
    }

    /// With another cluster, at `address`, that speaks HTTP/2 without TLS, as gRPC services do.
    pub fn grpc_cluster(self, name: &'static str, address: SocketAddr) -> Self {
        self.edit(move |envoy| {
            array(&mut envoy["static_resources"]["clusters"]).push(json!({
                "name": name, "type": "STATIC", "connect_timeout": "1s",
                "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}}
                }},
                "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
                    "socket_address": {"address": address.ip().to_string(), "port_value": address.port()}
                }}}]}]}
            }));
        })
    }

    /// Any other change to the whole configuration, made last.
    pub fn edit(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.edits.push(Arc::new(edit));
        self
    }

    pub(crate) fn with_plugin(&self, plugin: PluginConfig) -> Self {
        Self { plugin, ..self.clone() }
    }

    /// Whether the proxy speaks TLS to the upstream.
    pub(crate) fn upstream_has_tls(&self) -> bool {
        named(&mut shipped(self.file)["static_resources"]["clusters"], "upstream")["transport_socket"].is_object()
    }

    /// The bootstrap, and the listeners taken out of it. `folder` holds the PEM files and will hold `listeners.yaml`.
    pub(crate) fn render(&self, folder: &Path, surroundings: Surroundings) -> (Value, Vec<Value>) {
        let mut config = shipped(self.file);
        set_endpoint(&mut config, "upstream", surroundings.upstream);
        set_endpoint(&mut config, "as", surroundings.authorization_server);
        array(&mut config["static_resources"]["listeners"]).retain(|listener| listener["name"] == MAIN);

        let listener = listener_mut(&mut config, MAIN);
        let wasm = &mut filter_mut(listener, FILTER)["typed_config"]["config"];
        wasm["configuration"] = self.plugin.any();
        wasm["vm_config"]["code"]["local"]["filename"] = json!(self.module);
        for (name, value) in &self.variables {
            wasm["vm_config"]["environment_variables"]["key_values"][*name] = json!(value);
        }
        if let Some(policy) = self.failure_policy {
            wasm["failure_policy"] = json!(policy);
            if policy != "FAIL_RELOAD" {
                wasm.as_object_mut().expect("the plugin is a map").remove("reload_config");
            }
        }
        let (filter, interlock) = (self.filter, self.interlock);
        http_filters_mut(listener)
            .retain(|entry| (filter || entry["name"] != FILTER) && (interlock || entry["name"] != INTERLOCK));
        self.set_client_certificates(&mut listener["filter_chains"][0]["transport_socket"]["typed_config"]);
        if self.plaintext {
            let mut plaintext = listener.clone();
            plaintext["name"] = json!("plaintext");
            plaintext["filter_chains"][0].as_object_mut().expect("a chain is a map").remove("transport_socket");
            array(&mut config["static_resources"]["listeners"]).push(plaintext);
        }
        for listener in array(&mut config["static_resources"]["listeners"]) {
            listener["address"]["socket_address"]["port_value"] = json!(0);
        }
        move_pem_files(&mut config, folder);
        move_secrets(&mut config, folder);

        config["node"] = json!({ "id": "testbed", "cluster": "testbed" });
        config["admin"] = json!({ "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } } });
        for edit in &self.edits {
            edit(&mut config);
        }
        let listeners = std::mem::take(array(&mut config["static_resources"]["listeners"]));
        config["dynamic_resources"] = json!({ "lds_config": { "path_config_source": {
            "path": folder.join("listeners.yaml"),
            "watched_directory": { "path": folder },
        } } });
        (config, listeners)
    }

    fn set_client_certificates(&self, tls: &mut Value) {
        match self.client_certificates {
            ClientCertificates::Requested => {}
            ClientCertificates::Required => tls["require_client_certificate"] = json!(true),
            ClientCertificates::AcceptUntrusted => {
                tls["common_tls_context"]["validation_context"]["trust_chain_verification"] = json!("ACCEPT_UNTRUSTED");
            }
            ClientCertificates::NotRequested => {
                let context = tls["common_tls_context"].as_object_mut().expect("the TLS context is a map");
                context.remove("validation_context");
            }
        }
    }
}

/// Name of the shipped listener.
const MAIN: &str = "boundgate";
const FILTER: &str = "boundgate";
const INTERLOCK: &str = "boundgate-interlock";

fn array(value: &mut Value) -> &mut Vec<Value> {
    value.as_array_mut().expect("a list in the shipped configuration")
}

fn named<'v>(list: &'v mut Value, name: &str) -> &'v mut Value {
    let mut entries = array(list).iter_mut();
    entries.find(|entry| entry["name"] == name).unwrap_or_else(|| panic!("nothing is named {name}"))
}

fn listener_mut<'v>(config: &'v mut Value, name: &str) -> &'v mut Value {
    named(&mut config["static_resources"]["listeners"], name)
}

fn http_filters_mut(listener: &mut Value) -> &mut Vec<Value> {
    array(&mut listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"])
}

fn filter_mut<'v>(listener: &'v mut Value, name: &str) -> &'v mut Value {
    named(&mut listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"], name)
}

fn set_endpoint(config: &mut Value, cluster: &str, address: SocketAddr) {
    let cluster = named(&mut config["static_resources"]["clusters"], cluster);
    let endpoint = &mut cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
    endpoint["address"]["socket_address"] = json!({ "address": address.ip(), "port_value": address.port() });
}

/// `envoy/secrets/X` becomes `folder/X`, with the same secrets from `folder`.
fn move_secrets(config: &mut Value, folder: &Path) {
    match config {
        Value::String(text) => {
            if let Some(file) = text.strip_prefix("envoy/secrets/") {
                let mut secrets = shipped(text);
                move_pem_files(&mut secrets, folder);
                let moved = folder.join(file);
                std::fs::write(&moved, secrets.to_string()).expect("a file in a temporary folder");
                *config = json!(moved);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|entry| move_secrets(entry, folder)),
        Value::Object(map) => map.values_mut().for_each(|entry| move_secrets(entry, folder)),
        _ => {}
    }
}

/// `.run/pki/X` becomes `folder/X`, everywhere.
fn move_pem_files(value: &mut Value, folder: &Path) {
    match value {
        Value::String(text) => {
            if let Some(file) = text.strip_prefix(".run/pki/") {
                *value = json!(folder.join(file));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|entry| move_pem_files(entry, folder)),
        Value::Object(map) => map.values_mut().for_each(|entry| move_pem_files(entry, folder)),
        _ => {}
    }
}
