//! The values of an issuer's keys that say what its tokens look like. In: one value. Out: what the policy holds, or a
//! finding. Not here: which keys belong together (`issuers`), the named sets of them (`profiles`).

use serde_json::json;

use crate::config::issuer::trust::TypText;
use crate::config::reading::finding::{Findings, Place, quoted};
use crate::config::reading::table::{
    Key, Mistake, TextKey, Written, config_settings, described, not_what, unknown_word,
};
use crate::json::Value;
use crate::policy::{ClaimPlace, OptionalClaim, Says, TypRule};

/// The most values in a list here.
const MOST: usize = 16;

config_settings! {
    /// What makes the authorization server, so that it need not be said key by key.
    ProfileSetting {
        /// Nothing but RFC 9068.
        Rfc9068 = "rfc9068",
        /// Keycloak.
        Keycloak = "keycloak",
        /// Microsoft Entra ID, tokens of version 2.0.
        Entra = "entra",
        /// Okta, with an authorization server of your own (custom authorization server).
        Okta = "okta",
        /// Auth0, with either of its token profiles.
        Auth0 = "auth0",
        /// Amazon Cognito.
        Cognito = "cognito",
    }
    refused {
        "fapi2" => "\"fapi2\" says what a resource demands, not how an issuer writes tokens",
            "Write profile: fapi2 on the resource. Here, name the server that makes the tokens, or leave it out for RFC 9068.";
    }
}

config_settings! {
    /// What RFC 9068 demands of tokens and an issuer may leave out.
    OptionalSetting {
        /// `sub` stands in for it.
        ClientId = "client_id",
        /// `client_id` stands in for it.
        Sub = "sub",
        /// Audit records then have no name for the token.
        Jti = "jti",
        /// What is left of its life must then be within `max_lifetime`.
        Iat = "iat",
    }
    refused {
        "aud" => "\"aud\" says whom a token is for",
            "Let the issuer write it, or set insecure_no_audience: true to take tokens that are for anybody.";
        "exp" => "\"exp\" is what ends a token", "Let the issuer write it.";
        "nbf" => "\"nbf\" may always be missing", "Remove it.";
        "scope" => "\"scope\" may always be missing", "Remove it.";
    }
}

impl From<OptionalSetting> for OptionalClaim {
    fn from(word: OptionalSetting) -> Self {
        match word {
            OptionalSetting::ClientId => Self::ClientId,
            OptionalSetting::Sub => Self::Sub,
            OptionalSetting::Jti => Self::Jti,
            OptionalSetting::Iat => Self::Iat,
        }
    }
}

/// What `typ` tokens carry: one, or a list of those that are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct TypTexts(pub(in crate::config) Vec<TypRule>);

impl Key for TypTexts {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        one_or_list(value, at, findings, TypText::read).map(|list| Self(list.into_iter().map(|typ| typ.0).collect()))
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [TypText::schema(), list_schema(&TypText::schema())] })
    }
}

impl Written for TypTexts {
    fn written(&self) -> serde_json::Value {
        one_or_many(self.0.iter().map(|typ| typ.to_string().into()))
    }
}

/// Where a claim stands: one place, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Places(pub(in crate::config) Vec<ClaimPlace>);

impl Key for Places {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        one_or_list(value, at, findings, place).map(Self)
    }

    fn schema() -> serde_json::Value {
        let name = json!({ "type": "string" });
        let path = json!({
            "type": "object", "additionalProperties": false, "required": ["path"],
            "properties": { "path": list_schema(&name) }
        });
        let place = json!({ "anyOf": [name, path] });
        json!({ "anyOf": [place, list_schema(&place)] })
    }
}

impl Written for Places {
    fn written(&self) -> serde_json::Value {
        one_or_many(self.0.iter().map(|place| match place.0.as_slice() {
            [name] => (**name).into(),
            path => json!({ "path": path }),
        }))
    }
}

/// The name of a claim at the top, or `{ path: [...] }`.
fn place(value: &Value, at: &Place, findings: &mut Findings) -> Option<ClaimPlace> {
    const REMEDY: &str =
        "Write the name of a claim, { path: [outer, inner] } for one inside another, or a list of these.";
    let Some(members) = value.as_object() else {
        if value.as_text().is_none() {
            findings.add(at, not_what(value, "a place in tokens"), REMEDY);
            return None;
        }
        return TokenClaim::read(value, at, findings).map(|name| ClaimPlace(vec![name.0]));
    };
    let path = members.get("path").and_then(Value::as_array).filter(|path| (1..=MOST).contains(&path.len()));
    let (Some(path), 1) = (path, members.len()) else {
        findings.add(at, "this is no path", REMEDY);
        return None;
    };
    let at = at.key("path");
    let names = path.iter().enumerate().map(|(index, name)| TokenClaim::read(name, &at.item(index), findings));
    let names: Vec<Option<TokenClaim>> = names.collect();
    names.into_iter().map(|name| name.map(|name| name.0)).collect::<Option<_>>().map(ClaimPlace)
}

/// The name of a claim as it stands in tokens: any text, taken literally.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct TokenClaim(pub(in crate::config) Box<str>);

impl TextKey for TokenClaim {
    const WHAT: &'static str = "the name of a claim";
    const EXAMPLE: &'static str = "it as it stands in tokens";
    const LOOKS_LIKE_ANYTHING: bool = true;

    fn parse(text: &str) -> Result<Self, Mistake> {
        if (1..=256).contains(&text.len()) && !text.chars().any(char::is_control) {
            return Ok(Self(text.into()));
        }
        Err(Mistake::new(format!("{} is no name of a claim", quoted(text)), format!("Write {}.", Self::EXAMPLE)))
    }
}

/// What a claim must say: a text, one of several, or `true` for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct SaysWhat(pub(in crate::config) Says);

impl Key for SaysWhat {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        const REMEDY: &str = "Write the text, a list of the texts that are good, or true if it must only be there.";
        if *value == Value::Bool(true) {
            return Some(Self(Says::Anything));
        }
        let text = |value: &Value, at: &Place, findings: &mut Findings| match value.as_text() {
            Some(text) => Some(text.into()),
            None => {
                findings.add(at, not_what(value, "the text of a claim"), REMEDY);
                None
            }
        };
        one_or_list(value, at, findings, text).map(|texts| Self(Says::OneOf(texts)))
    }

    fn schema() -> serde_json::Value {
        let text = json!({ "type": "string" });
        json!({ "anyOf": [text, list_schema(&text), { "const": true }] })
    }
}

impl Written for SaysWhat {
    fn written(&self) -> serde_json::Value {
        match &self.0 {
            Says::Anything => true.into(),
            Says::OneOf(texts) => one_or_many(texts.iter().map(|text| (**text).into())),
        }
    }
}

/// What `read` makes of the value, or of each item of a list.
pub(in crate::config) fn one_or_list<T>(
    value: &Value,
    at: &Place,
    findings: &mut Findings,
    read: impl Fn(&Value, &Place, &mut Findings) -> Option<T>,
) -> Option<Vec<T>> {
    let Some(items) = value.as_array() else { return read(value, at, findings).map(|one| vec![one]) };
    if !(1..=MOST).contains(&items.len()) {
        findings.add(at, format!("a list of {}", items.len()), format!("Write 1 to {MOST}."));
        return None;
    }
    let read = items.iter().enumerate().map(|(index, item)| read(item, &at.item(index), findings));
    let read: Vec<Option<T>> = read.collect();
    read.into_iter().collect()
}

fn one_or_many(mut values: impl ExactSizeIterator<Item = serde_json::Value>) -> serde_json::Value {
    match values.len() {
        1 => values.next().unwrap_or_default(),
        _ => values.collect(),
    }
}

pub(in crate::config) fn list_schema(item: &serde_json::Value) -> serde_json::Value {
    json!({ "type": "array", "items": item, "minItems": 1, "maxItems": MOST })
}
