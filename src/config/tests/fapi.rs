//! `profile: fapi2` of a resource: what may not stand beside it, and what it means.

use serde_json::{Value, json};

use super::{findings, good, policy, put, route};

fn fapi2() -> Value {
    let mut config = good();
    put(&mut config, "/resources/0/profile", json!("fapi2"));
    config
}

fn says(pointer: &str, value: Value, expected: &[&str]) {
    let mut config = fapi2();
    put(&mut config, pointer, value);
    assert_eq!(findings(&config), expected, "{pointer}");
}

#[test]
fn what_the_profile_means_is_told() {
    let mut config = fapi2();
    assert_eq!(
        policy(&config).unwrap().profiles().collect::<Vec<_>>(),
        [
            "resources[0]: profile fapi2 means tokens of main with PS256, ES256, leeway 30s; bound: mtls on every route that \
             takes tokens; x-fapi-interaction-id on every answer"
        ]
    );
    put(&mut config, "/issuers/main/algorithms", json!(["RS256", "PS256"]));
    put(&mut config, "/issuers/main/leeway", json!("1m"));
    let means = policy(&config).unwrap().profiles().next().unwrap();
    assert!(means.contains("tokens of main with PS256 and not RS256, leeway 1m;"), "{means}");
    assert_eq!(policy(&good()).unwrap().profiles().count(), 0);
}

#[test]
fn an_issuer_that_no_token_could_come_from_is_a_mistake() {
    says(
        "/issuers/main/algorithms",
        json!(["RS256", "ES384", "PS512"]),
        &[
            r#"resources[0].issuers[0]: "main" lists neither PS256 nor ES256 nor Ed25519, and profile: fapi2 takes no others. Have it sign with one of them, and write that into issuers.main.algorithms."#,
        ],
    );
    for one in ["PS256", "ES256", "Ed25519", "EdDSA"] {
        says("/issuers/main/algorithms", json!(["RS256", one]), &[]);
    }
}

#[test]
fn what_the_profile_forbids_is_found_beside_it() {
    says(
        &route("bound"),
        json!("when-bound"),
        &[
            "resources[0].routes[1].bound: lets tokens pass that are not bound, which profile: fapi2 of the resource forbids. Remove it, or write bound: mtls.",
        ],
    );
    says(&route("bound"), json!("mtls"), &[]);
    says(
        "/issuers/main/leeway",
        json!("5s"),
        &[
            r#"resources[0].issuers[0]: "main" has a leeway of 5s, and with profile: fapi2 tokens from 10s in the future are good. Raise issuers.main.leeway to 10s or more."#,
        ],
    );
    says("/issuers/main/leeway", json!("10s"), &[]);
    says(
        "/issuers/main/leeway",
        json!("61s"),
        &[r#"issuers.main.leeway: "61s" is out of range. Write one from "0s" to "1m"."#],
    );
    says(
        "/issuers/main/insecure_no_audience",
        json!(true),
        &[
            r#"resources[0].issuers[0]: "main" may leave out whom a token is for, which profile: fapi2 forbids. Have it write aud, and remove issuers.main.insecure_no_audience."#,
        ],
    );
    for (pointer, value, place) in [
        (
            "/resources/0/forward/headers/x-fapi-interaction-id",
            json!("sub"),
            r"resources[0].forward.headers.x-fapi-interaction-id",
        ),
        ("/resources/0/forward/strip", json!(["x-a", "x-fapi-interaction-id"]), "resources[0].forward.strip[1]"),
    ] {
        says(
            pointer,
            value,
            &[&format!("{place}: goes upstream as profile: fapi2 of the resource has it. Remove it.")],
        );
    }
}

#[test]
fn profiles_of_issuers_are_none_of_resources() {
    says(
        "/resources/0/profile",
        json!("keycloak"),
        &[
            r#"resources[0].profile: "keycloak" says how an issuer writes tokens, not what a resource demands. Write it on the issuer."#,
        ],
    );
    says(
        "/resources/0/profile",
        json!("fapi1"),
        &[r#"resources[0].profile: "fapi1" is unknown here. Did you mean "fapi2"?"#],
    );
}
