//! A simulator of whole proxies, against an oracle that knows docs/promises.md and no algorithm. Routes, limits, callers and an
//! edit of the configuration are random ([`world`]); workers of two filters stand still between any two reads and writes of
//! what they share ([`baton`]), are lost, and their clients hang up at every stage ([`case`], [`acts`]). What came of it stands in
//! a ledger ([`books`]), which is checked ([`oracle`]) once the proxy has come to rest ([`rest`]). In some worlds tokens are opaque,
//! need proofs or are taken back ([`tokens`]). Beside it stands every
//! schedule of two workers at one limit ([`every_schedule`]).
//!
//! `BOUNDGATE_CASES=1000000 cargo test --release simulation` runs a million cases. A case that fails says its number, and
//! `BOUNDGATE_SEED=<number> cargo test simulation` repeats it alone and tells its story.

#![allow(clippy::arithmetic_side_effects)]

mod acts;
mod baton;
mod books;
mod case;
mod documents;
mod every_schedule;
mod oracle;
mod party;
mod random;
mod replay;
mod rest;
mod tokens;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use baton::Reins;
use case::Case;
use random::Random;
use world::World;

/// So many cases happen in one world.
const IN_ONE_WORLD: u64 = 25;
/// Cases of every run, unless `BOUNDGATE_CASES` says how many.
const CASES: u64 = 10_000;
/// Cases that found something once, beyond those of every run.
const KEPT: &[u64] = &[13_525, 15_200, 22_504];

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Some cases of one world. Out: of the first that fails, its number and what was wrong.
fn run(world: u64, cases: impl Iterator<Item = u64>, tells: bool) -> Result<(), (u64, String)> {
    let world = World::new(&mut Random(world));
    if tells {
        for version in 0..2 {
            println!("version {version}: {}", world.document(version));
        }
        println!("callers: {:?}\nfilters: {:?}", world.callers, world.filters);
    }
    std::thread::scope(|scope| {
        let reins: Vec<Reins<'_>> = world.filters.iter().map(|_| Reins::take(scope, &world)).collect();
        for number in cases {
            let (story, came_to) = live(&world, &reins, number, tells);
            if tells {
                println!("{}", story.join("\n"));
            }
            came_to.map_err(|fault| (number, fault))?;
        }
        Ok(())
    })
}

/// One case from its begin to its end. Out: its story, if it is to be told, and what was wrong.
fn live(world: &World, reins: &[Reins<'_>], number: u64, tells: bool) -> (Vec<String>, Result<(), String>) {
    let mut case = None;
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let case = case.insert(Case::new(world, reins, number, tells));
        let steps = 60 + case.random.below(60);
        if case.random.happens(0.03) {
            case.flood(300);
        }
        case.happen(steps);
        case.rest()
    }));
    let came_to = ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.unwrap_or_else(|| "it panics".into()))
    });
    (case.map_or_else(Vec::new, |case| case.story), came_to)
}

/// One half stops when the other one has failed.
struct OnPanic<'f>(&'f AtomicBool);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, SeqCst);
        }
    }
}

fn run_or_tell(world: u64, cases: impl Iterator<Item = u64>, tells: bool) {
    if let Err((number, fault)) = run(world, cases, tells) {
        panic!("{fault}\nrepeat it with BOUNDGATE_SEED={number}");
    }
}

#[test]
fn simulated_proxies_keep_every_promise() {
    if let Some(seed) = number("BOUNDGATE_SEED") {
        return run_or_tell(seed / IN_ONE_WORLD, seed..=seed, true);
    }
    for seed in KEPT {
        run_or_tell(seed / IN_ONE_WORLD, *seed..=*seed, false);
    }
    let worlds = number("BOUNDGATE_CASES").unwrap_or(CASES).div_ceil(IN_ONE_WORLD);
    // One thread decides at a time in each world, so two worlds keep two cores busy.
    let failed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for half in 0..2 {
            let worlds = (half..worlds).step_by(2);
            let failed = &failed;
            scope.spawn(move || {
                let _stop = OnPanic(failed);
                for world in worlds.take_while(|_| !failed.load(SeqCst)) {
                    run_or_tell(world, world * IN_ONE_WORLD..(world + 1) * IN_ONE_WORLD, false);
                }
            });
        }
    });
}

#[test]
fn the_same_number_tells_the_same_story() {
    let world = World::new(&mut Random(3));
    let story = || {
        std::thread::scope(|scope| {
            let reins: Vec<Reins<'_>> = world.filters.iter().map(|_| Reins::take(scope, &world)).collect();
            (75..80).map(|number| live(&world, &reins, number, true)).collect::<Vec<_>>()
        })
    };
    assert_eq!(story(), story());
}
