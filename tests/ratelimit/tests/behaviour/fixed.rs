//! `Mode::Fixed` answers as envoyproxy/ratelimit does.
//!
//! Where a real envoyproxy/ratelimit runs with the limits of [`LIMITS`] and an empty Redis, `RATELIMIT_ADDRESS` tells
//! [`envoyproxy_ratelimit_itself_answers_the_same`] where.

use std::time::Duration;

use boundgate_ratelimit::{Clock, Config, Limits, Mode, RateLimitServer, Redis, Unit};
use tokio::time::sleep;

use crate::asking::{Ask, Asking, codes};

/// 2100-01-01 00:00 UTC, the start of a second, minute, hour and day.
const MIDNIGHT: i64 = 4_102_444_800;

const LIMITS: &str = "
domain: fixed
descriptors:
  - {key: hourly, rate_limit: {unit: hour, requests_per_unit: 10, name: ten-an-hour}}
  - {key: secondly, rate_limit: {unit: second, requests_per_unit: 2}}
  - {key: free, rate_limit: {unlimited: true}}
  - {key: shadow, shadow_mode: true, rate_limit: {unit: hour, requests_per_unit: 1}}
";

async fn start(redis: &Redis, clock: &Clock) -> RateLimitServer {
    let mode = Mode::Fixed { redis_url: redis.url() };
    let config = Config::new(mode, Limits::parse(LIMITS).unwrap());
    RateLimitServer::start(Config { clock: clock.clone(), ..config }).await.unwrap()
}

fn one() -> Ask {
    Ask::domain("fixed").of("hourly", "a")
}

/// Everything in one sequence: the order matters, for each ask finds what the ones before have counted.
async fn sequence(asking: &Asking) {
    for (ask, expected) in [
        (one().look(), "OK rest 10"),
        (one().hits(1), "OK rest 9"),
        (one().hits(0), "OK rest 8"),
        (one().hits(5), "OK rest 3"),
        (one().look(), "OK rest 3"),
        (one().hits(5), "OVER rest 0"),
        (one(), "OVER rest 0"),
        (one().look(), "OVER rest 0"),
        (Ask::domain("").of("hourly", "a"), "Unknown"),
        (Ask::domain("fixed"), "Unknown"),
        (Ask::domain("nowhere").of("hourly", "a"), "OK"),
        (Ask::domain("fixed").of("nothing", "a"), "OK"),
        (Ask::domain("fixed").of("free", "a"), "OK"),
        // A descriptor's number goes before the request's.
        (Ask::domain("fixed").of("hourly", "b").descriptor_hits(3).hits(7), "OK rest 7"),
        // Exactly the limit.
        (Ask::domain("fixed").of("hourly", "c").hits(10), "OK rest 0"),
        (Ask::domain("fixed").of("hourly", "c").look(), "OK rest 0"),
        // Every descriptor is charged, also beside one that is over.
        (Ask::domain("fixed").of("hourly", "a").of("hourly", "d").hits(4), "OVER rest 0 rest 6"),
        (Ask::domain("fixed").of("hourly", "d").look(), "OK rest 6"),
        // A limit in shadow mode.
        (Ask::domain("fixed").of("shadow", "a").hits(2), "OK rest 0"),
    ] {
        assert_eq!(asking.brief(ask.clone()).await, expected);
    }

    let asks = Ask::domain("fixed").of("nothing", "a").of("free", "a").of("hourly", "a").of("hourly", "d");
    let response = asking.ask(asks).await.unwrap();
    assert_eq!(codes(&response), ["OK", "OK", "OVER", "OK"]);
    let [nothing, free, over, ok] = &response.statuses[..] else { panic!("a status per descriptor") };
    assert_eq!((nothing.limit_remaining, &nothing.current_limit, &nothing.duration_until_reset), (0, &None, &None));
    assert_eq!((free.limit_remaining, &free.current_limit, &free.duration_until_reset), (u32::MAX, &None, &None));
    for status in [over, ok] {
        let limit = status.current_limit.as_ref().unwrap();
        assert_eq!((limit.requests_per_unit, limit.unit, limit.name.as_str()), (10, 3, "ten-an-hour"));
        let reset = status.duration_until_reset.as_ref().unwrap();
        assert!((1..=3600).contains(&reset.seconds) && reset.nanos == 0, "{reset:?}");
    }
    assert!(response.response_headers_to_add.is_empty());

    let status = asking.ask(Ask::domain("").of("hourly", "a")).await.unwrap_err();
    assert_eq!(status.message(), "rate limit domain must not be empty");
    let status = asking.ask(Ask::domain("fixed")).await.unwrap_err();
    assert_eq!(status.message(), "rate limit descriptor list must not be empty");
}

#[tokio::test]
async fn asks_are_answered_in_sequence() {
    let redis = Redis::start().await;
    let server = start(&redis, &Clock::at(MIDNIGHT)).await;
    sequence(&Asking::of(server.address())).await;
}

#[tokio::test]
async fn envoyproxy_ratelimit_itself_answers_the_same() {
    let Ok(address) = std::env::var("RATELIMIT_ADDRESS") else {
        println!("skipped: no RATELIMIT_ADDRESS");
        return;
    };
    sequence(&Asking::of(address.parse().unwrap())).await;
}

#[tokio::test]
async fn refused_ask_is_counted_in_full_under_the_windows_start() {
    let redis = Redis::start().await;
    let server = start(&redis, &Clock::at(MIDNIGHT + 1800)).await;
    let asking = Asking::of(server.address());
    assert_eq!(asking.brief(one().hits(8)).await, "OK rest 2");
    assert_eq!(asking.brief(one().hits(5)).await, "OVER rest 0");
    let counter = format!("fixed_hourly_a_{MIDNIGHT}");
    assert_eq!(redis.command(&format!("GET {counter}")).unwrap(), "$2\r\n13\r\n");
    assert_eq!(redis.command(&format!("TTL {counter}")).unwrap(), ":3600\r\n");
}

#[tokio::test]
async fn window_ends_with_the_hour_and_its_rest_is_rounded_up() {
    let redis = Redis::start().await;
    let clock = Clock::at(MIDNIGHT);
    let server = start(&redis, &clock).await;
    let asking = Asking::of(server.address());
    let rest = async |ask: Ask| {
        let status = asking.ask(ask).await.unwrap().statuses.remove(0);
        (status.limit_remaining, status.duration_until_reset.unwrap().seconds)
    };
    assert_eq!(rest(one().hits(10)).await, (0, 3600));
    clock.advance(Duration::from_secs(3590));
    assert_eq!(asking.brief(one()).await, "OVER rest 0");
    let (_, reset) = rest(one().look()).await;
    assert!((1..=10).contains(&reset), "{reset}");
    clock.advance(Duration::from_secs(10));
    let (remaining, reset) = rest(one()).await;
    assert_eq!(remaining, 9);
    assert!((3590..=3600).contains(&reset), "{reset}");
}

#[tokio::test]
async fn limit_per_second_always_has_one_second_left() {
    let redis = Redis::start().await;
    let server = start(&redis, &Clock::default()).await;
    let asking = Asking::of(server.address());
    let ask = || Ask::domain("fixed").of("secondly", "a");
    let status = asking.ask(ask()).await.unwrap().statuses.remove(0);
    assert_eq!(status.duration_until_reset.unwrap().seconds, 1);
    assert_eq!(asking.brief(ask().hits(3)).await, "OVER rest 0");
    sleep(Duration::from_millis(1001)).await;
    assert_eq!(asking.brief(ask()).await, "OK rest 1");
}

#[tokio::test]
async fn servers_with_one_redis_share_their_counters() {
    let redis = Redis::start().await;
    let clock = Clock::at(MIDNIGHT);
    let servers = [start(&redis, &clock).await, start(&redis, &clock).await];
    let [first, second] = servers.each_ref().map(|server| Asking::of(server.address()));
    assert_eq!(first.brief(one().hits(4)).await, "OK rest 6");
    assert_eq!(second.brief(one().hits(4)).await, "OK rest 2");
    assert_eq!(first.brief(one().hits(4)).await, "OVER rest 0");
}

#[tokio::test]
async fn concurrent_asks_pass_exactly_up_to_the_limit() {
    let redis = Redis::start().await;
    let server = start(&redis, &Clock::at(MIDNIGHT)).await;
    let asking = Asking::of(server.address());
    let mut asks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let asking = asking.clone();
        asks.spawn(async move { asking.brief(one()).await });
    }
    let answers = asks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.starts_with("OK")).count(), 10);
    assert_eq!(server.calls(), 50);
}

#[tokio::test]
async fn fields_are_those_of_the_tightest_descriptor() {
    let redis = Redis::start().await;
    let limits = Limits::new("d").limit("wide", 100, Unit::Day).limit("tight", 5, Unit::Hour);
    let config = Config::new(Mode::Fixed { redis_url: redis.url() }, limits);
    let config = Config { response_headers: true, clock: Clock::at(MIDNIGHT), ..config };
    let server = RateLimitServer::start(config).await.unwrap();
    let asks = Ask::domain("d").of("wide", "a").of("tight", "a");
    let fields = Asking::of(server.address()).ask(asks).await.unwrap().response_headers_to_add;
    let fields: Vec<_> = fields.iter().map(|field| (field.key.as_str(), field.value.as_str())).collect();
    assert_eq!(fields, [("RateLimit-Limit", "5"), ("RateLimit-Remaining", "4"), ("RateLimit-Reset", "3600")]);
}
