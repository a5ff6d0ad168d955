//! The certified oidc-provider, which keeps to RFC 9068, without any profile: tokens of every algorithm, its other tokens, and
//! a new key after the server was gone. Its metadata (RFC 8414) says where its keys are.

use boundgate_testbed::{EnvoyConfig, OidcProvider, Pki, Testbed};
use serde_json::json;

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
