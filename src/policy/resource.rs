//! A protected resource (RFC 9728 sense): the hosts it answers to, whom it trusts, its routes.

use std::rc::Rc;

use crate::http::HostPattern;
use crate::policy::{
    Charge, DpopRule, ForwardRule, Issuer, Origin, PeerSource, Profile, RevocationRule, Routes, TlsFloor,
};

/// A protected resource.
#[derive(Debug)]
pub struct Resource {
    /// Where it was configured.
    pub origin: Origin,
    /// Whether refusals are carried out.
    pub mode: Mode,
    /// What is demanded beyond issuers and routes.
    pub profile: Profile,
    /// Where the certificate of a caller is read.
    pub peer: Rc<PeerSource>,
    /// The oldest version of TLS it is served over, if that is looked at.
    pub require_tls: Option<TlsFloor>,
    /// The hosts it is served under.
    pub hosts: Vec<HostPattern>,
    /// `realm` of challenges (RFC 6750 §3).
    pub realm: Box<str>,
    /// `resource_metadata` of challenges, if configured (RFC 9728 §5.1).
    pub resource_metadata: Option<Box<str>>,
    /// Identifiers of this resource in `aud` (RFC 9068 §4).
    pub audiences: Vec<Box<str>>,
    /// The issuers trusted here.
    pub issuers: Vec<Rc<Issuer>>,
    /// What it takes back of the tokens that come here, whoever issued them.
    pub revocation: RevocationRule,
    /// What proofs of possession have to be like, where tokens may need one.
    pub dpop: Option<DpopRule>,
    /// What is served.
    pub routes: Routes,
    /// Limits on answers that count requests for which no route is found.
    pub unrouted: Vec<Charge>,
    /// What goes upstream about the caller.
    pub forward: ForwardRule,
}

impl Resource {
    /// Whether something here depends on who the peer of a connection is, beyond its thumbprint.
    pub fn needs_identities(&self) -> bool {
        matches!(*self.peer, PeerSource::Hop(_))
            || self.forward.needs_identity()
            || self.routes.iter().any(|route| route.needs_identity())
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
