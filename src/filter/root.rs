//! The root context: takes the configuration, sends the worker's calls, gets their answers, ticks.
//!
//! A root may be replaced while its calls are under way: it stays until the last one is answered, because an answer
//! to a root that is gone reaches nobody and streams of the next root may wait for it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use prost::Message as _;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use crate::VERSION;
use crate::config;
use crate::filter::abi;
use crate::filter::abi::headers::{self, Map};
use crate::filter::abi::root::Buffer;
use crate::filter::callbacks::HttpStream;
use crate::filter::host::{Envoy, now, set_clock};
use crate::filter::plugin::Plugin;
use crate::host::Host;
use crate::limit::fleet::{RateLimitCall, rls};
use crate::policy::Policy;
use crate::worker::{AnswerFields, Answered, CallId, Fetch, FetchFailed, HttpAnswer, Message, Pace};

/// For refreshes and time-outs; a call that a stream needs is sent at once.
const TICK: Duration = Duration::from_millis(100);
/// While requests wait for a rate-limit service, whose time-outs are short, or refusals for a body, which is soon there.
const PRESSED_TICK: Duration = Duration::from_millis(5);
/// While requests stand in line that may go on: what else the worker has to do comes between two batches.
const BATCH_TICK: Duration = Duration::from_millis(1);

/// The largest answer of a rate-limit service that is read: it has one status.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// See the module.
pub struct Root {
    id: u32,
    setup: Option<(Rc<Plugin>, Rc<Policy>)>,
    /// What is under way, and the longest answer that is of use.
    calls: BTreeMap<Token, (CallId, usize)>,
    pace: Pace,
    dying: bool,
}

/// The proxy's number of a call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Token {
    Http(u32),
    Grpc(u32),
}

impl Root {
    /// A root that is not configured yet.
    pub fn new(id: u32) -> Self {
        Self { id, setup: None, calls: BTreeMap::new(), pace: Pace::Calm, dying: false }
    }

    fn send_calls(&mut self, plugin: &Plugin) {
        while let Some(call) = plugin.next_call() {
            let (sent, max_bytes) = match &call.message {
                Message::Fetch(fetch) => (send_fetch(fetch), fetch.max_bytes),
                Message::RateLimitCall(call) => (send_rate_limit_call(call), MAX_ANSWER_BYTES),
            };
            match sent {
                Some(token) => {
                    self.calls.insert(token, (call.id, max_bytes));
                }
                None => plugin.engine.worker.borrow_mut().not_sent(call.id),
            }
        }
        self.keep_pace(plugin);
    }

    /// Ticks come often while somebody waits for a service, or in line.
    fn keep_pace(&mut self, plugin: &Plugin) {
        let pace = plugin.engine.worker.borrow().pace();
        let tick = match pace {
            Pace::Calm => TICK,
            Pace::Pressed => PRESSED_TICK,
            Pace::Batches => BATCH_TICK,
        };
        if pace != self.pace && abi::root::set_tick_period(tick).is_ok() {
            self.pace = pace;
        }
    }

    /// A call ended: those that waited for it go on, the first of them at once.
    fn ended(&mut self, token: Token, answer: impl FnOnce(usize) -> Result<Answered, FetchFailed>) {
        let Some((plugin, _)) = self.setup.clone() else { return };
        let Some((call, max_bytes)) = self.calls.remove(&token) else { return };
        plugin.engine.worker.borrow_mut().answered(call, answer(max_bytes), &Envoy, now());
        plugin.resume(self.id);
        self.end_of_call(&plugin);
    }

    /// The last thing in a callback that ends a call: a replaced root goes with its last one.
    fn end_of_call(&mut self, plugin: &Plugin) {
        self.send_calls(plugin);
        plugin.engine.publish();
        if self.dying && self.calls.is_empty() {
            // Deletes this context right after the callback.
            let _ = abi::root::end();
        }
    }
}

/// Sends a fetch; the proxy's number of it, or `None`.
fn send_fetch(fetch: &Fetch) -> Option<Token> {
    let head =
        [(":method", fetch.method), (":scheme", "https"), (":authority", &fetch.authority), (":path", &fetch.path)];
    let headers = head.into_iter().chain(fetch.headers.iter().map(|(name, value)| (&**name, &**value))).collect();
    let body = (!fetch.body.is_empty()).then_some(&*fetch.body);
    hostcalls::dispatch_http_call(&fetch.cluster, headers, body, Vec::new(), fetch.timeout).ok().map(Token::Http)
}

/// Sends a call; the proxy's number of it, or `None`.
fn send_rate_limit_call(call: &RateLimitCall) -> Option<Token> {
    // A plain cluster name that happens to be valid protobuf ends the whole proxy, so it is always wrapped.
    let target = GrpcService { envoy: Some(EnvoyGrpc { cluster_name: call.service.cluster.to_string() }) };
    let target = String::from_utf8(target.encode_to_vec()).ok()?;
    let (service, method) = (rls::GRPC_SERVICE, rls::GRPC_METHOD);
    let sent = hostcalls::dispatch_grpc_call(&target, service, method, Vec::new(), Some(&call.body), call.timeout);
    sent.ok().map(Token::Grpc)
}

/// `envoy.config.core.v3.GrpcService`
#[derive(Clone, PartialEq, prost::Message)]
struct GrpcService {
    #[prost(message, optional, tag = "1")]
    envoy: Option<EnvoyGrpc>,
}

/// `envoy.config.core.v3.GrpcService.EnvoyGrpc`
#[derive(Clone, PartialEq, prost::Message)]
struct EnvoyGrpc {
    #[prost(string, tag = "1")]
    cluster_name: String,
}

/// The answer to the HTTP call whose callback is running.
fn answer(headers: usize, body: usize, max_bytes: usize) -> Result<HttpAnswer, FetchFailed> {
    if headers == 0 {
        return Err(FetchFailed::NoAnswer);
    }
    let status = headers::get(Map::Answer, ":status").ok().flatten();
    let status =
        status.and_then(|status| std::str::from_utf8(&status).ok()?.parse().ok()).ok_or(FetchFailed::NoAnswer)?;
    // One byte more than is accepted is enough to be refused.
    let wanted = body.min(max_bytes.saturating_add(1));
    let body = abi::root::bytes(Buffer::Answer, wanted).unwrap_or_default();
    let field = |name| headers::get(Map::Answer, name).ok().flatten();
    let fields = AnswerFields {
        cache_control: field("cache-control"),
        age: field("age"),
        location: field("location"),
        content_encoding: field("content-encoding"),
        content_type: field("content-type"),
        etag: field("etag"),
    };
    // The proxy writes it into what a server answers, and has none in what it answers itself.
    let by_proxy = status >= 500 && field("x-envoy-upstream-service-time").is_none();
    Ok(HttpAnswer { status, by_proxy, fields, body })
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, _: usize) {
        self.ended(Token::Http(token), |max_bytes| answer(headers, body, max_bytes).map(Answered::Http));
    }

    fn on_grpc_call_response(&mut self, token: u32, status: u32, size: usize) {
        self.ended(Token::Grpc(token), |max_bytes| {
            if status != 0 || size > max_bytes {
                return Err(FetchFailed::NoAnswer);
            }
            abi::root::bytes(Buffer::GrpcAnswer, size).map(Answered::Grpc).map_err(|_| FetchFailed::NoAnswer)
        });
    }

    fn on_done(&mut self) -> bool {
        self.dying = !self.calls.is_empty();
        !self.dying
    }
}

impl RootContext for Root {
    /// `false` only for what the configuration alone decides: where a worker refuses what the main thread accepted,
    /// Envoy leaves the filter out.
    fn on_configure(&mut self, size: usize) -> bool {
        log::info!("boundgate {VERSION}");
        let bytes = abi::root::bytes(Buffer::Configuration, size).unwrap_or_default();
        let loaded = config::load(&bytes).and_then(|policy| {
            config::check_secrets(&policy, &|name| Envoy.variable(name))?;
            Ok(policy)
        });
        let policy = match loaded {
            Ok(policy) => Rc::new(policy),
            Err(findings) => {
                for finding in findings.iter() {
                    match finding.position {
                        Some(at) => {
                            log::error!("configuration refused, line {}, column {}: {finding}", at.line, at.column);
                        }
                        None => log::error!("configuration refused: {finding}"),
                    }
                }
                return false;
            }
        };
        for warning in policy.warnings() {
            log::warn!("{warning}");
        }
        for missing in policy.missing_digests(&Envoy) {
            log::error!("{missing}");
        }
        set_clock();
        self.setup = Some((Plugin::adopt(&policy), policy));
        if abi::root::set_tick_period(TICK).is_err() {
            log::error!("the proxy gives no tick: keys are fetched on demand only");
        }
        true
    }

    fn on_tick(&mut self) {
        let Some((plugin, _)) = self.setup.clone() else { return };
        if plugin.is_woken() {
            self.send_calls(&plugin);
            return;
        }
        set_clock();
        plugin.engine.worker.borrow_mut().tick(&Envoy, now());
        plugin.resume(self.id);
        plugin.answer(self.id);
        self.send_calls(&plugin);
        plugin.engine.publish();
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(HttpStream::new(id, self.id, self.setup.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
