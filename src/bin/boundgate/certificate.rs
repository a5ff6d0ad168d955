//! A certificate in a PEM file. In: the text. Out: its bytes and its thumbprint. Not here: what stands in it
//! (`boundgate::peer`).

use boundgate::peer::Thumbprint;
use sha2::{Digest, Sha256};
use x509_cert::der::{DecodePem, Encode};

/// The first certificate of a file: a chain begins with the client's own.
pub struct First {
    /// With the lines that begin and end it.
    pub pem: String,
    /// SHA-256 of its DER (RFC 8705 section 3.1).
    pub thumbprint: Thumbprint,
}

impl First {
    /// `None` where there is none.
    pub fn of(text: &str) -> Option<Self> {
        const END: &str = "-----END CERTIFICATE-----";
        let text = text.get(text.find("-----BEGIN CERTIFICATE-----")?..)?;
        let pem = text.get(..text.find(END)?.checked_add(END.len())?)?;
        let der = x509_cert::Certificate::from_pem(pem).ok()?.to_der().ok()?;
        Some(Self { pem: pem.to_owned(), thumbprint: Thumbprint::from_bytes(Sha256::digest(&der).into()) })
    }
}
