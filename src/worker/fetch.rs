//! An HTTP request to a dependency and its end, as values. The worker makes requests, the root context sends them and
//! brings the answer back. Not here: what an answer means.

use std::time::Duration;

/// A request to be sent over https.
#[derive(Debug)]
pub struct Fetch {
    /// Envoy's cluster that it goes to.
    pub cluster: Box<str>,
    /// `:method`.
    pub method: &'static str,
    /// `:authority`.
    pub authority: Box<str>,
    /// `:path`.
    pub path: Box<str>,
    /// The other headers; names in lower case.
    pub headers: Vec<(&'static str, Box<str>)>,
    /// The body; may be empty.
    pub body: Vec<u8>,
    /// How long it may take.
    pub timeout: Duration,
    /// The longest body of an answer that is of use. Of a longer one, the caller gets one byte more.
    pub max_bytes: usize,
}

/// The answer to a fetch.
#[derive(Debug)]
pub struct HttpAnswer {
    /// `:status`.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// A fetch that brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchFailed {
    /// The proxy did not send it: unknown cluster, or no endpoint.
    NotSent,
    /// It was reset, or the answer was larger than the proxy buffers.
    NoAnswer,
    /// No end was ever reported.
    Lost,
}
