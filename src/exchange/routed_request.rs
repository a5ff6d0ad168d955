//! A request whose route is known. Plain data, and what follows from its head alone.

use std::rc::Rc;

use crate::exchange::holder::Holder;
use crate::http::Head;
use crate::policy::{Access, Resource, Route};

/// A request whose route is known.
pub(super) struct RoutedRequest {
    pub(super) head: Head,
    pub(super) resource: Rc<Resource>,
    pub(super) route: Rc<Route>,
    /// Whether it only asks for leave to send another one (CORS).
    pub(super) preflight: bool,
    pub(super) holder: Option<Holder>,
}

impl RoutedRequest {
    /// Whether it came where it can be replayed (RFC 8470), and a replay would do harm: a credential must be shown by somebody who is there,
    /// and what is done without one must be safe to do again.
    pub(super) fn came_early(&self) -> bool {
        let is_safe = matches!(self.head.method(), "GET" | "HEAD" | "OPTIONS");
        let is_open = self.preflight || self.route.access == Access::Public;
        self.head.headers("early-data").next().is_some() && !(is_open && is_safe)
    }

    /// The bytes that it holds while it waits, more or less.
    pub(super) fn size(&self) -> usize {
        self.head.size()
    }
}
