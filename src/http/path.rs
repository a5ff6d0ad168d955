//! Request paths with exactly one reading (RFC 3986 §3.3, §6.2.2). In: `:path` as it will be forwarded. Out: its
//! segments, or the fault that makes it ambiguous. Nothing is ever repaired: it is matched by what it means and forwarded
//! as it came.
//!
//! `%7E`, `%7e` and `~` mean the same to whoever resolves escapes, and so do `|` and `%7C`, which browsers do not escape:
//! [`plain`] has one spelling for each meaning. Refused is what means one thing to some servers and another to others.
//!
//! A slash may be escaped (`group%2Fname`), because some identifiers have one. Which segments have is said with the path: only
//! a route whose parameter takes them may be found for it. No matching ever resolves it.

use std::borrow::Cow;

/// The longest path and the longest query, in bytes.
const MAX_BYTES: usize = 8 * 1024;
/// The most segments.
const MAX_SEGMENTS: usize = 64;

/// A path of one reading, as it came, with the query beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalPath {
    path: Box<str>,
    query: Option<Box<[u8]>>,
    with_slash: SegmentSet,
}

/// Some of the segments of a path or of a pattern, by their number from the left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentSet(u64);

impl SegmentSet {
    /// Puts segment `number` in, from 0. No path has one that does not fit.
    pub fn insert(&mut self, number: usize) {
        let bit = u32::try_from(number).ok().and_then(|number| 1_u64.checked_shl(number));
        self.0 |= bit.unwrap_or_default();
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of these are among `others`.
    pub fn is_within(self, others: Self) -> bool {
        self.0 & !others.0 == 0
    }
}

/// Why a path has no one reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathFault {
    /// It does not begin with `/`: absolute form, `*`, nothing.
    NotAbsolute,
    /// Path or query is longer than is accepted, or has too many segments.
    TooLong,
    /// A byte that must be escaped: control, space, quote, braces, `<`, `>`, `\`, `#`, anything above 0x7e.
    RawByte,
    /// `;`: some servers cut the segment there.
    Parameter,
    /// Two slashes in a row.
    EmptySegment,
    /// `.` or `..`, raw or escaped.
    DotSegment,
    /// `%` without two hexadecimal digits.
    BrokenEscape,
    /// Escapes that make another escape, so that a server that resolves them twice reads something else.
    EscapedEscape,
    /// Escapes that are no UTF-8.
    NotText,
    /// An escape of a character that servers read in different ways: `\`, `;`, controls; or of a `/` that is not
    /// between two parts of an identifier.
    DangerousEscape,
}

impl PathFault {
    /// What a caller is told is wrong with its path.
    pub const fn told(self) -> &'static str {
        match self {
            Self::NotAbsolute => "it does not begin with a slash",
            Self::TooLong => "it is too long",
            Self::RawByte => {
                "a control character, space, quote, brace, angle bracket, backslash, hash or letter outside ASCII is not escaped"
            }
            Self::Parameter => "it has a semicolon",
            Self::EmptySegment => "two slashes follow each other",
            Self::DotSegment => "a segment is one dot or two",
            Self::BrokenEscape => "two hexadecimal digits do not follow a percent sign",
            Self::EscapedEscape => "an escaped percent sign begins another escape",
            Self::NotText => "escapes make no UTF-8",
            Self::DangerousEscape => "a slash, backslash, semicolon or control character is escaped",
        }
    }
}

impl CanonicalPath {
    /// Reads path and query.
    pub fn parse(raw: &[u8]) -> Result<Self, PathFault> {
        let (path, query) = match raw.iter().position(|byte| *byte == b'?') {
            Some(mark) => (raw.get(..mark).unwrap_or_default(), raw.get(mark.saturating_add(1)..)),
            None => (raw, None),
        };
        if path.len() > MAX_BYTES || query.is_some_and(|query| query.len() > MAX_BYTES) {
            return Err(PathFault::TooLong);
        }
        let inside = path.strip_prefix(b"/").ok_or(PathFault::NotAbsolute)?;
        let mut segments = inside.split(|byte| *byte == b'/').peekable();
        let (mut count, mut slashes) = (0_usize, 0_usize);
        let mut with_slash = SegmentSet::default();
        while let Some(segment) = segments.next() {
            if segment.is_empty() && segments.peek().is_some() {
                return Err(PathFault::EmptySegment);
            }
            let inside = check(segment)?;
            if inside > 0 {
                with_slash.insert(count);
            }
            count = count.saturating_add(1);
            slashes = slashes.saturating_add(inside);
        }
        // Also as a server counts them that resolves escapes first.
        if count.saturating_add(slashes) > MAX_SEGMENTS {
            return Err(PathFault::TooLong);
        }
        if query.is_some_and(|query| query.iter().any(|byte| !matches!(byte, b'!'..=b'~') || *byte == b'#')) {
            return Err(PathFault::RawByte);
        }
        // Every byte was found to be ASCII.
        let path = std::str::from_utf8(path).map_err(|_| PathFault::RawByte)?;
        Ok(Self { path: path.into(), query: query.map(Into::into), with_slash })
    }

    /// The segments, as they are written; the last one is empty behind a trailing slash.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.strip_prefix('/').unwrap_or_default().split('/')
    }

    /// The segments with an escaped slash in them.
    pub fn with_slash(&self) -> SegmentSet {
        self.with_slash
    }

    /// The path without the query.
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// The query, without its `?`.
    pub fn query(&self) -> Option<&[u8]> {
        self.query.as_deref()
    }

    /// Whether the query has a parameter of this name, in whatever spelling.
    pub fn has_query_parameter(&self, name: &str) -> bool {
        let parameters = self.query().unwrap_or_default().split(|byte| matches!(byte, b'&' | b';'));
        let mut names = parameters.filter_map(|parameter| parameter.split(|byte| *byte == b'=').next());
        names.any(|written| *unescaped(written) == *name.as_bytes())
    }
}

/// Whether `text` can be a segment of a path that every server takes apart alike.
pub fn is_segment(text: &str) -> bool {
    !text.is_empty() && check(text.as_bytes()) == Ok(0)
}

/// The number of escaped slashes in a segment of one reading.
fn check(segment: &[u8]) -> Result<usize, PathFault> {
    let plain = unescaped(segment);
    if matches!(&*plain, b"." | b"..") {
        return Err(PathFault::DotSegment);
    }
    let mut rest = segment;
    while let Some((first, behind)) = rest.split_first() {
        rest = match first {
            b'%' => {
                let (digits, behind) = behind.split_first_chunk::<2>().ok_or(PathFault::BrokenEscape)?;
                check_escape(*digits)?;
                behind
            }
            b';' => return Err(PathFault::Parameter),
            byte if is_pchar(*byte) || is_left_raw(*byte) => behind,
            _ => return Err(PathFault::RawByte),
        };
    }
    if has_escape(&plain) {
        return Err(PathFault::EscapedEscape);
    }
    // An overlong `/` or `.` is one to some decoders.
    let text = std::str::from_utf8(&plain).map_err(|_| PathFault::NotText)?;
    if text.chars().any(char::is_control) { Err(PathFault::DangerousEscape) } else { slashes(text) }
}

/// The number of slashes in a resolved segment. Where they make an empty part or a dot segment, also as Windows reads one, a
/// server that resolves escapes first reads a path of another shape.
fn slashes(text: &str) -> Result<usize, PathFault> {
    let mut parts = text.split('/');
    let number = parts.clone().skip(1).count();
    let is_none = |part: &str| part.trim_matches(['.', ' ']).is_empty();
    if number > 0 && parts.any(is_none) { Err(PathFault::DangerousEscape) } else { Ok(number) }
}

fn check_escape(digits: [u8; 2]) -> Result<(), PathFault> {
    let byte = escaped(digits).ok_or(PathFault::BrokenEscape)?;
    let dangerous = matches!(byte, 0..=0x1f | 0x7f | b'\\' | b';');
    if dangerous { Err(PathFault::DangerousEscape) } else { Ok(()) }
}

/// Whether there is an escape in `text`, whose escapes are resolved: also one of IIS (`%u002e`).
pub(super) fn has_escape(text: &[u8]) -> bool {
    let hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    text.split(|byte| *byte == b'%').skip(1).any(|behind| match behind {
        [b'u' | b'U', digits @ ..] => digits.get(..4).is_some_and(hex),
        _ => behind.get(..2).is_some_and(hex),
    })
}

pub(super) fn escaped([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(high)? << 4) | digit(low)?)
}

/// With every well-formed escape resolved, once.
pub fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let escape = behind.split_first_chunk::<2>().filter(|_| *first == b'%');
        match escape.and_then(|(digits, behind)| Some((escaped(*digits)?, behind))) {
            Some((byte, behind)) => {
                plain.push(byte);
                rest = behind;
            }
            None => {
                plain.push(*first);
                rest = behind;
            }
        }
    }
    Cow::Owned(plain)
}

/// A segment in the one spelling of what it means: escaped is what RFC 3986 lets no segment have otherwise, with
/// upper-case digits. Servers that resolve escapes read `a%3Ab` and `a:b` alike, so whoever compares segments must as well.
pub fn plain(segment: &str) -> Cow<'_, str> {
    if segment.bytes().all(is_pchar) {
        return Cow::Borrowed(segment);
    }
    let mut plain = String::with_capacity(segment.len());
    for byte in unescaped(segment.as_bytes()).iter() {
        match byte {
            byte if is_pchar(*byte) => plain.push(char::from(*byte)),
            byte => push_escape(*byte, &mut plain),
        }
    }
    Cow::Owned(plain)
}

/// Writes the escape of `byte`.
pub(super) fn push_escape(byte: u8, text: &mut String) {
    let digit = |four: u8| char::from_digit(four.into(), 16).unwrap_or('0').to_ascii_uppercase();
    text.extend(['%', digit(byte >> 4), digit(byte & 0xf)]);
}

pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What the grammar of RFC 3986 lets no path have and browsers do not escape all the same.
fn is_left_raw(byte: u8) -> bool {
    matches!(byte, b'|' | b'^' | b'[' | b']')
}

/// RFC 3986 §3.3, without `;` and `%`, which are looked at apart.
pub(super) fn is_pchar(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fault(path: &str) -> Option<PathFault> {
        CanonicalPath::parse(path.as_bytes()).err()
    }

    #[test]
    fn a_canonical_path_is_taken_as_it_is() {
        for path in [
            "/",
            "/a",
            "/a/",
            "/a/b.c/~d-e_f",
            "/caf%C3%A9",
            "/caf%c3%a9",
            "/a%20b",
            "/a:b@c,(d)'!$&*+=",
            "/a/...",
            "/.a/..b",
            "/%41%2D%7e",
            "/a|b^c[d]",
            "/100%25",
            "/%25zz",
            "/a%25/41",
            "/%25%20",
            "/%25u12",
        ] {
            assert_eq!(fault(path), None, "{path}");
        }
        let path = CanonicalPath::parse(b"/a/b/?x=1").unwrap();
        assert_eq!(path.segments().collect::<Vec<_>>(), ["a", "b", ""]);
        assert_eq!((path.as_str(), path.query()), ("/a/b/", Some(&b"x=1"[..])));
    }

    #[test]
    fn every_ambiguity_has_its_fault() {
        use PathFault::*;
        for (path, expected) in [
            ("", NotAbsolute),
            ("*", NotAbsolute),
            ("https://x/", NotAbsolute),
            ("//", EmptySegment),
            ("//a", EmptySegment),
            ("/a//b", EmptySegment),
            ("/.", DotSegment),
            ("/a/../b", DotSegment),
            ("/a/..", DotSegment),
            ("/a/%2e%2E/b", DotSegment),
            ("/a/.%2e", DotSegment),
            ("/a;x=1", Parameter),
            ("/a\\b", RawByte),
            ("/a b", RawByte),
            ("/a#b", RawByte),
            ("/a\"", RawByte),
            ("/{a}", RawByte),
            ("/a`b", RawByte),
            ("/<a>", RawByte),
            ("/é", RawByte),
            ("/a?é", RawByte),
            ("/a?b#c", RawByte),
            ("/a%", BrokenEscape),
            ("/a%2", BrokenEscape),
            ("/a%zz", BrokenEscape),
            ("/a%5C", DangerousEscape),
            ("/a%3B", DangerousEscape),
            ("/a%00", DangerousEscape),
            ("/a%0A", DangerousEscape),
            ("/a%7F", DangerousEscape),
            ("/a%2541", EscapedEscape),
            ("/%252e", EscapedEscape),
            ("/%252E%252e/b", EscapedEscape),
            ("/a%252fb", EscapedEscape),
            ("/a%25%32%66", EscapedEscape),
            ("/a%252541", EscapedEscape),
            ("/%25u002e", EscapedEscape),
            ("/%25%75002E", EscapedEscape),
            ("/%25%2541", EscapedEscape),
            ("/a/%C0%AE%C0%AE/b", NotText),
            ("/a%C0%AFb", NotText),
            ("/%E9", NotText),
            ("/%C2%85", DangerousEscape),
            ("/a/%2E", DotSegment),
            ("/%2e./b", DotSegment),
            ("/a%u002e", BrokenEscape),
            ("/a%2fb%C3", NotText),
            ("/a%3Bb%C3", DangerousEscape),
        ] {
            assert_eq!(fault(path), Some(expected), "{path}");
        }
        assert_eq!(fault(&"/a".repeat(65)), Some(TooLong));
        assert_eq!(fault(&format!("/{}", "a".repeat(9000))), Some(TooLong));
        assert_eq!(fault(&format!("/?{}", "a".repeat(9000))), Some(TooLong));
    }

    #[test]
    fn an_escaped_slash_stays_inside_its_segment() {
        let read = |path: &str| {
            let path = CanonicalPath::parse(path.as_bytes()).unwrap();
            (path.segments().map(str::to_owned).collect::<Vec<_>>(), path.with_slash())
        };
        for (path, segments, number) in [
            ("/projects/group%2Fname", &["projects", "group%2Fname"][..], 1),
            ("/group%2fsub%2Fname/x", &["group%2fsub%2Fname", "x"], 0),
            ("/a/b/.c%2F..d%2Fe./f", &["a", "b", ".c%2F..d%2Fe.", "f"], 2),
        ] {
            let mut expected = SegmentSet::default();
            expected.insert(number);
            assert_eq!(read(path), (segments.iter().map(|text| (*text).to_owned()).collect(), expected), "{path}");
        }
        assert!(read("/a/b").1.is_empty());
        assert_eq!((plain("a%2fb"), plain("%61%2Fb")), ("a%2Fb".into(), "a%2Fb".into()));
        assert!(!is_segment("a%2Fb"), "no pattern has one as it is");
    }

    #[test]
    fn an_escaped_slash_that_makes_another_path_where_it_is_resolved_is_refused() {
        use PathFault::*;
        for (path, expected) in [
            ("/a/%2F", DangerousEscape),
            ("/a/%2Fb", DangerousEscape),
            ("/a/b%2f", DangerousEscape),
            ("/a/b%2F%2fc", DangerousEscape),
            ("/a/%2f%2f", DangerousEscape),
            ("/a/..%2F", DangerousEscape),
            ("/a/..%2Fb", DangerousEscape),
            ("/a/b%2F..", DangerousEscape),
            ("/a/b%2F..%2Fc", DangerousEscape),
            ("/a/%2e%2e%2f", DangerousEscape),
            ("/a/%2e%2e%2fb", DangerousEscape),
            ("/a/b%2F%2e", DangerousEscape),
            ("/a/.%2Fb", DangerousEscape),
            ("/a/b%2F.%2e%2Fc", DangerousEscape),
            ("/a/..%20%2Fb", DangerousEscape),
            ("/a/b%2F...", DangerousEscape),
            ("/a/b%2F%20", DangerousEscape),
            ("/a/b%2Fc%5C..", DangerousEscape),
            ("/a/b%2F%3Bc", DangerousEscape),
            ("/a/b%2Fc%00", DangerousEscape),
            ("/a/b%2Fc;d", Parameter),
            ("/a/b%252Fc", EscapedEscape),
            ("/a/b%2Fc%252F..", EscapedEscape),
            ("/a/b%25%32%46c", EscapedEscape),
            ("/a/%2525%2F%2F", EscapedEscape),
            ("/a/%2F%C0%AF", NotText),
            ("/a/%u002f", BrokenEscape),
            ("/%2F/a", DangerousEscape),
            ("/%2Fevil.example/a", DangerousEscape),
        ] {
            assert_eq!(fault(path), Some(expected), "{path}");
        }
        assert_eq!(fault(&format!("/a{}", "%2Fa".repeat(63))), None);
        assert_eq!(fault(&format!("/a{}", "%2Fa".repeat(64))), Some(TooLong));
    }

    #[test]
    fn a_query_parameter_is_found_in_any_spelling() {
        let has = |query: &str| {
            CanonicalPath::parse(format!("/?{query}").as_bytes()).unwrap().has_query_parameter("access_token")
        };
        for query in ["access_token=x", "a=b&access_token", "access%5Ftoken=x", "%61ccess_token=x", "a;access_token=x"]
        {
            assert!(has(query), "{query}");
        }
        for query in ["", "a=access_token", "access_tokens=x", "ACCESS_TOKEN=x"] {
            assert!(!has(query), "{query}");
        }
    }

    #[test]
    fn all_spellings_of_one_meaning_have_one_plain_spelling() {
        for (spellings, expected) in [
            (&["a:b", "a%3Ab", "a%3ab", "%61%3A%62"][..], "a:b"),
            (&["%40%21", "@!"], "@!"),
            (&["a%20b"], "a%20b"),
            (&["caf%C3%A9%3A", "caf%c3%a9:"], "caf%C3%A9:"),
            (&["~-._Z9", "%7E%2D%2e%5f%5A%39"], "~-._Z9"),
            (&["a|b^c[d]", "a%7Cb%5ec%5Bd%5d"], "a%7Cb%5Ec%5Bd%5D"),
            (&["100%25"], "100%25"),
            (&["%", "%3", "%é"], ""),
        ] {
            for written in spellings {
                let plain = plain(written);
                assert!(expected.is_empty() || plain == expected, "{written} {plain}");
            }
        }
    }

    #[test]
    fn length_and_number_of_segments_have_exact_bounds() {
        assert_eq!(fault(&"/a".repeat(64)), None);
        assert_eq!(fault(&format!("{}/", "/a".repeat(64))), Some(PathFault::TooLong));
        assert_eq!(fault(&format!("/{}", "a".repeat(8191))), None);
        assert_eq!(fault(&format!("/{}", "a".repeat(8192))), Some(PathFault::TooLong));
    }

    /// RFC 3986 §6.2.2: upper-case digits, no escape of an unreserved character, no dot segment; and single slashes.
    fn normalised(path: &str) -> String {
        let mut pieces = path.split('%');
        let mut plain = pieces.next().unwrap().to_owned();
        for piece in pieces {
            let byte = u8::from_str_radix(&piece[..2], 16).unwrap();
            match char::from(byte) {
                unreserved if is_unreserved(byte) => plain.push(unreserved),
                _ => plain.push_str(&format!("%{byte:02X}")),
            }
            plain.push_str(&piece[2..]);
        }
        let mut kept: Vec<&str> = Vec::new();
        for segment in plain.split('/').filter(|segment| !matches!(*segment, "" | ".")) {
            if segment == ".." {
                kept.pop();
            } else {
                kept.push(segment);
            }
        }
        let slash = if plain.ends_with('/') && !kept.is_empty() { "/" } else { "" };
        format!("/{}{slash}", kept.join("/"))
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(raw in proptest::collection::vec(any::<u8>(), 0..40), slash in any::<bool>()) {
            let raw = if slash { [b"/", &raw[..]].concat() } else { raw };
            if let Ok(path) = CanonicalPath::parse(&raw) {
                prop_assert!(raw.starts_with(path.as_str().as_bytes()));
            }
            plain(&String::from_utf8_lossy(&raw));
        }

        #[test]
        fn normalising_an_accepted_path_changes_its_spelling_alone(
            written in "(/([a-c.~:@!|^]|%2[0-9A-Fa-f]|%[2-7][0-9A-Fa-f]|%2e|%25|%[cC]3%[aA]9|;|%){0,3}){1,4}"
        ) {
            if let Ok(path) = CanonicalPath::parse(written.as_bytes()) {
                prop_assert_eq!(path.as_str(), &written, "forwarded as it came");
                let normalised = normalised(path.as_str());
                let again = CanonicalPath::parse(normalised.as_bytes());
                prop_assert!(again.is_ok(), "{}", normalised);
                let plains = |path: &CanonicalPath| path.segments().map(|segment| plain(segment).into_owned()).collect::<Vec<_>>();
                prop_assert_eq!(plains(&path), plains(&again.unwrap()));
                for segment in path.segments() {
                    let once = plain(segment);
                    prop_assert_eq!(unescaped(once.as_bytes()), unescaped(segment.as_bytes()));
                    prop_assert_eq!(&plain(&once), &once);
                }
            }
        }

        /// Of two accepted segments one server or the other reads the same if and only if their plain spellings are.
        #[test]
        fn segments_have_one_plain_spelling_if_and_only_if_they_mean_the_same(
            one in "([a-c.:|]|%[67][1-9A-Ca-c]|%25){1,3}", other in "([a-c.:|]|%[67][1-9A-Ca-c]|%25){1,3}"
        ) {
            if is_segment(&one) && is_segment(&other) {
                let same = unescaped(one.as_bytes()) == unescaped(other.as_bytes());
                prop_assert_eq!(plain(&one) == plain(&other), same);
            }
        }

        #[test]
        fn unescaping_an_accepted_path_once_more_changes_nothing_that_routes(path in "(/([a-c.2eEfF5]|%25|%2[eEfF5]|%){0,6}){1,4}") {
            if let Ok(path) = CanonicalPath::parse(path.as_bytes()) {
                let mut with_slash = SegmentSet::default();
                for (number, segment) in path.segments().enumerate() {
                    let plain = unescaped(segment.as_bytes()).into_owned();
                    if plain.contains(&b'/') {
                        with_slash.insert(number);
                    }
                    prop_assert!(!matches!(&plain[..], b"." | b".."));
                    prop_assert_eq!(&*unescaped(&plain), &plain[..]);
                }
                prop_assert_eq!(path.with_slash(), with_slash);
            }
        }

        /// A server that resolves escapes before it takes the path apart gets more segments, and otherwise the same ones in
        /// the same order: none that it removes, and none that removes another.
        #[test]
        fn an_escaped_slash_only_divides(
            path in "(/([ab]|%2[fF]|%2[eE]|[.]|%5[cC]|%20|%25|%252[fF]){1,6}){1,3}"
        ) {
            if let Ok(path) = CanonicalPath::parse(path.as_bytes()) {
                let resolved = unescaped(path.as_str().as_bytes()).into_owned();
                let resolved = String::from_utf8(resolved).unwrap();
                let parts: Vec<&str> = resolved.strip_prefix('/').unwrap().split('/').collect();
                prop_assert!(parts.iter().all(|part| !matches!(*part, "" | "." | "..")), "{}", resolved);
                let divided: Vec<String> = path.segments().flat_map(|segment| {
                    let plain = String::from_utf8(unescaped(segment.as_bytes()).into_owned()).unwrap();
                    plain.split('/').map(str::to_owned).collect::<Vec<_>>()
                }).collect();
                prop_assert_eq!(parts, divided);
            }
        }
    }
}
