//! What can be read and is rarely meant, and how somebody says that it is.

use serde_json::{Value, json};

use super::{answers, findings, good, put, route, with};

const NOTHING: [String; 0] = [];

/// All that is said about a configuration with an answer at each of `places`.
fn answered(config: &Value, places: &[&str], word: &str) -> Vec<String> {
    let mut config = config.clone();
    places.iter().for_each(|place| put(&mut config, &format!("{place}/meant"), json!([word])));
    answers(&config)
}

/// Keys of one kind in the configuration instead of fetched ones.
fn with_keys(kids: &[&str]) -> Value {
    let key = |kid: &&str| json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    let mut config = with("/issuers/main/jwks", json!(null));
    put(&mut config, "/issuers/main/algorithms", json!(["Ed25519"]));
    put(&mut config, "/issuers/main/keys", json!({ "keys": kids.iter().map(key).collect::<Vec<_>>() }));
    config
}

#[test]
fn a_good_configuration_has_no_warnings() {
    assert_eq!(answers(&good()), NOTHING);
}

#[test]
fn every_doubt_has_a_word_that_answers_it() {
    let mut open =
        with("/resources/0/routes/3", json!({ "path": "/shop/{any}", "access": "public", "limits": "none" }));
    put(&mut open, "/resources/0/routes/4", json!({ "path": "/shop/orders", "limits": "none" }));
    let mut idle = with("/limits/everyone", json!({ "key": ["client_id"], "rate": "200/s", "burst": 300 }));
    put(&mut idle, "/resources/0/routes/1/cost", json!(3));
    let overrides = json!({ "key": ["client_id"], "rate": "1/s", "overrides": [{ "sub": "a*", "rate": "2/s" }] });
    for (word, config, tables) in [
        ("open-parameter", open, &["/resources/0/routes/3", "/resources/0"][..]),
        ("literal", with(&route("scopes"), json!(["orders.*"])), &["/resources/0/routes/1", "/resources/0"]),
        ("literal", with(&route("scopes"), json!({ "any": ["a,b"] })), &["/resources/0/routes/1"]),
        ("literal", with(&route("path"), json!("/orders/:id")), &["/resources/0/routes/1"]),
        ("literal", with("/resources/0/audiences", json!(["https://*.example"])), &["/resources/0"]),
        ("literal", with("/limits/per-client", overrides), &["/limits/per-client"]),
        ("trailing-slash", with(&route("path"), json!("/orders/")), &["/resources/0/routes/1", "/resources/0"]),
        ("method", with(&route("methods"), json!(["GET", "PSOT"])), &["/resources/0/routes/1"]),
        ("key-host", with("/issuers/main/jwks/uri", json!("https://as.exmaple.com/jwks")), &["/issuers/main"]),
        ("shared-kid", with_keys(&["a", "b", "a"]), &["/issuers/main"]),
        ("idle-limit", idle, &["/limits/everyone"]),
    ] {
        let said = answers(&config);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].starts_with("warning: ") && said[0].contains(&format!("write meant: [{word}] in ")),
            "{said:?}"
        );
        for table in tables {
            assert_eq!(answered(&config, &[table], word), NOTHING, "{word} in {table}");
        }
        let other = if word == "method" { "literal" } else { "method" };
        assert_eq!(answered(&config, &tables[..1], other).len(), 2, "another word in {tables:?}");
    }
}

#[test]
fn an_answer_to_nothing_is_a_warning() {
    let said = answered(&good(), &["/limits/per-client", "/resources/0"], "literal");
    let needless = "answers no warning. Remove it.";
    assert_eq!(
        said,
        [
            format!("warning: limits.per-client.meant[0]: {needless}"),
            format!("warning: resources[0].meant[0]: {needless}")
        ]
    );
    let config = with("/limits/per-client/meant", json!([]));
    let empty = "limits.per-client.meant: an empty list, which says nothing. Write what is meant, or remove the key.";
    assert_eq!(findings(&config), [empty]);
}

#[test]
fn warnings_stand_in_the_order_of_the_document_and_wait_for_what_is_wrong() {
    let mut config = with(&route("scopes"), json!(["a*", "b*"]));
    put(&mut config, "/resources/0/audiences", json!(["*"]));
    let places: Vec<String> =
        answers(&config).iter().filter_map(|warning| Some(warning.split(": ").nth(1)?.to_owned())).collect();
    assert_eq!(
        places,
        ["resources[0].audiences[0]", "resources[0].routes[1].scopes[0]", "resources[0].routes[1].scopes[1]"]
    );
    put(&mut config, "/max_token_bytes", json!(1));
    assert_eq!(answers(&config).len(), 1);
}

#[test]
fn an_open_parameter_beside_what_anybody_may_have_is_no_doubt() {
    let beside = |path: &str, methods: Value, access: &str| {
        let mut config = with("/resources/0/routes/3", json!({ "path": path, "access": "public", "limits": "none" }));
        put(&mut config, "/resources/0/routes/3/methods", methods);
        put(&mut config, "/resources/0/routes/4", json!({ "path": "/a/b", "methods": ["GET"], "limits": "none" }));
        put(&mut config, "/resources/0/routes/4/access", json!(access));
        answers(&config).len()
    };
    assert_eq!(beside("/a/{x}", json!(["GET"]), "token"), 1);
    assert_eq!(beside("/{x}/b", json!(["GET"]), "token"), 1);
    assert_eq!(beside("/a/{x}", json!(["POST"]), "token"), 0, "no method in common");
    assert_eq!(beside("/a/{x}", json!(["GET"]), "public"), 0);
    assert_eq!(beside("/a/{x}/c", json!(["GET"]), "token"), 0);
    assert_eq!(beside("/b/{x}", json!(["GET"]), "token"), 0);
}

#[test]
fn a_slash_at_the_end_is_meant_where_the_path_without_is_served_too() {
    let mut config = with("/resources/0/routes/3", json!({ "path": "/shop/{x}/", "limits": "none" }));
    assert_eq!(answers(&config).len(), 1);
    put(&mut config, "/resources/0/routes/4", json!({ "path": "/shop/{y}", "limits": "none" }));
    put(&mut config, "/resources/0/routes/5", json!({ "path": "/", "limits": "none" }));
    assert_eq!(answers(&config), NOTHING);
}

#[test]
fn methods_and_hosts_that_are_others_on_purpose_are_no_slips() {
    for method in ["PURGE", "PROPFIND", "REPORT", "M-SEARCH", "COPY", "MOVE", "LOCK", "SEARCH", "QUERY", "LINK"] {
        assert_eq!(answers(&with(&route("methods"), json!([method]))), NOTHING, "{method}");
    }
    for host in ["keys.example.com", "as.example.com", "as.example.net:8443", "www.googleapis.com"] {
        assert_eq!(answers(&with("/issuers/main/jwks/uri", json!(format!("https://{host}/jwks")))), NOTHING, "{host}");
    }
}

#[test]
fn keys_of_different_kinds_may_share_a_kid() {
    let mut config = with_keys(&["a"]);
    let p256 = json!({
        "kty": "EC", "crv": "P-256", "kid": "a",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
    });
    put(&mut config, "/issuers/main/keys/keys/1", p256);
    assert_eq!(answers(&config), NOTHING);
}

/// Two limits of requests on one route, and whether the second is idle.
fn is_idle(first: Value, second: Value) -> bool {
    let mut config = good();
    put(&mut config, "/resources/0/routes/1/limits", json!(["a", "b"]));
    put(&mut config, "/limits", json!({ "a": first, "b": second }));
    let said = answers(&config);
    assert!(said.iter().all(|line| line.starts_with("warning: limits.")), "{said:?}");
    said.iter().any(|line| line.starts_with("warning: limits.b: never refuses"))
}

#[test]
fn a_limit_is_idle_where_another_always_refuses_before() {
    let of = |key: Value, rate: &str, burst: u32| json!({ "key": key, "rate": rate, "burst": burst });
    let strict = || of(json!(["client_id"]), "100/min", 100);
    for (other, idle) in [
        (of(json!(["client_id"]), "500/min", 500), true),
        (of(json!(["client_id"]), "100/min", 100), true),
        (of(json!(["client_id"]), "500/min", 99), false),
        (of(json!(["client_id"]), "99/min", 500), false),
        (of(json!(["client_id", "route"]), "500/min", 500), true),
        (of(json!([]), "500/min", 500), false),
        (of(json!(["sub"]), "500/min", 500), false),
    ] {
        assert_eq!(is_idle(strict(), other.clone()), idle, "{other}");
    }
    for (key, value) in
        [("shadow", json!(true)), ("on", json!([404])), ("overrides", json!([{ "client_id": "a", "rate": "9/s" }]))]
    {
        let mut other = strict();
        other[key] = value;
        assert!(!is_idle(other, of(json!(["client_id"]), "500/min", 500)), "{key}");
    }
    let at_once = |most: u32| json!({ "key": ["client_id"], "in_flight": most });
    assert!(is_idle(at_once(5), at_once(6)));
    assert!(!is_idle(at_once(6), at_once(5)) && !is_idle(strict(), at_once(1000)));
}

#[test]
fn a_limit_that_stands_alone_somewhere_is_not_idle() {
    let mut config = with("/limits/everyone", json!({ "key": ["client_id"], "rate": "200/s", "burst": 300 }));
    assert_eq!(answers(&config).len(), 1);
    put(&mut config, "/resources/0/routes/3", json!({ "path": "/alone", "limits": ["everyone"] }));
    assert_eq!(answers(&config), NOTHING);
}
