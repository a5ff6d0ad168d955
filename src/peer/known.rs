//! What is known about peers beyond one request: certificates that were read, connections that were seen, and which
//! certificates this proxy validated. In: properties of the connection. Out: a [`PeerIdentity`].
//!
//! Envoy validates a certificate in a full handshake only. On a connection that resumes a TLS session it says "not
//! validated", which is also what it says of a certificate that no CA signed, where it lets those in
//! (`ACCEPT_UNTRUSTED`). The two are told apart by a mark in shared data that was made when the certificate was
//! validated: for this certificate, and for the same port, filter chain and server name, since another chain may
//! trust other CAs. A session cannot be resumed in another TLS context than its own, so there is nobody the mark would be
//! missing for. It ends with the certificate, and with the longest a session can live: a certificate that is no longer
//! trusted cannot be told from one that returns.
//!
//! Not here: what is in a certificate (`certificate`), whom a route admits (`authz`).

use std::collections::HashMap;
use std::time::Duration;

use crate::host::{Connection, ConnectionProperty, Host};
use crate::peer::{CertificateCache, Conveyed, Peer, PeerIdentity, Thumbprint};
use crate::shared::Marks;
use crate::time::{MonoNanos, Now};

/// The most validated certificates that all workers remember.
const MAX_VALIDATED: u32 = 65_536;
/// How long a certificate is known to have been validated, at the most: BoringSSL resumes a TLS 1.3 session for seven days
/// after its full handshake (`SSL_DEFAULT_SESSION_AUTH_TIMEOUT`). Less would refuse an honest client that resumes.
const VALIDATED_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The most connections one worker remembers.
const MAX_CONNECTIONS: usize = 4096;
/// How long a worker goes by what a handshake showed; then a validated certificate is marked again.
const SEEN_FOR: Duration = Duration::from_secs(60 * 60);
/// How long a worker goes by a mark it has found.
const FOUND_FOR: Duration = Duration::from_secs(60);

/// See the module. When the connections are too many they start afresh: looking again costs microseconds.
#[derive(Debug)]
pub struct KnownPeers {
    certificates: CertificateCache,
    connections: HashMap<u64, Known>,
    marks: Marks,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    thumbprint: Thumbprint,
    standing: Standing,
    until: MonoNanos,
}

/// Whether the certificate of a connection was validated, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// In the handshake of this connection.
    Validated,
    /// In the handshake of an earlier one.
    Returned,
    /// Not in this one's: the session was resumed, or nobody validated it.
    Unvalidated,
    /// This Envoy does not say (before 1.39).
    Untold,
}

/// What a connection showed when it was noticed.
#[derive(Clone, Copy, Debug)]
pub struct Noticed {
    connection: Option<u64>,
    standing: Standing,
}

impl KnownPeers {
    /// Knows what the other workers of the process know.
    pub fn new(host: &dyn Host) -> Self {
        Self {
            certificates: CertificateCache::default(),
            connections: HashMap::new(),
            marks: Marks::new("certificates", MAX_VALIDATED, host),
        }
    }

    /// Takes note of a connection, so that its certificate is known when it returns. For every request of a policy that
    /// asks who peers are, on whatever route: the handshake is over when the first one comes. One property is read, on a
    /// connection that was seen before.
    pub fn notice(&mut self, peer: Peer, connection: &dyn Connection, host: &dyn Host, now: Now) -> Noticed {
        let id = connection.property(ConnectionProperty::Id).and_then(|id| id.try_into().ok().map(u64::from_le_bytes));
        let known = id.and_then(|id| self.connections.get(&id));
        if let Some(known) = known.filter(|known| known.thumbprint == peer.thumbprint && now.mono < known.until) {
            return Noticed { connection: id, standing: known.standing };
        }
        let standing = match connection.property(ConnectionProperty::PeerCertificateValid).as_deref() {
            Some([1]) => {
                self.mark(peer, connection, host, now);
                Standing::Validated
            }
            Some(_) => Standing::Unvalidated,
            None => Standing::Untold,
        };
        self.remember(id, peer, standing, now.mono.plus(SEEN_FOR))
    }

    /// Who the peer is. Only a validated certificate is looked at: what stands in another one is whatever its holder
    /// wrote. A certificate that this Envoy gives out but nobody can read is nobody's. It is parsed once.
    pub fn identify(
        &mut self,
        peer: Peer,
        noticed: Noticed,
        assume_validated: bool,
        connection: &dyn Connection,
        host: &dyn Host,
        now: Now,
    ) -> PeerIdentity {
        let validated = match noticed.standing {
            Standing::Validated | Standing::Returned => true,
            Standing::Untold => assume_validated,
            Standing::Unvalidated => self.returns(peer, noticed, connection, host, now),
        };
        let nobody = PeerIdentity::nobody(peer.thumbprint);
        if !validated {
            return nobody;
        }
        let pem = || connection.property(ConnectionProperty::PeerCertificate);
        match self.certificates.get(&peer.thumbprint, pem) {
            Err(_) => nobody,
            Ok(None) => PeerIdentity::from_properties(peer.thumbprint, connection),
            // The handshake may be days ago.
            Ok(Some(certificate)) if now.wall > certificate.not_after => nobody,
            Ok(Some(certificate)) => PeerIdentity::from_certificate(peer.thumbprint, certificate),
        }
    }

    /// Who holds a certificate that a trusted hop conveys. The hop has validated it.
    pub fn conveyed(&mut self, conveyed: Conveyed) -> PeerIdentity {
        let thumbprint = conveyed.thumbprint;
        match conveyed.der.map(|der| self.certificates.of_der(&thumbprint, &der)) {
            Some(Ok(certificate)) => PeerIdentity::from_certificate(thumbprint, certificate),
            Some(Err(_)) => PeerIdentity::nobody(thumbprint),
            None => PeerIdentity::from_names(thumbprint, conveyed.uri_sans, conveyed.dns_sans, conveyed.subject),
        }
    }

    /// Whether a certificate that was not validated in this handshake was in an earlier one.
    fn returns(
        &mut self,
        peer: Peer,
        noticed: Noticed,
        connection: &dyn Connection,
        host: &dyn Host,
        now: Now,
    ) -> bool {
        let holds = self.marks.holds(&what(peer, connection), host, now.mono);
        if holds {
            self.remember(noticed.connection, peer, Standing::Returned, now.mono.plus(FOUND_FOR));
        }
        holds
    }

    /// Marks the certificate as validated, up to its end.
    fn mark(&mut self, peer: Peer, connection: &dyn Connection, host: &dyn Host, now: Now) {
        let pem = || connection.property(ConnectionProperty::PeerCertificate);
        let lasts = match self.certificates.get(&peer.thumbprint, pem) {
            Err(_) => return,
            Ok(None) => VALIDATED_FOR,
            Ok(Some(certificate)) => certificate.not_after.since(now.wall).min(VALIDATED_FOR),
        };
        if !lasts.is_zero() {
            self.marks.mark(&what(peer, connection), now.mono.plus(lasts), host, now.mono);
        }
    }

    fn remember(&mut self, id: Option<u64>, peer: Peer, standing: Standing, until: MonoNanos) -> Noticed {
        if let Some(id) = id {
            if self.connections.len() >= MAX_CONNECTIONS && !self.connections.contains_key(&id) {
                self.connections.clear();
            }
            self.connections.insert(id, Known { thumbprint: peer.thumbprint, standing, until });
        }
        Noticed { connection: id, standing }
    }
}

/// What is marked: the certificate, and what chooses the CAs that it is validated against. Two listeners with one port
/// are told apart by the names of their filter chains only.
fn what(peer: Peer, connection: &dyn Connection) -> Vec<u8> {
    let mut what = peer.thumbprint.as_bytes().to_vec();
    for property in [
        ConnectionProperty::DestinationPort,
        ConnectionProperty::FilterChainName,
        ConnectionProperty::RequestedServerName,
    ] {
        let value = connection.property(property).unwrap_or_default();
        what.extend(value.len().to_le_bytes());
        what.extend(value);
    }
    what
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::fake::{FakeConnection, FakeHost, at};

    /// A certificate for the first thirty days of the tests' time.
    fn alice() -> (String, Peer) {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.not_before = rcgen::date_time_ymd(2025, 12, 1);
        params.not_after = rcgen::date_time_ymd(2026, 1, 31);
        params.subject_alt_names.push(rcgen::SanType::URI("spiffe://a/alice".try_into().unwrap()));
        let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let thumbprint = Thumbprint::from_bytes(Sha256::digest(certificate.der()).into());
        (certificate.pem(), Peer { thumbprint })
    }

    /// A connection, and how often it was asked for a property.
    struct Counted(FakeConnection, Cell<usize>);

    impl Connection for Counted {
        fn property(&self, property: ConnectionProperty) -> Option<Vec<u8>> {
            self.1.set(self.1.get() + 1);
            self.0.property(property)
        }
    }

    /// A proxy, and the certificate that is presented to it.
    struct Scene {
        host: FakeHost,
        pem: String,
        peer: Peer,
    }

    impl Scene {
        fn new() -> Self {
            let (pem, peer) = alice();
            Self { host: FakeHost::default(), pem, peer }
        }

        fn worker(&self) -> KnownPeers {
            KnownPeers::new(&self.host)
        }

        /// Connection `id`; `valid` is what Envoy says.
        fn connection(&self, id: u64, valid: u8) -> Counted {
            let properties = [
                (ConnectionProperty::Id, id.to_le_bytes().to_vec()),
                (ConnectionProperty::PeerCertificateValid, vec![valid]),
                (ConnectionProperty::PeerCertificate, self.pem.clone().into_bytes()),
                (ConnectionProperty::RequestedServerName, b"api.example.com".to_vec()),
                (ConnectionProperty::FilterChainName, b"partners".to_vec()),
                (ConnectionProperty::DestinationPort, 8443_u64.to_le_bytes().to_vec()),
            ];
            Counted(FakeConnection(properties.into()), Cell::default())
        }

        fn notice(&self, worker: &mut KnownPeers, connection: &Counted, seconds: f64) -> Noticed {
            worker.notice(self.peer, connection, &self.host, at(seconds))
        }

        fn validated(&self, worker: &mut KnownPeers, connection: &Counted, seconds: f64) -> bool {
            let noticed = self.notice(worker, connection, seconds);
            worker.identify(self.peer, noticed, false, connection, &self.host, at(seconds)).validated
        }
    }

    #[test]
    fn a_certificate_that_was_validated_is_validated_when_it_returns_at_any_worker() {
        let scene = Scene::new();
        let (mut one, mut other) = (scene.worker(), scene.worker());
        assert!(!scene.validated(&mut other, &scene.connection(1, 0), 0.0), "never seen");
        scene.notice(&mut one, &scene.connection(2, 1), 1.0);
        assert!(scene.validated(&mut one, &scene.connection(3, 0), 2.0));
        assert!(scene.validated(&mut other, &scene.connection(4, 0), 2.0));
        assert!(scene.validated(&mut other, &scene.connection(1, 0), 2.0), "what is known now counts");
    }

    #[test]
    fn what_nobody_validated_stays_nobody_however_often_it_comes() {
        let scene = Scene::new();
        let mut worker = scene.worker();
        for id in 0..10 {
            assert!(!scene.validated(&mut worker, &scene.connection(id, 0), id as f64));
        }
        let other = Peer { thumbprint: Thumbprint::from_bytes([7; 32]) };
        scene.notice(&mut worker, &scene.connection(10, 1), 10.0);
        let noticed = worker.notice(other, &scene.connection(10, 0), &scene.host, at(11.0));
        assert_eq!(noticed.standing, Standing::Unvalidated, "another certificate under a known number");
    }

    #[test]
    fn a_certificate_validated_on_one_chain_is_nobody_on_another() {
        let scene = Scene::new();
        let mut worker = scene.worker();
        scene.notice(&mut worker, &scene.connection(1, 1), 0.0);
        for (id, property, value) in [
            (2, ConnectionProperty::FilterChainName, &b"internal"[..]),
            (3, ConnectionProperty::RequestedServerName, b"internal.example.com"),
            (4, ConnectionProperty::DestinationPort, &9443_u64.to_le_bytes()),
        ] {
            let mut elsewhere = scene.connection(id, 0);
            elsewhere.0.0.insert(property, value.to_vec());
            assert!(!scene.validated(&mut worker, &elsewhere, 1.0), "{property:?}");
        }
        assert!(scene.validated(&mut worker, &scene.connection(5, 0), 1.0));
    }

    #[test]
    fn names_do_not_run_into_each_other() {
        let scene = Scene::new();
        let mut shifted = scene.connection(1, 1);
        shifted.0.0.insert(ConnectionProperty::FilterChainName, b"partnersa".to_vec());
        shifted.0.0.insert(ConnectionProperty::RequestedServerName, b"pi.example.com".to_vec());
        assert_ne!(what(scene.peer, &shifted), what(scene.peer, &scene.connection(1, 1)));
    }

    #[test]
    fn it_is_known_for_a_week_from_the_last_request_on_a_connection_that_validated_it() {
        const HOUR: f64 = 3600.0;
        const WEEK: f64 = 168.0 * HOUR;
        let scene = Scene::new();
        let mut worker = scene.worker();
        scene.notice(&mut worker, &scene.connection(1, 1), 0.0);
        scene.notice(&mut worker, &scene.connection(1, 1), 2.0 * HOUR);
        assert!(scene.validated(&mut worker, &scene.connection(2, 0), WEEK + 1.9 * HOUR));
        assert!(!scene.validated(&mut worker, &scene.connection(2, 0), WEEK + 2.1 * HOUR), "nor on an old connection");
    }

    #[test]
    fn it_is_known_no_longer_than_the_certificate_lasts() {
        const DAY: f64 = 86_400.0;
        let scene = Scene::new();
        let mut worker = scene.worker();
        scene.notice(&mut worker, &scene.connection(1, 1), 29.9 * DAY);
        assert!(scene.validated(&mut worker, &scene.connection(2, 0), 29.99 * DAY));
        assert!(!scene.validated(&mut worker, &scene.connection(2, 0), 30.01 * DAY));
        assert!(!scene.validated(&mut worker, &scene.connection(1, 1), 30.01 * DAY), "the connection is older");
        let marked =
            scene.worker().marks.holds(&what(scene.peer, &scene.connection(3, 0)), &scene.host, at(30.01 * DAY).mono);
        assert!(!marked, "nor is the end left to the reading of the certificate");
    }

    #[test]
    fn an_envoy_that_does_not_tell_marks_nothing() {
        let scene = Scene::new();
        let mut worker = scene.worker();
        let mut untold = scene.connection(1, 0);
        untold.0.0.remove(&ConnectionProperty::PeerCertificateValid);
        let noticed = scene.notice(&mut worker, &untold, 0.0);
        assert!(worker.identify(scene.peer, noticed, true, &untold, &scene.host, at(0.0)).validated);
        assert!(!scene.validated(&mut worker, &untold, 0.0));
        assert!(!scene.validated(&mut worker, &scene.connection(2, 0), 0.0));
    }

    #[test]
    fn a_certificate_that_cannot_be_read_is_not_marked_and_one_that_is_not_given_out_is() {
        let scene = Scene::new();
        let mut worker = scene.worker();
        let mut garbled = scene.connection(1, 1);
        garbled.0.0.insert(ConnectionProperty::PeerCertificate, b"x".to_vec());
        scene.notice(&mut worker, &garbled, 0.0);
        assert!(scene.host.keys("boundgate/certificates/").is_empty());
        let mut kept_back = scene.connection(2, 1);
        kept_back.0.0.remove(&ConnectionProperty::PeerCertificate);
        scene.notice(&mut scene.worker(), &kept_back, 0.0);
        assert_eq!(scene.host.keys("boundgate/certificates/").len(), 1);
    }

    #[test]
    fn a_connection_that_was_seen_before_costs_one_property_and_no_shared_data() {
        let scene = Scene::new();
        let mut worker = scene.worker();
        let (full, resumed) = (scene.connection(1, 1), scene.connection(2, 0));
        assert!(scene.validated(&mut worker, &full, 0.0) && scene.validated(&mut worker, &resumed, 0.0));
        let calls = scene.host.calls();
        for connection in [full, resumed] {
            connection.1.set(0);
            assert!(scene.validated(&mut worker, &connection, 1.0));
            assert_eq!(connection.1.get(), 1);
        }
        assert_eq!(scene.host.calls(), calls);
    }

    #[test]
    fn a_flood_of_connections_is_remembered_in_bounded_memory() {
        let scene = Scene::new();
        let mut worker = scene.worker();
        for id in 0..10_000 {
            scene.notice(&mut worker, &scene.connection(id, 0), 0.0);
            assert!(worker.connections.len() <= MAX_CONNECTIONS);
        }
    }
}
