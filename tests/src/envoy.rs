//! A running Envoy. In: [`EnvoyConfig`]. Out: its ports, statistics, log and access log; ways to update its filter's
//! configuration. It has no fixed port and ends with this process or when dropped.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::answer::Answer;
use crate::client::Client;
use crate::envoy_config::{EnvoyConfig, PluginConfig, Surroundings, root, yaml};
use crate::pki::{Pki, REVOKED};
use crate::server::{Timeout, eventually};

/// A program of a hundred megabytes that comes from the disk for the first time, beside a compiler, takes its time.
const START: Duration = Duration::from_secs(120);

/// Envoy did not come up, or refused its configuration.
#[derive(Debug)]
pub struct StartError {
    /// What was seen.
    pub what: String,
    /// Envoy's log.
    pub log: String,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.what, self.log)
    }
}

impl std::error::Error for StartError {}

/// What Envoy made of a new configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// It is in force.
    Accepted,
    /// The old one stays; with what was logged about it.
    Rejected(String),
}

/// A running Envoy. When it is dropped no request may wait in the filter any more.
#[derive(Debug)]
pub struct Envoy {
    child: Child,
    log: Arc<Lines>,
    access_log: Arc<Lines>,
    admin: Client,
    admin_address: SocketAddr,
    ports: HashMap<String, u16>,
    folder: TempDir,
    /// What it was rendered from; none for a shipped file.
    config: Option<(EnvoyConfig, Surroundings)>,
}

impl Envoy {
    /// Starts Envoy and waits until it serves.
    pub async fn start(config: EnvoyConfig, pki: &Pki, surroundings: Surroundings) -> Result<Self, StartError> {
        let folder = tempfile::Builder::new().prefix("boundgate-").tempdir().expect("a temporary folder");
        pki.write_to(folder.path()).expect("PEM files in a temporary folder");
        let (bootstrap, listeners) = config.render(folder.path(), surroundings);
        // JSON is YAML: read as such, a Struct has exactly the values that it has from an operator's file.
        let file = folder.path().join("envoy.yaml");
        fs::write(&file, bootstrap.to_string()).expect("a file in a temporary folder");
        write_listeners(folder.path(), &listeners);

        let concurrency = config.concurrency.to_string();
        let mut command = Command::new(binary());
        command
            .arg("-c")
            .arg(&file)
            .args(["--use-dynamic-base-id", "--concurrency", &concurrency])
            // The access log at once; old listeners gone soon, or when the test says.
            .args(["--file-flush-interval-msec", "10", "--drain-time-s", &config.drain_seconds.to_string()])
            // Without the long list of extensions at the start.
            .args(["--component-log-level", "main:warning"]);
        // Others have no port.
        let ported = listeners.iter().filter(|listener| listener["address"]["socket_address"].is_object()).count();
        Self::launch(command, folder, Some((config, surroundings)), ported).await
    }

    /// Runs a shipped configuration unchanged, such as `envoy/boundgate.yaml`, with the command line of func-e. Its
    /// ports are the fixed ones it names. The current folder looks like the root of the repository.
    pub async fn start_shipped(file: &str, pki: &Pki) -> Result<Self, StartError> {
        let folder = tempfile::Builder::new().prefix("boundgate-").tempdir().expect("a temporary folder");
        pki.write_to(&folder.path().join(".run/pki")).expect("PEM files in a temporary folder");
        for part in ["dist", "envoy"] {
            std::os::unix::fs::symlink(root().join(part), folder.path().join(part)).expect("a link in a new folder");
        }
        let config = yaml(&fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}")));
        let listeners = config["static_resources"]["listeners"].as_array().map_or(0, Vec::len);

        let mut command = Command::new(binary());
        // Several may run at once.
        command.current_dir(folder.path()).args(["-c", file, "--use-dynamic-base-id"]);
        if config["admin"].is_null() {
            let admin = "admin: {address: {socket_address: {address: '127.0.0.1', port_value: 0}}}";
            command.args(["--config-yaml", admin]);
        }
        Self::launch(command, folder, None, listeners).await
    }

    async fn launch(
        mut command: Command,
        folder: TempDir,
        config: Option<(EnvoyConfig, Surroundings)>,
        listeners: usize,
    ) -> Result<Self, StartError> {
        let admin_file = folder.path().join("admin");
        // func-e appends its own flags after `--`, which Envoy ignores.
        command.arg("--admin-address-path").arg(&admin_file).args(["--", "--run-id", "0"]);
        let mut child = spawn(&mut command);
        let log = Lines::of(child.stderr.take().expect("stderr is a pipe"));
        let access_log = Lines::of(child.stdout.take().expect("stdout is a pipe"));
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let admin = Client::plain(nowhere, "admin");
        let ports = HashMap::new();
        let mut envoy = Self { child, log, access_log, admin, admin_address: nowhere, ports, folder, config };
        match envoy.serving(&admin_file, listeners).await {
            Ok(()) => Ok(envoy),
            Err(what) => Err(StartError { what, log: envoy.log() }),
        }
    }

    /// Asks Envoy to end, as Ctrl-C does, and returns its exit status; -1 if a signal ended it.
    pub fn stop(mut self) -> i32 {
        end(&mut self.child).and_then(|status| status.code()).unwrap_or(-1)
    }

    /// The address of a listener: `boundgate`, or one that the test added.
    pub fn address(&self, listener: &str) -> SocketAddr {
        let port = self.ports.get(listener).unwrap_or_else(|| panic!("no listener is named {listener}"));
        (Ipv4Addr::LOCALHOST, *port).into()
    }

    /// The CPU time that all threads of Envoy have used. Linux only.
    pub fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("Envoy runs");
        let time = |task: std::io::Result<fs::DirEntry>| {
            let statistics = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            statistics.split(' ').next()?.parse::<u64>().ok()
        };
        Duration::from_nanos(tasks.filter_map(time).sum())
    }

    /// The bytes of memory that Envoy has resident (`VmRSS`). Linux only.
    pub fn resident_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("Envoy runs");
        let kibibytes =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB")?.trim().parse().ok());
        kibibytes.map_or(0, |kibibytes: u64| kibibytes * 1024)
    }

    /// Everything Envoy logged.
    pub fn log(&self) -> String {
        self.log.all().join("\n")
    }

    /// Every counter and gauge whose name contains `text`.
    pub async fn stats(&self, text: &str) -> BTreeMap<String, u64> {
        let stats = self.admin("/stats").await.unwrap_or_default();
        let pairs = stats.lines().filter_map(|line| line.split_once(": "));
        let pairs = pairs.filter(|(name, _)| name.contains(text));
        pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }

    /// A counter or gauge; one that does not exist is 0.
    pub async fn stat(&self, name: &str) -> u64 {
        self.stats(name).await.get(name).copied().unwrap_or(0)
    }

    /// Waits until a counter or gauge has at least this value.
    pub async fn stat_reaches(&self, name: &str, value: u64) -> Result<(), Timeout> {
        let what = format!("{name} reaches {value}");
        eventually(&what, async || (self.stat(name).await >= value).then_some(())).await
    }

    /// Waits until a counter or gauge has exactly this value.
    pub async fn stat_becomes(&self, name: &str, value: u64) -> Result<(), Timeout> {
        let what = format!("{name} becomes {value}");
        eventually(&what, async || (self.stat(name).await == value).then_some(())).await
    }

    /// Where the admin interface is.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Runs Envoy with `config`, until it ends: its exit status and its log. Files are those of `pki`.
    pub fn run_to_its_end(config: &Value, pki: &Pki) -> (Option<i32>, String) {
        let folder = tempfile::Builder::new().prefix("boundgate-").tempdir().expect("a temporary folder");
        pki.write_to(&folder.path().join(".run/pki")).expect("PEM files in a temporary folder");
        std::os::unix::fs::symlink(root().join("dist"), folder.path().join("dist")).expect("a link in a new folder");
        fs::write(folder.path().join("envoy.yaml"), config.to_string()).expect("a file in a temporary folder");
        let mut command = Command::new(binary());
        let child = spawn(command.current_dir(folder.path()).args(["-c", "envoy.yaml", "--use-dynamic-base-id"]));
        let output = child.wait_with_output().expect("Envoy runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The body of an answer of the admin interface.
    pub async fn admin(&self, path: &str) -> Option<String> {
        let answer = self.admin.get(path).try_send().await.ok()?;
        (answer.status == 200).then(|| answer.text())
    }

    /// The access log so far.
    pub fn access_log(&self) -> Vec<Value> {
        self.access_log.all().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The line of the access log about this answer, once it is written.
    pub async fn access_log_of(&self, answer: &Answer) -> Value {
        let (client, since) = (json!(answer.link.client), as_logged(answer.link.since));
        let is_its =
            |line: &Value| line["client"] == client && line["time"].as_str().is_some_and(|time| *time >= *since);
        let line = async || self.access_log().into_iter().filter(is_its).nth(answer.nth);
        eventually("a line in the access log", line).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// `%RESPONSE_CODE_DETAILS%` of this answer.
    pub async fn details(&self, answer: &Answer) -> String {
        self.access_log_of(answer).await["details"].as_str().unwrap_or_default().to_owned()
    }

    /// Gives the filter a new configuration and waits for Envoy's judgement.
    pub async fn config_update(&self, plugin: impl Into<PluginConfig>) -> Result<Update, Timeout> {
        let (config, _) = self.config.as_ref().expect("a shipped file is not updated");
        self.update(config.with_plugin(plugin.into())).await
    }

    /// Gives Envoy the listeners of another configuration and waits for its judgement.
    pub async fn update(&self, config: EnvoyConfig) -> Result<Update, Timeout> {
        let (accepted, rejected) = self.judged().await;
        let logged = self.log.all().len();
        let (_, surroundings) = self.config.as_ref().expect("a shipped file is not updated");
        let (_, listeners) = config.render(self.folder.path(), *surroundings);
        write_listeners(self.folder.path(), &listeners);
        eventually("the judgement on an update", async || {
            let now = self.judged().await;
            if now.1 > rejected {
                let log = self.log.all();
                return Some(Update::Rejected(log[logged..].join("\n")));
            }
            let in_force = now.0 > accepted && self.stat("listener_manager.total_listeners_warming").await == 0;
            in_force.then_some(Update::Accepted)
        })
        .await
    }

    /// Replaces the list of revoked certificates, as an operator does: Envoy never sees half of it.
    pub fn replace_revoked(&self, list: &str) {
        let new = self.folder.path().join("clients.crl.new");
        fs::write(&new, list).expect("a file in a temporary folder");
        fs::rename(new, self.folder.path().join(REVOKED)).expect("a rename within a folder");
    }

    /// How many sets of listeners were accepted and rejected.
    async fn judged(&self) -> (u64, u64) {
        let stats = self.stats("listener_manager.lds.update_").await;
        let stat = |name| stats.get(name).copied().unwrap_or(0);
        (stat("listener_manager.lds.update_success"), stat("listener_manager.lds.update_rejected"))
    }

    /// Waits for the admin interface, the judgement on the listeners, and their ports.
    async fn serving(&mut self, admin_file: &Path, listeners: usize) -> Result<(), String> {
        let deadline = Instant::now() + START;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("Envoy ended: {status}"));
            }
            if Instant::now() > deadline {
                return Err(format!("Envoy does not serve after {START:?}"));
            }
            if let Some(address) = fs::read_to_string(admin_file).ok().and_then(|text| text.trim().parse().ok()) {
                self.admin = Client::plain(address, "admin");
                self.admin_address = address;
                if self.judged().await.1 > 0 {
                    return Err(String::from("Envoy rejected its listeners"));
                }
                if self.admin("/ready").await.is_some() && self.stat("listener_manager.workers_started").await == 1 {
                    self.ports = ports(&self.admin("/listeners?format=json").await.unwrap_or_default());
                    if self.ports.len() == listeners {
                        return Ok(());
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let waiting = if std::thread::panicking() { 0 } else { waiting_at_rest(self.admin_address) };
        end(&mut self.child);
        assert_eq!(waiting, 0, "requests that the filter still holds after their end\n{}", self.log());
        if std::thread::panicking() {
            eprintln!("--- Envoy's log\n{}\n--- access log\n{}", self.log(), self.access_log.all().join("\n"));
        }
    }
}

/// How many requests wait in the filter, once that does not change any more. Nobody is served here while this blocks.
fn waiting_at_rest(admin: SocketAddr) -> u64 {
    let ask = || {
        let mut stream = TcpStream::connect(admin).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let path = "/stats?filter=^wasmcustom.boundgate.waiting$";
        write!(stream, "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.lines().find_map(|line| line.strip_prefix("wasmcustom.boundgate.waiting: ")?.trim().parse().ok())
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        // An Envoy that has ended, or has no filter, holds nothing.
        let waiting = ask().unwrap_or(0);
        if waiting == 0 || Instant::now() > deadline {
            return waiting;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// `$ENVOY_PATH`, else `envoy` on the path, else where `make setup` put it.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("ENVOY_PATH") {
        return path.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("envoy")).find(|file| file.is_file());
    on_path.unwrap_or_else(|| {
        let version = fs::read_to_string(root().join(".envoy-version")).unwrap_or_default();
        let file = root().join(".run/tools").join(format!("envoy-{}", version.trim())).join("envoy");
        assert!(file.is_file(), "no Envoy: run `make setup`, or set ENVOY_PATH");
        file
    })
}

/// Starts a process that gets SIGINT when this one dies.
fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(target_os = "linux")]
    // SAFETY: between fork and exec only one system call is made; nothing is allocated or locked.
    unsafe {
        command.pre_exec(|| Ok(rustix::process::set_parent_process_death_signal(Some(Signal::INT))?));
    }
    command.spawn().unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()))
}

/// SIGINT; after three seconds SIGKILL.
fn end(child: &mut Child) -> Option<ExitStatus> {
    if let Ok(Some(status)) = child.try_wait() {
        return Some(status);
    }
    if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
        let _ = rustix::process::kill_process(pid, Signal::INT);
    }
    for _ in 0..300 {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    child.wait().ok()
}

/// Envoy reads the file when it is renamed into place: never half of it.
fn write_listeners(folder: &Path, listeners: &[Value]) {
    let resources: Vec<Value> = listeners
        .iter()
        .map(|listener| {
            let mut resource = json!({ "@type": "type.googleapis.com/envoy.config.listener.v3.Listener" });
            let members = listener.as_object().expect("a listener is a map").clone();
            resource.as_object_mut().expect("a map").extend(members);
            resource
        })
        .collect();
    let new = folder.join("listeners.new");
    fs::write(&new, json!({ "resources": resources }).to_string()).expect("a file in a temporary folder");
    fs::rename(new, folder.join("listeners.yaml")).expect("a rename within a folder");
}

fn ports(listeners: &str) -> HashMap<String, u16> {
    let listeners: Value = serde_json::from_str(listeners).unwrap_or_default();
    let statuses = listeners["listener_statuses"].as_array().into_iter().flatten();
    let port = |status: &Value| {
        let port = status["local_address"]["socket_address"]["port_value"].as_u64()?;
        Some((status["name"].as_str()?.to_owned(), u16::try_from(port).ok().filter(|port| *port != 0)?))
    };
    statuses.filter_map(port).collect()
}

/// The lines a process writes, collected by a thread.
#[derive(Debug, Default)]
struct Lines(Mutex<Vec<String>>);

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Arc<Self> {
        let lines = Arc::<Self>::default();
        let writer = lines.clone();
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                writer.0.lock().expect("nobody panicked with it").push(text);
                line.clear();
            }
        });
        lines
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().expect("nobody panicked with it").clone()
    }
}

/// A moment as the access log has it, to the millisecond before.
fn as_logged(moment: OffsetDateTime) -> String {
    let (date, hour, minute, second) = (moment.date(), moment.hour(), moment.minute(), moment.second());
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{:03}Z", moment.millisecond())
}
