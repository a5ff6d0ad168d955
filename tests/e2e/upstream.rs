//! What the upstream learns about the caller: the operator's list, and nothing the caller claims.

use boundgate_testbed::Testbed;
use serde_json::json;

use crate::expectations::{alices_token, bed, refused, with};

#[tokio::test]
async fn claimed_identities_are_stripped_on_every_route() {
    let forward = |config: &mut serde_json::Value| {
        config["resources"][0]["forward"] =
            json!({"headers": {"x-client-id": "client_id", "x-peer": "peer"}, "strip": ["x-legacy-user"]});
    };
    // The shipped listener already refuses underscores in header names; here the filter is alone.
    let underscores = |config: &mut serde_json::Value| {
        let chain = &mut config["static_resources"]["listeners"][0]["filter_chains"][0];
        chain["filters"][0]["typed_config"]["common_http_protocol_options"]["headers_with_underscores_action"] =
            json!("ALLOW");
    };
    let bed = Testbed::start(with(forward).edit(underscores)).await;
    let token = alices_token(&bed).await;
    let pretend = [
        "x-client-id",
        "X-Client-Id",
        "x_client_id",
        "x-peer",
        "client-cert",
        "x-forwarded-client-cert",
        "x-http-method-override",
        "x-legacy-user",
    ];
    for path in ["/orders/7", "/healthz"] {
        let client = bed.client("alice");
        let request =
            pretend.iter().fold(client.get(path).token(&token), |request, name| request.header(name, "mallory"));
        assert_eq!(request.send().await.status, 200);
    }
    let [order, health] = &bed.upstream.received()[..] else { panic!() };
    assert_eq!(order.header("x-client-id").as_deref(), Some("alice"));
    assert_eq!(order.header("x-peer").as_deref(), Some("spiffe://example.org/client/alice"));
    assert_eq!(health.header("x-client-id"), None);
    for received in [order, health] {
        assert!(received.headers.iter().all(|(_, value)| value != b"mallory"), "{received:?}");
    }
}

#[tokio::test]
async fn the_token_stays_here_if_the_operator_says_so() {
    let keep = |config: &mut serde_json::Value| config["resources"][0]["forward"] = json!({"token": false});
    let bed = Testbed::start(with(keep)).await;
    let token = alices_token(&bed).await;
    assert_eq!(bed.client("alice").get("/orders/7").token(&token).send().await.status, 200);
    assert_eq!(bed.upstream.received()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_claim_that_no_header_may_carry_is_refused_instead_of_sent() {
    let forward =
        |config: &mut serde_json::Value| config["resources"][0]["forward"] = json!({"headers": {"x-sub": "sub"}});
    let bed = Testbed::start(with(forward)).await;
    let alice = bed.client("alice");
    for sub in ["a\r\nx-admin: 1", "a\nb", "é", " a", &"a".repeat(9_000)] {
        let claims = bed.authority.claims().scope("read:orders").bound_to(alice.identity().unwrap());
        let answer = alice.get("/orders/7").token(&claims.set("sub", sub).sign()).send().await;
        refused(&bed, &answer, 401, "claim-unforwardable").await;
    }
}

#[tokio::test]
async fn the_query_reaches_the_upstream_and_no_log() {
    let bed = bed().await;
    let answer = bed.anonymous().get("/healthz?access_token=secret-in-query").send().await;
    assert_eq!(answer.status, 200);
    let line = bed.envoy.access_log_of(&answer).await;
    assert!(!line.to_string().contains("secret-in-query"));
}

#[tokio::test]
async fn a_resource_that_only_reports_lets_everything_pass_and_names_nobody() {
    let report = |config: &mut serde_json::Value| {
        config["resources"][0]["mode"] = json!("report");
        config["resources"][0]["forward"] = json!({"headers": {"x-client-id": "client_id"}});
    };
    let bed = Testbed::start(with(report)).await;
    let token = alices_token(&bed).await;
    let answer = bed.client("bob").get("/orders/7").token(&token).header("x-client-id", "alice").send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(bed.upstream.received()[0].header("x-client-id"), None);
    let line = bed.envoy.access_log_of(&answer).await;
    assert!(line["audit"].as_str().unwrap().contains(r#""decision":"reported","reason":"binding-mismatch""#), "{line}");
    bed.envoy.stat_reaches("wasmcustom.boundgate.requests.decision.reported.reason.binding-mismatch", 1).await.unwrap();
    assert!(bed.envoy.log().contains("resources[0].mode is report"));
    assert_eq!(bed.client("alice").get("/orders/%2e%2e/x").send().await.status, 400);
}
