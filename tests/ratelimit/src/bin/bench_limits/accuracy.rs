//! Admitted to allowed requests: under contention between the workers of one proxy, and for two proxies that share a
//! limit. In: a number of rounds, each with fresh proxies. Out: two tables with the sums of all rounds.

use std::time::Instant;

use boundgate_ratelimit::{Mode, Redis, Unit};
use boundgate_testbed::Testbed;
use serde_json::json;
use tokio::task::JoinSet;

use crate::proxies::{claims, connections, fleet_plugin, keys_are_there, plugin, proxy, service, with_service};

const CONNECTIONS: usize = 16;
const BURST: usize = 200;
/// Identities in a round, one after another.
const IDENTITIES: usize = 5;
const PER_HOUR: usize = 1_000;

/// How many of `requests` pass, sent at full speed over all connections of `beds`.
async fn admitted(beds: &[&Testbed], name: &str, requests: usize) -> usize {
    let mut senders = JoinSet::new();
    for bed in beds {
        let token = claims(bed).client(name).bound_to(&bed.pki.client(name)).sign();
        for client in connections(bed, name, CONNECTIONS / beds.len()) {
            let token = token.clone();
            senders.spawn(async move {
                let mut admitted = 0;
                for _ in 0..requests / CONNECTIONS {
                    let answer = client.get("/orders/7").token(&token).send().await;
                    assert!([200, 429].contains(&answer.status), "{} {}", answer.status, answer.text());
                    admitted += usize::from(answer.status == 200);
                }
                admitted
            });
        }
    }
    senders.join_all().await.iter().sum()
}

/// Prints both tables.
pub async fn print(rounds: usize) {
    println!("\n## Accuracy of a local limit\n");
    println!("Burst {BURST}, 1/min; {IDENTITIES} identities in each of {rounds} rounds; {CONNECTIONS} connections.\n");
    println!("| workers | sent | allowed | admitted | admitted / allowed |\n|---|---|---|---|---|");
    for workers in [1, 2, 4, 8] {
        let (mut sent, mut allowed, mut passed) = (0, 0, 0);
        for round in 1..=rounds {
            eprintln!("local limit, {workers} workers, round {round} of {rounds}");
            let limit = json!({"key": ["client_id"], "rate": "1/min", "burst": BURST});
            let bed = Testbed::start(proxy(plugin(limit)).concurrency(workers)).await;
            keys_are_there(&bed, workers).await;
            for number in 0..IDENTITIES {
                let started = Instant::now();
                passed += admitted(&[&bed], &format!("client-{number}"), 4 * BURST).await;
                sent += 4 * BURST;
                allowed += BURST + usize::try_from(started.elapsed().as_secs() / 60).expect("not long");
            }
        }
        println!("| {workers} | {sent} | {allowed} | {passed} | {:.4} |", passed as f64 / allowed as f64);
    }

    println!("\n## Accuracy of a limit that two proxies share\n");
    println!("{PER_HOUR}/h, leases of up to 200; {rounds} rounds; {CONNECTIONS} connections in all.\n");
    println!("| service | workers of each proxy | sent | allowed | admitted | admitted / allowed | calls |");
    println!("|---|---|---|---|---|---|---|");
    for (kind, workers) in [("ratelimit", 1), ("ratelimit", 2), ("limitador", 1), ("limitador", 2)] {
        let (mut passed, mut calls) = (0, 0);
        for round in 1..=rounds {
            eprintln!("{kind}, two proxies with {workers} workers, round {round} of {rounds}");
            let (now_passed, now_called) = shared(kind, workers).await;
            passed += now_passed;
            calls += now_called;
        }
        let (sent, allowed) = (2 * PER_HOUR * rounds, PER_HOUR * rounds);
        let ratio = passed as f64 / allowed as f64;
        println!("| {kind} | {workers} | {sent} | {allowed} | {passed} | {ratio:.4} | {calls} |");
    }
}

/// Admitted requests and calls of the service.
async fn shared(kind: &str, workers: u32) -> (usize, u64) {
    let redis = Redis::start().await;
    let mode = if kind == "limitador" { Mode::Limitador } else { Mode::Fixed { redis_url: redis.url() } };
    let service = service(mode, PER_HOUR as u32, Unit::Hour).await;
    let proxy = || {
        let config = proxy(fleet_plugin(kind, &format!("{PER_HOUR}/h"), "1s")).concurrency(workers);
        Testbed::start(with_service(config, service.address()))
    };
    let (one, two) = (proxy().await, proxy().await);
    keys_are_there(&one, workers).await;
    keys_are_there(&two, workers).await;
    let admitted = admitted(&[&one, &two], "alice", 2 * PER_HOUR).await;
    (admitted, service.calls())
}
