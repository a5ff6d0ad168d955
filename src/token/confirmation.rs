//! The `cnf` claim (RFC 7800 §3.1, RFC 8705 §3.1). In: its JSON. Out: the one method understood here, or none.
//!
//! RFC 7800 lets unknown members be ignored. A token whose `cnf` has no member that is understood would silently
//! turn from bound to bearer, so it is refused; so is one that is bound to a DPoP key as well, since that half of
//! the promise cannot be kept.

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
}

impl Confirmation {
    /// Reads the claim; `None` is an absent one.
    pub fn parse(claim: Option<&Value>) -> Result<Self, Reason> {
        let Some(claim) = claim else { return Ok(Confirmation::Absent) };
        let members = claim.as_object().ok_or(Reason::ConfirmationUnusable)?;
        if members.get("jkt").is_some() {
            return Err(Reason::ConfirmationUnusable);
        }
        let text = members.get("x5t#S256").and_then(Value::as_text).ok_or(Reason::ConfirmationUnusable)?;
        Thumbprint::from_x5t_s256(text).map(Confirmation::Certificate).map_err(|_| Reason::ConfirmationUnusable)
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
    fn a_confirmation_without_an_understood_method_is_refused() {
        let padded = format!(r#"{{"x5t#S256":"{A}="}}"#);
        let many = format!(r#"{{"x5t#S256":["{A}"]}}"#);
        let both = format!(r#"{{"x5t#S256":"{A}","jkt":"{A}"}}"#);
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
            &both,
            sha1,
            tail,
        ] {
            assert!(matches!(cnf(text), Err(Reason::ConfirmationUnusable)), "{text}");
        }
    }
}
