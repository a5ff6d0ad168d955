//! `WWW-Authenticate` values (RFC 6750 §3, RFC 9449 §7.1, RFC 9470 §3, RFC 9728 §5.1). In: a refusal and its row. Out: one challenge for each scheme,
//! every parameter a quoted-string of the characters RFC 6750 allows.

use std::fmt::Write;

use crate::policy::{Access, BindingRule, ScopeRule, StepUp};
use crate::reason::{ChallengeKind, Row};
use crate::token::Scheme;
use crate::verdict::Refusal;

/// The realm of a refusal before the resource is known.
const UNKNOWN_REALM: &str = "boundgate";

/// The challenges, each a field of its own; none where the table has none.
pub fn challenges(refusal: &Refusal, row: &Row) -> Vec<String> {
    if row.challenge == ChallengeKind::ApiKey {
        return vec![begin("ApiKey ", refusal).0];
    }
    let said = [Scheme::Bearer, Scheme::Dpop].map(|scheme| {
        // Of the scheme that was used, and of all that may be where none can be told, the fault; of the other, that it is there.
        let (offered, used) = (is_offered(scheme, refusal), refusal.scheme == Some(scheme));
        let fault = match row.challenge {
            ChallengeKind::None | ChallengeKind::ApiKey => return None,
            ChallengeKind::Bare => return offered.then(|| bare(scheme, refusal)),
            ChallengeKind::InvalidProof | ChallengeKind::UseNonce => scheme == Scheme::Dpop,
            _ => used || (refusal.scheme.is_none() && offered),
        };
        let beside = row.challenge == ChallengeKind::InvalidToken && offered;
        match (fault, beside) {
            (true, _) => Some(with_error(scheme, refusal, row)),
            (false, true) => Some(bare(scheme, refusal)),
            (false, false) => None,
        }
    });
    said.into_iter().flatten().collect()
}

/// Whether tokens may come so.
fn is_offered(scheme: Scheme, refusal: &Refusal) -> bool {
    let takes_proofs = refusal.resource.as_ref().is_some_and(|resource| resource.dpop.is_some());
    let binding = match refusal.route.as_ref().map(|route| &route.access) {
        Some(Access::Token(rule)) if takes_proofs => rule.binding,
        _ => BindingRule::Mtls,
    };
    match (scheme, binding) {
        (_, BindingRule::Any | BindingRule::WhenBound)
        | (Scheme::Bearer, BindingRule::Mtls)
        | (Scheme::Dpop, BindingRule::Dpop) => true,
        (Scheme::Bearer, BindingRule::Dpop) | (Scheme::Dpop, BindingRule::Mtls) => false,
    }
}

fn begin(scheme: &str, refusal: &Refusal) -> Challenge {
    let mut challenge = Challenge(String::from(scheme));
    challenge.parameter("realm", refusal.resource.as_ref().map_or(UNKNOWN_REALM, |resource| &resource.realm));
    challenge
}

fn bare(scheme: Scheme, refusal: &Refusal) -> String {
    end(begin(name(scheme), refusal), scheme, refusal)
}

fn with_error(scheme: Scheme, refusal: &Refusal, row: &Row) -> String {
    let mut challenge = begin(name(scheme), refusal);
    let error = match row.challenge {
        ChallengeKind::InvalidToken => "invalid_token",
        ChallengeKind::InsufficientScope => "insufficient_scope",
        ChallengeKind::InsufficientAuthentication => "insufficient_user_authentication",
        ChallengeKind::InvalidProof => "invalid_dpop_proof",
        ChallengeKind::UseNonce => "use_dpop_nonce",
        ChallengeKind::None | ChallengeKind::Bare | ChallengeKind::ApiKey | ChallengeKind::InvalidRequest => {
            "invalid_request"
        }
    };
    challenge.parameter("error", error);
    let access = refusal.route.as_ref().map(|route| &route.access);
    match (row.challenge, access) {
        (ChallengeKind::InsufficientScope, Some(Access::Token(rule))) => {
            challenge.parameter("scope", &needed(&rule.scopes));
        }
        (ChallengeKind::InsufficientAuthentication, Some(Access::Token(rule))) => {
            rule.step_up.iter().for_each(|step_up| challenge.step_up(step_up));
        }
        _ => {}
    }
    challenge.parameter("error_description", row.text);
    end(challenge, scheme, refusal)
}

fn end(mut challenge: Challenge, scheme: Scheme, refusal: &Refusal) -> String {
    let Some(resource) = &refusal.resource else { return challenge.0 };
    if let (Scheme::Dpop, Some(rule)) = (scheme, &resource.dpop) {
        let names: Vec<&str> = rule.algorithms.iter().map(|algorithm| algorithm.name()).collect();
        challenge.parameter("algs", &names.join(" "));
    }
    if let Some(url) = &resource.resource_metadata {
        challenge.parameter("resource_metadata", url);
    }
    challenge.0
}

const fn name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Bearer => "Bearer ",
        Scheme::Dpop => "DPoP ",
    }
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
