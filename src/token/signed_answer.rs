//! A signed answer about a token (RFC 9701). In: the body of the answer, the keys of the issuer, when it was asked. Out: what it says, once
//! the signature, whom it is for and its time are right. Not here: what that means for the token (`introspection`).
//!
//! It is signed with the keys that access tokens are signed with. `typ` keeps them apart: neither passes for the other.

use std::rc::Rc;

use crate::host::Host;
use crate::jose::{Compact, Header, Native, VerifyingKey};
use crate::json::{Object, Value};
use crate::policy::Issuer;
use crate::time::{Now, UnixMillis};
use crate::token::introspection::{AnswerFault, MAX_ANSWER_BYTES};

/// The media type of the answer; its end is the `typ` of its header.
pub const SIGNED_ANSWER: &str = "application/token-introspection+jwt";

/// An answer whose signature was not looked at yet.
pub struct SignedAnswer<'b>(Compact<'b>);

impl<'b> SignedAnswer<'b> {
    /// Parses the body of an answer of `issuer`.
    pub fn parse(body: &'b [u8], content_type: Option<&[u8]>, issuer: &Issuer) -> Result<Self, AnswerFault> {
        if body.len() > MAX_ANSWER_BYTES {
            return Err(AnswerFault::TooLarge);
        }
        let media_type = content_type.and_then(|kind| kind.split(|byte| *byte == b';').next());
        if !media_type.is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(SIGNED_ANSWER.as_bytes())) {
            return Err(AnswerFault::NotSigned);
        }
        let jws = Compact::parse(body.trim_ascii()).map_err(|fault| AnswerFault::Jws(fault.told()))?;
        let typ = jws.header.typ.as_deref().unwrap_or_default();
        let typ = typ.strip_prefix("application/").unwrap_or(typ);
        // Media types ignore ASCII case (RFC 7515 §4.1.9).
        if !SIGNED_ANSWER.strip_prefix("application/").is_some_and(|wanted| wanted.eq_ignore_ascii_case(typ)) {
            return Err(AnswerFault::Jws("its typ is not token-introspection+jwt"));
        }
        if !issuer.algorithms.contains(&jws.header.algorithm) {
            return Err(AnswerFault::Jws("its alg is none of the issuer's algorithms"));
        }
        Ok(Self(jws))
    }

    /// What the keys are looked up by.
    pub fn header(&self) -> &Header {
        &self.0.header
    }

    /// What it says of the token, if one of `keys` made it, for this client, since it was `asked`.
    pub fn verify(
        self,
        keys: &[Rc<VerifyingKey>],
        issuer: &Issuer,
        asked: UnixMillis,
        host: &dyn Host,
        native: Native,
        now: Now,
    ) -> Result<Object, AnswerFault> {
        if keys.is_empty() {
            return Err(AnswerFault::Jws("no key of the issuer has its kid and alg"));
        }
        if !keys.iter().any(|key| key.verify(&self.0, host, native)) {
            return Err(AnswerFault::Jws("its signature is wrong"));
        }
        let payload = &self.0.payload;
        if payload.get("iss").and_then(Value::as_text) != Some(&*issuer.issuer) {
            return Err(AnswerFault::Jws("its iss is not the issuer's"));
        }
        let client = issuer.introspection.as_ref().and_then(|introspection| introspection.client.as_ref());
        let own = client.map(|client| &*client.id);
        let audience = payload.get("aud");
        let many = audience.and_then(Value::as_array).unwrap_or_default();
        let mut audiences = audience.into_iter().chain(many).filter_map(Value::as_text);
        if own.is_none() || !audiences.any(|audience| Some(audience) == own) {
            return Err(AnswerFault::Jws("its aud is not this client's id"));
        }
        let issued = payload.get("iat").and_then(Value::as_number).and_then(UnixMillis::from_numeric_date);
        // Whole seconds may be cut off.
        let too_old = |issued: UnixMillis| issued.plus(issuer.leeway).plus(std::time::Duration::from_secs(1)) < asked;
        if issued.is_none_or(|issued| too_old(issued) || issued > now.wall.plus(issuer.leeway)) {
            return Err(AnswerFault::Jws("its iat is missing, or not of now"));
        }
        match payload.get("token_introspection") {
            Some(Value::Object(answer)) => Ok(answer.clone()),
            _ => Err(AnswerFault::Jws("it has no object token_introspection")),
        }
    }
}
