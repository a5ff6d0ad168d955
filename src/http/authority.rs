//! `:authority` (RFC 9110 §7.2, RFC 3986 §3.2). In: bytes. Out: one spelling for each host, or a fault.

use std::fmt;
use std::net::Ipv6Addr;

/// The longest host name (RFC 1035 §2.3.4).
const MAX_HOST: usize = 253;

/// A host with an optional port, lower case, without the default port 443.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority(Box<str>);

/// Why an authority is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorityFault {
    /// Empty, too long, or a host with characters that no name or address has; user information; a trailing dot.
    Host,
    /// Not a number from 1 to 65535.
    Port,
}

impl Authority {
    /// Reads `host`, `host:port`, `[ipv6]` or `[ipv6]:port`.
    pub fn parse(bytes: &[u8]) -> Result<Self, AuthorityFault> {
        let text = std::str::from_utf8(bytes).map_err(|_| AuthorityFault::Host)?;
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, rest)) => {
                let address: Ipv6Addr = address.parse().map_err(|_| AuthorityFault::Host)?;
                let port =
                    if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(AuthorityFault::Port)?) };
                (format!("[{address}]"), port)
            }
            None => {
                let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
                (name(host)?, port)
            }
        };
        Ok(Self(match port.map(number).transpose()? {
            None | Some(443) => host.into(),
            Some(port) => format!("{host}:{port}").into(),
        }))
    }

    /// The one spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without the port.
    pub fn host(&self) -> &str {
        match self.0.rsplit_once(':') {
            // In an address without a port the last colon is inside the brackets.
            Some((host, port)) if !port.ends_with(']') => host,
            _ => &self.0,
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Labels of letters, digits, `-` and `_`, with single dots between them.
fn name(host: &str) -> Result<String, AuthorityFault> {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if host.len() <= MAX_HOST && host.split('.').all(label) {
        Ok(host.to_ascii_lowercase())
    } else {
        Err(AuthorityFault::Host)
    }
}

fn number(port: &str) -> Result<u16, AuthorityFault> {
    let digits =
        (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    port.parse().ok().filter(|_| digits).ok_or(AuthorityFault::Port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_one_spelling() {
        for (written, read) in [
            ("API.example.com", "api.example.com"),
            ("api.example.com:443", "api.example.com"),
            ("api.example.com:8443", "api.example.com:8443"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[0:0:0:0:0:0:0:1]:443", "[::1]"),
            ("[::1]:8080", "[::1]:8080"),
        ] {
            assert_eq!(Authority::parse(written.as_bytes()).unwrap().as_str(), read);
        }
    }

    #[test]
    fn a_host_is_told_apart_from_its_port() {
        for (written, host) in [
            ("api.example.com", "api.example.com"),
            ("api.example.com:8443", "api.example.com"),
            ("[::1]", "[::1]"),
            ("[::1]:8080", "[::1]"),
            ("[::]", "[::]"),
        ] {
            assert_eq!(Authority::parse(written.as_bytes()).unwrap().host(), host);
        }
    }

    #[test]
    fn what_is_no_plain_host_is_refused() {
        for wrong in [
            "",
            ".",
            "api.example.com.",
            ".example.com",
            "a..b",
            "user@api.example.com",
            "api.example.com/",
            "api example",
            "[::1",
            "::1",
            "[::1]x",
            "é",
            "*",
            "a,b",
        ] {
            assert!(Authority::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert_eq!(Authority::parse(b"\xff"), Err(AuthorityFault::Host));
        for port in ["a:", "a:0", "a:080", "a:65536", "a:+1", "a:1:2", "[::1]:", "a:x"] {
            assert!(Authority::parse(port.as_bytes()).is_err(), "{port}");
        }
    }
}
