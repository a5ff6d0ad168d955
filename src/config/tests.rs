//! Configurations, right and wrong. A test reads as: this was written, that is said about it.

mod api_keys;
mod bodies;
mod claim_rules;
mod doubts;
mod dpop;
mod fapi;
mod first_users;
mod forms;
mod hosts;
mod introspection;
mod issuers;
mod jwks;
mod limits;
mod metadata;
mod objects;
mod order;
mod parts;
#[cfg(feature = "cli")]
mod reference;
mod report;
mod revocation;
mod route_limits;
mod slashes;
mod source_ip;
mod step_up;
mod wrong;

use serde_json::{Value, json};

use crate::config::Findings;
use crate::config::load;
use crate::policy::Policy;

/// A configuration with a part of every kind; nothing is wrong with it.
fn good() -> Value {
    json!({
        "issuers": { "main": {
            "issuer": "https://as.example.com",
            "jwks": { "cluster": "as", "uri": "https://as.example.com/jwks" },
            "algorithms": ["ES256", "PS256"]
        } },
        "resources": [{
            "hosts": ["api.example.com", "localhost:8443"],
            "audiences": ["https://api.example.com"],
            "issuers": ["main"],
            "forward": { "headers": { "x-client-id": "client_id" }, "filter_state": { "client": "peer" } },
            "routes": [
                { "path": "/healthz", "access": "public", "limits": "none" },
                { "path": "/orders/{id}", "methods": ["GET"], "scopes": ["read:orders"], "limits": ["per-client", "everyone"] },
                { "path": "/internal/**", "access": "peer", "peers": ["spiffe://example.org/ns/billing/*"], "limits": "none" }
            ]
        }],
        "limits": {
            "everyone": { "key": [], "rate": "5000/s" },
            "per-client": { "key": ["client_id"], "rate": "100/s", "burst": 200 }
        }
    })
}

/// `good`, with `value` at a JSON pointer; `null` removes what is there.
fn with(pointer: &str, value: Value) -> Value {
    let mut config = good();
    put(&mut config, pointer, value);
    config
}

fn put(config: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match config.pointer_mut(parent).unwrap() {
        Value::Object(members) if value.is_null() => drop(members.remove(name)),
        Value::Object(members) => drop(members.insert(name.into(), value)),
        Value::Array(items) => items.insert(name.parse().unwrap(), value),
        other => panic!("{pointer} is inside {other}"),
    }
}

fn policy(config: &Value) -> Result<Policy, Findings> {
    load(config.to_string().as_bytes())
}

fn findings_of(text: &str) -> Vec<crate::config::Finding> {
    load(text.as_bytes()).err().map(|findings| findings.iter().cloned().collect()).unwrap_or_default()
}

fn findings(config: &Value) -> Vec<String> {
    policy(config).err().map(|findings| findings.iter().map(ToString::to_string).collect()).unwrap_or_default()
}

/// All that is said: errors or, where there are none, warnings.
fn answers(config: &Value) -> Vec<String> {
    match policy(config) {
        Ok(policy) => policy.warnings().iter().map(|warning| format!("warning: {warning}")).collect(),
        Err(findings) => findings.iter().map(ToString::to_string).collect(),
    }
}

/// `good` with one change, and all that is then said.
#[track_caller]
fn says(pointer: &str, value: Value, expected: &[&str]) {
    assert_eq!(findings(&with(pointer, value.clone())), expected, "{pointer} = {value}");
}

const ROUTE: &str = "/resources/0/routes/1";

fn route(key: &str) -> String {
    format!("{ROUTE}/{key}")
}
