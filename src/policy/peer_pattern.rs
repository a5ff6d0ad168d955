//! Which peers are meant: by a name in their certificate, or by the certificate itself. Plain data, and how one pattern stands
//! to another. Not here: whether a peer fits (`peer`), how patterns are written (`config`).

use std::fmt;

use crate::jose::base64url;
use crate::spiffe::SpiffeId;

/// Which peers pass. Never empty.
#[derive(Debug, PartialEq, Eq)]
pub struct PeerRule(pub Vec<PeerPattern>);

impl PeerRule {
    /// Whether it knows peers by their SPIFFE IDs only.
    pub fn is_of_spiffe_ids(&self) -> bool {
        self.0.iter().all(|pattern| matches!(pattern, PeerPattern::Exactly(_) | PeerPattern::Below(_)))
    }
}

/// One pattern for peers with a validated certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerPattern {
    /// Exactly this SPIFFE ID.
    Exactly(SpiffeId),
    /// Every SPIFFE ID that continues this text, which ends in `/`. `spiffe://a/b/*` does not match `spiffe://a/bc`.
    Below(Box<str>),
    /// This DNS name, in lower case, is one of the certificate's.
    Dns(Box<str>),
    /// One of the certificate's DNS names is one label and this text, in lower case, which begins with a dot.
    DnsBelow(Box<str>),
    /// Exactly this subject, as Envoy tells it.
    Subject(Box<str>),
    /// The certificate with this serial number of this issuer.
    Serial {
        /// In the hexadecimal digits of its DER, lower case.
        serial: Box<str>,
        /// The issuer's name, as Envoy would tell it.
        issuer: Box<str>,
    },
    /// The certificate with this SHA-256.
    Thumbprint([u8; 32]),
    /// Any validated certificate.
    Any,
}

impl PeerPattern {
    /// What tells it from all others: its kind, and a text of that kind.
    pub(super) fn kind(&self) -> (&'static str, String) {
        match self {
            PeerPattern::Any => ("", String::new()),
            PeerPattern::Exactly(id) => ("is", id.as_str().to_owned()),
            PeerPattern::Below(prefix) => ("below", prefix.to_string()),
            PeerPattern::Dns(name) => ("dns", name.to_string()),
            PeerPattern::DnsBelow(suffix) => ("dns-below", suffix.to_string()),
            PeerPattern::Subject(subject) => ("subject", subject.to_string()),
            // A serial number has no @.
            PeerPattern::Serial { serial, issuer } => ("serial", format!("{serial}@{issuer}")),
            PeerPattern::Thumbprint(digest) => ("sha256", base64url::encode(digest)),
        }
    }

    /// Whether it may mean somebody of whom only a SPIFFE ID is known.
    pub fn is_of_principals(&self) -> bool {
        matches!(self, PeerPattern::Exactly(_) | PeerPattern::Below(_) | PeerPattern::Any)
    }

    /// Whether every peer that `other` means is one that it means, as far as the patterns alone tell.
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (PeerPattern::Any, _) => true,
            (PeerPattern::Below(prefix), PeerPattern::Below(longer)) => longer.starts_with(&**prefix),
            (PeerPattern::Below(prefix), PeerPattern::Exactly(id)) => id.as_str().starts_with(&**prefix),
            (PeerPattern::DnsBelow(suffix), PeerPattern::Dns(name)) => is_below(name, suffix),
            (mine, theirs) => mine == theirs,
        }
    }

    /// Whether some peer may be meant by both. A certificate has one SPIFFE ID, one subject, one serial number and one digest,
    /// but any number of DNS names, and some of each kind.
    pub fn may_meet(&self, other: &Self) -> bool {
        use PeerPattern::{Below, Exactly, Serial, Subject, Thumbprint};
        match (self, other) {
            (Exactly(_) | Below(_), Exactly(_) | Below(_))
            | (Subject(_), Subject(_))
            | (Serial { .. }, Serial { .. })
            | (Thumbprint(_), Thumbprint(_)) => self.includes(other) || other.includes(self),
            _ => true,
        }
    }
}

/// Whether a DNS name is one label and `suffix`. Case counts for nothing, and a wildcard in a certificate is no label.
pub fn is_below(name: &str, suffix: &str) -> bool {
    let label = name.len().checked_sub(suffix.len()).and_then(|end| name.split_at_checked(end));
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    label.is_some_and(|(label, rest)| {
        !label.is_empty() && label.bytes().all(letter) && rest.eq_ignore_ascii_case(suffix)
    })
}

/// As it is written in the configuration.
impl fmt::Display for PeerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerPattern::Exactly(id) => f.write_str(id.as_str()),
            PeerPattern::Below(prefix) => write!(f, "{prefix}*"),
            PeerPattern::Dns(name) => write!(f, "dns:{name}"),
            PeerPattern::DnsBelow(suffix) => write!(f, "dns:*{suffix}"),
            PeerPattern::Subject(subject) => write!(f, "subject:{subject}"),
            PeerPattern::Serial { serial, issuer } => write!(f, "serial:{serial}@{issuer}"),
            PeerPattern::Thumbprint(digest) => write!(f, "sha256:{}", base64url::encode(digest)),
            PeerPattern::Any => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn below(prefix: &str) -> PeerPattern {
        PeerPattern::Below(prefix.into())
    }

    fn dns(name: &str) -> PeerPattern {
        match name.strip_prefix('*') {
            Some(suffix) => PeerPattern::DnsBelow(suffix.into()),
            None => PeerPattern::Dns(name.into()),
        }
    }

    #[test]
    fn a_pattern_includes_what_stands_below_it_and_no_neighbour() {
        let (any, id) = (PeerPattern::Any, PeerPattern::Exactly(SpiffeId::parse("spiffe://a/b/c").unwrap()));
        assert!(below("spiffe://a/b/").includes(&below("spiffe://a/b/c/")) && any.includes(&below("spiffe://a/")));
        assert!(below("spiffe://a/b/").includes(&id) && !id.includes(&below("spiffe://a/b/")));
        assert!(!below("spiffe://a/b/c/").includes(&below("spiffe://a/b/")));
        assert!(!below("spiffe://a/b/").includes(&below("spiffe://a/bc/")) && !below("spiffe://a/").includes(&any));
        assert!(dns("*.example.org").includes(&dns("a.example.org")));
        assert!(!dns("*.example.org").includes(&dns("a.b.example.org")) && !dns("a.b").includes(&dns("*.b")));
        assert!(any.includes(&dns("a")) && !dns("a").includes(&id));
    }

    #[test]
    fn patterns_of_what_a_certificate_has_once_meet_only_where_one_includes_the_other() {
        let subject = |text: &str| PeerPattern::Subject(text.into());
        assert!(!subject("CN=a").may_meet(&subject("CN=b")) && subject("CN=a").may_meet(&subject("CN=a")));
        assert!(!below("spiffe://a/").may_meet(&below("spiffe://b/")));
        assert!(!PeerPattern::Thumbprint([1; 32]).may_meet(&PeerPattern::Thumbprint([2; 32])));
        assert!(dns("a").may_meet(&dns("b")) && dns("a").may_meet(&subject("CN=a")));
        assert!(below("spiffe://a/").may_meet(&PeerPattern::Thumbprint([1; 32])));
    }

    #[test]
    fn a_dns_name_stands_one_label_below() {
        for (name, inside) in [
            ("a.example.org", true),
            ("A.Example.ORG", true),
            ("a-b_9.example.org", true),
            ("example.org", false),
            (".example.org", false),
            ("a.b.example.org", false),
            ("*.example.org", false),
            ("a\0.example.org", false),
            ("aexample.org", false),
            ("a.example.org.", false),
            ("", false),
            ("é.example.org", false),
        ] {
            assert_eq!(is_below(name, ".example.org"), inside, "{name}");
        }
    }
}
