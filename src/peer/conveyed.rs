//! Certificates that a hop in front conveys: of its client, in a header. In: the request's fields, the thumbprint of the hop.
//! Out: what it says, or nothing where that is not exactly what such a hop writes.
//!
//! Not here: whether the hop is believed (`policy::PeerSource`), who the holder is ([`super::KnownPeers`]).

use crate::http::HeaderMap;
use crate::peer::{Thumbprint, xfcc};
use crate::policy::ConveyedIn;

/// What a hop says of the certificate of its client.
#[derive(Debug, PartialEq, Eq)]
pub struct Conveyed {
    /// SHA-256 of it.
    pub thumbprint: Thumbprint,
    /// The certificate, which is the one with this thumbprint; plain or URL-encoded.
    pub pem: Option<Vec<u8>>,
    /// Its subject.
    pub subject: Option<String>,
    /// Its URI names, where the header tells them for certain.
    pub uri_sans: Vec<String>,
    /// Its DNS names, likewise.
    pub dns_sans: Vec<String>,
}

impl Conveyed {
    /// What the hop with the certificate `hop` says in a request with these fields. A field that comes twice says nothing.
    pub fn read(header: ConveyedIn, fields: &HeaderMap, hop: Thumbprint) -> Option<Self> {
        let mut values = fields.all(header.name());
        let (value, another) = (values.next()?, values.next());
        another.is_none().then_some(())?;
        match header {
            ConveyedIn::Xfcc => xfcc::read(value, hop),
        }
    }
}
