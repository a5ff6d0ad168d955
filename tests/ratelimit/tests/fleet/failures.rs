//! A service that is killed, silent or talks nonsense: the documented answer only, and nobody waits for long.

use std::time::{Duration, Instant};

use boundgate_ratelimit::{Answer, Mode, RateLimitServer, Redis};
use boundgate_testbed::Testbed;
use serde_json::{Value, json};

use crate::{Caller, counter, proxy, service};

/// More than any request may wait on a busy machine, and far less than the five seconds a hanging one would take.
const SOON: Duration = Duration::from_secs(3);

async fn behind(redis: &Redis, change: Value) -> (RateLimitServer, Testbed, Caller) {
    let service = service(Mode::Fixed { redis_url: redis.url() }, 1_000_000).await;
    let bed = proxy(service.address(), change).await;
    let caller = Caller::of(&bed, "alice").await;
    (service, bed, caller)
}

/// Another identity for each number: one without a lease.
async fn strangers(bed: &Testbed, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for number in 0..count {
        let stranger = Caller::of(bed, &format!("stranger-{number}")).await;
        let started = Instant::now();
        statuses.push(stranger.call().await.status);
        assert!(started.elapsed() < SOON, "it waited {:?}", started.elapsed());
    }
    statuses
}

#[tokio::test]
async fn without_the_service_each_proxy_counts_alone() {
    let redis = Redis::start().await;
    let (service, bed, alice) = behind(&redis, json!({})).await;
    service.stop().await;
    assert_eq!(alice.passes(20).await, 7, "the limit's own rate");
    assert!(
        counter(&bed, "fleet_fallback").await > 0
            || bed.envoy.stat_reaches("wasmcustom.boundgate.fleet_fallback", 1).await.is_ok()
    );
}

#[tokio::test]
async fn without_the_service_requests_are_refused_if_the_operator_says_so() {
    let redis = Redis::start().await;
    let (service, bed, alice) = behind(&redis, json!({"on_error": "refuse"})).await;
    service.stop().await;
    let answer = alice.call().await;
    assert_eq!((answer.status, bed.envoy.details(&answer).await.as_str()), (503, "boundgate:limiter-unavailable"));
    assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
    assert_eq!(bed.upstream.count(), 0);
}

#[tokio::test]
async fn without_the_service_requests_pass_if_the_operator_says_so() {
    let redis = Redis::start().await;
    let (service, _bed, alice) = behind(&redis, json!({"on_error": "allow"})).await;
    service.stop().await;
    assert_eq!(alice.passes(20).await, 20);
}

#[tokio::test]
async fn a_silent_service_is_waited_for_no_longer_than_the_time_out_and_then_by_nobody() {
    let redis = Redis::start().await;
    let (service, bed, _) = behind(&redis, json!({"timeout": "300ms", "on_error": "allow"})).await;
    service.hold_answers();
    assert_eq!(strangers(&bed, 6).await, [200; 6]);
    bed.envoy.stat_reaches("wasmcustom.boundgate.fleet_breaker_opened", 1).await.unwrap();
    let calls = service.calls();
    let started = Instant::now();
    assert_eq!(strangers(&bed, 20).await, [200; 20]);
    let probes = started.elapsed().as_secs() + 2;
    assert!(service.calls() - calls <= probes, "{} calls while the breaker is open", service.calls() - calls);
}

#[tokio::test]
async fn clients_that_hang_up_while_they_wait_for_permits_leave_nothing_behind() {
    let redis = Redis::start().await;
    let (service, bed, alice) = behind(&redis, json!({"timeout": "10s", "on_error": "refuse"})).await;
    service.hold_answers();
    let mut callers = tokio::task::JoinSet::new();
    for client in [alice.client.clone(), bed.client("alice").http2()] {
        for _ in 0..3 {
            // A connection each, which ends with the request.
            let (client, token) = (client.kept(), alice.token.clone());
            callers.spawn(async move { client.get("/orders/7").token(&token).send().await.status });
        }
    }
    bed.envoy.stat_becomes("wasmcustom.boundgate.waiting", 6).await.unwrap();
    callers.shutdown().await;
    bed.envoy.stat_becomes("wasmcustom.boundgate.waiting", 0).await.unwrap();
    assert_eq!(bed.upstream.count(), 0);
    service.release_answers();
    bed.envoy.stat_becomes("wasmcustom.boundgate.calls", 0).await.unwrap();
    assert_eq!(bed.envoy.stat("wasmcustom.boundgate.waiting_bytes").await, 0);
    assert_eq!(alice.passes(5).await, 5);
}

#[tokio::test]
async fn a_service_that_is_back_is_used_again() {
    let redis = Redis::start().await;
    let (service, bed, alice) = behind(&redis, json!({"on_error": "refuse"})).await;
    service.stop().await;
    for _ in 0..8 {
        assert_eq!(alice.call().await.status, 503);
    }
    service.restart().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while alice.call().await.status != 200 {
        assert!(Instant::now() < deadline, "never used again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(bed.upstream.count(), 1);
}

#[tokio::test]
async fn nonsense_is_a_failure_and_harms_nobody() {
    let redis = Redis::start().await;
    let (service, bed, _) = behind(&redis, json!({"on_error": "refuse"})).await;
    for nonsense in
        [Answer::Bytes(vec![0xff; 40]), Answer::Bytes(vec![]), Answer::OverallCode(0), Answer::OverallCode(7)]
    {
        service.answer_with(nonsense.clone());
        assert_eq!(strangers(&bed, 1).await, [503], "{nonsense:?}");
    }
    assert!(!bed.envoy.log().contains("panicked"));
    assert_eq!(bed.upstream.count(), 0);
}

#[tokio::test]
async fn redis_dying_under_the_service_is_the_services_failure() {
    let mut redis = Redis::start().await;
    let (_service, bed, alice) = behind(&redis, json!({"timeout": "300ms", "on_error": "allow"})).await;
    assert_eq!(alice.call().await.status, 200);
    redis.kill();
    assert_eq!(strangers(&bed, 3).await, [200; 3]);
    bed.envoy.stat_reaches("wasmcustom.boundgate.fleet_failed", 1).await.unwrap();
}
