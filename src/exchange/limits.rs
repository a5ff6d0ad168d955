//! Charging a request to its limits: whose budget it is, and how large. In: the route's charges, the grant, the peer's
//! identity, the connection. Out: [`Permits`] or the refusal, and the names of shadow limits that would have refused.
//! Identities come from what was verified, so that a forged `sub` cannot spend its victim's budget.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use crate::exchange::fleet::FleetGrants;
use crate::exchange::{Surroundings, Way};
use crate::host::{Connection, ConnectionProperty, Host};
use crate::limit::{Demand, KeyValue, OverLimit, Pending, Permits, Quota, look, release, take};
use crate::peer::PeerIdentity;
use crate::policy::{Charge, Condition, Counts, Event, KeyPart, Limit};
use crate::time::{Now, UnixMillis};
use crate::token::AccessToken;
use crate::verdict::Refusal;
use crate::worker::{Counter, ExchangeId, Worker};

/// Everything about a request that limits may depend on.
pub(super) struct Caller<'c> {
    pub(super) way: &'c Way,
    /// `None` before the caller was let in: then only its source is known.
    pub(super) token: Option<&'c Rc<AccessToken>>,
    pub(super) peer: Option<&'c PeerIdentity>,
    pub(super) wall: UnixMillis,
}

/// What was charged, and the shadow limits that would have refused.
pub(super) type Charged = (Permits, Vec<Rc<Limit>>);

/// Counts a response of the upstream with this status, and says what it makes of what was seen before.
pub fn responded(permits: &Permits, status: u16, worker: &mut Worker, host: &dyn Host, now: Now) -> Vec<Event> {
    let counted = permits.pending().iter().filter(|pending| pending.limit.counts.response(status));
    counted.filter_map(|pending| count_afterwards(pending, worker, host, now)).collect()
}

/// The request ended: what it held while it lasted is free again.
pub fn ended(permits: &Permits, worker: &Worker, host: &dyn Host, now: Now) {
    release(permits.held(), worker.limits(), host, now.mono);
}

/// What has happened is counted. If the budget is spent by now there is nothing left to take from it, but perhaps an
/// event to raise.
fn count_afterwards(pending: &Pending, worker: &mut Worker, host: &dyn Host, now: Now) -> Option<Event> {
    let table = worker.limits();
    let watch = pending.limit.watch.as_ref();
    if let (Some(first), Some(identity)) = (watch.and_then(|watch| watch.distinct.as_ref()), pending.distinct) {
        let seen_first = Demand { limit: first, quota: first.quota, identity, cost: 1 };
        take(&[seen_first], table, host, now.mono).ok()?;
    }
    let over = take(&[pending.into()], table, host, now.mono).err()?;
    let event = watch.filter(|_| !over.contended())?.event;
    worker.count(raised(event), 1);
    Some(event)
}

fn raised(event: Event) -> Counter {
    match event {
        Event::BruteForce => Counter::EventBruteForce,
        Event::Enumeration => Counter::EventEnumeration,
        Event::CredentialStuffing => Counter::EventCredentialStuffing,
    }
}

impl Caller<'_> {
    /// All limits of the route are charged, or none; `None` if it has to wait for a service. A preflight is not counted:
    /// it does nothing. Services are asked once the local limits would let the request pass, and what they granted so
    /// far stands in `granted` whatever comes out; shadow limits are counted once it is clear that it passes.
    pub(super) fn charge(
        &self,
        exchange: ExchangeId,
        granted: &mut FleetGrants,
        around: &mut Surroundings<'_>,
    ) -> Result<Option<Charged>, Refusal> {
        let route = &self.way.route;
        if route.limits.is_empty() || self.way.preflight {
            return Ok(Some((Permits::none(), Vec::new())));
        }
        let outcomes = self.demands(&route.limits.outcomes, around);
        // With a token the source was asked before, if it had to be: one that is known to be good passes its lockout.
        let asked = |demand: &&Demand<'_>| self.token.is_none() || !demand.limit.is_of_source();
        let open: Vec<_> = outcomes.iter().filter(asked).cloned().collect();
        look_at(&open, around).map_err(Refusal::over_limit)?;
        let here = self.demands(&route.limits.here, around);
        if !route.limits.fleet.is_empty() {
            look_at(&here, around).map_err(Refusal::over_limit)?;
            if !granted.complete(&route.limits.fleet, self, exchange, around)? {
                return Ok(None);
            }
        }
        let held = here.iter().filter(|demand| demand.limit.counts == Counts::InFlight).cloned().map(Pending::from);
        let held = held.collect();
        let mut demands = here;
        let table = around.worker.limits();
        let identity = |limit: &Limit| table.identity(&limit.key, |part| self.value(part, around.connection));
        demands.extend(granted.demands(identity));
        let taken = take(&demands, table, around.host, around.now.mono);
        drop(demands);
        note_strain(&taken, around);
        let permits = taken.map_err(Refusal::over_limit)?;
        let pending = outcomes.into_iter().filter(|demand| demand.limit.counts.any_response());
        let watched = self.pending(&route.limits.watching, around);
        let pending = pending.map(Pending::from).chain(watched).collect();
        let permits = permits.beside(granted.standings()).until_end(pending, held);
        Ok(Some((permits, self.shadowed(&route.limits.shadow, around))))
    }

    /// Whether the source may have something new verified: it may not once it has failed, or made us work, too often.
    pub(super) fn look_at_source(&self, around: &Surroundings<'_>) -> Result<(), Refusal> {
        let demands = self.demands(self.way.route.limits.of_sources(), around);
        look_at(&demands, around).map_err(Refusal::locked_out)
    }

    /// Charges the source for a verification.
    pub(super) fn charge_source(&self, around: &mut Surroundings<'_>) -> Result<(), Refusal> {
        let charges = self.way.route.limits.of_sources().filter(|charge| charge.limit.counts.verification());
        let demands = self.demands(charges, around);
        if demands.is_empty() {
            return Ok(());
        }
        let taken = take(&demands, around.worker.limits(), around.host, around.now.mono);
        note_strain(&taken, around);
        taken.map(drop).map_err(Refusal::locked_out)
    }

    /// Counts a refusal of ours with this status, by those of the route's limits, and says what it makes of what was seen
    /// before.
    pub(super) fn refused<'d>(
        &self,
        charges: impl IntoIterator<Item = &'d Charge>,
        status: u16,
        around: &mut Surroundings<'_>,
    ) -> Vec<Event> {
        let counting = charges.into_iter().filter(|charge| charge.limit.counts.response(status));
        let pending = self.pending(counting, around);
        let counted = pending.iter();
        counted.filter_map(|pending| count_afterwards(pending, around.worker, around.host, around.now)).collect()
    }

    fn pending<'d>(&self, charges: impl IntoIterator<Item = &'d Charge>, around: &Surroundings<'_>) -> Vec<Pending> {
        let distinct = |limit: &Limit| {
            let first = limit.watch.as_ref()?.distinct.as_ref()?;
            let table = around.worker.limits();
            Some(table.identity(&first.key, |part| self.value(part, around.connection)))
        };
        let pending = |demand: Demand<'_>| Pending { distinct: distinct(demand.limit), ..demand.into() };
        self.demands(charges, around).into_iter().map(pending).collect()
    }

    /// The shadow limits that would refuse.
    fn shadowed(&self, charges: &[Charge], around: &mut Surroundings<'_>) -> Vec<Rc<Limit>> {
        if charges.is_empty() {
            return Vec::new();
        }
        let demands = self.demands(charges, around);
        let taken = take(&demands, around.worker.limits(), around.host, around.now.mono);
        drop(demands);
        note_strain(&taken, around);
        let Err(over) = taken else { return Vec::new() };
        around.worker.count(Counter::ShadowOverLimit, over.violated().len());
        over.violated().iter().map(|standing| standing.limit.clone()).collect()
    }

    fn demands<'d>(&self, charges: impl IntoIterator<Item = &'d Charge>, around: &Surroundings<'_>) -> Vec<Demand<'d>> {
        let demand = |charge: &'d Charge| {
            let table = around.worker.limits();
            let identity = table.identity(&charge.limit.key, |part| self.value(part, around.connection));
            Demand { limit: &charge.limit, quota: self.quota(&charge.limit), identity, cost: charge.cost }
        };
        charges.into_iter().map(demand).collect()
    }

    /// The quota of the first override that fits, else the limit's own.
    fn quota(&self, limit: &Limit) -> Quota {
        let fits = |conditions: &[Condition]| conditions.iter().all(|condition| self.meets(condition));
        let other = limit.overrides.iter().find(|other| fits(&other.conditions));
        other.map_or(limit.quota, |other| other.quota)
    }

    fn meets(&self, condition: &Condition) -> bool {
        let claims = self.token.map(|token| token.claims());
        match condition {
            Condition::ClientId(id) => claims.is_some_and(|claims| claims.client_id == *id),
            Condition::Sub(sub) => claims.is_some_and(|claims| claims.subject == *sub),
            Condition::Claim(name, text) => {
                claims.and_then(|claims| claims.as_text(name)).is_some_and(|claim| *claim == **text)
            }
            Condition::Peer(pattern) => {
                self.peer.is_some_and(|peer| peer.validated && pattern.admits(peer.spiffe_id.as_ref()))
            }
            Condition::Utc(times) => times.contains(self.wall.minute_of_day()),
        }
    }

    pub(super) fn value<'v>(&'v self, part: &'v KeyPart, connection: &dyn Connection) -> KeyValue<'v> {
        let token = self.token;
        let claim = |text: Option<Cow<'v, str>>| match (token, text) {
            (Some(token), Some(text)) => KeyValue::OfIssuer { issuer: &token.issuer().issuer, text },
            _ => KeyValue::Missing,
        };
        let text = |text: Option<Cow<'v, str>>| text.map_or(KeyValue::Missing, KeyValue::Text);
        let claims = token.map(|token| token.claims());
        match part {
            KeyPart::ClientId => claim(claims.map(|claims| (&*claims.client_id).into())),
            KeyPart::Sub => claim(claims.map(|claims| (&*claims.subject).into())),
            KeyPart::Claim(name) => claim(claims.and_then(|claims| claims.as_text(name)).map(Into::into)),
            KeyPart::Peer => text(self.peer.map(|peer| peer.name().into())),
            KeyPart::Ip => ip(connection),
            KeyPart::Source => match self.peer.filter(|peer| peer.validated) {
                Some(peer) => text(Some(peer.name().into())),
                None => ip(connection),
            },
            KeyPart::Route => text(Some((&*self.way.route.origin.path).into())),
            // Repeated fields are one identity together, so that repeating one is no way to a new budget.
            KeyPart::Header(name) => {
                let values: Vec<_> = self.way.head.headers(name).map(String::from_utf8_lossy).collect();
                text((!values.is_empty()).then(|| values.join(",").into()))
            }
            KeyPart::Constant(constant) => text(Some((&**constant).into())),
        }
    }
}

/// Whether these would let the request pass; nothing is charged.
fn look_at(demands: &[Demand<'_>], around: &Surroundings<'_>) -> Result<(), OverLimit> {
    if demands.is_empty() {
        return Ok(());
    }
    look(demands, around.worker.limits(), around.host, around.now.mono)
}

fn note_strain(taken: &Result<Permits, OverLimit>, around: &mut Surroundings<'_>) {
    let strain = match taken {
        Ok(permits) => permits.strain(),
        Err(over) => over.strain(),
    };
    around.worker.count(Counter::LimitInherited, strain.inherited);
    around.worker.count(Counter::LimitUnreadable, strain.unreadable);
}

/// Sources without an address (a Unix socket) share one budget.
fn ip<'v>(connection: &dyn Connection) -> KeyValue<'v> {
    address(connection).map_or(KeyValue::Missing, KeyValue::Address)
}

/// The address in `ip:port`.
fn address(connection: &dyn Connection) -> Option<IpAddr> {
    let source = connection.property(ConnectionProperty::SourceAddress)?;
    let source: SocketAddr = std::str::from_utf8(&source).ok()?.parse().ok()?;
    Some(source.ip())
}
