//! Header fields as the proxy hands them over, in one buffer. In: the serialized map. Out: names and values in their order,
//! read where they stand; and the same format for answers.
//!
//! ```text
//! u32 n │ n × (u32 length of name, u32 length of value) │ name NUL value NUL …        little endian
//! ```

use std::ops::Range;

/// Header fields in their order; a name may occur several times.
#[derive(Debug)]
pub struct HeaderMap {
    bytes: Vec<u8>,
    fields: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    name: Range<usize>,
    value: Range<usize>,
}

/// The bytes are no header map, or a name is no ASCII (RFC 9110 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderMapFault;

impl HeaderMap {
    /// Finds the fields.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, HeaderMapFault> {
        let fields = places(&bytes).ok_or(HeaderMapFault)?;
        let map = Self { bytes, fields };
        if map.iter().all(|(name, _)| name.is_ascii()) { Ok(map) } else { Err(HeaderMapFault) }
    }

    /// Names, in lower case as the proxy keeps them, and values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let text = |place: &Range<usize>| self.bytes.get(place.clone()).unwrap_or_default();
        self.fields.iter().map(move |Place { name, value }| (text(name), text(value)))
    }

    /// The bytes that it holds.
    pub fn size(&self) -> usize {
        self.bytes.len().saturating_add(self.fields.len().saturating_mul(size_of::<Place>()))
    }

    /// The names of all fields, pseudo headers left out, as often as they occur.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        // All are ASCII.
        let names = self.iter().filter_map(|(name, _)| std::str::from_utf8(name).ok());
        names.filter(|name| !name.starts_with(':'))
    }

    /// All values of a field; `name` in lower case.
    pub fn all<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m [u8]> {
        self.iter().filter(move |(field, _)| *field == name.as_bytes()).map(|(_, value)| value)
    }
}

fn places(bytes: &[u8]) -> Option<Vec<Place>> {
    let (number, lengths) = number(bytes)?;
    let (lengths, mut text) = lengths.split_at_checked(number.checked_mul(8)?)?;
    let mut end = bytes.len().checked_sub(text.len())?;
    let mut next = |length: usize| {
        let rest = text.get(length..)?.strip_prefix(&[0])?;
        let start = end;
        end = start.checked_add(length)?.checked_add(1)?;
        text = rest;
        Some(start..start.checked_add(length)?)
    };
    let field = |lengths: &[u8]| {
        let (name, lengths) = self::number(lengths)?;
        let (value, _) = self::number(lengths)?;
        Some(Place { name: next(name)?, value: next(value)? })
    };
    lengths.chunks_exact(8).map(field).collect()
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

/// Fields in the proxy's format.
pub fn encode<'f>(fields: impl Iterator<Item = (&'f str, &'f [u8])> + Clone) -> Vec<u8> {
    let length = |text: &[u8]| u32::try_from(text.len()).unwrap_or(0).to_le_bytes();
    let mut bytes = Vec::with_capacity(256);
    bytes.extend(u32::try_from(fields.clone().count()).unwrap_or(0).to_le_bytes());
    for (name, value) in fields.clone() {
        bytes.extend(length(name.as_bytes()));
        bytes.extend(length(value));
    }
    for text in fields.flat_map(|(name, value)| [name.as_bytes(), value]) {
        bytes.extend(text);
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs() -> Vec<u8> {
        encode([("a", &b"1"[..]), ("b-c", b"\xff \0"), ("a", b""), ("", b"x")].into_iter())
    }

    #[test]
    fn fields_are_read_as_they_were_written() {
        let map = HeaderMap::decode(pairs()).unwrap();
        let fields: Vec<_> = map.iter().collect();
        assert_eq!(fields, [(&b"a"[..], &b"1"[..]), (b"b-c", b"\xff \0"), (b"a", b""), (b"", b"x")]);
        assert_eq!(map.all("a").collect::<Vec<_>>(), [&b"1"[..], b""]);
        assert_eq!(HeaderMap::decode(vec![0; 4]).unwrap().iter().count(), 0);
    }

    #[test]
    fn bytes_that_are_cut_short_or_changed_are_no_map_and_do_no_harm() {
        for end in 0..pairs().len() {
            assert_eq!(HeaderMap::decode(pairs()[..end].to_vec()).err(), Some(HeaderMapFault), "{end}");
        }
        for place in 0..pairs().len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut changed = pairs();
                changed[place] = byte;
                let fields = HeaderMap::decode(changed).map(|map| map.iter().count());
                assert!(matches!(fields, Ok(0..=4) | Err(HeaderMapFault)), "{place} {byte}");
            }
        }
    }

    #[test]
    fn a_name_that_is_no_ascii_is_refused() {
        assert_eq!(HeaderMap::decode(encode([("é", &b"1"[..])].into_iter())).err(), Some(HeaderMapFault));
    }
}
