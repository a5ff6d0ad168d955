//! Callers behind another proxy: whose word about them is taken.

use super::*;

const CLIENT: &str = "x-forwarded-client-cert";

fn hash(certificate: [u8; 32]) -> String {
    let hex: String = certificate.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("Hash={hex}")
}

/// Every validated certificate of a scene is `spiffe://example.org/client/alice`: here the hop.
fn believes(hop: &str) -> Value {
    json!({"from": {"xfcc": {"trusted": [hop]}}})
}

/// [`config`], behind that hop.
fn behind() -> Value {
    let mut config = config();
    config["peer"] = believes("spiffe://example.org/client/alice");
    config
}

/// Bob's token, sent by the hop.
fn bobs(path: &str) -> Request {
    get(path).peer(ALICE).token(&token().bound_to(BOB))
}

#[test]
fn a_token_is_bound_to_the_client_of_a_trusted_hop_whose_header_goes_no_further() {
    let forward = forwarded(Scene::new(&behind()).run(&bobs("/orders/7").header(CLIENT, &hash(BOB))));
    assert_eq!(forward.upstream().remove, [CLIENT]);
    let hops_own = get("/orders/7").peer(ALICE).token(&token());
    for request in [bobs("/orders/7").header(CLIENT, &hash([7; 32])), hops_own.clone().header(CLIENT, &hash(BOB))] {
        assert_eq!(refused(Scene::new(&behind()).run(&request)).reason, Reason::BindingMismatch);
    }
}

#[test]
fn a_trusted_hop_that_names_nobody_speaks_for_nobody_not_even_itself() {
    for header in [None, Some("Hash=00".to_owned()), Some(hash(ALICE)), Some(format!("{},{}", hash(BOB), hash(BOB)))] {
        for token in [token(), token().bound_to(BOB)] {
            let request = get("/orders/7").peer(ALICE).token(&token);
            let request = header.iter().fold(request, |request, header| request.header(CLIENT, header));
            let refusal = refused(Scene::new(&behind()).run(&request));
            assert_eq!(refusal.reason, Reason::CertificateMissing, "{header:?}");
        }
    }
    let twice = bobs("/orders/7").header(CLIENT, &hash(BOB)).header(CLIENT, &hash(BOB));
    assert_eq!(refused(Scene::new(&behind()).run(&twice)).reason, Reason::CertificateMissing);
    let mesh = get("/mesh").peer(ALICE);
    assert_eq!(refused(Scene::new(&behind()).run(&mesh)).reason, Reason::PeerMissing);
}

#[test]
fn who_is_not_a_trusted_hop_is_not_believed_and_is_itself_only_where_that_is_said() {
    let request = bobs("/orders/7").header(CLIENT, &hash(BOB));
    let own = get("/orders/7").peer(ALICE).token(&token()).header(CLIENT, &hash(BOB));
    let other_hop = believes("spiffe://example.org/client/alic");
    let mut direct = other_hop.clone();
    direct["from"]["xfcc"]["direct"] = true.into();
    for (peer, stolen, honest) in [
        (other_hop, Reason::CertificateMissing, Some(Reason::CertificateMissing)),
        (direct, Reason::BindingMismatch, None),
    ] {
        let mut config = config();
        config["peer"] = peer;
        assert_eq!(refused(Scene::new(&config).run(&request)).reason, stolen);
        match (Scene::new(&config).run(&own), honest) {
            (Verdict::Forward(forward), None) => assert_eq!(forward.upstream().remove, [CLIENT]),
            (verdict, honest) => assert_eq!(Some(refused(verdict).reason), honest),
        }
    }
}

#[test]
fn a_hop_is_believed_by_a_validated_certificate_only() {
    let request = bobs("/orders/7").header(CLIENT, &hash(BOB));
    let mut scene = Scene::new(&behind());
    scene.validates = false;
    assert_eq!(refused(scene.run(&request)).reason, Reason::CertificateMissing);
    scene.validates = true;
    forwarded(scene.run(&request));
    scene.validates = false;
    forwarded(scene.run(&request));
    let nobody = get("/orders/7").token(&token().bound_to(BOB)).header(CLIENT, &hash(BOB));
    assert_eq!(refused(scene.run(&nobody)).reason, Reason::CertificateMissing);
}

#[test]
fn each_resource_may_have_a_source_of_its_own_and_all_remove_what_one_reads() {
    let mut config = config();
    let mut partner = config["resources"][0].clone();
    partner["hosts"] = json!(["partner.example"]);
    partner["peer"] = believes("spiffe://example.org/client/*");
    config["resources"].as_array_mut().unwrap().push(partner);
    let scene = || Scene::new(&config);
    let conveyed = bobs("/orders/7").header(CLIENT, &hash(BOB));
    forwarded(scene().run(&conveyed.clone().host("partner.example")));
    assert_eq!(refused(scene().run(&conveyed)).reason, Reason::BindingMismatch);
    let own = get("/orders/7").peer(ALICE).token(&token()).header(CLIENT, &hash(BOB));
    assert_eq!(forwarded(scene().run(&own)).upstream().remove, [CLIENT]);
    assert_eq!(refused(scene().run(&own.host("partner.example"))).reason, Reason::BindingMismatch);
}

#[test]
fn the_header_is_removed_also_where_refusals_are_only_reported() {
    let mut config = behind();
    config["mode"] = "report".into();
    for request in [get("/orders/7"), get("/nowhere"), bobs("/orders/7")] {
        let verdict = Scene::new(&config).run(&request.header(CLIENT, "x").header("x_forwarded_client_cert", "x"));
        let Verdict::Report(_, upstream) = verdict else { panic!("no report") };
        assert!(upstream.remove.iter().any(|name| name == CLIENT), "{:?}", upstream.remove);
        assert!(upstream.remove.iter().any(|name| name == "x_forwarded_client_cert"), "{:?}", upstream.remove);
    }
}

fn json_of(params: impl FnOnce(&mut rcgen::CertificateParams)) -> String {
    let mut written = rcgen::CertificateParams::new(Vec::new()).unwrap();
    written.subject_alt_names.push(rcgen::SanType::URI("spiffe://example.org/client/bob".try_into().unwrap()));
    params(&mut written);
    let certificate = written.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    let hash: String =
        <sha2::Sha256 as sha2::Digest>::digest(certificate.der()).iter().map(|byte| format!("{byte:02x}")).collect();
    // Whatever a hop says of the names, those in the certificate count.
    json!([{"hash": hash, "cert": certificate.pem(), "uri": ["spiffe://example.org/client/x"]}]).to_string()
}

#[test]
fn the_client_is_who_its_certificate_says_while_it_lasts() {
    let mut config = behind();
    config["resources"][0]["forward"] = json!({"headers": {"x-peer": "peer"}});
    let mesh = |header: &str| Scene::new(&config).run(&get("/mesh").peer(ALICE).header(CLIENT, header));
    let told = |name: &str| vec![("x-peer".to_owned(), format!("spiffe://example.org/client/{name}"))];
    assert_eq!(forwarded(mesh(&json_of(|_| {}))).upstream().set, told("bob"));
    let expired = json_of(|params| params.not_after = rcgen::date_time_ymd(2025, 1, 1));
    assert_eq!(refused(mesh(&expired)).reason, Reason::PeerUnidentified);
    let two = json_of(|params| {
        params.subject_alt_names.push(rcgen::SanType::URI("spiffe://example.org/client/a".try_into().unwrap()));
    });
    assert_eq!(refused(mesh(&two)).reason, Reason::PeerUnidentified);
    let hash = hash(BOB);
    let (_, hex) = hash.split_once('=').unwrap();
    let without = json!([{"hash": hex, "uri": ["spiffe://example.org/client/carol"]}]).to_string();
    assert_eq!(forwarded(mesh(&without)).upstream().set, told("carol"));
    // In text names are not told for certain.
    let text = format!("{hash};Subject=\"CN=bob\";URI=spiffe://example.org/client/bob");
    assert_eq!(refused(mesh(&text)).reason, Reason::PeerUnidentified);
}

#[test]
fn clients_behind_one_hop_have_budgets_of_their_own_also_where_no_route_is_found() {
    let mut config = behind();
    config["limits"]["failures"] = json!({"key": ["source"], "on": [404], "rate": "1/h", "burst": 1});
    config["resources"][0]["routes"][0]["limits"] = json!(["failures"]);
    let mut scene = Scene::new(&config);
    let mut unknown = |certificate| {
        let request = get("/nowhere").peer(ALICE).header(CLIENT, &hash(certificate));
        refused(scene.run(&request)).reason.row().status
    };
    assert_eq!([unknown(BOB), unknown(BOB), unknown([7; 32])], [404, 429, 404]);
}

/// A certificate in DER, and its SHA-256.
fn certificate(name: &str) -> (Vec<u8>, [u8; 32]) {
    let mut params = rcgen::CertificateParams::new(vec![format!("{name}.example.org")]).unwrap();
    let uri = format!("spiffe://example.org/client/{name}");
    params.subject_alt_names.push(rcgen::SanType::URI(uri.as_str().try_into().unwrap()));
    let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    (certificate.der().to_vec(), <sha2::Sha256 as sha2::Digest>::digest(certificate.der()).into())
}

fn client_cert(der: &[u8]) -> String {
    use base64::Engine;
    format!(":{}:", base64::engine::general_purpose::STANDARD.encode(der))
}

#[test]
fn a_certificate_in_client_cert_is_that_of_the_trusted_hops_client_and_goes_no_further() {
    let mut config = config();
    config["peer"] = json!({"from": {"client_cert": {"trusted": ["spiffe://example.org/client/alice"]}}});
    let ((der, digest), (other, _)) = (certificate("bob"), certificate("carol"));
    let bobs = |field: &str| {
        let request = get("/orders/7").peer(ALICE).token(&token().bound_to(digest));
        Scene::new(&config).run(&request.header("client-cert", field).header("client-cert-chain", &client_cert(&other)))
    };
    let mesh = |field: &str| Scene::new(&config).run(&get("/mesh").peer(ALICE).header("client-cert", field));
    let mut removed = forwarded(bobs(&client_cert(&der))).upstream().remove.clone();
    removed.sort();
    assert_eq!(removed, ["client-cert", "client-cert-chain"]);
    forwarded(mesh(&client_cert(&der)));
    assert_eq!(refused(bobs(&client_cert(&other))).reason, Reason::BindingMismatch);
    for wrong in ["", "::", &client_cert(&der)[1..], &format!("{0}, {0}", client_cert(&der)), &client_cert(b"\x30\x01")]
    {
        assert_eq!(refused(bobs(wrong)).reason, Reason::CertificateMissing, "{wrong}");
        assert_eq!(refused(mesh(wrong)).reason, Reason::PeerMissing, "{wrong}");
    }
    // A sequence that is no certificate is somebody's thumbprint at the most.
    assert_eq!(refused(mesh(":MAA=:")).reason, Reason::PeerUnidentified);
    let xfcc = get("/mesh").peer(ALICE).header(CLIENT, &hash(BOB));
    assert_eq!(refused(Scene::new(&config).run(&xfcc)).reason, Reason::PeerMissing, "the header of another source");
}

#[test]
fn a_hop_may_be_known_by_the_pin_of_its_certificate() {
    let hex = |certificate: [u8; 32]| certificate.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for (trusted, believed) in [(hex(ALICE), true), (hex([7; 32]), false)] {
        let mut config = config();
        config["peer"] = believes(&format!("sha256:{trusted}"));
        match Scene::new(&config).run(&bobs("/orders/7").header(CLIENT, &hash(BOB))) {
            Verdict::Forward(_) => assert!(believed),
            verdict => assert_eq!((refused(verdict).reason, believed), (Reason::CertificateMissing, false)),
        }
    }
}

fn recorded(scene: &mut Scene, request: &Request) -> Value {
    let mut exchange = scene.exchange(request);
    let Step::Done(verdict) = scene.poll(&mut exchange, request.peer) else { panic!("it waits") };
    serde_json::from_str(&crate::observe::audit_record(exchange.facts(), (&verdict).into())).unwrap()
}

#[test]
fn the_record_tells_when_a_validated_certificate_ends_and_that_this_is_soon() {
    let dates = |from: (i32, u8, u8), to: (i32, u8, u8)| {
        json_of(|params| {
            params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
            params.not_after = rcgen::date_time_ymd(to.0, to.1, to.2);
        })
    };
    // It is 2026-01-01.
    for (field, warn_before, days, expiring) in [
        (dates((2025, 1, 1), (2027, 1, 1)), "30d", json!(365), false),
        (dates((2025, 1, 1), (2026, 1, 31)), "30d", json!(30), false),
        (dates((2025, 1, 1), (2026, 1, 30)), "30d", json!(29), true),
        (dates((2025, 1, 1), (2026, 1, 30)), "10d", json!(29), false),
        (dates((2025, 1, 1), (2026, 1, 30)), "0s", json!(29), false),
        (dates((2025, 12, 30), (2026, 1, 2)), "30d", json!(1), false),
        (dates((2025, 12, 20), (2026, 1, 2)), "30d", json!(1), true),
        (dates((2025, 1, 1), (2025, 12, 31)), "30d", Value::Null, false),
    ] {
        let mut config = behind();
        config["peer"]["warn_before"] = warn_before.into();
        let mut scene = Scene::new(&config);
        let record = recorded(&mut scene, &get("/mesh").peer(ALICE).header(CLIENT, &field));
        assert_eq!(record["certificate_days_left"], days, "{record}");
        let events = if expiring { json!(["certificate-expiring"]) } else { Value::Null };
        assert_eq!(record["events"], events, "{record}");
        let counted = (Counter::CertificateExpiring as usize, 1);
        assert_eq!(scene.worker.take_tally().events().any(|count| count == counted), expiring);
        let unasked = recorded(&mut scene, &get("/healthz").peer(ALICE).header(CLIENT, &field));
        assert_eq!((&unasked["certificate_days_left"], &unasked["events"]), (&Value::Null, &Value::Null));
    }
}

#[test]
fn the_record_tells_where_it_was_read_who_calls_and_why_a_hops_word_was_not_used() {
    let record = |scene: &mut Scene, request: &Request| {
        let record = recorded(scene, request);
        (record["peer_source"].clone(), record["conveyed_unused"].clone())
    };
    let tls = record(&mut Scene::new(&config()), &get("/healthz").peer(ALICE));
    assert_eq!(tls, (json!("tls"), Value::Null));
    assert_eq!(record(&mut Scene::new(&config()), &get("/healthz")), (Value::Null, Value::Null));
    let mut direct = behind();
    direct["peer"]["from"]["xfcc"]["trusted"] = json!(["spiffe://example.org/client/x"]);
    direct["peer"]["from"]["xfcc"]["direct"] = true.into();
    let request = || get("/nowhere").peer(ALICE);
    for (config, request, source, unused) in [
        (behind(), request().header(CLIENT, &hash(BOB)), json!("xfcc"), Value::Null),
        (behind(), request(), Value::Null, json!("missing")),
        (behind(), request().header(CLIENT, &hash(ALICE)), Value::Null, json!("missing")),
        (behind(), request().header(CLIENT, "x").header(CLIENT, "x"), Value::Null, json!("repeated")),
        (behind(), request().header(CLIENT, &"x".repeat(40_000)), Value::Null, json!("unreadable")),
        (behind(), get("/").header(CLIENT, &hash(BOB)), Value::Null, json!("hop-untrusted")),
        (direct.clone(), request().header(CLIENT, &hash(BOB)), json!("tls"), json!("hop-untrusted")),
        (direct, request(), json!("tls"), Value::Null),
    ] {
        assert_eq!(record(&mut Scene::new(&config), &request), (source, unused));
    }
}
