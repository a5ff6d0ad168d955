//! Parameters that take escaped slashes: what is wrong with naming them.

use serde_json::json;

use super::{ROUTE, findings, good, policy, put, route, says};

#[test]
fn a_route_names_parameters_of_its_path_that_take_escaped_slashes() {
    let mut config = good();
    put(&mut config, &route("slash_in"), json!(["id"]));
    assert_eq!(findings(&config), Vec::<String>::new());
    assert!(policy(&config).unwrap().takes_slashes() && !policy(&good()).unwrap().takes_slashes());
}

#[test]
fn what_no_segment_of_the_path_is_cannot_take_escaped_slashes() {
    let at = "resources[0].routes[1].slash_in";
    says(
        &route("slash_in"),
        json!(["id", "project"]),
        &[&format!("{at}[1]: the path has no parameter {{project}}. It has id.")],
    );
    says(
        &route("slash_in"),
        json!(["**"]),
        &[&format!("{at}[0]: ** stands for several segments. Name a {{parameter}}, which stands for one.")],
    );
    says(
        &route("slash_in"),
        json!(["{id}"]),
        &[&format!(
            r#"{at}[0]: "{{id}}" is no name of a parameter. Write the name of a parameter, like "project" for {{project}}."#
        )],
    );
    says(
        &route("slash_in"),
        json!([]),
        &[&format!("{at}: an empty list, which allows nothing. Name parameters of the path, or remove the key.")],
    );
    says(
        ROUTE,
        json!({ "path": "/files/**", "slash_in": ["path"], "limits": ["per-client", "everyone"] }),
        &[
            r"resources[0].routes[1].slash_in[0]: the path has no parameter {path}. It has none. Write {name} for the segment with the identifier.",
        ],
    );
}
