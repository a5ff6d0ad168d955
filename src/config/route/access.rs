//! The values of a route's keys: paths, methods, scopes. In: one value. Out: what the policy holds, or a finding. Not here:
//! peers (`peer_text`).

use serde_json::json;

use crate::config::reading::finding::{Findings, Place, quoted};
use crate::config::reading::table::{
    At, Key, Mistake, Reader, Table, TextKey, Written, config_settings, config_table, described, not_what, unknown_word,
};
use crate::config::reading::values::{Name, set};
use crate::http::{CanonicalPath, is_segment};
use crate::json::{Object, Value};
use crate::policy::{Mode, Pattern, PatternFault, TlsFloor};

config_settings! {
    /// Who may pass.
    AccessSetting {
        /// Bearers of an access token.
        Token = "token",
        /// Everybody.
        Public = "public",
        /// Holders of a validated client certificate.
        Peer = "peer",
        /// Clients with an API key.
        Key = "key",
    }
    refused {}
}

config_settings! {
    /// Whether refusals are carried out.
    ModeSetting {
        /// They are.
        Enforce = "enforce",
        /// They are recorded only, and the request goes on: for a rollout.
        Report = "report",
    }
    refused {}
}

impl ModeSetting {
    pub(in crate::config) fn mode(self) -> Mode {
        match self {
            Self::Enforce => Mode::Enforce,
            Self::Report => Mode::Report,
        }
    }
}

config_settings! {
    /// The oldest version of TLS.
    TlsFloorSetting {
        /// TLS 1.2.
        V12 = "1.2",
        /// TLS 1.3.
        V13 = "1.3",
    }
    refused {
        "1.0" => "\"1.0\" is broken (RFC 8996)", "Write \"1.2\" or \"1.3\".";
        "1.1" => "\"1.1\" is broken (RFC 8996)", "Write \"1.2\" or \"1.3\".";
    }
}

impl TlsFloorSetting {
    pub(in crate::config) fn floor(self) -> TlsFloor {
        match self {
            Self::V12 => TlsFloor::V12,
            Self::V13 => TlsFloor::V13,
        }
    }
}

config_settings! {
    /// What is demanded of a resource as a whole.
    ResourceProfileSetting {
        /// FAPI 2.0 Security Profile (Final): PS256, ES256 or Ed25519, bound tokens only, a leeway of 10 to 60 seconds,
        /// `x-fapi-interaction-id` on every answer.
        Fapi2 = "fapi2",
    }
    refused {
        "rfc9068" => "\"rfc9068\" says how an issuer writes tokens, not what a resource demands", "Write it on the issuer.";
        "keycloak" => "\"keycloak\" says how an issuer writes tokens, not what a resource demands", "Write it on the issuer.";
        "entra" => "\"entra\" says how an issuer writes tokens, not what a resource demands", "Write it on the issuer.";
        "okta" => "\"okta\" says how an issuer writes tokens, not what a resource demands", "Write it on the issuer.";
        "auth0" => "\"auth0\" says how an issuer writes tokens, not what a resource demands", "Write it on the issuer.";
        "cognito" => "\"cognito\" says how an issuer writes tokens, not what a resource demands", "Write it on the issuer.";
    }
}

config_settings! {
    /// How a token is bound to its sender.
    BoundSetting {
        /// The token must be bound to the client certificate or to a key.
        Any = "any",
        /// The token must be bound to the client certificate (RFC 8705).
        Mtls = "mtls",
        /// The token must be bound to a key, and come with a proof of it (RFC 9449).
        Dpop = "dpop",
        /// A token without `cnf` passes; one with `cnf` is held to it.
        WhenBound = "when-bound",
    }
    refused {
        "none" => "\"none\" is not possible: a token that is bound is always held to it", "Write when-bound to take tokens that are bound to nothing as well.";
        "bearer" => "\"bearer\" is not possible: a token that is bound is always held to it", "Write when-bound to take tokens that are bound to nothing as well.";
    }
}

config_settings! {
    /// Whom a token is about.
    SubjectSetting {
        /// A user, who let the client act.
        User = "user",
        /// The client itself (client credentials).
        Client = "client",
    }
    refused {}
}

/// The paths of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct PathText(pub(in crate::config) Pattern);

impl TextKey for PathText {
    const WHAT: &'static str = "a path";
    const EXAMPLE: &'static str = r#"a path, like "/orders/{id}" or "/files/**""#;

    fn parse(text: &str) -> Result<Self, Mistake> {
        Pattern::parse(text).map(Self).map_err(|fault| {
            let (finding, remedy) = match fault {
                PatternFault::Segment => return segment_mistake(text),
                PatternFault::NotAbsolute => ("does not begin with /", "Write the whole path."),
                PatternFault::Parameter => (
                    "has braces that are not around a whole segment",
                    "Write {name} between two slashes, with a name of letters, digits and _.",
                ),
                PatternFault::RepeatedParameter => ("has two parameters of the same name", "Rename one."),
                PatternFault::Wildcard => (
                    "has a * where none can stand",
                    "Write {name} for one segment, or ** as the last segment for all below.",
                ),
                PatternFault::TooLong => {
                    ("has more than 64 segments", "Write a shorter path: longer ones are always refused.")
                }
            };
            Mistake::new(format!("{} {finding}", quoted(text)), remedy)
        })
    }

    fn restrict(schema: &mut serde_json::Value) {
        set(schema, "pattern", "^/");
    }
}

/// What no path has in one of the segments of `text`.
fn segment_mistake(text: &str) -> Mistake {
    let segments = || text.split('/').skip(1);
    let last = segments().count().saturating_sub(1);
    if segments().take(last).any(str::is_empty) {
        return Mistake::new(format!("{} has two slashes in a row", quoted(text)), "Write one.");
    }
    let stands = |sign: char| sign == '%' || (sign != '?' && is_segment(&format!("x{sign}")));
    let found = text.chars().filter(|sign| !"/{}*".contains(*sign)).find(|sign| !stands(*sign));
    if let Some(sign) = found {
        let remedy = match sign {
            '?' => "Leave the query out: routes go by the path alone.".to_owned(),
            '<' | '>' => "Write {name} for any one segment.".to_owned(),
            ';' | '\\' => {
                "Leave it out: a request with it is always refused, because servers read it in different ways."
                    .to_owned()
            }
            sign if sign.is_control() => "Leave it out.".to_owned(),
            sign => {
                let escaped: String = sign.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
                format!("Write it as it is sent: {escaped}.")
            }
        };
        return Mistake::new(format!("{} has {}, which no path has", quoted(text), quoted(&sign.to_string())), remedy);
    }
    let fault = segments().find_map(|segment| CanonicalPath::parse(format!("/{segment}").as_bytes()).err());
    let (why, remedy) = match fault {
        Some(fault) => (fault.told(), "Write another path: a request with this one is always refused."),
        None => ("a slash is escaped", "For identifiers with one write {name}, and slash_in: [name]."),
    };
    Mistake::new(format!("{} would never be accepted: {why}", quoted(text)), remedy)
}

/// The name of a parameter of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct ParameterName(pub(in crate::config) Box<str>);

impl TextKey for ParameterName {
    const WHAT: &'static str = "the name of a parameter";
    const EXAMPLE: &'static str = r#"the name of a parameter, like "project" for {project}"#;

    fn parse(text: &str) -> Result<Self, Mistake> {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        match text {
            "**" => Err(Mistake::new("** stands for several segments", "Name a {parameter}, which stands for one.")),
            _ if !text.is_empty() && text.bytes().all(letter) => Ok(Self(text.into())),
            _ => Err(Mistake::new(
                format!("{} is no name of a parameter", quoted(text)),
                format!("Write {}.", Self::EXAMPLE),
            )),
        }
    }

    fn restrict(schema: &mut serde_json::Value) {
        set(schema, "pattern", "^[A-Za-z0-9_]+$");
    }
}

/// A method of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Method(pub(in crate::config) Box<str>);

impl TextKey for Method {
    const WHAT: &'static str = "a method";
    const EXAMPLE: &'static str = r#"a method in upper case, like "GET""#;

    fn parse(text: &str) -> Result<Self, Mistake> {
        let letter = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        match text {
            "CONNECT" | "TRACE" => Err(Mistake::new(format!("{text} never passes"), "Remove it.")),
            "*" | "ANY" | "any" | "ALL" | "all" => Err(Mistake::new(
                format!("{} is no method", quoted(text)),
                "Remove the key methods: without it, a route takes all.",
            )),
            _ if (1..=32).contains(&text.len()) && text.bytes().all(letter) => Ok(Self(text.into())),
            _ => Err(Mistake::new(format!("{} is no method", quoted(text)), format!("Write {}.", Self::EXAMPLE))),
        }
    }

    fn restrict(schema: &mut serde_json::Value) {
        set(schema, "pattern", "^[A-Z0-9_-]{1,32}$");
    }
}

/// A scope value (RFC 6749 §3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Scope(pub(in crate::config) Box<str>);

impl TextKey for Scope {
    const WHAT: &'static str = "a scope";
    const EXAMPLE: &'static str = r#"a scope, like "read:orders""#;
    const LOOKS_LIKE_ANYTHING: bool = true;

    fn parse(text: &str) -> Result<Self, Mistake> {
        let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        if (1..=256).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.into()));
        }
        let remedy = "Write each scope as an item of its own, in visible ASCII without \" and \\.";
        Err(Mistake::new(format!("{} is no scope", quoted(text)), remedy))
    }
}

config_table! {
    /// Scopes a token must carry.
    ScopeSets {
        /// Every one of these.
        all: Vec<At<Scope>> = optional,
        /// At least one of these.
        any: Vec<At<Scope>> = optional,
    }
}

/// Scopes a token must carry: a list (all of them), or `{ all: [...], any: [...] }`.
#[derive(Debug)]
pub(in crate::config) struct Scopes {
    pub(in crate::config) all: Vec<At<Scope>>,
    pub(in crate::config) any: Vec<At<Scope>>,
}

impl Key for Scopes {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        let empty = |at: &Place, what: &str, findings: &mut Findings| {
            if !findings.touch(at) {
                findings.add(at, what, "Name a scope, or remove the key.");
            }
        };
        match value {
            Value::Array(items) => {
                if items.is_empty() {
                    empty(at, EVERY_TOKEN, findings);
                }
                Some(Self { all: Key::read(value, at, findings).unwrap_or_default(), any: Vec::new() })
            }
            Value::Object(_) => {
                let sets = ScopeSets::read(value, at, findings)?;
                if !sets.wrote("all") && !sets.wrote("any") {
                    empty(at, "has neither all nor any, so that every token would pass", findings);
                }
                if sets.all.as_ref().is_some_and(Vec::is_empty) {
                    empty(&sets.at.key("all"), EVERY_TOKEN, findings);
                }
                if sets.any.as_ref().is_some_and(Vec::is_empty) {
                    empty(&sets.at.key("any"), "an empty list, which no token could satisfy", findings);
                }
                Some(Self { all: sets.all.unwrap_or_default(), any: sets.any.unwrap_or_default() })
            }
            other => {
                findings.add(
                    at,
                    not_what(other, "a list of scopes"),
                    "Write [a, b] for all of them, or { any: [a, b] } for one of them.",
                );
                None
            }
        }
    }

    fn schema() -> serde_json::Value {
        json!({ "oneOf": [<Vec<At<Scope>> as Key>::schema(), ScopeSets::schema()] })
    }
}

const EVERY_TOKEN: &str = "an empty list, so that every token would pass";

/// The limits of a route, or of all routes of a resource.
#[derive(Debug)]
pub(in crate::config) enum LimitNames {
    /// On purpose, none.
    None,
    /// These; some may have been wrong, and are left out.
    Listed(Vec<At<Name>>),
}

impl LimitNames {
    /// The names.
    pub(in crate::config) fn names(&self) -> &[At<Name>] {
        match self {
            Self::None => &[],
            Self::Listed(names) => names,
        }
    }
}

impl Key for LimitNames {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        match value {
            Value::Text(word) if word == "none" => Some(Self::None),
            Value::Array(items) => {
                if items.is_empty() {
                    let remedy = "Name a limit, or write limits: none if there is to be no limit.";
                    findings.add(at, "an empty list", remedy);
                }
                Key::read(value, at, findings).map(Self::Listed)
            }
            other => {
                let remedy = "Write it in brackets, like [a, b], or the word none.";
                findings.add(at, not_what(other, "a list of limits"), remedy);
                None
            }
        }
    }

    fn schema() -> serde_json::Value {
        json!({ "oneOf": [<Vec<At<Name>> as Key>::schema(), { "const": "none" }] })
    }
}
