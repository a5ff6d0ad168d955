//! Tokens that are bound to a key, in a real Envoy with several workers: the client makes proofs with a key of its own.

use std::sync::Arc;

use boundgate_testbed::{App, SigningKeys, Testbed, Update};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::expectations::{config, recorded, refused, with};

fn by_key(config: &mut Value) {
    let resource = &mut config["resources"][0];
    resource["origin"] = json!("https://api.example.com");
    resource["routes"].as_array_mut().expect("a list").push(json!({"path": "/key/{id}", "bound": "dpop"}));
}

fn by_key_with_nonce(config: &mut Value) {
    by_key(config);
    config["resources"][0]["dpop"] = json!({"nonce": true});
}

#[tokio::test]
async fn a_client_with_a_key_reaches_the_upstream_which_never_sees_the_proof() {
    let bed = Testbed::start(with(by_key)).await;
    let app = App::new(&bed);
    let client = bed.anonymous();
    for (number, (client, path)) in
        [(client.clone(), "/orders/7"), (client.http2(), "/key/7"), (bed.client("alice"), "/key/8")].iter().enumerate()
    {
        let proof = app.proof(path, &format!("pass-{number}"), |_| {});
        let answer = app.get(client, path, &proof).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let record = recorded(&bed, &answer).await.to_string();
        assert!(!record.contains(&proof[proof.len() - 40..]), "{record}");
    }
    let received = bed.upstream.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|request| request.header("dpop").is_none()));
    assert!(!bed.envoy.log().contains("eyJ"), "a token or a proof stands in the log");
}

#[tokio::test]
async fn whoever_lacks_the_key_is_refused_with_the_right_challenge() {
    let bed = Testbed::start(with(by_key)).await;
    let app = App::new(&bed);
    let client = bed.anonymous();
    let path = "/orders/7";
    let thief = App { keys: Arc::new(SigningKeys::new(78)), token: app.token.clone() };
    let good = app.proof(path, "good", |_| {});
    let with_token = || client.get(path).header("authorization", format!("DPoP {}", app.token));
    for (request, reason, error) in [
        (client.get(path).token(&app.token), "scheme-mismatch", "Bearer realm=\"api\", error=\"invalid_token\""),
        (client.get(path).header("dpop", &good), "token-missing", "DPoP realm=\"api\", algs="),
        (with_token(), "proof-missing", "DPoP realm=\"api\", error=\"invalid_dpop_proof\""),
        (with_token().header("dpop", &good).header("dpop", &good), "proof-repeated", "error=\"invalid_dpop_proof\""),
        (with_token().header("dpop", "x.y.z"), "proof-malformed", "error=\"invalid_dpop_proof\""),
        (thief.get(&client, path, &thief.proof(path, "1", |_| {})), "key-mismatch", "error=\"invalid_token\""),
        (app.get(&client, path, &app.proof("/key/7", "2", |_| {})), "proof-elsewhere", "error=\"invalid_dpop_proof\""),
        (
            app.get(&client, path, &app.proof(path, "3", |claims| claims["htm"] = json!("POST"))),
            "proof-elsewhere",
            "error=\"invalid_dpop_proof\"",
        ),
        (
            app.get(&client, path, &app.proof(path, "4", |claims| claims["iat"] = json!(1))),
            "proof-untimely",
            "error=\"invalid_dpop_proof\"",
        ),
    ] {
        let answer = request.send().await;
        refused(&bed, &answer, 401, reason).await;
        let challenges = answer.lines("www-authenticate");
        assert!(challenges.iter().any(|one| one.contains(error)), "{reason}: {challenges:?}");
    }
    let bare = client.get(path).send().await;
    let expected =
        ["Bearer realm=\"api\"", "DPoP realm=\"api\", algs=\"ES256 PS256 Ed25519 EdDSA\""].map(str::to_owned);
    assert_eq!(bare.lines("www-authenticate"), expected, "a field for each scheme");
    refused(&bed, &bare, 401, "token-missing").await;
}

#[tokio::test]
async fn of_many_copies_of_a_proof_over_four_workers_one_passes() {
    let bed = Testbed::start(with(by_key).concurrency(4)).await;
    let app = App::new(&bed);
    for round in 0..5 {
        let proof = app.proof("/key/7", &format!("copy-{round}"), |_| {});
        let before = bed.upstream.count();
        let mut copies = JoinSet::new();
        for _ in 0..20 {
            // Each over a connection of its own, wherever that lands.
            let (client, token, proof) = (bed.anonymous(), app.token.clone(), proof.clone());
            copies.spawn(async move {
                let request = client.get("/key/7").header("authorization", format!("DPoP {token}"));
                request.header("dpop", proof).send().await.status
            });
        }
        let statuses = copies.join_all().await;
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 19, "{statuses:?}");
        assert_eq!(bed.upstream.count(), before + 1);
    }
}

#[tokio::test]
async fn a_client_gets_a_nonce_and_every_worker_knows_it_again_also_with_a_new_configuration() {
    let bed = Testbed::start(with(by_key_with_nonce).concurrency(2)).await;
    let app = App::new(&bed);
    let client = bed.anonymous();
    let answer = app.get(&client, "/key/7", &app.proof("/key/7", "first", |_| {})).send().await;
    refused(&bed, &answer, 401, "nonce-needed").await;
    let challenges = answer.lines("www-authenticate");
    assert!(challenges.len() == 1 && challenges[0].contains("error=\"use_dpop_nonce\""), "{challenges:?}");
    let nonces = answer.lines("dpop-nonce");
    assert_eq!((nonces.len(), answer.lines("cache-control")), (1, vec!["no-store".to_owned()]));
    for number in 0..16 {
        if number == 8 {
            let mut next = config();
            by_key_with_nonce(&mut next);
            next["resources"][0]["routes"]
                .as_array_mut()
                .expect("a list")
                .push(json!({"path": "/new", "bound": "dpop"}));
            assert!(matches!(bed.envoy.config_update(next).await, Ok(Update::Accepted)));
        }
        let proof = app.proof("/key/7", &format!("with-{number}"), |claims| claims["nonce"] = json!(nonces[0]));
        let answer = app.get(&bed.anonymous(), "/key/7", &proof).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}
