//! An HTTP client that sends exactly what it is told. In: method, path, headers, an identity. Out: [`Answer`].
//!
//! HTTP/1.1 requests are written byte for byte. HTTP/2 requests go through hyper, which refuses a few malformed
//! paths. Every request opens a new connection unless the client was told to [keep](Client::kept) one.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Frame};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::{PathAndQuery, Scheme};
use hyper_util::rt::{TokioExecutor, TokioIo};
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, RootCertStore};

use crate::answer::{Answer, Link};
use crate::http1::{self, Fields, Response, Stream};
use crate::key_exchange::{self, KeyExchange, provider};
use crate::pki::{Identity, Pki};
use crate::server::Body;
use crate::wire::Counted;

/// A server that says nothing for this long has said everything.
const SILENCE: Duration = Duration::from_millis(500);

/// Somebody who calls.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    pub(crate) authority: String,
    tls: Option<Tls>,
    pub(crate) http2: bool,
    kept: Option<Arc<Mutex<Option<Connection>>>>,
}

#[derive(Clone)]
struct Tls {
    roots: Arc<RootCertStore>,
    identity: Option<Arc<Identity>>,
    groups: Vec<KeyExchange>,
    tls12: bool,
    resume: bool,
    /// Made of the fields above; kept because resumption needs the same one again.
    config: Arc<ClientConfig>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({} at {})", self.authority, self.address)
    }
}

impl Client {
    /// Somebody who calls a server without TLS.
    pub fn plain(address: SocketAddr, authority: &str) -> Self {
        Self { address, authority: authority.to_owned(), tls: None, http2: false, kept: None }
    }

    /// Somebody who calls a server whose certificate `pki` signed, with a certificate of his own or without.
    pub fn tls(address: SocketAddr, authority: &str, pki: &Pki, identity: Option<Arc<Identity>>) -> Self {
        let roots = pki.roots();
        let groups = key_exchange::CLASSICAL.to_vec();
        let config = config(&roots, identity.as_deref(), &groups, false, false, false);
        let tls = Tls { roots, identity, groups, tls12: false, resume: false, config };
        Self { tls: Some(tls), ..Self::plain(address, authority) }
    }

    /// The certificate it presents.
    pub fn identity(&self) -> Option<&Arc<Identity>> {
        self.tls.as_ref()?.identity.as_ref()
    }

    /// The same client over HTTP/2.
    pub fn http2(&self) -> Self {
        Self { http2: true, kept: None, ..self.clone() }.with_tls(|_| {})
    }

    /// The same client, limited to TLS 1.2.
    pub fn tls12(&self) -> Self {
        self.clone().with_tls(|tls| tls.tls12 = true)
    }

    /// The same client; it offers these groups for the key exchange, the first one most.
    pub fn key_exchange(&self, groups: &[KeyExchange]) -> Self {
        self.clone().with_tls(|tls| tls.groups = groups.to_vec())
    }

    /// The same client; it resumes TLS sessions of earlier connections.
    pub fn resuming(&self) -> Self {
        self.clone().with_tls(|tls| tls.resume = true)
    }

    /// The same client; it uses one connection for all its requests, and so do its clones.
    pub fn kept(&self) -> Self {
        Self { kept: Some(Arc::default()), ..self.clone() }
    }

    /// The same identity, calling another server.
    pub fn at(&self, address: SocketAddr, authority: &str) -> Self {
        Self { address, authority: authority.to_owned(), kept: None, ..self.clone() }
    }

    /// A GET.
    pub fn get(&self, path: impl AsRef<[u8]>) -> Request<'_> {
        self.request("GET", path)
    }

    /// A POST, without a body unless one is given.
    pub fn post(&self, path: impl AsRef<[u8]>) -> Request<'_> {
        self.request("POST", path)
    }

    /// A unary gRPC call with an empty message. Only over HTTP/2.
    pub fn grpc(&self, path: impl AsRef<[u8]>) -> Request<'_> {
        self.post(path).header("content-type", "application/grpc").header("te", "trailers").body([0; 5])
    }

    /// Any method.
    pub fn request(&self, method: &str, path: impl AsRef<[u8]>) -> Request<'_> {
        Request {
            client: self,
            method: method.to_owned(),
            path: path.as_ref().to_vec(),
            authority: self.authority.clone(),
            headers: Vec::new(),
            body: Vec::new(),
            streamed: false,
            trailers: Vec::new(),
        }
    }

    /// Sends these bytes over HTTP/1.1 on a new connection and reads one response.
    pub async fn raw(&self, request: impl AsRef<[u8]>) -> io::Result<Answer> {
        assert!(!self.http2, "raw bytes are for HTTP/1.1");
        let (stream, link) = self.connect().await?;
        let response = http1::Connection::new(stream).exchange(request.as_ref(), false).await?;
        Ok(Answer::new(response, link, 0))
    }

    /// Sends these bytes on a new connection and returns what comes back until the server closes it or is silent for half a
    /// second. For an HTTP/2 client these are frames, with the preface.
    pub async fn frames(&self, frames: impl AsRef<[u8]>) -> io::Result<Vec<u8>> {
        let (mut stream, _) = self.connect().await?;
        stream.write_all(frames.as_ref()).await?;
        let (mut received, mut part) = (Vec::new(), [0; 4096]);
        while let Ok(Ok(length @ 1..)) = tokio::time::timeout(SILENCE, stream.read(&mut part)).await {
            received.extend_from_slice(&part[..length]);
        }
        Ok(received)
    }

    /// Makes a new connection and counts the bytes of its TLS handshake, flight by flight, the client's first.
    pub async fn handshake(&self) -> io::Result<Vec<usize>> {
        let stream = Counted::new(TcpStream::connect(self.address).await?);
        Ok(self.shake_hands(self.tls.as_ref().expect("a client with TLS"), stream).await?.get_ref().0.flights())
    }

    fn with_tls(mut self, change: impl FnOnce(&mut Tls)) -> Self {
        if let Some(tls) = &mut self.tls {
            change(tls);
            tls.config = config(&tls.roots, tls.identity.as_deref(), &tls.groups, tls.tls12, tls.resume, self.http2);
        }
        self
    }

    pub(crate) async fn connect(&self) -> io::Result<(Box<dyn Stream>, Link)> {
        let since = OffsetDateTime::now_utc();
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let client = stream.local_addr()?;
        let Some(tls) = &self.tls else {
            return Ok((Box::new(stream), Link { client, since, resumed: false, group: None }));
        };
        let stream = self.shake_hands(tls, stream).await?;
        let connection = stream.get_ref().1;
        let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let group = connection.negotiated_key_exchange_group().and_then(|group| KeyExchange::named(group.name()));
        Ok((Box::new(stream), Link { client, since, resumed, group }))
    }

    async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(&self, tls: &Tls, stream: S) -> io::Result<TlsStream<S>> {
        let host = self.authority.split(':').next().unwrap_or_default().to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        TlsConnector::from(tls.config.clone()).connect(name, stream).await
    }

    async fn open(&self) -> io::Result<Connection> {
        let (stream, link) = self.connect().await?;
        let protocol = if self.http2 {
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(io::Error::other)?;
            tokio::spawn(connection);
            Protocol::Http2(sender)
        } else {
            Protocol::Http1(http1::Connection::new(stream))
        };
        Ok(Connection { protocol, link, count: 0 })
    }

    async fn send(&self, request: &Request<'_>) -> io::Result<Answer> {
        let Some(kept) = &self.kept else { return self.open().await?.send(request).await };
        let mut slot = kept.lock().await;
        let connection = match &mut *slot {
            Some(connection) => connection,
            empty => empty.insert(self.open().await?),
        };
        // HTTP/2 requests go side by side, so the lock is not held for them.
        if let Protocol::Http2(sender) = &connection.protocol {
            let (sender, link, nth) = (sender.clone(), connection.link, connection.count);
            connection.count += 1;
            drop(slot);
            return Ok(Answer::new(send_http2(sender, request).await?, link, nth));
        }
        let answer = connection.send(request).await;
        if answer.as_ref().map_or(true, |answer| answer.header("connection").as_deref() == Some("close")) {
            *slot = None;
        }
        answer
    }
}

/// A request about to be sent.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `send`"]
pub struct Request<'c> {
    client: &'c Client,
    method: String,
    path: Vec<u8>,
    authority: String,
    headers: Fields,
    body: Vec<u8>,
    streamed: bool,
    trailers: Fields,
}

impl Request<'_> {
    /// Adds a header field; fields may repeat, and values may be any bytes.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Adds `authorization: Bearer <token>`.
    pub fn token(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Asks for another host than the client's usual one.
    pub fn authority(mut self, authority: &str) -> Self {
        self.authority = authority.to_owned();
        self
    }

    /// Sends this body.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// Does not say beforehand how long the body is: in chunks over HTTP/1.1.
    pub fn streamed(self) -> Self {
        Self { streamed: true, ..self }
    }

    /// Adds a trailer field, behind the body (HTTP/2 only).
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    /// Method and path, for people.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, String::from_utf8_lossy(&self.path))
    }

    /// Sends it; panics if there is no answer at all.
    pub async fn send(self) -> Answer {
        let what = self.line();
        self.try_send().await.unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Sends it; an error if the connection fails or ends without an answer.
    pub async fn try_send(self) -> io::Result<Answer> {
        self.client.send(&self).await
    }

    fn http1_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut push = |parts: &[&[u8]]| parts.iter().for_each(|part| bytes.extend_from_slice(part));
        push(&[self.method.as_bytes(), b" ", &self.path, b" HTTP/1.1\r\nhost: ", self.authority.as_bytes(), b"\r\n"]);
        for (name, value) in &self.headers {
            push(&[name.as_bytes(), b": ", value, b"\r\n"]);
        }
        if self.streamed {
            push(&[b"transfer-encoding: chunked\r\n\r\n"]);
            for chunk in self.body.chunks(1000) {
                push(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"]);
            }
            push(&[b"0\r\n\r\n"]);
            return bytes;
        }
        if !self.body.is_empty() || self.method == "POST" {
            push(&[format!("content-length: {}\r\n", self.body.len()).as_bytes()]);
        }
        push(&[b"\r\n", &self.body]);
        bytes
    }

    fn http2_request(&self) -> io::Result<hyper::Request<Body>> {
        let uri = hyper::Uri::builder()
            .scheme(Scheme::HTTPS)
            .authority(self.authority.as_str())
            .path_and_query(PathAndQuery::from_maybe_shared(self.path.clone()).map_err(io::Error::other)?)
            .build()
            .map_err(io::Error::other)?;
        let mut request = hyper::Request::builder().method(self.method.as_str()).uri(uri);
        for (name, value) in &self.headers {
            request = request.header(name, value.as_slice());
        }
        let body = Full::from(self.body.clone());
        let body = if self.streamed {
            Streamed(body).boxed()
        } else if self.trailers.is_empty() {
            body.boxed()
        } else {
            let field = |(name, value): &(String, Vec<u8>)| -> io::Result<_> {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?;
                Ok((name, HeaderValue::from_bytes(value).map_err(io::Error::other)?))
            };
            let trailers = self.trailers.iter().map(field).collect::<io::Result<HeaderMap>>()?;
            body.with_trailers(std::future::ready(Some(Ok(trailers)))).boxed()
        };
        request.body(body).map_err(io::Error::other)
    }
}

/// A body that does not say how long it is.
struct Streamed(Full<Bytes>);

impl hyper::body::Body for Streamed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }
}

struct Connection {
    protocol: Protocol,
    link: Link,
    count: usize,
}

enum Protocol {
    Http1(http1::Connection),
    Http2(SendRequest<Body>),
}

impl Connection {
    async fn send(&mut self, request: &Request<'_>) -> io::Result<Answer> {
        let nth = self.count;
        self.count += 1;
        let response = match &mut self.protocol {
            Protocol::Http1(connection) => {
                connection.exchange(&request.http1_bytes(), request.method == "HEAD").await?
            }
            Protocol::Http2(sender) => send_http2(sender.clone(), request).await?,
        };
        Ok(Answer::new(response, self.link, nth))
    }
}

async fn send_http2(mut sender: SendRequest<Body>, request: &Request<'_>) -> io::Result<Response> {
    let response = sender.send_request(request.http2_request()?).await.map_err(io::Error::other)?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?;
    let trailers = body.trailers().map(fields).unwrap_or_default();
    let (status, headers) = (head.status.as_u16(), fields(&head.headers));
    Ok(Response { status, headers, body: body.to_bytes().into(), trailers })
}

fn fields(map: &hyper::HeaderMap) -> Fields {
    map.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}

fn config(
    roots: &Arc<RootCertStore>,
    identity: Option<&Identity>,
    groups: &[KeyExchange],
    tls12: bool,
    resume: bool,
    http2: bool,
) -> Arc<ClientConfig> {
    let versions = if tls12 { &[&TLS12][..] } else { &[&TLS13, &TLS12] };
    let builder = ClientConfig::builder_with_provider(provider(groups))
        .with_protocol_versions(versions)
        .expect("ring has TLS 1.2 and 1.3")
        .with_root_certificates(roots.clone());
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder
            .with_client_auth_cert(vec![identity.der().clone()], identity.private_key())
            .expect("an identity's key fits its certificate"),
    };
    config.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    if !resume {
        config.resumption = Resumption::disabled();
    }
    Arc::new(config)
}
