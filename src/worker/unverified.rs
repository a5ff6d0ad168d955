//! Signatures that a policy takes and that this proxy does not verify. In: the policy, what the proxy can. Out: a warning for the operator
//! about each. Not here: what becomes of a request with one (`exchange`).

use crate::jose::{Algorithm, Native};
use crate::policy::Policy;

/// What nobody can use, of what is listed.
pub(super) fn warnings(policy: &Policy, native: Native) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |path: &str, algorithms: &[Algorithm], what: &str, otherwise: &str| {
        for algorithm in algorithms.iter().filter(|algorithm| !native.verifies(**algorithm)) {
            let name = algorithm.name();
            warnings.push(format!(
                "{path}algorithms: this proxy does not verify {name}, so {what} signed with it are refused with 503. Use a newer \
                 Envoy, or {otherwise}"
            ));
        }
    };
    for issuer in &policy.issuers {
        warn(&format!("{}.", issuer.origin.path), &issuer.algorithms, "tokens", "have the issuer sign otherwise");
    }
    for resource in &policy.resources {
        if let Some(rule) = &resource.dpop {
            let path = format!("{}.dpop.", resource.origin.path);
            warn(&path, &rule.algorithms, "proofs", "list only what it verifies, which clients are told");
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn algorithms_of_tokens_and_of_proofs_that_the_proxy_does_not_verify_are_told_by_their_place() {
        let config = json!({
            "issuers": {"main": {
                "issuer": "https://as.example.com", "algorithms": ["ES384", "PS256"],
                "jwks": {"cluster": "as", "uri": "https://as.example.com/jwks"}
            }},
            "resources": [
                {"hosts": ["a.example.com"], "issuers": ["main"], "audiences": ["a"], "routes": [{"path": "/"}]},
                {
                    "hosts": ["b.example.com"], "issuers": ["main"], "audiences": ["b"], "routes": [{"path": "/"}],
                    "origin": "https://b.example.com", "dpop": {"algorithms": ["Ed25519", "ES512"]}
                },
                {
                    "hosts": ["c.example.com"], "issuers": ["main"], "audiences": ["c"], "routes": [{"path": "/"}],
                    "origin": "https://c.example.com"
                }
            ]
        });
        let policy = crate::config::load(config.to_string().as_bytes()).unwrap();
        assert_eq!(warnings(&policy, Native::ALL), [""; 0]);
        let told = warnings(&policy, Native::NONE);
        let starts = [
            "issuers.main.algorithms: this proxy does not verify ES384, so tokens signed with it",
            "resources[1].dpop.algorithms: this proxy does not verify ES512, so proofs signed with it",
            "resources[2].dpop.algorithms: this proxy does not verify ES256, so proofs signed with it",
        ];
        assert_eq!(told.len(), starts.len(), "{told:#?}");
        for (warning, start) in told.iter().zip(starts) {
            assert!(warning.starts_with(start) && warning.contains(". Use a newer Envoy, or "), "{warning}");
        }
    }
}
