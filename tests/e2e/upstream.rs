//! What the upstream learns about the caller: the operator's list, and nothing the caller claims.

use boundgate_testbed::{JwksAnswer, Testbed};
use serde_json::json;

use crate::expectations::{alices_token, bed, refused, with};

#[tokio::test]
async fn claimed_identities_are_stripped_on_every_route() {
    let forward = |config: &mut serde_json::Value| {
        config["resources"][0]["forward"] = json!({"headers": {"x-client-id": "client_id", "x-peer": "peer"}, "strip": ["x-legacy-user", "x-envoy-max-retries"]});
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
        "x-original-url",
        "x-rewrite-url",
        "x-forwarded-host",
        "x-forwarded-prefix",
        "x-forwarded-user",
        "x_forwarded_user",
        "x_forwarded_client_cert",
        "x_forwarded_for",
        "x_envoy_internal",
        "forwarded",
        "remote-user",
        "x-ssl-client-s-dn",
        "x-ssl-client-verify",
        "x-envoy-original-dst-host",
        "x-envoy-max-retries",
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
async fn the_token_stays_here_on_every_route_and_where_refusals_are_only_reported() {
    let keep = |config: &mut serde_json::Value| {
        config["resources"][0]["forward"] = json!({"token": false});
        config["resources"][0]["mode"] = json!("report");
        config["resources"][0]["routes"][2]["preflight"] = json!(true);
    };
    let bed = Testbed::start(with(keep)).await;
    let token = alices_token(&bed).await;
    let (alice, bob) = (bed.client("alice"), bed.client("bob"));
    let preflight = alice.request("OPTIONS", "/plain").header("origin", "https://app.example.com");
    for request in [
        bob.get("/orders/7").token(&token),
        bob.get("/orders/7").token(&token).token(&token),
        alice.get("/healthz").token(&token),
        alice.get("/mesh").token(&token),
        alice.get("/nowhere").token(&token),
        preflight.header("access-control-request-method", "GET").token(&token),
    ] {
        let line = request.line();
        assert_eq!(request.send().await.status, 200, "{line}");
        let received = bed.upstream.received().pop().unwrap();
        assert_eq!(received.header("authorization"), None, "{line}");
    }
    assert_eq!(bed.upstream.count(), 6);
}

#[tokio::test]
async fn what_a_trusted_hop_sets_passes_if_the_operator_says_so() {
    let keep =
        |config: &mut serde_json::Value| config["resources"][0]["forward"] = json!({"keep": ["x-forwarded-host"]});
    let bed = Testbed::start(with(keep)).await;
    let request = bed.anonymous();
    let request = request.get("/healthz").header("x-forwarded-host", "shop.example").header("x-forwarded-prefix", "/x");
    assert_eq!(request.send().await.status, 200);
    let received = bed.upstream.received().pop().unwrap();
    assert_eq!(received.header("x-forwarded-host").as_deref(), Some("shop.example"));
    assert_eq!(received.header("x-forwarded-prefix"), None);
}

/// As shipped, with an upstream that gets trailers.
pub fn trailers_go_upstream(envoy: &mut serde_json::Value) {
    let clusters = envoy["static_resources"]["clusters"].as_array_mut().unwrap();
    let upstream = clusters.iter_mut().find(|cluster| cluster["name"] == "upstream").unwrap();
    upstream["typed_extension_protocol_options"] = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}}
    }});
}

const SPOOFED_TRAILERS: [&str; 7] = [
    "x-client-id",
    "x-http-method-override",
    "x-legacy-user",
    "x-original-url",
    "authorization",
    "x-forwarded-client-cert",
    "x-forwarded-for",
];

#[tokio::test]
async fn trailers_lose_what_heads_lose() {
    let forward = |config: &mut serde_json::Value| {
        config["resources"][0]["forward"] =
            json!({"headers": {"x-client-id": "client_id"}, "strip": ["x-legacy-user"]});
    };
    let bed = Testbed::start(with(forward).edit(trailers_go_upstream)).await;
    let token = alices_token(&bed).await;
    let alice = bed.client("alice").http2();
    let request = alice.post("/orders.Orders/Get").token(&token).body([7; 1_000]).trailer("x-checksum", "1");
    let request = SPOOFED_TRAILERS.iter().fold(request, |request, name| request.trailer(name, "mallory"));
    assert_eq!(request.send().await.status, 200);
    let received = bed.upstream.received().pop().unwrap();
    assert_eq!(received.trailers, [("x-checksum".to_owned(), b"1".to_vec())]);
    assert_eq!((received.header("x-client-id").as_deref(), received.body_len), (Some("alice"), 1_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_that_came_while_the_head_waited_lose_the_same() {
    let go_on = |envoy: &mut serde_json::Value| {
        trailers_go_upstream(envoy);
        let manager = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        manager["http_filters"][0]["typed_config"]["config"]["allow_on_headers_stop_iteration"] = json!(true);
    };
    for edit in [trailers_go_upstream, go_on] {
        let bed = Testbed::start(with(|_| {}).edit(edit)).await;
        let token = alices_token(&bed).await;
        crate::keys::keys_loaded(&bed, 2).await;
        crate::keys::without_keys(&bed).await;
        let alice = bed.client("alice").http2();
        let waiting = tokio::spawn(async move {
            let request = alice.post("/orders.Orders/Get").token(&token).body([7; 1_000]).trailer("x-checksum", "1");
            request.trailer("x-original-url", "mallory").send().await.status
        });
        crate::keys::active(&bed, 1).await;
        bed.authority.answer_jwks_with(JwksAnswer::Keys);
        assert_eq!(waiting.await.unwrap(), 200);
        let received = bed.upstream.received().pop().unwrap();
        assert_eq!(received.trailers, [("x-checksum".to_owned(), b"1".to_vec())]);
        assert_eq!(received.body_len, 1_000);
    }
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
    // Nobody waits for keys there.
    bed.envoy.stat_reaches("wasmcustom.boundgate.key_fetch_ok", 2).await.unwrap();
    let token = alices_token(&bed).await;
    let answer = bed.client("bob").get("/orders/7").token(&token).header("x-client-id", "alice").send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(bed.upstream.received()[0].header("x-client-id"), None);
    let line = bed.envoy.access_log_of(&answer).await;
    assert!(line["audit"].as_str().unwrap().contains(r#""decision":"reported","reason":"binding-mismatch""#), "{line}");
    bed.envoy.stat_reaches("wasmcustom.boundgate.requests.decision.reported.reason.binding-mismatch", 1).await.unwrap();
    assert!(
        bed.envoy.log().contains("mode is report in resources[0]: nothing is refused there"),
        "{}",
        bed.envoy.log()
    );
}
