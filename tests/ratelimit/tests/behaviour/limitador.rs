//! `Mode::Limitador` answers as Limitador does.

use std::time::Duration;

use boundgate_ratelimit::{Config, Limits, Mode, RateLimitServer, Unit};
use tokio::time::sleep;

use crate::asking::{Ask, Asking};

async fn start(limits: Limits) -> RateLimitServer {
    RateLimitServer::start(Config::new(Mode::Limitador, limits)).await.unwrap()
}

fn ten_a_minute() -> Limits {
    Limits::new("d").limit("client", 10, Unit::Minute)
}

fn hits(hits: u32) -> Ask {
    Ask::domain("d").of("client", "a").hits(hits)
}

#[tokio::test]
async fn asks_are_answered_in_sequence() {
    let server = start(ten_a_minute()).await;
    let asking = Asking::of(server.address());
    for (ask, expected) in [
        (hits(1), "OK"),
        (hits(5), "OK"),
        // Counted not at all, so that fewer still pass.
        (hits(5), "OVER"),
        (hits(4), "OK"),
        (hits(1), "OVER"),
        // No looks: this would count 1.
        (hits(1).look(), "OVER"),
        (Ask::domain("").of("client", "a"), "code 0"),
        (Ask::domain("nowhere").of("client", "a"), "OK"),
        (Ask::domain("d").of("nothing", "a"), "OK"),
        // The expression of every limit fails without a descriptor.
        (Ask::domain("d"), "Unavailable"),
        (Ask::domain("d").of("client", "b").hits(0), "OK"),
    ] {
        assert_eq!(asking.brief(ask).await, expected);
    }
    let response = asking.ask(hits(1)).await.unwrap();
    assert!(response.statuses.is_empty() && response.response_headers_to_add.is_empty(), "{response:?}");
}

#[tokio::test]
async fn window_starts_at_the_first_hit() {
    let server = start(Limits::new("d").limit("client", 2, Unit::Second)).await;
    let asking = Asking::of(server.address());
    assert_eq!(asking.brief(hits(2)).await, "OK");
    assert_eq!(asking.brief(hits(1)).await, "OVER");
    sleep(Duration::from_millis(1050)).await;
    assert_eq!(asking.brief(hits(1)).await, "OK");
}

#[tokio::test]
async fn path_through_the_tree_is_one_limit() {
    let limits = "
domain: d
descriptors:
  - key: tenant
    value: \"a \\\"quoted\\\" one\"
    descriptors:
      - key: route
        rate_limit: {unit: hour, requests_per_unit: 1}
";
    let server = start(Limits::parse(limits).unwrap()).await;
    let asking = Asking::of(server.address());
    let ask = |tenant, route| Ask::domain("d").entries(&[("route", route), ("tenant", tenant)]);
    assert_eq!(asking.brief(ask("a \"quoted\" one", "x")).await, "OK");
    assert_eq!(asking.brief(ask("a \"quoted\" one", "x")).await, "OVER");
    assert_eq!(asking.brief(ask("a \"quoted\" one", "y")).await, "OK");
    assert_eq!(asking.brief(ask("another", "x")).await, "OK");
    assert_eq!(asking.brief(ask("another", "x")).await, "OK");
}

#[tokio::test]
async fn fields_carry_what_statuses_do_not() {
    let config = Config { response_headers: true, ..Config::new(Mode::Limitador, ten_a_minute()) };
    let server = RateLimitServer::start(config).await.unwrap();
    let asking = Asking::of(server.address());
    let fields = async |ask| {
        let fields = asking.ask(ask).await.unwrap().response_headers_to_add;
        fields.into_iter().map(|field| (field.key, field.value)).collect::<Vec<_>>()
    };
    let first = fields(hits(4)).await;
    assert_eq!(first[0], ("X-RateLimit-Limit".into(), "10, 10;w=60".into()));
    assert_eq!(first[1], ("X-RateLimit-Remaining".into(), "6".into()));
    assert_eq!(first[2].0, "X-RateLimit-Reset");
    assert!(["59", "60"].contains(&first[2].1.as_str()), "{first:?}");
    // A refusal tells the true rest.
    assert_eq!(fields(hits(7)).await[1], ("X-RateLimit-Remaining".into(), "6".into()));
}
