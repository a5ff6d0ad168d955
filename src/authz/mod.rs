//! Authorisation: may this caller use this route? In: the route's access rule and what was proved about the caller.
//! Out: a [`Grant`], which nothing else can make, or a [`Denial`].
//! Not here: who the caller is (`peer`, `token`, `binding`), how fast it may go (`limit`).

mod claims;
mod denial;
mod objects;
mod peers;
mod said;
mod scopes;
mod source_ip;
mod step_up;
mod subject;

use std::net::IpAddr;
use std::rc::Rc;

pub use denial::{Denial, DenyingRule};

use crate::binding::Bound;
use crate::http::Head;
use crate::peer::PeerIdentity;
use crate::policy::{Access, ApiKey, KeyRule, PeerRule, TokenRule};
use crate::reason::Reason;
use crate::time::UnixMillis;
use crate::token::{AccessToken, PresentedKey};

/// The scopes of a route that a token lacks: of those of which one would do, all.
pub fn missing_scopes<'r>(rule: &'r TokenRule, token: &AccessToken) -> Vec<&'r str> {
    scopes::missing(&rule.scopes, &token.claims().scopes)
}

/// The same of an API key.
pub fn scopes_missing_of_key<'r>(rule: &'r KeyRule, key: &ApiKey) -> Vec<&'r str> {
    scopes::missing(&rule.scopes, &key.scopes)
}

/// What a token is shown for, and by whom.
pub struct AccessRequest<'a> {
    /// The head of the request.
    pub head: &'a Head,
    /// Who the peer is, where the route asks.
    pub peer: Option<&'a PeerIdentity>,
    /// The address that the proxy takes for the client's. Asked only by a rule that needs it.
    pub source: &'a dyn Fn() -> Option<IpAddr>,
    /// The wall clock.
    pub now: UnixMillis,
}

/// Leave to use a route. Made only by this module.
#[derive(Debug)]
pub struct Grant {
    token: Option<Rc<AccessToken>>,
    key: Option<Rc<ApiKey>>,
}

impl Grant {
    /// For a route that is open to everybody.
    pub fn public() -> Self {
        Self { token: None, key: None }
    }

    /// For a CORS preflight (Fetch standard, "CORS-preflight request"): it carries no credentials by definition, and
    /// its answer only tells a browser whether to ask.
    pub fn preflight() -> Self {
        Self { token: None, key: None }
    }

    /// For a validated peer on the route's list.
    pub fn peer(rule: &PeerRule, peer: Option<&PeerIdentity>) -> Result<Self, Reason> {
        peers::admits(rule, peer)?;
        Ok(Self { token: None, key: None })
    }

    /// For a bound token that may do what is requested. The order is the precedence of refusals.
    pub fn token(rule: &TokenRule, bound: Bound, request: &AccessRequest<'_>) -> Result<Self, Denial> {
        let token = bound.token();
        if let Some(source_ip) = &rule.source_ip {
            source_ip::comes(source_ip, token, (request.source)())?;
        }
        if let Some(subject) = &rule.subject {
            subject::admits(subject, token.claims().subject_kind)?;
        }
        if !scopes::satisfied(&rule.scopes, &token.claims().scopes) {
            return Err(Reason::ScopeMissing.into());
        }
        if let Some(peers) = &rule.peers {
            peers::admits(peers, request.peer)?;
        }
        claims::satisfied(&rule.claims, token)?;
        objects::owned(&rule.objects, request.head, token)?;
        // The last: a user should not be sent to sign in for what is refused anyway.
        if let Some(step_up) = &rule.step_up {
            step_up::authenticated(step_up, token, request.now)?;
        }
        Ok(Self { token: Some(token.clone()), key: None })
    }

    /// For an API key that the route takes, whose client has the route's scopes, and a peer on the lists of the route and of the key.
    pub fn key(rule: &KeyRule, presented: &PresentedKey, peer: Option<&PeerIdentity>) -> Result<Self, Reason> {
        let key = presented.key();
        if !rule.takes(key) {
            return Err(Reason::ApiKeyNotAllowed);
        }
        if !scopes::satisfied(&rule.scopes, &key.scopes) {
            return Err(Reason::ApiKeyScopeMissing);
        }
        for peers in [&rule.peers, &key.peers].into_iter().flatten() {
            peers::admits(peers, peer)?;
        }
        Ok(Self { token: None, key: Some(key.clone()) })
    }

    /// Whether time has not undone what the route demands.
    pub fn still_stands(&self, access: &Access, now: UnixMillis) -> Result<(), Denial> {
        match (access, &self.token) {
            (Access::Token(TokenRule { step_up: Some(step_up), .. }), Some(token)) => {
                step_up::authenticated(step_up, token, now)
            }
            _ => Ok(()),
        }
    }

    /// The token that earned it, where one did.
    pub fn access_token(&self) -> Option<&Rc<AccessToken>> {
        self.token.as_ref()
    }

    /// Whether nothing that the caller showed earned it.
    pub fn is_of_nobody(&self) -> bool {
        self.token.is_none() && self.key.is_none()
    }

    /// The API key that earned it, where one did.
    pub fn api_key(&self) -> Option<&Rc<ApiKey>> {
        self.key.as_ref()
    }
}
