//! The peer of a connection: who holds the client certificate. In: properties of the TLS connection. Out: [`Peer`], as
//! cheap as the digest that binding needs; and, when a rule asks for more, its [`PeerIdentity`], from [`KnownPeers`].
//! Also what a hop in front says of its own client: [`Conveyed`]; and whom a mesh has found out, without any certificate.
//!
//! A certificate that nobody validated binds tokens (RFC 8705 §6.2) but is no identity: its names are whatever its
//! holder wrote into it.
//! Not here: whose word is taken (`exchange::holder`), comparing thumbprints with tokens (`binding`), which peers a route
//! admits (`authz`).

mod certificate;
mod client_cert;
mod conveyed;
mod distinguished_name;
mod known;
mod patterns;
mod principal;
mod thumbprint;
mod xfcc;

use std::rc::Rc;

pub use certificate::{Certificate, CertificateCache, CertificateFault};
pub use conveyed::{Conveyed, Unused};
pub use known::{KnownPeers, Noticed};
pub use thumbprint::{Thumbprint, ThumbprintFault};

use crate::host::{Connection, ConnectionProperty};
use crate::spiffe::SpiffeId;
use crate::time::UnixMillis;

/// The holder of the certificate of this connection, or of one that a trusted hop conveys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// SHA-256 of the certificate.
    pub thumbprint: Thumbprint,
}

/// The proxy said something about the peer that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerUnreadable;

impl Peer {
    /// The holder of the connection's own certificate, if it presented one. One property is read.
    pub fn of(connection: &dyn Connection) -> Result<Option<Self>, PeerUnreadable> {
        match connection.property(ConnectionProperty::PeerDigest) {
            None => Ok(None),
            Some(digest) if digest.is_empty() => Ok(None),
            Some(digest) => match Thumbprint::from_hex_digest(&digest) {
                Ok(thumbprint) => Ok(Some(Self { thumbprint })),
                Err(_) => Err(PeerUnreadable),
            },
        }
    }
}

/// Who a peer is; by default nobody.
#[derive(Clone, Debug, Default)]
pub struct PeerIdentity {
    /// SHA-256 of the certificate, where there is one.
    pub thumbprint: Option<Thumbprint>,
    /// Whether the proxy validated the certificate and it still lasts. Nothing below is known otherwise.
    pub validated: bool,
    /// The SPIFFE ID.
    pub spiffe_id: Option<SpiffeId>,
    /// The subject, as Envoy writes it (RFC 2253).
    pub subject: Option<String>,
    /// DNS names; the first one only where Envoy does not give out the certificate.
    pub dns_sans: Vec<String>,
    /// The certificate, for its serial number and validity, where this Envoy gives it out.
    pub certificate: Option<Rc<Certificate>>,
}

impl PeerIdentity {
    /// Somebody of whom nothing but the certificate's digest is known.
    pub fn nobody(thumbprint: Thumbprint) -> Self {
        Self { thumbprint: Some(thumbprint), ..Self::default() }
    }

    /// The identity in a certificate (SPIFFE X509-SVID §2: exactly one URI SAN; §5.2: no authority).
    fn from_certificate(thumbprint: Thumbprint, certificate: Rc<Certificate>) -> Self {
        let spiffe_id = match &certificate.uri_sans[..] {
            [only] if !certificate.is_authority => SpiffeId::parse(only).ok(),
            _ => None,
        };
        let subject = certificate.subject.clone().filter(|subject| !subject.is_empty());
        let (thumbprint, dns_sans) = (Some(thumbprint), certificate.dns_sans.clone());
        Self { thumbprint, validated: true, spiffe_id, subject, dns_sans, certificate: Some(certificate) }
    }

    /// What an Envoy tells that does not give out the certificate: the first name of each kind. Whether there is another
    /// URI, which SPIFFE forbids, cannot be seen there.
    fn from_properties(thumbprint: Thumbprint, connection: &dyn Connection) -> Self {
        let text = |property| {
            let text = String::from_utf8(connection.property(property)?).ok()?;
            Some(text).filter(|text| !text.is_empty())
        };
        let (uri, dns) = (text(ConnectionProperty::PeerUriSan), text(ConnectionProperty::PeerDnsSan));
        let subject = text(ConnectionProperty::PeerSubject);
        Self::from_names(thumbprint, uri.into_iter().collect(), dns.into_iter().collect(), subject)
    }

    /// What somebody tells who has validated the certificate and does not hand it on.
    fn from_names(
        thumbprint: Thumbprint,
        uri_sans: Vec<String>,
        dns_sans: Vec<String>,
        subject: Option<String>,
    ) -> Self {
        let spiffe_id = match &uri_sans[..] {
            [only] => SpiffeId::parse(only).ok(),
            _ => None,
        };
        let subject = subject.filter(|subject| !subject.is_empty());
        Self { thumbprint: Some(thumbprint), validated: true, spiffe_id, subject, dns_sans, certificate: None }
    }

    /// The same at this moment: nobody, once the certificate has ended.
    pub fn at(&self, now: UnixMillis) -> Self {
        match &self.certificate {
            Some(certificate) if now > certificate.not_after => Self { thumbprint: self.thumbprint, ..Self::default() },
            _ => self.clone(),
        }
    }

    /// The name limits and upstreams know it by: the SPIFFE ID, else the thumbprint.
    pub fn name(&self) -> String {
        match (&self.spiffe_id, self.thumbprint) {
            (Some(id), _) => id.as_str().to_owned(),
            (None, thumbprint) => thumbprint.map(Thumbprint::to_x5t_s256).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, SanType};
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::fake::{FakeConnection, FakeHost, at};

    struct Presented {
        pem: String,
        digest: String,
    }

    fn certificate(uris: &[&str], edit: impl FnOnce(&mut CertificateParams)) -> Presented {
        let mut params = CertificateParams::new(vec![String::from("alice.example.org")]).unwrap();
        params.subject_alt_names.extend(uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())));
        edit(&mut params);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let digest = Sha256::digest(certificate.der()).iter().map(|byte| format!("{byte:02x}")).collect();
        Presented { pem: certificate.pem(), digest }
    }

    fn connection(properties: &[(ConnectionProperty, &[u8])]) -> FakeConnection {
        FakeConnection(
            properties.iter().map(|(property, value)| (*property, value.to_vec())).collect::<HashMap<_, _>>(),
        )
    }

    fn identify(connection: &FakeConnection) -> PeerIdentity {
        identify_by(false, connection)
    }

    fn identify_by(assume_validated: bool, connection: &FakeConnection) -> PeerIdentity {
        let peer = Peer::of(connection).unwrap().unwrap();
        let host = FakeHost::default();
        let mut known = KnownPeers::new(&host);
        let noticed = known.notice(peer, connection, &host, at(0.0));
        known.identify(peer, noticed, assume_validated, connection, &host, at(0.0))
    }

    fn of(presented: &Presented, valid: u8) -> PeerIdentity {
        identify(&connection(&[
            (ConnectionProperty::PeerDigest, presented.digest.as_bytes()),
            (ConnectionProperty::PeerCertificateValid, &[valid]),
            (ConnectionProperty::PeerCertificate, presented.pem.as_bytes()),
        ]))
    }

    #[test]
    fn no_certificate_is_no_peer_and_an_unreadable_digest_is_an_error() {
        assert_eq!(Peer::of(&connection(&[])), Ok(None));
        assert_eq!(Peer::of(&connection(&[(ConnectionProperty::PeerDigest, b"")])), Ok(None));
        assert_eq!(Peer::of(&connection(&[(ConnectionProperty::PeerDigest, b"xyz")])), Err(PeerUnreadable));
    }

    #[test]
    fn a_validated_certificate_with_one_uri_is_its_spiffe_id() {
        let alice = of(&certificate(&["spiffe://example.org/client/alice"], |_| {}), 1);
        assert_eq!(alice.name(), "spiffe://example.org/client/alice");
        let certificate = alice.certificate.unwrap();
        assert_eq!(certificate.dns_sans, ["alice.example.org"]);
        assert!(!certificate.serial.is_empty() && certificate.subject.as_ref().unwrap().contains("CN="));
    }

    #[test]
    fn an_unvalidated_certificate_goes_by_its_thumbprint() {
        let presented = certificate(&["spiffe://example.org/client/alice"], |_| {});
        let somebody = of(&presented, 0);
        assert!(!somebody.validated && somebody.spiffe_id.is_none());
        assert_eq!(somebody.name().len(), 43);
        let silent = connection(&[
            (ConnectionProperty::PeerDigest, presented.digest.as_bytes()),
            (ConnectionProperty::PeerUriSan, b"spiffe://example.org/client/alice"),
        ]);
        assert!(!identify(&silent).validated, "an Envoy that does not say");
    }

    #[test]
    fn an_older_envoy_names_the_peer_by_its_properties() {
        let digest = certificate(&[], |_| {}).digest;
        let older = connection(&[
            (ConnectionProperty::PeerDigest, digest.as_bytes()),
            (ConnectionProperty::PeerUriSan, b"spiffe://example.org/client/alice"),
            (ConnectionProperty::PeerDnsSan, b"alice.example.org"),
            (ConnectionProperty::PeerSubject, b"CN=alice"),
        ]);
        let alice = identify_by(true, &older);
        assert_eq!(alice.name(), "spiffe://example.org/client/alice");
        assert_eq!(
            (alice.subject.as_deref(), &alice.dns_sans[..]),
            (Some("CN=alice"), &[String::from("alice.example.org")][..])
        );
    }

    #[test]
    fn a_certificate_that_has_expired_since_the_handshake_is_nobody() {
        let expired = certificate(&["spiffe://example.org/client/alice"], |params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2025, 1, 1);
        });
        assert!(!of(&expired, 1).validated);
    }

    #[test]
    fn two_uris_an_authority_or_hostile_text_are_no_identity() {
        let two = ["spiffe://example.org/client/alice", "spiffe://example.org/client/bob"];
        assert_eq!(of(&certificate(&two, |_| {}), 1).spiffe_id, None);
        let authority = |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        assert_eq!(of(&certificate(&two[..1], authority), 1).spiffe_id, None);
        assert_eq!(of(&certificate(&["spiffe://example.org/a,Hash=00;URI=x"], |_| {}), 1).spiffe_id, None);
        let many: Vec<String> = (0..100).map(|number| format!("spiffe://example.org/{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(of(&certificate(&many, |_| {}), 1).spiffe_id, None);
    }

    #[test]
    fn a_second_uri_of_any_kind_leaves_no_spiffe_id_though_the_proxy_tells_the_first() {
        let (alice, other) = ("spiffe://example.org/client/alice", "https://example.org/alice");
        for uris in [&[alice, alice][..], &[alice, other], &[other, alice], &[other], &[]] {
            let presented = certificate(uris, |_| {});
            let told = identify(&connection(&[
                (ConnectionProperty::PeerDigest, presented.digest.as_bytes()),
                (ConnectionProperty::PeerCertificateValid, &[1]),
                (ConnectionProperty::PeerCertificate, presented.pem.as_bytes()),
                (ConnectionProperty::PeerUriSan, alice.as_bytes()),
            ]));
            assert_eq!((told.validated, told.spiffe_id), (true, None), "{uris:?}");
        }
    }

    #[test]
    fn the_pem_must_be_of_the_certificate_with_the_digest() {
        let (alice, bob) = (certificate(&["spiffe://a/alice"], |_| {}), certificate(&["spiffe://a/bob"], |_| {}));
        let swapped = of(&Presented { pem: bob.pem, digest: alice.digest.clone() }, 1);
        assert_eq!((swapped.spiffe_id, swapped.certificate), (None, None));
        for pem in ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &"A".repeat(100_000)] {
            let garbage = of(&Presented { pem: pem.to_owned(), digest: alice.digest.clone() }, 1);
            assert_eq!(garbage.certificate, None);
        }
    }

    #[test]
    fn an_escaped_pem_is_read_as_well() {
        let alice = certificate(&["spiffe://a/alice"], |_| {});
        let pem = alice
            .pem
            .replace('+', "%2B")
            .replace('\n', "%0A")
            .replace(' ', "%20")
            .replace('/', "%2F")
            .replace('=', "%3D");
        assert_eq!(of(&Presented { pem, ..alice }, 1).name(), "spiffe://a/alice");
    }

    #[test]
    fn a_certificate_that_cannot_be_read_is_no_identity_by_its_first_uri() {
        let two = ["spiffe://a/alice", "spiffe://a/bob"];
        let (presented, other) = (certificate(&two, |_| {}), certificate(&two, |_| {}));
        for pem in [other.pem.as_bytes(), b"x", b"\xff%", &[b'A'; 100_000]] {
            let unreadable = identify(&connection(&[
                (ConnectionProperty::PeerDigest, presented.digest.as_bytes()),
                (ConnectionProperty::PeerCertificateValid, &[1]),
                (ConnectionProperty::PeerCertificate, pem),
                (ConnectionProperty::PeerUriSan, two[0].as_bytes()),
            ]));
            assert_eq!((unreadable.validated, unreadable.spiffe_id, unreadable.certificate), (false, None, None));
        }
    }

    #[test]
    fn without_the_certificate_the_first_uri_of_a_validated_peer_is_its_spiffe_id() {
        let presented = certificate(&[], |_| {});
        let alice = identify(&connection(&[
            (ConnectionProperty::PeerDigest, presented.digest.as_bytes()),
            (ConnectionProperty::PeerCertificateValid, &[1]),
            (ConnectionProperty::PeerUriSan, b"spiffe://a/alice"),
        ]));
        assert_eq!(alice.name(), "spiffe://a/alice");
    }

    #[test]
    fn a_certificate_that_may_sign_certificates_or_lists_is_no_identity() {
        for usage in [KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign] {
            let signer = certificate(&["spiffe://a/alice"], |params| {
                params.key_usages = vec![KeyUsagePurpose::DigitalSignature, usage]
            });
            assert_eq!(of(&signer, 1).spiffe_id, None, "{usage:?}");
        }
        let leaf =
            certificate(&["spiffe://a/alice"], |params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
        assert_eq!(of(&leaf, 1).name(), "spiffe://a/alice");
    }
}
