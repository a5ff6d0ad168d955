//! The root context: takes the configuration, sends the worker's calls, gets their answers, ticks.
//!
//! A root may be replaced while its calls are under way: it stays until the last one is answered, because an answer
//! to a root that is gone reaches nobody and streams of the next root may wait for it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType, MapType};

use crate::config;
use crate::filter::host::{Envoy, now};
use crate::filter::plugin::Plugin;
use crate::filter::stream::HttpStream;
use crate::jose::MAX_KEY_SET_BYTES;
use crate::policy::Policy;
use crate::worker::{Call, CallFailed, CallId, HttpAnswer};

/// For refreshes and time-outs; a call that a stream needs is sent at once.
const TICK: Duration = Duration::from_millis(100);

/// See the module.
pub struct Root {
    id: u32,
    setup: Option<(Rc<Plugin>, Rc<Policy>)>,
    calls: BTreeMap<u32, CallId>,
    dying: bool,
}

impl Root {
    /// A root that is not configured yet.
    pub fn new(id: u32) -> Self {
        Self { id, setup: None, calls: BTreeMap::new(), dying: false }
    }

    fn send_calls(&mut self, plugin: &Plugin) {
        while let Some(call) = plugin.next_call() {
            match send(&call) {
                Some(token) => {
                    self.calls.insert(token, call.id);
                }
                None => plugin.not_sent(call.id),
            }
        }
    }

    fn answered(&self, plugin: &Plugin, call: CallId, answer: Result<HttpAnswer, CallFailed>) {
        let wake = plugin.worker.borrow_mut().answer(call, answer, &Envoy, now());
        plugin.resume(wake, self.id);
    }
}

/// Sends a call; the proxy's number of it, or `None`.
fn send(call: &Call) -> Option<u32> {
    let source = &call.source;
    let headers = vec![
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", &*source.authority),
        (":path", &*source.path),
        ("accept", "application/jwk-set+json, application/json"),
    ];
    hostcalls::dispatch_http_call(&source.cluster, headers, None, Vec::new(), source.timeout).ok()
}

/// The answer to the HTTP call whose callback is running.
fn answer(headers: usize, body: usize) -> Result<HttpAnswer, CallFailed> {
    if headers == 0 {
        return Err(CallFailed::NoAnswer);
    }
    let status = hostcalls::get_map_value_bytes(MapType::HttpCallResponseHeaders, ":status").ok().flatten();
    let status =
        status.and_then(|status| std::str::from_utf8(&status).ok()?.parse().ok()).ok_or(CallFailed::NoAnswer)?;
    // One byte more than is accepted is enough to be refused.
    let wanted = body.min(MAX_KEY_SET_BYTES.saturating_add(1));
    let body = hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, wanted).ok().flatten().unwrap_or_default();
    Ok(HttpAnswer { status, body })
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, _: usize) {
        let Some((plugin, _)) = self.setup.clone() else { return };
        let Some(call) = self.calls.remove(&token) else { return };
        self.answered(&plugin, call, answer(headers, body));
        self.send_calls(&plugin);
        plugin.publish();
        if self.dying && self.calls.is_empty() {
            // Deletes this context right after the callback.
            let _ = hostcalls::done();
        }
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
        let bytes = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size).ok().flatten().unwrap_or_default();
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
        self.setup = Some((Plugin::adopt(&policy), policy));
        if hostcalls::set_tick_period(TICK).is_err() {
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
        for call in plugin.take_unsent() {
            self.answered(&plugin, call, Err(CallFailed::NotSent));
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
