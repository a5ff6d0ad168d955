//! `make bench`: microseconds of CPU that real Envoy spends on a request, with one worker, over mTLS and HTTP/1.1 keep-alive,
//! answered by Envoy itself. In: nothing. Out: a table, and ratios taken in the same run.
//!
//! Every case gets a fresh Envoy in every round, because equal processes differ by more than what is measured; the
//! median of the rounds counts. CPU is Envoy's own (all threads), so the client's does not matter.
//!
//! `BENCH_ONLY=known,filter` runs the cases whose names contain one of those, `BENCH_ROUNDS=3` fewer rounds, `BENCH_MODULE=a.wasm:b.wasm` other
//! builds of the filter beside the usual one.

use std::path::PathBuf;

use boundgate_testbed::{Algorithm, EnvoyConfig, PluginConfig, Testbed};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const CONNECTIONS: usize = 32;
/// Requests per round where the tokens are known, and where each is new.
const KNOWN: usize = 32_000;
const FIRST_SEEN: usize = 3_000;
const WARM: usize = 20_000;
const TOKENS: usize = 1_000;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Case {
    NoFilter,
    Known,
    /// By its place in `BENCH_MODULE`.
    KnownOther(usize),
    FirstSeen(Algorithm),
    OwnChain,
    OwnChainFirstSeen,
}

const CASES: [Case; 6] = [
    Case::NoFilter,
    Case::Known,
    Case::FirstSeen(Algorithm::Es256),
    Case::FirstSeen(Algorithm::Rs256),
    Case::OwnChain,
    Case::OwnChainFirstSeen,
];

impl Case {
    fn name(self) -> String {
        match self {
            Self::NoFilter => String::from("no filter"),
            Self::Known => String::from("Boundgate, known token, one limit, fields on"),
            Self::KnownOther(number) => format!("{}, known token", other_modules()[number].display()),
            Self::FirstSeen(algorithm) => format!("Boundgate, first-seen {} token", algorithm.name()),
            Self::OwnChain => String::from("Envoy's own chain, known token"),
            Self::OwnChainFirstSeen => String::from("Envoy's own chain, first-seen ES256 token"),
        }
    }

    fn envoy(self) -> EnvoyConfig {
        let config = EnvoyConfig::new(plugin()).edit(answer_at_once);
        match self {
            Self::NoFilter | Self::OwnChain | Self::OwnChainFirstSeen => config.without_filter(),
            Self::Known | Self::FirstSeen(_) => config,
            Self::KnownOther(number) => config.module(other_modules().swap_remove(number)),
        }
    }

    fn is_first_seen(self) -> bool {
        matches!(self, Self::FirstSeen(_) | Self::OwnChainFirstSeen)
    }

    fn algorithm(self) -> Algorithm {
        if let Self::FirstSeen(algorithm) = self { algorithm } else { Algorithm::Es256 }
    }
}

fn other_modules() -> Vec<PathBuf> {
    std::env::var_os("BENCH_MODULE").map(|paths| std::env::split_paths(&paths).collect()).unwrap_or_default()
}

fn plugin() -> PluginConfig {
    PluginConfig::from(json!({
        "issuers": {"main": {
            "issuer": "https://as.example.com", "algorithms": ["ES256", "RS256"],
            "jwks": {"cluster": "as", "uri": "https://as.example.com/jwks"}
        }},
        "resources": [{
            "hosts": ["api.example.com"], "audiences": ["https://api.example.com"], "issuers": ["main"],
            "routes": [{"path": "/orders/{id}", "methods": ["GET"], "scopes": ["read:orders"], "limits": ["per-client"]}]
        }],
        "limits": {"per-client": {"key": ["client_id"], "rate": "1000000/s", "burst": 1000000}}
    }))
}

/// Without an upstream and without the access log, which every case would have alike.
fn answer_at_once(config: &mut Value) {
    let manager = manager(config);
    manager["route_config"]["virtual_hosts"][0]["routes"] =
        json!([{"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "ok"}}}]);
    manager["access_log"] = json!([]);
}

fn manager(config: &mut Value) -> &mut Value {
    &mut config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
}

/// `benches/envoy-own-chain.yaml` before the router.
fn own_chain(jwks: &Value) -> impl Fn(&mut Value) + Send + Sync + 'static {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/envoy-own-chain.yaml");
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut chain: Value = serde_saphyr::from_str(&text).expect("a list of filters");
    chain[0]["typed_config"]["providers"]["main"]["local_jwks"]["inline_string"] = json!(jwks.to_string());
    move |config| {
        let filters = manager(config)["http_filters"].as_array_mut().expect("a list");
        filters.splice(0..0, chain.as_array().expect("a list").iter().cloned());
    }
}

async fn measure(case: Case) -> f64 {
    let bed = Testbed::start_with(|authority| match case {
        Case::OwnChain | Case::OwnChainFirstSeen => case.envoy().edit(own_chain(&authority.jwks())),
        _ => case.envoy(),
    })
    .await;
    let alice = bed.pki.client("alice");
    let sign = |count: usize| -> Vec<String> {
        let claims = |_| bed.authority.claims().algorithm(case.algorithm()).scope("read:orders").bound_to(&alice);
        (0..count).map(|number| claims(number).sign()).collect()
    };
    if matches!(case, Case::Known | Case::KnownOther(_) | Case::FirstSeen(_)) {
        // Main thread and worker.
        bed.envoy.stat_reaches("wasmcustom.boundgate.key_fetch_ok", 2).await.expect("the keys are there");
    }
    let known = sign(TOKENS);
    // Connections open, code paths warm.
    send(&bed, &known, WARM).await;
    let (tokens, requests) = if case.is_first_seen() { (sign(FIRST_SEEN), FIRST_SEEN) } else { (known, KNOWN) };
    let before = bed.envoy.cpu();
    send(&bed, &tokens, requests).await;
    (bed.envoy.cpu() - before).as_secs_f64() * 1e6 / requests as f64
}

/// Sends `requests`, each with the next token, over a few connections side by side.
async fn send(bed: &Testbed, tokens: &[String], requests: usize) {
    let mut clients = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let client = bed.client("alice").kept();
        let tokens: Vec<String> = tokens.iter().skip(connection).step_by(CONNECTIONS).cloned().collect();
        clients.spawn(async move {
            for token in tokens.iter().cycle().take(requests / CONNECTIONS) {
                let answer = client.get("/orders/7").token(token).send().await;
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
        });
    }
    clients.join_all().await;
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() {
    let rounds = std::env::var("BENCH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    let others = (0..other_modules().len()).map(Case::KnownOther);
    let wanted = |case: &Case| only.split(',').any(|part| case.name().contains(part));
    let mut figures: Vec<(Case, Vec<f64>)> =
        CASES.into_iter().chain(others).filter(wanted).map(|case| (case, Vec::new())).collect();
    for round in 1..=rounds {
        for (case, figures) in &mut figures {
            eprintln!("round {round} of {rounds}: {}", case.name());
            figures.push(measure(*case).await);
        }
    }
    let medians: Vec<(Case, f64)> = figures.iter_mut().map(|(case, figures)| (*case, median(figures))).collect();
    let of = |wanted: Case| medians.iter().find(|(case, _)| *case == wanted).map(|(_, median)| *median);
    let base = of(Case::NoFilter).unwrap_or_default();
    println!("| | µs CPU per request | over no filter | min – max |\n|---|---|---|---|");
    for ((case, figures), (_, median)) in figures.iter().zip(&medians) {
        let (min, max) = (figures[0], figures[figures.len() - 1]);
        println!("| {} | {median:.1} | {:+.1} | {min:.1} – {max:.1} |", case.name(), median - base);
    }
    println!("\nBoundgate to Envoy's own chain, both over no filter:");
    let pairs = [(Case::Known, Case::OwnChain), (Case::FirstSeen(Algorithm::Es256), Case::OwnChainFirstSeen)];
    for (ours, own) in pairs {
        if let (Some(ours_median), Some(own)) = (of(ours), of(own)) {
            println!("  {:<45} {:.2}", ours.name(), (ours_median - base) / (own - base));
        }
    }
}

/// Sorts, and takes the middle.
fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
