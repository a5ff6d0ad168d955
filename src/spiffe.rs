//! SPIFFE IDs (SPIFFE-ID §2). In: text of a URI SAN. Out: an ID in its one spelling, or a fault.

/// The longest ID.
const MAX_BYTES: usize = 2048;
/// The longest trust domain.
const MAX_TRUST_DOMAIN: usize = 255;

/// `spiffe://trust-domain/path`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiffeId(Box<str>);

/// Why text is no SPIFFE ID of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpiffeFault {
    /// The scheme is another, or the text is too long.
    Scheme,
    /// The trust domain is empty, too long, or has characters other than lower-case letters, digits, `.`, `-`, `_`:
    /// so there is no port, no user and no escape.
    TrustDomain,
    /// A segment is empty, `.` or `..`, or has characters other than letters, digits, `.`, `-`, `_`; or there is no path.
    Path,
}

impl SpiffeId {
    /// Reads an ID. The scheme and the trust domain ignore case (§2.1); the path does not.
    pub fn parse(text: &str) -> Result<Self, SpiffeFault> {
        const SCHEME: &str = "spiffe://";
        let (scheme, rest) = text.split_at_checked(SCHEME.len()).ok_or(SpiffeFault::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) || text.len() > MAX_BYTES {
            return Err(SpiffeFault::Scheme);
        }
        let (domain, path) = rest.split_once('/').ok_or(SpiffeFault::Path)?;
        let domain = domain.to_ascii_lowercase();
        let mark = |byte: u8| matches!(byte, b'.' | b'-' | b'_');
        let in_domain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || mark(byte);
        if domain.is_empty() || domain.len() > MAX_TRUST_DOMAIN || !domain.bytes().all(in_domain) {
            return Err(SpiffeFault::TrustDomain);
        }
        let in_path = |byte: u8| byte.is_ascii_alphanumeric() || mark(byte);
        let segment = |text: &str| !matches!(text, "" | "." | "..") && text.bytes().all(in_path);
        if !path.split('/').all(segment) {
            return Err(SpiffeFault::Path);
        }
        Ok(Self(format!("{SCHEME}{domain}/{path}").into()))
    }

    /// The one spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_and_trust_domain_ignore_case_and_the_path_does_not() {
        assert_eq!(SpiffeId::parse("SPIFFE://Example.ORG/ns/A").unwrap().as_str(), "spiffe://example.org/ns/A");
    }

    #[test]
    fn what_is_no_workload_is_refused() {
        use SpiffeFault::*;
        let long = format!("spiffe://a/{}", "b".repeat(2048));
        for (text, fault) in [
            ("", Scheme),
            ("https://example.org/a", Scheme),
            (&long, Scheme),
            ("spiffe://example.org", Path),
            ("spiffe:///a", TrustDomain),
            ("spiffe://a:443/b", TrustDomain),
            ("spiffe://u@a/b", TrustDomain),
            ("spiffe://a%2fb/c", TrustDomain),
            ("spiffe://a/", Path),
            ("spiffe://a/b/", Path),
            ("spiffe://a//b", Path),
            ("spiffe://a/../b", Path),
            ("spiffe://a/%62", Path),
            ("spiffe://a/b?c", Path),
            ("spiffe://a/b#c", Path),
            ("spiffe://a/b,Hash=0", Path),
            ("spiffe://a/é", Path),
        ] {
            assert_eq!(SpiffeId::parse(text), Err(fault), "{text}");
        }
    }
}
