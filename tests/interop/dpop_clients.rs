//! Clients with keys of their own, as oauth4webapi and openid-client make the proofs, with tokens of oidc-provider: by every algorithm,
//! with nonces and without, also where the nonce changes and where the tokens are opaque.

use boundgate_testbed::{Called, DpopClient, Errand, OidcProvider, Pki, RESOURCE};
use serde_json::{Value, json};

use crate::apps::{self, ALGORITHMS, HOSTILE, Service, told};
use crate::tell;

/// Its JWTs, which its keys verify.
fn with_keys(provider: &OidcProvider) -> Value {
    let issuer = provider.issuer();
    let jwks = json!({"cluster": "as", "uri": format!("{issuer}/jwks")});
    json!({"issuer": issuer, "jwks": jwks, "algorithms": ["ES256"]})
}

/// An app at oidc-provider.
fn errand(provider: &OidcProvider, client: (&'static str, &'static str), algorithm: &'static str) -> Errand {
    Errand {
        issuer: provider.issuer(),
        client,
        grant: "client_credentials",
        parameters: json!({"scope": "read:orders", "resource": RESOURCE}),
        algorithm,
        url: String::new(),
        calls: apps::all_calls(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libraries_that_make_proofs_by_any_algorithm_pass_and_understand_each_refusal() {
    let pki = Pki::shared();
    let (clients, provider) = match (DpopClient::all(), OidcProvider::start(&pki).await) {
        (Ok(clients), Ok(provider)) => (clients, provider),
        (Err(why), _) | (_, Err(why)) => return tell(&format!("skipped: clients that make proofs: {why}")),
    };
    let service = Service::start(with_keys(&provider), |envoy| envoy.cluster_at("as", provider.address())).await;
    for client in &clients {
        for algorithm in ALGORITHMS {
            for nonce in [false, true] {
                let errand = errand(&provider, OidcProvider::APPS[0], algorithm);
                apps::errand_ends_as_it_should(&service, client, &errand, nonce).await;
            }
        }
    }
    tell(&format!(
        "oauth4webapi, openid-client: proofs of {} algorithms passed, with nonces and without; {} kinds of misuse were refused",
        ALGORITHMS.len(),
        HOSTILE.len()
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_nonce_reaches_libraries_with_an_answer_that_succeeds() {
    let pki = Pki::shared();
    let (clients, provider) = match (DpopClient::all(), OidcProvider::start(&pki).await) {
        (Ok(clients), Ok(provider)) => (clients, provider),
        (Err(why), _) | (_, Err(why)) => return tell(&format!("skipped: nonces that change: {why}")),
    };
    let service = Service::start(with_keys(&provider), |envoy| envoy.cluster_at("as", provider.address())).await;
    let errand = Errand {
        url: format!("https://{}/orders/", service.host(true)),
        calls: vec!["get", "until another nonce comes", "post"],
        ..errand(&provider, OidcProvider::APPS[0], "ES256")
    };
    let [one, other] = &clients[..] else { panic!("there are two libraries") };
    let (one, other) = tokio::join!(one.run(&pki, &errand), other.run(&pki, &errand));
    for Called { results, .. } in [one, other] {
        assert_eq!(told(&results[0]), [(401, true), (200, false)], "{}", results[0]);
        let (last, before) =
            told(&results[1]).split_last().map(|(last, before)| (*last, before.to_vec())).expect("calls");
        assert_eq!(last, (200, true), "the next one comes, and nobody is turned away for it");
        assert!(before.iter().all(|told| *told == (200, false)), "{before:?}");
        assert_eq!(told(&results[2]), [(200, false)], "the library uses the next one");
    }
    tell("oauth4webapi, openid-client: they took the next nonce from an answer that succeeded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opaque_tokens_for_a_key_pass_with_its_proof_until_they_are_revoked() {
    let pki = Pki::shared();
    let (clients, provider) = match (DpopClient::all(), OidcProvider::start(&pki).await) {
        (Ok(clients), Ok(provider)) => (clients, provider),
        (Err(why), _) | (_, Err(why)) => return tell(&format!("skipped: opaque tokens for a key: {why}")),
    };
    let (id, secret) = OidcProvider::ASKING;
    let issuer = json!({
        "issuer": provider.issuer(),
        "introspection": {
            "cluster": "as", "uri": format!("{}/token/introspection", provider.issuer()), "ttl": "1s", "timeout": "10s",
            "client": {"id": id, "secret": {"env": "SECRET"}}
        },
        "optional_claims": ["jti", "sub"],
        "required_claims": {"token_type": ["Bearer", "DPoP"]}
    });
    let service =
        Service::start(issuer, |envoy| envoy.cluster_at("as", provider.address()).variable("SECRET", secret)).await;
    for client in &clients {
        for nonce in [false, true] {
            let errand = errand(&provider, OidcProvider::APPS[1], "ES256");
            let called = apps::errand_ends_as_it_should(&service, client, &errand, nonce).await;
            assert!(!called.token.contains('.'), "{}", called.token);
        }
        apps::revoked_ones_end(&service, client, &errand(&provider, OidcProvider::APPS[1], "ES256")).await;
    }
    tell("oidc-provider: opaque tokens for a key passed with its proof, until they were revoked");
}
