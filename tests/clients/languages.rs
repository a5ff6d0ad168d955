//! How the clients of a language are made ready and run. In: sources beside this file, with every version pinned. Out: a
//! program, or what this machine lacks for it. What is fetched goes to `.run/tools`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::cells::Case;
use crate::clients::{Client, Language};
use crate::curl;
use crate::service::source;

/// Longer than any client's own patience, on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a user's environment may say, and clients obey.
const SURROUNDINGS: [&str; 9] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
];

/// Clients that are ready to run.
pub struct Program {
    language: Language,
    /// What comes before the names of client and case.
    start: Vec<PathBuf>,
}

impl Program {
    /// Makes the clients of a language ready; `Err` says what is missing.
    pub fn ready(language: Language) -> Result<Self, String> {
        let start = match language {
            Language::CommandLine => Vec::new(),
            Language::Python => python()?,
            Language::Node => node()?,
            Language::Go => go()?,
            Language::Java => java()?,
            Language::Rust => rust()?,
        };
        Ok(Self { language, start })
    }

    /// Whether this client is there.
    pub fn has(&self, client: &Client) -> bool {
        self.language != Language::CommandLine || curl::is_there(client)
    }

    /// Has the client do what the case says.
    pub async fn run(
        &self,
        client: &Client,
        case: Case,
        surroundings: &[(&'static str, String)],
    ) -> Result<Value, String> {
        if self.language == Language::CommandLine {
            let surroundings: BTreeMap<_, _> = surroundings.iter().cloned().collect();
            return curl::run(client, case, &surroundings).await;
        }
        let [program, arguments @ ..] = &self.start[..] else { unreachable!("every other language has a program") };
        let mut command = Command::new(program);
        command.args(arguments).args([client.name, case.name()]).envs(surroundings.iter().cloned());
        let output = finished(&mut command).await?;
        let line = output.lines().next_back().unwrap_or_default();
        serde_json::from_str(line).map_err(|_| format!("said {line:?}"))
    }
}

/// What a program prints; `Err` if it fails, or does not end.
pub async fn finished(command: &mut Command) -> Result<String, String> {
    let out = tempfile::NamedTempFile::new().expect("a temporary file");
    let err = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut child = spawn(command, out.reopen(), err.reopen())?;
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be asked") {
            break Some(status);
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let text = |file: &Path| String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
    match status {
        None => Err(String::from("hangs")),
        Some(status) if status.success() => Ok(text(out.path())),
        Some(status) => {
            let said = text(err.path());
            Err(format!("{status}: {}", said.lines().next_back().unwrap_or_default()))
        }
    }
}

fn spawn(command: &mut Command, out: std::io::Result<File>, err: std::io::Result<File>) -> Result<Child, String> {
    // The service is on this machine, and its certificate is no one else's.
    for name in SURROUNDINGS {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(out.expect("a temporary file")).stderr(err.expect("a temporary file"));
    command.spawn().map_err(|error| format!("{}: {error}", command.get_program().display()))
}

type Ready = Vec<PathBuf>;

/// A folder of its own for each set of versions, made by `fetch` if it is not there yet.
fn fetched(language: &str, pinned: &str, fetch: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let versions = fs::read(source(pinned)).expect("the versions are pinned");
    let digest = URL_SAFE_NO_PAD.encode(&digest(&SHA256, &versions).as_ref()[..6]);
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.run/tools");
    let folder = tools.join(format!("clients-{language}-{digest}"));
    if !folder.join("complete").is_file() {
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        fetch(&folder)?;
        fs::write(folder.join("complete"), "").map_err(|error| error.to_string())?;
    }
    folder.canonicalize().map_err(|error| error.to_string())
}

/// Runs a step of making ready.
fn step(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{name}: {}", said.trim())) }
}

fn python() -> Result<Ready, String> {
    let folder = fetched("python", "python/requirements.txt", |folder| {
        step(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let pip = ["install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "-r"];
        step(Command::new(folder.join("bin/pip")).args(pip).arg(source("python/requirements.txt")))
    })?;
    Ok(vec![folder.join("bin/python"), source("python/client.py")])
}

fn node() -> Result<Ready, String> {
    let output = Command::new("node").arg("--version").output().map_err(|error| format!("node: {error}"))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().trim_start_matches('v').to_owned();
    if version.split('.').next().and_then(|major| major.parse().ok()).is_none_or(|major: u32| major < 20) {
        return Err(format!("Node {version} is older than 20"));
    }
    let folder = fetched("node", "node/package-lock.json", |folder| {
        copy("node", &["package.json", "package-lock.json"], folder)?;
        let quiet = ["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"];
        step(Command::new("npm").args(quiet).arg("--prefix").arg(folder))
    })?;
    // Node looks for packages beside the program.
    copy("node", &["client.mjs"], &folder)?;
    Ok(vec![PathBuf::from("node"), folder.join("client.mjs")])
}

fn go() -> Result<Ready, String> {
    let folder = fetched("go", "go/go.sum", |_| Ok(()))?;
    let mut build = Command::new("go");
    build.current_dir(source("go")).args(["build", "-mod=readonly", "-o"]).arg(folder.join("client")).arg(".");
    step(&mut build)?;
    Ok(vec![folder.join("client")])
}

fn java() -> Result<Ready, String> {
    let folder = fetched("java", "java/pom.xml", |folder| {
        let goal = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies";
        let to = format!("-DoutputDirectory={}", folder.join("lib").display());
        step(Command::new("mvn").current_dir(source("java")).args(["-q", "-B", goal, &to]))
    })?;
    let [libraries, classes] = ["lib/*", "classes"].map(|part| folder.join(part).display().to_string());
    step(Command::new("javac").args(["-nowarn", "-cp", &libraries, "-d", &classes]).arg(source("java/Client.java")))?;
    let class_path = format!("{classes}:{libraries}");
    // Started for each cell: soon rather than fast.
    Ok(["java", "-XX:TieredStopAtLevel=1", "-cp", &class_path, "Client"].map(PathBuf::from).into())
}

fn rust() -> Result<Ready, String> {
    let folder = fetched("rust", "rust/Cargo.lock", |_| Ok(()))?;
    let mut build = Command::new("cargo");
    build.current_dir(source("rust")).args(["build", "--locked", "--quiet", "--target-dir"]).arg(&folder);
    step(&mut build)?;
    Ok(vec![folder.join("debug/boundgate-clients")])
}

fn copy(language: &str, names: &[&str], folder: &Path) -> Result<(), String> {
    let copied = names.iter().try_for_each(|name| fs::copy(source(language).join(name), folder.join(name)).map(drop));
    copied.map_err(|error| error.to_string())
}
