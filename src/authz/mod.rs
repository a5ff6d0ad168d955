//! Authorisation: may this caller use this route? In: the route's access rule and what was proved about the caller.
//! Out: a [`Grant`], which nothing else can make, or a [`Denial`].
//! Not here: who the caller is (`peer`, `token`, `binding`), how fast it may go (`limit`).

mod claims;
mod denial;
mod objects;
mod peers;
mod said;
mod scopes;

use std::rc::Rc;

pub use denial::{Denial, DenyingRule};

use crate::binding::Bound;
use crate::http::Head;
use crate::peer::PeerIdentity;
use crate::policy::{PeerRule, TokenRule};
use crate::reason::Reason;
use crate::token::AccessToken;

/// The scopes of a route that a token lacks: of those of which one would do, all.
pub fn missing_scopes<'r>(rule: &'r TokenRule, token: &AccessToken) -> Vec<&'r str> {
    scopes::missing(&rule.scopes, &token.claims().scopes)
}

/// What a token is shown for, and by whom.
pub struct AccessRequest<'a> {
    /// The head of the request.
    pub head: &'a Head,
    /// Who the peer is, where the route asks.
    pub peer: Option<&'a PeerIdentity>,
}

/// Leave to use a route. Made only by this module.
#[derive(Debug)]
pub struct Grant {
    token: Option<Rc<AccessToken>>,
}

impl Grant {
    /// For a route that is open to everybody.
    pub fn public() -> Self {
        Self { token: None }
    }

    /// For a CORS preflight (Fetch standard, "CORS-preflight request"): it carries no credentials by definition, and
    /// its answer only tells a browser whether to ask.
    pub fn preflight() -> Self {
        Self { token: None }
    }

    /// For a validated peer on the route's list.
    pub fn peer(rule: &PeerRule, peer: Option<&PeerIdentity>) -> Result<Self, Reason> {
        peers::admits(rule, peer)?;
        Ok(Self { token: None })
    }

    /// For a bound token that may do what is requested. The order is the precedence of refusals.
    pub fn token(rule: &TokenRule, bound: Bound, request: &AccessRequest<'_>) -> Result<Self, Denial> {
        let token = bound.token();
        if !scopes::satisfied(&rule.scopes, &token.claims().scopes) {
            return Err(Reason::ScopeMissing.into());
        }
        if let Some(peers) = &rule.peers {
            peers::admits(peers, request.peer)?;
        }
        claims::satisfied(&rule.claims, token)?;
        objects::owned(&rule.objects, request.head, token)?;
        Ok(Self { token: Some(token.clone()) })
    }

    /// The token that earned it, where one did.
    pub fn access_token(&self) -> Option<&Rc<AccessToken>> {
        self.token.as_ref()
    }
}
