//! What can be wrong anywhere, with the exact words.

use serde_json::json;

use super::{findings, good, put, route, says, with};
use crate::config::load;

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
    says("/limits/everyone/windows", json!(true), &["limits.everyone.windows: not supported yet. Leave it out."]);
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
            "issuers.main: has neither jwks nor keys. Write jwks: { cluster: ..., uri: ... } to fetch them, or keys: { keys: [...] }; introspection: { ... } where its tokens are opaque.",
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
    says(
        "/peer",
        json!("tls"),
        &["peer: this is text, not a table. Its keys: from, insecure_assume_validated, warn_before."],
    );
    says(
        "/limit_fields",
        json!("yes"),
        &["limit_fields: this is text, not true or false. Write true or false, without quotation marks."],
    );
    says(
        &route("limits"),
        json!("everyone"),
        &[
            "resources[0].routes[1].limits: this is text, not a list of limits. Write it in brackets, like [a, b], or the word none.",
        ],
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
        &[
            "resources[0].realm: this is a number, not text. Write text. If that is what it is called, put it in quotation marks.",
        ],
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
fn everything_is_told_at_once() {
    let mut config = good();
    put(&mut config, "/issuers/main/jwks/clustr", json!("as"));
    put(&mut config, "/issuers/main/leeway", json!("2m"));
    put(&mut config, "/resources/0/hosts/0", json!("a b"));
    put(&mut config, "/resources/0/routes/1/limits/0", json!("per-clinet"));
    put(&mut config, "/resources/0/routes/2", json!(7));
    put(&mut config, "/resources/0/routes/0/scopes", json!(["a"]));
    put(&mut config, "/limits/per-client/rate", json!("10"));
    put(&mut config, "/sources", json!({}));
    put(&mut config, "/max_token_bytes", json!(1));
    let paths: Vec<String> = super::policy(&config).unwrap_err().iter().map(|finding| finding.path.clone()).collect();
    assert_eq!(
        paths,
        [
            "issuers.main.jwks.clustr",
            "issuers.main.leeway",
            "limits.per-client.rate",
            "max_token_bytes",
            "resources[0].hosts[0]",
            "resources[0].routes[0].scopes",
            "resources[0].routes[1].limits[0]",
            "resources[0].routes[2]",
            "sources",
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
            r#"["a\nb"]: unknown key. Known here: mode, peer, issuers, api_keys, resources, limits, services, limit_table, limit_fields, x_ratelimit, limit_fields_in_report, refusals, token_cache, mark, max_token_bytes."#
        ]
    );
}

#[test]
fn a_document_that_is_something_else_is_cut_short() {
    let members: serde_json::Map<_, _> = (0..9_000).map(|number| (format!("key-{number}"), json!(1))).collect();
    let findings = findings(&members.into());
    assert_eq!(findings.len(), 1001);
    assert_eq!(findings[1000], "configuration: more than 1000 findings. Repair these first.");
}
