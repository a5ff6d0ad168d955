//! The filter is put into a proxy that serves several hosts, and refuses nobody until it is told to.

use boundgate_testbed::{Answer, Client, EnvoyConfig, JwksAnswer, Request, Testbed, Update};
use serde_json::{Value, json};

use crate::expectations::{config, eventually, refused};
use crate::upstream::trailers_go_upstream;

/// Two virtual hosts by name and one for all others, as in a proxy that was there before. Each tells the upstream its name.
fn three_virtual_hosts(envoy: &mut Value) {
    let manager = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let hosts = &mut manager["route_config"]["virtual_hosts"];
    let all = hosts[0].clone();
    let named = |name: &str, domains: Value| {
        let mut host = all.clone();
        host["name"] = json!(name);
        host["domains"] = domains;
        host["request_headers_to_add"] = json!([{"header": {"key": "x-virtual-host", "value": name}}]);
        host
    };
    *hosts = json!([
        named("api", json!(["api.example.com"])),
        named("web", json!(["web.example.com"])),
        named("rest", json!(["*"]))
    ]);
}

/// The resource `api.example.com`, nothing for the other hosts.
fn plugin(mode: &str) -> Value {
    let mut config = config();
    config["mode"] = json!(mode);
    config["issuers"]["main"]["jwks"]["timeout"] = json!("30s");
    config["resources"][0]["forward"] = json!({"headers": {"x-client-id": "client_id"}});
    config
}

/// In front of a key server that never answers.
async fn bed() -> Testbed {
    Testbed::start_with(|authority| {
        authority.answer_jwks_with(JwksAnswer::Held);
        EnvoyConfig::new(plugin("report")).edit(three_virtual_hosts)
    })
    .await
}

/// A good token of alice. The authorization server is not asked.
fn token(bed: &Testbed) -> String {
    let alice = bed.pki.client("alice");
    bed.authority.claims().client("alice").scope("read:orders").bound_to(&alice).sign()
}

/// What a proxy gets in a day that nobody has configured yet, and the reason for which it would be refused.
fn traffic<'c>(api: &'c Client, token: &str) -> Vec<(Request<'c>, &'static str)> {
    vec![
        (api.get("/orders/7"), "token-missing"),
        (api.get("/orders/7").header("authorization", "Basic eDp5"), "token-missing"),
        (api.get("/orders/7").token("a.b.c"), "token-malformed"),
        (api.get("/orders/7").token(token), "keys-unavailable"),
        (api.get("/plain").token(token), "keys-unavailable"),
        (api.post("/orders.Orders/Get").token(token).body("7"), "keys-unavailable"),
        (api.get("/nowhere"), "route-unknown"),
        (api.request("DELETE", "/orders/7"), "method-not-allowed"),
        (api.get("/orders//7"), "path-ambiguous"),
        (api.get("/orders/a%2Fb"), "path-ambiguous"),
        (api.get("/").authority("web.example.com"), "host-unknown"),
        (api.post("/a%2Fb//c;d").authority("web.example.com").body("7"), "path-ambiguous"),
        (api.get("/healthz").authority("10.0.0.1:8443"), "host-unknown"),
        (api.get("/healthz").authority("[2001:db8::1]:15021"), "host-unknown"),
        (api.get("/healthz").authority("elsewhere.example.com"), "host-unknown"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_report_mode_every_host_and_every_probe_is_served_while_the_key_server_hangs() {
    let bed = bed().await;
    let (alice, token) = (bed.client("alice"), token(&bed));
    eventually(|| bed.authority.jwks_fetches() >= 1).await;
    let mut passed = 0;
    for client in [alice.clone(), alice.http2()] {
        for (request, reason) in traffic(&client, &token) {
            let answer = request.send().await;
            passed += 1;
            assert_eq!((answer.status, bed.upstream.count()), (200, passed), "{reason}: {}", answer.text());
            let line = bed.envoy.access_log_of(&answer).await;
            let record: Value = serde_json::from_str(line["audit"].as_str().unwrap()).unwrap();
            assert_eq!((&record["decision"], &record["reason"]), (&json!("reported"), &json!(reason)), "{line}");
        }
    }
    // Nobody waited for the end of a fetch: none has ended.
    assert!(bed.authority.jwks_fetches() <= 2, "main thread and worker, once each");
    let counter = |name: &str| format!("wasmcustom.boundgate.{name}");
    bed.envoy.stat_reaches(&counter("requests.decision.reported.reason.host-unknown"), 8).await.unwrap();
    bed.envoy.stat_reaches(&counter("requests.decision.reported.reason.keys-unavailable"), 6).await.unwrap();
    for nobody in [counter("key_fetch_failed"), counter("waiting"), counter("awaited_bodies")] {
        assert_eq!(bed.envoy.stat(&nobody).await, 0, "{nobody}");
    }
    assert!(bed.envoy.stats("decision.refused").await.values().all(|refused| *refused == 0));
    assert!(bed.envoy.log().contains("mode is report: nothing is refused"));
}

#[tokio::test]
async fn the_other_hosts_get_their_requests_as_they_were() {
    let config = EnvoyConfig::new(plugin("report")).edit(three_virtual_hosts).edit(trailers_go_upstream);
    let bed = Testbed::start(config).await;
    let alice = bed.client("alice").http2();
    let sent = |authority: &str| {
        let request = alice.post("/a//b").authority(authority).header("x-forwarded-user", "ann");
        request
            .header("authorization", "Basic eDp5")
            .header("x-client-id", "ann")
            .body("7")
            .trailer("x-forwarded-user", "ann")
    };
    for (authority, host) in [("web.example.com", "web"), ("10.0.0.1:8443", "rest")] {
        assert_eq!(sent(authority).send().await.status, 200);
        let received = bed.upstream.received().pop().unwrap();
        let fields = ["x-virtual-host", "x-forwarded-user", "authorization", "x-client-id"];
        assert_eq!(fields.map(|name| received.header(name).unwrap()), [host, "ann", "Basic eDp5", "ann"]);
        assert_eq!(received.trailers, [("x-forwarded-user".to_owned(), b"ann".to_vec())]);
        assert_eq!((received.path.as_str(), received.authority.as_str()), ("/a//b", authority));
    }
    assert_eq!(sent("api.example.com").send().await.status, 200);
    let received = bed.upstream.received().pop().unwrap();
    assert_eq!((received.header("x-client-id"), received.header("x-forwarded-user")), (None, None));
    assert!(received.trailers.is_empty(), "for a resource it is as if it were enforced");
}

#[tokio::test]
async fn what_could_not_be_forwarded_safely_is_refused_at_once_and_its_body_not_waited_for() {
    let mut patient = plugin("report");
    patient["refusals"] = json!({"within": "10s"});
    let bed = Testbed::start(EnvoyConfig::new(patient).edit(three_virtual_hosts)).await;
    for host in ["api.example.com", "web.example.com"] {
        let anonymous = bed.anonymous();
        let head = format!("TRACE /healthz HTTP/1.1\r\nhost: {host}\r\ncontent-length: 1000\r\n\r\n");
        let answer = tokio::select! {
            answer = anonymous.raw(head) => answer.unwrap(),
            _ = bed.envoy.stat_becomes("wasmcustom.boundgate.awaited_bodies", 1) => panic!("it waits for its body"),
        };
        assert_eq!((answer.status, bed.envoy.details(&answer).await.as_str()), (501, "boundgate:method-refused"));
        let answer = anonymous.http2().request("get", "/healthz").authority(host).send().await;
        refused(&bed, &answer, 400, "head-malformed").await;
    }
}

/// The answer to a request that is within its limits; the keys have come.
async fn greedy(bed: &Testbed, decision: &str) -> Answer {
    let (alice, token) = (bed.client("alice"), token(bed));
    loop {
        let answer = alice.get("/greedy").token(&token).send().await;
        let line = bed.envoy.access_log_of(&answer).await;
        if line["audit"].as_str().unwrap().contains(decision) {
            return answer;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enforced_it_refuses_what_it_reported_and_tells_callers_of_their_limits() {
    let bed = bed().await;
    bed.authority.answer_jwks_with(JwksAnswer::Keys);
    let answer = greedy(&bed, "\"forwarded\"").await;
    assert_eq!((answer.status, answer.header("ratelimit"), answer.header("ratelimit-policy")), (200, None, None));
    assert!(matches!(bed.envoy.config_update(plugin("enforce")).await, Ok(Update::Accepted)));
    let (alice, token) = (bed.client("alice"), token(&bed));
    let before = bed.upstream.count();
    for (request, reason) in traffic(&alice, &token) {
        if reason == "keys-unavailable" {
            continue;
        }
        let answer = request.send().await;
        assert_eq!(bed.envoy.details(&answer).await, format!("boundgate:{reason}"));
        assert!(answer.status >= 400, "{reason}");
    }
    assert_eq!(bed.upstream.count(), before);
    let answer = greedy(&bed, "\"forwarded\"").await;
    assert!(answer.header("ratelimit").is_some() && answer.header("ratelimit-policy").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_resource_is_enforced_while_the_others_still_report() {
    let mut plugin = plugin("report");
    plugin["limit_fields_in_report"] = json!(true);
    plugin["resources"].as_array_mut().unwrap().push(json!({
        "hosts": ["web.example.com"], "mode": "enforce", "routes": [{"path": "/healthz", "access": "public"}]
    }));
    let bed = Testbed::start(EnvoyConfig::new(plugin).edit(three_virtual_hosts)).await;
    let anonymous = bed.anonymous();
    let answer = anonymous.get("/nowhere").authority("web.example.com").send().await;
    assert_eq!(bed.envoy.details(&answer).await, "boundgate:route-unknown");
    assert_eq!((answer.status, bed.upstream.count()), (404, 0));
    assert_eq!(anonymous.get("/nowhere").send().await.status, 200);
    assert_eq!(anonymous.get("/nowhere").authority("10.0.0.1:8443").send().await.status, 200);
    assert_eq!(bed.upstream.count(), 2);
    let answer = greedy(&bed, "\"forwarded\"").await;
    assert!(answer.header("ratelimit").is_some(), "asked for");
}
