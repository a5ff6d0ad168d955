//! What routes demand of a token besides its scopes: claims, whom it is about, how its user signed in, whence it comes.

use boundgate_testbed::{Claims, Client, Testbed};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::expectations::{recorded, refused, with};

async fn bed() -> Testbed {
    Testbed::start(with(|config| {
        config["resources"][0]["claims"] = json!({"tenant": "acme"});
        config["resources"][0]["routes"] = json!([
            {"path": "/reports", "claims": {"any": [{"roles": {"contains": "auditor"}}, {"level": {"min": 3}, "not": {"suspended": true}}]}},
            {"path": "/of-users", "subject": "user"},
            {"path": "/payments", "step_up": {"acr": ["urn:example:mfa"], "max_age": "5m"}},
            {"path": "/from-here", "source_ip": "claim.ip"},
            {"path": "/forwarded/{user}", "where": {"user": "sub"}, "step_up": {"max_age": "5m"}}
        ]);
        config.as_object_mut().expect("a table").remove("limits");
    }))
    .await
}

/// A token of tenant acme for this client.
fn claims(bed: &Testbed, client: &Client) -> Claims {
    bed.authority.claims().bound_to(client.identity().expect("a certificate")).set("tenant", "acme")
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

#[tokio::test]
async fn each_rule_refuses_with_its_reason_and_lets_pass_who_meets_it() {
    let bed = bed().await;
    let alice = bed.client("alice");
    let token = || claims(&bed, &alice);
    for (path, token, status, reason, rule) in [
        (
            "/reports",
            token().set("tenant", "other").set("level", 3),
            403,
            "claim-refused",
            "resources[0].claims.tenant",
        ),
        (
            "/of-users",
            token().set("tenant", json!(["acme"])).set("sub", "u"),
            403,
            "claim-refused",
            "resources[0].claims.tenant",
        ),
        ("/reports", token(), 403, "claim-refused", "resources[0].routes[0].claims.any"),
        (
            "/reports",
            token().set("level", 3).set("suspended", true),
            403,
            "claim-refused",
            "resources[0].routes[0].claims.any",
        ),
        (
            "/reports",
            token().set("level", 3).set("suspended", "true"),
            403,
            "claim-refused",
            "resources[0].routes[0].claims.any",
        ),
        ("/of-users", token(), 403, "subject-refused", "resources[0].routes[1].subject"),
        ("/from-here", token().set("ip", "192.0.2.1"), 401, "source-mismatch", "resources[0].routes[3].source_ip"),
        ("/from-here", token(), 401, "source-mismatch", "resources[0].routes[3].source_ip"),
        ("/forwarded/bob", token(), 403, "object-mismatch", "resources[0].routes[4].where.user"),
        ("/forwarded/alice", token(), 401, "authentication-insufficient", "resources[0].routes[4].step_up"),
    ] {
        // An address that the client writes itself is nobody's.
        let answer = alice.get(path).token(&token.sign()).header("x-forwarded-for", "192.0.2.1").send().await;
        refused(&bed, &answer, status, reason).await;
        let record = recorded(&bed, &answer).await;
        assert_eq!((&record["rule"], &record["reason"]), (&rule.into(), &reason.into()), "{record}");
    }
    for (path, token) in [
        ("/reports", token().set("roles", json!(["x", "auditor"]))),
        ("/reports", token().set("level", 3)),
        ("/of-users", token().set("sub", "somebody")),
        ("/from-here", token().set("ip", json!(["192.0.2.1", "127.0.0.1"]))),
        ("/forwarded/alice", token().set("auth_time", now() - 60)),
    ] {
        let before = bed.upstream.count();
        let answer = alice.get(path).token(&token.sign()).send().await;
        assert_eq!((answer.status, bed.upstream.count()), (200, before + 1), "{path} {}", answer.text());
    }
}

#[tokio::test]
async fn a_client_steps_up_by_the_challenge_and_comes_back_with_a_token_that_passes() {
    let bed = bed().await;
    for client in [bed.client("alice"), bed.client("alice").http2()] {
        let before = bed.upstream.count();
        let first = claims(&bed, &client).set("acr", "urn:example:password").set("auth_time", now() - 3600);
        let refused = client.get("/payments").token(&first.sign()).send().await;
        assert_eq!((refused.status, bed.upstream.count()), (401, before), "{}", refused.text());
        assert_eq!(bed.envoy.details(&refused).await, "boundgate:authentication-insufficient");
        let challenge = refused.header("www-authenticate").expect("a challenge");
        assert_eq!(
            challenge,
            "Bearer realm=\"api\", error=\"insufficient_user_authentication\", acr_values=\"urn:example:mfa\", max_age=\"300\", \
             error_description=\"A more recent or another authentication is required\""
        );
        // What a client of OpenID Connect would ask for, and get.
        let parameter = |name: &str| {
            let (_, rest) = challenge.split_once(&format!("{name}=\"")).expect("the parameter");
            rest.split('"').next().expect("its value").to_owned()
        };
        let acr = parameter("acr_values").split(' ').next().map(str::to_owned);
        let age: i64 = parameter("max_age").parse().expect("seconds");
        let second = claims(&bed, &client).set("acr", Value::from(acr)).set("auth_time", now() - age + 10);
        let passed = client.get("/payments").token(&second.sign()).send().await;
        assert_eq!((passed.status, bed.upstream.count()), (200, before + 1), "{}", passed.text());
    }
}

#[tokio::test]
async fn where_refusals_are_only_reported_every_rule_is_told_and_nobody_is_refused() {
    let bed = Testbed::start(with(|config| {
        config["mode"] = json!("report");
        config["resources"][0]["routes"] = json!([
            {"path": "/a", "claims": {"tenant": "acme"}},
            {"path": "/b", "subject": "user"},
            {"path": "/c", "step_up": {"max_age": "5m"}},
            {"path": "/d", "source_ip": "claim.ip"},
            {"path": "/e/{user}", "where": {"user": "sub"}}
        ]);
        config.as_object_mut().expect("a table").remove("limits");
    }))
    .await;
    let alice = bed.client("alice");
    let token = bed.authority.claims().bound_to(alice.identity().expect("a certificate")).sign();
    // Nobody waits for keys there.
    while recorded(&bed, &alice.get("/a").token(&token).send().await).await["reason"] == "keys-unavailable" {}
    let before = bed.upstream.count();
    for (number, (path, reason, rule)) in [
        ("/a", "claim-refused", "resources[0].routes[0].claims.tenant"),
        ("/b", "subject-refused", "resources[0].routes[1].subject"),
        ("/c", "authentication-insufficient", "resources[0].routes[2].step_up"),
        ("/d", "source-mismatch", "resources[0].routes[3].source_ip"),
        ("/e/bob", "object-mismatch", "resources[0].routes[4].where.user"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = alice.get(path).token(&token).send().await;
        assert_eq!((answer.status, bed.upstream.count()), (200, before + number + 1), "{path}");
        let record = recorded(&bed, &answer).await;
        assert_eq!(
            (&record["decision"], &record["reason"], &record["rule"]),
            (&"reported".into(), &reason.into(), &rule.into())
        );
    }
}
