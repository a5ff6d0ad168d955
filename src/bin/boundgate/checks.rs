//! The checks of a request, in the order in which the core makes them. In: the reason of a refusal; what is told of a check. Out: the check that
//! refuses for it; text and JSON. Not here: what a check saw (`asked`).

use boundgate::reason::Reason;
use serde::Serialize;

/// What is told of a check.
#[derive(Debug, Serialize)]
pub struct Told {
    pub check: Check,
    pub outcome: Outcome,
    pub saw: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// In the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// Method, host and path, each with one reading.
    Request,
    Resource,
    Route,
    /// The certificate.
    Peer,
    Credential,
    Token,
    Binding,
    /// Scopes and peers.
    Policy,
    /// Its type and its length.
    Body,
    /// What is told the upstream.
    Upstream,
    Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Passed,
    Refused,
    /// The route does not ask for it.
    Unasked,
    /// Refused before.
    Unreached,
    /// It depends on what happened before, which is not known here.
    Depends,
}

/// A rule and where it is written.
#[derive(Debug, Serialize)]
pub struct Rule {
    pub rule: String,
    pub config: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
}

impl Check {
    /// All of them.
    pub const ALL: [Check; 11] = [
        Check::Request,
        Check::Resource,
        Check::Route,
        Check::Peer,
        Check::Credential,
        Check::Token,
        Check::Binding,
        Check::Policy,
        Check::Body,
        Check::Upstream,
        Check::Limits,
    ];

    /// The one that refuses for `reason`. `is_read`: the path had one reading.
    pub fn refusing(reason: Reason, is_read: bool) -> Self {
        match reason {
            Reason::HeadMalformed | Reason::MethodRefused | Reason::AuthorityMalformed | Reason::UriTooLong => {
                Check::Request
            }
            Reason::PathAmbiguous if !is_read => Check::Request,
            Reason::HostUnknown | Reason::Misdirected | Reason::TlsTooOld => Check::Resource,
            Reason::PathAmbiguous | Reason::RouteUnknown | Reason::MethodNotAllowed | Reason::TooEarly => Check::Route,
            Reason::PeerUnreadable => Check::Peer,
            Reason::TokenMissing
            | Reason::AuthorizationMalformed
            | Reason::AuthorizationRepeated
            | Reason::TokenInQuery
            | Reason::TokenTooLarge
            | Reason::ApiKeyMissing
            | Reason::ApiKeyInvalid
            | Reason::ApiKeyExpired => Check::Credential,
            Reason::TokenMalformed
            | Reason::IssuerUntrusted
            | Reason::TypUnacceptable
            | Reason::AlgorithmNotAllowed
            | Reason::KeyUnknown
            | Reason::SignatureInvalid
            | Reason::TokenInactive
            | Reason::ClaimsMalformed
            | Reason::TokenExpired
            | Reason::TokenNotYetValid
            | Reason::LifetimeTooLong
            | Reason::IssuedTooEarly
            | Reason::AudienceMismatch
            | Reason::StatusUnusable
            | Reason::TokenRevoked
            // Read with the other claims.
            | Reason::ConfirmationUnusable
            | Reason::KeysUnavailable
            | Reason::IntrospectionUnavailable
            | Reason::RevocationStale
            | Reason::Overloaded
            | Reason::FilterUnavailable => Check::Token,
            Reason::TokenUnbound
            | Reason::CertificateMissing
            | Reason::BindingMismatch
            | Reason::SchemeMismatch
            | Reason::ProofMissing
            | Reason::ProofRepeated
            | Reason::ProofMalformed
            | Reason::ProofElsewhere
            | Reason::ProofUntimely
            | Reason::NonceNeeded
            | Reason::KeyMismatch
            | Reason::ProofInvalid
            | Reason::ProofReplayed
            | Reason::ProofsCrowded
            | Reason::SourceMismatch => Check::Binding,
            Reason::SubjectRefused
            | Reason::ScopeMissing
            | Reason::ClaimRefused
            | Reason::ObjectMismatch
            | Reason::AuthenticationInsufficient
            | Reason::ApiKeyNotAllowed
            | Reason::ApiKeyScopeMissing
            | Reason::PeerMissing
            | Reason::PeerUnidentified
            | Reason::PeerNotAllowed => Check::Policy,
            Reason::BodyTooLarge | Reason::TypeNotAccepted => Check::Body,
            Reason::ClaimUnforwardable => Check::Upstream,
            Reason::SourceLockedOut
            | Reason::OverLimit
            | Reason::LimitCrowded
            | Reason::LimitContended
            | Reason::LimiterUnavailable => Check::Limits,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Check::Request => "request",
            Check::Resource => "resource",
            Check::Route => "route",
            Check::Peer => "peer",
            Check::Credential => "credential",
            Check::Token => "token",
            Check::Binding => "binding",
            Check::Policy => "policy",
            Check::Body => "body",
            Check::Upstream => "upstream",
            Check::Limits => "limits",
        }
    }
}

impl Told {
    /// Whether more than is known here decides it.
    pub fn depends(&self) -> bool {
        self.outcome == Outcome::Depends
    }

    /// One line for what was seen, one for each rule.
    pub fn text(&self) -> String {
        let outcome = match self.outcome {
            Outcome::Passed => "passed",
            Outcome::Refused => "REFUSED",
            Outcome::Unasked => "unasked",
            Outcome::Unreached => "-",
            Outcome::Depends => "depends",
        };
        let rules = self.rules.iter().map(|Rule { rule, config, line, column }| {
            let position = line.zip(*column).map(|(line, column)| format!(" ({line}:{column})"));
            format!("{:22}{rule}  <- {config}{}\n", "", position.unwrap_or_default())
        });
        let rules: String = rules.collect();
        let line = format!("{:10}  {outcome:8}  {}", self.check.name(), self.saw);
        format!("{}\n{rules}", line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_refuse_in_the_order_of_the_reasons() {
        // Asked of tokens and of peers alike; read with the claims.
        let others =
            [Reason::PeerMissing, Reason::PeerUnidentified, Reason::PeerNotAllowed, Reason::ConfirmationUnusable];
        let first = Reason::ALL.iter().take_while(|reason| **reason != Reason::KeysUnavailable);
        let checks: Vec<Check> = first
            .filter(|reason| !others.contains(reason))
            .map(|reason| Check::refusing(*reason, *reason != Reason::PathAmbiguous))
            .collect();
        assert!(checks.is_sorted() && Check::ALL.is_sorted(), "{checks:?}");
        assert!(Check::ALL.iter().all(|check| checks.contains(check)), "{checks:?}");
    }
}
