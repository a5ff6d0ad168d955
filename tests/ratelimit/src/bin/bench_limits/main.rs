//! `make bench-limits`: what limits cost in real Envoy, and how exact they are. In: nothing. Out: markdown tables, all of
//! one run. Nothing here passes or fails.
//!
//! `BENCH_ONLY=fleet`, `accuracy`, `table`, `proofs` or `tokens` prints one of them, `BENCH_ROUNDS=1` measures fewer rounds,
//! `BENCH_SECONDS=60` each case of a fleet limit for longer, `BENCH_IDENTITIES=1000000` sends more identities through
//! the bounded table, and `BENCH_PROOFS=1000000` as many proofs, and tokens, that each come once.

mod accuracy;
mod latency;
mod once;
mod proxies;
mod table;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    let rounds = number("BENCH_ROUNDS", 3);
    if "fleet".contains(&only) {
        latency::print(rounds, number("BENCH_SECONDS", 15)).await;
    }
    if "accuracy".contains(&only) {
        accuracy::print(rounds).await;
    }
    if "table".contains(&only) {
        table::print(number("BENCH_IDENTITIES", 200_000)).await;
    }
    if "proofs".contains(&only) {
        once::proofs(number("BENCH_PROOFS", 50_000)).await;
    }
    if "tokens".contains(&only) {
        once::tokens(number("BENCH_PROOFS", 50_000)).await;
    }
}

fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}
