//! How tokens of an issuer end before their time.

use std::time::Duration;

use serde_json::{Value, json};

use super::{findings, policy, put, says, with};
use crate::policy::{Endpoint, OnStale, RevocationSource};

const AT: &str = "/issuers/main/revocation";

fn source(rule: Value) -> RevocationSource {
    policy(&with(AT, rule)).unwrap().issuers[0].revocation.source.clone().unwrap()
}

#[test]
fn a_document_is_fetched_every_half_minute_and_its_loss_refuses_unless_said_otherwise() {
    let rule = json!({"cluster": "as", "uri": "https://as.example.com/revoked"});
    let mut expected = RevocationSource {
        id: "as https://as.example.com/revoked".into(),
        at: Endpoint { cluster: "as".into(), authority: "as.example.com".into(), path: "/revoked".into() },
        refresh: Duration::from_secs(30),
        max_stale: Duration::from_secs(300),
        timeout: Duration::from_secs(5),
        max_bytes: 4 << 20,
        on_stale: OnStale::Refuse,
    };
    assert_eq!(source(rule.clone()), expected);
    let mut other = rule;
    other["on_stale"] = json!("allow");
    other["max_bytes"] = json!("1KiB");
    (expected.on_stale, expected.max_bytes) = (OnStale::Allow, 1024);
    assert_eq!(source(other), expected);
}

#[test]
fn the_memory_that_documents_may_take_is_told() {
    let rule = json!({"cluster": "as", "uri": "https://as.example.com/revoked", "max_bytes": "32MiB"});
    let summary = policy(&with(AT, rule)).unwrap().summary();
    assert!(summary.ends_with("; revocations at most 128.0 MiB in each worker"), "{summary}");
    assert!(!policy(&with(AT, json!({"entries": {}}))).unwrap().summary().contains("revocations"));
}

#[test]
fn revocation_is_a_document_or_entries_and_each_in_full() {
    says(
        AT,
        json!({}),
        &[
            "issuers.main.revocation: has neither uri nor entries nor status_lists. Write cluster and uri of a document of revocations, or one of these, or remove it.",
        ],
    );
    says(
        AT,
        json!({"entries": {"jti": ["a"]}, "on_stale": "refuse"}),
        &[
            "issuers.main.revocation.on_stale: means nothing without uri. Write uri: https://..., where the document of revocations is, or remove this.",
        ],
    );
    says(
        AT,
        json!({"uri": "https://as.example.com/revoked"}),
        &["issuers.main.revocation.cluster: missing. Write the cluster of Envoy that leads to uri."],
    );
    says(
        AT,
        json!({"cluster": "as", "uri": "https://as.example.com/revoked", "refresh": "10m"}),
        &[
            "issuers.main.revocation.max_stale: shorter than refresh, so that everything would be stale before it is fetched anew. Raise max_stale or lower refresh.",
        ],
    );
}

const OWN: &str = "/resources/0/revocation";

#[test]
fn a_resource_takes_tokens_back_by_the_keys_of_an_issuer() {
    let rule = json!({"cluster": "as", "uri": "https://as.example.com/revoked", "refresh": "10s", "on_stale": "allow"});
    let own = policy(&with(OWN, rule.clone())).unwrap().resources[0].revocation.source.clone();
    assert_eq!(own, Some(source(rule)));
    let entries = json!({"entries": {"jkt": ["A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"]}});
    let listed = policy(&with(OWN, entries)).unwrap();
    assert!(!listed.resources[0].revocation.listed.is_empty() && listed.issuers[0].revocation.listed.is_empty());
    says(
        OWN,
        json!({}),
        &[
            "resources[0].revocation: has neither uri nor entries. Write cluster and uri of a document of revocations, or one of these, or remove it.",
        ],
    );
    says(
        OWN,
        json!({"entries": {"jti": [""]}}),
        &[
            "resources[0].revocation.entries.jti: has a value that is empty. Write what a document of revocations has: { jti: [...], sub: [...], issued_before: { sub: { alice: 1767225600 } } }.",
        ],
    );
}

#[test]
fn lists_that_tokens_name_belong_to_their_issuer() {
    says(
        OWN,
        json!({"status_lists": {"cluster": "as", "uri": "https://as.example.com/statuslists/"}}),
        &[
            "resources[0].revocation.status_lists: belongs to an issuer, whose tokens name the lists and whose keys sign them. Write it into issuers.<name>.revocation.",
        ],
    );
}

#[test]
fn what_a_resource_takes_back_means_something_only_where_tokens_are_taken() {
    let mut config = with("/resources/0/routes", json!([{"path": "/healthz", "access": "public", "limits": "none"}]));
    put(&mut config, OWN, json!({"entries": {"jti": ["a"]}}));
    let told = findings(&config);
    let expected = "resources[0].revocation: means nothing, because no route here takes tokens. Remove it.";
    assert!(told.iter().any(|finding| finding == expected), "{told:?}");
}

#[test]
fn a_document_that_several_name_has_the_same_times_and_counts_once() {
    let rule = json!({"cluster": "as", "uri": "https://as.example.com/revoked", "max_bytes": "32MiB"});
    let mut config = with(AT, rule.clone());
    let mut other = rule.clone();
    other["on_stale"] = json!("allow");
    put(&mut config, OWN, other);
    assert!(policy(&config).unwrap().summary().ends_with("; revocations at most 128.0 MiB in each worker"));
    for (key, value) in [("refresh", "10s"), ("max_stale", "1h"), ("timeout", "1s"), ("max_bytes", "1MiB")] {
        let mut other = rule.clone();
        other[key] = json!(value);
        put(&mut config, OWN, other);
        assert_eq!(
            findings(&config),
            [
                "resources[0].revocation: is the document of issuers.main.revocation, with other times or another max_bytes. Write refresh, max_stale, timeout and max_bytes alike: it is fetched once for all who name it."
            ],
            "{key}"
        );
    }
    for (key, value) in [("uri", "https://as.example.com/own"), ("cluster", "other")] {
        let mut other = rule.clone();
        (other[key], other["refresh"]) = (json!(value), json!("10s"));
        put(&mut config, OWN, other);
        assert!(policy(&config).unwrap().summary().ends_with("; revocations at most 256.0 MiB in each worker"));
    }
}

#[test]
fn an_entry_that_could_revoke_nothing_is_a_finding_at_its_place() {
    let remedy = "Write what a document of revocations has: { jti: [...], sub: [...], issued_before: { sub: { alice: 1767225600 } } }.";
    for (entries, finding) in [
        (json!({"jti": [""]}), "jti: has a value that is empty".to_owned()),
        (json!({"username": ["a"]}), "username: unknown here".to_owned()),
        (
            json!({"x5t#S256": ["AB"]}),
            "[\"x5t#S256\"]: has a value that is no thumbprint: 43 characters of base64url".to_owned(),
        ),
        (
            json!({"issued_before": {"sub": {"a": "now"}}}),
            "issued_before.sub.a: no moment: seconds since 1970, as in tokens".to_owned(),
        ),
    ] {
        let dot = if finding.starts_with('[') { "" } else { "." };
        says(AT, json!({"entries": entries}), &[&format!("issuers.main.revocation.entries{dot}{finding}. {remedy}")]);
    }
}
