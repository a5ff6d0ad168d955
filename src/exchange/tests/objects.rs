//! Whose objects a request may name: the table of a reviewer who looks for broken object level authorisation.

use super::*;

/// Of alice, whose token says `sub` 17 and owns the accounts 7 and `a b/ä`.
fn scene(where_: &Value) -> Scene {
    let mut config = config();
    let routes = config["resources"][0]["routes"].as_array_mut().unwrap();
    for (path, rule) in where_.as_object().unwrap() {
        routes.push(json!({"path": path, "where": rule, "slash_in": slashes(path)}));
    }
    for route in routes.iter_mut().filter(|route| route["slash_in"].is_null()) {
        route.as_object_mut().unwrap().remove("slash_in");
    }
    Scene::new(&config)
}

fn slashes(path: &str) -> Value {
    if path.starts_with("/files/") { json!(["file"]) } else { Value::Null }
}

fn rules() -> Value {
    json!({
        "/users/{user}": {"user": "sub"},
        "/users/{user}/notes/{note}": {"user": "sub"},
        "/clients/{client}/**": {"client": ["client_id", "claim.delegate"]},
        "/numbers/{number}": {"number": "claim.number"},
        "/files/{file}": {"file": "claim.accounts"},
        "/search": {"query.account": "claim.accounts"},
        "/items": {"header.x-account": "claim.accounts"},
        "/tenants/{tenant}/search": {"tenant": "claim.tenant", "query.account": "claim.accounts"}
    })
}

fn alice() -> Token {
    token()
        .claim("sub", json!("17"))
        .claim("client_id", json!("App-1"))
        .claim("number", json!(42))
        .claim("tenant", json!("Acme"))
        .claim("accounts", json!(["7", "a b/\u{e4}", 9]))
}

/// What a request is that alice may not make, and why.
const OTHERS: &[(&str, &[(&str, &str)])] = &[
    // Another's, a prefix of one's own, a longer one.
    ("/users/18", &[]),
    ("/users/1", &[]),
    ("/users/170", &[]),
    ("/users/18/notes/17", &[]),
    ("/users/%31%38", &[]),
    // Forms of a number that a lenient server reads as 17.
    ("/users/017", &[]),
    ("/users/+17", &[]),
    ("/users/-17", &[]),
    ("/users/17.0", &[]),
    ("/users/17e0", &[]),
    ("/users/0x11", &[]),
    ("/users/1_7", &[]),
    ("/users/17,18", &[]),
    ("/users/%D9%A1%D9%A7", &[]),
    ("/users/%EF%BC%91%EF%BC%97", &[]),
    // Signs around it.
    ("/users/17.", &[]),
    ("/users/17%20", &[]),
    ("/users/%2017", &[]),
    ("/users/17%C2%A0", &[]),
    ("/users/17%E2%80%8B", &[]),
    ("/users/17.json", &[]),
    ("/users/17:18", &[]),
    ("/users/17%3F", &[]),
    ("/users/17%23", &[]),
    ("/users/%2217%22", &[]),
    ("/users/*", &[]),
    ("/users/me", &[]),
    ("/users/null", &[]),
    // One's own elsewhere.
    ("/users/18?user=17", &[]),
    ("/users/18?sub=17", &[("x-user", "17")]),
    ("/numbers/17", &[]),
    // Case.
    ("/clients/app-1/x", &[]),
    ("/clients/APP-1/x", &[]),
    ("/clients/App-1%20/x", &[]),
    ("/files/A%20b%2F%C3%A4", &[]),
    // A number of the token has one spelling.
    ("/numbers/042", &[]),
    ("/numbers/42.0", &[]),
    ("/numbers/4.2e1", &[]),
    ("/numbers/+42", &[]),
    // Composed and decomposed letters are different names.
    ("/files/a%20b%2Fa%CC%88", &[]),
    ("/files/a+b%2F%C3%A4", &[]),
    // The query: none, another's, several, other spellings.
    ("/search", &[]),
    ("/search?", &[]),
    ("/search?account", &[]),
    ("/search?account=", &[]),
    ("/search?account=8", &[]),
    ("/search?account=7&account=8", &[]),
    ("/search?account=8&account=7", &[]),
    ("/search?account=7&account=7", &[]),
    ("/search?account=7,8", &[]),
    ("/search?account=7;account=8", &[]),
    ("/search?account=7&Account=8", &[]),
    ("/search?account=7&account[]=8", &[]),
    ("/search?account=7&account%5B%5D=8", &[]),
    ("/search?account=7&%61ccount=8", &[]),
    ("/search?%61ccount=7", &[]),
    ("/search?account=%2537", &[]),
    ("/search?account=7%00", &[]),
    ("/search?account=07", &[]),
    ("/search?account=7%20", &[]),
    ("/search?account=a+b%2F%C3%A4", &[]),
    ("/search?x=account=7", &[("account", "7")]),
    // The header, likewise.
    ("/items", &[]),
    ("/items?x-account=7", &[]),
    ("/items", &[("x-account", "")]),
    ("/items", &[("x-account", "8")]),
    ("/items", &[("x-account", "7, 8")]),
    ("/items", &[("x-account", "7"), ("x-account", "8")]),
    ("/items", &[("x-account", "7"), ("x-account", "7")]),
    ("/items", &[("x-account", "7"), ("x_account", "8")]),
    ("/items", &[("x_account", "7")]),
    ("/items", &[("x-account", "%37")]),
    // All ties must hold.
    ("/tenants/Acme/search?account=8", &[]),
    ("/tenants/acme/search?account=7", &[]),
    ("/tenants/Other/search?account=7", &[]),
];

/// Refused before anybody asks whose it is: no server is to read them at all.
const AMBIGUOUS: &[&str] = &[
    "/users/",
    "/users/%2531%2537",
    "/users/17%00",
    "/users/17%2F",
    "/users/17;18",
    "/users/18/../17",
    "/users/18/%2e%2e/17",
    "/users/%2e%2e",
    "/users//17",
    "/users/17%5C",
    "/users/17%",
    "/files/..%2F7",
];

/// What she may do.
const OWN: &[(&str, &[(&str, &str)])] = &[
    ("/users/17", &[]),
    ("/users/%317", &[]),
    ("/users/%31%37", &[]),
    ("/users/17?user=18", &[]),
    ("/users/17/notes/18", &[]),
    ("/clients/App-1/x", &[]),
    ("/clients/%41pp%2D1/x/y", &[]),
    ("/numbers/42", &[]),
    ("/files/7", &[]),
    ("/files/9", &[]),
    ("/files/a%20b%2F%C3%A4", &[]),
    ("/files/a%20b%2f%c3%a4", &[]),
    ("/search?account=7", &[]),
    ("/search?q=a+b&account=7", &[]),
    ("/search?account=%37&other=8", &[]),
    ("/search?account=9&accounts=8&my.account=8", &[]),
    ("/search?account=a%20b%2F%C3%A4", &[]),
    ("/items", &[("x-account", "7"), ("x-accounts", "8")]),
    ("/tenants/Acme/search?account=7", &[]),
];

fn ask(path: &str, headers: &[(&str, &str)], token: &Token) -> Request {
    let request = get(path).peer(ALICE).token(token);
    headers.iter().fold(request, |request, (name, value)| request.header(name, value))
}

#[test]
fn nobody_gets_at_another_ones_object_by_any_spelling_and_everybody_at_its_own() {
    let (mut scene, alice) = (scene(&rules()), alice());
    for (path, headers) in OTHERS {
        let refusal = refused(scene.run(&ask(path, headers, &alice)));
        assert_eq!(refusal.reason, Reason::ObjectMismatch, "{path} {headers:?}");
        assert!(refusal.denying_rule().is_some_and(|rule| rule.path.contains("].where")), "{path}");
    }
    for path in AMBIGUOUS {
        let reason = refused(scene.run(&ask(path, &[], &alice))).reason;
        assert!(matches!(reason, Reason::PathAmbiguous | Reason::RouteUnknown), "{path} {reason:?}");
    }
    for (path, headers) in OWN {
        forwarded(scene.run(&ask(path, headers, &alice)));
    }
    println!("{} refused, {} passed", OTHERS.len() + AMBIGUOUS.len(), OWN.len());
}

#[test]
fn a_claim_that_cannot_say_whose_an_object_is_refuses() {
    for (value, because) in [
        (Value::Null, "the token does not have the claim"),
        (json!([]), "it is another's"),
        (json!(""), "it is another's"),
        (json!(["8"]), "it is another's"),
        (json!(true), "a claim is no text, no whole number and no list of these"),
        (json!(7.0), "a claim is no text, no whole number and no list of these"),
        (json!(18_446_744_073_709_551_615_u64), "a claim is no text, no whole number and no list of these"),
        (json!({"7": true}), "a claim is no text, no whole number and no list of these"),
        (json!(["7", {"id": 7}]), "a claim is no text, no whole number and no list of these"),
        (json!(["7", null]), "a claim is no text, no whole number and no list of these"),
        (json!([["7"]]), "a claim is no text, no whole number and no list of these"),
    ] {
        let token = alice().claim("accounts", value.clone());
        let refusal = refused(scene(&rules()).run(&ask("/search?account=7", &[], &token)));
        assert_eq!(refusal.reason, Reason::ObjectMismatch, "{value}");
        assert_eq!(refusal.denying_rule().unwrap().because, because, "{value}");
    }
}

#[test]
fn one_of_several_owners_will_do_unless_another_cannot_be_read() {
    let path = "/clients/bob/x";
    forwarded(scene(&rules()).run(&ask(path, &[], &alice().claim("delegate", json!("bob")))));
    forwarded(scene(&rules()).run(&ask(path, &[], &alice().claim("delegate", json!(["carol", "bob"])))));
    for delegate in [json!("carol"), json!({"bob": 1})] {
        let token = alice().claim("delegate", delegate).claim("client_id", json!("bob"));
        match (token.claims["delegate"].is_object(), scene(&rules()).run(&ask(path, &[], &token))) {
            (true, verdict) => assert_eq!(refused(verdict).reason, Reason::ObjectMismatch),
            (false, verdict) => drop(forwarded(verdict)),
        }
    }
}

#[test]
fn a_caller_learns_neither_whether_the_object_exists_nor_which_rule_refuses_and_the_operator_does() {
    let mut scene = scene(&rules());
    let request = ask("/users/18", &[], &alice());
    let mut exchange = scene.exchange(&request);
    let Step::Done(verdict) = scene.poll(&mut exchange, request.peer) else { panic!() };
    let record = crate::observe::audit_record(exchange.facts(), (&verdict).into());
    let refusal = refused(verdict);
    let answer = refusal.answer(AnswerForm::Problem, TOLD, at(0.0).wall);
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, &problem["detail"]), (403, &"The access token does not allow this request".into()));
    assert_eq!(header(&refusal, "www-authenticate"), None);
    let record: Value = serde_json::from_str(&record).unwrap();
    assert!(record["rule"].as_str().unwrap().ends_with("].where.user"), "{record}");
    assert_eq!((&record["reason"], &record["because"]), (&"object-mismatch".into(), &"it is another's".into()));
}

#[test]
fn a_resource_that_only_reports_tells_of_anothers_object_and_refuses_nothing() {
    let mut config = config();
    config["resources"][0]["mode"] = json!("report");
    config["resources"][0]["routes"][1]["where"] = json!({"id": "sub"});
    let verdict = Scene::new(&config).run(&get("/orders/7").peer(ALICE).token(&token()));
    let Verdict::Report(refusal, _) = verdict else { panic!("{verdict:?}") };
    assert_eq!(refusal.reason, Reason::ObjectMismatch);
}
