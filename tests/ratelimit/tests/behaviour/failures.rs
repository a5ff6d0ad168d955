//! What a server can be told to do wrong, and stores that fail for real.

use std::time::Duration;

use boundgate_ratelimit::{Answer, Code, Config, Limits, Mode, RateLimitServer, Redis, Unit};
use tokio::time::timeout;

use crate::asking::{Ask, Asking, codes};

/// Long enough for any answer that is not held.
const SOON: Duration = Duration::from_millis(300);

fn limits() -> Limits {
    Limits::new("d").limit("client", 10, Unit::Year)
}

fn one() -> Ask {
    Ask::domain("d").of("client", "a")
}

async fn fixed(redis: &Redis) -> (RateLimitServer, Asking) {
    served(Mode::Fixed { redis_url: redis.url() }).await
}

async fn served(mode: Mode) -> (RateLimitServer, Asking) {
    let server = RateLimitServer::start(Config::new(mode, limits())).await.unwrap();
    let asking = Asking::of(server.address());
    (server, asking)
}

#[tokio::test]
async fn dead_redis_is_unknown_once_and_then_silence_until_it_is_back_and_empty() {
    let mut redis = Redis::start().await;
    let (_server, asking) = fixed(&redis).await;
    assert_eq!(asking.brief(one()).await, "OK rest 9");
    redis.kill();
    assert_eq!(asking.brief(one()).await, "Unknown");
    assert!(timeout(SOON, asking.brief(one())).await.is_err());
    let waiting = tokio::spawn({
        let asking = asking.clone();
        async move { asking.brief(one()).await }
    });
    redis.restart().await;
    assert_eq!(waiting.await.unwrap(), "OK rest 9");
}

#[tokio::test]
async fn redis_that_was_away_while_nobody_asked_is_not_noticed() {
    let mut redis = Redis::start().await;
    let (_server, asking) = fixed(&redis).await;
    for _ in 0..3 {
        assert_eq!(asking.brief(one()).await, "OK rest 9");
        redis.restart().await;
    }
}

#[tokio::test]
async fn silent_redis_delays_answers_and_counts_late() {
    let redis = Redis::start().await;
    let (_server, asking) = fixed(&redis).await;
    assert_eq!(asking.brief(one()).await, "OK rest 9");
    redis.pause();
    assert!(timeout(SOON, asking.brief(one())).await.is_err());
    redis.resume();
    assert_eq!(asking.brief(one()).await, "OK rest 7");
}

#[tokio::test]
async fn each_kind_has_its_own_code_for_a_store_that_is_down() {
    let redis = Redis::start().await;
    for (mode, code) in [(Mode::Fixed { redis_url: redis.url() }, "Unknown"), (Mode::Limitador, "Unavailable")] {
        let (server, asking) = served(mode).await;
        server.set_store_down(true);
        assert_eq!(asking.brief(one()).await, code);
        server.set_store_down(false);
        assert!(asking.brief(one()).await.starts_with("OK"));
    }
}

#[tokio::test]
async fn held_answers_are_counted_and_come_when_released() {
    let redis = Redis::start().await;
    let (server, asking) = fixed(&redis).await;
    server.hold_answers();
    assert!(timeout(SOON, asking.brief(one())).await.is_err(), "an answer in spite of the hold");
    let late = tokio::spawn({
        let asking = asking.clone();
        async move { asking.brief(one()).await }
    });
    while server.calls() < 2 {
        tokio::task::yield_now().await;
    }
    server.release_answers();
    assert_eq!(late.await.unwrap(), "OK rest 8");
    assert_eq!(asking.brief(one()).await, "OK rest 7");
}

#[tokio::test]
async fn shadow_changes_the_overall_code_alone() {
    let redis = Redis::start().await;
    let (server, asking) = fixed(&redis).await;
    server.set_shadow(true);
    let response = asking.ask(one().hits(11)).await.unwrap();
    assert_eq!((response.overall_code, codes(&response)), (1, vec!["OVER".to_owned()]));
    server.set_shadow(false);
    assert_eq!(asking.brief(one()).await, "OVER rest 0");
}

#[tokio::test]
async fn spoilt_answers_are_counted_all_the_same() {
    let redis = Redis::start().await;
    let (server, asking) = fixed(&redis).await;
    server.answer_with(Answer::OverallCode(0));
    assert_eq!(asking.brief(one()).await, "code 0 rest 9");
    server.answer_with(Answer::OverallCode(7));
    assert_eq!(asking.brief(one()).await, "code 7 rest 8");
    server.answer_with(Answer::Failure(Code::ResourceExhausted));
    assert_eq!(asking.brief(one()).await, "ResourceExhausted");
    server.answer_with(Answer::Bytes(vec![0xff; 16]));
    assert_eq!(asking.brief(one()).await, "Internal", "the client cannot decode it");
    server.answer_with(Answer::Bytes(Vec::new()));
    assert_eq!(asking.brief(one()).await, "code 0");
    server.answer_with(Answer::Honest);
    assert_eq!(asking.brief(one()).await, "OK rest 4");
}

#[tokio::test]
async fn stopped_server_refuses_connections_until_restarted_on_the_same_port() {
    let (server, asking) = served(Mode::Limitador).await;
    assert_eq!(asking.brief(one().hits(10)).await, "OK");
    let address = server.address();
    server.stop().await;
    assert_eq!(asking.brief(one()).await, "Unavailable");
    assert!(std::net::TcpStream::connect(address).is_err());
    server.restart().await.unwrap();
    assert_eq!(server.address(), address);
    assert_eq!(asking.brief(one()).await, "OVER", "counters are what they were");
}

#[tokio::test]
async fn last_ask_can_be_read() {
    let (server, asking) = served(Mode::Limitador).await;
    asking.brief(one().hits(3).of("route", "r").look()).await;
    let asked = server.last_asked().unwrap();
    assert_eq!((asked.domain.as_str(), asked.hits), ("d", 3));
    assert_eq!(asked.descriptors[0].entries, [("client".to_owned(), "a".to_owned())]);
    assert_eq!((asked.descriptors[0].hits, asked.descriptors[1].hits), (None, Some(0)));
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn limits_that_limitador_cannot_have_are_refused() {
    let limits = Limits::parse("{domain: d, descriptors: [{key: a, value: 'b*'}]}").unwrap();
    let error = RateLimitServer::start(Config::new(Mode::Limitador, limits)).await.unwrap_err();
    assert_eq!(error.to_string(), "d.a: Limitador has neither patterns nor shadow_mode");
}
