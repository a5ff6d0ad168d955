//! Authorisation: may this caller use this route? In: the route's access rule and what was proved about the caller.
//! Out: a [`Grant`], which nothing else can make, or a [`Reason`].
//! Not here: who the caller is (`peer`, `token`, `binding`), how fast it may go (`limit`).

mod peers;
mod scopes;

use std::rc::Rc;

use crate::binding::Bound;
use crate::peer::PeerIdentity;
use crate::policy::{PeerRule, TokenRule};
use crate::reason::Reason;
use crate::token::AccessToken;

/// The scopes of a route that a token lacks: of those of which one would do, all.
pub fn missing_scopes<'r>(rule: &'r TokenRule, token: &AccessToken) -> Vec<&'r str> {
    scopes::missing(&rule.scopes, &token.claims().scopes)
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

    /// For a bound token with the route's scopes, and a peer on its list if there is one.
    pub fn token(rule: &TokenRule, bound: Bound, peer: Option<&PeerIdentity>) -> Result<Self, Reason> {
        if !scopes::satisfied(&rule.scopes, &bound.token().claims().scopes) {
            return Err(Reason::ScopeMissing);
        }
        if let Some(peers) = &rule.peers {
            peers::admits(peers, peer)?;
        }
        Ok(Self { token: Some(bound.token().clone()) })
    }

    /// The token that earned it, where one did.
    pub fn access_token(&self) -> Option<&Rc<AccessToken>> {
        self.token.as_ref()
    }
}
