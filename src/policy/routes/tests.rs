//! Which route serves a request, and which routes cannot stand beside each other.

use super::*;
use crate::policy::{Access, Charges, Origin};

fn route(path: &str, methods: &[&str], public: bool) -> Route {
    let methods = match methods {
        [] => MethodSet::Any,
        listed => MethodSet::Listed(listed.iter().map(|method| (*method).into()).collect()),
    };
    let access = if public { Access::Public } else { Access::Peer(crate::policy::PeerRule(Vec::new())) };
    let origin = Origin { name: path.into(), path: format!("routes {path}").into() };
    Route {
        origin,
        identity: path.into(),
        pattern: Pattern::parse(path).unwrap(),
        methods,
        access,
        limits: Charges::default(),
        body: crate::policy::BodyRule::default(),
        preflight: false,
        document: None,
    }
}

fn routes(paths: &[(&str, &[&str])]) -> Routes {
    let mut builder = RoutesBuilder::new();
    paths.iter().for_each(|(path, methods)| builder.add(route(path, methods, false)).unwrap());
    builder.finish().0
}

fn find(routes: &Routes, method: &str, path: &str) -> String {
    match routes.find(method, &CanonicalPath::parse(path.as_bytes()).unwrap()) {
        RouteMatch::Found(route) => route.origin.name.to_string(),
        RouteMatch::LookAlike => String::from("look-alike"),
        RouteMatch::SlashElsewhere => String::from("slash"),
        RouteMatch::MethodNotAllowed(allowed, _) => format!("only {}", allowed.join(" ")),
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
fn a_path_is_matched_by_what_it_means_however_it_is_spelled() {
    let routes = routes(&[("/admin/~joe", &[]), ("/caf%c3%a9", &[]), ("/a|b", &[]), ("/100%25", &[]), ("/**", &[])]);
    for (path, expected) in [
        ("/admin/~joe", "/admin/~joe"),
        ("/%61dmin/%7Ejoe", "/admin/~joe"),
        ("/admi%6e/%7ejoe", "/admin/~joe"),
        ("/caf%C3%A9", "/caf%c3%a9"),
        ("/c%61f%C3%a9", "/caf%c3%a9"),
        ("/a%7Cb", "/a|b"),
        ("/a%7cb", "/a|b"),
        ("/100%25", "/100%25"),
        ("/%31%30%30%25", "/100%25"),
        ("/ADMIN/~joe", "/**"),
    ] {
        assert_eq!(find(&routes, "GET", path), expected, "{path}");
    }
    let mut builder = RoutesBuilder::new();
    builder.add(route("/a%7Cb", &[], false)).unwrap();
    assert!(builder.add(route("/a|b", &[], false)).is_err(), "one path in two spellings");
}

/// The same, with parameters that take escaped slashes.
fn with_slash_in(paths: &[(&str, &[&str], &[&str])]) -> Routes {
    let mut builder = RoutesBuilder::new();
    for (path, methods, names) in paths {
        let mut route = route(path, methods, false);
        names.iter().for_each(|name| assert!(route.pattern.allow_slash_in(name), "{name}"));
        builder.add(route).unwrap();
    }
    builder.finish().0
}

#[test]
fn an_escaped_slash_leads_to_a_parameter_that_takes_it_and_nowhere_else() {
    let routes = with_slash_in(&[
        ("/projects/{project}", &["GET"], &["project"]),
        ("/projects/{name}", &["PUT"], &[]),
        ("/projects/{project}/files/{file}", &[], &["file"]),
        ("/projects/{project}/**", &[], &["project"]),
        ("/other/{x}", &[], &[]),
        ("/**", &[], &[]),
    ]);
    for (path, expected) in [
        ("/projects/group%2Fname", "/projects/{project}"),
        ("/projects/group%2fsub%2Fname", "/projects/{project}"),
        ("/%70rojects/a%2Fb", "/projects/{project}"),
        ("/projects/7/files/src%2Fmain.rs", "/projects/{project}/files/{file}"),
        ("/projects/a%2Fb/files/7", "slash"),
        ("/projects/a%2Fb/files/c%2Fd", "slash"),
        ("/projects/a%2Fb/hooks", "/projects/{project}/**"),
        ("/projects/a%2Fb/hooks/c%2Fd", "slash"),
        ("/projects%2F7", "slash"),
        ("/other/a%2Fb", "slash"),
        ("/a%2Fb", "slash"),
        ("/nowhere/a%2Fb", "slash"),
    ] {
        assert_eq!(find(&routes, "GET", path), expected, "{path}");
    }
    assert_eq!(find(&routes, "PUT", "/projects/a%2Fb"), "slash", "of another route of the same paths");
    assert_eq!(find(&routes, "PUT", "/projects/a"), "/projects/{name}");
    assert_eq!(find(&routes, "DELETE", "/projects/a%2Fb"), "only GET HEAD PUT");
    assert_eq!(find(&with_slash_in(&[("/a", &[], &[])]), "GET", "/a%2Fb"), "slash", "not even unknown");
    assert!(!Pattern::parse("/a/{x}/**").unwrap().allow_slash_in("y"));
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
    for methods in [&["GET"][..], &["HEAD"], &["HEAD", "GET"]] {
        let conflict = builder.add(route("/a/{z}", methods, false)).unwrap_err();
        assert!(matches!(conflict, RouteConflict::Shadowed { by, .. } if &*by.name == "/a/{x}"));
    }
}

#[test]
fn a_route_that_shares_only_some_of_its_methods_is_another_conflict() {
    let shared = |first: &[&str], second: &[&str]| {
        let mut builder = RoutesBuilder::new();
        builder.add(route("/a/{x}", first, false)).unwrap();
        match builder.add(route("/a/{y}", second, false)).unwrap_err() {
            RouteConflict::Overlapping { shared, takes_all, .. } => (shared.join(" "), takes_all),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(shared(&["GET"], &[]), ("GET".to_owned(), true));
    assert_eq!(shared(&["POST", "GET"], &["GET", "DELETE", "POST"]), ("POST GET".to_owned(), false));
    assert_eq!(shared(&["HEAD"], &["GET"]), ("HEAD".to_owned(), false));
}

#[test]
fn an_open_parameter_beside_something_stricter_is_a_conflict() {
    let conflicts = |open: &str, stricter: &str| {
        let mut builder = RoutesBuilder::new();
        builder.add(route(open, &[], true)).unwrap();
        builder.add(route(stricter, &[], false)).unwrap();
        let is_open = |conflict: &RouteConflict| matches!(conflict, RouteConflict::OpenParameter { .. });
        builder.finish().1.iter().filter(|conflict| is_open(conflict)).count()
    };
    for (open, stricter, expected) in [
        ("/{a}", "/orders", 1),
        ("/{a}/x", "/admin/**", 1),
        ("/{a}/{b}", "/{a}/keys", 1),
        ("/x/{a}", "/x%3A/b", 0),
        ("/{a}", "/", 0),
        ("/x/{a}", "/x/", 0),
        ("/{a}", "/orders/{id}", 0),
        ("/orders", "/{a}", 0),
        ("/{a}/b", "/c/{d}", 1),
        ("/a/{b}", "/{c}/d", 0),
        ("/{a}/**", "/orders", 0),
    ] {
        assert_eq!(conflicts(open, stricter), expected, "{open} {stricter}");
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
fn one_pattern_may_be_open_for_reading_only() {
    let mut builder = RoutesBuilder::new();
    builder.add(route("/a/**", &["GET"], true)).unwrap();
    builder.add(route("/a/**", &["POST"], false)).unwrap();
    assert_eq!(builder.finish().1, []);
}

#[test]
fn an_open_catch_all_covers_literals_by_its_parameters() {
    let conflicts = |open: &str, stricter: &str| {
        let mut builder = RoutesBuilder::new();
        builder.add(route(open, &[], true)).unwrap();
        builder.add(route(stricter, &[], false)).unwrap();
        builder.finish().1.len()
    };
    for (open, stricter, expected) in [
        ("/{a}/**", "/admin/keys", 1),
        ("/{a}/x/**", "/admin/x/{key}", 1),
        ("/{a}/**", "/admin/keys/**", 1),
        ("/{a}/{b}/**", "/{a}/keys/{id}", 1),
        ("/a/**", "/{x}/b", 0),
        ("/{a}/x:y/**", "/admin/x%3Ay/{key}", 1),
        ("/{a}/x/**", "/admin/y/{key}", 0),
        ("/{a}/**", "/admin", 0),
        ("/{a}/**", "/admin/", 1),
    ] {
        assert_eq!(conflicts(open, stricter), expected, "{open} {stricter}");
    }
}

#[test]
fn an_escape_does_not_lead_around_a_literal() {
    let routes = routes(&[("/orders:batch", &[]), ("/{x}", &[]), ("/a%40b", &[]), ("/a%20b", &[])]);
    for (path, expected) in [
        ("/orders:batch", "/orders:batch"),
        ("/orders%3Abatch", "/orders:batch"),
        ("/a@b", "/a%40b"),
        ("/a%40b", "/a%40b"),
        ("/a%20b", "/a%20b"),
        ("/a%20c", "/{x}"),
    ] {
        assert_eq!(find(&routes, "GET", path), expected, "{path}");
    }
    let mut builder = RoutesBuilder::new();
    builder.add(route("/a:b", &[], false)).unwrap();
    assert!(builder.add(route("/a%3Ab", &[], false)).is_err());
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
