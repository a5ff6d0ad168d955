//! `claims`: what may be demanded, how deep, and what is wrong with a demand.

use serde_json::{Value, json};

use super::{answers, findings, good, policy, put, route, says};
use crate::policy::Access;

#[test]
fn demands_are_told_in_the_words_they_were_written_in() {
    let mut config = good();
    put(&mut config, "/resources/0/claims", json!({ "tenant": "acme" }));
    put(
        &mut config,
        &route("claims"),
        json!({
            "region": ["eu", 7, true], "level": { "min": 3, "max": 5 }, "email": { "present": true },
            "any": [{ "groups": { "contains": ["a", "b"] } }, { "not": { "x": { "present": false }, "y": { "max": 1 } } }]
        }),
    );
    assert_eq!(answers(&config), Vec::<String>::new());
    let policy = policy(&config).unwrap();
    let route = policy.resources[0].routes.iter().find(|route| route.pattern.to_string() == "/orders/{id}").unwrap();
    let Access::Token(rule) = &route.access else { panic!() };
    let told: Vec<String> = rule.claims.iter().map(|rule| format!("{}: {}", rule.path, rule.demand)).collect();
    assert_eq!(
        told,
        [
            r#"resources[0].claims.tenant: claim.tenant is "acme""#,
            r#"resources[0].routes[1].claims.any: any of (all of (claim.groups contains "a" or "b"), all of (not (all of (claim.x is not there, claim.y in ..1))))"#,
            "resources[0].routes[1].claims.email: claim.email is there",
            "resources[0].routes[1].claims.level: claim.level in 3..5",
            r#"resources[0].routes[1].claims.region: claim.region is "eu" or "7" or true"#,
        ]
    );
}

#[test]
fn what_is_wrong_with_a_demand_is_told_with_its_remedy() {
    let at = "resources[0].routes[1].claims";
    for (written, told) in [
        (json!({}), format!("{at}: an empty table, so that every token would pass. Write claims, or remove it.")),
        (
            json!(["a"]),
            format!("{at}: this is a list, not a table of claims. Write claims by name, each with what it must be."),
        ),
        (
            json!({ "scope": "a" }),
            format!("{at}.scope: claim \"scope\" has a key of its own. Write scopes beside claims."),
        ),
        (json!({ "aud": "a" }), format!("{at}.aud: claim \"aud\" is always checked. Write audiences of the resource.")),
        (
            json!({ "jti": "a" }),
            format!("{at}.jti: claim \"jti\" is always checked, and differs from token to token. Remove it."),
        ),
        (
            json!({ "a b": "a" }),
            format!("{at}[\"a b\"]: \"a b\" is no name of a claim. Write it as it stands in tokens."),
        ),
        (
            json!({ "claim.a": "a" }),
            format!(
                "{at}[\"claim.a\"]: claim \"claim.a\" stands here without \"claim.\". Write the claim's name alone."
            ),
        ),
        (json!({ "a": [] }), format!("{at}.a: a list of 0. Write 1 to 16.")),
        (
            json!({ "a": 1.5 }),
            format!(
                "{at}.a: this is a number, not what a claim can be compared with. Write a text, a whole number, true or false, a list of these, or {{ contains: ... }}, {{ min: ..., max: ... }}, {{ present: true }}."
            ),
        ),
        (
            json!({ "a": {} }),
            format!(
                "{at}.a: is not one of contains, present, or min and max. Write one of these; for several, all: [...] with the claim in each."
            ),
        ),
        (
            json!({ "a": { "contains": "x", "min": 1 } }),
            format!(
                "{at}.a: is not one of contains, present, or min and max. Write one of these; for several, all: [...] with the claim in each."
            ),
        ),
        (json!({ "a": { "contain": "x" } }), format!("{at}.a.contain: unknown key. Did you mean \"contains\"?")),
        (
            json!({ "a": { "contains": true } }),
            format!("{at}.a.contains: true is no item of a list of texts. Write a text or a whole number."),
        ),
        (
            json!({ "a": { "min": 2, "max": 1 } }),
            format!("{at}.a.max: is below min, so that no token could pass. Exchange both."),
        ),
        (
            json!({ "a": { "min": "x" } }),
            format!(
                "{at}.a.min: \"x\" is no whole number in range. Write one from -9007199254740992 to 9007199254740992."
            ),
        ),
        (
            json!({ "any": { "a": "b" } }),
            format!("{at}.any: any takes a list of tables. Write 1 to 64, like any: [{{ a: b }}, {{ c: d }}]."),
        ),
        (
            json!({ "any": [] }),
            format!("{at}.any: any takes a list of tables. Write 1 to 64, like any: [{{ a: b }}, {{ c: d }}]."),
        ),
        (
            json!({ "not": {} }),
            format!("{at}.not: an empty table, so that every token would pass. Write claims, or remove it."),
        ),
        (
            json!({ "any": [{ "all": [{ "not": { "a": "b" } }] }] }),
            format!(
                "{at}.any[0].all[0].not: not stands deeper than 2 levels. Split the route, or have the issuer write one claim that says it."
            ),
        ),
    ] {
        says(&route("claims"), written, &[&told]);
    }
}

#[test]
fn the_number_of_claims_is_bounded() {
    let many: serde_json::Map<String, Value> = (0..65).map(|number| (format!("c{number:02}"), json!("x"))).collect();
    let mut config = good();
    put(&mut config, &route("claims"), Value::Object(many));
    let at = "resources[0].routes[1].claims.c64";
    assert_eq!(
        findings(&config),
        [format!("{at}: more than 64 claims. Have the issuer write one claim that says it.")]
    );
}

#[test]
fn claims_are_demanded_of_tokens_only() {
    says(
        "/resources/0/routes/0/claims",
        json!({ "a": "b" }),
        &["resources[0].routes[0].claims: means nothing on a public route. Remove it, or write access: token."],
    );
    let mut config = good();
    put(&mut config, "/resources/0/claims", json!({ "a": "b" }));
    put(&mut config, &route("access"), json!("public"));
    put(&mut config, &route("scopes"), Value::Null);
    put(&mut config, &route("limits"), json!("none"));
    let told = findings(&config);
    assert!(
        told.iter()
            .any(|told| told.starts_with("resources[0].claims: is asked of tokens, and no route here takes any")),
        "{told:?}"
    );
}
