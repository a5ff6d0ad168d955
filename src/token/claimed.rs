//! What a refused token says of itself, for the audit record: values that nobody vouches for, and what is wrong with them. In:
//! the token as it was sent, why it was refused. Out: [`Claimed`], whose texts are as long as the sender made them.
//!
//! Read anew and only once a token is refused: whoever passes does not pay for it. No decision rests on it.

use crate::jose::{Compact, base64url};
use crate::json::{Bounds, Object, Value, parse};
use crate::policy::{ClaimPlace, Issuer, Resource};
use crate::reason::Reason;
use crate::token::access_token::other_kind;
use crate::token::claims::{Claims, ClaimsFault, claimed_issuer, claimed_text};
use crate::token::confirmation::Confirmation;

/// See the module.
#[derive(Debug, Default)]
pub struct Claimed {
    /// `alg`.
    pub algorithm: Option<Box<str>>,
    /// `kid`.
    pub key_id: Option<Box<str>>,
    /// `typ`.
    pub typ: Option<Box<str>>,
    /// `iss`.
    pub issuer: Option<Box<str>>,
    /// `client_id`, where its issuer writes it.
    pub client_id: Option<Box<str>>,
    /// `aud`.
    pub audiences: Vec<Box<str>>,
    /// `exp` − `iat`, in seconds.
    pub lifetime: Option<i64>,
    /// The claim or header member that it is refused for, if it is one.
    pub member: Option<Box<str>>,
    /// What is wrong with that, or with the whole.
    pub because: Option<&'static str>,
}

impl Claimed {
    /// What is wrong with the answer of an issuer that was asked about a token: the token itself says nothing.
    pub fn of_answer(member: Box<str>, because: &'static str) -> Self {
        Self { member: Some(member), because: Some(because), ..Self::default() }
    }

    /// What `token` says, which `resource` refuses for `reason`. Parts of it that cannot be read say nothing.
    pub fn read(token: &[u8], reason: Reason, resource: &Resource) -> Self {
        let mut parts = token.split(|byte| *byte == b'.').map(object);
        let (header, payload) =
            (parts.next().flatten().unwrap_or_default(), parts.next().flatten().unwrap_or_default());
        let issuer = text(&payload, "iss");
        let trusted = resource.issuers.iter().find(|trusted| issuer == Some(&*trusted.issuer));
        let (member, because) = fault(token, reason, &header, &payload, trusted.map(|issuer| &**issuer)).unzip();
        let client_id = match trusted {
            Some(issuer) => claimed_text(&payload, &issuer.form.client_id),
            None => claimed_text(&payload, &[ClaimPlace::of("client_id")]),
        };
        let seconds = |name| payload.get(name).and_then(Value::as_number).map(|seconds| seconds as i64);
        let lifetime = || seconds("exp")?.checked_sub(seconds("iat")?);
        Self {
            algorithm: text(&header, "alg").map(Into::into),
            key_id: text(&header, "kid").map(Into::into),
            typ: text(&header, "typ").map(Into::into),
            issuer: issuer.map(Into::into),
            client_id: client_id.map(Into::into),
            audiences: audiences(&payload),
            lifetime: lifetime(),
            member: member.flatten(),
            because,
        }
    }
}

fn object(part: &[u8]) -> Option<Object> {
    match parse(&base64url::decode(part).ok()?, Bounds::TOKEN).ok()? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

fn text<'o>(object: &'o Object, name: &str) -> Option<&'o str> {
    object.get(name)?.as_text()
}

fn audiences(payload: &Object) -> Vec<Box<str>> {
    let value = payload.get("aud");
    let one = value.and_then(Value::as_text);
    let many = value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_text);
    one.into_iter().chain(many).map(Into::into).collect()
}

/// The member that a token is refused for, and what is wrong.
fn fault(
    token: &[u8],
    reason: Reason,
    header: &Object,
    payload: &Object,
    issuer: Option<&Issuer>,
) -> Option<(Option<Box<str>>, &'static str)> {
    let named = |name: &str, what| Some((Some(name.into()), what));
    match reason {
        Reason::TokenMalformed => Some((None, Compact::parse(token).err()?.told())),
        Reason::TypUnacceptable => {
            let (member, what) = other_kind(&issuer?.form, text(header, "typ"), payload)?;
            named(member, what)
        }
        Reason::ClaimsMalformed => match issuer.map(|issuer| Claims::parse(payload.clone(), issuer)) {
            Some(Err(ClaimsFault::Claim(place, what))) => named(&place, what),
            // Nobody's that is known here: its issuer is what is malformed.
            None => match claimed_issuer(payload) {
                Err(ClaimsFault::Claim(place, what)) => named(&place, what),
                Ok(_) | Err(_) => None,
            },
            Some(_) => None,
        },
        Reason::ConfirmationUnusable => named("cnf", Confirmation::UNUSABLE),
        _ => None,
    }
}
