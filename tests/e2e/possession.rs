//! What somebody can try in a real Envoy who has a token for a key and a proof that was used, and what honest clients do that looks
//! unusual there; where answers carry a nonce.

use boundgate_testbed::{Answer, App, Client, EnvoyConfig, JwksAnswer, Request, Testbed, Update};
use serde_json::{Value, json};

use crate::expectations::{config, recorded, with};
use crate::front::{self, managers};
use crate::keys::{active, keys_loaded};

const PATH: &str = "/every/7";

fn by_key(config: &mut Value) {
    let resource = &mut config["resources"][0];
    resource["origin"] = json!("https://api.example.com");
    let routes = resource["routes"].as_array_mut().expect("a list");
    let methods = ["GET", "HEAD", "POST", "OPTIONS"];
    routes.push(json!({"path": "/every/{id}", "bound": "dpop", "methods": methods, "preflight": true}));
    routes.push(json!({"path": "/", "bound": "dpop"}));
    routes.push(json!({"path": "/key.Key/Get", "methods": ["POST"], "bound": "dpop"}));
}

fn with_nonces(config: &mut Value) {
    by_key(config);
    config["resources"][0]["dpop"] = json!({"nonce": true});
}

/// The same by another method.
fn sent<'c>(app: &App, client: &'c Client, method: &str, path: &str, proof: &str) -> Request<'c> {
    let request = client.request(method, path).header("authorization", format!("DPoP {}", app.token));
    request.header("dpop", proof)
}

/// The answer is this refusal, and nothing went upstream since there were `before`.
async fn refused_since(bed: &Testbed, answer: &Answer, before: usize, reason: &str) {
    let details = bed.envoy.details(answer).await;
    assert_eq!((answer.status, details), (401, format!("boundgate:{reason}")), "{}", answer.text());
    assert_eq!(bed.upstream.count(), before);
}

#[tokio::test]
async fn a_used_proof_passes_over_no_other_connection_version_method_or_host() {
    let bed = Testbed::start(with(by_key).concurrency(2)).await;
    let app = App::new(&bed);
    let proof = app.proof(PATH, "captured", |_| {});
    let (anonymous, alice) = (bed.anonymous(), bed.client("alice"));
    let http2 = anonymous.http2();
    assert_eq!(sent(&app, &anonymous, "GET", PATH, &proof).send().await.status, 200);
    for (request, reason) in [
        (sent(&app, &anonymous, "GET", PATH, &proof), "proof-replayed"),
        (sent(&app, &http2, "GET", PATH, &proof), "proof-replayed"),
        (sent(&app, &alice, "GET", PATH, &proof), "proof-replayed"),
        (sent(&app, &anonymous, "GET", "/every/7?again", &proof), "proof-replayed"),
        (sent(&app, &anonymous, "GET", "/%65very/%37", &proof), "proof-replayed"),
        (sent(&app, &anonymous, "GET", PATH, &proof).authority("API.example.com.:8443"), "proof-replayed"),
        (sent(&app, &anonymous, "GET", PATH, &proof).header("x-forwarded-host", "other.example"), "proof-replayed"),
        (sent(&app, &anonymous, "HEAD", PATH, &proof), "proof-elsewhere"),
        (sent(&app, &anonymous, "OPTIONS", PATH, &proof), "proof-elsewhere"),
        (sent(&app, &anonymous, "POST", PATH, &proof).body("x"), "proof-elsewhere"),
        (sent(&app, &http2, "POST", PATH, &proof).header("x-http-method-override", "GET"), "proof-elsewhere"),
        (sent(&app, &anonymous, "GET", "/every/8", &proof), "proof-elsewhere"),
        (sent(&app, &anonymous, "GET", "/every/8", &proof).header("x-original-url", PATH), "proof-elsewhere"),
        (sent(&app, &anonymous, "GET", "/every/8", &proof).header("x-envoy-original-path", PATH), "proof-elsewhere"),
        (anonymous.get(PATH).token(&app.token).header("dpop", &proof), "scheme-mismatch"),
        (alice.get(PATH).token(&app.token).header("dpop", &proof), "scheme-mismatch"),
        (anonymous.get(PATH).header("proxy-authorization", format!("DPoP {}", app.token)), "token-missing"),
        (anonymous.get(format!("{PATH}?access_token={}", app.token)).header("dpop", &proof), "token-missing"),
    ] {
        let answer = request.send().await;
        refused_since(&bed, &answer, 1, reason).await;
        assert!(!answer.lines("www-authenticate").is_empty());
    }
    let absolute = format!(
        "GET https://api.example.com{PATH} HTTP/1.1\r\nhost: api.example.com\r\nauthorization: DPoP {}\r\ndpop: {proof}\r\n\r\n",
        app.token
    );
    refused_since(&bed, &anonymous.raw(absolute).await.unwrap(), 1, "proof-replayed").await;
    assert!(!bed.envoy.log().contains("eyJ"), "a token or a proof stands in the log");
    let lines = bed.envoy.access_log();
    assert!(!lines.iter().any(|line| line["audit"].to_string().contains(&proof[proof.len() - 40..])));
}

#[tokio::test]
async fn a_proof_stands_once_in_the_field_of_its_name_and_nowhere_else() {
    let bed = Testbed::start(with(by_key)).await;
    let app = App::new(&bed);
    let (http1, http2) = (bed.anonymous(), bed.anonymous().http2());
    let proof = |jti: &str| app.proof(PATH, jti, |_| {});
    let bearing = |version: &str| {
        let client = if version == "1" { &http1 } else { &http2 };
        client.get(PATH).header("authorization", format!("dpop {}", app.token))
    };
    for version in ["1", "2"] {
        let (one, other) = (proof("one"), proof("other"));
        for (what, request, reason) in [
            ("none", bearing(version), "proof-missing"),
            ("two", bearing(version).header("dpop", &one).header("dpop", &other), "proof-repeated"),
            ("the same twice", bearing(version).header("dpop", &one).header("dpop", &one), "proof-repeated"),
            ("an empty one beside", bearing(version).header("dpop", "").header("dpop", &one), "proof-repeated"),
            ("two in one field", bearing(version).header("dpop", format!("{one}, {other}")), "proof-repeated"),
            ("a comma behind", bearing(version).header("dpop", format!("{one},")), "proof-repeated"),
            ("a space inside", bearing(version).header("dpop", one.replacen('.', ". ", 1)), "proof-malformed"),
            ("other letters", bearing(version).header("dpop", format!("{one}\u{e9}")), "proof-malformed"),
            ("a scheme before", bearing(version).header("dpop", format!("DPoP {one}")), "proof-malformed"),
            ("another field", bearing(version).header("x-dpop", &one), "proof-missing"),
            ("the other way round", bearing(version).header("dpop", &app.token), "proof-malformed"),
        ] {
            let answer = request.send().await;
            refused_since(&bed, &answer, 0, reason).await;
            let challenge = &answer.lines("www-authenticate")[..];
            assert!(
                matches!(challenge, [one] if one.contains("error=\"invalid_dpop_proof\"")),
                "{what}: {challenge:?}"
            );
        }
    }
    let behind = sent(&app, &http2, "POST", PATH, "");
    let behind = behind.body("x").trailer("dpop", &app.proof(PATH, "behind", |claims| claims["htm"] = json!("POST")));
    refused_since(&bed, &behind.send().await, 0, "proof-malformed").await;
    assert_eq!(bearing("1").header("DPoP", proof("honest")).send().await.status, 200);
}

/// Clients sign the path as they send it.
#[tokio::test]
async fn paths_pass_as_they_are_sent_and_signed_whatever_letters_they_have() {
    let paths = [
        "/every/a|b",
        "/every/a^b",
        "/every/a[1]",
        "/every/~a",
        "/every/%7ea",
        "/every/%7Ea",
        "/every/a%7Cb",
        "/every/a:b",
        "/every/a%3ab",
        "/every/caf%C3%A9",
        "/every/caf%c3%a9",
        "/every/a%20b",
        "/every/a+b",
        "/every/!$&'()*,=@-._",
    ];
    for normalizes in [false, true] {
        let config = with(by_key).edit(move |envoy| {
            managers(envoy).for_each(|manager| manager["normalize_path"] = json!(normalizes));
        });
        let bed = Testbed::start(config).await;
        let app = App::new(&bed);
        let mut refused = Vec::new();
        for (number, path) in paths.iter().enumerate() {
            let proof = app.proof(path, &format!("path-{number}"), |_| {});
            let answer = sent(&app, &bed.anonymous(), "GET", path, &proof).send().await;
            if answer.status != 200 {
                refused.push((*path, bed.envoy.details(&answer).await));
            }
        }
        assert_eq!(refused, [], "normalize_path: {normalizes}");
    }
}

#[tokio::test]
async fn behind_a_hop_that_takes_a_prefix_away_proofs_are_for_the_public_url() {
    let bed = Testbed::start(with(|config| {
        by_key(config);
        config["resources"][0]["origin"] = json!("https://api.example.com/svc2");
    }))
    .await;
    let edge = front::in_front_of(&bed, |envoy| {
        for manager in managers(envoy) {
            let route = |prefix: &str| json!({"match": {"prefix": prefix}, "route": {"cluster": "upstream", "prefix_rewrite": "/"}});
            manager["route_config"]["virtual_hosts"][0]["routes"] = json!([route("/svc2/"), route("/svc2")]);
        }
    })
    .await;
    let app = App::new(&bed);
    let client = edge.anonymous();
    for (number, (path, htu)) in [
        ("/svc2/every/7", "/svc2/every/7"),
        ("/svc2/every/7?x", "/svc2/every/7"),
        ("/svc2/", "/svc2/"),
        ("/svc2", "/svc2"),
    ]
    .iter()
    .enumerate()
    {
        let proof = app.proof(htu, &format!("public-{number}"), |_| {});
        let answer = sent(&app, &client, "GET", path, &proof).header("x-forwarded-prefix", "/other").send().await;
        assert_eq!((answer.status, bed.upstream.count()), (200, number + 1), "{path} {}", answer.text());
    }
    for (number, (path, htu)) in
        [("/svc2/every/7", "/every/7"), ("/svc2/every/7", "/svc2/svc2/every/7"), ("/svc2/", "/")].iter().enumerate()
    {
        let proof = app.proof(htu, &format!("inner-{number}"), |_| {});
        let answer = sent(&app, &client, "GET", path, &proof).header("x-forwarded-prefix", "/svc2").send().await;
        assert_eq!((answer.status, bed.upstream.count()), (401, 4), "{path} {htu}");
    }
}

/// Of every kind: at once, after a wait for keys, after a body, of gRPC, and the upstream's where refusals are only reported.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_to_a_proof_without_the_nonce_carries_it_once_and_is_not_stored() {
    let caching = |envoy: &mut Value| {
        let field = json!({"header": {"key": "cache-control", "value": "public, max-age=60"}});
        managers(envoy).for_each(|manager| manager["route_config"]["response_headers_to_add"] = json!([field]));
    };
    let bed = Testbed::start(with(with_nonces).edit(caching)).await;
    let app = App::new(&bed);
    let (client, http2) = (bed.anonymous(), bed.anonymous().http2());
    let nonce_of = |answer: &Answer| {
        let told = (answer.lines("dpop-nonce"), answer.lines("cache-control"));
        let (nonces, caches) = told;
        assert_eq!((nonces.len(), caches), (1, vec!["no-store".to_owned()]), "{}", answer.text());
        nonces[0].clone()
    };
    keys_loaded(&bed, 2).await;
    bed.authority.answer_jwks_with(JwksAnswer::Held);
    let mut without_keys = config();
    with_nonces(&mut without_keys);
    without_keys["issuers"]["main"]["jwks"]["uri"] = json!("https://as.example.com/jwks?new");
    without_keys["issuers"]["main"]["jwks"]["timeout"] = json!("20s");
    assert!(matches!(bed.envoy.config_update(without_keys).await, Ok(Update::Accepted)));
    let waiting = {
        let (client, token, proof) = (client.clone(), app.token.clone(), app.proof(PATH, "waits", |_| {}));
        tokio::spawn(async move {
            let request = client.get(PATH).header("authorization", format!("DPoP {token}"));
            request.header("dpop", proof).send().await
        })
    };
    active(&bed, 1).await;
    bed.authority.answer_jwks_with(JwksAnswer::Keys);
    let waited = waiting.await.unwrap();
    refused_since(&bed, &waited, 0, "nonce-needed").await;
    let nonce = nonce_of(&waited);
    let other = |claims: &mut Value| claims["nonce"] = json!("of-another-server");
    let post = |claims: &mut Value| claims["htm"] = json!("POST");
    for (what, request) in [
        ("GET", sent(&app, &client, "GET", PATH, &app.proof(PATH, "1", |_| {}))),
        ("another nonce", sent(&app, &http2, "GET", PATH, &app.proof(PATH, "2", other))),
        ("HEAD", sent(&app, &client, "HEAD", PATH, &app.proof(PATH, "3", |claims| claims["htm"] = json!("HEAD")))),
        ("a body", sent(&app, &client, "POST", PATH, &app.proof(PATH, "4", post)).body("x".repeat(2000))),
        ("a body", sent(&app, &http2, "POST", PATH, &app.proof(PATH, "5", post)).body("x".repeat(2000))),
        ("chunks", sent(&app, &client, "POST", PATH, &app.proof(PATH, "6", post)).body("x".repeat(2000)).streamed()),
    ] {
        let answer = request.send().await;
        refused_since(&bed, &answer, 0, "nonce-needed").await;
        assert_eq!(nonce_of(&answer), nonce, "{what}");
    }
    let call = http2.grpc("/key.Key/Get").header("authorization", format!("DPoP {}", app.token));
    let called = call.header("dpop", app.proof("/key.Key/Get", "7", post)).send().await;
    assert_eq!((called.grpc_status(), nonce_of(&called)), (Some(16), nonce.clone()));
    let missing = client.get(PATH).header("authorization", format!("DPoP {}", app.token)).send().await;
    refused_since(&bed, &missing, 0, "proof-missing").await;
    assert_eq!(nonce_of(&missing), nonce);
    let with_it = |claims: &mut Value| claims["nonce"] = json!(nonce);
    let passed = sent(&app, &client, "GET", PATH, &app.proof(PATH, "8", with_it)).send().await;
    assert_eq!((passed.status, passed.lines("dpop-nonce").len()), (200, 0));
    assert_eq!(passed.header("cache-control").as_deref(), Some("public, max-age=60"));

    let mut reporting = config();
    with_nonces(&mut reporting);
    reporting["mode"] = json!("report");
    assert!(matches!(bed.envoy.config_update(reporting).await, Ok(Update::Accepted)));
    let used = app.proof(PATH, "8", with_it);
    for (proof, reason, nonces) in [(app.proof(PATH, "9", |_| {}), "nonce-needed", 1), (used, "proof-replayed", 0)] {
        let answer = sent(&app, &client, "GET", PATH, &proof).send().await;
        assert_eq!((answer.status, answer.lines("dpop-nonce").len()), (200, nonces));
        if nonces == 1 {
            assert_eq!(nonce_of(&answer), nonce, "of all configurations");
        }
        let record = recorded(&bed, &answer).await;
        assert_eq!((&record["decision"], &record["reason"]), (&json!("reported"), &json!(reason)));
    }
    let received = bed.upstream.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|request| request.header("dpop").is_none()));
}

#[tokio::test]
async fn a_preflight_passes_without_what_it_carries() {
    let bed = Testbed::start(with(by_key)).await;
    let app = App::new(&bed);
    let proof = app.proof(PATH, "preflight", |_| {});
    let client = bed.anonymous();
    let preflight = sent(&app, &client, "OPTIONS", PATH, &proof).header("origin", "https://app.example");
    let answer = preflight.header("access-control-request-method", "GET").send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(bed.upstream.received()[0].header("dpop"), None);
    assert_eq!(sent(&app, &client, "GET", PATH, &proof).send().await.status, 200, "it was not used up");
}

/// With the configuration for browsers, which answers preflights before the filter.
#[tokio::test]
async fn a_page_may_send_proofs_and_read_nonces() {
    let bed = Testbed::start(EnvoyConfig::shipped_in("envoy/browsers.yaml")).await;
    let app = App::new(&bed);
    let (client, page) = (bed.anonymous(), "https://app.example.com");
    let names = |answer: &Answer, field: &str| {
        let listed = answer.header(field).unwrap_or_default();
        listed.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>()
    };
    let preflight = client.request("OPTIONS", "/orders/7").header("origin", page);
    let preflight = preflight.header("access-control-request-headers", "authorization,dpop");
    let answer = preflight.header("access-control-request-method", "GET").send().await;
    let allowed = names(&answer, "access-control-allow-headers");
    assert!(["authorization", "dpop"].iter().all(|name| allowed.iter().any(|one| one == name)), "{allowed:?}");
    let send = |proof: String| sent(&app, &client, "GET", "/orders/7", &proof).header("origin", page).send();
    let refused = send(app.proof("/orders/7", "page-1", |_| {})).await;
    refused_since(&bed, &refused, 0, "nonce-needed").await;
    let exposed = names(&refused, "access-control-expose-headers");
    assert!(["dpop-nonce", "www-authenticate"].iter().all(|name| exposed.iter().any(|one| one == name)), "{exposed:?}");
    let nonce = refused.header("dpop-nonce");
    assert_eq!(send(app.proof("/orders/7", "page-2", |claims| claims["nonce"] = json!(nonce))).await.status, 200);
}

#[tokio::test]
async fn a_new_configuration_forgets_no_proof() {
    let bed = Testbed::start(with(by_key).concurrency(2)).await;
    let app = App::new(&bed);
    let client = bed.anonymous();
    let proof = app.proof(PATH, "before", |_| {});
    assert_eq!(sent(&app, &client, "GET", PATH, &proof).send().await.status, 200);
    let mut changed = config();
    by_key(&mut changed);
    changed["resources"][0]["routes"][0]["path"] = json!("/alive");
    changed["resources"][0]["dpop"] = json!({"max_age": "5m"});
    assert!(matches!(bed.envoy.config_update(changed).await, Ok(Update::Accepted)));
    for client in [client.clone(), client.http2(), bed.client("alice")] {
        let answer = sent(&app, &client, "GET", PATH, &proof).send().await;
        refused_since(&bed, &answer, 1, "proof-replayed").await;
    }
}
