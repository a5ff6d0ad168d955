//! Why a caller may not use a route. In: the reason, and the rule that said no. Out: what a refusal tells operators. Never a value from a
//! token or a request.

use crate::reason::Reason;

/// A caller may not use a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The row of the table.
    pub reason: Reason,
    /// Which rule, where there may be several for this reason.
    pub rule: Option<DenyingRule>,
}

/// The rule that said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenyingRule {
    /// Where it is written.
    pub path: Box<str>,
    /// What is wrong.
    pub because: &'static str,
}

impl Denial {
    /// By the rule that is written at `path`.
    pub fn by(reason: Reason, path: &str, because: &'static str) -> Self {
        Self { reason, rule: Some(DenyingRule { path: path.into(), because }) }
    }
}

impl From<Reason> for Denial {
    fn from(reason: Reason) -> Self {
        Self { reason, rule: None }
    }
}
