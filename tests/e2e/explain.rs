//! The companion against the proxy: `boundgate explain` answers the questions of the tour as a real Envoy does.

use std::process::Command;

use boundgate_testbed::{AUTHORITY, EnvoyConfig, PluginConfig, Testbed};
use serde_json::Value;

const COMPANION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/boundgate");
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../envoy/post-quantum.yaml");

#[tokio::test]
async fn each_question_of_the_tour_is_explained_as_the_proxy_answers_it() {
    let bed = Testbed::start(EnvoyConfig::from(PluginConfig::shipped_in("envoy/post-quantum.yaml"))).await;
    let questions = bed.questions().await;
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.json");
    std::fs::write(&keys, bed.authority.jwks().to_string()).unwrap();

    for question in &questions {
        let request = format!("{} {}", question.method, question.path);
        let mut explain = Command::new(COMPANION);
        explain.args(["explain", "--json", "--config", SHIPPED, "--host", AUTHORITY, "--request", &request, "--jwks"]);
        explain.arg(&keys);
        if let Some(name) = question.caller {
            let file = folder.path().join(name);
            std::fs::write(&file, bed.pki.client(name).certificate_pem()).unwrap();
            explain.arg("--peer").arg(file);
        }
        explain.args(question.token.iter().flat_map(|token| ["--token", token]));
        let told = explain.output().unwrap();
        let record: Value = serde_json::from_slice(&told.stdout).unwrap();
        let reason = record["reason"].as_str();
        assert_eq!(
            (reason, told.status.code()),
            (question.expected.reason(), Some(i32::from(reason.is_some()))),
            "{question:?}"
        );

        let client = question.client(&bed);
        let before = bed.upstream.count();
        let answer = question.request(&client).send().await;
        let details = bed.envoy.details(&answer).await;
        assert_eq!((answer.status, &*details), (question.expected.status, question.expected.details), "{question:?}");
        assert_eq!(bed.upstream.count() - before, usize::from(reason.is_none()), "{question:?}");
    }
}
