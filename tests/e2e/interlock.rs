//! The interlock: where Envoy leaves the filter out, nothing passes. The hole is forced by a module that starts on the
//! main thread and fails in the worker.

use boundgate_testbed::{EnvoyConfig, PluginConfig, Testbed};
use serde_json::json;

use crate::expectations::{alices_token, config, recorded};

/// A second filter and interlock behind the first, each pair with a mark if it has a name. The second filter is `module`.
fn twice(names: [Option<&'static str>; 2], module: Option<std::path::PathBuf>) -> EnvoyConfig {
    let with_mark = |name: Option<&'static str>| {
        let mut config = config();
        if let Some(name) = name {
            config["mark"] = json!(name);
        }
        config
    };
    let second = with_mark(names[1]);
    EnvoyConfig::new(with_mark(names[0])).edit(move |envoy| {
        let manager = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        let filters = manager["http_filters"].as_array_mut().unwrap();
        let (mut filter, mut interlock) = (filters[0].clone(), filters[1].clone());
        (filter["name"], interlock["name"]) = (json!("second"), json!("second-interlock"));
        let wasm = &mut filter["typed_config"]["config"];
        (wasm["name"], wasm["root_id"]) = (json!("second"), json!("second"));
        wasm["configuration"]["value"] = json!(second.to_string());
        if let Some(module) = &module {
            wasm["failure_policy"] = json!("FAIL_CLOSED");
            wasm.as_object_mut().unwrap().remove("reload_config");
            wasm["vm_config"]["vm_id"] = json!("hole");
            wasm["vm_config"]["code"]["local"]["filename"] = json!(module);
        }
        let ask = |interlock: &mut serde_json::Value, name: Option<&str>| {
            let key = name.map_or("wasm.boundgate".to_owned(), |name| format!("wasm.boundgate_{name}"));
            let passed = &mut interlock["typed_config"]["rules"]["policies"]["passed"];
            passed["principals"][0]["filter_state"]["key"] = json!(key);
        };
        ask(&mut interlock, names[1]);
        ask(&mut filters[1], names[0]);
        filters.splice(2..2, [filter, interlock]);
    })
}

#[tokio::test]
async fn each_filter_of_a_chain_has_a_mark_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let hole = hole_module(folder.path());
    let one_mark = Testbed::start(twice([None, None], Some(hole.clone()))).await;
    assert_eq!(one_mark.anonymous().get("/healthz").send().await.status, 200, "the first one's mark serves the second");

    let two_marks = Testbed::start(twice([Some("edge"), Some("inner")], Some(hole))).await;
    assert_eq!(two_marks.anonymous().get("/healthz").send().await.status, 403);
    assert_eq!(two_marks.upstream.count(), 0);

    let both = Testbed::start(twice([Some("edge"), None], None)).await;
    let token = alices_token(&both).await;
    assert_eq!(both.client("alice").get("/orders/7").token(&token).send().await.status, 200);
    assert_eq!(both.client("bob").get("/orders/7").token(&token).send().await.status, 401);
    assert_eq!(both.upstream.count(), 1);
}

/// `fixtures/hole.wat` in the place of the filter.
fn hole(folder: &std::path::Path) -> EnvoyConfig {
    EnvoyConfig::new(PluginConfig::Text(String::from("{}"))).module(hole_module(folder)).failure_policy("FAIL_CLOSED")
}

fn hole_module(folder: &std::path::Path) -> std::path::PathBuf {
    let module = folder.join("hole.wasm");
    std::fs::write(&module, wat::parse_str(include_str!("fixtures/hole.wat")).unwrap()).unwrap();
    module
}

/// The interlock asks for a mark that nobody sets.
fn misspelt(envoy: &mut serde_json::Value) {
    let manager = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let passed = &mut manager["http_filters"][1]["typed_config"]["rules"]["policies"]["passed"];
    passed["principals"][0]["filter_state"]["key"] = json!("boundgate");
}

#[tokio::test]
async fn the_record_of_what_the_interlock_refused_says_so_and_not_that_it_was_forwarded() {
    let bed = Testbed::start(EnvoyConfig::new(config()).edit(misspelt)).await;
    let token = alices_token(&bed).await;
    for request in [
        bed.client("alice").get("/orders/7").token(&token),
        bed.client("alice").http2().post("/orders.Orders/Get").token(&token).header("content-type", "application/grpc"),
    ] {
        let answer = request.send().await;
        let record = recorded(&bed, &answer).await;
        assert_eq!((&record["decision"], &record["client_id"]), (&"stopped".into(), &"alice".into()));
        assert_eq!(record["stopped_by"], "rbac_access_denied_matched_policy[none]");
    }
    assert_eq!(bed.upstream.count(), 0);
    let good = Testbed::start(config()).await;
    let answer = good.anonymous().get("/healthz").send().await;
    assert_eq!(recorded(&good, &answer).await["decision"], "forwarded");
}

#[tokio::test]
async fn a_filter_that_fails_in_the_worker_only_leaves_a_hole_which_the_interlock_closes() {
    let folder = tempfile::tempdir().unwrap();
    let open = Testbed::start(hole(folder.path()).without_interlock()).await;
    assert_eq!(
        open.anonymous().get("/orders/7").send().await.status,
        200,
        "the hole is not there: is the test still right?"
    );
    assert_eq!(open.upstream.count(), 1);

    let closed = Testbed::start(hole(folder.path())).await;
    let answer = closed.anonymous().get("/orders/7").send().await;
    assert_eq!(answer.status, 403);
    let line = closed.envoy.access_log_of(&answer).await;
    assert!(line["audit"].is_null(), "nobody wrote a record: {line}");
    assert_eq!(line["details"], "rbac_access_denied_matched_policy[none]");
    assert_eq!(closed.upstream.count(), 0);
    closed.envoy.stat_reaches("http.boundgate.rbac.boundgate_.denied", 1).await.unwrap();
}
