//! The `cnf` claim (RFC 7800 §3.1, RFC 8705 §3.1, RFC 9449 §6.1). In: its JSON. Out: the methods understood here, or none.
//!
//! RFC 7800 lets unknown members be ignored. A token whose `cnf` has no member that is understood would silently
//! turn from bound to bearer, so it is refused.
//! Not here: whether the promise is kept (`binding`).

use crate::jose::KeyThumbprint;
use crate::json::Value;
use crate::peer::Thumbprint;
use crate::reason::Reason;

/// What a token is bound to.
#[derive(Debug)]
pub enum Confirmation {
    /// Nothing: a bearer token.
    Absent,
    /// The certificate with this thumbprint (`x5t#S256`).
    Certificate(Thumbprint),
    /// The key with this thumbprint (`jkt`).
    Key(KeyThumbprint),
    /// Both of them.
    Both(Thumbprint, KeyThumbprint),
}

impl Confirmation {
    /// What is wrong with one that cannot be read.
    pub const UNUSABLE: &str = "names no x5t#S256 or jkt of 43 letters of base64url";

    /// Reads the claim; `None` is an absent one.
    pub fn parse(claim: Option<&Value>) -> Result<Self, Reason> {
        let Some(claim) = claim else { return Ok(Confirmation::Absent) };
        let members = claim.as_object().ok_or(Reason::ConfirmationUnusable)?;
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(value) => value.as_text().map(Some).ok_or(Reason::ConfirmationUnusable),
        };
        let certificate = text("x5t#S256")?.map(Thumbprint::from_x5t_s256).transpose();
        let key = text("jkt")?.map(KeyThumbprint::from_jkt).transpose();
        match (certificate, key) {
            (Ok(Some(certificate)), Ok(None)) => Ok(Confirmation::Certificate(certificate)),
            (Ok(None), Ok(Some(key))) => Ok(Confirmation::Key(key)),
            (Ok(Some(certificate)), Ok(Some(key))) => Ok(Confirmation::Both(certificate, key)),
            (Ok(None), Ok(None)) | (Err(_), _) | (_, Err(_)) => Err(Reason::ConfirmationUnusable),
        }
    }

    /// The certificate that it names.
    pub fn certificate(&self) -> Option<&Thumbprint> {
        match self {
            Confirmation::Certificate(certificate) | Confirmation::Both(certificate, _) => Some(certificate),
            Confirmation::Absent | Confirmation::Key(_) => None,
        }
    }

    /// The key that it names.
    pub fn key(&self) -> Option<&KeyThumbprint> {
        match self {
            Confirmation::Key(key) | Confirmation::Both(_, key) => Some(key),
            Confirmation::Absent | Confirmation::Certificate(_) => None,
        }
    }

    /// All that it names, as tokens write it.
    pub fn told(&self) -> Option<String> {
        let certificate = self.certificate().map(|certificate| certificate.to_x5t_s256());
        let all: Vec<String> = certificate.into_iter().chain(self.key().copied().map(KeyThumbprint::to_jkt)).collect();
        (!all.is_empty()).then(|| all.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Bounds, parse};

    const A: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";

    fn cnf(text: &str) -> Result<Confirmation, Reason> {
        Confirmation::parse(Some(&parse(text.as_bytes(), Bounds::TOKEN).unwrap()))
    }

    #[test]
    fn an_understood_method_may_stand_beside_unknown_ones() {
        assert!(matches!(cnf(&format!(r#"{{"x5t#S256":"{A}","foo":1}}"#)), Ok(Confirmation::Certificate(_))));
    }

    #[test]
    fn a_token_may_be_bound_to_a_key_or_to_both() {
        let read = |text: &str| cnf(text).unwrap();
        assert!(matches!(read(&format!(r#"{{"jkt":"{A}"}}"#)), Confirmation::Key(_)));
        let both = read(&format!(r#"{{"x5t#S256":"{A}","jkt":"{A}"}}"#));
        assert!(both.certificate().is_some() && both.key().is_some());
    }

    #[test]
    fn a_confirmation_without_an_understood_method_is_refused() {
        let padded = format!(r#"{{"x5t#S256":"{A}="}}"#);
        let many = format!(r#"{{"x5t#S256":["{A}"]}}"#);
        let half = format!(r#"{{"x5t#S256":"{A}","jkt":"x"}}"#);
        let other_half = format!(r#"{{"x5t#S256":1,"jkt":"{A}"}}"#);
        let sha1 = r#"{"x5t":"dGhpcyBpcyBub3QgYSBoYXNo"}"#;
        let tail = r#"{"x5t#S256":"A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v1"}"#;
        for text in [
            "null",
            "\"x\"",
            "[]",
            "{}",
            r#"{"foo":"x"}"#,
            r#"{"kid":"x"}"#,
            r#"{"jwk":{}}"#,
            &padded,
            &many,
            &half,
            &other_half,
            sha1,
            tail,
        ] {
            assert!(matches!(cnf(text), Err(Reason::ConfirmationUnusable)), "{text}");
        }
    }
}
