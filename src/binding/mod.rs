//! Sender constraint: does this token belong to whoever sent it? By the certificate of the connection (RFC 8705 §3) and by proof of
//! possession of a key (RFC 9449 §7). In: a verified [`AccessToken`], how it came, the [`Peer`] if any, and a proof where the token
//! names a key. Out: [`Bound`] or a [`Reason`].
//! Not here: reading certificates (`peer`), verifying tokens (`token`).

pub mod dpop;

use std::rc::Rc;

use crate::binding::dpop::Proof;
use crate::jose::KeyThumbprint;
use crate::peer::Peer;
use crate::policy::{BindingRule, Resource};
use crate::reason::Reason;
use crate::token::{AccessToken, Scheme};

/// A token whose sender constraint was checked for this request.
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

/// How far the constraint was checked.
#[derive(Debug)]
pub enum Binding {
    /// It holds.
    Holds(Bound),
    /// It holds as far as there is one to a certificate. The token names a key as well, of which the sender owes a proof.
    OwesProof(ByKey),
}

/// A token that names a key.
#[derive(Debug)]
pub struct ByKey {
    token: Rc<AccessToken>,
    key: KeyThumbprint,
}

impl ByKey {
    /// The key.
    pub fn key(&self) -> KeyThumbprint {
        self.key
    }

    /// The token.
    pub fn token(&self) -> &Rc<AccessToken> {
        &self.token
    }

    /// With the proof of it.
    pub fn proved(self, proof: &Proof) -> Result<Bound, Reason> {
        if proof.key() == self.key { Ok(Bound { token: self.token }) } else { Err(Reason::KeyMismatch) }
    }
}

/// Holds `token`, which came by `scheme`, to all of its confirmation but the proof, and to what the route demands of tokens. One
/// without confirmation passes only where the route says so.
pub fn bind(
    token: Rc<AccessToken>,
    scheme: Scheme,
    peer: Option<&Peer>,
    rule: BindingRule,
    resource: &Resource,
) -> Result<Binding, Reason> {
    let confirmation = &token.claims().confirmation;
    let (certificate, key) = (confirmation.certificate(), confirmation.key().copied());
    let fits = match rule {
        BindingRule::Mtls => certificate.is_some(),
        BindingRule::Dpop => key.is_some(),
        BindingRule::Any => certificate.is_some() || key.is_some(),
        BindingRule::WhenBound => true,
    };
    match (scheme, key) {
        // Nobody can prove anything here, so that the token's promise cannot be kept.
        (_, Some(_)) if resource.dpop.is_none() => return Err(Reason::ConfirmationUnusable),
        (Scheme::Bearer, Some(_)) | (Scheme::Dpop, None) => return Err(Reason::SchemeMismatch),
        (Scheme::Bearer, None) | (Scheme::Dpop, Some(_)) => {}
    }
    if !fits {
        return Err(Reason::TokenUnbound);
    }
    match (certificate, peer) {
        (Some(_), None) => return Err(Reason::CertificateMissing),
        (Some(bound), Some(peer)) if *bound != peer.thumbprint => return Err(Reason::BindingMismatch),
        (None, _) | (Some(_), Some(_)) => {}
    }
    Ok(match key {
        Some(key) => Binding::OwesProof(ByKey { token, key }),
        None => Binding::Holds(Bound { token }),
    })
}
