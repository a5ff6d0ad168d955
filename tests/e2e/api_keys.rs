//! API keys: who presents one is its client, and nobody behind the proxy learns the key.

use boundgate_testbed::{EnvoyConfig, Testbed};
use ring::digest::{SHA256, digest as hash};
use serde_json::{Value, json};

use crate::expectations::{alices_token, config, recorded, refused, with};

const SHOP: &str = "key-of-the-shop-3vKq";
const DEPOT: &str = "key-of-the-depot-9xTd";

fn digest(key: &str) -> String {
    hash(&SHA256, key.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn keyed(config: &mut Value) {
    config["api_keys"] = json!({
        "shop": {"sha256": digest(SHOP), "client_id": "shop", "scopes": ["read:stock"]},
        "depot": {
            "sha256": {"env": "DEPOT_KEY_SHA256"}, "client_id": "depot", "scopes": ["read:stock", "write:stock"],
            "peers": ["spiffe://example.org/client/alice"]
        }
    });
    let resource = &mut config["resources"][0];
    resource["api_keys"] = json!(["shop", "depot"]);
    resource["forward"] = json!({"headers": {"x-client-id": "client_id"}});
    resource["routes"].as_array_mut().expect("a list").extend([
        json!({"path": "/stock", "methods": ["GET"], "access": "key", "scopes": ["read:stock"]}),
        json!({"path": "/stock", "methods": ["PUT"], "access": "key", "scopes": ["write:stock"]}),
        json!({"path": "/scarce", "access": "key", "limits": ["per-client"]}),
        json!({"path": "/guess", "access": "key", "limits": ["guesses"]}),
    ]);
    config["limits"]["guesses"] = json!({"key": ["source"], "rate": "3/h", "on": [401]});
    config["limits"]["per-client"] = json!({"key": ["client_id"], "rate": "2/h"});
}

/// With `variables` in the environment of the VM.
fn within(config: EnvoyConfig, variables: Value) -> EnvoyConfig {
    config.edit(move |envoy| {
        for listener in envoy["static_resources"]["listeners"].as_array_mut().expect("listeners") {
            let filters = &mut listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"];
            let filters = filters.as_array_mut().expect("filters").iter_mut();
            for filter in filters.filter(|filter| filter["name"] == "boundgate") {
                filter["typed_config"]["config"]["vm_config"]["environment_variables"] =
                    json!({"key_values": variables});
            }
        }
    })
}

async fn bed() -> Testbed {
    Testbed::start(within(with(keyed), json!({"DEPOT_KEY_SHA256": digest(DEPOT)}))).await
}

#[tokio::test]
async fn the_client_of_a_key_passes_and_the_upstream_learns_who_it_is_and_not_the_key() {
    let bed = bed().await;
    let anybody = bed.anonymous();
    let answer = anybody.get("/stock").header("x-api-key", SHOP).header("x-client-id", "mallory").send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let alice = bed.client("alice").http2();
    let answer = alice.request("PUT", "/stock").header("x-api-key", DEPOT).body("7").send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // On other routes of the resource the key is nobody's business either.
    let token = alices_token(&bed).await;
    let other = alice.get("/orders/7").token(&token).header("x-api-key", SHOP);
    assert_eq!(other.send().await.status, 200);
    let received = bed.upstream.received();
    let told: Vec<_> = received.iter().map(|request| request.header("x-client-id").unwrap_or_default()).collect();
    assert_eq!(told, ["shop", "depot", "alice"]);
    for (_, value) in received.iter().flat_map(|request| &request.headers) {
        let value = String::from_utf8_lossy(value);
        assert!(!value.contains(SHOP) && !value.contains(DEPOT), "{value}");
    }
}

#[tokio::test]
async fn whoever_has_no_key_that_is_good_here_is_refused_with_a_challenge_and_nothing_of_it_is_logged() {
    let bed = bed().await;
    let alice = bed.client("alice");
    let get = |path: &str| alice.get(path);
    let in_query = format!("/stock?x-api-key={SHOP}");
    for (request, status, reason) in [
        (get("/stock"), 401, "api-key-missing"),
        (get(&in_query), 401, "api-key-missing"),
        (get("/stock").token(SHOP), 401, "api-key-missing"),
        (get("/stock").header("x-api-key", "wrong-key"), 401, "api-key-invalid"),
        (get("/stock").header("x-api-key", SHOP).header("x-api-key", SHOP), 401, "api-key-invalid"),
        (get("/stock").header("x-api-key", ""), 401, "api-key-invalid"),
        (get("/stock").header("x-api-key", "a".repeat(513)), 401, "api-key-invalid"),
        (alice.request("PUT", "/stock").header("x-api-key", SHOP), 403, "api-key-scope-missing"),
        (bed.client("bob").get("/stock").header("x-api-key", DEPOT), 403, "peer-not-allowed"),
        (bed.anonymous().get("/stock").header("x-api-key", DEPOT), 403, "peer-missing"),
    ] {
        let answer = request.send().await;
        refused(&bed, &answer, status, reason).await;
        let challenge = (status == 401).then(|| "ApiKey realm=\"api\"".to_owned());
        assert_eq!(answer.header("www-authenticate"), challenge, "{reason}");
        let record = recorded(&bed, &answer).await.to_string();
        assert!(![SHOP, DEPOT, "wrong-key"].iter().any(|key| record.contains(key)), "{record}");
    }
    let log = bed.envoy.log();
    assert!(![SHOP, DEPOT, "wrong-key"].iter().any(|key| log.contains(key)), "a key stands in the log");
}

#[tokio::test]
async fn each_client_has_its_budget_and_whoever_guesses_is_locked_out() {
    let bed = bed().await;
    let alice = bed.client("alice");
    let ask = |path: &'static str, key: &'static str| alice.get(path).header("x-api-key", key);
    for expected in [200, 200, 429] {
        assert_eq!(ask("/scarce", SHOP).send().await.status, expected);
    }
    assert_eq!(ask("/scarce", DEPOT).send().await.status, 200);
    let before = bed.upstream.count();
    for (key, status) in [("1", 401), ("2", 401), ("3", 401), ("4", 429), (SHOP, 429)] {
        assert_eq!(ask("/guess", key).send().await.status, status, "{key}");
    }
    assert_eq!(bed.upstream.count(), before);
}

#[tokio::test]
async fn a_digest_that_the_environment_lacks_is_nobodys_and_the_log_says_so() {
    let bed = Testbed::start(within(with(keyed), json!({"OTHER": "x"}))).await;
    let answer = bed.client("alice").get("/stock").header("x-api-key", DEPOT).send().await;
    refused(&bed, &answer, 401, "api-key-invalid").await;
    assert!(bed.envoy.log().contains("the environment variable DEPOT_KEY_SHA256 is missing"));
    assert_eq!(bed.anonymous().get("/stock").header("x-api-key", SHOP).send().await.status, 200);
}

#[tokio::test]
async fn a_key_as_text_is_refused_and_stands_in_no_log() {
    let mut config = config();
    keyed(&mut config);
    config["api_keys"]["shop"]["sha256"] = json!("not-a-digest-but-a-key");
    let error = Testbed::try_start(config).await.expect_err("it is refused").to_string();
    assert!(error.contains("a key itself must not stand here"), "{error}");
    assert!(!error.contains("not-a-digest-but-a-key"), "{error}");
}
