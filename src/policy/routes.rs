//! Routing: a trie over path segments. In: compiled routes. Out: the one route for a method and a canonical path.
//!
//! Literal before `{parameter}` before `**`. The most specific matching *pattern* decides, whatever its methods: a
//! `**` never takes over a method that the pattern above it does not list, so it cannot widen it.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use crate::http::{CanonicalPath, is_segment};
use crate::policy::{Access, Origin, Route};

/// The most segments of a pattern: no path has more.
const MAX_SEGMENTS: usize = 64;

/// The paths of a route: `/orders/{id}`, `/users/{user}/**`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Segment>);

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
        if segments.len() > MAX_SEGMENTS { Err(PatternFault::TooLong) } else { Ok(Self(segments)) }
    }

    /// Its segments.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }
}

fn parameter(written: &str) -> Result<&str, PatternFault> {
    let name = written.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or(PatternFault::Parameter)?;
    let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if named { Ok(name) } else { Err(PatternFault::Parameter) }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|segment| match segment {
            Segment::Literal(text) => write!(f, "/{text}"),
            Segment::Parameter(name) => write!(f, "/{{{name}}}"),
            Segment::Rest => f.write_str("/**"),
        })
    }
}

/// The routes of a resource.
#[derive(Debug, Default)]
pub struct Routes(Node);

#[derive(Debug, Default)]
struct Node {
    literals: BTreeMap<Box<str>, Node>,
    parameter: Option<Box<Node>>,
    rest: Vec<Rc<Route>>,
    here: Vec<Rc<Route>>,
}

/// What a method and a path lead to.
#[derive(Debug)]
pub enum RouteMatch<'r> {
    /// This route.
    Found(&'r Rc<Route>),
    /// The pattern is there, for these methods: sorted, each once.
    MethodNotAllowed(Vec<String>),
    /// Nothing.
    None,
}

impl Routes {
    /// The route of the most specific pattern that matches `path`, if it is there for `method`.
    pub fn find(&self, method: &str, path: &CanonicalPath) -> RouteMatch<'_> {
        let segments: Vec<&str> = path.segments().collect();
        let Some(candidates) = self.0.candidates(&segments) else { return RouteMatch::None };
        match candidates.iter().find(|route| route.methods.contains(method)) {
            Some(route) => RouteMatch::Found(route),
            None => RouteMatch::MethodNotAllowed(allowed(candidates)),
        }
    }

    /// All routes.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<Route>> {
        self.0.routes().into_iter()
    }
}

fn allowed(candidates: &[Rc<Route>]) -> Vec<String> {
    let mut methods: Vec<String> = Vec::new();
    for route in candidates {
        methods.extend(route.methods.listed().map(str::to_owned));
    }
    if methods.iter().any(|method| method == "GET") {
        methods.push(String::from("HEAD"));
    }
    methods.sort_unstable();
    methods.dedup();
    methods
}

impl Node {
    /// The routes of the most specific pattern below this node. Each level has two branches, so a hostile path could
    /// cost 2^segments; but a pattern of n segments is entered by one path of choices only, so all patterns
    /// together bound the work.
    fn candidates(&self, segments: &[&str]) -> Option<&[Rc<Route>]> {
        let Some((first, behind)) = segments.split_first() else {
            return (!self.here.is_empty()).then_some(&*self.here);
        };
        let literal = self.literals.get(*first).and_then(|node| node.candidates(behind));
        let parameter = || self.parameter.as_ref().filter(|_| !first.is_empty()).and_then(|node| node.candidates(behind));
        let rest = || (!self.rest.is_empty()).then_some(&*self.rest);
        literal.or_else(parameter).or_else(rest)
    }

    fn routes(&self) -> Vec<&Rc<Route>> {
        let below = self.literals.values().chain(self.parameter.as_deref()).flat_map(Node::routes);
        self.here.iter().chain(&self.rest).chain(below).collect()
    }

    fn place(&mut self, segments: &[Segment]) -> &mut Vec<Rc<Route>> {
        match segments.split_first() {
            None => &mut self.here,
            Some((Segment::Rest, _)) => &mut self.rest,
            Some((Segment::Literal(text), behind)) => self.literals.entry(text.clone()).or_default().place(behind),
            Some((Segment::Parameter(_), behind)) => self.parameter.get_or_insert_default().place(behind),
        }
    }

    /// Public catch-alls above routes that demand something.
    fn weaker(&self, conflicts: &mut Vec<RouteConflict>) {
        for open in self.rest.iter().filter(|route| route.access == Access::Public) {
            let stricter = self.routes().into_iter().find(|route| route.access != Access::Public);
            conflicts.extend(stricter.map(|route| RouteConflict::WeakerCatchAll {
                route: open.origin.clone(),
                under: route.origin.clone(),
            }));
        }
        self.literals.values().chain(self.parameter.as_deref()).for_each(|node| node.weaker(conflicts));
    }
}

/// Two routes that cannot both mean what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteConflict {
    /// The same paths and a method in common: the second would never be reached.
    Shadowed {
        /// The second.
        route: Origin,
        /// The first.
        by: Origin,
    },
    /// A `**` that is open to everybody stands above a route that demands something: a path mistyped by one
    /// character, or one added to the service later, would be open.
    WeakerCatchAll {
        /// The catch-all.
        route: Origin,
        /// The route below it.
        under: Origin,
    },
}

/// Collects the routes of a resource.
#[derive(Debug, Default)]
pub struct RoutesBuilder(Routes);

impl RoutesBuilder {
    /// No routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a route.
    pub fn add(&mut self, route: Route) -> Result<(), RouteConflict> {
        let place = self.0.0.place(route.pattern.segments());
        if let Some(first) = place.iter().find(|first| first.methods.overlaps(&route.methods)) {
            return Err(RouteConflict::Shadowed { route: route.origin, by: first.origin.clone() });
        }
        place.push(Rc::new(route));
        Ok(())
    }

    /// The routes, and what is wrong with them together.
    pub fn finish(self) -> (Routes, Vec<RouteConflict>) {
        let mut conflicts = Vec::new();
        self.0.0.weaker(&mut conflicts);
        (self.0, conflicts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::MethodSet;

    fn route(path: &str, methods: &[&str], public: bool) -> Route {
        let methods = match methods {
            [] => MethodSet::Any,
            listed => MethodSet::Listed(listed.iter().map(|method| (*method).into()).collect()),
        };
        let access = if public { Access::Public } else { Access::Peer(crate::policy::PeerRule(Vec::new())) };
        let origin = Origin { name: path.into(), path: format!("routes {path}").into() };
        Route { origin, pattern: Pattern::parse(path).unwrap(), methods, access, limits: Vec::new(), preflight: false }
    }

    fn routes(paths: &[(&str, &[&str])]) -> Routes {
        let mut builder = RoutesBuilder::new();
        paths.iter().for_each(|(path, methods)| builder.add(route(path, methods, false)).unwrap());
        builder.finish().0
    }

    fn find(routes: &Routes, method: &str, path: &str) -> String {
        match routes.find(method, &CanonicalPath::parse(path.as_bytes()).unwrap()) {
            RouteMatch::Found(route) => route.origin.name.to_string(),
            RouteMatch::MethodNotAllowed(allowed) => format!("only {}", allowed.join(" ")),
            RouteMatch::None => String::from("none"),
        }
    }

    #[test]
    fn literal_before_parameter_before_rest() {
        let routes = routes(&[("/a/b", &[]), ("/a/{x}", &[]), ("/a/**", &[]), ("/{y}/c", &[]), ("/", &[]), ("/d/", &[])]);
        for (path, expected) in [
            ("/a/b", "/a/b"),
            ("/a/z", "/a/{x}"),
            ("/a/b/c", "/a/**"),
            ("/a/", "/a/**"),
            ("/a/c", "/a/{x}"),
            ("/z/c", "/{y}/c"),
            ("/", "/"),
            ("/d/", "/d/"),
            ("/d", "none"),
            ("/a", "none"),
            ("/z", "none"),
            ("/A/b", "none"),
        ] {
            assert_eq!(find(&routes, "GET", path), expected, "{path}");
        }
    }

    #[test]
    fn a_parameter_is_never_empty() {
        assert_eq!(find(&routes(&[("/a/{x}", &[])]), "GET", "/a/"), "none");
    }

    #[test]
    fn the_most_specific_pattern_decides_whatever_its_methods() {
        let routes = routes(&[("/a/{x}", &["GET"]), ("/a/{y}", &["POST", "PUT"]), ("/**", &[])]);
        assert_eq!(find(&routes, "HEAD", "/a/1"), "/a/{x}");
        assert_eq!(find(&routes, "PUT", "/a/1"), "/a/{y}");
        assert_eq!(find(&routes, "DELETE", "/a/1"), "only GET HEAD POST PUT");
        assert_eq!(find(&routes, "DELETE", "/b"), "/**");
    }

    #[test]
    fn a_route_that_would_never_be_reached_is_a_conflict() {
        let mut builder = RoutesBuilder::new();
        builder.add(route("/a/{x}", &["GET"], false)).unwrap();
        builder.add(route("/a/{y}", &["POST"], false)).unwrap();
        for methods in [&["GET"][..], &["HEAD"], &[]] {
            let conflict = builder.add(route("/a/{z}", methods, false)).unwrap_err();
            assert!(matches!(conflict, RouteConflict::Shadowed { by, .. } if &*by.name == "/a/{x}"));
        }
    }

    #[test]
    fn an_open_catch_all_above_something_stricter_is_a_conflict() {
        let conflicts = |stricter: &str, public: bool| {
            let mut builder = RoutesBuilder::new();
            builder.add(route("/a/**", &[], true)).unwrap();
            builder.add(route(stricter, &[], public)).unwrap();
            builder.finish().1.len()
        };
        assert_eq!(conflicts("/a/b/{c}", false), 1);
        assert_eq!(conflicts("/a/b/{c}", true), 0);
        assert_eq!(conflicts("/b", false), 0);
    }

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

    #[test]
    fn a_hostile_path_costs_no_more_than_the_patterns() {
        let mut builder = RoutesBuilder::new();
        for depth in 1..=30 {
            builder.add(route(&format!("{}/end", "/{p}".repeat(depth).replace("{p}", "a")), &[], false)).unwrap();
            let numbered: String = (0..depth).map(|number| format!("/{{p{number}}}")).collect();
            builder.add(route(&format!("{numbered}/end"), &[], false)).unwrap();
        }
        // 2^40 steps, were every branch tried again below every other.
        assert_eq!(find(&builder.finish().0, "GET", &"/a".repeat(40)), "none");
    }
}
