//! The life of a document, whatever is in it: workers of one proxy and a server whose troubles a seed chooses.

use super::*;
use crate::fake::{FakeHost, at};
use crate::limit::fleet::simulation::random::Random;
use crate::policy::TrustId;
use crate::worker::fetch::FetchFailed;

const SCHEDULE: Schedule =
    Schedule { refresh: Duration::from_secs(30), max_stale: Duration::from_secs(120), timeout: Duration::from_secs(2) };
const WORKERS: usize = 4;
/// Between two ticks.
const TICK: f64 = 0.1;
const END: f64 = 3_600.0;

fn document(worker: usize) -> Document<u64> {
    Document::new(NewsOf::keys(&TrustId::of("issuer")), SCHEDULE, worker as u64 + 1)
}

/// What the server does with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Up,
    Refuses,
    TimesOut,
    /// No end is ever reported.
    Loses,
}

/// The moods of an hour, each with the second when it ends. Bad ones are as long as half of `max_stale` or as twice.
fn moods(random: &mut Random) -> Vec<(f64, Mood)> {
    let mut moods = Vec::new();
    let mut time = 0.0;
    while time < END {
        let mood = [Mood::Up, Mood::Refuses, Mood::TimesOut, Mood::Loses][random.below(4)];
        time += random.between(1.0, if mood == Mood::Up { 200.0 } else { 240.0 });
        moods.push((time, mood));
    }
    moods
}

/// A worker, and what an observer knows of it.
struct Worker {
    document: Document<u64>,
    /// When the fetch under way ends, and what it brings; `None`: it never does.
    pending: Option<Option<(f64, Result<u64, FetchFault>)>>,
    succeeded: Option<f64>,
}

impl Worker {
    fn end(&mut self, fetched: Result<u64, FetchFault>, host: &FakeHost, time: f64) {
        let fetched = fetched.map(|content| Fetched { content, digest: content + 1, max_age: None });
        if let Outcome::Loaded = self.document.ended(fetched, host, at(time).mono, |fault| format!("{fault:?}")) {
            self.succeeded = Some(time);
        }
        self.pending = None;
    }
}

/// Lets an hour pass; the seconds at which each fetch began.
fn hour(seed: u64) -> Vec<f64> {
    let (mut random, host) = (Random(seed), FakeHost::default());
    let moods = moods(&mut random);
    let mut workers: Vec<Worker> =
        (0..WORKERS).map(|n| Worker { document: document(n), pending: None, succeeded: None }).collect();
    let mut begun = Vec::new();
    let mut last_in_trouble = f64::MIN;
    for step in 0..(END / TICK) as u32 {
        let time = f64::from(step) * TICK;
        let now = at(time).mono;
        let (until, mood) = *moods.iter().find(|(until, _)| time < *until).unwrap();
        let since = moods.iter().take_while(|(end, _)| *end < until).last().map_or(0.0, |(end, _)| *end);
        for worker in &mut workers {
            if let Some(Some((ends, _))) = &worker.pending
                && *ends <= time
                && let Some(Some((_, fetched))) = worker.pending.take()
            {
                worker.end(fetched, &host, time);
            } else if worker.document.is_lost(now) {
                assert!(worker.pending.is_some(), "seed {seed}: given up though nothing is under way");
                worker.end(Err(FetchFault::Call(FetchFailed::Lost)), &host, time);
            }
            let troubled = worker.document.news.read(&host).trouble.failures > 0;
            if worker.document.is_due(now) && worker.document.claims_turn(false, &host, now) {
                assert!(worker.pending.is_none(), "seed {seed}: two at once");
                worker.document.started(now);
                begun.push(time);
                if troubled {
                    assert!(time - last_in_trouble >= 0.1, "seed {seed}: all workers together at {time}");
                    last_in_trouble = time;
                }
                worker.pending = Some(match mood {
                    Mood::Up => Some((time + TICK, Ok(step.into()))),
                    Mood::Refuses => Some((time + TICK, Err(FetchFault::Status(500, String::new())))),
                    Mood::TimesOut => Some((time + 2.0, Err(FetchFault::Unreachable(504, String::new())))),
                    Mood::Loses => None,
                });
            }
            let serves = worker.succeeded.is_some_and(|when| time - when < 119.9);
            let over = worker.succeeded.is_none_or(|when| time - when > 120.1);
            let content = worker.document.content(now);
            assert!(!serves || content.is_some(), "seed {seed}: gone at {time}, loaded at {:?}", worker.succeeded);
            assert!(!over || content.is_none(), "seed {seed}: still there at {time}, loaded at {:?}", worker.succeeded);
            // The longest pause with its jitter, a fetch of another worker that is lost, and the same again for the rest of them.
            if mood == Mood::Up && time - since > 30.0 + 2.0 * (38.0 + 4.0) {
                let fresh = worker.succeeded.is_some_and(|when| time - when < 80.0);
                assert!(
                    fresh,
                    "seed {seed}: up since {since}, and at {time} there is what came {:?}",
                    worker.succeeded
                );
            }
        }
    }
    begun
}

#[test]
fn whatever_the_server_does_a_document_is_fetched_once_at_a_time_serves_as_long_as_it_may_and_is_there_again() {
    assert_eq!(hour(0), hour(0), "the same seed, the same hour");
    for seed in 0..8 {
        let begun = hour(seed);
        // In good times each worker refreshes on its own; in bad ones pauses grow for all of them together.
        assert!(begun.len() < WORKERS * 3_600 / 15, "seed {seed}: {} fetches in an hour", begun.len());
    }
}

#[test]
fn what_did_not_change_is_as_good_as_new() {
    let (mut document, host) = (document(0), FakeHost::default());
    document.started(at(0.0).mono);
    let fetched = Fetched { content: 7, digest: 1, max_age: None };
    document.ended(Ok(fetched), &host, at(0.0).mono, |_| String::new());
    document.started(at(100.0).mono);
    document.unchanged(None, &host, at(100.0).mono);
    assert_eq!(document.content(at(219.0).mono), Some(&7));
    assert!(!document.is_due(at(129.0).mono) && document.is_due(at(130.0).mono));
}

#[test]
fn what_may_serve_no_longer_is_still_known() {
    let (mut document, host) = (document(0), FakeHost::default());
    assert_eq!(document.last(), None);
    document.started(at(0.0).mono);
    document.ended(Ok(Fetched { content: 7, digest: 1, max_age: None }), &host, at(0.0).mono, |_| String::new());
    let late = at(0.0).mono.plus(SCHEDULE.max_stale.saturating_add(Duration::from_secs(1)));
    assert_eq!((document.content(late), document.last()), (None, Some(&7)));
}

#[test]
fn while_requests_are_refused_for_want_of_it_attempts_start_a_second_apart_and_more_rarely_otherwise() {
    for (refused, expected) in [(true, 55..=65), (false, 12..=20)] {
        let (mut document, host) = (document(0), FakeHost::default());
        let mut attempts = 0;
        for tenth in 0..600 {
            let now = at(f64::from(tenth) / 10.0).mono;
            if refused {
                assert_eq!(document.wanted(now), None);
            }
            if document.claims_turn(false, &host, now) {
                attempts += 1;
                document.started(now);
                document.ended(Err(FetchFault::Call(FetchFailed::NoAnswer)), &host, now, |_| String::new());
            }
        }
        assert!(expected.contains(&attempts), "{attempts} in a minute, refused: {refused}");
    }
}
