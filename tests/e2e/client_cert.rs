//! Callers behind a proxy that names their certificates in `Client-Cert` (RFC 9440): who may say so, and in which words.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use boundgate_testbed::{Answer, Client, ClientCertificates, EnvoyConfig, Identity, Testbed};
use serde_json::json;

use crate::expectations::{alices_token, config, recorded, refused};

const CONVEYED: &str = "client-cert";

/// A proxy that believes `gateway`.
fn behind() -> EnvoyConfig {
    let mut config = config();
    config["peer"] = json!({"from": {"client_cert": {"trusted": ["spiffe://example.org/client/gateway"]}}});
    config["resources"][0]["forward"] = json!({"headers": {"x-peer": "peer"}});
    EnvoyConfig::new(config)
}

fn field(bytes: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(bytes))
}

fn of(identity: &Identity) -> String {
    field(identity.der())
}

/// The request for an order with alice's token and these headers.
async fn order(client: &Client, token: &str, headers: &[&str]) -> Answer {
    let request = client.get("/orders/7").token(token);
    headers.iter().fold(request, |request, header| request.header(CONVEYED, header)).send().await
}

#[tokio::test]
async fn client_cert_is_read_from_a_trusted_hop_and_from_nobody_else() {
    let accepting = ClientCertificates::AcceptUntrusted;
    let bed = Testbed::start(behind().client_certificates(accepting).with_plaintext_listener()).await;
    let (token, alices) = (alices_token(&bed).await, of(&bed.pki.client("alice")));
    for client in [
        bed.client("mallory"),
        bed.client("alice"),
        bed.client_with(bed.pki.self_signed_client("gateway")),
        bed.anonymous(),
        bed.plaintext(),
    ] {
        let answer = order(&client, &token, &[&alices]).await;
        refused(&bed, &answer, 401, "certificate-missing").await;
        assert_eq!(recorded(&bed, &answer).await["conveyed_unused"], "hop-untrusted");
        let answer = client.get("/mesh").header(CONVEYED, &alices).send().await;
        refused(&bed, &answer, 403, "peer-missing").await;
    }
    let gateway = bed.client("gateway");
    let stolen = order(&gateway, &token, &[&of(&bed.pki.client("mallory"))]).await;
    refused(&bed, &stolen, 401, "binding-mismatch").await;
    for client in [gateway.clone(), gateway.http2()] {
        let answer = order(&client, &token, &[&alices]).await;
        assert_eq!(answer.status, 200);
        let record = recorded(&bed, &answer).await;
        assert_eq!(record["peer_source"], "client-cert");
        assert_eq!(record["x5t#S256"], bed.pki.client("alice").thumbprint());
        let mesh = client.get("/mesh").header(CONVEYED, &alices).header("client-cert-chain", &alices);
        assert_eq!(mesh.send().await.status, 200);
    }
    for request in bed.upstream.received() {
        assert_eq!(request.header("x-peer").as_deref(), Some("spiffe://example.org/client/alice"));
        assert_eq!((request.header(CONVEYED), request.header("client-cert-chain")), (None, None));
    }
}

#[tokio::test]
async fn what_is_not_one_certificate_in_the_words_of_the_standard_names_nobody() {
    let bed = Testbed::start(behind()).await;
    let (token, gateway) = (alices_token(&bed).await, bed.client("gateway"));
    let (alice, mallory) = (bed.pki.client("alice"), bed.pki.client("mallory"));
    let (real, other) = (of(&alice), of(&mallory));
    let plain = real.trim_matches(':');
    for (headers, unused) in [
        (&[][..], "missing"),
        (&[""], "unreadable"),
        (&[&real, &real], "repeated"),
        (&[&other, &real], "repeated"),
        (&[&format!("{real}, {other}")], "unreadable"),
        (&[&format!("{real},{real}")], "unreadable"),
        (&[&format!("{real};a=1")], "unreadable"),
        (&[&format!("({real})")], "unreadable"),
        (&[plain], "unreadable"),
        (&[&alice.certificate_pem().replace('\n', " ")], "unreadable"),
        (&[&field(alice.certificate_pem().as_bytes())], "unreadable"),
        (&[&field(&alice.der()[1..])], "unreadable"),
        (&[&field(&[&alice.der()[..], &[0]].concat())], "unreadable"),
        (&[&field(&[b"\x30\x82\x75\x30", &[0; 30_000][..]].concat())], "unreadable"),
    ] {
        let answer = order(&gateway, &token, headers).await;
        refused(&bed, &answer, 401, "certificate-missing").await;
        assert_eq!(recorded(&bed, &answer).await["conveyed_unused"], unused, "{headers:?}");
    }
}

#[tokio::test]
async fn a_certificate_of_the_client_that_has_expired_or_says_too_much_is_nobody() {
    let bed = Testbed::start(behind()).await;
    let gateway = bed.client("gateway");
    let two = bed.pki.client_with("alice", |params| {
        let again = params.subject_alt_names[0].clone();
        params.subject_alt_names.push(again);
    });
    for certificate in [of(&bed.pki.expired_client("alice")), of(&two), field(b"\x30\x00")] {
        let answer = gateway.get("/mesh").header(CONVEYED, certificate).send().await;
        refused(&bed, &answer, 403, "peer-unidentified").await;
    }
}
