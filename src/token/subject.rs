//! Whom a token is about: a user who let a client act, or the client itself (RFC 9068 §2.2, RFC 9700 §4.15). In: the payload and what is
//! known of how its issuer writes both kinds. Out: which it is, where that can be told.

use crate::json::{Object, Value};
use crate::policy::{RequiredClaim, Says, SubjectKind, TokenForm};

/// Stands for the client's id in what a claim must say.
const CLIENT_ID: &str = "{client_id}";

/// `None`: it looks like neither, or like both. `subject` and `client_id`: only what the token says, nothing that stands in.
pub(super) fn kind(
    payload: &Object,
    form: &TokenForm,
    subject: Option<&str>,
    client_id: Option<&str>,
) -> Option<SubjectKind> {
    let says = |claim: &RequiredClaim| {
        let text = match &*claim.name {
            "sub" => subject,
            name => payload.get(name).and_then(Value::as_text),
        };
        match &claim.says {
            Says::Anything => payload.get(&claim.name).is_some_and(|value| *value != Value::Null),
            Says::OneOf(texts) => text.is_some_and(|text| texts.iter().any(|one| is_filled(one, text, client_id))),
        }
    };
    let has_all = |claims: &[RequiredClaim]| claims.iter().all(says);
    let of_client = match &form.client_tokens[..] {
        [] => subject.is_some() && subject == client_id,
        claims => has_all(claims),
    };
    let of_user = match &form.user_tokens[..] {
        // Without a subject nobody is named.
        [] => !of_client && subject.is_some() && client_id.is_some(),
        claims => has_all(claims),
    };
    match (of_client, of_user) {
        (true, false) => Some(SubjectKind::Client),
        (false, true) => Some(SubjectKind::User),
        (true, true) | (false, false) => None,
    }
}

/// Whether `text` is `wanted` with the client's id where it says so.
fn is_filled(wanted: &str, text: &str, client_id: Option<&str>) -> bool {
    match wanted.split_once(CLIENT_ID) {
        None => wanted == text,
        Some((before, behind)) => {
            let inside = text.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
            inside.is_some() && inside == client_id
        }
    }
}
