//! The proxies that are measured. In: what a case wants. Out: a running Envoy, a token, connections to it.
//!
//! Every request that passes all filters is answered by Envoy itself: no upstream is part of what is measured. The answer
//! comes from a fault filter, because Envoy's own ratelimit filter leaves out routes with a direct response.

use std::net::SocketAddr;

use boundgate_ratelimit::{Config, Limits, Mode, RateLimitServer, Unit};
use boundgate_testbed::{Claims, Client, EnvoyConfig, Testbed};
use serde_json::{Value, json};

/// Name of the limit, for the filter and for the service.
pub const LIMIT: &str = "per-client";

/// What bearers need to have.
pub const SCOPE: &str = "read:orders";

/// A service that allows each identity this much.
pub async fn service(mode: Mode, permits: u32, unit: Unit) -> RateLimitServer {
    let limits = Limits::new("boundgate").limit(LIMIT, permits, unit);
    RateLimitServer::start(Config::new(mode, limits)).await.unwrap_or_else(|error| panic!("{error}"))
}

/// A configuration of the filter with this one limit, on the route `/orders/{id}` for bound tokens.
pub fn plugin(limit: Value) -> Value {
    json!({
        "issuers": {"main": {
            "issuer": "https://as.example.com", "algorithms": ["ES256"],
            "jwks": {"cluster": "as", "uri": "https://as.example.com/jwks"}
        }},
        "resources": [{
            "hosts": ["api.example.com"], "audiences": ["https://api.example.com"], "issuers": ["main"],
            "routes": [{"path": "/orders/{id}", "methods": ["GET"], "scopes": [SCOPE], "limits": [LIMIT]}]
        }],
        "limits": {LIMIT: limit}
    })
}

/// The same with a limit that a service of this `kind` counts, with leases of up to 200, the default.
pub fn fleet_plugin(kind: &str, rate: &str, timeout: &str) -> Value {
    let mut plugin = plugin(json!({"key": ["client_id"], "rate": rate, "service": "fleet"}));
    plugin["services"] = json!({"fleet": {"kind": kind, "cluster": "ratelimit", "timeout": timeout}});
    plugin
}

/// Answered by Envoy, without the access log, which every case would have alike.
pub fn proxy(plugin: Value) -> EnvoyConfig {
    EnvoyConfig::new(plugin).edit(|config| {
        let manager = manager(config);
        manager["access_log"] = json!([]);
        let filters = manager["http_filters"].as_array_mut().expect("a list");
        let answer = json!({"name": "answer", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "abort": {"http_status": 200, "percentage": {"numerator": 100}}
        }});
        filters.insert(filters.len() - 1, answer);
    })
}

/// With the service at `address` as the cluster `ratelimit`.
pub fn with_service(config: EnvoyConfig, address: SocketAddr) -> EnvoyConfig {
    config.edit(move |config| {
        let socket = json!({"address": address.ip(), "port_value": address.port()});
        let cluster = json!({
            "name": "ratelimit", "type": "STATIC", "connect_timeout": "1s",
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}}
            }},
            "load_assignment": {"cluster_name": "ratelimit", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": {"socket_address": socket}}}
            ]}]}
        });
        config["static_resources"]["clusters"].as_array_mut().expect("a list").push(cluster);
    })
}

/// The connection manager of the one listener.
pub fn manager(config: &mut Value) -> &mut Value {
    &mut config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
}

/// Waits until the main thread and `workers` have the keys.
pub async fn keys_are_there(bed: &Testbed, workers: u32) {
    let fetched = bed.envoy.stat_reaches("wasmcustom.boundgate.key_fetch_ok", u64::from(workers) + 1).await;
    fetched.expect("the keys are there");
}

/// A token to be, good for as long as a run may take. It is bound to nobody.
pub fn claims(bed: &Testbed) -> Claims {
    bed.authority.claims().scope(SCOPE).lifetime(3_000)
}

/// Clients with the same certificate, each with a connection of its own.
pub fn connections(bed: &Testbed, name: &str, count: usize) -> Vec<Client> {
    (0..count).map(|_| bed.client(name).kept()).collect()
}

/// Sorts, and takes the middle.
pub fn median(figures: &mut [f64]) -> f64 {
    at(figures, 0.5)
}

/// Sorts, and takes the figure below which this part of them lies.
pub fn at(figures: &mut [f64], part: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[((figures.len() as f64 * part) as usize).min(figures.len() - 1)]
}
