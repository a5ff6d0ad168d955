//! The URI of a request without query and fragment, to be compared with what a client says that it is (`htu`, RFC 9449 §4.3). In:
//! text, or what the resource is called outside and the path of a request. Out: one spelling for each, by RFC 3986 §6.2.2
//! and §6.2.3. Only https is one: proofs of other schemes are for nobody here.
//! Not here: what paths are accepted at all (`path`).

use std::fmt;

use crate::http::Authority;
use crate::http::path::{escaped, is_pchar, is_unreserved, push_escape};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetUri {
    authority: Authority,
    /// Begins with a slash.
    path: Box<str>,
}

impl TargetUri {
    /// Its host, and the port unless that is 443.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Reads one. Query and fragment are left out.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        if !scheme.eq_ignore_ascii_case("https") {
            return None;
        }
        let rest = rest.split(['?', '#']).next()?;
        let (host, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len()))?;
        // A port that is left empty is the usual one (RFC 3986 §6.2.3).
        let authority = Authority::parse(host.strip_suffix(':').unwrap_or(host).as_bytes()).ok()?;
        Some(Self { authority, path: normal(path).into() })
    }

    /// Whether `other` is at `path` below this one. At the path `/` that is this one itself as well: a hop that takes this path away
    /// sends the same for `/svc2` and `/svc2/`.
    pub fn is_at(&self, path: &str, other: &Self) -> bool {
        let itself = || other.authority == self.authority && *other.path == *self.prefix();
        *other == self.at(path) || (path == "/" && itself())
    }

    /// Whether something may be at a path below either: one of both is the other, or is below it.
    pub fn overlaps(&self, other: &Self) -> bool {
        let below = |one: &Self, other: &Self| {
            one.prefix().strip_prefix(other.prefix()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.authority == other.authority && (below(self, other) || below(other, self))
    }

    /// What is at `path` below this one.
    fn at(&self, path: &str) -> Self {
        Self { authority: self.authority.clone(), path: normal(&format!("{}{path}", self.prefix())).into() }
    }

    /// The path without a slash at its end.
    fn prefix(&self) -> &str {
        self.path.strip_suffix('/').unwrap_or(&self.path)
    }
}

impl fmt::Display for TargetUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority, self.prefix())
    }
}

/// Escapes of unreserved characters resolved, the digits of others in upper case, no dot segments, at least a slash. What no URI has as
/// it is (a pipe, a letter outside ASCII) is escaped: clients send it raw, and a proxy that normalises paths escapes it.
fn normal(path: &str) -> String {
    let mut plain = String::with_capacity(path.len().saturating_add(1));
    let mut rest = path.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escape = behind.split_first_chunk::<2>().filter(|_| *first == b'%');
        let (byte, is_plain, behind) = match escape.and_then(|(digits, behind)| Some((escaped(*digits)?, behind))) {
            Some((byte, behind)) => (byte, is_unreserved(byte), behind),
            None => (*first, is_pchar(*first) || matches!(first, b'/' | b';' | b'%'), behind),
        };
        if is_plain {
            plain.push(char::from(byte))
        } else {
            push_escape(byte, &mut plain)
        }
        rest = behind;
    }
    without_dots(plain.strip_prefix('/').unwrap_or(&plain))
}

/// RFC 3986 §5.2.4, of a path without its first slash.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if segments.peek().is_none() {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> TargetUri {
        TargetUri::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn spellings_that_mean_the_same_are_one() {
        let at = |path: &str| read("https://rs.example").at(path);
        for (path, htu) in [
            ("/a", "https://rs.example/a"),
            ("/a", "HTTPS://RS.Example:443/a"),
            ("/a", "https://rs.example/a?x=1"),
            ("/a", "https://rs.example/a#f"),
            ("/a", "https://rs.example/a?x=https://other.example/b#f"),
            ("/", "https://rs.example"),
            ("/", "https://rs.example?x"),
            ("/a", "https://rs.example:/a"),
            ("/~me", "https://rs.example/%7Eme"),
            ("/%7eme", "https://rs.example/~me"),
            ("/a%2fb", "https://rs.example/a%2Fb"),
            ("/caf%c3%a9", "https://rs.example/caf%C3%A9"),
            ("/caf%C3%A9", "https://rs.example/café"),
            ("/a%7Cb", "https://rs.example/a|b"),
            ("/a|b^[c]", "https://rs.example/a%7cb%5E%5bc%5D"),
            ("/a%20b", "https://rs.example/a b"),
            ("/a:b;c,d", "https://rs.example/a:b;c,d"),
            ("/a/b", "https://rs.example/x/../a/./b"),
            ("/a/", "https://rs.example/a/b/.."),
            ("/a/", "https://rs.example/a/%2e"),
        ] {
            assert_eq!(read(htu), at(path), "{htu}");
        }
    }

    #[test]
    fn another_scheme_host_port_or_path_is_another() {
        let target = read("https://rs.example").at("/~me/A/B");
        for htu in [
            "https://rs.example/~me/A%2FB",
            "https://rs.example/~me/A/B/",
            "https://rs.example/~me/a/B",
            "https://rs.example:8443/~me/A/B",
            "https://other.example/~me/A/B",
            "https://rs.example//~me/A/B",
            "https://rs.example/~me/A/B%20",
            "https://rs.example/%25~me/A/B",
            "https://rs.example/%257eme/A/B",
            "https://rs.example/~me/A\\B",
            "https://rs.example/~me/A%5CB",
            "https://rs.example/~me/A/%42%",
        ] {
            assert_ne!(read(htu), target, "{htu}");
        }
        for htu in [
            "http://rs.example/~me/A/B",
            "//rs.example/a",
            "rs.example/a",
            "/a",
            "",
            "https://u@rs.example/a",
            "https:///a",
            "https://:443/a",
            "https://:/a",
            "https://rs.example::/a",
            "https://rs.example:0/a",
            "https://rs.example:00443/a",
            "https://rs.example:65979/a",
            "https://rs%2Eexample/a",
            "https://bücher.example/a",
            "https://rs.example\\a",
            "https://rs.example@evil.example/a",
            "https://[::1/a",
            "https://[fe80::1%25eth0]/a",
            "https:rs.example/a",
            " https://rs.example/a",
            "https://rs.example /a",
        ] {
            assert_eq!(TargetUri::parse(htu), None, "{htu}");
        }
    }

    #[test]
    fn the_root_behind_a_hop_is_named_with_a_slash_and_without() {
        for origin in [read("https://rs.example/svc2"), read("https://rs.example/svc2/")] {
            for htu in ["https://rs.example/svc2", "https://rs.example/svc2/", "https://rs.example/svc2/."] {
                assert!(origin.is_at("/", &read(htu)), "{htu}");
                assert!(!origin.is_at("/a", &read(htu)), "{htu}");
            }
        }
        let origin = read("https://rs.example/svc2");
        for htu in ["https://rs.example", "https://rs.example/svc", "https://rs.example/svc2//"] {
            assert!(!origin.is_at("/", &read(htu)), "{htu}");
        }
        assert!(origin.is_at("/a/", &read("https://rs.example/svc2/a/")));
        assert!(!origin.is_at("/a/", &read("https://rs.example/svc2/a")));
    }

    #[test]
    fn uris_overlap_where_one_is_below_the_other() {
        for (one, other, overlap) in [
            ("https://a.example", "https://a.example/", true),
            ("https://a.example", "https://a.example/x", true),
            ("https://a.example/x/", "https://a.example/x/y", true),
            ("https://a.example/x", "https://a.example/xy", false),
            ("https://a.example/x", "https://a.example/y", false),
            ("https://a.example", "https://a.example:8443", false),
            ("https://a.example", "https://b.example", false),
        ] {
            let (one, other) = (read(one), read(other));
            assert!(one.overlaps(&other) == overlap && other.overlaps(&one) == overlap, "{one} {other}");
        }
    }

    #[test]
    fn an_origin_may_have_a_path_that_a_hop_in_front_takes_away() {
        for origin in ["https://rs.example/svc2", "https://rs.example/svc2/"] {
            assert_eq!(read(origin).at("/my-api"), read("https://rs.example/svc2/my-api"));
            assert_eq!(read(origin).to_string(), "https://rs.example/svc2");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_answered_and_one_spelling_stays_itself(path in "(/|[a-zA-Z0-9%._~é]|%2[eEfF]){0,20}") {
            let read = TargetUri::parse(&format!("https://rs.example/{path}")).unwrap();
            prop_assert!(read.path.starts_with('/'));
            prop_assert_eq!(&TargetUri::parse(&format!("https://rs.example{}", read.path)).unwrap().authority, &read.authority);
        }
    }
}
