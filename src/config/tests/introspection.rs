//! Issuers that are asked about tokens.

use serde_json::{Value, json};

use super::{findings, policy, with};
use crate::config::check_secrets;
use crate::policy::{AskedTokens, ClientAuth, Introspection, KeySource};

/// The good configuration, whose issuer is asked as these keys say.
fn asked(keys: &Value) -> Value {
    let mut introspection = json!({"cluster": "as", "uri": "https://as.example.com/introspect"});
    introspection.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    with("/issuers/main/introspection", introspection)
}

/// The same without keys.
fn without_keys(keys: &Value) -> Value {
    let mut config = asked(keys);
    for key in ["jwks", "algorithms"] {
        config["issuers"]["main"].as_object_mut().unwrap().remove(key);
    }
    config
}

fn introspection(keys: &Value) -> Introspection {
    policy(&asked(keys)).unwrap().issuers[0].introspection.clone().unwrap()
}

fn with_secret() -> Value {
    json!({"client": {"id": "api", "secret": {"env": "SECRET"}}})
}

#[test]
fn an_issuer_is_asked_about_opaque_tokens_unless_it_says_always() {
    let opaque = introspection(&json!({}));
    assert_eq!((opaque.tokens, opaque.client, opaque.ttl.as_secs()), (AskedTokens::Opaque, None, 30));
    assert_eq!(introspection(&json!({"tokens": "always", "ttl": "0s"})).tokens, AskedTokens::All);
    let secret = introspection(&with_secret()).client.unwrap().secret.unwrap();
    assert_eq!((&*secret.variable, secret.auth), ("SECRET", ClientAuth::Basic));
}

#[test]
fn an_issuer_of_opaque_tokens_alone_needs_neither_keys_nor_algorithms() {
    let policy = policy(&without_keys(&json!({}))).unwrap();
    assert!(matches!(policy.issuers[0].keys, KeySource::None) && policy.issuers[0].algorithms.is_empty());
    let mut without_algorithms = asked(&json!({}));
    without_algorithms["issuers"]["main"].as_object_mut().unwrap().remove("algorithms");
    assert_eq!(findings(&without_algorithms), ["issuers.main.algorithms: missing. It has no default: write it."]);
    let mut without_jwks = asked(&json!({}));
    without_jwks["issuers"]["main"].as_object_mut().unwrap().remove("jwks");
    assert_eq!(
        findings(&without_jwks),
        [
            "issuers.main.algorithms: stands beside no keys, so that nothing could be signed with them. Add jwks, or remove it."
        ]
    );
}

#[test]
fn what_cannot_be_meant_is_said_and_no_secret_is_repeated() {
    let said = |keys: Value| findings(&asked(&keys)).join("\n");
    assert!(said(json!({"timeout": "0s"})).starts_with("issuers.main.introspection.timeout: zero"));
    let secret = said(json!({"client": {"id": "api", "secret": {"env": "hunter-2!"}}}));
    assert!(secret.starts_with("issuers.main.introspection.client.secret.env: this is no name"), "{secret}");
    assert!(!secret.contains("hunter"), "{secret}");
    let secret = said(json!({"client": {"id": "api", "secret": "hunter2"}}));
    assert!(secret.contains("not a table. Write { env: NAME }") && !secret.contains("hunter"), "{secret}");
}

#[test]
fn a_resource_trusts_one_issuer_that_is_asked() {
    let mut config = asked(&json!({}));
    let mut other = config["issuers"]["main"].clone();
    other["issuer"] = json!("https://other.example.com");
    config["issuers"]["other"] = other;
    config["resources"][0]["issuers"] = json!(["main", "other"]);
    let said = findings(&config).join("\n");
    assert!(said.starts_with("resources[0].issuers[1]: is asked about opaque tokens, and so is \"main\""), "{said}");
}

#[test]
fn a_secret_that_the_environment_does_not_have_is_an_error_that_says_where_to_set_it() {
    let policy = policy(&asked(&with_secret())).unwrap();
    let said = |value: Option<&str>| {
        let environment = |name: &str| value.filter(|_| name == "SECRET").map(str::to_owned);
        check_secrets(&policy, &environment).err().map(|findings| findings.to_string()).unwrap_or_default()
    };
    assert_eq!(said(Some("s3cret with a space")), "");
    let place = "issuers.main.introspection.client.secret.env: ";
    let missing = said(None);
    assert!(missing.starts_with(&format!("{place}the VM's environment has no variable \"SECRET\"")), "{missing}");
    assert!(missing.contains("host_env_keys"), "{missing}");
    for wrong in ["", "s3cret\n"] {
        let said = said(Some(wrong));
        assert!(
            said.starts_with(&format!("{place}the variable \"SECRET\" is empty")) && !said.contains("s3cret"),
            "{said}"
        );
    }
}

#[test]
fn whom_the_server_takes_us_for_is_part_of_the_trust_and_times_are_not() {
    let trust = |keys: &Value| policy(&asked(keys)).unwrap().issuers[0].trust.clone();
    let usual = trust(&json!({}));
    assert_eq!(trust(&json!({"ttl": "5s", "timeout": "1s", "negative_ttl": "1s"})), usual);
    for other in [json!({"client": {"id": "api"}}), json!({"tokens": "always"}), json!({"cluster": "b"}), with_secret()]
    {
        assert_ne!(trust(&other), usual, "{other}");
    }
    assert_ne!(policy(&with("/issuers/main/leeway", json!("30s"))).unwrap().issuers[0].trust, usual);
}

#[test]
fn signed_answers_need_keys_and_somebody_whom_they_are_for() {
    let client = json!({"signed": true, "client": {"id": "api"}});
    assert!(introspection(&client).signed);
    assert!(!introspection(&json!({})).signed);
    let without_client = findings(&asked(&json!({"signed": true})));
    assert!(without_client[0].starts_with("issuers.main.introspection.signed: needs client"), "{without_client:?}");
    let no_keys = findings(&without_keys(&client));
    assert!(no_keys[0].starts_with("issuers.main.introspection.signed: needs the keys"), "{no_keys:?}");
}

#[test]
#[cfg(feature = "cli")]
fn a_file_whose_vm_does_not_get_the_variable_of_a_secret_is_a_finding() {
    use crate::config::files::documents::documents;

    let config = asked(&with_secret());
    let said = |file: &Value| {
        let documents = documents(&file.to_string()).unwrap().documents;
        documents[0].policy().err().map(|findings| findings.to_string()).unwrap_or_default()
    };
    let filter = |vm: Value| {
        let configuration = json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": config});
        json!({"x": [{
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {"name": "boundgate", "vm_config": vm, "configuration": configuration}
        }]})
    };
    let plugin = |vm: Value| json!({"kind": "WasmPlugin", "spec": {"pluginConfig": config, "vmConfig": vm}});
    for good in [
        filter(json!({"environment_variables": {"host_env_keys": ["SECRET"]}})),
        filter(json!({"environment_variables": {"key_values": {"SECRET": "x"}}})),
        filter(Value::Null),
        plugin(json!({"env": [{"name": "SECRET", "valueFrom": "HOST"}]})),
        config.clone(),
    ] {
        assert_eq!(said(&good), "", "{good}");
    }
    for bad in [
        filter(json!({"environment_variables": {"host_env_keys": ["OTHER"]}})),
        filter(json!({"vm_id": "x"})),
        plugin(json!({"env": []})),
        plugin(Value::Null),
    ] {
        let said = said(&bad);
        let finding = "introspection.client.secret.env: the VM's environment has no variable \"SECRET\"";
        assert!(said.contains(finding), "{bad}: {said}");
    }
}

#[test]
fn the_memory_of_questions_is_told() {
    let summary = policy(&asked(&json!({}))).unwrap().summary();
    assert!(summary.ends_with("; questions about tokens at most 20.0 MiB in each worker"), "{summary}");
}
