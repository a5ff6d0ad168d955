//! A real Keycloak and five lines of configuration: every kind of certificate-bound token passes with the right certificate
//! and with no other, its other tokens never do, new keys are found without a refusal, and nobody is refused while the server is gone.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use boundgate_testbed::{Client, DpopClient, EnvoyConfig, Errand, Keycloak, Pki, Testbed, Update};
use serde_json::{Value, json};

use crate::apps::{self, Service};
use crate::tell;

/// Kinds of clients, by the attributes that make them, and the `alg` and `typ` of their tokens.
fn kinds() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let signed = |algorithm: &str| json!({ "access.token.signed.response.alg": algorithm });
    vec![
        ("as-installed", json!({}), "RS256", "JWT"),
        ("rfc9068", json!({ "access.token.header.type.rfc9068": "true" }), "RS256", "at+jwt"),
        ("lightweight", json!({ "client.use.lightweight.access.token.enabled": "true" }), "RS256", "JWT"),
        ("ps256", signed("PS256"), "PS256", "JWT"),
        ("es256", signed("ES256"), "ES256", "JWT"),
        ("es384", signed("ES384"), "ES384", "JWT"),
        ("eddsa", signed("EdDSA"), "EdDSA", "JWT"),
    ]
}

/// The five lines of docs/issuers.md, and a resource.
fn config(keycloak: &Keycloak) -> Value {
    let issuer = keycloak.issuer();
    json!({
        "issuers": {"sso": {
            "issuer": issuer,
            "jwks": {"cluster": "as", "uri": format!("{issuer}/protocol/openid-connect/certs")},
            "algorithms": ["RS256", "PS256", "ES256", "ES384", "EdDSA"],
            "profile": "keycloak"
        }},
        "resources": [{
            "hosts": ["api.example.com"], "audiences": ["https://api.example.com"], "issuers": ["sso"],
            "forward": {"headers": {"x-client-id": "client_id", "x-sub": "sub"}},
            "routes": [
                {"path": "/orders/{id}", "methods": ["GET"], "scopes": ["read:orders"]},
                {"path": "/of-users", "subject": "user"},
                {"path": "/of-clients", "subject": "client"}
            ]
        }]
    })
}

fn part(token: &str, number: usize) -> Value {
    use base64::Engine;
    let part = token.split('.').nth(number).expect("a token has three parts");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).expect("a part is base64url");
    serde_json::from_slice(&bytes).expect("header and claims are JSON")
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_else(|| panic!("no {member}: {value}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keycloak_as_it_comes_is_served_by_five_lines() {
    let pki = Pki::shared();
    let mut keycloak = match Keycloak::start(&pki).await {
        Ok(keycloak) => keycloak,
        Err(why) => return tell(&format!("skipped: Keycloak: {why}")),
    };
    for (id, attributes, ..) in kinds() {
        keycloak.add_client(&pki, id, "CN=partner-a", &attributes).await;
    }
    let asking = keycloak.add_asking_client(&pki, ASKING, SECRET).await;
    let envoy = EnvoyConfig::new(config(&keycloak)).variable("INTROSPECTION_SECRET", SECRET);
    let envoy = envoy.cluster_at("as", keycloak.address()).cluster_shows("as", &pki.client("orders-api"));
    let bed = Testbed::start(envoy).await;
    let client = bed.client("partner-a");
    let thief = bed.client("mallory");

    every_kind_passes_with_its_certificate_only(&bed, &keycloak, &client, &thief).await;
    no_other_token_passes(&bed, &keycloak, &client).await;
    users_and_clients_are_told_apart(&bed, &keycloak, &client).await;
    a_token_that_needs_a_proof_of_a_key_is_refused_also_with_its_certificate(&bed, &keycloak, &client).await;
    new_keys_are_found_without_a_refusal(&bed, &keycloak, &client).await;
    nobody_is_refused_while_it_is_gone_nor_with_a_new_key_when_it_is_back(&bed, &mut keycloak, &client).await;
    its_metadata_says_where_its_keys_are(&bed, &keycloak, &client).await;
    a_resource_that_keeps_to_fapi_takes_what_fapi_allows(&bed, &keycloak, &client, &thief).await;
    it_is_asked_about_its_tokens_and_revoked_ones_end(&bed, &keycloak, &client, &thief).await;
    its_tokens_for_a_key_pass_with_the_proofs_of_libraries(&pki, &keycloak).await;
    keycloak.asks_by_certificate(&pki, &asking, ASKING, "CN=orders-api").await;
    it_is_asked_by_certificate(&bed, &keycloak, &client).await;
}

async fn every_kind_passes_with_its_certificate_only(
    bed: &Testbed,
    keycloak: &Keycloak,
    client: &Client,
    thief: &Client,
) {
    for (id, _, algorithm, typ) in kinds() {
        let answer = keycloak.tokens(client, id, false).await;
        let token = text(&answer, "access_token");
        let (header, claims) = (part(token, 0), part(token, 1));
        assert_eq!((text(&header, "alg"), text(&header, "typ")), (algorithm, typ), "{id}");

        for other in [thief, &bed.anonymous()] {
            let before = bed.upstream.count();
            let refused = other.get("/orders/7").token(token).send().await;
            assert_eq!((refused.status, bed.upstream.count()), (401, before), "{id}");
        }
        let passed = client.get("/orders/7").token(token).send().await;
        assert_eq!(passed.status, 200, "{id}: {}", bed.envoy.details(&passed).await);
        let received = bed.upstream.received().pop().expect("it was just received");
        assert_eq!(received.header("x-client-id").as_deref(), Some(id));
        assert_eq!(received.header("x-sub").as_deref(), Some(claims["sub"].as_str().unwrap_or(id)));
    }
}

async fn no_other_token_passes(bed: &Testbed, keycloak: &Keycloak, client: &Client) {
    for (id, ..) in kinds() {
        let answer = keycloak.tokens(client, id, true).await;
        for member in ["id_token", "refresh_token"] {
            let token = text(&answer, member);
            let before = bed.upstream.count();
            let refused = client.get("/orders/7").token(token).send().await;
            let details = bed.envoy.details(&refused).await;
            assert!(
                ["boundgate:typ-unacceptable", "boundgate:algorithm-not-allowed"].contains(&details.as_str()),
                "{id}, {member}: {details}"
            );
            assert_eq!((refused.status, bed.upstream.count()), (401, before), "{id}, {member}");
        }
        let passed = client.get("/orders/7").token(text(&answer, "access_token")).send().await;
        assert_eq!(passed.status, 200, "{id}: {}", bed.envoy.details(&passed).await);
    }
}

async fn users_and_clients_are_told_apart(bed: &Testbed, keycloak: &Keycloak, client: &Client) {
    // A lightweight token of a client says nothing of it.
    for (id, user, passing) in [
        ("as-installed", true, &["/of-users"][..]),
        ("as-installed", false, &["/of-clients"]),
        ("lightweight", true, &["/of-users"]),
        ("lightweight", false, &[]),
    ] {
        let answer = keycloak.tokens(client, id, user).await;
        let token = text(&answer, "access_token");
        for path in ["/of-users", "/of-clients"] {
            let before = bed.upstream.count();
            let answer = client.get(path).token(token).send().await;
            let expected = if passing.contains(&path) { (200, before + 1) } else { (403, before) };
            assert_eq!((answer.status, bed.upstream.count()), expected, "{id} {user} {path}: {}", part(token, 1));
        }
    }
}

async fn a_token_that_needs_a_proof_of_a_key_is_refused_also_with_its_certificate(
    bed: &Testbed,
    keycloak: &Keycloak,
    client: &Client,
) {
    keycloak.add_client(&bed.pki, "dpop", "CN=partner-a", &json!({ "dpop.bound.access.tokens": "true" })).await;
    let token = keycloak.dpop_token(client, "dpop").await;
    // Where both are switched on, cnf names the certificate only: the promise of a key cannot be kept.
    let claims = part(&token, 1);
    assert_eq!(text(&claims, "typ"), "DPoP");
    assert!(claims["cnf"]["jkt"].is_null() && claims["cnf"]["x5t#S256"].is_string(), "{claims}");
    let before = bed.upstream.count();
    let refused = client.get("/orders/7").token(&token).send().await;
    assert_eq!(bed.envoy.details(&refused).await, "boundgate:confirmation-unusable");
    assert_eq!((refused.status, bed.upstream.count()), (401, before));
}

async fn new_keys_are_found_without_a_refusal(bed: &Testbed, keycloak: &Keycloak, client: &Client) {
    let (over, passed, of_new_keys) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let kid = |token: &str| text(&part(token, 0), "kid").to_owned();
    let first = keycloak.tokens(client, "es256", false).await;
    let old_key = kid(text(&first, "access_token"));

    let calls = async || {
        while !over.load(Ordering::SeqCst) || of_new_keys.load(Ordering::SeqCst) < 20 {
            let answer = keycloak.tokens(client, "es256", false).await;
            for token in [text(&answer, "access_token"), text(&first, "access_token")] {
                let answer = client.get("/orders/7").token(token).send().await;
                assert_eq!(answer.status, 200, "{}", bed.envoy.details(&answer).await);
                passed.fetch_add(1, Ordering::SeqCst);
                if kid(token) != old_key {
                    of_new_keys.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    };
    let rotation = async {
        let config = json!({ "ecdsaEllipticCurveKey": ["P-256"] });
        keycloak.add_key(&bed.pki, "ecdsa-generated", 200, config).await;
        over.store(true, Ordering::SeqCst);
    };
    tokio::join!(calls(), calls(), calls(), rotation);
    tell(&format!(
        "Keycloak: a new key while {} requests passed, {} of them with tokens of the new key; none was refused",
        passed.into_inner(),
        of_new_keys.into_inner()
    ));
}

async fn nobody_is_refused_while_it_is_gone_nor_with_a_new_key_when_it_is_back(
    bed: &Testbed,
    keycloak: &mut Keycloak,
    client: &Client,
) {
    let [known, unseen] =
        [keycloak.tokens(client, "es256", false).await, keycloak.tokens(client, "ps256", false).await];
    let [known, unseen] = [&known, &unseen].map(|answer| text(answer, "access_token").to_owned());
    passes(bed, client, &known, "before").await;
    let stopped = Instant::now();
    keycloak.stop();
    for token in [&known, &unseen] {
        passes(bed, client, token, "while it is gone").await;
    }
    keycloak.start_again(&bed.pki).await;
    let gone = stopped.elapsed();
    // Unknown keys cause one fetch in half a minute, and there was a rotation before.
    tokio::time::sleep_until((stopped + Duration::from_secs(31)).into()).await;
    // Before the filter has seen it again.
    let config = json!({ "ecdsaEllipticCurveKey": ["P-256"] });
    keycloak.add_key(&bed.pki, "ecdsa-generated", 300, config).await;
    let answer = keycloak.tokens(client, "es256", false).await;
    let new = text(&answer, "access_token");
    assert_ne!(part(new, 0)["kid"], part(&known, 0)["kid"], "a new key");
    for token in [new, &known, &unseen] {
        passes(bed, client, token, "when it is back").await;
    }
    tell(&format!(
        "Keycloak: gone for {:.0} s; none was refused meanwhile, nor with a new key after it",
        gone.as_secs_f64()
    ));
}

async fn its_metadata_says_where_its_keys_are(bed: &Testbed, keycloak: &Keycloak, client: &Client) {
    let mut config = config(keycloak);
    config["issuers"]["sso"]["jwks"] = json!({"cluster": "as", "discovery": "openid-configuration"});
    assert!(matches!(bed.envoy.config_update(config).await, Ok(Update::Accepted)));
    for id in ["as-installed", "es256"] {
        let answer = keycloak.tokens(client, id, false).await;
        passes(bed, client, text(&answer, "access_token"), "by discovery").await;
    }
    bed.envoy.stat_reaches("wasmcustom.boundgate.metadata_fetch_ok", 1).await.expect("it was asked");
}

/// FAPI 2.0 Security Profile §5.4.1: PS256, ES256 and EdDSA with Ed25519.
async fn a_resource_that_keeps_to_fapi_takes_what_fapi_allows(
    bed: &Testbed,
    keycloak: &Keycloak,
    client: &Client,
    thief: &Client,
) {
    let mut config = config(keycloak);
    config["resources"][0]["profile"] = json!("fapi2");
    assert!(matches!(bed.envoy.config_update(config).await, Ok(Update::Accepted)));
    for (id, _, algorithm, _) in kinds() {
        let answer = keycloak.tokens(client, id, false).await;
        let token = text(&answer, "access_token");
        let (before, allowed) = (bed.upstream.count(), ["PS256", "ES256", "EdDSA"].contains(&algorithm));
        let call = async |client: &Client| {
            client.get("/orders/7").token(token).header("x-fapi-interaction-id", INTERACTION).send().await
        };
        for (client, passes) in [(client, allowed), (thief, false)] {
            let answer = call(client).await;
            let details = bed.envoy.details(&answer).await;
            assert_eq!(answer.status, if passes { 200 } else { 401 }, "{id}: {details}");
            assert_eq!(answer.header("x-fapi-interaction-id").as_deref(), Some(INTERACTION), "{id}: {details}");
            if !allowed {
                assert_eq!(details, "boundgate:algorithm-not-allowed", "{id}");
            }
        }
        assert_eq!(bed.upstream.count(), before + usize::from(allowed), "{id}");
    }
}

/// The client that asks about tokens. It must be one of those that they are for, or Keycloak calls them inactive.
const ASKING: &str = "https://api.example.com";
const SECRET: &str = "z/t+ud:X2=";

fn introspection(keycloak: &Keycloak) -> Value {
    json!({
        "cluster": "as", "uri": format!("{}/protocol/openid-connect/token/introspect", keycloak.issuer()),
        "client": {"id": ASKING, "secret": {"env": "INTROSPECTION_SECRET"}}, "tokens": "always", "ttl": "1s", "timeout": "20s"
    })
}

/// RFC 7662: of every kind of token, the answer counts.
async fn it_is_asked_about_its_tokens_and_revoked_ones_end(
    bed: &Testbed,
    keycloak: &Keycloak,
    client: &Client,
    thief: &Client,
) {
    let mut config = config(keycloak);
    let sso = config["issuers"]["sso"].as_object_mut().expect("an issuer is a table");
    sso.retain(|key, _| key == "issuer" || key == "profile");
    sso.insert("introspection".into(), introspection(keycloak));
    assert!(matches!(bed.envoy.config_update(config).await, Ok(Update::Accepted)));
    for (id, ..) in kinds() {
        let answer = keycloak.tokens(client, id, false).await;
        let token = text(&answer, "access_token");
        passes(bed, client, token, id).await;
        let before = bed.upstream.count();
        assert_eq!(
            (thief.get("/orders/7").token(token).send().await.status, bed.upstream.count()),
            (401, before),
            "{id}"
        );
        keycloak.revoke(client, id, token).await;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = client.get("/orders/7").token(token).send().await;
            if answer.status == 401 {
                assert_eq!(bed.envoy.details(&answer).await, "boundgate:token-inactive", "{id}");
                break;
            }
            assert!(Instant::now() < deadline, "{id}: a revoked token still passes");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let user = keycloak.tokens(client, "es256", true).await;
    passes(bed, client, text(&user, "access_token"), "a user's").await;
    for member in ["id_token", "refresh_token"] {
        let before = bed.upstream.count();
        let refused = client.get("/orders/7").token(text(&user, member)).send().await;
        assert_eq!((refused.status, bed.upstream.count()), (401, before), "{member}");
    }
    tell(&format!("Keycloak: asked about tokens of {} kinds; each passed until it was revoked", kinds().len()));
}

/// RFC 8705 §2.1: the cluster's certificate shows who asks.
async fn it_is_asked_by_certificate(bed: &Testbed, keycloak: &Keycloak, client: &Client) {
    let asked_by = |id: &str| {
        let mut config = config(keycloak);
        let sso = config["issuers"]["sso"].as_object_mut().expect("an issuer is a table");
        sso.retain(|key, _| key == "issuer" || key == "profile");
        let mut introspection = introspection(keycloak);
        introspection["client"] = json!({ "id": id });
        sso.insert("introspection".into(), introspection);
        config
    };
    assert!(matches!(bed.envoy.config_update(asked_by(ASKING)).await, Ok(Update::Accepted)));
    let answer = keycloak.tokens(client, "es256", false).await;
    passes(bed, client, text(&answer, "access_token"), "asked by certificate").await;
    // A client that this certificate is not of.
    assert!(matches!(bed.envoy.config_update(asked_by("es256")).await, Ok(Update::Accepted)));
    let answer = keycloak.tokens(client, "es256", false).await;
    let before = bed.upstream.count();
    let refused = client.get("/orders/7").token(text(&answer, "access_token")).send().await;
    assert_eq!((refused.status, bed.upstream.count()), (503, before));
    assert_eq!(bed.envoy.details(&refused).await, "boundgate:introspection-unavailable");
    tell("Keycloak: asked by the certificate of the cluster, and for nobody else");
}

const APP: (&str, &str) = ("app", "of an app");

/// Of clients and of users; verified with its keys, and asked about.
async fn its_tokens_for_a_key_pass_with_the_proofs_of_libraries(pki: &Pki, keycloak: &Keycloak) {
    let clients = match DpopClient::all() {
        Ok(clients) => clients,
        Err(why) => return tell(&format!("skipped: Keycloak's tokens for a key: {why}")),
    };
    keycloak.add_app(pki, APP.0, APP.1).await;
    let (name, password) = Keycloak::USER;
    let grants = [
        ("client_credentials", json!({})),
        ("password", json!({"username": name, "password": password, "scope": "openid"})),
    ];
    let asked = json!({"issuer": keycloak.issuer(), "profile": "keycloak", "introspection": introspection(keycloak)});
    for (issuer, is_asked) in [(config(keycloak)["issuers"]["sso"].clone(), false), (asked, true)] {
        let service = Service::start(issuer, |envoy| {
            envoy.cluster_at("as", keycloak.address()).variable("INTROSPECTION_SECRET", SECRET)
        })
        .await;
        for client in &clients {
            for ((grant, parameters), nonce) in grants.iter().zip([true, false]) {
                let errand = Errand {
                    issuer: keycloak.issuer(),
                    client: APP,
                    grant,
                    parameters: parameters.clone(),
                    algorithm: "ES256",
                    url: String::new(),
                    calls: apps::all_calls(),
                };
                let called = apps::errand_ends_as_it_should(&service, client, &errand, nonce).await;
                let claims = part(&called.token, 1);
                assert!(claims["cnf"]["jkt"].is_string() && claims["typ"] == "DPoP", "{claims}");
                if is_asked {
                    apps::revoked_ones_end(&service, client, &errand).await;
                }
            }
        }
    }
    tell("Keycloak: its tokens for a key passed with the proofs of oauth4webapi and openid-client only");
}

const INTERACTION: &str = "93bac548-d2de-4546-b106-880a5018460d";

async fn passes(bed: &Testbed, client: &Client, token: &str, when: &str) {
    let answer = client.get("/orders/7").token(token).send().await;
    assert_eq!(answer.status, 200, "{when}: {}", bed.envoy.details(&answer).await);
}
