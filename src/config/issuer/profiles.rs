//! The profiles of issuers: each nothing but a set of keys that could be written instead. In: a profile's word and the keys
//! beside it. Out: what tokens of the issuer look like; and that, in turn, as keys. docs/issuers.md shows the sets.

use serde_json::{Map, json};

use crate::config::issuer::keys::{FormTable, IssuerTable};
use crate::config::issuer::token_form::{OptionalSetting, Places, ProfileSetting, SaysWhat, TokenClaim, TypTexts};
use crate::config::reading::finding::{Findings, Place};
use crate::config::reading::table::{At, Named, Table, Written};
use crate::config::reading::values::{Span, span_text};
use crate::config::resource::caller::claim_name;
use crate::json::{Bounds, parse};
use crate::policy::{Issuer, OptionalClaim, RequiredClaim, ScopePlaces, TokenForm, TypRule};

/// A month.
pub(in crate::config) const LONGEST_LIFE: u64 = 2_592_000;

/// The longest lifetime where neither key nor profile says another.
pub(in crate::config) const DEFAULT_LIFE: Span<1, LONGEST_LIFE> = Span::seconds(3600);

/// The keys of a profile, as they would be written.
fn keys_of(profile: ProfileSetting) -> &'static str {
    match profile {
        ProfileSetting::Rfc9068 => "{}",
        // An ID token says `typ: ID` in its claims, a refresh token `typ: Refresh`, and a token that must come with a proof
        // of a key `typ: DPoP`, which is held to that where its claims are read. Lightweight tokens may lack sub. Each user's token
        // has a session (`sid`); the client's own names it a second time, and a lightweight one does not.
        ProfileSetting::Keycloak => {
            r#"{
                "typ": ["at+jwt", "JWT"],
                "claims": { "client_id": "azp", "roles": { "path": ["realm_access", "roles"] } },
                "required_claims": { "typ": ["Bearer", "DPoP"] },
                "client_tokens": { "client_id": "{client_id}" },
                "user_tokens": { "sid": true },
                "optional_claims": ["sub"]
            }"#
        }
        // How the client proved itself stands in access tokens only. The life is 60 to 90 minutes, counted from five
        // minutes ago.
        ProfileSetting::Entra => {
            r#"{
                "typ": "JWT",
                "claims": { "client_id": "azp", "jti": "uti", "scope": ["scp", "roles"], "tenant": "tid" },
                "required_claims": { "azpacr": ["0", "1", "2"] },
                "client_tokens": { "idtyp": "app" },
                "user_tokens": { "scp": true },
                "forbidden_claims": ["nonce", "at_hash", "c_hash"],
                "optional_claims": ["jti"],
                "max_lifetime": "2h"
            }"#
        }
        ProfileSetting::Okta => {
            r#"{
                "typ": "absent",
                "claims": { "client_id": "cid", "roles": "groups", "scope": "scp" },
                "required_claims": { "cid": true },
                "user_tokens": { "uid": true },
                "forbidden_claims": ["nonce", "at_hash", "c_hash"]
            }"#
        }
        ProfileSetting::Auth0 => {
            r#"{
                "typ": ["at+jwt", "JWT"],
                "claims": { "client_id": ["client_id", "azp"] },
                "client_tokens": { "sub": "{client_id}@clients" },
                "forbidden_claims": ["nonce", "at_hash", "c_hash"],
                "optional_claims": ["jti"],
                "max_lifetime": "1d"
            }"#
        }
        ProfileSetting::Cognito => {
            r#"{
                "typ": "absent",
                "claims": { "roles": "cognito:groups" },
                "required_claims": { "token_use": "access" },
                "user_tokens": { "username": true },
                "max_lifetime": "1d"
            }"#
        }
    }
}

/// The same, read.
fn read(profile: ProfileSetting, findings: &mut Findings) -> FormTable {
    let value = parse(keys_of(profile).as_bytes(), Bounds::CONFIG);
    let members = value.ok().and_then(|value| value.as_object().cloned()).unwrap_or_default();
    FormTable::read_members(&members, &Place::root().key("profile"), findings)
}

/// The keys about the form of tokens that stand in one place.
struct Keys<'k> {
    typ: Option<&'k TypTexts>,
    claims: Option<&'k Named<Places>>,
    required: Option<&'k Named<SaysWhat>>,
    forbidden: Option<&'k Vec<At<TokenClaim>>>,
    clients: Option<&'k Named<SaysWhat>>,
    users: Option<&'k Named<SaysWhat>>,
    optional: Option<&'k Vec<At<OptionalSetting>>>,
}

/// What tokens of an issuer look like, and how long they may live. What is written counts more than the profile: claims name
/// by name, and what tells access tokens apart is only ever added to.
pub(in crate::config) fn form(table: &IssuerTable, findings: &mut Findings) -> (TokenForm, Span<1, LONGEST_LIFE>) {
    let profile = read(table.profile, findings);
    let mut form = TokenForm { insecure_no_audience: table.insecure_no_audience, ..TokenForm::default() };
    let of_profile = Keys {
        typ: profile.typ.as_ref(),
        claims: profile.claims.as_ref(),
        required: profile.required_claims.as_ref(),
        forbidden: profile.forbidden_claims.as_ref(),
        clients: profile.client_tokens.as_ref(),
        users: profile.user_tokens.as_ref(),
        optional: profile.optional_claims.as_ref(),
    };
    let written = Keys {
        typ: table.wrote("typ").then_some(&table.typ),
        claims: table.claims.as_ref(),
        required: table.required_claims.as_ref(),
        forbidden: table.forbidden_claims.as_ref(),
        clients: table.client_tokens.as_ref(),
        users: table.user_tokens.as_ref(),
        optional: table.optional_claims.as_ref(),
    };
    for keys in [of_profile, written] {
        lay(&mut form, &keys, findings);
    }
    let life =
        if table.wrote("max_lifetime") { table.max_lifetime } else { profile.max_lifetime.unwrap_or(DEFAULT_LIFE) };
    (form, life)
}

fn lay(form: &mut TokenForm, keys: &Keys<'_>, findings: &mut Findings) {
    if let Some(TypTexts(typ)) = keys.typ {
        form.typ = typ.clone();
    }
    for (name, At { at, value }) in keys.claims.into_iter().flat_map(|claims| &claims.0) {
        let Some(Places(places)) = value.clone() else { continue };
        match name.as_str() {
            "client_id" => form.client_id = places,
            "sub" => form.subject = places,
            "jti" => form.token_id = places,
            "scope" => form.scope = ScopePlaces::United(places),
            "iss" | "aud" | "exp" | "iat" | "nbf" | "cnf" => {
                findings.add(at, "stands at the top of every token, under this name", "Remove it.");
            }
            _ => match claim_name(name, &[]) {
                Ok(name) => {
                    form.named.retain(|(other, _)| *other != name);
                    let place = form.named.partition_point(|(other, _)| *other < name);
                    form.named.insert(place, (name, places));
                }
                Err(_) => {
                    findings.add(at, "is no name that claims can have here", "Write visible ASCII without spaces.")
                }
            },
        }
    }
    for (name, At { value, .. }) in keys.required.into_iter().flat_map(|required| &required.0) {
        let Some(SaysWhat(says)) = value.clone() else { continue };
        form.required.retain(|other| *other.name != **name);
        let place = form.required.partition_point(|other| *other.name < **name);
        form.required.insert(place, RequiredClaim { name: name.as_str().into(), says });
    }
    for At { value: TokenClaim(name), .. } in keys.forbidden.into_iter().flatten() {
        if !form.forbidden.contains(name) {
            form.forbidden.push(name.clone());
        }
    }
    // Each as a whole: half of a profile's mark and half of another would be none.
    for (list, written) in [(&mut form.client_tokens, keys.clients), (&mut form.user_tokens, keys.users)] {
        if let Some(Named(written)) = written {
            let claim = |(name, At { value, .. }): &(String, At<Option<SaysWhat>>)| {
                Some(RequiredClaim { name: name.as_str().into(), says: value.clone()?.0 })
            };
            *list = written.iter().filter_map(claim).collect();
        }
    }
    if let Some(optional) = keys.optional {
        let optional: Vec<OptionalClaim> = optional.iter().map(|claim| claim.value.into()).collect();
        form.optional = OptionalClaim::ALL.into_iter().filter(|claim| optional.contains(claim)).collect();
    }
}

/// What is wrong with a form, so that it would let in too much or nothing.
pub(in crate::config) fn check(form: &TokenForm, table: &IssuerTable, findings: &mut Findings) {
    let forbidden = |name: &str| form.forbidden.iter().any(|other| **other == *name);
    for (key, claims) in [("client_tokens", &table.client_tokens), ("user_tokens", &table.user_tokens)] {
        if claims.as_ref().is_some_and(|claims| claims.0.is_empty()) {
            findings.add(
                &table.at.key(key),
                "an empty table, which tells nothing",
                "Write claims and what they say, or remove it.",
            );
        }
    }
    for claim in form.required.iter().filter(|claim| forbidden(&claim.name)) {
        let at = table.at.key("required_claims").key(&claim.name);
        findings.add(&at, "is forbidden too, so that no token could pass", "Take it out of one of both.");
    }
    let for_all_kinds = |typ: &TypRule| match typ {
        TypRule::AccessToken => false,
        TypRule::Absent => true,
        TypRule::Exactly(typ) => typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("application/jwt"),
    };
    let marked = !form.required.is_empty() || (forbidden("nonce") && forbidden("at_hash"));
    if form.typ.iter().any(for_all_kinds) && !marked {
        findings.add(
            &table.at.key("typ"),
            "is what ID tokens have as well",
            "Say what tells access tokens apart, like required_claims: { token_use: access } or \
             forbidden_claims: [nonce, at_hash, c_hash].",
        );
    }
}

/// `form` as the keys that say it, without those that say what RFC 9068 does.
fn written(form: &TokenForm) -> Map<String, serde_json::Value> {
    let plain = TokenForm::default();
    let mut keys = Map::new();
    if form.typ != plain.typ {
        keys.insert("typ".to_owned(), TypTexts(form.typ.clone()).written());
    }
    let places = |places: &[_]| Places(places.to_vec()).written();
    let mut claims = Map::new();
    for (name, standing, usual) in [
        ("client_id", &form.client_id, &plain.client_id),
        ("sub", &form.subject, &plain.subject),
        ("jti", &form.token_id, &plain.token_id),
    ] {
        if standing != usual {
            claims.insert(name.to_owned(), places(standing));
        }
    }
    if let ScopePlaces::United(scope) = &form.scope {
        claims.insert("scope".to_owned(), places(scope));
    }
    claims.extend(form.named.iter().map(|(name, standing)| (name.to_string(), places(standing))));
    let says = |claims: &[RequiredClaim]| -> Map<String, serde_json::Value> {
        claims.iter().map(|claim| (claim.name.to_string(), SaysWhat(claim.says.clone()).written())).collect()
    };
    let optional: Vec<&str> = form.optional.iter().map(|claim| claim.name()).collect();
    for (key, value, empty) in [
        ("claims", claims.clone().into(), claims.is_empty()),
        ("required_claims", says(&form.required).into(), form.required.is_empty()),
        ("forbidden_claims", json!(form.forbidden), form.forbidden.is_empty()),
        ("client_tokens", says(&form.client_tokens).into(), form.client_tokens.is_empty()),
        ("user_tokens", says(&form.user_tokens).into(), form.user_tokens.is_empty()),
        ("optional_claims", json!(optional), optional.is_empty()),
        ("insecure_no_audience", json!(true), !form.insecure_no_audience),
    ] {
        if !empty {
            keys.insert(key.to_owned(), value);
        }
    }
    keys
}

/// What the profile of an issuer means together with what stands beside it, as keys that say the same without it. `None`
/// where there is no profile.
pub(in crate::config) fn meaning(issuer: &Issuer) -> Option<String> {
    if issuer.profile == "rfc9068" {
        return None;
    }
    let keys = written(&issuer.form).into_iter().map(|(key, value)| format!("{key}: {}", flow(&value)));
    let keys: Vec<String> = keys.chain([format!("max_lifetime: {}", span_text(issuer.max_lifetime))]).collect();
    Some(format!("{}: profile {} means {}", issuer.origin.path, issuer.profile, keys.join(", ")))
}

/// A value as it is written in YAML on one line.
fn flow(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        serde_json::Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{}: {}", word(name), flow(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        serde_json::Value::String(text) => word(text),
        other => other.to_string(),
    }
}

/// A text, in quotation marks unless it can stand without.
fn word(text: &str) -> String {
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte))
        && !["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
