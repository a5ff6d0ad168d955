//! A service that fails: how long requests wait, when nobody waits any more, and how it is known to be back.

use super::world::*;
use crate::fake::at;
use crate::limit::fleet::fake::service;
use crate::limit::fleet::*;

#[test]
fn a_request_waits_no_longer_than_the_time_out_whatever_the_calls_do() {
    let mut world = World::new(service());
    let _ = world.take(0.0);
    let (id, _) = world.next_call(0.0).unwrap();
    let _ = world.take(0.015);
    assert_eq!(world.leases.next_tick(), Some(at(0.02).mono));
    assert_eq!(world.tick(0.02), [Waiter(1)]);
    assert_eq!(because(&world.take_as(1, "alice", 1, 0.02)), Some(NoAnswer::TimedOut));
    assert_eq!(world.answer(id, Err(CallFailed), 0.021), [Waiter(2)], "it joined a call that failed");
    assert_eq!(because(&world.take_as(2, "alice", 1, 0.021)), Some(NoAnswer::Failed));
}

#[test]
fn a_call_whose_end_is_never_reported_is_given_up() {
    let mut world = World::new(service());
    let _ = world.take(0.0);
    let (id, _) = world.next_call(0.0).unwrap();
    world.tick(0.02);
    world.tick(0.3);
    assert_eq!(world.leases.next_tick(), None);
    assert_eq!(world.leases.take_tally().failed, 1);
    assert_eq!(world.answer(id, ok(1000, 900, 60), 0.4), []);
    assert!(granted(&world.take_with(1, 0.5, ok(1000, 900, 60)).1), "the key is asked for again");
}

/// Calls for five keys fail.
fn break_service(world: &mut World) {
    for waiter in 1_000_001..=1_000_005 {
        assert_eq!(world.take_as(waiter, &format!("caller {waiter}"), 1, 0.0), Taken::Wait);
    }
    let calls: Vec<LeaseCallId> = std::iter::from_fn(|| world.next_call(0.0)).map(|(id, _)| id).collect();
    for id in &calls[..4] {
        world.answer(*id, Err(CallFailed), 0.0);
    }
    assert_eq!(world.take_as(1_000_006, "caller 1006", 1, 0.0), Taken::Wait);
    let mut woken = world.answer(calls[4], Err(CallFailed), 0.0);
    woken.sort();
    assert_eq!(woken, [Waiter(1_000_005), Waiter(1_000_006)], "nobody waits for a service that was given up");
    assert_eq!(because(&world.take_as(1_000_006, "caller 1006", 1, 0.0)), Some(NoAnswer::BreakerOpen));
    assert_eq!(world.next_call(0.0), None, "nor is it called");
}

#[test]
fn while_the_breaker_is_open_nobody_waits_and_one_call_a_second_is_sent() {
    let mut world = World::new(service());
    break_service(&mut world);
    let mut probes = 0;
    for ms in 0..10_000 {
        let now = f64::from(ms) / 1e3;
        assert_eq!(because(&world.take(now)), Some(NoAnswer::BreakerOpen));
        while let Some((id, hits)) = world.next_call(now) {
            assert_eq!(hits, 1);
            probes += 1;
            world.answer(id, Err(CallFailed), now);
        }
    }
    assert_eq!(probes, 9);
}

#[test]
fn a_probe_that_is_answered_closes_the_breaker_and_its_permit_is_used() {
    let mut world = World::new(service());
    break_service(&mut world);
    assert_eq!(because(&world.take(1.0)), Some(NoAnswer::BreakerOpen));
    let (id, _) = world.next_call(1.0).unwrap();
    assert_eq!(world.answer(id, ok(1000, 900, 60), 1.01), []);
    assert!(granted(&world.take(1.01)));
    assert_eq!(world.take(1.01), Taken::Wait);
}

#[test]
fn a_lease_lives_on_while_the_breaker_is_open() {
    let mut world = World::new(service());
    world.busy(50, 900_000);
    break_service(&mut world);
    assert!(world.granted_at_once(1.0) > 20);
    assert_eq!(because(&world.take(1.0)), Some(NoAnswer::BreakerOpen));
}
