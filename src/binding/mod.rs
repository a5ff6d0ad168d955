//! Certificate binding (RFC 8705 §3): does this token belong to the peer of this connection?
//! In: a verified [`AccessToken`] and the [`Peer`], if any. Out: [`Bound`] or a [`Reason`].
//! Not here: reading certificates (`peer`), verifying tokens (`token`).

use std::rc::Rc;

use crate::peer::Peer;
use crate::policy::BindingRule;
use crate::reason::Reason;
use crate::token::{AccessToken, Confirmation};

/// A token whose sender constraint was checked for this request. Made only by [`bind`].
#[derive(Debug)]
pub struct Bound {
    token: Rc<AccessToken>,
}

impl Bound {
    /// The token.
    pub fn token(&self) -> &Rc<AccessToken> {
        &self.token
    }
}

/// Holds `token` to its confirmation. A token without one passes only where the route says so.
pub fn bind(token: Rc<AccessToken>, peer: Option<&Peer>, rule: BindingRule) -> Result<Bound, Reason> {
    match (&token.claims().confirmation, peer, rule) {
        (Confirmation::Certificate(bound), Some(peer), _) if *bound == peer.thumbprint => Ok(Bound { token }),
        (Confirmation::Certificate(_), Some(_), _) => Err(Reason::BindingMismatch),
        (Confirmation::Certificate(_), None, _) => Err(Reason::CertificateMissing),
        (Confirmation::Absent, _, BindingRule::WhenBound) => Ok(Bound { token }),
        (Confirmation::Absent, _, BindingRule::Mtls) => Err(Reason::TokenUnbound),
    }
}
