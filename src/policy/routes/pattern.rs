//! Patterns of paths, as the operator writes them. In: text. Out: segments, or the fault of the text.
//! Not here: which pattern a request falls to (`routes`).

use std::fmt;

use crate::http::{CanonicalPath, SegmentSet, is_segment, plain};

/// The most segments of a pattern: no path has more.
const MAX_SEGMENTS: usize = 64;

/// The paths of a route: `/orders/{id}`, `/users/{user}/**`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    segments: Vec<Segment>,
    /// The parameters that may stand for a segment with an escaped slash.
    slash_in: SegmentSet,
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// This text; empty behind a trailing slash.
    Literal(Box<str>),
    /// Any one segment, which is not empty.
    Parameter(Box<str>),
    /// One segment or more; the last one may be empty.
    Rest,
}

impl Segment {
    /// The same, in the spelling in which segments are compared.
    pub(super) fn plain(&self) -> Self {
        match self {
            Segment::Literal(text) => Segment::Literal(plain(text).into()),
            Segment::Parameter(_) | Segment::Rest => self.clone(),
        }
    }
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternFault {
    /// It does not begin with `/`.
    NotAbsolute,
    /// A segment is empty, or no path in canonical form can have it.
    Segment,
    /// Braces are not around the whole segment, or hold no name of letters, digits and `_`.
    Parameter,
    /// A name stands twice.
    RepeatedParameter,
    /// `**` is not the last segment, or `*` stands elsewhere.
    Wildcard,
    /// More segments than any accepted path has.
    TooLong,
}

impl Pattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternFault> {
        let inside = text.strip_prefix('/').ok_or(PatternFault::NotAbsolute)?;
        let mut segments: Vec<Segment> = Vec::new();
        let mut rest = inside.split('/').peekable();
        while let Some(written) = rest.next() {
            let last = rest.peek().is_none();
            let segment = match written {
                "**" if last => Segment::Rest,
                _ if written.contains(['{', '}']) => Segment::Parameter(parameter(written)?.into()),
                // `*` may stand in a path, but whoever writes it in a pattern means something else.
                _ if written.contains('*') => return Err(PatternFault::Wildcard),
                "" if last => Segment::Literal("".into()),
                _ if is_segment(written) => Segment::Literal(written.into()),
                _ => return Err(PatternFault::Segment),
            };
            if matches!(segment, Segment::Parameter(_)) && segments.contains(&segment) {
                return Err(PatternFault::RepeatedParameter);
            }
            segments.push(segment);
        }
        if segments.len() > MAX_SEGMENTS {
            return Err(PatternFault::TooLong);
        }
        Ok(Self { segments, slash_in: SegmentSet::default() })
    }

    /// Lets the parameter `name` take identifiers with an escaped slash; whether there is such a parameter.
    pub fn allow_slash_in(&mut self, name: &str) -> bool {
        let is_named = |segment: &Segment| matches!(segment, Segment::Parameter(own) if **own == *name);
        let number = self.segments.iter().position(is_named);
        if let Some(number) = number {
            self.slash_in.insert(number);
        }
        number.is_some()
    }

    /// The names of its parameters.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(&**name),
            Segment::Literal(_) | Segment::Rest => None,
        })
    }

    /// Whether it has a parameter that takes escaped slashes.
    pub fn takes_slashes(&self) -> bool {
        !self.slash_in.is_empty()
    }

    /// Whether all escaped slashes of a path that it matches stand in parameters that take them.
    pub fn takes_slashes_of(&self, path: &CanonicalPath) -> bool {
        path.with_slash().is_within(self.slash_in)
    }

    /// Whether this is a `**` whose paths include all paths of `other`, and more.
    pub fn is_above(&self, other: &Self) -> bool {
        self.includes(other) && !other.includes(self)
    }

    fn includes(&self, other: &Self) -> bool {
        let Some((Segment::Rest, prefix)) = self.segments.split_last() else { return false };
        let fits = |pair: (&Segment, &Segment)| match pair {
            (Segment::Literal(mine), Segment::Literal(theirs)) => plain(mine) == plain(theirs),
            (Segment::Parameter(_), Segment::Literal(_) | Segment::Parameter(_)) => true,
            (Segment::Literal(_) | Segment::Parameter(_) | Segment::Rest, _) => false,
        };
        other.segments.len() > prefix.len() && prefix.iter().zip(&other.segments).all(fits)
    }

    /// Whether some path matches both.
    pub fn meets(&self, other: &Self) -> bool {
        let (mut mine, mut theirs) = (self.segments.iter(), other.segments.iter());
        loop {
            match (mine.next(), theirs.next()) {
                (None, None) | (Some(Segment::Rest), Some(_)) | (Some(_), Some(Segment::Rest)) => return true,
                (None, Some(_)) | (Some(_), None) => return false,
                (Some(Segment::Literal(mine)), Some(Segment::Literal(theirs))) if plain(mine) != plain(theirs) => {
                    return false;
                }
                // A parameter never stands for the nothing behind a trailing slash.
                (Some(Segment::Parameter(_)), Some(Segment::Literal(text)))
                | (Some(Segment::Literal(text)), Some(Segment::Parameter(_)))
                    if text.is_empty() =>
                {
                    return false;
                }
                (
                    Some(Segment::Literal(_) | Segment::Parameter(_)),
                    Some(Segment::Literal(_) | Segment::Parameter(_)),
                ) => {}
            }
        }
    }

    /// As it is written, but without the names of its parameters.
    pub fn nameless(&self) -> String {
        let segment = |segment: &Segment| match segment {
            Segment::Literal(text) => format!("/{}", plain(text)),
            Segment::Parameter(_) => "/{}".to_owned(),
            Segment::Rest => "/**".to_owned(),
        };
        self.segments.iter().map(segment).collect()
    }

    /// Whether it is asked before `other` for a path that both match: literal, `{parameter}`, `**`, from the left.
    pub fn is_before(&self, other: &Self) -> bool {
        let rank = |segment: Option<&Segment>| match segment {
            Some(Segment::Literal(_)) | None => 2,
            Some(Segment::Parameter(_)) => 1,
            Some(Segment::Rest) => 0,
        };
        let (mine, theirs) = (&self.segments, &other.segments);
        let ranks = (0..mine.len().max(theirs.len())).map(|place| (rank(mine.get(place)), rank(theirs.get(place))));
        ranks.into_iter().find(|(mine, theirs)| mine != theirs).is_some_and(|(mine, theirs)| mine > theirs)
    }

    /// Its segments.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

fn parameter(written: &str) -> Result<&str, PatternFault> {
    let name = written.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or(PatternFault::Parameter)?;
    let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if named { Ok(name) } else { Err(PatternFault::Parameter) }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.segments.iter().try_for_each(|segment| match segment {
            Segment::Literal(text) => write!(f, "/{text}"),
            Segment::Parameter(name) => write!(f, "/{{{name}}}"),
            Segment::Rest => f.write_str("/**"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_no_pattern_are_refused() {
        use PatternFault::*;
        for (text, fault) in [
            ("", NotAbsolute),
            ("a", NotAbsolute),
            ("//", Segment),
            ("/a//b", Segment),
            ("/a/../b", Segment),
            ("/a%2fb", Segment),
            ("/é", Segment),
            ("/a/{}", Parameter),
            ("/a/{x}y", Parameter),
            ("/a/{x y}", Parameter),
            ("/a/{x", Parameter),
            ("/{x}/{x}", RepeatedParameter),
            ("/**/a", Wildcard),
            ("/a/*", Wildcard),
            ("/a*", Wildcard),
            (&"/a".repeat(65), TooLong),
        ] {
            assert_eq!(Pattern::parse(text), Err(fault), "{text}");
        }
        for text in ["/", "/a/", "/a/{x}/**", "/caf%C3%A9"] {
            assert_eq!(Pattern::parse(text).unwrap().to_string(), text);
        }
    }
}
