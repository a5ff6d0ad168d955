//! What a limit can say that means nothing, or something else than it seems to: each with the exact words.

use serde_json::{Value, json};

use super::{findings, put, with};

/// `per-client` with these changes, and all that is then said, without the limit's own path; `null` removes a key.
fn limit(change: Value) -> Vec<String> {
    said(&changed(change))
}

fn changed(change: Value) -> Value {
    let mut config = with("/limits/per-client", json!({ "key": ["client_id"], "rate": "100/s" }));
    for (key, value) in change.as_object().unwrap() {
        put(&mut config, &format!("/limits/per-client/{key}"), value.clone());
    }
    config
}

fn said(config: &Value) -> Vec<String> {
    findings(config).iter().map(|finding| finding.replacen("limits.per-client.", "", 1)).collect()
}

const NOTHING: [String; 0] = [];

#[test]
fn callers_are_not_counted_by_what_changes_with_each_token() {
    let of = |claim: &str| limit(json!({ "key": [format!("claim.{claim}")] }));
    for (claim, why) in [
        ("jti", "differs from token to token: each would have a budget of its own"),
        ("exp", "differs from token to token: each would have a budget of its own"),
        ("iat", "differs from token to token: each would have a budget of its own"),
        ("nbf", "differs from token to token: each would have a budget of its own"),
        ("cnf", "differs from certificate to certificate: each would have a budget of its own"),
        ("aud", "may list the same in any order: each would have a budget of its own"),
        ("scope", "may list the same in any order: each would have a budget of its own"),
        ("iss", "is part of all that is counted from a token already"),
    ] {
        assert_eq!(of(claim), [format!("key[0]: claim {claim:?} {why}. Write client_id, sub or another claim.")]);
    }
    for claim in ["client_id", "sub"] {
        assert_eq!(of(claim), [format!("key[0]: claim {claim:?} has a name of its own here. Write {claim}.")]);
    }
    assert_eq!(of("tenant"), NOTHING);
}

#[test]
fn what_has_a_name_here_is_not_forwarded_as_a_claim() {
    for name in ["client_id", "sub", "iss", "scope"] {
        let config = with("/resources/0/forward/headers", json!({ "x-a": format!("claim.{name}") }));
        assert_eq!(
            findings(&config),
            [format!("resources[0].forward.headers.x-a: claim {name:?} has a name of its own here. Write {name}.")]
        );
    }
    assert_eq!(findings(&with("/resources/0/forward/headers", json!({ "x-a": "claim.jti" }))), NOTHING);
}

