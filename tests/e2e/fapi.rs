//! A resource with `profile: fapi2` beside one without: signatures, and a number of the interaction on every answer.

use boundgate_testbed::{Algorithm, JwksAnswer, Testbed};
use serde_json::{Value, json};

use crate::expectations::{alices_token, recorded, with};
use crate::front::managers;

const BANK: &str = "bank.example.com";
const ID: &str = "x-fapi-interaction-id";
const SENT: &str = "93bac548-d2de-4546-B106-880a5018460d";

/// The usual resource, and the same again as a bank's.
fn add_bank(config: &mut Value) {
    let mut bank = config["resources"][0].clone();
    (bank["hosts"], bank["profile"]) = (json!([BANK]), json!("fapi2"));
    bank["routes"].as_array_mut().unwrap().retain(|route| route["bound"].is_null());
    config["resources"].as_array_mut().unwrap().push(bank);
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
        && parts[2].starts_with('4')
}

#[tokio::test]
async fn only_three_algorithms_pass_whatever_the_issuer_may_sign_with_and_whoever_verified_the_token_before() {
    let bed = Testbed::start(with(add_bank)).await;
    let alice = bed.client("alice").kept();
    for algorithm in Algorithm::ALL {
        let token = bed.token(&bed.client("alice")).scope("read:orders").algorithm(algorithm).issue().await;
        let good = matches!(algorithm, Algorithm::Ps256 | Algorithm::Es256 | Algorithm::Ed25519);
        // Unknown, then remembered from the other resource.
        for _ in 0..2 {
            let before = bed.upstream.count();
            let answer = alice.get("/orders/7").authority(BANK).token(&token).send().await;
            if good {
                assert_eq!(answer.status, 200, "{algorithm:?}");
            } else {
                assert_eq!(bed.envoy.details(&answer).await, "boundgate:algorithm-not-allowed", "{algorithm:?}");
                assert_eq!((answer.status, bed.upstream.count()), (401, before));
                assert!(answer.challenges()[0].contains(r#"error="invalid_token""#));
            }
            assert_eq!(alice.get("/orders/7").token(&token).send().await.status, 200, "{algorithm:?}");
        }
    }
}

#[tokio::test]
async fn a_token_that_is_not_bound_is_refused() {
    let bed = Testbed::start(with(add_bank)).await;
    let token = bed.authority.claims().scope("read:orders").sign();
    let answer = bed.client("alice").get("/orders/7").authority(BANK).token(&token).send().await;
    assert_eq!(bed.envoy.details(&answer).await, "boundgate:token-unbound");
    assert_eq!((answer.status, bed.upstream.count()), (401, 0));
}

/// Every answer carries the number that was sent, or a new one, and so does its record.
#[tokio::test]
async fn every_answer_carries_the_number_of_its_interaction() {
    let bed = Testbed::start(with(add_bank)).await;
    let token = alices_token(&bed).await;
    let other_scope = bed.token(&bed.client("alice")).scope("other").issue().await;
    for client in [bed.client("alice").kept(), bed.client("alice").http2().kept()] {
        for (path, token, status) in [
            ("/healthz", None, 200),
            ("/orders/7", Some(&token), 200),
            ("/orders/7", None, 401),
            ("/orders/7", Some(&other_scope), 403),
            ("/nowhere", Some(&token), 404),
            ("/orders/a%2Fb", Some(&token), 400),
            ("/orders//7", Some(&token), 400),
        ] {
            let ask = |id: Option<&str>| {
                let request = client.get(path).authority(BANK);
                let request = token.iter().fold(request, |request, token| request.token(token));
                id.iter().fold(request, |request, id| request.header(ID, id)).send()
            };
            let echoed = ask(Some(SENT)).await;
            assert_eq!((echoed.status, echoed.lines(ID)), (status, vec![SENT.to_owned()]), "{path}");
            assert_eq!(recorded(&bed, &echoed).await["interaction_id"], SENT);
            if status == 200 {
                assert_eq!(bed.upstream.received().last().unwrap().header(ID).as_deref(), Some(SENT));
            }
            for wrong in [None, Some("7"), Some("93bac548-d2de-4546-b106-880a5018460")] {
                let made = ask(wrong).await;
                let number = made.header(ID).unwrap();
                assert_eq!((made.status, made.lines(ID).len()), (status, 1), "{path}");
                assert!(is_uuid(&number) && number != SENT, "{path} {number}");
                assert_eq!(recorded(&bed, &made).await["interaction_id"], number.as_str());
                if status == 200 {
                    assert_eq!(bed.upstream.received().last().unwrap().header(ID), Some(number));
                }
            }
        }
    }
    let numbers = [bed.client("alice").get("/healthz").authority(BANK).send().await.header(ID).unwrap()];
    let again = bed.client("alice").get("/healthz").authority(BANK).send().await.header(ID).unwrap();
    assert!(!numbers.contains(&again), "each is new");
}

#[tokio::test]
async fn a_request_over_its_limit_is_answered_with_its_number() {
    let bed = Testbed::start(with(add_bank)).await;
    let token = alices_token(&bed).await;
    let alice = bed.client("alice").kept();
    let mut statuses = Vec::new();
    while statuses.last() != Some(&429) {
        assert!(statuses.len() <= 10, "never refused");
        let answer = alice.get("/greedy").authority(BANK).token(&token).header(ID, SENT).send().await;
        assert_eq!(answer.lines(ID), [SENT], "{}", answer.status);
        statuses.push(answer.status);
    }
}

#[tokio::test]
async fn a_request_that_waited_for_keys_in_vain_is_answered_with_its_number() {
    let bed = Testbed::start_with(|authority| {
        authority.answer_jwks_with(JwksAnswer::Held);
        with(|config| {
            add_bank(config);
            config["issuers"]["main"]["jwks"]["timeout"] = json!("1s");
        })
    })
    .await;
    let token = alices_token(&bed).await;
    let answer = bed.client("alice").get("/orders/7").authority(BANK).token(&token).header(ID, SENT).send().await;
    assert_eq!(bed.envoy.details(&answer).await, "boundgate:keys-unavailable");
    assert_eq!((answer.status, answer.lines(ID), bed.upstream.count()), (503, vec![SENT.to_owned()], 0));
}

/// The proxy ends a request that nobody has judged yet.
#[tokio::test]
async fn what_the_proxy_answers_while_a_request_waits_carries_the_number_too() {
    let bed = Testbed::start_with(|authority| {
        authority.answer_jwks_with(JwksAnswer::Held);
        let waiting = with(|config| {
            add_bank(config);
            config["issuers"]["main"]["jwks"]["timeout"] = json!("20s");
        });
        waiting.edit(|envoy| managers(envoy).for_each(|manager| manager["stream_idle_timeout"] = json!("1s")))
    })
    .await;
    let token = alices_token(&bed).await;
    let answer = bed.client("alice").get("/orders/7").authority(BANK).token(&token).header(ID, SENT).send().await;
    assert_eq!(bed.envoy.details(&answer).await, "stream_idle_timeout");
    assert_eq!((answer.lines(ID), bed.upstream.count()), (vec![SENT.to_owned()], 0), "{}", answer.status);
}

#[tokio::test]
async fn what_the_proxy_answers_itself_carries_the_number_too() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let bed = Testbed::start(with(add_bank).cluster_at("upstream", nobody)).await;
    let answer = bed.client("alice").get("/healthz").authority(BANK).header(ID, SENT).send().await;
    assert_eq!((answer.status, answer.lines(ID)), (503, vec![SENT.to_owned()]), "{}", answer.text());
}

#[tokio::test]
async fn a_resource_without_the_profile_says_nothing_of_interactions() {
    let bed = Testbed::start(with(add_bank)).await;
    let answer = bed.client("alice").get("/healthz").header(ID, "7").send().await;
    assert_eq!((answer.status, answer.header(ID)), (200, None));
    assert_eq!(bed.upstream.received()[0].header(ID).as_deref(), Some("7"), "as it came");
    assert_eq!(recorded(&bed, &answer).await.get("interaction_id"), None);
}
