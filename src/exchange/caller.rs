//! Who calls, and what a fact is in the request, for all that goes by it: limits, what the upstream is told, overrides. In: what is known
//! of the request so far, the fact, the connection. Out: its value, and whether a condition holds.
//! Not here: which facts there are (`policy`), what is done with a value (`limits`, `verdict::upstream`).

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use crate::exchange::RoutedRequest;
use crate::host::{Connection, ConnectionProperty};
use crate::http::Head;
use crate::json::Value;
use crate::limit::{ClaimValue, KeyValue};
use crate::peer::PeerIdentity;
use crate::policy::{ApiKey, Condition, Fact, Route};
use crate::time::UnixMillis;
use crate::token::AccessToken;

/// Everything about a request that limits may depend on.
pub(super) struct Caller<'c> {
    /// `None` for a request whose head cannot be read.
    pub(super) head: Option<&'c Head>,
    /// `None` for one without a route.
    pub(super) route: Option<&'c Route>,
    pub(super) preflight: bool,
    /// `None` before the caller was let in: then only its source is known.
    pub(super) token: Option<&'c Rc<AccessToken>>,
    /// Instead of a token, on routes that take API keys.
    pub(super) key: Option<&'c Rc<ApiKey>>,
    pub(super) peer: Option<&'c PeerIdentity>,
    pub(super) wall: UnixMillis,
}

impl<'c> Caller<'c> {
    /// Of a request with a route.
    pub(super) fn of(
        request: &'c RoutedRequest,
        token: Option<&'c Rc<AccessToken>>,
        peer: Option<&'c PeerIdentity>,
        wall: UnixMillis,
    ) -> Self {
        let (head, route) = (Some(&request.head), Some(&*request.route));
        Self { head, route, preflight: request.preflight, token, key: None, peer, wall }
    }

    /// Whether it has shown a token or a key that is good.
    pub(super) fn is_known(&self) -> bool {
        self.token.is_some() || self.key.is_some()
    }

    /// What is known only from the token or the key is missing before the caller was let in.
    pub(super) fn fact<'v>(&'v self, fact: &'v Fact, connection: &dyn Connection) -> KeyValue<'v> {
        let token = self.token;
        let claim = |value: Option<ClaimValue<'v>>| match (token, value) {
            (Some(token), Some(value)) => KeyValue::Claim { issuer: &token.issuer().issuer, value },
            _ => KeyValue::Missing,
        };
        let of_key = |value: Option<Cow<'v, str>>| match value {
            Some(value) => KeyValue::Claim { issuer: ApiKey::ISSUER, value: ClaimValue::Text(value) },
            None => KeyValue::Missing,
        };
        let text = |text: Option<Cow<'v, str>>| text.map_or(KeyValue::Missing, KeyValue::Text);
        let claims = token.map(|token| token.claims());
        match fact {
            Fact::ClientId if token.is_none() => of_key(self.key.map(|key| (&*key.client_id).into())),
            Fact::Scope if token.is_none() => of_key(self.key.map(|key| key.scopes.join(" ").into())),
            Fact::ClientId => claim(claims.map(|claims| ClaimValue::Text((&*claims.client_id).into()))),
            Fact::Sub => claim(claims.map(|claims| ClaimValue::Text((&*claims.subject).into()))),
            Fact::Issuer => text(token.map(|token| (&*token.issuer().issuer).into())),
            Fact::Scope => claim(claims.map(|claims| ClaimValue::Text(claims.scopes.join(" ").into()))),
            Fact::Claim(name) => claim(claims.and_then(|claims| match claims.claim(name)? {
                Value::Null => None,
                Value::Text(text) => Some(ClaimValue::Text(text.into())),
                other => Some(ClaimValue::Json(other)),
            })),
            Fact::Peer => text(self.peer.map(|peer| peer.name().into())),
            Fact::Thumbprint => {
                text(self.peer.and_then(|peer| peer.thumbprint).map(|thumbprint| thumbprint.to_x5t_s256().into()))
            }
            Fact::Ip => ip(connection),
            Fact::Source => match self.peer.filter(|peer| peer.validated) {
                Some(peer) => text(Some(peer.name().into())),
                None => ip(connection),
            },
            Fact::Route => text(self.route.map(|route| (&*route.identity).into())),
            // Repeated fields are one identity together, so that repeating one is no way to a new budget.
            Fact::Header(name) => {
                let values = self.head.into_iter().flat_map(|head| head.headers(name));
                let values: Vec<_> = values.map(String::from_utf8_lossy).collect();
                text((!values.is_empty()).then(|| values.join(",").into()))
            }
            Fact::Constant(constant) => text(Some((&**constant).into())),
        }
    }

    pub(super) fn meets(&self, condition: &Condition, connection: &dyn Connection) -> bool {
        match condition {
            Condition::Is(fact, text) => self.fact(fact, connection).text().is_some_and(|value| *value == **text),
            Condition::Peer(pattern) => self.peer.is_some_and(|peer| peer.fits(pattern)),
            Condition::Utc(times) => times.contains(self.wall.minute_of_day()),
        }
    }
}

/// Sources without an address (a Unix socket) share one budget.
fn ip<'v>(connection: &dyn Connection) -> KeyValue<'v> {
    address(connection).map_or(KeyValue::Missing, KeyValue::Address)
}

/// The address in `ip:port`.
pub(super) fn address(connection: &dyn Connection) -> Option<IpAddr> {
    let source = connection.property(ConnectionProperty::SourceAddress)?;
    let source: SocketAddr = std::str::from_utf8(&source).ok()?.parse().ok()?;
    Some(source.ip())
}
