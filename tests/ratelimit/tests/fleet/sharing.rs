//! One budget for several proxies, without a call per request.

use std::time::Duration;

use boundgate_ratelimit::{Clock, Config, Limits, Mode, RateLimitServer, Redis, Unit};
use serde_json::json;

use crate::{Caller, counter, proxy, service};

/// A moment at which an hour of the service ends.
const HOUR_ENDS: i64 = 500_000 * 3_600;

#[tokio::test]
async fn two_proxies_share_one_budget_counted_in_redis() {
    let redis = Redis::start().await;
    let service = service(Mode::Fixed { redis_url: redis.url() }, 200).await;
    let (one, two) = (proxy(service.address(), json!({})).await, proxy(service.address(), json!({})).await);
    let callers = [Caller::of(&one, "alice").await, Caller::of(&two, "alice").await];
    let mut passed = 0;
    for _ in 0..30 {
        for caller in &callers {
            passed += caller.passes(5).await;
        }
    }
    // Leases that are not used up, and asks that found too little left.
    assert!((180..=200).contains(&passed), "{passed} of 200");
    assert_eq!(one.upstream.count() + two.upstream.count(), passed);
}

#[tokio::test]
async fn limitador_shares_a_budget_as_well() {
    let service = service(Mode::Limitador, 100).await;
    let change = json!({"kind": "limitador"});
    let (one, two) = (proxy(service.address(), change.clone()).await, proxy(service.address(), change).await);
    let callers = [Caller::of(&one, "alice").await, Caller::of(&two, "alice").await];
    let mut passed = 0;
    for _ in 0..20 {
        for caller in &callers {
            passed += caller.passes(5).await;
        }
    }
    assert!((90..=100).contains(&passed), "{passed} of 100");
}

#[tokio::test]
async fn at_the_end_of_a_window_both_proxies_wait_as_told_and_share_the_next_one() {
    let redis = Redis::start().await;
    let clock = Clock::at(HOUR_ENDS - 1_000);
    let limits = Limits::new("boundgate").limit("per-client", 100, Unit::Hour);
    let mode = Mode::Fixed { redis_url: redis.url() };
    let service = RateLimitServer::start(Config { clock: clock.clone(), ..Config::new(mode, limits) }).await.unwrap();
    let (one, two) = (proxy(service.address(), json!({})).await, proxy(service.address(), json!({})).await);
    let callers = [Caller::of(&one, "alice").await, Caller::of(&two, "alice").await];
    let left = u64::try_from(HOUR_ENDS - clock.unix()).unwrap();
    clock.advance(Duration::from_secs(left - 6));
    let mut waits = Vec::new();
    let mut before = 0;
    for caller in &callers {
        before += caller.passes(110).await;
        let refusal = caller.call().await;
        waits.push(refusal.header("retry-after").unwrap().parse::<u64>().unwrap());
    }
    assert!(clock.unix() < HOUR_ENDS, "too slow a machine: the window is over");
    assert!((90..=100).contains(&before), "{before} of 100");
    assert!(waits.iter().all(|wait| (1..=8).contains(wait)), "{waits:?}");
    tokio::time::sleep(Duration::from_secs(*waits.iter().max().unwrap())).await;
    let mut after = 0;
    for caller in &callers {
        assert_eq!(caller.call().await.status, 200, "it waited as told");
        after += 1;
    }
    for caller in callers.iter().cycle().take(50) {
        after += caller.passes(4).await;
    }
    assert!((90..=100).contains(&after), "{after} of 100");
}

#[tokio::test]
async fn permits_are_asked_for_in_advance_and_spent_budgets_are_remembered() {
    let redis = Redis::start().await;
    let service = service(Mode::Fixed { redis_url: redis.url() }, 1_000).await;
    let bed = proxy(service.address(), json!({})).await;
    let alice = Caller::of(&bed, "alice").await;
    let passed = alice.passes(1_200).await;
    let calls = service.calls();
    assert!((950..=1_000).contains(&passed), "{passed} of 1000");
    assert!(calls <= 150, "{calls} calls for {passed} requests");
    assert_eq!(alice.passes(50).await, 0);
    assert_eq!(service.calls(), calls, "a spent budget is not asked for again");
    let refusal = alice.call().await;
    let wait: u64 = refusal.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3_600).contains(&wait));
    assert!(refusal.header("ratelimit").unwrap().starts_with(r#""per-client";r=0;t="#));
}

#[tokio::test]
async fn one_identity_does_not_spend_anothers_budget_and_no_name_stands_in_redis() {
    let redis = Redis::start().await;
    let service = service(Mode::Fixed { redis_url: redis.url() }, 50).await;
    let bed = proxy(service.address(), json!({})).await;
    assert!(Caller::of(&bed, "alice").await.passes(80).await <= 50);
    assert!(Caller::of(&bed, "bob").await.passes(30).await >= 28);
    let keys = redis.command("KEYS *").unwrap();
    assert!(keys.contains("per-client") && !keys.contains("alice") && !keys.contains("bob"), "{keys}");
}

#[tokio::test]
async fn a_limit_that_the_service_does_not_know_lets_pass_and_is_counted() {
    let redis = Redis::start().await;
    let service = service(Mode::Fixed { redis_url: redis.url() }, 1).await;
    let bed = proxy(service.address(), json!({"domain": "mistyped"})).await;
    assert_eq!(Caller::of(&bed, "alice").await.passes(5).await, 5);
    bed.envoy.stat_reaches("wasmcustom.boundgate.fleet_no_limit", 1).await.unwrap();
    assert_eq!(counter(&bed, "fleet_failed").await, 0);
}
