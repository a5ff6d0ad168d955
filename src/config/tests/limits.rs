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

/// The public route and the one for peers, instead of the one that takes tokens, with a limit of the source.
fn without_tokens(change: Value) -> Value {
    let mut config = changed(change);
    put(&mut config, "/limits/per-client/key", json!(["source"]));
    put(&mut config, "/resources/0/routes/1/limits", json!(["everyone"]));
    put(&mut config, "/resources/0/routes/0/limits", json!(["per-client"]));
    put(&mut config, "/resources/0/routes/2/limits", json!(["per-client"]));
    config
}

const NOTHING: [String; 0] = [];

#[test]
fn an_override_without_a_condition_is_everybodys_rate() {
    assert_eq!(
        limit(json!({ "overrides": [{ "rate": "1/s" }] })),
        [
            "overrides[0]: has no condition, so that it would be everybody's rate. Write client_id, sub, claims, peer or utc."
        ]
    );
    for other in [json!({ "claims": {}, "rate": "1/s" }), json!({ "sub": "a", "claims": {}, "rate": "1/s" })] {
        assert_eq!(
            limit(json!({ "overrides": [other] })),
            [
                "overrides[0].claims: an empty table, which every caller satisfies. Write claims and their texts, or remove the key."
            ]
        );
    }
}

#[test]
fn a_stretch_of_the_day_is_neither_empty_nor_the_whole_day() {
    let of = |utc: &str| limit(json!({ "overrides": [{ "utc": utc, "rate": "1/s" }] }));
    for utc in ["24:00-00:00", "00:00-24:00", "00:00-00:00", "24:00-24:00", "08:30-08:30"] {
        let finding = "is nothing or the whole day. Write a part of the day, or leave it out.";
        assert_eq!(of(utc), [format!("overrides[0].utc: {utc:?} {finding}")]);
    }
    assert_eq!(
        of("24:00-06:00"),
        [r#"overrides[0].utc: "24:00-06:00" begins when a day ends. Write 00:00 for the beginning."#]
    );
    for utc in ["8:00-9:00", "08:00", "08:60-09:00", "08:00-24:01"] {
        let finding = r#"is no stretch of a day. Write two times in UTC, like "22:00-06:00"."#;
        assert_eq!(of(utc), [format!("overrides[0].utc: {utc:?} {finding}")]);
    }
    for utc in ["22:00-00:00", "22:00-24:00", "22:00-06:00", "00:00-00:01"] {
        assert_eq!(of(utc), NOTHING, "{utc}");
    }
}

#[test]
fn an_override_that_an_earlier_one_covers_is_never_reached() {
    let pair = |mut first: Value, mut second: Value| {
        for other in [&mut first, &mut second] {
            other["rate"] = json!("1/s");
        }
        limit(json!({ "overrides": [first, { "sub": "somebody", "rate": "2/s" }, second] }))
    };
    let never = "overrides[2]: never reached: whoever meets its conditions meets those of limits.per-client.overrides[0], which comes first. Put the narrower one first, or remove one of both.";
    for (first, second) in [
        (json!({ "client_id": "a" }), json!({ "client_id": "a" })),
        (json!({ "client_id": "a" }), json!({ "client_id": "a", "utc": "22:00-06:00" })),
        (json!({ "claims": { "a": "1" } }), json!({ "claims": { "a": "1", "b": "2" } })),
        (json!({ "peer": "*" }), json!({ "peer": "spiffe://example.org/a" })),
        (json!({ "peer": "spiffe://example.org/*" }), json!({ "peer": "spiffe://example.org/ns/*" })),
        (json!({ "utc": "22:00-06:00" }), json!({ "utc": "23:00-05:00", "sub": "a" })),
    ] {
        assert_eq!(pair(first.clone(), second.clone()), [never], "{first} {second}");
        if first != second {
            assert_eq!(pair(second, first), NOTHING);
        }
    }
    for (first, second) in [
        (json!({ "client_id": "a" }), json!({ "sub": "a" })),
        (json!({ "claims": { "a": "1" } }), json!({ "claims": { "b": "1" } })),
        (json!({ "utc": "22:00-06:00" }), json!({ "utc": "21:00-05:00" })),
        (json!({ "peer": "spiffe://example.org/a" }), json!({ "peer": "spiffe://example.org/ab" })),
    ] {
        assert_eq!(pair(first, second), NOTHING);
    }
}

#[test]
fn a_mistaken_override_covers_no_other() {
    assert_eq!(
        limit(json!({ "overrides": [
            { "claims": { "a": 1 }, "utc": "22:00-06:00", "rate": "1/s" }, { "utc": "23:00-01:00", "rate": "1/s" }
        ] })),
        [
            "overrides[0].claims.a: this is a number, not text. Write text. If that is what it is called, put it in quotation marks."
        ]
    );
}

#[test]
fn overrides_by_token_need_a_route_that_takes_tokens() {
    let overrides = json!({ "overrides": [
        { "client_id": "a", "claims": { "plan": "gold" }, "rate": "1/s" },
        { "sub": "b", "rate": "1/s" },
        { "peer": "spiffe://example.org/ns/billing/x", "utc": "22:00-06:00", "rate": "1/s" }
    ] });
    let never = "never met, because no route with this limit takes tokens. Write peer or utc, or remove the override.";
    assert_eq!(
        said(&without_tokens(overrides.clone())),
        ["overrides[0].claims", "overrides[0].client_id", "overrides[1].sub"].map(|at| format!("{at}: {never}"))
    );
    let mut config = without_tokens(overrides);
    put(&mut config, "/resources/0/routes/1/limits", json!(["per-client", "everyone"]));
    assert_eq!(said(&config), NOTHING);
}

#[test]
fn overrides_by_peer_need_a_route_that_admits_it() {
    let of = |peer: &str, on_the_public_route: bool| {
        let mut config = without_tokens(json!({ "overrides": [{ "peer": peer, "rate": "1/s" }] }));
        if !on_the_public_route {
            put(&mut config, "/resources/0/routes/0/limits", json!(null));
        }
        config
    };
    let other = "spiffe://example.org/ns/orders/x";
    assert_eq!(
        said(&of(other, false)),
        [
            "overrides[0].peer: never met, because no route with this limit admits such a peer. Write one that the peers of a route admit, or remove the override."
        ]
    );
    for peer in ["*", "spiffe://example.org/*", "spiffe://example.org/ns/billing/x"] {
        assert_eq!(said(&of(peer, false)), NOTHING, "{peer}");
    }
    assert_eq!(said(&of(other, true)), NOTHING, "whoever it is");
    let mut refused = of(other, false);
    put(&mut refused, "/limits/per-client/on", json!([403]));
    assert_eq!(said(&refused), NOTHING, "its refusals count");
}

#[test]
fn where_a_limit_is_used_is_not_guessed() {
    let mut config = without_tokens(json!({ "overrides": [{ "client_id": "a", "rate": "1/s" }] }));
    put(&mut config, "/resources/0/routes/0/access", json!("pubic"));
    assert_eq!(said(&config), [r#"resources[0].routes[0].access: "pubic" is unknown here. Did you mean "public"?"#]);
    let mut config = without_tokens(json!({ "overrides": [{ "client_id": "a", "rate": "1/s" }] }));
    put(&mut config, "/resources/0/routes/1/limits", json!(["per-clinet", "everyone"]));
    assert_eq!(said(&config).len(), 1);
    let mut config = without_tokens(json!({ "overrides": [{ "peer": "*", "rate": "1/s" }] }));
    put(&mut config, "/resources/0/routes/0/limits", json!(null));
    put(&mut config, "/resources/0/routes/2/peers", json!(["billing"]));
    assert_eq!(said(&config).len(), 1);
}

#[test]
fn verifications_need_a_route_that_takes_tokens() {
    let of_source = json!({ "key": ["source"], "on": [401, "verification"] });
    assert_eq!(
        said(&without_tokens(of_source.clone())),
        [
            "on[1]: no route with this limit takes tokens, so that nothing would ever be verified. Leave it out, or name the limit at a route that takes tokens."
        ]
    );
    assert_eq!(limit(of_source), NOTHING);
}

#[test]
fn verifications_know_no_token() {
    let of =
        |on: Value| limit(json!({ "key": ["source"], "on": on, "overrides": [{ "client_id": "a", "rate": "1/s" }] }));
    assert_eq!(
        of(json!(["verification"])),
        [
            "overrides[0].client_id: never met, because verifications are counted before the token is known. Write peer or utc, or remove the override."
        ]
    );
    assert_eq!(of(json!(["verification", 401])), NOTHING);
}

#[test]
fn more_at_once_than_one_proxy_holds_is_no_limit() {
    let at_once = |most: u32| limit(json!({ "rate": null, "in_flight": most, "heal": "1h" }));
    assert_eq!(at_once(1_000_000), ["in_flight: 1000000 is out of range. Write a number from 1 to 100000."]);
    assert_eq!(at_once(100_000), NOTHING);
}

#[test]
fn outcomes_are_named_once_and_end_an_exchange() {
    let of = |on: Value| limit(json!({ "on": on }));
    assert_eq!(of(json!([401, 404, "401"])), ["on[2]: stands there twice. Remove one."]);
    for status in [100, 103, 199, 600] {
        assert_eq!(of(json!([status])), [format!("on[0]: {status} is out of range. Write a number from 200 to 599.")]);
    }
    assert_eq!(of(json!([200, 429, 599])), NOTHING);
    assert_eq!(
        limit(json!({ "key": ["ip"], "on": ["verification", "verification"] })),
        ["on[1]: stands there twice. Remove one."]
    );
}

#[test]
fn one_budget_for_all_is_none_that_a_stranger_can_spend() {
    for key in [json!([]), json!(["route"]), json!(["const.x"]), json!(["const.x", "route"])] {
        for (on, cause) in
            [(json!([401]), "401"), (json!(["verification"]), "verification"), (json!([503, 404]), "404")]
        {
            let finding = format!(
                "key: the same budget for all callers, so that one stranger could lock everybody out by {cause}. Add source, peer or ip."
            );
            assert_eq!(limit(json!({ "key": key, "on": on })), [finding]);
        }
        assert_eq!(limit(json!({ "key": key, "on": [503, 429] })), NOTHING);
        assert_eq!(limit(json!({ "key": key, "on": [401], "event": "brute-force" })), NOTHING);
    }
    for part in ["source", "peer", "ip"] {
        assert_eq!(limit(json!({ "key": ["route", part], "on": [401, "verification"] })), NOTHING);
    }
}

#[test]
fn keys_for_another_kind_of_limit_are_found() {
    assert_eq!(limit(json!({ "heal": "1h" })), ["heal: means nothing without in_flight. Remove it."]);
    assert_eq!(
        limit(json!({ "local_only": true })),
        ["local_only: means nothing, because this is no limit by the day. Remove it."]
    );
    assert_eq!(limit(json!({ "local_only": false })), NOTHING);
    assert_eq!(limit(json!({ "local_only": true, "rate": "10/day" })), NOTHING);
    let overrides = json!([{ "client_id": "a", "rate": "10/day" }]);
    assert_eq!(limit(json!({ "local_only": true, "overrides": overrides })), NOTHING);
}

fn by_service(service: Value, rate: &str) -> Value {
    let mut config = changed(json!({ "rate": rate, "service": "fleet" }));
    let mut table = json!({ "kind": "ratelimit", "cluster": "ratelimit" });
    table.as_object_mut().unwrap().extend(service.as_object().unwrap().clone());
    put(&mut config, "/services", json!({ "fleet": table }));
    config
}

#[test]
fn a_proxy_does_not_count_alone_what_a_service_counts() {
    let mut config = by_service(json!({}), "10/day");
    assert_eq!(said(&config), NOTHING);
    put(&mut config, "/limits/per-client/local_only", json!(true));
    assert_eq!(
        said(&config),
        ["local_only: contradicts service, which counts for all proxies together. Leave one of both out."]
    );
}

#[test]
fn no_lease_is_larger_than_every_quota() {
    let lease = |lease: u32, rate: &str| by_service(json!({ "lease": lease }), rate);
    let more = |lease: u32, largest: u32| {
        format!(
            "services.fleet.lease: {lease} is more than any limit with this service allows in its window. Write {largest} at most, or leave it out."
        )
    };
    assert_eq!(said(&lease(61, "60/min")), [more(61, 60)]);
    assert_eq!(said(&lease(60, "60/min")), NOTHING);
    assert_eq!(said(&by_service(json!({}), "7/h")), NOTHING, "the default is a bound, no claim");
    let mut two = lease(61, "60/min");
    put(&mut two, "/limits/everyone", json!({ "key": [], "rate": "61/h", "service": "fleet" }));
    assert_eq!(said(&two), NOTHING, "the largest decides");
}

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
fn callers_are_not_chosen_by_what_changes_with_each_token() {
    let of = |claim: &str| limit(json!({ "overrides": [{ "claims": { claim: "x" }, "rate": "1/s" }] }));
    for claim in ["client_id", "sub"] {
        let finding = format!("stands for a key of its own. Write {claim} beside claims.");
        assert_eq!(of(claim), [format!("overrides[0].claims.{claim}: {finding}")]);
    }
    for claim in ["jti", "exp", "iat", "nbf"] {
        let finding = "differs from token to token, so that it would choose one token at most. Write another claim, client_id or sub.";
        assert_eq!(of(claim), [format!("overrides[0].claims.{claim}: {finding}")]);
    }
    assert_eq!(
        of("cnf"),
        [
            "overrides[0].claims.cnf: is no text in any token, so that it would never choose anybody. Write another claim, client_id or sub."
        ]
    );
    assert_eq!(
        of("a b"),
        [r#"overrides[0].claims["a b"]: "a b" is no name of a claim. Write it as it stands in tokens."#]
    );
    assert_eq!(of("https://example.com/tenant"), NOTHING);
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

#[test]
fn everything_about_limits_is_told_at_once() {
    let mut config = without_tokens(json!({
        "on": [401, 401, 100, "verification"],
        "heal": "1h",
        "local_only": true,
        "overrides": [
            { "claims": {}, "rate": "1/s" },
            { "client_id": "a", "rate": "1/s" },
            { "client_id": "a", "utc": "24:00-00:00", "rate": "1/s" },
            { "client_id": "a", "sub": "b", "rate": "1/s" }
        ]
    }));
    put(&mut config, "/limits/per-client/key", json!(["route", "route"]));
    let paths: Vec<_> = said(&config).iter().map(|finding| finding.split(": ").next().unwrap().to_owned()).collect();
    assert_eq!(
        paths,
        [
            "heal",
            "key",
            "key[1]",
            "local_only",
            "on[1]",
            "on[2]",
            "on[3]",
            "overrides[0].claims",
            "overrides[1].client_id",
            "overrides[2].client_id",
            "overrides[2].utc",
            "overrides[3]",
            "overrides[3].client_id",
            "overrides[3].sub",
        ]
    );
}
