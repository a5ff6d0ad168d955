//! Opaque tokens: the authorization server is asked about each, once; what it says is judged as a JWT is; whatever is no answer is 503.

use std::time::{Duration, Instant};

use boundgate_testbed::{Asked, Claims, EnvoyConfig, JwksAnswer, Pki, Testbed, Update};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::expectations::{config, eventually, recorded, refused};
use crate::keys::active;

/// The issuer has no keys, and is asked as these keys say.
fn opaque(keys: &Value) -> Value {
    let mut config = config();
    let mut introspection = json!({"cluster": "as", "uri": "https://as.example.com/introspect", "timeout": "5s"});
    introspection.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    let main = &mut config["issuers"]["main"];
    main.as_object_mut().unwrap().retain(|key, _| key == "issuer" || key == "max_lifetime");
    main["introspection"] = introspection;
    config
}

/// A client of the server whose secret stands in the environment of the VM.
fn with_secret() -> Value {
    json!({"client": {"id": "orders/api 1", "secret": {"env": "INTROSPECTION_SECRET"}}})
}

async fn bed() -> Testbed {
    Testbed::start(opaque(&json!({}))).await
}

fn alices(bed: &Testbed) -> Claims {
    bed.authority.claims().scope("read:orders").bound_to(&bed.pki.client("alice"))
}

async fn status(bed: &Testbed, client: &str, token: &str) -> u16 {
    bed.client(client).get("/orders/7").token(token).send().await.status
}

fn only(asked: Vec<Asked>) -> Asked {
    assert_eq!(asked.len(), 1);
    asked.into_iter().next().unwrap()
}

#[tokio::test]
async fn an_opaque_token_passes_with_its_certificate_once_its_server_was_asked() {
    let bed = bed().await;
    let token = bed.authority.opaque(&alices(&bed));
    assert_eq!(status(&bed, "alice", &token).await, 200);
    let asked = only(bed.authority.introspections());
    assert_eq!(asked.form.get("token"), Some(&token));
    assert_eq!(asked.target, "/introspect", "no token in the URL");
    assert_eq!(status(&bed, "alice", &token).await, 200);
    assert_eq!(bed.authority.introspections().len(), 1, "it is known");
    assert_eq!(bed.upstream.count(), 2);
}

#[tokio::test]
async fn a_stolen_opaque_token_is_useless_without_the_clients_key() {
    let bed = bed().await;
    let token = bed.authority.opaque(&alices(&bed));
    let answer = bed.client("mallory").get("/orders/7").token(&token).send().await;
    refused(&bed, &answer, 401, "binding-mismatch").await;
    let answer = bed.anonymous().get("/orders/7").token(&token).send().await;
    refused(&bed, &answer, 401, "certificate-missing").await;
    assert_eq!(status(&bed, "alice", &token).await, 200);
    let before = bed.upstream.count();
    assert_eq!((status(&bed, "mallory", &token).await, bed.upstream.count()), (401, before), "also a known one");
}

#[tokio::test]
async fn what_is_wrong_with_an_answers_claims_is_refused_as_in_a_jwt_although_it_is_active() {
    let bed = bed().await;
    let alice = bed.client("alice");
    for (claims, status, reason) in [
        (alices(&bed).lifetime(-60), 401, "token-expired"),
        (alices(&bed).audience("https://other.example.com"), 401, "audience-mismatch"),
        (alices(&bed).set("iss", "https://other.example.com"), 401, "issuer-untrusted"),
        (alices(&bed).set("nbf", 4_000_000_000_u64), 401, "token-not-yet-valid"),
        (alices(&bed).lifetime(100_000), 401, "lifetime-too-long"),
        (alices(&bed).without("aud"), 401, "claims-malformed"),
        (alices(&bed).without("cnf"), 401, "token-unbound"),
        (alices(&bed).set("cnf", json!({"other": "x"})), 401, "confirmation-unusable"),
        (alices(&bed).scope("read:other"), 403, "scope-missing"),
    ] {
        let answer = alice.get("/orders/7").token(&bed.authority.opaque(&claims)).send().await;
        refused(&bed, &answer, status, reason).await;
    }
    let answer = alice.get("/orders/7").token("nobody-issued-this").send().await;
    refused(&bed, &answer, 401, "token-inactive").await;
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"invalid_token\"") && !challenge.contains("active"), "{challenge}");
}

#[tokio::test]
async fn what_is_wrong_with_an_answer_stands_in_the_audit_record_and_the_token_does_not() {
    let bed = bed().await;
    let token = bed.authority.opaque(&alices(&bed).without("jti"));
    let answer = bed.client("alice").get("/orders/7").token(&token).send().await;
    refused(&bed, &answer, 401, "claims-malformed").await;
    let record = recorded(&bed, &answer).await.to_string();
    assert!(record.contains("jti") && record.contains("missing"), "{record}");
    assert!(!record.contains(&token) && !bed.envoy.log().contains(&token), "{record}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_with_one_token_share_one_question_and_a_client_that_hangs_up_loses_it_for_nobody() {
    let bed = bed().await;
    let token = bed.authority.opaque(&alices(&bed));
    bed.authority.answer_introspections_with(JwksAnswer::Held);
    let client = bed.client("alice");
    let send = |count: usize| {
        let mut requests = JoinSet::new();
        for _ in 0..count {
            let (client, token) = (client.clone(), token.clone());
            requests.spawn(async move { client.get("/orders/7").token(&token).send().await.status });
        }
        requests
    };
    let mut first = send(3);
    active(&bed, 3).await;
    eventually(|| bed.authority.introspections().len() == 1).await;
    first.shutdown().await;
    active(&bed, 0).await;
    let others = send(20);
    active(&bed, 20).await;
    bed.authority.answer_introspections_with(JwksAnswer::Keys);
    assert!(others.join_all().await.iter().all(|status| *status == 200));
    assert_eq!((bed.authority.introspections().len(), bed.upstream.count()), (1, 20));
}

#[tokio::test]
async fn a_server_that_gives_no_answer_is_503_with_retry_after_and_never_a_pass() {
    let bed = Testbed::start(opaque(&json!({"timeout": "300ms"}))).await;
    let alice = bed.client("alice");
    let token = bed.authority.opaque(&alices(&bed));
    let active = json!({"active": true}).to_string();
    for answers in [
        JwksAnswer::Held,
        JwksAnswer::Status(500),
        JwksAnswer::Status(429),
        JwksAnswer::Status(403),
        // Five of these in a row, and nobody would be asked.
        JwksAnswer::Status(400),
        JwksAnswer::Status(404),
        JwksAnswer::Redirect("https://as.example.com/other".to_owned()),
        JwksAnswer::html(),
        JwksAnswer::huge(200_000),
        JwksAnswer::Bytes("application/json", b"null".to_vec()),
        JwksAnswer::Bytes("application/json", br#"{"active":"true"}"#.to_vec()),
        JwksAnswer::Bytes("application/json", br#"{"active":1}"#.to_vec()),
        JwksAnswer::Bytes("application/json", active.as_bytes()[..active.len() - 1].to_vec()),
    ] {
        let said = format!("{answers:?}");
        bed.authority.answer_introspections_with(answers);
        let answer = alice.get("/orders/7").token(&token).send().await;
        refused(&bed, &answer, 503, "introspection-unavailable").await;
        assert_eq!(answer.header("retry-after").as_deref(), Some("1"), "{}", &said[..said.len().min(80)]);
        assert_eq!(answer.header("www-authenticate"), None, "a good token must not be thrown away");
    }
    bed.authority.answer_introspections_with(JwksAnswer::Keys);
    assert_eq!(status(&bed, "alice", &token).await, 200);
    assert!(!bed.envoy.log().contains(&token));
}

#[tokio::test]
async fn a_server_that_is_down_costs_known_tokens_nothing_and_the_others_no_wait_and_is_found_when_it_is_back() {
    let bed = Testbed::start(opaque(&json!({"ttl": "1h"}))).await;
    let alice = bed.client("alice");
    let [known, unseen] = [(); 2].map(|()| bed.authority.opaque(&alices(&bed)));
    assert_eq!(status(&bed, "alice", &known).await, 200);
    bed.authority.stop().await;
    for _ in 0..10 {
        assert_eq!(status(&bed, "alice", &unseen).await, 503);
        assert_eq!(status(&bed, "alice", &known).await, 200);
    }
    bed.envoy.stat_reaches("wasmcustom.boundgate.introspection_breaker_opened", 1).await.unwrap();
    let line =
        "issuers.main.introspection: the answer about a token at https://as.example.com/introspect (cluster as): ";
    eventually(|| bed.envoy.log().contains(line)).await;
    bed.authority.restart().await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while status(&bed, "alice", &unseen).await != 200 {
        assert!(Instant::now() < deadline, "not found again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(alice.get("/orders/7").token(&known).send().await.status, 200);
}

#[tokio::test]
async fn a_revoked_token_ends_with_the_ttl_of_its_answer() {
    let bed = Testbed::start(opaque(&json!({"ttl": "1s"}))).await;
    let token = bed.authority.opaque(&alices(&bed));
    assert_eq!(status(&bed, "alice", &token).await, 200);
    bed.authority.revoke(&token);
    let deadline = Instant::now() + Duration::from_secs(20);
    while status(&bed, "alice", &token).await != 401 {
        assert!(Instant::now() < deadline, "it still passes");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn with_a_ttl_of_zero_each_request_asks() {
    let bed = Testbed::start(opaque(&json!({"ttl": "0s"}))).await;
    let token = bed.authority.opaque(&alices(&bed));
    for _ in 0..3 {
        assert_eq!(status(&bed, "alice", &token).await, 200);
    }
    assert_eq!(bed.authority.introspections().len(), 3);
    bed.authority.revoke(&token);
    assert_eq!(status(&bed, "alice", &token).await, 401);
}

#[tokio::test]
async fn the_secret_comes_from_the_environment_of_the_vm_and_goes_encoded_into_basic() {
    let config = EnvoyConfig::new(opaque(&with_secret()));
    let bed = Testbed::start(config.variable("INTROSPECTION_SECRET", "z/t+ud:X2=")).await;
    // printf 'orders%%2Fapi+1:z%%2Ft%%2Bud%%3AX2%%3D' | base64
    bed.authority.demand_authorization("Basic b3JkZXJzJTJGYXBpKzE6eiUyRnQlMkJ1ZCUzQVgyJTNE");
    let token = bed.authority.opaque(&alices(&bed));
    assert_eq!(status(&bed, "alice", &token).await, 200);

    bed.authority.demand_authorization("Basic another");
    let unseen = bed.authority.opaque(&alices(&bed));
    let before = bed.upstream.count();
    let answer = bed.client("alice").get("/orders/7").token(&unseen).send().await;
    assert_eq!((answer.status, bed.upstream.count()), (503, before), "our own credentials are no fault of the token");
    assert_eq!(bed.envoy.details(&answer).await, "boundgate:introspection-unavailable");
    eventually(|| bed.envoy.log().contains("The server does not let this proxy ask")).await;
    assert!(!bed.envoy.log().contains("z/t+ud"));
}

#[tokio::test]
async fn a_secret_that_is_not_in_the_environment_is_an_error_at_load_and_the_old_configuration_stays() {
    let Err(start) = Testbed::try_start(opaque(&with_secret())).await else { panic!("accepted") };
    let log = start.to_string();
    assert!(
        log.contains("issuers.main.introspection.client.secret.env: the VM's environment has no variable"),
        "{log}"
    );
    let bed = bed().await;
    assert!(matches!(bed.envoy.config_update(opaque(&with_secret())).await, Ok(Update::Rejected(_))));
    let token = bed.authority.opaque(&alices(&bed));
    assert_eq!(status(&bed, "alice", &token).await, 200);
}

#[tokio::test]
async fn a_client_that_proves_itself_by_the_certificate_of_the_cluster_says_its_name_alone() {
    let config = EnvoyConfig::new(opaque(&json!({"client": {"id": "orders-api"}})));
    let config = config.cluster_shows("as", &Pki::shared().client("orders-api"));
    let bed = Testbed::start(config).await;
    let token = bed.authority.opaque(&alices(&bed));
    assert_eq!(status(&bed, "alice", &token).await, 200);
    let asked = only(bed.authority.introspections());
    assert!(asked.has_certificate && !asked.head.contains_key("authorization"));
    assert_eq!(asked.form.get("client_id").map(String::as_str), Some("orders-api"));
}

#[tokio::test]
async fn an_issuer_may_sign_some_tokens_and_be_asked_about_others_and_no_jwt_is_shown_to_it_that_it_does_not_name() {
    let mut both = config();
    both["issuers"]["main"]["introspection"] = opaque(&json!({}))["issuers"]["main"]["introspection"].clone();
    let mut always = both.clone();
    always["issuers"]["main"]["introspection"]["tokens"] = json!("always");

    let bed = Testbed::start(both).await;
    let (signed, opaque) = (alices(&bed).sign(), bed.authority.opaque(&alices(&bed)));
    assert_eq!(status(&bed, "alice", &signed).await, 200);
    assert_eq!(bed.authority.introspections().len(), 0);
    assert_eq!(status(&bed, "alice", &opaque).await, 200);
    assert_eq!(bed.authority.introspections().len(), 1);

    assert!(matches!(bed.envoy.config_update(always).await, Ok(Update::Accepted)));
    let before = bed.upstream.count();
    assert_eq!(
        (status(&bed, "alice", &signed).await, bed.upstream.count()),
        (401, before),
        "the server knows it no more"
    );
    bed.authority.know(&alices(&bed).sign(), &alices(&bed));
    let live = alices(&bed).sign();
    bed.authority.know(&live, &alices(&bed));
    assert_eq!(status(&bed, "alice", &live).await, 200);
    let asked = bed.authority.introspections().len();
    let foreign = alices(&bed).set("iss", "https://other.example.com").sign();
    assert_eq!(status(&bed, "alice", &foreign).await, 401);
    assert_eq!(bed.authority.introspections().len(), asked);
}

#[tokio::test]
async fn a_source_that_sends_tokens_nobody_issued_is_stopped_before_the_server_is_asked() {
    let mut config = opaque(&json!({}));
    config["limits"]["work"] = json!({"key": ["ip"], "rate": "1/h", "burst": 10, "on": ["verification"]});
    config["resources"][0]["routes"][1]["limits"] = json!(["work"]);
    config["resources"][0]["limits"] = json!("none");
    let bed = Testbed::start(config).await;
    let good = bed.authority.opaque(&alices(&bed));
    assert_eq!(status(&bed, "alice", &good).await, 200);
    let mut statuses = Vec::new();
    for number in 0..30 {
        statuses.push(status(&bed, "mallory", &format!("guess-{number}")).await);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 21, "{statuses:?}");
    assert_eq!((bed.authority.introspections().len(), bed.upstream.count()), (10, 1));
    assert_eq!(status(&bed, "alice", &good).await, 200, "a known token needs no work");
}

#[tokio::test]
async fn a_signed_answer_counts_and_a_plain_one_does_not_where_it_must_be_signed() {
    let mut signed = config();
    signed["issuers"]["main"]["introspection"] = json!({
        "cluster": "as", "uri": "https://as.example.com/introspect", "client": {"id": "orders-api"}, "signed": true, "timeout": "5s"
    });
    let bed = Testbed::start(signed).await;
    let token = bed.authority.opaque(&alices(&bed));
    let plain = json!({"active": true, "sub": "alice"}).to_string().into_bytes();
    bed.authority.answer_introspections_with(JwksAnswer::Bytes("application/json", plain));
    let answer = bed.client("alice").get("/orders/7").token(&token).send().await;
    refused(&bed, &answer, 503, "introspection-unavailable").await;
    eventually(|| bed.envoy.log().contains("the answer is not signed (RFC 9701)")).await;

    bed.authority.answer_introspections_with(JwksAnswer::Keys);
    assert_eq!(status(&bed, "alice", &token).await, 200);
    let old = bed.authority.rotate_keys();
    assert_eq!(status(&bed, "alice", &bed.authority.opaque(&alices(&bed))).await, 200, "by a new key");
    drop(old);
    let answer = bed.client("alice").get("/orders/7").token("nobody-issued-this").send().await;
    assert_eq!((answer.status, bed.envoy.details(&answer).await.as_str()), (401, "boundgate:token-inactive"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_no_failure_of_the_server_lets_a_wrong_token_pass_and_it_is_found_again() {
    let bed = Testbed::start(EnvoyConfig::new(opaque(&json!({"timeout": "500ms", "ttl": "1h"}))).concurrency(2)).await;
    let client = bed.client("alice");
    let known: Vec<String> = (0..4).map(|_| bed.authority.opaque(&alices(&bed))).collect();
    // Until each worker knows them.
    for token in &known {
        for _ in 0..20 {
            assert_eq!(client.get("/orders/7").token(token).send().await.status, 200);
        }
    }
    let load = |round: usize| {
        let mut requests = JoinSet::new();
        for number in 0..60 {
            let (kind, token) = match number % 3 {
                0 => ("unseen", bed.authority.opaque(&alices(&bed))),
                1 => ("forged", format!("guess-{round}-{number}")),
                _ => ("known", known[number % known.len()].clone()),
            };
            let client = client.clone();
            requests.spawn(async move { (kind, client.get("/orders/7").token(&token).send().await.status) });
        }
        requests
    };
    let failures = [
        JwksAnswer::Held,
        JwksAnswer::Status(500),
        JwksAnswer::html(),
        JwksAnswer::Bytes("application/json", br#"{"active":null}"#.to_vec()),
    ];
    for (round, failure) in failures.into_iter().enumerate() {
        bed.authority.answer_introspections_with(failure.clone());
        for (kind, status) in load(round).join_all().await {
            // A worker that has not met a known token has to ask.
            let fits = status == 503 || (kind == "known" && status == 200);
            assert!(fits, "{kind} {status} while {failure:?}");
        }
    }
    bed.authority.stop().await;
    for (kind, status) in load(10).join_all().await {
        assert!(status == 503 || (kind == "known" && status == 200), "{kind} {status} while it is gone");
    }
    bed.authority.restart().await;
    bed.authority.answer_introspections_with(JwksAnswer::Keys);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answers = load(11).join_all().await;
        assert!(answers.iter().all(|(kind, status)| *kind != "forged" || *status != 200), "{answers:?}");
        let wanted = |kind: &str| if kind == "forged" { 401 } else { 200 };
        if answers.iter().all(|(kind, status)| *status == wanted(kind)) {
            break;
        }
        assert!(Instant::now() < deadline, "not found again: {answers:?}");
    }
}
