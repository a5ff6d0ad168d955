//! What is judged is what is forwarded; whatever has a second reading is refused.

use boundgate_testbed::Testbed;
use serde_json::json;

use crate::expectations::{alices_token, bed, recorded, refused, with};

#[tokio::test]
async fn ambiguous_paths_are_refused_and_never_repaired() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    let alice = bed.client("alice");
    for path in [
        "/orders/%2e%2e/healthz",
        "/orders/../healthz",
        "/orders/./7",
        "/orders//7",
        "//orders/7",
        "/orders/7%2fadmin",
        "/orders/7%5cadmin",
        "/orders/7\\admin",
        "/orders/7;x=1",
        "/orders/7%00",
        "/orders/7%2",
        "/orders/%zz",
        "/orders/%252e",
        "/orders/%252e%252e",
        "/orders/%2541",
        "/orders/7%252fadmin",
        "/orders/%25u002e",
        "/orders/%2e",
        "/orders/%c0%ae",
        "/orders/7`",
        "/orders/7\"",
        "/orders/{7}",
    ] {
        let answer = alice.get(path).token(&token).send().await;
        refused(&bed, &answer, 400, "path-ambiguous").await;
    }
}

#[tokio::test]
async fn a_path_with_raw_bytes_never_reaches_the_upstream() {
    let bed = bed().await;
    let alice = bed.client("alice");
    for path in
        [&b"/healthz\xff"[..], b"/health\xc3\xa9", b"/healthz#x", b"healthz", b"https://api.example.com/../healthz"]
    {
        let answer = alice.get(path).send().await;
        assert!((400..500).contains(&answer.status), "{path:?}: {}", answer.status);
    }
    assert_eq!(bed.upstream.count(), 0);
}

#[tokio::test]
async fn the_path_arrives_at_the_upstream_as_it_was_judged() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    // As .NET, Java and browsers spell them.
    let other = ["/orders/caf%c3%a9", "/orders/%7Ejoe", "/%6frders/%2D", "/orders/100%25", "/orders/a|b^c[d]"];
    let usual = ["/orders/7?x=%2e%2e&y=//", "/orders/caf%C3%A9", "/orders/a%20b", "/orders/~a-b_c.d"];
    for client in [bed.client("alice"), bed.client("alice").http2()] {
        for path in usual.iter().chain(&other) {
            assert_eq!(client.get(path).token(&token).send().await.status, 200, "{path}");
            assert_eq!(bed.upstream.received().last().unwrap().path, *path);
        }
    }
}

#[tokio::test]
async fn another_spelling_of_a_path_leads_to_the_same_route() {
    let bed = Testbed::start(with(|config| {
        let routes = config["resources"][0]["routes"].as_array_mut().unwrap();
        routes.push(json!({"path": "/**", "scopes": ["read:orders"]}));
        routes.push(json!({"path": "/admin/caf%C3%A9|bar", "scopes": ["admin"]}));
    }))
    .await;
    let token = alices_token(&bed).await;
    for path in ["/admin/caf%C3%A9|bar", "/%61dmin/caf%c3%a9%7cbar", "/admin/c%61f%C3%a9%7Cbar"] {
        let answer = bed.client("alice").get(path).token(&token).send().await;
        refused(&bed, &answer, 403, "scope-missing").await;
    }
    let answer = bed.client("alice").get("/%41dmin/caf%c3%a9%7cbar").token(&token).send().await;
    refused(&bed, &answer, 400, "path-ambiguous").await;
}

fn with_projects(config: &mut serde_json::Value) {
    let routes = config["resources"][0]["routes"].as_array_mut().unwrap();
    routes.push(json!({"path": "/projects/{project}", "slash_in": ["project"], "scopes": ["read:orders"]}));
    routes.push(json!({"path": "/projects/{project}/hooks", "scopes": ["admin"]}));
    routes.push(json!({"path": "/projects/{project}/files/**", "scopes": ["read:orders"]}));
}

#[tokio::test]
async fn an_escaped_slash_in_an_identifier_reaches_the_upstream_as_it_came() {
    let bed = Testbed::start(with(with_projects)).await;
    let token = alices_token(&bed).await;
    for client in [bed.client("alice"), bed.client("alice").http2()] {
        for path in ["/projects/group%2Fname", "/projects/group%2fsub%2Fna%2dme?x=%2F", "/%70rojects/.a%2Fb.c"] {
            let answer = client.get(path).token(&token).send().await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_eq!(bed.upstream.received().last().unwrap().path, path);
        }
    }
}

#[tokio::test]
async fn an_escaped_slash_that_another_server_reads_as_another_path_is_refused() {
    let bed = Testbed::start(with(with_projects)).await;
    let token = alices_token(&bed).await;
    for client in [bed.client("alice"), bed.client("alice").http2()] {
        for path in [
            "/projects/..%2Fhealthz",
            "/projects/group%2F..",
            "/projects/a%2F..%2F..%2Fhealthz",
            "/projects/%2e%2e%2fhealthz",
            "/projects/%2f%2fevil.example",
            "/projects/.%2Fname",
            "/projects/%2Fname",
            "/projects/name%2F",
            "/projects/group%5Cname",
            "/projects/group%252Fname",
            "/projects/group%2Fname%00",
            "/projects/7%2Fhooks",
            "/projects/7%2FHooks.json",
            "/projects%2F7",
            "/projects/7/files/a%2Fb",
            "/projects/a%2Fb/files/c",
            "/orders/7%2F8",
            "/nowhere%2F8",
        ] {
            let answer = client.get(path).token(&token).send().await;
            refused(&bed, &answer, 400, "path-ambiguous").await;
        }
    }
}

#[tokio::test]
async fn an_escaped_slash_elsewhere_is_reported_where_refusals_are_only_reported() {
    let bed = Testbed::start(with(|config| {
        with_projects(config);
        config["resources"][0]["mode"] = json!("report");
    }))
    .await;
    for path in ["/orders/7%2F8", "/projects/7%2Fhooks", "/projects/..%2Fhealthz"] {
        let answer = bed.client("alice").get(path).send().await;
        let record = recorded(&bed, &answer).await;
        assert_eq!(
            (answer.status, &record["decision"], &record["reason"]),
            (200, &json!("reported"), &json!("path-ambiguous"))
        );
        assert_eq!(bed.upstream.received().pop().unwrap().path, path, "as it came");
    }
}

#[tokio::test]
async fn what_is_not_configured_is_refused() {
    let bed = bed().await;
    let alice = bed.client("alice");
    refused(&bed, &alice.get("/nowhere").send().await, 404, "route-unknown").await;
    refused(&bed, &alice.get("/healthz/").send().await, 404, "route-unknown").await;
    refused(&bed, &alice.get("/HEALTHZ").send().await, 404, "route-unknown").await;
    refused(&bed, &alice.get("/healthz").authority("other.example.com").send().await, 421, "host-unknown").await;
    refused(&bed, &alice.get("/healthz").authority("api.example.com.evil.example").send().await, 421, "host-unknown")
        .await;
    let answer = alice.request("DELETE", "/orders/7").send().await;
    refused(&bed, &answer, 405, "method-not-allowed").await;
    assert_eq!(answer.header("allow").as_deref(), Some("GET, HEAD"));
}

#[tokio::test]
async fn a_path_that_looks_like_one_of_a_stricter_route_is_not_had_for_less() {
    let routes = |config: &mut serde_json::Value| {
        let routes = config["resources"][0]["routes"].as_array_mut().unwrap();
        routes.push(json!({"path": "/**", "scopes": ["read:orders"]}));
        routes.push(json!({"path": "/admin/keys", "scopes": ["admin"]}));
        routes.push(json!({"path": "/orders/export", "scopes": ["admin"]}));
    };
    let bed = Testbed::start(with(routes)).await;
    let token = alices_token(&bed).await;
    for client in [bed.client("alice"), bed.client("alice").http2()] {
        for path in [
            "/admin/keys/",
            "/Admin/keys",
            "/admin/keys.json",
            "/admin/keys%20",
            "/admin/keys.",
            "/ADMIN/keys?x=1",
            "/orders/Export",
            "/orders/export.csv",
        ] {
            let answer = client.get(path).token(&token).send().await;
            refused(&bed, &answer, 400, "path-ambiguous").await;
        }
        let answer = client.get("/admin/keys").token(&token).send().await;
        refused(&bed, &answer, 403, "scope-missing").await;
    }
    let honest = ["/files/Report.PDF", "/Files/", "/orders/AB-7", "/orders/7.json", "/administrators", "/Healthz"];
    for path in honest {
        let answer = bed.client("alice").get(path).token(&token).send().await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(bed.upstream.received().pop().unwrap().path, path);
    }
}

#[tokio::test]
async fn head_follows_get() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    assert_eq!(bed.client("alice").request("HEAD", "/orders/7").token(&token).send().await.status, 200);
    assert_eq!(bed.upstream.received()[0].method, "HEAD");
}
