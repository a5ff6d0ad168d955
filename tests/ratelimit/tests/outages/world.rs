//! A proxy of several workers, every server it relies on behind a gate, and the phases of an outage. In: a server, a trouble. Out: what was
//! answered, checked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use boundgate_ratelimit::{Config, Limits, Mode, RateLimitServer, Redis, Unit};
use boundgate_testbed::{EnvoyConfig, Gate, Testbed, Update};
use serde_json::{Value, json};

use crate::load::{Cast, Load};
use crate::servers::{Server, Trouble};

/// Of every question and fetch; the shortest that each of them may have.
pub const TIMEOUT: Duration = Duration::from_secs(1);
/// How long a trouble lasts at least: longer than a document of revocations serves.
pub const SHORT: Duration = Duration::from_secs(5);
/// So long that pauses between attempts could have grown.
pub const LONG: Duration = Duration::from_secs(12);
const WORKERS: u32 = 3;
/// Main thread and workers.
const VMS: u64 = 1 + WORKERS as u64;

/// See the module.
pub struct World {
    pub bed: Arc<Testbed>,
    pub limiter: RateLimitServer,
    pub redis: Redis,
    keys: Gate,
    asking: Gate,
    documents: Gate,
    lists: Gate,
    service: Gate,
    upstream: Gate,
    /// How often the new issuer's keys were thrown away.
    refetched: usize,
}

impl World {
    pub async fn start() -> Self {
        let redis = Redis::start().await;
        let limits =
            Limits::new("boundgate").limit("fleet", 1_000_000, Unit::Hour).limit("lenient", 1_000_000, Unit::Hour);
        let limiter = Config::new(Mode::Fixed { redis_url: redis.url() }, limits);
        let limiter = RateLimitServer::start(limiter).await.expect("a free port");
        let [keys, asking, documents, lists, service, upstream] = std::array::from_fn(|_| Gate::start());
        let mut config = EnvoyConfig::new(plugin(0))
            .concurrency(WORKERS)
            // Who waits on an old listener is not cut off.
            .drain_seconds(30)
            .grpc_cluster("ratelimit", service.address())
            .edit(with_keepalive)
            .edit(with_short_handshakes)
            .cluster_at("upstream", upstream.address());
        for (name, gate) in [("keys", &keys), ("asking", &asking), ("documents", &documents), ("lists", &lists)] {
            config = config.like_as(name, gate.address());
        }
        let bed = Arc::new(Testbed::start(config).await);
        for gate in [&keys, &asking, &documents, &lists] {
            gate.leads_to(bed.authority.address());
        }
        service.leads_to(limiter.address());
        upstream.leads_to(bed.upstream.address());
        let world = Self { bed, limiter, redis, keys, asking, documents, lists, service, upstream, refetched: 0 };
        world.publish();
        world.bed.authority.status_lists().set(&[0, 1]);
        world
    }

    /// What the gate of this server is.
    pub fn gate(&self, server: Server) -> &Gate {
        match server {
            Server::Keys => &self.keys,
            Server::Asking => &self.asking,
            Server::Documents => &self.documents,
            Server::Lists => &self.lists,
            Server::Limiter | Server::Redis => &self.service,
            Server::Upstream => &self.upstream,
        }
    }

    /// The document of revocations, as it should be.
    pub fn publish(&self) {
        self.bed.authority.publish(&json!({"jti": ["revoked"]}));
    }

    /// Good days, the trouble, and good days again, all under load.
    pub async fn goes_through(&mut self, server: Server, trouble: &Trouble, lasts: Duration) {
        let what = format!("{server:?} {trouble:?}");
        let cast = Cast::of(self).await;
        let load = Load::begin(self, cast, server);
        load.is_well(&what).await;

        let troubled = Instant::now();
        self.troubles(server, trouble).await;
        if server == Server::Keys {
            self.throws_keys_away().await;
        }
        tokio::time::sleep(lasts).await;
        self.recovers(server, trouble).await;
        let recovered = Instant::now();
        load.is_well(&what).await;
        load.end(self, server, &what, troubled, recovered).await;
    }

    /// A new configuration that trusts the keys of one issuer by another name: every worker has to fetch them.
    async fn throws_keys_away(&mut self) {
        self.refetched += 1;
        let update = self.bed.envoy.config_update(plugin(self.refetched)).await;
        assert!(matches!(update, Ok(Update::Accepted)), "{update:?}");
    }

    /// Nothing is left behind, and no worker has failed.
    pub async fn ends(self) {
        for gauge in ["waiting", "waiting_bytes", "calls"] {
            self.bed.envoy.stat_becomes(&format!("wasmcustom.boundgate.{gauge}"), 0).await.unwrap();
        }
        let reloads = self.bed.envoy.stats("vm_reload").await;
        assert!(reloads.values().all(|times| *times == 0), "{reloads:?}");
        let log = self.bed.envoy.log();
        assert!(!log.contains("panicked") && !log.contains("Function: proxy_"), "a worker failed:\n{log}");
        assert!(self.bed.envoy.stat("wasm.envoy.wasm.runtime.v8.active").await > VMS, "every VM is there");
    }
}

/// As in `envoy/fleet.yaml`. Without it, a connection over HTTP/2 that is silent for good is used for many minutes.
fn with_keepalive(envoy: &mut Value) {
    let clusters = envoy["static_resources"]["clusters"].as_array_mut().expect("a list");
    let service = clusters.iter_mut().find(|cluster| cluster["name"] == "ratelimit").expect("it was added");
    let options = service["typed_extension_protocol_options"].as_object_mut().expect("a map").values_mut();
    for options in options {
        options["explicit_http_config"]["http2_protocol_options"]["connection_keepalive"] =
            json!({"interval": "1s", "timeout": "1s"});
    }
}

/// A connection that was begun while a server was gone is waited for as long as this, also once the server is back.
fn with_short_handshakes(envoy: &mut Value) {
    for cluster in envoy["static_resources"]["clusters"].as_array_mut().expect("a list") {
        cluster["connect_timeout"] = json!(format!("{}s", TIMEOUT.as_secs()));
    }
}

fn plugin(refetched: usize) -> Value {
    let issuer = |name: &str, headers: Value| {
        json!({
            "issuer": format!("https://{name}.example.com"), "algorithms": ["ES256"],
            "jwks": {"cluster": "keys", "uri": "https://as.example.com/jwks", "timeout": "1s", "headers": headers}
        })
    };
    let mut config = json!({
        "issuers": {
            "main": issuer("as", json!({})),
            "new": issuer("new", json!({"x-refetch": refetched.to_string()})),
            "revoking": issuer("revoking", json!({})),
            "listing": issuer("listing", json!({})),
        },
        "services": {
            "fleet": {"kind": "ratelimit", "cluster": "ratelimit", "timeout": "1s", "on_error": "refuse"},
            "lenient": {"kind": "ratelimit", "cluster": "ratelimit", "timeout": "1s", "on_error": "local"}
        },
        "resources": [{
            "hosts": ["api.example.com"], "audiences": ["https://api.example.com"],
            "origin": "https://api.example.com",
            "issuers": ["main", "new", "revoking", "listing"],
            "routes": [
                {"path": "/public/{n}", "access": "public"},
                {"path": "/orders/{n}", "scopes": ["read:orders"]},
                {"path": "/limited/{n}", "scopes": ["read:orders"], "limits": ["fleet"]},
                {"path": "/lenient/{n}", "scopes": ["read:orders"], "limits": ["lenient"]},
                {"path": "/spent/{n}", "scopes": ["read:orders"], "limits": ["spent"]}
            ]
        }],
        "limits": {
            "fleet": {"key": ["client_id"], "rate": "1000000/h", "service": "fleet"},
            "lenient": {"key": ["client_id"], "rate": "1000000/h", "service": "lenient"},
            "spent": {"key": ["client_id"], "rate": "1/h", "burst": 3}
        }
    });
    config["issuers"]["main"]["introspection"] = json!({
        "cluster": "asking", "uri": "https://as.example.com/introspect", "timeout": "1s", "ttl": "1h"
    });
    config["issuers"]["revoking"]["revocation"] = json!({
        "cluster": "documents", "uri": "https://as.example.com/documents/revoked", "refresh": "1s", "max_stale": "3s", "timeout": "1s"
    });
    config["issuers"]["listing"]["revocation"] = json!({
        "refresh": "1s", "max_stale": "3s", "timeout": "1s",
        "status_lists": {"cluster": "lists", "uri": "https://as.example.com/statuslists/"}
    });
    config
}
