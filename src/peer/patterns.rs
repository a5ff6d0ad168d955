//! Whether a peer is one that a pattern means. In: who it is, the pattern. Out: yes or no; only a validated certificate is
//! anybody, and what a proxy did not tell fits nothing.
//! Not here: what the patterns are (`policy`), what follows from it (`authz`, `exchange`).

use crate::peer::{PeerIdentity, Thumbprint};
use crate::policy::{PeerPattern, PeerRule, is_below};

impl PeerIdentity {
    /// Whether the pattern means it.
    pub fn fits(&self, pattern: &PeerPattern) -> bool {
        // An empty one stands for a name that cannot be shown.
        let has_dns = |meant: &dyn Fn(&str) -> bool| self.dns_sans.iter().any(|name| !name.is_empty() && meant(name));
        self.validated
            && match pattern {
                PeerPattern::Any => true,
                PeerPattern::Exactly(id) => self.spiffe_id.as_ref() == Some(id),
                PeerPattern::Below(prefix) => {
                    self.spiffe_id.as_ref().is_some_and(|id| id.as_str().starts_with(&**prefix))
                }
                PeerPattern::Dns(name) => has_dns(&|other| other.eq_ignore_ascii_case(name)),
                PeerPattern::DnsBelow(suffix) => has_dns(&|other| is_below(other, suffix)),
                PeerPattern::Subject(subject) => self.subject.as_deref() == Some(&**subject),
                PeerPattern::Serial { serial, issuer } => self.certificate.as_ref().is_some_and(|certificate| {
                    certificate.serial == **serial && certificate.issuer.as_deref() == Some(&**issuer)
                }),
                PeerPattern::Thumbprint(digest) => self.thumbprint == Some(Thumbprint::from_bytes(*digest)),
            }
    }

    /// Whether one of the rule's patterns means it.
    pub fn fits_one_of(&self, rule: &PeerRule) -> bool {
        rule.0.iter().any(|pattern| self.fits(pattern))
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::peer::Certificate;
    use crate::spiffe::SpiffeId;
    use crate::time::UnixMillis;

    const DIGEST: [u8; 32] = [7; 32];

    fn alice() -> PeerIdentity {
        let certificate = Certificate {
            serial: "0a".into(),
            subject: Some("CN=alice".into()),
            issuer: Some("CN=ca".into()),
            not_after: UnixMillis::from_millis(u64::MAX),
            lifetime: std::time::Duration::MAX,
            uri_sans: vec!["spiffe://a/b/alice".into()],
            dns_sans: vec![String::new(), "Alice.Example.org".into()],
            is_authority: false,
        };
        PeerIdentity::from_certificate(Thumbprint::from_bytes(DIGEST), Rc::new(certificate))
    }

    fn serial(serial: &str, issuer: &str) -> PeerPattern {
        PeerPattern::Serial { serial: serial.into(), issuer: issuer.into() }
    }

    fn meaning_alice() -> Vec<PeerPattern> {
        vec![
            PeerPattern::Any,
            PeerPattern::Exactly(SpiffeId::parse("spiffe://a/b/alice").unwrap()),
            PeerPattern::Below("spiffe://a/b/".into()),
            PeerPattern::Dns("alice.example.org".into()),
            PeerPattern::DnsBelow(".example.org".into()),
            PeerPattern::Subject("CN=alice".into()),
            serial("0a", "CN=ca"),
            PeerPattern::Thumbprint(DIGEST),
        ]
    }

    #[test]
    fn a_peer_fits_the_patterns_that_mean_it_and_no_others() {
        assert!(meaning_alice().iter().all(|pattern| alice().fits(pattern)));
        for other in [
            PeerPattern::Exactly(SpiffeId::parse("spiffe://a/b/alic").unwrap()),
            PeerPattern::Below("spiffe://a/b/alice/".into()),
            PeerPattern::Dns("lice.example.org".into()),
            PeerPattern::DnsBelow(".org".into()),
            PeerPattern::Dns("".into()),
            PeerPattern::Subject("CN=alic".into()),
            PeerPattern::Subject("cn=alice".into()),
            serial("0a", "CN=other"),
            serial("0b", "CN=ca"),
            PeerPattern::Thumbprint([8; 32]),
        ] {
            assert!(!alice().fits(&other), "{other}");
        }
    }

    #[test]
    fn a_certificate_that_nobody_validated_fits_nothing() {
        let stranger = PeerIdentity { validated: false, ..alice() };
        assert!(!meaning_alice().iter().any(|pattern| stranger.fits(pattern)));
    }

    #[test]
    fn what_the_proxy_does_not_tell_fits_nothing_by_accident() {
        let untold = PeerIdentity { validated: true, ..PeerIdentity::nobody(Thumbprint::from_bytes(DIGEST)) };
        let fitting: Vec<_> = meaning_alice().into_iter().filter(|pattern| untold.fits(pattern)).collect();
        assert_eq!(fitting, [PeerPattern::Any, PeerPattern::Thumbprint(DIGEST)]);
        for empty in [PeerPattern::Subject("".into()), serial("", ""), PeerPattern::Dns("".into())] {
            assert!(!untold.fits(&empty), "{empty}");
        }
    }
}
