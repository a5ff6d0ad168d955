//! When a lease is renewed, what comes back to it, and what it survives.

use std::rc::Rc;

use super::world::*;
use crate::fake::at;
use crate::limit::fleet::fake::{limit, service};
use crate::limit::fleet::*;

#[test]
fn what_another_limit_refused_serves_the_next_request() {
    let mut world = World::new(service());
    world.busy(10, 100_000);
    let Taken::Granted(grant) = world.take(0.0) else { panic!() };
    let (limit, identity) = (Rc::clone(&world.limit), identity("alice"));
    let mut other = World::new(service());
    other.busy(10, 100_000);
    let rest = other.granted_at_once(0.0);
    world.leases.give_back(&limit, identity, grant, at(0.0).mono);
    assert_eq!(world.granted_at_once(0.0), rest);
}

#[test]
fn what_was_settled_for_one_limit_is_no_answer_for_another_and_goes_back() {
    let mut world = World::new(service());
    assert_eq!(world.take_as(1, "alice", 1, 0.0), Taken::Wait);
    let (id, _) = world.next_call(0.0).unwrap();
    assert_eq!(world.answer(id, ok(1000, 999, 60), 0.0), [Waiter(1)]);
    assert_eq!(world.take_as(1, "bob", 1, 0.0), Taken::Wait);
    assert_eq!(world.granted_at_once(0.0), 1);
}

#[test]
fn many_that_wait_for_one_lease_end_at_once_in_the_order_of_their_coming() {
    let mut world = World::new(service());
    let all: Vec<Waiter> = (1..=20_000).map(Waiter).collect();
    for waiter in &all {
        assert_eq!(world.take_as(waiter.0, "alice", 1, 0.0), Taken::Wait);
    }
    for waiter in (1..=20_000).filter(|waiter| waiter % 2 == 0) {
        world.leave(waiter, "alice");
    }
    assert_eq!(world.leases.waiting(), 10_000);
    let woken = world.tick(0.02);
    assert_eq!((woken.first(), woken.last(), woken.len()), (Some(&Waiter(1)), Some(&Waiter(19_999)), 10_000));
    assert_eq!(world.leases.waiting(), 0);
}

#[test]
fn a_busy_key_asks_before_its_lease_runs_dry() {
    let mut world = World::new(service());
    world.busy(6000, 100_000);
    assert_eq!(world.next_call(0.0), None);
    let mut granted = 0;
    let (id, hits) = loop {
        assert!(matches!(world.take(0.0), Taken::Granted(_)), "nobody waits");
        granted += 1;
        if let Some(call) = world.next_call(0.0) {
            break call;
        }
    };
    assert!(granted < hits);
    // 6,000 in a minute are 2 in 20 ms.
    assert!(world.granted_at_once(0.0) >= 2);
    world.answer(id, ok(1_000_000, 100_000, 3600), 0.01);
}

#[test]
fn a_single_request_leads_to_a_single_permit() {
    let mut world = World::new(service());
    let _ = world.take_with(1, 0.0, ok(1000, 900, 60));
    assert_eq!(world.next_call(0.0), None);
}

#[test]
fn a_forgotten_lease_only_loses_permits_and_nobody_who_waits() {
    let mut world = World::new(service());
    world.leases = Leases::new(4);
    let _ = world.take_as(1, "alice", 1, 0.0);
    let (id, _) = world.next_call(0.0).unwrap();
    for other in 2..100 {
        let name = format!("caller {other}");
        let _ = world.take_as(other, &name, 1, 0.0);
        world.leave(other, &name);
    }
    assert!(world.leases.take_tally().forgotten > 90);
    assert_eq!(world.answer(id, ok(1000, 900, 60), 0.0), [Waiter(1)]);
    assert!(granted(&world.take_as(1, "alice", 1, 0.0)));
}

#[test]
fn a_lease_survives_a_reload_of_the_configuration() {
    let mut world = World::new(service());
    world.busy(10, 100_000);
    world.limit = limit(service());
    assert!(granted(&world.take(0.0)));
}
