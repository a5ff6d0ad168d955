//! The documents of revocations. In: the sources that policies name, ends of fetches, time. Out: the fetches to send, and
//! whether a document names a token. Not here: the life of a document (`document`), what is in one (`revocation`), what becomes of tokens
//! while there is none (`standing`).

use std::collections::BTreeMap;
use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use crate::host::Host;
use crate::policy::RevocationSource;
use crate::revocation::{Edition, Revocable, Revocations};
use crate::shared::Secret;
use crate::time::MonoNanos;
use crate::worker::document::{Document, Fetched, Outcome};
use crate::worker::fetch::{Fetch, FetchFailed, HttpAnswer};
use crate::worker::fetch_fault::{FetchFault, Sought, told};
use crate::worker::news::NewsOf;
use crate::worker::refresh::Schedule;

/// The longest `ETag` that is sent back.
const LONGEST_ETAG: usize = 256;

/// All documents of a worker.
pub(super) struct RevocationDocuments {
    documents: BTreeMap<Box<str>, RevocationDocument>,
    secret: Secret,
    /// Of the content that was loaded last.
    last: Edition,
}

/// What is known of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// A document names it, however old it is.
    Yes,
    /// One that is not stale does not.
    No(Edition),
    /// None was ever fetched, or it is stale.
    Unknown,
}

struct RevocationDocument {
    source: RevocationSource,
    /// Where the source stands in the configuration.
    place: Box<str>,
    document: Document<(Edition, Revocations)>,
    /// What the server calls the content.
    etag: Option<Box<str>>,
    /// Of the bytes that were read last.
    digest: u64,
}

fn schedule(source: &RevocationSource) -> Schedule {
    Schedule { refresh: source.refresh, max_stale: source.max_stale, timeout: source.timeout }
}

impl RevocationDocuments {
    /// None yet.
    pub(super) fn new(host: &dyn Host) -> Self {
        Self { documents: BTreeMap::new(), secret: Secret::agree(host), last: Edition::default() }
    }

    /// Goes by `source` from now on. `place`: that of its issuer or resource in the configuration; `seed` is random.
    pub(super) fn follow(&mut self, place: &str, source: &RevocationSource, seed: u64) {
        let new = || RevocationDocument {
            source: source.clone(),
            place: "".into(),
            document: Document::new(NewsOf::revocations(&source.id), schedule(source), seed),
            etag: None,
            digest: 0,
        };
        let document = self.documents.entry(source.id.clone()).or_insert_with(new);
        document.source = source.clone();
        document.place = format!("{place}.revocation").into();
        document.document.follow(schedule(source));
    }

    /// Drops all but those with these ids.
    pub(super) fn retain(&mut self, used: impl Fn(&str) -> bool) {
        self.documents.retain(|id, _| used(id));
    }

    /// Whether the document of `source` names a token. `cleared`: the edition by which it was looked up last.
    pub(super) fn name<'t>(
        &self,
        source: &RevocationSource,
        cleared: Edition,
        token: impl FnOnce() -> Revocable<'t>,
        now: MonoNanos,
    ) -> Named {
        let Some(document) = self.documents.get(&source.id) else { return Named::Unknown };
        let Some((edition, revocations)) = document.document.last().or_else(|| document.document.wanted(now)) else {
            return Named::Unknown;
        };
        if *edition != cleared && revocations.name(&token()) {
            return Named::Yes;
        }
        if document.document.wanted(now).is_some() { Named::No(*edition) } else { Named::Unknown }
    }

    /// Those that are due.
    pub(super) fn due(&self, now: MonoNanos) -> Vec<Box<str>> {
        let due = self.documents.iter().filter(|(_, document)| document.document.is_due(now));
        due.map(|(id, _)| id.clone()).collect()
    }

    /// Whether the fetch of this one will never end.
    pub(super) fn is_lost(&self, id: &str, now: MonoNanos) -> bool {
        self.documents.get(id).is_none_or(|document| document.document.is_lost(now))
    }

    /// The fetch that starts now, if its turn has come.
    pub(super) fn begin(&mut self, id: &str, host: &dyn Host, now: MonoNanos) -> Option<Fetch> {
        let document = self.documents.get_mut(id)?;
        if !document.document.claims_turn(false, host, now) {
            return None;
        }
        document.document.started(now);
        let source = &document.source;
        let mut fetch = Fetch::get(&source.at, "application/json", &[], source.timeout, source.max_bytes);
        fetch.headers.extend(document.etag.iter().map(|etag| ("if-none-match".into(), etag.clone())));
        Some(fetch)
    }

    /// The fetch of this one ended. `None` if nobody needs it any more.
    pub(super) fn answer(
        &mut self,
        id: &str,
        answer: Result<HttpAnswer, FetchFailed>,
        host: &dyn Host,
        now: MonoNanos,
    ) -> Option<Outcome> {
        let document = self.documents.get_mut(id)?;
        let etag = answer.as_ref().ok().and_then(|answer| etag(answer.fields.etag.as_deref()?));
        let not_modified = document.etag.is_some() && answer.as_ref().is_ok_and(|answer| answer.status == 304);
        let fetched = if not_modified { None } else { Some(FetchFault::or_body(answer)) };
        let read = match fetched {
            None => None,
            Some(Ok(body)) if document.document.last().is_some() && digest(&body) == document.digest => None,
            Some(Ok(body)) => {
                let revocations = Revocations::parse(&body, document.source.max_bytes, &self.secret);
                Some(
                    revocations
                        .map(|read| (read, digest(&body)))
                        .map_err(|fault| FetchFault::revocations(fault, &body)),
                )
            }
            Some(Err(fault)) => Some(Err(fault)),
        };
        let Some(read) = read else {
            // The same content may come under a new name; 304 may leave the name out.
            document.etag = etag.or(document.etag.take());
            document.document.unchanged(None, host, now);
            return Some(Outcome::Loaded);
        };
        // How long it may be kept is not the server's to say: a revocation takes effect within "refresh".
        let fetched = read.map(|(revocations, digest)| {
            self.last = self.last.next();
            document.etag = etag;
            document.digest = digest;
            Fetched { content: (self.last, revocations), digest, max_age: None }
        });
        let RevocationDocument { place, source, .. } = document;
        Some(
            document
                .document
                .ended(fetched, host, now, |fault| told(place, Sought::Revocations, Some(&source.at), fault)),
        )
    }
}

/// What a server calls the content, if it may be sent back.
fn etag(field: &[u8]) -> Option<Box<str>> {
    let text = std::str::from_utf8(field).ok()?;
    let fits = text.len() <= LONGEST_ETAG && text.bytes().all(|byte| matches!(byte, b'!'..=b'~'));
    fits.then(|| text.into())
}

/// Tells contents of one server apart, nothing more.
fn digest(body: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(body);
    hasher.finish().max(1)
}

#[cfg(test)]
mod tests;
