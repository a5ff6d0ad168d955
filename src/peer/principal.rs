//! The principal that a mesh has found out for a connection whose TLS ended elsewhere (a waypoint). In: the filter state of the
//! connection, which the proxy's own configuration sets and no request can. Out: who that is: a SPIFFE ID, and no
//! certificate.

use crate::host::{Connection, ConnectionProperty};
use crate::peer::PeerIdentity;
use crate::peer::conveyed::Unused;
use crate::spiffe::SpiffeId;

impl PeerIdentity {
    /// The principal of the connection. Several names are nobody's, as in a certificate.
    pub fn principal(connection: &dyn Connection) -> Result<Self, Unused> {
        let told = connection.property(ConnectionProperty::MeshPrincipal).filter(|told| !told.is_empty());
        let told = String::from_utf8(told.ok_or(Unused::Missing)?).map_err(|_| Unused::Unreadable)?;
        let id = SpiffeId::parse(&told).map_err(|_| Unused::Unreadable)?;
        Ok(Self { validated: true, spiffe_id: Some(id), ..Self::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeConnection;
    use crate::policy::PeerPattern;

    fn of(told: &[u8]) -> Result<PeerIdentity, Unused> {
        PeerIdentity::principal(&FakeConnection([(ConnectionProperty::MeshPrincipal, told.to_vec())].into()))
    }

    #[test]
    fn a_principal_is_one_spiffe_id_without_a_certificate() {
        let web = of(b"spiffe://cluster.local/ns/shop/sa/web").unwrap();
        assert_eq!(web.name(), "spiffe://cluster.local/ns/shop/sa/web");
        assert!(web.fits(&PeerPattern::Below("spiffe://cluster.local/ns/shop/".into())));
        assert!(!web.fits(&PeerPattern::Thumbprint([0; 32])) && !web.fits(&PeerPattern::Subject("".into())));
    }

    #[test]
    fn what_is_not_one_spiffe_id_is_nobody() {
        assert_eq!(PeerIdentity::principal(&FakeConnection::default()).err(), Some(Unused::Missing));
        assert_eq!(of(b"").err(), Some(Unused::Missing));
        for told in [&b"-"[..], b"web", b"spiffe://a/b,spiffe://a/c", b"spiffe://a", b"spiffe://a/\xff", b"https://a/b"]
        {
            assert_eq!(of(told).err(), Some(Unused::Unreadable), "{told:?}");
        }
    }
}
