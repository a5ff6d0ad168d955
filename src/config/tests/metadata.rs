//! The metadata of a resource: made of what is enforced, served where clients look for it.

use serde_json::{Value, json};

use super::{findings, policy, put, says, with};

fn served(metadata: &str) -> (String, Value, String) {
    let policy = policy(&with("/resources/0/metadata", json!(metadata))).unwrap();
    let resource = &policy.resources[0];
    let route = resource.routes.iter().find(|route| route.document.is_some()).unwrap();
    let document = serde_json::from_str(route.document.as_deref().unwrap()).unwrap();
    (route.pattern.to_string(), document, resource.resource_metadata.as_deref().unwrap().to_owned())
}

#[test]
fn the_document_says_what_is_enforced_and_challenges_name_where_it_is() {
    let (path, document, url) = served("https://api.example.com");
    assert_eq!(path, "/.well-known/oauth-protected-resource");
    assert_eq!(url, "https://api.example.com/.well-known/oauth-protected-resource");
    assert_eq!(
        document,
        json!({
            "resource": "https://api.example.com",
            "authorization_servers": ["https://as.example.com"],
            "scopes_supported": ["read:orders"],
            "bearer_methods_supported": ["header"],
            "tls_client_certificate_bound_access_tokens": true
        })
    );
    let (path, document, url) = served("https://localhost:8443/v1/orders");
    assert_eq!(path, "/.well-known/oauth-protected-resource/v1/orders");
    assert_eq!(url, "https://localhost:8443/.well-known/oauth-protected-resource/v1/orders");
    assert_eq!(document["resource"], "https://localhost:8443/v1/orders");
    let mut config = with("/resources/0/metadata", json!("https://api.example.com/"));
    put(&mut config, "/resources/0/routes/1/scopes", json!({ "all": ["b", "a"], "any": ["c", "a"] }));
    let policy = policy(&config).unwrap();
    let route = policy.resources[0].routes.iter().find(|route| route.document.is_some()).unwrap();
    let document: Value = serde_json::from_str(route.document.as_deref().unwrap()).unwrap();
    assert_eq!(document["scopes_supported"], json!(["a", "b", "c"]));
    assert_eq!(
        (&document["resource"], route.pattern.to_string().as_str()),
        (&"https://api.example.com/".into(), "/.well-known/oauth-protected-resource")
    );
}

#[test]
fn the_document_says_how_proofs_are_signed_where_routes_take_tokens_that_are_bound_to_a_key() {
    let proofs = |bound: &str| {
        let mut config = with("/resources/0/metadata", json!("https://api.example.com"));
        put(&mut config, "/resources/0/origin", json!("https://api.example.com"));
        put(&mut config, "/resources/0/dpop", json!({ "algorithms": ["ES256"] }));
        put(&mut config, "/resources/0/routes/1/bound", json!(bound));
        let policy = policy(&config).unwrap();
        let route = policy.resources[0].routes.iter().find(|route| route.document.is_some()).unwrap();
        let document: Value = serde_json::from_str(route.document.as_deref().unwrap()).unwrap();
        [
            "dpop_signing_alg_values_supported",
            "dpop_bound_access_tokens_required",
            "tls_client_certificate_bound_access_tokens",
        ]
        .map(|member| document[member].clone())
    };
    assert_eq!(proofs("any"), [json!(["ES256"]), json!(false), json!(true)]);
    assert_eq!(proofs("dpop"), [json!(["ES256"]), json!(true), Value::Null]);
    assert_eq!(proofs("mtls"), [Value::Null, Value::Null, json!(true)]);
}

#[test]
fn a_document_that_could_not_be_found_is_told() {
    says(
        "/resources/0/metadata",
        json!("https://other.example.com"),
        &[
            r#"resources[0].metadata: the host "other.example.com" is none of those of this resource. Write the URL as clients of this resource name it."#,
        ],
    );
    for bad in ["https://api.example.com/?a=b", "https://api.example.com/a//b", "https://api.example.com/a/**"] {
        let expected = format!(
            "resources[0].metadata: {bad:?} has a path or a query that no document can be served at. Write the URL of the resource as clients name it, without a query."
        );
        says("/resources/0/metadata", json!(bad), &[&expected]);
    }
    let mut config = with("/resources/0/metadata", json!("https://api.example.com"));
    put(&mut config, "/resources/0/resource_metadata", json!("https://api.example.com/elsewhere"));
    assert_eq!(
        findings(&config),
        ["resources[0].resource_metadata: stands beside metadata. Remove it: challenges name the document."]
    );
    let mut config = with("/resources/0/metadata", json!("https://api.example.com"));
    let hiding = json!({ "path": "/.well-known/oauth-protected-resource", "access": "public", "limits": "none" });
    put(&mut config, "/resources/0/routes/3", hiding);
    let found = findings(&config);
    assert!(found[0].starts_with("resources[0].metadata: never reached: resources[0].routes[3]"), "{found:?}");
    let mut config = with("/resources/0/metadata", json!("https://api.example.com"));
    config["resources"][0]["routes"] = json!([{ "path": "/healthz", "access": "public" }]);
    let found = findings(&config);
    assert!(
        found.iter().any(|finding| finding.contains("metadata: means nothing, because no route takes tokens")),
        "{found:?}"
    );
}

#[test]
fn a_catch_all_does_not_hide_the_document() {
    let mut config = with("/resources/0/metadata", json!("https://api.example.com"));
    put(&mut config, "/resources/0/routes/3", json!({ "path": "/**", "limits": "none" }));
    assert_eq!(findings(&config), [""; 0]);
}
