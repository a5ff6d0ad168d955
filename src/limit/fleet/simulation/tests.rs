//! The runs: faults at random, the promises in figures, and the table of fleet sizes.

#![allow(clippy::arithmetic_side_effects)]

use super::random::Random;
use super::*;

/// Those of every run, or the one to replay.
fn seeds() -> Vec<u64> {
    match std::env::var("BOUNDGATE_SEED") {
        Ok(seed) => vec![seed.parse().expect("BOUNDGATE_SEED is a number")],
        Err(_) => (1..=60).chain([258]).collect(),
    }
}

/// One key, minutes, no faults.
fn fleet(proxies: usize, workers: usize) -> Fleet {
    Fleet {
        proxies,
        workers,
        kind: Kind::Ratelimit,
        fields: true,
        quota: 60_000,
        window: Duration::from_secs(60),
        into_window: Duration::from_millis(59_300),
        runs: Duration::from_millis(301_000),
        warm_after: Duration::from_millis(180_700),
        keys: 1,
        rps: 1_000.0,
        phases: false,
        timeout: Duration::from_millis(20),
        faults: Faults::default(),
    }
}

fn worst(unused: &[f64]) -> f64 {
    unused.iter().copied().fold(0.0, f64::max)
}

/// A small fleet in which things go wrong.
fn troubled(random: &mut Random) -> Fleet {
    let kind = if random.happens(0.5) { Kind::Ratelimit } else { Kind::Limitador };
    let often = |random: &mut Random| if random.happens(0.5) { random.share() * 0.2 } else { 0.0 };
    let mut outages = Vec::new();
    if random.happens(0.5) {
        let from = random.between(0.0, 10.0);
        let to = from + random.between(0.0, 5.0);
        outages.push(Outage { from, to, black_hole: random.happens(0.5), forgets: random.happens(0.5) });
    }
    let faults = Faults {
        late: often(random),
        lost: often(random),
        unreported: often(random),
        twice: often(random),
        garbage: often(random),
        skew: if kind == Kind::Ratelimit && random.happens(0.3) { Duration::from_millis(300) } else { Duration::ZERO },
        outages,
    };
    let window = [1, 2, 3, 5][random.below(4)];
    let rps = [1.0, 20.0, 300.0][random.below(3)] * random.between(0.5, 1.5);
    Fleet {
        kind,
        fields: random.happens(0.7),
        // From far too little to enough.
        quota: (rps * window as f64 * random.between(0.1, 1.5)).ceil() as u64,
        window: Duration::from_secs(window),
        into_window: Duration::from_secs_f64(random.between(0.0, window as f64)),
        runs: Duration::from_secs(15),
        keys: 1 + random.below(3),
        rps,
        phases: true,
        timeout: Duration::from_millis([2, 20, 500][random.below(3)]),
        faults,
        ..fleet(1 + random.below(5), 1 + random.below(4))
    }
}

/// The same for windows whose end is known from the window before.
fn troubled_for_minutes(random: &mut Random) -> Fleet {
    let rps = random.between(1.0, 30.0);
    Fleet {
        kind: Kind::Ratelimit,
        quota: (rps * 60.0 * random.between(0.1, 1.5)).ceil() as u64,
        window: Duration::from_secs(60),
        into_window: Duration::from_secs_f64(random.between(40.0, 60.0)),
        runs: Duration::from_secs(150),
        rps,
        ..troubled(random)
    }
}

#[test]
fn whatever_goes_wrong_nobody_is_admitted_beyond_the_bound_and_everybody_hears_one_verdict() {
    for seed in seeds() {
        simulate(&troubled(&mut Random(seed)), seed);
        simulate(&troubled_for_minutes(&mut Random(seed)), seed);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let fleet = troubled(&mut Random(7));
    assert_eq!(format!("{:?}", simulate(&fleet, 7)), format!("{:?}", simulate(&fleet, 7)));
}

#[test]
fn a_key_with_1000_requests_a_second_is_asked_for_once_in_50_requests_at_most() {
    for (proxies, workers) in [(1, 2), (10, 2), (200, 2)] {
        for quota in [50_000, 66_667, 600_000] {
            let toll = simulate(&Fleet { quota, ..fleet(proxies, workers) }, 1).warm;
            let ratio = toll.requests_per_call();
            assert!(ratio >= 50.0, "{proxies} × {workers}, quota {quota}: {ratio}");
        }
    }
}

#[test]
fn two_hundred_proxies_use_95_percent_of_the_quota_when_there_is_demand_for_more() {
    for quota in [60_000, 6_000, 600] {
        let report = simulate(&Fleet { quota, rps: 1_200.0, ..fleet(200, 2) }, 1);
        assert!(worst(&report.unused) <= 0.05, "{quota}: {:?}", report.unused);
    }
}

#[test]
fn a_service_that_comes_back_is_used_within_two_seconds() {
    for black_hole in [false, true] {
        let outages = vec![Outage { from: 5.0, to: 10.0, black_hole, forgets: false }];
        let runs = |seconds| Fleet {
            runs: Duration::from_secs_f64(seconds),
            into_window: Duration::ZERO,
            window: Duration::from_secs(3600),
            quota: 3_600_000,
            faults: Faults { outages: outages.clone(), ..Faults::default() },
            ..fleet(2, 2)
        };
        let (until, after) = (simulate(&runs(12.0), 1), simulate(&runs(20.0), 1));
        assert!(until.fallbacks > 1000);
        assert_eq!(until.fallbacks, after.fallbacks, "nobody falls back two seconds after the end");
    }
}

#[test]
fn table_of_fleet_sizes() {
    println!(
        "| proxies × workers | window, quota | load | unused | requests per call | at first | waited | longest wait |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (proxies, workers) in [(1, 2), (10, 2), (200, 2), (10_000, 1)] {
        let minute = ("minute", 60, 59_300, 60_000);
        let hour = ("hour", 3600, 3_539_300, 3_600_000);
        for (load, (name, window, into, quota)) in [(0.9, minute), (1.2, minute), (1.0, hour)] {
            let fleet = Fleet {
                window: Duration::from_secs(window),
                into_window: Duration::from_millis(into),
                quota,
                rps: 1_000.0 * load,
                ..fleet(proxies, workers)
            };
            let report = simulate(&fleet, 1);
            let unused = if load > 1.0 { format!("{:.1} %", 100.0 * worst(&report.unused)) } else { "–".into() };
            println!(
                "| {proxies} × {workers} | {name}, {quota} | {load} | {unused} | {:.1} | {:.1} | {:.2} % | {:.1} ms |",
                report.warm.requests_per_call(),
                report.cold.requests_per_call(),
                100.0 * report.warm.waited as f64 / report.warm.requests as f64,
                report.longest_wait.as_secs_f64() * 1e3,
            );
        }
    }
}
