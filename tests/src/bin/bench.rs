//! `make bench`: microseconds of CPU that real Envoy spends on a request, with one worker, over mTLS and HTTP/1.1 keep-alive,
//! answered by Envoy itself. In: nothing. Out: a table, and ratios.
//!
//! All cases are listeners of one Envoy and take turns in small batches, so that a neighbour of this machine slows all of
//! them. The whole is done with several fresh Envoys, because equal processes differ; medians count. CPU is Envoy's own
//! (all threads), so the client's does not matter.
//!
//! `BENCH_ONLY=known,filter` runs the cases whose names contain one of those, `BENCH_ROUNDS=3` fewer Envoys,
//! `BENCH_MODULE=a.wasm:b.wasm` other builds of the filter beside the usual one.

use std::path::PathBuf;

use boundgate_testbed::{Algorithm, Client, EnvoyConfig, PluginConfig, Testbed};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const CONNECTIONS: usize = 32;
const TOKENS: usize = 1_000;
/// Requests before anything is measured, per case: connections open, caches full, code compiled.
const WARM: usize = 16_000;
const BATCHES: usize = 12;
/// Requests in a batch where the tokens are known, and where each is new.
const KNOWN: usize = 3_200;
const FIRST_SEEN: usize = 320;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Case {
    NoFilter,
    Known(Counted),
    /// By its place in `BENCH_MODULE`.
    KnownOther(usize, Counted),
    FirstSeen(Algorithm),
    OwnChain,
    OwnChainFirstSeen,
}

/// What a request is counted by: its route.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Counted {
    /// One rate.
    Once,
    /// Two rates of one key.
    Twice,
    /// One rate, and answers.
    WithAnswers,
}

const COUNTED: [Counted; 3] = [Counted::Once, Counted::Twice, Counted::WithAnswers];

impl Counted {
    fn path(self) -> &'static str {
        match self {
            Self::Once => "/orders/7",
            Self::Twice => "/twice/7",
            Self::WithAnswers => "/answers/7",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Once => "one limit",
            Self::Twice => "two limits",
            Self::WithAnswers => "one limit and one on answers",
        }
    }
}

const CASES: [Case; 8] = [
    Case::NoFilter,
    Case::Known(Counted::Once),
    Case::Known(Counted::Twice),
    Case::Known(Counted::WithAnswers),
    Case::FirstSeen(Algorithm::Es256),
    Case::FirstSeen(Algorithm::Rs256),
    Case::OwnChain,
    Case::OwnChainFirstSeen,
];

impl Case {
    fn name(self) -> String {
        match self {
            Self::NoFilter => String::from("no filter"),
            Self::Known(counted) => format!("Boundgate, known token, {}, fields on", counted.name()),
            Self::KnownOther(number, counted) => {
                format!("{}, known token, {}", other_modules()[number].display(), counted.name())
            }
            Self::FirstSeen(algorithm) => format!("Boundgate, first-seen {} token", algorithm.name()),
            Self::OwnChain => String::from("Envoy's own chain, known token"),
            Self::OwnChainFirstSeen => String::from("Envoy's own chain, first-seen ES256 token"),
        }
    }

    /// `main` as this case has it.
    fn listener(self, main: &Value, chain: &Value) -> Value {
        let mut listener = main.clone();
        listener["name"] = json!(self.name());
        let filters = manager(&mut listener)["http_filters"].as_array_mut().expect("a list");
        match self {
            Self::Known(_) | Self::FirstSeen(_) => {}
            Self::KnownOther(number, _) => {
                filters[0]["typed_config"]["config"]["vm_config"]["code"]["local"]["filename"] =
                    json!(other_modules()[number]);
            }
            // The router stays.
            Self::NoFilter => drop(filters.drain(..filters.len() - 1)),
            Self::OwnChain | Self::OwnChainFirstSeen => {
                filters.splice(..filters.len() - 1, chain.as_array().expect("a list").iter().cloned());
            }
        }
        listener
    }

    fn is_first_seen(self) -> bool {
        matches!(self, Self::FirstSeen(_) | Self::OwnChainFirstSeen)
    }

    fn path(self) -> &'static str {
        match self {
            Self::Known(counted) | Self::KnownOther(_, counted) => counted.path(),
            _ => Counted::Once.path(),
        }
    }

    fn algorithm(self) -> Algorithm {
        if let Self::FirstSeen(algorithm) = self { algorithm } else { Algorithm::Es256 }
    }
}

fn other_modules() -> Vec<PathBuf> {
    std::env::split_paths(&std::env::var_os("BENCH_MODULE").unwrap_or_default())
        .filter(|path| !path.as_os_str().is_empty())
        .collect()
}

fn plugin() -> PluginConfig {
    PluginConfig::from(json!({
        "issuers": {"main": {
            "issuer": "https://as.example.com", "algorithms": ["ES256", "RS256"],
            "jwks": {"cluster": "as", "uri": "https://as.example.com/jwks"}
        }},
        "resources": [{
            "hosts": ["api.example.com"], "audiences": ["https://api.example.com"], "issuers": ["main"],
            "routes": [
                {"path": "/orders/{id}", "methods": ["GET"], "scopes": ["read:orders"], "limits": ["per-client"]},
                {"path": "/twice/{id}", "methods": ["GET"], "scopes": ["read:orders"], "limits": ["per-client", "by-hour"]},
                {"path": "/answers/{id}", "methods": ["GET"], "scopes": ["read:orders"], "limits": ["per-client", "guesses"]}
            ]
        }],
        "limits": {
            "per-client": {"key": ["client_id"], "rate": "1000000/s", "burst": 1000000},
            "by-hour": {"key": ["client_id"], "rate": "1000000000/h", "burst": 1000000000},
            "guesses": {"key": ["client_id"], "rate": "1000/s", "on": [404]}
        }
    }))
}

/// Without an upstream and without the access log, which every case would have alike.
fn answer_at_once(listener: &mut Value) {
    let manager = manager(listener);
    manager["route_config"]["virtual_hosts"][0]["routes"] =
        json!([{"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "ok"}}}]);
    manager["access_log"] = json!([]);
}

fn manager(listener: &mut Value) -> &mut Value {
    &mut listener["filter_chains"][0]["filters"][0]["typed_config"]
}

/// `benches/envoy-own-chain.yaml`, which stands before the router.
fn own_chain(jwks: &Value) -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/envoy-own-chain.yaml");
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut chain: Value = serde_saphyr::from_str(&text).expect("a list of filters");
    chain[0]["typed_config"]["providers"]["main"]["local_jwks"]["inline_string"] = json!(jwks.to_string());
    chain
}

/// A listener for each case, beside the main one.
fn envoy(cases: &[Case], jwks: &Value) -> EnvoyConfig {
    let (cases, chain) = (cases.to_vec(), own_chain(jwks));
    EnvoyConfig::new(plugin()).edit(move |config| {
        let listeners = config["static_resources"]["listeners"].as_array_mut().expect("a list");
        answer_at_once(&mut listeners[0]);
        let main = listeners[0].clone();
        listeners.extend(cases.iter().map(|case| case.listener(&main, &chain)));
    })
}

/// Tokens that nobody has seen.
fn sign(algorithm: Algorithm, bed: &Testbed, count: usize) -> Vec<String> {
    let alice = bed.pki.client("alice");
    let claims = |_| bed.authority.claims().algorithm(algorithm).scope("read:orders").bound_to(&alice);
    (0..count).map(|number| claims(number).sign()).collect()
}

/// The callers of one case, whose connections stay open.
struct Callers {
    case: Case,
    clients: Vec<Client>,
    known: Vec<String>,
}

impl Callers {
    fn of(case: Case, bed: &Testbed) -> Self {
        let client = bed.client("alice").at(bed.envoy.address(&case.name()), "api.example.com");
        let clients = (0..CONNECTIONS).map(|_| client.kept()).collect();
        Self { case, clients, known: sign(case.algorithm(), bed, TOKENS) }
    }

    /// Microseconds of Envoy's CPU for each request of a batch.
    async fn batch(&mut self, bed: &Testbed) -> f64 {
        let first_seen = if self.case.is_first_seen() { FIRST_SEEN } else { 0 };
        let new = sign(self.case.algorithm(), bed, first_seen);
        let before = bed.envoy.cpu();
        let requests =
            if new.is_empty() { self.send(None, KNOWN).await } else { self.send(Some(&new), FIRST_SEEN).await };
        (bed.envoy.cpu() - before).as_secs_f64() * 1e6 / requests as f64
    }

    /// Sends `requests`, each with the next of `tokens` or of those that are known, over all connections side by side.
    async fn send(&mut self, tokens: Option<&[String]>, requests: usize) -> usize {
        let (tokens, path) = (tokens.unwrap_or(&self.known), self.case.path());
        let mut calls = JoinSet::new();
        for (number, client) in self.clients.drain(..).enumerate() {
            let tokens: Vec<String> = tokens.iter().skip(number).step_by(CONNECTIONS).cloned().collect();
            calls.spawn(async move {
                for token in tokens.iter().cycle().take(requests / CONNECTIONS) {
                    let answer = client.get(path).token(token).send().await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
                client
            });
        }
        self.clients = calls.join_all().await;
        requests
    }
}

/// One Envoy: for each case, the median of its batches.
async fn measure(cases: &[Case]) -> Vec<f64> {
    let bed = Testbed::start_with(|authority| envoy(cases, &authority.jwks())).await;
    // Main thread and worker.
    if cases.iter().any(|case| matches!(case, Case::Known(_) | Case::KnownOther(..) | Case::FirstSeen(_))) {
        bed.envoy.stat_reaches("wasmcustom.boundgate.key_fetch_ok", 2).await.expect("the keys are there");
    }
    let mut callers: Vec<Callers> = cases.iter().map(|case| Callers::of(*case, &bed)).collect();
    for callers in &mut callers {
        callers.send(None, WARM).await;
    }
    let mut figures = vec![Vec::new(); cases.len()];
    for _ in 0..BATCHES {
        for (callers, figures) in callers.iter_mut().zip(&mut figures) {
            figures.push(callers.batch(&bed).await);
        }
    }
    figures.iter_mut().map(|figures| median(figures)).collect()
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() {
    let rounds = std::env::var("BENCH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(7);
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    let other = |number| COUNTED.map(|counted| Case::KnownOther(number, counted));
    let others = (0..other_modules().len()).flat_map(other);
    let wanted = |case: &Case| only.split(',').any(|part| case.name().contains(part));
    let cases: Vec<Case> = CASES.into_iter().chain(others).filter(wanted).collect();
    let mut rows = Vec::new();
    for round in 1..=rounds {
        eprintln!("Envoy {round} of {rounds}");
        rows.push(measure(&cases).await);
    }
    let place = |wanted: Case| cases.iter().position(|case| *case == wanted);
    // Of each Envoy: a case over no filter.
    let over = |row: &[f64], case: usize| row[case] - place(Case::NoFilter).map_or(0.0, |base| row[base]);
    println!("| | µs CPU per request | over no filter | min – max |\n|---|---|---|---|");
    for (number, case) in cases.iter().enumerate() {
        let mut all: Vec<f64> = rows.iter().map(|row| row[number]).collect();
        let mut above: Vec<f64> = rows.iter().map(|row| over(row, number)).collect();
        let (all_median, above) = (median(&mut all), median(&mut above));
        println!("| {} | {all_median:.1} | {above:+.1} | {:.1} – {:.1} |", case.name(), all[0], all[all.len() - 1]);
    }
    println!("\nTo Envoy's own chain, both over no filter, each Envoy by itself:");
    for (number, case) in cases.iter().enumerate() {
        let own = if case.is_first_seen() { Case::OwnChainFirstSeen } else { Case::OwnChain };
        let (Some(own), Some(_)) = (place(own), place(Case::NoFilter)) else { continue };
        if own != number && *case != Case::NoFilter {
            let mut ratios: Vec<f64> = rows.iter().map(|row| over(row, number) / over(row, own)).collect();
            let ratio = median(&mut ratios);
            println!("  {:<45} {ratio:.2} ({:.2} – {:.2})", case.name(), ratios[0], ratios[ratios.len() - 1]);
        }
    }
}

/// Sorts, and takes the middle.
fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
