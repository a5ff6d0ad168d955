//! A certificate counts for the host it was checked for: the one the connection was opened for (SNI), whose filter chain
//! chose the CAs.

use boundgate_testbed::{Client, Pki, Testbed, rcgen};
use serde_json::{Value, json};

use crate::expectations::{refused, with};

/// `api.example.com` for ourselves, with `/mesh` for peers; `localhost` for partners, whose own CA is `partners`.
async fn bed(partners: &Pki) -> Testbed {
    let ca = partners.ca_pem();
    let two_resources = |config: &mut Value| {
        config["resources"].as_array_mut().unwrap().push(json!({
            "hosts": ["localhost"],
            "routes": [{"path": "/partners", "access": "peer", "peers": ["spiffe://partner.example/*"]}]
        }));
    };
    Testbed::start(with(two_resources).edit(move |envoy| {
        let listener = &mut envoy["static_resources"]["listeners"][0];
        let inspector = "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
        listener["listener_filters"] = json!([{"name": "tls", "typed_config": {"@type": inspector}}]);
        let chains = listener["filter_chains"].as_array_mut().unwrap();
        let mut partners = chains[0].clone();
        chains[0]["filter_chain_match"] = json!({"server_names": ["api.example.com"]});
        partners["filter_chain_match"] = json!({"server_names": ["localhost"]});
        partners["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"]["trusted_ca"] =
            json!({"inline_string": ca});
        chains.push(partners);
    }))
    .await
}

/// A client with a certificate of the partners' CA that claims this name, calling `localhost`.
fn partner(bed: &Testbed, partners: &Pki, uri: &str) -> Client {
    let identity = partners.client_with("partner", |params| {
        params.subject_alt_names = vec![rcgen::SanType::URI(uri.try_into().expect("ASCII"))];
    });
    bed.client_with(identity).at(bed.envoy.address("boundgate"), "localhost")
}

#[tokio::test]
async fn the_ca_of_one_host_cannot_speak_for_the_peers_of_another() {
    let partners = Pki::new();
    let bed = bed(&partners).await;
    let forged = partner(&bed, &partners, "spiffe://example.org/client/forged");
    for forged in [forged.clone(), forged.http2(), forged.tls12(), forged.resuming(), forged.resuming()] {
        for path in ["/mesh", "/healthz", "/nowhere"] {
            let answer = forged.get(path).authority("api.example.com").send().await;
            refused(&bed, &answer, 421, "misdirected").await;
        }
    }
    let internal = forged.at(bed.envoy.address("boundgate"), "api.example.com");
    assert!(internal.get("/mesh").try_send().await.is_err(), "its certificate is not of the other CA");
    assert_eq!(bed.upstream.count(), 0);
}

#[tokio::test]
async fn on_a_connection_for_the_right_host_each_ca_speaks_for_its_own() {
    let partners = Pki::new();
    let bed = bed(&partners).await;
    let partner = partner(&bed, &partners, "spiffe://partner.example/shop");
    for partner in [partner.clone(), partner.http2(), partner.tls12()] {
        assert_eq!(partner.get("/partners").send().await.status, 200);
    }
    let alice = bed.client("alice");
    for alice in [alice.clone(), alice.http2(), alice.tls12()] {
        assert_eq!(alice.get("/mesh").send().await.status, 200);
    }
    assert_eq!(bed.upstream.count(), 6);
    let answer = alice.get("/partners").authority("localhost").send().await;
    assert_eq!((answer.status, bed.envoy.details(&answer).await.as_str()), (421, "boundgate:misdirected"));
    assert_eq!(bed.upstream.count(), 6);
}

/// The same with `*.example.com` for ourselves and for everybody else, whose chain is chosen where no other fits.
#[tokio::test]
async fn the_ca_of_a_host_below_a_name_speaks_for_nobody_above() {
    let partners = Pki::new();
    let (ca, own) = (partners.ca_pem(), Pki::shared().ca_pem());
    let resources = |config: &mut Value| {
        config["resources"][0]["hosts"] = json!(["*.example.com", "*"]);
        config["resources"].as_array_mut().unwrap().push(json!({
            "hosts": ["localhost", "*.partner.example.com"],
            "routes": [{"path": "/partners", "access": "peer", "peers": ["spiffe://partner.example/*"]}]
        }));
    };
    let bed = Testbed::start(with(resources).edit(move |envoy| {
        let listener = &mut envoy["static_resources"]["listeners"][0];
        let inspector = "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
        listener["listener_filters"] = json!([{"name": "tls", "typed_config": {"@type": inspector}}]);
        let chains = listener["filter_chains"].as_array_mut().unwrap();
        let mut theirs = chains[0].clone();
        theirs["filter_chain_match"] = json!({"server_names": ["localhost", "*.partner.example.com"]});
        let context = &mut theirs["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"];
        context["trusted_ca"] = json!({"inline_string": ca});
        let context = &mut chains[0]["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"];
        context["trusted_ca"] = json!({"inline_string": own});
        chains.push(theirs);
    }))
    .await;
    let forged = partner(&bed, &partners, "spiffe://example.org/client/forged");
    for forged in [forged.clone(), forged.http2()] {
        for host in ["api.example.com", "web.example.com:8443", "10.0.0.1"] {
            let answer = forged.get("/mesh").authority(host).send().await;
            refused(&bed, &answer, 421, "misdirected").await;
        }
    }
    let honest = partner(&bed, &partners, "spiffe://partner.example/shop");
    assert_eq!(honest.get("/partners").authority("shop.partner.example.com:8443").send().await.status, 200);
    let alice = bed.client("alice");
    for host in ["api.example.com.", "web.example.com", "10.0.0.1"] {
        assert_eq!(alice.get("/mesh").authority(host).send().await.status, 200, "{host}");
    }
    assert_eq!(bed.upstream.count(), 4);
    let answer = alice.get("/partners").authority("shop.partner.example.com").send().await;
    assert_eq!(bed.envoy.details(&answer).await, "boundgate:misdirected");
    assert_eq!(bed.upstream.count(), 4);
}
