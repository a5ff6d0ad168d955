//! A host that says no: each call that Envoy may refuse is withheld in turn (`capability_restriction_config`). The filter
//! goes on without what it does not need and refuses where it cannot do its work; no panic takes the worker with it.

use boundgate_testbed::Testbed;
use serde_json::{Map, Value, json};
use wasmparser::{Parser, Payload};

use crate::expectations::{alices_token, refused, with};

/// Everything that the module and the host call each other by.
fn capabilities() -> Vec<String> {
    let bytes = std::fs::read(crate::module::MODULE).expect("`make build` makes it");
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.expect("a wasm module") {
            Payload::ImportSection(section) => {
                names.extend(section.into_imports().map(|import| import.expect("a wasm module").name.to_owned()));
            }
            Payload::ExportSection(section) => {
                names.extend(section.into_iter().map(|export| export.expect("a wasm module").name.to_owned()));
            }
            _ => {}
        }
    }
    names
}

/// A proxy that does not do what is `withheld`. Its upstream is told the client, so that headers are set and removed; a
/// client has one order at a time, so that what is not given back shows.
async fn without(withheld: &'static str) -> Testbed {
    let names = capabilities();
    assert!(names.iter().any(|name| name == withheld), "{withheld} is no call of the module");
    let allowed: Map<String, Value> =
        names.into_iter().filter(|name| name != withheld).map(|name| (name, json!({}))).collect();
    let forward = |config: &mut Value| {
        config["resources"][0]["forward"] = json!({"headers": {"x-client-id": "client_id"}});
        config["limits"]["at-once"] = json!({"key": ["client_id"], "in_flight": 1});
        config["resources"][0]["routes"][1]["limits"] = json!(["at-once"]);
    };
    let restrict = move |envoy: &mut Value| {
        let filters = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        filters["http_filters"][0]["typed_config"]["config"]["capability_restriction_config"] =
            json!({ "allowed_capabilities": allowed.clone() });
    };
    Testbed::start(with(forward).edit(restrict)).await
}

fn no_panic(bed: &Testbed, withheld: &str) {
    let log = bed.envoy.log();
    assert!(!log.contains("panicked") && !log.contains("unexpected status"), "{withheld}: {log}");
}

#[tokio::test]
async fn what_a_pass_rests_on_is_refused_where_the_proxy_does_not_do_it() {
    for withheld in [
        "proxy_set_property",
        "proxy_replace_header_map_value",
        "proxy_remove_header_map_value",
        "proxy_get_header_map_pairs",
    ] {
        let bed = without(withheld).await;
        let token = alices_token(&bed).await;
        for path in ["/orders/7", "/orders/8"] {
            let alice = bed.client("alice");
            let answer = alice.get(path).token(&token).header("client-cert", "mallory").send().await;
            refused(&bed, &answer, 503, "filter-unavailable").await;
            let line = bed.envoy.access_log_of(&answer).await;
            let recorded = r#"{"decision":"refused","reason":"filter-unavailable""#;
            // Where filter state is withheld there is no record either.
            let without = withheld == "proxy_set_property" && line["audit"].is_null();
            assert!(without || line["audit"].as_str().unwrap().starts_with(recorded), "{withheld}: {line}");
        }
        let decision = |name: &str| format!("wasmcustom.boundgate.requests.decision.{name}");
        bed.envoy.stat_reaches(&decision("refused.reason.filter-unavailable"), 2).await.unwrap();
        assert_eq!(bed.envoy.stat(&decision("forwarded.reason.none")).await, 0, "{withheld}");
        no_panic(&bed, withheld);
    }
}

#[tokio::test]
async fn what_no_pass_rests_on_may_be_withheld() {
    for withheld in [
        "proxy_log",
        "proxy_define_metric",
        "proxy_increment_metric",
        "proxy_set_tick_period_milliseconds",
        "proxy_add_header_map_value",
    ] {
        let bed = without(withheld).await;
        let token = alices_token(&bed).await;
        for path in ["/greedy", "/greedy"] {
            let answer = bed.client("alice").get(path).token(&token).send().await;
            assert_eq!(answer.status, 200, "{withheld}: {}", answer.text());
        }
        no_panic(&bed, withheld);
    }
}

#[tokio::test]
async fn without_clock_memory_or_connection_tokens_and_limits_are_refused() {
    for (withheld, status, reason) in [
        ("proxy_get_current_time_nanoseconds", 401, "token-expired"),
        ("proxy_get_property", 401, "certificate-missing"),
        ("proxy_set_shared_data", 429, "limit-contended"),
        ("proxy_http_call", 503, "keys-unavailable"),
        ("proxy_call_foreign_function", 503, "filter-unavailable"),
    ] {
        let bed = without(withheld).await;
        let token = alices_token(&bed).await;
        let answer = bed.client("alice").get("/greedy").token(&token).send().await;
        refused(&bed, &answer, status, reason).await;
        no_panic(&bed, withheld);
    }
}
