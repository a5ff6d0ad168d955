//! Distinguished names in the one spelling that Envoy tells (RFC 2253 as BoringSSL writes it), so that a subject is the same
//! text whoever tells it: Envoy's property, its header, the certificate itself. In: a parsed name. Out: text, all visible
//! ASCII and spaces, or nothing for a name that has no such text.

use std::fmt::Write;

use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Encode, Tag, Tagged};
use x509_cert::name::Name;

use crate::peer::certificate::MAX_NAME;

/// Attributes that are written by a name. BoringSSL knows some more, which nobody writes into certificates of clients: of
/// these the text is another one than Envoy's, and no pattern meets it.
const NAMES: &[(ObjectIdentifier, &str)] = &[
    (ObjectIdentifier::new_unwrap("2.5.4.3"), "CN"),
    (ObjectIdentifier::new_unwrap("2.5.4.4"), "SN"),
    (ObjectIdentifier::new_unwrap("2.5.4.5"), "serialNumber"),
    (ObjectIdentifier::new_unwrap("2.5.4.6"), "C"),
    (ObjectIdentifier::new_unwrap("2.5.4.7"), "L"),
    (ObjectIdentifier::new_unwrap("2.5.4.8"), "ST"),
    (ObjectIdentifier::new_unwrap("2.5.4.9"), "street"),
    (ObjectIdentifier::new_unwrap("2.5.4.10"), "O"),
    (ObjectIdentifier::new_unwrap("2.5.4.11"), "OU"),
    (ObjectIdentifier::new_unwrap("2.5.4.12"), "title"),
    (ObjectIdentifier::new_unwrap("2.5.4.13"), "description"),
    (ObjectIdentifier::new_unwrap("2.5.4.15"), "businessCategory"),
    (ObjectIdentifier::new_unwrap("2.5.4.17"), "postalCode"),
    (ObjectIdentifier::new_unwrap("2.5.4.41"), "name"),
    (ObjectIdentifier::new_unwrap("2.5.4.42"), "GN"),
    (ObjectIdentifier::new_unwrap("2.5.4.43"), "initials"),
    (ObjectIdentifier::new_unwrap("2.5.4.44"), "generationQualifier"),
    (ObjectIdentifier::new_unwrap("2.5.4.46"), "dnQualifier"),
    (ObjectIdentifier::new_unwrap("2.5.4.65"), "pseudonym"),
    (ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.1"), "UID"),
    (ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25"), "DC"),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1"), "emailAddress"),
];

/// The text of a name; the last attribute comes first. `None` for one that holds what no text is, or is too long.
pub(super) fn text(name: &Name) -> Option<String> {
    let mut text = String::new();
    let mut parts: Vec<_> = name.iter_rdn().collect();
    parts.reverse();
    for (nth, part) in parts.into_iter().enumerate() {
        let mut attributes: Vec<_> = part.iter().collect();
        attributes.reverse();
        for (nth_of_part, attribute) in attributes.into_iter().enumerate() {
            match (nth, nth_of_part) {
                (0, 0) => {}
                (_, 0) => text.push(','),
                _ => text.push('+'),
            }
            add(&mut text, attribute)?;
            (text.len() <= MAX_NAME).then_some(())?;
        }
    }
    Some(text)
}

fn add(text: &mut String, attribute: &AttributeTypeAndValue) -> Option<()> {
    let name = NAMES.iter().find(|(oid, _)| *oid == attribute.oid).map(|(_, name)| *name);
    match name {
        Some(name) => write!(text, "{name}=").ok()?,
        None => write!(text, "{}=", attribute.oid).ok()?,
    }
    let value = attribute.value.value();
    // Letters of Latin-1 are those of Unicode.
    let latin = || Some(value.iter().copied().map(char::from).collect());
    let letters: Option<String> = match (name, attribute.value.tag()) {
        (Some(_), Tag::Utf8String) => Some(std::str::from_utf8(value).ok()?.to_owned()),
        (Some(_), Tag::PrintableString | Tag::NumericString | Tag::Ia5String | Tag::TeletexString) => latin(),
        (Some(_), Tag::BmpString) => Some(of_bmp(value)?),
        _ => None,
    };
    match letters {
        Some(letters) => escaped(text, letters.as_bytes()),
        None => {
            text.push('#');
            for byte in attribute.value.to_der().ok()? {
                write!(text, "{byte:02X}").ok()?;
            }
            Some(())
        }
    }
}

/// Letters of two bytes each.
fn of_bmp(value: &[u8]) -> Option<String> {
    let (pairs, rest) = value.as_chunks::<2>();
    let letters = pairs.iter().map(|pair| char::from_u32(u16::from_be_bytes(*pair).into()));
    letters.collect::<Option<String>>().filter(|_| rest.is_empty())
}

fn escaped(text: &mut String, letters: &[u8]) -> Option<()> {
    let last = letters.len().saturating_sub(1);
    for (place, byte) in letters.iter().enumerate() {
        match byte {
            0..=31 | 127.. => write!(text, "\\{byte:02X}").ok()?,
            b'\\' | b'"' | b',' | b'+' | b'<' | b'>' | b';' => text.extend(['\\', char::from(*byte)]),
            b' ' if place == 0 || place == last => text.push_str("\\ "),
            b'#' if place == 0 => text.push_str("\\#"),
            _ => text.push(char::from(*byte)),
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use x509_cert::der::Decode;

    use super::*;

    /// A name of these attributes, each in a part of its own: OID in DER, tag, value.
    fn name(attributes: &[(&[u8], u8, &[u8])]) -> Option<String> {
        let tlv = |tag: u8, value: &[u8]| {
            let length = u16::try_from(value.len()).unwrap().to_be_bytes();
            let length = if value.len() < 128 { vec![length[1]] } else { [vec![0x82], length.to_vec()].concat() };
            [vec![tag], length, value.to_vec()].concat()
        };
        let parts = attributes
            .iter()
            .map(|(oid, tag, value)| tlv(0x31, &tlv(0x30, &[tlv(0x06, oid), tlv(*tag, value)].concat())));
        text(&Name::from_der(&tlv(0x30, &parts.collect::<Vec<_>>().concat())).unwrap())
    }

    const CN: &[u8] = &[0x55, 4, 3];
    const UTF8: u8 = 0x0c;

    #[test]
    fn a_name_is_written_as_envoy_writes_it() {
        let whole = name(&[
            (&[0x55, 4, 6], 0x13, b"SE"),
            (&[0x55, 4, 10], UTF8, b"Acme, Inc"),
            (&[0x55, 4, 11], UTF8, b"AB"),
            (CN, UTF8, b"client \"x\""),
        ]);
        assert_eq!(whole.as_deref(), Some(r#"CN=client \"x\",OU=AB,O=Acme\, Inc,C=SE"#));
        for (value, written) in [
            (&b" a "[..], r"CN=\ a\ "),
            (b" ", r"CN=\ "),
            (b"#a#", r"CN=\#a#"),
            (b"a=b", "CN=a=b"),
            (b"a+b<c>d;e\\", r"CN=a\+b\<c\>d\;e\\"),
            ("zoë".as_bytes(), r"CN=zo\C3\AB"),
            (b"a\nb\x7f\0", r"CN=a\0Ab\7F\00"),
            (b"", "CN="),
        ] {
            assert_eq!(name(&[(CN, UTF8, value)]).as_deref(), Some(written));
        }
        assert_eq!(name(&[(CN, 0x14, b"zo\xeb")]).as_deref(), Some(r"CN=zo\C3\AB"), "Latin-1");
        assert_eq!(name(&[(CN, 0x1e, b"\0a\x20\xac")]).as_deref(), Some(r"CN=a\E2\82\AC"), "two bytes a letter");
        assert_eq!(name(&[]).as_deref(), Some(""));
    }

    #[test]
    fn what_has_no_name_or_is_no_text_is_written_in_hexadecimal() {
        assert_eq!(name(&[(&[0x55, 4, 97], UTF8, b"PSD")]).as_deref(), Some("2.5.4.97=#0C03505344"));
        assert_eq!(name(&[(CN, 0x04, b"a")]).as_deref(), Some("CN=#040161"));
    }

    #[test]
    fn a_name_that_is_no_text_or_too_long_has_none() {
        assert_eq!(name(&[(CN, UTF8, b"\xff")]), None);
        assert_eq!(name(&[(CN, 0x1e, b"\xd8\0")]), None);
        assert_eq!(name(&[(CN, 0x1e, b"\0aa")]), None);
        let long = [(CN, UTF8, &[b'a'; 100][..]); 30];
        assert_eq!((name(&long[..1]).map(|name| name.len()), name(&long)), (Some(103), None));
    }
}
