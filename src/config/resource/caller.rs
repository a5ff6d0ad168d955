//! Facts about a caller, as they are named in the configuration, and where they may be put. In: one value. Out: what
//! the policy holds, or a finding.

use crate::config::reading::finding::quoted;
use crate::config::reading::table::{Mistake, TextKey, unknown_word};
use crate::config::reading::values::{Name, set};
use crate::policy::Fact;

/// The name of a claim as it stands in tokens, where it is not one that has a name here.
pub(in crate::config) fn claim_name(name: &str, named: &[&str]) -> Result<Box<str>, Mistake> {
    if named.contains(&name) {
        return Err(Mistake::new(
            format!("claim {} has a name of its own here", quoted(name)),
            format!("Write {name}."),
        ));
    }
    if (1..=128).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(name.into());
    }
    Err(Mistake::new(
        format!("{} is no name of a claim", quoted(name)),
        "Write it behind claim. as it stands in tokens.",
    ))
}

/// A claim that callers are counted by.
fn counted_claim(name: &str) -> Result<Box<str>, Mistake> {
    let why = match name {
        "jti" | "exp" | "iat" | "nbf" => "differs from token to token: each would have a budget of its own",
        "cnf" => "differs from certificate to certificate: each would have a budget of its own",
        "aud" | "scope" => "may list the same in any order: each would have a budget of its own",
        "iss" => "is part of all that is counted from a token already",
        _ => return claim_name(name, &["client_id", "sub"]),
    };
    Err(Mistake::new(format!("claim {} {why}", quoted(name)), "Write client_id, sub or another claim."))
}

/// A claim that chooses callers by its text.
pub(in crate::config) fn chosen_claim(name: &str) -> Result<Box<str>, Mistake> {
    let why = match name {
        "client_id" | "sub" => {
            return Err(Mistake::new("stands for a key of its own", format!("Write {name} beside claims.")));
        }
        "jti" | "exp" | "iat" | "nbf" => "differs from token to token, so that it would choose one token at most",
        "cnf" => "is no text in any token, so that it would never choose anybody",
        _ => {
            return claim_name(name, &[])
                .map_err(|Mistake { finding, .. }| Mistake::new(finding, "Write it as it stands in tokens."));
        }
    };
    Err(Mistake::new(why, "Write another claim, client_id or sub."))
}

/// A claim that a route makes demands of, by its bare name.
pub(in crate::config) fn demanded_claim(name: &str) -> Result<Fact, Mistake> {
    let (why, remedy) = match name {
        "sub" => return Ok(Fact::Sub),
        "client_id" => return Ok(Fact::ClientId),
        "iss" => return Ok(Fact::Issuer),
        "scope" => ("has a key of its own", "Write scopes beside claims."),
        "aud" => ("is always checked", "Write audiences of the resource."),
        "exp" | "iat" | "nbf" | "jti" | "cnf" => ("is always checked, and differs from token to token", "Remove it."),
        _ if name.starts_with("claim.") => ("stands here without \"claim.\"", "Write the claim's name alone."),
        _ => {
            return claim_name(name, &[])
                .map(Fact::Claim)
                .map_err(|Mistake { finding, .. }| Mistake::new(finding, "Write it as it stands in tokens."));
        }
    };
    Err(Mistake::new(format!("claim {} {why}", quoted(name)), remedy))
}

/// Where a fact is named: which may stand there, and which claims.
struct Use {
    words: &'static [&'static str],
    claim: fn(&str) -> Result<Box<str>, Mistake>,
}

impl Use {
    fn parse(&self, text: &str) -> Result<Fact, Mistake> {
        let (word, name) = match text.split_once('.') {
            Some(("claim", name)) => ("claim.<name>", name),
            Some(("header", name)) => ("header.<name>", name),
            Some(("const", name)) if (1..=128).contains(&name.len()) => ("const.<text>", name),
            _ => (text, ""),
        };
        match word {
            _ if !self.words.contains(&word) => Err(unknown_word(text, self.words)),
            "claim.<name>" => (self.claim)(name).map(Fact::Claim),
            "header.<name>" => HeaderName::parse(name).map(|name| Fact::Header(name.0)),
            "const.<text>" => Ok(Fact::Constant(name.into())),
            "client_id" => Ok(Fact::ClientId),
            "sub" => Ok(Fact::Sub),
            "iss" => Ok(Fact::Issuer),
            "scope" => Ok(Fact::Scope),
            "peer" => Ok(Fact::Peer),
            "thumbprint" => Ok(Fact::Thumbprint),
            "ip" => Ok(Fact::Ip),
            "source" => Ok(Fact::Source),
            "route" => Ok(Fact::Route),
            _ => Err(unknown_word(text, self.words)),
        }
    }
}

/// One part of the identity a limit counts by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct LimitKey(pub(in crate::config) Fact);

impl LimitKey {
    const USE: Use = Use {
        words: &["client_id", "sub", "peer", "ip", "source", "route", "claim.<name>", "header.<name>", "const.<text>"],
        claim: counted_claim,
    };
}

impl TextKey for LimitKey {
    const WHAT: &'static str = "what a limit counts by";
    const EXAMPLE: &'static str =
        "client_id, sub, peer, ip, source, route, claim.<name>, header.<name> or const.<text>";

    fn parse(text: &str) -> Result<Self, Mistake> {
        Self::USE.parse(text).map(Self)
    }

    fn restrict(schema: &mut serde_json::Value) {
        set(schema, "pattern", r"^(client_id|sub|peer|ip|source|route|claim\..+|header\..+|const\..+)$");
    }
}

/// A fact about the caller that the upstream is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct ForwardedFact(pub(in crate::config) Fact);

impl ForwardedFact {
    const USE: Use = Use {
        words: &["client_id", "sub", "iss", "scope", "peer", "thumbprint", "claim.<name>"],
        claim: |name| claim_name(name, &["client_id", "sub", "iss", "scope"]),
    };
}

impl TextKey for ForwardedFact {
    const WHAT: &'static str = "a fact about the caller";
    const EXAMPLE: &'static str = "client_id, sub, iss, scope, peer, thumbprint or claim.<name>";

    fn parse(text: &str) -> Result<Self, Mistake> {
        Self::USE.parse(text).map(Self)
    }

    fn restrict(schema: &mut serde_json::Value) {
        set(schema, "pattern", r"^(client_id|sub|iss|scope|peer|thumbprint|claim\..+)$");
    }
}

/// A claim that names an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct AddressClaim(pub(in crate::config) Box<str>);

impl TextKey for AddressClaim {
    const WHAT: &'static str = "a claim";
    const EXAMPLE: &'static str = "claim.<name>, like \"claim.ip\"";

    fn parse(text: &str) -> Result<Self, Mistake> {
        let name = text.strip_prefix("claim.").ok_or_else(|| unknown_word(text, &["claim.<name>"]))?;
        claim_name(name, &["client_id", "sub", "iss", "scope"]).map(Self).map_err(|Mistake { finding, .. }| {
            Mistake::new(finding, format!("Write {}: the claim that has an address.", Self::EXAMPLE))
        })
    }

    fn restrict(schema: &mut serde_json::Value) {
        set(schema, "pattern", r"^claim\..+$");
    }
}

/// A claim that says whose an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct OwnerClaim(pub(in crate::config) Fact);

impl OwnerClaim {
    const USE: Use = Use { words: &["sub", "client_id", "claim.<name>"], claim: owners_claim };
}

/// No claim that differs from token to token, or is a list of something else.
fn owners_claim(name: &str) -> Result<Box<str>, Mistake> {
    let why = match name {
        "jti" | "exp" | "iat" | "nbf" | "cnf" => "says nothing of whom the token is about",
        "aud" | "scope" | "iss" => "is no name of an object",
        _ => return claim_name(name, &["client_id", "sub"]),
    };
    Err(Mistake::new(format!("claim {} {why}", quoted(name)), "Write sub, client_id or another claim."))
}

impl TextKey for OwnerClaim {
    const WHAT: &'static str = "a claim";
    const EXAMPLE: &'static str = "sub, client_id or claim.<name>, or a list of these";

    fn parse(text: &str) -> Result<Self, Mistake> {
        Self::USE.parse(text).map(Self)
    }

    fn restrict(schema: &mut serde_json::Value) {
        set(schema, "pattern", r"^(sub|client_id|claim\..+)$");
    }
}

/// Headers that HTTP itself, Envoy or this filter needs as they are.
const RESERVED_HEADERS: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The name of a header that may be set or removed: lower case, with `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct HeaderName(pub(in crate::config) Box<str>);

impl TextKey for HeaderName {
    const WHAT: &'static str = "the name of a header";
    const EXAMPLE: &'static str = r#"a name in lower case, like "x-client-id""#;

    fn parse(text: &str) -> Result<Self, Mistake> {
        // `_` would be read as `-` by some servers, and such names are removed for that reason.
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        match text {
            "authorization" => Err(Mistake::new(
                "\"authorization\" is not for this list",
                "Write forward: { token: false } to remove the token.",
            )),
            _ if RESERVED_HEADERS.contains(&text) || text.starts_with("x-envoy-") => {
                Err(Mistake::new(format!("{} belongs to HTTP or to Envoy", quoted(text)), "Choose another name."))
            }
            _ if (1..=128).contains(&text.len()) && text.bytes().all(allowed) => Ok(Self(text.into())),
            _ => Err(Mistake::new(
                format!("{} is no name of a header", quoted(text)),
                format!("Write {}.", Self::EXAMPLE),
            )),
        }
    }

    fn restrict(schema: &mut serde_json::Value) {
        set(schema, "pattern", "^[a-z0-9.-]{1,128}$");
    }
}

/// What a client may ask of an Envoy that takes it for internal, or of a cluster that goes where the client says. The
/// other `x-envoy-` headers are read before this filter, or written by Envoy.
const CLIENTS_ENVOY_HEADERS: &[&str] = &[
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-max-retries",
    "x-envoy-original-dst-host",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
];

/// The name of a header that may be removed from requests, or kept in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct StrippedName(pub(in crate::config) Box<str>);

impl TextKey for StrippedName {
    const WHAT: &'static str = HeaderName::WHAT;
    const EXAMPLE: &'static str = HeaderName::EXAMPLE;

    fn parse(text: &str) -> Result<Self, Mistake> {
        match text {
            _ if CLIENTS_ENVOY_HEADERS.contains(&text) => Ok(Self(text.into())),
            _ if text.starts_with("x-envoy-") => Err(Mistake::new(
                format!("{} belongs to Envoy, and removing it here changes nothing", quoted(text)),
                "Set internal_address_config of the connection manager so that clients are external.",
            )),
            _ => HeaderName::parse(text).map(|name| Self(name.0)),
        }
    }

    fn restrict(schema: &mut serde_json::Value) {
        HeaderName::restrict(schema);
    }
}

/// A key of filter state, below `wasm.`. The filter's own keys cannot be taken: the interlock trusts one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct FilterStateKey(pub(in crate::config) Box<str>);

impl TextKey for FilterStateKey {
    const WHAT: &'static str = "a key of filter state";
    const EXAMPLE: &'static str = r#"a name of a-z, 0-9, "_", "-" and ".", like "client""#;

    fn parse(text: &str) -> Result<Self, Mistake> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte);
        if text.starts_with("boundgate") {
            return Err(Mistake::new(
                format!("{} is the filter's own", quoted(text)),
                "Choose a name that does not begin with boundgate.",
            ));
        }
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.into()));
        }
        Err(Mistake::new(format!("{} is no key of filter state", quoted(text)), format!("Write {}.", Self::EXAMPLE)))
    }
}

/// The name of one of several filters in a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct MarkName(pub(in crate::config) Box<str>);

impl TextKey for MarkName {
    const WHAT: &'static str = "the name of a mark";
    const EXAMPLE: &'static str = r#"a name of a-z, 0-9 and "-", like "edge""#;

    fn parse(text: &str) -> Result<Self, Mistake> {
        match text {
            "audit" => Err(Mistake::new(
                "\"audit\" would be the key of the audit record of a filter without a mark",
                "Choose another name.",
            )),
            _ if Name::is_one(text) => Ok(Self(text.into())),
            _ => Err(Mistake::new(format!("{} is no name", quoted(text)), Name::RULE)),
        }
    }

    fn restrict(schema: &mut serde_json::Value) {
        set(schema, "pattern", "^[a-z0-9-]{1,64}$");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_key_is_written_as_it_is_read() {
        for text in ["client_id", "sub", "peer", "ip", "header.x-a", "claim.https://example.com/tenant", "const.search"]
        {
            assert_eq!(LimitKey::parse(text).ok().map(|key| key.0.to_string()).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_fact_stands_only_where_it_may() {
        for text in ["iss", "scope", "thumbprint", "claim", "header", "const.", ""] {
            assert!(LimitKey::parse(text).is_err(), "{text:?}");
        }
        for text in ["ip", "source", "route", "header.x-a", "header.", "const.a"] {
            let Err(Mistake { remedy, .. }) = ForwardedFact::parse(text) else { panic!("{text}") };
            assert_eq!(remedy, "Known here: client_id, sub, iss, scope, peer, thumbprint, claim.<name>.", "{text}");
        }
    }

    #[test]
    fn headers_of_envoy_may_be_removed_where_the_client_chooses_them() {
        assert!(StrippedName::parse("x-envoy-max-retries").is_ok());
        for text in ["x-envoy-internal", "x-envoy-expected-rq-timeout-ms", "authorization", "host"] {
            assert!(StrippedName::parse(text).is_err(), "{text}");
        }
        assert!(HeaderName::parse("x-envoy-max-retries").is_err(), "and are never set");
    }

    #[test]
    fn what_the_interlock_trusts_cannot_be_set() {
        assert!(FilterStateKey::parse("boundgate").is_err());
        assert!(FilterStateKey::parse("boundgate_audit").is_err());
        assert!(FilterStateKey::parse("boundgate_edge").is_err());
        assert!(
            MarkName::parse("audit").is_err() && MarkName::parse("Edge").is_err() && MarkName::parse("edge").is_ok()
        );
    }
}
