//! The gRPC method itself. In: a request. Out: what the server stood for would answer, after the knobs had their say.
//! An ask is counted before its answer is held or spoilt: what the caller sees says nothing about what was charged.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::fixed_windows::FixedWindows;
use crate::grpc::{Code, Status};
#[cfg(feature = "limitador")]
use crate::in_memory::InMemory;
use crate::messages::{RateLimitRequest, RateLimitResponse};

/// What callers get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// What the server stood for would say.
    #[default]
    Honest,
    /// The same with this `overall_code`: 0 is UNKNOWN, above 2 none is defined.
    OverallCode(i32),
    /// A gRPC failure.
    Failure(Code),
    /// These bytes in place of the message, with gRPC status OK.
    Bytes(Vec<u8>),
}

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The domain.
    pub domain: String,
    /// `hits_addend` of the request; 0 where absent.
    pub hits: u32,
    /// The descriptors in order.
    pub descriptors: Vec<Descriptor>,
}

/// A descriptor of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Keys and values in order.
    pub entries: Vec<(String, String)>,
    /// `hits_addend` of the descriptor.
    pub hits: Option<u64>,
}

impl From<&RateLimitRequest> for Asked {
    fn from(request: &RateLimitRequest) -> Self {
        let descriptors = request.descriptors.iter().map(|descriptor| Descriptor {
            entries: descriptor.entries.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect(),
            hits: descriptor.hits_addend.as_ref().map(|hits| hits.value),
        });
        Self { domain: request.domain.clone(), hits: request.hits_addend, descriptors: descriptors.collect() }
    }
}

pub(crate) enum Decider {
    Fixed(FixedWindows),
    #[cfg(feature = "limitador")]
    Limitador(InMemory),
}

pub(crate) struct Service {
    decider: Decider,
    pub(crate) calls: AtomicU64,
    pub(crate) last: Mutex<Option<Asked>>,
    pub(crate) answer: Mutex<Answer>,
    pub(crate) held: watch::Sender<bool>,
    pub(crate) distance: Mutex<Duration>,
    pub(crate) shadow: AtomicBool,
    pub(crate) store_down: AtomicBool,
}

impl Service {
    pub(crate) fn new(decider: Decider) -> Self {
        Self {
            decider,
            calls: AtomicU64::new(0),
            last: Mutex::default(),
            answer: Mutex::default(),
            held: watch::Sender::new(false),
            distance: Mutex::default(),
            shadow: AtomicBool::new(false),
            store_down: AtomicBool::new(false),
        }
    }

    pub(crate) fn answer(&self) -> Answer {
        self.answer.lock().expect("nobody panicked with it").clone()
    }

    async fn decide(&self, request: &RateLimitRequest) -> Result<RateLimitResponse, Status> {
        let store_down = self.store_down.load(Ordering::Relaxed);
        match &self.decider {
            Decider::Fixed(_) if store_down => Err(Status::unknown("redis is down")),
            #[cfg(feature = "limitador")]
            Decider::Limitador(_) if store_down => Err(Status::unavailable("Service unavailable")),
            Decider::Fixed(windows) => windows.decide(request, self.shadow.load(Ordering::Relaxed)).await,
            #[cfg(feature = "limitador")]
            Decider::Limitador(limiter) => limiter.decide(request),
        }
    }

    pub(crate) async fn should_rate_limit(&self, request: RateLimitRequest) -> Result<RateLimitResponse, Status> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        *self.last.lock().expect("nobody panicked with it") = Some(Asked::from(&request));

        let decision = self.decide(&request).await;
        let distance = *self.distance.lock().expect("nobody panicked with it");
        if !distance.is_zero() {
            tokio::time::sleep(distance).await;
        }
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        match self.answer() {
            Answer::Failure(code) => Err(Status::new(code, "as the test wanted")),
            Answer::OverallCode(overall_code) => Ok(RateLimitResponse { overall_code, ..decision? }),
            Answer::Honest | Answer::Bytes(_) => decision,
        }
    }
}
