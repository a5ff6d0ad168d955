//! Hosts as Envoy and Istio know them: below a name, with any port, with a dot at the end.

use boundgate_testbed::{Testbed, Update};
use serde_json::{Value, json};

use crate::expectations::{alices_token, refused, with};

/// `api.example.com` of the usual configuration; partners below `partner.example`, without `admin.partner.example:8443`.
fn hosts(config: &mut Value) {
    let route = |path: &str| json!([{"path": path, "access": "public"}]);
    config["resources"].as_array_mut().unwrap().extend([
        json!({"hosts": ["*.partner.example"], "name": "partners", "routes": route("/partners")}),
        json!({"hosts": ["*.a.partner.example"], "name": "a", "routes": route("/a")}),
        json!({"hosts": ["admin.partner.example:8443"], "name": "admin", "routes": route("/admin")}),
    ]);
}

#[tokio::test]
async fn a_host_is_served_under_every_spelling_and_the_most_exact_resource_decides() {
    let bed = Testbed::start(with(hosts)).await;
    let (alice, token) = (bed.client("alice"), alices_token(&bed).await);
    let mut passed = 0;
    for client in [alice.clone(), alice.http2()] {
        for (host, path) in [
            ("api.example.com", "/orders/7"),
            ("API.example.com.", "/orders/7"),
            ("api.example.com:9999", "/orders/7"),
            ("api.example.com.:9999", "/orders/7"),
            ("x.partner.example", "/partners"),
            ("y.x.partner.example:9999", "/partners"),
            ("admin.partner.example", "/partners"),
            ("x.a.partner.example.", "/a"),
            ("admin.partner.example:8443", "/admin"),
            ("admin.partner.example.:8443", "/admin"),
        ] {
            passed += 1;
            let answer = client.get(path).authority(host).token(&token).send().await;
            assert_eq!((answer.status, bed.upstream.count()), (200, passed), "{host} {}", answer.text());
            assert_eq!(bed.upstream.received()[passed - 1].authority, host, "as it was sent");
        }
    }
}

#[tokio::test]
async fn no_resource_serves_what_another_lists_more_exactly_nor_what_none_lists() {
    let bed = Testbed::start(with(hosts)).await;
    let alice = bed.client("alice");
    for (host, path) in [
        ("admin.partner.example:8443", "/partners"),
        ("x.a.partner.example", "/partners"),
        ("a.partner.example", "/a"),
        ("api.example.com", "/partners"),
    ] {
        refused(&bed, &alice.get(path).authority(host).send().await, 404, "route-unknown").await;
    }
    for host in ["partner.example", "xpartner.example", "x.api.example.com", "example.com", "10.0.0.1"] {
        refused(&bed, &alice.get("/partners").authority(host).send().await, 421, "host-unknown").await;
    }
    for host in ["api.example.com..", "api..example.com", "*.partner.example", "api.example.com:0"] {
        let answer = alice.get("/healthz").authority(host).send().await;
        assert_eq!((answer.status, bed.upstream.count()), (400, 0), "{host}");
    }
}

#[tokio::test]
async fn star_serves_every_host_that_nothing_else_lists() {
    let bed = Testbed::start(with(hosts)).await;
    let mut all = crate::expectations::config();
    hosts(&mut all);
    all["resources"].as_array_mut().unwrap().push(json!({
        "hosts": ["*"], "name": "rest", "routes": [{"path": "/rest", "access": "public"}]
    }));
    assert!(matches!(bed.envoy.config_update(all).await, Ok(Update::Accepted)));
    let alice = bed.client("alice");
    for host in ["partner.example", "10.0.0.1:8443", "[::1]", "orders.shop.svc.cluster.local."] {
        assert_eq!(alice.get("/rest").authority(host).send().await.status, 200, "{host}");
    }
    assert_eq!(bed.upstream.count(), 4);
    let answer = alice.get("/rest").authority("x.partner.example").send().await;
    assert_eq!(bed.envoy.details(&answer).await, "boundgate:route-unknown");
    assert_eq!(bed.upstream.count(), 4);
}
