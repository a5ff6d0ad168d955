//! A running server: port, connections and knobs. In: [`Config`]. Out: an address.

use std::convert::Infallible;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::clock::Clock;
use crate::fixed_windows::FixedWindows;
use crate::grpc::{self, Body, Code, Status};
#[cfg(feature = "limitador")]
use crate::in_memory::InMemory;
use crate::limits::Limits;
use crate::messages::RateLimitResponse;
use crate::service::{Answer, Asked, Decider, Service};
use crate::store::Store;

/// The one method there is.
const METHOD: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/// Which real server is stood for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// envoyproxy/ratelimit. Servers with one Redis share their counters, like replicas.
    Fixed {
        /// `redis://127.0.0.1:6379` or `redis+unix:///path`. It need not answer yet.
        redis_url: String,
    },
    /// Limitador with its counters in memory.
    #[cfg(feature = "limitador")]
    Limitador,
}

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which real server is stood for.
    pub mode: Mode,
    /// The limits, one set per domain.
    pub limits: Vec<Limits>,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether `response_headers_to_add` is filled: `RateLimit-*` (LIMIT_RESPONSE_HEADERS_ENABLED) or `X-RateLimit-*`
    /// (Limitador's DRAFT_VERSION_03).
    pub response_headers: bool,
    /// The clock that fixed windows follow. Limitador's follow the machine's.
    pub clock: Clock,
}

impl Config {
    /// On a free port of 127.0.0.1, with the real time and without fields, as both servers are unless told otherwise.
    pub fn new(mode: Mode, limits: Limits) -> Self {
        let listen = (Ipv4Addr::LOCALHOST, 0).into();
        Self { mode, limits: vec![limits], listen, response_headers: false, clock: Clock::default() }
    }
}

/// Why a server did not start.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// A running server. It ends when dropped.
pub struct RateLimitServer {
    address: SocketAddr,
    service: Arc<Service>,
    task: Mutex<JoinHandle<()>>,
}

impl fmt::Debug for RateLimitServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl RateLimitServer {
    /// Starts a server; it answers as soon as this returns.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let decider = match &config.mode {
            Mode::Fixed { redis_url } => {
                let store = Store::new(redis_url).map_err(|error| StartError(format!("{redis_url}: {error}")))?;
                Decider::Fixed(FixedWindows::new(config.limits, store, config.clock, config.response_headers))
            }
            #[cfg(feature = "limitador")]
            Mode::Limitador => {
                let limiter = InMemory::new(&config.limits, config.response_headers);
                Decider::Limitador(limiter.map_err(|error| StartError(error.to_string()))?)
            }
        };
        let service = Arc::new(Service::new(decider));
        let (address, task) = listen(config.listen, service.clone()).await?;
        Ok(Self { address, service, task: Mutex::new(task) })
    }

    /// Where it listens, also while stopped.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many asks arrived.
    pub fn calls(&self) -> u64 {
        self.service.calls.load(Ordering::Relaxed)
    }

    /// The ask that arrived last.
    pub fn last_asked(&self) -> Option<Asked> {
        self.service.last.lock().expect("nobody panicked with it").clone()
    }

    /// What callers get from now on. Asks are counted all the same.
    pub fn answer_with(&self, answer: Answer) {
        *self.service.answer.lock().expect("nobody panicked with it") = answer;
    }

    /// Every answer takes that much longer, as if the server were farther away.
    pub fn set_distance(&self, distance: Duration) {
        *self.service.distance.lock().expect("nobody panicked with it") = distance;
    }

    /// Connections are accepted and asks counted, but answers wait until [`release_answers`](Self::release_answers).
    pub fn hold_answers(&self) {
        self.service.held.send_replace(true);
    }

    /// Sends the answers held, and later ones at once.
    pub fn release_answers(&self) {
        self.service.held.send_replace(false);
    }

    /// SHADOW_MODE of envoyproxy/ratelimit: the overall code is always OK, the statuses stay. Limitador has none.
    pub fn set_shadow(&self, shadow: bool) {
        self.service.shadow.store(shadow, Ordering::Relaxed);
    }

    /// Fails every ask at once for want of a store, gRPC UNKNOWN or UNAVAILABLE, and counts nothing. With a Redis that is
    /// really gone only the first ask fails; later ones wait for it, as with envoyproxy/ratelimit.
    pub fn set_store_down(&self, down: bool) {
        self.service.store_down.store(down, Ordering::Relaxed);
    }

    /// Closes the port and every connection: from now on connections are refused.
    pub async fn stop(&self) {
        let task = self.task.lock().expect("nobody panicked with it").abort_handle();
        task.abort();
        // Connections and socket are gone only once the task is.
        while !task.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Opens the same port again; counters and knobs are what they were.
    pub async fn restart(&self) -> Result<(), StartError> {
        let (_, task) = listen(self.address, self.service.clone()).await?;
        *self.task.lock().expect("nobody panicked with it") = task;
        Ok(())
    }
}

impl Drop for RateLimitServer {
    fn drop(&mut self) {
        self.task.lock().expect("nobody panicked with it").abort();
    }
}

async fn listen(address: SocketAddr, service: Arc<Service>) -> Result<(SocketAddr, JoinHandle<()>), StartError> {
    let bound = TcpListener::bind(address).await;
    let listener = bound.map_err(|error| StartError(format!("cannot listen on {address}: {error}")))?;
    let address = listener.local_addr().map_err(|error| StartError(error.to_string()))?;
    let task = tokio::spawn(async move {
        // Dropped with this task, and with it every connection.
        let mut connections = JoinSet::new();
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, service.clone()));
            }
            while connections.try_join_next().is_some() {}
        }
    });
    Ok((address, task))
}

async fn serve(stream: TcpStream, service: Arc<Service>) {
    // Replies are small: Nagle's algorithm would only delay them.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |request| answer(request, service.clone()));
    let mut connection = http2::Builder::new(TokioExecutor::new());
    connection.timer(TokioTimer::new());
    // A client that goes away is nothing to report.
    let _ = pin!(connection.serve_connection(TokioIo::new(stream), answer)).await;
}

async fn answer(request: Request<Incoming>, service: Arc<Service>) -> Result<Response<Body>, Infallible> {
    if request.uri().path() != METHOD {
        let status = Status::new(Code::Unimplemented, "the one method here is ShouldRateLimit");
        return Ok(grpc::answered::<RateLimitResponse>(Err(status)));
    }
    let answer = match grpc::read(request).await {
        Ok(message) => service.should_rate_limit(message).await,
        Err(status) => Err(status),
    };
    Ok(match (answer, service.answer()) {
        (Ok(_), Answer::Bytes(bytes)) => grpc::bytes(&bytes),
        (answer, _) => grpc::answered(answer),
    })
}
