//! The keys of filter state, below `wasm.`, that are the filter's own.

/// Filter state by which an interlock knows what this filter let through, and which holds the audit record. Each filter of a
/// chain needs its own: what one let through must not pass the interlock of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Is `ok` once a request was let through.
    pub passed: Box<str>,
    /// The audit record.
    pub audit: Box<str>,
}

impl Mark {
    /// Of the filter of this name: `boundgate_<name>` and `boundgate_<name>_audit`.
    pub fn named(name: &str) -> Self {
        Self { passed: format!("boundgate_{name}").into(), audit: format!("boundgate_{name}_audit").into() }
    }
}

/// Of a filter that is alone: `boundgate` and `boundgate_audit`.
impl Default for Mark {
    fn default() -> Self {
        Self { passed: "boundgate".into(), audit: "boundgate_audit".into() }
    }
}
