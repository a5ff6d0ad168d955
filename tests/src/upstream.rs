//! The service behind the proxy. In: requests, over HTTP/1.1 or HTTP/2, with TLS or without. Out: 200 with what it received as
//! JSON, and a record of every request.
//!
//! The caller can steer it:
//! * `x-upstream-status: <code>`; it then answers gRPC calls as a server that knows no gRPC.
//! * `x-upstream-field: <name>: <value>` adds a field, as often as it is there.
//! * `x-upstream-grpc-status: <code>` ends a gRPC call in a head without body, `x-upstream-grpc-trailers: <code>` in trailers behind
//!   a message; with `never` the message has no end.
//! * `x-upstream-events: <n>` answers with so many events (`text/event-stream`) and no end.
//! * `x-upstream-delay-ms: <n>`, `x-upstream-hang: 1`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName};
use hyper::{Request, Response};
use serde_json::json;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::pki::Pki;
use crate::server::{Body, Server, Service, Tls};

/// A request as it reached the upstream.
#[derive(Clone, Debug)]
pub struct Received {
    /// The method.
    pub method: String,
    /// The host the client asked for.
    pub authority: String,
    /// Path and query, as sent.
    pub path: String,
    /// Every header field in order, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Whether it came to its end.
    pub complete: bool,
    /// Length of the body in bytes.
    pub body_len: usize,
    /// Every trailer field, names in lower case.
    pub trailers: Vec<(String, Vec<u8>)>,
}

impl Received {
    /// The first field of this name, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        let field = self.headers.iter().find(|(field, _)| field == name);
        field.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }
}

/// A running upstream. It ends when dropped.
#[derive(Debug)]
pub struct Upstream(Server<Echo>);

#[derive(Debug, Default)]
struct Echo {
    received: Mutex<Vec<Received>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

/// A request that is not answered yet, nor given up.
struct UnderWay(Arc<Echo>);

impl UnderWay {
    fn begin(echo: &Arc<Echo>) -> Self {
        let now = echo.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        echo.most_under_way.fetch_max(now, Ordering::SeqCst);
        Self(echo.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Upstream {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        Self(Server::start(Echo::default(), None, 0).await)
    }

    /// The same with TLS.
    pub async fn start_with_tls(pki: &Pki) -> Self {
        Self(Server::start(Echo::default(), Some(Tls::new(pki)), 0).await)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Every request so far, oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.0.service().received.lock().expect("nobody panicked with it").clone()
    }

    /// How many requests came so far.
    pub fn count(&self) -> usize {
        self.0.service().received.lock().expect("nobody panicked with it").len()
    }

    /// The most requests that were under way at one moment.
    pub fn most_at_once(&self) -> usize {
        self.0.service().most_under_way.load(Ordering::SeqCst)
    }
}

impl Service for Echo {
    async fn answer(self: Arc<Self>, request: Request<Incoming>, _: Option<CertificateDer<'static>>) -> Response<Body> {
        let _under_way = UnderWay::begin(&self);
        let (head, body) = request.into_parts();
        let body = body.collect().await;
        let complete = body.is_ok();
        let body = body.unwrap_or_default();
        let trailers = body.trailers().cloned().unwrap_or_default();
        let body_len = body.to_bytes().len();
        let received = Received {
            method: head.method.to_string(),
            authority: match head.uri.authority() {
                Some(authority) => authority.to_string(),
                None => text(head.headers.get("host")).unwrap_or_default(),
            },
            path: head.uri.path_and_query().map_or(String::from("*"), ToString::to_string),
            headers: fields(&head.headers),
            complete,
            body_len,
            trailers: fields(&trailers),
        };
        let steer = |name| text(head.headers.get(name));
        let fields = received.headers.iter().map(|(name, value)| [name.clone(), String::from_utf8_lossy(value).into()]);
        let fields: Vec<[String; 2]> = fields.collect();
        let echo = json!({
            "method": received.method,
            "path": received.path,
            "headers": fields,
            "body_len": body_len,
        });
        self.received.lock().expect("nobody panicked with it").push(received);

        if steer("x-upstream-hang").is_some() {
            std::future::pending::<()>().await;
        }
        if let Some(delay) = steer("x-upstream-delay-ms").and_then(|delay| delay.parse().ok()) {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        let status = steer("x-upstream-status").and_then(|status| status.parse().ok());
        let grpc = steer("content-type").is_some_and(|kind| kind.starts_with("application/grpc")) && status.is_none();
        let mut response = Response::builder().status(status.unwrap_or(200_u16));
        for field in head.headers.get_all("x-upstream-field") {
            let field = field.to_str().expect("a field of text");
            let (name, value) = field.split_once(": ").expect("a name and a value");
            response = response.header(name, value);
        }
        let events = steer("x-upstream-events").and_then(|events| events.parse().ok());
        if let Some(events) = events {
            let events: String = (1..=events).map(|event: u32| format!("data: {event}\n\n")).collect();
            let response = response.header("content-type", "text/event-stream");
            let body = Full::from(events).with_trailers(std::future::pending()).boxed();
            return response.body(body).expect("status and headers are valid");
        }
        let kind = if grpc { "application/grpc" } else { "application/json" };
        let response = response.header("content-type", kind);
        let response = match (grpc, steer("x-upstream-grpc-trailers")) {
            (false, _) => response.body(Full::from(format!("{echo}\n")).boxed()),
            (true, None) => {
                let code = steer("x-upstream-grpc-status").unwrap_or(String::from("0"));
                response.header("grpc-status", code).body(Body::default())
            }
            (true, Some(code)) if code == "never" => {
                response.body(Full::from(vec![0; 5]).with_trailers(std::future::pending()).boxed())
            }
            (true, Some(code)) => {
                let code = code.parse().expect("a code that a field can carry");
                let trailers = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), code)]);
                response.body(Full::from(vec![0; 5]).with_trailers(std::future::ready(Some(Ok(trailers)))).boxed())
            }
        };
        response.expect("status and headers are valid")
    }
}

fn fields(map: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    map.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}

fn text(value: Option<&hyper::header::HeaderValue>) -> Option<String> {
    value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
