//! Callers behind another proxy, which names them in a header: whose word is taken, and what nobody can say.

use boundgate_testbed::rcgen::SanType;
use boundgate_testbed::{Answer, Client, ClientCertificates, EnvoyConfig, Identity, Testbed};
use serde_json::{Value, json};

use crate::expectations::{alices_token, config, refused};
use crate::front::{self, handles};

const CONVEYED: &str = "x-forwarded-client-cert";
const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A proxy that believes `gateway`.
fn behind(forward: &'static str) -> EnvoyConfig {
    let mut config = config();
    config["peer"] = json!({"from": {"xfcc": {"trusted": ["spiffe://example.org/client/gateway"]}}});
    config["resources"][0]["forward"] = json!({"headers": {"x-peer": "peer"}});
    let all = json!({"subject": true, "uri": true, "dns": true});
    EnvoyConfig::new(config).edit(move |envoy| handles(envoy, forward, &all))
}

fn escaped(identity: &Identity) -> String {
    let escapes = [('+', "%2B"), ('\n', "%0A"), (' ', "%20"), ('/', "%2F"), ('=', "%3D")];
    escapes.iter().fold(identity.certificate_pem(), |pem, (plain, escape)| pem.replace(*plain, escape))
}

/// As an Envoy in front writes it that throws away what its client wrote.
fn element(identity: &Identity) -> String {
    let (hash, name) = (identity.digest(), identity.name());
    format!(
        "By=;Hash={hash};Cert=\"{}\";Subject=\"CN={name}\";URI=spiffe://example.org/client/{name}",
        escaped(identity)
    )
}

/// The request for an order with alice's token and these headers.
async fn order(client: &Client, token: &str, headers: &[&str]) -> Answer {
    let request = client.get("/orders/7").token(token);
    headers.iter().fold(request, |request, header| request.header(CONVEYED, header)).send().await
}

#[tokio::test]
async fn the_client_of_a_trusted_hop_is_the_peer_and_the_header_ends_here() {
    for forward in ["FORWARD_ONLY", "APPEND_FORWARD"] {
        let bed = Testbed::start(behind(forward)).await;
        let (token, gateway, alice) = (alices_token(&bed).await, bed.client("gateway"), bed.pki.client("alice"));
        let as_json = json!([{"hash": alice.digest(), "cert": alice.certificate_pem()}]).to_string();
        for header in [&element(&alice), &as_json] {
            assert_eq!(order(&gateway, &token, &[header]).await.status, 200, "{forward} {header}");
            assert_eq!(gateway.get("/mesh").header(CONVEYED, header).send().await.status, 200, "{forward} {header}");
        }
        let received = bed.upstream.received();
        assert_eq!(received.len(), 4);
        for request in received {
            assert_eq!(request.header("x-peer").as_deref(), Some("spiffe://example.org/client/alice"));
            assert_eq!(request.header(CONVEYED), None);
        }
    }
}

#[tokio::test]
async fn nobody_else_speaks_for_others() {
    let accepting = ClientCertificates::AcceptUntrusted;
    let bed =
        Testbed::start(behind("ALWAYS_FORWARD_ONLY").client_certificates(accepting).with_plaintext_listener()).await;
    let (token, header) = (alices_token(&bed).await, element(&bed.pki.client("alice")));
    for client in [
        bed.client("mallory"),
        bed.client("alice"),
        bed.client("gateway2"),
        bed.client_with(bed.pki.self_signed_client("gateway")),
        bed.client_with(bed.pki.expired_client("gateway")),
        bed.anonymous(),
        bed.plaintext(),
    ] {
        let name = client.identity().map(|identity| identity.name().to_owned());
        let answer = order(&client, &token, &[&header]).await;
        assert_eq!(answer.status, 401, "{name:?}");
        refused(&bed, &answer, 401, "certificate-missing").await;
        let answer = client.get("/mesh").header(CONVEYED, &header).send().await;
        refused(&bed, &answer, 403, "peer-missing").await;
    }
    // A public route needs nobody. What nobody was believed goes no further.
    assert_eq!(bed.client("mallory").get("/healthz").header(CONVEYED, &header).send().await.status, 200);
    assert_eq!(bed.upstream.received()[0].header(CONVEYED), None);
}

#[tokio::test]
async fn a_header_that_no_trusted_hop_writes_names_nobody() {
    for forward in ["FORWARD_ONLY", "APPEND_FORWARD"] {
        let bed = Testbed::start(behind(forward)).await;
        let (token, gateway) = (alices_token(&bed).await, bed.client("gateway"));
        let (alice, mallory) = (bed.pki.client("alice"), bed.pki.client("mallory"));
        let (real, hash) = (element(&alice), format!("Hash={}", alice.digest()));
        let other = element(&mallory);
        for headers in [
            &[][..],
            &[""],
            &[&real, &real],
            &[&real, &other],
            &[&format!("{real},{real}")],
            &[&format!("{real},{other}")],
            &[&format!("{other},{real}")],
            &[&format!("{other};{hash}")],
            &[&format!("{hash};{other}")],
            &[&format!("Subject=x\";{hash};URI=\"")],
            &[&format!("Subject=\"x;{hash}")],
            &[&format!("{hash};Subject=\",{other}")],
            &[&format!("{hash};DNS=\",Hash={ZEROS};URI=x\"")],
            &[&format!("{hash};Cert=\"{}\"", escaped(&mallory))],
            &[&format!("URI=x;{hash}")],
            &[&format!("{hash};Subject=\"{}\"", "a".repeat(33_000))],
            &[&hash.to_uppercase()],
            &[&format!("[{{\"hash\":\"{0}\",\"hash\":\"{0}\"}}]", alice.digest())],
            &[&format!("[{{\"hash\":\"{0}\"}},{{\"hash\":\"{0}\"}}]", alice.digest())],
            &["[]"],
        ] {
            let answer = order(&gateway, &token, headers).await;
            assert_eq!(answer.status, 401, "{forward} {headers:?}");
            refused(&bed, &answer, 401, "certificate-missing").await;
        }
    }
}

#[tokio::test]
async fn a_trusted_hop_is_never_the_caller_itself() {
    for forward in ["FORWARD_ONLY", "APPEND_FORWARD"] {
        let bed = Testbed::start(behind(forward)).await;
        let gateway = bed.client("gateway");
        let token = bed.token(&gateway).scope("read:orders").issue().await;
        for headers in [&[][..], &[&*format!("Hash={}", bed.pki.client("gateway").digest())]] {
            refused(&bed, &order(&gateway, &token, headers).await, 401, "certificate-missing").await;
        }
        refused(&bed, &gateway.get("/mesh").send().await, 403, "peer-missing").await;
    }
}

#[tokio::test]
async fn one_host_may_have_callers_behind_a_gateway_and_another_callers_of_its_own() {
    let mut config = config();
    let mut mesh = config["resources"][0].clone();
    mesh["hosts"] = json!(["mesh.example.com"]);
    mesh["peer"] = json!({"from": {"xfcc": {"trusted": ["spiffe://example.org/client/gateway"], "direct": true}}});
    config["resources"].as_array_mut().unwrap().push(mesh);
    let forwarding = |envoy: &mut Value| handles(envoy, "FORWARD_ONLY", &json!({}));
    let bed = Testbed::start(EnvoyConfig::new(config).edit(forwarding)).await;
    let (token, header) = (alices_token(&bed).await, element(&bed.pki.client("alice")));
    let at = |name: &str, host: &str| {
        let request = bed.client(name);
        let (token, header, host) = (token.clone(), header.clone(), host.to_owned());
        async move { request.get("/orders/7").authority(&host).token(&token).header(CONVEYED, header).send().await }
    };
    for (name, host) in
        [("gateway", "api.example.com"), ("mallory", "api.example.com"), ("mallory", "mesh.example.com")]
    {
        refused(&bed, &at(name, host).await, 401, "binding-mismatch").await;
    }
    for (name, host) in [("gateway", "mesh.example.com"), ("alice", "mesh.example.com"), ("alice", "api.example.com")] {
        assert_eq!(at(name, host).await.status, 200, "{name} at {host}");
    }
    assert!(bed.upstream.received().iter().all(|request| request.header(CONVEYED).is_none()));
}

/// An Envoy in front that does this with its clients' certificates.
async fn in_front_of(bed: &Testbed, forward: &'static str, details: Value) -> Testbed {
    front::in_front_of(bed, move |envoy| handles(envoy, forward, &details)).await
}

#[tokio::test]
async fn a_real_envoy_in_front_names_its_clients_and_none_of_them_names_another() {
    for details in [
        json!({"cert": true, "subject": true, "uri": true, "dns": true}),
        json!({"cert": true, "subject": true, "uri": true, "dns": true, "format": "JSON"}),
    ] {
        for forward in ["FORWARD_ONLY", "APPEND_FORWARD"] {
            let bed = Testbed::start(behind(forward)).await;
            let edge = in_front_of(&bed, "SANITIZE_SET", details.clone()).await;
            let (token, alice) = (alices_token(&bed).await, bed.pki.client("alice"));
            let forged = element(&alice);
            let hostile = format!("spiffe://example.org/evil,Hash={};Subject=\"CN=alice\";URI=x", alice.digest());
            let hostile = bed.pki.client_with("mallory", |params| {
                params.subject_alt_names.push(SanType::URI(hostile.as_str().try_into().unwrap()));
            });
            for client in [edge.client("mallory"), edge.client_with(hostile), edge.anonymous()] {
                for headers in [&[][..], &[&*forged]] {
                    let answer = order(&client, &token, headers).await;
                    assert_eq!(answer.status, 401, "{}", answer.text());
                }
            }
            assert_eq!(bed.upstream.count(), 0);
            let answer = order(&edge.client("alice"), &token, &["Hash=00"]).await;
            assert_eq!(answer.status, 200, "{forward} {details} {}", answer.text());
            assert_eq!(edge.client("alice").get("/mesh").send().await.status, 200);
            for request in bed.upstream.received() {
                assert_eq!(request.header("x-peer").as_deref(), Some("spiffe://example.org/client/alice"));
                assert_eq!(request.header(CONVEYED), None);
            }
        }
    }
}

#[tokio::test]
async fn what_a_client_writes_through_a_hop_that_appends_names_nobody() {
    let bed = Testbed::start(behind("FORWARD_ONLY")).await;
    let details = json!({"cert": true, "subject": true, "uri": true, "dns": true});
    let edge = in_front_of(&bed, "APPEND_FORWARD", details).await;
    let (token, alice) = (alices_token(&bed).await, bed.pki.client("alice"));
    let hash = format!("Hash={}", alice.digest());
    for forged in [
        element(&alice),
        hash.clone(),
        format!("{hash};Subject=\""),
        format!("{hash};DNS=\""),
        format!("[{{\"hash\":\"{}\"}}]", alice.digest()),
        format!("[{{\"hash\":\"{}\"}}", alice.digest()),
        format!("[{{\"hash\":\"{}\",\"x\":\"]", alice.digest()),
        "[]".to_owned(),
    ] {
        let answer = order(&edge.client("mallory"), &token, &[&forged]).await;
        assert_eq!((answer.status, bed.upstream.count()), (401, 0), "{forged}");
    }
}
