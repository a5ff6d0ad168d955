//! The interlock: where Envoy leaves the filter out, nothing passes. The hole is forced by a module that starts on the
//! main thread and fails in the worker.

use boundgate_testbed::{EnvoyConfig, PluginConfig, Testbed};

/// `fixtures/hole.wat` in the place of the filter.
fn hole(folder: &std::path::Path) -> EnvoyConfig {
    let module = folder.join("hole.wasm");
    std::fs::write(&module, wat::parse_str(include_str!("fixtures/hole.wat")).unwrap()).unwrap();
    EnvoyConfig::new(PluginConfig::Text(String::from("{}"))).module(module).failure_policy("FAIL_CLOSED")
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
    assert_eq!(closed.upstream.count(), 0);
    closed.envoy.stat_reaches("http.boundgate.rbac.boundgate_.denied", 1).await.unwrap();
}
