//! Apps whose libraries make proofs of their keys: a service in real Envoy that they call, and how their calls end. In: an issuer, a library,
//! where it gets its token. What is theirs passes, what is not never does, and the library understands why.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use boundgate_testbed::{Called, DpopClient, EnvoyConfig, Errand, RESOURCE, Testbed};
use serde_json::{Value, json};

pub const ALGORITHMS: [&str; 6] = ["ES256", "ES384", "PS256", "RS256", "Ed25519", "EdDSA"];

/// What an app does that owns its key.
const HONEST: [&str; 3] = ["get", "post", "at once"];
/// What nobody may do with its token: each with the reason and the error in the challenge.
pub const HOSTILE: [(&str, &str, &str); 6] = [
    ("replayed", "proof-replayed", "invalid_dpop_proof"),
    ("by another key", "key-mismatch", "invalid_token"),
    ("to another place", "proof-elsewhere", "invalid_dpop_proof"),
    ("by another method", "proof-elsewhere", "invalid_dpop_proof"),
    ("as bearer", "scheme-mismatch", "invalid_token"),
    ("without a token", "token-missing", ""),
];

/// Two resources at one port, under both names of this machine: the second demands nonces.
pub struct Service {
    pub bed: Testbed,
    port: u16,
}

impl Service {
    /// With this issuer, whose cluster is at the address of the authorization server.
    pub async fn start(issuer: Value, envoy: impl FnOnce(EnvoyConfig) -> EnvoyConfig) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let config = envoy(EnvoyConfig::new(config(&issuer, port))).edit(move |envoy| {
            let listener = &mut envoy["static_resources"]["listeners"][0];
            listener["address"]["socket_address"]["port_value"] = json!(port);
        });
        Self { bed: Testbed::start(config).await, port }
    }

    /// The host of the resource, as its clients write it.
    pub fn host(&self, nonce: bool) -> String {
        host(self.port, nonce)
    }
}

fn host(port: u16, nonce: bool) -> String {
    if nonce { format!("127.0.0.1:{port}") } else { format!("localhost:{port}") }
}

fn config(issuer: &Value, port: u16) -> Value {
    let resource = |nonce| {
        json!({
            "hosts": [host(port, nonce)], "origin": format!("https://{}", host(port, nonce)),
            "dpop": {"nonce": nonce, "algorithms": ALGORITHMS},
            "audiences": [RESOURCE], "issuers": ["as"],
            "routes": [{"path": "/orders/{id}", "methods": ["GET", "POST"], "scopes": ["read:orders"]}]
        })
    };
    json!({"issuers": {"as": issuer}, "resources": [resource(false), resource(true)]})
}

/// All that an app does and that others try.
pub fn all_calls() -> Vec<&'static str> {
    HONEST.into_iter().chain(HOSTILE.map(|(name, ..)| name)).collect()
}

/// The library does the errand at one of the resources: what is the app's passes, and nothing else.
pub async fn errand_ends_as_it_should(service: &Service, client: &DpopClient, errand: &Errand, nonce: bool) -> Called {
    let bed = &service.bed;
    let mark = format!("{}-{}-{}-{nonce}", client.library(), errand.grant, errand.algorithm);
    let errand = Errand { url: format!("https://{}/orders/{mark}-", service.host(nonce)), ..errand.clone() };
    let called = client.run(&bed.pki, &errand).await;
    let results = &called.results;
    assert_eq!(results.len(), errand.calls.len(), "{mark}");
    for (result, name) in results.iter().zip(&errand.calls) {
        let path = format!("/orders/{mark}-{}", name.replace(' ', "-"));
        let passed = bed.upstream.received().iter().filter(|request| request.path.starts_with(&path)).count();
        if HONEST.contains(name) {
            assert_eq!(result["status"], 200, "{mark}: {result}");
            assert_eq!(passed, if *name == "at once" { 5 } else { 1 }, "{mark}: {name}");
            continue;
        }
        let &(_, reason, error) = HOSTILE.iter().find(|hostile| hostile.0 == *name).expect("it is known");
        assert_eq!((&result["error"], &result["status"]), (&json!(CHALLENGED), &json!(401)), "{mark}: {result}");
        // The first of both is the honest one.
        assert_eq!(passed, usize::from(*name == "replayed"), "{mark}: {name}");
        assert_eq!(reason_of(bed, &path).await, format!("boundgate:{reason}"), "{mark}: {name}");
        assert_eq!(read(result, "dpop")["algs"], ALGORITHMS.join(" "), "{mark}: {result}");
        let used = read(result, if *name == "as bearer" { "bearer" } else { "dpop" });
        assert_eq!(used["error"].as_str().unwrap_or_default(), error, "{mark}: {result}");
    }
    let first = told(&results[0]);
    let expected: &[_] = if nonce { &[(401, true), (200, false)] } else { &[(200, false)] };
    assert_eq!(first, expected, "{mark}: {}", results[0]);
    let needed = results[0]["requests"][0]["challenges"].as_str().unwrap_or_default();
    assert_eq!(needed.contains("error=\"use_dpop_nonce\""), nonce, "{mark}: {needed}");
    called
}

/// What the library read in the challenge of this scheme.
fn read<'r>(result: &'r Value, scheme: &str) -> &'r Value {
    let mut challenges = result["challenges"].as_array().into_iter().flatten();
    let challenge = challenges.find(|challenge| challenge["scheme"] == scheme);
    &challenge.unwrap_or_else(|| panic!("no challenge of {scheme}: {result}"))["parameters"]
}

/// The status of each request, and whether its answer brought a nonce.
pub fn told(result: &Value) -> Vec<(u64, bool)> {
    let requests = result["requests"].as_array().expect("requests");
    requests.iter().map(|request| (request["status"].as_u64().unwrap_or(0), request["nonce"] == true)).collect()
}

const CHALLENGED: &str = "WWWAuthenticateChallengeError";

/// Why the last request for this path was refused.
async fn reason_of(bed: &Testbed, path: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let log = bed.envoy.access_log();
        let refused = |line: &&Value| {
            let is_here = line["path"].as_str().is_some_and(|logged| logged.starts_with(path));
            is_here && line["status"] == 401
        };
        if let Some(line) = log.iter().rfind(refused) {
            return line["details"].as_str().unwrap_or_default().to_owned();
        }
        assert!(Instant::now() < deadline, "{path} stands in no log");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A token that passes, until its client takes it back.
pub async fn revoked_ones_end(service: &Service, client: &DpopClient, errand: &Errand) {
    let mark = format!("revoked-{}-{}-", client.library(), errand.grant);
    let errand = Errand {
        url: format!("https://{}/orders/{mark}", service.host(false)),
        calls: vec!["get", "until it is revoked"],
        ..errand.clone()
    };
    let Called { results, .. } = client.run(&service.bed.pki, &errand).await;
    assert_eq!(results[0]["status"], 200, "{}", results[0]);
    let result = &results[1];
    assert_eq!((&result["error"], &result["status"]), (&json!(CHALLENGED), &json!(401)), "{result}");
    assert_eq!(read(result, "dpop")["error"], "invalid_token", "{result}");
    let path = format!("/orders/{mark}until-it-is-revoked");
    assert_eq!(reason_of(&service.bed, &path).await, "boundgate:token-inactive");
    let passed = told(result).iter().filter(|(status, _)| *status == 200).count();
    let received = service.bed.upstream.received();
    assert_eq!(received.iter().filter(|request| request.path.starts_with(&path)).count(), passed);
}
