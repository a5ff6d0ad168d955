//! Charging a request to its limits: whose budget it is. In: the route's charges, the grant, the peer's identity, the
//! connection. Out: [`Permits`] or the refusal. Identities come from what was verified, so that a forged `sub` cannot
//! spend its victim's budget.

use std::net::SocketAddr;

use crate::authz::Grant;
use crate::exchange::{Surroundings, Way};
use crate::host::{Connection, ConnectionProperty};
use crate::limit::{Demand, KeyValue, Permits, take};
use crate::peer::PeerIdentity;
use crate::policy::KeyPart;
use crate::verdict::Refusal;
use crate::worker::Counter;

/// All limits of the route are charged, or none. A preflight is not counted: it does nothing.
pub(super) fn charge(
    way: &Way,
    grant: &Grant,
    peer: Option<&PeerIdentity>,
    around: &mut Surroundings<'_>,
) -> Result<Permits, Refusal> {
    if way.route.limits.is_empty() || way.preflight {
        return Ok(Permits::none());
    }
    let table = around.worker.limits();
    let demands: Vec<Demand<'_>> = way
        .route
        .limits
        .iter()
        .map(|charge| {
            let identity = table.identity(&charge.limit.key, |part| value(part, grant, peer, around.connection));
            Demand { limit: &charge.limit, identity, cost: charge.cost }
        })
        .collect();
    let taken = take(&demands, table, around.host, around.now.mono);
    let strain = match &taken {
        Ok(permits) => permits.strain(),
        Err(over) => over.strain(),
    };
    around.worker.count(Counter::LimitInherited, strain.inherited);
    around.worker.count(Counter::LimitUnreadable, strain.unreadable);
    taken.map_err(Refusal::over_limit)
}

fn value<'v>(
    part: &'v KeyPart,
    grant: &'v Grant,
    peer: Option<&PeerIdentity>,
    connection: &dyn Connection,
) -> KeyValue<'v> {
    let token = grant.access_token();
    let claim = |text: Option<std::borrow::Cow<'v, str>>| match (token, text) {
        (Some(token), Some(text)) => KeyValue::OfIssuer { issuer: &token.issuer().issuer, text },
        _ => KeyValue::Missing,
    };
    let claims = token.map(|token| token.claims());
    match part {
        KeyPart::ClientId => claim(claims.map(|claims| (&*claims.client_id).into())),
        KeyPart::Sub => claim(claims.map(|claims| (&*claims.subject).into())),
        KeyPart::Claim(name) => claim(claims.and_then(|claims| claims.as_text(name)).map(Into::into)),
        KeyPart::Peer => peer.map_or(KeyValue::Missing, |peer| KeyValue::Text(peer.name().into())),
        KeyPart::Ip => address(connection).map_or(KeyValue::Missing, KeyValue::Address),
        KeyPart::Constant(text) => KeyValue::Text((&**text).into()),
    }
}

/// The address in `ip:port`; a source that is none (a Unix socket) shares one budget.
fn address(connection: &dyn Connection) -> Option<std::net::IpAddr> {
    let source = connection.property(ConnectionProperty::SourceAddress)?;
    let source: SocketAddr = std::str::from_utf8(&source).ok()?.parse().ok()?;
    Some(source.ip())
}
