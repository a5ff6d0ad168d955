//! Configuration: all forms mean the same; a bad one is refused with the place of each mistake, and the old one stays.

use boundgate_testbed::{EnvoyConfig, PluginConfig, Testbed, Update};
use serde_json::json;

use crate::expectations::{alices_token, bed, config, eventually, refused, with};

/// The same as [`config`] for one route, as an operator writes it.
const YAML: &str = r#"
issuers:
  main:
    issuer: https://as.example.com
    jwks: { cluster: as, uri: https://as.example.com/jwks, timeout: 2s }
    algorithms: [ES256]
resources:
- hosts: [api.example.com]
  audiences: [https://api.example.com]
  issuers: [main]
  routes:
  - path: /greedy
    scopes: [read:orders]
    limits: [per-client]
limits:
  per-client: { key: [client_id], rate: 1/s, burst: 5 }  # a comment
"#;

#[tokio::test]
async fn yaml_json_and_struct_mean_the_same() {
    for plugin in [PluginConfig::from(YAML), PluginConfig::from(config()), PluginConfig::Struct(config())] {
        let bed = Testbed::start(EnvoyConfig::new(plugin)).await;
        let token = alices_token(&bed).await;
        let answer = bed.client("alice").get("/greedy").token(&token).send().await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("ratelimit").unwrap().contains(r#""per-client";r=4"#));
    }
}

#[tokio::test]
async fn each_mistake_in_a_text_is_logged_with_its_line_and_column() {
    let bad = YAML.replace("scopes:", "scope:").replace("rate: 1/s", "rate: 010").replace("  limits:", "    limits:");
    for (text, expected) in [
        (
            YAML.replace("scopes:", "scope:").replace("burst: 5", "burst: 010"),
            [
                r#"configuration refused, line 13, column 5: resources[0].routes[0].scope: unknown key. Did you mean "scopes"?"#,
                "configuration refused, line 16, column 46: limits.per-client.burst: readers of YAML differ about \"010\"",
            ],
        ),
        (bad, ["configuration refused, line 14, column ", "no YAML that could be read"]),
        (
            format!("{YAML}resources: []\n"),
            ["configuration refused, line 17, column 1: resources: the same key stands in this table already.", ""],
        ),
    ] {
        let Err(refused) = Testbed::try_start(EnvoyConfig::new(text.as_str())).await else {
            panic!("accepted: {text}")
        };
        let log = refused.to_string();
        assert!(expected.iter().all(|expected| log.contains(expected)), "{log}");
    }
}

#[tokio::test]
async fn a_key_that_occurs_twice_loosens_nothing() {
    let bed = bed().await;
    let token = bed.token(&bed.client("alice")).scope("other").issue().await;
    let twice = YAML.replace("    scopes: [read:orders]\n", "    scopes: [read:orders]\n    scopes: [other]\n");
    let Ok(Update::Rejected(_)) = bed.envoy.config_update(twice.as_str()).await else { panic!("it was accepted") };
    let answer = bed.client("alice").get("/greedy").token(&token).send().await;
    refused(&bed, &answer, 403, "scope-missing").await;
}

#[tokio::test]
async fn the_shipped_configuration_loads() {
    let bed = Testbed::start(EnvoyConfig::new(PluginConfig::shipped())).await;
    let token = alices_token(&bed).await;
    assert_eq!(bed.client("alice").get("/orders/7").token(&token).send().await.status, 200);
}

#[tokio::test]
async fn a_bad_configuration_is_refused_with_all_its_errors_and_the_old_one_stays() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    let mut bad = config();
    bad["resources"][0]["routes"][1]["limits"] = json!(["per-clinet"]);
    bad["limits"]["per-client"]["rate"] = json!("10");
    let Ok(Update::Rejected(_)) = bed.envoy.config_update(bad).await else { panic!("it was accepted") };
    let log = bed.envoy.log();
    assert!(log.contains("resources[0].routes[1].limits[0]"), "{log}");
    assert!(log.contains("limits.per-client.rate"), "{log}");
    assert_eq!(bed.client("alice").get("/orders/7").token(&token).send().await.status, 200);
}

#[tokio::test]
async fn a_configuration_that_is_none_is_refused_at_the_start() {
    for text in ["", "{", "[]", "null", "{\"a\":1,\"a\":2}", "- a", "a: \"", "---\n---\n"] {
        let plugin = PluginConfig::Text(text.to_owned());
        let refused = Testbed::try_start(EnvoyConfig::new(plugin)).await;
        assert!(refused.is_err(), "{text}");
    }
}

#[tokio::test]
async fn a_new_configuration_is_in_force_for_the_next_request() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    let mut stricter = config();
    stricter["resources"][0]["routes"][1]["scopes"] = json!(["admin"]);
    assert!(matches!(bed.envoy.config_update(stricter).await, Ok(Update::Accepted)));
    let answer = bed.client("alice").get("/orders/7").token(&token).send().await;
    refused(&bed, &answer, 403, "scope-missing").await;
}

#[tokio::test]
async fn an_empty_list_of_scopes_opens_no_route() {
    let bed = bed().await;
    let mut open = config();
    open["resources"][0]["routes"][1]["scopes"] = json!([]);
    let Ok(Update::Rejected(_)) = bed.envoy.config_update(open).await else { panic!("it was accepted") };
    assert!(bed.envoy.log().contains("resources[0].routes[1].scopes: an empty list, so that every token would pass."));
    let token = bed.token(&bed.client("alice")).scope("other").issue().await;
    let answer = bed.client("alice").get("/orders/7").token(&token).send().await;
    refused(&bed, &answer, 403, "scope-missing").await;
}

#[tokio::test]
async fn what_is_rarely_meant_is_told_in_the_log_and_stops_nothing() {
    let doubted =
        with(|config| config["resources"][0]["routes"][1]["scopes"] = json!({"any": ["read:*", "read:orders"]}));
    let bed = Testbed::start(doubted).await;
    let token = alices_token(&bed).await;
    assert_eq!(bed.client("alice").get("/orders/7").token(&token).send().await.status, 200);
    let told = r#"resources[0].routes[1].scopes.any[0]: "read:*" is compared as it stands: "*" stands for itself."#;
    eventually(|| bed.envoy.log().contains(told)).await;
}
