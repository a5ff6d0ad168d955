//! `make bench`: microseconds of CPU that real Envoy spends on a request, with one worker, over mTLS and HTTP/1.1 keep-alive,
//! answered by Envoy itself. In: nothing. Out: a table, and ratios.
//!
//! All cases are listeners of one Envoy and take turns in small batches, so that a neighbour of this machine slows all of
//! them. The whole is done with several fresh Envoys, because equal processes differ; medians count. CPU is Envoy's own
//! (all threads), so the client's does not matter.
//!
//! `BENCH_ONLY=known,filter` runs the cases whose names contain one of those, `BENCH_ROUNDS=3` fewer Envoys,
//! `BENCH_MODULE=a.wasm:b.wasm` other builds of the filter beside the usual one.

mod cases;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use boundgate_testbed::{Client, EnvoyConfig, KeyExchange, SigningKeys, Testbed};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cases::{Case, manager, own_chain, plugin};

const CONNECTIONS: usize = 32;
const TOKENS: usize = 1_000;
/// Requests before anything is measured, per case: connections open, caches full, code compiled.
const WARM: usize = 16_000;
const BATCHES: usize = 12;
/// Tokens that are revoked, none of which is ever sent.
const REVOKED: usize = 100_000;
/// Requests in a batch where the tokens are known, and where each token or connection is new.
const KNOWN: usize = 3_200;
const NEW: usize = 320;

/// Without an upstream and without the access log, which every case would have alike.
fn answer_at_once(listener: &mut Value) {
    let manager = manager(listener);
    manager["route_config"]["virtual_hosts"][0]["routes"] =
        json!([{"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "ok"}}}]);
    manager["access_log"] = json!([]);
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

/// The callers of one case, whose connections stay open.
struct Callers {
    case: Case,
    clients: Vec<Client>,
    /// Of those who prove that they have one.
    keys: Arc<SigningKeys>,
    known: Vec<String>,
}

impl Callers {
    fn of(case: Case, bed: &Testbed) -> Self {
        let client = bed.client("alice").at(bed.envoy.address(&case.name()), "api.example.com");
        let clients = (0..CONNECTIONS).map(|_| case.caller(&client)).collect();
        let keys = Arc::new(SigningKeys::new(77));
        Self { case, clients, known: case.sign(bed, &keys, TOKENS), keys }
    }

    /// Microseconds of Envoy's CPU for each request of a batch.
    async fn batch(&mut self, bed: &Testbed) -> f64 {
        let new = if self.case.has_new_tokens() { self.case.sign(bed, &self.keys, NEW) } else { Vec::new() };
        let before = bed.envoy.cpu();
        let requests = match self.case {
            Case::Connection(_) => self.send(None, NEW).await,
            _ if new.is_empty() => self.send(None, KNOWN).await,
            _ => self.send(Some(&new), NEW).await,
        };
        (bed.envoy.cpu() - before).as_secs_f64() * 1e6 / requests as f64
    }

    /// Sends `requests`, each with the next of `tokens` or of those that are known, over all connections side by side.
    async fn send(&mut self, tokens: Option<&[String]>, requests: usize) -> usize {
        let (tokens, case) = (tokens.unwrap_or(&self.known), self.case);
        let mut calls = JoinSet::new();
        for (number, client) in self.clients.drain(..).enumerate() {
            let tokens: Vec<String> = tokens.iter().skip(number).step_by(CONNECTIONS).cloned().collect();
            let keys = self.keys.clone();
            calls.spawn(async move {
                for token in tokens.iter().cycle().take(requests / CONNECTIONS) {
                    let answer = case.ask(&client, token, &keys).await;
                    assert_eq!(answer.status, case.status(), "{}", answer.text());
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
    let bed = Testbed::start_with(|authority| {
        authority.publish(&json!({"jti": (0..REVOKED).map(|number| format!("revoked-{number}")).collect::<Vec<_>>()}));
        envoy(cases, &authority.jwks())
    })
    .await;
    // Main thread and worker.
    if cases.iter().any(|case| case.is_filtered()) {
        bed.envoy.stat_reaches("wasmcustom.boundgate.key_fetch_ok", 2).await.expect("the keys are there");
    }
    if cases.contains(&Case::KnownRevocable) {
        bed.envoy.stat_reaches("wasmcustom.boundgate.revocation_fetch_ok", 2).await.expect("the document is there");
    }
    let mut callers: Vec<Callers> = cases.iter().map(|case| Callers::of(*case, &bed)).collect();
    for callers in &mut callers {
        if callers.case.status() == 429 {
            // Spends the budget.
            callers.case.ask(&callers.clients[0], &callers.known[0], &callers.keys).await;
        }
        let connections = matches!(callers.case, Case::Connection(_));
        callers.send(None, if connections { WARM / 10 } else { WARM }).await;
    }
    let mut figures = vec![Vec::new(); cases.len()];
    let mut order: Vec<usize> = (0..cases.len()).collect();
    for batch in 0..BATCHES {
        // Who comes after whom counts by up to a tenth: nobody has the same place each time.
        shuffle(&mut order, batch);
        for &case in &order {
            figures[case].push(callers[case].batch(&bed).await);
        }
    }
    figures.iter_mut().map(|figures| median(figures)).collect()
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() {
    let rounds = std::env::var("BENCH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(7);
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    let cases = Case::wanted(&only);
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
    println!("\nEach case to another, both over no filter, each Envoy by itself:");
    for (number, case) in cases.iter().enumerate() {
        let Some(yardstick) = case.yardstick() else { continue };
        let (Some(other), Some(_)) = (place(yardstick), place(Case::NoFilter)) else { continue };
        let mut ratios: Vec<f64> = rows.iter().map(|row| over(row, number) / over(row, other)).collect();
        let ratio = median(&mut ratios);
        let range = format!("({:.2} – {:.2})", ratios[0], ratios[ratios.len() - 1]);
        println!("  {:<45} {ratio:.2} {range:<15} of: {}", case.name(), yardstick.name());
    }
    if cases.iter().any(|case| matches!(case, Case::Connection(_))) {
        wire().await;
    }
    let refused: Vec<Case> = cases.iter().filter(|case| matches!(case, Case::OverLimit(_))).copied().collect();
    if !refused.is_empty() {
        handshakes(&refused).await;
    }
}

/// Prints how many TLS handshakes a client makes that goes on posting over its limit.
async fn handshakes(cases: &[Case]) {
    let bed = Testbed::start_with(|authority| envoy(cases, &authority.jwks())).await;
    bed.envoy.stat_reaches("wasmcustom.boundgate.key_fetch_ok", 2).await.expect("the keys are there");
    println!("\nTLS handshakes of {NEW} refused posts over {CONNECTIONS} connections, of which resumed:");
    for case in cases {
        let mut callers = Callers::of(*case, &bed);
        // Spends the budget.
        case.ask(&callers.clients[0], &callers.known[0], &callers.keys).await;
        let sum = async |stat: &str| bed.envoy.stats(stat).await.values().sum::<u64>();
        let handshakes = async || [sum("0.ssl.handshake").await, sum("0.ssl.session_reused").await];
        let [all, resumed] = handshakes().await;
        callers.send(None, NEW).await;
        let [all_now, resumed_now] = handshakes().await;
        println!("  {:<45} {}, {}", case.name(), all_now - all, resumed_now - resumed);
    }
}

/// Prints what a handshake takes on the wire: client and server with a P-256 certificate each, and one CA.
async fn wire() {
    let bed = Testbed::start(EnvoyConfig::new(plugin()).without_filter()).await;
    println!(
        "\nBytes of a handshake, flight by flight:\n| | ClientHello | ServerHello to Finished | client's certificate to Finished |"
    );
    println!("|---|---|---|---|");
    for group in [KeyExchange::X25519, KeyExchange::X25519MlKem768] {
        let flights = Case::Connection(group).caller(&bed.client("alice")).handshake().await.expect("a connection");
        let flights: Vec<String> = flights.iter().map(ToString::to_string).collect();
        println!("| {} | {} |", group.name(), flights.join(" | "));
    }
}

/// Another order for each number, the same in each run.
fn shuffle(order: &mut [usize], number: usize) {
    order.sort_by_cached_key(|case| {
        let mut hasher = DefaultHasher::new();
        (number, case).hash(&mut hasher);
        hasher.finish()
    });
}

/// Sorts, and takes the middle.
fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
