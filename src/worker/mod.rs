//! What outlives a request: key sets, verified tokens, who waits for what and the calls for it. One per worker
//! thread and plugin; it survives a new configuration.
//!
//! Sans-IO. The filter hands in answers and time and takes calls out:
//! * inputs: [`Worker::adopt`], [`Worker::answered`], [`Worker::not_sent`], [`Worker::tick`];
//! * outputs: [`Worker::next_call`], [`Worker::next_woken`] (whom to poll again), [`Worker::take_tally`];
//! * for checks: [`Worker::keys`], [`Worker::verified`], [`Worker::standing`], [`Worker::remember`], [`Worker::leases`].
//!
//! Late, timed-out and malformed answers take one path: the call is over. Who waits for keys that are still missing waits
//! for the next attempt, as long as it may.

mod bodies;
mod calls;
mod document;
mod fetch;
mod fetch_fault;
mod hearing;
mod introspections;
mod key_store;
mod metadata;
mod news;
mod question;
mod refresh;
mod revocations;
mod standing;
mod status_lists;
mod tally;
mod waits;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};
use std::time::Duration;

pub use calls::{Answered, Call, CallId, Message};
pub use fetch::{AnswerFields, Fetch, FetchFailed, HttpAnswer};
pub use introspections::{Inquiry, QuestionId, Told};
pub use key_store::KeyLookup;
pub use standing::Standing;
pub use tally::{Counter, Gauge, Tally};
pub use waits::{Batch, Room, WaitEnd, Woken};

use bodies::Bodies;
use calls::{Calls, For};
use document::Outcome;
use introspections::Introspections;
use key_store::{IssuerKeys, Part};
use revocations::RevocationDocuments;
use status_lists::StatusLists;
use waits::{On, Waits};

use crate::binding::dpop::Nonces;
use crate::host::Host;
use crate::jose::{Header, Native};
use crate::limit::SharedTable;
use crate::limit::fleet::{Budget, CallFailed as AskFailed, Leases, Settled, Waiter};
use crate::peer::KnownPeers;
use crate::policy::{FilterId, Issuer, KeySource, Policy, Resource, TokenCacheBounds, TrustId};
use crate::reason::Reason;
use crate::shared::{Marks, OnceOnly};
use crate::time::{MonoNanos, Now};
use crate::token::{AccessToken, RawToken, TokenCache};

/// An exchange, by the proxy's number of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub u32);

impl From<ExchangeId> for Waiter {
    fn from(exchange: ExchangeId) -> Self {
        Self(exchange.0.into())
    }
}

/// So many tokens are known to all workers together.
const KNOWN_TOKENS: u32 = 65_536;
/// More identities than this hold no lease of a fleet limit at once in one worker.
const MAX_LEASES: usize = 10_000;

/// See the module.
pub struct Worker {
    native: Native,
    keys: BTreeMap<TrustId, IssuerKeys>,
    revocations: RevocationDocuments,
    status_lists: StatusLists,
    tokens: TokenCache,
    introspections: Introspections,
    peers: KnownPeers,
    limits: SharedTable,
    /// Tokens that some worker verified.
    known: Marks,
    /// Proofs of possession that were used.
    proofs: OnceOnly,
    nonces: Nonces,
    policies: Vec<Weak<Policy>>,
    waits: Waits,
    bodies: Bodies,
    calls: Calls,
    not_sent: Vec<CallId>,
    leases: Leases,
    tally: Tally,
    /// Random.
    seed: u64,
}

impl Worker {
    /// A worker of `filter` that starts with `policy`.
    pub fn new(filter: FilterId, policy: &Rc<Policy>, host: &dyn Host) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = host.random();
        let seed = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
        let mut worker = Self {
            native: Native::probe(host),
            keys: BTreeMap::new(),
            revocations: RevocationDocuments::new(host),
            status_lists: StatusLists::default(),
            tokens: TokenCache::new(seed, policy.token_cache),
            introspections: Introspections::default(),
            peers: KnownPeers::new(host),
            limits: SharedTable::new(filter, host),
            known: Marks::new("tokens", KNOWN_TOKENS, host),
            proofs: OnceOnly::new("proofs", host),
            nonces: Nonces::new(host),
            policies: Vec::new(),
            waits: Waits::default(),
            bodies: Bodies::default(),
            calls: Calls::default(),
            not_sent: Vec::new(),
            leases: Leases::new(MAX_LEASES),
            tally: Tally::default(),
            seed,
        };
        worker.adopt(policy);
        worker
    }

    /// Goes over to `policy`. Keys and verified tokens of an issuer survive if its trust is unchanged. What only the old
    /// policy relies on stays as long as somebody holds that one: listeners drain for minutes.
    pub fn adopt(&mut self, policy: &Rc<Policy>) {
        for issuer in &policy.issuers {
            for algorithm in issuer.algorithms.iter().filter(|algorithm| !self.native.verifies(**algorithm)) {
                log::warn!(
                    "{}.algorithms: this proxy does not verify {name}, so tokens signed with it are refused with 503. Use a newer \
                     Envoy, or have the issuer sign otherwise",
                    issuer.origin.path,
                    name = algorithm.name()
                );
            }
            if let KeySource::Remote(source) = &issuer.keys {
                let new = || IssuerKeys::new(&issuer.trust, source, self.seed);
                self.keys.entry(issuer.trust.clone()).or_insert_with(new).follow(&issuer.origin.path, source);
            }
        }
        for (place, source) in policy.revocation_sources() {
            self.revocations.follow(place, source, self.seed);
        }
        self.policies.push(Rc::downgrade(policy));
        self.retire();
        self.set_token_bounds();
    }

    /// Several listeners, or the old one and the new one of an update, share these tokens: none makes the place of
    /// another's smaller than it was promised.
    fn set_token_bounds(&mut self) {
        let bounds = self.policies.iter().filter_map(Weak::upgrade).map(|policy| policy.token_cache);
        if let Some(bounds) = bounds.reduce(TokenCacheBounds::or_larger) {
            self.tokens.set_bounds(bounds);
        }
    }

    /// Drops the keys and tokens of trusts that only policies relied on which nobody holds any more. An answer to a
    /// fetch for them is too late.
    fn retire(&mut self) {
        let before = self.policies.len();
        self.policies.retain(|policy| policy.strong_count() > 0);
        if self.policies.len() == before {
            return;
        }
        let live: Vec<Rc<Policy>> = self.policies.iter().filter_map(Weak::upgrade).collect();
        // Extended, not collected: that would sort, and sorting these is 40 KB of the module.
        let mut used: BTreeSet<&TrustId> = BTreeSet::new();
        used.extend(live.iter().flat_map(|policy| &policy.issuers).map(|issuer| &issuer.trust));
        self.keys.retain(|trust, _| used.contains(trust));
        self.tokens.retain(|token| used.contains(&token.issuer().trust));
        self.introspections.retain(|trust| used.contains(trust));
        let sources = || live.iter().flat_map(|policy| policy.revocation_sources());
        self.revocations.retain(|id| sources().any(|(_, source)| *source.id == *id));
        self.status_lists.retain(|trust| used.contains(trust));
        self.set_token_bounds();
    }

    /// The keys of `issuer` that fit a token's header. May queue a fetch; `Wait` means: park, and call again when told.
    pub fn keys(&mut self, issuer: &Issuer, header: &Header, host: &dyn Host, now: Now) -> KeyLookup {
        match &issuer.keys {
            KeySource::Inline(set) => key_store::inline(set, header),
            KeySource::Remote(source) => {
                let new = || IssuerKeys::new(&issuer.trust, source, self.seed);
                let keys = self.keys.entry(issuer.trust.clone()).or_insert_with(new);
                let lookup = keys.lookup(header, host, now.mono);
                if matches!(lookup, KeyLookup::Wait) {
                    self.fetch(&issuer.trust, true, host, now.mono);
                }
                lookup
            }
            KeySource::None => KeyLookup::Unknown,
        }
    }

    /// A token verified before under a trust of `resource`, found by its whole text, if its issuer still
    /// stands by it. One that is known under other trusts only is to be verified anew.
    pub fn verified(&mut self, raw: RawToken<'_>, resource: &Resource, now: Now) -> Option<Rc<AccessToken>> {
        let token = self.tokens.get(raw.as_bytes(), |token| token.trusted_by(resource).is_some())?;
        if !token.is_fresh(resource, now) || !self.vouches(&token, now) {
            self.tokens.forget(raw.as_bytes(), |known| std::ptr::eq(known, &*token));
            return None;
        }
        self.tally.count(Counter::TokenCacheHit);
        Some(token)
    }

    /// Whether the issuer of a verified token still stands by it, as far as is known now: nothing is fetched, nobody
    /// waits.
    pub fn vouches(&self, token: &AccessToken, now: Now) -> bool {
        let issuer = token.issuer();
        token.still_vouched(match &issuer.keys {
            KeySource::Inline(set) => Some(set),
            KeySource::Remote(_) => self.keys.get(&issuer.trust).and_then(|keys| keys.set(now.mono)),
            KeySource::None => None,
        })
    }

    /// Remembers a token that was just verified, beside what is known of it under other trusts.
    pub fn remember(&mut self, raw: RawToken<'_>, token: &Rc<AccessToken>) {
        self.keep(raw.as_bytes(), token);
    }

    fn keep(&mut self, text: &[u8], token: &Rc<AccessToken>) {
        self.tally.count(Counter::TokenCacheMiss);
        let trust = &token.issuer().trust;
        self.tokens.insert(text, token.clone(), token.memory(), |known| known.issuer().trust == *trust);
    }

    /// Whether any worker of the proxy verified that token, under the trust of `issuer`.
    pub fn is_known(&self, raw: RawToken<'_>, issuer: &Issuer, host: &dyn Host, now: Now) -> bool {
        self.known.holds(&known_token(raw, issuer), host, now.mono)
    }

    /// Tells all workers of the proxy that this token was verified.
    pub fn make_known(&self, raw: RawToken<'_>, token: &AccessToken, host: &dyn Host, now: Now) {
        let lasts = token.claims().expires.plus(token.issuer().leeway).since(now.wall);
        self.known.mark(&known_token(raw, token.issuer()), now.mono.plus(lasts), host, now.mono);
    }

    /// What the host's native verification can do.
    pub fn native(&self) -> Native {
        self.native
    }

    /// The proofs of possession that any worker has let pass.
    pub fn proofs(&self) -> &OnceOnly {
        &self.proofs
    }

    /// The nonces for proofs.
    pub fn nonces(&self) -> &Nonces {
        &self.nonces
    }

    /// What is known about peers.
    pub fn peers(&mut self) -> &mut KnownPeers {
        &mut self.peers
    }

    /// The table of local limits.
    pub fn limits(&self) -> &SharedTable {
        &self.limits
    }

    /// Counts an event.
    pub fn count(&mut self, counter: Counter, times: usize) {
        self.tally.add(counter, times);
    }

    /// A place to wait for an exchange that holds `bytes`; `None` if as many wait as may wait.
    pub fn room(&self, bytes: usize) -> Option<Room> {
        self.waits.room(bytes)
    }

    /// The same for an exchange that is to wait for keys.
    pub fn room_for_keys(&self, bytes: usize) -> Option<Room> {
        self.waits.room_for_keys(bytes)
    }

    /// Lets an exchange wait for the keys of `issuer`: no longer than one fetch may take, from when it first had to.
    pub fn wait_for_keys(&mut self, exchange: ExchangeId, room: Room, issuer: &Issuer, since: MonoNanos) {
        let until = match &issuer.keys {
            KeySource::Inline(_) | KeySource::None => since,
            KeySource::Remote(source) => since.plus(source.timeout),
        };
        self.waits.park(exchange, room, On::Keys(issuer.trust.clone(), until));
    }

    /// What is known of a token that `issuer` is asked about, and that is not [known to be good](Self::verified).
    pub fn inquiry(&self, raw: RawToken<'_>, issuer: &Issuer, now: Now) -> Inquiry {
        self.introspections.inquiry(raw.as_bytes(), issuer, now.mono)
    }

    /// Has `issuer` asked about a token.
    pub fn ask_about(
        &mut self,
        raw: RawToken<'_>,
        issuer: &Rc<Issuer>,
        host: &dyn Host,
        now: Now,
    ) -> Result<QuestionId, Reason> {
        let introspection = issuer.introspection.as_ref().ok_or(Reason::IssuerUntrusted)?;
        let (id, fetch) = self.introspections.ask(raw.as_bytes(), issuer, introspection, host, now)?;
        self.calls.send(For::Introspection(id), Message::Fetch(fetch));
        Ok(id)
    }

    /// Lets an exchange wait for what `issuer` says of its token.
    pub fn wait_for_answer(
        &mut self,
        exchange: ExchangeId,
        room: Room,
        question: QuestionId,
        issuer: &Issuer,
        now: Now,
    ) {
        let timeout = issuer.introspection.as_ref().map_or(Duration::ZERO, |introspection| introspection.timeout);
        self.waits.park(exchange, room, On::Introspection(question, now.mono.plus(timeout)));
    }

    /// Lets an exchange wait for the permits that it [asked for](Leases::take).
    pub fn wait_for_permits(&mut self, exchange: ExchangeId, room: Room, budget: Budget) {
        self.waits.park(exchange, room, On::Permits(budget));
    }

    /// A waiting exchange is polled. If it was named it waits no longer, and is told what it waited for.
    pub fn poll(&mut self, exchange: ExchangeId) -> Woken {
        self.waits.poll(exchange)
    }

    /// An exchange waits no longer, whatever for. Its call goes on: others may wait for it.
    pub fn leave(&mut self, exchange: ExchangeId, now: Now) {
        match self.waits.end(exchange) {
            Some(On::Permits(budget)) => self.leases.leave(budget, exchange.into()),
            Some(On::Poll(WaitEnd::Permits(settled))) => self.leases.put_back(settled, now.mono),
            Some(
                On::Keys(..)
                | On::Introspection(..)
                | On::Poll(WaitEnd::Keys | WaitEnd::Introspected(_) | WaitEnd::TooLate),
            )
            | None => {}
        }
    }

    /// Whether the refusal of an exchange may wait for its body, until so many bytes of the request have come, no longer than
    /// `lasts`. It is none where too many wait.
    pub fn await_body(&mut self, exchange: ExchangeId, complete: u64, lasts: Duration, now: MonoNanos) -> bool {
        self.bodies.begin(exchange, complete, lasts, now)
    }

    /// Whether a refusal waits for its body.
    fn awaits_bodies(&self) -> bool {
        self.bodies.len() > 0
    }

    /// The next refusal whose body is to be looked at.
    pub fn next_body(&self, now: MonoNanos) -> Option<ExchangeId> {
        self.bodies.next(now)
    }

    /// So many bytes of a request have come that is refused; whether it is to be answered now.
    pub fn body_came(&mut self, exchange: ExchangeId, bytes: u64, now: MonoNanos) -> bool {
        self.bodies.came(exchange, bytes, now)
    }

    /// A refusal waits no longer for the body of its request.
    pub fn leave_body(&mut self, exchange: ExchangeId) {
        self.bodies.leave(exchange);
    }

    /// The next exchange to poll again, in this batch. Whoever is left is named in the next one.
    pub fn next_woken(&mut self, batch: &mut Batch, now: Now) -> Option<ExchangeId> {
        self.waits.next(batch, now.mono)
    }

    /// Permits of fleet limits.
    pub fn leases(&mut self) -> &mut Leases {
        &mut self.leases
    }

    /// How soon the next tick is needed.
    pub fn pace(&self) -> Pace {
        if self.waits.is_named() {
            Pace::Batches
        } else if self.leases.next_tick().is_some() || !self.not_sent.is_empty() || self.awaits_bodies() {
            Pace::Pressed
        } else {
            Pace::Calm
        }
    }

    /// Whether there is a call to send.
    pub fn has_calls(&self) -> bool {
        !self.calls.is_empty() || self.leases.has_calls()
    }

    /// The next call to send, at once.
    pub fn next_call(&mut self, now: Now) -> Option<Call> {
        self.calls.next().or_else(|| {
            let call = self.leases.next_call(now.mono)?;
            Some(self.calls.call(For::Permits(call.id), Message::RateLimitCall(call)))
        })
    }

    /// The proxy would not send a call. Who waits for it is told at the next tick: this may be a stream's callback.
    pub fn not_sent(&mut self, call: CallId) {
        self.not_sent.push(call);
    }

    /// The end of a call, however it ended, and of the waits for it. Nobody's, if the call is unknown.
    pub fn answered(&mut self, call: CallId, answer: Result<Answered, FetchFailed>, host: &dyn Host, now: Now) {
        match self.calls.end(call) {
            Some(For::Keys(trust, part)) => {
                self.fetched(&trust, part, http(answer), host, now);
            }
            Some(For::Revocations(id)) => {
                let outcome = self.revocations.answer(&id, http(answer), host, now.mono);
                self.count_fetch(outcome, Counter::RevocationFetchOk, Counter::RevocationFetchFailed);
            }
            Some(For::Introspection(question)) => {
                let answer = answer.and_then(|answer| match answer {
                    Answered::Http(answer) => Ok(answer),
                    Answered::Grpc(_) => Err(FetchFailed::NoAnswer),
                });
                self.introspected(question, answer, host, now);
            }
            Some(For::StatusList(id)) => self.list_fetched(&id, http(answer), host, now),
            Some(For::Permits(call)) => {
                let answer = match answer {
                    Ok(Answered::Grpc(message)) => Ok(message),
                    Ok(Answered::Http(_)) | Err(_) => Err(AskFailed),
                };
                let settled = self.leases.answer(call, answer, now.mono);
                self.settle(settled, now);
            }
            None => {}
        }
    }

    /// Time passes: what no policy needs any more is dropped, refreshes that are due are queued, lost calls given up, waits
    /// ended that lasted too long.
    pub fn tick(&mut self, host: &dyn Host, now: Now) {
        self.retire();
        self.limits.tick(host, now.mono);
        for call in std::mem::take(&mut self.not_sent) {
            self.answered(call, Err(FetchFailed::NotSent), host, now);
        }
        let settled = self.leases.tick(now.mono);
        self.settle(settled, now);
        let lost = |purpose: &For| match purpose {
            For::Keys(trust, part) => self.keys.get(trust).is_none_or(|keys| keys.is_lost(*part, now.mono)),
            For::Introspection(question) => self.introspections.is_lost(*question, now.mono),
            For::Revocations(id) => self.revocations.is_lost(id, now.mono),
            For::StatusList(id) => self.status_lists.is_lost(id, now.mono),
            For::Permits(call) => !self.leases.awaits(*call),
        };
        let lost: Vec<CallId> =
            self.calls.under_way().filter(|(_, purpose)| lost(purpose)).map(|(call, _)| call).collect();
        for call in lost {
            self.answered(call, Err(FetchFailed::Lost), host, now);
        }
        let due = self.keys.iter().filter(|(_, keys)| keys.is_due(now.mono));
        let due: Vec<TrustId> = due.map(|(trust, _)| trust.clone()).collect();
        for trust in due {
            self.fetch(&trust, self.wants_keys(&trust), host, now.mono);
        }
        self.give_up_held(now);
        for id in self.status_lists.due(now) {
            self.fetch_list(&id, self.waits.wants_keys(&id), host, now);
        }
        for id in self.revocations.due(now.mono) {
            if let Some(fetch) = self.revocations.begin(&id, host, now.mono) {
                self.calls.send(For::Revocations(id), Message::Fetch(fetch));
            }
        }
        self.waits.tick(now.mono);
    }

    /// How much there is of each [`Gauge`].
    pub fn level(&self, gauge: Gauge) -> usize {
        match gauge {
            Gauge::Waiting => self.waits.len(),
            Gauge::AwaitedBodies => self.bodies.len(),
            Gauge::WaitingBytes => self.waits.bytes(),
            Gauge::Calls => self.calls.len(),
        }
    }

    /// What requests have left behind, which is nothing once all that waited were decided or left. Calls may be under way
    /// all the same, and end by themselves.
    pub fn leftovers(&self) -> Vec<String> {
        let left = [
            (self.waits.len(), "exchanges that wait"),
            (self.bodies.len(), "refusals that wait for a body"),
            (self.waits.bytes(), "bytes of exchanges that wait"),
            (self.leases.waiting(), "places in the queues of leases"),
        ];
        left.into_iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")).collect()
    }

    /// What happened since the last time, to be added to the metrics.
    pub fn take_tally(&mut self) -> Tally {
        let fleet = self.leases.take_tally();
        for (counter, count) in [
            (Counter::FleetAsk, fleet.calls),
            (Counter::FleetFailed, fleet.failed),
            (Counter::FleetNoLimit, fleet.no_limit),
            (Counter::FleetBreakerOpened, fleet.opened),
        ] {
            self.tally.add(counter, count);
        }
        std::mem::take(&mut self.tally)
    }

    /// All calls that have not ended.
    #[cfg(test)]
    pub fn calls_under_way(&self) -> Vec<CallId> {
        self.calls.under_way().map(|(call, _)| call).collect()
    }

    /// Queues the fetch that the keys of an issuer need next, if one may start.
    fn fetch(&mut self, trust: &TrustId, waited_for: bool, host: &dyn Host, now: MonoNanos) {
        let Some(keys) = self.keys.get_mut(trust) else { return };
        if let Some((part, fetch)) = keys.begin(waited_for, host, now) {
            self.calls.send(For::Keys(trust.clone(), part), Message::Fetch(fetch));
        }
    }

    fn fetched(
        &mut self,
        trust: &TrustId,
        part: Part,
        answer: Result<HttpAnswer, FetchFailed>,
        host: &dyn Host,
        now: Now,
    ) {
        let Some(keys) = self.keys.get_mut(trust) else { return };
        let (ok, failed) = match part {
            Part::Keys => (Counter::KeyFetchOk, Counter::KeyFetchFailed),
            Part::Metadata => (Counter::MetadataFetchOk, Counter::MetadataFetchFailed),
        };
        let outcome = keys.answer(part, answer, host, now.mono);
        self.count_fetch(Some(outcome), ok, failed);
        if part == Part::Metadata {
            self.fetch(trust, self.wants_keys(trust), host, now.mono);
        }
        if self.keys.get(trust).is_some_and(|keys| !keys.is_under_way() && keys.set(now.mono).is_some()) {
            self.waits.keys(trust);
            self.hear_held(trust, host, now);
        }
    }

    /// Whether somebody waits for the keys of an issuer.
    fn wants_keys(&self, trust: &TrustId) -> bool {
        self.waits.wants_keys(trust) || self.introspections.holds(trust)
    }

    /// Counts the end of a fetch that somebody still needs, and tells what went wrong.
    fn count_fetch(&mut self, outcome: Option<Outcome>, ok: Counter, failed: Counter) {
        match outcome {
            Some(Outcome::Loaded) => self.tally.count(ok),
            Some(Outcome::Failed(why)) => {
                self.tally.count(failed);
                if let Some(why) = why {
                    log::warn!("{why}");
                }
            }
            None => {}
        }
    }

    /// What is settled for somebody who waits no longer serves others.
    fn settle(&mut self, settled: Vec<Settled>, now: Now) {
        for settled in settled {
            // Every waiter is an exchange: nobody else takes permits.
            let Ok(exchange) = u32::try_from(settled.waiter.0) else { continue };
            if let Some(unheard) = self.waits.settled(ExchangeId(exchange), settled) {
                self.leases.put_back(unheard, now.mono);
            }
        }
    }
}

/// How soon the next tick is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// For refreshes and lost calls alone.
    Calm,
    /// Somebody waits for a service, whose time-outs are short, or a refusal for its body.
    Pressed,
    /// Exchanges stand in line to be polled.
    Batches,
}

/// The answer of a call over HTTP.
fn http(answer: Result<Answered, FetchFailed>) -> Result<HttpAnswer, FetchFailed> {
    match answer? {
        Answered::Http(answer) => Ok(answer),
        Answered::Grpc(_) => Err(FetchFailed::NoAnswer),
    }
}

/// A token as all workers know it: under a trust.
fn known_token(raw: RawToken<'_>, issuer: &Issuer) -> Vec<u8> {
    [issuer.trust.as_bytes(), raw.as_bytes()].concat()
}
