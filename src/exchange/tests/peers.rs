//! Peers that come back, and connections that were opened for another host.

use super::*;

/// The proxy says of resumed sessions that nothing was validated.
fn resumed(scene: &mut Scene, request: &Request) -> Verdict {
    scene.validates = false;
    let verdict = scene.run(request);
    scene.validates = true;
    verdict
}

#[test]
fn a_peer_is_known_on_a_resumed_session_whatever_its_first_request_was() {
    let stranger = [0x55; 32];
    for first in
        [get("/mesh"), get("/healthz"), get("/orders/7"), get("/nowhere"), get("/a//b"), get("/mesh").host("x")]
    {
        let mut scene = Scene::new(&config());
        scene.run(&first.peer(ALICE));
        forwarded(resumed(&mut scene, &get("/mesh").peer(ALICE)));
        let refusal = refused(resumed(&mut scene, &get("/mesh").peer(stranger)));
        assert_eq!(refusal.reason, Reason::PeerUnidentified);
    }
}

#[test]
fn who_was_never_validated_is_nobody() {
    let mut scene = Scene::new(&config());
    for _ in 0..3 {
        assert_eq!(refused(resumed(&mut scene, &get("/mesh").peer(ALICE))).reason, Reason::PeerUnidentified);
    }
}

#[test]
fn a_policy_that_asks_nobodys_identity_marks_nothing() {
    let mut config = config();
    config["resources"][0]["routes"].as_array_mut().unwrap().retain(|route| route["path"] != "/mesh");
    let mut scene = Scene::new(&config);
    forwarded(scene.run(&get("/healthz").peer(ALICE)));
    assert!(scene.host.keys("boundgate/certificates/").is_empty());
}

/// Two resources: `api.example.com`, and one at `partner.example` on two ports and at an address.
fn two_resources() -> Value {
    let mut config = config();
    config["resources"].as_array_mut().unwrap().push(json!({
        "hosts": ["partner.example:8443", "partner.example", "192.0.2.1", "shared.example:1"],
        "routes": [{"path": "/healthz", "access": "public"}]
    }));
    config["resources"][0]["hosts"] = json!(["api.example.com", "shared.example:2"]);
    config
}

/// What becomes of a public request for `authority` on a connection that was opened for `server_name`.
fn for_another_host(server_name: &'static str, authority: &str) -> Result<(), Reason> {
    let mut scene = Scene::new(&two_resources());
    scene.server_name = server_name;
    match scene.run(&get("/healthz").host(authority).peer(ALICE)) {
        Verdict::Forward(_) => Ok(()),
        Verdict::Refuse(refusal) | Verdict::Report(refusal, _) => Err(refusal.reason),
    }
}

#[test]
fn a_connection_that_was_opened_for_one_resource_carries_no_request_for_another() {
    for (server_name, authority) in [
        ("partner.example", "api.example.com"),
        ("PARTNER.example", "api.example.com"),
        ("partner.example", "shared.example:2"),
        ("api.example.com", "partner.example"),
        ("api.example.com", "partner.example:8443"),
        ("api.example.com", "192.0.2.1"),
        ("api.example.com", "shared.example:1"),
    ] {
        assert_eq!(for_another_host(server_name, authority), Err(Reason::Misdirected), "{server_name} {authority}");
    }
}

#[test]
fn a_server_name_of_the_same_resource_or_of_none_decides_nothing() {
    for (server_name, authority) in [
        ("partner.example", "partner.example"),
        ("partner.example", "partner.example:8443"),
        ("partner.example", "192.0.2.1"),
        ("shared.example", "shared.example:1"),
        ("shared.example", "shared.example:2"),
        ("shared.example", "api.example.com"),
        ("", "api.example.com"),
        ("192.0.2.9", "api.example.com"),
        ("outbound_.8080_._.partner.example", "api.example.com"),
    ] {
        assert_eq!(for_another_host(server_name, authority), Ok(()), "{server_name} {authority}");
    }
    assert_eq!(for_another_host("partner.example", "other.example"), Err(Reason::HostUnknown));
}

/// What becomes of a request for `authority` on a connection that was opened for `server_name`, where resources have these hosts.
fn among(hosts: &[&[&str]], server_name: &'static str, authority: &str) -> Result<(), Reason> {
    let mut config = config();
    let resource = |hosts: &&[&str]| json!({"hosts": hosts, "routes": [{"path": "/healthz", "access": "public"}]});
    config["resources"].as_array_mut().unwrap().extend(hosts.iter().map(resource));
    let mut scene = Scene::new(&config);
    scene.server_name = server_name;
    match scene.run(&get("/healthz").host(authority)) {
        Verdict::Forward(_) => Ok(()),
        Verdict::Refuse(refusal) | Verdict::Report(refusal, _) => Err(refusal.reason),
    }
}

#[test]
fn a_connection_belongs_to_the_resource_that_serves_its_name_not_to_a_wider_one() {
    let hosts: &[&[&str]] = &[&["*.example.com"], &["*.partner.example", "partner.example:8443"], &["*"]];
    for (server_name, authority) in [
        ("api.example.com", "web.example.com"),
        ("web.example.com", "api.example.com"),
        ("a.partner.example", "api.example.com"),
        ("partner.example", "api.example.com"),
        ("A.B.partner.example", "web.example.com"),
        ("api.example.com", "elsewhere.example"),
        ("web.example.com", "10.0.0.1:8443"),
    ] {
        assert_eq!(among(hosts, server_name, authority), Err(Reason::Misdirected), "{server_name} {authority}");
    }
    for (server_name, authority) in [
        ("api.example.com", "api.example.com:8443"),
        ("web.example.com", "other.example.com."),
        ("partner.example", "a.partner.example"),
        ("a.partner.example", "partner.example:8443"),
        // What only `*` takes is listed by none, like no server name at all.
        ("elsewhere.example", "api.example.com"),
        ("outbound_.8080_._.elsewhere.example", "web.example.com"),
        ("", "10.0.0.1:8443"),
    ] {
        assert_eq!(among(hosts, server_name, authority), Ok(()), "{server_name} {authority}");
    }
}

#[test]
fn a_misdirected_request_is_refused_before_its_route_is_looked_at_and_only_reported_in_report_mode() {
    let mut config = two_resources();
    let mut scene = Scene::new(&config);
    scene.server_name = "partner.example";
    assert_eq!(refused(scene.run(&get("/nowhere"))).reason, Reason::Misdirected);
    assert_eq!(refused(scene.run(&request("DELETE", "/orders/7"))).reason, Reason::Misdirected);
    config["resources"][0]["mode"] = json!("report");
    let mut scene = Scene::new(&config);
    scene.server_name = "partner.example";
    let reported = scene.run(&get("/mesh").peer(ALICE));
    assert!(matches!(reported, Verdict::Report(refusal, _) if refusal.reason == Reason::Misdirected));
    assert_eq!(refused(scene.run(&request("CONNECT", "/"))).reason, Reason::MethodRefused);
}

#[test]
fn a_connection_with_older_tls_than_the_resource_demands_is_refused_whatever_it_asks_for() {
    let mut demanding = config();
    demanding["resources"][0]["require_tls"] = json!("1.3");
    for path in ["/healthz", "/orders/7", "/nowhere"] {
        for (version, too_old) in [("TLSv1.2", true), ("", true), ("TLSv1.3", false)] {
            let mut scene = Scene::new(&demanding);
            scene.tls_version = version;
            let reason = match scene.run(&get(path).peer(ALICE).token(&token())) {
                Verdict::Forward(_) => None,
                verdict => Some(refused(verdict).reason),
            };
            let unrouted = (path == "/nowhere").then_some(Reason::RouteUnknown);
            assert_eq!(reason, too_old.then_some(Reason::TlsTooOld).or(unrouted), "{path} {version}");
        }
    }
    let mut scene = Scene::new(&config());
    scene.tls_version = "TLSv1.2";
    forwarded(scene.run(&get("/healthz")));
}
