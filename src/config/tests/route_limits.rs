//! The limits of a route: its own, those of the resource, or none on purpose.

use serde_json::{Value, json};

use super::{answers, findings, good, policy, put};

const NOTHING: [String; 0] = [];

/// `good` with these limits on the resource, and on the route that takes tokens.
fn limited(resource: Value, route: Value) -> Value {
    let mut config = good();
    put(&mut config, "/resources/0/limits", resource);
    put(&mut config, "/resources/0/routes/1/limits", route);
    config
}

/// The names of the limits of each route.
fn limits(config: &Value) -> Vec<Vec<String>> {
    let policy = policy(config).unwrap();
    let mut routes: Vec<_> = policy.resources[0].routes.iter().collect();
    routes.sort_by_key(|route| route.origin.path.clone());
    let names = |route: &&std::rc::Rc<crate::policy::Route>| {
        route.limits.iter().map(|charge| charge.limit.origin.name.to_string()).collect()
    };
    routes.iter().map(names).collect()
}

#[test]
fn a_route_that_says_nothing_has_the_limits_of_the_resource() {
    let config = limited(json!(["per-client", "everyone"]), json!(null));
    assert_eq!(limits(&config), [vec![], vec!["per-client", "everyone"], vec![]]);
    assert_eq!(answers(&config), NOTHING);
}

#[test]
fn a_route_with_limits_of_its_own_has_those_instead() {
    let mut config = limited(json!(["everyone"]), json!(["per-client"]));
    put(&mut config, "/resources/0/routes/2/limits", json!(null));
    assert_eq!(limits(&config), [vec![], vec!["per-client"], vec!["everyone"]]);
}

#[test]
fn what_a_resource_counts_by_must_be_there_on_each_of_its_routes() {
    let mut config = limited(json!(["per-client", "everyone"]), json!(null));
    put(&mut config, "/resources/0/routes/0/limits", json!(null));
    assert_eq!(
        findings(&config),
        [
            r#"resources[0].routes[0].limits: missing, so that those of the resource hold: limit "per-client" counts by client_id, and this route takes no token. Write limits of its own, by source, ip, peer or const.<text>, or limits: none."#
        ]
    );
}

#[test]
fn limits_of_a_resource_that_no_route_has_are_found() {
    assert_eq!(
        findings(&limited(json!(["everyone"]), json!(["per-client", "everyone"]))),
        [
            "resources[0].limits: nobody's, because every route has limits of its own. Remove it, or limits from a route."
        ]
    );
}

#[test]
fn names_in_the_limits_of_a_resource_are_checked_once() {
    assert_eq!(
        findings(&limited(json!(["per-clinet", "everyone", "everyone"]), json!(null))),
        [
            r#"resources[0].limits[0]: no limit is named "per-clinet". Did you mean "per-client"? Defined: everyone, per-client."#,
            r#"resources[0].limits[2]: "everyone" stands there twice. Remove one."#,
        ]
    );
}

#[test]
fn no_limit_is_a_word_and_no_empty_list() {
    let empty = "an empty list. Name a limit, or write limits: none if there is to be no limit.";
    assert_eq!(findings(&limited(json!([]), json!(null))), [format!("resources[0].limits: {empty}")]);
    let config = limited(json!(null), json!([]));
    assert_eq!(findings(&config), [format!("resources[0].routes[1].limits: {empty}")]);
}

#[test]
fn a_route_that_says_nothing_beside_limited_ones_is_asked_about() {
    let mut config = good();
    put(&mut config, "/resources/0/routes/0/limits", json!(null));
    let asks = |more: &str| {
        format!(
            "warning: resources[0].routes[0]: has no limits{more}, and resources[0].routes[1] has some. Write limits on it or, for all routes, on the resource; limits: none where none are meant."
        )
    };
    assert_eq!(answers(&config), [asks("")]);
    put(&mut config, "/resources/0/routes/2/limits", json!(null));
    assert_eq!(answers(&config), [asks(" (and 1 more here)")]);
    put(&mut config, "/resources/0/limits", json!("none"));
    assert_eq!(answers(&config), NOTHING, "the resource says so");
    let mut unlimited = good();
    for route in ["0", "1", "2"] {
        put(&mut unlimited, &format!("/resources/0/routes/{route}/limits"), json!(null));
    }
    put(&mut unlimited, "/limits", json!(null));
    assert_eq!(answers(&unlimited), NOTHING, "nothing is limited");
}

#[test]
fn costs_are_of_the_limits_that_a_route_has() {
    let mut config = limited(json!(["per-client", "everyone"]), json!(null));
    put(&mut config, "/resources/0/routes/1/cost", json!(201));
    assert_eq!(
        findings(&config),
        [
            r#"resources[0].routes[1].cost: 201 is above the burst of limit "per-client" (200), so that no request could ever pass. Raise limits.per-client.burst or lower the cost."#
        ]
    );
    put(&mut config, "/resources/0/routes/1/limits", json!("none"));
    put(&mut config, "/resources/0/routes/2/limits", json!(null));
    put(&mut config, "/resources/0/limits", json!(["everyone"]));
    let costs: Vec<String> = findings(&config).into_iter().filter(|finding| finding.contains("cost")).collect();
    assert_eq!(costs, ["resources[0].routes[1].cost: means nothing without limits. Name limits, or remove it."]);
}

#[test]
fn what_is_wrong_about_a_limit_takes_the_routes_of_the_resource_into_account() {
    let mut config = limited(json!(["by-source"]), json!(["per-client", "everyone"]));
    put(&mut config, "/resources/0/routes/0/limits", json!(null));
    let by_source = json!({ "key": ["source"], "rate": "1/s", "overrides": [{ "sub": "a", "rate": "2/s" }] });
    put(&mut config, "/limits/by-source", by_source);
    assert_eq!(
        findings(&config),
        [
            "limits.by-source.overrides[0].sub: never met, because no route with this limit takes tokens. Write peer or utc, or remove the override."
        ]
    );
}
