//! Fleet limits in real Envoy against a real service: shared by proxies, few calls, and the documented answer when the
//! service is gone.

mod failures;
mod refusals;
mod sharing;

use std::net::SocketAddr;

use boundgate_ratelimit::{Config, Limits, Mode, RateLimitServer, Unit};
use boundgate_testbed::{Client, EnvoyConfig, Testbed};
use serde_json::{Value, json};

/// A service that allows each client this many requests in an hour.
async fn service(mode: Mode, per_hour: u32) -> RateLimitServer {
    let limits = Limits::new("boundgate").limit("per-client", per_hour, Unit::Hour);
    RateLimitServer::start(Config::new(mode, limits)).await.unwrap()
}

/// A proxy whose one limit is counted by the service at `address`; `change` is merged into the service's table.
async fn proxy(address: SocketAddr, change: Value) -> Testbed {
    changed_proxy(address, change, |_| {}).await
}

/// The same, with other changes made last.
async fn changed_proxy(address: SocketAddr, change: Value, edit: impl FnOnce(&mut Value)) -> Testbed {
    let mut table = json!({"kind": "ratelimit", "cluster": "ratelimit", "timeout": "2s"});
    for (key, value) in change.as_object().unwrap() {
        table[key] = value.clone();
    }
    let mut config = json!({
        "issuers": {"main": {
            "issuer": "https://as.example.com", "algorithms": ["ES256"],
            "jwks": {"cluster": "as", "uri": "https://as.example.com/jwks"}
        }},
        "services": {"fleet": table},
        "resources": [{
            "hosts": ["api.example.com"], "audiences": ["https://api.example.com"], "issuers": ["main"],
            "routes": [{"path": "/orders/{id}", "scopes": ["read:orders"], "limits": ["per-client"]}]
        }],
        "limits": {"per-client": {"key": ["client_id"], "rate": "7/h", "service": "fleet"}}
    });
    edit(&mut config);
    Testbed::start(EnvoyConfig::new(config).grpc_cluster("ratelimit", address)).await
}

/// Somebody who calls through a proxy with a good token.
struct Caller {
    client: Client,
    token: String,
}

impl Caller {
    async fn of(bed: &Testbed, name: &str) -> Self {
        let client = bed.client(name);
        let token = bed.token(&client).scope("read:orders").issue().await;
        Self { client: client.kept(), token }
    }

    async fn call(&self) -> boundgate_testbed::Answer {
        self.client.get("/orders/7").token(&self.token).send().await
    }

    /// How many of `count` requests pass.
    async fn passes(&self, count: usize) -> usize {
        let mut passed = 0;
        for _ in 0..count {
            let status = self.call().await.status;
            assert!([200, 429].contains(&status), "{status}");
            passed += usize::from(status == 200);
        }
        passed
    }
}

async fn counter(bed: &Testbed, name: &str) -> u64 {
    bed.envoy.stat(&format!("wasmcustom.boundgate.{name}")).await
}
