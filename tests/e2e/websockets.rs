//! WebSockets over HTTP/1.1 and HTTP/2 (RFC 8441): judged like the GET that they are, counted once, and held until they end.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use boundgate_testbed::{Client, EnvoyConfig, Socket, Testbed};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::expectations::{alices_token, with};

/// A service that takes every upgrade and sends back whatever comes.
struct Service {
    address: SocketAddr,
    opened: Arc<AtomicUsize>,
}

impl Service {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let opened = Arc::<AtomicUsize>::default();
        let count = opened.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that goes away is nothing to report.
                tokio::spawn(serve(stream, count.clone()));
            }
        });
        Self { address, opened }
    }

    fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, opened: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    if !String::from_utf8_lossy(&head).to_ascii_lowercase().contains("upgrade: websocket") {
        return stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    }
    opened.fetch_add(1, Ordering::SeqCst);
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
    stream.write_all(answer).await?;
    let (mut from, mut to) = stream.split();
    tokio::io::copy(&mut from, &mut to).await.map(drop)
}

fn envoy(service: &Service) -> EnvoyConfig {
    let config = with(|config| {
        config["resources"][0]["routes"].as_array_mut().expect("a list").push(
            json!({"path": "/socket", "methods": ["GET"], "scopes": ["read:orders"], "limits": ["opened", "at-once"]}),
        );
        config["limits"]["opened"] = json!({"key": ["client_id"], "rate": "2/h"});
        config["limits"]["at-once"] = json!({"key": ["client_id"], "in_flight": 1});
    });
    config.cluster_at("upstream", service.address).edit(|envoy: &mut Value| {
        let http = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        http["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
        http["http2_protocol_options"]["allow_connect"] = json!(true);
    })
}

/// What is sent comes back: the connection goes through the proxy.
async fn talks(socket: &mut Socket) {
    socket.send(b"hello").await.expect("it is open");
    assert_eq!(socket.receive(5).await.expect("it is open"), b"hello");
}

/// Opens one as soon as the place of the one before is free.
async fn opens(alice: &Client, token: &str) -> Socket {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        match alice.websocket("/socket", Some(token)).await {
            Ok(socket) => return socket,
            Err(status) => assert!(status == 429 && tokio::time::Instant::now() < deadline, "{status}"),
        }
    }
}

async fn is_judged_and_counted(version: fn(Client) -> Client) {
    let service = Service::start().await;
    let bed = Testbed::start(envoy(&service)).await;
    let (alice, bob) = (version(bed.client("alice")), version(bed.client("bob")));
    let token = alices_token(&bed).await;
    for (client, path, token, status) in [
        (&alice, "/socket", None, 401),
        (&bob, "/socket", Some(token.as_str()), 401),
        (&alice, "/nowhere", Some(&token), 404),
        (&alice, "/%2e%2e/socket", Some(&token), 400),
    ] {
        assert_eq!(client.websocket(path, token).await.err(), Some(status), "{path}");
    }
    assert_eq!(service.opened(), 0);
    let mut first = opens(&alice, &token).await;
    for _ in 0..10 {
        talks(&mut first).await;
    }
    assert_eq!(alice.websocket("/socket", Some(&token)).await.err(), Some(429), "one at once");
    talks(&mut first).await;
    drop(first);
    // What was said cost nothing, and neither did the refusals: of the two that the budget has, one is left.
    talks(&mut opens(&alice, &token).await).await;
    assert_eq!(alice.websocket("/socket", Some(&token)).await.err(), Some(429), "the budget is spent");
    assert_eq!(service.opened(), 2);
}

#[tokio::test]
async fn over_http1_it_is_judged_like_a_get_counted_once_and_holds_its_place() {
    is_judged_and_counted(|client| client).await;
}

#[tokio::test]
async fn over_http2_it_is_judged_like_a_get_counted_once_and_holds_its_place() {
    is_judged_and_counted(|client| client.http2()).await;
}

#[tokio::test]
async fn a_plain_connect_never_passes_where_websockets_do() {
    let service = Service::start().await;
    let bed = Testbed::start(envoy(&service)).await;
    let token = alices_token(&bed).await;
    let head = format!(
        "CONNECT api.example.com:443 HTTP/1.1\r\nhost: api.example.com\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    let answer = bed.client("alice").raw(head).await.expect("an answer");
    assert!([403, 404, 501].contains(&answer.status), "{} {}", answer.status, answer.text());
    assert_eq!(service.opened(), 0);
}
