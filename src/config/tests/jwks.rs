//! Where keys are fetched: by an address, or where the issuer's metadata says.

use serde_json::{Value, json};

use super::{findings, policy, put, says, with};
use crate::policy::{Discovery, Endpoint, JwksAt, JwksSource, KeySource};

/// The keys of `issuer` where its metadata says, with these keys besides.
fn discovered(issuer: &str, more: &Value) -> Value {
    let mut config = with("/issuers/main/issuer", json!(issuer));
    let mut jwks = json!({ "cluster": "as", "discovery": "openid-configuration" });
    for (name, value) in more.as_object().unwrap() {
        jwks[name] = value.clone();
    }
    put(&mut config, "/issuers/main/jwks", jwks);
    config
}

fn discovery(config: &Value) -> Discovery {
    match &policy(config).unwrap().issuers[0].keys {
        KeySource::Remote(JwksSource { at: JwksAt::Discovered(discovery), .. }) => discovery.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn metadata_is_asked_at_the_issuer_and_names_keys_there_or_at_a_listed_host() {
    let issuer = "https://sso.example.com:8443/realms/a/";
    let hosts = json!({ "hosts": { "Keys.example.com:443": "keys" } });
    assert_eq!(
        discovery(&discovered(issuer, &hosts)),
        Discovery {
            metadata: Endpoint {
                cluster: "as".into(),
                authority: "sso.example.com:8443".into(),
                path: "/realms/a/.well-known/openid-configuration".into()
            },
            issuer: issuer.into(),
            hosts: vec![("sso.example.com:8443".into(), "as".into()), ("keys.example.com".into(), "keys".into())],
        }
    );
    let oauth = discovered(issuer, &json!({ "discovery": "oauth-authorization-server" }));
    assert_eq!(&*discovery(&oauth).metadata.path, "/.well-known/oauth-authorization-server/realms/a");
}

#[test]
fn where_keys_are_is_said_once_and_in_one_way() {
    says(
        "/issuers/main/jwks/discovery",
        json!("openid-configuration"),
        &["issuers.main.jwks.discovery: stands beside uri. Write one of both."],
    );
    says(
        "/issuers/main/jwks/uri",
        json!(null),
        &[
            "issuers.main.jwks: has neither uri nor discovery. Write uri: https://..., where the keys are, or discovery: openid-configuration to have the issuer's metadata name it.",
        ],
    );
    says(
        "/issuers/main/jwks/hosts",
        json!({ "keys.example.com": "keys" }),
        &[
            "issuers.main.jwks.hosts: stands beside uri, which names the host already. Remove it, or write discovery instead of uri.",
        ],
    );
    let issuer = "https://as.example.com";
    for (more, finding) in [
        (
            json!({ "discovery": "openid" }),
            r#"issuers.main.jwks.discovery: "openid" is unknown here. Known here: openid-configuration, oauth-authorization-server."#,
        ),
        (
            json!({ "hosts": { "https://keys.example.com": "keys" } }),
            r#"issuers.main.jwks.hosts["https://keys.example.com"]: "https://keys.example.com" is no host. Write the host of the keys, with its port unless that is 443, and the cluster that leads there."#,
        ),
        (
            json!({ "hosts": { "AS.example.com": "other" } }),
            r#"issuers.main.jwks.hosts["AS.example.com"]: the issuer's own host, which cluster leads to. Remove it."#,
        ),
    ] {
        assert_eq!(findings(&discovered(issuer, &more)), [finding]);
    }
    assert_eq!(
        findings(&discovered("http://as.example.com", &json!({}))),
        [
            r#"issuers.main.issuer: "http://as.example.com" does not begin with https://. Write the exact "iss" of its tokens, like "https://as.example.com"."#
        ]
    );
}

#[test]
fn fetches_have_the_header_fields_that_are_configured_and_no_secrets() {
    let sent = |headers: Value| match &policy(&with("/issuers/main/jwks/headers", headers)).unwrap().issuers[0].keys {
        KeySource::Remote(source) => source.headers.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        sent(json!({ "x-tenant": "7 a", "user-agent": "gateway" })),
        [("user-agent".into(), "gateway".into()), ("x-tenant".into(), "7 a".into())]
    );
    let says = |name: &str, value: Value, expected: &str| {
        let place = "/issuers/main/jwks/headers";
        let found = findings(&with(place, json!({ name: value })));
        assert!(found.len() == 1 && found[0].contains(expected), "{name}: {found:?}");
    };
    for name in ["authorization", "Authorization", "cookie", "proxy-authorization"] {
        says(name, json!("x"), "carries a secret, which does not belong into a configuration. Remove it, and");
    }
    says("accept-encoding", json!("gzip"), "compressed answers are not read");
    says("host", json!("x"), "belongs to HTTP or to Envoy");
    says("X-Tenant", json!("x"), "is no name of a header");
    says("x-tenant", json!("a\r\nx-b: c"), "is no value of a header");
    says("x-tenant", json!(7), "this is a number, not the value of a header");
    let many: Value =
        (0..17).map(|number| (format!("x-{number}"), json!("x"))).collect::<serde_json::Map<_, _>>().into();
    assert_eq!(findings(&with("/issuers/main/jwks/headers", many)).len(), 1);
    let trust = |config: &Value| policy(config).unwrap().issuers[0].trust.clone();
    let plain = with("/issuers/main/jwks/timeout", json!("3s"));
    assert_ne!(trust(&with("/issuers/main/jwks/headers", json!({ "x-tenant": "7" }))), trust(&plain));
}

#[test]
fn the_trust_is_in_who_names_the_keys_and_where_they_may_be() {
    let trust = |config: &Value| policy(config).unwrap().issuers[0].trust.clone();
    let issuer = "https://as.example.com";
    let first = trust(&discovered(issuer, &json!({})));
    for more in [
        json!({ "discovery": "oauth-authorization-server" }),
        json!({ "cluster": "other" }),
        json!({ "hosts": { "keys.example.com": "keys" } }),
    ] {
        assert_ne!(trust(&discovered(issuer, &more)), first, "{more}");
    }
    assert_ne!(trust(&with("/issuers/main/jwks/uri", json!("https://as.example.com/jwks"))), first);
    assert_eq!(trust(&discovered(issuer, &json!({ "refresh": "1m", "timeout": "3s" }))), first);
}
