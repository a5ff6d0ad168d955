//! `profile: fapi2` of a resource: what the FAPI 2.0 Security Profile (§5.3.4, §5.4) demands of the issuers and routes that are
//! written beside it. In: the table of the resource, its issuers. Out: findings; and for `check`, what the profile means.
//! Not here: what it demands of each request (`policy::Profile`).

use std::rc::Rc;
use std::time::Duration;

use crate::config::reading::finding::{Findings, Place, quoted};
use crate::config::reading::table::At;
use crate::config::reading::values::span_text;
use crate::config::resource::keys::ResourceTable;
use crate::config::route::access::{AccessSetting, BoundSetting};
use crate::jose::Algorithm;
use crate::policy::{Issuer, Profile, Resource};

/// §5.3.2.1: `iat` and `nbf` up to 10 seconds in the future are good. More than 60 are not, and no leeway can be longer.
const LEAST_LEEWAY: Duration = Duration::from_secs(10);

pub(in crate::config) fn check(table: &ResourceTable, issuers: &[(&Place, Rc<Issuer>)], findings: &mut Findings) {
    for (at, issuer) in issuers {
        check_issuer(at, issuer, findings);
    }
    for At { value: route, .. } in table.routes.iter().flatten() {
        if route.access == AccessSetting::Token && route.bound == Some(BoundSetting::WhenBound) {
            findings.add(
                &route.at.key("bound"),
                "lets tokens pass that are not bound, which profile: fapi2 of the resource forbids",
                "Remove it, or write bound: mtls.",
            );
        }
    }
    for At { value: route, .. } in
        table.routes.iter().flatten().filter(|route| route.value.access == AccessSetting::Key)
    {
        let finding = "lets clients pass without a token, which profile: fapi2 of the resource forbids";
        findings.add(&route.at.key("access"), finding, "Put the route into a resource of its own.");
    }
    let headers = table.forward.headers.iter().flat_map(|headers| &headers.0).map(|(name, entry)| (&**name, &entry.at));
    let stripped = table.forward.strip.iter().flatten().map(|header| (&*header.value.0, &header.at));
    for (_, at) in headers.chain(stripped).filter(|(name, _)| *name == Profile::INTERACTION_ID) {
        findings.add(at, "goes upstream as profile: fapi2 of the resource has it", "Remove it.");
    }
}

fn check_issuer(at: &Place, issuer: &Issuer, findings: &mut Findings) {
    let (name, place) = (quoted(&issuer.origin.name), &issuer.origin.path);
    if !issuer.algorithms.is_empty() && admitted(issuer).next().is_none() {
        findings.add(
            at,
            format!("{name} lists neither PS256 nor ES256 nor Ed25519, and profile: fapi2 takes no others"),
            format!("Have it sign with one of them, and write that into {place}.algorithms."),
        );
    }
    if issuer.leeway < LEAST_LEEWAY {
        findings.add(
            at,
            format!(
                "{name} has a leeway of {}, and with profile: fapi2 tokens from 10s in the future are good",
                span_text(issuer.leeway)
            ),
            format!("Raise {place}.leeway to 10s or more."),
        );
    }
    if issuer.form.insecure_no_audience {
        findings.add(
            at,
            format!("{name} may leave out whom a token is for, which profile: fapi2 forbids"),
            format!("Have it write aud, and remove {place}.insecure_no_audience."),
        );
    }
}

fn admitted(issuer: &Issuer) -> impl Iterator<Item = Algorithm> {
    issuer.algorithms.iter().copied().filter(|algorithm| Profile::Fapi2.admits(*algorithm))
}

/// What the profile of a resource means. `None` where there is none.
pub(in crate::config) fn meaning(resource: &Resource) -> Option<String> {
    if resource.profile != Profile::Fapi2 {
        return None;
    }
    let names = |algorithms: &mut dyn Iterator<Item = Algorithm>| {
        algorithms.map(Algorithm::name).collect::<Vec<_>>().join(", ")
    };
    let issuer = |issuer: &Rc<Issuer>| {
        let others = names(&mut issuer.algorithms.iter().copied().filter(|other| !Profile::Fapi2.admits(*other)));
        let others = if others.is_empty() { others } else { format!(" and not {others}") };
        let (name, leeway) = (&issuer.origin.name, span_text(issuer.leeway));
        let signed = names(&mut admitted(issuer));
        let signed = if signed.is_empty() { signed } else { format!(" with {signed}{others}") };
        format!("tokens of {name}{signed}, leeway {leeway}")
    };
    let issuers = resource.issuers.iter().map(issuer);
    let bound = if resource.dpop.is_some() { "bound: any, mtls or dpop" } else { "bound: mtls" };
    let all = issuers.chain([
        format!("{bound} on every route that takes tokens"),
        format!("{} on every answer", Profile::INTERACTION_ID),
    ]);
    Some(format!("{}: profile fapi2 means {}", resource.origin.path, all.collect::<Vec<_>>().join("; ")))
}
