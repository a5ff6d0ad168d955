//! Proofs of possession (RFC 9449): `origin`, `dpop` and `bound`. In: the tables of a resource and its routes. Out: [`DpopRule`],
//! [`BindingRule`], or findings.

use std::rc::Rc;

use crate::config::keys::ConfigTable;
use crate::config::reading::doubts::DoubtSetting;
use crate::config::reading::finding::{Findings, quoted};
use crate::config::reading::table::{At, Mistake, TextKey};
use crate::config::reading::values::set;
use crate::config::resource::keys::ResourceTable;
use crate::config::route::access::BoundSetting;
use crate::config::route::keys::RouteTable;
use crate::http::{HttpsUrl, TargetUri};
use crate::jose::Algorithm;
use crate::policy::{BindingRule, DpopRule, Hosts, Profile, Resource};

/// What common clients sign with. RSA with the old padding only where it is written.
const USUAL: [Algorithm; 4] = [Algorithm::Es256, Algorithm::Ps256, Algorithm::Ed25519, Algorithm::EdDsa];

/// Where clients find a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct OriginUrl(pub(in crate::config) TargetUri);

impl TextKey for OriginUrl {
    const WHAT: &'static str = "an https URL";
    const EXAMPLE: &'static str = r#"one like "https://api.example.com""#;

    fn parse(text: &str) -> Result<Self, Mistake> {
        let write = || format!("Write {}.", Self::EXAMPLE);
        <HttpsUrl as TextKey>::parse(text).map_err(|mistake| Mistake::new(mistake.finding, write()))?;
        if text.contains('?') {
            return Err(Mistake::new(format!("{} has a query", quoted(text)), write()));
        }
        let origin = TargetUri::parse(text);
        origin.map(Self).ok_or_else(|| Mistake::new(format!("{} is none", quoted(text)), write()))
    }

    fn restrict(schema: &mut serde_json::Value) {
        set(schema, "pattern", "^https://");
    }
}

/// What is demanded of proofs, where the resource says where clients find it.
pub(in crate::config) fn compile(
    table: &ResourceTable,
    profile: Profile,
    takes_tokens: bool,
    findings: &mut Findings,
) -> Option<DpopRule> {
    let at = table.at.key("dpop");
    let Some(OriginUrl(origin)) = &table.origin else {
        if table.wrote("dpop") && !findings.touch(&table.at.key("origin")) {
            findings.add(
                &at,
                "means nothing without origin",
                "Write where clients find the resource: origin: https://….",
            );
        }
        return None;
    };
    if table.wrote("dpop") && !takes_tokens && !findings.touch(&table.at.key("routes")) {
        findings.add(&at, "means nothing, because no route takes tokens", "Remove it.");
    }
    let written = table.dpop.algorithms.as_deref();
    let at = at.key("algorithms");
    if written.is_some_and(<[_]>::is_empty) && !findings.touch(&at) {
        findings.add(&at, "an empty list, so that no proof could pass", "Write algorithms, or remove the key.");
    }
    let mut algorithms: Vec<Algorithm> = Vec::new();
    for At { at, value } in written.into_iter().flatten() {
        if !profile.admits(value.0) {
            findings.add(at, "is none of those that profile: fapi2 of the resource takes", "Remove it.");
        } else if algorithms.contains(&value.0) {
            findings.add(at, "stands there twice", "Remove one.");
        } else {
            algorithms.push(value.0);
        }
    }
    Some(DpopRule {
        origin: origin.clone(),
        algorithms: if written.is_some() { algorithms } else { USUAL.to_vec() },
        nonce: table.dpop.nonce.then(|| origin.to_string().into()),
        max_age: table.dpop.max_age.0,
        leeway: table.dpop.leeway.0,
        forward: table.dpop.forward,
    })
}

/// Resources before this one whose clients make proofs that are good here as well: each proof is remembered once, for as long as the
/// first that takes it would.
pub(in crate::config) fn check_shared(
    table: &ResourceTable,
    resource: &Resource,
    before: &[Rc<Resource>],
    findings: &mut Findings,
) {
    let differs = |other: &&Rc<Resource>| match (&resource.dpop, &other.dpop) {
        (Some(rule), Some(other)) => rule.outlasts_or_is_outlasted(other),
        _ => false,
    };
    if let Some(other) = before.iter().find(differs) {
        let what = format!(
            "has another nonce or max_age than {}, although proofs for one origin may be good at the other",
            other.origin.path
        );
        findings.add(&table.at.key("dpop"), what, "Write the same for both, or other origins.");
    }
}

/// Whether resources are found under the hosts that proofs name.
pub(in crate::config) fn check(config: &ConfigTable, hosts: &Hosts, findings: &mut Findings) {
    for At { value: table, .. } in config.resources.iter().flatten() {
        let Some(OriginUrl(origin)) = &table.origin else { continue };
        let found = hosts.find(origin.authority());
        if found.is_none_or(|found| *found.origin.path != *table.at.as_str()) && !findings.touch(&table.at.key("hosts"))
        {
            findings.doubt(
                DoubtSetting::OriginHost,
                &table.at,
                &table.at.key("origin"),
                format!(
                    "the host {} is none of those of this resource, and a proof for another is refused",
                    quoted(origin.authority().as_str())
                ),
                "Write the URL as clients of this resource name it.",
            );
        }
    }
}

/// How tokens of a route are bound.
pub(in crate::config) fn binding(route: &RouteTable, resource: &ResourceTable, findings: &mut Findings) -> BindingRule {
    let takes_proofs = resource.origin.is_some();
    let needs_origin = matches!(route.bound, Some(BoundSetting::Any | BoundSetting::Dpop));
    if needs_origin && !takes_proofs && !findings.touch(&resource.at.key("origin")) {
        let remedy = "Write where clients find it: origin: https://…, or bound: mtls.";
        findings.add(&route.at.key("bound"), "needs origin of the resource, which proofs of a key name", remedy);
    }
    bound(route, takes_proofs)
}

/// The same of a route that is right.
pub(in crate::config) fn bound(route: &RouteTable, takes_proofs: bool) -> BindingRule {
    match route.bound {
        Some(BoundSetting::Mtls) => BindingRule::Mtls,
        Some(BoundSetting::Dpop) => BindingRule::Dpop,
        Some(BoundSetting::Any) => BindingRule::Any,
        Some(BoundSetting::WhenBound) => BindingRule::WhenBound,
        None if takes_proofs => BindingRule::Any,
        None => BindingRule::Mtls,
    }
}
