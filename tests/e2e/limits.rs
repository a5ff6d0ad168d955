//! Local limits: counted once for all workers, told to the client, and honouring Retry-After succeeds.

use std::time::{Duration, Instant};

use boundgate_testbed::Testbed;
use serde_json::json;
use tokio::task::JoinSet;

use crate::expectations::{alices_token, bed, eventually, with};

#[tokio::test]
async fn a_greedy_client_gets_429_and_succeeds_after_retry_after() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    let alice = bed.client("alice").kept();
    let mut remaining = Vec::new();
    let refusal = loop {
        let answer = alice.get("/greedy").token(&token).send().await;
        if answer.status == 429 {
            break answer;
        }
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("ratelimit-policy").as_deref(),
            Some(r#""per-client";q=5;w=5"#),
            "the budget that all share is nobody's to know"
        );
        remaining.push(answer.header("ratelimit").unwrap());
        assert!(remaining.len() <= 10, "never refused");
    };
    assert!(remaining[0].starts_with(r#""per-client";r=4;t="#), "{remaining:?}");
    let admitted = bed.upstream.count();
    assert_eq!(admitted, remaining.len());
    assert_eq!(bed.envoy.details(&refusal).await, "boundgate:over-limit");
    assert_eq!(refusal.problem()["violated-policies"], json!(["per-client"]));
    assert_eq!(refusal.problem()["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert!(refusal.header("ratelimit").unwrap().contains(r#""per-client";r=0;t=1"#));
    let wait = refusal.header("retry-after").unwrap().parse().unwrap();
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(alice.get("/greedy").token(&token).send().await.status, 200);
}

#[tokio::test]
async fn one_client_cannot_spend_anothers_budget() {
    let bed = bed().await;
    let (alices, bob) = (alices_token(&bed).await, bed.client("bob"));
    let bobs = bed.token(&bob).scope("read:orders").issue().await;
    let forged = bed
        .authority
        .claims()
        .client("bob")
        .scope("read:orders")
        .bound_to(&bed.pki.client("alice"))
        .set("jti", "x")
        .sign();
    let mut broken = forged.clone();
    broken.replace_range(forged.len() - 12..forged.len() - 8, "AAAA");
    for _ in 0..10 {
        bed.client("alice").get("/greedy").token(&alices).send().await;
        bed.client("alice").get("/greedy").token(&broken).send().await;
    }
    let answer = bob.get("/greedy").token(&bobs).send().await;
    assert!(answer.header("ratelimit").unwrap().starts_with(r#""per-client";r=4;"#));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_number_of_workers_admits_no_more_than_one() {
    let limited = |config: &mut serde_json::Value| {
        config["limits"]["per-client"] = json!({"key": ["client_id"], "rate": "2/s", "burst": 50});
    };
    for workers in [1, 2, 4, 8] {
        let bed = Testbed::start(with(limited).concurrency(workers)).await;
        let token = alices_token(&bed).await;
        let started = Instant::now();
        let mut requests = JoinSet::new();
        for _ in 0..16 {
            let (alice, token) = (bed.client("alice").kept(), token.clone());
            requests.spawn(async move {
                let mut admitted = 0;
                for _ in 0..25 {
                    admitted += usize::from(alice.get("/greedy").token(&token).send().await.status == 200);
                }
                admitted
            });
        }
        let admitted: usize = requests.join_all().await.iter().sum();
        let refilled = usize::try_from(started.elapsed().as_millis() / 500).unwrap();
        assert!((50..=50 + refilled).contains(&admitted), "{admitted} admitted by {workers} workers");
        assert_eq!(bed.upstream.count(), admitted);
    }
}

#[tokio::test]
async fn a_limit_by_address_guards_a_public_route() {
    let public = |config: &mut serde_json::Value| {
        config["limits"]["by-address"] = json!({"key": ["ip"], "rate": "1/min", "burst": 2});
        config["resources"][0]["routes"][0]["limits"] = json!(["by-address"]);
    };
    let bed = Testbed::start(with(public)).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(bed.anonymous().get("/healthz").send().await.status);
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
    assert_eq!(bed.upstream.count(), 2);
}

#[tokio::test]
async fn a_partner_has_its_own_rate_and_older_clients_their_own_fields() {
    let partner = |config: &mut serde_json::Value| {
        config["x_ratelimit"] = json!("envoy");
        config["limits"]["per-client"] = json!({
            "key": ["client_id", "route"], "rate": "1/min", "burst": 2,
            "overrides": [{"peer": "spiffe://example.org/client/bob", "rate": "1/min", "burst": 4}]
        });
    };
    let bed = Testbed::start(with(partner)).await;
    for (name, burst) in [("alice", 2), ("bob", 4)] {
        let client = bed.client(name);
        let token = bed.token(&client).scope("read:orders").issue().await;
        let answer = client.get("/greedy").token(&token).send().await;
        assert!(answer.header("x-ratelimit-limit").unwrap().starts_with(&format!("{burst}, ")), "{:?}", answer.headers);
        assert_eq!(answer.header("x-ratelimit-remaining"), Some((burst - 1).to_string()));
        let mut statuses = Vec::new();
        for _ in 1..=burst {
            statuses.push(client.get("/greedy").token(&token).send().await.status);
        }
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), burst - 1, "{name}: {statuses:?}");
    }
}

#[tokio::test]
async fn a_shadow_limit_lets_everything_pass_and_tells_the_operator() {
    let shadow = |config: &mut serde_json::Value| config["limits"]["per-client"]["shadow"] = json!(true);
    let bed = Testbed::start(with(shadow)).await;
    let token = alices_token(&bed).await;
    let alice = bed.client("alice").kept();
    let mut last = None;
    for _ in 0..10 {
        let answer = alice.get("/greedy").token(&token).send().await;
        assert_eq!(answer.status, 200);
        assert!(!answer.header("ratelimit").unwrap_or_default().contains("per-client"));
        last = Some(answer);
    }
    let line = bed.envoy.access_log_of(&last.unwrap()).await;
    assert!(line["audit"].as_str().unwrap().contains(r#""shadow_limits":["per-client"]"#), "{line}");
    bed.envoy.stat_reaches("wasmcustom.boundgate.shadow_over_limit", 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_at_once_are_limited_and_every_end_of_a_stream_frees_a_place() {
    let at_once = |config: &mut serde_json::Value| {
        config["limits"]["per-client"] = json!({"key": ["client_id"], "in_flight": 2});
    };
    let bed = Testbed::start(with(at_once).concurrency(2)).await;
    let token = alices_token(&bed).await;
    let alice = bed.client("alice");
    // An ordinary end, a reset of HTTP/1.1 and one of HTTP/2.
    for client in [alice.clone(), alice.http2()] {
        let before = bed.upstream.count();
        let mut hanging = JoinSet::new();
        for _ in 0..2 {
            let (client, token) = (client.clone(), token.clone());
            hanging
                .spawn(async move { client.get("/greedy").token(&token).header("x-upstream-hang", "1").send().await });
        }
        eventually(|| bed.upstream.count() == before + 2).await;
        let refusal = alice.get("/greedy").token(&token).send().await;
        assert_eq!((refusal.status, refusal.header("retry-after").as_deref()), (429, Some("1")));
        assert_eq!(bed.upstream.count(), before + 2);
        hanging.shutdown().await;
        let deadline = Instant::now() + Duration::from_secs(10);
        while alice.get("/greedy").token(&token).send().await.status != 200 {
            assert!(Instant::now() < deadline, "the places were never freed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    for _ in 0..20 {
        assert_eq!(alice.get("/greedy").token(&token).send().await.status, 200);
    }
}

#[tokio::test]
async fn limits_of_a_resource_hold_on_each_route_that_says_nothing() {
    let limited = with(|config| {
        let resource = &mut config["resources"][0];
        resource["limits"] = json!(["per-client"]);
        for open in [0, 3] {
            resource["routes"][open]["limits"] = json!("none");
        }
        config["limits"]["per-client"]["rate"] = json!("5/h");
    });
    let bed = Testbed::start(limited).await;
    let (alice, token) = (bed.client("alice"), alices_token(&bed).await);
    for path in ["/orders/1", "/orders/2", "/plain", "/plain", "/greedy"] {
        assert_eq!(alice.get(path).token(&token).send().await.status, 200, "{path}");
    }
    for path in ["/orders/3", "/plain", "/greedy"] {
        let answer = alice.get(path).token(&token).send().await;
        assert_eq!(answer.status, 429, "one budget: {path}");
        assert_eq!(bed.envoy.details(&answer).await, "boundgate:over-limit");
    }
    assert_eq!(bed.upstream.count(), 5);
    assert_eq!(alice.get("/healthz").send().await.status, 200, "none on purpose");
}
