//! Keys from the authorization server: one fetch for all, kept while it is down, never lost by a client that hangs up
//! or by an update.

use std::time::{Duration, Instant};

use boundgate_testbed::{Algorithm, AuthorizationServer, Client, EnvoyConfig, JwksAnswer, Testbed, Update};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::expectations::{alices_token, bed, config, refused, with};

/// Waits until every VM of this Envoy (main thread and workers) has fetched its keys.
pub async fn keys_loaded(bed: &Testbed, vms: usize) {
    eventually("the keys are loaded", || bed.authority.jwks_fetches() >= vms).await;
}

async fn eventually(what: &str, holds: impl FnMut() -> bool) {
    within(Duration::from_secs(20), what, holds).await;
}

async fn within(patience: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A configuration whose keys have to be fetched anew, while the authorization server holds its answer.
pub async fn without_keys(bed: &Testbed) {
    without_keys_of(bed, "https://as.example.com/jwks?new").await;
}

async fn without_keys_of(bed: &Testbed, uri: &str) {
    bed.authority.answer_jwks_with(JwksAnswer::Held);
    let mut other = config();
    other["issuers"]["main"]["jwks"]["uri"] = json!(uri);
    other["issuers"]["main"]["jwks"]["timeout"] = json!("20s");
    assert!(matches!(bed.envoy.config_update(other).await, Ok(Update::Accepted)));
}

fn many(client: &Client, token: &str, count: usize) -> JoinSet<u16> {
    let mut requests = JoinSet::new();
    for _ in 0..count {
        let (client, token) = (client.clone(), token.to_owned());
        requests.spawn(async move { client.get("/orders/7").token(&token).send().await.status });
    }
    requests
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_wait_for_keys_share_one_fetch_and_all_go_on() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    keys_loaded(&bed, 2).await;
    let before = bed.authority.jwks_fetches();
    without_keys(&bed).await;
    let requests = many(&bed.client("alice"), &token, 20);
    // Main thread and worker fetch once each, however many requests wait.
    keys_loaded(&bed, before + 2).await;
    bed.authority.answer_jwks_with(JwksAnswer::Keys);
    assert!(requests.join_all().await.iter().all(|status| *status == 200));
    assert_eq!(bed.authority.jwks_fetches(), before + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_does_not_lose_the_fetch_for_the_others() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    keys_loaded(&bed, 2).await;
    without_keys(&bed).await;
    for client in [bed.client("alice"), bed.client("alice").http2()] {
        let mut first = many(&client, &token, 3);
        waiting(&bed, 3).await;
        first.shutdown().await;
        active(&bed, 0).await;
        waiting(&bed, 0).await;
    }
    let others = many(&bed.client("alice"), &token, 5);
    active(&bed, 5).await;
    bed.authority.answer_jwks_with(JwksAnswer::Keys);
    assert!(others.join_all().await.iter().all(|status| *status == 200));
    assert_eq!(bed.upstream.count(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_in_the_middle_of_a_fetch_loses_nobody() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    keys_loaded(&bed, 2).await;
    without_keys(&bed).await;
    let old = many(&bed.client("alice"), &token, 3);
    active(&bed, 3).await;
    // The same trust under another policy: the new root's streams wait for the old root's fetch.
    let mut changed = config();
    changed["issuers"]["main"]["jwks"]["uri"] = json!("https://as.example.com/jwks?new");
    changed["issuers"]["main"]["jwks"]["timeout"] = json!("20s");
    changed["limits"]["per-client"]["burst"] = json!(6);
    assert!(matches!(bed.envoy.config_update(changed).await, Ok(Update::Accepted)));
    let new = many(&bed.client("alice"), &token, 3);
    active(&bed, 6).await;
    bed.authority.answer_jwks_with(JwksAnswer::Keys);
    assert!(old.join_all().await.iter().chain(&new.join_all().await).all(|status| *status == 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_waits_for_the_verdict_also_where_the_proxy_would_let_it_go_on() {
    let go_on = |envoy: &mut serde_json::Value| {
        let manager = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        manager["http_filters"][0]["typed_config"]["config"]["allow_on_headers_stop_iteration"] = json!(true);
    };
    let bed = Testbed::start(with(|_| {}).without_interlock().edit(go_on)).await;
    let (token, unseen) = (alices_token(&bed).await, alices_token(&bed).await);
    keys_loaded(&bed, 2).await;
    without_keys(&bed).await;
    let post = |client: Client, token: String| async move {
        client.post("/orders.Orders/Get").token(&token).body([7; 1_000]).send().await
    };
    let thieves = [bed.client("bob"), bed.client("bob").http2()].map(|bob| tokio::spawn(post(bob, token.clone())));
    active(&bed, 2).await;
    bed.authority.answer_jwks_with(JwksAnswer::Keys);
    for thief in thieves {
        refused(&bed, &thief.await.unwrap(), 401, "binding-mismatch").await;
    }
    without_keys_of(&bed, "https://as.example.com/jwks?newer").await;
    let honest = tokio::spawn(post(bed.client("alice").http2(), unseen));
    active(&bed, 1).await;
    bed.authority.answer_jwks_with(JwksAnswer::Keys);
    assert_eq!(honest.await.unwrap().status, 200);
    assert_eq!(bed.upstream.received()[0].body_len, 1_000, "all of it arrives");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_new_tokens_that_wait_for_one_slow_fetch_all_pass() {
    const REQUESTS: usize = 2_000;
    // The upstream gets them at once, which Envoy would not let it by default.
    let bed = Testbed::start(with(|_| {}).edit(|envoy| {
        for cluster in envoy["static_resources"]["clusters"].as_array_mut().unwrap() {
            cluster["circuit_breakers"] = json!({"thresholds": [
                {"max_connections": 4096, "max_pending_requests": 4096, "max_requests": 4096}
            ]});
        }
    }))
    .await;
    keys_loaded(&bed, 2).await;
    let before = bed.authority.jwks_fetches();
    without_keys(&bed).await;
    let alice = bed.client("alice").http2();
    let claims = bed.authority.claims().scope("read:orders").bound_to(alice.identity().unwrap());
    let mut requests = JoinSet::new();
    for (number, client) in std::iter::repeat_with(|| alice.kept()).take(REQUESTS / 100).enumerate() {
        for nth in 0..100 {
            let token = claims.clone().set("jti", format!("{number}-{nth}")).sign();
            let client = client.clone();
            requests.spawn(async move { client.get("/orders/7").token(&token).send().await.status });
        }
    }
    waiting(&bed, REQUESTS as u64).await;
    bed.authority.answer_jwks_with(JwksAnswer::Keys);
    let statuses = requests.join_all().await;
    assert_eq!((statuses.len(), statuses.iter().filter(|status| **status == 200).count()), (REQUESTS, REQUESTS));
    assert_eq!((bed.upstream.count(), bed.authority.jwks_fetches()), (REQUESTS, before + 2));
    waiting(&bed, 0).await;
    bed.envoy.stat_becomes("wasmcustom.boundgate.waiting_bytes", 0).await.unwrap();
    bed.envoy.stat_becomes("wasmcustom.boundgate.calls", 0).await.unwrap();
}

/// Waits until the filter holds exactly this many requests.
async fn waiting(bed: &Testbed, requests: u64) {
    bed.envoy.stat_becomes("wasmcustom.boundgate.waiting", requests).await.unwrap();
}

/// Waits until the proxy holds exactly this many requests.
pub async fn active(bed: &Testbed, requests: u64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let active = bed.envoy.stat("http.boundgate.downstream_rq_active").await;
        if active == requests {
            return;
        }
        assert!(Instant::now() < deadline, "{active} requests, not {requests}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn with_nothing_loaded_and_the_authorization_server_down_the_answer_is_503_with_retry_after() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    keys_loaded(&bed, 2).await;
    bed.authority.stop().await;
    let mut other = config();
    other["issuers"]["main"]["jwks"]["uri"] = json!("https://as.example.com/jwks?new");
    other["issuers"]["main"]["jwks"]["timeout"] = json!("5s");
    bed.envoy.config_update(other).await.unwrap();
    let answer = bed.client("alice").get("/orders/7").token(&token).send().await;
    refused(&bed, &answer, 503, "keys-unavailable").await;
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert!(answer.challenges().is_empty(), "a good token must not be thrown away");
    assert_eq!(bed.anonymous().get("/healthz").send().await.status, 200, "public routes do not need keys");
    bed.authority.restart().await;
    let requests = many(&bed.client("alice"), &token, 5).join_all().await;
    assert_eq!(requests, [200; 5], "whoever comes after the server's return waits for the keys");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_requests_wait_for_a_key_server_that_is_slow_to_start() {
    let mut config = config();
    config["issuers"]["main"]["jwks"]["timeout"] = json!("20s");
    let bed = Testbed::start_with(|authority| {
        // Longer than this Envoy waits for a connection: the first fetches fail.
        authority.warms_up(Duration::from_secs(3));
        EnvoyConfig::new(config).edit(|envoy| {
            let clusters = envoy["static_resources"]["clusters"].as_array_mut().unwrap();
            clusters.iter_mut().for_each(|cluster| cluster["connect_timeout"] = json!("1s"));
        })
    })
    .await;
    let alice = bed.client("alice");
    let token = bed.authority.claims().scope("read:orders").bound_to(alice.identity().unwrap()).sign();
    assert_eq!(many(&alice, &token, 5).join_all().await, [200; 5]);
    bed.envoy.stat_reaches("wasmcustom.boundgate.key_fetch_failed", 1).await.unwrap();
}

/// The cluster as it is shipped gives a connection that long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_server_whose_first_handshake_takes_three_seconds_is_waited_for() {
    let mut config = config();
    config["issuers"]["main"]["jwks"]["timeout"] = json!("20s");
    let bed = Testbed::start_with(|authority| {
        authority.first_handshake_takes(Duration::from_secs(3));
        EnvoyConfig::new(config)
    })
    .await;
    let alice = bed.client("alice");
    let token = bed.authority.claims().scope("read:orders").bound_to(alice.identity().unwrap()).sign();
    assert_eq!(many(&alice, &token, 5).join_all().await, [200; 5]);
}

/// Half a minute is the shortest time that may be configured, so this takes longer than any other test. What it asserts is only that
/// nothing comes early.
#[tokio::test]
async fn keys_are_fetched_again_when_the_server_says_and_not_before() {
    let (until, says) = (Duration::from_secs(30), Duration::from_secs(36));
    let config = with(|config| {
        let jwks = |query| json!({"cluster": "as", "uri": format!("https://as.example.com/jwks?{query}"), "refresh": "30s", "max_stale": "2m"});
        let mut other = config["issuers"]["main"].clone();
        (other["issuer"], other["jwks"]) = (json!("https://other.example.com"), jwks("silent"));
        config["issuers"]["main"]["jwks"] = jwks("max-age=36");
        config["issuers"]["other"] = other;
        config["resources"][0]["issuers"] = json!(["main", "other"]);
    });
    let bed = Testbed::start(config).await;
    // Main thread and worker fetch once each.
    for (query, age) in [("silent", until), ("max-age=36", says)] {
        within(age + Duration::from_secs(60), query, || bed.authority.jwks_fetches_with(query).len() >= 4).await;
        let fetches = bed.authority.jwks_fetches_with(query);
        let again = fetches[2].duration_since(fetches[0]);
        assert!(again >= age, "{query}: {again:?}");
    }
    let (alice, token) = (bed.client("alice"), alices_token(&bed).await);
    assert_eq!(alice.get("/orders/7").token(&token).send().await.status, 200);
}

/// Prints the requests a minute that the server saw.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_workers_are_no_more_load_on_a_server_in_trouble() {
    const WORKERS: u32 = 4;
    let bed = Testbed::start(with(|_| {}).concurrency(WORKERS)).await;
    keys_loaded(&bed, WORKERS as usize + 1).await;
    let token = alices_token(&bed).await;
    let redirect = JwksAnswer::Redirect("https://elsewhere.example.com/".into());
    let compressed = JwksAnswer::Bytes("application/json", vec![0x1f, 0x8b, 8, 0]);
    let cases = [
        ("5xx", JwksAnswer::Status(500), "See the server's log"),
        ("garbage", JwksAnswer::html(), "Is \"uri\" right? The answer begins with \"<!DOCTYPE html>"),
        ("huge", JwksAnswer::huge(300_000), "have the server publish only what verifies access tokens"),
        ("compressed", compressed, "Switch off compression for it at the server"),
        ("redirecting", redirect, "Write into \"uri\" where the keys are"),
        ("silent", JwksAnswer::Held, "Nothing came in time: see the cluster's endpoint"),
    ];
    for (number, (what, wrong, remedy)) in cases.into_iter().enumerate() {
        bed.authority.answer_jwks_with(wrong);
        let mut other = config();
        other["issuers"]["main"]["jwks"]["uri"] = json!(format!("https://as.example.com/jwks?{number}"));
        let (before, since) = (bed.authority.jwks_fetches(), Instant::now());
        assert!(matches!(bed.envoy.config_update(other).await, Ok(Update::Accepted)));
        for _ in 0..3 {
            // New connections, so that requests wait in all workers.
            let statuses = many(&bed.client("alice"), &token, 40).join_all().await;
            assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
        }
        let (fetches, seconds) = (bed.authority.jwks_fetches() - before, since.elapsed().as_secs_f64());
        println!("{what}: {:.0} requests a minute at {WORKERS} workers", fetches as f64 / seconds * 60.0);
        let place = format!("issuers.main.jwks: keys at https://as.example.com/jwks?{number} (cluster as): ");
        let told = |line: &str| line.contains(&place) && line.contains(remedy);
        eventually(remedy, || bed.envoy.log().lines().any(told)).await;
        // All workers at once, twice within the first second, and then once a second.
        assert!((fetches as f64) < f64::from(WORKERS + 1) + 3.0 + seconds / 0.75, "{fetches} in {seconds} s");
    }
    assert_eq!(bed.upstream.count(), 0);
}

/// Each issuer has a cluster of its name, made of the shipped one for keys.
#[tokio::test]
async fn a_key_server_that_cannot_be_reached_is_told_with_what_to_look_at() {
    // One that speaks no TLS, and one that accepts connections and says nothing.
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (plain_at, silent_at) = (plain.local_addr().unwrap(), silent.local_addr().unwrap());
    let answering = tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    const UNREACHABLE: &str = "the server could not be reached: \"";
    let cases = [
        ("refused", UNREACHABLE, "Nothing listens at the cluster's endpoint", "upstream_cx_connect_fail"),
        ("no-tls-there", UNREACHABLE, "or TLS failed", "ssl.connection_error"),
        ("no-tls-here", UNREACHABLE, "whether the server wants TLS", "upstream_cx_protocol_error"),
        ("other-name", UNREACHABLE, "\"match_typed_subject_alt_names\"", "ssl.fail_verify_san"),
        ("other-ca", UNREACHABLE, "\"trusted_ca\"", "ssl.fail_verify_error"),
        ("silent", UNREACHABLE, "Nothing came in time", "upstream_cx_total"),
        ("ill", "the fetch was answered with status 503", "See the server's log", "upstream_rq_503"),
    ];
    let config = with(|config| {
        let main = config["issuers"]["main"].clone();
        for (name, ..) in cases {
            let issuer = &mut config["issuers"][name];
            *issuer = main.clone();
            issuer["issuer"] = json!(format!("https://{name}.example.com"));
            issuer["jwks"]["cluster"] = json!(name);
        }
        config["resources"][0]["issuers"] =
            cases.iter().map(|(name, ..)| json!(name)).chain([json!("main")]).collect::<Vec<_>>().into();
    });
    let config = config.edit(move |envoy| {
        let clusters = envoy["static_resources"]["clusters"].as_array_mut().unwrap();
        let shipped = clusters.iter().find(|cluster| cluster["name"] == "as").unwrap().clone();
        for (name, ..) in cases {
            let mut cluster = shipped.clone();
            cluster["name"] = json!(name);
            let at = match name {
                "refused" => Some(gone),
                "no-tls-there" => Some(plain_at),
                "silent" => Some(silent_at),
                _ => None,
            };
            if let Some(at) = at {
                let endpoint = &mut cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
                endpoint["address"]["socket_address"]["port_value"] = json!(at.port());
            }
            let tls = &mut cluster["transport_socket"]["typed_config"];
            let validation = &mut tls["common_tls_context"]["validation_context"];
            match name {
                "no-tls-here" => drop(cluster.as_object_mut().unwrap().remove("transport_socket")),
                "other-name" => {
                    validation["match_typed_subject_alt_names"][0]["matcher"]["exact"] = json!("other.example.com");
                }
                "other-ca" => {
                    validation["trusted_ca"] = json!({"inline_string": boundgate_testbed::Pki::new().ca_pem()})
                }
                _ => {}
            }
            clusters.push(cluster);
        }
    });
    let bed = Testbed::start_with(|authority| {
        authority.answer_jwks_with(JwksAnswer::Status(503));
        config
    })
    .await;
    for (name, what, remedy, counter) in cases {
        let told = |line: &str| {
            line.contains(&format!("issuers.{name}.jwks: keys at https://as.example.com/jwks (cluster {name}): {what}"))
                && line.contains(remedy)
        };
        eventually(&format!("{name}: {remedy}"), || bed.envoy.log().lines().any(told)).await;
        bed.envoy.stat_reaches(&format!("cluster.{name}.{counter}"), 1).await.unwrap();
    }
    answering.abort();
    drop(silent);
}

#[tokio::test]
async fn a_fetch_says_who_asks_and_what_the_configuration_adds() {
    let bed = Testbed::start(with(|config| {
        config["issuers"]["main"]["jwks"]["headers"] = json!({"x-tenant": "orders"});
    }))
    .await;
    keys_loaded(&bed, 1).await;
    let agent = format!("boundgate/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(bed.authority.jwks_header("user-agent"), Some(agent));
    assert_eq!(bed.authority.jwks_header("x-tenant").as_deref(), Some("orders"));
    assert_eq!(bed.authority.jwks_header("accept-encoding").as_deref(), Some("identity"));
}

#[tokio::test]
async fn loaded_keys_serve_while_the_authorization_server_is_down() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    keys_loaded(&bed, 2).await;
    assert_eq!(bed.client("alice").get("/orders/7").token(&token).send().await.status, 200);
    let fresh = alices_token(&bed).await;
    bed.authority.stop().await;
    assert_eq!(bed.client("alice").get("/orders/7").token(&fresh).send().await.status, 200);
}

#[tokio::test]
async fn random_kids_cause_one_fetch_for_the_whole_proxy() {
    let bed = Testbed::start(with(|_| {}).concurrency(2)).await;
    keys_loaded(&bed, 3).await;
    let before = bed.authority.jwks_fetches();
    let alice = bed.client("alice");
    for number in 0..100 {
        let token = bed.authority.claims().header("kid", format!("random-{number}")).sign();
        let answer = alice.get("/orders/7").token(&token).send().await;
        refused(&bed, &answer, 401, "key-unknown").await;
    }
    assert_eq!(bed.authority.jwks_fetches(), before + 1);
}

#[tokio::test]
async fn a_rotation_is_followed_at_once_and_the_old_keys_tokens_end() {
    let bed = bed().await;
    let old = alices_token(&bed).await;
    let alice = bed.client("alice");
    assert_eq!(alice.get("/orders/7").token(&old).send().await.status, 200);
    bed.authority.rotate_keys();
    let new = alices_token(&bed).await;
    assert_eq!(alice.get("/orders/7").token(&new).send().await.status, 200);
    let answer = alice.get("/orders/7").token(&old).send().await;
    assert_eq!(bed.envoy.details(&answer).await, "boundgate:key-unknown", "verified before, but its key is gone");
    assert_eq!(bed.upstream.count(), 2);
}

#[tokio::test]
async fn while_old_and_new_keys_are_served_tokens_of_both_pass() {
    let bed = bed().await;
    let alice = bed.client("alice");
    let (known, unseen) = (alices_token(&bed).await, alices_token(&bed).await);
    assert_eq!(alice.get("/orders/7").token(&known).send().await.status, 200);
    let old = bed.authority.rotate_keys();
    let keys = [bed.authority.keys().jwk(Algorithm::Es256), old.jwk(Algorithm::Es256)];
    let both = json!({ "keys": keys }).to_string().into_bytes();
    bed.authority.answer_jwks_with(JwksAnswer::Bytes("application/jwk-set+json", both));
    let new = alices_token(&bed).await;
    for token in [&new, &known, &unseen] {
        let answer = alice.get("/orders/7").token(token).send().await;
        assert_eq!(answer.status, 200, "{}", bed.envoy.details(&answer).await);
    }
}

#[tokio::test]
async fn a_key_set_with_keys_nobody_can_use_is_read_for_what_can_be_used() {
    let bed = bed().await;
    keys_loaded(&bed, 2).await;
    let [ec, rsa] = [Algorithm::Es256, Algorithm::Rs256].map(|algorithm| bed.authority.keys().jwk(algorithm));
    let other = |jwk: &Value, members: &[(&str, Value)]| {
        let mut jwk = jwk.clone();
        members.iter().for_each(|(name, value)| jwk[*name] = value.clone());
        jwk
    };
    let mut nameless = ec.clone();
    ["kid", "alg", "use"].into_iter().for_each(|member| drop(nameless.as_object_mut().unwrap().remove(member)));
    // Under the kid of the tokens stands another key first: both are tried.
    let decoy = other(&boundgate_testbed::SigningKeys::new(99).jwk(Algorithm::Es256), &[("kid", ec["kid"].clone())]);
    let keys = json!({"keys": [
        other(&rsa, &[("alg", json!("RSA-OAEP")), ("use", json!("enc"))]),
        other(&rsa, &[("alg", json!("XY999"))]),
        other(&ec, &[("alg", json!("ECDH-ES"))]),
        {"kty": "AKP", "alg": "XY-DSA-999", "pub": "AAAA"},
        {"kty": "oct", "k": "AAAA"},
        decoy, nameless, ec, rsa
    ]});
    bed.authority.answer_jwks_with(JwksAnswer::Bytes("application/json", keys.to_string().into_bytes()));
    let mut changed = config();
    changed["issuers"]["main"]["jwks"]["uri"] = json!("https://as.example.com/jwks?mixed");
    assert!(matches!(bed.envoy.config_update(changed).await, Ok(Update::Accepted)));
    let alice = bed.client("alice");
    for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
        let token = bed.token(&alice).scope("read:orders").algorithm(algorithm).issue().await;
        assert_eq!(alice.get("/orders/7").token(&token).send().await.status, 200, "{algorithm:?}");
    }
}

#[tokio::test]
async fn a_key_added_to_an_issuer_logs_nobody_out_while_the_old_listener_drains() {
    let inline = |authority: &AuthorizationServer, further: &[Value]| {
        let mut config = config();
        let issuer = config["issuers"]["main"].as_object_mut().unwrap();
        issuer.remove("jwks");
        let keys = [&[authority.keys().jwk(Algorithm::Es256)], further].concat();
        issuer.insert("keys".into(), json!({ "keys": keys }));
        config
    };
    let bed = Testbed::start_with(|authority| inline(authority, &[]).into()).await;
    let token = alices_token(&bed).await;
    // A connection to the old listener, whose policy lives as long as it drains.
    let alice = bed.client("alice");
    let draining = alice.kept();
    assert_eq!(draining.get("/orders/7").token(&token).send().await.status, 200);
    let mut added = bed.authority.keys().jwk(Algorithm::Es384);
    added["kid"] = json!("added");
    let changed = inline(&bed.authority, &[added]);
    assert!(matches!(bed.envoy.config_update(changed).await, Ok(Update::Accepted)));
    for _ in 0..3 {
        assert_eq!(alice.get("/orders/7").token(&token).send().await.status, 200);
    }
    bed.authority.rotate_keys();
    let replaced = inline(&bed.authority, &[]);
    assert!(matches!(bed.envoy.config_update(replaced).await, Ok(Update::Accepted)));
    let answer = alice.get("/orders/7").token(&token).send().await;
    assert_eq!(bed.envoy.details(&answer).await, "boundgate:key-unknown", "remembered, but its key is gone");
    assert_eq!(bed.upstream.count(), 4);
    drop(draining);
}

#[tokio::test]
async fn two_entries_of_one_issuer_serve_two_resources_in_any_order() {
    let config = with(|config| {
        let mut issuer = config["issuers"]["main"].clone();
        issuer["algorithms"] = json!(["ES256"]);
        config["issuers"]["other"] = issuer;
        let mut resource = config["resources"][0].clone();
        (resource["hosts"], resource["issuers"]) = (json!(["localhost"]), json!(["other"]));
        config["resources"].as_array_mut().unwrap().push(resource);
    });
    let bed = Testbed::start(config).await;
    let alice = bed.client("alice");
    let beside = alice.at(bed.envoy.address("boundgate"), "localhost");
    for order in [[&alice, &beside], [&beside, &alice]] {
        let token = alices_token(&bed).await;
        for client in order.repeat(3) {
            assert_eq!(client.get("/orders/7").token(&token).send().await.status, 200);
        }
    }
    bed.envoy.stat_reaches("wasmcustom.boundgate.token_cache_hit", 8).await.unwrap();
    assert_eq!(bed.envoy.stat("wasmcustom.boundgate.token_cache_miss").await, 4, "once for each token and trust");
}
