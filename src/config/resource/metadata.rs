//! The metadata of a resource (RFC 9728), as its routes enforce it. In: the table of the resource, its issuers. Out: the route on which the
//! filter itself serves the document, and its URL, which challenges name.
//! Not here: serving it (`exchange`, `verdict`).

use std::rc::Rc;

use serde_json::{Map, Value, json};

use crate::config::keys::ConfigTable;
use crate::config::reading::doubts::DoubtSetting;
use crate::config::reading::finding::{Findings, Place, quoted};
use crate::config::reading::table::At;
use crate::config::resource::dpop;
use crate::config::resource::keys::ResourceTable;
use crate::config::route::access::AccessSetting;
use crate::http::HttpsUrl;
use crate::policy::{
    Access, BindingRule, BodyRule, Charges, DpopRule, Hosts, Issuer, MethodSet, Origin, Pattern, PeerSource, Route,
};

/// RFC 9728 §3.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// A document that is served.
pub(in crate::config) struct Served {
    pub(in crate::config) route: Route,
    pub(in crate::config) url: Box<str>,
}

/// That of the resource, if it is to have one.
pub(in crate::config) fn of_resource(
    table: &ResourceTable,
    name: &str,
    issuers: &[(&Place, Rc<Issuer>)],
    peer: &PeerSource,
    proofs: Option<&DpopRule>,
    takes_tokens: bool,
    findings: &mut Findings,
) -> Option<Served> {
    let identifier = table.metadata.as_ref()?;
    let at = table.at.key("metadata");
    if !takes_tokens && !findings.touch(&table.at.key("routes")) {
        findings.add(&at, "means nothing, because no route takes tokens", "Remove it.");
    }
    if table.wrote("resource_metadata") {
        findings.add(
            &table.at.key("resource_metadata"),
            "stands beside metadata",
            "Remove it: challenges name the document.",
        );
    }
    let own = if &*identifier.path == "/" { "" } else { &*identifier.path };
    let path = format!("{WELL_KNOWN}{own}");
    let pattern =
        match Pattern::parse(&path).ok().filter(|pattern| pattern.parameters().next().is_none() && !path.contains('*'))
        {
            Some(pattern) if !path.contains('?') => pattern,
            _ => {
                let finding =
                    format!("{} has a path or a query that no document can be served at", quoted(&identifier.text));
                findings.add(&at, finding, "Write the URL of the resource as clients name it, without a query.");
                return None;
            }
        };
    let methods = MethodSet::Listed(vec!["GET".into()]);
    let route = Route {
        origin: Origin { name: "metadata".into(), path: at.as_str().into() },
        identity: format!("{name} metadata").into(),
        pattern,
        methods,
        access: Access::Public,
        body: BodyRule::default(),
        limits: Charges::default(),
        preflight: false,
        document: Some(document(table, identifier, issuers, peer, proofs).to_string().into()),
    };
    Some(Served { route, url: format!("https://{}{path}", identifier.authority).into() })
}

/// RFC 9728 §2: what is enforced here and no more. Members without a value are left out.
fn document(
    table: &ResourceTable,
    identifier: &HttpsUrl,
    issuers: &[(&Place, Rc<Issuer>)],
    peer: &PeerSource,
    proofs: Option<&DpopRule>,
) -> Value {
    let routes = || table.routes.iter().flatten().map(|route| &route.value);
    let of_tokens = || routes().filter(|route| route.access == AccessSetting::Token);
    let scopes = of_tokens().filter_map(|route| route.scopes.as_ref());
    let mut scopes: Vec<&str> =
        scopes.flat_map(|scopes| scopes.all.iter().chain(&scopes.any)).map(|scope| &*scope.value.0).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let servers: Vec<&str> = issuers.iter().map(|(_, issuer)| &*issuer.issuer).collect();
    let mut members = Map::new();
    members.insert("resource".into(), (&*identifier.text).into());
    members.insert("authorization_servers".into(), servers.into());
    if !scopes.is_empty() {
        members.insert("scopes_supported".into(), scopes.into());
    }
    members.insert("bearer_methods_supported".into(), json!(["header"]));
    let rules = || of_tokens().map(|route| dpop::bound(route, proofs.is_some()));
    let by_certificate = |rule: BindingRule| rule != BindingRule::Dpop && *peer != PeerSource::MeshPrincipal;
    if rules().any(by_certificate) {
        members.insert("tls_client_certificate_bound_access_tokens".into(), true.into());
    }
    if let Some(proofs) = proofs.filter(|_| rules().any(|rule| rule != BindingRule::Mtls)) {
        let names: Vec<&str> = proofs.algorithms.iter().map(|algorithm| algorithm.name()).collect();
        members.insert("dpop_signing_alg_values_supported".into(), names.into());
        let always = rules().all(|rule| rule == BindingRule::Dpop);
        members.insert("dpop_bound_access_tokens_required".into(), always.into());
    }
    Value::Object(members)
}

/// Whether the documents are served under the hosts that they name.
pub(in crate::config) fn check(config: &ConfigTable, hosts: &Hosts, findings: &mut Findings) {
    for At { value: table, .. } in config.resources.iter().flatten() {
        let Some(identifier) = &table.metadata else { continue };
        let is_own = hosts.find(&identifier.authority).is_some_and(|found| *found.origin.path == *table.at.as_str());
        if !is_own && !findings.touch(&table.at.key("hosts")) {
            let host = quoted(identifier.authority.as_str());
            findings.add(
                &table.at.key("metadata"),
                format!("the host {host} is none of those of this resource"),
                "Write the URL as clients of this resource name it.",
            );
        }
        let audiences = || table.audiences.iter().flatten();
        let is_audience = audiences().any(|audience| *audience.value.0 == *identifier.text);
        if !is_audience && audiences().next().is_some() && !findings.touch(&table.at.key("audiences")) {
            findings.doubt(
                DoubtSetting::MetadataAudience,
                &table.at,
                &table.at.key("metadata"),
                format!("{} is none of audiences, and clients get tokens for it (RFC 8707)", quoted(&identifier.text)),
                "Write it as it stands there, or add it to audiences.",
            );
        }
    }
}
