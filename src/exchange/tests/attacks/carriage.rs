//! Where a token stands in a request: in one Authorization field, or nowhere.

use super::*;

const BARE: &str =
    "Bearer realm=\"api\", resource_metadata=\"https://api.example.com/.well-known/oauth-protected-resource\"";

/// The path and what is there besides, for whoever reads that a test failed.
fn told(request: &Request) -> String {
    let fields = request.head.iter().skip(2);
    fields.map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value))).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_token_in_any_other_place_is_none() {
    let mut trial = Trial::new(&config());
    let good = token().text();
    let order = || get("/orders/7").peer(ALICE);
    let bearer = format!("Bearer {good}");
    let elsewhere = [
        order(),
        get(&format!("/orders/7?access_token={good}")).peer(ALICE),
        get(&format!("/orders/7?a=b&access%5ftoken={good}")).peer(ALICE),
        order().header("cookie", &format!("access_token={good}; Authorization={good}")),
        order().header("proxy-authorization", &bearer),
        order().header("x-access-token", &good),
        order().header("x-authorization", &bearer),
        order().header("x-forwarded-authorization", &bearer),
        order().header("authorization-info", &bearer),
        order().header("sec-websocket-protocol", &format!("bearer, {good}")),
        order().header("content-type", "application/x-www-form-urlencoded").header("access_token", &good),
        order().header("authorization", &format!("Basic {good}")),
        order().header("authorization", &format!("DPoP {good}")),
        order().header("authorization", &format!("Token {good}")),
        order().header("authorization", &format!("Bearer2 {good}")),
        order().header("authorization", "Basic eDp5"),
        order().header("authorization", "Negotiate"),
        order().header("authorization", &good),
    ];
    let count = elsewhere.len() as u32;
    for request in elsewhere {
        let what = told(&request);
        let (reason, challenge) = trial.refused(&what, &request, 401);
        assert_eq!((reason, challenge.as_str()), (Reason::TokenMissing, BARE), "{what}");
    }
    for scheme in ["Bearer", "bearer", "BEARER", "bEARER", "Bearer  "] {
        trial.admits_request(scheme, &order().header("authorization", &format!("{scheme} {good}")));
    }
    trial.admits_request("beside a cookie", &bearing(&good).header("cookie", "access_token=x"));
    trial.sums("tokens in other places", (count, 6));
}

#[test]
fn more_credentials_than_one_are_an_invalid_request_and_none_of_them_counts() {
    let mut trial = Trial::new(&config());
    let good = token().text();
    let fields = |values: &[&str]| {
        values.iter().fold(get("/orders/7").peer(ALICE), |request, value| request.header("authorization", value))
    };
    let bearer = format!("Bearer {good}");
    let mut requests = Vec::new();
    for other in [bearer.as_str(), "Bearer x", "Basic eDp5", "DPoP x", ""] {
        requests.push(fields(&[&bearer, other]));
        requests.push(fields(&[other, &bearer]));
        requests.push(fields(&[&format!("{bearer}, {other}")]));
        requests.push(fields(&[&format!("{bearer},{other}")]));
        requests.push(fields(&[&format!("{other},{bearer}")]));
    }
    let mut query = get("/orders/7?access_token=x").peer(ALICE).header("authorization", &bearer);
    requests.push(query.clone());
    query.head[2].1 = b"/orders/7?a=b&%61ccess_token=x".to_vec();
    requests.push(query);
    for malformed in [
        format!("Bearer\t{good}"),
        format!("Bearer {good} x"),
        format!("Bearer {good};x=y"),
        format!("Bearer \"{good}\""),
        format!("Bearer: {good}"),
        format!("Bearer={good}"),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer \t".to_owned(),
    ] {
        requests.push(fields(&[&malformed]));
    }
    let count = requests.len() as u32;
    for request in &requests {
        let what = told(request);
        let (_, challenge) = trial.refused(&what, request, 400);
        assert!(challenge.contains("error=\"invalid_request\""), "{what}: {challenge}");
    }
    trial.admits("one", &good);
    trial.sums("several credentials", (count, 1));
}
