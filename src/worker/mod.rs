//! What outlives a request, as a list of stores: fetched documents, verified tokens, who waits for what and the calls for it. One per
//! worker thread and plugin; it survives a new configuration. Here stands who is told of what, and when; what a store does then, and
//! what it needs of others for that, stands in its file.
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
mod documents;
mod fetch;
mod fetch_fault;
mod hearing;
mod introspections;
mod key_store;
mod metadata;
mod news;
mod permits;
mod policies;
mod question;
mod refresh;
mod revocations;
mod standing;
mod status_lists;
mod tally;
mod tokens;
mod unverified;
mod waits;

use std::rc::Rc;

pub use bodies::Bodies;
pub use calls::{Answered, Call, CallId, Message};
pub use fetch::{AnswerFields, Fetch, FetchFailed, HttpAnswer};
pub use introspections::{Inquiry, MEMORY as QUESTIONS_MEMORY, QuestionId, Told};
pub use key_store::KeyLookup;
pub use standing::Standing;
pub use tally::{Counter, Gauge, Tally};
pub use tokens::KNOWN_TOKENS;
pub use tokens::Tokens;
pub use waits::{Batch, Room, WaitEnd, Waits, Woken};

use calls::{Calls, For};
use documents::Documents;
use introspections::Introspections;
use policies::{Policies, Used};
use waits::On;

use crate::binding::dpop::Nonces;
use crate::host::Host;
use crate::jose::Native;
use crate::limit::SharedTable;
use crate::limit::fleet::{Leases, Waiter};
use crate::peer::KnownPeers;
use crate::policy::{FilterId, Policy};
use crate::shared::OnceOnly;
use crate::time::{MonoNanos, Now};

/// An exchange, by the proxy's number of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub u32);

impl From<ExchangeId> for Waiter {
    fn from(exchange: ExchangeId) -> Self {
        Self(exchange.0.into())
    }
}

/// More identities than this hold no lease of a fleet limit at once in one worker.
const MAX_LEASES: usize = 10_000;

/// See the module.
pub struct Worker {
    native: Native,
    policies: Policies,
    documents: Documents,
    tokens: Tokens,
    introspections: Introspections,
    peers: KnownPeers,
    limits: SharedTable,
    /// Proofs of possession that were used.
    proofs: OnceOnly,
    nonces: Nonces,
    leases: Leases,
    calls: Calls,
    waits: Waits,
    bodies: Bodies,
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
            policies: Policies::default(),
            documents: Documents::new(host, seed),
            tokens: Tokens::new(seed, policy.token_cache, host),
            introspections: Introspections::default(),
            peers: KnownPeers::new(host),
            limits: SharedTable::new(filter, host),
            proofs: OnceOnly::new("proofs", host),
            nonces: Nonces::new(host),
            leases: Leases::new(MAX_LEASES),
            calls: Calls::default(),
            waits: Waits::default(),
            bodies: Bodies::default(),
            tally: Tally::default(),
            seed,
        };
        worker.adopt(policy);
        worker
    }

    /// Goes over to `policy`. Keys and verified tokens of an issuer survive if its trust is unchanged. What only the old
    /// policy relies on stays as long as somebody holds that one: listeners drain for minutes.
    pub fn adopt(&mut self, policy: &Rc<Policy>) {
        for warning in unverified::warnings(policy, self.native) {
            log::warn!("{warning}");
        }
        self.documents.follow(policy, self.seed);
        self.policies.adopt(policy);
        self.retire();
        self.set_token_bounds();
    }

    /// Drops what only policies relied on which nobody holds any more.
    fn retire(&mut self) {
        let Some(policies) = self.policies.retire() else { return };
        let used = Used::by(&policies);
        self.documents.retain(&used);
        self.tokens.retain(&used);
        self.introspections.retain(|trust| used.trust(trust));
        self.set_token_bounds();
    }

    fn set_token_bounds(&mut self) {
        if let Some(bounds) = self.policies.token_bounds() {
            self.tokens.set_bounds(bounds);
        }
    }

    /// What the host's native verification can do.
    pub fn native(&self) -> Native {
        self.native
    }

    /// Verified tokens, as all workers know them.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
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

    /// Who waits.
    pub fn waits(&mut self) -> &mut Waits {
        &mut self.waits
    }

    /// Refusals that wait for the bodies of their requests.
    pub fn bodies(&mut self) -> &mut Bodies {
        &mut self.bodies
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
        } else if self.leases.next_tick().is_some() || self.calls.has_not_sent() || self.bodies.len() > 0 {
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
        self.calls.not_sent(call);
    }

    /// The end of a call, however it ended, and of the waits for it. Nobody's, if the call is unknown.
    pub fn answered(&mut self, call: CallId, answer: Result<Answered, FetchFailed>, host: &dyn Host, now: Now) {
        match self.calls.end(call) {
            Some(For::Document(id)) => self.fetched(&id, http(answer), host, now),
            Some(For::Introspection(question)) => self.introspected(question, http(answer), host, now),
            Some(For::Permits(call)) => self.permitted(call, answer, now),
            None => {}
        }
    }

    /// Time passes: what no policy needs any more is dropped, refreshes that are due are queued, lost calls given up, waits
    /// ended that lasted too long.
    pub fn tick(&mut self, host: &dyn Host, now: Now) {
        self.retire();
        self.limits.tick(host, now.mono);
        for call in self.calls.take_not_sent() {
            self.answered(call, Err(FetchFailed::NotSent), host, now);
        }
        let settled = self.leases.tick(now.mono);
        self.settle(settled, now);
        for call in self.lost_calls(now.mono) {
            self.answered(call, Err(FetchFailed::Lost), host, now);
        }
        self.fetch_due(host, now);
        self.give_up_held(now);
        self.waits.tick(now.mono);
    }

    fn lost_calls(&self, now: MonoNanos) -> Vec<CallId> {
        let lost = |purpose: &For| match purpose {
            For::Document(id) => self.documents.is_lost(id, now),
            For::Introspection(question) => self.introspections.is_lost(*question, now),
            For::Permits(call) => !self.leases.awaits(*call),
        };
        self.calls.under_way().filter(|(_, purpose)| lost(purpose)).map(|(call, _)| call).collect()
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
        self.count_permits();
        std::mem::take(&mut self.tally)
    }

    /// All calls that have not ended.
    #[cfg(test)]
    pub fn calls_under_way(&self) -> Vec<CallId> {
        self.calls.under_way().map(|(call, _)| call).collect()
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
