//! Source address: whether a token comes from where it says. In: a route's rule, the token, the address that the proxy takes for the
//! client's. Out: nothing, or why not. IPv4 exactly, also where it is written into IPv6; IPv6 exactly or by /64.

use std::net::IpAddr;

use crate::authz::Denial;
use crate::json::Value;
use crate::policy::SourceIp;
use crate::reason::Reason;
use crate::token::AccessToken;

/// One of the addresses that the claim lists is the source.
pub fn comes(rule: &SourceIp, token: &AccessToken, source: Option<IpAddr>) -> Result<(), Denial> {
    let denied = |because| Denial::by(Reason::SourceMismatch, &rule.path, because);
    let source = source.ok_or_else(|| denied("the connection has no address"))?.to_canonical();
    let named = match token.claims().claim(&rule.claim) {
        None | Some(Value::Null) => Err("the token does not have the claim"),
        Some(Value::Array(items)) => items
            .iter()
            .try_fold(false, |found, item| Some(is_named(rule, item, source)? || found))
            .ok_or("the claim lists other things than addresses"),
        Some(value) => is_named(rule, value, source).ok_or("the claim is no address"),
    };
    match named.map_err(denied)? {
        true => Ok(()),
        false => Err(denied("it comes from another address")),
    }
}

/// `None` of what is no address.
fn is_named(rule: &SourceIp, value: &Value, source: IpAddr) -> Option<bool> {
    let named: IpAddr = value.as_text()?.parse().ok()?;
    Some(match (named.to_canonical(), source) {
        (IpAddr::V6(named), IpAddr::V6(source)) if rule.whole_64 => {
            named.segments().iter().take(4).eq(source.segments().iter().take(4))
        }
        (named, source) => named == source,
    })
}
