//! Never too much, whatever happens: against exact books, and with real threads.

#![allow(clippy::arithmetic_side_effects)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use proptest::prelude::*;

use super::proxy::{Proxy, START, after, ask, by_peer, for_everyone, table};
use super::take;
use crate::limit::gcra::{Decision, decide};
use crate::time::MonoNanos;

proptest! {
    /// Against memory without bounds: whatever the small table admits, exact books admit too. And the wait that a
    /// refusal tells is enough, if nobody else comes.
    #[test]
    fn forgetting_never_admits_too_much_and_every_wait_is_true(
        requests in prop::collection::vec((0u64..400, 0u8..60, 1usize..8), 1..300),
    ) {
        let proxy = Proxy::new();
        let limits = [&by_peer("short", 100, 3), &by_peer("long", 10_000, 2), &for_everyone(30, 20)];
        let mut books: HashMap<(String, String), MonoNanos> = HashMap::new();
        let mut now = START;
        for (pause, peer, choice) in requests {
            now = now.plus(Duration::from_nanos(pause));
            let peer = peer.to_string();
            let chosen = limits.iter().enumerate().filter(|(bit, _)| choice & (1 << bit) != 0);
            let asked: Vec<_> = chosen.map(|(_, limit)| *limit).collect();
            match proxy.take(&peer, &asked, now) {
                Ok(_) => {
                    for limit in asked {
                        let whose = if limit.key.is_empty() { String::new() } else { peer.clone() };
                        let tat = books.entry((whose, limit.origin.name.to_string())).or_insert(START);
                        let Decision::Admit { tat: next, .. } = decide(*tat, now, &limit.allowance.quota, 1) else {
                            return Err(TestCaseError::fail(format!("{peer} got too much of {}", limit.origin.name)));
                        };
                        *tat = next;
                    }
                }
                Err(over) => {
                    let later = Proxy { host: proxy.host.copy(), table: proxy.worker() };
                    prop_assert!(later.admits(&peer, &asked, now.plus(over.retry_after().unwrap())));
                }
            }
        }
    }
}

/// Every worker asks until a limit says no, all at the same moment of the clock.
#[test]
fn any_number_of_workers_share_exactly_one_burst() {
    const BURST: u32 = 3_000;
    for workers in 1..=8 {
        let proxy = Proxy::new();
        let host = &proxy.host;
        let work = || {
            let worker = table(host);
            let limits = [&by_peer("mine", 1_000_000, BURST), &for_everyone(1, u32::MAX)];
            let mut admitted = 0;
            loop {
                match take(&ask(&worker, "alice", &limits), &worker, host, START) {
                    Ok(_) => admitted += 1,
                    Err(over) if over.contended() => {}
                    Err(_) => return admitted,
                }
            }
        };
        let admitted: u32 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(admitted, BURST, "{workers} workers");
    }
}

/// A clock that all workers push forward; several identities in one slot, two limits, one of them for all.
#[test]
fn workers_whose_clocks_disagree_a_little_stay_within_burst_and_rate() {
    const PEERS: u64 = 20;
    const REQUESTS: u64 = 40_000;
    for workers in [1, 2, 4, 8] {
        let proxy = Proxy::new();
        let clock = AtomicU64::new(0);
        let host = &proxy.host;
        let work = || {
            let worker = table(host);
            let limits = [&by_peer("mine", 600, 10), &for_everyone(40, 100)];
            let mut admitted = [0; PEERS as usize];
            loop {
                let elapsed = clock.fetch_add(10, SeqCst);
                if elapsed >= REQUESTS * 10 {
                    return admitted;
                }
                let peer = elapsed / 10 % PEERS;
                admitted[peer as usize] +=
                    u64::from(take(&ask(&worker, &peer.to_string(), &limits), &worker, host, after(elapsed)).is_ok());
            }
        };
        let per_worker: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let last = (REQUESTS - 1) * 10;
        let of = |peer: u64| per_worker.iter().map(|admitted| admitted[peer as usize]).sum::<u64>();
        assert!((0..PEERS).all(|peer| of(peer) <= 10 + last / 600), "{workers} workers");
        let all: u64 = (0..PEERS).map(of).sum();
        assert!(all <= 100 + last / 40, "{workers} workers");
        assert!(all > last / 60, "{workers} workers: only {all} of {} admitted", last / 40);
    }
}
