//! Whose objects a request may name (`where`): a reviewer's table of broken object level authorisation.

use boundgate_testbed::{Answer, Client, Testbed};
use serde_json::json;

use crate::expectations::{recorded, with};

/// Requests of somebody whose token is about user 17 and owns the accounts `7` and `a b`.
type Asked = (&'static str, &'static [(&'static str, &'static str)]);

const OTHERS: &[Asked] = &[
    ("/users/18", &[]),
    ("/users/%31%38", &[]),
    ("/users/18?user=17", &[]),
    ("/users/18?sub=17", &[("x-user", "17"), ("x-original-url", "/users/17")]),
    ("/users/017", &[]),
    ("/users/+17", &[]),
    ("/users/17.0", &[]),
    ("/users/17e0", &[]),
    ("/users/%D9%A1%D9%A7", &[]),
    ("/users/17.", &[]),
    ("/users/17%20", &[]),
    ("/users/17,18", &[]),
    ("/users/me", &[]),
    ("/clients/app-1", &[]),
    ("/clients/APP-1", &[]),
    ("/search", &[]),
    ("/search?account=", &[]),
    ("/search?account=8", &[]),
    ("/search?account=7&account=8", &[]),
    ("/search?account=8&account=7", &[]),
    ("/search?account=7;account=8", &[]),
    ("/search?account=7&Account=8", &[]),
    ("/search?account=7&account[]=8", &[]),
    ("/search?account=7&acc%6Funt=8", &[]),
    ("/search?account=%2537", &[]),
    ("/search?account=07", &[]),
    ("/search?account=a+b", &[]),
    ("/items", &[]),
    ("/items", &[("x-account", "8")]),
    ("/items", &[("x-account", "7, 8")]),
    ("/items", &[("x-account", "7"), ("x-account", "8")]),
];

const UNREADABLE: &[&str] = &[
    "/users/%2531%2537",
    "/users/17%00",
    "/users/17%2F",
    "/users/17;18",
    "/users/18/../17",
    "/users/18/%2e%2e/17",
    "/users/%2e%2e",
    "/users//17",
];

const OWN: &[Asked] = &[
    ("/users/17", &[]),
    ("/users/%31%37", &[]),
    ("/users/17?user=18", &[]),
    ("/clients/App-1", &[]),
    ("/clients/%41pp%2D1", &[]),
    ("/search?account=7&accounts=8", &[]),
    ("/search?account=a%20b", &[]),
    ("/items", &[("x-account", "7")]),
];

async fn send(client: &Client, (path, headers): &Asked, token: &str) -> Answer {
    let request = client.get(path).token(token);
    headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send().await
}

#[tokio::test]
async fn another_ones_object_is_out_of_reach_under_every_spelling_and_ones_own_within() {
    let bed = Testbed::start(with(|config| {
        config["resources"][0]["routes"] = json!([
            {"path": "/users/{user}", "where": {"user": "sub"}},
            {"path": "/clients/{client}", "where": {"client": "client_id"}},
            {"path": "/search", "where": {"query.account": "claim.accounts"}},
            {"path": "/items", "where": {"header.x-account": "claim.accounts"}}
        ]);
        config.as_object_mut().expect("a table").remove("limits");
    }))
    .await;
    let alice = bed.client("alice");
    let identity = alice.identity().expect("a certificate").clone();
    let claims = bed.authority.claims().set("sub", "17").set("client_id", "App-1").bound_to(&identity);
    let token = claims.set("accounts", json!(["7", "a b"])).sign();
    for asked in OTHERS {
        let answer = send(&alice, asked, &token).await;
        assert_eq!((answer.status, bed.upstream.count()), (403, 0), "{asked:?} {}", answer.text());
        let record = recorded(&bed, &answer).await;
        assert_eq!(record["reason"], "object-mismatch", "{asked:?}");
        assert!(record["rule"].as_str().is_some_and(|rule| rule.contains("].where")), "{record}");
    }
    for path in UNREADABLE {
        let answer = alice.get(path).token(&token).send().await;
        assert_eq!((answer.status, bed.upstream.count()), (400, 0), "{path}");
    }
    for asked in OWN {
        let before = bed.upstream.count();
        let answer = send(&alice, asked, &token).await;
        assert_eq!((answer.status, bed.upstream.count()), (200, before + 1), "{asked:?} {}", answer.text());
    }
    println!("{} refused, {} passed", OTHERS.len() + UNREADABLE.len(), OWN.len());
}
