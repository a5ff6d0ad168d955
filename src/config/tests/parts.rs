//! What can be wrong with each part of a configuration, with the exact words.

use serde_json::{Value, json};

use super::{findings, good, put, route, says, with};

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
        &["issuers.main.jwks.uri: names a user before the host. Remove that: no URL here has a user or a password."],
    );
    says(
        "/issuers/main/algorithms",
        json!([]),
        &[
            "issuers.main.algorithms: an empty list, so that no token could pass. Write those the issuer signs with, like [ES256, PS256].",
        ],
    );
    let supported = "Supported: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, Ed25519, EdDSA, ML-DSA-44, ML-DSA-65, ML-DSA-87.";
    for (name, why) in [
        ("none", "would accept tokens without a signature"),
        ("HS256", "is symmetric: whoever can verify a token could also make one"),
        ("ESP256", "is a name of COSE only (RFC 9864): no JWT carries it"),
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
            "issuers.main.keys.keys[1]: this key cannot verify access tokens. Write a public key for signatures: RSA of 2048 to 8192 bits, P-256, P-384, P-521, Ed25519 or ML-DSA.",
        ]
    );
    let akp = json!({ "kty": "AKP", "alg": "ML-DSA-65", "pub": "AAAA", "priv": "AAAA" });
    assert_eq!(
        findings(&inline(json!({ "keys": [akp, ed25519] }))),
        [
            "issuers.main.keys.keys[0].priv: a secret, which does not belong into a configuration. Write the public part of the key only."
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
fn whose_word_is_taken_about_a_caller_is_checked() {
    const REMEDY: &str =
        r#"Write "tls", "mesh-principal", { xfcc: { trusted: [...] } } or { client_cert: { trusted: [...] } }."#;
    for pointer in ["/peer", "/resources/0/peer"] {
        let place = pointer[1..].replace("/0/", "[0].");
        for (from, finding) in [
            (
                json!({ "xfcc": { "trusted": ["dns:a"] }, "client_cert": { "trusted": ["dns:a"] } }),
                "from: names two sources, which could contradict each other. Name the one that the hops in front write; \
                 resources[].peer may name another."
                    .to_owned(),
            ),
            (json!({ "client_cert": {} }), "from.client_cert.trusted: missing. It has no default: write it.".to_owned()),
            (json!("header"), format!("from: \"header\" is unknown here. {REMEDY}")),
            (json!(["tls"]), format!("from: this is a list, not a word or a table. {REMEDY}")),
            (json!({}), format!("from: names no source. {REMEDY}")),
            (
                json!("xfcc"),
                "from: \"xfcc\" lacks the hops whose word is taken. Write { xfcc: { trusted: [\"spiffe://...\"] } }, with the \
                 SPIFFE IDs of the hops in front."
                    .to_owned(),
            ),
            (json!({ "xfcc": {} }), "from.xfcc.trusted: missing. It has no default: write it.".to_owned()),
            (
                json!({ "xfcc": { "trusted": [] } }),
                "from.xfcc.trusted: an empty list, so that nobody would be believed. Write the SPIFFE IDs of the proxies in \
                 front."
                    .to_owned(),
            ),
            (
                json!({ "xfcc": { "trusted": ["*"] } }),
                "from.xfcc.trusted[0]: lets every client with a certificate speak for all others. Write the SPIFFE IDs of \
                 the proxies in front."
                    .to_owned(),
            ),
        ] {
            says(pointer, json!({ "from": from }), &[&format!("{place}.{finding}")]);
        }
    }
    says("/resources/0/peer", json!({}), &["resources[0].peer.from: missing. It has no default: write it."]);
}

#[test]
fn what_trusted_hops_convey_cannot_be_kept() {
    let mut config = with("/peer", json!({ "from": { "xfcc": { "trusted": ["spiffe://example.org/gateway"] } } }));
    assert_eq!(findings(&config), Vec::<String>::new());
    put(&mut config, "/resources/0/forward/keep", json!(["x-forwarded-client-cert"]));
    let said = "resources[0].forward.keep[0]: is read as the word of trusted hops, and never goes on. Remove it, and tell the \
                upstream by forward.headers.";
    assert_eq!(findings(&config), [said]);
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
        json!("API.example.com."),
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
    assert_eq!(
        forward(json!({
            "headers": { "x-forwarded-user": "sub" },
            "strip": ["x-forwarded-host"],
            "keep": ["x-forwarded-user", "x-forwarded-host", "x-user", "forwarded"]
        })),
        [
            "resources[0].forward.keep[0]: is set by forward.headers, so that no other could pass. Remove one of both.",
            "resources[0].forward.keep[1]: is removed by forward.strip and kept here. Remove one of both.",
            "resources[0].forward.keep[2]: \"x-user\" passes anyway. Remove it."
        ]
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
            "resources[0].routes[1].bound: needs origin of the resource, which proofs of a key name. Write where clients find it: \
             origin: https://…, or bound: mtls.",
        ],
    );
    says(
        "/resources/0/routes/0",
        json!({ "path": "/x", "access": "public", "bound": "mtls", "scopes": ["a"], "peers": ["*"] }),
        &[
            "resources[0].routes[0].bound: means nothing on a public route. Remove it, or write access: token.",
            "resources[0].routes[0].peers: means nothing on a public route. Remove it, or write access: token.",
            "resources[0].routes[0].scopes: means nothing on a public route. Remove it, or write access: token.",
        ],
    );
    says(
        "/resources/0/routes/0",
        json!({ "path": "/x", "access": "peer", "scopes": ["a"] }),
        &[
            r#"resources[0].routes[0].peers: missing, and access: peer needs it. Write SPIFFE IDs, or ["*"] for every validated certificate."#,
            "resources[0].routes[0].scopes: is asked of tokens, and this route takes none. Remove it, or write access: token.",
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
        json!({ "path": "/orders/{other}", "methods": ["HEAD", "GET"], "scopes": ["a"] }),
        &[
            r#"resources[0].routes[3]: never reached: resources[0].routes[1] ("GET /orders/{id}") has the same paths and all of its methods. Remove one of both, or give them different methods."#,
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
        [r#"limits.everyone.rate: "0/s" is out of range. Write a whole number from 1 to 1000000000 before the unit."#]
    );
    assert_eq!(
        rate(json!("10/day")),
        [
            "limits.everyone.rate: a limit by the day, which each proxy would count alone and forget when it restarts. Name a service, write local_only: true if that is meant, or a rate by the hour."
        ]
    );
    says(
        "/limits/everyone/key",
        json!(["clientid", "ip", "ip", "claim."]),
        &[
            r#"limits.everyone.key[0]: "clientid" is unknown here. Did you mean "client_id"?"#,
            "limits.everyone.key[2]: stands there twice. Remove one.",
            r#"limits.everyone.key[3]: "" is no name of a claim. Write it behind claim. as it stands in tokens."#,
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
            r#"resources[0].routes[0].limits[0]: limit "per-client" counts by client_id, and this route takes no token. Choose a limit by source, ip, peer or const.<text>."#,
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
fn limits_on_outcomes_are_checked() {
    let of = |change: Value| {
        let mut limit = json!({ "key": ["client_id"], "rate": "5/min" });
        limit.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        findings(&with("/limits/per-client", limit))
    };
    assert_eq!(of(json!({ "on": [401, "404"], "event": "brute-force", "distinct": "source" })), Vec::<String>::new());
    for (change, finding) in [
        (
            json!({ "on": [] }),
            "on: an empty list, so that nothing would ever be counted. Write statuses, like [401, 404].",
        ),
        (json!({ "on": [99] }), "on[0]: 99 is out of range. Write a number from 200 to 599."),
        (json!({ "on": ["verifications"] }), r#"on[0]: "verifications" is unknown here. Did you mean "verification"?"#),
        (
            json!({ "on": [401, "verification"] }),
            "on[1]: is counted before the token is known, and the key has client_id. Count it by source, peer or ip.",
        ),
        (json!({ "event": "brute-force" }), "event: needs outcomes that it counts. Write them, like on: [401, 403]."),
        (json!({ "on": [401], "distinct": "ip" }), "distinct: stands beside no event. Name one, or leave it out."),
        (
            json!({ "on": [401], "event": "brute-force", "distinct": "client_id" }),
            "distinct: is in the key already. Name what differs, like source.",
        ),
        (
            json!({ "key": ["ip"], "on": [401, "verification"], "event": "brute-force" }),
            "on[1]: is no sign of anything. Leave it out, or leave event out.",
        ),
    ] {
        assert_eq!(of(change.clone()), [format!("limits.per-client.{finding}")], "{change}");
    }
}
