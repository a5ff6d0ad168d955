//! A real `redis-server` in a temporary folder, on a unix socket, without persistence. It ends with this process or
//! when dropped.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

/// On a machine whose cores are busy even Redis takes its time.
const START: Duration = Duration::from_secs(60);

/// A running Redis.
#[derive(Debug)]
pub struct Redis {
    child: Child,
    folder: TempDir,
}

impl Redis {
    /// Starts one and waits until it answers. The program is `$REDIS_PATH`, else on the path, else where `make setup`
    /// put it; without one this panics.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("boundgate-redis-").tempdir().expect("a temporary folder");
        let child = launch(folder.path()).await;
        Self { child, folder }
    }

    /// For [`Mode::Fixed`](crate::Mode::Fixed); the same after a restart.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Its unix socket.
    pub fn socket(&self) -> PathBuf {
        socket(self.folder.path())
    }

    /// Sends one command, such as `GET key`, and returns the answer as it is on the wire.
    pub fn command(&self, command: &str) -> io::Result<String> {
        command_at(&self.socket(), command)
    }

    /// Ends it at once. All counters are lost.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again, empty.
    pub async fn restart(&mut self) {
        self.kill();
        self.child = launch(self.folder.path()).await;
    }

    /// From now on connections are accepted, but nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a process has an id");
        rustix::process::kill_process(pid, signal).expect("Redis runs");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("socket")
}

async fn launch(folder: &Path) -> Child {
    let socket = socket(folder);
    let log = folder.join("log");
    let mut command = Command::new(binary());
    command
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--daemonize", "no"])
        .arg("--unixsocket")
        .arg(&socket)
        .arg("--dir")
        .arg(folder)
        .arg("--logfile")
        .arg(&log)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    #[cfg(target_os = "linux")]
    // SAFETY: between fork and exec only one system call is made; nothing is allocated or locked.
    unsafe {
        command.pre_exec(|| Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
    let deadline = Instant::now() + START;
    while Instant::now() < deadline {
        if command_at(&socket, "PING").is_ok_and(|answer| answer == "+PONG\r\n") {
            return child;
        }
        if matches!(child.try_wait(), Ok(Some(_))) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let _ = child.kill();
    let _ = child.wait();
    panic!("Redis does not answer:\n{}", fs::read_to_string(log).unwrap_or_default());
}

fn command_at(socket: &Path, command: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut answer = [0; 4096];
    let length = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// `$REDIS_PATH`, else `redis-server` on the path, else what `make setup` chose.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("REDIS_PATH") {
        return path.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("redis-server")).find(|file| file.is_file());
    on_path.or_else(chosen_by_setup).expect("no redis-server: run `make setup`, or set REDIS_PATH")
}

fn chosen_by_setup() -> Option<PathBuf> {
    let choices = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.run/setup.env");
    let choices = fs::read_to_string(choices).ok()?;
    choices.lines().find_map(|line| Some(line.strip_prefix("REDIS_PATH='")?.strip_suffix('\'')?.into()))
}
