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
}

impl ConveyedIn {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xfcc => "x-forwarded-client-cert",
        }
    }
}
