//! A fleet, its network and its rate-limit service under one seed. In: a [`Fleet`] and a seed. Out: a [`Report`],
//! the same for the same seed, and the invariants checked on the way:
//!
//! * every request hears exactly one verdict, and waits for it no longer than the time-out;
//! * in every window of the service, a key is admitted no more than its quota, once for each time that the service
//!   lost its counters, and the requests that waited for a call that was sent before the window began;
//! * with replicas whose clocks differ, the same without the stretches in which two windows are open.
//!
//! `BOUNDGATE_SEED` sets the seed; a failing test prints it.

#![allow(clippy::arithmetic_side_effects)]

use std::time::Duration;

use server::{Time, nanos};

use crate::policy::Kind;

pub(crate) mod random;
mod run;
mod server;
mod tests;

/// What goes wrong, as shares of the calls.
#[derive(Clone, Debug, Default)]
struct Faults {
    /// Answers that take up to five time-outs.
    late: f64,
    /// Asks or answers that the network loses.
    lost: f64,
    /// Ends that are never reported.
    unreported: f64,
    /// Ends that are reported twice.
    twice: f64,
    /// Bytes that are no answer.
    garbage: f64,
    /// How far apart the clocks of the service's replicas are.
    skew: Duration,
    /// When the service is away.
    outages: Vec<Outage>,
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    from: f64,
    to: f64,
    /// Accepts calls and never answers; else refuses them.
    black_hole: bool,
    /// Comes back without its counters.
    forgets: bool,
}

#[derive(Clone, Debug)]
struct Fleet {
    proxies: usize,
    workers: usize,
    kind: Kind,
    /// Limitador: whether it tells its window.
    fields: bool,
    quota: u64,
    window: Duration,
    /// How far into a window the run starts.
    into_window: Duration,
    /// How long requests come.
    runs: Duration,
    /// What comes later is reported apart.
    warm_after: Duration,
    keys: usize,
    /// Requests a second, for each key, over all proxies.
    rps: f64,
    /// Whether demand comes in phases, each at some of the workers: so leases are left over at the end of windows and
    /// are wanted at the start of others.
    phases: bool,
    timeout: Duration,
    faults: Faults,
}

/// What requests cost the service, and how many had to wait for it.
#[derive(Clone, Copy, Debug, Default)]
struct Toll {
    requests: u64,
    calls: u64,
    waited: u64,
}

impl Toll {
    fn requests_per_call(&self) -> f64 {
        self.requests as f64 / self.calls.max(1) as f64
    }
}

#[derive(Debug, Default)]
struct Report {
    /// Until [`Fleet::warm_after`], and then.
    cold: Toll,
    warm: Toll,
    admitted: u64,
    over: u64,
    fallbacks: u64,
    longest_wait: Duration,
    /// Of the windows that lay in the run from end to end: how much of the quota was not admitted.
    unused: Vec<f64>,
}

impl Report {
    fn toll(&mut self, fleet: &Fleet, now: Time) -> &mut Toll {
        if now < nanos(fleet.warm_after) { &mut self.cold } else { &mut self.warm }
    }
}

/// Runs it to the end and checks the invariants.
fn simulate(fleet: &Fleet, seed: u64) -> Report {
    struct Told(u64);
    impl Drop for Told {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("replay with BOUNDGATE_SEED={}", self.0);
            }
        }
    }
    let _told = Told(seed);
    run::run(fleet, seed)
}
