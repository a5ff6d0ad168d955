//! The bounded table under very many identities. In: how many. Out: the cost of a request with few and with many of them,
//! Envoy's memory, and whether anybody was admitted beyond the limit.
//!
//! One Envoy with one worker, because equal processes differ by more than what is measured. Ten identities and new ones
//! take turns. Each of the many may pass once; then all of them come again. Tokens are not bound: the least that
//! a known token costs. Identities are addresses, as a trusted hop tells them: of what a caller writes into other headers the
//! table would keep a few only.

use std::net::Ipv4Addr;

use boundgate_testbed::{Client, Testbed};
use serde_json::json;
use tokio::task::JoinSet;

use crate::proxies::{LIMIT, claims, connections, keys_are_there, manager, median, plugin, proxy};

const CONNECTIONS: usize = 8;
const FEW: usize = 10;
/// Turns, and requests of the few in each.
const TURNS: usize = 10;
const REQUESTS: usize = 20_000;
/// What the table is made for.
const SIZE: usize = 1_000_000;
/// The MiB that `boundgate check` states for a table of that size and two limits of one key, with so many identities and at most.
const STATED: (f64, f64) = (62.0, 158.0);

/// Of the network 10.0.0.0/8.
fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits((10 << 24) + u32::try_from(number).expect("fewer than 2^24"))
}

struct Proxy {
    bed: Testbed,
    clients: Vec<Client>,
    token: String,
}

impl Proxy {
    /// `/orders/{id}` may be asked for once by each identity, `/often/{id}` at will. Both count in one table.
    async fn start() -> Self {
        let mut plugin = plugin(json!({"key": ["client_id", "ip"], "rate": "1/h", "burst": 1}));
        plugin["limit_table"] = json!({"identities": SIZE});
        plugin["limits"]["often"] = json!({
            "key": ["client_id", "ip"], "rate": "1000000/s", "burst": 1_000_000
        });
        let mut once = plugin["resources"][0]["routes"][0].clone();
        once["bound"] = json!("when-bound");
        let mut often = once.clone();
        often["path"] = json!("/often/{id}");
        often["limits"] = json!(["often"]);
        once["limits"] = json!([LIMIT]);
        plugin["resources"][0]["routes"] = json!([once, often]);
        let trusting = proxy(plugin).edit(|config| manager(config)["xff_num_trusted_hops"] = json!(1));
        let bed = Testbed::start(trusting).await;
        keys_are_there(&bed, 1).await;
        let token = claims(&bed).sign();
        let clients = connections(&bed, "alice", CONNECTIONS);
        Self { bed, clients, token }
    }

    /// One request for each number: those that passed, and the microseconds of CPU that Envoy spent on one.
    async fn visit(&self, path: &'static str, numbers: impl Iterator<Item = usize>) -> (Vec<usize>, f64) {
        let numbers: Vec<usize> = numbers.collect();
        let before = self.bed.envoy.cpu();
        let mut senders = JoinSet::new();
        for (first, client) in self.clients.iter().enumerate() {
            let (client, token) = (client.clone(), self.token.clone());
            let mine: Vec<usize> = numbers.iter().skip(first).step_by(CONNECTIONS).copied().collect();
            senders.spawn(async move {
                let mut passed = Vec::new();
                for number in mine {
                    let answer = client
                        .get(path)
                        .token(&token)
                        .header("x-forwarded-for", address(number).to_string())
                        .send()
                        .await;
                    assert!([200, 429].contains(&answer.status), "{} {}", answer.status, answer.text());
                    passed.extend((answer.status == 200).then_some(number));
                }
                passed
            });
        }
        let passed = senders.join_all().await.concat();
        (passed, (self.bed.envoy.cpu() - before).as_secs_f64() * 1e6 / numbers.len() as f64)
    }

    fn mebibytes(&self) -> f64 {
        self.bed.envoy.resident_memory() as f64 / f64::from(1 << 20)
    }
}

/// Sends `identities` and prints what was seen.
pub async fn print(identities: usize) {
    let proxy = Proxy::start().await;
    // Connections open, code paths warm; numbers that do not come again.
    proxy.visit("/often/7", (0..2_000).map(|number| number % FEW)).await;
    let empty = proxy.mebibytes();

    let mut admitted = vec![0_u8; identities];
    let (mut few, mut many) = (Vec::new(), Vec::new());
    let part = identities.div_ceil(TURNS);
    for turn in 0..TURNS {
        eprintln!("bounded table, turn {} of {TURNS}: new identities", turn + 1);
        few.push(proxy.visit("/often/7", (0..REQUESTS).map(|number| number % FEW)).await.1);
        let new = turn * part..((turn + 1) * part).min(identities);
        let (passed, cpu) = proxy.visit("/orders/7", new.map(|number| FEW + number)).await;
        passed.iter().for_each(|number| admitted[number - FEW] += 1);
        many.push(cpu);
    }
    let full = proxy.mebibytes();
    let first: usize = admitted.iter().map(|times| usize::from(*times)).sum();

    eprintln!("bounded table: the same identities again");
    let (passed, again) = proxy.visit("/orders/7", (0..identities).map(|number| FEW + number)).await;
    passed.iter().for_each(|number| admitted[number - FEW] += 1);
    let beyond = admitted.iter().filter(|times| **times > 1).count();

    let ratio = |few: f64, many: f64| many / few;
    let mut ratios: Vec<f64> = few.iter().zip(&many).map(|(few, many)| ratio(*few, *many)).collect();
    let last = ratios[TURNS - 1];
    println!("\n## The bounded table\n");
    println!("Made for {SIZE} identities; {identities} came; medians of {TURNS} turns in one process.\n");
    println!("| | µs CPU per request |\n|---|---|");
    println!("| {FEW} identities | {:.1} |", median(&mut few));
    println!("| identities that are new, each admitted once | {:.1} |", median(&mut many));
    println!("| the same again, each refused | {again:.1} |");
    println!("\nNew to few identities: **{:.2}** (in the last turn {last:.2}).\n", median(&mut ratios));
    println!("| | |\n|---|---|");
    println!("| Envoy's resident memory before | {empty:.1} MiB |");
    println!("| after all had come | {full:.1} MiB |");
    println!("| grown by | {:.1} MiB |", full - empty);
    println!("| stated, with so many, and at most | {:.1}, {:.1} MiB |", STATED.0, STATED.1);
    println!("| admitted at the first visit | {first} of {identities} |");
    println!("| refused then, for what a slot owed already | {} |", identities - first);
    println!("| admitted at the second visit | {} of {identities} |", passed.len());
    println!("| identities admitted beyond the limit | {beyond} |");
}
