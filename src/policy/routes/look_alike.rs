//! Paths that look like one of another route. In: the routes of a resource; a path, and the route it leads to. Out:
//! whether some server would take it for a path of which more is demanded.
//!
//! Servers fold paths: case (IIS, Express, Spring on demand), a slash at the end (most frameworks), dots and spaces at the
//! end of a segment (Windows), a suffix that chooses a format (Rails, older Spring). Where `/admin/keys` demands a scope and
//! `/**` another one, `/Admin/keys`, `/admin/keys/`, `/admin/keys.json` must not be had for the latter. Such a path is no
//! repaired spelling of the former either: only the upstream knows what it means, so it is refused.

use std::borrow::Cow;
use std::rc::Rc;

use super::{Node, Segment};
use crate::http::unescaped;
use crate::policy::Route;

/// An escaped slash in the plain spelling of a segment.
const ESCAPED_SLASH: &str = "%2F";

/// The routes by folded patterns.
#[derive(Debug)]
pub(super) struct LookAlikes {
    folded: Node,
    /// Whether a pattern is not written as it folds, so that every path may look like it.
    unfolded_patterns: bool,
}

impl LookAlikes {
    /// `None` where no path could be had for less than it looks like: all routes take and demand the same, or every pattern is made
    /// of literals.
    pub(super) fn of(routes: &[&Rc<Route>]) -> Option<Self> {
        let (first, rest) = routes.split_first()?;
        let same = |other: &Route| {
            first.methods == other.methods && first.demands_all_of(other) && other.demands_all_of(first)
        };
        let differ = !rest.iter().all(|other| same(other));
        let segments = || routes.iter().flat_map(|route| route.pattern.segments());
        let open = segments().any(|segment| !matches!(segment, Segment::Literal(_)));
        if !(differ && open) {
            return None;
        }
        let mut look_alikes = Self { folded: Node::default(), unfolded_patterns: false };
        routes.iter().for_each(|route| look_alikes.add(route));
        Some(look_alikes)
    }

    fn add(&mut self, route: &Rc<Route>) {
        let fold_segment = |segment: &Segment| match segment {
            Segment::Literal(text) => Segment::Literal(fold(text).into()),
            Segment::Parameter(_) | Segment::Rest => segment.clone(),
        };
        let segments: Vec<Segment> = route.pattern.segments().iter().map(fold_segment).collect();
        self.unfolded_patterns |= segments != route.pattern.segments();
        self.folded.place(&segments).push(route.clone());
        // A slash at the end is none.
        if let Some((Segment::Literal(last), front)) = segments.split_last()
            && last.is_empty()
            && !front.is_empty()
        {
            self.unfolded_patterns = true;
            self.folded.place(front).push(route.clone());
        }
    }

    /// Whether a path of these segments, in their plain spelling, which leads to `found`, looks like one of a more specific
    /// route that does not let such requests pass, or demands what `found` does not.
    pub(super) fn outrank(&self, found: &Rc<Route>, method: &str, segments: &[Cow<'_, str>]) -> bool {
        if !self.unfolded_patterns && segments.iter().all(|segment| is_folded(segment)) && has_plain_end(segments) {
            return false;
        }
        self.any_reading(segments, |path| self.leads_elsewhere(found, method, path))
    }

    /// The same for a path with escaped slashes, as a server reads it that resolves them before it takes the path apart. That
    /// is a path of another shape, so it does not matter which pattern is asked first.
    pub(super) fn outrank_divided(
        &self,
        found: &Rc<Route>,
        method: &str,
        segments: &[Cow<'_, str>],
        unfolded: &Node,
    ) -> bool {
        let divided = segments.iter().flat_map(|segment| segment.split(ESCAPED_SLASH)).map(Cow::Borrowed);
        let divided: Vec<Cow<'_, str>> = divided.collect();
        let lead_to_more = |routes: &Node, path: &[Cow<'_, str>]| {
            let routes = routes.candidates(path).unwrap_or_default();
            let is_found = routes.iter().any(|route| Rc::ptr_eq(route, found));
            !routes.is_empty() && !is_found && demand_more(routes.iter(), found, method)
        };
        lead_to_more(unfolded, &divided) || self.any_reading(&divided, |path| lead_to_more(&self.folded, path))
    }

    /// Whether it holds for a path of these segments as some server folds it.
    fn any_reading(&self, segments: &[Cow<'_, str>], holds: impl Fn(&[Cow<'_, str>]) -> bool) -> bool {
        let folded: Vec<Cow<'_, str>> = segments.iter().map(|segment| fold(segment)).collect();
        // A last segment of nothing but dots and spaces is as good as none.
        let is_none = |last: &str| last.trim_matches(['.', ' ']).is_empty();
        let without_slash = folded.split_last().filter(|(last, front)| is_none(last) && !front.is_empty());
        let paths = [Some(&*folded), without_slash.map(|(_, front)| front)];
        paths.into_iter().flatten().any(|path| holds(path) || without_suffix(path).any(|path| holds(&path)))
    }

    fn leads_elsewhere(&self, found: &Rc<Route>, method: &str, folded: &[Cow<'_, str>]) -> bool {
        let Some(routes) = self.folded.candidates(folded) else { return false };
        if routes.iter().any(|route| Rc::ptr_eq(route, found)) {
            return false;
        }
        let mut before = routes.iter().filter(|route| route.pattern.is_before(&found.pattern)).peekable();
        if before.peek().is_none() {
            return false;
        }
        demand_more(before, found, method)
    }
}

/// Whether these routes do not take the method, or one that does demands what `found` does not.
fn demand_more<'r>(routes: impl Iterator<Item = &'r Rc<Route>>, found: &Route, method: &str) -> bool {
    let mut of_method = routes.filter(|route| route.methods.contains(method)).peekable();
    of_method.peek().is_none() || of_method.any(|route| !found.demands_all_of(route))
}

/// The path without the suffix of its last segment: behind the first dot, and behind the last.
fn without_suffix<'p>(path: &'p [Cow<'_, str>]) -> impl Iterator<Item = Vec<Cow<'p, str>>> {
    let (last, front) = path.split_last().map_or(("", &[][..]), |(last, front)| (&**last, front));
    let stems = [last.split_once('.'), last.rsplit_once('.')].into_iter().flatten();
    let stems = stems.map(|(stem, _)| stem.trim_end_matches(['.', ' ']));
    stems.filter(|stem| !stem.is_empty()).map(|stem| {
        let front = front.iter().map(|segment| Cow::Borrowed(&**segment));
        front.chain([Cow::Borrowed(stem)]).collect()
    })
}

fn has_plain_end(segments: &[Cow<'_, str>]) -> bool {
    segments.last().is_some_and(|last| !last.contains('.') && (!last.is_empty() || segments.len() == 1))
}

fn is_folded(segment: &str) -> bool {
    segment.bytes().all(|byte| !byte.is_ascii_uppercase() && byte != b'%') && !segment.ends_with('.')
}

/// A segment in lower case, escapes resolved, without dots and spaces at its ends that Windows does not see. Beyond ASCII,
/// what some servers take for an ASCII letter in the other case is that letter; tables for the rest would make the
/// module 27 KB larger.
fn fold(segment: &str) -> Cow<'_, str> {
    if is_folded(segment) {
        return Cow::Borrowed(segment);
    }
    let text = unescaped(segment.as_bytes());
    let text = String::from_utf8_lossy(&text);
    let folded: String = text.chars().map(lower_case).collect();
    match folded.trim_start_matches(' ').trim_end_matches(['.', ' ']) {
        "" => Cow::Owned(folded),
        trimmed => Cow::Owned(trimmed.to_owned()),
    }
}

fn lower_case(letter: char) -> char {
    match letter {
        'ſ' => 's',
        '\u{212a}' => 'k',
        'İ' | 'ı' => 'i',
        letter => letter.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests;
