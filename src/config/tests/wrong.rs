//! Everything that can be wrong, with the exact words.

use serde_json::{Value, json};

use super::{findings, good, put, with};
use crate::config::load;

/// `good` with one change, and all that is then said.
#[track_caller]
fn says(pointer: &str, value: Value, expected: &[&str]) {
    assert_eq!(findings(&with(pointer, value.clone())), expected, "{pointer} = {value}");
}

const ROUTE: &str = "/resources/0/routes/1";

fn route(key: &str) -> String {
    format!("{ROUTE}/{key}")
}

#[test]
fn a_good_configuration_has_no_findings() {
    assert_eq!(findings(&good()), Vec::<String>::new());
}

#[test]
fn names_that_mean_nothing_are_found_with_those_that_mean_something() {
    says(
        &route("limits"),
        json!(["per-clinet"]),
        &[
            r#"resources[0].routes[1].limits[0]: no limit is named "per-clinet". Did you mean "per-client"? Defined: everyone, per-client."#,
        ],
    );
    says(
        &route("limits"),
        json!(["other-thing"]),
        &[r#"resources[0].routes[1].limits[0]: no limit is named "other-thing". Defined: everyone, per-client."#],
    );
    says("/resources/0/issuers", json!(["x"]), &[r#"resources[0].issuers[0]: no issuer is named "x". Defined: main."#]);
    says(
        &route("limits"),
        json!(["everyone", "per-client", "everyone"]),
        &[r#"resources[0].routes[1].limits[2]: "everyone" stands there twice. Remove one."#],
    );
    says(
        "/limits/A b",
        json!({ "key": [], "rate": "1/s" }),
        &[
            r#"limits["A b"]: "A b" is no name. Write 1 to 64 of a-z, 0-9 and -."#,
            r#"limits["A b"]: nobody uses this limit. Name it where it is meant, or remove it."#,
        ],
    );
}

#[test]
fn what_nobody_uses_is_found() {
    says(
        &route("limits"),
        json!(["everyone"]),
        &["limits.per-client: nobody uses this limit. Name it where it is meant, or remove it."],
    );
    says(
        "/issuers/spare",
        json!({ "issuer": "https://b.example", "jwks": { "cluster": "b", "uri": "https://b.example" }, "algorithms": ["ES256"] }),
        &["issuers.spare: nobody uses this issuer. Name it where it is meant, or remove it."],
    );
}

#[test]
fn unknown_keys_are_found_with_the_one_that_was_meant() {
    says(
        "/issuers/main/jwks/clustr",
        json!("as"),
        &[r#"issuers.main.jwks.clustr: unknown key. Did you mean "cluster"?"#],
    );
    says("/limit_table", json!({ "size": 5 }), &["limit_table.size: unknown key. Known here: identities."]);
    says(
        &route("where"),
        json!({ "user": "claim.sub" }),
        &["resources[0].routes[1].where: not supported yet. Leave it out."],
    );
    says("/services", json!({}), &["services: not supported yet. Leave it out."]);
    says("/limits/everyone/shadow", json!(true), &["limits.everyone.shadow: not supported yet. Leave it out."]);
}

#[test]
fn missing_keys_are_found() {
    says("/resources", json!(null), &["resources: missing. It has no default: write it."]);
    says("/issuers/main/issuer", json!(null), &["issuers.main.issuer: missing. It has no default: write it."]);
    says("/limits/everyone/key", json!(null), &["limits.everyone.key: missing. It has no default: write it."]);
    says(
        "/issuers/main/jwks",
        json!(null),
        &[
            "issuers.main: has neither jwks nor keys. Write jwks: { cluster: ..., uri: ... } to fetch them, or keys: { keys: [...] }.",
        ],
    );
    says(
        "/resources/0/audiences",
        json!(null),
        &[
            "resources[0].audiences: needed, because a route takes tokens. Write the values of aud that mean this resource.",
        ],
    );
    let mut config = with("/resources/0/issuers", json!([]));
    put(&mut config, "/issuers", json!({}));
    assert_eq!(
        findings(&config),
        ["resources[0].issuers: needed, because a route takes tokens. Name the issuers trusted here."]
    );
}

#[test]
fn values_of_another_type_are_found() {
    says("/peer", json!("tls"), &["peer: this is text, not a table. Its keys: from, insecure_assume_validated."]);
    says(
        "/limit_fields",
        json!("yes"),
        &["limit_fields: this is text, not true or false. Write true or false, without quotation marks."],
    );
    says(
        &route("limits"),
        json!("everyone"),
        &["resources[0].routes[1].limits: this is text, not a list. Write it in brackets, like [a, b]."],
    );
    says(
        "/limits",
        json!([]),
        &[
            "limits: this is a list, not a table. Write names and what each stands for.",
            r#"resources[0].routes[1].limits[0]: no limit is named "per-client". Define it under limits."#,
            r#"resources[0].routes[1].limits[1]: no limit is named "everyone". Define it under limits."#,
        ],
    );
    says(
        "/max_token_bytes",
        json!(1.5),
        &["max_token_bytes: this is a number, not a whole number. Write a number from 512 to 65536."],
    );
    says("/max_token_bytes", json!(-1), &["max_token_bytes: -1 is out of range. Write a number from 512 to 65536."]);
    says(
        "/resources/0/realm",
        json!(7),
        &["resources[0].realm: this is a number, not text. Write text, in quotation marks if it looks like a number."],
    );
    assert_eq!(
        load(b"[]").unwrap_err().to_string(),
        "configuration: this is a list, not a table. Write keys and values, like resources: [...]."
    );
}

#[test]
fn times_and_sizes_are_checked() {
    let refresh = |value: &str| with("/issuers/main/jwks/refresh", json!(value));
    assert_eq!(
        findings(&refresh("10")),
        [r#"issuers.main.jwks.refresh: "10" has no unit. Write "10s", "10m" or "10h"."#]
    );
    assert_eq!(
        findings(&refresh("5s")),
        [r#"issuers.main.jwks.refresh: "5s" is out of range. Write one from "30s" to "1d"."#]
    );
    assert_eq!(
        findings(&refresh("soon")),
        [r#"issuers.main.jwks.refresh: "soon" is no duration. Write a number and a unit, like "30s", "10m", "1h"."#]
    );
    assert_eq!(
        findings(&refresh("2h")),
        [
            "issuers.main.jwks.max_stale: shorter than refresh, so that keys would end before they are fetched anew. Raise max_stale or lower refresh."
        ]
    );
    says(
        "/issuers/main/leeway",
        json!("2m"),
        &[r#"issuers.main.leeway: "2m" is out of range. Write one from "0s" to "1m"."#],
    );
    says(
        "/token_cache",
        json!({ "bytes": "1kB" }),
        &[r#"token_cache.bytes: this is no size in range. Write one from "64KiB" to "1GiB"."#],
    );
    says(
        "/limit_table",
        json!({ "identities": 5_000_000 }),
        &["limit_table.identities: 5000000 is out of range. Write a number from 1024 to 4000000."],
    );
}

#[test]
fn issuers_are_checked() {
    says(
        "/issuers/main/issuer",
        json!("http://as.example.com"),
        &[
            r#"issuers.main.issuer: "http://as.example.com" does not begin with https://. Write the exact "iss" of its tokens, like "https://as.example.com"."#,
        ],
    );
    says(
        "/issuers/main/issuer",
        json!("https://as.example.com?a"),
        &[
            r#"issuers.main.issuer: "https://as.example.com?a" has a query, which no issuer has (RFC 8414). Write the exact "iss" of its tokens, like "https://as.example.com"."#,
        ],
    );
    says(
        "/issuers/main/jwks/uri",
        json!("https://u@as.example.com/"),
        &[
            r#"issuers.main.jwks.uri: "https://u@as.example.com/" has no valid host. Write one like "https://as.example.com/jwks"."#,
        ],
    );
    says(
        "/issuers/main/algorithms",
        json!([]),
        &[
            "issuers.main.algorithms: an empty list, so that no token could pass. Write those the issuer signs with, like [ES256, PS256].",
        ],
    );
    let supported = "Supported: RS256, PS256, ES256, ES384, Ed25519, EdDSA.";
    for (name, why) in [
        ("none", "would accept tokens without a signature"),
        ("HS256", "is symmetric: whoever can verify a token could also make one"),
        ("ESP256", "is a name of COSE only (RFC 9864): no JWT carries it"),
        ("ML-DSA-65", "is not supported yet"),
    ] {
        let finding = format!("issuers.main.algorithms[0]: {name:?} {why}. {supported}");
        says("/issuers/main/algorithms", json!([name]), &[&finding]);
    }
    says(
        "/issuers/main/algorithms/0",
        json!("es256"),
        &[r#"issuers.main.algorithms[0]: "es256" is unknown here. Did you mean "ES256"?"#],
    );
}

#[test]
fn keys_in_the_configuration_are_checked_one_by_one() {
    let ed25519 =
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    says(
        "/issuers/main/keys",
        json!({ "keys": [ed25519] }),
        &["issuers.main.keys: stands beside jwks. Write one of both."],
    );

    let inline = |keys: Value| {
        let mut config = with("/issuers/main/jwks", json!(null));
        put(&mut config, "/issuers/main/algorithms", json!(["Ed25519"]));
        put(&mut config, "/issuers/main/keys", keys);
        config
    };
    assert_eq!(findings(&inline(json!({ "keys": [ed25519] }))), Vec::<String>::new());
    assert_eq!(
        findings(&inline(json!([]))),
        ["issuers.main.keys: this is a list, not a JWK set. Write a JWK set: { keys: [...] }."]
    );
    let mut private = ed25519.clone();
    private["d"] = json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    assert_eq!(
        findings(&inline(json!({ "keys": [private, { "kty": "EC" }, ed25519] }))),
        [
            "issuers.main.keys.keys[0].d: a secret, which does not belong into a configuration. Write the public part of the key only.",
            "issuers.main.keys.keys[1]: this key cannot verify access tokens. Write a public key for signatures: RSA of 2048 to 8192 bits, P-256, P-384 or Ed25519.",
        ]
    );
    let mut other = inline(json!({ "keys": [ed25519] }));
    put(&mut other, "/issuers/main/algorithms", json!(["ES256"]));
    assert_eq!(
        findings(&other),
        [
            "issuers.main.keys: no key fits any of the algorithms. Add a key, or the algorithm of the keys that are there."
        ]
    );
}

#[test]
fn peers_other_than_tls_are_not_supported_yet() {
    says(
        "/peer",
        json!({ "from": "mesh-principal" }),
        &[r#"peer.from: "mesh-principal" is not supported yet. Write "tls"."#],
    );
    says(
        "/peer",
        json!({ "from": { "xfcc": { "trusted": [] } } }),
        &[r#"peer.from: "xfcc" is not supported yet. Write "tls"."#],
    );
    says("/peer", json!({ "xfcc": {} }), &["peer.xfcc: not supported yet. Leave it out."]);
}

#[test]
fn resources_are_checked() {
    says(
        "/resources",
        json!([]),
        &["resources: an empty list, so that everything would be refused. Write what is protected."],
    );
    says(
        "/resources/0/hosts/2",
        json!("API.example.com:443"),
        &[
            r#"resources[0].hosts[2]: "api.example.com" is served by resources[0].hosts[0] already. Remove one of both, or put the routes together."#,
        ],
    );
    says(
        "/resources/1",
        json!({ "hosts": ["api.example.com"], "routes": [{ "path": "/", "access": "public" }] }),
        &[
            r#"resources[1].hosts[0]: "api.example.com" is served by resources[0].hosts[0] already. Remove one of both, or put the routes together."#,
        ],
    );
    says(
        "/resources/0/hosts/0",
        json!("*.example.com"),
        &[
            r#"resources[0].hosts[0]: "*.example.com" is a wildcard: hosts are exact. Write a host, with a port unless it is 443, like "api.example.com" or "localhost:8443"."#,
        ],
    );
    says(
        "/resources/0/realm",
        json!("a \"b\""),
        &[
            r#"resources[0].realm: "a \"b\"" cannot be shown in header fields. Write 1 to 128 printable ASCII characters without " and \."#,
        ],
    );
    let mut twins = with("/issuers/twin", good()["issuers"]["main"].clone());
    put(&mut twins, "/resources/0/issuers", json!(["main", "twin"]));
    assert_eq!(
        findings(&twins),
        [
            "resources[0].issuers[1]: has the same iss as another issuer of this resource. Name one of both: tokens could not tell them apart."
        ]
    );
}

#[test]
fn what_goes_upstream_is_checked() {
    let forward = |value: Value| findings(&with("/resources/0/forward", value));
    assert_eq!(
        forward(json!({ "headers": { "X-Client": "sub" } })),
        [
            r#"resources[0].forward.headers.X-Client: "X-Client" is no name of a header. Write a name in lower case, like "x-client-id"."#
        ]
    );
    assert_eq!(
        forward(json!({ "headers": { "authorization": "sub", "host": "sub" } })),
        [
            r#"resources[0].forward.headers.authorization: "authorization" is not for this list. Write forward: { token: false } to remove the token."#,
            r#"resources[0].forward.headers.host: "host" belongs to HTTP or to Envoy. Choose another name."#,
        ]
    );
    assert_eq!(
        forward(json!({ "headers": { "x-a": "clientid" } })),
        [r#"resources[0].forward.headers.x-a: "clientid" is unknown here. Did you mean "client_id"?"#]
    );
    assert_eq!(
        forward(json!({ "filter_state": { "boundgate": "sub" } })),
        [
            r#"resources[0].forward.filter_state.boundgate: "boundgate" is the filter's own. Choose a name that does not begin with boundgate."#
        ]
    );
    assert_eq!(
        forward(json!({ "headers": { "x-a": "sub" }, "strip": ["x-a"] })),
        ["resources[0].forward.strip[0]: is set by forward.headers and removed here. Remove one of both."]
    );
}

#[test]
fn paths_and_methods_are_checked() {
    for (path, finding) in [
        ("orders", r#""orders" does not begin with /. Write the whole path."#),
        (
            "/a/*",
            r#""/a/*" has a * where none can stand. Write {name} for one segment, or ** as the last segment for all below."#,
        ),
        (
            "/a/{b}c",
            r#""/a/{b}c" has braces that are not around a whole segment. Write {name} between two slashes, with a name of letters, digits and _."#,
        ),
        ("/{a}/{a}", r#""/{a}/{a}" has two parameters of the same name. Rename one."#),
    ] {
        says(&route("path"), json!(path), &[&format!("resources[0].routes[1].path: {finding}")]);
    }
    says(
        &route("methods"),
        json!(["get", "TRACE", "PUT", "PUT"]),
        &[
            r#"resources[0].routes[1].methods[0]: "get" is no method. Write a method in upper case, like "GET"."#,
            "resources[0].routes[1].methods[1]: TRACE never passes. Remove it.",
            r#"resources[0].routes[1].methods[3]: "PUT" stands there twice. Remove one."#,
        ],
    );
    says(
        &route("methods"),
        json!([]),
        &[
            "resources[0].routes[1].methods: an empty list, so that the route would never be reached. Write methods, or remove the key for all.",
        ],
    );
}

#[test]
fn access_and_what_belongs_to_it_are_checked() {
    says(
        &route("access"),
        json!("pubic"),
        &[r#"resources[0].routes[1].access: "pubic" is unknown here. Did you mean "public"?"#],
    );
    says(
        &route("bound"),
        json!("dpop"),
        &[
            r#"resources[0].routes[1].bound: "dpop" is not supported yet. It arrives with DPoP support. Write "mtls" or "when-bound"."#,
        ],
    );
    says(
        "/resources/0/routes/0",
        json!({ "path": "/x", "access": "public", "bound": "mtls", "scopes": ["a"], "peers": ["*"] }),
        &[
            "resources[0].routes[0].bound: means nothing on a public route. Remove it, or write access: token.",
            "resources[0].routes[0].scopes: means nothing on a public route. Remove it, or write access: token.",
            "resources[0].routes[0].peers: means nothing on a public route. Remove it, or write access: token.",
        ],
    );
    says(
        "/resources/0/routes/0",
        json!({ "path": "/x", "access": "peer", "scopes": ["a"] }),
        &[
            "resources[0].routes[0].scopes: is asked of tokens, and this route takes none. Remove it, or write access: token.",
            r#"resources[0].routes[0].peers: missing, and access: peer needs it. Write SPIFFE IDs, or ["*"] for every validated certificate."#,
        ],
    );
    says(
        "/resources/0/routes/0",
        json!({ "path": "/x", "access": "peer", "peers": [] }),
        &[
            r#"resources[0].routes[0].peers: an empty list, so that nobody could pass. Write SPIFFE IDs, or ["*"] for every validated certificate."#,
        ],
    );
    says(
        &route("peers"),
        json!(["spiffe://example.org/ns*"]),
        &[
            r#"resources[0].routes[1].peers[0]: "spiffe://example.org/ns*" has no valid path. Write one like "spiffe://example.org/ns/billing/*", or "*" for every validated certificate."#,
        ],
    );
    says(
        &route("scopes"),
        json!("read"),
        &[
            "resources[0].routes[1].scopes: this is text, not a list of scopes. Write [a, b] for all of them, or { any: [a, b] } for one of them.",
        ],
    );
    says(
        &route("scopes"),
        json!(["a b"]),
        &[
            r#"resources[0].routes[1].scopes[0]: "a b" is no scope. Write each scope as an item of its own, in visible ASCII without " and \."#,
        ],
    );
    says(
        &route("scopes"),
        json!({ "any": [] }),
        &[
            "resources[0].routes[1].scopes.any: an empty list, which no token could satisfy. Name a scope, or remove the key.",
        ],
    );
}

#[test]
fn routes_that_contradict_each_other_are_found() {
    says(
        "/resources/0/routes/3",
        json!({ "path": "/orders/{other}", "scopes": ["a"] }),
        &[
            r#"resources[0].routes[3]: never reached: resources[0].routes[1] ("GET /orders/{id}") has the same paths and methods. Remove one of both, or give them different methods."#,
        ],
    );
    says(
        "/resources/0/routes/3",
        json!({ "path": "/orders/**", "access": "public" }),
        &[
            r#"resources[0].routes[3]: open to everybody, and above resources[0].routes[1] ("GET /orders/{id}"), which is not. Name the public paths one by one, or a ** that has only public paths below it."#,
        ],
    );
}

#[test]
fn limits_are_checked() {
    let rate = |value: Value| findings(&with("/limits/everyone/rate", value));
    assert_eq!(
        rate(json!("10")),
        [r#"limits.everyone.rate: "10" has no unit. Write "10/s", "10/min", "10/h" or "10/day"."#]
    );
    assert_eq!(
        rate(json!(10)),
        [r#"limits.everyone.rate: "10" has no unit. Write "10/s", "10/min", "10/h" or "10/day"."#]
    );
    assert_eq!(
        rate(json!("10/m")),
        [r#"limits.everyone.rate: "m" is no unit. Write "10/s", "10/min", "10/h" or "10/day"."#]
    );
    assert_eq!(
        rate(json!("1.5/s")),
        [
            r#"limits.everyone.rate: "1.5/s" is no rate. Write a whole number and a unit, like "10/s", "10/min", "10/h" or "10/day"."#
        ]
    );
    assert_eq!(
        rate(json!("0/s")),
        [r#"limits.everyone.rate: "0/s" is out of range. Write a number from 1 to 1000000000 before the unit."#]
    );
    assert_eq!(
        rate(json!("10/day")),
        [
            "limits.everyone.rate: a limit by the day, which each proxy would count alone and forget when it restarts. Write local_only: true if that is meant, or a rate by the hour."
        ]
    );
    says(
        "/limits/everyone/key",
        json!(["clientid", "ip", "ip", "claim."]),
        &[
            r#"limits.everyone.key[0]: "clientid" is unknown here. Did you mean "client_id"?"#,
            r#"limits.everyone.key[3]: "" is no name of a claim. Write it behind claim. as it stands in tokens."#,
            "limits.everyone.key[2]: stands there twice. Remove one.",
        ],
    );
    says(
        &route("cost"),
        json!(201),
        &[
            r#"resources[0].routes[1].cost: 201 is above the burst of limit "per-client" (200), so that no request could ever pass. Raise limits.per-client.burst or lower the cost."#,
        ],
    );
    says(
        "/resources/0/routes/0/cost",
        json!(2),
        &["resources[0].routes[0].cost: means nothing without limits. Name limits, or remove it."],
    );
    says(
        "/resources/0/routes/0/limits",
        json!(["per-client"]),
        &[
            r#"resources[0].routes[0].limits[0]: limit "per-client" counts by client_id, and this route takes no token. Choose a limit by peer or ip."#,
        ],
    );
}

#[test]
fn a_day_is_allowed_where_it_is_meant() {
    let mut config = with("/limits/everyone/rate", json!("10/day"));
    put(&mut config, "/limits/everyone/local_only", json!(true));
    assert_eq!(findings(&config), Vec::<String>::new());
}

#[test]
fn everything_is_told_at_once() {
    let mut config = good();
    put(&mut config, "/issuers/main/jwks/clustr", json!("as"));
    put(&mut config, "/issuers/main/leeway", json!("2m"));
    put(&mut config, "/resources/0/hosts/0", json!("a b"));
    put(&mut config, "/resources/0/routes/1/limits/0", json!("per-clinet"));
    put(&mut config, "/resources/0/routes/2", json!(7));
    put(&mut config, "/resources/0/routes/0/scopes", json!(["a"]));
    put(&mut config, "/limits/per-client/rate", json!("10"));
    put(&mut config, "/mode", json!("report"));
    put(&mut config, "/max_token_bytes", json!(1));
    let paths: Vec<String> = super::policy(&config).unwrap_err().iter().map(|finding| finding.path.clone()).collect();
    assert_eq!(
        paths,
        [
            "issuers.main.jwks.clustr",
            "issuers.main.leeway",
            "resources[0].hosts[0]",
            "resources[0].routes[2]",
            "limits.per-client.rate",
            "max_token_bytes",
            "mode",
            "resources[0].routes[0].scopes",
            "resources[0].routes[1].limits[0]",
        ]
    );
}

#[test]
fn text_from_the_configuration_cannot_forge_lines_of_a_log() {
    let config = with("/resources/0/hosts/0", json!("a\nresources: fine"));
    assert_eq!(findings(&config).iter().flat_map(|finding| finding.lines()).count(), 1);
    let config = with("/a\nb", json!(1));
    assert_eq!(
        findings(&config),
        [
            r#"["a\nb"]: unknown key. Known here: peer, issuers, resources, limits, limit_table, limit_fields, token_cache, max_token_bytes."#
        ]
    );
}
