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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::CanonicalPath;
    use crate::policy::{
        Access, BodyRule, Charges, MethodSet, Origin, Pattern, RouteMatch, Routes, RoutesBuilder, ScopeRule, TokenRule,
    };

    /// Pattern, methods (none: all), scope; `-` is public. A parameter `p` takes escaped slashes.
    type Written<'w> = (&'w str, &'w [&'w str], &'w str);

    fn routes(written: &[Written<'_>]) -> Routes {
        let mut builder = RoutesBuilder::new();
        for (path, methods, scope) in written {
            let methods = match methods {
                [] => MethodSet::Any,
                listed => MethodSet::Listed(listed.iter().map(|method| (*method).into()).collect()),
            };
            let scopes = ScopeRule { all: vec![(*scope).into()], any: Vec::new() };
            let access = match *scope {
                "-" => Access::Public,
                _ => Access::Token(TokenRule { scopes, ..TokenRule::default() }),
            };
            let origin = Origin { name: format!("{path} {scope}").into(), path: "".into() };
            let mut pattern = Pattern::parse(path).unwrap();
            pattern.allow_slash_in("p");
            let limits = Charges::default();
            builder
                .add(Route {
                    origin,
                    identity: "".into(),
                    pattern,
                    methods,
                    access,
                    body: BodyRule::default(),
                    limits,
                    preflight: false,
                    document: None,
                })
                .unwrap();
        }
        builder.finish().0
    }

    fn find(routes: &Routes, method: &str, path: &str) -> String {
        match routes.find(method, &CanonicalPath::parse(path.as_bytes()).unwrap()) {
            RouteMatch::Found(route) => route.origin.name.to_string(),
            RouteMatch::LookAlike => "look-alike".to_owned(),
            RouteMatch::SlashElsewhere => "slash".to_owned(),
            RouteMatch::MethodNotAllowed(..) => "method".to_owned(),
            RouteMatch::None => "none".to_owned(),
        }
    }

    #[test]
    fn a_path_is_not_had_for_less_than_the_one_it_looks_like() {
        let routes = routes(&[
            ("/**", &[], "read"),
            ("/admin/keys", &[], "admin"),
            ("/orders/{id}", &["GET"], "read"),
            ("/orders/export", &["GET"], "export"),
            ("/Reports/Secret", &[], "admin"),
            ("/internal/", &[], "admin"),
            ("/team/{name}/**", &[], "team"),
            ("/kiosk", &[], "admin"),
        ]);
        for path in [
            "/admin/keys/",
            "/Admin/keys",
            "/ADMIN/KEYS/",
            "/admin/keys.json",
            "/admin/keys.tar.gz",
            "/Admin/keys.JSON",
            "/admin/keys%20",
            "/admin/keys.",
            "/admin./keys",
            "/admin%20/%20keys...",
            "/orders/Export",
            "/orders/export.csv",
            "/orders/export/",
            "/reports/secret",
            "/reports/Secret.pdf",
            "/internal",
            "/Internal",
            "/Internal/",
            "/Team/a/b",
            "/team./a/",
            "/%41dmin/keys",
            "/%61dmin/key%53",
            "/admin/keys%2ejson",
            "/%e2%84%aaiosk",
            "/%E2%84%AAiosk",
            "/kio%C5%BFk",
            "/k%C4%B0osk",
        ] {
            assert_eq!(find(&routes, "GET", path), "look-alike", "{path}");
        }
        assert_eq!(find(&routes, "POST", "/orders/Export"), "method");
    }

    #[test]
    fn a_method_that_the_more_specific_route_does_not_take_is_no_way_around_it() {
        let routes = routes(&[("/**", &[], "read"), ("/admin/keys", &["DELETE"], "read")]);
        assert_eq!(find(&routes, "GET", "/admin/keys"), "method");
        assert_eq!(find(&routes, "GET", "/admin/keys/"), "look-alike");
        assert_eq!(find(&routes, "DELETE", "/admin/keys/"), "/** read", "the same is demanded");
    }

    #[test]
    fn what_leads_to_the_same_route_or_to_a_stricter_one_passes() {
        let routes = routes(&[
            ("/files/**", &[], "read"),
            ("/orders/{id}", &[], "read"),
            ("/orders/{id}/items", &[], "read"),
            ("/orders/{id}/items/{n}", &[], "items"),
            ("/healthz", &[], "-"),
            ("/docs/**", &[], "docs"),
            ("/docs/Public", &[], "-"),
            ("/a", &[], "a"),
            ("/A", &[], "b"),
            ("/{any}/x", &[], "x"),
        ]);
        for (path, expected) in [
            ("/files/Report.PDF", "/files/** read"),
            ("/files/", "/files/** read"),
            ("/files/a/B./c%20/", "/files/** read"),
            ("/orders/AB-7", "/orders/{id} read"),
            ("/orders/7.json", "/orders/{id} read"),
            ("/orders/a.b/items", "/orders/{id}/items read"),
            ("/orders/7/items/N.1", "/orders/{id}/items/{n} items"),
            ("/docs/public", "/docs/** docs"),
            ("/docs/PUBLIC/", "/docs/** docs"),
            ("/a", "/a a"),
            ("/A", "/A b"),
            ("/Files/x", "look-alike"),
            ("/Orders/x", "look-alike"),
            ("/Orders/y", "none"),
            ("/orders/...", "/orders/{id} read"),
            ("/.x/x", "/{any}/x x"),
        ] {
            assert_eq!(find(&routes, "GET", path), expected, "{path}");
        }
    }

    #[test]
    fn an_escaped_slash_does_not_lead_around_the_route_that_a_server_sees_without_it() {
        let routes = routes(&[
            ("/projects/{p}", &[], "read"),
            ("/projects/{id}/hooks", &[], "admin"),
            ("/projects/{id}/Tokens", &[], "-"),
            ("/projects/{id}/open", &[], "-"),
            ("/projects/{id}/same", &[], "read"),
            ("/projects/{id}/gone", &["DELETE"], "read"),
            ("/projects/{id}/tokens/**", &[], "admin"),
            ("/files/{p}/**", &[], "files"),
            ("/open/{p}", &[], "-"),
            ("/open/x/**", &[], "x"),
        ]);
        for path in [
            "/projects/7%2Fhooks",
            "/projects/7%2fHooks",
            "/projects/7%2Fhooks.json",
            "/projects/7%2Fhooks%20",
            "/projects/7%2F%68ooks",
            "/projects/7%2Ftokens%2Fnew",
            "/projects/7%2Fgone",
            "/open/x%2Fsecret",
            "/open/X%2Fsecret",
        ] {
            assert_eq!(find(&routes, "GET", path), "look-alike", "{path}");
        }
        for (path, expected) in [
            ("/projects/group%2Fname", "/projects/{p} read"),
            ("/projects/group%2Fsub%2Fname", "/projects/{p} read"),
            ("/projects/7%2Fopen", "/projects/{p} read"),
            ("/projects/7%2Fsame", "/projects/{p} read"),
            ("/files/a%2Fb/c", "/files/{p}/** files"),
            ("/open/y%2Fsecret", "/open/{p} -"),
        ] {
            assert_eq!(find(&routes, "GET", path), expected, "{path}");
        }
        assert_eq!(find(&routes, "DELETE", "/projects/7%2Fgone"), "/projects/{p} read");
    }

    #[test]
    fn a_path_without_its_escapes_is_compared_as_it_is_written_too() {
        let routes = routes(&[("/{p}", &[], "read"), ("/a/Keys", &[], "-"), ("/a/**", &[], "admin")]);
        assert_eq!(find(&routes, "GET", "/a%2Fkeys"), "look-alike", "to a server that folds nothing");
    }

    #[test]
    fn a_limit_is_not_left_behind_either_if_it_can_refuse() {
        let config = serde_json::json!({
            "resources": [{"hosts": ["a"], "routes": [
                {"path": "/**", "access": "peer", "peers": ["*"], "limits": ["all"]},
                {"path": "/search", "access": "peer", "peers": ["*"], "limits": ["few", "all"]},
                {"path": "/watched", "access": "peer", "peers": ["*"], "limits": ["all", "shadow"]}
            ]}],
            "limits": {
                "all": {"key": ["peer"], "rate": "9/s"},
                "few": {"key": ["peer"], "rate": "1/s"},
                "shadow": {"key": ["peer"], "rate": "1/s", "shadow": true}
            }
        });
        let policy = crate::config::load(config.to_string().as_bytes()).unwrap();
        let routes = &policy.resources[0].routes;
        assert_eq!(find(routes, "GET", "/Search"), "look-alike");
        assert_eq!(find(routes, "GET", "/Watched"), "/**");
    }

    #[test]
    fn the_beginning_of_a_catch_all_is_told_where_it_falls_to_another_route() {
        let warnings = |written: &[Written<'_>]| routes(written).warnings().count();
        assert_eq!(warnings(&[("/**", &[], "read"), ("/admin/**", &[], "admin")]), 1);
        assert_eq!(warnings(&[("/{x}", &[], "read"), ("/{x}/**", &[], "admin")]), 0, "written beside it");
        assert_eq!(warnings(&[("/**", &[], "read"), ("/admin/**", &[], "admin"), ("/admin", &[], "read")]), 0);
        assert_eq!(warnings(&[("/**", &[], "read"), ("/docs/**", &[], "read")]), 0, "the same is demanded");
        assert_eq!(warnings(&[("/admin/**", &[], "admin"), ("/b", &[], "read")]), 0, "not served");
    }

    #[test]
    fn nothing_is_folded_where_it_could_not_matter() {
        let written = |routes: &[Written<'_>]| self::routes(routes).look_alikes.is_some();
        assert!(!written(&[]));
        assert!(!written(&[("/**", &[], "a"), ("/b", &[], "a")]), "the same everywhere");
        assert!(!written(&[("/a", &[], "a"), ("/b", &[], "b")]), "no pattern that takes other paths");
        assert!(written(&[("/**", &[], "a"), ("/b", &[], "b")]));
    }

    /// One change that some server does not see.
    fn changed(path: &str, change: u8) -> String {
        let (front, last) = path.rsplit_once('/').unwrap();
        match change % 6 {
            0 => path.to_uppercase(),
            1 => format!("{path}/"),
            2 => format!("{path}."),
            3 => format!("{path}%20"),
            4 if !last.is_empty() => format!("{path}.json"),
            _ => format!("{front}/%20{last}").replace("/%20/", "/"),
        }
    }

    proptest! {
        /// Whatever the routes: what an escaped slash leads to demands all that the route demands which the same path leads to
        /// without escapes, where there is one.
        #[test]
        fn an_escaped_slash_never_leads_to_less(
            patterns in prop::collection::btree_map("(/([ab]|\\{p\\}|\\{x\\})){1,3}(/\\*\\*)?", 0..4_u8, 1..6),
            path in "(/[ab]|%2F[ab]|%2f[aB]){1,4}",
        ) {
            let mut builder = RoutesBuilder::new();
            for (text, scope) in &patterns {
                let Ok(mut pattern) = Pattern::parse(text) else { continue };
                pattern.allow_slash_in("p");
                let scopes = ScopeRule { all: vec![scope.to_string().into()], any: Vec::new() };
                let access = Access::Token(TokenRule { scopes, ..TokenRule::default() });
                let origin = Origin { name: text.as_str().into(), path: "".into() };
                let limits = Charges::default();
                let _ = builder.add(Route { origin, identity: "".into(), pattern, methods: MethodSet::Any, access, body: BodyRule::default(), limits, preflight: false, document: None });
            }
            let routes = builder.finish().0;
            let Ok(canonical) = CanonicalPath::parse(path.as_bytes()) else { return Ok(()) };
            let RouteMatch::Found(found) = routes.find("GET", &canonical) else { return Ok(()) };
            let resolved = path.replace("%2F", "/").replace("%2f", "/");
            let resolved = CanonicalPath::parse(resolved.as_bytes()).unwrap();
            if let RouteMatch::Found(meant) = routes.find("GET", &resolved) {
                prop_assert!(found.demands_all_of(meant), "{} {} {}", path, found.origin.name, meant.origin.name);
            }
        }

        /// Whatever the routes: a canonical path and what some server takes for it never lead to two routes of which the
        /// second demands less.
        #[test]
        fn no_change_that_a_server_does_not_see_leads_to_less(
            patterns in prop::collection::btree_set("(/([ab]|\\{x\\})){1,2}(/\\*\\*)?", 1..6),
            path in "(/[ab]){1,3}",
            changes in prop::collection::vec(any::<u8>(), 1..3),
        ) {
            let mut builder = RoutesBuilder::new();
            for (number, pattern) in patterns.iter().enumerate() {
                let Ok(pattern) = Pattern::parse(pattern) else { continue };
                let scopes = ScopeRule { all: vec![number.to_string().into()], any: Vec::new() };
                let access = Access::Token(TokenRule { scopes, ..TokenRule::default() });
                let origin = Origin { name: number.to_string().into(), path: "".into() };
                let limits = Charges::default();
                let _ = builder.add(Route { origin, identity: "".into(), pattern, methods: MethodSet::Any, access, body: BodyRule::default(), limits, preflight: false, document: None });
            }
            let routes = builder.finish().0;
            let changed = changes.iter().fold(path.clone(), |path, change| changed(&path, *change));
            let canonical = CanonicalPath::parse(path.as_bytes()).unwrap();
            let RouteMatch::Found(meant) = routes.find("GET", &canonical) else { return Ok(()) };
            let Ok(changed) = CanonicalPath::parse(changed.as_bytes()) else { return Ok(()) };
            if let RouteMatch::Found(found) = routes.find("GET", &changed) {
                // A parameter or ** of the operator's that matches the changed path better was meant for it.
                prop_assert!(
                    found.demands_all_of(meant) || !meant.pattern.is_before(&found.pattern),
                    "{} {:?} {:?}", changed.as_str(), meant.origin, found.origin
                );
            }
        }
    }
}
