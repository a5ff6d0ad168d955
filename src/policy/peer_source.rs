//! Where the certificate of a caller is read, and who may say it for others. Plain data.
//! Not here: reading it (`peer`), asking once for each request (`exchange`).

use crate::policy::PeerRule;

/// Where the certificate of a resource's callers is read.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum PeerSource {
    /// From the TLS connection that ends at this proxy.
    #[default]
    Tls,
    /// From a header of a hop in front, where that hop is believed.
    Hop(TrustedHops),
    /// Nowhere: the mesh tells who the caller is.
    MeshPrincipal,
}

impl PeerSource {
    /// Whether it is this header that callers are read in.
    pub fn reads(&self, header: ConveyedIn) -> bool {
        matches!(self, Self::Hop(hops) if hops.header == header)
    }

    /// The name operators see.
    pub const fn slug(&self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Hop(hops) => hops.header.slug(),
            Self::MeshPrincipal => "mesh-principal",
        }
    }
}

/// The hops that are believed what they say of their clients.
#[derive(Debug, PartialEq, Eq)]
pub struct TrustedHops {
    /// Where they say it.
    pub header: ConveyedIn,
    /// Who they are, by validated certificates of their own connections.
    pub trusted: PeerRule,
    /// Whether all others may call by the certificates of their own connections. Otherwise they are nobody.
    pub direct: bool,
}

/// The header that conveys a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConveyedIn {
    /// Envoy's.
    Xfcc,
    /// That of RFC 9440.
    ClientCert,
}

impl ConveyedIn {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xfcc => "x-forwarded-client-cert",
            Self::ClientCert => "client-cert",
        }
    }

    /// Its name and that of the field that belongs to it, which is not read.
    pub const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Xfcc => &["x-forwarded-client-cert"],
            Self::ClientCert => &["client-cert", "client-cert-chain"],
        }
    }

    /// The name operators see.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Xfcc => "xfcc",
            Self::ClientCert => "client-cert",
        }
    }
}
