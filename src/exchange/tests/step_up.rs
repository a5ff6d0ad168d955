//! Routes that demand how the user behind a token signed in (RFC 9470).

use super::*;

const MFA: &str = "urn:example:mfa";

fn scene(rule: &Value) -> Scene {
    let mut config = config();
    config["resources"][0]["routes"][1]["step_up"] = rule.clone();
    Scene::new(&config)
}

/// Seconds since 1970.
fn now() -> u64 {
    at(0.0).wall.as_millis() / 1000
}

/// The challenge, or `None` for whom it passes.
fn challenged(rule: &Value, token: &Token) -> Option<String> {
    match scene(rule).run(&get("/orders/7").peer(ALICE).token(token)) {
        Verdict::Forward(_) => None,
        verdict => {
            let refusal = refused(verdict);
            assert_eq!((refusal.reason, refusal.reason.row().status), (Reason::AuthenticationInsufficient, 401));
            Some(header(&refusal, "www-authenticate").unwrap())
        }
    }
}

fn challenge(what: &str) -> Option<String> {
    let told = "error_description=\"A more recent or another authentication is required\"";
    Some(format!("Bearer realm=\"api\", error=\"insufficient_user_authentication\", {what}, {told}, {METADATA}"))
}

#[test]
fn the_challenge_says_what_to_ask_for_and_a_token_that_was_got_so_passes() {
    let rule = json!({"acr": [MFA, "gold"], "max_age": "5m"});
    let wanted = challenge("acr_values=\"urn:example:mfa gold\", max_age=\"300\"");
    assert_eq!(challenged(&rule, &token()), wanted);
    let strong = token().claim("acr", json!(MFA));
    assert_eq!(challenged(&rule, &strong), wanted);
    assert_eq!(challenged(&rule, &token().claim("auth_time", json!(now()))), wanted);
    assert_eq!(challenged(&rule, &strong.claim("auth_time", json!(now() - 10))), None);
    assert_eq!(challenged(&rule, &token().claim("acr", json!("gold")).claim("auth_time", json!(now()))), None);
}

#[test]
fn a_context_is_compared_exactly_and_nothing_else_passes_for_one() {
    let rule = json!({"acr": [MFA]});
    let wanted = challenge("acr_values=\"urn:example:mfa\"");
    for acr in
        [json!("urn:example:MFA"), json!("urn:example:mfa "), json!(""), json!([MFA]), json!(1), json!(true), json!({})]
    {
        assert_eq!(challenged(&rule, &token().claim("acr", acr.clone())), wanted, "{acr}");
    }
    assert_eq!(challenged(&rule, &token().claim("acr", json!(MFA))), None);
}

#[test]
fn an_authentication_is_recent_enough_within_the_leeway_of_the_issuer() {
    // The leeway is 30 seconds.
    let rule = json!({"max_age": "5m"});
    let wanted = challenge("max_age=\"300\"");
    for (auth_time, passes) in [
        (json!(now()), true),
        (json!(now() - 330), true),
        (json!(now() - 331), false),
        (json!(now() + 30), true),
        (json!(now() + 31), false),
        (json!(0), false),
        (json!(-1), false),
        (json!(now() * 1000), false),
        (json!(now().to_string()), false),
        (json!([now()]), false),
        (json!(true), false),
    ] {
        let expected = if passes { None } else { wanted.clone() };
        assert_eq!(challenged(&rule, &token().claim("auth_time", auth_time.clone())), expected, "{auth_time}");
    }
}

#[test]
fn an_authentication_grows_old_behind_a_token_that_passed() {
    let mut scene = scene(&json!({"max_age": "1m"}));
    let request = get("/orders/7").peer(ALICE).token(&token().claim("auth_time", json!(now())));
    forwarded(scene.run(&request));
    scene.seconds = 90.0;
    forwarded(scene.run(&request));
    scene.seconds = 91.0;
    assert_eq!(refused(scene.run(&request)).reason, Reason::AuthenticationInsufficient);
    // Where nothing is demanded it is as good as before.
    let token = token().claim("auth_time", json!(now()));
    forwarded(scene.run(&get("/limited").peer(ALICE).token(&token)));
}

#[test]
fn nobody_is_sent_to_sign_in_for_what_is_refused_anyway() {
    let mut config = config();
    config["resources"][0]["routes"][1]["step_up"] = json!({"max_age": "1m"});
    config["resources"][0]["routes"][1]["where"] = json!({"id": "sub"});
    let mut scene = Scene::new(&config);
    let token = token().claim("scope", json!("other"));
    assert_eq!(refused(scene.run(&get("/orders/7").peer(ALICE).token(&token))).reason, Reason::ScopeMissing);
    let token = super::token();
    assert_eq!(refused(scene.run(&get("/orders/7").peer(ALICE).token(&token))).reason, Reason::ObjectMismatch);
    let own = refused(scene.run(&get("/orders/alice").peer(ALICE).token(&token)));
    assert_eq!(own.reason, Reason::AuthenticationInsufficient);
    let rule = own.denying_rule().unwrap();
    assert_eq!((&*rule.path, rule.because), ("resources[0].routes[1].step_up", "the token has no auth_time"));
}
