//! A throw-away public key infrastructure. In: names. Out: certificates with their keys, in memory and as PEM files.
//!
//! One CA signs the certificates of servers and clients. Nothing here outlives a few weeks.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RevocationReason,
    RevokedCertParams, SanType, SerialNumber,
};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use time::{Duration, OffsetDateTime};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// URI that names a client: `spiffe://example.org/client/<client_id>`.
pub(crate) const CLIENT_URI: &str = "spiffe://example.org/client/";

/// The file with the certificates that the CA takes back.
pub(crate) const REVOKED: &str = "clients.crl.pem";

/// A certificate and its private key.
#[derive(Debug)]
pub struct Identity {
    name: String,
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Identity {
    /// The name it was made for; for a client its `client_id`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `x5t#S256` of the certificate: base64url(SHA-256(DER)), RFC 8705 §3.1.
    pub fn thumbprint(&self) -> String {
        thumbprint(self.certificate.der())
    }

    /// SHA-256 of the certificate in hexadecimal, as Envoy writes it.
    pub fn digest(&self) -> String {
        digest(&SHA256, self.certificate.der()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The certificate in DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        self.certificate.der()
    }

    /// The public key in DER (SubjectPublicKeyInfo).
    pub fn public_key_der(&self) -> Vec<u8> {
        self.key.subject_public_key_info()
    }

    /// The certificate in PEM.
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// The private key in PKCS#8 PEM.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }
}

/// The CA and everything it signed.
#[derive(Debug)]
pub struct Pki {
    ca: CertifiedIssuer<'static, KeyPair>,
    server: Identity,
    clients: Mutex<HashMap<String, Arc<Identity>>>,
}

impl Pki {
    /// A new CA and a certificate for the servers: localhost, 127.0.0.1, api.example.com, as.example.com.
    pub fn new() -> Self {
        let mut params = params("Boundgate throw-away CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(params, new_key()).expect("the CA certificate can be signed");

        let mut params = self::params("localhost");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names = ["localhost", "api.example.com", "as.example.com"]
            .map(|name| SanType::DnsName(name.try_into().expect("a DNS name is ASCII")))
            .into();
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let server = signed(&ca, "localhost", params);
        Self { ca, server, clients: Mutex::default() }
    }

    /// The one of this process: tests share it, so that each starts fast.
    pub fn shared() -> Arc<Self> {
        static SHARED: OnceLock<Arc<Pki>> = OnceLock::new();
        SHARED.get_or_init(|| Arc::new(Self::new())).clone()
    }

    /// The certificate of the servers.
    pub fn server(&self) -> &Identity {
        &self.server
    }

    /// The client of this name: CN `name`, URI SAN `spiffe://example.org/client/<name>`. The same each time.
    pub fn client(&self, name: &str) -> Arc<Identity> {
        let mut clients = self.clients.lock().expect("no client certificate panicked");
        clients.entry(name.to_owned()).or_insert_with(|| Arc::new(self.client_with(name, |_| {}))).clone()
    }

    /// A new client certificate, changed by `edit` before it is signed: hostile SANs, other dates.
    pub fn client_with(&self, name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Identity {
        signed(&self.ca, name, client_params(name, edit))
    }

    /// A client certificate whose validity ended an hour ago.
    pub fn expired_client(&self, name: &str) -> Identity {
        self.client_with(name, |params| params.not_after = OffsetDateTime::now_utc() - Duration::hours(1))
    }

    /// A client certificate that no CA signed.
    pub fn self_signed_client(&self, name: &str) -> Identity {
        let key = new_key();
        let certificate = client_params(name, |_| {}).self_signed(&key).expect("the certificate can be signed");
        Identity { name: name.to_owned(), certificate, key }
    }

    /// The CA's certificate in PEM.
    pub fn ca_pem(&self) -> String {
        self.ca.pem()
    }

    /// A list (CRL, in PEM) of these certificates of clients, which the CA takes back.
    pub fn revoked(&self, clients: &[&Identity]) -> String {
        let now = OffsetDateTime::now_utc();
        let revoked = clients.iter().map(|client| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial_of(client.der())),
            revocation_time: now - Duration::hours(1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: now - Duration::hours(1),
            next_update: now + Duration::weeks(4),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.ca).and_then(|list| list.pem()).expect("the list can be signed")
    }

    /// Writes `ca.pem`, a list of revoked certificates that has none, and `<name>.pem` with `<name>.key` for the server and every client
    /// so far.
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("ca.pem"), self.ca_pem())?;
        fs::write(folder.join(REVOKED), self.revoked(&[]))?;
        write_identity(folder, "server", &self.server)?;
        let clients = self.clients.lock().expect("no client certificate panicked");
        clients.iter().try_for_each(|(name, identity)| write_identity(folder, name, identity))
    }

    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).expect("our own CA certificate is well formed");
        Arc::new(roots)
    }
}

impl Default for Pki {
    fn default() -> Self {
        Self::new()
    }
}

/// base64url(SHA-256(certificate)), RFC 8705 §3.1.
pub(crate) fn thumbprint(certificate: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, certificate))
}

/// The serial number behind the version, which is 3 (RFC 5280 §4.1).
fn serial_of(certificate: &[u8]) -> &[u8] {
    const VERSION: &[u8] = &[0xa0, 3, 2, 1, 2];
    let version = certificate.windows(VERSION.len()).position(|window| window == VERSION).expect("it has a version");
    let number = &certificate[version + VERSION.len()..];
    &number[2..2 + usize::from(number[1])]
}

fn client_params(name: &str, edit: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = params(name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let uri = format!("{CLIENT_URI}{name}");
    params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("client names are ASCII"))];
    edit(&mut params);
    params
}

fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = OffsetDateTime::now_utc() - Duration::days(1);
    params.not_after = OffsetDateTime::now_utc() + Duration::weeks(4);
    let mut serial = [0; 16];
    SystemRandom::new().fill(&mut serial).expect("the system has randomness");
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a P-256 key can be made")
}

fn signed(ca: &CertifiedIssuer<'static, KeyPair>, name: &str, params: CertificateParams) -> Identity {
    let key = new_key();
    let certificate = params.signed_by(&key, ca).expect("the certificate can be signed");
    Identity { name: name.to_owned(), certificate, key }
}

fn write_identity(folder: &Path, name: &str, identity: &Identity) -> io::Result<()> {
    fs::write(folder.join(format!("{name}.pem")), identity.certificate_pem())?;
    fs::write(folder.join(format!("{name}.key")), identity.key_pem())
}
