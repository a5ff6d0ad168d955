//! What the clients call: the filter in real Envoy with a route for each case, and what is behind it. Out: what a program must
//! know to call it, and what was seen of a cell.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use boundgate_testbed::{EnvoyConfig, Testbed};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cells::Logged;
use crate::websocket::WebSockets;

/// The running service.
pub struct Service {
    bed: Testbed,
    websockets: WebSockets,
    folder: TempDir,
    url: String,
}

impl Service {
    pub async fn start() -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let websockets = WebSockets::start().await;
        let bed = Testbed::start(config(port, websockets.port())).await;
        bed.pki.client("alice");
        let folder = tempfile::Builder::new().prefix("boundgate-clients-").tempdir().expect("a temporary folder");
        bed.pki.write_to(folder.path()).expect("PEM files in a temporary folder");
        for (name, bytes) in [("small", 3_000), ("medium", 30_000), ("medium-large", 60_000), ("large", 20_000_000)] {
            std::fs::write(folder.path().join(name), vec![b'x'; bytes]).expect("a file in a temporary folder");
        }
        Self { bed, websockets, folder, url: format!("https://localhost:{port}") }
    }

    /// The environment of a program that tries this cell. Each of its requests names the cell in `x-cell`.
    pub async fn surroundings(&self, cell: &str) -> [(&'static str, String); 5] {
        let alice = self.bed.client("alice");
        let token = async |scope| self.bed.token(&alice).scope(scope).issue().await;
        [
            ("CELL", cell.to_owned()),
            ("URL", self.url.clone()),
            ("PKI", self.folder.path().display().to_string()),
            ("TOKEN", token("read:orders").await),
            ("WEAK_TOKEN", token("other").await),
        ]
    }

    /// How many requests of this cell passed.
    pub fn received(&self, cell: &str) -> usize {
        let received = self.bed.upstream.received();
        let mine = received.iter().filter(|request| request.header("x-cell").as_deref() == Some(cell)).count();
        mine + self.websockets.opened(cell)
    }

    /// The requests of this cell in the access log, once there are so many.
    pub async fn logged(&self, cell: &str, requests: usize) -> Vec<Logged> {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let log = self.bed.envoy.access_log();
            let mine = log.iter().filter(|line| line["cell"] == cell);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let logged = |line: &Value| Logged {
                status: line["status"].as_u64().unwrap_or(0),
                client: text(&line["client"]),
                closes: line["connection"] == "close",
            };
            let mine: Vec<_> = mine.map(logged).collect();
            if mine.len() >= requests || Instant::now() > deadline {
                return mine;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// How many connections resumed a TLS session so far.
    pub async fn sessions_resumed(&self) -> u64 {
        self.bed.envoy.stats("ssl.session_reused").await.values().sum()
    }
}

fn config(port: u16, websockets: u16) -> EnvoyConfig {
    EnvoyConfig::new(json!({
        "issuers": {"main": {
            "issuer": "https://as.example.com",
            "jwks": {"cluster": "as", "uri": "https://as.example.com/jwks"},
            "algorithms": ["ES256"]
        }},
        "resources": [{
            "hosts": [format!("localhost:{port}")],
            "audiences": ["https://api.example.com"],
            "issuers": ["main"],
            "realm": "api",
            "resource_metadata": "https://api.example.com/.well-known/oauth-protected-resource",
            "routes": [
                {"path": "/orders/{id}", "methods": ["GET"], "scopes": ["read:orders"]},
                {"path": "/orders", "methods": ["POST"], "scopes": ["write:orders"]},
                {"path": "/mesh", "access": "peer", "peers": ["spiffe://example.org/client/*"]},
                {"path": "/limited", "methods": ["GET"], "limits": ["each"]},
                {"path": "/events", "methods": ["GET"]},
                {"path": "/websocket", "methods": ["GET"]},
                {"path": "/orders.Orders/Get", "methods": ["POST"], "scopes": ["read:orders"]},
                {"path": "/orders.Orders/Peer", "methods": ["POST"], "access": "peer", "peers": ["spiffe://example.org/client/*"]},
                {"path": "/orders.Orders/Limited", "methods": ["POST"], "limits": ["each"]}
            ]
        }],
        // One of two passes; after that, one a second.
        "limits": {"each": {"key": ["client_id", "header.x-cell"], "rate": "1/s", "burst": 1}}
    }))
    .edit(move |envoy| surround(envoy, port, websockets))
}

/// The port, what access log lines tell more, and where gRPC and WebSockets go.
fn surround(envoy: &mut Value, port: u16, websockets: u16) {
    let listener = &mut envoy["static_resources"]["listeners"][0];
    listener["address"]["socket_address"]["port_value"] = json!(port);
    let http = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    let line = &mut http["access_log"][0]["typed_config"]["log_format"]["json_format"];
    line["cell"] = json!("%REQ(x-cell)%");
    line["connection"] = json!("%RESP(connection)%");
    http["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
    let routes = http["route_config"]["virtual_hosts"][0]["routes"].as_array_mut().expect("routes are a list");
    let to = |prefix: &str, cluster: &str| json!({"match": {"prefix": prefix}, "route": {"cluster": cluster, "timeout": "0s"}});
    let streams = [to("/orders.Orders/", "grpc"), to("/websocket", "websockets"), to("/events", "upstream")];
    routes.splice(0..0, streams);

    let clusters = envoy["static_resources"]["clusters"].as_array_mut().expect("clusters are a list");
    let mut grpc = clusters.iter().find(|cluster| cluster["name"] == "upstream").expect("there is an upstream").clone();
    let mut sockets = grpc.clone();
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    grpc["name"] = json!("grpc");
    grpc["load_assignment"]["cluster_name"] = json!("grpc");
    grpc["typed_extension_protocol_options"] = json!({options: {
        "@type": format!("type.googleapis.com/{options}"), "explicit_http_config": {"http2_protocol_options": {}}
    }});
    sockets["name"] = json!("websockets");
    sockets["load_assignment"]["cluster_name"] = json!("websockets");
    let endpoint = &mut sockets["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
    endpoint["address"]["socket_address"]["port_value"] = json!(websockets);
    clusters.extend([grpc, sockets]);
}

/// The file of a folder of the programs.
pub fn source(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}
