//! Step-up: whether the user behind a token signed in as a route demands (RFC 9470 §5). In: the route's rule, the token, the wall clock.
//! Out: nothing, or why not. A token that says nothing of it, or nothing that could be read, does not do: the client is told what to ask for.

use crate::authz::Denial;
use crate::json::Value;
use crate::policy::StepUp;
use crate::reason::Reason;
use crate::time::UnixMillis;
use crate::token::AccessToken;

/// Also of a token that met it before: time makes an authentication old.
pub fn authenticated(rule: &StepUp, token: &AccessToken, now: UnixMillis) -> Result<(), Denial> {
    context(rule, token)
        .and_then(|()| age(rule, token, now))
        .map_err(|because| Denial::by(Reason::AuthenticationInsufficient, &rule.path, because))
}

/// Compared exactly: no context is known to be better than another.
fn context(rule: &StepUp, token: &AccessToken) -> Result<(), &'static str> {
    if rule.contexts.is_empty() {
        return Ok(());
    }
    match token.claims().claim("acr") {
        None | Some(Value::Null) => Err("the token has no acr"),
        Some(Value::Text(acr)) if rule.contexts.iter().any(|context| **context == **acr) => Ok(()),
        Some(Value::Text(_)) => Err("acr is another"),
        Some(_) => Err("acr is no text"),
    }
}

fn age(rule: &StepUp, token: &AccessToken, now: UnixMillis) -> Result<(), &'static str> {
    let Some(max_age) = rule.max_age else { return Ok(()) };
    let leeway = token.issuer().leeway;
    let auth_time = match token.claims().claim("auth_time") {
        None | Some(Value::Null) => return Err("the token has no auth_time"),
        Some(value) => value.as_number().and_then(UnixMillis::from_numeric_date).ok_or("auth_time is no date")?,
    };
    match () {
        () if auth_time > now.plus(leeway) => Err("auth_time lies in the future"),
        () if now > auth_time.plus(max_age).plus(leeway) => Err("auth_time is too long ago"),
        () => Ok(()),
    }
}
