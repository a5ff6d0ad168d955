//! What docs/operations.md says is tried here: its commands, and what an upgrade, a rotation in a hurry and a bad configuration do.

use std::path::{Path, PathBuf};
use std::process::Command;

use boundgate_testbed::{Envoy, Testbed, Update};
use serde_json::{Value, json};

use crate::expectations::{alices_token, bed, config, with};
use crate::keys::keys_loaded;
use crate::module::MODULE;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The blocks of the page that are fenced as `sh`.
fn commands() -> Vec<String> {
    let page = std::fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let blocks = page.split("```sh\n").skip(1);
    blocks.map(|block| block.split_once("```").expect("a block is closed").0.to_owned()).collect()
}

/// Runs it in a copy of the repository's files, where `access.log` holds `log`; what it writes.
fn run(command: &str, log: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("envoy"), folder.path().join("envoy")).unwrap();
    std::fs::write(folder.path().join("access.log"), log).unwrap();
    let path = format!("{}:{}", root().join("dist").display(), std::env::var("PATH").unwrap());
    let ran = Command::new("sh").args(["-euc", command]).current_dir(folder.path()).env("PATH", path).output().unwrap();
    let written = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{command}\n{written}");
    written
}

#[test]
fn the_companion_checks_what_is_piped_into_it() {
    let told = run("boundgate check - < envoy/boundgate.yaml", "");
    assert!(told.contains("stdin: filter boundgate: good."), "{told}");
    let told = run("! sed s/resources:/resorces:/ envoy/boundgate.yaml | boundgate check -", "");
    assert!(told.contains("resorces: unknown key. Did you mean \"resources\"?"), "{told}");
}

#[tokio::test]
async fn every_command_of_the_page_runs_and_shows_what_it_is_for() {
    const ID: &str = "4d1f66e1-0001-9f36-8c5e-2d7e2b7a4c11";
    let bed = bed().await;
    let answer = bed.anonymous().get("/orders/7").send().await;
    let line = bed.envoy.access_log_of(&answer).await;
    bed.envoy.stat_reaches("wasmcustom.boundgate.requests.decision.refused.reason.token-missing", 1).await.unwrap();
    let id = answer.problem()["request_id"].as_str().unwrap().to_owned();
    let admin = bed.envoy.admin_address().to_string();
    let version = env!("CARGO_PKG_VERSION");
    let shows = [
        "envoy/boundgate.yaml: filter boundgate: good.".to_owned(),
        id.clone(),
        "refused.reason.token-missing: 1".to_owned(),
        format!("boundgate {version}"),
    ];
    let commands = commands();
    assert!(commands.len() >= shows.len());
    let log = format!("{line}\n");
    let written: Vec<String> = tokio::task::spawn_blocking(move || {
        commands.iter().map(|command| run(&command.replace("localhost:9901", &admin).replace(ID, &id), &log)).collect()
    })
    .await
    .unwrap();
    for shown in shows {
        assert!(written.iter().any(|written| written.contains(&shown)), "{shown}\n{written:?}");
    }
}

/// The module under another name, with a section that means nothing.
fn next_module(folder: &Path) -> PathBuf {
    let mut bytes = std::fs::read(MODULE).expect("`make build` makes it");
    bytes.extend(b"\x00\x05\x04next");
    let module = folder.join("boundgate-next.wasm");
    std::fs::write(&module, bytes).unwrap();
    module
}

#[tokio::test]
async fn an_upgrade_keeps_budgets_where_the_vm_id_stays_and_forgets_them_where_it_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let slow = || with(|config| config["limits"]["per-client"]["rate"] = json!("1/h"));
    let next = || slow().module(next_module(folder.path()));
    let bed = Testbed::start(slow()).await;
    let token = alices_token(&bed).await;
    let spend = async |times: usize| {
        for _ in 0..times {
            assert_eq!(bed.client("alice").get("/greedy").token(&token).send().await.status, 200);
        }
    };
    spend(3).await;
    assert_eq!(bed.envoy.update(next()).await.unwrap(), Update::Accepted);
    spend(2).await;
    assert_eq!(bed.client("alice").get("/greedy").token(&token).send().await.status, 429, "what was spent stays spent");
    let other = next().edit(|envoy| {
        let manager = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        manager["http_filters"][0]["typed_config"]["config"]["vm_config"]["vm_id"] = json!("other");
    });
    assert_eq!(bed.envoy.update(other).await.unwrap(), Update::Accepted);
    spend(5).await;
}

#[tokio::test]
async fn another_header_of_its_fetches_makes_an_issuers_keys_be_fetched_anew_and_ends_what_was_verified() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    let alice = bed.client("alice");
    keys_loaded(&bed, 2).await;
    assert_eq!(alice.get("/orders/7").token(&token).send().await.status, 200);
    bed.authority.rotate_keys();
    assert_eq!(alice.get("/orders/7").token(&token).send().await.status, 200, "withdrawn, and not fetched again yet");
    let mut hurried = config();
    hurried["issuers"]["main"]["jwks"]["headers"] = json!({"x-refetch": "1"});
    assert_eq!(bed.envoy.config_update(hurried).await.unwrap(), Update::Accepted);
    let answer = alice.get("/orders/7").token(&token).send().await;
    assert_eq!(bed.envoy.details(&answer).await, "boundgate:key-unknown");
    assert_eq!(bed.upstream.count(), 2);
}

#[test]
fn with_a_bad_configuration_in_its_own_file_envoy_ends_and_says_why() {
    let text = std::fs::read_to_string(root().join("envoy/boundgate.yaml")).unwrap();
    let mut envoy: Value = serde_saphyr::from_str(&text).unwrap();
    let listeners = &mut envoy["static_resources"]["listeners"];
    for listener in listeners.as_array_mut().unwrap() {
        listener["address"]["socket_address"]["port_value"] = json!(0);
    }
    let manager = &mut listeners[0]["filter_chains"][0]["filters"][0]["typed_config"];
    manager["http_filters"][0]["typed_config"]["config"]["configuration"] = json!({
        "@type": "type.googleapis.com/google.protobuf.StringValue",
        "value": json!({"resources": [], "limts": {}}).to_string(),
    });
    let (status, log) = Envoy::run_to_its_end(&envoy, &boundgate_testbed::Pki::shared());
    assert_eq!(status, Some(1), "{log}");
    assert!(
        log.contains("configuration refused, line 1, column 2: limts: unknown key. Did you mean \"limits\"?"),
        "{log}"
    );
}
