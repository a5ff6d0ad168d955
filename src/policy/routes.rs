//! Routing: a trie over path segments. In: compiled routes. Out: the one route for a method and a canonical path.
//!
//! Literal before `{parameter}` before `**`. The most specific matching *pattern* decides, whatever its methods: a
//! `**` never takes over a method that the pattern above it does not list, so it cannot widen it.
//! Literals are compared in their plain spelling: `/a%3Ab` does not lead around `/a:b`. A path that a server could take for
//! one of a stricter route leads nowhere. An escaped slash leads to a parameter that takes it, or nowhere.

mod conflict;
mod look_alike;
mod pattern;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::http::{CanonicalPath, plain};
use crate::policy::{MethodSet, Route};

pub use conflict::RouteConflict;
use conflict::{open_parameters, weaker};
use look_alike::LookAlikes;
pub use pattern::{Pattern, PatternFault, Segment};

/// The routes of a resource.
#[derive(Debug, Default)]
pub struct Routes {
    root: Node,
    look_alikes: Option<LookAlikes>,
}

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
    /// A route that demands less than the one whose path it looks like.
    LookAlike,
    /// An escaped slash stands where no route takes one.
    SlashElsewhere,
    /// This pattern is there, for these methods: sorted, each once.
    MethodNotAllowed(Vec<String>, &'r Pattern),
    /// Nothing.
    None,
}

impl Routes {
    /// The route of the most specific pattern that matches `path`, if it is there for `method`.
    pub fn find(&self, method: &str, path: &CanonicalPath) -> RouteMatch<'_> {
        let segments: Vec<Cow<'_, str>> = path.segments().map(plain).collect();
        let candidates = self.root.candidates(&segments).unwrap_or_default();
        if !path.with_slash().is_empty() {
            return self.find_with_slash(method, path, &segments, candidates);
        }
        match candidates.iter().find(|route| route.methods.contains(method)) {
            Some(route) => match &self.look_alikes {
                Some(others) if others.outrank(route, method, &segments) => RouteMatch::LookAlike,
                Some(_) | None => RouteMatch::Found(route),
            },
            None => not_allowed(candidates),
        }
    }

    /// The same for a path with escaped slashes. The one pattern that decides has to take each of them; and a server that
    /// resolves them first must not find a path there that has a route of its own, unless that asks for no more.
    fn find_with_slash<'r>(
        &self,
        method: &str,
        path: &CanonicalPath,
        segments: &[Cow<'_, str>],
        candidates: &'r [Rc<Route>],
    ) -> RouteMatch<'r> {
        if !candidates.iter().any(|route| route.pattern.takes_slashes_of(path)) {
            return RouteMatch::SlashElsewhere;
        }
        match candidates.iter().find(|route| route.methods.contains(method)) {
            Some(route) if !route.pattern.takes_slashes_of(path) => RouteMatch::SlashElsewhere,
            Some(route) => match &self.look_alikes {
                Some(others) if others.outrank(route, method, segments) => RouteMatch::LookAlike,
                Some(others) if others.outrank_divided(route, method, segments, &self.root) => RouteMatch::LookAlike,
                Some(_) | None => RouteMatch::Found(route),
            },
            None => not_allowed(candidates),
        }
    }

    /// Catch-alls whose own beginning, without anything behind it, is served by a route that demands something else: `/admin`
    /// beside `/admin/**`, which many servers take for `/admin/`. What was meant cannot be known.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.iter().filter_map(|route| {
            let (Segment::Rest, prefix) = route.pattern.segments().split_last()? else { return None };
            prefix.last()?;
            let text = |segment: &Segment| match segment {
                Segment::Literal(text) => Cow::Owned(plain(text).into_owned()),
                // No literal is this.
                Segment::Parameter(_) | Segment::Rest => Cow::Borrowed("{}"),
            };
            let prefix: Vec<Cow<'_, str>> = prefix.iter().map(text).collect();
            let less = |other: &&Rc<Route>| route.pattern.is_before(&other.pattern) && !other.demands_all_of(route);
            let other = self.root.candidates(&prefix)?.iter().find(less)?;
            let written = route.pattern.to_string();
            Some(format!(
                "{}: {} without anything behind it is served by {} ({:?}), which demands something else: write it as a path of \
                 its own",
                route.origin.path,
                written.strip_suffix("/**").unwrap_or_default(),
                other.origin.path,
                other.origin.name,
            ))
        })
    }

    /// All routes.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<Route>> {
        self.root.routes().into_iter()
    }
}

/// The method is none of theirs; without any, there is nothing.
fn not_allowed(candidates: &[Rc<Route>]) -> RouteMatch<'_> {
    let pattern = candidates.first().map(|route| &route.pattern);
    pattern.map_or(RouteMatch::None, |pattern| RouteMatch::MethodNotAllowed(allowed(candidates), pattern))
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
    fn candidates(&self, segments: &[Cow<'_, str>]) -> Option<&[Rc<Route>]> {
        let Some((first, behind)) = segments.split_first() else {
            return (!self.here.is_empty()).then_some(&*self.here);
        };
        let literal = self.literals.get(&**first).and_then(|node| node.candidates(behind));
        let parameter =
            || self.parameter.as_ref().filter(|_| !first.is_empty()).and_then(|node| node.candidates(behind));
        let rest = || (!self.rest.is_empty()).then_some(&*self.rest);
        literal.or_else(parameter).or_else(rest)
    }

    fn routes(&self) -> Vec<&Rc<Route>> {
        let below = self.literals.values().chain(self.parameter.as_deref()).flat_map(Node::routes);
        self.here.iter().chain(&self.rest).chain(below).collect()
    }

    /// Where the routes of a pattern stand, whose literals are compared as they are written here.
    fn place(&mut self, segments: &[Segment]) -> &mut Vec<Rc<Route>> {
        match segments.split_first() {
            None => &mut self.here,
            Some((Segment::Rest, _)) => &mut self.rest,
            Some((Segment::Literal(text), behind)) => self.literals.entry(text.clone()).or_default().place(behind),
            Some((Segment::Parameter(_), behind)) => self.parameter.get_or_insert_default().place(behind),
        }
    }
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
        let segments: Vec<Segment> = route.pattern.segments().iter().map(Segment::plain).collect();
        let place = self.0.root.place(&segments);
        if let Some(first) = place.iter().find(|first| first.methods.overlaps(&route.methods)) {
            let (by, takes_all) = (first.origin.clone(), route.methods == MethodSet::Any);
            if first.methods.includes(&route.methods) {
                return Err(RouteConflict::Shadowed { route: route.origin, by });
            }
            let shared = first.methods.shared_with(&route.methods);
            return Err(RouteConflict::Overlapping { route: route.origin, by, shared, takes_all });
        }
        place.push(Rc::new(route));
        Ok(())
    }

    /// The routes, and what is wrong with them together.
    pub fn finish(mut self) -> (Routes, Vec<RouteConflict>) {
        let routes = self.0.root.routes();
        let mut conflicts = weaker(&routes);
        conflicts.extend(open_parameters(&routes));
        self.0.look_alikes = LookAlikes::of(&routes);
        (self.0, conflicts)
    }
}

#[cfg(test)]
mod tests;
