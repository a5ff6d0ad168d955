//! A page in headless Chromium, of another origin than the API, against `envoy/browsers.yaml`: what it can read of each answer.
//! In: `browser/page.html`. Skipped where there is no Chromium.

use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use boundgate_testbed::{EnvoyConfig, Testbed};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// As it is called where it is installed.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Longer than a browser takes to start on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(120);

const CHALLENGE: &[&str] = &["www-authenticate"];
const LIMITED: &[&str] = &["ratelimit", "ratelimit-policy"];

/// Problem titles are read from bodies: the whole answer has come through.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_reads_every_refusal() {
    let Some(chromium) = NAMES.into_iter().find(|name| version(name).is_some()) else {
        eprintln!("skipped: pages in browsers: there is no Chromium");
        return;
    };
    let page = Page::open().await;
    let origin = page.origin();
    let bed = Testbed::start(EnvoyConfig::shipped_in("envoy/browsers.yaml").edit(move |envoy| {
        let policy = &mut cors(envoy)["allow_origin_string_match"][0]["exact"];
        assert_eq!(policy, "https://app.example.com");
        *policy = json!(origin);
    }))
    .await;
    let told = page.told_by(chromium, &bed).await;

    let expected = [
        ("a proof without nonce", 401, &["dpop-nonce", "www-authenticate"][..]),
        ("a proof", 200, LIMITED),
        ("the same proof", 401, CHALLENGE),
        ("honest", 200, LIMITED),
        ("no token", 401, CHALLENGE),
        ("not a token", 401, CHALLENGE),
        ("no scope", 403, CHALLENGE),
        ("a refused body", 403, CHALLENGE),
        ("no such route", 404, &[]),
        ("no such method", 405, &["allow"]),
        ("a path trick", 400, &[]),
        ("too long", 414, &[]),
        ("over the limit", 429, &["ratelimit", "ratelimit-policy", "retry-after"]),
    ];
    for ((name, status, fields), told) in expected.into_iter().zip(told.as_array().expect("a list")) {
        assert_eq!(
            (&told["name"], &told["status"], &told["fields"]),
            (&json!(name), &json!(status), &json!(fields)),
            "{told}"
        );
        assert_eq!(told["problem"].is_string(), status != 200, "{told}");
    }
    assert_eq!(told.as_array().map(Vec::len), Some(expected.len()), "{told}");
    // One with a proof; ten pass in a burst, and more while it fills again; no refused request, and no preflight.
    let received = bed.upstream.received();
    assert!(received.iter().all(|request| (&*request.method, &*request.path) == ("GET", "/orders/7")), "{received:?}");
    assert!(received.len() >= 11, "{received:?}");
}

/// The policy of the virtual host.
fn cors(envoy: &mut Value) -> &mut Value {
    let http = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    &mut http["route_config"]["virtual_hosts"][0]["typed_per_filter_config"]["envoy.filters.http.cors"]
}

fn version(name: &str) -> Option<()> {
    let output = Command::new(name).arg("--version").stdin(Stdio::null()).output().ok()?;
    output.status.success().then_some(())
}

/// The server of a page, which takes what the page tells.
struct Page(TcpListener);

impl Page {
    async fn open() -> Self {
        Self(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port"))
    }

    fn origin(&self) -> String {
        let port = self.0.local_addr().expect("a bound socket has an address").port();
        format!("http://localhost:{port}")
    }

    /// Opens the page in a browser, until it has told what it saw.
    async fn told_by(&self, chromium: &str, bed: &Testbed) -> Value {
        let claims = || bed.authority.claims().client("page");
        let (token, weak) = (claims().scope("read:orders").sign(), claims().scope("other").sign());
        let url = format!("{}/?api=https://api.example.com&token={token}&weak={weak}", self.origin());
        let profile = tempfile::Builder::new().prefix("boundgate-browser-").tempdir().expect("a temporary folder");
        let api = bed.envoy.address("boundgate");
        let key = STANDARD.encode(digest(&SHA256, &bed.pki.server().public_key_der()));
        let mut browser = Command::new(chromium);
        browser
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--host-resolver-rules=MAP api.example.com:443 {api}"))
            .arg(format!("--ignore-certificate-errors-spki-list={key}"))
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let _browser = Running(browser.spawn().expect("the browser can be started"));
        let bound = |jkt: &Value| claims().client("app").scope("read:orders").set("cnf", json!({ "jkt": jkt })).sign();
        let told = async {
            loop {
                let (stream, _) = self.0.accept().await.expect("a connection");
                // The browser opens some that it does not use, and leaves them.
                if let Ok(Some(told)) = serve(stream, bound).await {
                    return told;
                }
            }
        };
        tokio::time::timeout(PATIENCE, told).await.expect("the page tells what it saw")
    }
}

/// A browser, until it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Answers one request; what the page told, if it was that. It gets tokens for its key, made by `bound`.
async fn serve(stream: TcpStream, bound: impl Fn(&Value) -> String) -> std::io::Result<Option<Value>> {
    let mut stream = BufReader::new(stream);
    let (mut request, mut line, mut length) = (String::new(), String::new(), 0);
    stream.read_line(&mut request).await?;
    while stream.read_line(&mut line).await? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let said = || serde_json::from_slice::<Value>(&body).expect("JSON");
    let page = match &request {
        page if page.starts_with("GET /?") => include_str!("browser/page.html").to_owned(),
        token if token.starts_with("POST /token") => json!(bound(&said())).to_string(),
        _ => String::new(),
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length:";
    stream.write_all(format!("{head} {}\r\n\r\n{page}", page.len()).as_bytes()).await?;
    stream.flush().await?;
    Ok(request.starts_with("POST /told").then(said))
}
