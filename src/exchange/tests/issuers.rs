//! Tokens as the servers of the profiles write them, by their documentation and by tokens that their users published:
//! access tokens pass and mean the same under our names, and no other token of the same server passes for one.

use super::*;

/// The issuer of [`config`] with these keys, and all that is known of a caller forwarded.
fn issuer(keys: &Value) -> Value {
    let mut config = config();
    let issuer = config["issuers"]["main"].as_object_mut().unwrap();
    issuer.remove("max_lifetime");
    issuer.extend(keys.as_object().unwrap().clone());
    config["resources"][0]["forward"]["headers"] = json!({
        "x-client-id": "client_id", "x-sub": "sub", "x-scope": "scope", "x-tenant": "claim.tenant"
    });
    config["limits"]["per-tenant"] = json!({"key": ["claim.tenant"], "rate": "1/s", "burst": 2});
    config["resources"][0]["routes"][3]["limits"] = json!(["per-client", "per-tenant"]);
    config
}

/// Good by the clock, for our resource and bound, and else as it is given.
fn shaped(typ: Option<&str>, claims: Value, life: u64) -> Token {
    let issued = at(0.0).wall.as_millis() / 1000 - 10;
    let mut header = json!({"alg": "ES256", "kid": "k"});
    if let Some(typ) = typ {
        header["typ"] = json!(typ);
    }
    let mut all = json!({
        "iss": "https://as.example.com", "aud": "https://api.example.com", "iat": issued, "exp": issued + life,
        "cnf": {"x5t#S256": base64url::encode(&ALICE)}
    });
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    Token { header, claims: all, seed: 1 }
}

fn keycloak() -> Value {
    json!({
        "jti": "trrtcc:0d5b7e", "sub": "5b2ad1f0-8e4f-4f5b-9d7a-0d5a5f1c7c11", "typ": "Bearer", "azp": "partner-a", "acr": "1",
        "realm_access": {"roles": ["offline_access", "clerk of orders"]},
        "resource_access": {"account": {"roles": ["view-profile"]}},
        "scope": "profile read:orders email", "clientHost": "127.0.0.1", "preferred_username": "service-account-partner-a"
    })
}

fn entra() -> Value {
    json!({
        "nbf": at(0.0).wall.as_millis() / 1000 - 10, "aio": "E2RgYPBSdL", "azp": "6e74172b-be56-4843-9ff4-e66a39bb12e3",
        "azpacr": "2", "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474", "rh": "0.ARwA6Wg", "sub": "HKZpfaHyWadeOouYlitjrI",
        "tid": "72f988bf-86f1-41af-91ab-2d7cd011db47", "uti": "fqiBqXLPj0eQa82S-IYFAA", "ver": "2.0"
    })
}

fn okta() -> Value {
    json!({
        "ver": 1, "jti": "AT.MNAoEQ_jbKqoinrQo1D0XKjMX28U5d7ZszBceot7", "sub": "alice@example.com", "cid": "0oa1client",
        "uid": "00u1user", "scp": ["openid", "read:orders"], "auth_time": 1_688_145_909, "groups": ["Everyone", "Clerks"]
    })
}

fn auth0() -> Value {
    json!({
        "sub": "auth0|123456", "azp": "my_client_id", "scope": "openid profile read:orders", "gty": "password",
        "aud": ["https://api.example.com", "https://my-domain.auth0.com/userinfo"], "permissions": ["read:orders"]
    })
}

fn cognito() -> Value {
    json!({
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "cognito:groups": ["clerks"], "token_use": "access",
        "scope": "openid read:orders", "auth_time": 1_688_145_909, "client_id": "xxxxxxxxxxxxexample",
        "origin_jti": "aaa", "event_id": "bbb", "jti": "ccc", "version": 2, "username": "alice"
    })
}

/// `claims` with these instead; null removes.
fn but(mut claims: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// What the upstream is told, and the roles.
fn told(config: &Value, token: &Token) -> Vec<String> {
    let mut scene = Scene::new(config);
    let mut exchange = scene.exchange(&get("/orders/7").token(token));
    let Step::Done(verdict) = scene.poll(&mut exchange, Some(ALICE)) else { panic!("it waits") };
    let forward = forwarded(verdict);
    let told = forward.upstream().set.iter().map(|(name, value)| format!("{name}: {value}"));
    let facts = exchange.take_facts();
    let roles = facts.token.as_ref().and_then(|token| token.claims().claim("roles")?.as_array());
    let roles = roles.map(|roles| roles.iter().filter_map(|role| role.as_text()).collect::<Vec<_>>().join("|"));
    told.chain(roles.map(|roles| format!("roles: {roles}"))).collect()
}

/// Profile, `typ`, claims, life in seconds, and what is told.
type Case<'c> = (&'c str, Option<&'c str>, &'c Value, u64, &'c [&'c str]);

#[test]
fn tokens_of_each_server_pass_by_its_profile_and_are_known_by_our_names() {
    let (kc, en, ok, a0, co) = (keycloak(), entra(), okta(), auth0(), cognito());
    let client_alone = but(keycloak(), json!({"sub": null, "realm_access": null, "resource_access": null}));
    let application = but(entra(), json!({"roles": ["read:orders", "Tasks.Read"]}));
    let delegated = but(en, json!({"scp": "access_as_user read:orders"}));
    let by_rfc = but(a0.clone(), json!({"azp": null, "client_id": "my_client_id", "jti": "73WakrfVbNJBaAmhQtEeDv"}));
    let cases: &[Case<'_>] = &[
        (
            "keycloak",
            Some("JWT"),
            &kc,
            300,
            &[
                "x-client-id: partner-a",
                "x-scope: profile read:orders email",
                "x-sub: 5b2ad1f0-8e4f-4f5b-9d7a-0d5a5f1c7c11",
                "roles: offline_access|clerk of orders",
            ],
        ),
        (
            "keycloak",
            Some("at+jwt"),
            &client_alone,
            300,
            &["x-client-id: partner-a", "x-scope: profile read:orders email", "x-sub: partner-a"],
        ),
        (
            "entra",
            Some("JWT"),
            &application,
            5_700,
            &[
                "x-client-id: 6e74172b-be56-4843-9ff4-e66a39bb12e3",
                "x-scope: read:orders Tasks.Read",
                "x-sub: HKZpfaHyWadeOouYlitjrI",
                "x-tenant: 72f988bf-86f1-41af-91ab-2d7cd011db47",
                "roles: read:orders|Tasks.Read",
            ],
        ),
        (
            "entra",
            Some("JWT"),
            &delegated,
            3_899,
            &[
                "x-client-id: 6e74172b-be56-4843-9ff4-e66a39bb12e3",
                "x-scope: access_as_user read:orders",
                "x-sub: HKZpfaHyWadeOouYlitjrI",
                "x-tenant: 72f988bf-86f1-41af-91ab-2d7cd011db47",
            ],
        ),
        (
            "okta",
            None,
            &ok,
            3_600,
            &[
                "x-client-id: 0oa1client",
                "x-scope: openid read:orders",
                "x-sub: alice@example.com",
                "roles: Everyone|Clerks",
            ],
        ),
        (
            "auth0",
            Some("JWT"),
            &a0,
            86_400,
            &["x-client-id: my_client_id", "x-scope: openid profile read:orders", "x-sub: auth0|123456"],
        ),
        (
            "auth0",
            Some("at+jwt"),
            &by_rfc,
            86_400,
            &["x-client-id: my_client_id", "x-scope: openid profile read:orders", "x-sub: auth0|123456"],
        ),
        (
            "cognito",
            None,
            &co,
            3_600,
            &[
                "x-client-id: xxxxxxxxxxxxexample",
                "x-scope: openid read:orders",
                "x-sub: aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
                "roles: clerks",
            ],
        ),
    ];
    for (profile, typ, claims, life, expected) in cases {
        let config = issuer(&json!({"profile": profile}));
        let token = shaped(*typ, (*claims).clone(), *life);
        assert_eq!(told(&config, &token), *expected, "{profile} {typ:?}");
        if **claims != by_rfc {
            let refusal = refused(Scene::new(&issuer(&json!({}))).run(&get("/orders/7").peer(ALICE).token(&token)));
            let known = matches!(refusal.reason, Reason::TypUnacceptable | Reason::ClaimsMalformed);
            assert!(known, "{profile} is needed: {:?}", refusal.reason);
        }
    }
}

#[test]
fn no_other_token_of_a_server_passes_for_an_access_token() {
    let id =
        json!({"sub": "alice", "jti": "1", "name": "Alice", "email": "alice@example.com", "auth_time": 1_688_145_909});
    let of = |changes: Value| but(id.clone(), changes);
    let cases = [
        ("keycloak", Some("JWT"), but(keycloak(), json!({"typ": "ID", "at_hash": "fPls", "sid": "s"}))),
        ("keycloak", Some("JWT"), but(keycloak(), json!({"typ": "Refresh"}))),
        ("keycloak", Some("JWT"), but(keycloak(), json!({"typ": "Offline"}))),
        ("keycloak", Some("JWT"), but(keycloak(), json!({"typ": "Logout", "events": {}}))),
        ("keycloak", Some("JWT"), but(keycloak(), json!({"typ": ["Bearer"]}))),
        ("keycloak", Some("JWT"), but(keycloak(), json!({"typ": null}))),
        ("keycloak", Some("logout+jwt"), keycloak()),
        ("keycloak", None, keycloak()),
        ("entra", Some("JWT"), but(entra(), json!({"azp": null, "azpacr": null, "nonce": "12345"}))),
        // The code flow without a nonce: nothing but what is not there tells it apart.
        ("entra", Some("JWT"), but(entra(), json!({"azp": null, "azpacr": null, "roles": ["read:orders"]}))),
        ("entra", Some("JWT"), but(entra(), json!({"azpacr": null}))),
        ("entra", Some("JWT"), but(entra(), json!({"nonce": "12345"}))),
        ("okta", None, of(json!({"jti": "ID.radC", "ver": 1, "amr": ["pwd"], "idp": "00o", "at_hash": "fPls"}))),
        ("okta", None, of(json!({"jti": "ID.radC", "ver": 1, "amr": ["pwd"], "idp": "00o"}))),
        ("okta", None, but(okta(), json!({"nonce": "n"}))),
        ("okta", Some("JWT"), okta()),
        ("auth0", Some("JWT"), of(json!({"nonce": "n", "sid": "s"}))),
        ("auth0", Some("JWT"), of(json!({"azp": "my_client_id", "nonce": "n"}))),
        ("auth0", Some("JWT"), of(json!({"azp": "my_client_id", "at_hash": "fPls"}))),
        ("auth0", Some("JWT"), of(json!({"updated_at": "2026-01-01T00:00:00Z"}))),
        ("cognito", None, but(cognito(), json!({"token_use": "id", "client_id": null, "at_hash": "fPls"}))),
        ("cognito", None, but(cognito(), json!({"token_use": "id"}))),
        ("rfc9068", Some("JWT"), but(id.clone(), json!({"client_id": "c"}))),
        ("rfc9068", None, but(id.clone(), json!({"client_id": "c"}))),
    ];
    for (profile, typ, claims) in cases {
        let config = issuer(&json!({"profile": profile}));
        // Even for the right audience, bound, and signed by the right key.
        let token = shaped(typ, claims, 300);
        let refusal = refused(Scene::new(&config).run(&get("/orders/7").peer(ALICE).token(&token)));
        let kind = matches!(refusal.reason, Reason::TypUnacceptable | Reason::ClaimsMalformed);
        assert!(kind, "{profile}: {:?} {:?}", refusal.reason, token.claims);
    }
}

#[test]
fn two_issuers_of_one_resource_may_write_differently_and_share_a_budget_name() {
    let mut config = issuer(&json!({"claims": {"tenant": "https://example.com/tenant"}}));
    let mut other = config["issuers"]["main"].clone();
    other["issuer"] = json!("https://sso.example.com/realms/a");
    other["profile"] = json!("keycloak");
    other["claims"] = json!({"tenant": {"path": ["https://example.com/org", "tenant.id"]}});
    config["issuers"]["other"] = other;
    config["resources"][0]["issuers"] = json!(["main", "other"]);
    let one = token().claim("https://example.com/tenant", json!("t")).claim("tenant", json!("of the token"));
    let two = but(
        keycloak(),
        json!({"iss": "https://sso.example.com/realms/a", "https://example.com/org": {"tenant.id": "t"}}),
    );
    for token in [one, shaped(Some("JWT"), two, 300)] {
        assert!(told(&config, &token).contains(&"x-tenant: t".to_owned()));
        let mut scene = Scene::new(&config);
        for _ in 0..2 {
            forwarded(scene.run(&get("/limited").peer(ALICE).token(&token)));
        }
        assert_eq!(refused(scene.run(&get("/limited").peer(ALICE).token(&token))).reason, Reason::OverLimit);
    }
}

#[test]
fn a_remembered_token_is_read_anew_where_its_claims_are_said_to_stand_elsewhere() {
    let order = get("/orders/7").peer(ALICE).token(&token().claim("azp", json!("other")));
    let client =
        |forward: Forward| forward.upstream().set.iter().find(|(name, _)| name == "x-client-id").unwrap().1.clone();
    let mut scene = Scene::new(&issuer(&json!({})));
    assert_eq!(client(forwarded(scene.run(&order))), "alice");
    let changed = policy(&issuer(&json!({"claims": {"client_id": "azp"}})));
    let _draining = std::mem::replace(&mut scene.policy, changed);
    scene.worker.adopt(&scene.policy);
    assert_eq!(client(forwarded(scene.run(&order))), "other");
}

#[test]
fn what_may_be_missing_has_a_stand_in() {
    let issued = at(0.0).wall.as_millis() / 1000 - 10;
    let lacks = |claim: &str| token().claim(claim, Value::Null);
    let with = |keys: Value| issuer(&keys);
    let optional = with(json!({"optional_claims": ["client_id", "sub", "jti", "iat"], "max_lifetime": "10m"}));
    for claim in ["client_id", "sub", "jti", "iat"] {
        let token = lacks(claim);
        assert_eq!(told(&optional, &token), ["x-client-id: alice", "x-scope: read:orders", "x-sub: alice"], "{claim}");
        let strict = with(json!({"optional_claims": []}));
        let refusal = refused(Scene::new(&strict).run(&get("/orders/7").peer(ALICE).token(&token)));
        assert_eq!(refusal.reason, Reason::ClaimsMalformed, "{claim}");
    }
    let reason = |token: &Token| refused(Scene::new(&optional).run(&get("/orders/7").peer(ALICE).token(token))).reason;
    assert_eq!(reason(&lacks("sub").claim("client_id", Value::Null)), Reason::ClaimsMalformed, "nobody");
    assert_eq!(reason(&token().claim("client_id", json!(7))), Reason::ClaimsMalformed, "there, and of the wrong type");
    assert_eq!(reason(&lacks("iat").claim("exp", json!(issued + 10 + 631))), Reason::LifetimeTooLong);
    assert_eq!(reason(&lacks("iat").claim("nbf", json!(issued + 100))), Reason::TokenNotYetValid);
    assert!(!told(&optional, &lacks("iat").claim("exp", json!(issued + 10 + 630))).is_empty());
}

#[test]
fn a_token_for_nobody_in_particular_passes_only_where_that_danger_is_named() {
    let token = token().claim("aud", Value::Null);
    let run = |keys: Value, token: &Token| Scene::new(&issuer(&keys)).run(&get("/orders/7").peer(ALICE).token(token));
    assert_eq!(refused(run(json!({}), &token)).reason, Reason::ClaimsMalformed);
    let insecure = json!({"insecure_no_audience": true});
    forwarded(run(insecure.clone(), &token));
    assert_eq!(refused(run(json!({}), &token_for(&json!([])))).reason, Reason::ClaimsMalformed);
    forwarded(run(insecure.clone(), &token_for(&json!([]))));
    for (aud, reason) in
        [(json!("https://other.example.com"), Reason::AudienceMismatch), (json!(1), Reason::ClaimsMalformed)]
    {
        assert_eq!(refused(run(insecure.clone(), &token_for(&aud))).reason, reason, "{aud}");
    }
    let mut null = token_for(&json!("x"));
    null.claims["aud"] = Value::Null;
    assert_eq!(refused(run(insecure.clone(), &null)).reason, Reason::ClaimsMalformed);
    assert!(policy(&issuer(&insecure)).warnings().iter().any(|warning| warning.contains("insecure_no_audience")));
}

fn token_for(audience: &Value) -> Token {
    token().claim("aud", audience.clone())
}

#[test]
fn after_an_emergency_only_newer_tokens_pass_also_of_those_remembered() {
    let issued = at(0.0).wall.as_millis() / 1000 - 10;
    let new = token().claim("jti", json!("2")).claim("iat", json!(issued + 5));
    let order = |token: &Token| get("/orders/7").peer(ALICE).token(token);
    let mut scene = Scene::new(&issuer(&json!({"optional_claims": ["iat"]})));
    for token in [&token(), &new] {
        forwarded(scene.run(&order(token)));
    }
    let emergency = json!({"optional_claims": ["iat"], "not_issued_before": "2025-12-31T23:59:55Z"});
    let _draining = std::mem::replace(&mut scene.policy, policy(&issuer(&emergency)));
    scene.worker.adopt(&scene.policy);
    forwarded(scene.run(&order(&new)));
    assert_eq!(refused(scene.run(&order(&token()))).reason, Reason::IssuedTooEarly);
    let nobody_knows = token().claim("iat", Value::Null);
    assert_eq!(refused(scene.run(&order(&nobody_knows))).reason, Reason::IssuedTooEarly);
}

#[test]
fn dates_long_past_are_no_mistake_where_they_bound_from_below() {
    forwarded(get("/orders/7").peer(ALICE).token(&token().claim("nbf", json!(0))).run());
    for claim in ["iat", "exp"] {
        assert_eq!(
            reason(&get("/orders/7").peer(ALICE).token(&token().claim(claim, json!(0)))),
            Reason::ClaimsMalformed
        );
    }
}

#[test]
fn content_that_says_it_is_json_is_no_nested_token() {
    forwarded(get("/orders/7").peer(ALICE).token(&token().header("cty", json!("json"))).run());
    for (member, value) in [("cty", json!("JWT")), ("p2c", json!(1_000)), ("iv", json!("AAAA")), ("apu", json!("AAAA"))]
    {
        let token = token().header(member, value);
        assert_eq!(reason(&get("/orders/7").peer(ALICE).token(&token)), Reason::TokenMalformed, "{member}");
    }
}
