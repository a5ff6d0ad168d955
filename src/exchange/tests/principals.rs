//! Callers that the mesh has found out, without a certificate here.

use super::*;

const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";

/// [`config`], at a waypoint: tokens are bound to nothing there, and workloads may be named.
fn waypoint() -> Value {
    let mut config = config();
    config["peer"] = json!({"from": "mesh-principal"});
    let routes = config["resources"][0]["routes"].as_array_mut().unwrap();
    routes.retain(|route| route["path"] == "/healthz" || route["path"] == "/plain");
    routes.push(json!({"path": "/mesh", "access": "peer", "peers": [WEB]}));
    routes.push(json!({"path": "/own", "bound": "when-bound", "peers": [WEB], "limits": ["per-peer"]}));
    config["limits"] = json!({"per-peer": {"key": ["peer"], "rate": "1/s", "burst": 1}});
    config["resources"][0]["forward"] = json!({"headers": {"x-peer": "peer", "x-thumbprint": "thumbprint"}});
    config
}

fn scene(principal: &'static str) -> Scene {
    let mut scene = Scene::new(&waypoint());
    scene.principal = principal;
    scene
}

fn unbound() -> Token {
    token().claim("cnf", Value::Null).claim("scope", json!("a"))
}

#[test]
fn who_the_mesh_names_is_the_peer_and_no_header_names_another() {
    let told = forwarded(scene(WEB).run(&get("/mesh").header("io.istio.peer_principal", "spiffe://a/b")));
    assert_eq!(told.upstream().set, [("x-peer".to_owned(), WEB.to_owned())]);
    let other = "spiffe://cluster.local/ns/shop/sa/other";
    for header in ["io.istio.peer_principal", "x-forwarded-client-cert", "client-cert", "x-peer"] {
        for value in [WEB, "Hash=00;URI=spiffe://cluster.local/ns/shop/sa/web"] {
            let request = get("/mesh").peer(ALICE).header(header, value);
            assert_eq!(refused(scene(other).run(&request)).reason, Reason::PeerNotAllowed);
            assert_eq!(refused(scene("").run(&request)).reason, Reason::PeerMissing);
        }
    }
    assert_eq!(refused(scene("spiffe://a/b,spiffe://a/c").run(&get("/mesh"))).reason, Reason::PeerMissing);
}

#[test]
fn a_principal_has_a_budget_of_its_own_and_uses_tokens_that_are_bound_to_nothing() {
    let mut scene = scene(WEB);
    let request = get("/own").token(&unbound());
    forwarded(scene.run(&request));
    assert_eq!(refused(scene.run(&request)).reason, Reason::OverLimit);
    scene.principal = "spiffe://cluster.local/ns/shop/sa/other";
    assert_eq!(refused(scene.run(&request)).reason, Reason::PeerNotAllowed);
}

#[test]
fn a_token_that_is_bound_to_a_certificate_is_worth_nothing_without_one() {
    for request in [get("/plain"), get("/plain").peer(ALICE)] {
        let request = request.token(&token().claim("scope", json!("a")));
        assert_eq!(refused(scene(WEB).run(&request)).reason, Reason::CertificateMissing);
    }
}

#[test]
fn what_needs_a_certificate_is_a_mistake_where_the_mesh_names_callers() {
    let mut config = waypoint();
    config["resources"][0]["require_tls"] = json!("1.2");
    let routes = config["resources"][0]["routes"].as_array_mut().unwrap();
    routes.push(json!({"path": "/a", "limits": "none"}));
    routes.push(json!({"path": "/b", "bound": "mtls", "limits": "none"}));
    routes.push(json!({"path": "/c", "access": "peer", "peers": [WEB, "dns:a.b", "sha256:x"], "limits": "none"}));
    let Err(findings) = config::load(config.to_string().as_bytes()) else { panic!("no findings") };
    let findings = findings.to_string();
    for place in [
        "routes[4].bound: mtls needs",
        "routes[5].bound: mtls needs",
        "routes[6].peers[1]: never met",
        "require_tls: never met",
    ] {
        assert!(findings.contains(place), "{place} in {findings}");
    }
}
