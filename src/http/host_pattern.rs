//! Hosts as the operator writes them: `api.example.com`, `*.example.com`, `*`, with a port or for all. In: text. Out:
//! [`HostPattern`], or a fault. Not here: which of several counts for a request (`policy`).

use std::fmt;

use crate::http::authority::{AuthorityFault, host_and_port};

/// Hosts that are written together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    /// Which.
    pub names: HostNames,
    /// Only on this port; without it, on all.
    pub port: Option<u16>,
}

/// Which hosts are meant, in the spelling of [`Authority`](crate::http::Authority).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostNames {
    /// This one.
    One(Box<str>),
    /// All names that end in `.` and this one, however many labels stand before it.
    Below(Box<str>),
    /// All.
    All,
}

/// Why text means no hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPatternFault {
    /// It is neither a name nor an address, with or without a port.
    Host,
    /// A `*` that does not stand for whole labels at the beginning.
    Wildcard,
}

impl From<AuthorityFault> for HostPatternFault {
    fn from(_: AuthorityFault) -> Self {
        Self::Host
    }
}

impl HostPattern {
    /// Reads a host, `*.` and a host, or `*`, each with or without a port.
    pub fn parse(text: &str) -> Result<Self, HostPatternFault> {
        if let Some(rest) = text.strip_prefix('*') {
            // What stands behind `*` is a port, or a name; never an address.
            return match rest.strip_prefix('.') {
                None if rest.is_empty() => Ok(Self { names: HostNames::All, port: None }),
                None if rest.starts_with(':') => {
                    let (_, port) = host_and_port(&format!("all{rest}"))?;
                    Ok(Self { names: HostNames::All, port })
                }
                Some(name) if !name.contains(['*', '[']) => {
                    let (name, port) = host_and_port(name)?;
                    Ok(Self { names: HostNames::Below(name.into()), port })
                }
                None | Some(_) => Err(HostPatternFault::Wildcard),
            };
        }
        if text.contains('*') {
            return Err(HostPatternFault::Wildcard);
        }
        let (name, port) = host_and_port(text)?;
        Ok(Self { names: HostNames::One(name.into()), port })
    }

    /// Whether it is one host.
    pub fn is_exact(&self) -> bool {
        matches!(self.names, HostNames::One(_))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.names {
            HostNames::One(name) => f.write_str(name)?,
            HostNames::Below(name) => write!(f, "*.{name}")?,
            HostNames::All => f.write_str("*")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_one_or_all_below_a_name_or_all_and_on_one_port_or_on_all() {
        let one = |name: &str| HostNames::One(name.into());
        let below = |name: &str| HostNames::Below(name.into());
        for (written, names, port) in [
            ("API.example.com", one("api.example.com"), None),
            ("api.example.com.", one("api.example.com"), None),
            ("api.example.com:8443", one("api.example.com"), Some(8443)),
            ("api.example.com:443", one("api.example.com"), Some(443)),
            ("[::1]:80", one("[::1]"), Some(80)),
            ("*.Example.com", below("example.com"), None),
            ("*.example.com.:8443", below("example.com"), Some(8443)),
            ("*", HostNames::All, None),
            ("*:8443", HostNames::All, Some(8443)),
        ] {
            assert_eq!(HostPattern::parse(written), Ok(HostPattern { names, port }), "{written}");
        }
    }

    #[test]
    fn what_was_read_is_written_the_same_way() {
        for text in ["api.example.com", "api.example.com:443", "*.example.com:8443", "*", "*:8443", "[::1]:80"] {
            assert_eq!(HostPattern::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_wildcard_stands_for_whole_labels_at_the_beginning() {
        for wrong in ["api.*", "*-api.example.com", "*example.com", "**.example.com", "*.*.com", "a.*.com", "*.[::1]"] {
            assert_eq!(HostPattern::parse(wrong), Err(HostPatternFault::Wildcard), "{wrong}");
        }
        for wrong in ["", "*.", "*:", "*:0", "*:x", "*.a b", "*..com", "https://a", "a/b", "*.example.com/"] {
            assert_eq!(HostPattern::parse(wrong), Err(HostPatternFault::Host), "{wrong}");
        }
    }
}
