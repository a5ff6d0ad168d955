//! What the audit record tells of a token that is refused. In: the verified token, or what an unverified one says of itself. Out: JSON
//! objects with the same names in both, so that one search finds either; bounded, without anything that could be used as a token.

use serde::Serialize;

use crate::jose::Algorithm;
use crate::observe::bounded::{Bounded, some};
use crate::time::UnixMillis;
use crate::token::{AccessToken, Claimed};

/// Of a token that its issuer stands by.
#[derive(Serialize)]
pub(super) struct Verified<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aud: Vec<Bounded<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scope: Vec<Bounded<'a>>,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_to: Option<String>,
}

impl<'a> Verified<'a> {
    pub(super) fn of(token: &'a AccessToken) -> Self {
        let claims = token.claims();
        let seconds = |date: UnixMillis| date.as_millis() / 1000;
        let lifetime = |issued: UnixMillis| claims.expires.since(issued).as_secs();
        Self {
            alg: token.algorithm().map(Algorithm::name),
            aud: some(claims.audiences.iter().map(|audience| &**audience)),
            scope: some(claims.scopes.iter().map(|scope| &**scope)),
            exp: seconds(claims.expires),
            iat: claims.issued.map(seconds),
            nbf: claims.not_before.map(seconds),
            lifetime: claims.issued.map(lifetime),
            bound_to: claims.confirmation.told(),
        }
    }
}

#[cfg(test)]
impl Verified<'_> {
    /// With nothing left out.
    pub(super) fn full() -> Self {
        let (aud, scope) = (vec![Bounded("x")], vec![Bounded("x")]);
        let bound_to = Some(String::from("x"));
        Self { alg: Some("x"), aud, scope, exp: 0, iat: Some(0), nbf: Some(0), lifetime: Some(0), bound_to }
    }
}

#[cfg(test)]
impl Unverified<'_> {
    /// With nothing left out.
    pub(super) fn full() -> Self {
        let text = || Some(Bounded("x"));
        let (alg, kid, typ, iss, client_id) = (text(), text(), text(), text(), text());
        Self { alg, kid, typ, iss, client_id, aud: vec![Bounded("x")], lifetime: Some(0) }
    }
}

/// What anybody can write.
#[derive(Serialize)]
pub(super) struct Unverified<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aud: Vec<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime: Option<i64>,
}

impl<'a> Unverified<'a> {
    pub(super) fn of(claimed: &'a Claimed) -> Self {
        let bounded = |text: &'a Option<Box<str>>| text.as_deref().map(Bounded);
        Self {
            alg: bounded(&claimed.algorithm),
            kid: bounded(&claimed.key_id),
            typ: bounded(&claimed.typ),
            iss: bounded(&claimed.issuer),
            client_id: bounded(&claimed.client_id),
            aud: some(claimed.audiences.iter().map(|audience| &**audience)),
            lifetime: claimed.lifetime,
        }
    }
}
