//! Which resource serves a host, and hosts that two of them claim.

use serde_json::{Value, json};

use super::{findings, policy};
use crate::http::Authority;

/// Resources with these hosts, each named by its first.
fn served(hosts: &[&[&str]]) -> Value {
    let route = json!([{ "path": "/", "access": "public" }]);
    let resource = |hosts: &&[&str]| json!({ "hosts": hosts, "routes": route });
    json!({ "resources": hosts.iter().map(resource).collect::<Vec<_>>() })
}

#[track_caller]
fn serves(config: &Value, expected: &[(&str, Option<&str>)]) {
    let policy = policy(config).unwrap_or_else(|findings| panic!("{findings}"));
    for (authority, resource) in expected {
        let found = policy.hosts.find(&Authority::parse(authority.as_bytes()).unwrap());
        assert_eq!(found.map(|found| &*found.origin.name), *resource, "{authority}");
    }
}

#[test]
fn the_exact_name_counts_before_the_longest_that_it_ends_in_and_that_before_all() {
    let config = served(&[&["*"], &["*.example.com"], &["*.api.example.com"], &["api.example.com"]]);
    serves(
        &config,
        &[
            ("api.example.com", Some("api.example.com")),
            ("API.Example.com.", Some("api.example.com")),
            ("a.api.example.com", Some("*.api.example.com")),
            ("b.a.api.example.com", Some("*.api.example.com")),
            ("web.example.com", Some("*.example.com")),
            ("notapi.example.com", Some("*.example.com")),
            ("example.com", Some("*")),
            ("badexample.com", Some("*")),
            ("10.0.0.1:8443", Some("*")),
            ("[::1]:8443", Some("*")),
        ],
    );
}

#[test]
fn without_star_a_host_that_nothing_lists_is_served_by_nobody() {
    let config = served(&[&["*.example.com"], &["orders"]]);
    serves(&config, &[("example.com", None), ("com", None), ("10.0.0.1", None), ("orders.shop", None)]);
}

#[test]
fn a_host_is_the_same_on_every_port_unless_one_is_written() {
    let config =
        served(&[&["api.example.com"], &["api.example.com:8443"], &["*.example.org:9000"], &["web.example:443"]]);
    serves(
        &config,
        &[
            ("api.example.com", Some("api.example.com")),
            ("api.example.com:9443", Some("api.example.com")),
            ("api.example.com:8443", Some("api.example.com:8443")),
            ("api.example.com.:8443", Some("api.example.com:8443")),
            ("a.example.org:9000", Some("*.example.org:9000")),
            ("a.example.org", None),
            ("web.example", Some("web.example:443")),
            ("web.example:8443", None),
        ],
    );
}

#[test]
fn the_name_counts_before_the_port() {
    let config = served(&[&["*"], &["api.example.com:8443"]]);
    serves(&config, &[("api.example.com:8443", Some("api.example.com:8443")), ("api.example.com", Some("*"))]);
}

#[test]
fn a_sidecars_application_is_one_resource_under_all_its_names() {
    let config = served(&[&["orders", "orders.shop", "orders.shop.svc", "orders.shop.svc.cluster.local"]]);
    let hosts = ["orders:9080", "orders.shop", "orders.shop.svc.:9080", "orders.shop.svc.cluster.local."];
    serves(&config, &hosts.map(|host| (host, Some("orders"))));
    serves(&served(&[&["*"]]), &hosts.map(|host| (host, Some("*"))));
}

#[test]
fn a_host_that_two_resources_claim_is_found_with_both_places() {
    for (first, second, shown) in [
        ("api.example.com", "API.example.com.", "api.example.com"),
        ("*.example.com", "*.Example.com", "*.example.com"),
        ("*.example.com:8443", "*.example.com:8443", "*.example.com:8443"),
        ("*", "*", "*"),
    ] {
        let taken = format!(
            "resources[1].hosts[1]: {shown:?} is served by resources[0].hosts[0] already. Remove one of both, or put the \
             routes together."
        );
        assert_eq!(findings(&served(&[&[first], &["other.example", second]])), [taken]);
    }
}

#[test]
fn what_one_resource_claims_by_the_name_and_another_by_the_port_is_found_with_both_places() {
    for (by_name, by_port, both) in [
        ("api.example.com", "*:8443", "api.example.com:8443"),
        ("a.b.example.com", "*.example.com:8443", "a.b.example.com:8443"),
        ("*.b.example.com", "*.example.com:8443", "*.b.example.com:8443"),
        ("*.example.com", "*:8443", "*.example.com:8443"),
    ] {
        let expected = format!(
            "resources[0].hosts[0]: {both:?} could be meant by this and by resources[1].hosts[0]. Write {both:?} into the \
             resource that is to serve it."
        );
        assert_eq!(findings(&served(&[&[by_name], &[by_port]])), [expected]);
        let none: [String; 0] = [];
        assert_eq!(findings(&served(&[&[by_name], &[by_port, both]])), none, "it says whose");
        assert_eq!(findings(&served(&[&[by_name, both], &[by_port]])), none, "it says whose");
        assert_eq!(findings(&served(&[&[by_name, by_port]])), none, "the same rules either way");
    }
}

#[test]
fn hosts_that_cannot_be_are_told_with_what_can() {
    let wildcard = |text: &str| {
        format!(
            r#"resources[0].hosts[0]: {text:?} has a * where none can stand. Write "*.example.com" for all names below one, or "*" for all hosts."#
        )
    };
    for wrong in ["api.*", "*-api.example.com", "*example.com"] {
        assert_eq!(findings(&served(&[&[wrong]])), [wildcard(wrong)]);
    }
    for wrong in ["https://api.example.com", "api.example.com:", "*.", "a b"] {
        let expected = format!(
            r#"resources[0].hosts[0]: {wrong:?} is no host. Write a host, like "api.example.com", "*.example.com" or "*"; with a port, like "localhost:8443", for that one only."#
        );
        assert_eq!(findings(&served(&[&[wrong]])), [expected]);
    }
}

#[test]
fn challenges_show_a_realm_that_is_a_host_or_is_written() {
    let mut config = super::with("/resources/0/hosts", json!(["*.example.com", "api.example.com:8443"]));
    assert_eq!(&*policy(&config).unwrap().resources[0].realm, "api.example.com:8443");
    config["resources"][0]["hosts"] = json!(["*.example.com"]);
    let needed = "resources[0].realm: needed, because a route takes tokens or API keys and no host here is a name that challenges could show. Write one, like \"orders\".";
    assert_eq!(findings(&config), [needed]);
    config["resources"][0]["realm"] = json!("orders");
    assert_eq!(&*policy(&config).unwrap().resources[0].realm, "orders");
}
