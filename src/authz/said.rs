//! What a token says under a name of ours. In: a verified token, a fact that it may have. Out: text, another value, or nothing.

use crate::json::Value;
use crate::policy::Fact;
use crate::token::AccessToken;

/// What a token says.
#[derive(Clone, Copy, Debug)]
pub enum Said<'t> {
    /// It is not there, or null.
    Nothing,
    /// A text that the core has read already.
    Text(&'t str),
    /// A claim as it came; never null.
    Value(&'t Value),
}

/// What `token` says of `fact`; nothing of what no token has.
pub fn said<'t>(token: &'t AccessToken, fact: &Fact) -> Said<'t> {
    let claims = token.claims();
    match fact {
        Fact::Sub => Said::Text(&claims.subject),
        Fact::ClientId => Said::Text(&claims.client_id),
        Fact::Issuer => Said::Text(&token.issuer().issuer),
        Fact::Claim(name) => match claims.claim(name) {
            None | Some(Value::Null) => Said::Nothing,
            Some(Value::Text(text)) => Said::Text(text),
            Some(value) => Said::Value(value),
        },
        Fact::Scope
        | Fact::Peer
        | Fact::Thumbprint
        | Fact::Ip
        | Fact::Source
        | Fact::Route
        | Fact::Header(_)
        | Fact::Constant(_) => Said::Nothing,
    }
}
