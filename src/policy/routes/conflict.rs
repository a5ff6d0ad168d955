//! Routes of one resource that cannot both mean what they say, or probably do not. In: compiled routes. Out: conflicts.
//! Not here: what is said about them (`config::routes`).

use std::rc::Rc;

use crate::policy::routes::Segment;
use crate::policy::{Access, Origin, Route};

/// Public catch-alls above routes that demand something.
pub(super) fn weaker(routes: &[&Rc<Route>]) -> Vec<RouteConflict> {
    let (open, closed): (Vec<&Rc<Route>>, Vec<&Rc<Route>>) =
        routes.iter().partition(|route| route.access == Access::Public);
    let conflict = |open: &&Rc<Route>| {
        let under = closed.iter().find(|closed| open.pattern.is_above(&closed.pattern))?;
        Some(RouteConflict::WeakerCatchAll { route: open.origin.clone(), under: under.origin.clone() })
    };
    open.iter().filter_map(conflict).collect()
}

/// Open paths with parameters beside paths that demand something and are asked before them: one that is mistyped, or that
/// comes to the service later, is open.
pub(super) fn open_parameters(routes: &[&Rc<Route>]) -> Vec<RouteConflict> {
    let (open, closed): (Vec<&Rc<Route>>, Vec<&Rc<Route>>) =
        routes.iter().partition(|route| route.access == Access::Public);
    let conflict = |open: &&Rc<Route>| {
        let takes_more = |closed: &&&Rc<Route>| {
            open.pattern.meets(&closed.pattern)
                && closed.pattern.is_before(&open.pattern)
                && open.methods.overlaps(&closed.methods)
        };
        let beside = closed.iter().find(takes_more)?;
        Some(RouteConflict::OpenParameter { route: open.origin.clone(), beside: beside.origin.clone() })
    };
    let has_rest = |route: &Rc<Route>| route.pattern.segments().last() == Some(&Segment::Rest);
    open.iter().filter(|route| !has_rest(route)).filter_map(conflict).collect()
}

/// Two routes that cannot both mean what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteConflict {
    /// The same paths, and no method that the first does not take: the second would never be reached.
    Shadowed {
        /// The second.
        route: Origin,
        /// The first.
        by: Origin,
    },
    /// The same paths, and methods that both take: which rules hold for these would be a matter of order.
    Overlapping {
        /// The second.
        route: Origin,
        /// The first.
        by: Origin,
        /// The methods that both take, as they are written.
        shared: Vec<Box<str>>,
        /// Whether the second takes every method.
        takes_all: bool,
    },
    /// An open path with a parameter stands beside one that demands something and is asked before it. That may be meant.
    OpenParameter {
        /// The open one.
        route: Origin,
        /// The other.
        beside: Origin,
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
