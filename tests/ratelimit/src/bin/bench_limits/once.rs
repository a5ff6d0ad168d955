//! Very many proofs, and very many tokens, that each come once. In: how many. Out: Envoy's memory before and after, how many passed, and
//! what became of proofs that came again.
//!
//! One Envoy with one worker. The senders sign as they go, which is part of the time that this takes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boundgate_testbed::{App, Testbed};
use serde_json::json;
use tokio::task::JoinSet;

use crate::proxies::{SCOPE, claims, connections, keys_are_there, plugin, proxy};

const CONNECTIONS: usize = 8;
/// Of so many proofs one comes again.
const AGAIN: usize = 1_000;
/// Proofs are good for so long, by the configuration: within that all of them are remembered.
const WINDOW: Duration = Duration::from_secs(300);
/// The MiB that `boundgate check` states for used proofs.
const PROOFS_STATED: f64 = 37.5;
/// And for the tokens that the worker knows; the main thread knows none.
const TOKENS_STATED: f64 = 32.0 + 4.0;

/// What a request has beside its path.
type Fields = Vec<(&'static str, String)>;

async fn bed() -> Testbed {
    let mut plugin = plugin(json!({"key": ["client_id"], "rate": "1000000/s", "burst": 1_000_000}));
    let resource = &mut plugin["resources"][0];
    resource["origin"] = json!("https://api.example.com");
    resource["dpop"] = json!({"max_age": "5m"});
    resource["routes"][0]["bound"] = json!("when-bound");
    let bed = Testbed::start(proxy(plugin)).await;
    keys_are_there(&bed, 1).await;
    bed
}

/// One request for each number: the statuses, and how often each.
async fn send(
    bed: &Testbed,
    numbers: impl Iterator<Item = usize>,
    fields: impl Fn(usize) -> Fields + Send + Sync + 'static,
) -> BTreeMap<u16, usize> {
    let (numbers, fields) = (numbers.collect::<Vec<_>>(), Arc::new(fields));
    let mut senders = JoinSet::new();
    for (first, client) in connections(bed, "alice", CONNECTIONS).into_iter().enumerate() {
        let mine: Vec<usize> = numbers.iter().skip(first).step_by(CONNECTIONS).copied().collect();
        let fields = fields.clone();
        senders.spawn(async move {
            let mut statuses = BTreeMap::<u16, usize>::new();
            for number in mine {
                let request = client.get("/orders/7");
                let request =
                    fields(number).into_iter().fold(request, |request, (name, value)| request.header(name, value));
                *statuses.entry(request.send().await.status).or_default() += 1;
            }
            statuses
        });
    }
    let mut statuses = BTreeMap::<u16, usize>::new();
    for (status, times) in senders.join_all().await.into_iter().flatten() {
        *statuses.entry(status).or_default() += times;
    }
    statuses
}

fn mebibytes(bed: &Testbed) -> f64 {
    bed.envoy.resident_memory() as f64 / f64::from(1 << 20)
}

/// Sends `count` proofs, then a few of them again, and prints what was seen.
pub async fn proofs(count: usize) {
    let bed = bed().await;
    let app = Arc::new(App::new(&bed));
    let fields = move |number: usize, issued: Option<i64>| {
        let change = |claims: &mut serde_json::Value| {
            if let Some(issued) = issued {
                claims["iat"] = json!(issued);
            }
        };
        let proof = app.proof("/orders/7", &number.to_string(), change);
        vec![("authorization", format!("DPoP {}", app.token)), ("dpop", proof)]
    };
    // Connections, code paths, and numbers that do not come again.
    let warm = fields.clone();
    send(&bed, count..count + 2_000, move |number| warm(number, None)).await;
    let empty = mebibytes(&bed);
    eprintln!("used proofs: {count} that are new");
    let begun = Instant::now();
    let new = fields.clone();
    let first = send(&bed, 0..count, move |number| new(number, None)).await;
    let (took, full) = (begun.elapsed(), mebibytes(&bed));
    let again = send(&bed, (0..count).step_by(AGAIN), move |number| fields(number, None)).await;
    let crowded = bed.envoy.stat("wasmcustom.boundgate.requests.decision.refused.reason.proofs-crowded").await;
    println!("\n## Used proofs\n");
    println!("{count} proofs in {} s, each good for {} s.\n", took.as_secs(), WINDOW.as_secs());
    println!("| | |\n|---|---|");
    println!("| statuses of new ones | {first:?} |");
    println!("| of every {AGAIN}th again | {again:?} |");
    println!("| refused because the table was full | {crowded} |");
    println!("| Envoy's resident memory before | {empty:.1} MiB |");
    println!("| grown by | {:.1} MiB |", full - empty);
    println!("| stated, at most | {PROOFS_STATED:.1} MiB |");
}

/// Sends `count` tokens, each another, and prints what was seen.
pub async fn tokens(count: usize) {
    let bed = Arc::new(bed().await);
    let signed = bed.clone();
    let fields = move |number: usize| {
        let token = claims(&signed).scope(SCOPE).set("jti", number.to_string()).sign();
        vec![("authorization", format!("Bearer {token}"))]
    };
    let new = fields.clone();
    send(&bed, count..count + 100, new).await;
    let empty = mebibytes(&bed);
    eprintln!("known tokens: {count} that are new");
    let statuses = send(&bed, 0..count, fields).await;
    println!("\n## Known tokens\n");
    println!("| | |\n|---|---|");
    println!("| statuses of {count} new ones | {statuses:?} |");
    println!("| Envoy's resident memory before | {empty:.1} MiB |");
    println!("| grown by | {:.1} MiB |", mebibytes(&bed) - empty);
    println!("| stated, at most | {TOKENS_STATED:.1} MiB |");
}
