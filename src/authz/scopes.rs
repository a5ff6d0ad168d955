//! Scopes (RFC 6749 §3.3): exact, case-sensitive values. In: a route's rule and a token's scopes. Out: yes or no.

use crate::policy::ScopeRule;

/// Every scope of `all`, and one of `any` unless that is empty.
pub fn satisfied(rule: &ScopeRule, held: &[Box<str>]) -> bool {
    let has = |scope: &str| held.iter().any(|held| **held == *scope);
    rule.all.iter().all(|scope| has(scope)) && (rule.any.is_empty() || rule.any.iter().any(|scope| has(scope)))
}

/// What is not held: of `any` all, if none of them is.
pub fn missing<'r>(rule: &'r ScopeRule, held: &[Box<str>]) -> Vec<&'r str> {
    let has = |scope: &str| held.iter().any(|held| **held == *scope);
    let any: &[Box<str>] = if rule.any.iter().any(|scope| has(scope)) { &[] } else { &rule.any };
    let all = rule.all.iter().filter(|scope| !has(scope));
    all.chain(any).map(|scope| &**scope).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(all: &[&str], any: &[&str]) -> ScopeRule {
        let boxed = |scopes: &[&str]| scopes.iter().map(|scope| (*scope).into()).collect();
        ScopeRule { all: boxed(all), any: boxed(any) }
    }

    fn held(text: &str) -> Vec<Box<str>> {
        text.split(' ').map(Into::into).collect()
    }

    #[test]
    fn all_of_and_any_of_are_both_demanded() {
        assert!(satisfied(&rule(&["a", "b"], &["x", "y"]), &held("b y a")));
        assert!(!satisfied(&rule(&["a", "b"], &["x", "y"]), &held("a b")));
        assert!(!satisfied(&rule(&["a", "b"], &["x", "y"]), &held("a x")));
        assert!(satisfied(&rule(&[], &[]), &[]));
    }

    #[test]
    fn what_is_missing_is_named() {
        let rule = rule(&["a", "b"], &["x", "y"]);
        assert_eq!(missing(&rule, &held("b y")), ["a"]);
        assert_eq!(missing(&rule, &held("a b")), ["x", "y"]);
        assert_eq!(missing(&rule, &held("a b x")), [""; 0]);
    }

    #[test]
    fn a_scope_is_matched_whole_and_by_case() {
        for other in ["read:all", "READ", "rea", "read\tadmin"] {
            assert!(!satisfied(&rule(&["read"], &[]), &held(other)), "{other}");
        }
    }
}
