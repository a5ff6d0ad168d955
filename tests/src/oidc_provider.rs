//! The certified authorization server oidc-provider, in Node. In: a PKI. Out: a running server whose tokens are bound to the
//! certificate of its one partner; it can be stopped and started again, with another key. It is fetched once, from npm's
//! registry, into `.run/tools`. What it is told to be stands in `tests/interop/oidc-provider.mjs`.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::bed::RESOURCE;
use crate::client::Client;
use crate::envoy_config::root;
use crate::npm;
use crate::pki::Pki;

/// The release that is fetched.
const VERSION: &str = "9.13.3";

/// A running oidc-provider. It ends when dropped.
#[derive(Debug)]
pub struct OidcProvider {
    child: Child,
    installed: PathBuf,
    address: SocketAddr,
    folder: TempDir,
}

impl OidcProvider {
    /// Its clients: one for each algorithm it can sign with.
    pub const CLIENTS: [(&'static str, &'static str); 5] =
        [("rs256", "RS256"), ("ps256", "PS256"), ("es256", "ES256"), ("ed25519", "Ed25519"), ("eddsa", "EdDSA")];

    /// Starts one on a free port; `Err` says what this machine lacks for it.
    pub async fn start(pki: &Pki) -> Result<Self, String> {
        let installed = installed()?;
        let folder = tempfile::Builder::new().prefix("boundgate-oidc-").tempdir().expect("a temporary folder");
        pki.write_to(folder.path()).expect("PEM files in a temporary folder");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = port.expect("a free port");
        let child = launch(&installed, &folder, address, false)?;
        let mut provider = Self { child, installed, address, folder };
        provider.ready(pki).await;
        Ok(provider)
    }

    /// Ends it: from now on connections are refused.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port; it signs with a new key and still shows the old ones.
    pub async fn start_with_new_key(&mut self, pki: &Pki) {
        self.child = launch(&self.installed, &self.folder, self.address, true).expect("it was started before");
        self.ready(pki).await;
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The issuer of its tokens.
    pub fn issuer(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// The id of its client whose tokens are opaque.
    pub const OPAQUE: &'static str = "opaque";
    /// The id and the secret of its client that asks about tokens, with HTTP Basic. With the same secret asks `by-post`, and with a
    /// certificate of `orders-api` asks `by-certificate`.
    pub const ASKING: (&'static str, &'static str) = ("1PpG/Q 1", "z/t+ud:X2=%#");

    /// The ids of its clients whose tokens are for a key of their own, and their secret; those of the second are opaque.
    pub const APPS: [(&'static str, &'static str); 2] = [("app", "of an app"), ("opaque-app", "of an app")];

    /// Ends a token of [`OPAQUE`](Self::OPAQUE), as its client would (RFC 7009).
    pub async fn revoke(&self, client: &Client, token: &str) {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("client_id", Self::OPAQUE), ("token", token)])
            .finish();
        let endpoint = client.at(self.address, &format!("localhost:{}", self.address.port()));
        let request = endpoint.post("/token/revocation").header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(form).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// An access token for `client`, who proves itself with its certificate, for the client of this id.
    pub async fn token(&self, client: &Client, client_id: &str) -> String {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("grant_type", "client_credentials"), ("client_id", client_id), ("scope", "read:orders")])
            .append_pair("resource", RESOURCE)
            .finish();
        let endpoint = client.at(self.address, &format!("localhost:{}", self.address.port()));
        let request = endpoint.post("/token").header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(form).send().await;
        let token: Value = answer.json();
        token["access_token"].as_str().unwrap_or_else(|| panic!("{client_id}: {}", answer.text())).to_owned()
    }

    /// Another kind of token for the client of this id: `idtoken`, `logout`.
    pub async fn other_token(&self, client: &Client, kind: &str, client_id: &str) -> String {
        let endpoint = client.at(self.address, &format!("localhost:{}", self.address.port()));
        let answer = endpoint.get(format!("/test/{kind}/{client_id}")).send().await;
        assert_eq!(answer.status, 200, "{kind}: {}\n{}", answer.text(), self.log());
        answer.text()
    }

    /// Waits until it serves.
    async fn ready(&mut self, pki: &Pki) {
        let caller = Client::tls(self.address, &format!("localhost:{}", self.address.port()), pki, None);
        for _ in 0..600 {
            if caller.get("/jwks").try_send().await.is_ok_and(|answer| answer.status == 200) {
                return;
            }
            assert!(self.child.try_wait().expect("a child can be asked").is_none(), "{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("oidc-provider did not start within a minute\n{}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        self.stop();
    }
}

fn launch(installed: &PathBuf, folder: &TempDir, address: SocketAddr, rotate: bool) -> Result<Child, String> {
    let log = File::create(folder.path().join("log")).expect("a file in a temporary folder");
    let mut command = Command::new("node");
    command
        .arg(root().join("tests/interop/oidc-provider.mjs"))
        .args([installed, &folder.path().to_owned()])
        .arg(address.port().to_string())
        .args(rotate.then_some("rotate"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file can be opened twice"))
        .stderr(log);
    command.spawn().map_err(|error| format!("node: {error}"))
}

/// Where it is; fetched if it is not there yet.
fn installed() -> Result<PathBuf, String> {
    let major = npm::node_version()?;
    if major < 20 {
        return Err(format!("Node {major} is older than 20"));
    }
    npm::installed("oidc-provider", VERSION)
}
