//! One HTTP stream: reads its head once, polls its exchange, applies the verdict, adds fields to the response.
//!
//! ```text
//! Fresh ──head──▶ Forwarded | Reported | Refused | Answered | Paused
//! Paused ──the worker named it──▶ Forwarded | Reported | Refused | Answered | Paused
//! Refused ──its body has come, or does not──▶ Answered
//! Forwarded ──response, trailers──▶ Forwarded        Answered: the response headers seen are our own
//! ```

use std::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::exchange::{Exchange, InteractionId, Outcome, Seen, Step, Surroundings, ended, responded};
use crate::filter::abi;
use crate::filter::abi::headers::{self, Map};
use crate::filter::host::{Envoy, now};
use crate::filter::plugin::Plugin;
use crate::http::AnswerForm;
use crate::limit::{Change, Permits};
use crate::observe::{Decision, audit_record, stopped};
use crate::policy::{Dialects, Mark, Mode, Policy, Profile, Resource};
use crate::reason::Reason;
use crate::time::{Now, UnixMillis};
use crate::verdict::{Answer, Forward, Refusal, Upstream, Verdict};
use crate::worker::ExchangeId;

/// The most header fields of an answer that a filter behind this one may have made to refuse the request. Upstreams' have more, nearly
/// all: they are not asked about.
const FEW_FIELDS: usize = 4;
/// How the proxy's details of such an answer begin, if its RBAC filter made it, as the interlock is.
const DENIED: &[u8] = b"rbac_access_denied";

/// The part of a stream that the root context can reach while the stream waits.
pub struct Stream {
    id: ExchangeId,
    state: State,
    policy: Rc<Policy>,
    /// Whether more than the head belongs to the request.
    body_follows: bool,
    /// What the proxy had counted of the request when the head came, where it had to wait.
    head_bytes: Option<u64>,
    /// Whose rule says what may not stand in trailers either.
    resource: Option<Rc<Resource>>,
    /// What its answer carries, whoever makes that.
    interaction: Option<InteractionId>,
    /// Whether trailers came while the head waited; they go on with it.
    trailers_wait: bool,
}

enum State {
    Paused(Box<Exchange>),
    Forwarded(Forwarded),
    Reported,
    /// Not answered before its body has come: the connection would end with the answer.
    Refused(Box<Refusal>, AnswerForm),
    Answered,
}

struct Forwarded {
    forward: Forward,
    grpc: bool,
    /// When it was decided: what callers are told counts from then.
    at: UnixMillis,
    /// What they are told.
    told: Dialects,
    /// Whether the trailers of the response will say what limits wait for.
    in_trailers: bool,
    /// What was seen, if the outcome may show that it was more than a request.
    watched: Option<Box<Seen>>,
}

impl State {
    fn goes_on(&self) -> bool {
        matches!(self, State::Forwarded(..) | State::Reported)
    }
}

impl Stream {
    /// A stream in which nothing happened yet.
    fn new(id: ExchangeId, policy: Rc<Policy>, body_follows: bool) -> Self {
        let (state, head_bytes) = (State::Answered, None);
        Self { id, state, policy, body_follows, head_bytes, resource: None, interaction: None, trailers_wait: false }
    }

    /// Takes from the trailers what would not pass in the head either; whether the request may go on.
    fn strip_trailers(&self) -> bool {
        // A host that no resource lists is only reported here, and nothing of it is changed.
        let Some(resource) = &self.resource else { return true };
        let strip = || {
            let trailers = headers::all(Map::RequestTrailers).ok()?;
            let mut spoofed = trailers.names().filter(|name| resource.forward.spoofs_in_trailers(name));
            spoofed.try_for_each(|name| headers::remove(Map::RequestTrailers, name)).ok()
        };
        // Trailers that cannot be read are dropped (RFC 9110 6.5.1 allows it for any).
        let stripped = strip().is_some() || headers::clear(Map::RequestTrailers).is_ok();
        if !stripped {
            answer(&Reason::FilterUnavailable.into(), AnswerForm::Problem, self.policy.limit_fields);
        }
        stripped
    }

    /// Puts the number of the interaction on the response, whether it is the upstream's, the proxy's or our own.
    fn number_interaction(&self) {
        let waiting = || match &self.state {
            State::Paused(exchange) => exchange.seen().interaction.as_ref(),
            State::Forwarded(..) | State::Reported | State::Refused(..) | State::Answered => None,
        };
        if let Some(interaction) = self.interaction.as_ref().or_else(waiting) {
            // The response goes on without it if the proxy refuses it.
            let _ = headers::set(Map::Response, Profile::INTERACTION_ID, interaction.text());
        }
    }

    /// Has the record say that what went on here was refused behind, if the answer, which has so many `fields`, is the interlock's
    /// or its like.
    fn note_denial(&self, fields: usize) {
        if fields > FEW_FIELDS || !self.state.goes_on() {
            return;
        }
        let text = |path: &[&str]| String::from_utf8(abi::property::get(path)?).ok();
        let details = text(&["response", "code_details"]).filter(|details| details.as_bytes().starts_with(DENIED));
        let written = details.and_then(|details| stopped(&text(&[&self.policy.mark.audit])?, &details));
        if let Some(record) = written {
            set_filter_state(&self.policy.mark.audit, &record);
        }
    }

    /// Whether the proxy may take what came to the next filter.
    fn action(&self) -> Action {
        if self.state.goes_on() { Action::Continue } else { Action::Pause }
    }
}

impl Stream {
    /// Polls the waiting exchange and lets the stream go on; `true` if it has to wait again. The stream must be the
    /// effective context.
    pub fn proceed(&mut self, plugin: &Plugin, now: Now) -> bool {
        let State::Paused(exchange) = &mut self.state else { return false };
        let Some(decided) = poll(exchange, plugin, now) else { return true };
        self.state = self.apply(decided, plugin);
        if self.state.goes_on() && (!self.trailers_wait || self.strip_trailers()) {
            // Last: the proxy lets go of the request headers here. It cannot fail for a live stream.
            let _ = abi::stream::resume_request();
        }
        matches!(self.state, State::Refused(..))
    }

    /// Counted and recorded is what became of the request, once that is certain.
    fn apply(&mut self, decided: Decided, plugin: &Plugin) -> State {
        let Decided { verdict, seen, at } = decided;
        self.resource.clone_from(&seen.resource);
        self.interaction.clone_from(&seen.interaction);
        let verdict = carried_out(verdict, &self.policy.mark, plugin);
        plugin.metrics.decided(&verdict);
        set_filter_state(&self.policy.mark.audit, &audit_record(&seen, (&verdict).into()));
        match verdict {
            Verdict::Forward(forward) => {
                let grpc = seen.form == AnswerForm::Grpc;
                let told = self.policy.limit_fields_of(seen.resource.as_deref());
                let watched = forward.permits().watched().then(|| Box::new(seen));
                State::Forwarded(Forwarded { forward, grpc, at, told, in_trailers: false, watched })
            }
            Verdict::Report(..) => State::Reported,
            Verdict::Refuse(mut refusal) => {
                // Also where it is refused only because the proxy failed.
                refusal.request_id = seen.request_id;
                if self.awaits_body(plugin) {
                    State::Refused(Box::new(refusal), seen.form)
                } else {
                    answer(&refusal, seen.form, self.policy.limit_fields)
                }
            }
        }
    }

    /// Whether a refusal is to wait for the body.
    fn awaits_body(&self, plugin: &Plugin) -> bool {
        let field = |name| headers::get(Map::Request, name).ok().flatten();
        let rule = self.policy.awaited_body;
        let enforces = self.policy.mode_of(self.resource.as_deref()) == Mode::Enforce;
        let wait = || {
            let body = rule.of(field("content-length").as_deref(), field("expect").as_deref())?;
            let came = request_bytes()?;
            let complete = self.head_bytes.unwrap_or(came).saturating_add(body.into());
            let mut worker = plugin.worker.borrow_mut();
            (came < complete).then(|| worker.await_body(self.id, complete, rule.lasts, now().mono))
        };
        self.body_follows && enforces && wait().unwrap_or(false)
    }

    /// Answers the refused request if its body has come, or does not; `false` if it is to be looked at again. The stream must
    /// be the effective context.
    pub fn answer(&mut self, plugin: &Plugin, now: Now) -> bool {
        let State::Refused(refusal, form) = &self.state else { return true };
        // What cannot be counted is not waited for.
        let over = plugin.worker.borrow_mut().body_came(self.id, request_bytes().unwrap_or(u64::MAX), now.mono);
        if over {
            self.state = answer(refusal, *form, self.policy.limit_fields);
        }
        over
    }
}

struct Decided {
    verdict: Verdict,
    seen: Seen,
    at: UnixMillis,
}

/// `None`: wait.
fn poll(exchange: &mut Exchange, plugin: &Plugin, now: Now) -> Option<Decided> {
    let mut worker = plugin.worker.borrow_mut();
    match exchange.poll(&mut Surroundings { worker: &mut worker, host: &Envoy, connection: &Envoy, now }) {
        Step::Done(verdict) => Some(Decided { verdict, seen: exchange.take_seen(), at: now.wall }),
        Step::Wait => None,
    }
}

/// What a verdict comes to once the proxy was told: a refusal where it did not do what letting the request through rests
/// on. What the request held is given back then.
fn carried_out(verdict: Verdict, mark: &Mark, plugin: &Plugin) -> Verdict {
    let sent = match &verdict {
        Verdict::Forward(forward) => send_upstream(forward.upstream(), mark),
        Verdict::Report(_, upstream) => send_upstream(upstream, mark),
        Verdict::Refuse(_) => Ok(()),
    };
    match (sent, verdict) {
        (Ok(()), verdict) => verdict,
        (Err(FilterFailed), mut verdict) => {
            if let Verdict::Forward(forward) = &mut verdict {
                give_back(forward.permits_mut(), plugin);
            }
            Verdict::Refuse(Reason::FilterUnavailable.into())
        }
    }
}

/// The request does not go upstream after all: no outcome is to be waited for.
fn give_back(permits: &mut Permits, plugin: &Plugin) {
    let mut worker = plugin.worker.borrow_mut();
    responded(permits, None, &mut worker, &Envoy, now());
    ended(permits, &worker, &Envoy, now());
}

/// The proxy did not do what letting a request through rests on.
struct FilterFailed;

/// Everything a request needs to go upstream; the interlock's mark comes last.
fn send_upstream(upstream: &Upstream, mark: &Mark) -> Result<(), FilterFailed> {
    for name in &upstream.remove {
        headers::remove(Map::Request, name).map_err(|_| FilterFailed)?;
    }
    for (name, value) in &upstream.set {
        headers::set(Map::Request, name, value).map_err(|_| FilterFailed)?;
    }
    for (key, value) in &upstream.filter_state {
        abi::property::set_filter_state(key, value).map_err(|_| FilterFailed)?;
    }
    abi::property::set_filter_state(&mark.passed, "ok").map_err(|_| FilterFailed)
}

/// The bytes of the request that have come, more or less: with the same head, the difference is of the body.
fn request_bytes() -> Option<u64> {
    let bytes = abi::property::get(&["request", "total_size"])?;
    bytes.try_into().ok().map(u64::from_le_bytes)
}

fn answer(refusal: &Refusal, form: AnswerForm, dialects: Dialects) -> State {
    let answer: Answer = refusal.answer(form, dialects, now().wall);
    if abi::stream::send_local_response(&answer).is_err() {
        log::error!("the proxy did not take an answer; the request stays refused by the interlock");
    }
    State::Answered
}

/// Refuses a request where there is nobody to judge or to count it.
fn refuse_unjudged() -> Action {
    let seen = unread();
    let refusal = Refusal { request_id: seen.request_id.clone(), ..Reason::FilterUnavailable.into() };
    set_filter_state(&Mark::default().audit, &audit_record(&seen, Decision::Refused(&refusal)));
    answer(&refusal, seen.form, Dialects::NONE);
    Action::Pause
}

/// What is known of a request whose head cannot be read: in which form it wants its answer, and what the proxy calls it.
fn unread() -> Seen {
    let field = |name| headers::get(Map::Request, name).ok().flatten();
    let form = field("content-type").map_or(AnswerForm::Problem, |kind| AnswerForm::of(&kind));
    Seen { form, request_id: field("x-request-id").and_then(|id| Seen::request_id(&id)), ..Seen::default() }
}

fn set_filter_state(key: &str, value: &str) {
    // A lost audit record must not stop a request; Envoy refuses none of a declared or new key.
    let _ = abi::property::set_filter_state(key, value);
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

    /// Nothing passes before the head was judged.
    fn action(&self) -> Action {
        self.stream.as_ref().map_or(Action::Pause, |stream| stream.borrow().action())
    }

    fn begin(&mut self, body_follows: bool) -> Action {
        let Some((plugin, policy)) = &self.setup else { return refuse_unjudged() };
        let mut stream = Stream::new(self.id, policy.clone(), body_follows);
        let now = now();
        let decided = match headers::all(Map::Request) {
            Ok(head) => {
                let mut exchange = Exchange::new(self.id, policy.clone(), head);
                let decided = poll(&mut exchange, plugin, now);
                if decided.is_none() {
                    stream.state = State::Paused(Box::new(exchange));
                    stream.head_bytes = request_bytes();
                }
                decided
            }
            Err(reason) => Some(Decided { verdict: Verdict::Refuse(reason.into()), seen: unread(), at: now.wall }),
        };
        if let Some(decided) = decided {
            stream.state = stream.apply(decided, plugin);
        }
        let waits = matches!(stream.state, State::Paused(_) | State::Refused(..));
        let action = stream.action();
        let stream = Rc::new(RefCell::new(stream));
        if waits {
            plugin.wait(self.id, &stream);
        }
        self.stream = Some(stream);
        action
    }

    /// The response is complete, and its trailers, if it has some, stand in that map: counts a call that told no outcome before.
    fn ends_call(&self, trailers: Option<Map>) {
        if let (Some(stream), Some((plugin, policy))) = (&self.stream, &self.setup)
            && let State::Forwarded(forwarded) = &mut stream.borrow_mut().state
            && forwarded.in_trailers
        {
            let code = trailers.and_then(grpc_status);
            forwarded.count(Some(Outcome::of_trailers(code.as_deref())), policy, plugin);
        }
    }
}

impl Forwarded {
    /// Counts a response, now that there is no more to learn; `None`: it is not the upstream's.
    fn count(&mut self, status: Option<u16>, policy: &Policy, plugin: &Plugin) {
        self.in_trailers = false;
        let permits = self.forward.permits_mut();
        let events = responded(permits, status, &mut plugin.worker.borrow_mut(), &Envoy, now());
        if let (Some(seen), false) = (&mut self.watched, events.is_empty()) {
            seen.events = events;
            set_filter_state(&policy.mark.audit, &audit_record(seen, Decision::Forwarded));
        }
    }
}

/// `grpc-status` of the response headers or trailers, if they have one.
fn grpc_status(map: Map) -> Option<Vec<u8>> {
    headers::get(map, "grpc-status").ok().flatten()
}

/// The outcome of a response that limits wait for: only the upstream's own, not what Envoy or another filter answers.
fn outcome(grpc: bool) -> Outcome {
    let details = abi::property::get(&["response", "code_details"]);
    if details.as_deref() != Some(b"via_upstream") {
        return Outcome::NotUpstreams;
    }
    let status = headers::get(Map::Response, ":status").ok().flatten();
    let status = status.and_then(|status| std::str::from_utf8(&status).ok()?.parse().ok()).unwrap_or(0);
    if grpc { Outcome::of_call(status, grpc_status(Map::Response).as_deref()) } else { Outcome::Known(status) }
}

/// All lines of a response field, joined by commas. The map gives the first alone, and is cheaper to ask where there is none.
fn response_field(name: &'static str) -> Option<Vec<u8>> {
    headers::get(Map::Response, name).ok().flatten()?;
    abi::property::get(&["response", "headers", name])
}

impl Context for HttpStream {}

impl HttpContext for HttpStream {
    fn on_http_request_headers(&mut self, _: usize, ends: bool) -> Action {
        let action = self.begin(!ends);
        if let Some((plugin, _)) = &self.setup {
            let refused = |stream: &Rc<RefCell<Stream>>| matches!(stream.borrow().state, State::Refused(..));
            plugin.wake(self.root, self.stream.as_ref().is_some_and(refused));
        }
        action
    }

    /// A paused head holds the body as well, unless the operator told the proxy otherwise. Nothing passes without a verdict.
    fn on_http_request_body(&mut self, _: usize, _: bool) -> Action {
        self.action()
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        let Some(stream) = &self.stream else { return Action::Pause };
        let stream = &mut *stream.borrow_mut();
        if !stream.state.goes_on() {
            stream.trailers_wait = true;
            return Action::Pause;
        }
        if stream.strip_trailers() { Action::Continue } else { Action::Pause }
    }

    fn on_http_response_headers(&mut self, fields: usize, ends: bool) -> Action {
        if let Some(stream) = &self.stream {
            stream.borrow().note_denial(fields);
            stream.borrow().number_interaction();
        }
        if let (Some(stream), Some((plugin, policy))) = (&self.stream, &self.setup)
            && let State::Forwarded(forwarded) = &mut stream.borrow_mut().state
        {
            if forwarded.forward.permits().awaits_response() {
                match outcome(forwarded.grpc) {
                    Outcome::Known(status) => forwarded.count(Some(status), policy, plugin),
                    Outcome::InTrailers if ends => forwarded.count(Some(Outcome::of_trailers(None)), policy, plugin),
                    Outcome::InTrailers => forwarded.in_trailers = true,
                    Outcome::NotUpstreams => forwarded.count(None, policy, plugin),
                }
            }
            for change in forwarded.forward.permits().fields(forwarded.told, forwarded.at, response_field) {
                // The response goes on without the field if the proxy refuses it.
                let _ = match change {
                    Change::Add(name, value) => headers::add(Map::Response, name, &value),
                    Change::Set(name, value) => headers::set(Map::Response, name, &value),
                };
            }
        }
        Action::Continue
    }

    /// A call may end without trailers. One that breaks off before its end is counted as it ends (`on_log`).
    fn on_http_response_body(&mut self, _: usize, ends: bool) -> Action {
        if ends {
            self.ends_call(None);
        }
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        self.ends_call(Some(Map::ResponseTrailers));
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
                ended(forwarded.forward.permits_mut(), &plugin.worker.borrow(), &Envoy, now());
            }
            State::Refused(..) => plugin.worker.borrow_mut().leave_body(self.id),
            State::Reported | State::Answered => {}
        }
    }
}
