//! One HTTP stream: reads its head once, polls its exchange, applies the verdict, adds fields to the response.
//!
//! ```text
//! Fresh ──head──▶ Forwarded | Reported | Answered | Paused
//! Paused ──the worker named it──▶ Forwarded | Reported | Answered | Paused
//! Forwarded ──response, trailers──▶ Forwarded        Answered: the response headers seen are our own
//! ```

use std::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, MapType};

use crate::exchange::{Exchange, Outcome, Seen, Step, Surroundings, ended, responded};
use crate::filter::abi;
use crate::filter::host::{Envoy, now};
use crate::filter::plugin::Plugin;
use crate::limit::{Change, Dialects};
use crate::observe::{Decision, audit_record};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::time::{Now, UnixMillis};
use crate::verdict::{Answer, Forward, Refusal, Upstream, Verdict};
use crate::worker::ExchangeId;

/// Filter state that the interlock behind this filter demands.
const PASSED: &str = "boundgate";
/// Filter state with the audit record.
const AUDIT: &str = "boundgate_audit";

/// The part of a stream that the root context can reach while the stream waits.
pub struct Stream {
    state: State,
    dialects: Dialects,
}

enum State {
    Paused(Box<Exchange>),
    Forwarded(Forwarded),
    Reported,
    Answered,
}

struct Forwarded {
    forward: Forward,
    grpc: bool,
    /// When it was decided: what callers are told counts from then.
    at: UnixMillis,
    /// Of a response that limits wait for, until it is counted.
    outcome: Option<Outcome>,
    /// What was seen, if the outcome may show that it was more than a request.
    watched: Option<Box<Seen>>,
}

impl State {
    fn goes_on(&self) -> bool {
        matches!(self, State::Forwarded(..) | State::Reported)
    }
}

impl Stream {
    /// Polls the waiting exchange and lets the stream go on; `true` if it has to wait again. The stream must be the
    /// effective context.
    pub fn proceed(&mut self, plugin: &Plugin, now: Now) -> bool {
        let State::Paused(exchange) = &mut self.state else { return false };
        let Some(decided) = poll(exchange, plugin, now) else { return true };
        self.state = self.apply(decided, plugin);
        if self.state.goes_on() {
            // Last: the proxy lets go of the request headers here. It cannot fail for a live stream.
            let _ = hostcalls::resume_http_request();
        }
        false
    }

    fn apply(&self, decided: Decided, plugin: &Plugin) -> State {
        plugin.metrics.decided(&decided.verdict);
        set_filter_state(AUDIT, &decided.audit);
        let Decided { verdict, grpc, at, watched, .. } = decided;
        let sent = match &verdict {
            Verdict::Forward(forward) => send_upstream(forward.upstream()),
            Verdict::Report(_, upstream) => send_upstream(upstream),
            Verdict::Refuse(refusal) => return refuse(refusal, grpc, self.dialects),
        };
        match (sent, verdict) {
            (Err(FilterFailed), _) => refuse(&Reason::FilterUnavailable.into(), grpc, self.dialects),
            (Ok(()), Verdict::Forward(forward)) => {
                State::Forwarded(Forwarded { forward, grpc, at, outcome: None, watched })
            }
            (Ok(()), _) => State::Reported,
        }
    }
}

struct Decided {
    verdict: Verdict,
    audit: String,
    grpc: bool,
    at: UnixMillis,
    watched: Option<Box<Seen>>,
}

/// `None`: wait.
fn poll(exchange: &mut Exchange, plugin: &Plugin, now: Now) -> Option<Decided> {
    let mut worker = plugin.worker.borrow_mut();
    match exchange.poll(&mut Surroundings { worker: &mut worker, host: &Envoy, connection: &Envoy, now }) {
        Step::Done(verdict) => Some(decided(exchange, verdict, now.wall)),
        Step::Wait => None,
    }
}

fn decided(exchange: &mut Exchange, verdict: Verdict, at: UnixMillis) -> Decided {
    let audit = audit_record(exchange.seen(), (&verdict).into());
    let grpc = exchange.seen().grpc;
    let watched = matches!(&verdict, Verdict::Forward(forward) if forward.permits().watched());
    Decided { audit, grpc, at, verdict, watched: watched.then(|| Box::new(exchange.take_seen())) }
}

/// The proxy did not do what letting a request through rests on.
struct FilterFailed;

/// Everything a request needs to go upstream; the interlock's mark comes last.
fn send_upstream(upstream: &Upstream) -> Result<(), FilterFailed> {
    for name in &upstream.remove {
        hostcalls::remove_map_value(MapType::HttpRequestHeaders, name).map_err(|_| FilterFailed)?;
    }
    for (name, value) in &upstream.set {
        hostcalls::set_map_value(MapType::HttpRequestHeaders, name, Some(value)).map_err(|_| FilterFailed)?;
    }
    for (key, value) in &upstream.filter_state {
        hostcalls::set_property(vec![key], Some(value.as_bytes())).map_err(|_| FilterFailed)?;
    }
    hostcalls::set_property(vec![PASSED], Some(b"ok")).map_err(|_| FilterFailed)
}

fn refuse(refusal: &Refusal, grpc: bool, dialects: Dialects) -> State {
    let answer: Answer = refusal.answer(grpc, dialects, now().wall);
    if abi::send_local_response(&answer).is_err() {
        log::error!("the proxy did not take an answer; the request stays refused by the interlock");
    }
    State::Answered
}

/// Refuses a request whose head cannot be read, or that nobody may judge.
fn refuse_unread(reason: Reason) -> Action {
    refuse(&reason.into(), false, Dialects { draft: false, older: None });
    Action::Pause
}

fn set_filter_state(key: &str, value: &str) {
    // A lost audit record must not stop a request; Envoy refuses none of a declared or new key.
    let _ = hostcalls::set_property(vec![key], Some(value.as_bytes()));
}

/// A stream as the SDK sees it.
pub struct HttpStream {
    id: ExchangeId,
    root: u32,
    setup: Option<(Rc<Plugin>, Rc<Policy>)>,
    stream: Option<Rc<RefCell<Stream>>>,
}

impl HttpStream {
    /// A stream of the root context `root`; without `setup` everything is refused.
    pub fn new(id: u32, root: u32, setup: Option<(Rc<Plugin>, Rc<Policy>)>) -> Self {
        Self { id: ExchangeId(id), root, setup, stream: None }
    }

    fn begin(&mut self) -> Action {
        let Some((plugin, policy)) = &self.setup else { return refuse_unread(Reason::FilterUnavailable) };
        let head = match abi::request_headers() {
            Ok(head) => head,
            Err(reason) => return refuse_unread(reason),
        };
        let mut exchange = Exchange::new(self.id, policy.clone(), head);
        let dialects = policy.limit_fields;
        match poll(&mut exchange, plugin, now()) {
            Some(decided) => {
                let mut stream = Stream { state: State::Answered, dialects };
                stream.state = stream.apply(decided, plugin);
                let action = if stream.state.goes_on() { Action::Continue } else { Action::Pause };
                self.stream = Some(Rc::new(RefCell::new(stream)));
                action
            }
            None => {
                let stream = Rc::new(RefCell::new(Stream { state: State::Paused(Box::new(exchange)), dialects }));
                plugin.wait(self.id, &stream);
                self.stream = Some(stream);
                Action::Pause
            }
        }
    }
}

impl Forwarded {
    /// Counts a response that is still to be counted, now that there is no more to learn.
    fn count(&mut self, grpc_status: impl FnOnce() -> Option<Vec<u8>>, plugin: &Plugin) {
        let Some(outcome) = self.outcome.take() else { return };
        let status = outcome.finally(grpc_status().as_deref());
        let events = responded(self.forward.permits(), status, &mut plugin.worker.borrow_mut(), &Envoy, now());
        if let (Some(seen), false) = (&mut self.watched, events.is_empty()) {
            seen.events = events;
            set_filter_state(AUDIT, &audit_record(seen, Decision::Forwarded));
        }
    }
}

/// `grpc-status` of the response headers or trailers, if they have one.
fn grpc_status(map: MapType) -> Option<Vec<u8>> {
    hostcalls::get_map_value_bytes(map, "grpc-status").ok().flatten()
}

/// The outcome of a response that limits wait for: only the upstream's own, not what Envoy or another filter answers.
fn upstream_outcome(forwarded: &Forwarded) -> Option<Outcome> {
    if forwarded.forward.permits().pending().is_empty() {
        return None;
    }
    let details = hostcalls::get_property(vec!["response", "code_details"]).ok().flatten()?;
    if details != b"via_upstream" {
        return None;
    }
    let status = hostcalls::get_map_value_bytes(MapType::HttpResponseHeaders, ":status").ok().flatten()?;
    let status = std::str::from_utf8(&status).ok()?.parse().ok()?;
    Some(if forwarded.grpc {
        Outcome::of_call(status, grpc_status(MapType::HttpResponseHeaders).as_deref())
    } else {
        Outcome::Known(status)
    })
}

/// All lines of a response field, joined by commas. The map gives the first alone, and is cheaper to ask where there is none.
fn response_field(name: &'static str) -> Option<Vec<u8>> {
    hostcalls::get_map_value_bytes(MapType::HttpResponseHeaders, name).ok().flatten()?;
    hostcalls::get_property(vec!["response", "headers", name]).ok().flatten()
}

impl Context for HttpStream {}

impl HttpContext for HttpStream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let action = self.begin();
        if let Some((plugin, _)) = &self.setup {
            plugin.wake(self.root);
        }
        action
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if let (Some(stream), Some((plugin, _))) = (&self.stream, &self.setup) {
            let Stream { state, dialects } = &mut *stream.borrow_mut();
            if let State::Forwarded(forwarded) = state {
                forwarded.outcome = upstream_outcome(forwarded);
                if matches!(forwarded.outcome, Some(Outcome::Known(_))) {
                    forwarded.count(|| None, plugin);
                }
                for change in forwarded.forward.permits().fields(*dialects, forwarded.at, response_field) {
                    const MAP: MapType = MapType::HttpResponseHeaders;
                    // The response goes on without the field if the proxy refuses it.
                    let _ = match change {
                        Change::Add(name, value) => hostcalls::add_map_value(MAP, name, &value),
                        Change::Set(name, value) => hostcalls::set_map_value(MAP, name, Some(&value)),
                    };
                }
            }
        }
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        if let (Some(stream), Some((plugin, _))) = (&self.stream, &self.setup)
            && let State::Forwarded(forwarded) = &mut stream.borrow_mut().state
        {
            forwarded.count(|| grpc_status(MapType::HttpResponseTrailers), plugin);
        }
        Action::Continue
    }

    /// Comes once for every stream, however it ended.
    fn on_log(&mut self) {
        let Some((plugin, _)) = &self.setup else { return };
        plugin.abandon(self.id);
        let Some(stream) = self.stream.take() else { return };
        match &mut stream.borrow_mut().state {
            State::Paused(exchange) => exchange.leave(&mut plugin.worker.borrow_mut(), now()),
            State::Forwarded(forwarded) => {
                forwarded.count(|| None, plugin);
                let permits = forwarded.forward.permits();
                if !permits.held().is_empty() {
                    ended(permits, &plugin.worker.borrow(), &Envoy, now());
                }
            }
            State::Reported | State::Answered => {}
        }
    }
}
