//! Requests at once: never more than the limit says, for any load and across updates, and every end of a request frees
//! its place.

use std::time::{Duration, Instant};

use boundgate_testbed::{EnvoyConfig, Testbed, Update};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::expectations::{alices_token, eventually, with};

/// `/greedy`, so many at once.
fn at_once(config: &mut Value, most: u32) {
    config["limits"] = json!({"l": {"key": ["client_id"], "in_flight": most, "heal": "1m"}});
    for route in config["resources"][0]["routes"].as_array_mut().unwrap() {
        route.as_object_mut().unwrap().remove("limits");
    }
    config["resources"][0]["routes"][4]["limits"] = json!(["l"]);
}

fn envoy(most: u32) -> EnvoyConfig {
    with(|config| at_once(config, most)).edit(|envoy| {
        let connections = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0];
        let host = &mut connections["typed_config"]["route_config"]["virtual_hosts"][0];
        // What hangs is to hang as long as a slow machine needs.
        host["routes"].as_array_mut().unwrap().last_mut().unwrap()["route"]["timeout"] = json!("60s");
    })
}

/// So many more requests reach the upstream and stay there, on connections of their own.
async fn hang(bed: &Testbed, token: &str, count: usize, hanging: &mut JoinSet<u16>) {
    let before = bed.upstream.count();
    for _ in 0..count {
        let (client, token) = (bed.client("alice"), token.to_owned());
        hanging.spawn(
            async move { client.get("/greedy").token(&token).header("x-upstream-hang", "1").send().await.status },
        );
    }
    eventually(|| bed.upstream.count() == before + count).await;
}

/// One more is refused as one too many, and does not reach the upstream.
async fn is_full(bed: &Testbed, token: &str, most: u32) {
    let before = bed.upstream.count();
    let answer = bed.client("alice").get("/greedy").token(token).send().await;
    assert_eq!((answer.status, answer.header("retry-after").as_deref()), (429, Some("1")));
    let policy = format!(r#""l";q={most};qu="concurrent-requests""#);
    assert_eq!(answer.lines("ratelimit-policy"), [policy], "no window: nothing comes back with time");
    assert_eq!(answer.lines("ratelimit"), [r#""l";r=0"#]);
    assert_eq!(bed.upstream.count(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_without_end_and_of_any_mixture_never_gets_more_through_at_once() {
    const CLIENTS: u64 = 60;
    let bed = Testbed::start(envoy(20).concurrency(3)).await;
    let token = alices_token(&bed).await;
    let until = Instant::now() + Duration::from_secs(10);
    let mut load = JoinSet::new();
    for number in 0..CLIENTS {
        let (client, token) = (bed.client("alice").kept(), token.clone());
        load.spawn(async move {
            let (mut passed, mut refused) = (0, 0);
            while Instant::now() < until {
                let delay = 30 + (number * 37 + passed * 101) % 500;
                let delay = delay.to_string();
                let answer = client.get("/greedy").token(&token).header("x-upstream-delay-ms", delay).send().await;
                match answer.status {
                    200 => passed += 1,
                    429 => {
                        refused += 1;
                        // Somebody who is refused comes again, without keeping the processor from the others.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    other => panic!("{other}"),
                }
            }
            (passed, refused)
        });
    }
    let ends = load.join_all().await;
    let passed: u64 = ends.iter().map(|(passed, _)| passed).sum();
    assert!(ends.iter().any(|(_, refused)| *refused > 0), "the load was too little");
    assert!(bed.upstream.most_at_once() <= 20, "{} at once", bed.upstream.most_at_once());
    assert_eq!(bed.upstream.count() as u64, passed);
    // Not one place was lost on the way.
    let mut hanging = JoinSet::new();
    hang(&bed, &token, 20, &mut hanging).await;
    is_full(&bed, &token, 20).await;
}

#[tokio::test]
async fn a_changed_number_counts_those_that_are_under_way() {
    // Else their connections would end with the old configuration.
    let bed = Testbed::start(envoy(5).drain_seconds(60)).await;
    let token = alices_token(&bed).await;
    let update = async |most| {
        let mut changed = crate::expectations::config();
        at_once(&mut changed, most);
        assert_eq!(bed.envoy.config_update(changed).await.unwrap(), Update::Accepted);
    };
    let mut hanging = JoinSet::new();
    hang(&bed, &token, 5, &mut hanging).await;
    is_full(&bed, &token, 5).await;
    update(50).await;
    hang(&bed, &token, 45, &mut hanging).await;
    is_full(&bed, &token, 50).await;
    update(5).await;
    is_full(&bed, &token, 5).await;
    assert_eq!(bed.upstream.count(), 50);
    assert!(hanging.try_join_next().is_none(), "all are still under way");
}
