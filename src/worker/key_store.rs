//! The keys of issuers, and where they are to be fetched. In: token headers, ends of fetches, time. Out: [`KeyLookup`], the
//! fetch to send, and the keys that still vouch. Not here: the life of what is fetched (`document`, `refresh`, `news`); what the
//! issuer's metadata says (`metadata`); what a fetch brought instead (`fetch_fault`).
//!
//! ```text
//!  due, or an unknown kid asks ──▶ metadata, if it names the place and was not asked just now ──▶ keys
//! ```
//! An unknown `kid` may cause one fetch per issuer and 30 s for all workers of the proxy together (they agree by a
//! shared time stamp): anyone can send a random `kid`. So that a rotation found by one worker reaches the others at
//! once, a worker whose set is not the newest may fetch as well. Keys themselves are never taken from shared data, which
//! other plugins may write; nor is the place where they are.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::host::Host;
use crate::jose::{Header, KeySet, MAX_KEY_SET_BYTES, VerifyingKey};
use crate::policy::{Endpoint, Issuer, JwksAt, JwksSource, KeySource, TrustId};
use crate::time::MonoNanos;
use crate::worker::document::{Document, Fetched, Outcome};
use crate::worker::fetch::{Fetch, FetchFailed, HttpAnswer};
use crate::worker::fetch_fault::{FetchFault, Sought, told};
use crate::worker::metadata::MAX_METADATA_BYTES;
use crate::worker::news::NewsOf;
use crate::worker::refresh::Schedule;

/// Between two fetches caused by unknown `kid`s, over all workers.
const UNKNOWN_KID_INTERVAL: Duration = Duration::from_secs(30);
/// Metadata is asked before keys are, unless it was asked so short a time ago: it is small, and says where keys have moved.
const METADATA_AGE: Duration = Duration::from_secs(30);

/// Where a token's key stands.
#[derive(Debug)]
pub enum KeyLookup {
    /// These fit.
    Found(Vec<Rc<VerifyingKey>>),
    /// A fetch may bring it: one is under way, or there are no keys and the next one comes soon.
    Wait,
    /// The issuer has no such key.
    Unknown,
}

/// What of an issuer is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Keys,
    /// Where the keys are.
    Metadata,
}

/// See the module.
pub(super) struct KeyStore {
    issuers: BTreeMap<TrustId, IssuerKeys>,
    /// Random.
    seed: u64,
}

/// Of one issuer, what is fetched.
struct IssuerKeys {
    source: JwksSource,
    /// Where the source stands in the configuration.
    place: Box<str>,
    keys: Document<KeySet>,
    /// Where the keys are, if metadata says it.
    metadata: Option<Document<Endpoint>>,
    /// An unknown `kid` has made sure of a fetch that has not begun.
    asked: bool,
}

/// The lookup where keys stand in the configuration.
fn inline(set: &KeySet, header: &Header) -> KeyLookup {
    let fitting: Vec<_> = set.candidates(header.kid.as_deref(), header.algorithm).cloned().collect();
    if fitting.is_empty() { KeyLookup::Unknown } else { KeyLookup::Found(fitting) }
}

fn schedule(source: &JwksSource) -> Schedule {
    Schedule { refresh: source.refresh, max_stale: source.max_stale, timeout: source.timeout }
}

fn metadata_schedule(source: &JwksSource) -> Schedule {
    Schedule { refresh: METADATA_AGE, ..schedule(source) }
}

impl KeyStore {
    /// None yet. `seed` is random.
    pub(super) fn new(seed: u64) -> Self {
        Self { issuers: BTreeMap::new(), seed }
    }

    /// Goes by what `issuer` says from now on. Keys survive if its trust is unchanged.
    pub(super) fn follow(&mut self, issuer: &Issuer) {
        if let KeySource::Remote(source) = &issuer.keys {
            self.of(issuer, source).follow(&issuer.origin.path, source);
        }
    }

    fn of(&mut self, issuer: &Issuer, source: &JwksSource) -> &mut IssuerKeys {
        let new = || IssuerKeys::new(&issuer.trust, source, self.seed);
        self.issuers.entry(issuer.trust.clone()).or_insert_with(new)
    }

    /// Drops those of trusts that are not used any more.
    pub(super) fn retain(&mut self, used: impl Fn(&TrustId) -> bool) {
        self.issuers.retain(|trust, _| used(trust));
    }

    /// The keys of `issuer` for a token's header. `Wait` may need a fetch to [begin](Self::begin).
    pub(super) fn look_up(&mut self, issuer: &Issuer, header: &Header, host: &dyn Host, now: MonoNanos) -> KeyLookup {
        match &issuer.keys {
            KeySource::Inline(set) => inline(set, header),
            KeySource::Remote(source) => self.of(issuer, source).lookup(header, host, now),
            KeySource::None => KeyLookup::Unknown,
        }
    }

    /// The keys of `issuer` that may be used now.
    pub(super) fn set<'k>(&'k self, issuer: &'k Issuer, now: MonoNanos) -> Option<&'k KeySet> {
        match &issuer.keys {
            KeySource::Inline(set) => Some(set),
            KeySource::Remote(_) => self.issuers.get(&issuer.trust)?.set(now),
            KeySource::None => None,
        }
    }

    /// Whether there are keys that may be used, and none are to come.
    pub(super) fn is_settled(&self, trust: &TrustId, now: MonoNanos) -> bool {
        self.issuers.get(trust).is_some_and(|keys| !keys.is_under_way() && keys.set(now).is_some())
    }

    /// Those whose keys are due.
    pub(super) fn due(&self, now: MonoNanos) -> Vec<TrustId> {
        let due = self.issuers.iter().filter(|(_, keys)| keys.is_due(now));
        due.map(|(trust, _)| trust.clone()).collect()
    }

    /// The fetch that starts now, if keys are due and their turn has come. `waited_for`: requests wait for them.
    pub(super) fn begin(
        &mut self,
        trust: &TrustId,
        waited_for: bool,
        host: &dyn Host,
        now: MonoNanos,
    ) -> Option<(Part, Fetch)> {
        self.issuers.get_mut(trust)?.begin(waited_for, host, now)
    }

    /// Whether the fetch of this part will never end.
    pub(super) fn is_lost(&self, trust: &TrustId, part: Part, now: MonoNanos) -> bool {
        self.issuers.get(trust).is_none_or(|keys| keys.is_lost(part, now))
    }

    /// The fetch of this part ended. `None` if nobody needs it any more.
    pub(super) fn answer(
        &mut self,
        trust: &TrustId,
        part: Part,
        answer: Result<HttpAnswer, FetchFailed>,
        host: &dyn Host,
        now: MonoNanos,
    ) -> Option<Outcome> {
        Some(self.issuers.get_mut(trust)?.answer(part, answer, host, now))
    }
}

impl IssuerKeys {
    /// Of an issuer that nothing was fetched of. `seed` is random.
    fn new(trust: &TrustId, source: &JwksSource, seed: u64) -> Self {
        let metadata = || Document::new(NewsOf::metadata(trust), metadata_schedule(source), seed);
        Self {
            source: source.clone(),
            place: "".into(),
            keys: Document::new(NewsOf::keys(trust), schedule(source), seed),
            metadata: matches!(source.at, JwksAt::Discovered(_)).then(metadata),
            asked: false,
        }
    }

    /// Goes by the times of `source` from now on: they are no part of the trust. `place`: the issuer's in the
    /// configuration.
    fn follow(&mut self, place: &str, source: &JwksSource) {
        self.source = source.clone();
        self.place = format!("{place}.jwks").into();
        self.keys.follow(schedule(source));
        if let Some(metadata) = &mut self.metadata {
            metadata.follow(metadata_schedule(source));
        }
    }

    /// Keys for a token's header. `Wait` may need a fetch to [begin](Self::begin).
    fn lookup(&mut self, header: &Header, host: &dyn Host, now: MonoNanos) -> KeyLookup {
        let Some(set) = self.keys.content(now) else { return KeyLookup::Wait };
        match inline(set, header) {
            KeyLookup::Found(keys) => KeyLookup::Found(keys),
            _ if self.is_under_way() => KeyLookup::Wait,
            _ if self.endpoint(now).is_some() && self.keys.claims_extra_turn(UNKNOWN_KID_INTERVAL, host, now) => {
                self.asked = true;
                KeyLookup::Wait
            }
            _ => KeyLookup::Unknown,
        }
    }

    /// The keys that may be used now.
    fn set(&self, now: MonoNanos) -> Option<&KeySet> {
        self.keys.content(now)
    }

    /// Whether keys are missing, old or asked for, and nothing is under way here that brings them.
    fn is_due(&self, now: MonoNanos) -> bool {
        (self.asked || self.keys.is_due(now)) && !self.is_fetched()
    }

    /// Whether keys are being fetched, or what that needs.
    fn is_under_way(&self) -> bool {
        self.asked || self.is_fetched()
    }

    fn is_fetched(&self) -> bool {
        self.keys.is_under_way() || self.metadata.as_ref().is_some_and(Document::is_under_way)
    }

    /// Whether the fetch of this part will never end.
    fn is_lost(&self, part: Part, now: MonoNanos) -> bool {
        match part {
            Part::Keys => self.keys.is_lost(now),
            Part::Metadata => self.metadata.as_ref().is_none_or(|metadata| metadata.is_lost(now)),
        }
    }

    /// The fetch that starts now, if keys are due and their turn has come. `waited_for`: requests wait for them.
    fn begin(&mut self, waited_for: bool, host: &dyn Host, now: MonoNanos) -> Option<(Part, Fetch)> {
        if !self.is_due(now) {
            return None;
        }
        if let (JwksAt::Discovered(discovery), Some(metadata)) = (&self.source.at, &mut self.metadata)
            && metadata.is_due(now)
            && metadata.claims_turn(waited_for, host, now)
        {
            metadata.started(now);
            return Some((Part::Metadata, self.fetch(&discovery.metadata, "application/json", MAX_METADATA_BYTES)));
        }
        // Metadata that could not be fetched again is used as long as keys are.
        let Some(endpoint) = self.endpoint(now).cloned() else {
            self.asked = false;
            return None;
        };
        if !self.asked && !self.keys.claims_turn(waited_for, host, now) {
            return None;
        }
        self.asked = false;
        self.keys.started(now);
        let accept = "application/jwk-set+json, application/json";
        Some((Part::Keys, self.fetch(&endpoint, accept, MAX_KEY_SET_BYTES)))
    }

    /// Where the keys are, as far as is known.
    fn endpoint(&self, now: MonoNanos) -> Option<&Endpoint> {
        match &self.source.at {
            JwksAt::Configured(endpoint) => Some(endpoint),
            JwksAt::Discovered(_) => self.metadata.as_ref()?.content(now),
        }
    }

    fn fetch(&self, endpoint: &Endpoint, accept: &str, max_bytes: usize) -> Fetch {
        Fetch::get(endpoint, accept, &self.source.headers, self.source.timeout, max_bytes)
    }

    /// The fetch of this part ended.
    fn answer(
        &mut self,
        part: Part,
        answer: Result<HttpAnswer, FetchFailed>,
        host: &dyn Host,
        now: MonoNanos,
    ) -> Outcome {
        match part {
            Part::Keys => self.keys_answer(answer, host, now),
            Part::Metadata => self.metadata_answer(answer, host, now),
        }
    }

    fn keys_answer(&mut self, answer: Result<HttpAnswer, FetchFailed>, host: &dyn Host, now: MonoNanos) -> Outcome {
        let max_age = answer.as_ref().ok().and_then(HttpAnswer::max_age);
        let fetched = FetchFault::or_keys(answer).map(|set| {
            let digest = short(&set.digest());
            Fetched { content: set, digest, max_age }
        });
        let sought = match self.source.at {
            JwksAt::Configured(_) => Sought::Keys,
            JwksAt::Discovered(_) => Sought::DiscoveredKeys,
        };
        let endpoint = self.endpoint(now).cloned();
        let place = &self.place;
        self.keys.ended(fetched, host, now, |fault| told(place, sought, endpoint.as_ref(), fault))
    }

    fn metadata_answer(&mut self, answer: Result<HttpAnswer, FetchFailed>, host: &dyn Host, now: MonoNanos) -> Outcome {
        let (JwksAt::Discovered(discovery), Some(metadata)) = (&self.source.at, &mut self.metadata) else {
            return Outcome::Failed(None);
        };
        // How long it may be kept is not the server's to say: it is asked before keys are.
        let fetched = FetchFault::or_endpoint(answer, discovery).map(|endpoint| Fetched {
            content: endpoint,
            digest: 0,
            max_age: None,
        });
        let place = &self.place;
        metadata.ended(fetched, host, now, |fault| told(place, Sought::Metadata, Some(&discovery.metadata), fault))
    }
}

/// Eight bytes of a digest: they tell things apart, nothing more.
fn short(digest: &[u8]) -> u64 {
    digest.first_chunk::<8>().map_or(0, |first| u64::from_le_bytes(*first))
}

#[cfg(test)]
mod tests;
