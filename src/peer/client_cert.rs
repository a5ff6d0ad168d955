//! `Client-Cert` (RFC 9440 §2.2): one byte sequence of structured fields, which is the certificate in DER. In: the value of the
//! one field. Out: the certificate, or that this is none.
//!
//! A hop writes the field in one way, so only that is read: with its padding, without parameters or white space. `Client-Cert-Chain`
//! tells nothing that is needed here: who is behind the hop has been validated by the hop.
//! Not here: whether the hop is believed (`policy::PeerSource`), what is in the certificate (`certificate`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use x509_cert::der::asn1::AnyRef;
use x509_cert::der::{Decode, Tag, Tagged};

use crate::peer::Thumbprint;
use crate::peer::conveyed::{Conveyed, Unused};

pub(super) fn read(value: &[u8]) -> Result<Conveyed, Unused> {
    let der = certificate(value).ok_or(Unused::Unreadable)?;
    let thumbprint = Thumbprint::from_bytes(Sha256::digest(&der).into());
    Ok(Conveyed { thumbprint, der: Some(der), subject: None, uri_sans: Vec::new(), dns_sans: Vec::new() })
}

/// One whole sequence of DER, as every certificate is. More is looked at where a rule asks who that is.
fn certificate(value: &[u8]) -> Option<Vec<u8>> {
    let der = STANDARD.decode(value.strip_prefix(b":")?.strip_suffix(b":")?).ok()?;
    let sequence = AnyRef::from_der(&der).is_ok_and(|whole| whole.tag() == Tag::Sequence);
    sequence.then_some(der)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(bytes: &[u8]) -> String {
        format!(":{}:", STANDARD.encode(bytes))
    }

    fn der() -> Vec<u8> {
        let params = rcgen::CertificateParams::new(vec![String::from("alice.example.org")]).unwrap();
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_field_is_the_certificate() {
        let der = der();
        let read = read(field(&der).as_bytes()).unwrap();
        assert_eq!(read.thumbprint, Thumbprint::from_bytes(Sha256::digest(&der).into()));
        assert_eq!(read.der, Some(der));
    }

    #[test]
    fn what_no_hop_writes_is_not_read() {
        let der = der();
        let good = field(&der);
        let other = field(&self::der());
        let plain = good.trim_matches(':');
        let padded = field(b"\x30\x00");
        assert!(read(padded.as_bytes()).is_ok());
        for wrong in [
            "",
            ":",
            "::",
            plain,
            &good[1..],
            &good[..good.len() - 1],
            &format!("{good}, {other}"),
            &format!("{good},{good}"),
            &format!("({good})"),
            &format!("{good};a=1"),
            &format!("{good} "),
            &format!(" {good}"),
            &format!("\"{plain}\""),
            &good.replacen(':', ":\n", 1),
            &padded.replace('=', ""),
            ":MAB=:",
            ":MB==:",
            &good.replace('+', "-").replace('/', "_").replacen(":M", ":_", 1),
            &field(&der[..der.len() - 1]),
            &field(&[&der[..], &[0]].concat()),
            &field(b"\x31\x00"),
            &field(b"-----BEGIN CERTIFICATE-----"),
        ] {
            assert_eq!(read(wrong.as_bytes()), Err(Unused::Unreadable), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), inner in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(&bytes);
            let _ = read(field(&inner).as_bytes());
        }
    }
}
