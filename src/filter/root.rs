//! The root context: takes the configuration, sends the worker's calls, gets their answers, ticks.
//!
//! A root may be replaced while its calls are under way: it stays until the last one is answered, because an answer
//! to a root that is gone reaches nobody and streams of the next root may wait for it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use prost::Message;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use crate::config;
use crate::filter::abi;
use crate::filter::abi::headers::{self, Map};
use crate::filter::abi::root::Buffer;
use crate::filter::host::{Envoy, now, set_clock};
use crate::filter::plugin::Plugin;
use crate::filter::stream::HttpStream;
use crate::jose::MAX_KEY_SET_BYTES;
use crate::limit::fleet::{Ask, AskId, CallFailed as AskFailed, rls};
use crate::policy::Policy;
use crate::worker::{Call, Fetch, FetchFailed, FetchId, HttpAnswer};

/// For refreshes and time-outs; a call that a stream needs is sent at once.
const TICK: Duration = Duration::from_millis(100);
/// While requests wait for a rate-limit service, whose time-outs are short.
const PRESSED_TICK: Duration = Duration::from_millis(5);

/// The largest answer of a rate-limit service that is read: it has one status.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// See the module.
pub struct Root {
    id: u32,
    setup: Option<(Rc<Plugin>, Rc<Policy>)>,
    fetches: BTreeMap<u32, FetchId>,
    asks: BTreeMap<u32, AskId>,
    pressed: bool,
    dying: bool,
}

impl Root {
    /// A root that is not configured yet.
    pub fn new(id: u32) -> Self {
        Self { id, setup: None, fetches: BTreeMap::new(), asks: BTreeMap::new(), pressed: false, dying: false }
    }

    fn send_calls(&mut self, plugin: &Plugin) {
        while let Some(call) = plugin.next_call() {
            let sent = match &call {
                Call::Fetch(fetch) => send_fetch(fetch).map(|token| {
                    self.fetches.insert(token, fetch.id);
                }),
                Call::Ask(ask) => send_ask(ask).map(|token| {
                    self.asks.insert(token, ask.id);
                }),
            };
            if sent.is_none() {
                plugin.not_sent(call);
            }
        }
        self.keep_pace(plugin);
    }

    /// Ticks come often while somebody waits for a service.
    fn keep_pace(&mut self, plugin: &Plugin) {
        let pressed = plugin.worker.borrow().is_pressed();
        if pressed != self.pressed && abi::root::set_tick_period(if pressed { PRESSED_TICK } else { TICK }).is_ok() {
            self.pressed = pressed;
        }
    }

    fn fetched(&self, plugin: &Plugin, fetch: FetchId, answer: Result<HttpAnswer, FetchFailed>) {
        let wake = plugin.worker.borrow_mut().fetched(fetch, answer, &Envoy, now());
        plugin.resume(wake, self.id);
    }

    fn told(&self, plugin: &Plugin, ask: AskId, answer: Result<Vec<u8>, AskFailed>) {
        let wake = plugin.worker.borrow_mut().told(ask, answer, now());
        plugin.resume(wake, self.id);
    }

    /// The last thing in a callback that ends a call: a replaced root goes with its last one.
    fn end_of_call(&mut self, plugin: &Plugin) {
        self.send_calls(plugin);
        plugin.publish();
        if self.dying && self.fetches.is_empty() && self.asks.is_empty() {
            // Deletes this context right after the callback.
            let _ = abi::root::end();
        }
    }
}

/// Sends a fetch; the proxy's number of it, or `None`.
fn send_fetch(fetch: &Fetch) -> Option<u32> {
    let source = &fetch.source;
    let headers = vec![
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", &*source.authority),
        (":path", &*source.path),
        ("accept", "application/jwk-set+json, application/json"),
    ];
    hostcalls::dispatch_http_call(&source.cluster, headers, None, Vec::new(), source.timeout).ok()
}

/// Sends an ask; the proxy's number of it, or `None`.
fn send_ask(ask: &Ask) -> Option<u32> {
    // A plain cluster name that happens to be valid protobuf ends the whole proxy, so it is always wrapped.
    let target = GrpcService { envoy: Some(EnvoyGrpc { cluster_name: ask.service.cluster.to_string() }) };
    let target = String::from_utf8(target.encode_to_vec()).ok()?;
    let (service, method) = (rls::GRPC_SERVICE, rls::GRPC_METHOD);
    hostcalls::dispatch_grpc_call(&target, service, method, Vec::new(), Some(&ask.body), ask.timeout).ok()
}

/// `envoy.config.core.v3.GrpcService`
#[derive(Clone, PartialEq, Message)]
struct GrpcService {
    #[prost(message, optional, tag = "1")]
    envoy: Option<EnvoyGrpc>,
}

/// `envoy.config.core.v3.GrpcService.EnvoyGrpc`
#[derive(Clone, PartialEq, Message)]
struct EnvoyGrpc {
    #[prost(string, tag = "1")]
    cluster_name: String,
}

/// The answer to the HTTP call whose callback is running.
fn answer(headers: usize, body: usize) -> Result<HttpAnswer, FetchFailed> {
    if headers == 0 {
        return Err(FetchFailed::NoAnswer);
    }
    let status = headers::get(Map::Answer, ":status").ok().flatten();
    let status =
        status.and_then(|status| std::str::from_utf8(&status).ok()?.parse().ok()).ok_or(FetchFailed::NoAnswer)?;
    // One byte more than is accepted is enough to be refused.
    let wanted = body.min(MAX_KEY_SET_BYTES.saturating_add(1));
    let body = abi::root::bytes(Buffer::Answer, wanted).unwrap_or_default();
    Ok(HttpAnswer { status, body })
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, _: usize) {
        let Some((plugin, _)) = self.setup.clone() else { return };
        let Some(fetch) = self.fetches.remove(&token) else { return };
        self.fetched(&plugin, fetch, answer(headers, body));
        self.end_of_call(&plugin);
    }

    fn on_grpc_call_response(&mut self, token: u32, status: u32, size: usize) {
        let Some((plugin, _)) = self.setup.clone() else { return };
        let Some(ask) = self.asks.remove(&token) else { return };
        let wanted = size.min(MAX_ANSWER_BYTES);
        let body = || abi::root::bytes(Buffer::GrpcAnswer, wanted).ok();
        let answer = if status == 0 && size <= MAX_ANSWER_BYTES { body() } else { None };
        self.told(&plugin, ask, answer.ok_or(AskFailed));
        self.end_of_call(&plugin);
    }

    fn on_done(&mut self) -> bool {
        self.dying = !(self.fetches.is_empty() && self.asks.is_empty());
        !self.dying
    }
}

impl RootContext for Root {
    /// `false` only for what the configuration alone decides: where a worker refuses what the main thread accepted,
    /// Envoy leaves the filter out.
    fn on_configure(&mut self, size: usize) -> bool {
        let bytes = abi::root::bytes(Buffer::Configuration, size).unwrap_or_default();
        let policy = match config::load(&bytes) {
            Ok(policy) => Rc::new(policy),
            Err(findings) => {
                for finding in findings.iter() {
                    log::error!("configuration refused: {finding}");
                }
                return false;
            }
        };
        for warning in policy.warnings() {
            log::warn!("{warning}");
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
        for call in plugin.take_unsent() {
            match call {
                Call::Fetch(fetch) => self.fetched(&plugin, fetch.id, Err(FetchFailed::NotSent)),
                Call::Ask(ask) => self.told(&plugin, ask.id, Err(AskFailed)),
            }
        }
        let wake = plugin.worker.borrow_mut().tick(&Envoy, now());
        plugin.resume(wake, self.id);
        self.send_calls(&plugin);
        plugin.publish();
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(HttpStream::new(id, self.id, self.setup.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
