//! curl and wget, as the system has them. Their users look at the exit status first: an answer is right where that is as well.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::cells::Case;
use crate::clients::Client;
use crate::languages::finished;

type Surroundings = BTreeMap<&'static str, String>;

/// Whether the program is there, in this version.
pub fn is_there(client: &Client) -> bool {
    let mut named = client.name.split(' ');
    let [program, version] = [named.next(), named.next()].map(Option::unwrap_or_default);
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    output.is_ok_and(|output| {
        let told = String::from_utf8_lossy(&output.stdout).to_lowercase();
        output.status.success() && told.contains(format!("{program} {version}").trim_end())
    })
}

/// Has it do what the case says.
pub async fn run(client: &Client, case: Case, surroundings: &Surroundings) -> Result<Value, String> {
    if client.name == "wget" {
        return wget(case, surroundings).await;
    }
    let mut curl = Curl { command: Command::new("curl"), surroundings, http1: client.name.ends_with("HTTP/1.1") };
    let alice = Some("TOKEN");
    match case {
        Case::Honest => curl.transfer(alice, "/orders/7", 1, &[]),
        Case::Resumed => curl.transfer(None, "/mesh", 3, &["-H", "connection: close"]),
        Case::Small => curl.transfer(None, "/orders", 20, &["--data-binary", &curl.file("small")]),
        Case::Medium => {
            curl.transfer(None, "/orders", 20, &["--data-binary", &curl.file("medium")]);
            curl.transfer(None, "/orders", 20, &["--data-binary", &curl.file("medium-large")]);
        }
        Case::Large => curl.transfer(None, "/orders", 2, &["--data-binary", &curl.file("large")]),
        Case::Kept => {
            curl.transfer(None, "/orders", 3, &["--data-binary", &curl.file("small")]);
            curl.transfer(alice, "/orders/7", 1, &[]);
        }
        Case::Retry => curl.transfer(alice, "/limited", 2, &["--retry", "3"]),
        Case::Stream => return curl.stream().await,
        Case::Challenge => return Err(String::from("curl reads no challenges")),
    }
    let output = finished(&mut curl.command).await?;
    Ok(json!({ "answers": output.lines().map(answer).collect::<Vec<_>>() }))
}

/// From a line of exit status, HTTP status and words.
fn answer(line: &str) -> Value {
    let mut parts = line.splitn(3, ' ');
    let [exit, status, words] = [(); 3].map(|()| parts.next().unwrap_or_default());
    if exit == "0" { json!(status.parse::<u16>().ok()) } else { json!(format!("({exit}) {words}")) }
}

struct Curl<'s> {
    command: Command,
    surroundings: &'s Surroundings,
    http1: bool,
}

impl Curl<'_> {
    fn file(&self, name: &str) -> String {
        format!("@{}/{name}", self.surroundings["PKI"])
    }

    /// The same request so many times, over the connections that are there.
    fn transfer(&mut self, token: Option<&str>, path: &str, times: usize, more: &[&str]) {
        let of = |name: &str| self.surroundings[name].as_str();
        if self.command.get_args().next().is_some() {
            self.command.arg("--next");
        }
        let pki = of("PKI");
        self.command.args(["--silent", "--max-time", "10", "--write-out", "%{exitcode} %{http_code} %{errormsg}\n"]);
        self.command.args(["--cacert", &format!("{pki}/ca.pem"), "--cert", &format!("{pki}/alice.pem")]);
        self.command.args(["--key", &format!("{pki}/alice.key"), "-H", &format!("x-cell: {}", of("CELL"))]);
        self.command.args(self.http1.then_some("--http1.1")).args(more);
        if let Some(token) = token {
            self.command.args(["-H", &format!("authorization: Bearer {}", of(token))]);
        }
        for _ in 0..times {
            // Not /dev/null: before it tries again, curl cuts the file.
            self.command.args(["--output", &format!("{pki}/body"), &format!("{}{path}", of("URL"))]);
        }
    }

    /// A refused one, then one that is read as it comes and given up.
    async fn stream(mut self) -> Result<Value, String> {
        self.transfer(None, "/events", 1, &[]);
        let refused = finished(&mut self.command).await?;
        self.command = Command::new("curl");
        let more = ["--no-buffer", "--dump-header", "-", "-H", "x-upstream-events: 3", "--output", "-"];
        self.transfer(Some("TOKEN"), "/events", 0, &more);
        self.command.arg(format!("{}/events", self.surroundings["URL"]));
        let mut child = self.command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
        let lines = BufReader::new(child.stdout.take().expect("stdout is a pipe")).lines();
        let mut lines = lines.map_while(Result::ok);
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse::<u16>().ok());
        let events: Vec<_> = lines.filter(|line| line.starts_with("data: ")).take(3).collect();
        let _ = child.kill();
        let _ = child.wait();
        Ok(json!({ "answers": [answer(refused.trim_end()), status], "events": events }))
    }
}

/// Exit status 6 is 401, 8 any other error that the server told (wget's manual).
async fn wget(case: Case, surroundings: &Surroundings) -> Result<Value, String> {
    let pki = &surroundings["PKI"];
    let file = |name| format!("--post-file={pki}/{name}");
    let (path, times, more) = match case {
        Case::Honest => ("/orders/7", 1, format!("--header=authorization: Bearer {}", surroundings["TOKEN"])),
        Case::Small => ("/orders", 20, file("small")),
        Case::Large => ("/orders", 2, file("large")),
        _ => return Err(format!("wget is not tried in {}", case.name())),
    };
    let mut answers = Vec::new();
    for _ in 0..times {
        let mut command = Command::new("wget");
        command.args(["--quiet", "--tries=1", "--timeout=10", "--output-document=/dev/null"]);
        command.args([format!("--ca-certificate={pki}/ca.pem"), format!("--certificate={pki}/alice.pem")]);
        command.args([format!("--private-key={pki}/alice.key"), format!("--header=x-cell: {}", surroundings["CELL"])]);
        let said = finished(command.arg(more.as_str()).arg(format!("{}{path}", surroundings["URL"]))).await;
        answers.push(match said {
            Ok(_) => json!(200),
            Err(why) if why.starts_with("exit status: 6") => json!(401),
            Err(why) => json!(why),
        });
    }
    Ok(json!({ "answers": answers }))
}
