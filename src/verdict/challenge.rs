//! `WWW-Authenticate` values (RFC 6750 §3, RFC 9470 §3, RFC 9728 §5.1). In: the kind, the text of the row, resource and route.
//! Out: one challenge, every parameter a quoted-string of the characters RFC 6750 allows.

use std::fmt::Write;

use crate::policy::{Access, Resource, Route, ScopeRule, StepUp};
use crate::reason::ChallengeKind;

/// The realm of a refusal before the resource is known.
const UNKNOWN_REALM: &str = "boundgate";

/// The challenge, or `None` where the table has none.
pub fn challenge(
    kind: ChallengeKind,
    text: &str,
    resource: Option<&Resource>,
    route: Option<&Route>,
) -> Option<String> {
    let scheme = if kind == ChallengeKind::ApiKey { "ApiKey " } else { "Bearer " };
    let mut challenge = Challenge(String::from(scheme));
    challenge.parameter("realm", resource.map_or(UNKNOWN_REALM, |resource| &resource.realm));
    let error = match kind {
        ChallengeKind::None => return None,
        ChallengeKind::ApiKey => return Some(challenge.0),
        ChallengeKind::Bare => None,
        ChallengeKind::InvalidToken => Some("invalid_token"),
        ChallengeKind::InvalidRequest => Some("invalid_request"),
        ChallengeKind::InsufficientScope => Some("insufficient_scope"),
        ChallengeKind::InsufficientAuthentication => Some("insufficient_user_authentication"),
    };
    if let Some(error) = error {
        challenge.parameter("error", error);
        match (kind, route.map(|route| &route.access)) {
            (ChallengeKind::InsufficientScope, Some(Access::Token(rule))) => {
                challenge.parameter("scope", &needed(&rule.scopes));
            }
            (ChallengeKind::InsufficientAuthentication, Some(Access::Token(rule))) => {
                rule.step_up.iter().for_each(|step_up| challenge.step_up(step_up));
            }
            _ => {}
        }
        challenge.parameter("error_description", text);
    }
    if let Some(url) = resource.and_then(|resource| resource.resource_metadata.as_deref()) {
        challenge.parameter("resource_metadata", url);
    }
    Some(challenge.0)
}

/// The scopes a client should ask for, sorted, each once.
fn needed(rule: &ScopeRule) -> String {
    let mut scopes: Vec<&str> = rule.all.iter().chain(&rule.any).map(|scope| &**scope).collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes.join(" ")
}

struct Challenge(String);

impl Challenge {
    /// What a client asks its authorization server for (RFC 9470 §3): both as in OpenID Connect Core §3.1.2.1.
    fn step_up(&mut self, step_up: &StepUp) {
        if !step_up.contexts.is_empty() {
            self.parameter("acr_values", &step_up.contexts.join(" "));
        }
        if let Some(age) = step_up.max_age {
            self.parameter("max_age", &age.as_secs().to_string());
        }
    }

    fn parameter(&mut self, name: &str, value: &str) {
        if !self.0.ends_with(' ') {
            self.0.push_str(", ");
        }
        // RFC 6750 §3: %x20-21 / %x23-5B / %x5D-7E, so nothing ever needs a backslash.
        let allowed = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
        let value: String = value.chars().filter(allowed).collect();
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{name}=\"{value}\"");
    }
}
