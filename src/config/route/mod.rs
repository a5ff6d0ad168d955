//! Routes: what each demands, what it is counted by, and whether they fit together. In: the tables of one resource, and
//! limits by name. Out: [`Routes`].

pub(in crate::config) mod access;
pub(in crate::config) mod bodies;
pub(in crate::config) mod claims;
pub(in crate::config) mod keys;
pub(in crate::config) mod objects;
pub(in crate::config) mod source_ip;
pub(in crate::config) mod step_up;

use std::rc::Rc;

use crate::config::peer::patterns::PeerText;
use crate::config::reading::defined::Defined;
use crate::config::reading::doubts::DoubtSetting;
use crate::config::reading::finding::{Findings, Place, quoted};
use crate::config::reading::table::At;
use crate::config::reading::values::Name;
use crate::config::resource::keys::ResourceTable;
use crate::config::resource::{api_keys, dpop};
use crate::config::route::access::{AccessSetting, LimitNames, ParameterName, Scope, SubjectSetting};
use crate::config::route::keys::RouteTable;
use crate::policy::{
    Access, ApiKeys, Charge, Charges, Counts, Fact, KeyRule, Limit, MethodSet, Origin, Pattern, PeerRule, Route,
    RouteConflict, Routes, RoutesBuilder, ScopeRule, SubjectKind, SubjectRule, TokenRule,
};

/// What most services have, for remedies.
pub(in crate::config) const USUAL_METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"];

/// The keys of a route that are asked of tokens only.
const OF_TOKENS: &[&str] = &["bound", "source_ip", "subject", "claims", "where", "step_up", "introspection_ttl"];

/// Whether a route of the resource takes tokens.
pub(in crate::config) fn take_tokens(table: &ResourceTable, findings: &Findings) -> bool {
    let takes = |route: &&RouteTable| route.access == AccessSetting::Token && !findings.touch(&route.at.key("access"));
    table.routes.iter().flatten().map(|route| &route.value).any(|route| takes(&route))
}

/// The names of the limits of a route: its own, or those of the resource.
pub(in crate::config) fn limits_of<'c>(resource: &'c ResourceTable, route: &'c RouteTable) -> &'c [At<Name>] {
    let written = if route.wrote("limits") { &route.limits } else { &resource.limits };
    written.as_ref().map(LimitNames::names).unwrap_or_default()
}

/// The limits of the resource, each with its place.
type OfResource<'r> = Vec<(&'r Place, Rc<Limit>)>;

/// Those of all routes that have none of their own.
fn of_resource<'r>(table: &'r ResourceTable, limits: &Defined<Limit>, findings: &mut Findings) -> OfResource<'r> {
    let at = table.at.key("limits");
    if findings.touch(&at) {
        limits.reference_unclear();
    }
    let all_have_own = || table.routes.iter().flatten().all(|route| route.value.wrote("limits"));
    if table.wrote("limits") && !findings.touch(&table.at.key("routes")) && all_have_own() {
        findings.add(&at, "nobody's, because every route has limits of its own", "Remove it, or limits from a route.");
    }
    limits.resolve(table.limits.as_ref().map(LimitNames::names).unwrap_or_default(), findings)
}

pub(in crate::config) fn compile(
    table: &ResourceTable,
    resource: &str,
    limits: &Defined<Limit>,
    keys: Option<&Rc<ApiKeys>>,
    metadata: Option<Route>,
    findings: &mut Findings,
) -> Routes {
    let at = table.at.key("routes");
    let written = table.routes.as_deref().unwrap_or_default();
    if written.is_empty() && !findings.touch(&at) {
        findings.add(&at, "an empty list, so that nothing would be served", "Write what is served.");
    }
    if table.wrote("claims") && !take_tokens(table, findings) && !findings.touch(&at) {
        findings.add(&table.at.key("claims"), "is asked of tokens, and no route here takes any", "Remove it.");
    }
    let mut builder = RoutesBuilder::new();
    let of_resource = of_resource(table, limits, findings);
    for At { value: route_table, .. } in written {
        let charges = charges(route_table, table, &of_resource, limits, keys, findings);
        let Some(route) = route(route_table, table, resource, charges, keys, findings) else { continue };
        if let Err(conflict) = builder.add(route) {
            report(&conflict, findings);
        }
    }
    if let Some(Err(conflict)) = metadata.map(|metadata| builder.add(metadata)) {
        report(&conflict, findings);
    }
    let (routes, conflicts) = builder.finish();
    for conflict in conflicts {
        report(&conflict, findings);
    }
    routes
}

fn report(conflict: &RouteConflict, findings: &mut Findings) {
    match conflict {
        RouteConflict::Shadowed { route, by } => findings.add(
            &Place::of(route),
            format!("never reached: {} ({}) has the same paths and all of its methods", by.path, quoted(&by.name)),
            "Remove one of both, or give them different methods.",
        ),
        RouteConflict::Overlapping { route, by, shared, takes_all } => {
            let is_free = |method: &&&str| **method != "HEAD" && !shared.iter().any(|shared| **shared == ***method);
            let free: Vec<&str> = USUAL_METHODS.iter().filter(is_free).copied().collect();
            let remedy = match takes_all {
                true => format!("Without methods it takes all. Write those it is for, like [{}].", free.join(", ")),
                false => format!("Leave {} out of one of both.", shared.join(", ")),
            };
            findings.add(
                &Place::of(route),
                format!(
                    "takes {} as well, which {} ({}) takes for the same paths",
                    shared.join(", "),
                    by.path,
                    quoted(&by.name)
                ),
                remedy,
            );
        }
        RouteConflict::OpenParameter { route, beside } => findings.doubt(
            DoubtSetting::OpenParameter,
            &Place::of(route),
            &Place::of(route),
            format!(
                "open to everybody, and its {{parameter}} takes whatever {} ({}) does not: a path that is mistyped there is open",
                beside.path,
                quoted(&beside.name)
            ),
            "Name the public paths one by one.",
        ),
        RouteConflict::WeakerCatchAll { route, under } => findings.add(
            &Place::of(route),
            format!("open to everybody, and above {} ({}), which is not", under.path, quoted(&under.name)),
            "Name the public paths one by one, or a ** that has only public paths below it.",
        ),
    }
}

fn route(
    table: &RouteTable,
    whole: &ResourceTable,
    resource: &str,
    limits: Charges,
    keys: Option<&Rc<ApiKeys>>,
    findings: &mut Findings,
) -> Option<Route> {
    let methods = methods(table, findings);
    let access = access(table, whole, keys, findings);
    let mut pattern = table.path.as_ref()?.0.clone();
    allow_slashes(table, &mut pattern, findings);
    let name = match (&table.name, &methods) {
        (Some(name), _) => name.0.to_string(),
        (None, MethodSet::Any) => pattern.to_string(),
        (None, MethodSet::Listed(listed)) => format!("{} {pattern}", listed.join(",")),
    };
    Some(Route {
        origin: Origin { name: name.into(), path: table.at.as_str().into() },
        identity: identity(resource, &methods, &pattern).into(),
        pattern,
        methods,
        access: access?,
        body: bodies::of_route(table, findings),
        limits,
        preflight: table.preflight,
        document: None,
    })
}

/// Lets the parameters that are named for it take escaped slashes.
fn allow_slashes(table: &RouteTable, pattern: &mut Pattern, findings: &mut Findings) {
    let Some(written) = &table.slash_in else { return };
    let at = table.at.key("slash_in");
    if written.is_empty() && !findings.touch(&at) {
        findings.add(&at, "an empty list, which allows nothing", "Name parameters of the path, or remove the key.");
    }
    for At { value: ParameterName(name), at } in written {
        if !pattern.allow_slash_in(name) {
            let names: Vec<&str> = pattern.parameters().collect();
            let remedy = match &names[..] {
                [] => "It has none. Write {name} for the segment with the identifier.".to_owned(),
                names => format!("It has {}.", names.join(", ")),
            };
            findings.add(at, format!("the path has no parameter {{{name}}}"), remedy);
        }
    }
}

/// Equal for two versions of a configuration in which the route matches the same requests.
fn identity(resource: &str, methods: &MethodSet, pattern: &Pattern) -> String {
    let mut methods: Vec<&str> = methods.listed().collect();
    methods.sort_unstable();
    format!("{resource} {} {}", methods.join(","), pattern.nameless())
}

fn methods(table: &RouteTable, findings: &mut Findings) -> MethodSet {
    let Some(written) = &table.methods else { return MethodSet::Any };
    if written.is_empty() && !findings.touch(&table.at.key("methods")) {
        findings.add(
            &table.at.key("methods"),
            "an empty list, so that the route would never be reached",
            "Write methods, or remove the key for all.",
        );
    }
    let mut listed: Vec<Box<str>> = Vec::new();
    for method in written {
        if listed.contains(&method.value.0) {
            findings.add(&method.at, format!("{} stands there twice", quoted(&method.value.0)), "Remove one.");
        } else {
            listed.push(method.value.0.clone());
        }
    }
    MethodSet::Listed(listed)
}

/// `None` if what was written for `access` is not known.
fn access(
    table: &RouteTable,
    whole: &ResourceTable,
    keys: Option<&Rc<ApiKeys>>,
    findings: &mut Findings,
) -> Option<Access> {
    if findings.touch(&table.at.key("access")) {
        return None;
    }
    if table.access != AccessSetting::Key && table.wrote("api_keys") {
        let why = "means nothing on a route that takes no API keys";
        findings.add(&table.at.key("api_keys"), why, "Remove it, or write access: key.");
    }
    let mut senseless = |others: &[&str], why: &str| {
        for key in OF_TOKENS.iter().chain(others).filter(|key| table.wrote(key)) {
            findings.add(&table.at.key(key), why, "Remove it, or write access: token.");
        }
    };
    match table.access {
        AccessSetting::Public => {
            senseless(&["scopes", "peers"], "means nothing on a public route");
            Some(Access::Public)
        }
        AccessSetting::Peer => {
            senseless(&["scopes"], "is asked of tokens, and this route takes none");
            let at = table.at.key("peers");
            let peers = peers(table.peers.as_deref(), &at, findings);
            if peers.is_none() && !findings.touch(&at) {
                findings.add(
                    &at,
                    "missing, and access: peer needs it",
                    "Write SPIFFE IDs, or [\"*\"] for every validated certificate.",
                );
            }
            Some(Access::Peer(peers?))
        }
        AccessSetting::Token => Some(Access::Token(TokenRule {
            binding: dpop::binding(table, whole, findings),
            scopes: scopes(table),
            peers: peers(table.peers.as_deref(), &table.at.key("peers"), findings),
            source_ip: source_ip::compile(table),
            subject: table.subject.map(|subject| SubjectRule {
                kind: match subject {
                    SubjectSetting::User => SubjectKind::User,
                    SubjectSetting::Client => SubjectKind::Client,
                },
                path: table.at.key("subject").as_str().into(),
            }),
            claims: [&whole.claims, &table.claims]
                .into_iter()
                .flatten()
                .flat_map(|claims| claims.0.iter().cloned())
                .collect(),
            objects: objects::compile(table, findings),
            step_up: step_up::compile(table, findings),
            asked_within: table.introspection_ttl.map(|within| within.0),
        })),
        AccessSetting::Key => {
            senseless(&[], "is asked of tokens, and this route takes none");
            let keys = keys?.clone();
            Some(Access::Key(KeyRule {
                only: api_keys::of_route(table, &keys, findings),
                keys,
                scopes: scopes(table),
                peers: peers(table.peers.as_deref(), &table.at.key("peers"), findings),
            }))
        }
    }
}

fn scopes(table: &RouteTable) -> ScopeRule {
    let written = table.scopes.as_ref();
    written.map_or_else(ScopeRule::default, |scopes| ScopeRule { all: plain(&scopes.all), any: plain(&scopes.any) })
}

pub(in crate::config) fn plain(scopes: &[At<Scope>]) -> Vec<Box<str>> {
    scopes.iter().map(|scope| scope.value.0.clone()).collect()
}

/// Those that are listed at `at`.
pub(in crate::config) fn peers(
    written: Option<&[At<PeerText>]>,
    at: &Place,
    findings: &mut Findings,
) -> Option<PeerRule> {
    let written = written?;
    if written.is_empty() && !findings.touch(at) {
        findings.add(
            at,
            "an empty list, so that nobody could pass",
            "Write SPIFFE IDs, or [\"*\"] for every validated certificate.",
        );
    }
    Some(PeerRule(written.iter().map(|peer| peer.value.0.clone()).collect()))
}

fn charges(
    table: &RouteTable,
    resource: &ResourceTable,
    of_resource: &OfResource<'_>,
    limits: &Defined<Limit>,
    keys: Option<&Rc<ApiKeys>>,
    findings: &mut Findings,
) -> Charges {
    let at_limits = table.at.key("limits");
    let is_unclear = findings.touch(&at_limits);
    if is_unclear {
        limits.reference_unclear();
    }
    let own = table.wrote("limits");
    let resolved = match own {
        true => limits.resolve(limits_of(resource, table), findings),
        false => of_resource.clone(),
    };
    if table.wrote("cost") && !is_unclear && limits_of(resource, table).is_empty() {
        findings.add(&table.at.key("cost"), "means nothing without limits", "Name limits, or remove it.");
    }
    let cost = table.cost.0;
    let has_token = table.access == AccessSetting::Token || findings.touch(&table.at.key("access"));
    let has_key = table.access == AccessSetting::Key;
    let is_missing = |part: &&Fact| part.needs_token() && !has_token && !(has_key && part.is_of_key());
    for (at, limit) in &resolved {
        affordable(table, limit, findings);
        api_keys::check_limit(keys, limit, at, findings);
        let Some(part) = limit.parts().iter().find(is_missing) else { continue };
        let name = quoted(&limit.origin.name);
        let finding = format!("limit {name} counts by {part}, and this route takes no token");
        match own {
            true => findings.add(at, finding, "Choose a limit by source, ip, peer or const.<text>."),
            false => findings.add(
                &at_limits,
                format!("missing, so that those of the resource hold: {finding}"),
                "Write limits of its own, by source, ip, peer or const.<text>, or limits: none.",
            ),
        }
    }
    resolved.iter().map(|(_, limit)| Charge { limit: Rc::clone(limit), cost }).collect()
}

/// Whether everybody can ever pay what a request costs.
fn affordable(table: &RouteTable, limit: &Limit, findings: &mut Findings) {
    let cost = table.cost.0;
    let (origin, burst) = (&limit.origin, limit.allowance.quota.burst());
    let key = if matches!(limit.counts, Counts::InFlight(_)) { "in_flight" } else { "burst" };
    if cost > burst {
        let name = quoted(&origin.name);
        let finding =
            format!("{cost} is above the {key} of limit {name} ({burst}), so that no request could ever pass");
        findings.add(&table.at.key("cost"), finding, format!("Raise {}.{key} or lower the cost.", origin.path));
    }
    // Where one is wrong, the numbers of the others are not theirs.
    let overrides = Place::of(origin).key("overrides");
    if findings.touch(&overrides) {
        return;
    }
    for (index, other) in limit.overrides.iter().enumerate() {
        let (at, burst) = (overrides.item(index), other.allowance.quota.burst());
        if cost > burst {
            let at = at.as_str();
            let finding =
                format!("{cost} is above the burst of {at} ({burst}), so that no request it is for could ever pass");
            findings.add(&table.at.key("cost"), finding, format!("Raise {at}.burst or lower the cost."));
        }
    }
}
