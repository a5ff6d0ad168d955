//! Where it is read who calls. In: the keys `peer.from` and `resources[].peer`. Out: a [`PeerSource`], or findings, also about what
//! no caller by that source ever has.

pub(in crate::config) mod keys;
pub(in crate::config) mod patterns;

use std::rc::Rc;

use crate::config::keys::ConfigTable;
use crate::config::peer::keys::{PeerFromTable, TrustedHopsTable};
use crate::config::peer::patterns::PeerText;
use crate::config::reading::finding::{Findings, Place, quoted};
use crate::config::reading::table::{At, Key, Written, not_what};
use crate::config::resource::keys::ResourceTable;
use crate::config::route::access::{AccessSetting, BoundSetting};
use crate::json::Value;
use crate::policy::{ConveyedIn, Fact, PeerPattern, PeerRule, PeerSource, TrustedHops};

/// Where the client's certificate is read.
#[derive(Debug)]
pub(in crate::config) enum PeerFrom {
    /// The TLS connection that ends at this proxy.
    Tls,
    /// Filter state of the mesh.
    MeshPrincipal,
    /// A header of a hop in front.
    Hop(Box<PeerFromTable>),
}

const REMEDY: &str =
    "Write \"tls\", \"mesh-principal\", { xfcc: { trusted: [...] } } or { client_cert: { trusted: [...] } }.";

impl Key for PeerFrom {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        match value {
            Value::Object(_) => return PeerFromTable::read(value, at, findings).map(Box::new).map(Self::Hop),
            Value::Text(word) => match word.as_str() {
                "tls" => return Some(Self::Tls),
                "mesh-principal" => return Some(Self::MeshPrincipal),
                "xfcc" | "client_cert" => {
                    let remedy = format!(
                        "Write {{ {word}: {{ trusted: [\"spiffe://...\"] }} }}, with the SPIFFE IDs of the hops in front."
                    );
                    findings.add(at, format!("\"{word}\" lacks the hops whose word is taken"), remedy);
                }
                _ => findings.add(at, format!("{} is unknown here", quoted(word)), REMEDY),
            },
            other => findings.add(at, not_what(other, "a word or a table"), REMEDY),
        }
        None
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "oneOf": [{ "const": "tls" }, { "const": "mesh-principal" }, PeerFromTable::schema()] })
    }
}

impl Written for PeerFrom {
    fn written(&self) -> serde_json::Value {
        match self {
            Self::Tls => "tls".into(),
            Self::MeshPrincipal => "mesh-principal".into(),
            Self::Hop(_) => serde_json::json!({}),
        }
    }
}

/// The source of all resources that have none of their own.
pub(in crate::config) fn default(config: &ConfigTable, findings: &mut Findings) -> Rc<PeerSource> {
    Rc::new(source(&config.peer.from, findings).unwrap_or_default())
}

/// The source of a resource.
pub(in crate::config) fn of_resource(
    table: &ResourceTable,
    default: &Rc<PeerSource>,
    findings: &mut Findings,
) -> Rc<PeerSource> {
    let from = table.peer.as_ref().and_then(|peer| peer.from.as_ref());
    from.and_then(|from| source(from, findings)).map_or_else(|| default.clone(), Rc::new)
}

fn source(from: &PeerFrom, findings: &mut Findings) -> Option<PeerSource> {
    let table = match from {
        PeerFrom::Tls => return Some(PeerSource::Tls),
        PeerFrom::MeshPrincipal => return Some(PeerSource::MeshPrincipal),
        PeerFrom::Hop(table) => table,
    };
    let (header, hops) = match (&table.xfcc, &table.client_cert) {
        (Some(hops), None) => (ConveyedIn::Xfcc, hops),
        (None, Some(hops)) => (ConveyedIn::ClientCert, hops),
        (Some(_), Some(_)) => {
            let remedy = "Name the one that the hops in front write; resources[].peer may name another.";
            findings.add(&table.at, "names two sources, which could contradict each other", remedy);
            return None;
        }
        (None, None) => {
            if !findings.touch(&table.at) {
                findings.add(&table.at, "names no source", REMEDY);
            }
            return None;
        }
    };
    Some(PeerSource::Hop(TrustedHops { header, trusted: trusted(hops, findings)?, direct: hops.direct }))
}

/// What routes of a resource demand that callers by this source never have.
pub(in crate::config) fn check(table: &ResourceTable, source: &PeerSource, findings: &mut Findings) {
    if *source != PeerSource::MeshPrincipal {
        return;
    }
    if table.require_tls.is_some() {
        findings.add(
            &table.at.key("require_tls"),
            "never met, because with peer.from: mesh-principal the connection has no TLS here",
            "Remove it, and set the version where the mesh ends TLS.",
        );
    }
    let told = table.forward.headers.iter().chain(&table.forward.filter_state).flat_map(|told| &told.0);
    let thumbprints = told.filter(|(_, told)| told.value.as_ref().is_some_and(|told| told.0 == Fact::Thumbprint));
    for (_, told) in thumbprints {
        findings.warn(
            &told.at,
            "never there, because with peer.from: mesh-principal there is no certificate".to_owned(),
            "Write peer, which is the SPIFFE ID, or forward.strip where a caller's own is only to be removed.",
        );
    }
    for At { value: route, at } in table.routes.iter().flatten() {
        let bound = at.key("bound");
        let takes_tokens = route.access == AccessSetting::Token && !findings.touch(&at.key("access"));
        let by_certificate = match route.bound {
            Some(bound) => bound == BoundSetting::Mtls,
            None => table.origin.is_none(),
        };
        if takes_tokens && by_certificate && !findings.touch(&bound) {
            findings.add(
                &bound,
                "mtls needs the certificate of the caller, and with peer.from: mesh-principal there is none, so that no token would pass",
                "Write bound: when-bound, with peers for the workloads that may use one; or another peer.from for the resource.",
            );
        }
        for peer in route.peers.iter().flatten().filter(|peer| !peer.value.0.is_of_principals()) {
            findings.add(
                &peer.at,
                "never met, because with peer.from: mesh-principal there is no certificate",
                "Write a SPIFFE ID, or another peer.from for the resource.",
            );
        }
    }
}

fn trusted(hops: &TrustedHopsTable, findings: &mut Findings) -> Option<PeerRule> {
    const HOPS: &str = "Write the SPIFFE IDs of the proxies in front.";
    let at = hops.at.key("trusted");
    let written = hops.trusted.as_deref()?;
    if written.is_empty() && !findings.touch(&at) {
        findings.add(&at, "an empty list, so that nobody would be believed", HOPS);
    }
    for hop in written {
        let PeerText(pattern) = &hop.value;
        if *pattern == PeerPattern::Any {
            findings.add(&hop.at, "lets every client with a certificate speak for all others", HOPS);
        }
    }
    Some(PeerRule(written.iter().map(|hop| hop.value.0.clone()).collect()))
}
