//! What a fleet limit adds to a request's time, and how often the service is called: Boundgate, and Envoy's own ratelimit
//! filter with the same server. In: a number of rounds. Out: a table and ratios.
//!
//! One identity, a thousand requests a second, nothing refused. Every case gets a fresh Envoy and a fresh service in every
//! round. Times are the client's, from its write to the end of the answer. Percentiles are those of a second, and the
//! median of all seconds counts: other programs disturb some seconds and not the rest.

use std::time::Duration;

use boundgate_ratelimit::{Mode, Redis, Unit};
use boundgate_testbed::{AuthorizationServer, EnvoyConfig, Testbed};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};

use crate::proxies::{
    LIMIT, at, claims, connections, fleet_plugin, keys_are_there, manager, median, proxy, service, with_service,
};

/// Each sends a request every so many milliseconds, at its own one: a thousand a second.
const CONNECTIONS: usize = 8;
const A_SECOND: usize = 1_000;
/// Seconds before the measurement.
const WARM: usize = 3;
/// Far more than is used.
const PER_MINUTE: u32 = 10_000_000;

#[derive(Clone, Copy, PartialEq)]
enum Case {
    NoFilter,
    Boundgate,
    OwnFilter,
    OwnChain,
}

const CASES: [Case; 4] = [Case::NoFilter, Case::Boundgate, Case::OwnFilter, Case::OwnChain];

impl Case {
    fn name(self) -> &'static str {
        match self {
            Self::NoFilter => "no filter",
            Self::Boundgate => "Boundgate: known token, binding, scope, fleet limit, fields",
            Self::OwnFilter => "Envoy's own ratelimit filter alone, by a header's value",
            Self::OwnChain => "Envoy's own chain (jwt_authn, Lua, RBAC) with its ratelimit filter",
        }
    }

    fn envoy(self, authority: &AuthorizationServer) -> EnvoyConfig {
        let config = proxy(fleet_plugin("ratelimit", &format!("{PER_MINUTE}/min"), "20ms"));
        match self {
            Self::Boundgate => config,
            Self::NoFilter => config.without_filter(),
            Self::OwnFilter => config.without_filter().edit(|config| {
                let by_header = json!({"request_headers": {"header_name": "x-client", "descriptor_key": LIMIT}});
                own_filters(config, Vec::new(), by_header);
            }),
            Self::OwnChain => {
                let chain = own_chain(&authority.jwks());
                config.without_filter().edit(move |config| {
                    let by_claim = json!({"metadata": {"descriptor_key": LIMIT, "source": "DYNAMIC", "metadata_key": {
                        "key": "envoy.filters.http.jwt_authn", "path": [{"key": "claims"}, {"key": "client_id"}]
                    }}});
                    own_filters(config, chain.clone(), by_claim);
                })
            }
        }
    }
}

/// `chain` and the ratelimit filter, before all others; `action` makes the descriptor's one entry.
fn own_filters(config: &mut Value, mut chain: Vec<Value>, action: Value) {
    chain.push(json!({"name": "envoy.filters.http.ratelimit", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit",
        "domain": "boundgate", "timeout": "0.02s", "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        "rate_limit_service": {
            "transport_api_version": "V3", "grpc_service": {"envoy_grpc": {"cluster_name": "ratelimit"}}
        }
    }}));
    let manager = manager(config);
    manager["http_filters"].as_array_mut().expect("a list").splice(0..0, chain);
    manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["rate_limits"] = json!([{"actions": [action]}]);
}

/// `benches/envoy-own-chain.yaml` without its local limit.
fn own_chain(jwks: &Value) -> Vec<Value> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/envoy-own-chain.yaml");
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut chain: Vec<Value> = serde_saphyr::from_str(&text).expect("a list of filters");
    chain[0]["typed_config"]["providers"]["main"]["local_jwks"]["inline_string"] = json!(jwks.to_string());
    chain.retain(|filter| filter["name"] != "envoy.filters.http.local_ratelimit");
    chain
}

/// What was seen of one case.
#[derive(Default)]
struct Seen {
    /// Microseconds; one figure for each second.
    p50: Vec<f64>,
    p99: Vec<f64>,
    calls: u64,
    failed: u64,
}

impl Seen {
    /// Of the service, for 1,000 requests.
    fn calls(&self) -> f64 {
        self.calls as f64 / self.p50.len() as f64
    }
}

async fn measure(case: Case, distance: Duration, seconds: usize, seen: &mut Seen) {
    let redis = Redis::start().await;
    let service = service(Mode::Fixed { redis_url: redis.url() }, PER_MINUTE, Unit::Minute).await;
    service.set_distance(distance);
    let bed = Testbed::start_with(|authority| with_service(case.envoy(authority), service.address())).await;
    if case == Case::Boundgate {
        keys_are_there(&bed, 1).await;
    }
    let token = claims(&bed).bound_to(&bed.pki.client("alice")).sign();
    load(&bed, &token, WARM).await;
    let before = service.calls();
    let mut times = load(&bed, &token, seconds).await;
    seen.calls += service.calls() - before;
    seen.p50.extend(times.iter_mut().map(|second| at(second, 0.5)));
    seen.p99.extend(times.iter_mut().map(|second| at(second, 0.99)));
    seen.failed += bed.envoy.stats("ratelimit.error").await.values().sum::<u64>();
    seen.failed += bed.envoy.stat("wasmcustom.boundgate.fleet_failed").await;
}

/// Sends a thousand requests in each second; the microseconds each took.
async fn load(bed: &Testbed, token: &str, seconds: usize) -> Vec<Vec<f64>> {
    let start = Instant::now() + Duration::from_millis(50);
    let mut senders = JoinSet::new();
    for (number, client) in (0..).zip(connections(bed, "alice", CONNECTIONS)) {
        let token = token.to_owned();
        senders.spawn(async move {
            // The handshake is not measured.
            let send = || client.get("/orders/7").token(&token).header("x-client", "alice").send();
            send().await;
            let mut turns = interval_at(start + Duration::from_millis(number), Duration::from_millis(8));
            let mut times = Vec::new();
            for _ in 0..seconds * A_SECOND / CONNECTIONS {
                turns.tick().await;
                let sent = Instant::now();
                let answer = send().await;
                times.push(sent.elapsed().as_secs_f64() * 1e6);
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
            times
        });
    }
    let senders = senders.join_all().await;
    let part = A_SECOND / CONNECTIONS;
    let second = |number| senders.iter().flat_map(move |times| &times[number * part..(number + 1) * part]).copied();
    (0..seconds).map(|number| second(number).collect()).collect()
}

/// Measures everything and prints it: with the service on this machine, and where its answers take a millisecond more, as
/// over a network.
pub async fn print(rounds: usize, seconds: usize) {
    println!("## A limit counted by a service\n");
    println!("A thousand requests a second; medians of {} seconds.\n", rounds * seconds);
    for (title, distance) in [("On this machine", Duration::ZERO), ("A millisecond away", Duration::from_millis(1))] {
        println!("### {title}\n");
        compare(distance, rounds, seconds).await;
    }
}

async fn compare(distance: Duration, rounds: usize, seconds: usize) {
    let mut cases = CASES.map(|case| (case, Seen::default()));
    for round in 1..=rounds {
        for (case, seen) in &mut cases {
            eprintln!("fleet limit, round {round} of {rounds}: {}", case.name());
            measure(*case, distance, seconds, seen).await;
        }
    }
    println!("| | p50 µs | added | p99 µs | added | p99 min – max | calls per 1,000 requests | failed calls |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut base = (0.0, 0.0);
    let mut ours = (0.0, 0.0, 0.0);
    let mut ratios = Vec::new();
    for (case, seen) in &mut cases {
        let (p50, p99, calls) = (median(&mut seen.p50), median(&mut seen.p99), seen.calls());
        match case {
            Case::NoFilter => base = (p50, p99),
            Case::Boundgate => ours = (p50 - base.0, p99 - base.1, calls),
            Case::OwnFilter | Case::OwnChain => {
                let (p50, p99, calls) = (ours.0 / (p50 - base.0), ours.1 / (p99 - base.1), ours.2 / calls);
                let name = case.name();
                ratios.push(format!("Boundgate to {name}: added p50 {p50:.2}, added p99 {p99:.2}, calls {calls:.3}."));
            }
        }
        let (add50, add99) = (p50 - base.0, p99 - base.1);
        let (least, most) = (at(&mut seen.p99, 0.0), at(&mut seen.p99, 1.0));
        let (name, failed) = (case.name(), seen.failed);
        println!(
            "| {name} | {p50:.0} | {add50:+.0} | {p99:.0} | {add99:+.0} | {least:.0} – {most:.0} | {calls:.1} | {failed} |"
        );
    }
    println!("\n{}\n", ratios.join("\n\n"));
}
