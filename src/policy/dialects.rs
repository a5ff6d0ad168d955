//! How callers are told where they stand. Plain data. Not here: the fields themselves (`limit::fields`).

/// Which fields callers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialects {
    /// RateLimit and RateLimit-Policy.
    pub draft: bool,
    /// X-RateLimit-*, if at all.
    pub older: Option<XRateLimit>,
}

impl Dialects {
    /// None.
    pub const NONE: Self = Self { draft: false, older: None };
}

/// What `X-RateLimit-Reset` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XRateLimit {
    /// Seconds from now, as Envoy's own filters write it.
    Envoy,
    /// Seconds since 1970.
    Epoch,
}
