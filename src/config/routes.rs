//! Routes: what each demands, what it is counted by, and whether they fit together. In: the tables of one resource, and
//! limits by name. Out: [`Routes`].

use std::rc::Rc;

use crate::config::access::{AccessWord, BoundWord, ParameterName};
use crate::config::defined::Defined;
use crate::config::finding::{Findings, Place, quoted};
use crate::config::keys::{ResourceTable, RouteTable};
use crate::config::table::At;
use crate::policy::{
    Access, BindingRule, Charge, Charges, Limit, MethodSet, Origin, Pattern, PeerRule, Route, RouteConflict, Routes,
    RoutesBuilder, ScopeRule, TokenRule,
};

/// Whether a route of the resource takes tokens.
pub(super) fn take_tokens(table: &ResourceTable, findings: &Findings) -> bool {
    let takes = |route: &&RouteTable| route.access == AccessWord::Token && !findings.touch(&route.at.key("access"));
    table.routes.iter().flatten().map(|route| &route.value).any(|route| takes(&route))
}

pub(super) fn compile(
    table: &ResourceTable,
    resource: &str,
    limits: &Defined<Limit>,
    findings: &mut Findings,
) -> Routes {
    let at = table.at.key("routes");
    let written = table.routes.as_deref().unwrap_or_default();
    if written.is_empty() && !findings.touch(&at) {
        findings.add(&at, "an empty list, so that nothing would be served", "Write what is served.");
    }
    let mut builder = RoutesBuilder::new();
    for At { value: table, .. } in written {
        let Some(route) = route(table, resource, limits, findings) else { continue };
        if let Err(conflict) = builder.add(route) {
            report(&conflict, findings);
        }
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
            format!("never reached: {} ({}) has the same paths and methods", by.path, quoted(&by.name)),
            "Remove one of both, or give them different methods.",
        ),
        RouteConflict::WeakerCatchAll { route, under } => findings.add(
            &Place::of(route),
            format!("open to everybody, and above {} ({}), which is not", under.path, quoted(&under.name)),
            "Name the public paths one by one, or a ** that has only public paths below it.",
        ),
    }
}

fn route(table: &RouteTable, resource: &str, limits: &Defined<Limit>, findings: &mut Findings) -> Option<Route> {
    let methods = methods(table, findings);
    let access = access(table, findings);
    let limits = charges(table, limits, findings);
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
        limits,
        preflight: table.preflight,
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
fn access(table: &RouteTable, findings: &mut Findings) -> Option<Access> {
    if findings.touch(&table.at.key("access")) {
        return None;
    }
    let mut senseless = |keys: &[&str], why: &str| {
        for key in keys.iter().filter(|key| table.wrote(key)) {
            findings.add(&table.at.key(key), why, "Remove it, or write access: token.");
        }
    };
    match table.access {
        AccessWord::Public => {
            senseless(&["bound", "scopes", "peers"], "means nothing on a public route");
            Some(Access::Public)
        }
        AccessWord::Peer => {
            senseless(&["bound", "scopes"], "is asked of tokens, and this route takes none");
            let at = table.at.key("peers");
            let peers = peers(table, findings);
            if peers.is_none() && !findings.touch(&at) {
                findings.add(
                    &at,
                    "missing, and access: peer needs it",
                    "Write SPIFFE IDs, or [\"*\"] for every validated certificate.",
                );
            }
            Some(Access::Peer(peers?))
        }
        AccessWord::Token => Some(Access::Token(TokenRule {
            binding: match table.bound {
                BoundWord::Mtls => BindingRule::Mtls,
                BoundWord::WhenBound => BindingRule::WhenBound,
            },
            scopes: table.scopes.as_ref().map_or_else(ScopeRule::default, |scopes| ScopeRule {
                all: scopes.all.clone(),
                any: scopes.any.clone(),
            }),
            peers: peers(table, findings),
        })),
    }
}

fn peers(table: &RouteTable, findings: &mut Findings) -> Option<PeerRule> {
    let written = table.peers.as_ref()?;
    let at = table.at.key("peers");
    if written.is_empty() && !findings.touch(&at) {
        findings.add(
            &at,
            "an empty list, so that nobody could pass",
            "Write SPIFFE IDs, or [\"*\"] for every validated certificate.",
        );
    }
    Some(PeerRule(written.iter().map(|peer| peer.value.0.clone()).collect()))
}

fn charges(table: &RouteTable, limits: &Defined<Limit>, findings: &mut Findings) -> Charges {
    if findings.touch(&table.at.key("limits")) {
        limits.reference_unclear();
    }
    let resolved = limits.resolve(table.limits.as_deref().unwrap_or_default(), findings);
    if table.wrote("cost") && !table.wrote("limits") {
        findings.add(&table.at.key("cost"), "means nothing without limits", "Name limits, or remove it.");
    }
    let cost = table.cost.0;
    let has_token = table.access == AccessWord::Token || findings.touch(&table.at.key("access"));
    for (at, limit) in &resolved {
        let bursts = limit.overrides.iter().map(|other| other.allowance.quota.burst());
        let smallest = bursts.fold(limit.allowance.quota.burst(), u32::min);
        if cost > smallest {
            let finding = format!(
                "{cost} is above the burst of limit {} ({smallest}), so that no request could ever pass",
                quoted(&limit.origin.name),
            );
            findings.add(
                &table.at.key("cost"),
                finding,
                format!("Raise {}.burst or lower the cost.", limit.origin.path),
            );
        }
        if let Some(part) = limit.parts().iter().find(|part| part.needs_token() && !has_token) {
            let finding =
                format!("limit {} counts by {}, and this route takes no token", quoted(&limit.origin.name), part);
            findings.add(at, finding, "Choose a limit by peer or ip.");
        }
    }
    resolved.iter().map(|(_, limit)| Charge { limit: Rc::clone(limit), cost }).collect()
}
