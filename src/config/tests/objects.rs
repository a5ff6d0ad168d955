//! `where`: what names an object, and what is wrong with naming one.

use serde_json::json;

use super::{answers, good, put, route, says};

#[test]
fn a_route_ties_parameters_queries_and_headers_to_claims() {
    let mut config = good();
    let all =
        json!({ "id": ["sub", "claim.orders"], "query.account": "claim.accounts", "header.x-account": "client_id" });
    put(&mut config, &route("where"), all);
    assert_eq!(answers(&config), Vec::<String>::new());
}

#[test]
fn what_names_nothing_or_belongs_to_nobody_is_told() {
    let at = "resources[0].routes[1].where";
    for (written, told) in [
        (
            json!({ "user": "sub" }),
            format!(
                "{at}.user: the path has no parameter {{user}}. It has id. Write one of its parameters, query.<name> or header.<name>."
            ),
        ),
        (
            json!({}),
            format!("{at}: an empty table, so that every token would pass. Write what names an object, or remove it."),
        ),
        (json!({ "id": "claim.sub" }), format!("{at}.id: claim \"sub\" has a name of its own here. Write sub.")),
        (
            json!({ "id": "user" }),
            format!("{at}.id: \"user\" is unknown here. Known here: sub, client_id, claim.<name>."),
        ),
        (
            json!({ "id": "claim.jti" }),
            format!(
                "{at}.id: claim \"jti\" says nothing of whom the token is about. Write sub, client_id or another claim."
            ),
        ),
        (json!({ "id": [] }), format!("{at}.id: a list of 0. Write 1 to 16.")),
        (
            json!({ "query.filter[account]": "sub" }),
            format!(
                "{at}[\"query.filter[account]\"]: \"filter[account]\" is no name of a parameter that every server reads alike. Write one of letters, digits, _, - and . behind query."
            ),
        ),
        (
            json!({ "header.X-Account": "sub" }),
            format!(
                "{at}[\"header.X-Account\"]: \"X-Account\" is no name of a header. Write a name in lower case, like \"x-client-id\"."
            ),
        ),
    ] {
        says(&route("where"), written, &[&told]);
    }
    says(
        "/resources/0/routes/0/where",
        json!({ "query.a": "sub" }),
        &["resources[0].routes[0].where: means nothing on a public route. Remove it, or write access: token."],
    );
    says(
        "/resources/0/routes/2/where",
        json!({ "query.a": "sub" }),
        &[
            "resources[0].routes[2].where: is asked of tokens, and this route takes none. Remove it, or write access: token.",
        ],
    );
}
