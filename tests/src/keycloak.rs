//! A real Keycloak, as an administrator finds it after the installation. In: a PKI. Out: a server with a realm that issues
//! certificate-bound tokens, its tokens, and more keys; it can be stopped and started again, and keeps its realm. It is fetched once, from
//! Maven's registry, into `.run/tools`.
//!
//! One is enough for a test run: it takes a minute to start and a gigabyte of memory.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::answer::Answer;
use crate::bed::RESOURCE;
use crate::client::Client;
use crate::envoy_config::root;
use crate::pki::Pki;
use crate::signing::{Algorithm, SigningKeys};

/// The release that is fetched.
const VERSION: &str = "26.7.3";
/// The realm.
const REALM: &str = "partners";
/// A user, and the password.
const USER: &str = "carol";
/// The longest that a start takes, on cores that are busy.
const START: Duration = Duration::from_secs(600);

/// A running Keycloak. It ends when dropped.
#[derive(Debug)]
pub struct Keycloak {
    child: Child,
    java: PathBuf,
    home: PathBuf,
    address: SocketAddr,
    folder: TempDir,
}

impl Keycloak {
    /// Starts one on a free port; `Err` says what this machine lacks for it.
    pub async fn start(pki: &Pki) -> Result<Self, String> {
        let java = java().ok_or("no Java 17 or newer")?;
        let home = installed()?;
        let folder = tempfile::Builder::new().prefix("boundgate-keycloak-").tempdir().expect("a temporary folder");
        pki.write_to(folder.path()).expect("PEM files in a temporary folder");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = port.expect("a free port");

        let child = launch(&java, &home, &folder, address);
        let mut keycloak = Self { child, java, home, address, folder };
        keycloak.ready(pki).await;
        keycloak.make_realm(pki).await;
        Ok(keycloak)
    }

    /// Ends it: from now on connections are refused.
    pub fn stop(&mut self) {
        // The script hands SIGTERM on to Java, also when both get SIGINT from a terminal.
        if let Some(script) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process(script, Signal::TERM);
        }
        for _ in 0..6_000 {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port, with all that it had.
    pub async fn start_again(&mut self, pki: &Pki) {
        self.child = launch(&self.java, &self.home, &self.folder, self.address);
        self.ready(pki).await;
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The issuer of its tokens.
    pub fn issuer(&self) -> String {
        format!("https://localhost:{}/realms/{REALM}", self.address.port())
    }

    /// The answer of the token endpoint to `client`, who proves itself with its certificate, for the client of this id.
    /// With a `user`: on behalf of it, with an ID token and a refresh token.
    pub async fn tokens(&self, client: &Client, client_id: &str, user: bool) -> Value {
        let answer = self.ask_for_tokens(client, client_id, user, &[]).await;
        assert_eq!(answer.status, 200, "{client_id}: {}", answer.text());
        answer.json()
    }

    /// An access token for the client of this id that is bound to a key (RFC 9449), too.
    pub async fn dpop_token(&self, client: &Client, client_id: &str) -> String {
        let keys = SigningKeys::new(1);
        let header = json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": keys.jwk(Algorithm::Es256) });
        let target = format!("{}/protocol/openid-connect/token", self.issuer());
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let proof = json!({ "htm": "POST", "htu": target, "iat": now, "jti": "one" });
        let proof = keys.sign(Algorithm::Es256, &header, &proof);
        let answer = self.ask_for_tokens(client, client_id, false, &[("dpop", &proof)]).await;
        assert_eq!(answer.status, 200, "{client_id}: {}", answer.text());
        answer.json()["access_token"].as_str().expect("an answer with 200 has a token").to_owned()
    }

    async fn ask_for_tokens(&self, client: &Client, id: &str, user: bool, headers: &[(&str, &str)]) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("client_id", id);
        match user {
            false => form.append_pair("grant_type", "client_credentials"),
            true => form.extend_pairs([
                ("grant_type", "password"),
                ("username", USER),
                ("password", USER),
                ("scope", "openid"),
            ]),
        };
        let endpoint = self.called_by(client);
        let path = format!("/realms/{REALM}/protocol/openid-connect/token");
        let mut request = endpoint.post(&path).header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(form.finish()).send().await
    }

    /// Adds a client that gets certificate-bound tokens, with these attributes besides.
    pub async fn add_client(&self, pki: &Pki, id: &str, subject: &str, attributes: &Value) {
        let mut all = json!({
            "x509.subjectdn": subject, "x509.allow.regex.pattern.comparison": "false",
            "tls.client.certificate.bound.access.tokens": "true"
        });
        for (name, value) in attributes.as_object().expect("attributes are an object") {
            all[name] = value.clone();
        }
        let client = json!({
            "clientId": id, "enabled": true, "clientAuthenticatorType": "client-x509", "publicClient": false,
            "serviceAccountsEnabled": true, "directAccessGrantsEnabled": true, "standardFlowEnabled": false,
            "attributes": all
        });
        self.created(pki, &format!("/admin/realms/{REALM}/clients"), &client).await;
    }

    /// Adds a client whose tokens are bound to a key of its own (RFC 9449), with this secret.
    pub async fn add_app(&self, pki: &Pki, id: &str, secret: &str) {
        let client = json!({
            "clientId": id, "enabled": true, "clientAuthenticatorType": "client-secret", "secret": secret,
            "publicClient": false, "serviceAccountsEnabled": true, "directAccessGrantsEnabled": true,
            "standardFlowEnabled": false,
            "attributes": { "dpop.bound.access.tokens": "true", "access.token.signed.response.alg": "ES256" }
        });
        self.created(pki, &format!("/admin/realms/{REALM}/clients"), &client).await;
    }

    /// The name and the password of its user.
    pub const USER: (&'static str, &'static str) = (USER, USER);

    /// Adds a client that asks about tokens and does nothing else, with this secret. Its name for the administration.
    pub async fn add_asking_client(&self, pki: &Pki, id: &str, secret: &str) -> String {
        let mut client = asking_client(id);
        (client["clientAuthenticatorType"], client["secret"]) = (json!("client-secret"), json!(secret));
        self.created(pki, &format!("/admin/realms/{REALM}/clients"), &client).await
    }

    /// From now on that client proves itself with a certificate of this subject instead (RFC 8705 §2.1).
    pub async fn asks_by_certificate(&self, pki: &Pki, name: &str, id: &str, subject: &str) {
        let mut client = asking_client(id);
        client["clientAuthenticatorType"] = json!("client-x509");
        client["attributes"] = json!({ "x509.subjectdn": subject, "x509.allow.regex.pattern.comparison": "false" });
        let (token, path) = (self.administrator(pki).await, format!("/admin/realms/{REALM}/clients/{name}"));
        let caller = self.caller(pki);
        let request = caller.request("PUT", path).token(&token).header("content-type", "application/json");
        let answer = request.body(client.to_string()).send().await;
        assert_eq!(answer.status, 204, "{}", answer.text());
    }

    /// Ends a token, as the client of this id would (RFC 7009).
    pub async fn revoke(&self, client: &Client, client_id: &str, token: &str) {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("client_id", client_id), ("token", token), ("token_type_hint", "access_token")])
            .finish();
        let path = format!("/realms/{REALM}/protocol/openid-connect/revoke");
        let answer = post_form(&self.called_by(client), &path, form).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Adds a key; that with the highest priority signs.
    pub async fn add_key(&self, pki: &Pki, provider: &str, priority: u32, mut config: Value) {
        config["priority"] = json!([priority.to_string()]);
        let component = json!({
            "name": format!("{provider}-{priority}"), "providerId": provider, "providerType": "org.keycloak.keys.KeyProvider",
            "config": config
        });
        self.created(pki, &format!("/admin/realms/{REALM}/components"), &component).await;
    }

    fn called_by(&self, client: &Client) -> Client {
        client.at(self.address, &format!("localhost:{}", self.address.port()))
    }

    fn caller(&self, pki: &Pki) -> Client {
        Client::tls(self.address, &format!("localhost:{}", self.address.port()), pki, None)
    }

    /// Waits until it serves.
    async fn ready(&mut self, pki: &Pki) {
        let deadline = Instant::now() + START;
        let caller = self.caller(pki);
        while caller.get("/realms/master").try_send().await.ok().is_none_or(|answer| answer.status != 200) {
            let ended = self.child.try_wait().expect("a child can be asked");
            assert!(ended.is_none() && Instant::now() < deadline, "Keycloak did not start\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// A realm as the administration makes one, with a key for each algorithm, a scope that means our resource, and a user.
    async fn make_realm(&self, pki: &Pki) {
        self.created(pki, "/admin/realms", &json!({ "realm": REALM, "enabled": true, "sslRequired": "all" })).await;
        self.add_key(pki, "rsa-generated", 90, json!({ "algorithm": ["PS256"] })).await;
        self.add_key(pki, "ecdsa-generated", 90, json!({ "ecdsaEllipticCurveKey": ["P-256"] })).await;
        self.add_key(pki, "ecdsa-generated", 80, json!({ "ecdsaEllipticCurveKey": ["P-384"] })).await;
        self.add_key(pki, "eddsa-generated", 90, json!({ "eddsaEllipticCurveKey": ["Ed25519"] })).await;
        let scope = json!({
            "name": "read:orders", "protocol": "openid-connect",
            "attributes": { "include.in.token.scope": "true" },
            "protocolMappers": [{
                "name": "orders", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
                "config": {
                    "included.custom.audience": RESOURCE, "access.token.claim": "true", "id.token.claim": "false",
                    "lightweight.claim": "true", "introspection.token.claim": "true"
                }
            }]
        });
        let id = self.created(pki, &format!("/admin/realms/{REALM}/client-scopes"), &scope).await;
        let path = format!("/admin/realms/{REALM}/default-default-client-scopes/{id}");
        let token = self.administrator(pki).await;
        let answer = self.caller(pki).request("PUT", path).token(&token).header("content-length", "0").send().await;
        assert_eq!(answer.status, 204, "{}", answer.text());
        let user = json!({
            "username": USER, "enabled": true, "email": "carol@example.com", "emailVerified": true,
            "firstName": "Carol", "lastName": "Carolsen",
            "credentials": [{ "type": "password", "value": USER, "temporary": false }]
        });
        self.created(pki, &format!("/admin/realms/{REALM}/users"), &user).await;
    }

    /// Has the administration make something; its id.
    async fn created(&self, pki: &Pki, path: &str, what: &Value) -> String {
        let token = self.administrator(pki).await;
        let caller = self.caller(pki);
        let request = caller.post(path).token(&token).header("content-type", "application/json");
        let answer = request.body(what.to_string()).send().await;
        assert_eq!(answer.status, 201, "{path}: {}\n{}", answer.text(), self.log());
        let place = answer.header("location").unwrap_or_default();
        place.rsplit('/').next().unwrap_or_default().to_owned()
    }

    async fn administrator(&self, pki: &Pki) -> String {
        let form = "grant_type=password&client_id=admin-cli&username=admin&password=admin".to_owned();
        let answer = post_form(&self.caller(pki), "/realms/master/protocol/openid-connect/token", form).await;
        answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        self.stop();
    }
}

fn launch(java: &Path, home: &Path, folder: &TempDir, address: SocketAddr) -> Child {
    let at = |file: &str| folder.path().join(file).display().to_string();
    let log = File::create(folder.path().join("log")).expect("a file in a temporary folder");
    let mut command = Command::new("sh");
    command
        .arg(home.join("bin/kc.sh"))
        .args(["start-dev", "--db=dev-file", "--http-enabled=false", "--https-client-auth=request"])
        .arg(format!("--db-url=jdbc:h2:file:{};NON_KEYWORDS=VALUE", at("database")))
        .arg(format!("--https-port={}", address.port()))
        .arg(format!("--hostname=https://localhost:{}", address.port()))
        .arg(format!("--https-certificate-file={}", at("server.pem")))
        .arg(format!("--https-certificate-key-file={}", at("server.key")))
        .arg(format!("--https-trust-store-file={}", at("ca.pem")))
        .env("JAVA_HOME", java)
        .env("JAVA_OPTS_KC_HEAP", "-Xms128m -Xmx700m")
        // It lives for a minute: the second compiler would cost more than it saves.
        .env("JAVA_OPTS_APPEND", "-XX:TieredStopAtLevel=1")
        .env("KC_BOOTSTRAP_ADMIN_USERNAME", "admin")
        .env("KC_BOOTSTRAP_ADMIN_PASSWORD", "admin")
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file can be opened twice"))
        .stderr(log);
    command.spawn().expect("there is a shell")
}

/// A client that gets no tokens.
fn asking_client(id: &str) -> Value {
    json!({
        "clientId": id, "enabled": true, "publicClient": false, "serviceAccountsEnabled": false,
        "directAccessGrantsEnabled": false, "standardFlowEnabled": false
    })
}

async fn post_form(client: &Client, path: &str, form: String) -> Answer {
    client.post(path).header("content-type", "application/x-www-form-urlencoded").body(form).send().await
}

/// The home of the newest Java that is installed, from 17 on.
fn java() -> Option<PathBuf> {
    let known = fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten().map(|entry| entry.path());
    let named = std::env::var_os("JAVA_HOME").map(PathBuf::from);
    let homes = named.into_iter().chain(known).filter(|home| home.join("bin/java").is_file());
    let versions = homes.filter_map(|home| Some((version_of(&home)?, home)));
    versions.filter(|(version, _)| *version >= 17).max().map(|(_, home)| home)
}

fn version_of(home: &Path) -> Option<u32> {
    let release = fs::read_to_string(home.join("release")).ok()?;
    let version = release.lines().find_map(|line| line.strip_prefix("JAVA_VERSION=\""))?;
    version.split(['.', '"', '-', '+']).next()?.parse().ok()
}

/// Where Keycloak is; fetched if it is not there yet.
fn installed() -> Result<PathBuf, String> {
    let tools = root().join(".run/tools");
    let home = tools.join(format!("keycloak-{VERSION}"));
    if home.join("bin/kc.sh").is_file() {
        return Ok(home);
    }
    fs::create_dir_all(&tools).map_err(|error| error.to_string())?;
    let archive = format!("keycloak-quarkus-dist-{VERSION}.zip");
    run(Command::new("mvn").args(["-q", "-B", "dependency:copy", "-Dmdep.useBaseVersion=true"]).args([
        format!("-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"),
        format!("-DoutputDirectory={}", tools.display()),
    ]))?;
    // Unpacked beside its place, so that half of it is never taken for the whole.
    let part = tools.join("keycloak.part");
    let _ = fs::remove_dir_all(&part);
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(tools.join(&archive)).arg(&part))?;
    fs::rename(part.join(format!("keycloak-{VERSION}")), &home).map_err(|error| error.to_string())?;
    let _ = fs::remove_dir_all(&part);
    let _ = fs::remove_file(tools.join(archive));
    Ok(home)
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().display().to_string();
    match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!("{program} could not fetch Keycloak {VERSION}")),
        Err(error) => Err(format!("{program}: {error}")),
    }
}
