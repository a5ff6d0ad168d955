//! The ten rules for leases from a rate-limit service, by their numbers in [`crate::limit::fleet`].

#![allow(clippy::arithmetic_side_effects)]

use std::rc::Rc;

use prost::Message;

use super::world::*;
use crate::fake::at;
use crate::limit::fleet::fake::service;
use crate::limit::fleet::rls::{RateLimitRequest, Status};
use crate::limit::fleet::*;
use crate::policy::Service;

#[test]
fn rule_1_the_first_ask_of_a_key_is_what_its_first_request_costs() {
    let mut world = World::new(service());
    for _ in 0..20 {
        assert_eq!(world.take_of(3, 0.0), Taken::Wait);
    }
    let (id, hits) = world.next_call(0.0).unwrap();
    assert_eq!(hits, 3);
    assert_eq!(world.next_call(0.0), None, "one call at a time");
    assert_eq!(world.answer(id, ok(1000, 997, 60), 0.002), [Waiter(1)]);
    let (_, hits) = world.next_call(0.002).unwrap();
    assert!((57..=62).contains(&hits), "now the limit is known: all that wait, and at most 997 / 16: {hits}");
}

#[test]
fn rule_1_leases_are_a_sixteenth_of_what_is_left_and_within_demand_and_configuration() {
    for (demand, rest, least, most) in [(1000, 1_000_000, 200, 200), (1000, 320, 18, 20), (1000, 31, 1, 1)] {
        let mut world = World::new(service());
        world.busy(demand, rest);
        world.granted_at_once(0.0);
        // One request waits for it.
        let asked = world.next_call(0.0).map_or(0, |(_, hits)| hits);
        assert!((least..=most).contains(&asked), "{demand} {rest}: {asked}");
    }
}

#[test]
fn rule_1_the_first_ask_of_a_later_window_is_within_demand_and_a_256th_of_the_quota() {
    for (quota, expected) in [(1_000_000, 45..=50), (10_000, 39..=39), (100, 1..=1)] {
        let mut world = World::new(service());
        for _ in 0..50 {
            let _ = world.take_with(1, 58.0, ok(quota, 1, 2));
        }
        let _ = world.take(60.0);
        let (_, hits) = world.next_call(60.0).unwrap();
        assert!(expected.contains(&hits), "{quota}: {hits}");
    }
}

#[test]
fn rule_1_while_the_last_window_may_last_only_what_waits_is_asked() {
    let mut world = World::new(service());
    for _ in 0..50 {
        let _ = world.take_with(1, 0.0, ok(1_000_000, 1, 60));
    }
    let _ = world.take(59.9);
    assert_eq!(world.next_call(59.9).unwrap().1, 1);
}

#[test]
fn rule_1_what_is_more_than_the_rest_is_refused_without_an_ask() {
    let mut world = World::new(service());
    assert!(granted(&world.take_with(1, 0.0, ok(10, 3, 60)).1));
    refused_for(world.take_of(4, 10.0), Some(50.0));
    never(world.take_of(11, 100.0));
    assert_eq!(world.next_call(0.0), None);
    assert_eq!(world.take_of(3, 10.0), Taken::Wait);
}

#[track_caller]
fn never(taken: Taken) {
    assert!(matches!(taken, Taken::Over { retry: Retry::Never, .. }), "{taken:?}");
}

#[test]
fn rule_1_what_is_more_than_a_window_has_never_passes_also_if_only_a_refusal_told_so() {
    let mut world = World::new(service());
    never(world.take_with(50, 0.0, over(10, 30)).1);
    never(world.take_of(50, 29.0));
    refused_for(world.take_of(5, 29.0), Some(1.0));
    never(world.take_of(50, 30.0));
    assert_eq!(world.next_call(30.0), None);
    assert_eq!(world.take_of(5, 30.0), Taken::Wait);
}

#[test]
fn rule_1_whether_a_window_has_more_by_now_is_found_out_with_one_permit() {
    let mut world = World::new(service());
    never(world.take_with(50, 0.0, over(10, 30)).1);
    never(world.take_of(50, 299.0));
    assert_eq!(world.take_of(50, 300.0), Taken::Wait);
    let (id, hits) = world.next_call(300.0).unwrap();
    assert_eq!(hits, 1);
    assert_eq!(world.answer(id, ok(100, 99, 30), 300.0), [], "it has: now the request is asked for");
    let (id, hits) = world.next_call(300.0).unwrap();
    assert_eq!((hits, world.answer(id, ok(100, 49, 30), 300.0).len()), (50, 1));
    never(world.take_of(101, 300.0));
}

#[test]
fn rule_1_a_window_that_has_no_more_by_now_costs_one_permit_to_find_out() {
    let mut world = World::new(service());
    never(world.take_with(50, 0.0, over(10, 30)).1);
    let (hits, taken) = world.take_with(50, 300.0, ok(10, 9, 30));
    never(taken);
    assert_eq!((hits, world.granted_at_once(300.0)), (1, 1), "that one serves another request");
}

#[test]
fn rule_1_no_ask_is_for_more_than_a_window_has() {
    let mut world = World::new(Service { lease: 1_000_000, ..limitador() });
    let _ = world.take_with(1, 0.0, response(1, vec![], &fields(100, 99, 60)));
    for _ in 0..1000 {
        let _ = world.take(61.0);
    }
    assert_eq!(world.next_call(61.0).unwrap().1, 100);
}

#[test]
fn rule_2_a_refusal_with_a_window_is_final_until_its_end() {
    let mut world = World::new(service());
    refused_for(world.take_with(1, 0.0, over(10, 30)).1, Some(30.0));
    refused_for(world.take(29.5), Some(0.5));
    assert_eq!(world.next_call(29.5), None);
    assert_eq!(world.take(30.0), Taken::Wait, "who waited as told is not refused by us");
}

#[test]
fn rule_2_limitador_is_asked_for_half_until_only_one_request_is_refused() {
    let mut world = World::new(limitador());
    for _ in 0..5 {
        assert_eq!(world.take(0.0), Taken::Wait);
    }
    let mut asked = Vec::new();
    let mut woken = Vec::new();
    let mut rest = 3;
    while let Some((id, hits)) = world.next_call(0.0) {
        asked.push(hits);
        let reply = if hits <= rest {
            rest -= hits;
            response(1, vec![], &[])
        } else {
            response(2, vec![], &[])
        };
        woken.extend(world.answer(id, reply, 0.0));
    }
    assert_eq!(asked, [5, 2, 2, 1, 1], "5 no, 2 yes, 2 no, 1 yes, 1 no");
    let heard: Vec<bool> = woken.iter().map(|waiter| granted(&world.take_as(waiter.0, "alice", 1, 0.0))).collect();
    assert_eq!(heard, [true, true, true, false, false]);
    refused_for(world.take(0.05), None);
    assert_eq!(world.take(0.2), Taken::Wait, "a refusal that tells no end is soon tried again");
}

#[test]
fn rule_3_a_lease_dies_one_second_before_its_window_may_end() {
    let mut world = World::new(service());
    world.busy(1000, 100_000);
    assert!(granted(&world.take(3598.9)));
    assert_eq!(world.take(3599.0), Taken::Wait);
    assert_eq!(world.next_call(3599.0).unwrap().1, 1);
}

#[test]
fn rule_3_permits_of_a_window_that_is_over_do_not_serve_the_next() {
    let mut world = World::new(service());
    world.busy(1000, 100_000);
    assert!(granted(&world.take_with(1, 3600.0, ok(1_000_000, 999_999, 3600)).1));
    assert_eq!(world.granted_at_once(3600.0), 0);
}

#[test]
fn rule_3_a_limit_per_second_is_never_leased() {
    let mut world = World::new(service());
    for request in 0..100 {
        let seconds = f64::from(request) / 1e3;
        let (hits, taken) = world.take_with(1, seconds, ok(1000, 900, 1));
        assert_eq!(hits, 1);
        assert!(granted(&taken));
    }
    assert_eq!(world.next_call(0.1), None);
}

#[test]
fn rule_3_an_answer_after_the_end_grants_only_the_requests_that_waited() {
    let mut world = World::new(service());
    let _ = world.take_with(1, 0.0, ok(1000, 900, 60));
    for _ in 0..10 {
        assert_eq!(world.take(59.5), Taken::Wait);
    }
    let (id, hits) = world.next_call(59.5).unwrap();
    assert_eq!(hits, 10);
    let waiters: Vec<Waiter> = (2..=11).map(Waiter).collect();
    world.leave(11, "alice");
    assert_eq!(world.answer(id, ok(1000, 890, 1), 60.5), waiters[..9]);
    assert!(granted(&world.take_as(2, "alice", 1, 60.5)));
    assert_eq!(world.take(60.5), Taken::Wait, "what the request that left was to get is lost");
}

#[test]
fn rule_3_limitador_without_fields_is_never_leased() {
    let mut world = World::new(limitador());
    for request in 0..100 {
        let (hits, taken) = world.take_with(1, f64::from(request), response(1, vec![], &[]));
        assert_eq!(hits, 1);
        assert!(granted(&taken));
    }
    assert_eq!(world.next_call(100.0), None);
}

#[test]
fn rule_3_limitador_with_fields_is_leased_to_the_second_it_tells() {
    let mut world = World::new(limitador());
    for _ in 0..20 {
        let _ = world.take(0.0);
    }
    let (id, hits) = world.next_call(0.0).unwrap();
    assert_eq!(hits, 20, "a refusal would cost nothing");
    world.answer(id, response(1, vec![], &fields(1000, 980, 59)), 0.0);
    let (id, hits) = world.next_call(0.0).unwrap();
    assert_eq!(hits, 18, "the 20 that are expected, and half a deviation less");
    world.answer(id, response(1, vec![], &fields(1000, 960, 59)), 0.0);
    assert!(granted(&world.take(58.9)));
    assert_eq!(world.take(59.0), Taken::Wait);
}

#[test]
fn rule_4_ok_without_a_limit_passes_all_who_wait_and_is_counted() {
    let mut world = World::new(service());
    assert_eq!(world.take(0.0), Taken::Wait);
    assert_eq!(world.take(0.0), Taken::Wait);
    let (id, _) = world.next_call(0.0).unwrap();
    assert_eq!(world.answer(id, response(1, vec![Status::default()], &[]), 0.0).len(), 2);
    assert_eq!(world.take_as(1, "alice", 1, 0.0), Taken::NoLimit);
    assert_eq!(world.take_as(2, "alice", 1, 0.0), Taken::NoLimit);
    assert_eq!(world.leases.take_tally().no_limit, 1);
    assert_eq!(world.take(0.0), Taken::Wait, "there is no lease");
}

#[test]
fn rule_4_ok_with_nothing_left_is_no_refusal() {
    let mut world = World::new(service());
    for _ in 0..100 {
        assert!(granted(&world.take_with(1, 0.0, ok(10, 0, 60)).1), "shadow mode");
    }
}

#[test]
fn rule_6_an_ask_has_one_descriptor_of_one_entry() {
    let mut world = World::new(service());
    let _ = world.take(0.0);
    let call = world.leases.next_call(at(0.0).mono).unwrap();
    let request = RateLimitRequest::decode(&*call.body).unwrap();
    assert_eq!(request.domain, "boundgate");
    let [descriptor] = &*request.descriptors else { panic!("{request:?}") };
    let [entry] = &*descriptor.entries else { panic!("{request:?}") };
    assert_eq!(entry.key, "per-client");
    assert_eq!(entry.value.len(), 64);
}

#[test]
fn rule_7_a_failed_ask_is_not_repeated_inside_the_request_and_grants_nothing_later() {
    let mut world = World::new(service());
    let _ = world.take(0.0);
    let (id, _) = world.next_call(0.0).unwrap();
    assert_eq!(world.answer(id, Err(CallFailed), 0.02), [Waiter(1)]);
    assert_eq!(because(&world.take_as(1, "alice", 1, 0.02)), Some(NoAnswer::Failed));
    assert_eq!(world.next_call(0.02), None);
    assert_eq!(world.answer(id, ok(1000, 999, 60), 0.03), []);
    assert_eq!(world.take(0.03), Taken::Wait);
}

#[test]
fn rule_7_an_answer_reported_twice_counts_once() {
    let mut world = World::new(service());
    world.busy(100, 100_000);
    world.granted_at_once(0.0);
    let (id, hits) = world.next_call(0.0).unwrap();
    world.answer(id, ok(1_000_000, 100_000, 3600), 0.0);
    assert_eq!(world.answer(id, ok(1_000_000, 100_000, 3600), 0.0), []);
    // One of them had been waiting.
    assert_eq!(world.granted_at_once(0.0), hits - 1);
}

#[test]
fn rule_8_an_answer_that_is_none_is_a_failure() {
    for wrong in [response(0, vec![], &[]), response(3, vec![], &[]), Ok(b"<html>".to_vec()), Err(CallFailed)] {
        let mut world = World::new(service());
        let (_, taken) = world.take_with(1, 0.0, wrong);
        assert_eq!(because(&taken), Some(NoAnswer::Failed));
        assert_eq!(world.leases.take_tally().failed, 1);
    }
}

#[test]
fn rule_10_answers_of_the_same_window_put_its_end_together() {
    let mut world = World::new(service());
    // The window ends at 60.0; answers are rounded up to whole seconds.
    let _ = world.take_with(1, 0.9, ok(1000, 900, 60));
    let _ = world.take_with(1, 1.0, ok(1000, 899, 59));
    let Taken::Granted(grant) = world.take_with(1, 1.95, ok(1000, 898, 59)).1 else { panic!() };
    let reset = grant.standing().reset.unwrap().as_secs_f64();
    assert!((reset - 58.05).abs() < 1e-6, "{reset}");
    refused_for(world.take_of(899, 59.94), Some(60.0 - 59.94));
}

#[test]
fn rule_10_replicas_whose_clocks_disagree_do_not_share_permits() {
    let mut world = World::new(service());
    world.busy(100, 100_000);
    world.granted_at_once(0.0);
    let (id, _) = world.next_call(0.0).unwrap();
    world.answer(id, ok(1_000_000, 100_000, 1800), 0.0);
    let (limit, identity) = (Rc::clone(&world.limit), identity("alice"));
    let Taken::Granted(grant) = world.take(0.0) else { panic!() };
    let before = world.granted_at_once(0.0);
    assert!(before > 10);
    let (id, hits) = world.next_call(0.0).unwrap();
    world.answer(id, ok(1_000_000, 100_000, 900), 0.0);
    world.leases.give_back(&limit, identity, grant, at(0.0).mono);
    assert_eq!(world.granted_at_once(0.0), hits - 1, "a permit of another window is not taken back");
}
