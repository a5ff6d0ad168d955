//! Budgets: each filter, quota and identity has its own; nobody can refill one, and nobody crowds out his neighbour.

use boundgate_testbed::{Client, EnvoyConfig, Testbed};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::expectations::{config, with};

/// Named limits, and routes that they count.
fn limited(limits: Value, routes: &[(&str, Value)]) -> Value {
    let mut config = config();
    config["limits"] = limits;
    let route = |(path, limits): &(&str, Value)| json!({"path": path, "bound": "when-bound", "scopes": ["read:orders"], "limits": limits});
    config["resources"][0]["routes"] = routes.iter().map(route).collect();
    config
}

/// The same for callers without certificates.
async fn bed(limits: Value, routes: &[(&str, Value)]) -> Testbed {
    Testbed::start(EnvoyConfig::new(limited(limits, routes)).with_plaintext_listener()).await
}

/// A token of `client` that is bound to nobody.
fn token(bed: &Testbed, client: &str) -> String {
    bed.authority.claims().client(client).scope("read:orders").sign()
}

/// How many of so many requests pass; the others are refused as over the limit.
async fn passes(client: &Client, token: &str, path: &str, count: usize) -> usize {
    let mut passed = 0;
    for _ in 0..count {
        let status = client.get(path).token(token).send().await.status;
        assert!([200, 429].contains(&status), "{status}");
        passed += usize::from(status == 200);
    }
    passed
}

#[tokio::test]
async fn an_override_neither_pays_for_nor_refills_what_it_overrides() {
    let limit = |condition| {
        let quick = json!({"rate": "1000/s", "burst": 5});
        let quick = [quick, condition].iter().flat_map(|part| part.as_object().unwrap().clone()).collect::<Value>();
        json!({"key": [], "rate": "5/h", "burst": 5, "overrides": [quick]})
    };
    let limits = json!({
        "client": limit(json!({"client_id": "bob"})),
        "claim": limit(json!({"claims": {"plan": "gold"}})),
        "peer": limit(json!({"peer": "spiffe://example.org/client/bob"})),
    });
    let paths = ["/client", "/claim", "/peer"];
    let routes = paths.map(|path| (path, json!([&path[1..]])));
    let bed = Testbed::start(limited(limits, &routes)).await;
    let claims = |name| bed.authority.claims().client(name).scope("read:orders").bound_to(&bed.pki.client(name));
    let (alices, bobs) = (claims("alice").sign(), claims("bob").set("plan", "gold").sign());
    let (alice, bob) = (bed.client("alice").kept(), bed.client("bob").kept());
    for round in 0..5 {
        for path in paths {
            let passed = passes(&alice, &alices, path, 6).await;
            assert_eq!(passed, if round == 0 { 5 } else { 0 }, "{path}, round {round}");
            assert_eq!(bob.get(path).token(&bobs).send().await.status, 200, "{path}, round {round}");
        }
    }
    assert_eq!(bed.upstream.count(), 15 + 15);
}

#[tokio::test]
async fn a_stricter_override_is_not_refilled_by_what_others_do() {
    let strict = json!([{"sub": "monitor", "rate": "1/h"}]);
    let limits = json!({"l": {"key": ["ip"], "rate": "1000/s", "burst": 5, "overrides": strict}});
    let bed = bed(limits, &[("/a", json!(["l"]))]).await;
    let client = bed.plaintext().kept();
    let (alices, monitors) = (token(&bed, "alice"), token(&bed, "monitor"));
    for round in 0..5 {
        assert_eq!(passes(&client, &monitors, "/a", 2).await, usize::from(round == 0), "round {round}");
        assert_eq!(passes(&client, &alices, "/a", 1).await, 1, "round {round}");
    }
    assert_eq!(bed.upstream.count(), 1 + 5);
}

#[tokio::test]
async fn two_filters_of_one_vm_have_two_budgets() {
    let routes = [("/other", json!(["other"])), ("/same", json!(["same"]))];
    let limits = |rate| {
        let same = json!({"key": ["client_id"], "rate": "5/h"});
        json!({"other": {"key": ["client_id"], "rate": rate, "burst": 5}, "same": same})
    };
    let of_second = limited(limits("1000/s"), &routes).to_string();
    let second = move |envoy: &mut Value| {
        let listeners = envoy["static_resources"]["listeners"].as_array_mut().unwrap();
        let mut second = listeners.iter().find(|listener| listener["name"] == "plaintext").unwrap().clone();
        second["name"] = json!("second");
        let connections = &mut second["filter_chains"][0]["filters"][0]["typed_config"];
        let filter = &mut connections["http_filters"][0]["typed_config"]["config"];
        filter["name"] = json!("second");
        filter["root_id"] = json!("second");
        filter["configuration"]["value"] = json!(of_second);
        listeners.push(second);
    };
    let config = EnvoyConfig::new(limited(limits("5/h"), &routes)).with_plaintext_listener().edit(second);
    let bed = Testbed::start(config).await;
    let first = bed.plaintext().kept();
    let second = bed.plaintext().at(bed.envoy.address("second"), boundgate_testbed::AUTHORITY).kept();
    let token = token(&bed, "alice");
    for round in 0..5 {
        let passed = passes(&first, &token, "/other", 6).await;
        assert_eq!(passed, if round == 0 { 5 } else { 0 }, "round {round}");
        assert_eq!(passes(&second, &token, "/other", 1).await, 1, "round {round}");
    }
    for filter in [&first, &second] {
        assert_eq!(passes(filter, &token, "/same", 6).await, 5);
    }
    assert_eq!(bed.upstream.count(), (5 + 5) + 2 * 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_makes_up_header_values_crowds_nobody_out() {
    const VALUES: usize = 20_000;
    const CONNECTIONS: usize = 16;
    let few = |config: &mut Value| {
        config["limit_table"] = json!({"identities": 1024});
        config["limits"] = json!({"l": {"key": ["client_id", "header.x-value"], "rate": "1/h"}});
        let route = json!({"path": "/a", "bound": "when-bound", "scopes": ["read:orders"], "limits": ["l"]});
        config["resources"][0]["routes"] = json!([route]);
    };
    let bed = Testbed::start(with(few).with_plaintext_listener().concurrency(2)).await;
    let mut flood = JoinSet::new();
    for part in 0..CONNECTIONS {
        let (client, token) = (bed.plaintext().kept(), token(&bed, "flooder"));
        flood.spawn(async move {
            let (mut refused, mut last) = (0, None);
            for value in (part..VALUES).step_by(CONNECTIONS) {
                let answer = client.get("/a").token(&token).header("x-value", value.to_string()).send().await;
                assert!([200, 429].contains(&answer.status), "{}", answer.status);
                if answer.status == 429 {
                    refused += 1;
                    last = Some(answer);
                }
            }
            (refused, last)
        });
    }
    let (refused, last): (Vec<usize>, Vec<_>) = flood.join_all().await.into_iter().unzip();
    let refused: usize = refused.iter().sum();
    let last = last.into_iter().flatten().next().expect("the flooder himself is held up");
    assert_eq!(bed.envoy.details(&last).await, "boundgate:limit-crowded", "no budget was spent");
    bed.envoy.stat_reaches("wasmcustom.boundgate.limit_inherited", 1).await.unwrap();
    assert_eq!(bed.upstream.count(), VALUES - refused);
    for number in 0..60 {
        let (client, token) = (bed.plaintext(), token(&bed, &format!("client-{number}")));
        let answer = client.get("/a").token(&token).header("x-value", "1").send().await;
        assert_eq!(answer.status, 200, "client {number}: {}", answer.text());
    }
    assert_eq!(bed.upstream.count(), VALUES - refused + 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_for_so_many_identities_has_room_for_them_however_many_limits_count_them() {
    const IDENTITIES: usize = 1024;
    const CONNECTIONS: usize = 8;
    let four = |config: &mut Value| {
        config["limit_table"] = json!({"identities": IDENTITIES});
        let limit = json!({"key": ["client_id"], "rate": "1/h"});
        config["limits"] = json!({"a": limit, "b": limit, "c": limit, "d": limit});
        let limits = json!(["a", "b", "c", "d"]);
        let route = json!({"path": "/a", "bound": "when-bound", "scopes": ["read:orders"], "limits": limits});
        config["resources"][0]["routes"] = json!([route]);
    };
    let bed = Testbed::start(with(four).with_plaintext_listener().concurrency(2)).await;
    let mut tokens: Vec<_> = (0..IDENTITIES).map(|number| token(&bed, &format!("client-{number}"))).collect();
    let mut callers = JoinSet::new();
    while !tokens.is_empty() {
        let client = bed.plaintext().kept();
        let share = tokens.split_off(tokens.len() - tokens.len().min(IDENTITIES / CONNECTIONS));
        callers.spawn(async move {
            for token in share {
                assert_eq!(client.get("/a").token(&token).send().await.status, 200);
            }
        });
    }
    callers.join_all().await;
    assert_eq!(bed.upstream.count(), IDENTITIES);
}

#[tokio::test]
async fn an_update_that_leaves_a_limit_alone_changes_no_budget_of_it() {
    let limits = |key: Value| json!({"l": {"key": key, "rate": "3/h"}});
    let before = limits(json!(["route", "client_id", "const.x"]));
    let routes = [("/a", json!(["l"])), ("/b", json!(["l"]))];
    let bed = bed(before, &routes).await;
    let token = token(&bed, "alice");
    assert_eq!(passes(&bed.plaintext(), &token, "/a", 4).await, 3);
    assert_eq!(passes(&bed.plaintext(), &token, "/b", 1).await, 1);
    // The limit stands behind another one, the parts of its key in another order, its routes behind another one.
    let mut after = limits(json!(["const.x", "client_id", "route"]));
    after["another"] = json!({"key": ["client_id"], "rate": "100/s"});
    after["l"]["overrides"] = json!([{"client_id": "bob", "rate": "100/s"}]);
    let both = json!(["another", "l"]);
    let routes = [("/new", json!(["l"])), ("/b", both.clone()), ("/a", both)];
    let update = bed.envoy.config_update(limited(after, &routes)).await.unwrap();
    assert_eq!(update, boundgate_testbed::Update::Accepted);
    assert_eq!(passes(&bed.plaintext(), &token, "/a", 2).await, 0, "it was spent");
    assert_eq!(passes(&bed.plaintext(), &token, "/b", 3).await, 2, "one was spent");
    assert_eq!(passes(&bed.plaintext(), &token, "/new", 4).await, 3, "it has a budget of its own");
    assert_eq!(bed.upstream.count(), 3 + 1 + 2 + 3);
}
