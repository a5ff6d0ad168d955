//! The status lists that tokens name. In: the list and the place of a token, ends of fetches, time. Out: the state there, the fetches to send. Not
//! here: what a list is (`revocation`), where one may be (`policy`), what a state means for a token (`standing`).
//!
//! Only verified tokens name lists, and only below what their issuer's configuration says. There are so many of each issuer as `max_lists`; one more takes
//! the place of that which was asked for longest ago. A list that nobody asks for is not fetched again.

use std::rc::Rc;
use std::time::Duration;

use crate::host::Host;
use crate::jose::{Compact, Header, Native};
use crate::policy::{Endpoint, Issuer, OnStale, StatusListRule, TrustId};
use crate::revocation::{STATUS_LIST_TYP, StatusList, StatusReference};
use crate::time::{MonoNanos, Now};
use crate::worker::document::{Document, Fetched, Outcome};
use crate::worker::fetch::{Fetch, FetchFailed, HttpAnswer};
use crate::worker::fetch_fault::{FetchFault, Sought, told};
use crate::worker::key_store::KeyLookup;
use crate::worker::news::NewsOf;
use crate::worker::refresh::Schedule;

/// Between two fetches of a list that says itself that it has ended.
const ENDED_INTERVAL: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Default)]
pub(super) struct StatusLists(Vec<List>);

struct List {
    id: TrustId,
    uri: Box<str>,
    at: Endpoint,
    /// Whose tokens it is about. The rules of the newest configuration count.
    issuer: Rc<Issuer>,
    rule: StatusListRule,
    document: Document<StatusList>,
    asked: MonoNanos,
}

/// What a list says of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// This state; 0 is valid.
    State(u8),
    /// The token names a list that is not its issuer's, or a place behind the end.
    Nowhere,
    /// A fetch is under way that may tell.
    Pending(TrustId),
    /// The list is stale or could not be fetched.
    Unknown,
}

impl List {
    /// What was fetched last, if it may be used now, for a request.
    fn content(&self, now: Now) -> Option<&StatusList> {
        let leeway = self.issuer.leeway;
        let lives = |content: &&StatusList| content.expires.is_none_or(|expires| now.wall < expires.plus(leeway));
        self.document.wanted(now.mono).filter(lives)
    }

    /// Whether its tokens pass while fetches fail: nobody waits for the next one then.
    fn passes_unknown(&self) -> bool {
        self.rule.on_stale == OnStale::Allow && self.document.fails()
    }

    /// Whether it is missing, old or at its own end, and no fetch of it is under way. The leeway is time for the next one.
    fn is_due(&self, now: Now) -> bool {
        let ended = || self.document.last().and_then(|last| last.expires).is_some_and(|expires| now.wall >= expires);
        self.document.is_due(now.mono)
            || (!self.document.is_under_way() && ended() && self.document.rested(ENDED_INTERVAL, now.mono))
    }
}

fn schedule(rule: &StatusListRule) -> Schedule {
    Schedule { refresh: rule.refresh, max_stale: rule.max_stale, timeout: rule.timeout }
}

impl StatusLists {
    /// The state at the place that a token of `issuer` names. `Pending` and `Unknown` may need a fetch to [begin](Self::begin).
    pub(super) fn look_up(
        &mut self,
        issuer: &Rc<Issuer>,
        rule: &StatusListRule,
        reference: StatusReference<'_>,
        seed: u64,
        now: Now,
    ) -> Looked {
        let Some(at) = rule.endpoint(reference.uri) else { return Looked::Nowhere };
        let ours = |list: &List| *list.uri == *reference.uri && list.issuer.trust == issuer.trust && list.at == at;
        let list = match self.0.iter_mut().position(|list| ours(list)) {
            Some(known) => self.0.get_mut(known),
            None => {
                self.make_room(&issuer.trust, rule.max_lists);
                let id = TrustId::of(&format!("status list {} {} {at}", issuer.trust, at.cluster));
                let document = Document::new(NewsOf::status_list(&id), schedule(rule), seed);
                let uri = reference.uri.into();
                self.0.push(List {
                    id,
                    uri,
                    at,
                    issuer: issuer.clone(),
                    rule: rule.clone(),
                    document,
                    asked: now.mono,
                });
                self.0.last_mut()
            }
        };
        let Some(list) = list else { return Looked::Unknown };
        list.asked = now.mono;
        if !Rc::ptr_eq(&list.issuer, issuer) {
            list.issuer = issuer.clone();
            list.rule = rule.clone();
            list.document.follow(schedule(rule));
        }
        match list.content(now) {
            Some(content) => content.state(reference.index).map_or(Looked::Nowhere, Looked::State),
            // What was revoked stays so.
            None => match list.document.last().and_then(|last| last.state(reference.index)) {
                Some(state) if state != 0 => Looked::State(state),
                _ if list.passes_unknown() => Looked::Unknown,
                // Without a failure it has ended by itself, or nobody asked for it for long.
                _ if list.document.is_under_way() || list.document.last().is_none() || !list.document.fails() => {
                    Looked::Pending(list.id.clone())
                }
                _ => Looked::Unknown,
            },
        }
    }

    /// Takes away those of an issuer that were asked for longest ago, so that one more is `most`. An answer for one of them is nobody's.
    fn make_room(&mut self, trust: &TrustId, most: usize) {
        loop {
            let own = || self.0.iter().enumerate().filter(|(_, list)| list.issuer.trust == *trust);
            let Some((oldest, _)) = own().min_by_key(|(_, list)| list.asked).filter(|_| own().count() >= most) else {
                return;
            };
            self.0.swap_remove(oldest);
        }
    }

    /// Drops those of trusts that are not used any more.
    pub(super) fn retain(&mut self, used: impl Fn(&TrustId) -> bool) {
        self.0.retain(|list| used(&list.issuer.trust));
    }

    /// Those that are due, but for those that nobody has asked for until they were stale. These are kept all the same: what was revoked
    /// stays so.
    pub(super) fn due(&self, now: Now) -> Vec<TrustId> {
        let is_used = |list: &&List| now.mono.since(list.asked) <= list.rule.max_stale;
        let due = self.0.iter().filter(is_used).filter(|list| list.is_due(now));
        due.map(|list| list.id.clone()).collect()
    }

    /// Whether who waits for this one goes on without it.
    pub(super) fn pass_unknown(&self, id: &TrustId) -> bool {
        self.0.iter().any(|list| list.id == *id && list.passes_unknown())
    }

    /// Whether the fetch of this one will never end.
    pub(super) fn is_lost(&self, id: &TrustId, now: MonoNanos) -> bool {
        self.0.iter().find(|list| list.id == *id).is_none_or(|list| list.document.is_lost(now))
    }

    /// The fetch that starts now, if its turn has come.
    pub(super) fn begin(&mut self, id: &TrustId, waited_for: bool, host: &dyn Host, now: Now) -> Option<Fetch> {
        let list = self.0.iter_mut().find(|list| list.id == *id)?;
        if !list.is_due(now) || !list.document.claims_turn(waited_for, host, now.mono) {
            return None;
        }
        list.document.started(now.mono);
        // In base64url twice, a third longer each time, beside what else is in the token.
        let max_bytes = list.rule.max_bytes.saturating_mul(2).saturating_add(4096);
        Some(Fetch::get(&list.at, "application/statuslist+jwt", &[], list.rule.timeout, max_bytes))
    }

    /// The fetch of this one ended; `keys`: those of its issuer that fit a header. `None` if nobody needs it any more.
    pub(super) fn answer(
        &mut self,
        id: &TrustId,
        answer: Result<HttpAnswer, FetchFailed>,
        keys: impl FnOnce(&Issuer, &Header) -> KeyLookup,
        native: Native,
        host: &dyn Host,
        now: Now,
    ) -> Option<Outcome> {
        let list = self.0.iter_mut().find(|list| list.id == *id)?;
        let read = FetchFault::or_body(answer)
            .and_then(|body| read(&body, list, keys, native, host, now).map_err(FetchFault::StatusList));
        let fetched = read.map(|content| Fetched { digest: 0, max_age: content.ttl, content });
        let place = format!("{}.revocation.status_lists", list.issuer.origin.path);
        let at = &list.at;
        Some(list.document.ended(fetched, host, now.mono, |fault| told(&place, Sought::StatusList, Some(at), fault)))
    }
}

/// The list in a token that one of the issuer's keys signed.
fn read(
    body: &[u8],
    list: &List,
    keys: impl FnOnce(&Issuer, &Header) -> KeyLookup,
    native: Native,
    host: &dyn Host,
    now: Now,
) -> Result<StatusList, &'static str> {
    let jws = Compact::parse(body.trim_ascii()).map_err(|fault| fault.told())?;
    let typ = jws.header.typ.as_deref().unwrap_or_default();
    if !typ.strip_prefix("application/").unwrap_or(typ).eq_ignore_ascii_case(STATUS_LIST_TYP) {
        return Err("its typ is not statuslist+jwt");
    }
    if !list.issuer.algorithms.contains(&jws.header.algorithm) {
        return Err("its alg is none of the issuer's algorithms");
    }
    let fitting = match keys(&list.issuer, &jws.header) {
        KeyLookup::Found(keys) => keys,
        // The next attempt comes soon.
        KeyLookup::Wait => return Err("the keys of the issuer are still being fetched"),
        KeyLookup::Unknown => Vec::new(),
    };
    if !fitting.iter().any(|key| key.verify(&jws, host, native)) {
        return Err("no key of the issuer made its signature");
    }
    StatusList::read(&jws.payload, &list.uri, list.rule.max_bytes, now.wall, list.issuer.leeway)
}
