//! One request, from its head to a verdict. In: the head as the proxy holds it, the connection, both clocks.
//! Out: [`Step::Done`] with a [`Verdict`], or [`Step::Wait`]: park it and poll again when the worker says so.
//!
//! The functions to read are [`approach`](Exchange::approach), which finds the route without any secret, and
//! [`judge`](Exchange::judge), which decides. Every check stands in a room of its own; the order is theirs here.
//!
//! ```text
//! Fresh ──▶ WaitsForKeys or WaitsForAnswer ──▶ WaitsForPermits ──▶ Judged        each poll goes as far to the right as it can
//! ```
//! A stage keeps what was proved on the way to it. After a wait only that is looked at again which time can undo, and
//! nothing that has an effect happens twice. Whatever ends a wait, [`Exchange::leave`] gives back what it held.

mod audit_facts;
mod body;
mod caller;
mod fleet;
mod holder;
mod interaction;
mod introspect;
mod limits;
mod outcome;
mod proof;
mod settling;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod unrouted;
mod verify;

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

pub use audit_facts::{AuditFacts, CertificateLife};
pub use body::body_too_large;
pub use interaction::InteractionId;
pub use outcome::Outcome;
pub use settling::{ended, responded};

use caller::Caller;
use fleet::FleetGrants;
use holder::{Found, Holder};
use unrouted::{Unrouted, never_passes};
use verify::verify;

use crate::authz::{AccessRequest, Grant};
use crate::binding::{Binding, bind};
use crate::host::{Connection, ConnectionProperty, Host};
use crate::http::{AnswerForm, Authority, Head, HeadFault, HeaderMap, PathFault};
use crate::peer::{Noticed, Peer, PeerIdentity};
use crate::policy::{Access, Fact, Issuer, KeyRule, Mode, Policy, Profile, Resource, Route, RouteMatch, TrustId};
use crate::reason::Reason;
use crate::time::{MonoNanos, Now};
use crate::token::introspection::{asked_about, is_opaque};
use crate::token::{AccessToken, Claimed, RawKey, RawToken, presented};
use crate::verdict::{Forward, Refusal, Upstream, Verdict};
use crate::worker::{Counter, ExchangeId, QuestionId, Standing, Told, WaitEnd, Woken, Worker};

/// What a caller is told to wait while an issuer has no keys: a request that waits has them fetched once a second.
const RETRY: Duration = Duration::from_secs(1);

/// What a poll of an exchange needs besides the exchange.
pub struct Surroundings<'a> {
    /// What outlives the request.
    pub worker: &'a mut Worker,
    /// The process.
    pub host: &'a dyn Host,
    /// The connection that carried the request.
    pub connection: &'a dyn Connection,
    /// Both clocks.
    pub now: Now,
}

/// The answer to a poll.
#[derive(Debug)]
pub enum Step {
    /// Decided.
    Done(Verdict),
    /// The worker will name this exchange when it is to be polled again.
    Wait,
}

/// One request.
pub struct Exchange {
    id: ExchangeId,
    policy: Rc<Policy>,
    stage: Stage,
    facts: AuditFacts,
    /// Whether more than the head belongs to the request.
    body_follows: bool,
    /// Whether it may wait for what tells its token's standing.
    may_wait: bool,
    /// When it first had to wait for keys or a status list.
    waits_since: Option<MonoNanos>,
}

enum Stage {
    Fresh(HeaderMap),
    /// Of the issuer of its token. Nothing is proved yet.
    WaitsForKeys(RoutedRequest),
    /// Of the issuer that is asked about its token. Nothing is proved yet.
    WaitsForAnswer(RoutedRequest),
    /// Of services of the fleet. It may use the route, and some of them may have counted it.
    WaitsForPermits(RoutedRequest, Grant, FleetGrants),
    Judged,
}

/// A request whose route is known.
struct RoutedRequest {
    head: Head,
    resource: Rc<Resource>,
    route: Rc<Route>,
    preflight: bool,
    holder: Option<Holder>,
}

impl RoutedRequest {
    /// Whether it came where it can be replayed (RFC 8470), and a replay would do harm: a credential must be shown by somebody who is there,
    /// and what is done without one must be safe to do again.
    fn came_early(&self) -> bool {
        let is_safe = matches!(self.head.method(), "GET" | "HEAD" | "OPTIONS");
        let is_open = self.preflight || self.route.access == Access::Public;
        self.head.headers("early-data").next().is_some() && !(is_open && is_safe)
    }

    /// The bytes that it holds while it waits, more or less.
    fn size(&self) -> usize {
        self.head.size()
    }
}

/// Why a judgement ended without leave to go on.
enum Stop {
    Refuse(Refusal),
    WaitForKeys(Rc<Issuer>),
    /// Of a status list, so long.
    WaitForList(TrustId, Duration),
    WaitForAnswer(Rc<Issuer>, QuestionId),
    WaitForPermits(Grant),
}

/// What a wait has brought.
enum Proved {
    Nothing,
    /// What the issuer says of the token.
    Told(Told),
    /// It may use the route.
    Granted(Grant),
}

impl<R: Into<Refusal>> From<R> for Stop {
    fn from(refusal: R) -> Self {
        Stop::Refuse(refusal.into())
    }
}

impl Exchange {
    /// A request with the header map `head`, to be judged by `policy` however long it waits; `body_follows`: more than the head belongs to it.
    pub fn new(id: ExchangeId, policy: Rc<Policy>, head: HeaderMap, body_follows: bool) -> Self {
        let (stage, facts) = (Stage::Fresh(head), AuditFacts::default());
        Self { id, policy, stage, facts, body_follows, may_wait: false, waits_since: None }
    }

    /// What was found out about the request, for the audit record.
    pub fn seen(&self) -> &AuditFacts {
        &self.facts
    }

    /// The same, to keep for a record that is written again once the response is known.
    pub fn take_facts(&mut self) -> AuditFacts {
        std::mem::take(&mut self.facts)
    }

    /// Takes the request as far as it goes now.
    pub fn poll(&mut self, around: &mut Surroundings<'_>) -> Step {
        let waits =
            matches!(self.stage, Stage::WaitsForKeys(_) | Stage::WaitsForAnswer(_) | Stage::WaitsForPermits(..));
        let ended = match waits.then(|| around.worker.poll(self.id)) {
            Some(Woken::No) => return Step::Wait,
            Some(Woken::Yes(ended)) => ended,
            None => None,
        };
        let too_late = matches!(ended, Some(WaitEnd::TooLate));
        let (told, settled) = match ended {
            Some(WaitEnd::Introspected(told)) => (Some(told), None),
            Some(WaitEnd::Permits(settled)) => (None, Some(settled)),
            Some(WaitEnd::Keys | WaitEnd::TooLate) | None => (None, None),
        };
        let (request, proved, mut fleet) = match std::mem::replace(&mut self.stage, Stage::Judged) {
            Stage::Fresh(head) => match self.approach(head, around) {
                Ok(request) => (request, Proved::Nothing, FleetGrants::default()),
                Err(unrouted) => return Step::Done(self.refuse_unrouted(*unrouted, around)),
            },
            Stage::WaitsForKeys(request) => (request, Proved::Nothing, FleetGrants::default()),
            Stage::WaitsForAnswer(request) => {
                let told = told.unwrap_or(Err(Reason::IntrospectionUnavailable.into()));
                (request, Proved::Told(told), FleetGrants::default())
            }
            Stage::WaitsForPermits(request, grant, fleet) => (request, Proved::Granted(grant), fleet),
            Stage::Judged => return Step::Done(Verdict::Refuse(Reason::FilterUnavailable.into())),
        };
        fleet.answered(settled);
        self.may_wait = !too_late && request.resource.mode == Mode::Enforce;
        let refusal = match self.judge(&request, proved, &mut fleet, around) {
            Ok(forward) => return Step::Done(Verdict::Forward(forward)),
            Err(Stop::WaitForPermits(grant)) => {
                self.stage = Stage::WaitsForPermits(request, grant, fleet);
                return Step::Wait;
            }
            Err(Stop::WaitForKeys(_)) if too_late || request.resource.mode == Mode::Report => {
                Refusal::unavailable(Reason::KeysUnavailable, RETRY)
            }
            Err(Stop::WaitForAnswer(..)) if request.resource.mode == Mode::Report => introspect::unavailable(),
            Err(Stop::WaitForAnswer(issuer, question)) => match around.worker.room_for_keys(request.size()) {
                Some(room) => {
                    around.worker.wait_for_answer(self.id, room, question, &issuer, around.now);
                    self.stage = Stage::WaitsForAnswer(request);
                    return Step::Wait;
                }
                None => Reason::Overloaded.into(),
            },
            Err(Stop::WaitForKeys(issuer)) => match around.worker.room_for_keys(request.size()) {
                Some(room) => {
                    let since = *self.waits_since.get_or_insert(around.now.mono);
                    around.worker.wait_for_keys(self.id, room, &issuer, since);
                    self.stage = Stage::WaitsForKeys(request);
                    return Step::Wait;
                }
                None => Reason::Overloaded.into(),
            },
            Err(Stop::WaitForList(list, timeout)) => match around.worker.room_for_keys(request.size()) {
                Some(room) => {
                    let since = *self.waits_since.get_or_insert(around.now.mono);
                    around.worker.wait_for_list(self.id, room, list, since.plus(timeout));
                    self.stage = Stage::WaitsForKeys(request);
                    return Step::Wait;
                }
                None => Reason::Overloaded.into(),
            },
            Err(Stop::Refuse(refusal)) => self.count_refusal(refusal, &request, around),
        };
        self.give_back(fleet, around.worker, around.now);
        if self.facts.claimed.is_none() {
            self.facts.claimed = self.claimed(refusal.reason, &request);
        }
        Step::Done(self.refuse(refusal, Some(&request.resource), request.head.fields()))
    }

    /// The request is over, whatever ended it. If it waits, it does so no longer.
    pub fn leave(&mut self, worker: &mut Worker, now: Now) {
        match std::mem::replace(&mut self.stage, Stage::Judged) {
            Stage::WaitsForPermits(_, _, fleet) => self.give_back(fleet, worker, now),
            Stage::WaitsForKeys(_) | Stage::WaitsForAnswer(_) => {
                self.give_back(FleetGrants::default(), worker, now);
            }
            Stage::Fresh(_) | Stage::Judged => {}
        }
    }

    /// The one way out of every wait that does not lead upstream: what was granted serves others.
    fn give_back(&self, fleet: FleetGrants, worker: &mut Worker, now: Now) {
        fleet.give_back(worker.leases(), now.mono);
        worker.leave(self.id, now);
    }

    /// Which route the request is for, and over whose connection it came.
    fn approach(&mut self, fields: HeaderMap, around: &mut Surroundings<'_>) -> Result<RoutedRequest, Box<Unrouted>> {
        self.facts.form = AnswerForm::of_head(&fields);
        self.facts.request_id = AuditFacts::request_id_of(&fields);
        let peer = Peer::of(around.connection);
        let noticed = peer.ok().flatten().map(|peer| (peer, self.notice(peer, around)));
        let head = match Head::parse(fields) {
            Ok(head) => head,
            Err(unread) => {
                let authority = unread.fields.all(":authority").next().and_then(|host| Authority::parse(host).ok());
                let resource = authority.and_then(|authority| self.policy.hosts.find(&authority).cloned());
                self.recognise(resource.as_ref(), &unread.fields, around);
                let holder = self.holder(resource.as_deref(), &unread.fields, noticed, around);
                let refusal = malformed(unread.fault);
                return Err(Box::new(Unrouted { refusal, head: Err(unread), resource, holder }));
            }
        };
        self.facts.path = Some(head.path().as_str().into());
        let resource = self.policy.hosts.find(head.authority()).cloned();
        self.recognise(resource.as_ref(), head.fields(), around);
        let holder = self.holder(resource.as_deref(), head.fields(), noticed, around);
        let tunnel = never_passes(head.method().as_bytes());
        let Some(resource) = resource else {
            let refusal = if tunnel { Reason::MethodRefused } else { Reason::HostUnknown }.into();
            return Err(Box::new(Unrouted { refusal, head: Ok(head), resource: None, holder }));
        };
        let found = match () {
            () if tunnel => Err(Reason::MethodRefused.into()),
            () if self.is_misdirected(&resource, around.connection) => Err(Reason::Misdirected.into()),
            () if !has_tls(&resource, around.connection) => Err(Reason::TlsTooOld.into()),
            () => find_route(&resource, &head),
        };
        self.facts.route = found.as_ref().ok().map(|(route, _)| route.clone());
        let found = found.and_then(|found| peer.map_or(Err(Reason::PeerUnreadable.into()), |_| Ok(found)));
        let (route, preflight) = match found {
            Ok(found) => found,
            Err(refusal) => {
                return Err(Box::new(Unrouted { refusal, head: Ok(head), resource: Some(resource), holder }));
            }
        };
        Ok(RoutedRequest { head, resource, route, preflight, holder })
    }

    /// The host is that of a resource, or of none. Also of a request that is malformed otherwise, if its host can be read: its
    /// answer carries the number of the interaction as well, where the resource wants one.
    fn recognise(&mut self, resource: Option<&Rc<Resource>>, fields: &HeaderMap, around: &Surroundings<'_>) {
        self.facts.resource = resource.cloned();
        let numbered = resource.filter(|resource| resource.profile.numbers_interactions());
        self.facts.interaction = numbered.map(|_| InteractionId::of(fields, || around.host.random()));
    }

    /// Tells the upstream a number that the caller did not send.
    fn number_interaction(&self, upstream: &mut Upstream) {
        let new = self.facts.interaction.iter().filter(|interaction| interaction.is_new());
        upstream.set.extend(new.map(|new| (Profile::INTERACTION_ID.to_owned(), new.text().to_string())));
    }

    /// Without a route, what is refused still counts.
    fn refuse_unrouted(&self, mut unrouted: Unrouted, around: &mut Surroundings<'_>) -> Verdict {
        let refusal = unrouted.count(&self.policy, around);
        match unrouted.may_pass() {
            true => self.refuse(refusal, unrouted.resource.as_deref(), unrouted.fields()),
            false => Verdict::Refuse(self.facts.explain(refusal)),
        }
    }

    /// Refusals are outcomes as well, but for those by limits. They count against the source alone, and for events: whoever sends
    /// another's token must not spend the other's budget. Out: what is answered, which is a limit's refusal once the
    /// source has been refused so too often.
    fn count_refusal(&mut self, refusal: Refusal, request: &RoutedRequest, around: &mut Surroundings<'_>) -> Refusal {
        let status = refusal.reason.row().status;
        if status == 429 {
            return refusal;
        }
        let source = Caller::of(request, None, self.facts.identity.as_ref(), around.now.wall);
        let known = self.facts.token.is_some() || self.facts.api_key.is_some();
        if let Err(spent) = source.may_be_refused(status, known, around) {
            return spent;
        }
        source.refused(request.route.limits.of_sources(), status, around);
        let sender = Caller { token: self.facts.token.as_ref(), key: self.facts.api_key.as_ref(), ..source };
        self.facts.events = sender.refused(&request.route.limits.watching, status, around);
        refusal
    }

    /// What a token says of itself that is refused for `reason` and was not verified. Not of a source that is locked out: it has
    /// made enough work.
    fn claimed(&self, reason: Reason, request: &RoutedRequest) -> Option<Box<Claimed>> {
        if self.facts.token.is_some() || !reason.is_of_token() {
            return None;
        }
        let raw = presented(&request.head, self.policy.max_token_bytes, request.resource.dpop.is_some()).ok()?;
        if is_opaque(raw.as_bytes()) && asked_about(raw.as_bytes(), &request.resource).is_some() {
            return None;
        }
        Some(Box::new(Claimed::read(raw.as_bytes(), reason, &request.resource)))
    }

    /// A refusal, carried out or only reported: as the resource says, or the whole configuration where there is none.
    fn refuse(&self, refusal: Refusal, resource: Option<&Resource>, fields: &HeaderMap) -> Verdict {
        let refusal = self.facts.explain(refusal);
        match (self.policy.mode_of(resource), resource) {
            (Mode::Enforce, _) => Verdict::Refuse(refusal),
            (Mode::Report, Some(resource)) => {
                let mut upstream = Upstream::of_nobody(&resource.forward, fields);
                self.number_interaction(&mut upstream);
                Verdict::Report(refusal, upstream)
            }
            // No rule says what may not pass here. Whatever serves this host gets what it got without this filter.
            (Mode::Report, None) => Verdict::Report(refusal, Upstream::default()),
        }
    }

    /// Whether it may go upstream. It goes on from what it waited for.
    fn judge(
        &mut self,
        request: &RoutedRequest,
        proved: Proved,
        fleet: &mut FleetGrants,
        around: &mut Surroundings<'_>,
    ) -> Result<Forward, Stop> {
        let identity = self.identity(request, around);
        let identity = identity.as_ref();
        let grant = match proved {
            Proved::Granted(grant) => still_stands(grant, request, around)?,
            Proved::Told(told) => self.authorise(request, Some(told), identity, around)?,
            Proved::Nothing => self.authorise(request, None, identity, around)?,
        };
        body::admitted(&request.route.body, &request.head, self.body_follows)?;
        let caller = Caller::of(request, grant.access_token(), identity, around.now.wall);
        let caller = Caller { key: grant.api_key(), ..caller };
        let told = |fact: &Fact| caller.fact(fact, around.connection).text().map(Cow::into_owned);
        let mut upstream = Upstream::of(&request.resource.forward, request.head.fields(), told)?;
        self.number_interaction(&mut upstream);
        let Some((permits, shadowed)) = caller.charge(request, self.id, fleet, around)? else {
            return Err(Stop::WaitForPermits(grant));
        };
        self.facts.shadowed = shadowed;
        Ok(Forward::new(grant, permits, upstream).serving(request.route.document.clone()))
    }

    /// Whether the caller may use the route; `told`: what the issuer said of its token, if that was waited for. The order is the
    /// precedence of refusals.
    fn authorise(
        &mut self,
        request: &RoutedRequest,
        told: Option<Told>,
        identity: Option<&PeerIdentity>,
        around: &mut Surroundings<'_>,
    ) -> Result<Grant, Stop> {
        if request.came_early() {
            return Err(Reason::TooEarly.into());
        }
        let rule = match &request.route.access {
            _ if request.preflight => return Ok(Grant::preflight()),
            Access::Public => return Ok(Grant::public()),
            Access::Peer(rule) => return Ok(Grant::peer(rule, identity)?),
            Access::Key(rule) => return self.authorise_by_key(rule, request, identity, around),
            Access::Token(rule) => rule,
        };
        let raw = presented(&request.head, self.policy.max_token_bytes, request.resource.dpop.is_some())?;
        self.facts.scheme = Some(raw.scheme());
        let token = match told {
            Some(told) => introspect::hear(told, raw, &self.policy, &mut self.facts.claimed, around)?,
            None => match around.worker.verified(raw, &request.resource, around.now) {
                Some(token) => token,
                // Only here: a source that is locked out may still use a token known to be good.
                None => self.look_into(raw, request, identity, around)?,
            },
        };
        self.facts.token = Some(token.clone());
        token.acceptable(&request.resource, around.now)?;
        not_revoked(&token, request, self.may_wait, around)?;
        let peer = request.holder.as_ref().and_then(Holder::peer);
        let bound = match bind(token, raw.scheme(), peer.as_ref(), rule.binding, &request.resource)? {
            Binding::Holds(bound) => bound,
            Binding::OwesProof(by_key) => {
                let source = Caller::of(request, None, identity, around.now.wall);
                self.prove(by_key, raw, request, &source, around)?
            }
        };
        let source = || caller::address(around.connection);
        let access = AccessRequest { head: &request.head, peer: identity, source: &source, now: around.now.wall };
        Ok(Grant::token(rule, bound, &access)?)
    }

    /// The same by an API key. For a source that has failed too often no key is compared: it may be guessing.
    fn authorise_by_key(
        &mut self,
        rule: &KeyRule,
        request: &RoutedRequest,
        identity: Option<&PeerIdentity>,
        around: &mut Surroundings<'_>,
    ) -> Result<Grant, Stop> {
        let raw = RawKey::of(&request.head, &rule.keys.header)?;
        let source = Caller::of(request, None, identity, around.now.wall);
        source.look_at_source(around)?;
        source.look_at_stranger(around)?;
        let presented = raw.find(&rule.keys, around.host, around.now.wall)?;
        self.facts.api_key = Some(presented.key().clone());
        Ok(Grant::key(rule, &presented, identity)?)
    }

    /// A token that this worker does not know: by the keys of its issuer, or by the issuer's word.
    fn look_into(
        &mut self,
        raw: RawToken<'_>,
        request: &RoutedRequest,
        identity: Option<&PeerIdentity>,
        around: &mut Surroundings<'_>,
    ) -> Result<Rc<AccessToken>, Stop> {
        let source = Caller::of(request, None, identity, around.now.wall);
        let Some(issuer) = asked_about(raw.as_bytes(), &request.resource) else {
            return verify(raw, &source, &request.resource, &self.policy, around);
        };
        let told = introspect::ask(raw, issuer, &source, around)?;
        Ok(introspect::hear(told, raw, &self.policy, &mut self.facts.claimed, around)?)
    }

    /// Whether the connection was opened for another resource (RFC 9110 §7.4, §15.5.20): the CAs that its certificate was
    /// checked with may be the other's. Asked only where there is another.
    fn is_misdirected(&self, resource: &Resource, connection: &dyn Connection) -> bool {
        if self.policy.resources.len() < 2 {
            return false;
        }
        let server_name = connection.property(ConnectionProperty::RequestedServerName).unwrap_or_default();
        std::str::from_utf8(&server_name).is_ok_and(|name| self.policy.hosts.misdirects(name, resource))
    }

    /// Whatever the request is for, and even if it is refused: the next one may come on a resumed session.
    fn notice(&self, peer: Peer, around: &mut Surroundings<'_>) -> Option<Noticed> {
        let Surroundings { worker, host, connection, now } = around;
        self.policy.needs_identities.then(|| worker.peers().notice(peer, *connection, *host, *now))
    }

    /// By whose certificate it goes, as the resource says, or the configuration where there is none.
    fn holder(
        &mut self,
        resource: Option<&Resource>,
        fields: &HeaderMap,
        noticed: Option<(Peer, Option<Noticed>)>,
        around: &mut Surroundings<'_>,
    ) -> Option<Holder> {
        let found = Found::of(&self.policy.peer_of(resource), fields, noticed, &self.policy, around);
        self.facts.thumbprint = found.holder.as_ref().and_then(Holder::peer).map(|peer| peer.thumbprint);
        self.facts.peer_source = found.source;
        self.facts.conveyed_unused = found.unused;
        found.holder
    }

    /// Who the peer is, where something on this route depends on it: it may cost several questions to the proxy.
    fn identity(&mut self, request: &RoutedRequest, around: &mut Surroundings<'_>) -> Option<PeerIdentity> {
        if !request.route.needs_identity() && !request.resource.forward.needs_identity() {
            return None;
        }
        let identity = request.holder.as_ref()?.identity(&self.policy, around)?;
        self.facts.identity = Some(identity.clone());
        if self.facts.certificate.is_none() {
            self.facts.certificate = CertificateLife::of(&identity, &self.policy, around.now.wall);
            let short = self.facts.certificate.is_some_and(|life| life.is_short);
            around.worker.count(Counter::CertificateExpiring, short.into());
        }
        Some(identity)
    }
}

/// Whether the connection has the TLS that the resource demands. Asked only where it demands some.
fn has_tls(resource: &Resource, connection: &dyn Connection) -> bool {
    let version = || connection.property(ConnectionProperty::TlsVersion);
    resource.require_tls.is_none_or(|floor| floor.admits(version().as_deref()))
}

fn malformed(fault: HeadFault) -> Refusal {
    match fault {
        HeadFault::Malformed => Reason::HeadMalformed.into(),
        HeadFault::Authority(_) => Reason::AuthorityMalformed.into(),
        HeadFault::Path(PathFault::TooLong) => Reason::UriTooLong.into(),
        HeadFault::Path(fault) => Refusal::path_ambiguous(fault),
    }
}

/// The route, and whether the request only is the CORS preflight of one that allows it.
fn find_route(resource: &Resource, head: &Head) -> Result<(Rc<Route>, bool), Refusal> {
    let (method, path) = (head.method(), head.path());
    if let Some(RouteMatch::Found(route)) = head.preflight_for().map(|asked| resource.routes.find(asked, path))
        && route.preflight
    {
        return Ok((route.clone(), true));
    }
    match resource.routes.find(method, path) {
        RouteMatch::Found(route) => Ok((route.clone(), false)),
        RouteMatch::LookAlike => Err(Reason::PathAmbiguous.into()),
        RouteMatch::SlashElsewhere => Err(Refusal::path_ambiguous(PathFault::DangerousEscape)),
        RouteMatch::MethodNotAllowed(allowed, pattern) => Err(Refusal::method_not_allowed(allowed, pattern)),
        RouteMatch::None => Err(Reason::RouteUnknown.into()),
    }
}

/// Whether its issuer took a token back, also one that is known.
fn not_revoked(
    token: &AccessToken,
    request: &RoutedRequest,
    may_wait: bool,
    around: &mut Surroundings<'_>,
) -> Result<(), Stop> {
    match around.worker.standing(token, &request.resource, may_wait, around.host, around.now) {
        Standing::Good => Ok(()),
        Standing::Revoked => Err(Reason::TokenRevoked.into()),
        Standing::Malformed => Err(Reason::StatusUnusable.into()),
        Standing::Pending(list, timeout) => Err(Stop::WaitForList(list, timeout)),
        Standing::Unknown => Err(Refusal::unavailable(Reason::RevocationStale, RETRY).into()),
    }
}

/// What time can undo of a grant.
fn still_stands(grant: Grant, request: &RoutedRequest, around: &mut Surroundings<'_>) -> Result<Grant, Stop> {
    if let Some(token) = grant.access_token() {
        token.acceptable(&request.resource, around.now)?;
        if !around.worker.vouches(token, around.now) {
            return Err(Reason::KeyUnknown.into());
        }
        not_revoked(token, request, false, around)?;
    }
    if grant.api_key().is_some_and(|key| key.is_over(around.now.wall)) {
        return Err(Reason::ApiKeyExpired.into());
    }
    grant.still_stands(&request.route.access, around.now.wall)?;
    Ok(grant)
}
