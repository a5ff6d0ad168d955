//! The head of a request. In: the header map as the proxy holds it, read once, values as bytes. Out: method, authority
//! and path, each parsed, and header fields by name.

use crate::http::authority::{Authority, AuthorityFault};
use crate::http::header_map::HeaderMap;
use crate::http::path::{CanonicalPath, PathFault};

/// The longest method.
const MAX_METHOD: usize = 32;

/// A request's head whose pseudo headers are well formed.
#[derive(Debug)]
pub struct Head {
    fields: HeaderMap,
    method: Box<str>,
    authority: Authority,
    path: CanonicalPath,
}

/// A head that cannot be read, and its fields as they came.
#[derive(Debug)]
pub struct Unread {
    /// Why.
    pub fault: HeadFault,
    /// The fields.
    pub fields: HeaderMap,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadFault {
    /// A pseudo header is missing or repeated, or the method is no upper-case token.
    Malformed,
    /// See [`AuthorityFault`].
    Authority(AuthorityFault),
    /// See [`PathFault`].
    Path(PathFault),
}

impl Head {
    /// Reads the pseudo headers, each of which must be there exactly once (RFC 9113 §8.3.1).
    pub fn parse(fields: HeaderMap) -> Result<Self, Unread> {
        match pseudo(&fields) {
            Ok((method, authority, path)) => Ok(Self { fields, method, authority, path }),
            Err(fault) => Err(Unread { fault, fields }),
        }
    }

    /// All fields, as they came.
    pub fn fields(&self) -> &HeaderMap {
        &self.fields
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The host.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The path.
    pub fn path(&self) -> &CanonicalPath {
        &self.path
    }

    /// All values of a header field; `name` in lower case.
    pub fn headers<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        self.fields.all(name)
    }

    /// The value of a header field that is there once, in no other spelling that some servers read alike (`_` for `-`). `Err`: whether
    /// it is missing.
    pub fn only(&self, name: &str) -> Result<&[u8], bool> {
        let is_dash = |byte: u8| matches!(byte, b'-' | b'_');
        let alike = |field: &[u8]| {
            let same = |(one, other): (&u8, &u8)| one == other || (is_dash(*one) && is_dash(*other));
            field.len() == name.len() && field.iter().zip(name.as_bytes()).all(same)
        };
        let mut fields = self.fields.iter().filter(|(field, _)| alike(field));
        match (fields.next(), fields.next()) {
            (None, _) => Err(true),
            (Some((field, value)), None) if field == name.as_bytes() => Ok(value),
            _ => Err(false),
        }
    }

    /// The bytes that its fields hold.
    pub fn size(&self) -> usize {
        self.fields.size()
    }

    /// The method that a CORS preflight asks about (Fetch standard, "CORS-preflight request"), if this is one.
    pub fn preflight_for(&self) -> Option<&str> {
        if self.method() != "OPTIONS" || self.headers("origin").next().is_none() {
            return None;
        }
        let mut asked = self.headers("access-control-request-method");
        let method = std::str::from_utf8(asked.next()?).ok()?;
        asked.next().is_none().then_some(method)
    }
}

fn pseudo(fields: &HeaderMap) -> Result<(Box<str>, Authority, CanonicalPath), HeadFault> {
    let method = method(once(fields, ":method")?).ok_or(HeadFault::Malformed)?;
    // CONNECT has no path (RFC 9113 §8.5), and is refused by its name.
    let path = if &*method == "CONNECT" { b"/" } else { once(fields, ":path")? };
    let path = CanonicalPath::parse(path).map_err(HeadFault::Path)?;
    let authority = Authority::parse(once(fields, ":authority")?).map_err(HeadFault::Authority)?;
    Ok((method, authority, path))
}

fn once<'h>(map: &'h HeaderMap, name: &'h str) -> Result<&'h [u8], HeadFault> {
    let mut values = map.all(name);
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(HeadFault::Malformed),
    }
}

/// A token in upper case (RFC 9110 §9.1): `get` is another method than `GET`, and no server means it.
fn method(bytes: &[u8]) -> Option<Box<str>> {
    let allowed = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    let fits = (1..=MAX_METHOD).contains(&bytes.len()) && bytes.iter().all(allowed);
    std::str::from_utf8(bytes).ok().filter(|_| fits).map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::header_map::encode;

    fn head(fields: &[(&str, &str)]) -> Result<Head, HeadFault> {
        let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        Head::parse(HeaderMap::decode(encode(fields)).unwrap()).map_err(|unread| unread.fault)
    }

    #[test]
    fn pseudo_headers_must_be_there_once() {
        let good = [(":method", "GET"), (":authority", "a.example"), (":path", "/x")];
        assert!(head(&good).is_ok());
        for missing in 0..3 {
            let rest: Vec<_> =
                good.iter().enumerate().filter(|(index, _)| *index != missing).map(|(_, field)| *field).collect();
            assert_eq!(head(&rest).err(), Some(HeadFault::Malformed));
            let twice: Vec<_> = good.iter().chain(&good[missing..=missing]).copied().collect();
            assert_eq!(head(&twice).err(), Some(HeadFault::Malformed));
        }
    }

    #[test]
    fn a_method_is_an_upper_case_token() {
        for wrong in ["", "get", "GE T", "GÉT", &"A".repeat(33)] {
            assert_eq!(
                head(&[(":method", wrong), (":authority", "a"), (":path", "/")]).err(),
                Some(HeadFault::Malformed),
                "{wrong}"
            );
        }
    }

    #[test]
    fn repeated_fields_stay_apart() {
        let head = head(&[(":method", "GET"), (":authority", "a"), (":path", "/"), ("x", "1"), ("x", "2")]).unwrap();
        assert_eq!(head.headers("x").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(head.fields().names().collect::<Vec<_>>(), ["x", "x"]);
    }
}
