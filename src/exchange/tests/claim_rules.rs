//! What a route and its resource demand of the claims of a token.

use super::*;

/// Whether a token with `claims` passes a route with this rule: `Err` says why not.
fn judged(rule: &Value, claims: &Value) -> Result<(), &'static str> {
    let mut config = config();
    config["resources"][0]["routes"][1]["claims"] = rule.clone();
    let members = claims.as_object().unwrap().iter();
    let token = members.fold(token(), |token, (name, value)| match value {
        // Unlike a claim that is not there.
        Value::Null => Token { claims: with_null(token.claims, name), ..token },
        value => token.claim(name, value.clone()),
    });
    match Scene::new(&config).run(&get("/orders/7").peer(ALICE).token(&token)) {
        Verdict::Forward(_) => Ok(()),
        Verdict::Refuse(refusal) | Verdict::Report(refusal, _) => {
            assert_eq!(refusal.reason, Reason::ClaimRefused, "{rule} {claims}");
            Err(refusal.denying_rule().unwrap().because)
        }
    }
}

fn with_null(mut claims: Value, name: &str) -> Value {
    claims[name] = Value::Null;
    claims
}

const NO: Result<(), &str> = Err("the claims do not say so");
const ODD: Result<(), &str> = Err("a claim is of a type that the rule is not for");

#[test]
fn every_test_of_a_claim_takes_its_types_and_finds_others_odd() {
    let table = [
        (
            json!("acme"),
            vec![json!("acme")],
            vec![json!("Acme"), json!("acme "), json!(""), json!(7)],
            vec![json!(true), json!(["acme"]), json!({}), json!(7.5)],
        ),
        (
            json!(["a", "b", 7]),
            vec![json!("a"), json!("b"), json!("7"), json!(7)],
            vec![json!("c"), json!(8)],
            vec![json!(false), json!(["a"]), json!(7.0)],
        ),
        (json!(true), vec![json!(true)], vec![json!(false)], vec![json!("true"), json!(1), json!([true])]),
        (
            json!({"contains": "a"}),
            vec![json!(["x", "a"]), json!("x a"), json!("a")],
            vec![json!([]), json!(""), json!("aa"), json!(["x a", "A"]), json!([7])],
            vec![json!(true), json!(7), json!({"a": 1}), json!(["a", null]), json!([["a"]])],
        ),
        (
            json!({"contains": ["a b", 7]}),
            vec![json!(["a b"]), json!([7]), json!("6 7"), json!(["7"])],
            vec![json!("a b"), json!(["a", "b"])],
            vec![json!([7.0]), json!([true])],
        ),
        (
            json!({"min": 3}),
            vec![json!(3), json!(4), json!(3.5)],
            vec![json!(2), json!(2.9), json!(-4)],
            vec![json!("3"), json!(true), json!([3])],
        ),
        (
            json!({"min": -1, "max": 1}),
            vec![json!(-1), json!(0), json!(1), json!(0.5)],
            vec![json!(2), json!(-1.5), json!(1e300)],
            vec![json!("0")],
        ),
        (
            json!({"present": true}),
            vec![json!("x"), json!(0), json!([]), json!({}), json!(false), json!("")],
            vec![],
            vec![],
        ),
    ];
    for (test, passing, failing, odd) in table {
        let rule = json!({"c": test});
        for (values, expected, negated) in [(passing, Ok(()), NO), (failing, NO, Ok(())), (odd, ODD, ODD)] {
            for value in values {
                let claims = json!({"c": value});
                assert_eq!(judged(&rule, &claims), expected, "{rule} {claims}");
                assert_eq!(judged(&json!({"not": rule}), &claims), negated, "not {rule} {claims}");
            }
        }
        for claims in [json!({}), json!({"c": null})] {
            assert_eq!(judged(&rule, &claims), NO, "{rule} {claims}");
            assert_eq!(judged(&json!({"not": rule}), &claims), Ok(()), "not {rule} {claims}");
        }
    }
    assert_eq!(judged(&json!({"c": {"present": false}}), &json!({})), Ok(()));
    assert_eq!(judged(&json!({"c": {"present": false}}), &json!({"c": 1})), NO);
}

#[test]
fn all_any_and_not_go_together_two_levels_deep() {
    let rule = json!({
        "tenant": "acme",
        "any": [
            {"groups": {"contains": "admins"}},
            {"level": {"min": 3}, "not": {"suspended": true}},
            {"all": [{"groups": {"contains": "x"}}, {"groups": {"contains": "y"}}]}
        ]
    });
    for (claims, expected) in [
        (json!({"tenant": "acme", "groups": ["admins"]}), Ok(())),
        (json!({"tenant": "acme", "level": 3}), Ok(())),
        (json!({"tenant": "acme", "level": 3, "suspended": false}), Ok(())),
        (json!({"tenant": "acme", "groups": "x y"}), Ok(())),
        (json!({"tenant": "acme", "groups": "x"}), NO),
        (json!({"tenant": "acme", "level": 3, "suspended": true}), NO),
        (json!({"tenant": "other", "groups": ["admins"]}), NO),
        (json!({"groups": ["admins"]}), NO),
        // What fits does not outweigh what is odd, wherever it stands.
        (json!({"tenant": "acme", "groups": ["admins"], "level": "3"}), ODD),
        (json!({"tenant": "acme", "groups": ["admins"], "suspended": "no"}), ODD),
        (json!({"tenant": "acme", "level": 3, "groups": 7}), ODD),
    ] {
        assert_eq!(judged(&rule, &claims), expected, "{claims}");
    }
}

#[test]
fn claims_are_known_by_their_names_here_and_sub_and_client_id_by_what_stands_for_them() {
    let mut config = config();
    config["issuers"]["main"]["claims"] = json!({"client_id": "azp", "roles": {"path": ["realm_access", "roles"]}});
    config["resources"][0]["routes"][1]["claims"] = json!({"client_id": "app", "sub": ["alice", "bob"], "roles": {"contains": "clerk"}, "iss": "https://as.example.com"});
    let of_clerk = |roles: Value| token().claim("azp", json!("app")).claim("realm_access", json!({ "roles": roles }));
    let run = |token: Token| Scene::new(&config).run(&get("/orders/7").peer(ALICE).token(&token));
    forwarded(run(of_clerk(json!(["clerk", "x"]))));
    // A claim at the top that is called like one of ours is none.
    assert_eq!(refused(run(of_clerk(json!([])).claim("roles", json!(["clerk"])))).reason, Reason::ClaimRefused);
    assert_eq!(refused(run(of_clerk(json!(["clerk"])).claim("azp", json!("other")))).reason, Reason::ClaimRefused);
}

#[test]
fn rules_of_the_resource_hold_on_every_route_that_takes_tokens_and_the_record_names_the_rule_only() {
    let mut config = config();
    config["resources"][0]["claims"] = json!({"tenant": "acme"});
    config["resources"][0]["routes"][1]["claims"] = json!({"level": {"min": 3}});
    let mut scene = Scene::new(&config);
    let good = token().claim("tenant", json!("acme")).claim("level", json!(3));
    forwarded(scene.run(&get("/orders/7").peer(ALICE).token(&good)));
    forwarded(scene.run(&get("/healthz")));
    forwarded(scene.run(&get("/mesh").peer(ALICE)));
    for (path, token, rule) in [
        ("/orders/7", token().claim("tenant", json!("secretive")), "resources[0].claims.tenant"),
        ("/limited", token(), "resources[0].claims.tenant"),
        ("/orders/7", token().claim("tenant", json!("acme")), "resources[0].routes[1].claims.level"),
    ] {
        let request = get(path).peer(ALICE).token(&token);
        let mut exchange = scene.exchange(&request);
        let Step::Done(verdict) = scene.poll(&mut exchange, request.peer) else { panic!() };
        let record = crate::observe::audit_record(exchange.facts(), (&verdict).into());
        assert!(!record.contains("secretive") && !record.contains("acme"), "{record}");
        let record: Value = serde_json::from_str(&record).unwrap();
        assert_eq!((&record["reason"], &record["rule"]), (&"claim-refused".into(), &rule.into()));
        let answer = refused(verdict).answer(AnswerForm::Problem, TOLD, at(0.0).wall);
        let problem: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, &problem["detail"]), (403, &"The access token does not allow this request".into()));
    }
}

#[test]
fn a_token_that_was_verified_before_is_held_to_the_claims_of_each_route() {
    let mut config = config();
    config["resources"][0]["routes"][1]["claims"] = json!({"level": {"min": 3}});
    config["resources"][0]["mode"] = json!("report");
    let mut scene = Scene::new(&config);
    let low = token().claim("level", json!(2));
    forwarded(scene.run(&get("/limited").peer(ALICE).token(&low)));
    let Verdict::Report(refusal, _) = scene.run(&get("/orders/7").peer(ALICE).token(&low)) else { panic!() };
    assert_eq!(refusal.reason, Reason::ClaimRefused);
}
