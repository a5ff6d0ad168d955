//! Certificates that a hop in front conveys: of its client, in a header. In: the request's fields, the thumbprint of the hop.
//! Out: what it says, or why that is not used: it is not exactly what such a hop writes.
//!
//! Not here: whether the hop is believed (`policy::PeerSource`), who the holder is ([`super::KnownPeers`]).

use crate::http::HeaderMap;
use crate::peer::{Thumbprint, client_cert, xfcc};
use crate::policy::ConveyedIn;

/// The longest value of a header that is looked at, in bytes: a certificate, and in one of them its chain.
pub(super) const MAX_BYTES: usize = 32 * 1024;

/// What a hop says of the certificate of its client.
#[derive(Debug, PartialEq, Eq)]
pub struct Conveyed {
    /// SHA-256 of it.
    pub thumbprint: Thumbprint,
    /// The certificate in DER, which is the one with this thumbprint.
    pub der: Option<Vec<u8>>,
    /// Its subject.
    pub subject: Option<String>,
    /// Its URI names, where the header tells them for certain.
    pub uri_sans: Vec<String>,
    /// Its DNS names, likewise.
    pub dns_sans: Vec<String>,
}

/// Why what a hop may have said is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unused {
    /// Who sent it is none of the hops that are believed.
    HopUntrusted,
    /// It says nothing.
    Missing,
    /// It says it more than once.
    Repeated,
    /// It is not what such a hop writes.
    Unreadable,
}

impl Unused {
    /// The name operators see.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::HopUntrusted => "hop-untrusted",
            Self::Missing => "missing",
            Self::Repeated => "repeated",
            Self::Unreadable => "unreadable",
        }
    }
}

impl Conveyed {
    /// What the hop with the certificate `hop` says in a request with these fields. A field that comes twice says nothing.
    pub fn read(header: ConveyedIn, fields: &HeaderMap, hop: Thumbprint) -> Result<Self, Unused> {
        let mut values = fields.all(header.name());
        let value = values.next().ok_or(Unused::Missing)?;
        if values.next().is_some() {
            return Err(Unused::Repeated);
        }
        if value.len() > MAX_BYTES {
            return Err(Unused::Unreadable);
        }
        match header {
            ConveyedIn::Xfcc => xfcc::read(value, hop),
            ConveyedIn::ClientCert => client_cert::read(value),
        }
    }
}
