//! The metadata of a resource (RFC 9728): a client that knows nothing finds it by the challenge.

use boundgate_testbed::Testbed;
use serde_json::{Value, json};

use crate::expectations::{alices_token, recorded, with};

async fn bed() -> Testbed {
    Testbed::start(with(|config| {
        config["resources"][0]["metadata"] = json!("https://api.example.com");
        let routes = config["resources"][0]["routes"].as_array_mut().expect("a list");
        routes.push(json!({"path": "/**", "scopes": ["admin"]}));
    }))
    .await
}

/// The value of `resource_metadata` in a challenge.
fn url(challenge: &str) -> &str {
    let (_, rest) = challenge.split_once("resource_metadata=\"").expect("the challenge names it");
    rest.split('"').next().expect("a quoted string")
}

#[tokio::test]
async fn a_client_without_a_token_finds_the_document_by_the_challenge_and_it_says_what_is_enforced() {
    let bed = bed().await;
    for client in [bed.anonymous(), bed.client("alice").http2()] {
        let refused = client.get("/orders/7").send().await;
        let challenge = refused.challenges().concat();
        let path = url(&challenge).strip_prefix("https://api.example.com").expect("its own host");
        let answer = client.get(path).send().await;
        assert_eq!((answer.status, answer.header("content-type").as_deref()), (200, Some("application/json")));
        assert_eq!(answer.header("cache-control").as_deref(), Some("public, max-age=3600"));
        assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some("*"));
        // RFC 9728 3.3: the URL it was fetched from is the one that its own identifier leads to.
        let document = answer.json();
        let well_known =
            format!("{}/.well-known/oauth-protected-resource", document["resource"].as_str().expect("text"));
        assert_eq!(url(&challenge), well_known);
        let expected = json!({
            "resource": "https://api.example.com",
            "authorization_servers": ["https://as.example.com"],
            "scopes_supported": ["admin", "read:orders"],
            "bearer_methods_supported": ["header"],
            "tls_client_certificate_bound_access_tokens": true
        });
        assert_eq!(document, expected);
        let record = recorded(&bed, &answer).await;
        assert_eq!((&record["decision"], &record["route"]), (&Value::from("answered"), &Value::from("metadata")));
    }
    assert_eq!(bed.upstream.count(), 0);
    // What it says is so: a token with the scope it names passes.
    let token = alices_token(&bed).await;
    assert_eq!(bed.client("alice").get("/orders/7").token(&token).send().await.status, 200);
}

#[tokio::test]
async fn the_document_is_for_get_and_head_alone() {
    let bed = bed().await;
    let alice = bed.client("alice");
    let path = "/.well-known/oauth-protected-resource";
    let head = alice.request("HEAD", path).send().await;
    assert_eq!((head.status, head.text().as_str()), (200, ""));
    for request in [alice.post(path), alice.request("DELETE", path), alice.get(format!("{path}/v1"))] {
        assert_ne!(request.send().await.status, 200);
    }
    assert_eq!(bed.upstream.count(), 0);
}
