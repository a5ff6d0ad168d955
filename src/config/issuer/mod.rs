//! Issuers: which keys belong to them, and what their trust is made of. In: their tables. Out: [`Issuer`]s by name.

pub(in crate::config) mod introspection;
pub(in crate::config) mod jwks;
pub(in crate::config) mod keys;
pub(in crate::config) mod moment;
pub(in crate::config) mod profiles;
pub(in crate::config) mod revocation;
pub(in crate::config) mod token_form;
pub(in crate::config) mod trust;

use crate::config::issuer::keys::IssuerTable;
use crate::config::reading::defined::Defined;
use crate::config::reading::finding::Findings;
use crate::config::reading::table::Named;
use crate::jose::Algorithm;
use crate::policy::{Introspection, Issuer, KeySource, Origin, TokenForm, TrustId};

pub(in crate::config) fn compile(written: Option<&Named<IssuerTable>>, findings: &mut Findings) -> Defined<Issuer> {
    Defined::compile("issuer", written, findings, issuer)
}

fn issuer(origin: Origin, table: &IssuerTable, findings: &mut Findings) -> Option<Issuer> {
    let algorithms = algorithms(table, findings);
    let keys = keys(table, &algorithms, findings);
    let (form, max_lifetime) = profiles::form(table, findings);
    profiles::check(&form, table, findings);
    let (introspection, asked_text) = introspection(table, findings)?;
    let issuer = table.issuer.as_ref()?.0.text.clone();
    let (keys, keys_text) = keys?;
    let (revocation, status_lists) = revocation::of_issuer(table.revocation.as_ref(), findings);
    if status_lists.is_some() {
        check_lists(table, &keys, &form, findings);
    }
    let names: Vec<&str> = algorithms.iter().map(|algorithm| algorithm.name()).collect();
    // What only says when to fetch, or is asked of every token anew, is no part of the trust.
    let trust = format!("{issuer:?} keys {keys_text} algorithms {} {form:?}{asked_text}", names.join(","));
    Some(Issuer {
        origin,
        issuer,
        algorithms,
        keys,
        introspection,
        profile: table.profile.word(),
        form,
        max_lifetime: max_lifetime.0,
        not_issued_before: table.not_issued_before.map(|moment| moment.0),
        revocation,
        status_lists,
        leeway: table.leeway.0,
        trust: TrustId::of(&trust),
    })
}

/// How it is asked, if it is, and the text that the trust says about it. `None` after a finding.
fn introspection(table: &IssuerTable, findings: &mut Findings) -> Option<(Option<Introspection>, String)> {
    match &table.introspection {
        Some(written) => {
            if written.signed && !table.wrote("jwks") && !table.wrote("keys") {
                findings.add(
                    &written.at.key("signed"),
                    "needs the keys that its answers are signed with",
                    "Write jwks and algorithms beside introspection, or remove it.",
                );
            }
            let (introspection, text) = introspection::compile(written, findings)?;
            Some((Some(introspection), format!(" {text}")))
        }
        None if table.wrote("introspection") => None,
        None => Some((None, String::new())),
    }
}

/// What status lists need of their issuer: keys that sign them, and a claim that names them.
fn check_lists(table: &IssuerTable, keys: &KeySource, form: &TokenForm, findings: &mut Findings) {
    if matches!(keys, KeySource::None) {
        let at = table.at.key("revocation").key("status_lists");
        let remedy = "Write jwks and algorithms beside introspection, or remove it: what the issuer says of a token tells whether it was revoked.";
        findings.add(&at, "needs the keys that lists are signed with", remedy);
    }
    if form.named.iter().any(|(name, _)| **name == *"status") {
        let at = table.at.key("claims").key("status");
        findings.add(&at, "hides the claim that names status lists", "Give it another name.");
    }
}

/// In the order of [`Algorithm::ALL`], each once.
fn algorithms(table: &IssuerTable, findings: &mut Findings) -> Vec<Algorithm> {
    let at = table.at.key("algorithms");
    let has_keys = table.wrote("jwks") || table.wrote("keys");
    if !table.wrote("algorithms") {
        if has_keys || !table.wrote("introspection") {
            findings.add(&at, "missing", "It has no default: write it.");
        }
        return Vec::new();
    }
    if !has_keys && table.wrote("introspection") {
        findings.add(
            &at,
            "stands beside no keys, so that nothing could be signed with them",
            "Add jwks, or remove it.",
        );
    }
    let written: Vec<Algorithm> = table.algorithms.iter().flatten().map(|name| name.value.0).collect();
    if written.is_empty() && !findings.touch(&at) {
        findings.add(
            &at,
            "an empty list, so that no token could pass",
            "Write those the issuer signs with, like [ES256, PS256].",
        );
    }
    Algorithm::ALL.into_iter().filter(|algorithm| written.contains(algorithm)).collect()
}

/// Where keys come from, and the text that the trust says about it.
fn keys(table: &IssuerTable, algorithms: &[Algorithm], findings: &mut Findings) -> Option<(KeySource, String)> {
    match (table.wrote("jwks"), table.wrote("keys")) {
        (true, true) => {
            findings.add(&table.at.key("keys"), "stands beside jwks", "Write one of both.");
            None
        }
        (false, false) if table.wrote("introspection") => Some((KeySource::None, "none".to_owned())),
        (false, false) => {
            findings.add(
                &table.at,
                "has neither jwks nor keys",
                "Write jwks: { cluster: ..., uri: ... } to fetch them, or keys: { keys: [...] }; introspection: { ... } where its tokens are opaque.",
            );
            None
        }
        (true, false) => {
            let (source, text) = jwks::source(table.jwks.as_ref()?, table.issuer.as_ref(), findings)?;
            Some((KeySource::Remote(source), text))
        }
        (false, true) => {
            let keys = &table.keys.as_ref()?.set;
            let fitting = |algorithm: &Algorithm| keys.candidates(None, *algorithm).next().is_some();
            if !algorithms.is_empty() && !algorithms.iter().any(fitting) {
                findings.add(
                    &table.at.key("keys"),
                    "no key fits any of the algorithms",
                    "Add a key, or the algorithm of the keys that are there.",
                );
            }
            let digest: String = keys.digest().iter().map(|byte| format!("{byte:02x}")).collect();
            Some((KeySource::Inline(keys.clone()), format!("of digest {digest}")))
        }
    }
}
