//! Paths that look like one of another route, against what servers do with paths.

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
