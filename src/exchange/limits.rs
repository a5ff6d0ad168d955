//! Charging a request to its limits: whose budget it is, and how large. In: the route's charges, the grant, the peer's
//! identity, the connection. Out: [`Permits`] or the refusal, and the names of shadow limits that would have refused.
//! Identities come from what was verified, so that a forged `sub` cannot spend its victim's budget.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use crate::authz::Grant;
use crate::exchange::{Surroundings, Way};
use crate::host::{Connection, ConnectionProperty};
use crate::limit::{Demand, KeyValue, OverLimit, Permits, Quota, take};
use crate::peer::PeerIdentity;
use crate::policy::{Charge, Condition, KeyPart, Limit};
use crate::time::UnixMillis;
use crate::verdict::Refusal;
use crate::worker::Counter;

/// All limits of the route are charged, or none. A preflight is not counted: it does nothing. Shadow limits are counted
/// once it is clear that the request passes.
pub(super) fn charge(
    way: &Way,
    grant: &Grant,
    peer: Option<&PeerIdentity>,
    around: &mut Surroundings<'_>,
) -> Result<(Permits, Vec<Rc<Limit>>), Refusal> {
    if way.route.limits.is_empty() || way.preflight {
        return Ok((Permits::none(), Vec::new()));
    }
    let caller = Caller { way, grant, peer, connection: around.connection, wall: around.now.wall };
    let (shadow, enforced): (Vec<&Charge>, Vec<&Charge>) =
        way.route.limits.iter().partition(|charge| charge.limit.shadow);
    let permits = caller.take(&enforced, around).map_err(Refusal::over_limit)?;
    let mut shadowed = Vec::new();
    if !shadow.is_empty()
        && let Err(over) = caller.take(&shadow, around)
    {
        around.worker.count(Counter::ShadowOverLimit, over.violated().len());
        shadowed.extend(over.violated().iter().map(|standing| standing.limit.clone()));
    }
    Ok((permits, shadowed))
}

/// Everything about a request that limits may depend on.
struct Caller<'c> {
    way: &'c Way,
    grant: &'c Grant,
    peer: Option<&'c PeerIdentity>,
    connection: &'c dyn Connection,
    wall: UnixMillis,
}

impl Caller<'_> {
    fn take(&self, charges: &[&Charge], around: &mut Surroundings<'_>) -> Result<Permits, OverLimit> {
        let table = around.worker.limits();
        let demand = |charge: &&'_ Charge| -> (Quota, _) {
            (self.quota(&charge.limit), table.identity(&charge.limit.key, |part| self.value(part)))
        };
        let found: Vec<_> = charges.iter().map(demand).collect();
        let demands: Vec<Demand<'_>> = charges
            .iter()
            .zip(found)
            .map(|(charge, (quota, identity))| Demand { limit: &charge.limit, quota, identity, cost: charge.cost })
            .collect();
        let taken = take(&demands, table, around.host, around.now.mono);
        let strain = match &taken {
            Ok(permits) => permits.strain(),
            Err(over) => over.strain(),
        };
        around.worker.count(Counter::LimitInherited, strain.inherited);
        around.worker.count(Counter::LimitUnreadable, strain.unreadable);
        taken
    }

    /// The quota of the first override that fits, else the limit's own.
    fn quota(&self, limit: &Limit) -> Quota {
        let fits = |conditions: &[Condition]| conditions.iter().all(|condition| self.meets(condition));
        let other = limit.overrides.iter().find(|other| fits(&other.conditions));
        other.map_or(limit.quota, |other| other.quota)
    }

    fn meets(&self, condition: &Condition) -> bool {
        let claims = self.grant.access_token().map(|token| token.claims());
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

    fn value<'v>(&'v self, part: &'v KeyPart) -> KeyValue<'v> {
        let token = self.grant.access_token();
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
            KeyPart::Ip => address(self.connection).map_or(KeyValue::Missing, KeyValue::Address),
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

/// The address in `ip:port`; a source that is none (a Unix socket) shares one budget.
fn address(connection: &dyn Connection) -> Option<IpAddr> {
    let source = connection.property(ConnectionProperty::SourceAddress)?;
    let source: SocketAddr = std::str::from_utf8(&source).ok()?.parse().ok()?;
    Some(source.ip())
}
