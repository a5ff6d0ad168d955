//! What a decision over several limits does, one situation each.

#![allow(clippy::arithmetic_side_effects)]

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::proxy::{Proxy, SLOTS, START, after, ask, by_peer, for_everyone, limit, on_responses};
use super::*;
use crate::fake::FakeHost;
use crate::host::{Cas, Conflict, Digest, Expect, NativeVerdict};
use crate::limit::{KeyValue, Why};
use crate::policy::{Condition, Fact, FilterId, Quota, TableSize};

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
    let proxy = Proxy::new();
    let (fast, slow) = (by_peer("fast", 10, 5), by_peer("slow", 1_000, 100));
    let (reads, writes) = proxy.host.calls();
    assert!(proxy.admits("alice", &[&fast, &slow], START));
    assert_eq!(proxy.host.calls(), (reads + 1, writes + 1));
}

#[test]
fn a_request_without_limits_touches_nothing() {
    let proxy = Proxy::new();
    let before = proxy.host.calls();
    assert!(proxy.take("alice", &[], START).unwrap().standings().is_empty());
    assert_eq!(proxy.host.calls(), before);
}

#[test]
fn permits_say_where_the_caller_stands_with_each_limit() {
    let proxy = Proxy::new();
    let (mine, all) = (by_peer("mine", 10, 5), for_everyone(100, 3));
    let permits = proxy.take("alice", &[&mine, &all], START).unwrap();
    let standings: Vec<_> =
        permits.standings().iter().map(|of| (&*of.limit.origin.name, of.remaining, of.reset)).collect();
    assert_eq!(standings, [("mine", 4, Duration::from_nanos(10)), ("everyone", 2, Duration::from_nanos(100))]);
}

#[test]
fn a_spent_identity_leaves_others_alone() {
    let proxy = Proxy::new();
    let limit = by_peer("mine", 10, 5);
    assert_eq!(proxy.spend("alice", &limit, START), 5);
    assert_eq!(proxy.spend("bob", &limit, START), 5);
}

#[test]
fn a_refused_request_costs_no_other_limit() {
    let proxy = Proxy::new();
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
    let proxy = Proxy::new();
    let limits = [&by_peer("mine", 70, 2), &for_everyone(1_000, 2)];
    assert!(proxy.admits("alice", &limits, START) && proxy.admits("alice", &limits, START));
    let over = proxy.take("alice", &limits, START).unwrap_err();
    assert_eq!(over.violated().len(), 2);
    assert_eq!(over.retry_after().unwrap(), Duration::from_nanos(1_000));
    assert!(!over.contended());
    assert!(!proxy.admits("alice", &limits, after(999)));
    assert!(proxy.admits("alice", &limits, after(1_000)));
}

#[test]
fn a_worker_that_loses_a_race_decides_again_on_what_it_finds_then() {
    let proxy = Proxy::new();
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
    let proxy = Proxy::new();
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
    let proxy = Proxy::new();
    let limit = by_peer("mine", 10, 1_000);
    let worker = Interrupted::new(&proxy.host, |_| assert!(proxy.admits("bob", &[&limit], START)));
    let over = take(&ask(&proxy.table, "alice", &[&limit]), &proxy.table, &worker, START).unwrap_err();
    assert!(over.contended());
    assert_eq!(over.retry_after().unwrap(), Duration::from_secs(1));
    assert_eq!(proxy.spend("alice", &limit, START), 1_000);
}

#[test]
fn what_was_charged_before_a_late_refusal_is_given_back() {
    let proxy = Proxy::new();
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
    let proxy = Proxy::new();
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
    let proxy = Proxy::new();
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
fn being_pushed_out_of_a_full_slot_refills_nothing_and_is_told_apart_from_a_spent_budget() {
    let proxy = Proxy::new();
    let limit = by_peer("mine", 10, 5);
    assert_eq!(proxy.spend("alice", &limit, START), 5);
    assert!(!proxy.take("alice", &[&limit], START).unwrap_err().crowded());
    proxy.fill_slot(&limit, START);
    let over = proxy.take("alice", &[&limit], START).unwrap_err();
    assert_eq!(over.strain().inherited, 1);
    assert!(over.crowded());
    assert_eq!(over.retry_after(), Some(Duration::from_nanos(10)));
}

#[test]
fn a_flood_that_one_limit_counts_leaves_what_another_counts_alone() {
    let proxy = Proxy::new();
    let (mine, other) = (by_peer("mine", 10, 5), by_peer("other", 10_000, 5));
    assert_eq!(proxy.spend("alice", &mine, START), 5);
    for stranger in 0..100 {
        proxy.admits(&format!("stranger-{stranger}"), &[&other], START);
    }
    assert!(!proxy.admits("alice", &[&mine], START));
    assert_eq!(proxy.spend("bob", &mine, START), 5);
    assert_eq!(proxy.spend("alice", &mine, after(10)), 1);
}

#[test]
fn a_newcomer_never_owes_more_than_a_spent_budget_and_passes_after_the_wait_it_is_told() {
    let proxy = Proxy::new();
    let limit = by_peer("mine", 10, 5);
    for other in 0..32 {
        assert_eq!(proxy.spend(&format!("other-{other}"), &limit, after(500)), 5);
    }
    assert!(proxy.admits("newcomer", &[&limit], after(500)), "nobody was forgotten before");
    let over = proxy.take("another", &[&limit], START).unwrap_err();
    assert_eq!(over.retry_after(), Some(Duration::from_nanos(10)));
    assert!(!proxy.admits("another", &[&limit], after(509)));
    assert!(proxy.admits("another", &[&limit], after(510)));
}

/// A limit of a client and what it writes into a header.
fn by_header(interval: u64) -> Rc<Limit> {
    limit("by-header", &[Fact::ClientId, Fact::Header("x".into())], interval, 5)
}

fn spend_as(proxy: &Proxy, client: &str, value: &str, limit: &Rc<Limit>) -> bool {
    let value_of = |part: &Fact| KeyValue::Text(if *part == Fact::ClientId { client } else { value }.into());
    let identity = proxy.table.identity(&limit.key, value_of);
    let demand = Demand { limit, allowance: limit.allowance, identity, cost: 1 };
    take(&[demand], &proxy.table, &proxy.host, START).is_ok()
}

#[test]
fn whatever_a_client_writes_into_a_header_crowds_out_nobody_but_itself() {
    let proxy = Proxy::new();
    let limit = by_header(1_000_000);
    let greedy = (0..10_000).filter(|number| spend_as(&proxy, "greedy", &number.to_string(), &limit)).count();
    assert!(greedy < 100, "{greedy}: it pays for what was forgotten of it");
    for client in 0..20 {
        let client = format!("client-{client}");
        assert_eq!((0..9).filter(|_| spend_as(&proxy, &client, "x", &limit)).count(), 5, "{client}");
    }
}

#[test]
fn a_slot_that_somebody_overwrote_refills_nothing_and_heals() {
    for garbage in [&b""[..], b"x", &[0; 271], &[255; 272], &[255; 4096], &[7; 48]] {
        let proxy = Proxy::new();
        let limit = by_peer("mine", 10, 5);
        assert_eq!(proxy.spend("alice", &limit, START), 5);
        let [slot_key] = proxy.host.keys(SLOTS).try_into().unwrap();
        proxy.host.overwrite(&slot_key, garbage);
        let over = proxy.take("alice", &[&limit], START).unwrap_err();
        assert_eq!(over.strain().unreadable, 1);
        let permits = proxy.take("alice", &[&limit], START.plus(over.retry_after().unwrap())).unwrap();
        assert_eq!(permits.strain().unreadable, 0);
        assert_eq!(permits.standings()[0].remaining, 0);
    }
}

#[test]
fn a_worker_that_was_held_up_does_not_shorten_what_others_charged_meanwhile() {
    let proxy = Proxy::new();
    let limit = by_peer("mine", 10, 5);
    assert_eq!(proxy.spend("alice", &limit, after(1_000)), 5);
    assert!(!proxy.admits("alice", &[&limit], START));
    assert!(!proxy.admits("alice", &[&limit], after(1_009)));
    assert!(proxy.admits("alice", &[&limit], after(1_010)));
}

#[test]
fn a_limit_whose_rate_or_burst_is_changed_starts_afresh_and_leaves_what_was_owed_before() {
    let proxy = Proxy::new();
    let (before, faster, wider) =
        (by_peer("mine", 1_000_000, 5), by_peer("mine", 10, 5), by_peer("mine", 1_000_000, 6));
    assert_eq!(proxy.spend("alice", &before, START), 5);
    assert_eq!(proxy.spend("alice", &faster, START), 5);
    assert_eq!(proxy.spend("alice", &wider, START), 6);
    // Both versions are alive while the old listener drains.
    assert!(!proxy.admits("alice", &[&before], after(999_999)));
    assert!(proxy.admits("alice", &[&before], after(1_000_000)));
}

#[test]
fn what_has_an_override_owes_nothing_of_what_others_owe_and_refills_nothing() {
    let proxy = Proxy::new();
    let limit = for_everyone(1_000_000, 5);
    let vip = Quota::new(1, Duration::from_nanos(10), 3).unwrap();
    let vip = crate::policy::Override::new(&limit.origin.name, vec![Condition::Is(Fact::ClientId, "vip".into())], vip);
    let identity = proxy.table.identity(&limit.key, |_| KeyValue::Missing);
    let take_as = |allowance, now| {
        let demand = Demand { limit: &limit, allowance, identity, cost: 1 };
        take(&[demand], &proxy.table, &proxy.host, now).is_ok()
    };
    for round in 0..5 {
        let now = after(round * 1_000);
        let base = (0..9).filter(|_| take_as(limit.allowance, now)).count();
        assert_eq!(base, if round == 0 { 5 } else { 0 });
        assert_eq!((0..9).filter(|_| take_as(vip.allowance, now)).count(), 3);
    }
}

#[test]
fn two_filters_share_nothing() {
    let proxy = Proxy::new();
    let other = SharedTable::new(FilterId::new(b"other"), &proxy.host);
    let limit = by_peer("mine", 1_000_000, 5);
    assert_eq!(proxy.spend("alice", &limit, START), 5);
    let admitted = (0..9).filter(|_| take(&ask(&other, "alice", &[&limit]), &other, &proxy.host, START).is_ok());
    assert_eq!(admitted.count(), 5);
    assert!(!proxy.admits("alice", &[&limit], START));
}

#[test]
fn more_limits_than_a_slot_has_room_for_are_stricter_and_never_uncounted() {
    let proxy = Proxy::new();
    let limits: Vec<_> = (0..100).map(|number| by_peer(&number.to_string(), 1_000_000, 5)).collect();
    let all: Vec<_> = limits.iter().collect();
    let admitted = (0..20).filter(|_| proxy.admits("alice", &all, START)).count();
    assert!((1..=5).contains(&admitted), "{admitted}");
}

fn at_once(most: u32) -> Rc<Limit> {
    Rc::new(Rc::into_inner(by_peer("at-once", 1, most)).unwrap().at_once(Duration::from_secs(60)))
}

fn end(mut permits: Permits, table: &SharedTable, host: &dyn Host, now: MonoNanos) {
    conclude(&permits.take_pending(), |_| false, table, host, now);
}

#[test]
fn requests_at_once_are_counted_exactly_however_long_they_last() {
    let proxy = Proxy::new();
    let limit = at_once(3);
    let second = |second: u64| START.plus(Duration::from_secs(second));
    let mut under_way: Vec<Permits> = (0..3).map(|_| proxy.take("alice", &[&limit], START).unwrap()).collect();
    for now in (0..600).map(second) {
        proxy.table.tick(&proxy.host, now);
        let over = proxy.take("alice", &[&limit], now).unwrap_err();
        assert_eq!(over.violated()[0].why, Why::AtOnce { most: 3 });
        end(under_way.remove(0), &proxy.table, &proxy.host, now);
        under_way.push(proxy.take("alice", &[&limit], now).unwrap());
    }
}

#[test]
fn what_a_lost_worker_held_is_free_once_it_is_not_heard_of_and_what_others_hold_is_not() {
    let proxy = Proxy::new();
    let (lost, limit) = (proxy.worker(), at_once(3));
    let second = |second: u64| START.plus(Duration::from_secs(second));
    for _ in 0..2 {
        take(&ask(&lost, "alice", &[&limit]), &lost, &proxy.host, START).unwrap();
    }
    let _mine = proxy.take("alice", &[&limit], START).unwrap();
    for now in (0..60).map(second) {
        proxy.table.tick(&proxy.host, now);
        assert!(!proxy.admits("alice", &[&limit], now));
    }
    assert!(proxy.admits("alice", &[&limit], second(60)));
    assert!(proxy.admits("alice", &[&limit], second(60)));
    assert!(!proxy.admits("alice", &[&limit], second(60)));
}

#[test]
fn a_changed_number_at_once_counts_what_is_under_way() {
    let proxy = Proxy::new();
    let (few, many) = (at_once(5), at_once(50));
    let under_way: Vec<_> = (0..5).map(|_| proxy.take("alice", &[&few], START).unwrap()).collect();
    assert_eq!((0..60).filter(|_| proxy.admits("alice", &[&many], START)).count(), 45);
    assert!(!proxy.admits("alice", &[&few], START));
    drop(under_way);
}

#[test]
fn no_parallel_burst_of_failures_exceeds_the_burst_and_what_may_be_undecided() {
    let proxy = Proxy::new();
    let limit = on_responses(by_peer("guesses", 1_000_000, 10), 7);
    let mut failed = 0;
    for _ in 0..10 {
        let together: Vec<_> = (0..300).filter_map(|_| proxy.take("alice", &[&limit], START).ok()).collect();
        for mut permits in together {
            failed += 1;
            conclude(&permits.take_pending(), |_| true, &proxy.table, &proxy.host, START);
        }
    }
    assert_eq!(failed, 14, "two bursts of seven, and the second one is not paid for yet");
    assert!(!proxy.admits("alice", &[&limit], after(4_000_000)), "what was beyond the burst is owed");
    assert!(proxy.admits("alice", &[&limit], after(5_000_000)));
}

#[test]
fn what_succeeds_costs_nothing_of_a_limit_on_failures() {
    let proxy = Proxy::new();
    let limit = on_responses(by_peer("guesses", 1_000_000, 1), 7);
    for _ in 0..100 {
        let mut permits = proxy.take("alice", &[&limit], START).unwrap();
        conclude(&permits.take_pending(), |_| false, &proxy.table, &proxy.host, START);
    }
    assert!(proxy.host.keys(SLOTS).iter().all(|key| proxy.host.shared_get(key).unwrap().0.len() == 16), "at rest");
}

#[test]
fn a_last_word_that_loses_every_race_is_said_later() {
    let proxy = Proxy::new();
    let limit = at_once(1);
    let mut permits = proxy.take("alice", &[&limit], START).unwrap();
    let rival = by_peer("rival", 1, u32::MAX);
    let worker = Interrupted::new(&proxy.host, |_| assert!(proxy.admits("bob", &[&rival], START)));
    conclude(&permits.take_pending(), |_| false, &proxy.table, &worker, START);
    assert!(!proxy.table.is_settled());
    assert!(!proxy.admits("alice", &[&limit], START));
    proxy.table.tick(&proxy.host, START);
    assert!(proxy.table.is_settled());
    assert!(proxy.admits("alice", &[&limit], START));
}

#[test]
fn identities_that_meet_in_one_slot_are_charged_together() {
    let proxy = Proxy::new();
    let limits = ["one", "two"].map(|text| limit(text, &[Fact::Constant(text.into())], 10, 5));
    let demands = limits.each_ref().map(|limit| {
        let text = &*limit.origin.name;
        Demand {
            limit,
            allowance: limit.allowance,
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
    let proxy = Proxy::new();
    let mine = Rc::into_inner(by_peer("mine", 1_000_000, 1)).unwrap();
    let mine = Rc::new(Limit { table: TableSize::for_identities(1_024), ..mine });
    let all = for_everyone(1, u32::MAX);
    for number in 0..100_000 {
        let _ = proxy.take(&number.to_string(), &[&mine, &all], START);
    }
    assert_eq!(proxy.host.keys(SLOTS).len(), 128 + 1);
}
