//! What the bodies of a route may be.

use serde_json::json;

use super::{policy, route, says, with};

#[test]
fn types_and_length_of_a_body_are_read() {
    let config = with(&route("accepts"), json!(["Application/JSON", "image/*"]));
    let policy = policy(&config).unwrap();
    let routes = policy.resources[0].routes.iter();
    let accepts: Vec<String> = routes.flat_map(|route| route.body.accepts.iter().map(ToString::to_string)).collect();
    assert_eq!(accepts, ["application/json", "image/*"]);
    says(&route("max_body"), json!("10MiB"), &[]);
    says(&route("max_body"), json!(0), &[]);
}

#[test]
fn what_is_no_type_and_no_length_is_told() {
    says(
        &route("accepts"),
        json!(["json", "*/*", "text/html;charset=utf-8", "image/*", "IMAGE/*"]),
        &[
            r#"resources[0].routes[1].accepts[0]: "json" is no media type. Write one like "application/json" or "image/*"."#,
            "resources[0].routes[1].accepts[1]: takes every type. Remove the key accepts.",
            r#"resources[0].routes[1].accepts[2]: "text/html;charset=utf-8" is no media type. Leave the parameters out: they are not compared."#,
            r#"resources[0].routes[1].accepts[4]: "image/*" stands there twice. Remove one."#,
        ],
    );
    says(
        &route("accepts"),
        json!([]),
        &[
            "resources[0].routes[1].accepts: an empty list, so that no body could pass. Write media types, or max_body: 0 where no body is to come.",
        ],
    );
    says(
        &route("max_body"),
        json!("10MB"),
        &[r#"resources[0].routes[1].max_body: this is no size in range. Write one from "0" to "4294967295"."#],
    );
}
