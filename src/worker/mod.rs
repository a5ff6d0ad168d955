//! What outlives a request: key sets, verified tokens, waiting exchanges and the outbox of calls. One per worker
//! thread and plugin; it survives a new configuration.
//!
//! Sans-IO. The filter hands in answers and time and takes calls out:
//! * inputs: [`Worker::adopt`], [`Worker::fetched`], [`Worker::told`], [`Worker::tick`] – the last three name the
//!   exchanges to poll again;
//! * outputs: [`Worker::next_call`], [`Worker::take_tally`];
//! * for checks: [`Worker::keys`], [`Worker::verified`], [`Worker::remember`], [`Worker::leases`].
//!
//! Late, timed-out and malformed answers take one path: the call is over, its waiters are polled and find no keys.

mod fetch;
mod key_store;
mod refresh;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};

pub use fetch::{Fetch, FetchFailed, FetchId, HttpAnswer};
pub use key_store::KeyLookup;
pub use tally::{Counter, Tally};

use key_store::{IssuerKeys, KeysNews};

use crate::host::Host;
use crate::jose::{Header, Native};
use crate::limit::SharedTable;
use crate::limit::fleet::{Ask, AskId, CallFailed as AskFailed, Leases, Waiter};
use crate::peer::KnownPeers;
use crate::policy::{FilterId, Issuer, KeySource, Policy, Resource, TokenCacheBounds, TrustId};
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

/// A request to a dependency that the root context is to send.
#[derive(Debug)]
pub enum Call {
    /// Ask over HTTP.
    Fetch(Fetch),
    /// Ask a rate-limit service.
    Ask(Ask),
}

/// The worker has more waiting exchanges than it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// More exchanges than this never wait at once in one worker.
const MAX_PARKED: usize = 10_000;
/// More identities than this hold no lease of a fleet limit at once in one worker.
const MAX_LEASES: usize = 10_000;

/// See the module.
pub struct Worker {
    native: Native,
    keys: BTreeMap<TrustId, IssuerKeys>,
    tokens: TokenCache,
    peers: KnownPeers,
    limits: SharedTable,
    policies: Vec<Weak<Policy>>,
    parked: BTreeMap<ExchangeId, TrustId>,
    outbox: Vec<Fetch>,
    calls: BTreeMap<FetchId, TrustId>,
    next_call: u64,
    leases: Leases,
    tally: Tally,
}

impl Worker {
    /// A worker of `filter` that starts with `policy`.
    pub fn new(filter: FilterId, policy: &Rc<Policy>, host: &dyn Host) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = host.random();
        let mut worker = Self {
            native: Native::probe(host),
            keys: BTreeMap::new(),
            tokens: TokenCache::new(u64::from_ne_bytes([a, b, c, d, e, f, g, h]), policy.token_cache),
            peers: KnownPeers::new(host),
            limits: SharedTable::new(filter, host),
            policies: Vec::new(),
            parked: BTreeMap::new(),
            outbox: Vec::new(),
            calls: BTreeMap::new(),
            next_call: 0,
            leases: Leases::new(MAX_LEASES),
            tally: Tally::default(),
        };
        worker.adopt(policy);
        worker
    }

    /// Goes over to `policy`. Keys and verified tokens of an issuer survive if its trust is unchanged. What only the old
    /// policy relies on stays as long as somebody holds that one: listeners drain for minutes.
    pub fn adopt(&mut self, policy: &Rc<Policy>) {
        for issuer in &policy.issuers {
            if let KeySource::Remote(source) = &issuer.keys {
                let new = || IssuerKeys::new(&issuer.trust, source);
                self.keys.entry(issuer.trust.clone()).or_insert_with(new).follow(source);
            }
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
        let used: BTreeSet<&TrustId> =
            live.iter().flat_map(|policy| &policy.issuers).map(|issuer| &issuer.trust).collect();
        self.keys.retain(|trust, _| used.contains(trust));
        self.tokens.retain(|token| used.contains(&token.issuer().trust));
        self.set_token_bounds();
    }

    /// The keys of `issuer` that fit a token's header. May queue a fetch; `Wait` means: park, and ask again when told.
    pub fn keys(&mut self, issuer: &Issuer, header: &Header, host: &dyn Host, now: Now) -> KeyLookup {
        match &issuer.keys {
            KeySource::Inline(set) => key_store::inline(set, header),
            KeySource::Remote(source) => {
                let keys =
                    self.keys.entry(issuer.trust.clone()).or_insert_with(|| IssuerKeys::new(&issuer.trust, source));
                let (lookup, fetch) = keys.lookup(header, host, now.mono);
                if fetch {
                    self.fetch(&issuer.trust, now.mono);
                }
                lookup
            }
        }
    }

    /// A token verified before under a trust of `resource`, found by its whole text, if its issuer still
    /// stands by it. One that is known under other trusts only is to be verified anew.
    pub fn verified(&mut self, raw: RawToken<'_>, resource: &Resource, now: Now) -> Option<Rc<AccessToken>> {
        let token = self.tokens.get(raw.as_bytes(), |token| token.trusted_by(resource).is_some())?;
        if !self.vouches(&token, now) {
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
        })
    }

    /// Remembers a token that was just verified, beside what is known of it under other trusts.
    pub fn remember(&mut self, raw: RawToken<'_>, token: &Rc<AccessToken>) {
        self.tally.count(Counter::TokenCacheMiss);
        let trust = &token.issuer().trust;
        self.tokens.insert(raw.as_bytes(), token.clone(), token.memory(), |known| known.issuer().trust == *trust);
    }

    /// What the host's native verification can do.
    pub fn native(&self) -> Native {
        self.native
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

    /// Lets an exchange wait for the keys of `issuer`.
    pub fn park(&mut self, exchange: ExchangeId, issuer: &Issuer) -> Result<(), Full> {
        if self.parked.len() >= MAX_PARKED {
            return Err(Full);
        }
        self.parked.insert(exchange, issuer.trust.clone());
        Ok(())
    }

    /// An exchange waits no longer. Its call goes on: others may wait for it.
    pub fn abandon(&mut self, exchange: ExchangeId, now: Now) {
        self.parked.remove(&exchange);
        self.leases.abandon(exchange.into(), now.mono);
    }

    /// Permits of fleet limits.
    pub fn leases(&mut self) -> &mut Leases {
        &mut self.leases
    }

    /// Whether somebody waits for a rate-limit service, so that ticks should come often.
    pub fn is_pressed(&self) -> bool {
        self.leases.next_tick().is_some()
    }

    /// Whether there is a call to send.
    pub fn has_calls(&self) -> bool {
        !self.outbox.is_empty() || self.leases.has_asks()
    }

    /// The next call to send, at once.
    pub fn next_call(&mut self, now: Now) -> Option<Call> {
        if self.outbox.is_empty() {
            return self.leases.next_ask(now.mono).map(Call::Ask);
        }
        Some(Call::Fetch(self.outbox.remove(0)))
    }

    /// The end of an ask, however it ended. Names the exchanges to poll again.
    pub fn told(&mut self, ask: AskId, answer: Result<Vec<u8>, AskFailed>, now: Now) -> Vec<ExchangeId> {
        exchanges(self.leases.answer(ask, answer, now.mono))
    }

    /// The end of a fetch, however it ended. Names the exchanges to poll again; nobody, if the fetch is unknown.
    pub fn fetched(
        &mut self,
        call: FetchId,
        answer: Result<HttpAnswer, FetchFailed>,
        host: &dyn Host,
        now: Now,
    ) -> Vec<ExchangeId> {
        let Some(trust) = self.calls.remove(&call) else { return Vec::new() };
        let Some(keys) = self.keys.get_mut(&trust) else { return self.unpark(&trust) };
        match keys.answer(answer, host, now.mono) {
            KeysNews::Loaded => self.tally.count(Counter::KeyFetchOk),
            KeysNews::Failed(why) => {
                self.tally.count(Counter::KeyFetchFailed);
                log::warn!("keys of issuer {}: {why}", keys.describe());
            }
        }
        self.unpark(&trust)
    }

    /// Time passes: what no policy needs any more is dropped, refreshes that are due are queued, lost calls given up.
    /// Names the exchanges to poll again.
    pub fn tick(&mut self, host: &dyn Host, now: Now) -> Vec<ExchangeId> {
        self.retire();
        let lost: Vec<FetchId> = self
            .calls
            .iter()
            .filter(|(_, trust)| self.keys.get(trust).is_none_or(|keys| keys.is_lost(now.mono)))
            .map(|(call, _)| *call)
            .collect();
        let mut wake = Vec::new();
        for call in lost {
            wake.extend(self.fetched(call, Err(FetchFailed::Lost), host, now));
        }
        let due: Vec<TrustId> =
            self.keys.iter().filter(|(_, keys)| keys.is_due(now.mono)).map(|(trust, _)| trust.clone()).collect();
        for trust in due {
            self.fetch(&trust, now.mono);
        }
        wake.extend(exchanges(self.leases.tick(now.mono)));
        self.limits.tick(host, now.mono);
        wake
    }

    /// What happened since the last time, to be added to the metrics.
    pub fn take_tally(&mut self) -> Tally {
        let fleet = self.leases.take_tally();
        for (counter, count) in [
            (Counter::FleetAsk, fleet.asks),
            (Counter::FleetFailed, fleet.failed),
            (Counter::FleetNoLimit, fleet.no_limit),
            (Counter::FleetBreakerOpened, fleet.opened),
        ] {
            self.tally.add(counter, count);
        }
        std::mem::take(&mut self.tally)
    }

    fn fetch(&mut self, trust: &TrustId, now: MonoNanos) {
        let Some(keys) = self.keys.get_mut(trust) else { return };
        self.next_call = self.next_call.wrapping_add(1);
        let id = FetchId(self.next_call);
        self.outbox.push(keys.start(id, now));
        self.calls.insert(id, trust.clone());
    }

    fn unpark(&mut self, trust: &TrustId) -> Vec<ExchangeId> {
        let waiting: Vec<ExchangeId> =
            self.parked.iter().filter(|(_, waits_for)| *waits_for == trust).map(|(exchange, _)| *exchange).collect();
        for exchange in &waiting {
            self.parked.remove(exchange);
        }
        waiting
    }
}

/// Every waiter is an exchange: nobody else takes permits.
fn exchanges(waiters: Vec<Waiter>) -> Vec<ExchangeId> {
    waiters.into_iter().filter_map(|waiter| u32::try_from(waiter.0).ok().map(ExchangeId)).collect()
}
