//! Clients with a key of their own whose library makes the proofs (RFC 9449), in Node. In: an authorization server, and what to call. Out:
//! the token, what each request got, and what the library understood. The libraries are fetched once, from npm's
//! registry, into `.run/tools`. What they do stands in `tests/interop/dpop-client.mjs`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::envoy_config::root;
use crate::npm;
use crate::pki::Pki;

/// The oldest major version that has all the algorithms.
const MAJOR: u32 = 20;

/// A library that makes proofs.
#[derive(Clone, Debug)]
pub struct DpopClient {
    library: &'static str,
    installed: PathBuf,
}

/// What a client is to do: get a token for a key of this algorithm, and call what is below `url`.
#[derive(Clone, Debug)]
pub struct Errand {
    /// Who issues the token.
    pub issuer: String,
    /// The id and the secret of the client there.
    pub client: (&'static str, &'static str),
    /// The `grant_type` of the token request.
    pub grant: &'static str,
    /// What it says besides.
    pub parameters: Value,
    /// Of the key.
    pub algorithm: &'static str,
    /// What the names of calls are added to.
    pub url: String,
    /// Names of calls, as the program has them.
    pub calls: Vec<&'static str>,
}

/// What came of an errand.
#[derive(Clone, Debug)]
pub struct Called {
    /// The token.
    pub token: String,
    /// Of each call.
    pub results: Vec<Value>,
}

impl DpopClient {
    /// The libraries and their releases.
    pub const LIBRARIES: [(&'static str, &'static str); 2] = [("oauth4webapi", "3.8.8"), ("openid-client", "6.9.0")];

    /// All of them; `Err` says what this machine lacks.
    pub fn all() -> Result<Vec<Self>, String> {
        let major = npm::node_version()?;
        if major < MAJOR {
            return Err(format!("Node {major} is older than {MAJOR}"));
        }
        let each = |(library, version)| Ok(Self { library, installed: npm::installed(library, version)? });
        Self::LIBRARIES.into_iter().map(each).collect()
    }

    /// Its name.
    pub fn library(&self) -> &'static str {
        self.library
    }

    /// Does it.
    pub async fn run(&self, pki: &Pki, errand: &Errand) -> Called {
        let (id, secret) = errand.client;
        let input = json!({
            "issuer": errand.issuer, "id": id, "secret": secret, "grant": errand.grant, "parameters": errand.parameters,
            "algorithm": errand.algorithm, "url": errand.url, "calls": errand.calls
        });
        let (client, ca) = (self.clone(), pki.ca_pem());
        let output = tokio::task::spawn_blocking(move || client.answers(&input, &ca)).await;
        let Value::Object(mut output) = output.expect("the program ends") else { panic!("it writes an object") };
        let token = output["token"].as_str().expect("a token").to_owned();
        assert_eq!(output["type"], "dpop", "a token for a key");
        let Some(Value::Array(results)) = output.remove("results") else { panic!("it writes results") };
        Called { token, results }
    }

    fn answers(&self, input: &Value, ca: &str) -> Value {
        let mut trusted = tempfile::NamedTempFile::new().expect("a temporary file");
        trusted.write_all(ca.as_bytes()).expect("a temporary file can be written");
        let mut node = Command::new("node")
            .arg(root().join("tests/interop/dpop-client.mjs"))
            .arg(&self.installed)
            .arg(self.library)
            .env("NODE_EXTRA_CA_CERTS", trusted.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Node can be started");
        node.stdin.take().expect("a pipe").write_all(input.to_string().as_bytes()).expect("Node reads");
        let output = node.wait_with_output().expect("Node ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} of {input}: {said}", self.library);
        serde_json::from_slice(&output.stdout).expect("Node writes JSON")
    }
}
