//! Tokens whose state stands in a list of their issuer, with a server of lists in every state.

use std::time::{Duration, Instant};

use boundgate_testbed::{
    Algorithm, Answer, AuthorizationServer, Client, EnvoyConfig, JwksAnswer, Pki, StatusLists, Testbed,
};
use serde_json::{Value, json};

use crate::expectations::{config, refused};

const WORKERS: u32 = 4;

fn listing(rule: &Value) -> Value {
    let mut config = config();
    let lists = json!({"cluster": "as", "uri": "https://as.example.com/statuslists/"});
    config["issuers"]["main"]["revocation"] =
        json!({"refresh": "1s", "max_stale": "1h", "timeout": "1s", "status_lists": lists});
    for (name, value) in rule.as_object().expect("an object") {
        config["issuers"]["main"]["revocation"][name] = value.clone();
    }
    config
}

/// A token of alice that says this of its status.
fn with_status(bed: &Testbed, status: &Value) -> String {
    let claims = bed.authority.claims().scope("read:orders").set("status", status.clone());
    claims.bound_to(&bed.pki.client("alice")).sign()
}

fn at_place(bed: &Testbed, list: &str, index: u64) -> String {
    with_status(bed, &StatusLists::reference(list, index))
}

async fn order(client: &Client, token: &str) -> Answer {
    client.get("/orders/7").token(token).send().await
}

/// The statuses on many connections of their own, which the workers share.
async fn on_many_connections(client: &Client, token: &str) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(order(client, token).await.status);
    }
    statuses
}

/// Waits until every worker answers so.
async fn all_come_to_answer(client: &Client, token: &str, status: u16) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let statuses = on_many_connections(client, token).await;
        if statuses.iter().all(|answered| *answered == status) {
            return;
        }
        assert!(Instant::now() < deadline, "not within a minute: {statuses:?}");
    }
}

/// Waits until a request is answered so.
async fn comes_to_answer(client: &Client, token: &str, status: u16) -> Answer {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = order(client, token).await;
        if answer.status == status {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within a minute: {} {}", answer.status, answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_passes_if_its_place_in_the_list_says_zero_and_no_other_place_or_state_is_valid() {
    let bed = Testbed::start(listing(&json!({}))).await;
    let alice = bed.client("alice");
    bed.authority.status_lists().set(&[0, 1, 2, 3]);
    for (place, reason) in [
        (1, "token-revoked"),
        (2, "token-revoked"),
        (3, "token-revoked"),
        (4, "status-unusable"),
        (1 << 40, "status-unusable"),
        (u64::from(u32::MAX), "status-unusable"),
    ] {
        let answer = order(&alice, &at_place(&bed, "a/1", place)).await;
        assert!(answer.header("www-authenticate").unwrap().contains("error=\"invalid_token\""), "{place}");
        refused(&bed, &answer, 401, reason).await;
    }
    assert_eq!(order(&alice, &at_place(&bed, "a/1", 0)).await.status, 200);
    assert!(bed.authority.status_lists().asked().iter().all(|path| path == "/statuslists/a/1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_token_dies_in_every_worker_once_its_list_says_so_and_others_of_the_list_go_on() {
    let bed = Testbed::start(EnvoyConfig::new(listing(&json!({}))).concurrency(WORKERS)).await;
    let alice = bed.client("alice");
    let lists = bed.authority.status_lists();
    lists.set(&[0, 0]);
    let (stolen, other) = (at_place(&bed, "1", 0), at_place(&bed, "1", 1));
    for token in [&stolen, &other] {
        assert_eq!(on_many_connections(&alice, token).await, [200; 40]);
    }
    for state in [1, 2] {
        lists.set(&[state, 0]);
        all_come_to_answer(&alice, &stolen, 401).await;
        let reached = bed.upstream.count();
        assert_eq!(on_many_connections(&alice, &stolen).await, [401; 40]);
        let answer = order(&alice, &stolen).await;
        assert_eq!(bed.envoy.details(&answer).await, "boundgate:token-revoked");
        assert_eq!(bed.upstream.count(), reached, "the upstream was reached");
        assert_eq!(on_many_connections(&alice, &other).await, [200; 40]);
        // A suspension ends.
        lists.set(&[0, 0]);
        all_come_to_answer(&alice, &stolen, 200).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_may_not_be_believed_is_none_and_the_operator_hears_why() {
    for (on_stale, status) in [("refuse", 503), ("allow", 200)] {
        let mut of_another = None;
        let bed = Testbed::start_with(|authority| {
            of_another = Some(authority.rotate_keys());
            EnvoyConfig::new(listing(&json!({"on_stale": on_stale})))
        })
        .await;
        let (alice, lists, of_another) = (bed.client("alice"), bed.authority.status_lists(), of_another.unwrap());
        let keys = bed.authority.keys();
        let claims = |list: &str| StatusLists::claims(list, &[0, 1]);
        let but = |list: &str, name: &str, value: Value| {
            let mut claims = claims(list);
            claims[name] = value;
            JwksAnswer::Bytes("application/statuslist+jwt", StatusLists::sign(&keys, &claims).into_bytes())
        };
        let text = |text: String| JwksAnswer::Bytes("application/statuslist+jwt", text.into_bytes());
        let own = json!({"alg": "ES256", "kid": keys.kid(Algorithm::Es256), "typ": "statuslist+jwt"});
        let access_token = json!({"alg": "ES256", "kid": keys.kid(Algorithm::Es256), "typ": "at+jwt"});
        let bomb = json!({"bits": 1, "lst": StatusLists::packed(&vec![0; 50 << 20])});
        for (number, (answer, says)) in [
            (text(of_another.sign(Algorithm::Es256, &own, &claims("0"))), "no key of the issuer made its signature"),
            (text(StatusLists::sign(&of_another, &claims("1"))), "no key of the issuer made its signature"),
            (text(keys.sign(Algorithm::Es256, &access_token, &claims("2"))), "its typ is not statuslist+jwt"),
            (but("3", "sub", json!(StatusLists::uri("2"))), "its sub is not the URI that it was fetched from"),
            (but("4", "exp", json!(1_767_225_600)), "it has expired"),
            (but("5", "iat", json!("now")), "its iat is missing or no date"),
            (but("6", "status_list", json!({"bits": 3, "lst": StatusLists::packed(&[0])})), "its bits are not"),
            (but("7", "status_list", bomb), "longer than \"max_bytes\" once it is unpacked"),
            (but("8", "status_list", json!({"bits": 1, "lst": "AAAA"})), "its lst is no zlib data"),
            (JwksAnswer::html(), "statuslists/9"),
            (JwksAnswer::Status(500), "500"),
            (JwksAnswer::Redirect("https://elsewhere.example.com/".into()), "redirects are not followed"),
            (JwksAnswer::huge(8 << 20), "statuslists/12"),
            (JwksAnswer::Held, "statuslists/13"),
        ]
        .into_iter()
        .enumerate()
        {
            lists.answer_with(answer);
            let reached = bed.upstream.count();
            let answer = order(&alice, &at_place(&bed, &number.to_string(), 0)).await;
            assert_eq!(answer.status, status, "{number}, {on_stale}: {}", answer.text());
            let told = bed.envoy.log().lines().any(|line| line.contains("main.revocation") && line.contains(says));
            assert!(told, "{number}: {}", bed.envoy.log());
            if status == 503 {
                assert_eq!(answer.header("retry-after").as_deref(), Some("1"), "{number}");
                assert_eq!(bed.envoy.details(&answer).await, "boundgate:revocation-stale", "{number}");
                assert_eq!(bed.upstream.count(), reached, "{number}: the upstream was reached");
            }
        }
        // The same server is believed as soon as it is right.
        lists.set(&[0, 1]);
        bed.passes(&alice, "/orders/7", &at_place(&bed, "3", 0)).await;
        let reached = bed.upstream.count();
        let answer = comes_to_answer(&alice, &at_place(&bed, "14", 1), 401).await;
        assert_eq!(bed.envoy.details(&answer).await, "boundgate:token-revoked");
        assert_eq!(bed.upstream.count(), reached);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_names_a_list_elsewhere_is_refused_and_nobody_is_asked() {
    let bed = Testbed::start(listing(&json!({"on_stale": "allow"}))).await;
    let alice = bed.client("alice");
    let elsewhere = bed.upstream.address();
    for uri in [
        "https://169.254.169.254/statuslists/1",
        "https://as.example.com/documents/1",
        "https://as.example.com/statuslists/../jwks",
        "https://as.example.com/statuslists/%2e%2e/jwks",
        "https://as.example.com:8443/statuslists/1",
        "http://as.example.com/statuslists/1",
        "file:///statuslists/1",
        &format!("https://{elsewhere}/statuslists/1"),
        &format!("http://{elsewhere}/statuslists/1"),
    ] {
        let token = with_status(&bed, &json!({"status_list": {"idx": 0, "uri": uri}}));
        refused(&bed, &order(&alice, &token).await, 401, "status-unusable").await;
    }
    for status in [
        json!({"status_list": {"idx": -1, "uri": StatusLists::uri("1")}}),
        json!({"status_list": {"idx": "0", "uri": StatusLists::uri("1")}}),
        json!({"another_mechanism": {}}),
        json!("valid"),
    ] {
        refused(&bed, &order(&alice, &with_status(&bed, &status)).await, 401, "status-unusable").await;
    }
    assert_eq!(bed.authority.status_lists().asked(), [""; 0]);
    assert_eq!((bed.authority.document_fetches(), bed.upstream.count()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_no_good_causes_no_fetch_of_its_list() {
    let bed = Testbed::start(listing(&json!({}))).await;
    let alice = bed.client("alice");
    let good = at_place(&bed, "1", 0);
    let forged = format!("{}{}", good, if good.ends_with('A') { "Q" } else { "A" });
    let claims = || bed.authority.claims().scope("read:orders").set("status", StatusLists::reference("1", 0));
    let expired = claims().bound_to(&bed.pki.client("alice")).lifetime(-120).sign();
    let for_another = claims().bound_to(&bed.pki.client("alice")).audience("https://other.example.com").sign();
    for token in [&forged, &expired, &for_another] {
        assert_eq!(order(&alice, token).await.status, 401);
    }
    assert_eq!((bed.authority.status_lists().asked().len(), bed.upstream.count()), (0, 0));
    assert_eq!(order(&alice, &good).await.status, 200);
    assert_eq!(bed.authority.status_lists().asked(), ["/statuslists/1"]);
}

/// With the cluster `lists`, which leads to this server.
fn with_lists_of(server: &AuthorizationServer, rule: &Value) -> EnvoyConfig {
    let mut config = listing(rule);
    config["issuers"]["main"]["revocation"]["status_lists"]["cluster"] = json!("lists");
    let address = server.address();
    let add = |envoy: &mut Value| {
        let clusters = envoy["static_resources"]["clusters"].as_array_mut().unwrap();
        let mut cluster = clusters.iter().find(|cluster| cluster["name"] == "as").unwrap().clone();
        cluster["name"] = json!("lists");
        cluster["load_assignment"]["cluster_name"] = json!("lists");
        clusters.push(cluster);
    };
    EnvoyConfig::new(config).edit(add).edit(move |envoy| {
        let clusters = envoy["static_resources"]["clusters"].as_array_mut().unwrap();
        let cluster = clusters.iter_mut().find(|cluster| cluster["name"] == "lists").unwrap();
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"] =
            json!({"address": address.ip().to_string(), "port_value": address.port()});
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_of_lists_the_operator_decides_but_what_was_revoked_stays_so() {
    for (on_stale, status) in [("refuse", 503), ("allow", 200)] {
        let server = AuthorizationServer::start(&Pki::shared()).await;
        server.stop().await;
        let bed = Testbed::start(with_lists_of(&server, &json!({"on_stale": on_stale, "max_stale": "3s"}))).await;
        let alice = bed.client("alice");
        let (good, bad) = (at_place(&bed, "1", 0), at_place(&bed, "1", 1));
        let answer = order(&alice, &good).await;
        assert_eq!(answer.status, status, "down at the start, {on_stale}: {}", answer.text());
        if status == 503 {
            assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
            refused(&bed, &answer, 503, "revocation-stale").await;
        }
        let keys = bed.authority.keys();
        server.status_lists().serve(StatusLists::sign(&keys, &StatusLists::claims("1", &[0, 1])));
        server.restart().await;
        bed.passes(&alice, "/orders/7", &good).await;
        comes_to_answer(&alice, &bad, 401).await;
        server.stop().await;
        if status == 503 {
            comes_to_answer(&alice, &good, 503).await;
        } else {
            // Lists that nobody asks for are not fetched.
            while bed.envoy.stat("wasmcustom.boundgate.status_list_fetch_failed").await < 6 {
                assert_eq!(order(&alice, &good).await.status, 200);
            }
        }
        let reached = bed.upstream.count();
        let answer = order(&alice, &bad).await;
        assert_eq!((answer.status, bed.upstream.count()), (401, reached), "what was revoked stays so");
        assert_eq!(bed.envoy.details(&answer).await, "boundgate:token-revoked");
        server.restart().await;
        comes_to_answer(&alice, &good, 200).await;
    }
}
