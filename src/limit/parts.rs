//! The parts of a key as bytes that no other parts give: every text stands behind its length, so that (`a`, `bc`) is
//! not (`ab`, `c`). In: a key and its values in one request. Out: bytes into whatever hash counts by them: the keyed one
//! of this process (`identity`), or the one that a fleet shares (`fleet::name`).

use std::net::IpAddr;

use sha2::{Digest, Sha256};
use siphasher::sip128::SipHasher13;

use crate::limit::identity::KeyValue;
use crate::policy::KeyPart;

/// A hash that takes bytes.
pub(super) trait Sink {
    /// Takes the next bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for SipHasher13 {
    fn put(&mut self, bytes: &[u8]) {
        std::hash::Hasher::write(self, bytes);
    }
}

impl Sink for Sha256 {
    fn put(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

/// The parts of `key`, with the values that `value_of` gives them.
pub(super) fn write_key<'k, 'v>(
    sink: &mut impl Sink,
    key: &'k [KeyPart],
    mut value_of: impl FnMut(&'k KeyPart) -> KeyValue<'v>,
) {
    for part in key {
        let (kind, name) = kind(part);
        write_text(sink, kind);
        write_text(sink, name);
        write_value(sink, &value_of(part));
    }
}

/// Text behind its length.
pub(super) fn write_text(sink: &mut impl Sink, text: &str) {
    // A usize of this or any target fits.
    sink.put(&(text.len() as u64).to_le_bytes());
    sink.put(text.as_bytes());
}

/// The kind of a key part and the name that belongs to it, if any.
pub(super) fn kind(part: &KeyPart) -> (&'static str, &str) {
    match part {
        KeyPart::ClientId => ("client_id", ""),
        KeyPart::Sub => ("sub", ""),
        KeyPart::Claim(name) => ("claim.", name),
        KeyPart::Peer => ("peer", ""),
        KeyPart::Ip => ("ip", ""),
        KeyPart::Source => ("source", ""),
        KeyPart::Route => ("route", ""),
        KeyPart::Header(name) => ("header.", name),
        KeyPart::Constant(_) => ("const", ""),
    }
}

fn write_value(sink: &mut impl Sink, value: &KeyValue<'_>) {
    match value {
        KeyValue::Text(text) => {
            sink.put(b"T");
            write_text(sink, text);
        }
        KeyValue::OfIssuer { issuer, text } => {
            sink.put(b"C");
            write_text(sink, issuer);
            write_text(sink, text);
        }
        KeyValue::Address(address) => match address.to_canonical() {
            IpAddr::V4(address) => {
                sink.put(b"4");
                sink.put(&address.octets());
            }
            IpAddr::V6(address) => {
                sink.put(b"6");
                let [a, b, c, d, ..] = address.segments();
                for segment in [a, b, c, d] {
                    sink.put(&segment.to_be_bytes());
                }
            }
        },
        KeyValue::Missing => sink.put(b"M"),
    }
}
