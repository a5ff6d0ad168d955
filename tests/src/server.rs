//! One HTTP server for both roles here: HTTP/1.1 and HTTP/2, plain or mTLS. In: a [`Service`]. Out: an address.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use http_body_util::combinators::BoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::server::TlsStream;

use crate::key_exchange::{self, provider};
use crate::pki::Pki;

/// Something was waited for and did not happen in time.
#[derive(Debug)]
pub struct Timeout(pub String);

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timed out: {}", self.0)
    }
}

impl std::error::Error for Timeout {}

/// Waits until `condition` gives a value, at most a minute: what will come is late on a machine whose cores are busy.
pub(crate) async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> Result<T, Timeout> {
    let wait = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.map_err(|_| Timeout(what.to_owned()))
}

/// The body of a response, with or without trailers.
pub(crate) type Body = BoxBody<Bytes, Infallible>;

/// What a server does with a request.
pub(crate) trait Service: Send + Sync + 'static {
    /// Answers; `peer` is the client's certificate, if it sent one.
    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Option<CertificateDer<'static>>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// A running server. It ends when dropped.
#[derive(Debug)]
pub(crate) struct Server<S: Service> {
    address: SocketAddr,
    service: Arc<S>,
    tls: Option<Tls>,
    task: Mutex<JoinHandle<()>>,
}

/// How connections begin.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    warm_up: Arc<WarmUp>,
}

/// Why first handshakes are slow.
#[derive(Default)]
struct WarmUp {
    /// How long after the first connection no handshake ends, as on a machine that has just started.
    lasts: Mutex<Duration>,
    first: OnceLock<Instant>,
    /// How long each handshake takes until one has ended, as where the work itself is slow.
    each: Mutex<Duration>,
    ended: AtomicBool,
}

impl Tls {
    /// With the certificate for servers. One of the client's is asked for, not demanded.
    pub(crate) fn new(pki: &Pki) -> Self {
        let provider = provider(key_exchange::EVERY);
        let verifier = WebPkiClientVerifier::builder_with_provider(pki.roots(), provider.clone())
            .allow_unauthenticated()
            .build()
            .expect("the CA can be used");
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has TLS 1.2 and 1.3")
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![pki.server().der().clone()], pki.server().private_key())
            .expect("the server's key fits its certificate");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), warm_up: Arc::default() }
    }

    async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let first = *self.warm_up.first.get_or_init(Instant::now);
        let lasts = *self.warm_up.lasts.lock().expect("nobody panicked with it");
        tokio::time::sleep_until((first + lasts).into()).await;
        if !self.warm_up.ended.load(Ordering::SeqCst) {
            let each = *self.warm_up.each.lock().expect("nobody panicked with it");
            tokio::time::sleep(each).await;
        }
        let stream = self.acceptor.accept(stream).await.ok()?;
        self.warm_up.ended.store(true, Ordering::SeqCst);
        Some(stream)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl<S: Service> Server<S> {
    /// Listens on 127.0.0.1; port 0 takes a free one.
    pub(crate) async fn start(service: S, tls: Option<Tls>, port: u16) -> Self {
        let service = Arc::new(service);
        let (address, task) = listen((Ipv4Addr::LOCALHOST, port).into(), service.clone(), tls.clone()).await;
        Self { address, service, tls, task: Mutex::new(task) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn service(&self) -> &S {
        &self.service
    }

    /// Closes the port and every connection: from now on connections are refused.
    pub(crate) async fn stop(&self) {
        let task = self.task();
        task.abort();
        // Connections and socket are gone only once the task is.
        eventually("the server's end", async || task.is_finished().then_some(())).await.expect("a task ends");
    }

    /// Opens the same port again.
    pub(crate) async fn restart(&self) {
        let (_, task) = listen(self.address, self.service.clone(), self.tls.clone()).await;
        *self.task.lock().expect("nobody panicked with it") = task;
    }

    /// Until so long after the first connection no handshake ends.
    pub(crate) fn warms_up(&self, lasts: Duration) {
        if let Some(tls) = &self.tls {
            *tls.warm_up.lasts.lock().expect("nobody panicked with it") = lasts;
        }
    }

    /// Each handshake takes so long, until one has ended.
    pub(crate) fn first_handshake_takes(&self, lasts: Duration) {
        if let Some(tls) = &self.tls {
            *tls.warm_up.each.lock().expect("nobody panicked with it") = lasts;
        }
    }

    fn task(&self) -> tokio::task::AbortHandle {
        self.task.lock().expect("nobody panicked with it").abort_handle()
    }
}

impl<S: Service> Drop for Server<S> {
    fn drop(&mut self) {
        self.task().abort();
    }
}

async fn listen<S: Service>(address: SocketAddr, service: Arc<S>, tls: Option<Tls>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(address).await.unwrap_or_else(|e| panic!("cannot listen on {address}: {e}"));
    let address = listener.local_addr().expect("a bound socket has an address");
    let task = tokio::spawn(async move {
        // Dropped with this task, and with it every connection.
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream, service.clone(), tls.clone()));
            while connections.try_join_next().is_some() {}
        }
    });
    (address, task)
}

async fn serve<S: Service>(stream: TcpStream, service: Arc<S>, tls: Option<Tls>) {
    // Replies are small: Nagle's algorithm would only delay them.
    let _ = stream.set_nodelay(true);
    match tls {
        None => serve_http(stream, service, None).await,
        Some(tls) => {
            let Some(stream) = tls.accept(stream).await else { return };
            let peer = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned();
            serve_http(stream, service, peer).await;
        }
    }
}

async fn serve_http<S: Service>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: Arc<S>,
    peer: Option<CertificateDer<'static>>,
) {
    let answer = service_fn(move |request| {
        let (service, peer) = (service.clone(), peer.clone());
        async move { Ok::<_, Infallible>(service.answer(request, peer).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    // A client that goes away is nothing to report.
    let _ = pin!(builder.serve_connection(TokioIo::new(stream), answer)).await;
}
