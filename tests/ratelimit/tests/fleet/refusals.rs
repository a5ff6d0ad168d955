//! What callers are told whom the service refuses.

use std::time::Duration;

use boundgate_ratelimit::{Answer, Clock, Config, Limits, Mode, RateLimitServer, Redis, Unit};
use serde_json::{Value, json};

use crate::{Caller, changed_proxy, counter, proxy, service};

/// In the middle of an hour of the service.
const HALF_PAST: i64 = 500_000 * 3_600 + 1_800;

#[tokio::test]
async fn a_caller_whom_the_proxy_refuses_is_told_how_long_the_service_will() {
    let redis = Redis::start().await;
    let limits = Limits::new("boundgate").limit("per-client", 3, Unit::Hour);
    let mode = Mode::Fixed { redis_url: redis.url() };
    let clock = Clock::at(HALF_PAST);
    let service = RateLimitServer::start(Config { clock, ..Config::new(mode, limits) }).await.unwrap();
    let beside = |config: &mut Value| {
        config["limits"]["here"] = json!({"key": ["client_id"], "rate": "5/h"});
        let routes = config["resources"][0]["routes"].as_array_mut().unwrap();
        routes[0]["limits"] = json!(["here", "per-client"]);
        routes.push(json!({"path": "/here", "scopes": ["read:orders"], "limits": ["here"]}));
    };
    let bed = changed_proxy(service.address(), json!({}), beside).await;
    let alice = Caller::of(&bed, "alice").await;
    assert_eq!(alice.passes(3).await, 3);
    let by_service = alice.call().await;
    assert_eq!((by_service.status, &by_service.problem()["violated-policies"]), (429, &json!(["per-client"])));
    for _ in 0..2 {
        assert_eq!(alice.client.get("/here").token(&alice.token).send().await.status, 200);
    }
    // Both are spent now. The nearer one alone would be over in minutes.
    let by_both = alice.call().await;
    assert_eq!((by_both.status, &by_both.problem()["violated-policies"]), (429, &json!(["here", "per-client"])));
    for refusal in [by_service, by_both] {
        let wait: u64 = refusal.header("retry-after").unwrap().parse().unwrap();
        assert!((1_000..=1_801).contains(&wait), "{wait}");
    }
    assert_eq!(bed.upstream.count(), 5);
}

#[tokio::test]
async fn a_service_that_once_claims_to_refuse_for_a_year_is_not_believed_beyond_its_window() {
    let redis = Redis::start().await;
    let service = service(Mode::Fixed { redis_url: redis.url() }, 100).await;
    let bed = proxy(service.address(), json!({})).await;
    let alice = Caller::of(&bed, "alice").await;
    service.answer_with(Answer::Bytes(vec![
        0x08, 2, // overall_code: OVER_LIMIT
        0x12, 15, // statuses
        0x08, 2, // code: OVER_LIMIT
        0x12, 4, 0x08, 100, 0x10, 2, // current_limit: 100 by the minute
        0x22, 5, 0x08, 0x80, 0x8d, 0xb8, 0x10, // duration_until_reset: 399 days
    ]));
    let refusal = alice.call().await;
    assert_eq!((refusal.status, &refusal.problem()["violated-policies"]), (429, &json!(["per-client"])));
    let wait: u64 = refusal.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(bed.upstream.count(), 0);
    service.answer_with(Answer::Honest);
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(alice.call().await.status, 200);
}

#[tokio::test]
async fn a_request_that_costs_more_than_the_service_ever_grants_is_told_no_time_and_counted() {
    for (mode, kind) in [("fixed", "ratelimit"), ("limitador", "limitador")] {
        let redis = Redis::start().await;
        let fixed = Mode::Fixed { redis_url: redis.url() };
        let mode = if mode == "fixed" { fixed } else { Mode::Limitador };
        let limits = Limits::new("boundgate").limit("per-client", 10, Unit::Hour);
        let config = Config { response_headers: true, ..Config::new(mode, limits) };
        let service = RateLimitServer::start(config).await.unwrap();
        let dear = |config: &mut Value| {
            config["limits"]["per-client"]["rate"] = json!("60/h");
            config["resources"][0]["routes"][0]["cost"] = json!(50);
        };
        let bed = changed_proxy(service.address(), json!({"kind": kind}), dear).await;
        let alice = Caller::of(&bed, "alice").await;
        for number in 1..=3 {
            let refusal = alice.call().await;
            assert_eq!(refusal.status, 429, "{kind}");
            assert_eq!(refusal.header("retry-after"), None, "{kind}");
            bed.envoy.stat_reaches("wasmcustom.boundgate.fleet_never_fits", number).await.unwrap();
        }
        assert_eq!(counter(&bed, "fleet_never_fits").await, 3, "{kind}");
        assert_eq!(service.calls(), 1, "{kind}: it is not asked again and again");
        let told = bed.envoy.log().matches("limits.per-client: a request costs 50").count();
        assert_eq!(told, 1, "{kind}: the operator is told once");
        assert_eq!(bed.upstream.count(), 0, "{kind}");
    }
}
