//! Whether a request may use its route: the order of the checks, each of which stands in a room of its own. In: a request with a route,
//! what was waited for. Out: leave to go upstream, or why not, or what to wait for. Not here: finding the route (`approach`), waiting
//! ([`Exchange::poll`]).

use std::borrow::Cow;
use std::rc::Rc;

use crate::authz::{AccessRequest, Grant};
use crate::binding::{Binding, bind};
use crate::exchange::caller::{self, Caller};
use crate::exchange::fleet::FleetGrants;
use crate::exchange::holder::Holder;
use crate::exchange::routed_request::RoutedRequest;
use crate::exchange::verify::verify;
use crate::exchange::{Awaited, CertificateLife, Exchange, Proved, RETRY, Stop, Surroundings, body, introspect};
use crate::peer::PeerIdentity;
use crate::policy::{Access, Fact, KeyRule};
use crate::reason::Reason;
use crate::token::introspection::asked_about;
use crate::token::{AccessToken, RawKey, RawToken, presented};
use crate::verdict::{Forward, Refusal, Upstream};
use crate::worker::{Counter, Standing, Told};

impl Exchange {
    /// Whether it may go upstream. It goes on from what it waited for.
    pub(super) fn judge(
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
        let was_told = told.is_some();
        let token = match told {
            Some(told) => introspect::hear(told, raw, &self.policy, &mut self.facts.claimed, around)?,
            None => match around.worker.verified(raw, &request.resource, around.now) {
                Some(token) if rule.asked_within.is_none_or(|most| token.was_asked_within(most, around.now)) => token,
                // Only here: a source that is locked out may still use a token known to be good.
                Some(_) | None => self.look_into(raw, request, identity, around)?,
            },
        };
        self.facts.token = Some(token.clone());
        token.acceptable(&request.resource, around.now)?;
        not_revoked(&token, request, self.may_wait, around).map_err(|stop| match stop {
            Stop::WaitFor(Awaited::List(list, timeout, _)) if was_told => {
                Stop::WaitFor(Awaited::List(list, timeout, Some(token.clone())))
            }
            stop => stop,
        })?;
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
        Standing::Pending(list, timeout) => Err(Stop::WaitFor(Awaited::List(list, timeout, None))),
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
