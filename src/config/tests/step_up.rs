//! `step_up`: what is wrong with a demand of how users signed in.

use serde_json::json;

use super::{answers, good, put, route, says};

#[test]
fn a_demand_has_contexts_or_an_age_that_a_challenge_can_name() {
    let mut config = good();
    put(&mut config, &route("step_up"), json!({ "acr": ["urn:example:mfa", "2"], "max_age": "5m" }));
    assert_eq!(answers(&config), Vec::<String>::new());
    let at = "resources[0].routes[1].step_up";
    for (written, told) in [
        (
            json!({}),
            format!(
                "{at}: has neither acr nor max_age, so that every token would pass. Write one of both, or remove it."
            ),
        ),
        (
            json!({ "acr": [] }),
            format!("{at}.acr: an empty list, so that every token would pass. Write values of acr, or remove the key."),
        ),
        (
            json!({ "acr": ["a b"] }),
            format!(
                "{at}.acr[0]: \"a b\" is no value of acr that a challenge could name. Write each as an item of its own, in visible ASCII without \" and \\: it stands in the challenge."
            ),
        ),
        (
            json!({ "max_age": "0s" }),
            format!("{at}.max_age: \"0s\" is out of range. Write one from \"1s\" to \"30d\"."),
        ),
        (json!({ "acr": vec!["a"; 17] }), format!("{at}.acr: a list of 17. Write 16 at most.")),
    ] {
        says(&route("step_up"), written, &[&told]);
    }
    says(
        "/resources/0/routes/2/step_up",
        json!({ "max_age": "5m" }),
        &[
            "resources[0].routes[2].step_up: is asked of tokens, and this route takes none. Remove it, or write access: token.",
        ],
    );
}
