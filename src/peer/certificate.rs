//! The peer's certificate (RFC 5280), where Envoy gives it out. In: PEM, plain or URL-encoded. Out: the fields that
//! properties do not have, bounded; names that could deceive a reader are left out.

use std::collections::HashMap;
use std::rc::Rc;

use sha2::{Digest, Sha256};
use x509_cert::der::{Decode, DecodePem, Encode};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};

use crate::binding::Thumbprint;
use crate::host::{Connection, ConnectionProperty};
use crate::http::unescaped;
use crate::time::UnixMillis;

/// The longest PEM that is looked at.
const MAX_PEM: usize = 64 * 1024;
/// The most names of one certificate; one with more has none.
const MAX_NAMES: usize = 64;
/// The longest name.
const MAX_NAME: usize = 2048;
/// The most certificates remembered.
const MAX_CERTIFICATES: usize = 1024;

/// A parsed certificate.
#[derive(Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The serial number in hexadecimal, lower case.
    pub serial: String,
    /// The subject (RFC 4514).
    pub subject: String,
    /// The end of its validity.
    pub not_after: UnixMillis,
    /// URI names. A name that is not printable ASCII is kept as an empty text: it counts, and is nobody.
    pub uri_sans: Vec<String>,
    /// DNS names, likewise.
    pub dns_sans: Vec<String>,
    /// Whether it may sign other certificates: then it is nobody's identity (SPIFFE X509-SVID §4).
    pub is_authority: bool,
}

/// Why a certificate was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    /// Larger than is looked at.
    TooLarge,
    /// Not PEM, or not a certificate.
    Malformed,
    /// Not the one whose digest the proxy gives.
    OtherDigest,
}

impl Certificate {
    /// Reads `pem`, which must be the certificate with this thumbprint.
    pub fn parse(pem: &[u8], thumbprint: &Thumbprint) -> Result<Self, CertificateFault> {
        if pem.len() > MAX_PEM {
            return Err(CertificateFault::TooLarge);
        }
        let malformed = |_| CertificateFault::Malformed;
        // Some Envoys escape the PEM for use in a header.
        let certificate = x509_cert::Certificate::from_pem(unescaped(pem)).map_err(malformed)?;
        let der = certificate.to_der().map_err(malformed)?;
        if Thumbprint::from_bytes(Sha256::digest(&der).into()) != *thumbprint {
            return Err(CertificateFault::OtherDigest);
        }
        let tbs = certificate.tbs_certificate();
        let not_after = tbs.validity().not_after.to_unix_duration();
        let mut read = Self {
            serial: tbs.serial_number().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect(),
            subject: printable(&tbs.subject().to_string()),
            not_after: UnixMillis::from_millis(u64::try_from(not_after.as_millis()).unwrap_or(u64::MAX)),
            uri_sans: Vec::new(),
            dns_sans: Vec::new(),
            is_authority: false,
        };
        for extension in tbs.extensions().map(Vec::as_slice).unwrap_or_default() {
            let value = extension.extn_value.as_bytes();
            if extension.extn_id == x509_cert::der::oid::db::rfc5280::ID_CE_SUBJECT_ALT_NAME {
                read.add_names(&SubjectAltName::from_der(value).map_err(malformed)?);
            } else if extension.extn_id == x509_cert::der::oid::db::rfc5280::ID_CE_BASIC_CONSTRAINTS {
                read.is_authority = BasicConstraints::from_der(value).map_err(malformed)?.ca;
            }
        }
        Ok(read)
    }

    fn add_names(&mut self, names: &SubjectAltName) {
        if names.0.len() > MAX_NAMES {
            return;
        }
        for name in &names.0 {
            match name {
                GeneralName::UniformResourceIdentifier(uri) => self.uri_sans.push(printable(uri.as_str())),
                GeneralName::DnsName(dns) => self.dns_sans.push(printable(dns.as_str())),
                _ => {}
            }
        }
    }
}

fn printable(text: &str) -> String {
    let plain = text.len() <= MAX_NAME && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if plain { text.to_owned() } else { String::new() }
}

/// Certificates parsed before, by thumbprint. When it is full it starts afresh: parsing again costs microseconds.
#[derive(Debug, Default)]
pub struct CertificateCache(HashMap<[u8; 32], Option<Rc<Certificate>>>);

impl CertificateCache {
    /// The certificate of this connection; `None` where Envoy does not give it out or it cannot be read.
    pub fn get(&mut self, thumbprint: &Thumbprint, connection: &dyn Connection) -> Option<Rc<Certificate>> {
        if let Some(known) = self.0.get(thumbprint.as_bytes()) {
            return known.clone();
        }
        let pem = connection.property(ConnectionProperty::PeerCertificate)?;
        let certificate = Certificate::parse(&pem, thumbprint).ok().map(Rc::new);
        if self.0.len() >= MAX_CERTIFICATES {
            self.0.clear();
        }
        self.0.insert(*thumbprint.as_bytes(), certificate.clone());
        certificate
    }
}
