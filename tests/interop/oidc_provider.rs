//! The certified oidc-provider, which keeps to RFC 9068, without any profile: tokens of every algorithm, its other tokens, and
//! a new key after the server was gone. Its metadata (RFC 8414) says where its keys are.

use std::time::{Duration, Instant};

use boundgate_testbed::{EnvoyConfig, OidcProvider, Pki, Testbed, Update};
use serde_json::{Value, json};

use crate::tell;

fn config(provider: &OidcProvider) -> EnvoyConfig {
    let issuer = provider.issuer();
    let config = json!({
        "issuers": {"as": {
            "issuer": issuer,
            "jwks": {"cluster": "as", "discovery": "oauth-authorization-server"},
            "algorithms": OidcProvider::CLIENTS.map(|(_, algorithm)| algorithm)
        }},
        "resources": [{
            "hosts": ["api.example.com"], "audiences": ["https://api.example.com"], "issuers": ["as"],
            "routes": [{"path": "/orders/{id}", "methods": ["GET"], "scopes": ["read:orders"]}]
        }]
    });
    EnvoyConfig::new(config).cluster_at("as", provider.address())
}

#[tokio::test]
async fn an_oidc_provider_is_served_without_a_profile() {
    let pki = Pki::shared();
    let mut provider = match OidcProvider::start(&pki).await {
        Ok(provider) => provider,
        Err(why) => return tell(&format!("skipped: oidc-provider: {why}")),
    };
    let bed = Testbed::start(config(&provider)).await;
    let (partner, thief) = (bed.client("partner-a"), bed.client("mallory"));

    let mut passed = 0;
    for (id, _) in OidcProvider::CLIENTS {
        let token = provider.token(&partner, id).await;
        for other in [&thief, &bed.anonymous()] {
            let before = bed.upstream.count();
            let refused = other.get("/orders/7").token(&token).send().await;
            assert_eq!((refused.status, bed.upstream.count()), (401, before), "{id}");
        }
        let answer = partner.get("/orders/7").token(&token).send().await;
        assert_eq!(answer.status, 200, "{id}: {}", bed.envoy.details(&answer).await);
        passed += 1;
        for kind in ["idtoken", "logout"] {
            let before = bed.upstream.count();
            let refused = partner.get("/orders/7").token(&provider.other_token(&partner, kind, id).await).send().await;
            assert_eq!(bed.envoy.details(&refused).await, "boundgate:typ-unacceptable", "{id}, {kind}");
            assert_eq!((refused.status, bed.upstream.count()), (401, before), "{id}, {kind}");
        }
    }

    let [known, unseen] = [provider.token(&partner, "es256").await, provider.token(&partner, "es256").await];
    assert_eq!(partner.get("/orders/7").token(&known).send().await.status, 200);
    provider.stop();
    for token in [&known, &unseen] {
        let answer = partner.get("/orders/7").token(token).send().await;
        assert_eq!(answer.status, 200, "while it is gone: {}", bed.envoy.details(&answer).await);
    }
    provider.start_with_new_key(&pki).await;
    let new = provider.token(&partner, "es256").await;
    assert_ne!(new.split('.').next(), known.split('.').next(), "another kid");
    for token in [&new, &known, &unseen] {
        let answer = partner.get("/orders/7").token(token).send().await;
        assert_eq!(answer.status, 200, "after it came back: {}", bed.envoy.details(&answer).await);
    }
    tell(&format!(
        "oidc-provider: tokens of {passed} algorithms passed; none was refused while it was gone nor with a new key"
    ));
}

/// Its issuer is asked about opaque tokens, by this client.
fn asked(provider: &OidcProvider, client: &Value) -> Value {
    let issuer = provider.issuer();
    json!({
        "issuers": {"as": {
            "issuer": issuer,
            "introspection": {
                "cluster": "as", "uri": format!("{issuer}/token/introspection"), "client": client, "ttl": "1s", "timeout": "10s"
            },
            "optional_claims": ["jti", "sub"],
            "required_claims": {"token_type": "Bearer"}
        }},
        "resources": [{
            "hosts": ["api.example.com"], "audiences": ["https://api.example.com"], "issuers": ["as"],
            "routes": [{"path": "/orders/{id}", "methods": ["GET"], "scopes": ["read:orders"]}]
        }]
    })
}

#[tokio::test]
async fn opaque_tokens_of_an_oidc_provider_pass_with_their_certificate_until_they_are_revoked() {
    let pki = Pki::shared();
    let mut provider = match OidcProvider::start(&pki).await {
        Ok(provider) => provider,
        Err(why) => return tell(&format!("skipped: oidc-provider: {why}")),
    };
    let (id, secret) = OidcProvider::ASKING;
    let secret_of = |id: &str, auth: &str| json!({"id": id, "secret": {"env": "SECRET"}, "auth": auth});
    let config = EnvoyConfig::new(asked(&provider, &secret_of(id, "basic")));
    let config = config.cluster_at("as", provider.address()).cluster_shows("as", &pki.client("orders-api"));
    let bed = Testbed::start(config.variable("SECRET", secret)).await;
    let (partner, thief) = (bed.client("partner-a"), bed.client("mallory"));

    for client in [secret_of(id, "basic"), secret_of("by-post", "body"), json!({"id": "by-certificate"})] {
        assert!(matches!(bed.envoy.config_update(asked(&provider, &client)).await, Ok(Update::Accepted)));
        let token = provider.token(&partner, OidcProvider::OPAQUE).await;
        assert!(!token.contains('.'), "{token}");
        let answer = partner.get("/orders/7").token(&token).send().await;
        assert_eq!(answer.status, 200, "{client}: {}", bed.envoy.details(&answer).await);
        for other in [&thief, &bed.anonymous()] {
            let before = bed.upstream.count();
            let refused = other.get("/orders/7").token(&token).send().await;
            assert_eq!((refused.status, bed.upstream.count()), (401, before), "{client}");
        }
        provider.revoke(&partner, &token).await;
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let answer = partner.get("/orders/7").token(&token).send().await;
            if answer.status == 401 {
                assert_eq!(bed.envoy.details(&answer).await, "boundgate:token-inactive", "{client}");
                break;
            }
            assert!(Instant::now() < deadline, "{client}: a revoked token still passes");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    let mut signed = asked(&provider, &secret_of("signed", "basic"));
    let issuer = &mut signed["issuers"]["as"];
    issuer["jwks"] = json!({"cluster": "as", "uri": format!("{}/jwks", provider.issuer())});
    issuer["algorithms"] = json!(["ES256"]);
    issuer["introspection"]["signed"] = json!(true);
    assert!(matches!(bed.envoy.config_update(signed.clone()).await, Ok(Update::Accepted)));
    let token = provider.token(&partner, OidcProvider::OPAQUE).await;
    let answer = partner.get("/orders/7").token(&token).send().await;
    assert_eq!(answer.status, 200, "signed: {}", bed.envoy.details(&answer).await);

    let wrong = asked(&provider, &secret_of("nobody", "basic"));
    assert!(matches!(bed.envoy.config_update(wrong).await, Ok(Update::Accepted)));
    let token = provider.token(&partner, OidcProvider::OPAQUE).await;
    let before = bed.upstream.count();
    let answer = partner.get("/orders/7").token(&token).send().await;
    assert_eq!((answer.status, bed.upstream.count()), (503, before), "{}", bed.envoy.details(&answer).await);
    provider.stop();
    let answer = partner.get("/orders/7").token(&token).send().await;
    assert_eq!((answer.status, bed.upstream.count()), (503, before), "{}", bed.envoy.details(&answer).await);
    tell(
        "oidc-provider: asked about opaque tokens by secret (basic, body) and by certificate, also for signed answers; revoked ones end",
    );
}
