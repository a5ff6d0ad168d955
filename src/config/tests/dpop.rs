//! Proofs of possession: origin, what proofs are like, and what routes make of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{findings, policy, put, route, says, with};
use crate::jose::Algorithm;
use crate::policy::{Access, BindingRule, Policy};

fn binding_of(config: &Value) -> BindingRule {
    let policy = policy(config).unwrap();
    match &policy.resources[0]
        .routes
        .iter()
        .find(|route| &*route.origin.path == "resources[0].routes[1]")
        .unwrap()
        .access
    {
        Access::Token(rule) => rule.binding,
        other => panic!("{other:?}"),
    }
}

fn with_origin(pointer: &str, value: Value) -> Value {
    let mut config = with("/resources/0/origin", json!("https://api.example.com"));
    put(&mut config, pointer, value);
    config
}

fn loaded(config: &Value) -> Policy {
    policy(config).unwrap_or_else(|findings| panic!("{findings}"))
}

#[test]
fn a_route_takes_either_binding_only_where_the_resource_has_an_origin() {
    assert_eq!(binding_of(&super::good()), BindingRule::Mtls);
    assert_eq!(binding_of(&with("/resources/0/origin", json!("https://api.example.com"))), BindingRule::Any);
    for (word, rule) in [
        ("mtls", BindingRule::Mtls),
        ("dpop", BindingRule::Dpop),
        ("any", BindingRule::Any),
        ("when-bound", BindingRule::WhenBound),
    ] {
        assert_eq!(binding_of(&with_origin(&route("bound"), json!(word))), rule);
    }
    for word in ["any", "dpop"] {
        let found = findings(&with(&route("bound"), json!(word)));
        assert!(matches!(&found[..], [one] if one.contains("needs origin")), "{found:?}");
    }
}

#[test]
fn what_is_not_written_about_proofs_is_strict() {
    let policy = loaded(&with("/resources/0/origin", json!("https://API.example.com:443/shop/")));
    let resource = &policy.resources[0];
    let rule = resource.dpop.as_ref().unwrap();
    assert_eq!(rule.origin.to_string(), "https://api.example.com/shop");
    assert_eq!(rule.algorithms, [Algorithm::Es256, Algorithm::Ps256, Algorithm::Ed25519, Algorithm::EdDsa]);
    assert_eq!((rule.max_age, rule.leeway), (Duration::from_secs(60), Duration::from_secs(10)));
    assert!(rule.nonce.is_none() && !rule.forward && !resource.forward.proof);
    let without = loaded(&super::good());
    assert!(without.resources[0].dpop.is_none() && without.resources[0].forward.proof);
    let written = json!({ "algorithms": ["ES384"], "nonce": true, "max_age": "2m", "leeway": "0s", "forward": true });
    let policy = loaded(&with_origin("/resources/0/dpop", written));
    let rule = policy.resources[0].dpop.as_ref().unwrap();
    assert_eq!((&rule.algorithms[..], rule.forward), (&[Algorithm::Es384][..], true));
    assert_eq!(rule.nonce.as_deref(), Some(&*rule.origin.to_string()), "a nonce is for the origin");
}

#[test]
fn what_is_wrong_about_proofs_is_told() {
    says(
        "/resources/0/dpop",
        json!({ "nonce": true }),
        &["resources[0].dpop: means nothing without origin. Write where clients find the resource: origin: https://…."],
    );
    for origin in
        ["http://api.example.com", "api.example.com", "https://api.example.com/a?b", "https://api.example.com/#x"]
    {
        let found = findings(&with("/resources/0/origin", json!(origin)));
        assert!(matches!(&found[..], [one] if one.starts_with("resources[0].origin: ")), "{origin}: {found:?}");
    }
    for (written, expected) in [
        (
            json!({ "algorithms": [] }),
            "resources[0].dpop.algorithms: an empty list, so that no proof could pass. Write algorithms, or remove the key.",
        ),
        (
            json!({ "algorithms": ["ES256", "ES256"] }),
            "resources[0].dpop.algorithms[1]: stands there twice. Remove one.",
        ),
        (
            json!({ "max_age": "301s" }),
            r#"resources[0].dpop.max_age: "301s" is out of range. Write one from "1s" to "5m"."#,
        ),
        (
            json!({ "leeway": "61s" }),
            r#"resources[0].dpop.leeway: "61s" is out of range. Write one from "0s" to "1m"."#,
        ),
    ] {
        assert_eq!(findings(&with_origin("/resources/0/dpop", written)), [expected]);
    }
    let mut fapi = with_origin("/resources/0/dpop", json!({ "algorithms": ["ES256", "RS256"] }));
    put(&mut fapi, "/resources/0/profile", json!("fapi2"));
    assert_eq!(
        findings(&fapi),
        ["resources[0].dpop.algorithms[1]: is none of those that profile: fapi2 of the resource takes. Remove it."]
    );
}

#[test]
fn resources_whose_proofs_are_good_for_each_other_remember_them_alike() {
    let both = |origin: &str, one: Value, other: Value| {
        let mut config = with_origin("/resources/0/dpop", one);
        let mut second = config["resources"][0].clone();
        second["hosts"] = json!(["second.example.com"]);
        second["origin"] = json!(origin);
        second["dpop"] = other;
        config["resources"].as_array_mut().unwrap().push(second);
        findings(&config)
    };
    let expected = "resources[1].dpop: has another nonce or max_age than resources[0], although proofs for one origin may be \
                    good at the other. Write the same for both, or other origins.";
    let (short, long, nonce) = (json!({"max_age": "30s"}), json!({"max_age": "5m"}), json!({"nonce": true}));
    for origin in ["https://api.example.com", "https://api.example.com/shop/"] {
        for (one, other) in [(&short, &long), (&long, &short), (&nonce, &short), (&short, &nonce)] {
            assert_eq!(both(origin, one.clone(), other.clone()), [expected], "{origin} {one} {other}");
        }
        let other = json!({"max_age": "30s", "leeway": "0s", "forward": true, "algorithms": ["ES256"]});
        assert_eq!(both(origin, short.clone(), other), Vec::<String>::new());
        let other = json!({"max_age": "30s", "nonce": true});
        assert_eq!(both(origin, nonce.clone(), other), Vec::<String>::new());
    }
    assert_eq!(both("https://second.example.com", short, long), Vec::<String>::new());
}

#[test]
fn a_route_for_either_binding_demands_less_than_one_for_one_of_them() {
    let rank = [("mtls", "any"), ("dpop", "any"), ("any", "when-bound"), ("dpop", "when-bound")];
    for (strict, weak) in rank {
        let routes = |first: &str, second: &str| {
            let mut config = with_origin("/limits", Value::Null);
            let routes = json!([{ "path": "/a", "bound": first }, { "path": "/b", "bound": second }]);
            config["resources"][0]["routes"] = routes;
            let policy = loaded(&config);
            let of = |path: &str| {
                policy.resources[0].routes.iter().find(|route| &*route.origin.path == path).unwrap().clone()
            };
            of("resources[0].routes[0]").demands_all_of(&of("resources[0].routes[1]"))
        };
        assert!(routes(strict, weak) && !routes(weak, strict), "{strict} {weak}");
    }
}

#[test]
fn the_memory_of_used_proofs_and_how_many_fit_are_told() {
    for (rule, told) in [
        (json!({}), "; used proofs at most 37.5 MiB, for 17476 in a second, each kept for 60 s"),
        (json!({"max_age": "10s"}), "; used proofs at most 37.5 MiB, for 104857 in a second, each kept for 10 s"),
        (json!({"nonce": true}), "; used proofs at most 37.5 MiB, for 2912 in a second, each kept for 360 s"),
    ] {
        let summary = loaded(&with_origin("/resources/0/dpop", rule)).summary();
        assert!(summary.ends_with(told), "{summary}");
        assert!(summary.contains("; known tokens at most 32.0 MiB in each worker and 4.0 MiB for all;"), "{summary}");
    }
    assert!(!loaded(&super::good()).summary().contains("proofs"));
}
