//! The audit record of one request: a line of JSON for the access log. In: what was seen, and the verdict.
//! Out: text in which identities are bounded and escaped, and which never holds a token, key or certificate.

use serde::{Serialize, Serializer};

use crate::exchange::Seen;
use crate::verdict::{Refusal, Verdict};

/// The longest identity written; longer ones end in `…`.
const MAX_CHARS: usize = 128;
/// The longest path written.
const MAX_PATH_CHARS: usize = 512;

#[derive(Serialize)]
struct Record<'a> {
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Bounded<'a, MAX_PATH_CHARS>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interaction_id: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<Bounded<'a>>,
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    thumbprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    limits: Vec<Bounded<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shadow_limits: Vec<Bounded<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<&'static str>,
}

/// Text from a caller or a token, cut to a bound. JSON escapes what is left.
struct Bounded<'a, const MAX: usize = MAX_CHARS>(&'a str);

impl<const MAX: usize> Serialize for Bounded<'_, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.char_indices().nth(MAX) {
            None => serializer.serialize_str(self.0),
            Some((end, _)) => serializer.collect_str(&format_args!("{}…", self.0.get(..end).unwrap_or_default())),
        }
    }
}

/// What became of a request.
pub enum Decision<'v> {
    /// It went upstream.
    Forwarded,
    /// It was refused.
    Refused(&'v Refusal),
    /// It went upstream, and would have been refused.
    Reported(&'v Refusal),
}

impl<'v> From<&'v Verdict> for Decision<'v> {
    fn from(verdict: &'v Verdict) -> Self {
        match verdict {
            Verdict::Forward(_) => Decision::Forwarded,
            Verdict::Refuse(refusal) => Decision::Refused(refusal),
            Verdict::Report(refusal, _) => Decision::Reported(refusal),
        }
    }
}

/// The record of a request of which `decision` was made.
pub fn audit_record(seen: &Seen, decision: Decision<'_>) -> String {
    let peer = seen.identity.as_ref();
    let claims = seen.token.as_ref().map(|token| token.claims());
    let (decision, refusal) = match decision {
        Decision::Forwarded => ("forwarded", None),
        Decision::Refused(refusal) => ("refused", Some(refusal)),
        Decision::Reported(refusal) => ("reported", Some(refusal)),
    };
    let reason = refusal.map(|refusal| refusal.reason.slug());
    let limits = refusal.into_iter().flat_map(Refusal::violated_limits).map(Bounded).collect();
    let record = Record {
        decision,
        reason,
        resource: seen.resource.as_ref().map(|resource| Bounded(&resource.origin.name)),
        route: seen.route.as_ref().map(|route| Bounded(&route.origin.name)),
        path: seen.path.as_deref().map(Bounded),
        interaction_id: seen.interaction.as_ref().map(|interaction| Bounded(interaction.text())),
        iss: seen.token.as_ref().map(|token| Bounded(&token.issuer().issuer)),
        client_id: claims.map(|claims| Bounded(&claims.client_id)),
        sub: claims.map(|claims| Bounded(&claims.subject)),
        jti: claims.and_then(|claims| claims.token_id.as_deref()).map(Bounded),
        thumbprint: seen.thumbprint.map(|thumbprint| thumbprint.to_x5t_s256()),
        peer: peer.and_then(|peer| peer.spiffe_id.as_ref()).map(|id| Bounded(id.as_str())),
        subject: peer.and_then(|peer| peer.subject.as_deref()).map(Bounded),
        serial: peer.and_then(|peer| peer.certificate.as_ref()).map(|certificate| Bounded(&certificate.serial)),
        limits,
        shadow_limits: seen.shadowed.iter().map(|limit| Bounded(&limit.origin.name)).collect(),
        events: seen.events.iter().map(|event| event.slug()).collect(),
    };
    // A struct of text always serialises.
    serde_json::to_string(&record).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_bounded_and_escaped() {
        let json = |text: &str| serde_json::to_string(&Bounded::<MAX_CHARS>(text)).unwrap();
        assert_eq!(json("a\"\n\u{7}"), r#""a\"\n\u0007""#);
        assert_eq!(json(&"é".repeat(200)).chars().count(), MAX_CHARS + "\"…\"".chars().count());
    }
}
