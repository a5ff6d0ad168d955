//! The documents that a worker fetches, kind by kind: when one is to be fetched, where its end goes, and what follows. In: what requests
//! look for, ends of fetches, time. Out: fetches to send, exchanges to wake. Not here: what is in a document and where it is
//! (`key_store`, `revocations`, `status_lists`), the life of one (`document`).

use crate::host::Host;
use crate::jose::{Header, Native};
use crate::policy::{Issuer, Policy, TrustId};
use crate::time::{MonoNanos, Now};
use crate::worker::calls::{For, Message};
use crate::worker::document::Outcome;
use crate::worker::fetch::{Fetch, FetchFailed, HttpAnswer};
use crate::worker::key_store::{KeyLookup, KeyStore, Part};
use crate::worker::policies::Used;
use crate::worker::revocations::RevocationDocuments;
use crate::worker::status_lists::StatusLists;
use crate::worker::{Counter, Worker};

/// Which document.
#[derive(Clone, Debug)]
pub(super) enum DocumentId {
    /// The keys of an issuer.
    Keys(TrustId),
    /// Where they are.
    Metadata(TrustId),
    /// Revocations, by the id of their source.
    Revocations(Box<str>),
    /// A status list.
    StatusList(TrustId),
}

/// The end of a fetch.
struct Ended {
    outcome: Outcome,
    /// What is to be fetched because of it: keys that metadata tells the place of, or that a status list is signed with.
    next: Option<DocumentId>,
}

/// All of them.
pub(super) struct Documents {
    pub(super) keys: KeyStore,
    pub(super) revocations: RevocationDocuments,
    pub(super) status_lists: StatusLists,
}

impl Documents {
    /// None yet. `seed` is random.
    pub(super) fn new(host: &dyn Host, seed: u64) -> Self {
        Self {
            keys: KeyStore::new(seed),
            revocations: RevocationDocuments::new(host),
            status_lists: StatusLists::default(),
        }
    }

    /// Goes by what `policy` says from now on.
    pub(super) fn follow(&mut self, policy: &Policy, seed: u64) {
        policy.issuers.iter().for_each(|issuer| self.keys.follow(issuer));
        for (place, source) in policy.revocation_sources() {
            self.revocations.follow(place, source, seed);
        }
    }

    /// Drops what no policy relies on. An answer to a fetch for it is too late.
    pub(super) fn retain(&mut self, used: &Used<'_>) {
        self.keys.retain(|trust| used.trust(trust));
        self.revocations.retain(|id| used.revocations(id));
        self.status_lists.retain(|trust| used.trust(trust));
    }

    /// Those that are to be fetched, if their turn has come.
    fn due(&mut self, now: Now) -> Vec<DocumentId> {
        let mut due: Vec<DocumentId> = self.keys.due(now.mono).into_iter().map(DocumentId::Keys).collect();
        due.extend(self.status_lists.due(now).into_iter().map(DocumentId::StatusList));
        due.extend(self.revocations.due(now.mono).into_iter().map(DocumentId::Revocations));
        due
    }

    /// The fetch that this one needs next, if it may start: keys may need metadata first. `waited_for`: requests wait for it.
    fn begin(&mut self, id: &DocumentId, waited_for: bool, host: &dyn Host, now: Now) -> Option<(DocumentId, Fetch)> {
        match id {
            DocumentId::Keys(trust) | DocumentId::Metadata(trust) => {
                let (part, fetch) = self.keys.begin(trust, waited_for, host, now.mono)?;
                let fetched = match part {
                    Part::Keys => DocumentId::Keys(trust.clone()),
                    Part::Metadata => DocumentId::Metadata(trust.clone()),
                };
                Some((fetched, fetch))
            }
            DocumentId::Revocations(source) => Some((id.clone(), self.revocations.begin(source, host, now.mono)?)),
            DocumentId::StatusList(list) => Some((id.clone(), self.status_lists.begin(list, waited_for, host, now)?)),
        }
    }

    /// Whether the fetch of this one will never end.
    pub(super) fn is_lost(&self, id: &DocumentId, now: MonoNanos) -> bool {
        match id {
            DocumentId::Keys(trust) => self.keys.is_lost(trust, Part::Keys, now),
            DocumentId::Metadata(trust) => self.keys.is_lost(trust, Part::Metadata, now),
            DocumentId::Revocations(source) => self.revocations.is_lost(source, now),
            DocumentId::StatusList(list) => self.status_lists.is_lost(list, now),
        }
    }

    /// The fetch of this one ended. `None` if nobody needs it any more.
    fn answer(
        &mut self,
        id: &DocumentId,
        answer: Result<HttpAnswer, FetchFailed>,
        native: Native,
        host: &dyn Host,
        now: Now,
    ) -> Option<Ended> {
        let mut next = None;
        let outcome = match id {
            DocumentId::Keys(trust) => self.keys.answer(trust, Part::Keys, answer, host, now.mono)?,
            DocumentId::Metadata(trust) => {
                next = Some(DocumentId::Keys(trust.clone()));
                self.keys.answer(trust, Part::Metadata, answer, host, now.mono)?
            }
            DocumentId::Revocations(source) => self.revocations.answer(source, answer, host, now.mono)?,
            DocumentId::StatusList(list) => {
                let keys = |issuer: &Issuer, header: &Header| {
                    let lookup = self.keys.look_up(issuer, header, host, now.mono);
                    next = matches!(lookup, KeyLookup::Wait).then(|| DocumentId::Keys(issuer.trust.clone()));
                    lookup
                };
                self.status_lists.answer(list, answer, keys, native, host, now)?
            }
        };
        Some(Ended { outcome, next })
    }
}

impl Worker {
    /// The keys of `issuer` that fit a token's header. May queue a fetch; `Wait` means: park, and call again when told.
    pub fn keys(&mut self, issuer: &Issuer, header: &Header, host: &dyn Host, now: Now) -> KeyLookup {
        let lookup = self.documents.keys.look_up(issuer, header, host, now.mono);
        if matches!(lookup, KeyLookup::Wait) {
            self.fetch(&DocumentId::Keys(issuer.trust.clone()), true, host, now);
        }
        lookup
    }

    /// Queues the fetches that are due.
    pub(super) fn fetch_due(&mut self, host: &dyn Host, now: Now) {
        for id in self.documents.due(now) {
            self.fetch(&id, self.is_waited_for(&id), host, now);
        }
    }

    /// Queues the fetch that a document needs next, if one may start.
    pub(super) fn fetch(&mut self, id: &DocumentId, waited_for: bool, host: &dyn Host, now: Now) {
        if let Some((id, fetch)) = self.documents.begin(id, waited_for, host, now) {
            self.calls.send(For::Document(id), Message::Fetch(fetch));
        }
    }

    /// Whether requests wait for a document. None does for revocations: without them there is a rule.
    fn is_waited_for(&self, id: &DocumentId) -> bool {
        match id {
            DocumentId::Keys(trust) | DocumentId::Metadata(trust) => {
                self.waits.wants_keys(trust) || self.introspections.holds(trust)
            }
            DocumentId::StatusList(list) => self.waits.wants_keys(list),
            DocumentId::Revocations(_) => false,
        }
    }

    /// The fetch of a document ended. Who waits for it goes on once it is there, or is not and need not be.
    pub(super) fn fetched(
        &mut self,
        id: &DocumentId,
        answer: Result<HttpAnswer, FetchFailed>,
        host: &dyn Host,
        now: Now,
    ) {
        let Some(Ended { outcome, next }) = self.documents.answer(id, answer, self.native, host, now) else { return };
        let loaded = self.count_fetch(id, outcome);
        if let Some(next) = next {
            self.fetch(&next, self.is_waited_for(id), host, now);
        }
        match id {
            DocumentId::Keys(trust) | DocumentId::Metadata(trust) => self.go_on_with_keys(trust, host, now),
            DocumentId::StatusList(list) if loaded || self.documents.status_lists.pass_unknown(list) => {
                self.waits.keys(list);
            }
            DocumentId::StatusList(_) | DocumentId::Revocations(_) => {}
        }
    }

    /// Whoever waits for the keys of an issuer goes on if there are some, old or new, and none to come.
    fn go_on_with_keys(&mut self, trust: &TrustId, host: &dyn Host, now: Now) {
        if self.documents.keys.is_settled(trust, now.mono) {
            self.waits.keys(trust);
            self.hear_held(trust, host, now);
        }
    }

    /// Counts the end of a fetch, and tells what went wrong. Out: whether it brought the document.
    fn count_fetch(&mut self, id: &DocumentId, outcome: Outcome) -> bool {
        let (ok, failed) = match id {
            DocumentId::Keys(_) => (Counter::KeyFetchOk, Counter::KeyFetchFailed),
            DocumentId::Metadata(_) => (Counter::MetadataFetchOk, Counter::MetadataFetchFailed),
            DocumentId::Revocations(_) => (Counter::RevocationFetchOk, Counter::RevocationFetchFailed),
            DocumentId::StatusList(_) => (Counter::StatusListFetchOk, Counter::StatusListFetchFailed),
        };
        match outcome {
            Outcome::Loaded => {
                self.tally.count(ok);
                true
            }
            Outcome::Failed(why) => {
                self.tally.count(failed);
                if let Some(why) = why {
                    log::warn!("{why}");
                }
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
