//! Where limits are used, whether what they go by can ever be there, and which routes have none. In: the tables of limits
//! and of resources. Out: findings, only where every use of a limit is understood.
//! Not here: whether a route can be counted by the key of its limits (`routes`), and limits that never refuse (`idle`).

use std::collections::BTreeMap;

use crate::config::keys::ConfigTable;
use crate::config::limit::keys::{LimitTable, OverrideTable};
use crate::config::limit::overrides::OF_TOKENS;
use crate::config::peer::PeerFrom;
use crate::config::reading::finding::Findings;
use crate::config::reading::table::At;
use crate::config::reading::values::Outcome;
use crate::config::resource::keys::ResourceTable;
use crate::config::route::access::AccessSetting;
use crate::config::route::keys::RouteTable;
use crate::config::route::limits_of;
use crate::policy::PeerPattern;

/// The routes that name one limit.
#[derive(Default)]
struct Uses<'c> {
    routes: Vec<&'c RouteTable>,
    /// Whether callers of some of them may have certificates.
    with_certificates: bool,
}

pub(in crate::config) fn check(config: &ConfigTable, findings: &mut Findings) {
    let mut uses: BTreeMap<&str, Uses<'_>> = BTreeMap::new();
    for At { value: resource, .. } in config.resources.iter().flatten() {
        let own = resource.peer.as_ref().and_then(|peer| peer.from.as_ref());
        let with_certificates = !matches!(own.unwrap_or(&config.peer.from), PeerFrom::MeshPrincipal);
        for At { value: route, .. } in resource.routes.iter().flatten() {
            for name in limits_of(resource, route) {
                let uses = uses.entry(&*name.value.0).or_default();
                uses.routes.push(route);
                uses.with_certificates |= with_certificates;
            }
        }
        unlimited(resource, findings);
    }
    for (name, At { value, .. }) in config.limits.iter().flat_map(|limits| &limits.0) {
        if let (Some(table), Some(uses)) = (value, uses.get(name.as_str())) {
            limit(table, uses, findings);
        }
    }
}

/// Routes of which nobody says whether they have limits, beside routes that have: forgetting is unlimited.
fn unlimited(resource: &ResourceTable, findings: &mut Findings) {
    let routes = || resource.routes.iter().flatten().map(|route| &route.value);
    let Some(limited) = routes().find(|route| !limits_of(resource, route).is_empty()) else { return };
    if resource.wrote("limits") {
        return;
    }
    let mut forgotten = routes().filter(|route| !route.wrote("limits"));
    let Some(first) = forgotten.next() else { return };
    let more = match forgotten.count() {
        0 => String::new(),
        more => format!(" (and {more} more here)"),
    };
    findings.warn(
        &first.at,
        format!("has no limits{more}, and {} has some", limited.at.as_str()),
        "Write limits on it or, for all routes, on the resource; limits: none where none are meant.",
    );
}

fn limit(table: &LimitTable, uses: &Uses<'_>, findings: &mut Findings) {
    let unclear = |route: &RouteTable| ["access", "peers"].iter().any(|key| findings.touch(&route.at.key(key)));
    let routes = || uses.routes.iter();
    if routes().any(|route| unclear(route)) {
        return;
    }
    let takes_tokens = routes().any(|route| route.access == AccessSetting::Token);
    let takes_keys = routes().any(|route| route.access == AccessSetting::Key);
    for item in table.on.iter().flatten().filter(|item| item.value == Outcome::Verification && !takes_tokens) {
        findings.add(
            &item.at,
            "no route with this limit takes tokens, so that nothing would ever be verified",
            "Leave it out, or name the limit at a route that takes tokens.",
        );
    }
    for At { value: other, .. } in table.overrides.iter().flatten() {
        let has = |key: &str| takes_tokens || (takes_keys && key == "client_id");
        let of_tokens = OF_TOKENS.iter().filter(|key| other.wrote(key) && !has(key)).map(|key| other.at.key(key));
        for at in of_tokens {
            if findings.touch(&at) {
                continue;
            }
            findings.add(
                &at,
                "never met, because no route with this limit takes tokens",
                "Write peer or utc, or remove the override.",
            );
        }
        let of_certificates = other.peer.as_ref().filter(|peer| !peer.0.is_of_principals());
        if of_certificates.is_some() && !uses.with_certificates {
            findings.add(
                &other.at.key("peer"),
                "never met, because with peer.from: mesh-principal there is no certificate",
                "Write a SPIFFE ID, or remove the override.",
            );
            continue;
        }
        let meets = |peer: &PeerPattern| routes().any(|route| may_admit(route, peer));
        if of_admitted(table, other).is_some_and(|peer| !meets(peer)) {
            findings.add(
                &other.at.key("peer"),
                "never met, because no route with this limit admits such a peer",
                "Write one that the peers of a route admit, or remove the override.",
            );
        }
    }
}

/// The peer of an override that only those meet who are let in; refusals are counted for others too.
fn of_admitted<'c>(table: &LimitTable, other: &'c OverrideTable) -> Option<&'c PeerPattern> {
    other.peer.as_ref().map(|peer| &peer.0).filter(|_| !table.wrote("on"))
}

/// Whether some peer that `pattern` admits may pass; a route without a list asks nobody who it is.
fn may_admit(route: &RouteTable, pattern: &PeerPattern) -> bool {
    let Some(peers) = &route.peers else { return true };
    peers.iter().any(|peer| peer.value.0.may_meet(pattern))
}
