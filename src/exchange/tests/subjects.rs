//! Routes for users and routes for clients themselves, as each authorization server tells them apart.

use super::*;

/// Who passes a route for users and one for clients, by what the issuer is told to be and what the token says.
fn passes(issuer: &Value, claims: &Value) -> (bool, bool) {
    let mut config = config();
    for (key, value) in issuer.as_object().unwrap() {
        config["issuers"]["main"][key] = value.clone();
    }
    config["resources"][0]["routes"] =
        json!([{"path": "/of-users", "subject": "user"}, {"path": "/of-clients", "subject": "client"}]);
    config.as_object_mut().unwrap().remove("limits");
    let typ = if issuer["profile"] == "okta" || issuer["profile"] == "cognito" { Value::Null } else { json!("JWT") };
    let plain =
        if issuer["profile"].is_null() { token() } else { token().claim("client_id", Value::Null).header("typ", typ) };
    let token = claims.as_object().unwrap().iter().fold(plain, |token, (name, value)| token.claim(name, value.clone()));
    let token = without_null(token);
    let passes = |path: &str| match Scene::new(&config).run(&get(path).peer(ALICE).token(&token)) {
        Verdict::Forward(_) => true,
        Verdict::Refuse(refusal) | Verdict::Report(refusal, _) => {
            assert_eq!(refusal.reason, Reason::SubjectRefused, "{issuer} {claims}");
            false
        }
    };
    (passes("/of-users"), passes("/of-clients"))
}

fn without_null(mut token: Token) -> Token {
    if token.header["typ"].is_null() {
        token.header.as_object_mut().unwrap().remove("typ");
    }
    token
}

const USER: (bool, bool) = (true, false);
const CLIENT: (bool, bool) = (false, true);
const NOBODY: (bool, bool) = (false, false);

#[test]
fn each_server_tells_tokens_of_users_from_those_of_clients_and_what_cannot_be_told_passes_neither() {
    let profile = |name: &str| json!({ "profile": name, "max_lifetime": "15m" });
    let rfc9068 = json!({});
    let keycloak = profile("keycloak");
    let entra = profile("entra");
    let okta = profile("okta");
    let auth0 = profile("auth0");
    let cognito = profile("cognito");
    for (issuer, claims, expected) in [
        (&rfc9068, json!({"sub": "u-1", "client_id": "app"}), USER),
        (&rfc9068, json!({"sub": "app", "client_id": "app"}), CLIENT),
        // As a real Keycloak 26.7 writes them.
        (
            &keycloak,
            json!({"typ": "Bearer", "azp": "app", "sub": "f5fc07a2", "client_id": "app", "preferred_username": "service-account-app"}),
            CLIENT,
        ),
        (
            &keycloak,
            json!({"typ": "Bearer", "azp": "app", "sub": "99c84a83", "sid": "jA8W", "preferred_username": "carol"}),
            USER,
        ),
        (&keycloak, json!({"typ": "Bearer", "azp": "app", "sid": "mL5O", "sub": null}), USER),
        (&keycloak, json!({"typ": "Bearer", "azp": "app", "sub": "fd213802"}), NOBODY),
        // A user who calls himself like a service account; a mapper that writes client_id everywhere.
        (
            &keycloak,
            json!({"typ": "Bearer", "azp": "app", "sub": "u", "sid": "x", "preferred_username": "service-account-app"}),
            USER,
        ),
        (&keycloak, json!({"typ": "Bearer", "azp": "app", "sub": "u", "sid": "x", "client_id": "app"}), NOBODY),
        (&keycloak, json!({"typ": "Bearer", "azp": "app", "sub": "u", "client_id": "other"}), NOBODY),
        (&entra, json!({"azp": "app", "azpacr": "1", "sub": "u", "scp": "read", "idtyp": "user"}), USER),
        (&entra, json!({"azp": "app", "azpacr": "1", "sub": "u", "scp": "read"}), USER),
        (&entra, json!({"azp": "app", "azpacr": "1", "sub": "o", "roles": ["r"], "idtyp": "app"}), CLIENT),
        (&entra, json!({"azp": "app", "azpacr": "1", "sub": "o", "roles": ["r"]}), NOBODY),
        (&entra, json!({"azp": "app", "azpacr": "1", "sub": "o", "scp": "read", "idtyp": "app"}), NOBODY),
        (&okta, json!({"cid": "app", "sub": "carol@example.com", "uid": "00u1"}), USER),
        (&okta, json!({"cid": "app", "sub": "app"}), CLIENT),
        (&okta, json!({"cid": "app", "sub": "carol@example.com"}), NOBODY),
        (&auth0, json!({"azp": "app", "sub": "auth0|123456"}), USER),
        (&auth0, json!({"azp": "app", "sub": "app@clients", "gty": "client-credentials"}), CLIENT),
        (&auth0, json!({"client_id": "app", "sub": "app@clients"}), CLIENT),
        (&cognito, json!({"token_use": "access", "client_id": "app", "sub": "u", "username": "carol"}), USER),
        (&cognito, json!({"token_use": "access", "client_id": "app", "sub": "app"}), CLIENT),
        (&cognito, json!({"token_use": "access", "client_id": "app", "sub": "u"}), NOBODY),
    ] {
        assert_eq!(passes(issuer, &claims), expected, "{issuer} {claims}");
    }
}

#[test]
fn what_stands_in_for_a_missing_claim_tells_nothing() {
    let lenient = json!({"optional_claims": ["sub", "client_id"]});
    assert_eq!(passes(&lenient, &json!({"sub": null, "client_id": "app"})), NOBODY);
    assert_eq!(passes(&lenient, &json!({"sub": "u", "client_id": null})), NOBODY);
    assert_eq!(passes(&lenient, &json!({"sub": "u", "client_id": "app"})), USER);
}

#[test]
fn an_issuer_says_by_which_claims_it_tells_them() {
    let own = json!({"client_tokens": {"kind": "m2m", "sub": "svc:{client_id}"}, "user_tokens": {"kind": ["person", "admin"]}});
    for (claims, expected) in [
        (json!({"kind": "person", "sub": "u"}), USER),
        (json!({"kind": "m2m", "sub": "svc:alice"}), CLIENT),
        (json!({"kind": "m2m", "sub": "svc:other"}), NOBODY),
        (json!({"kind": "m2m", "sub": "alice"}), NOBODY),
        (json!({"kind": ["person"], "sub": "u"}), NOBODY),
        (json!({"sub": "u"}), NOBODY),
    ] {
        assert_eq!(passes(&own, &claims), expected, "{claims}");
    }
}

#[test]
fn a_route_says_in_the_record_whom_it_is_for_and_why_it_refuses() {
    let mut config = config();
    config["resources"][0]["routes"][1]["subject"] = json!("user");
    let request = get("/orders/7").peer(ALICE).token(&token().claim("scope", json!("")));
    let mut scene = Scene::new(&config);
    let mut exchange = scene.exchange(&request);
    let Step::Done(verdict) = scene.poll(&mut exchange, request.peer) else { panic!() };
    let record: Value =
        serde_json::from_str(&crate::observe::audit_record(exchange.facts(), (&verdict).into())).unwrap();
    assert_eq!(
        (&record["reason"], &record["because"]),
        (&"subject-refused".into(), &"the token is the client's own".into())
    );
    assert_eq!(record["rule"], "resources[0].routes[1].subject");
    assert_eq!(refused(verdict).answer(AnswerForm::Problem, TOLD, at(0.0).wall).status, 403);
}
