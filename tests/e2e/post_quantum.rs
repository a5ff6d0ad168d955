//! Hybrid key exchange and ML-DSA tokens, as `envoy/post-quantum.yaml` has them: who can agree on keys so does it, who cannot
//! is served as before, and the access log tells which.

use boundgate_testbed::KeyExchange::{P256, X25519, X25519MlKem768};
use boundgate_testbed::{Algorithm, Client, Envoy, EnvoyConfig, Pki, Testbed};
use serde_json::json;

use crate::expectations::refused;

const FILE: &str = "envoy/post-quantum.yaml";

async fn bed() -> Testbed {
    Testbed::start(EnvoyConfig::shipped_in(FILE)).await
}

#[tokio::test]
async fn the_shipped_configuration_agrees_on_the_hybrid_group_on_either_side_of_the_proxy() {
    let pki = Pki::shared();
    let envoy = Envoy::start_shipped(FILE, &pki).await.unwrap();
    assert_eq!(envoy.address("boundgate").port(), 6443);

    let alice = Client::tls(envoy.address("boundgate"), "localhost:6443", &pki, Some(pki.client("alice")));
    let answer = alice.key_exchange(&[X25519MlKem768]).get("/healthz").send().await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "the upstream was reached\n"));
    let line = envoy.access_log_of(&answer).await;
    assert_eq!((&line["tls_group"], &line["upstream_tls_group"]), (&json!("X25519MLKEM768"), &json!("X25519MLKEM768")));
    assert_eq!(envoy.stop(), 0);
}

#[tokio::test]
async fn clients_that_insist_on_the_hybrid_group_and_clients_that_lack_it_pass_with_bound_tokens() {
    let bed = bed().await;
    let alice = bed.client("alice");
    let insists = alice.key_exchange(&[X25519MlKem768]);
    let token = bed.token(&insists).scope("read:orders").issue().await;
    let clients = [
        (insists.clone(), X25519MlKem768),
        (insists.http2(), X25519MlKem768),
        (alice.key_exchange(&[X25519MlKem768, X25519]), X25519MlKem768),
        (alice.key_exchange(&[X25519]), X25519),
        (alice.key_exchange(&[P256]), P256),
        (alice.tls12(), X25519),
    ];
    for (client, group) in clients {
        let answer = client.get("/orders/7").token(&token).send().await;
        assert_eq!((answer.status, answer.key_exchange()), (200, Some(group)), "{}", answer.text());
        let line = bed.envoy.access_log_of(&answer).await;
        assert_eq!(line["tls_group"], group.name());
        assert_eq!(line["upstream_tls_group"], "X25519MLKEM768");
    }
    assert_eq!(bed.upstream.count(), 6);
    let counts = bed.envoy.stats(".ssl.curves.X25519MLKEM768").await;
    assert!(counts["cluster.as.ssl.curves.X25519MLKEM768"] > 0, "the keys came over the hybrid group: {counts:?}");
    let listener = counts.iter().find(|(name, _)| name.starts_with("listener.127.0.0.1_"));
    assert_eq!(listener.map(|(_, count)| *count), Some(3), "{counts:?}");
}

#[tokio::test]
async fn a_stolen_token_is_refused_whatever_the_key_exchange() {
    let bed = bed().await;
    let (alice, bob) = (bed.client("alice"), bed.client("bob"));
    let token = bed.token(&alice).scope("read:orders").issue().await;
    for group in [X25519MlKem768, X25519] {
        let answer = bob.key_exchange(&[group]).get("/orders/7").token(&token).send().await;
        assert_eq!(answer.key_exchange(), Some(group));
        refused(&bed, &answer, 401, "binding-mismatch").await;
    }
}

#[tokio::test]
async fn ml_dsa_tokens_pass_over_the_hybrid_group_with_the_certificate_they_are_bound_to_and_no_other() {
    let bed = bed().await;
    let alice = bed.client("alice").key_exchange(&[X25519MlKem768]);
    let bob = bed.client("bob").key_exchange(&[X25519MlKem768]);
    let mut tokens = Vec::new();
    for algorithm in [Algorithm::MlDsa44, Algorithm::MlDsa65, Algorithm::MlDsa87] {
        let token = bed.token(&alice).scope("read:orders").algorithm(algorithm).issue().await;
        refused(&bed, &bob.get("/orders/7").token(&token).send().await, 401, "binding-mismatch").await;
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { "B" } else { "A" };
        let forged = format!("{signed}.{other}{}", &signature[1..]);
        refused(&bed, &alice.get("/orders/7").token(&forged).send().await, 401, "signature-invalid").await;
        tokens.push(token);
    }
    for token in tokens {
        for client in [&alice, &alice.http2()] {
            let answer = client.get("/orders/7").token(&token).send().await;
            assert_eq!((answer.status, answer.key_exchange()), (200, Some(X25519MlKem768)), "{}", answer.text());
        }
    }
    assert_eq!(bed.upstream.count(), 6);
}

#[tokio::test]
async fn a_client_that_would_rather_not_gets_the_hybrid_group_all_the_same() {
    let bed = bed().await;
    let answer = bed.client("alice").key_exchange(&[X25519, X25519MlKem768]).get("/healthz").send().await;
    assert_eq!((answer.status, answer.key_exchange()), (200, Some(X25519MlKem768)));
}

/// Of ML-KEM-768: the key that a client sends, and the ciphertext that a server answers with.
const ENCAPSULATION_KEY: usize = 1184;
const CIPHERTEXT: usize = 1088;

#[tokio::test]
async fn the_hybrid_group_makes_the_first_flight_of_either_side_a_kilobyte_longer() {
    let bed = bed().await;
    let alice = bed.client("alice");
    let hybrid = alice.key_exchange(&[X25519MlKem768, X25519]).handshake().await.unwrap();
    let classical = alice.key_exchange(&[X25519]).handshake().await.unwrap();
    assert!(
        (ENCAPSULATION_KEY..ENCAPSULATION_KEY + 64).contains(&(hybrid[0] - classical[0])),
        "{hybrid:?} {classical:?}"
    );
    // The server's signature has not always the same length.
    assert!((CIPHERTEXT - 8..CIPHERTEXT + 8).contains(&(hybrid[1] - classical[1])), "{hybrid:?} {classical:?}");
}

#[tokio::test]
async fn a_resumed_session_agrees_on_keys_anew_by_the_hybrid_group() {
    let bed = bed().await;
    let alice = bed.client("alice").key_exchange(&[X25519MlKem768]).resuming();
    let token = bed.token(&alice).scope("read:orders").issue().await;
    for resumed in [false, true] {
        let answer = alice.get("/orders/7").token(&token).send().await;
        assert_eq!((answer.status, answer.resumed()), (200, resumed));
        assert_eq!(bed.envoy.access_log_of(&answer).await["tls_group"], "X25519MLKEM768");
    }
}

#[tokio::test]
async fn a_proxy_that_offers_the_hybrid_group_alone_has_no_connection_for_others() {
    let bed = Testbed::start(EnvoyConfig::shipped_in(FILE).edit(|config| {
        let chain = &mut config["static_resources"]["listeners"][0]["filter_chains"][0];
        let parameters = &mut chain["transport_socket"]["typed_config"]["common_tls_context"]["tls_params"];
        parameters["ecdh_curves"] = json!(["X25519MLKEM768"]);
        parameters["tls_minimum_protocol_version"] = json!("TLSv1_3");
    }))
    .await;
    let alice = bed.client("alice");
    for client in [alice.key_exchange(&[X25519]), alice.key_exchange(&[P256]), alice.tls12()] {
        assert!(client.get("/healthz").try_send().await.is_err());
    }
    assert_eq!(bed.upstream.count(), 0);
    assert_eq!(alice.key_exchange(&[X25519MlKem768]).get("/healthz").send().await.status, 200);
}
