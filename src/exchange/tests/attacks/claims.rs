//! What a well-signed token says: audiences, issuers, kinds of token, scopes, bindings, and what goes upstream of it.

use super::*;

#[test]
fn an_audience_is_this_resource_to_the_letter() {
    let mut trial = Trial::new(&config());
    let ours = "https://api.example.com";
    for aud in [
        "https://other.example.com",
        "https://api.example.com/",
        "https://api.example.com/orders",
        "https://api.example.com.evil.example",
        "https://api.example.co",
        "https://api.example.com:443",
        "https://API.example.com",
        "HTTPS://api.example.com",
        "http://api.example.com",
        "api.example.com",
        "//api.example.com",
        "https://api.example.com#",
        "https://api.example.com?",
        "https://api%2Eexample.com",
        "https://x@api.example.com",
        " https://api.example.com",
        "https://api.example.com ",
        "https://api.example.com,https://other.example.com",
        "https://api.example.com https://other.example.com",
        "*",
        "https://*.example.com",
        "",
    ] {
        for value in [json!(aud), json!([aud])] {
            assert_eq!(trial.refuses(aud, &token().claim("aud", value).text()), Reason::AudienceMismatch, "{aud}");
        }
    }
    let too_many = vec![ours; 33];
    for value in [
        json!([]),
        json!([[ours]]),
        json!([ours, 1]),
        json!([ours, null]),
        json!(1),
        json!(true),
        json!({ ours: true }),
        json!([{ "aud": ours }]),
        json!(too_many),
    ] {
        let claims = token().claim("aud", value.clone()).text();
        assert_eq!(trial.refuses(&value.to_string(), &claims), Reason::ClaimsMalformed);
    }
    assert_eq!(trial.refuses("null", &with_claim("aud", Some("null"))), Reason::ClaimsMalformed);
    assert_eq!(trial.refuses("missing", &with_claim("aud", None)), Reason::ClaimsMalformed);
    for value in [json!(ours), json!([ours]), json!(["https://other.example.com", ours]), json!([ours, ours])] {
        trial.admits(&value.to_string(), &token().claim("aud", value.clone()).text());
    }
    trial.sums("audiences", (55, 4));
}

#[test]
fn an_issuer_is_the_configured_one_to_the_letter() {
    let mut trial = Trial::new(&config());
    for iss in [
        "https://as.example.com/",
        "https://as.example.com//",
        "https://AS.example.com",
        "HTTPS://as.example.com",
        "http://as.example.com",
        "https://as.example.com:443",
        "https://user@as.example.com",
        "https://as.example.com@evil.example",
        "https://as.example.com.evil.example",
        "https://as.example.com/realms/a",
        "https://as%2eexample.com",
        "https://as.example.com?",
        "https://as.example.com#",
        "as.example.com",
        " https://as.example.com",
        "https://as.example.com ",
        "https://evil.example",
        "main",
    ] {
        assert_eq!(trial.refuses(iss, &token().claim("iss", json!(iss)).text()), Reason::IssuerUntrusted, "{iss}");
    }
    for value in ["null", "1", "true", "{}", "[]", "[\"https://as.example.com\"]", "\"\""] {
        assert_eq!(trial.refuses(value, &with_claim("iss", Some(value))), Reason::ClaimsMalformed, "{value}");
    }
    assert_eq!(trial.refuses("missing", &with_claim("iss", None)), Reason::ClaimsMalformed);
    trial.admits("the configured one", &token().text());
    trial.admits("in escapes", &with_claim("iss", Some(r#""https:\/\/\u0061s.example.com""#)));
    trial.sums("issuers", (26, 2));
}

#[test]
fn no_other_kind_of_token_of_the_issuer_passes_for_an_access_token() {
    let mut trial = Trial::new(&config());
    for (kind, typ) in [
        ("an ID token", "JWT"),
        ("an ID token", "id_token"),
        ("an ID token", "id_token+jwt"),
        ("a refresh token", "rt+jwt"),
        ("a refresh token", "refresh+jwt"),
        ("a logout token", "logout+jwt"),
        ("a DPoP proof", "dpop+jwt"),
        ("a workload identity token", "wit+jwt"),
        ("a workload proof token", "wpt+jwt"),
        ("a transaction token", "txntoken+jwt"),
        ("a security event", "secevent+jwt"),
        ("a status list", "statuslist+jwt"),
        ("an introspection response", "token-introspection+jwt"),
        ("a request object", "oauth-authz-req+jwt"),
        ("a client assertion", "client-authentication+jwt"),
        ("an SD-JWT VC", "dc+sd-jwt"),
        ("an SD-JWT VC", "vc+sd-jwt"),
        ("a JARM response", "oauth-authz-resp+jwt"),
        ("an entity statement", "entity-statement+jwt"),
        ("a client attestation", "oauth-client-attestation+jwt"),
        ("a JWK set", "jwk-set+jwt"),
        ("JOSE", "JOSE"),
        ("a media type of another tree", "text/at+jwt"),
        ("a parameter", "application/at+jwt;v=1"),
        ("a space", "at+jwt "),
        ("no suffix", "at"),
        ("empty", ""),
    ] {
        let reason = trial.refuses(kind, &token().header("typ", json!(typ)).text());
        assert_eq!(reason, Reason::TypUnacceptable, "{typ}");
        if !typ.contains('/') {
            trial.refuses(kind, &token().header("typ", json!(format!("application/{typ}"))).text());
        }
    }
    let mut untyped = token();
    untyped.header.as_object_mut().unwrap().remove("typ");
    assert_eq!(trial.refuses("no typ", &untyped.text()), Reason::TypUnacceptable);
    for typ in [json!(null), json!(1), json!(["at+jwt"])] {
        assert_eq!(trial.refuses("no text", &token().header("typ", typ).text()), Reason::TokenMalformed);
    }
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        trial.admits(typ, &token().header("typ", json!(typ)).text());
    }
    trial.sums("kinds of tokens", (56, 3));
}

#[test]
fn a_scope_is_one_whole_word_between_spaces() {
    let mut trial = Trial::new(&config());
    let order = |scope: &str| get("/orders/7").peer(ALICE).token(&token().claim("scope", json!(scope)));
    for scope in [
        "",
        "read",
        "read:order",
        "read:orders:all",
        "read:orders2",
        "xread:orders",
        "READ:ORDERS",
        "Read:orders",
        "read: orders",
        "read:orders\t",
        "write\tread:orders",
        "write\nread:orders",
        "write\u{a0}read:orders",
        "write,read:orders",
        "write+read:orders",
        "write%20read:orders",
        "read:*",
        "*",
        "admin",
        "openid profile",
    ] {
        let (reason, challenge) = trial.refused(scope, &order(scope), 403);
        assert_eq!(reason, Reason::ScopeMissing, "{scope}");
        assert!(challenge.contains("error=\"insufficient_scope\", scope=\"read:orders\""), "{challenge}");
    }
    let (reason, _) = trial.refused("none", &bearing(&with_claim("scope", None)), 403);
    assert_eq!(reason, Reason::ScopeMissing);
    for value in ["[\"read:orders\"]", "[\"read:orders\",\"x\"]", "null", "1", "true", "{\"read:orders\":true}"] {
        assert_eq!(trial.refuses(value, &with_claim("scope", Some(value))), Reason::ClaimsMalformed, "{value}");
    }
    for scope in ["read:orders", "read:orders read:orders", "admin read:orders", " read:orders ", "a  read:orders  b"] {
        trial.admits_request(scope, &order(scope));
    }
    // An escape is another spelling of the same text: this is a space, and so are two scopes.
    trial.admits("an escaped space", &with_claim("scope", Some(r#""read:orders\u0020admin""#)));
    trial.sums("scopes", (27, 6));
}

#[test]
fn a_client_that_calls_its_user_by_anothers_name_is_still_itself() {
    let mut trial = Trial::new(&config());
    let limited = |token: &Token| get("/limited").peer(ALICE).token(token);
    // A client's own token, whose subject is the name of another client.
    let posing = token().claim("client_id", json!("mallory")).claim("sub", json!("alice"));
    for _ in 0..2 {
        let forward = forwarded(trial.scene.run(&limited(&posing)));
        assert_eq!(forward.upstream().set, [("x-client-id".to_owned(), "mallory".to_owned())]);
        trial.admitted += 1;
    }
    assert_eq!(trial.refused("a third", &limited(&posing), 429).0, Reason::OverLimit);
    // Alice's budget is whole.
    for _ in 0..2 {
        trial.admits_request("alice", &limited(&token()));
    }
    trial.sums("clients that pose as others", (1, 4));
}

#[test]
fn a_confirmation_that_is_not_understood_turns_no_token_into_a_bearer_token() {
    let thumbprint = base64url::encode(&ALICE);
    let hex: String = ALICE.iter().map(|byte| format!("{byte:02x}")).collect();
    let own = |value: &str| format!("{{\"x5t#S256\":{value}}}");
    let of_text = |text: &str| own(&json!(text).to_string());
    let tail = format!("{}F", &thumbprint[..42]);
    assert_ne!(tail, thumbprint);
    let mut trial = Trial::new(&config());
    for cnf in [
        "null".to_owned(),
        "\"\"".to_owned(),
        json!(thumbprint).to_string(),
        "true".to_owned(),
        "1".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        format!("[{}]", of_text(&thumbprint)),
        r#"{"foo":"x"}"#.to_owned(),
        r#"{"kid":"x"}"#.to_owned(),
        json!({"jwk": jwk("k", 1)}).to_string(),
        json!({"jkt": thumbprint}).to_string(),
        json!({"x5t": base64url::encode(&[7; 20])}).to_string(),
        json!({"x5t#S384": base64url::encode(&[7; 48])}).to_string(),
        json!({"x5t#s256": thumbprint}).to_string(),
        json!({"x5t#S256": thumbprint, "jkt": thumbprint}).to_string(),
        own("null"),
        own("1"),
        own(&json!([thumbprint]).to_string()),
        of_text(""),
        of_text(&format!("{thumbprint}=")),
        of_text(&format!("{thumbprint}A")),
        of_text(&thumbprint[..42]),
        of_text(&tail),
        of_text(&hex),
        of_text(&format!("{thumbprint}\n")),
        of_text(&thumbprint.replacen(&thumbprint[..1], "+", 1)),
    ] {
        let claims = adding(
            &token().claim("cnf", Value::Null).claim("scope", json!("read:orders a")).claims.to_string(),
            &format!("\"cnf\":{cnf}"),
        );
        let text = signed(good_header().as_bytes(), claims.as_bytes());
        // Also where bearer tokens pass.
        for path in ["/orders/7", "/plain"] {
            let request = get(path).peer(ALICE).header("authorization", &format!("Bearer {text}"));
            assert_eq!(trial.refuses_request(&cnf, &request), Reason::ConfirmationUnusable, "{cnf}");
        }
    }
    let known = format!(r#"{{"x5t#S256":"{thumbprint}","foo":1,"kid":"x"}}"#);
    trial.admits("a known method beside unknown ones", &with_claim("cnf", Some(&known)));
    let bob =
        get("/orders/7").peer(BOB).header("authorization", &format!("Bearer {}", with_claim("cnf", Some(&known))));
    assert_eq!(trial.refuses_request("of another", &bob), Reason::BindingMismatch);
    trial.sums("confirmations", (55, 1));
}

#[test]
fn an_actor_and_what_it_may_do_grant_nothing() {
    let mut trial = Trial::new(&config());
    for act in [
        json!({"sub": "admin", "scope": "read:orders", "client_id": "admin"}),
        json!({"sub": "a", "act": {"sub": "admin", "scope": "read:orders", "aud": "https://api.example.com"}}),
        json!("admin"),
        json!(["admin"]),
    ] {
        for member in ["act", "may_act"] {
            let acting = |scope: &str| token().claim(member, act.clone()).claim("scope", json!(scope));
            let (reason, _) = trial.refused("", &get("/orders/7").peer(ALICE).token(&acting("other")), 403);
            assert_eq!(reason, Reason::ScopeMissing);
            let forward = forwarded(trial.scene.run(&get("/orders/7").peer(ALICE).token(&acting("read:orders"))));
            assert_eq!(forward.upstream().set, [("x-client-id".to_owned(), "alice".to_owned())]);
            trial.admitted += 1;
        }
    }
    trial.sums("actors", (8, 8));
}

#[test]
fn an_access_token_is_for_many_requests() {
    let mut trial = Trial::new(&config());
    let (one, two) = (token().text(), token().claim("sub", json!("bob")).text());
    for _ in 0..3 {
        trial.admits("the same token", &one);
        trial.admits("another with the same jti", &two);
    }
    trial.sums("repeated jti", (0, 6));
}

#[test]
fn a_token_without_the_tenant_that_is_demanded_is_refused() {
    let mut config = config();
    config["issuers"]["main"]["required_claims"] = json!({"tid": ["t1", "t2"]});
    let mut trial = Trial::new(&config);
    for tenant in [json!("t3"), json!("T1"), json!("t1 "), json!(""), json!(["t1"]), json!({"t1": true}), json!(1)] {
        let reason = trial.refuses(&tenant.to_string(), &token().claim("tid", tenant.clone()).text());
        assert_eq!(reason, Reason::TypUnacceptable);
    }
    trial.refuses("null", &with_claim("tid", Some("null")));
    trial.refuses("missing", &token().text());
    trial.refuses("elsewhere", &with_member(r#""tenant":"t1""#));
    trial.refuses("deeper", &with_member(r#""claims":{"tid":"t1"}"#));
    for tenant in ["t1", "t2"] {
        trial.admits(tenant, &token().claim("tid", json!(tenant)).text());
    }
    trial.sums("tenants", (11, 2));
}

#[test]
fn a_claim_never_splits_a_header() {
    let mut trial = Trial::new(&config());
    for client in [
        "a\r\nx-admin: true",
        "a\nx-admin: true",
        "a\rx",
        "a\tb",
        "a\u{7f}",
        "a\u{85}b",
        "a\u{2028}b",
        "caf\u{e9}",
        " a",
        "a ",
        "\u{1}",
        &"x".repeat(8 * 1024 + 1),
    ] {
        let token = token().claim("client_id", json!(client)).text();
        assert_eq!(trial.refuses(client, &token), Reason::ClaimUnforwardable);
    }
    assert_eq!(trial.refuses("NUL", &token().claim("client_id", json!("a\0b")).text()), Reason::TokenMalformed);
    for client in ["a b", "a,b;c=\"d\"", "https://client.example/~a?b=c&d", &"x".repeat(8 * 1024)] {
        let forward =
            forwarded(trial.scene.run(&get("/orders/7").peer(ALICE).token(&token().claim("client_id", json!(client)))));
        assert_eq!(forward.upstream().set, [("x-client-id".to_owned(), client.to_owned())]);
        trial.admitted += 1;
    }
    trial.sums("claims in headers", (13, 4));
}
