//! Resources: whom they trust, what goes upstream. In: their tables, issuers and limits by name. Out:
//! [`Resource`]s. Not here: their hosts (`hosts`), their routes (`routes`).

pub(in crate::config) mod addresses;
pub(in crate::config) mod api_keys;
pub(in crate::config) mod caller;
pub(in crate::config) mod dpop;
pub(in crate::config) mod fapi;
pub(in crate::config) mod hosts;
pub(in crate::config) mod keys;
pub(in crate::config) mod metadata;

use std::rc::Rc;

use crate::config::issuer::introspection;
use crate::config::issuer::revocation;
use crate::config::keys::ConfigTable;
use crate::config::reading::defined::Defined;
use crate::config::reading::finding::{Findings, Place, quoted};
use crate::config::reading::table::{At, Mistake, Named, TextKey};
use crate::config::resource::caller::{FilterStateKey, ForwardedFact, HeaderName};
use crate::config::resource::hosts::Claims;
use crate::config::resource::keys::{ForwardTable, ResourceTable};
use crate::config::route::access::{ModeSetting, ResourceProfileSetting, TlsFloorSetting};
use crate::config::{peer, route};
use crate::http::HostPattern;
use crate::policy::{
    ApiKey, ConveyedIn, Fact, ForwardRule, Issuer, Limit, Origin, PeerSource, Profile, Resource, unrouted,
};

/// Places whose findings mean that a resource or a route could not be read at all; without the numbers.
const HIDING: &[&str] = &["resources", "resources[]", "resources[].routes", "resources[].routes[]"];

pub(in crate::config) fn compile(
    config: &ConfigTable,
    default_peer: &Rc<PeerSource>,
    issuers: &Defined<Issuer>,
    api_keys: &Defined<ApiKey>,
    limits: &Defined<Limit>,
    findings: &mut Findings,
) -> Vec<Rc<Resource>> {
    let at = config.at.key("resources");
    let tables = config.resources.as_deref().unwrap_or_default();
    if tables.is_empty() && !findings.touch(&at) {
        findings.add(&at, "an empty list, so that everything would be refused", "Write what is protected.");
    }
    // A resource that could not be read may be the one that uses what seems unused.
    if findings
        .iter()
        .any(|finding| HIDING.contains(&&*finding.path.replace(|letter: char| letter.is_ascii_digit(), "")))
    {
        issuers.reference_unclear();
        api_keys.reference_unclear();
        limits.reference_unclear();
    }
    let peers: Vec<Rc<PeerSource>> =
        tables.iter().map(|table| peer::of_resource(&table.value, default_peer, findings)).collect();
    let is_read = |header: &ConveyedIn| peers.iter().chain([default_peer]).any(|peer| peer.reads(*header));
    let conveyed = [ConveyedIn::Xfcc, ConveyedIn::ClientCert].into_iter().filter(is_read).collect();
    let whole = Whole { mode: config.mode, api_keys, conveyed };
    let mut claims = Claims::default();
    let mut compiled = Vec::new();
    for (At { value: table, .. }, peer) in tables.iter().zip(&peers) {
        let hosts = claims.of(table, findings);
        if let Some(made) = resource(table, hosts, peer.clone(), &whole, issuers, limits, findings) {
            dpop::check_shared(table, &made, &compiled, findings);
            compiled.push(Rc::new(made));
        }
    }
    claims.check(findings);
    compiled
}

/// What the whole configuration says to each resource.
struct Whole<'c> {
    mode: ModeSetting,
    api_keys: &'c Defined<ApiKey>,
    /// The headers that are read as the word of hops, here or elsewhere.
    conveyed: Vec<ConveyedIn>,
}

fn resource(
    table: &ResourceTable,
    hosts: Vec<HostPattern>,
    peer: Rc<PeerSource>,
    whole: &Whole<'_>,
    issuers: &Defined<Issuer>,
    limits: &Defined<Limit>,
    findings: &mut Findings,
) -> Option<Resource> {
    let takes_tokens = route::take_tokens(table, findings);
    let issuers_at = table.at.key("issuers");
    if findings.touch(&issuers_at) {
        issuers.reference_unclear();
    }
    let trusted = issuers.resolve(table.issuers.as_deref().unwrap_or_default(), findings);
    if takes_tokens {
        let needed = |list_is_empty: bool, at: &Place, remedy: &str, findings: &mut Findings| {
            if list_is_empty && !findings.touch(at) {
                findings.add(at, "needed, because a route takes tokens", remedy);
            }
        };
        let audiences = table.audiences.as_deref().unwrap_or_default();
        needed(
            audiences.is_empty(),
            &table.at.key("audiences"),
            "Write the values of aud that mean this resource.",
            findings,
        );
        needed(
            trusted.is_empty() && table.issuers.as_deref().unwrap_or_default().is_empty(),
            &issuers_at,
            "Name the issuers trusted here.",
            findings,
        );
    }
    for (index, (at, issuer)) in trusted.iter().enumerate() {
        if trusted.iter().take(index).any(|(_, other)| other.issuer == issuer.issuer) {
            findings.add(
                at,
                "has the same iss as another issuer of this resource",
                "Name one of both: tokens could not tell them apart.",
            );
        }
    }
    let mut asking = trusted.iter().filter(|(_, issuer)| issuer.introspection.is_some());
    let first = asking.next();
    introspection::check_routes(table, first.map(|(_, issuer)| &**issuer), trusted.is_empty(), findings);
    if let (Some((_, first)), Some((at, _))) = (first, asking.next()) {
        findings.add(
            at,
            format!(
                "is asked about opaque tokens, and so is {}: they do not say whose they are",
                quoted(&first.origin.name)
            ),
            "Name one of both here. A token must not be shown to a server that did not issue it.",
        );
    }
    let profile = match table.profile {
        Some(ResourceProfileSetting::Fapi2) => Profile::Fapi2,
        None => Profile::None,
    };
    if profile == Profile::Fapi2 {
        fapi::check(table, &trusted, findings);
    }
    let first = hosts.first().map(ToString::to_string);
    let name = table.name.as_ref().map(|name| &*name.0).or(first.as_deref()).unwrap_or_default();
    let keys = api_keys::of_resource(table, whole.api_keys, findings);
    let realm = realm(table, name, &hosts, takes_tokens || keys.is_some(), findings);
    peer::check(table, &peer, findings);
    let dpop = dpop::compile(table, profile, takes_tokens, findings);
    let metadata = metadata::of_resource(table, name, &trusted, &peer, dpop.as_ref(), takes_tokens, findings);
    let (metadata, metadata_url) = metadata.map(|served| (served.route, served.url)).unzip();
    let routes = route::compile(table, name, limits, keys.as_ref(), metadata, findings);
    let of_hops = whole.conveyed.iter().flat_map(|header| header.fields());
    let of_hops = of_hops.map(|header| (*header, "is read as the word of trusted hops, and never goes on"));
    let of_keys = keys.iter().map(|keys| (&*keys.header, "carries API keys, and never goes on"));
    let mut forward = forward(&table.forward, &of_hops.chain(of_keys).collect::<Vec<_>>(), findings);

    forward.proof = dpop.as_ref().is_none_or(|rule| rule.forward);
    first.as_ref()?;
    Some(Resource {
        origin: Origin { name: name.into(), path: table.at.as_str().into() },
        mode: table.mode.unwrap_or(whole.mode).mode(),
        profile,
        peer,
        require_tls: table.require_tls.map(TlsFloorSetting::floor),
        realm,
        resource_metadata: metadata_url.or(table.resource_metadata.as_ref().map(|url| url.0.text.clone())),
        audiences: table.audiences.iter().flatten().map(|audience| audience.value.0.clone()).collect(),
        unrouted: unrouted(routes.iter().flat_map(|route| route.limits.iter())),
        issuers: trusted.into_iter().map(|(_, issuer)| issuer).collect(),
        revocation: revocation::of_resource(table, takes_tokens, findings),
        dpop,
        routes,
        forward,
        hosts,
    })
}

/// The realm of challenges: what is written, else the first host that is one; without challenges nobody sees it.
fn realm(
    table: &ResourceTable,
    name: &str,
    hosts: &[HostPattern],
    has_challenges: bool,
    findings: &mut Findings,
) -> Box<str> {
    let at = table.at.key("realm");
    let exact = || hosts.iter().find(|host| host.is_exact()).map(|host| host.to_string().into());
    match table.realm.as_ref().map(|realm| realm.0.clone()).or_else(exact) {
        Some(realm) => realm,
        None => {
            if has_challenges && !hosts.is_empty() && !findings.touch(&at) && !findings.touch(&table.at.key("hosts")) {
                findings.add(
                    &at,
                    "needed, because a route takes tokens or API keys and no host here is a name that challenges could show",
                    "Write one, like \"orders\".",
                );
            }
            name.into()
        }
    }
}

/// What the headers `ending` here carry never goes on, each with its reason: where the word of a hop is read, the proxy lets it pass from
/// everybody.
fn forward(table: &ForwardTable, ending: &[(&str, &str)], findings: &mut Findings) -> ForwardRule {
    let headers = told(table.headers.as_ref(), |name| HeaderName::parse(name).map(|name| name.0), findings);
    let filter_state = told(table.filter_state.as_ref(), |name| FilterStateKey::parse(name).map(|key| key.0), findings);
    let is_set = |name: &str| headers.iter().any(|(header, _)| **header == *name);
    let mut strip: Vec<Box<str>> = Vec::new();
    for header in table.strip.iter().flatten() {
        if is_set(&header.value.0) {
            findings.add(&header.at, "is set by forward.headers and removed here", "Remove one of both.");
        } else if !strip.contains(&header.value.0) {
            strip.push(header.value.0.clone());
        }
    }
    for (header, _) in ending {
        if !strip.iter().any(|stripped| **stripped == **header) {
            strip.push((*header).into());
        }
    }
    let mut keep: Vec<Box<str>> = Vec::new();
    for header in table.keep.iter().flatten() {
        let name = &header.value.0;
        if is_set(name) {
            findings.add(&header.at, "is set by forward.headers, so that no other could pass", "Remove one of both.");
        } else if let Some((_, why)) = ending.iter().find(|(header, _)| **header == **name) {
            findings.add(&header.at, *why, "Remove it, and tell the upstream by forward.headers.");
        } else if strip.contains(name) {
            findings.add(&header.at, "is removed by forward.strip and kept here", "Remove one of both.");
        } else if !ForwardRule::listed(name) {
            findings.add(&header.at, format!("{} passes anyway", quoted(name)), "Remove it.");
        } else if !keep.contains(name) {
            keep.push(name.clone());
        }
    }
    ForwardRule { headers, filter_state, token: table.token, proof: true, strip, keep }
}

fn told(
    written: Option<&Named<ForwardedFact>>,
    name: impl Fn(&str) -> Result<Box<str>, Mistake>,
    findings: &mut Findings,
) -> Vec<(Box<str>, Fact)> {
    let mut list = Vec::new();
    for (written, entry) in written.map(|named| named.0.as_slice()).unwrap_or_default() {
        match name(written) {
            Ok(name) => list.extend(entry.value.as_ref().map(|told| (name, told.0.clone()))),
            Err(Mistake { finding, remedy }) => findings.add(&entry.at, finding, remedy),
        }
    }
    list
}
