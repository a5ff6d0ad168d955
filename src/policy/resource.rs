//! A protected resource (RFC 9728 sense): the hosts it answers to, whom it trusts, its routes.

use std::rc::Rc;

use crate::http::Authority;
use crate::policy::{Issuer, Origin, Routes};

/// A protected resource.
#[derive(Debug)]
pub struct Resource {
    /// Where it was configured.
    pub origin: Origin,
    /// The authorities it is served under.
    pub hosts: Vec<Authority>,
    /// `realm` of challenges (RFC 6750 §3).
    pub realm: Box<str>,
    /// `resource_metadata` of challenges, if configured (RFC 9728 §5.1).
    pub resource_metadata: Option<Box<str>>,
    /// Identifiers of this resource in `aud` (RFC 9068 §4).
    pub audiences: Vec<Box<str>>,
    /// The issuers trusted here.
    pub issuers: Vec<Rc<Issuer>>,
    /// What is served.
    pub routes: Routes,
    /// What goes upstream about the caller.
    pub forward: ForwardRule,
}

/// What the upstream is told about the caller: nothing but this list (RFC 9700 §4.13).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ForwardRule {
    /// Header name (lower case) and what it carries. A caller's own header of that name never passes.
    pub headers: Vec<(Box<str>, ForwardedClaim)>,
    /// Filter-state key below `wasm.` and what it carries.
    pub filter_state: Vec<(Box<str>, ForwardedClaim)>,
    /// Whether `Authorization` goes upstream.
    pub token: bool,
    /// Headers removed from every request besides the built-in list; lower case.
    pub strip: Vec<Box<str>>,
}

impl ForwardRule {
    /// Whether the upstream is told who the peer is.
    pub fn needs_identity(&self) -> bool {
        let claims = self.headers.iter().chain(&self.filter_state).map(|(_, claim)| claim);
        claims.into_iter().any(|claim| matches!(claim, ForwardedClaim::Peer | ForwardedClaim::Thumbprint))
    }
}

/// A fact about the verified caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardedClaim {
    /// `client_id`.
    ClientId,
    /// `sub`.
    Sub,
    /// `iss`.
    Issuer,
    /// `scope`, as in the token.
    Scope,
    /// A text claim by name.
    Claim(Box<str>),
    /// SPIFFE ID of the validated peer, else its thumbprint.
    Peer,
    /// Thumbprint (x5t#S256) of the peer certificate.
    Thumbprint,
}
