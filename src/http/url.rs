//! An https URL as far as a fetch needs it (RFC 3986, RFC 9110 §4.2.2). In: text. Out: its host and what is asked for there, or
//! what is wrong with it.

use std::fmt;

use crate::http::Authority;

/// The longest that is read.
const MAX_URL: usize = 2048;

/// An absolute https URL without user information and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsUrl {
    /// As it was written.
    pub text: Box<str>,
    /// Its host, and the port unless that is 443.
    pub authority: Authority,
    /// Path and query; `/` where the URL has none.
    pub path: Box<str>,
}

/// Why text is no such URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpsUrlFault {
    /// Another scheme, or none.
    Scheme,
    /// Too long, or with characters that no URL has.
    Characters,
    /// With a fragment, which no server sees.
    Fragment,
    /// With a host that is none, or with user information.
    Host,
}

impl fmt::Display for HttpsUrlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HttpsUrlFault::Scheme => "does not begin with https://",
            HttpsUrlFault::Characters => "has characters that no URL has, or too many",
            HttpsUrlFault::Fragment => "has a fragment",
            HttpsUrlFault::Host => "has no valid host",
        })
    }
}

impl HttpsUrl {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, HttpsUrlFault> {
        let rest = text.strip_prefix("https://").ok_or(HttpsUrlFault::Scheme)?;
        if text.len() > MAX_URL
            || !text.bytes().all(|byte| byte.is_ascii_graphic())
            || text.contains(['"', '<', '>', '\\', '^', '`', '{', '|', '}'])
        {
            return Err(HttpsUrlFault::Characters);
        }
        if text.contains('#') {
            return Err(HttpsUrlFault::Fragment);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let authority = Authority::parse(host.as_bytes()).map_err(|_| HttpsUrlFault::Host)?;
        let path = if path.starts_with('/') { path.into() } else { format!("/{path}") };
        Ok(Self { text: text.into(), authority, path: path.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_for_the_fetch() {
        let url = HttpsUrl::parse("https://AS.example.com:443?x=1").unwrap();
        assert_eq!((url.authority.as_str(), &*url.path), ("as.example.com", "/?x=1"));
    }

    #[test]
    fn what_is_no_https_url_is_refused() {
        for (text, fault) in [
            ("http://as.example.com/", HttpsUrlFault::Scheme),
            ("HTTPS://as.example.com/", HttpsUrlFault::Scheme),
            ("//as.example.com/", HttpsUrlFault::Scheme),
            ("https://as.example.com/a b", HttpsUrlFault::Characters),
            ("https://as.example.com/\r\nx: y", HttpsUrlFault::Characters),
            ("https://as.example.com\\@other.example.com/", HttpsUrlFault::Characters),
            ("https://as.example.com/#x", HttpsUrlFault::Fragment),
            ("https://u@as.example.com/", HttpsUrlFault::Host),
            ("https:///jwks", HttpsUrlFault::Host),
            ("https://", HttpsUrlFault::Host),
        ] {
            assert_eq!(HttpsUrl::parse(text), Err(fault), "{text}");
        }
        assert_eq!(HttpsUrl::parse(&format!("https://a/{}", "x".repeat(3000))), Err(HttpsUrlFault::Characters));
    }
}
