//! What the tests here share: one configuration with a route of every kind, and how a refusal is recognised.

use std::time::{Duration, Instant};

use boundgate_testbed::{Answer, EnvoyConfig, Testbed};
use serde_json::{Value, json};

/// The audit record in a line of the access log.
pub fn record_in(line: &Value) -> Value {
    serde_json::from_str(line["audit"].as_str().expect("an audit record")).expect("JSON")
}

/// The audit record of the request that was answered so.
pub async fn recorded(bed: &Testbed, answer: &Answer) -> Value {
    record_in(&bed.envoy.access_log_of(answer).await)
}

/// A route of every kind; keys from the authorization server of the testbed.
pub fn config() -> Value {
    json!({
        "issuers": {"main": {
            "issuer": "https://as.example.com",
            "jwks": {"cluster": "as", "uri": "https://as.example.com/jwks", "timeout": "2s"},
            "algorithms": [
                "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "Ed25519",
                "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"
            ],
            "max_lifetime": "15m"
        }},
        "resources": [{
            "hosts": ["api.example.com"],
            "audiences": ["https://api.example.com"],
            "issuers": ["main"],
            "realm": "api",
            "routes": [
                {"path": "/healthz", "access": "public"},
                {"path": "/orders/{id}", "methods": ["GET"], "scopes": ["read:orders"]},
                {"path": "/plain", "bound": "when-bound", "scopes": {"any": ["read:orders", "admin"]}},
                {"path": "/mesh", "access": "peer", "peers": ["spiffe://example.org/client/*"]},
                {"path": "/greedy", "scopes": ["read:orders"], "limits": ["per-client", "everyone"]},
                {"path": "/orders.Orders/Get", "methods": ["POST"], "scopes": ["read:orders"], "limits": ["per-client"]}
            ]
        }],
        "limits": {
            "per-client": {"key": ["client_id"], "rate": "1/s", "burst": 5},
            "everyone": {"key": [], "rate": "1000/s"}
        }
    })
}

/// A testbed with [`config`].
pub async fn bed() -> Testbed {
    Testbed::start(config()).await
}

/// [`config`] changed by `edit`.
pub fn with(edit: impl FnOnce(&mut Value)) -> EnvoyConfig {
    let mut config = config();
    edit(&mut config);
    EnvoyConfig::new(config)
}

/// A token for alice with the scope of the orders, really issued to her certificate.
pub async fn alices_token(bed: &Testbed) -> String {
    bed.token(&bed.client("alice")).scope("read:orders").issue().await
}

/// The answer is this refusal, and the upstream received nothing so far.
#[track_caller]
pub fn assert_refused(bed: &Testbed, answer: &Answer, line: &Value, status: u16, reason: &str) {
    assert_eq!(
        (answer.status, line["details"].as_str()),
        (status, Some(format!("boundgate:{reason}").as_str())),
        "{}",
        answer.text()
    );
    assert_eq!(bed.upstream.count(), 0, "the upstream was reached");
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(answer.problem()["status"], status);
}

/// Waits for the access-log line of `answer`, then [`assert_refused`].
pub async fn refused(bed: &Testbed, answer: &Answer, status: u16, reason: &str) {
    let line = bed.envoy.access_log_of(answer).await;
    assert_refused(bed, answer, &line, status, reason);
}

/// Waits until it holds, at most ten seconds.
pub async fn eventually(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 10 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
