//! What is written so that it can be read, and is probably a slip: signs that stand for themselves here and for something
//! else elsewhere, paths with a slash at their end, words a letter from usual ones. In: the tables. Out: doubts.
//! Not here: what is wrong whatever was meant (with each part), routes that contradict each other (`routes`).

use std::collections::BTreeSet;

use strsim::osa_distance;

use crate::config::issuer::keys::IssuerTable;
use crate::config::keys::ConfigTable;
use crate::config::limit::keys::LimitTable;
use crate::config::reading::doubts::DoubtSetting;
use crate::config::reading::finding::{Findings, Place, quoted};
use crate::config::reading::table::At;
use crate::config::resource::keys::ResourceTable;
use crate::config::route::USUAL_METHODS;
use crate::config::route::access::{Method, PathText};
use crate::config::route::keys::RouteTable;
use crate::policy::{Pattern, Segment};

pub(super) fn check(config: &ConfigTable, findings: &mut Findings) {
    for (_, At { value, .. }) in config.issuers.iter().flat_map(|issuers| &issuers.0) {
        value.iter().for_each(|issuer| key_sources(issuer, findings));
    }
    for (_, At { value, .. }) in config.limits.iter().flat_map(|limits| &limits.0) {
        value.iter().for_each(|limit| overrides(limit, findings));
    }
    for At { value, .. } in config.resources.iter().flatten() {
        resource(value, findings);
    }
}

/// Servers whose host is nearly the issuer's, and keys that share a `kid`.
fn key_sources(issuer: &IssuerTable, findings: &mut Findings) {
    let lists = issuer.revocation.as_ref().and_then(|revocation| revocation.status_lists.as_ref());
    let uris = [
        issuer.jwks.as_ref().map(|table| (&table.at, &table.uri)),
        issuer.introspection.as_ref().map(|table| (&table.at, &table.uri)),
        issuer.revocation.as_ref().map(|table| (&table.at, &table.uri)),
        lists.map(|table| (&table.at, &table.uri)),
    ];
    for (at, uri) in uris.into_iter().flatten() {
        let (Some(own), Some(uri)) = (&issuer.issuer, uri) else { continue };
        let (theirs, own) = (uri.authority.as_str(), own.0.authority.as_str());
        if is_slip(theirs, own, 2) {
            findings.doubt(
                DoubtSetting::KeyHost,
                &issuer.at,
                &at.key("uri"),
                format!("the host {} is nearly that of the issuer, {}", quoted(theirs), quoted(own)),
                "Correct the one that is mistyped.",
            );
        }
    }
    for (at, kid) in issuer.keys.iter().flat_map(|keys| &keys.shared) {
        findings.doubt(
            DoubtSetting::SharedKid,
            &issuer.at,
            at,
            format!("another key of this kind has the kid {} too, so that both are tried", quoted(kid)),
            "Give each key the kid that its tokens name.",
        );
    }
}

/// Texts of overrides with a `*`.
fn overrides(limit: &LimitTable, findings: &mut Findings) {
    for At { value: other, .. } in limit.overrides.iter().flatten() {
        let single = [("client_id", &other.client_id), ("sub", &other.sub)];
        let single = single.into_iter().filter_map(|(key, text)| Some((other.at.key(key), text.as_ref()?)));
        let claims = other.claims.iter().flat_map(|claims| &claims.0);
        let claims = claims.filter_map(|(_, claim)| Some((claim.at.clone(), claim.value.as_ref()?)));
        for (at, text) in single.chain(claims).filter(|(_, text)| text.0.contains('*')) {
            let remedy = "Write an override for each, or a claim that all of them have.";
            literal(&limit.at, &at, &text.0, "*", remedy, findings);
        }
    }
}

fn resource(resource: &ResourceTable, findings: &mut Findings) {
    for At { value, at } in resource.audiences.iter().flatten().filter(|audience| audience.value.0.contains('*')) {
        literal(&resource.at, at, &value.0, "*", "Write each value of aud.", findings);
    }
    let paths = || resource.routes.iter().flatten().filter_map(|route| Some(&route.value.path.as_ref()?.0));
    let mut written: BTreeSet<String> = BTreeSet::new();
    written.extend(paths().map(Pattern::nameless));
    for At { value: route, .. } in resource.routes.iter().flatten() {
        scopes(route, findings);
        route.methods.iter().flatten().for_each(|method| unusual(route, method, findings));
        if let Some(PathText(path)) = &route.path {
            slash_at_the_end(route, path, &written, findings);
            signs(route, path, findings);
        }
    }
}

fn scopes(route: &RouteTable, findings: &mut Findings) {
    let written = route.scopes.iter().flat_map(|scopes| scopes.all.iter().chain(&scopes.any));
    for At { value: scope, at } in written {
        if scope.0.contains('*') {
            literal(&route.at, at, &scope.0, "*", "Write each scope.", findings);
        } else if scope.0.contains(',') {
            literal(&route.at, at, &scope.0, ",", "Write each scope as an item of its own.", findings);
        }
    }
}

fn unusual(route: &RouteTable, method: &At<Method>, findings: &mut Findings) {
    let written = &*method.value.0;
    let Some(usual) = USUAL_METHODS.iter().find(|usual| is_slip(written, usual, 1)) else { return };
    findings.doubt(
        DoubtSetting::Method,
        &route.at,
        &method.at,
        format!("{} is no usual method, so that this would rarely be reached", quoted(written)),
        &format!("Did you mean {usual:?}?"),
    );
}

fn slash_at_the_end(route: &RouteTable, path: &Pattern, written: &BTreeSet<String>, findings: &mut Findings) {
    let nameless = path.nameless();
    let Some(without) = nameless.strip_suffix('/').filter(|without| !without.is_empty()) else { return };
    if written.contains(without) {
        return;
    }
    findings.doubt(
        DoubtSetting::TrailingSlash,
        &route.at,
        &route.at.key("path"),
        format!("{} is another path than that without the slash at its end", quoted(&path.to_string())),
        "Write the one that clients ask for, or a route for each.",
    );
}

/// Ways in which other programs write parameters and expressions.
fn signs(route: &RouteTable, path: &Pattern, findings: &mut Findings) {
    let at = route.at.key("path");
    let literals = path.segments().iter().filter_map(|segment| match segment {
        Segment::Literal(text) => Some(&**text),
        Segment::Parameter(_) | Segment::Rest => None,
    });
    for text in literals {
        let sign = text.chars().find(|sign| "[]^|".contains(*sign));
        match (text.strip_prefix(':'), sign) {
            (Some(name), _) if !name.is_empty() => {
                literal(&route.at, &at, text, ":", &format!("Write {{{name}}} for any one segment."), findings);
            }
            (_, Some(sign)) => {
                let remedy = "Paths are no regular expressions: write {name} for any one segment.";
                literal(&route.at, &at, text, &sign.to_string(), remedy, findings);
            }
            (_, None) => {}
        }
    }
}

/// A `sign` in `text`, which is compared as it stands.
fn literal(table: &Place, at: &Place, text: &str, sign: &str, remedy: &str, findings: &mut Findings) {
    let finding = format!("{} is compared as it stands: {sign:?} stands for itself", quoted(text));
    findings.doubt(DoubtSetting::Literal, table, at, finding, remedy);
}

/// Whether `written` differs from `usual` by `letters` at most, and by one at least.
fn is_slip(written: &str, usual: &str, letters: usize) -> bool {
    // The distance costs the product of both lengths.
    let is_short = written.len() <= 256 && written.len() > letters.saturating_mul(2);
    is_short && (1..=letters).contains(&osa_distance(written, usual))
}
