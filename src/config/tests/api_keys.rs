//! API keys: their digests, who takes them, and what would give them away.

use serde_json::{Value, json};

use super::{findings, good, policy, put};
use crate::policy::{Access, KeyDigest, KeyDigestSource};

/// `good` with a key, and one route that takes it.
fn keyed() -> Value {
    let mut config = good();
    put(&mut config, "/api_keys", json!({ "shop": { "sha256": "ab".repeat(32), "client_id": "shop" } }));
    put(&mut config, "/resources/0/api_keys", json!(["shop"]));
    let route = json!({ "path": "/stock", "access": "key", "scopes": ["read:stock"], "limits": ["per-client"] });
    put(&mut config, "/resources/0/routes/3", route);
    config
}

#[track_caller]
fn says(pointer: &str, value: Value, expected: &[&str]) {
    let mut config = keyed();
    put(&mut config, pointer, value.clone());
    assert_eq!(findings(&config), expected, "{pointer} = {value}");
}

#[test]
fn a_key_is_its_digest_a_client_and_what_that_may_do() {
    let mut config = keyed();
    put(&mut config, "/api_keys/shop/scopes", json!(["read:stock"]));
    put(&mut config, "/api_keys/shop/peers", json!(["spiffe://example.org/*"]));
    put(&mut config, "/api_keys/shop/not_after", json!("2027-01-01T00:00:00Z"));
    put(&mut config, "/resources/0/api_key_header", json!("x-shop-key"));
    let policy = policy(&config).unwrap();
    let resource = &policy.resources[0];
    let route = resource.routes.iter().find(|route| route.pattern.to_string() == "/stock").unwrap();
    let Access::Key(rule) = &route.access else { panic!("{route:?}") };
    let key = &rule.keys.keys[0];
    assert_eq!((&*rule.keys.header, &*key.client_id, &*key.scopes[0]), ("x-shop-key", "shop", "read:stock"));
    assert_eq!(key.digest, KeyDigestSource::Here(KeyDigest::from_bytes([0xab; 32])));
    assert!(key.peers.is_some() && key.not_after.is_some() && policy.needs_identities);
    assert!(resource.forward.strip.contains(&"x-shop-key".into()));
    assert!(!format!("{policy:?}").contains("abab"));
}

#[test]
fn a_key_as_text_is_refused_and_not_repeated() {
    const REMEDY: &str = "Write the 64 hexadecimal digits of `printf %s \"$KEY\" | sha256sum`, or { env: NAME } for a variable of the VM that holds them.";
    for text in ["s3cr3t-key", "", &"ab".repeat(31), &"xy".repeat(32)] {
        let expected = format!("api_keys.shop.sha256: no SHA-256 digest; a key itself must not stand here. {REMEDY}");
        says("/api_keys/shop/sha256", json!(text), &[&expected]);
    }
    let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let expected = format!("api_keys.shop.sha256: the digest of nothing. {REMEDY}");
    says("/api_keys/shop/sha256", json!(of_nothing), &[&expected]);
    says("/api_keys/shop/sha256", json!({ "env": "SHOP_KEY" }), &[]);
    says(
        "/api_keys/shop/sha256",
        json!({ "env": "shop-key" }),
        &[
            "api_keys.shop.sha256.env: this is no name of a variable. Write the name of a variable that holds it, like BOUNDGATE_SECRET, and no secret.",
        ],
    );
}

#[test]
fn keys_and_the_routes_that_take_them_belong_together() {
    says(
        "/resources/0/api_keys",
        Value::Null,
        &[
            "api_keys.shop: nobody uses this api_key. Name it where it is meant, or remove it.",
            "resources[0].api_keys: needed, because a route takes API keys. Name the API keys that are good here.",
        ],
    );
    says(
        "/resources/0/api_keys",
        json!(["shpo"]),
        &[r#"resources[0].api_keys[0]: no api_key is named "shpo". Did you mean "shop"? Defined: shop."#],
    );
    let mut config = keyed();
    config["resources"][0]["routes"][3] = json!({ "path": "/stock", "access": "public", "limits": "none" });
    assert_eq!(
        findings(&config),
        ["resources[0].api_keys: means nothing, because no route takes API keys. Remove it, or write access: key."]
    );
    let twin = json!({ "sha256": "AB".repeat(32), "client_id": "twin" });
    let mut config = keyed();
    put(&mut config, "/api_keys/twin", twin);
    put(&mut config, "/resources/0/api_keys", json!(["shop", "twin"]));
    assert_eq!(
        findings(&config),
        ["api_keys.twin.sha256: the same as api_keys.shop.sha256. Give each client a key of its own."]
    );
}

#[test]
fn what_would_give_a_key_away_is_found() {
    says(
        "/resources/0/forward/keep",
        json!(["x-api-key"]),
        &[
            "resources[0].forward.keep[0]: carries API keys, and never goes on. Remove it, and tell the upstream by forward.headers.",
        ],
    );
    for header in ["authorization", "host", "X-Api-Key"] {
        let mut config = keyed();
        put(&mut config, "/resources/0/api_key_header", json!(header));
        assert_eq!(findings(&config).len(), 1, "{header}");
    }
    says(
        "/resources/0/api_key_header",
        json!("x-forwarded-user"),
        &[
            r#"resources[0].api_key_header: "x-forwarded-user" tells who a caller is, by the word of a proxy. Choose another name, like x-api-key."#,
        ],
    );
    let mut config = keyed();
    put(&mut config, "/limits/per-key", json!({ "key": ["header.x-api-key"], "rate": "1/s" }));
    put(&mut config, "/resources/0/routes/3/limits", json!(["per-key"]));
    let found = findings(&config);
    assert!(
        found
            .iter()
            .any(|finding| finding
                .contains(r#"limit "per-key" counts by header.x-api-key, which carries API keys here"#)),
        "{found:?}"
    );
}

#[test]
fn what_is_asked_of_tokens_is_not_asked_of_keys() {
    says(
        "/resources/0/routes/3/bound",
        json!("mtls"),
        &[
            "resources[0].routes[3].bound: is asked of tokens, and this route takes none. Remove it, or write access: token.",
        ],
    );
    let mut config = keyed();
    put(&mut config, "/limits/per-user", json!({ "key": ["sub"], "rate": "1/s" }));
    put(&mut config, "/resources/0/routes/3/limits", json!(["per-user"]));
    let found = findings(&config);
    assert!(found[0].contains(r#"limit "per-user" counts by sub, and this route takes no token"#), "{found:?}");
    let mut config = keyed();
    put(&mut config, "/resources/0/profile", json!("fapi2"));
    assert_eq!(
        findings(&config),
        [
            "resources[0].routes[3].access: lets clients pass without a token, which profile: fapi2 of the resource forbids. Put the route \
             into a resource of its own."
        ]
    );
    says("/limits/per-client/overrides", json!([{ "client_id": "shop", "rate": "7/s" }]), &[]);
}

#[test]
fn a_route_names_keys_of_its_resource_and_only_where_it_takes_some() {
    says("/resources/0/routes/3/api_keys", json!(["shop"]), &[]);
    says(
        "/resources/0/routes/3/api_keys",
        json!(["depot"]),
        &[
            r#"resources[0].routes[3].api_keys[0]: "depot" is none of the API keys of this resource. Name it in api_keys of the resource too."#,
        ],
    );
    says(
        "/resources/0/routes/3/api_keys",
        json!([]),
        &[
            "resources[0].routes[3].api_keys: an empty list, so that nobody could pass. Name API keys of the resource, or remove it.",
        ],
    );
    says(
        "/resources/0/routes/1/api_keys",
        json!(["shop"]),
        &[
            "resources[0].routes[1].api_keys: means nothing on a route that takes no API keys. Remove it, or write access: key.",
        ],
    );
}
