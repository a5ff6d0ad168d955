//! By what a route may know its peers besides SPIFFE IDs: DNS names, subjects, serial numbers, the certificate itself.

use std::time::Duration;

use boundgate_testbed::rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, SanType};
use boundgate_testbed::{ClientCertificates, EnvoyConfig, Pki, Testbed};
use serde_json::{Value, json};

use crate::expectations::{config, record_in, recorded, refused};

/// [`config`] with a route for the peers of each name, on an Envoy that lets in what no CA signed, and whose log tells what
/// it makes of names.
fn admitting(routes: &[(&str, &[&str])]) -> EnvoyConfig {
    let mut config = config();
    for (path, peers) in routes {
        let route = json!({"path": path, "access": "peer", "peers": peers});
        config["resources"][0]["routes"].as_array_mut().unwrap().push(route);
    }
    EnvoyConfig::new(config).client_certificates(ClientCertificates::AcceptUntrusted).edit(|envoy| {
        let manager = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        let format = &mut manager["access_log"][0]["typed_config"]["log_format"]["json_format"];
        format["subject"] = "%DOWNSTREAM_PEER_SUBJECT%".into();
        format["issuer"] = "%DOWNSTREAM_PEER_ISSUER%".into();
        format["serial"] = "%DOWNSTREAM_PEER_SERIAL%".into();
    })
}

fn with_dns(params: &mut CertificateParams, names: &[&str]) {
    params.subject_alt_names.extend(names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())));
}

/// With every sign in its subject that is written in a special way.
fn with_odd_subject(params: &mut CertificateParams) {
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in [
        (DnType::CountryName, DnValue::PrintableString("SE".try_into().unwrap())),
        (DnType::OrganizationName, "Acme, \"Inc\" <+;>".into()),
        (DnType::LocalityName, "#1 Malmö \u{20ac}".into()),
        (DnType::StateOrProvinceName, DnValue::BmpString("Skåne".try_into().unwrap())),
        (DnType::OrganizationalUnitName, DnValue::TeletexString("Teletex".try_into().unwrap())),
        (DnType::CustomDnType(vec![2, 5, 4, 97]), "PSDSE-FINA-12345".into()),
        (DnType::CustomDnType(vec![2, 5, 4, 5]), "42".into()),
        (DnType::CustomDnType(vec![2, 5, 4, 42]), "Alice".into()),
        (DnType::CustomDnType(vec![2, 5, 4, 4]), "Ek".into()),
        (DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 1]), "alice".into()),
        (DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 25]), "example".into()),
        (DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]), "alice@example.org".into()),
        (DnType::CommonName, " alice\\ ".into()),
    ] {
        params.distinguished_name.push(kind, value);
    }
}

#[tokio::test]
async fn a_subject_an_issuer_and_a_serial_number_read_as_envoy_tells_them() {
    let bed = Testbed::start(admitting(&[("/any", &["*"])])).await;
    let odd = bed.client_with(bed.pki.client_with("alice", with_odd_subject));
    let answer = odd.get("/any").send().await;
    assert_eq!(answer.status, 200);
    let line = bed.envoy.access_log_of(&answer).await;
    let (record, text) = (record_in(&line), |key: &str| line[key].as_str().unwrap().to_owned());
    // The record is bounded.
    let recorded = record["subject"].as_str().unwrap().trim_end_matches('…');
    assert!(recorded.len() > 100 && text("subject").starts_with(recorded), "{recorded}");
    assert_eq!(record["serial"].as_str().unwrap().trim_start_matches('0'), text("serial"));

    let (subject, serial) =
        (format!("subject:{}", text("subject")), format!("serial:{}@{}", text("serial"), text("issuer")));
    let bed = Testbed::start(admitting(&[("/subject", &[&subject]), ("/serial", &[&serial])])).await;
    for path in ["/subject", "/serial"] {
        let stranger = bed.client_with(bed.pki.client_with("alice", |_| {}));
        refused(&bed, &stranger.get(path).send().await, 403, "peer-not-allowed").await;
    }
    let odd = odd.at(bed.envoy.address("boundgate"), "api.example.com");
    for path in ["/subject", "/serial"] {
        assert_eq!(odd.get(path).send().await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_peer_passes_by_what_its_validated_certificate_has_and_nobody_else_does() {
    let pki = Pki::shared();
    let (old, new) = (pki.client_with("alice", |_| {}), pki.client_with("alice", |_| {}));
    let stranger = pki.self_signed_client("alice");
    let pins = [&old, &new].map(|pinned| format!("sha256:{}", pinned.digest()));
    let pins: Vec<&str> = pins.iter().map(String::as_str).collect();
    let untrusted = format!("sha256:{}", stranger.thumbprint());
    let bed = Testbed::start(admitting(&[
        ("/pinned", &pins),
        ("/untrusted", &[&untrusted]),
        ("/dns", &["dns:a.example.org", "dns:b.example.org"]),
        ("/below", &["dns:*.example.org"]),
        ("/subject", &["subject:CN=alice"]),
    ]))
    .await;
    let named =
        |names: &'static [&'static str]| bed.client_with(pki.client_with("x", |params| with_dns(params, names)));
    let common_name = |name: &str| bed.client_with(pki.client_with(name, |_| {}));
    let (second, wildcard) = (named(&["x.example.net", "B.Example.Org"]), named(&["*.example.org"]));
    for (path, client, reason) in [
        ("/pinned", common_name("alice"), "peer-not-allowed"),
        ("/untrusted", bed.client_with(stranger), "peer-unidentified"),
        ("/dns", named(&["a.example.org.evil"]), "peer-not-allowed"),
        ("/dns", named(&["c.example.org"]), "peer-not-allowed"),
        ("/dns", wildcard.clone(), "peer-not-allowed"),
        ("/dns", common_name("a.example.org"), "peer-not-allowed"),
        ("/below", wildcard, "peer-not-allowed"),
        ("/below", named(&["a.b.example.org", "example.org"]), "peer-not-allowed"),
        ("/subject", common_name("Alice"), "peer-not-allowed"),
        ("/subject", bed.client_with(pki.client_with("alice", with_odd_subject)), "peer-not-allowed"),
        ("/subject", bed.client_with(pki.self_signed_client("alice")), "peer-unidentified"),
        ("/subject", bed.anonymous(), "peer-missing"),
    ] {
        refused(&bed, &client.get(path).send().await, 403, reason).await;
    }
    for (path, client) in [
        ("/pinned", bed.client_with(old)),
        ("/pinned", bed.client_with(new)),
        ("/dns", second.clone()),
        ("/below", second),
        ("/subject", common_name("alice")),
    ] {
        assert_eq!(client.get(path).send().await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_told_in_the_record_and_counted_and_nothing_is_refused_for_it() {
    let mut config = config();
    config["peer"] = json!({"warn_before": "7d"});
    let bed = Testbed::start(config).await;
    let ending = bed.pki.client_with("alice", |params| {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        params.not_after = params.not_before + days(6) + Duration::from_secs(3600);
        params.not_before -= days(30);
    });
    let ending = bed.client_with(ending).resuming();
    for (client, days, events, counted) in [
        (&bed.client("alice"), 27, Value::Null, 0),
        (&ending, 5, json!(["certificate-expiring"]), 1),
        (&ending, 5, json!(["certificate-expiring"]), 2),
    ] {
        let answer = client.get("/mesh").send().await;
        assert_eq!(answer.status, 200);
        let record = recorded(&bed, &answer).await;
        assert_eq!((&record["certificate_days_left"], &record["events"]), (&days.into(), &events));
        bed.envoy.stat_becomes("wasmcustom.boundgate.certificate_expiring", counted).await.unwrap();
    }
}
