//! What is said about a configuration that does not refuse everything that is wrong.

use serde_json::{Value, json};

use super::{policy, put, with};

/// The warnings about modes.
fn warnings(config: &Value) -> Vec<String> {
    let warnings = policy(config).unwrap().warnings();
    warnings.into_iter().filter(|warning| warning.contains("mode")).collect()
}

const ALL_THE_SAME: &str = "What still happens: CONNECT, TRACE and requests without one method, host and path are refused, \
                            headers that claim an identity or are set by forward.headers are taken from requests to a \
                            resource, a filter that fails answers 503, and the interlock stands";

#[test]
fn a_warning_says_what_is_not_refused_and_what_is_all_the_same() {
    assert_eq!(warnings(&with("/mode", json!("enforce"))), Vec::<String>::new());
    let mut config = with("/mode", json!("report"));
    let all = format!(
        "mode is report: nothing is refused for what is wrong with it, also where no resource lists the host. {ALL_THE_SAME}"
    );
    assert_eq!(warnings(&config), [all.as_str()]);
    put(
        &mut config,
        "/resources/1",
        json!({ "hosts": ["web.example.com"], "mode": "enforce", "routes": [{ "path": "/", "access": "public" }] }),
    );
    let beside = "mode is report, beside resources[1] with mode enforce: hosts that no resource lists pass unjudged, to the \
                  same service if the proxy's routes lead there";
    assert_eq!(warnings(&config), [all.as_str(), beside]);
    let one = format!(
        "mode is report in resources[0]: nothing is refused there for what is wrong with it; hosts that no resource lists \
         are refused. {ALL_THE_SAME}"
    );
    assert_eq!(warnings(&with("/resources/0/mode", json!("report"))), [one]);
}
