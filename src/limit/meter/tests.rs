//! What a decision over several limits does, one situation each.

#![allow(clippy::arithmetic_side_effects)]

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::proxy::{Proxy, SLOTS, START, after, ask, by_peer, for_everyone, limit};
use super::*;
use crate::fake::FakeHost;
use crate::host::{Cas, Conflict, Digest, Expect, NativeVerdict};
use crate::limit::{KeyValue, MAX_LIMITS_PER_KEY};
use crate::policy::KeyPart;

/// A worker that is interrupted before each of its writes.
struct Interrupted<'h, F> {
    host: &'h FakeHost,
    writes: Cell<usize>,
    before_write: RefCell<F>,
}

impl<'h, F: FnMut(usize)> Interrupted<'h, F> {
    /// `before_write` is given the number of the write, from 0.
    fn new(host: &'h FakeHost, before_write: F) -> Self {
        Self { host, writes: Cell::new(0), before_write: RefCell::new(before_write) }
    }
}

impl<F: FnMut(usize)> Host for Interrupted<'_, F> {
    fn shared_get(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        self.host.shared_get(key)
    }

    fn shared_set(&self, key: &str, value: &[u8], expect: Expect) -> Result<(), Conflict> {
        let number = self.writes.replace(self.writes.get() + 1);
        self.before_write.borrow_mut()(number);
        self.host.shared_set(key, value, expect)
    }

    fn verify(&self, _: Digest, _: &[u8], _: &[u8], _: &[u8]) -> NativeVerdict {
        NativeVerdict::Missing
    }

    fn random(&self) -> [u8; 32] {
        self.host.random()
    }
}

#[test]
fn limits_of_one_identity_cost_one_read_and_one_write() {
    let proxy = Proxy::sized_for(1_000);
    let (fast, slow) = (by_peer("fast", 10, 5), by_peer("slow", 1_000, 100));
    let (reads, writes) = proxy.host.calls();
    assert!(proxy.admits("alice", &[&fast, &slow], START));
    assert_eq!(proxy.host.calls(), (reads + 1, writes + 1));
}

#[test]
fn a_request_without_limits_touches_nothing() {
    let proxy = Proxy::sized_for(1_000);
    let before = proxy.host.calls();
    assert!(proxy.take("alice", &[], START).unwrap().standings().is_empty());
    assert_eq!(proxy.host.calls(), before);
}

#[test]
fn permits_say_where_the_caller_stands_with_each_limit() {
    let proxy = Proxy::sized_for(1_000);
    let (mine, all) = (by_peer("mine", 10, 5), for_everyone(100, 3));
    let permits = proxy.take("alice", &[&mine, &all], START).unwrap();
    let standings: Vec<_> =
        permits.standings().iter().map(|of| (&*of.limit.origin.name, of.remaining, of.reset)).collect();
    assert_eq!(standings, [("mine", 4, Duration::from_nanos(10)), ("everyone", 2, Duration::from_nanos(100))]);
}

#[test]
fn a_spent_identity_leaves_others_alone() {
    let proxy = Proxy::with_one_slot();
    let limit = by_peer("mine", 10, 5);
    assert_eq!(proxy.spend("alice", &limit, START), 5);
    assert_eq!(proxy.spend("bob", &limit, START), 5);
}

#[test]
fn a_refused_request_costs_no_other_limit() {
    let proxy = Proxy::sized_for(1_000);
    let (mine, other, all) = (by_peer("mine", 10, 5), by_peer("other", 10, 1), for_everyone(10, 5));
    proxy.spend("alice", &other, START);
    for limits in [[&mine, &all, &other], [&other, &mine, &all]] {
        let over = proxy.take("alice", &limits, START).unwrap_err();
        assert_eq!(over.violated_names().collect::<Vec<_>>(), ["other"]);
    }
    assert_eq!(proxy.spend("alice", &mine, START), 5);
    assert_eq!(proxy.spend("alice", &all, START), 5);
}

#[test]
fn the_wait_is_that_of_the_slowest_violated_limit_and_suffices_for_all() {
    let proxy = Proxy::sized_for(1_000);
    let limits = [&by_peer("mine", 70, 2), &for_everyone(1_000, 2)];
    assert!(proxy.admits("alice", &limits, START) && proxy.admits("alice", &limits, START));
    let over = proxy.take("alice", &limits, START).unwrap_err();
    assert_eq!(over.violated().len(), 2);
    assert_eq!(over.retry_after(), Duration::from_nanos(1_000));
    assert!(!over.contended());
    assert!(!proxy.admits("alice", &limits, after(999)));
    assert!(proxy.admits("alice", &limits, after(1_000)));
}

#[test]
fn a_worker_that_loses_a_race_decides_again_on_what_it_finds_then() {
    let proxy = Proxy::sized_for(1_000);
    let limit = by_peer("mine", 10, 5);
    let worker = Interrupted::new(&proxy.host, |write| {
        if write < 4 {
            assert!(proxy.admits("alice", &[&limit], START));
        }
    });
    let permits = take(&ask(&proxy.table, "alice", &[&limit]), &proxy.table, &worker, START).unwrap();
    assert_eq!(permits.strain().retries, 4);
    assert_eq!(permits.standings()[0].remaining, 0);
    assert!(!proxy.admits("alice", &[&limit], START));
}

#[test]
fn the_last_permit_is_not_given_twice() {
    let proxy = Proxy::sized_for(1_000);
    let limit = by_peer("mine", 10, 1);
    let worker = Interrupted::new(&proxy.host, |_| {
        proxy.admits("alice", &[&limit], START);
    });
    let over = take(&ask(&proxy.table, "alice", &[&limit]), &proxy.table, &worker, START).unwrap_err();
    assert_eq!(over.violated_names().collect::<Vec<_>>(), ["mine"]);
    assert!(!over.contended());
}

#[test]
fn a_race_that_is_never_won_ends_in_a_refusal() {
    let proxy = Proxy::with_one_slot();
    let limit = by_peer("mine", 10, 1_000);
    let worker = Interrupted::new(&proxy.host, |_| assert!(proxy.admits("bob", &[&limit], START)));
    let over = take(&ask(&proxy.table, "alice", &[&limit]), &proxy.table, &worker, START).unwrap_err();
    assert!(over.contended());
    assert_eq!(over.retry_after(), Duration::from_secs(1));
    assert_eq!(proxy.spend("alice", &limit, START), 1_000);
}

#[test]
fn what_was_charged_before_a_late_refusal_is_given_back() {
    let proxy = Proxy::sized_for(1_000);
    let (mine, all) = (by_peer("mine", 10, 5), for_everyone(10, 1));
    let worker = Interrupted::new(&proxy.host, |write| {
        if write == 1 {
            assert!(proxy.admits("bob", &[&all], START));
        }
    });
    let over = take(&ask(&proxy.table, "alice", &[&mine, &all]), &proxy.table, &worker, START).unwrap_err();
    assert_eq!(over.violated_names().collect::<Vec<_>>(), ["everyone"]);
    assert_eq!(over.strain().kept, 0);
    assert_eq!(proxy.spend("alice", &mine, START), 5);
}

#[test]
fn giving_back_wins_its_own_races() {
    let proxy = Proxy::with_one_slot();
    let (mine, all) = (by_peer("mine", 10, 5), for_everyone(10, 1));
    let worker = Interrupted::new(&proxy.host, |write| match write {
        1 => assert!(proxy.admits("bob", &[&all], START)),
        // Somebody who has an entry in the same slot already.
        2 | 3 => assert!(proxy.admits("carol", &[&mine], START)),
        _ => {}
    });
    assert!(proxy.admits("carol", &[&mine], START));
    let over = take(&ask(&proxy.table, "alice", &[&mine, &all]), &proxy.table, &worker, START).unwrap_err();
    assert_eq!(over.strain().kept, 0);
    assert_eq!(proxy.spend("alice", &mine, START), 5);
}

#[test]
fn a_charge_that_others_built_on_is_kept_since_giving_it_back_could_refill_the_budget() {
    let proxy = Proxy::sized_for(1_000);
    let (mine, all) = (by_peer("mine", 10, 5), for_everyone(10, 1));
    // The other worker's clock is later: by then, what alice was charged has come back by itself.
    let worker = Interrupted::new(&proxy.host, |write| {
        if write == 1 {
            assert!(proxy.admits("bob", &[&all], after(1_000)));
            assert!(proxy.admits("alice", &[&mine], after(1_000)));
        }
    });
    let over = take(&ask(&proxy.table, "alice", &[&mine, &all]), &proxy.table, &worker, START).unwrap_err();
    assert_eq!(over.strain().kept, 1);
    assert_eq!(proxy.spend("alice", &mine, after(1_000)), 4);
}

#[test]
fn being_pushed_out_of_a_full_slot_refills_nothing() {
    let proxy = Proxy::with_one_slot();
    let (short, long) = (by_peer("short", 10, 5), by_peer("long", 10_000, 5));
    assert_eq!(proxy.spend("alice", &short, START), 5);
    proxy.fill_slot(&long, START);
    let over = proxy.take("alice", &[&short], START).unwrap_err();
    assert_eq!(over.strain().inherited, 1);
    assert_eq!(over.retry_after(), Duration::from_nanos(10));
}

#[test]
fn a_newcomer_never_owes_more_than_a_spent_budget_and_passes_after_the_wait_it_is_told() {
    let proxy = Proxy::with_one_slot();
    let (short, long) = (by_peer("short", 10, 5), by_peer("long", 10_000, 5));
    proxy.fill_slot(&long, START);
    assert!(proxy.admits("seventeenth", &[&long], START), "nobody was forgotten before");
    let over = proxy.take("newcomer", &[&short], START).unwrap_err();
    assert_eq!(over.retry_after(), Duration::from_nanos(10));
    assert!(!proxy.admits("newcomer", &[&short], after(9)));
    assert!(proxy.admits("newcomer", &[&short], after(10)));
}

#[test]
fn a_slot_that_somebody_overwrote_refills_nothing_and_heals() {
    for garbage in [&b""[..], b"x", &[0; 271], &[255; 272], &[255; 4096]] {
        let proxy = Proxy::with_one_slot();
        let limit = by_peer("mine", 10, 5);
        assert_eq!(proxy.spend("alice", &limit, START), 5);
        let [slot_key] = proxy.host.keys(SLOTS).try_into().unwrap();
        proxy.host.overwrite(&slot_key, garbage);
        let over = proxy.take("alice", &[&limit], START).unwrap_err();
        assert_eq!(over.strain().unreadable, 1);
        let permits = proxy.take("alice", &[&limit], START.plus(over.retry_after())).unwrap();
        assert_eq!(permits.strain().unreadable, 0);
        assert_eq!(permits.standings()[0].remaining, 0);
    }
}

#[test]
fn a_worker_that_was_held_up_does_not_shorten_what_others_charged_meanwhile() {
    let proxy = Proxy::sized_for(1_000);
    let limit = by_peer("mine", 10, 5);
    assert_eq!(proxy.spend("alice", &limit, after(1_000)), 5);
    assert!(!proxy.admits("alice", &[&limit], START));
    assert!(!proxy.admits("alice", &[&limit], after(1_009)));
    assert!(proxy.admits("alice", &[&limit], after(1_010)));
}

#[test]
fn a_limit_that_became_faster_does_not_hold_old_debts_against_anyone() {
    let proxy = Proxy::sized_for(1_000);
    let (before, now) = (by_peer("mine", 1_000_000, 100), by_peer("mine", 10, 5));
    proxy.spend("alice", &before, START);
    let over = proxy.take("alice", &[&now], START).unwrap_err();
    assert_eq!(over.retry_after(), Duration::from_nanos(10));
    assert!(proxy.admits("alice", &[&now], after(10)));
}

#[test]
fn more_limits_than_a_slot_has_room_for_are_refused_and_never_uncounted() {
    let proxy = Proxy::sized_for(1_000);
    let limits: Vec<_> = (0..=MAX_LIMITS_PER_KEY).map(|number| by_peer(&number.to_string(), 10, 5)).collect();
    let all: Vec<_> = limits.iter().collect();
    assert!(proxy.take("alice", &all, START).unwrap_err().contended());
    assert!(proxy.admits("alice", &all[..MAX_LIMITS_PER_KEY], START));
    assert_eq!(proxy.spend("alice", all[0], START), 4);
}

#[test]
fn identities_that_meet_in_one_slot_are_charged_together() {
    let proxy = Proxy::with_one_slot();
    let limits = ["one", "two"].map(|text| limit(text, &[KeyPart::Constant(text.into())], 10, 5));
    let demands = limits.each_ref().map(|limit| {
        let text = &*limit.origin.name;
        Demand {
            limit,
            quota: limit.quota,
            identity: proxy.table.identity(&limit.key, |_| KeyValue::Text(text.into())),
            cost: 1,
        }
    });
    let permits = take(&demands, &proxy.table, &proxy.host, START).unwrap();
    assert_eq!(permits.strain().retries, 0);
    assert_eq!(permits.standings().iter().map(|of| of.remaining).collect::<Vec<_>>(), [4, 4]);
}

#[test]
fn a_hundred_thousand_identities_fill_a_bounded_number_of_keys() {
    let proxy = Proxy::sized_for(1_024);
    let (mine, all) = (by_peer("mine", 1_000_000, 1), for_everyone(1, u32::MAX));
    for number in 0..100_000 {
        let _ = proxy.take(&number.to_string(), &[&mine, &all], START);
    }
    assert_eq!(proxy.host.keys(SLOTS).len(), 128 + 1);
}
