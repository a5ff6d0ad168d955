//! Tokens that their issuer does not write as RFC 9068 has them, in the form that a profile or keys describe, and the switch for
//! an emergency; and which of several issuers a token is held to. Real servers: `tests/interop`.

use base64::Engine;
use boundgate_testbed::{Algorithm, Claims, EnvoyConfig, SigningKeys, Testbed, Update};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::expectations::{alices_token, bed, config, refused, with};

/// The issuer's keys, and the client told upstream.
fn written(keys: Value) -> EnvoyConfig {
    with(|config| {
        config["issuers"]["main"].as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        config["resources"][0]["forward"] =
            json!({"headers": {"x-client-id": "client_id", "x-tenant": "claim.tenant"}});
    })
}

/// Alice's token as Keycloak writes it.
fn keycloaks(bed: &Testbed) -> Claims {
    let alice = bed.pki.client("alice");
    let claims = bed.authority.claims().header("typ", "JWT").without("client_id").bound_to(&alice).scope("read:orders");
    claims.set("typ", "Bearer").set("azp", "partner-a").set("organization", json!({"acme.example": {"id": "t"}}))
}

#[tokio::test]
async fn a_token_in_its_issuers_own_form_passes_and_the_upstream_knows_it_by_our_names() {
    let bed = Testbed::start(written(json!({
        "profile": "keycloak", "claims": {"tenant": {"path": ["organization", "acme.example", "id"]}}
    })))
    .await;
    let alice = bed.client("alice");
    let answer = alice.get("/orders/7").token(&keycloaks(&bed).sign()).send().await;
    assert_eq!(answer.status, 200, "{}", bed.envoy.details(&answer).await);
    let received = bed.upstream.received().pop().unwrap();
    assert_eq!(received.header("x-client-id").as_deref(), Some("partner-a"));
    assert_eq!(received.header("x-tenant").as_deref(), Some("t"));
}

#[tokio::test]
async fn an_id_token_in_that_form_is_refused_although_all_else_fits() {
    let bed = Testbed::start(written(json!({"profile": "keycloak"}))).await;
    for claims in
        [keycloaks(&bed).set("typ", "ID"), keycloaks(&bed).without("typ"), keycloaks(&bed).set("typ", "Refresh")]
    {
        let answer = bed.client("alice").get("/orders/7").token(&claims.sign()).send().await;
        refused(&bed, &answer, 401, "typ-unacceptable").await;
    }
}

#[tokio::test]
async fn one_key_ends_all_older_tokens_at_once_and_no_newer_one() {
    let bed = bed().await;
    let alice = bed.client("alice").kept();
    let now = OffsetDateTime::now_utc();
    let claims = bed.authority.claims().bound_to(alice.identity().unwrap()).scope("read:orders");
    let old = claims.set("iat", now.unix_timestamp() - 60).sign();
    assert_eq!(alice.get("/orders/7").token(&old).send().await.status, 200);

    let then = now - Duration::seconds(30);
    let (date, hour, minute, second) = (then.date(), then.hour(), then.minute(), then.second());
    let mut emergency = config();
    emergency["issuers"]["main"]["not_issued_before"] = json!(format!("{date}T{hour:02}:{minute:02}:{second:02}Z"));
    assert_eq!(bed.envoy.config_update(emergency).await.unwrap(), Update::Accepted);
    let answer = bed.client("alice").get("/orders/7").token(&old).send().await;
    assert_eq!(bed.envoy.details(&answer).await, "boundgate:issued-too-early");
    assert_eq!((answer.status, bed.upstream.count()), (401, 1));
    assert_eq!(bed.client("alice").get("/orders/7").token(&alices_token(&bed).await).send().await.status, 200);
}

#[tokio::test]
async fn keys_of_one_issuer_do_not_vouch_for_another_of_the_same_resource() {
    let (other, keys) = ("https://other.example.com", SigningKeys::new(99));
    let config = with(|config| {
        config["issuers"]["other"] =
            json!({"issuer": other, "keys": {"keys": [keys.jwk(Algorithm::Es256)]}, "algorithms": ["ES256"]});
        config["resources"][0]["issuers"] = json!(["main", "other"]);
    });
    let bed = Testbed::start(config).await;
    let alice = bed.client("alice");
    let claims = bed.authority.claims().bound_to(alice.identity().unwrap()).scope("read:orders");
    // The same content, signed by the other issuer's key under its name.
    let by_other = |claims: &Claims| {
        let token = claims.clone().sign();
        let [mut header, payload] = [0, 1].map(|part| decoded(token.split('.').nth(part).unwrap()));
        header["kid"] = json!(keys.kid(Algorithm::Es256));
        keys.sign(Algorithm::Es256, &header, &payload)
    };
    let (mine, others) = (claims.clone(), claims.set("iss", other));
    for wrong in [by_other(&mine), others.clone().sign()] {
        let answer = alice.get("/orders/7").token(&wrong).send().await;
        refused(&bed, &answer, 401, "key-unknown").await;
    }
    for nearly in ["https://as.example.com/", "https://AS.example.com"] {
        let answer = alice.get("/orders/7").token(&mine.clone().set("iss", nearly).sign()).send().await;
        refused(&bed, &answer, 401, "issuer-untrusted").await;
    }
    for right in [mine.sign(), by_other(&others)] {
        let answer = alice.get("/orders/7").token(&right).send().await;
        assert_eq!(answer.status, 200, "{}", bed.envoy.details(&answer).await);
    }
}

fn decoded(part: &str) -> Value {
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}
