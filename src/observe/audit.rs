//! The audit record of one request: a line of JSON for the access log. In: what was seen, and the verdict.
//! Out: text in which identities are bounded and escaped, and which never holds a token, key or certificate.
//!
//! Not here: what is told of a token that is refused (`token_facts`), how texts are bounded (`bounded`).

use serde::Serialize;

use crate::VERSION;
use crate::authz::{missing_scopes, scopes_missing_of_key};
use crate::binding::dpop::ProofFault;
use crate::exchange::AuditFacts;
use crate::observe::bounded::{Bounded, some};
use crate::observe::token_facts::{Unverified, Verified};
use crate::peer::Unused;
use crate::policy::Access;
use crate::reason::Reason;
use crate::verdict::{Refusal, Verdict};

/// The longest path written.
const MAX_PATH_CHARS: usize = 512;
/// The event of a caller whose certificate is about to end.
const CERTIFICATE_EXPIRING: &str = "certificate-expiring";
/// What every record begins with.
const BEGINNING: &str = "{\"decision\":\"";

#[derive(Serialize)]
struct Record<'a> {
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Bounded<'a, MAX_PATH_CHARS>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interaction_id: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<Bounded<'a>>,
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    thumbprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conveyed_unused: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_days_left: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    limits: Vec<Bounded<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shadow_limits: Vec<Bounded<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_scopes: Vec<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<Bounded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Verified<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unverified: Option<Unverified<'a>>,
}

/// What became of a request.
pub enum Decision<'v> {
    /// It went upstream.
    Forwarded,
    /// It was answered here.
    Answered,
    /// It was refused.
    Refused(&'v Refusal),
    /// It went upstream, and would have been refused.
    Reported(&'v Refusal),
}

impl<'v> From<&'v Verdict> for Decision<'v> {
    fn from(verdict: &'v Verdict) -> Self {
        match verdict {
            Verdict::Forward(forward) if forward.document().is_some() => Decision::Answered,
            Verdict::Forward(_) => Decision::Forwarded,
            Verdict::Refuse(refusal) => Decision::Refused(refusal),
            Verdict::Report(refusal, _) => Decision::Reported(refusal),
        }
    }
}

/// The record of a request of which `decision` was made.
pub fn audit_record(facts: &AuditFacts, decision: Decision<'_>) -> String {
    let peer = facts.identity.as_ref();
    let claims = facts.token.as_ref().map(|token| token.claims());
    let key = facts.api_key.as_deref();
    let (decision, refusal) = match decision {
        Decision::Forwarded => ("forwarded", None),
        Decision::Answered => ("answered", None),
        Decision::Refused(refusal) => ("refused", Some(refusal)),
        Decision::Reported(refusal) => ("reported", Some(refusal)),
    };
    let reason = refusal.map(|refusal| refusal.reason.slug());
    let limits = refusal.into_iter().flat_map(Refusal::violated_limits).map(Bounded).collect();
    let refused_token = facts.token.as_ref().filter(|_| refusal.is_some_and(|refusal| refusal.reason.is_of_token()));
    let claimed = facts.claimed.as_deref();
    let of_proof = facts.proof_fault.map(ProofFault::told);
    let denying = refusal.and_then(Refusal::denying_rule);
    let expiring = facts.certificate.filter(|life| life.is_short).map(|_| CERTIFICATE_EXPIRING);
    let record = Record {
        decision,
        reason,
        version: VERSION,
        request_id: facts.request_id.as_deref().map(Bounded),
        resource: facts.resource.as_ref().map(|resource| Bounded(&resource.origin.name)),
        route: match &facts.route {
            Some(route) => Some(Bounded(&route.origin.name)),
            None => refusal.and_then(Refusal::path_of_others).map(Bounded),
        },
        path: facts.path.as_deref().map(Bounded),
        interaction_id: facts.interaction.as_ref().map(|interaction| Bounded(interaction.text())),
        issuer: facts.token.as_ref().map(|token| Bounded(&token.issuer().origin.name)),
        iss: facts.token.as_ref().map(|token| Bounded(&token.issuer().issuer)),
        client_id: claims.map(|claims| &claims.client_id).or(key.map(|key| &key.client_id)).map(|id| Bounded(id)),
        api_key: key.map(|key| Bounded(&key.origin.name)),
        sub: claims.map(|claims| Bounded(&claims.subject)),
        jti: claims.and_then(|claims| claims.token_id.as_deref()).map(Bounded),
        thumbprint: facts.thumbprint.map(|thumbprint| thumbprint.to_x5t_s256()),
        peer_source: facts.peer_source,
        conveyed_unused: facts.conveyed_unused.map(Unused::slug),
        peer: peer.and_then(|peer| peer.spiffe_id.as_ref()).map(|id| Bounded(id.as_str())),
        subject: peer.and_then(|peer| peer.subject.as_deref()).map(Bounded),
        serial: peer.and_then(|peer| peer.certificate.as_ref()).map(|certificate| Bounded(&certificate.serial)),
        certificate_days_left: facts.certificate.map(|life| life.days_left),
        limits,
        shadow_limits: facts.shadowed.iter().map(|limit| Bounded(&limit.origin.name)).collect(),
        events: facts.events.iter().map(|event| event.slug()).chain(expiring).collect(),
        missing_scopes: refusal.map(|refusal| lacking(facts, refusal)).unwrap_or_default(),
        rule: denying.map(|rule| Bounded(&rule.path)),
        claim: claimed
            .and_then(|claimed| claimed.member.as_deref())
            .or(of_proof.and_then(|(member, _)| member))
            .map(Bounded),
        because: claimed
            .and_then(|claimed| claimed.because)
            .or(denying.map(|rule| rule.because))
            .or(of_proof.map(|(_, because)| because)),
        token: refused_token.map(|token| Verified::of(token)),
        unverified: claimed.map(Unverified::of),
    };
    // A struct of text always serialises.
    serde_json::to_string(&record).unwrap_or_default()
}

/// The scopes that the token or the key lacks, where it is refused for that.
fn lacking<'a>(facts: &'a AuditFacts, refusal: &Refusal) -> Vec<Bounded<'a>> {
    let access = facts.route.as_ref().map(|route| &route.access);
    match (refusal.reason, access, &facts.token, &facts.api_key) {
        (Reason::ScopeMissing, Some(Access::Token(rule)), Some(token), _) => some(missing_scopes(rule, token)),
        (Reason::ApiKeyScopeMissing, Some(Access::Key(rule)), _, Some(key)) => some(scopes_missing_of_key(rule, key)),
        _ => Vec::new(),
    }
}

/// The record of a request that went on from here and that something behind refused: by the proxy's `details` of the answer.
/// `None`: it is no record.
pub fn stopped(record: &str, details: &str) -> Option<String> {
    let (_, rest) = record.strip_prefix(BEGINNING)?.split_once('"')?;
    let by = serde_json::to_string(&Bounded::<128>(details)).ok()?;
    Some(format!("{BEGINNING}stopped\",\"stopped_by\":{by}{rest}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// A record in which nothing is left out.
    fn full() -> Value {
        let text = || Some(Bounded("x"));
        serde_json::to_value(Record {
            decision: "refused",
            reason: Some("x"),
            version: VERSION,
            request_id: text(),
            resource: text(),
            route: text(),
            path: Some(Bounded("x")),
            interaction_id: text(),
            issuer: text(),
            iss: text(),
            client_id: text(),
            api_key: text(),
            sub: text(),
            jti: text(),
            thumbprint: Some(String::from("x")),
            peer_source: Some("x"),
            conveyed_unused: Some("x"),
            peer: text(),
            subject: text(),
            serial: text(),
            certificate_days_left: Some(1),
            limits: vec![Bounded("x")],
            shadow_limits: vec![Bounded("x")],
            events: vec!["x"],
            missing_scopes: vec![Bounded("x")],
            rule: text(),
            claim: text(),
            because: Some("x"),
            token: Some(Verified::full()),
            unverified: Some(Unverified::full()),
        })
        .unwrap()
    }

    /// `token.aud` for the field `aud` of the object `token`, and all other fields.
    fn names(record: &Value) -> BTreeSet<String> {
        let below = |(name, value): (&String, &Value)| {
            let inner = value.as_object().into_iter().flatten().map(|(inner, _)| format!("{name}.{inner}"));
            inner.chain([name.clone()]).collect::<Vec<_>>()
        };
        record.as_object().unwrap().iter().flat_map(below).collect()
    }

    #[test]
    fn the_docs_tell_every_field_of_the_record_and_no_other() {
        let page = include_str!("../../docs/operations.md");
        let (_, section) = page.split_once("### The audit record").unwrap();
        let (section, _) = section.split_once("\n### ").unwrap();
        let row = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
        let told: BTreeSet<String> = section.lines().filter_map(row).collect();
        let mut fields = names(&full());
        fields.insert(String::from("stopped_by"));
        assert_eq!(told, fields);
        let (_, example) = section.split_once("```json").unwrap();
        let example: Value = serde_json::from_str(example.split_once("```").unwrap().0).unwrap();
        assert!(names(&example).is_subset(&fields), "{example}");
    }

    #[test]
    fn the_record_of_what_was_stopped_behind_says_so_first_and_keeps_the_rest() {
        let record = audit_record(&AuditFacts::default(), Decision::Forwarded);
        let stopped = stopped(&record, "rbac_access_denied_matched_policy[none]").unwrap();
        let record: Value = serde_json::from_str(&stopped).unwrap();
        assert_eq!((&record["decision"], &record["version"]), (&"stopped".into(), &VERSION.into()));
        assert_eq!(record["stopped_by"], "rbac_access_denied_matched_policy[none]");
        assert_eq!(super::stopped("no record", "x"), None);
    }
}
