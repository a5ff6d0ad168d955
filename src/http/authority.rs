//! `:authority` (RFC 9110 §7.2, RFC 3986 §3.2). In: bytes. Out: one spelling for each host, or a fault.
//! Not here: hosts as the operator writes them (`host_pattern`).

use std::fmt;
use std::net::Ipv6Addr;

/// The longest host name (RFC 1035 §2.3.4).
const MAX_HOST: usize = 253;

/// The port where none is written: that of https.
const USUAL_PORT: u16 = 443;

/// A host with a port: lower case, without the dot that may end a name (RFC 3986 §3.2.2), without the port 443.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    text: Box<str>,
    /// Where the host ends in it.
    end: usize,
    port: u16,
}

/// Why an authority is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorityFault {
    /// Empty, too long, or a host with characters that no name or address has; user information.
    Host,
    /// Not a number from 1 to 65535.
    Port,
}

impl Authority {
    /// Reads `host`, `host:port`, `[ipv6]` or `[ipv6]:port`.
    pub fn parse(bytes: &[u8]) -> Result<Self, AuthorityFault> {
        let (host, port) = host_and_port(std::str::from_utf8(bytes).map_err(|_| AuthorityFault::Host)?)?;
        let (end, port) = (host.len(), port.unwrap_or(USUAL_PORT));
        let text = if port == USUAL_PORT { host } else { format!("{host}:{port}") };
        Ok(Self { text: text.into(), end, port })
    }

    /// The one spelling.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Without the port.
    pub fn host(&self) -> &str {
        self.text.get(..self.end).unwrap_or_default()
    }

    /// The port, also where it is not written.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// The host in its one spelling, and the port if one is written.
pub(super) fn host_and_port(text: &str) -> Result<(String, Option<u16>), AuthorityFault> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let address: Ipv6Addr = address.parse().map_err(|_| AuthorityFault::Host)?;
            let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(AuthorityFault::Port)?) };
            (format!("[{address}]"), port)
        }
        None => {
            let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
            (name(host)?, port)
        }
    };
    Ok((host, port.map(number).transpose()?))
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Labels of letters, digits, `-` and `_`, with single dots between them, and one behind them that means nothing: it only says
/// that the name is complete.
fn name(host: &str) -> Result<String, AuthorityFault> {
    let host = host.strip_suffix('.').unwrap_or(host);
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
            ("orders.shop.svc.cluster.local.", "orders.shop.svc.cluster.local"),
            ("Orders.:9080", "orders:9080"),
            ("[0:0:0:0:0:0:0:1]:443", "[::1]"),
            ("[::1]:8080", "[::1]:8080"),
        ] {
            assert_eq!(Authority::parse(written.as_bytes()).unwrap().as_str(), read);
        }
    }

    #[test]
    fn a_host_is_told_apart_from_its_port() {
        for (written, host, port) in [
            ("api.example.com", "api.example.com", 443),
            ("api.example.com:443", "api.example.com", 443),
            ("api.example.com:8443", "api.example.com", 8443),
            ("api.example.com.:8443", "api.example.com", 8443),
            ("[::1]", "[::1]", 443),
            ("[::1]:8080", "[::1]", 8080),
            ("[::]", "[::]", 443),
        ] {
            let authority = Authority::parse(written.as_bytes()).unwrap();
            assert_eq!((authority.host(), authority.port()), (host, port));
        }
    }

    #[test]
    fn what_is_no_plain_host_is_refused() {
        for wrong in [
            "",
            ".",
            "api.example.com..",
            "..",
            "[::1].",
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
