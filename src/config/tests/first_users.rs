//! The mistakes that people made who wrote their first configuration, and what they are told. Not here: how YAML reads what is
//! written (`documents`).

use serde_json::{Value, json};

use super::{answers, put};

/// What somebody wrote from the documentation alone, before each mistake.
fn document() -> Value {
    json!({
        "issuers": { "as": {
            "issuer": "https://as.example/",
            "jwks": { "cluster": "as_example", "uri": "https://as.example/jwks" },
            "algorithms": ["ES256", "RS256"]
        } },
        "resources": [{
            "hosts": ["api.example"],
            "audiences": ["https://api.example"],
            "issuers": ["as"],
            "routes": [
                { "path": "/healthz", "access": "public", "limits": "none" },
                { "path": "/orders/{id}", "methods": ["GET"], "scopes": ["orders.read"], "limits": ["per-client"] },
                { "path": "/orders", "methods": ["POST"], "scopes": ["orders.write"], "limits": ["per-client", "order-create"] }
            ]
        }],
        "limits": {
            "per-client": { "key": ["client_id"], "rate": "100/min" },
            "order-create": { "key": ["client_id"], "rate": "10/min", "burst": 5 }
        }
    })
}

/// A mistake: what was written where, `null` for what was left out. And all that is said about it; nothing, where it is right.
type Row = (Vec<(&'static str, Value)>, Vec<&'static str>);

fn row(mistake: &[(&'static str, Value)], answers: &[&'static str]) -> Row {
    (mistake.to_vec(), answers.to_vec())
}

#[track_caller]
fn check(rows: &[Row]) {
    let mut wrong = Vec::new();
    for (mistake, expected) in rows {
        let mut config = document();
        for (pointer, value) in mistake {
            match config.pointer_mut(pointer) {
                Some(place) if !value.is_null() => *place = value.clone(),
                Some(_) | None => put(&mut config, pointer, value.clone()),
            }
        }
        let said = answers(&config);
        if said != *expected {
            let mistake = mistake.iter().map(|(pointer, value)| format!("{pointer} = {value}")).collect::<Vec<_>>();
            wrong.push(format!("{}:\n  {}", mistake.join("; "), said.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn without_a_mistake_nothing_is_said() {
    check(&[row(&[], &[])]);
}

#[test]
#[rustfmt::skip] // One mistake a line.
fn names_and_tables_that_were_mistaken() {
    check(&[
        row(&[("/resources/0/routes/1/limits", Value::Null), ("/resources/0/routes/1/limit", json!(["per-client"]))], &[r#"resources[0].routes[1].limit: unknown key. Did you mean "limits"?"#]),
        row(&[("/limit", json!({"per-client": {"key": [], "rate": "1/s"}})), ("/limits", Value::Null)], &[r#"limit: unknown key. Did you mean "limits"?"#, r#"resources[0].routes[1].limits[0]: no limit is named "per-client". Define it under limits."#, r#"resources[0].routes[2].limits[0]: no limit is named "per-client". Define it under limits."#, r#"resources[0].routes[2].limits[1]: no limit is named "order-create". Define it under limits."#]),
        row(&[("/resources/0/limits", json!(["per-client"])), ("/resources/0/routes/1/limits", Value::Null)], &[]),
        row(&[("/routes", json!([{"path": "/healthz"}])), ("/resources/0/routes", Value::Null)], &["resources[0].routes: missing. It has no default: write it.", "routes: unknown key. It belongs into resources[]."]),
        row(&[("/resources", json!({"hosts": ["a"]}))], &["resources: this is a table, not a list. Write a list of tables, each behind a dash, like - hosts: ..."]),
        row(&[("/resources/0/routes", json!({"/healthz": {"access": "public"}}))], &["resources[0].routes: this is a table, not a list. Write a list of tables, each behind a dash, like - path: ..."]),
        row(&[("/resources/0/name", json!(false))], &["resources[0].name: this is true or false, not text. Write text. If that is what it is called, put it in quotation marks."]),
        row(&[("/resources/0/realm", json!(1.1))], &["resources[0].realm: this is a number, not text. Write text. If that is what it is called, put it in quotation marks."]),
        row(&[("/resources/0/resource_metadata", json!("http://x"))], &[r#"resources[0].resource_metadata: "http://x" does not begin with https://. Write one like "https://api.example.com/.well-known/oauth-protected-resource"."#]),
        row(&[("/x_ratelimit", json!(false))], &[r#"x_ratelimit: this is true or false, not a word. Write one of "off" "envoy" "epoch"."#]),
        row(&[("/x-common", json!({"access": "public"}))], &["x-common: unknown key. No key is for anchors alone: write &name where the value is used first, and *name after that."]),
        row(&[("/boundgate", document()), ("/resources", Value::Null)], &["resources: missing. It has no default: write it.", "boundgate: unknown key. What stands below it is the configuration: write that alone."]),
        row(&[("/pluginConfig", document()), ("/resources", Value::Null)], &["resources: missing. It has no default: write it.", "pluginConfig: unknown key. What stands below it is the configuration: write that alone."]),
    ]);
}

#[test]
#[rustfmt::skip] // One mistake a line.
fn issuers_that_were_mistaken() {
    check(&[
        row(&[("/issuers/as/jwks/refresh", json!(10))], &[r#"issuers.as.jwks.refresh: this is a number, not a duration. Write a number and a unit, like "30s", "10m", "1h"."#]),
        row(&[("/issuers/as/jwks/refresh", json!("600"))], &[r#"issuers.as.jwks.refresh: "600" has no unit. Write "600s", "600m" or "600h"."#]),
        row(&[("/issuers/as/jwks/refresh", json!("10min"))], &[r#"issuers.as.jwks.refresh: "10min" is no duration. Write a number and a unit, like "30s", "10m", "1h"."#]),
        row(&[("/issuers/as/jwks/refresh", json!("1h30m"))], &[r#"issuers.as.jwks.refresh: "1h30m" is no duration. Write a number and a unit, like "30s", "10m", "1h"."#]),
        row(&[("/issuers/as/jwks/max_stale", json!("30d"))], &[r#"issuers.as.jwks.max_stale: "30d" is out of range. Write one from "30s" to "7d"."#]),
        row(&[("/issuers/as/jwks/refresh", json!("2h"))], &["issuers.as.jwks.max_stale: shorter than refresh, so that keys would end before they are fetched anew. Raise max_stale or lower refresh."]),
        row(&[("/issuers/as/issuer", json!("http://as.example/"))], &[r#"issuers.as.issuer: "http://as.example/" does not begin with https://. Write the exact "iss" of its tokens, like "https://as.example.com"."#]),
        row(&[("/issuers", json!([{"issuer": "https://as.example/"}]))], &["issuers: this is a list, not a table. Write names and what each stands for.", r#"resources[0].issuers[0]: no issuer is named "as". Define it under issuers."#]),
        row(&[("/resources/0/issuers", json!(["https://as.example/"]))], &[r#"resources[0].issuers[0]: no issuer is named "https://as.example/". Defined: as."#]),
        row(&[("/resources/0/audiences", json!("https://api.example"))], &["resources[0].audiences: this is text, not a list. Write it in brackets, like [a, b]."]),
        row(&[("/resources/0/audiences", Value::Null), ("/resources/0/audience", json!("https://api.example"))], &["resources[0].audiences: needed, because a route takes tokens. Write the values of aud that mean this resource.", r#"resources[0].audience: unknown key. Did you mean "audiences"?"#]),
        row(&[("/resources/0/audiences", Value::Null)], &["resources[0].audiences: needed, because a route takes tokens. Write the values of aud that mean this resource."]),
        row(&[("/resources/0/audiences", json!(["https://*.example"]))], &[r#"warning: resources[0].audiences[0]: "https://*.example" is compared as it stands: "*" stands for itself. Write each value of aud. If it is meant, write meant: [literal] in resources[0]."#]),
        row(&[("/issuers/as/algorithms", json!(["HS256", "none", "es256"]))], &[r#"issuers.as.algorithms[0]: "HS256" is symmetric: whoever can verify a token could also make one. Supported: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, Ed25519, EdDSA, ML-DSA-44, ML-DSA-65, ML-DSA-87."#, r#"issuers.as.algorithms[1]: "none" would accept tokens without a signature. Supported: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, Ed25519, EdDSA, ML-DSA-44, ML-DSA-65, ML-DSA-87."#, r#"issuers.as.algorithms[2]: "es256" is unknown here. Did you mean "ES256"?"#]),
        row(&[("/issuers/as/issuer", json!("https://as.example/.well-known/openid-configuration"))], &[r#"issuers.as.issuer: "https://as.example/.well-known/openid-configuration" is where the metadata of an issuer is, and no "iss". Write what its "issuer" says, and jwks: { discovery: openid-configuration }."#]),
        row(&[("/issuers/as/jwks/uri", json!("https://as.example/.well-known/openid-configuration"))], &["issuers.as.jwks.uri: the metadata of the issuer, which names where the keys are and has none. Write discovery: openid-configuration instead of uri."]),
        row(&[("/issuers/as/jwks/uri", json!("https://as.exmaple/jwks"))], &[r#"warning: issuers.as.jwks.uri: the host "as.exmaple" is nearly that of the issuer, "as.example". Correct the one that is mistyped. If it is meant, write meant: [key-host] in issuers.as."#]),
        row(&[("/issuers/as/typ", json!("application/at+jwt"))], &[r#"issuers.as.typ: "application/at+jwt" is at+jwt in another spelling, and would refuse all others. Write at+jwt: it takes application/at+jwt too, in upper or lower case."#]),
        row(&[("/peer", json!({"xfcc": true}))], &["peer.xfcc: unknown key. Known here: from, insecure_assume_validated, warn_before."]),
        row(&[("/issuers/as/jwks", Value::Null), ("/issuers/as/keys", json!({"keys": [{"crv": "P-256", "d": "AA", "kty": "EC"}]}))], &["issuers.as.keys.keys[0].d: a secret, which does not belong into a configuration. Write the public part of the key only."]),
        row(&[("/issuers/as/rate", json!("1/s"))], &["issuers.as.rate: unknown key. It belongs into limits.<name>."]),
    ]);
}

#[test]
#[rustfmt::skip] // One mistake a line.
fn routes_that_were_mistaken() {
    check(&[
        row(&[("/resources/0/routes/3", json!({"limits": "none", "methods": ["GET"], "path": "/orders/{x}"}))], &[r#"resources[0].routes[3]: never reached: resources[0].routes[1] ("GET /orders/{id}") has the same paths and all of its methods. Remove one of both, or give them different methods."#]),
        row(&[("/resources/0/routes/3", json!({"limits": "none", "path": "/orders/{x}"}))], &[r#"resources[0].routes[3]: takes GET as well, which resources[0].routes[1] ("GET /orders/{id}") takes for the same paths. Without methods it takes all. Write those it is for, like [POST, PUT, PATCH, DELETE, OPTIONS]."#]),
        row(&[("/resources/0/routes/3", json!({"limits": "none", "methods": ["GET", "DELETE"], "path": "/orders/{x}"}))], &[r#"resources[0].routes[3]: takes GET as well, which resources[0].routes[1] ("GET /orders/{id}") takes for the same paths. Leave GET out of one of both."#]),
        row(&[("/resources/0/routes/3", json!({"access": "public", "limits": "none", "path": "/**"}))], &[r#"resources[0].routes[3]: open to everybody, and above resources[0].routes[2] ("POST /orders"), which is not. Name the public paths one by one, or a ** that has only public paths below it."#]),
        row(&[("/resources/0/routes/3", json!({"access": "public", "limits": "none", "path": "/{any}"}))], &[r#"warning: resources[0].routes[3]: open to everybody, and its {parameter} takes whatever resources[0].routes[2] ("POST /orders") does not: a path that is mistyped there is open. Name the public paths one by one. If it is meant, write meant: [open-parameter] in resources[0].routes[3]."#]),
    ]);
}

#[test]
#[rustfmt::skip] // One mistake a line.
fn scopes_and_methods_that_were_mistaken() {
    check(&[
        row(&[("/resources/0/routes/1/scopes", json!(["orders.*"]))], &[r#"warning: resources[0].routes[1].scopes[0]: "orders.*" is compared as it stands: "*" stands for itself. Write each scope. If it is meant, write meant: [literal] in resources[0].routes[1]."#]),
        row(&[("/resources/0/routes/1/scopes", json!(["orders.read,orders.write"]))], &[r#"warning: resources[0].routes[1].scopes[0]: "orders.read,orders.write" is compared as it stands: "," stands for itself. Write each scope as an item of its own. If it is meant, write meant: [literal] in resources[0].routes[1]."#]),
        row(&[("/resources/0/routes/1/scopes", json!(["orders.read orders.write"]))], &[r#"resources[0].routes[1].scopes[0]: "orders.read orders.write" is no scope. Write each scope as an item of its own, in visible ASCII without " and \."#]),
        row(&[("/resources/0/routes/1/scopes", json!("orders.read"))], &["resources[0].routes[1].scopes: this is text, not a list of scopes. Write [a, b] for all of them, or { any: [a, b] } for one of them."]),
        row(&[("/resources/0/routes/1/scopes", json!([false]))], &[r#"resources[0].routes[1].scopes[0]: this is true or false, not a scope. Write a scope, like "read:orders". If that is what it is called, put it in quotation marks."#]),
        row(&[("/resources/0/routes/1/scopes", json!([1.1]))], &[r#"resources[0].routes[1].scopes[0]: this is a number, not a scope. Write a scope, like "read:orders". If that is what it is called, put it in quotation marks."#]),
        row(&[("/resources/0/routes/1/scopes", json!([]))], &["resources[0].routes[1].scopes: an empty list, so that every token would pass. Name a scope, or remove the key."]),
        row(&[("/resources/0/routes/1/scopes", json!({}))], &["resources[0].routes[1].scopes: has neither all nor any, so that every token would pass. Name a scope, or remove the key."]),
        row(&[("/resources/0/routes/1/scopes", json!({"all": []}))], &["resources[0].routes[1].scopes.all: an empty list, so that every token would pass. Name a scope, or remove the key."]),
        row(&[("/resources/0/routes/1/scopes", json!({"any": []}))], &["resources[0].routes[1].scopes.any: an empty list, which no token could satisfy. Name a scope, or remove the key."]),
        row(&[("/resources/0/routes/1/methods", json!(["get"]))], &[r#"resources[0].routes[1].methods[0]: "get" is no method. Write a method in upper case, like "GET"."#]),
        row(&[("/resources/0/routes/1/methods", json!("GET"))], &["resources[0].routes[1].methods: this is text, not a list. Write it in brackets, like [a, b]."]),
        row(&[("/resources/0/routes/1/methods", json!(["*"]))], &[r#"resources[0].routes[1].methods[0]: "*" is no method. Remove the key methods: without it, a route takes all."#]),
        row(&[("/resources/0/routes/1/methods", json!([]))], &["resources[0].routes[1].methods: an empty list, so that the route would never be reached. Write methods, or remove the key for all."]),
        row(&[("/resources/0/routes/1/methods", json!([true]))], &[r#"resources[0].routes[1].methods[0]: this is true or false, not a method. Write a method in upper case, like "GET"."#]),
        row(&[("/resources/0/routes/1/methods", json!(["GTE"]))], &[r#"warning: resources[0].routes[1].methods[0]: "GTE" is no usual method, so that this would rarely be reached. Did you mean "GET"? If it is meant, write meant: [method] in resources[0].routes[1]."#]),
        row(&[("/resources/0/scopes", json!(["a"]))], &["resources[0].scopes: unknown key. It belongs into resources[].routes[]."]),
    ]);
}

#[test]
#[rustfmt::skip] // One mistake a line.
fn paths_and_peers_that_were_mistaken() {
    check(&[
        row(&[("/resources/0/routes/1/path", json!("/orders/*"))], &[r#"resources[0].routes[1].path: "/orders/*" has a * where none can stand. Write {name} for one segment, or ** as the last segment for all below."#]),
        row(&[("/resources/0/routes/1/path", json!("/orders/**/x"))], &[r#"resources[0].routes[1].path: "/orders/**/x" has a * where none can stand. Write {name} for one segment, or ** as the last segment for all below."#]),
        row(&[("/resources/0/routes/1/path", json!("/orders/{id}.json"))], &[r#"resources[0].routes[1].path: "/orders/{id}.json" has braces that are not around a whole segment. Write {name} between two slashes, with a name of letters, digits and _."#]),
        row(&[("/resources/0/routes/1/path", json!("/orders/{id"))], &[r#"resources[0].routes[1].path: "/orders/{id" has braces that are not around a whole segment. Write {name} between two slashes, with a name of letters, digits and _."#]),
        row(&[("/resources/0/routes/1/path", json!("/orders/[0-9]+"))], &[r#"warning: resources[0].routes[1].path: "[0-9]+" is compared as it stands: "[" stands for itself. Paths are no regular expressions: write {name} for any one segment. If it is meant, write meant: [literal] in resources[0].routes[1]."#]),
        row(&[("/resources/0/routes/1/path", json!("/my orders"))], &[r#"resources[0].routes[1].path: "/my orders" has " ", which no path has. Write it as it is sent: %20."#]),
        row(&[("/resources/0/routes/1/path", json!("/orders?x=1"))], &[r#"resources[0].routes[1].path: "/orders?x=1" has "?", which no path has. Leave the query out: routes go by the path alone."#]),
        row(&[("/resources/0/routes/1/path", json!("/orders//x"))], &[r#"resources[0].routes[1].path: "/orders//x" has two slashes in a row. Write one."#]),
        row(&[("/resources/0/routes/1/path", json!("/orders/../x"))], &[r#"resources[0].routes[1].path: "/orders/../x" would never be accepted: a segment is one dot or two. Write another path: a request with this one is always refused."#]),
        row(&[("/resources/0/routes/1/path", json!("/orders;v=1"))], &[r#"resources[0].routes[1].path: "/orders;v=1" has ";", which no path has. Leave it out: a request with it is always refused, because servers read it in different ways."#]),
        row(&[("/resources/0/routes/1/path", json!("/orders/a%2Fb"))], &[r#"resources[0].routes[1].path: "/orders/a%2Fb" would never be accepted: a slash is escaped. For identifiers with one write {name}, and slash_in: [name]."#]),
        row(&[("/resources/0/routes/1/path", json!("/orders/<id>"))], &[r#"resources[0].routes[1].path: "/orders/<id>" has "<", which no path has. Write {name} for any one segment."#]),
        row(&[("/resources/0/routes/1/path", json!("/café"))], &[r#"resources[0].routes[1].path: "/café" has "é", which no path has. Write it as it is sent: %C3%A9."#]),
        row(&[("/resources/0/routes/1/path", json!("/100%"))], &[r#"resources[0].routes[1].path: "/100%" would never be accepted: two hexadecimal digits do not follow a percent sign. Write another path: a request with this one is always refused."#]),
        row(&[("/resources/0/routes/1/path", json!("/orders/:id"))], &[r#"warning: resources[0].routes[1].path: ":id" is compared as it stands: ":" stands for itself. Write {id} for any one segment. If it is meant, write meant: [literal] in resources[0].routes[1]."#]),
        row(&[("/resources/0/routes/0/path", json!("/healthz/"))], &[r#"warning: resources[0].routes[0].path: "/healthz/" is another path than that without the slash at its end. Write the one that clients ask for, or a route for each. If it is meant, write meant: [trailing-slash] in resources[0].routes[0]."#]),
        row(&[("/resources/0/routes/0", json!({"access": "peer", "limits": "none", "path": "/x", "peers": ["CN=x"]}))], &[r#"resources[0].routes[0].peers[0]: "CN=x" does not say what it is. Write "subject:CN=x"."#]),
        row(&[("/resources/0/routes/0", json!({"access": "peer", "limits": "none", "path": "/x", "peers": ["spiffe://a/bill*"]}))], &[r#"resources[0].routes[0].peers[0]: "spiffe://a/bill*" has no valid path. Write one like "spiffe://example.org/ns/billing/*", or "*" for every validated certificate."#]),
        row(&[("/resources/0/routes/0", json!({"access": "peer", "limits": "none", "path": "/x", "peers": ["spiffe://a/ns/**"]}))], &[r#"resources[0].routes[0].peers[0]: "spiffe://a/ns/**" has no valid path. Write one like "spiffe://example.org/ns/billing/*", or "*" for every validated certificate."#]),
        row(&[("/resources/0/routes/0", json!({"access": "peer", "limits": "none", "path": "/x", "peers": ["spiffe://a"]}))], &[r#"resources[0].routes[0].peers[0]: "spiffe://a" has no valid path. Write one like "spiffe://example.org/ns/billing/*", or "*" for every validated certificate."#]),
        row(&[("/resources/0/routes/2/path", json!("/orders/"))], &[r#"warning: resources[0].routes[2].path: "/orders/" is another path than that without the slash at its end. Write the one that clients ask for, or a route for each. If it is meant, write meant: [trailing-slash] in resources[0].routes[2]."#]),
    ]);
}

#[test]
#[rustfmt::skip] // One mistake a line.
fn limits_that_were_mistaken() {
    check(&[
        row(&[("/limits/per-client/rate", json!("100/minute"))], &[r#"limits.per-client.rate: "minute" is no unit. Write "100/s", "100/min", "100/h" or "100/day"."#]),
        row(&[("/limits/per-client/rate", json!("100/m"))], &[r#"limits.per-client.rate: "m" is no unit. Write "100/s", "100/min", "100/h" or "100/day"."#]),
        row(&[("/resources/0/routes/2/cost", json!(6))], &[r#"resources[0].routes[2].cost: 6 is above the burst of limit "order-create" (5), so that no request could ever pass. Raise limits.order-create.burst or lower the cost."#]),
        row(&[("/resources/0/routes/2/cost", json!(3)), ("/limits/per-client/overrides", json!([{"client_id": "a", "rate": "2/min"}]))], &["resources[0].routes[2].cost: 3 is above the burst of limits.per-client.overrides[0] (2), so that no request it is for could ever pass. Raise limits.per-client.overrides[0].burst or lower the cost."]),
        row(&[("/limits/spare", json!({"key": [], "rate": "1/s"}))], &["limits.spare: nobody uses this limit. Name it where it is meant, or remove it."]),
        row(&[("/resources/0/routes/1/limits", json!(["per-client", "per-client"]))], &[r#"resources[0].routes[1].limits[1]: "per-client" stands there twice. Remove one."#]),
        row(&[("/resources/0/routes/1/limits", json!(["per-clinet"]))], &[r#"resources[0].routes[1].limits[0]: no limit is named "per-clinet". Did you mean "per-client"? Defined: order-create, per-client."#]),
        row(&[("/limits/order-create", json!({"key": ["client_id"], "rate": "500/min"}))], &["warning: limits.order-create: never refuses: limits.per-client counts the same callers on all its routes, and allows no more. Make it stricter, or remove it. If it is meant, write meant: [idle-limit] in limits.order-create."]),
        row(&[("/limits/per-client/overrides", json!([{"client_id": "a", "rate": "2/min"}, {"client_id": "a", "rate": "3/min"}]))], &["limits.per-client.overrides[1]: never reached: whoever meets its conditions meets those of limits.per-client.overrides[0], which comes first. Put the narrower one first, or remove one of both."]),
        row(&[("/limits/per-client/overrides", json!([{"rate": "2/min", "utc": "00:00-24:00"}, {"client_id": "a", "rate": "3/min"}]))], &[r#"limits.per-client.overrides[0].utc: "00:00-24:00" is nothing or the whole day. Write a part of the day, or leave it out."#]),
        row(&[("/limits/per-client/overrides", json!([{"client_id": "partner-*", "rate": "2/min"}]))], &[r#"warning: limits.per-client.overrides[0].client_id: "partner-*" is compared as it stands: "*" stands for itself. Write an override for each, or a claim that all of them have. If it is meant, write meant: [literal] in limits.per-client."#]),
        row(&[("/limits/open", json!({"key": ["ip"], "overrides": [{"client_id": "a", "rate": "2/min"}], "rate": "9/s"})), ("/resources/0/routes/0/limits", json!(["open"]))], &["limits.open.overrides[0].client_id: never met, because no route with this limit takes tokens. Write peer or utc, or remove the override."]),
        row(&[("/limits/per-client/burst", json!(5.5))], &["limits.per-client.burst: this is a number, not a whole number. Write a number from 1 to 1000000000."]),
        row(&[("/limits/per-client/burst", json!("5k"))], &["limits.per-client.burst: this is text, not a whole number. Write a number from 1 to 1000000000."]),
        row(&[("/limits/per-client/burst", json!(-5))], &["limits.per-client.burst: -5 is out of range. Write a number from 1 to 1000000000."]),
        row(&[("/limits/per-client/burst", json!(1e+23))], &[r#"limits.per-client.burst: readers of YAML differ about "1e+23": some read a number, others another one or text. Write a number in plain digits, without zeros in front, underscores or exponent; text in quotation marks."#]),
        row(&[("/limits/per-client/rate", json!("1e20/s"))], &[r#"limits.per-client.rate: "1e20/s" is out of range. Write a whole number from 1 to 1000000000 before the unit."#]),
        row(&[("/limits/per-client/rate", json!("1e3/s"))], &[r#"limits.per-client.rate: "1e3/s" is no rate. Write a whole number and a unit, like "10/s", "10/min", "10/h" or "10/day"."#]),
        row(&[("/limits/per-client/rate", json!("99999999999999999999/s"))], &[r#"limits.per-client.rate: "99999999999999999999/s" is out of range. Write a whole number from 1 to 1000000000 before the unit."#]),
        row(&[("/limits/per-client", json!({"in_flight": 0, "key": ["client_id"]}))], &["limits.per-client.in_flight: 0 is out of range. Write a number from 1 to 100000."]),
        row(&[("/limits/per-client", json!({"heal": "1m", "in_flight": 1000, "key": ["client_id"]}))], &[]),
        row(&[("/limits/per-client/on", json!(["4xx"]))], &[r#"limits.per-client.on[0]: "4xx" is unknown here. Write each status from 200 to 599 that counts, like 401, or verification."#]),
        row(&[("/limits/per-client/on", json!(["verification"]))], &["limits.per-client.on[0]: is counted before the token is known, and the key has client_id. Count it by source, peer or ip."]),
        row(&[("/limits/per-client/rate", json!("100/day"))], &["limits.per-client.rate: a limit by the day, which each proxy would count alone and forget when it restarts. Name a service, write local_only: true if that is meant, or a rate by the hour."]),
        row(&[("/resources/0/routes/0/limits", json!(["per-client"]))], &[r#"resources[0].routes[0].limits[0]: limit "per-client" counts by client_id, and this route takes no token. Choose a limit by source, ip, peer or const.<text>."#]),
        row(&[("/resources/0/routes/0/limits", json!([]))], &["resources[0].routes[0].limits: an empty list. Name a limit, or write limits: none if there is to be no limit."]),
        row(&[("/resources/0/routes/0/limits", Value::Null)], &["warning: resources[0].routes[0]: has no limits, and resources[0].routes[1] has some. Write limits on it or, for all routes, on the resource; limits: none where none are meant."]),
        row(&[("/resources/0/routes/0/limits", json!("per-client"))], &["resources[0].routes[0].limits: this is text, not a list of limits. Write it in brackets, like [a, b], or the word none."]),
        row(&[("/services", json!({"fleet": {"cluster": "rls", "kind": "ratelimit"}})), ("/limits/per-client", json!({"key": ["client_id"], "rate": "9/s", "service": "fleet"}))], &["limits.per-client.rate: counted by a service by the second, for which no permits can be leased: every request would call it. Write a rate by the minute or longer, leave out service, or set lease: 1 at the service if that is meant."]),
    ]);
}

#[test]
#[rustfmt::skip] // One mistake a line.
fn introspection_that_was_mistaken() {
    let asked = |more: Value| {
        let mut introspection = json!({"cluster": "as_example", "uri": "https://as.example/introspect"});
        introspection.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("/issuers/as/introspection", introspection)
    };
    let client = |more: Value| {
        let mut client = json!({"id": "api"});
        client.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        asked(json!({"client": client}))
    };
    check(&[
        row(&[asked(json!({}))], &[]),
        row(&[client(json!({"secret": "hunter2"}))], &["issuers.as.introspection.client.secret: this is text, not a table. Write { env: NAME }, with the variable of the VM that holds it. No secret stands in a configuration: one that did is to be replaced."]),
        row(&[client(json!({"secret": {"file": "/etc/secret"}}))], &["issuers.as.introspection.client.secret.env: missing. It has no default: write it.", "issuers.as.introspection.client.secret.file: unknown key. Known here: env."]),
        row(&[client(json!({"auth": "body"}))], &["issuers.as.introspection.client.auth: says how a secret is shown, and there is none. Write secret: { env: NAME } beside it, or remove it where the client certificate of the cluster proves who asks."]),
        row(&[client(json!({"secret": {"env": "S"}, "auth": "client_secret_post"}))], &[r#"issuers.as.introspection.client.auth: "client_secret_post" has a shorter name here. Write body."#]),
        row(&[client(json!({"secret": {"env": "S"}, "auth": "client_secret_basic"}))], &[r#"issuers.as.introspection.client.auth: "client_secret_basic" has a shorter name here. Write basic."#]),
        row(&[client(json!({"auth": "tls_client_auth"}))], &[r#"issuers.as.introspection.client.auth: "tls_client_auth" needs no secret. Leave auth and secret out: the client certificate of the cluster proves who asks."#]),
        row(&[asked(json!({"client_secret": "hunter2"}))], &["issuers.as.introspection.client_secret: unknown key. Write client: { id: ..., secret: { env: NAME } }, with the variable of the VM that holds the secret."]),
        row(&[asked(json!({"endpoint": "x"}))], &["issuers.as.introspection.endpoint: unknown key. Write uri."]),
        row(&[asked(json!({"uri": "https://api:hunter2@as.example/introspect"}))], &["issuers.as.introspection.uri: names a user before the host. Remove that: no URL here has a user or a password."]),
        row(&[asked(json!({"uri": "http://as.example/introspect"}))], &[r#"issuers.as.introspection.uri: "http://as.example/introspect" does not begin with https://. Write one like "https://as.example.com/path"."#]),
        row(&[asked(json!({"uri": "https://as.exmaple/introspect"}))], &[r#"warning: issuers.as.introspection.uri: the host "as.exmaple" is nearly that of the issuer, "as.example". Correct the one that is mistyped. If it is meant, write meant: [key-host] in issuers.as."#]),
        row(&[asked(json!({"uri": "https://as.example/.well-known/openid-configuration"}))], &[r#"issuers.as.introspection.uri: the metadata of the issuer, which nobody can ask about tokens. Write what its "introspection_endpoint" says."#]),
        row(&[("/issuers/as/introspect", json!("opaque"))], &["issuers.as.introspect: unknown key. Write introspection: { cluster: ..., uri: ... } in issuers.<name>."]),
        row(&[("/resources/0/routes/1/introspection_ttl", json!("0s"))], &["resources[0].routes[1].introspection_ttl: means nothing, because no issuer of the resource is asked about tokens. Remove it, or have an issuer asked: introspection: { cluster: ..., uri: ... }."]),
        row(&[asked(json!({"ttl": "10s"})), ("/resources/0/routes/1/introspection_ttl", json!("10s"))], &["resources[0].routes[1].introspection_ttl: no shorter than issuers.as.introspection.ttl, so that it changes nothing. Lower it, or remove it."]),
        row(&[asked(json!({})), ("/resources/0/routes/1/introspection_ttl", json!("0s"))], &[]),
        row(&[asked(json!({})), ("/resources/0/routes/0/introspection_ttl", json!("0s"))], &["resources[0].routes[0].introspection_ttl: means nothing on a public route. Remove it, or write access: token."]),
        row(&[("/resources/0/routes/1/ttl", json!("0s"))], &["resources[0].routes[1].ttl: unknown key. It belongs into issuers.<name>.introspection."]),
    ]);
}

#[test]
#[rustfmt::skip] // One mistake a line.
fn revocations_that_were_mistaken() {
    let revoked = |more: Value| {
        let mut revocation = json!({"cluster": "as_example", "uri": "https://as.example/revoked"});
        revocation.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        revocation
    };
    let lists = json!({"cluster": "as_example", "uri": "https://as.example/lists/"});
    let mut other = document()["issuers"]["as"].clone();
    (other["issuer"], other["jwks"]["uri"]) = (json!("https://bs.other.example/"), json!("https://bs.other.example/jwks"));
    other["revocation"] = revoked(json!({"on_stale": "allow"}));
    let two = |rule: Value| vec![("/issuers/as/revocation", rule), ("/issuers/bs", other.clone()), ("/resources/0/issuers", json!(["as", "bs"]))];
    let mut opaque = document()["issuers"]["as"].clone();
    opaque.as_object_mut().unwrap().retain(|key, _| key == "issuer");
    opaque["introspection"] = json!({"cluster": "as_example", "uri": "https://as.example/introspect"});
    opaque["revocation"] = json!({ "status_lists": lists });
    check(&[
        row(&[("/issuers/as/revocation", revoked(json!({})))], &[]),
        row(&[("/issuers/as/revocation", json!({"jti": ["a"]}))], &["issuers.as.revocation.jti: unknown key. It belongs into entries."]),
        row(&[("/issuers/as/revocation", json!({"status_lists": {"cluster": "as_example", "uri": "https://as.example/lists/", "refresh": "5m"}}))], &["issuers.as.revocation.status_lists.refresh: unknown key. It belongs into revocation, beside status_lists."]),
        row(&[("/issuers/as/status_lists", lists.clone())], &["issuers.as.status_lists: unknown key. It belongs into issuers.<name>.revocation."]),
        row(&[("/issuers/as", opaque)], &["issuers.as.revocation.status_lists: needs the keys that lists are signed with. Write jwks and algorithms beside introspection, or remove it: what the issuer says of a token tells whether it was revoked."]),
        row(&[("/issuers/as/revocation", json!({ "status_lists": lists })), ("/issuers/as/claims", json!({"status": "account_status"}))], &["issuers.as.claims.status: hides the claim that names status lists. Give it another name."]),
        row(&[("/issuers/as/revocation", revoked(json!({"uri": "https://as.exmaple/revoked"})))], &[r#"warning: issuers.as.revocation.uri: the host "as.exmaple" is nearly that of the issuer, "as.example". Correct the one that is mistyped. If it is meant, write meant: [key-host] in issuers.as."#]),
        row(&two(revoked(json!({}))), &[]),
        row(&two(revoked(json!({"refresh": "10s"}))), &["issuers.bs.revocation: is the document of issuers.as.revocation, with other times or another max_bytes. Write refresh, max_stale, timeout and max_bytes alike: it is fetched once for all who name it."]),
    ]);
}

#[test]
#[rustfmt::skip] // One mistake a line.
fn origins_and_metadata_that_were_mistaken() {
    check(&[
        row(&[("/resources/0/origin", json!("https://api.example"))], &[]),
        row(&[("/resources/0/origin", json!("https://api.exmaple"))], &[r#"warning: resources[0].origin: the host "api.exmaple" is none of those of this resource, and a proof for another is refused. Write the URL as clients of this resource name it. If it is meant, write meant: [origin-host] in resources[0]."#]),
        row(&[("/resources/0/origin", json!("https://u:p@api.example"))], &[r#"resources[0].origin: names a user before the host. Write one like "https://api.example.com"."#]),
        row(&[("/resources/0/routes/1/bound", json!("none"))], &[r#"resources[0].routes[1].bound: "none" is not possible: a token that is bound is always held to it. Write when-bound to take tokens that are bound to nothing as well."#]),
        row(&[("/resources/0/nonce", json!(true))], &["resources[0].nonce: unknown key. It belongs into resources[].dpop."]),
        row(&[("/resources/0/metadata", json!("https://api.example"))], &[]),
        row(&[("/resources/0/metadata", json!("https://api.example/"))], &[r#"warning: resources[0].metadata: "https://api.example/" is none of audiences, and clients get tokens for it (RFC 8707). Write it as it stands there, or add it to audiences. If it is meant, write meant: [metadata-audience] in resources[0]."#]),
        row(&[("/resources/0/origin", json!("https://api.example")), ("/resources/0/dpop", json!({"nonce": true})), ("/resources/0/routes", json!([{"path": "/healthz", "access": "public", "limits": "none"}])), ("/limits", Value::Null)], &["resources[0].dpop: means nothing, because no route takes tokens. Remove it."]),
    ]);
}

#[test]
#[rustfmt::skip] // One mistake a line.
fn certificates_at_a_waypoint_that_were_mistaken() {
    let at_waypoint = [
        ("/peer", json!({"from": "mesh-principal"})),
        ("/resources/0/routes/1/bound", json!("when-bound")),
        ("/resources/0/routes/2/bound", json!("when-bound")),
    ];
    let with = |more: &[(&'static str, Value)], answers: &[&'static str]| row(&[&at_waypoint[..], more].concat(), answers);
    let by = |peer: &str| ("/limits/per-client/overrides", json!([{"peer": peer, "rate": "2/min"}]));
    check(&[
        with(&[], &[]),
        with(&[("/resources/0/forward", json!({"headers": {"x-peer": "peer"}}))], &[]),
        with(&[("/resources/0/forward", json!({"headers": {"x-peer": "thumbprint"}}))], &["warning: resources[0].forward.headers.x-peer: never there, because with peer.from: mesh-principal there is no certificate. Write peer, which is the SPIFFE ID, or forward.strip where a caller's own is only to be removed."]),
        with(&[by("spiffe://a/ns/b")], &[]),
        with(&[by("dns:a.example")], &["limits.per-client.overrides[0].peer: never met, because with peer.from: mesh-principal there is no certificate. Write a SPIFFE ID, or remove the override."]),
    ]);
}
