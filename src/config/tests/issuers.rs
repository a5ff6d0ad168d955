//! What tokens of an issuer look like: profiles, and the keys they stand for.

use serde_json::{Value, json};

use super::{findings, policy, with};

/// The good configuration, with these keys beside those of its issuer.
fn issuer(keys: &Value) -> Value {
    let mut config = with("/issuers/main/leeway", json!("30s"));
    config["issuers"]["main"].as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    config
}

fn said(keys: Value) -> Vec<String> {
    findings(&issuer(&keys)).into_iter().map(|finding| finding.replace("issuers.main.", "")).collect()
}

/// What a profile means, as it is printed.
fn meaning(keys: &Value) -> String {
    let policy = policy(&issuer(keys)).unwrap();
    let meanings: Vec<String> = policy.profiles().collect();
    assert_eq!(meanings.len(), 1);
    meanings[0].clone()
}

#[test]
#[cfg(feature = "cli")]
fn a_profile_is_nothing_but_the_keys_that_it_is_printed_as() {
    for profile in ["keycloak", "entra", "okta", "auth0", "cognito"] {
        for beside in [json!({}), json!({"claims": {"tenant": "a.b"}, "forbidden_claims": ["x"], "max_lifetime": "5m"})]
        {
            let mut keys = json!({ "profile": profile });
            keys.as_object_mut().unwrap().extend(beside.as_object().unwrap().clone());
            let (_, printed) = meaning(&keys).split_once(" means ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
            let written: Value = serde_saphyr::from_str(&format!("{{ {printed} }}")).unwrap();
            let (short, long) = (policy(&issuer(&keys)).unwrap(), policy(&issuer(&written)).unwrap());
            assert_eq!(short.issuers[0].trust, long.issuers[0].trust, "{printed}");
            assert_eq!(short.issuers[0].max_lifetime, long.issuers[0].max_lifetime, "{printed}");
            assert_eq!(long.profiles().count(), 0);
        }
    }
    assert_eq!(
        meaning(&json!({"profile": "keycloak"})),
        "issuers.main: profile keycloak means claims: { client_id: azp, roles: { path: [realm_access, roles] } }, \
         client_tokens: { client_id: \"{client_id}\" }, optional_claims: [sub], required_claims: { typ: [Bearer, DPoP] }, \
         typ: [at+jwt, JWT], user_tokens: { sid: true }, max_lifetime: 1h"
    );
}

#[test]
fn what_stands_beside_a_profile_counts_more_and_takes_no_mark_away() {
    for (keys, expected) in [
        (json!({"claims": {"roles": "groups"}}), "claims: { client_id: azp, roles: groups }"),
        (json!({"required_claims": {"azp": "a"}}), "required_claims: { azp: a, typ: [Bearer, DPoP] }"),
        (json!({"required_claims": {"typ": "Bearer"}}), "required_claims: { typ: Bearer }"),
        (json!({"forbidden_claims": ["nonce"]}), "required_claims: { typ: [Bearer, DPoP] }"),
        (json!({"optional_claims": ["jti"]}), "optional_claims: [jti]"),
        (json!({"typ": "at+jwt"}), "means claims"),
        (json!({"max_lifetime": "5m"}), "max_lifetime: 5m"),
        (
            json!({"claims": {"scope": ["scope", {"path": ["realm_access", "roles"]}]}}),
            "scope: [scope, { path: [realm_access, roles] }]",
        ),
    ] {
        let mut all = keys.clone();
        all["profile"] = json!("keycloak");
        let meaning = meaning(&all);
        assert!(meaning.contains(expected), "{keys}: {meaning}");
    }
}

#[test]
fn all_that_claims_are_read_by_is_part_of_the_trust() {
    let trust = |keys: Value| policy(&issuer(&keys)).unwrap().issuers[0].trust.clone();
    let forms = [
        json!({}),
        json!({"typ": ["at+jwt", "a"]}),
        json!({"claims": {"client_id": "azp"}}),
        json!({"claims": {"sub": "azp"}}),
        json!({"claims": {"jti": "azp"}}),
        json!({"claims": {"scope": "scope"}}),
        json!({"claims": {"tenant": "azp"}}),
        json!({"claims": {"tenant": {"path": ["azp", "a"]}}}),
        json!({"claims": {"tenant": ["azp", "a"]}}),
        json!({"claims": {"tenant": "a.b"}}),
        json!({"claims": {"tenant": {"path": ["a", "b"]}}}),
        json!({"required_claims": {"a": "true"}}),
        json!({"required_claims": {"a": true}}),
        json!({"required_claims": {"a": ["true", "false"]}}),
        json!({"forbidden_claims": ["a"]}),
        json!({"optional_claims": ["jti"]}),
        json!({"client_tokens": {"a": "b"}}),
        json!({"user_tokens": {"a": "b"}}),
        json!({"insecure_no_audience": true}),
    ];
    for (index, one) in forms.iter().enumerate() {
        for other in &forms[..index] {
            assert_ne!(trust(one.clone()), trust(other.clone()), "{one} and {other}");
        }
    }
    for same in [
        json!({"profile": "rfc9068"}),
        json!({"typ": "at+jwt"}),
        json!({"max_lifetime": "5m"}),
        json!({"not_issued_before": "2026-01-01T00:00:00Z"}),
        json!({"claims": {"client_id": "client_id"}}),
    ] {
        assert_eq!(trust(same.clone()), trust(json!({})), "{same} is asked of every token anew");
    }
}

#[test]
fn a_typ_that_id_tokens_have_needs_another_mark() {
    let finding = "typ: is what ID tokens have as well. Say what tells access tokens apart, like required_claims: \
                   { token_use: access } or forbidden_claims: [nonce, at_hash, c_hash].";
    for typ in [json!("JWT"), json!("jwt"), json!("absent"), json!(["at+jwt", "application/jwt"])] {
        assert_eq!(said(json!({ "typ": typ })), [finding], "{typ}");
        assert_eq!(said(json!({ "typ": typ, "forbidden_claims": ["x"] })), [finding], "{typ}");
        assert_eq!(said(json!({ "typ": typ, "forbidden_claims": ["nonce", "at_hash"] })), Vec::<String>::new());
        assert_eq!(said(json!({ "typ": typ, "required_claims": { "token_use": "access" } })), Vec::<String>::new());
    }
    assert_eq!(said(json!({ "typ": "example+jwt" })), Vec::<String>::new());
}

#[test]
fn keys_about_tokens_are_checked() {
    let place = "Write the name of a claim, { path: [outer, inner] } for one inside another, or a list of these.";
    let says = "Write the text, a list of the texts that are good, or true if it must only be there.";
    for (keys, finding) in [
        (json!({"profile": "keyclok"}), r#"profile: "keyclok" is unknown here. Did you mean "keycloak"?"#.to_owned()),
        (
            json!({"profile": "fapi2"}),
            r#"profile: "fapi2" says what a resource demands, not how an issuer writes tokens. Write profile: fapi2 on the resource. Here, name the server that makes the tokens, or leave it out for RFC 9068."#.to_owned(),
        ),
        (json!({"typ": []}), "typ: a list of 0. Write 1 to 16.".to_owned()),
        (json!({"claims": {"aud": "azp"}}), "claims.aud: stands at the top of every token, under this name. Remove it.".to_owned()),
        (json!({"claims": {"a b": "azp"}}), r#"claims["a b"]: is no name that claims can have here. Write visible ASCII without spaces."#.to_owned()),
        (json!({"claims": {"client_id": 1}}), format!("claims.client_id: this is a number, not a place in tokens. {place}")),
        (json!({"claims": {"roles": {"path": []}}}), format!("claims.roles: this is no path. {place}")),
        (json!({"claims": {"roles": {"path": ["a"], "as": "b"}}}), format!("claims.roles: this is no path. {place}")),
        (json!({"claims": {"roles": ["a", ["b", "c"]]}}), format!("claims.roles[1]: this is a list, not a place in tokens. {place}")),
        (json!({"claims": {"roles": {"path": ["a", ""]}}}), r#"claims.roles.path[1]: "" is no name of a claim. Write it as it stands in tokens."#.to_owned()),
        (json!({"required_claims": {"a": false}}), format!("required_claims.a: this is true or false, not the text of a claim. {says}")),
        (json!({"required_claims": {"a": "b"}, "forbidden_claims": ["a"]}), "required_claims.a: is forbidden too, so that no token could pass. Take it out of one of both.".to_owned()),
        (json!({"optional_claims": ["aud"]}), r#"optional_claims[0]: "aud" says whom a token is for. Let the issuer write it, or set insecure_no_audience: true to take tokens that are for anybody."#.to_owned()),
        (json!({"optional_claims": ["exp"]}), r#"optional_claims[0]: "exp" is what ends a token. Let the issuer write it."#.to_owned()),
        (json!({"not_issued_before": "yesterday"}), r#"not_issued_before: "yesterday" is no moment. Write date and time (RFC 3339), like "2026-11-28T07:00:00Z"."#.to_owned()),
    ] {
        assert_eq!(said(keys.clone()), [finding], "{keys}");
    }
    assert_eq!(said(json!({"claims": {"roles": vec!["a"; 17]}})), ["claims.roles: a list of 17. Write 1 to 16."]);
}
