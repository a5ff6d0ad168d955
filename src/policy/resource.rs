//! A protected resource (RFC 9728 sense): the hosts it answers to, whom it trusts, its routes.

use std::rc::Rc;

use crate::http::Authority;
use crate::policy::{Issuer, Origin, Routes};

/// A protected resource.
#[derive(Debug)]
pub struct Resource {
    /// Where it was configured.
    pub origin: Origin,
    /// Whether refusals are carried out.
    pub mode: Mode,
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

impl Resource {
    /// Whether it is served under this name, on any port.
    pub fn serves(&self, server_name: &str) -> bool {
        self.hosts.iter().any(|host| host.host().eq_ignore_ascii_case(server_name))
    }

    /// Whether something here depends on who the peer is, beyond its thumbprint.
    pub fn needs_identities(&self) -> bool {
        self.forward.needs_identity() || self.routes.iter().any(|route| route.needs_identity())
    }
}

/// Whether a resource is protected already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What is refused does not reach the upstream.
    Enforce,
    /// For a rollout: everything is judged and recorded, and nothing is refused.
    Report,
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

/// Headers that claim an identity or override the method, and that no caller may set. Envoy itself cleans
/// `x-forwarded-client-cert` by the listener's `forward_client_cert_details`; a sanitised one may pass.
const SPOOFABLE: [&str; 10] = [
    "client-cert",
    "client-cert-chain",
    "ssl-client-cert",
    "txn-token",
    "x-client-cert",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-ssl-cert",
    "x-ssl-client-cert",
];

impl ForwardRule {
    /// Whether a caller's header of this name pretends to be something that only the proxy may say. Headers that are
    /// set anyway do not count.
    pub fn spoofs(&self, name: &str) -> bool {
        // Some servers read `_` as `-` (CGI does): `x_client_id` must not pass for `x-client-id`.
        if name.contains('_') {
            let plain = name.replace('_', "-");
            return self.sets(&plain) || self.strips(&plain);
        }
        self.strips(name) && !self.sets(name)
    }

    fn sets(&self, name: &str) -> bool {
        self.headers.iter().any(|(header, _)| **header == *name)
    }

    fn strips(&self, name: &str) -> bool {
        SPOOFABLE.contains(&name) || self.strip.iter().any(|strip| **strip == *name)
    }

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
