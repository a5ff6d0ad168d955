//! What one HTTP stream has come to: polls its exchange, applies the verdict, counts the response, adds fields to it. In: the
//! head, the proxy's answers. Out: whether the proxy may go on. Not here: the proxy's callbacks (`callbacks`), who
//! waits (`plugin`).
//!
//! ```text
//! Fresh ──head──▶ Forwarded | Reported | Refused | Answered | Paused
//! Paused ──the worker named it──▶ Forwarded | Reported | Refused | Answered | Paused
//! Refused ──its body has come, or does not──▶ Answered
//! Forwarded ──more of a body than the route takes──▶ Answered
//! Forwarded ──response, trailers──▶ Forwarded        Answered: the response headers seen are our own
//! ```

use std::rc::Rc;

use proxy_wasm::types::Action;

use crate::exchange::{
    AuditFacts, Exchange, InteractionId, Outcome, Step, Surroundings, body_too_large, ended, responded,
};
use crate::filter::abi;
use crate::filter::abi::headers::{self, Map};
use crate::filter::engine::Engine;
use crate::filter::host::{Envoy, now};
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
    /// The nonce that the client's next proof is to have, where it has not got it.
    nonce: Option<Box<str>>,
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
    /// How much of a body may still come, where that is bounded.
    body_left: Option<u64>,
    /// What was seen, if the outcome may show that it was more than a request, or the body that it is too much.
    kept: Option<Box<AuditFacts>>,
}

impl State {
    fn goes_on(&self) -> bool {
        matches!(self, State::Forwarded(..) | State::Reported)
    }
}

impl Stream {
    /// That of a request whose head has come, judged as far as that goes now.
    pub fn begin(id: ExchangeId, policy: &Rc<Policy>, body_follows: bool, engine: &Engine) -> Self {
        let mut stream = Self {
            id,
            state: State::Answered,
            policy: policy.clone(),
            body_follows,
            head_bytes: None,
            resource: None,
            interaction: None,
            nonce: None,
            trailers_wait: false,
        };
        let now = now();
        let decided = match headers::all(Map::Request) {
            Ok(head) => {
                let mut exchange = Exchange::new(id, policy.clone(), head, body_follows);
                let decided = poll(&mut exchange, engine, now);
                if decided.is_none() {
                    stream.state = State::Paused(Box::new(exchange));
                    stream.head_bytes = request_bytes();
                }
                decided
            }
            Err(reason) => Some(Decided { verdict: Verdict::Refuse(reason.into()), facts: unread(), at: now.wall }),
        };
        if let Some(decided) = decided {
            stream.state = stream.apply(decided, engine);
        }
        stream
    }

    /// Whether it has to be looked at again.
    pub fn waits(&self) -> bool {
        matches!(self.state, State::Paused(_)) || self.awaits_its_body()
    }

    /// Whether it is refused, and answered once its body has come.
    pub fn awaits_its_body(&self) -> bool {
        matches!(self.state, State::Refused(..))
    }

    /// So many bytes of the body have come. They go on as long as the route takes so many.
    pub fn request_body(&mut self, bytes: usize, engine: &Engine) -> Action {
        let State::Forwarded(forwarded) = &mut self.state else { return self.action() };
        if forwarded.takes(bytes) {
            return Action::Continue;
        }
        let mut unknown = AuditFacts::default();
        let facts = forwarded.kept.as_deref_mut().unwrap_or(&mut unknown);
        let mut worker = engine.worker.borrow_mut();
        let around = &mut Surroundings { worker: &mut worker, host: &Envoy, connection: &Envoy, now: now() };
        let (verdict, form) = (body_too_large(facts, &self.policy, around), facts.form);
        drop(worker);
        set_filter_state(&self.policy.mark.audit, &audit_record(facts, (&verdict).into()));
        engine.metrics.decided(&verdict);
        let Verdict::Refuse(refusal) = verdict else { return Action::Continue };
        give_back(forwarded.forward.permits_mut(), engine);
        self.state = answer(&refusal, form, self.policy.limit_fields);
        Action::Pause
    }

    /// The trailers of the request have come.
    pub fn request_trailers(&mut self) -> Action {
        if !self.state.goes_on() {
            self.trailers_wait = true;
            return Action::Pause;
        }
        if self.strip_trailers() { Action::Continue } else { Action::Pause }
    }

    /// The head of the response has come, which has so many `fields`, and nothing else if it `ends` there.
    pub fn response_head(&mut self, fields: usize, ends: bool, engine: &Engine) {
        self.note_denial(fields);
        self.number_interaction();
        self.hand_out_nonce();
        if let State::Forwarded(forwarded) = &mut self.state {
            forwarded.response_head(ends, &self.policy, engine);
        }
    }

    /// The response is complete, and its trailers, if it has some, stand in that map: counts a call that told no outcome before.
    pub fn response_ends(&mut self, trailers: Option<Map>, engine: &Engine) {
        if let State::Forwarded(forwarded) = &mut self.state
            && forwarded.in_trailers
        {
            let code = trailers.and_then(grpc_status);
            forwarded.count(Some(Outcome::of_trailers(code.as_deref())), &self.policy, engine);
        }
    }

    /// The stream is over, however it ended: gives back what it holds.
    pub fn end(&mut self, engine: &Engine) {
        match &mut self.state {
            State::Paused(exchange) => exchange.leave(&mut engine.worker.borrow_mut(), now()),
            State::Forwarded(forwarded) => {
                ended(forwarded.forward.permits_mut(), &engine.worker.borrow(), &Envoy, now());
            }
            State::Refused(..) => engine.worker.borrow_mut().bodies().leave(self.id),
            State::Reported | State::Answered => {}
        }
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
            State::Paused(exchange) => exchange.facts().interaction.as_ref(),
            State::Forwarded(..) | State::Reported | State::Refused(..) | State::Answered => None,
        };
        if let Some(interaction) = self.interaction.as_ref().or_else(waiting) {
            // The response goes on without it if the proxy refuses it.
            let _ = headers::set(Map::Response, Profile::INTERACTION_ID, interaction.text());
        }
    }

    /// Puts the nonce on the response that the client's next proof is to have (RFC 9449 §8.2). It is for this client alone.
    fn hand_out_nonce(&self) {
        if let Some(nonce) = &self.nonce {
            // The response goes on without it if the proxy refuses it: the next request is told again.
            let _ = headers::set(Map::Response, "dpop-nonce", nonce);
            let _ = headers::set(Map::Response, "cache-control", "no-store");
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
    pub fn action(&self) -> Action {
        if self.state.goes_on() { Action::Continue } else { Action::Pause }
    }
}

impl Stream {
    /// Polls the waiting exchange and lets the stream go on; `true` if it has to wait again. The stream must be the
    /// effective context.
    pub fn proceed(&mut self, engine: &Engine, now: Now) -> bool {
        let State::Paused(exchange) = &mut self.state else { return false };
        let Some(decided) = poll(exchange, engine, now) else { return true };
        self.state = self.apply(decided, engine);
        if self.state.goes_on() && (!self.trailers_wait || self.strip_trailers()) {
            // Last: the proxy lets go of the request headers here. It cannot fail for a live stream.
            let _ = abi::stream::resume_request();
        }
        matches!(self.state, State::Refused(..))
    }

    /// Counted and recorded is what became of the request, once that is certain.
    fn apply(&mut self, decided: Decided, engine: &Engine) -> State {
        let Decided { verdict, facts, at } = decided;
        self.resource.clone_from(&facts.resource);
        self.interaction.clone_from(&facts.interaction);
        self.nonce.clone_from(&facts.nonce);
        let verdict = carried_out(verdict, &self.policy.mark, engine);
        engine.metrics.decided(&verdict);
        set_filter_state(&self.policy.mark.audit, &audit_record(&facts, (&verdict).into()));
        let served = match &verdict {
            Verdict::Forward(forward) => forward.document().map(Answer::serve),
            Verdict::Report(..) | Verdict::Refuse(_) => None,
        };
        if let Some(document) = served {
            return send(&document);
        }
        match verdict {
            Verdict::Forward(forward) => {
                let grpc = facts.form == AnswerForm::Grpc;
                let told = self.policy.limit_fields_of(facts.resource.as_deref());
                let body_left = facts.route.as_ref().and_then(|route| route.body.max_bytes);
                let kept = (forward.permits().watched() || body_left.is_some()).then(|| Box::new(facts));
                State::Forwarded(Forwarded { forward, grpc, at, told, in_trailers: false, body_left, kept })
            }
            Verdict::Report(..) => State::Reported,
            Verdict::Refuse(mut refusal) => {
                // Also where it is refused only because the proxy failed.
                refusal.request_id = facts.request_id;
                if self.awaits_body(engine) {
                    State::Refused(Box::new(refusal), facts.form)
                } else {
                    answer(&refusal, facts.form, self.policy.limit_fields)
                }
            }
        }
    }

    /// Whether a refusal is to wait for the body.
    fn awaits_body(&self, engine: &Engine) -> bool {
        let field = |name| headers::get(Map::Request, name).ok().flatten();
        let rule = self.policy.awaited_body;
        let enforces = self.policy.mode_of(self.resource.as_deref()) == Mode::Enforce;
        let wait = || {
            let body = rule.of(field("content-length").as_deref(), field("expect").as_deref())?;
            let came = request_bytes()?;
            let complete = self.head_bytes.unwrap_or(came).saturating_add(body.into());
            let mut worker = engine.worker.borrow_mut();
            (came < complete).then(|| worker.bodies().begin(self.id, complete, rule.lasts, now().mono))
        };
        self.body_follows && enforces && wait().unwrap_or(false)
    }

    /// Answers the refused request if its body has come, or does not; `false` if it is to be looked at again. The stream must
    /// be the effective context.
    pub fn answer(&mut self, engine: &Engine, now: Now) -> bool {
        let State::Refused(refusal, form) = &self.state else { return true };
        // What cannot be counted is not waited for.
        let over = engine.worker.borrow_mut().bodies().came(self.id, request_bytes().unwrap_or(u64::MAX), now.mono);
        if over {
            self.state = answer(refusal, *form, self.policy.limit_fields);
        }
        over
    }
}

struct Decided {
    verdict: Verdict,
    facts: AuditFacts,
    at: UnixMillis,
}

/// `None`: wait.
fn poll(exchange: &mut Exchange, engine: &Engine, now: Now) -> Option<Decided> {
    let mut worker = engine.worker.borrow_mut();
    match exchange.poll(&mut Surroundings { worker: &mut worker, host: &Envoy, connection: &Envoy, now }) {
        Step::Done(verdict) => Some(Decided { verdict, facts: exchange.take_facts(), at: now.wall }),
        Step::Wait => None,
    }
}

/// What a verdict comes to once the proxy was told: a refusal where it did not do what letting the request through rests
/// on. What the request held is given back then.
fn carried_out(verdict: Verdict, mark: &Mark, engine: &Engine) -> Verdict {
    let sent = match &verdict {
        Verdict::Forward(forward) if forward.document().is_some() => Ok(()),
        Verdict::Forward(forward) => send_upstream(forward.upstream(), mark),
        Verdict::Report(_, upstream) => send_upstream(upstream, mark),
        Verdict::Refuse(_) => Ok(()),
    };
    match (sent, verdict) {
        (Ok(()), verdict) => verdict,
        (Err(FilterFailed), mut verdict) => {
            if let Verdict::Forward(forward) = &mut verdict {
                give_back(forward.permits_mut(), engine);
            }
            Verdict::Refuse(Reason::FilterUnavailable.into())
        }
    }
}

/// The request does not go upstream after all: no outcome is to be waited for.
fn give_back(permits: &mut Permits, engine: &Engine) {
    let mut worker = engine.worker.borrow_mut();
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
    send(&refusal.answer(form, dialects, now().wall))
}

fn send(answer: &Answer) -> State {
    if abi::stream::send_local_response(answer).is_err() {
        log::error!("the proxy did not take an answer; the request stays refused by the interlock");
    }
    State::Answered
}

/// Refuses a request where there is nobody to judge or to count it.
pub fn refuse_unjudged() -> Action {
    let facts = unread();
    let refusal = Refusal { request_id: facts.request_id.clone(), ..Reason::FilterUnavailable.into() };
    set_filter_state(&Mark::default().audit, &audit_record(&facts, Decision::Refused(&refusal)));
    answer(&refusal, facts.form, Dialects::NONE);
    Action::Pause
}

/// What is known of a request whose head cannot be read: in which form it wants its answer, and what the proxy calls it.
fn unread() -> AuditFacts {
    let field = |name| headers::get(Map::Request, name).ok().flatten();
    let form = field("content-type").map_or(AnswerForm::Problem, |kind| AnswerForm::of(&kind));
    AuditFacts {
        form,
        request_id: field("x-request-id").and_then(|id| AuditFacts::request_id(&id)),
        ..AuditFacts::default()
    }
}

fn set_filter_state(key: &str, value: &str) {
    // A lost audit record must not stop a request; Envoy refuses none of a declared or new key.
    let _ = abi::property::set_filter_state(key, value);
}

impl Forwarded {
    /// Whether so many more bytes may come. Once they may not, they are counted no longer.
    fn takes(&mut self, bytes: usize) -> bool {
        let Some(left) = self.body_left else { return true };
        self.body_left = left.checked_sub(bytes as u64);
        self.body_left.is_some()
    }

    fn response_head(&mut self, ends: bool, policy: &Policy, engine: &Engine) {
        if self.forward.permits().awaits_response() {
            match outcome(self.grpc) {
                Outcome::Known(status) => self.count(Some(status), policy, engine),
                Outcome::InTrailers if ends => self.count(Some(Outcome::of_trailers(None)), policy, engine),
                Outcome::InTrailers => self.in_trailers = true,
                Outcome::NotUpstreams => self.count(None, policy, engine),
            }
        }
        for change in self.forward.permits().fields(self.told, self.at, response_field) {
            // The response goes on without the field if the proxy refuses it.
            let _ = match change {
                Change::Add(name, value) => headers::add(Map::Response, name, &value),
                Change::Set(name, value) => headers::set(Map::Response, name, &value),
            };
        }
    }

    /// Counts a response, now that there is no more to learn; `None`: it is not the upstream's.
    fn count(&mut self, status: Option<u16>, policy: &Policy, engine: &Engine) {
        self.in_trailers = false;
        let permits = self.forward.permits_mut();
        let events = responded(permits, status, &mut engine.worker.borrow_mut(), &Envoy, now());
        if let (Some(facts), false) = (&mut self.kept, events.is_empty()) {
            facts.events = events;
            set_filter_state(&policy.mark.audit, &audit_record(facts, Decision::Forwarded));
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
