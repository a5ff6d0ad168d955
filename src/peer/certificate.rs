//! The peer's certificate (RFC 5280), where Envoy gives it out. In: PEM, plain or URL-encoded. Out: the fields that
//! properties do not have, bounded; names that could deceive a reader are left out.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use x509_cert::der::{Decode, pem};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName};

use crate::http::unescaped;
use crate::peer::{Thumbprint, distinguished_name};
use crate::time::UnixMillis;

/// The longest PEM that is looked at.
const MAX_PEM: usize = 64 * 1024;
/// The most names of one certificate; one with more has none.
const MAX_NAMES: usize = 64;
/// The longest name.
pub(super) const MAX_NAME: usize = 2048;
/// The most certificates remembered.
const MAX_CERTIFICATES: usize = 1024;

/// A parsed certificate.
#[derive(Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The serial number as its DER has it, in hexadecimal, lower case.
    pub serial: String,
    /// The subject, as Envoy writes it (RFC 2253), where it has such a text.
    pub subject: Option<String>,
    /// Who issued it, likewise.
    pub issuer: Option<String>,
    /// The end of its validity.
    pub not_after: UnixMillis,
    /// How long it is valid as a whole.
    pub lifetime: Duration,
    /// URI names. A name that is not printable ASCII is kept as an empty text: it counts, and is nobody.
    pub uri_sans: Vec<String>,
    /// DNS names, likewise.
    pub dns_sans: Vec<String>,
    /// Whether it may sign certificates or revocation lists: then it is nobody's identity (SPIFFE X509-SVID §5.2).
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
        Self::from_der(&der_of(pem)?, thumbprint)
    }

    /// Reads `der`, likewise.
    fn from_der(der: &[u8], thumbprint: &Thumbprint) -> Result<Self, CertificateFault> {
        if Thumbprint::from_bytes(Sha256::digest(der).into()) != *thumbprint {
            return Err(CertificateFault::OtherDigest);
        }
        let malformed = |_| CertificateFault::Malformed;
        let certificate = x509_cert::Certificate::from_der(der).map_err(malformed)?;
        let tbs = certificate.tbs_certificate();
        let (not_before, not_after) = (tbs.validity().not_before, tbs.validity().not_after);
        let (not_before, not_after) = (not_before.to_unix_duration(), not_after.to_unix_duration());
        let mut read = Self {
            serial: tbs.serial_number().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect(),
            subject: distinguished_name::text(tbs.subject()),
            issuer: distinguished_name::text(tbs.issuer()),
            not_after: UnixMillis::from_millis(u64::try_from(not_after.as_millis()).unwrap_or(u64::MAX)),
            lifetime: not_after.saturating_sub(not_before),
            uri_sans: Vec::new(),
            dns_sans: Vec::new(),
            is_authority: false,
        };
        for extension in tbs.extensions().map(Vec::as_slice).unwrap_or_default() {
            let value = extension.extn_value.as_bytes();
            if extension.extn_id == x509_cert::der::oid::db::rfc5280::ID_CE_SUBJECT_ALT_NAME {
                read.add_names(&SubjectAltName::from_der(value).map_err(malformed)?);
            } else if extension.extn_id == x509_cert::der::oid::db::rfc5280::ID_CE_BASIC_CONSTRAINTS {
                read.is_authority |= BasicConstraints::from_der(value).map_err(malformed)?.ca;
            } else if extension.extn_id == x509_cert::der::oid::db::rfc5280::ID_CE_KEY_USAGE {
                let usage = KeyUsage::from_der(value).map_err(malformed)?;
                read.is_authority |= usage.key_cert_sign() || usage.crl_sign();
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

/// What a PEM holds, whether or not that is a certificate.
pub(super) fn der_of(pem: &[u8]) -> Result<Vec<u8>, CertificateFault> {
    if pem.len() > MAX_PEM {
        return Err(CertificateFault::TooLarge);
    }
    // Some Envoys escape the PEM for use in a header.
    match pem::decode_vec(&unescaped(pem)) {
        Ok(("CERTIFICATE", der)) => Ok(der),
        _ => Err(CertificateFault::Malformed),
    }
}

pub(super) fn printable(text: &str) -> String {
    let plain = text.len() <= MAX_NAME && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if plain { text.to_owned() } else { String::new() }
}

/// Certificates parsed before, by thumbprint. When it is full it starts afresh: parsing again costs microseconds.
#[derive(Debug, Default)]
pub struct CertificateCache(HashMap<[u8; 32], Result<Rc<Certificate>, CertificateFault>>);

impl CertificateCache {
    /// The certificate with this thumbprint, whose PEM is asked for once; `None` where nobody gives it out. One that is
    /// given out and cannot be read is a fault, never `None`: its names must not be believed by halves.
    pub fn get(
        &mut self,
        thumbprint: &Thumbprint,
        pem: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Result<Option<Rc<Certificate>>, CertificateFault> {
        if let Some(known) = self.0.get(thumbprint.as_bytes()) {
            return known.clone().map(Some);
        }
        let Some(pem) = pem() else { return Ok(None) };
        self.keep(thumbprint, Certificate::parse(&pem, thumbprint)).map(Some)
    }

    /// The certificate with this thumbprint, which is `der`.
    pub fn of_der(&mut self, thumbprint: &Thumbprint, der: &[u8]) -> Result<Rc<Certificate>, CertificateFault> {
        match self.0.get(thumbprint.as_bytes()) {
            Some(known) => known.clone(),
            None => self.keep(thumbprint, Certificate::from_der(der, thumbprint)),
        }
    }

    fn keep(
        &mut self,
        thumbprint: &Thumbprint,
        read: Result<Certificate, CertificateFault>,
    ) -> Result<Rc<Certificate>, CertificateFault> {
        let certificate = read.map(Rc::new);
        if self.0.len() >= MAX_CERTIFICATES {
            self.0.clear();
        }
        self.0.insert(*thumbprint.as_bytes(), certificate.clone());
        certificate
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use x509_cert::der::pem::{LineEnding, encode_string};

    use super::*;

    fn parse(der: &[u8]) -> Result<Certificate, CertificateFault> {
        let pem = encode_string("CERTIFICATE", LineEnding::LF, der).unwrap();
        Certificate::parse(pem.as_bytes(), &Thumbprint::from_bytes(Sha256::digest(der).into()))
    }

    fn der() -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec![String::from("alice.example.org")]).unwrap();
        params.subject_alt_names.push(rcgen::SanType::URI("spiffe://a/alice".try_into().unwrap()));
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    /// With `to` in the place of `from`, which is as long.
    fn replaced(from: &[u8], to: &[u8]) -> Vec<u8> {
        let mut der = der();
        let start = der.windows(from.len()).position(|window| window == from).unwrap();
        der[start..].iter_mut().zip(to).for_each(|(byte, to)| *byte = *to);
        der
    }

    #[test]
    fn names_that_could_deceive_a_reader_are_not_kept() {
        for hostile in [&b"spiffe://a/al\0ce"[..], b"spiffe://a/al\nce", b"spiffe://a/al\xffce", b"spiffe://a/al\x7fce"]
        {
            let names = parse(&replaced(b"spiffe://a/alice", hostile)).map(|certificate| certificate.uri_sans);
            assert!(matches!(names.as_deref(), Err(_) | Ok([])) || names == Ok(vec![String::new()]), "{names:?}");
        }
        assert_eq!(parse(&der()).unwrap().uri_sans, ["spiffe://a/alice"]);
    }

    #[test]
    fn a_full_cache_starts_afresh() {
        let mut cache = CertificateCache::default();
        for number in 0..3000_u32 {
            let thumbprint = Thumbprint::from_bytes(Sha256::digest(number.to_be_bytes()).into());
            assert_eq!(cache.get(&thumbprint, || Some(b"x".to_vec())), Err(CertificateFault::Malformed));
            assert!(cache.0.len() <= MAX_CERTIFICATES);
        }
    }

    proptest! {
        #[test]
        fn no_certificate_makes_it_panic(
            edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<prop::sample::Index>()
        ) {
            thread_local!(static DER: Vec<u8> = der());
            let mut der = DER.with(Clone::clone);
            for (place, byte) in edits {
                let place = place.index(der.len());
                der[place] = byte;
            }
            if let Ok(read) = parse(&der) {
                prop_assert!(read.uri_sans.iter().chain(&read.dns_sans).all(|name| name.bytes().all(|byte| matches!(byte, b' '..=b'~'))));
            }
            let _ = parse(&der[..cut.index(der.len())]);
        }

        #[test]
        fn no_bytes_make_it_panic(pem in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Certificate::parse(&pem, &Thumbprint::from_bytes([0; 32])).is_err());
        }
    }
}
