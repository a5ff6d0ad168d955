//! An HTTP request to a dependency and its end, as values. The worker makes requests, the root context sends them and
//! brings the answer back. Not here: what an answer means.

use std::time::Duration;

use crate::VERSION;
use crate::policy::Endpoint;

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
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// The body; may be empty.
    pub body: Vec<u8>,
    /// How long it may take.
    pub timeout: Duration,
    /// The longest body of an answer that is of use. Of a longer one, the caller gets one byte more.
    pub max_bytes: usize,
}

impl Fetch {
    /// Asks for what is at `endpoint`, in a form that `accept` names. `configured`: header fields, in the place of our own of that name.
    pub(super) fn get(
        endpoint: &Endpoint,
        accept: &str,
        configured: &[(Box<str>, Box<str>)],
        timeout: Duration,
        max_bytes: usize,
    ) -> Self {
        let user_agent = format!("boundgate/{VERSION}");
        let own = [("accept", accept), ("accept-encoding", "identity"), ("user-agent", &user_agent)];
        let own = own.into_iter().filter(|(name, _)| configured.iter().all(|(written, _)| **written != **name));
        let own = own.map(|(name, value)| (name.into(), value.into()));
        Self {
            cluster: endpoint.cluster.clone(),
            method: "GET",
            authority: endpoint.authority.clone(),
            path: endpoint.path.clone(),
            headers: own.chain(configured.iter().cloned()).collect(),
            body: Vec::new(),
            timeout,
            max_bytes,
        }
    }
}

/// The answer to a fetch.
#[derive(Debug, Default)]
pub struct HttpAnswer {
    /// `:status`.
    pub status: u16,
    /// Whether the proxy answered because no server did.
    pub by_proxy: bool,
    /// What the head says about it.
    pub fields: AnswerFields,
    /// The body.
    pub body: Vec<u8>,
}

/// The fields of an answer that matter here, as they were sent.
#[derive(Debug, Default)]
pub struct AnswerFields {
    /// `cache-control`.
    pub cache_control: Option<Vec<u8>>,
    /// `age`: how long a cache on the way has had it.
    pub age: Option<Vec<u8>>,
    /// `location`.
    pub location: Option<Vec<u8>>,
    /// `content-encoding`.
    pub content_encoding: Option<Vec<u8>>,
    /// `content-type`.
    pub content_type: Option<Vec<u8>>,
    /// `etag`: what the server calls this content.
    pub etag: Option<Vec<u8>>,
}

impl HttpAnswer {
    /// How long the server says that it is good for (RFC 9111 §4.2.1), from now on; `None` if it does not say.
    pub fn max_age(&self) -> Option<Duration> {
        let directives = std::str::from_utf8(self.fields.cache_control.as_deref()?).ok()?.split(',').map(str::trim);
        let mut shortest = None;
        for directive in directives {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let seconds = match name.to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => 0,
                "max-age" => seconds(value.trim_matches('"')).unwrap_or(0),
                _ => continue,
            };
            shortest = Some(shortest.map_or(seconds, |shortest: u64| shortest.min(seconds)));
        }
        let age = self.fields.age.as_deref().and_then(|age| seconds(std::str::from_utf8(age).ok()?.trim()));
        shortest.map(|seconds| Duration::from_secs(seconds.saturating_sub(age.unwrap_or(0))))
    }
}

/// RFC 9111 §1.2.2: digits alone; more than fit are a very long time.
fn seconds(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::from(u32::MAX)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_an_answer_is_good_for_is_read_from_its_head() {
        for (cache_control, age, expected) in [
            ("max-age=300", "", Some(300)),
            ("public, Max-Age=\"300\" , must-revalidate", "", Some(300)),
            ("max-age=300", "100", Some(200)),
            ("max-age=300", "400", Some(0)),
            ("max-age=300", "x", Some(300)),
            ("no-store", "", Some(0)),
            ("max-age=300, no-cache", "", Some(0)),
            ("max-age=300, max-age=20", "", Some(20)),
            ("max-age=99999999999999999999", "", Some(u64::from(u32::MAX))),
            ("max-age=-1", "", Some(0)),
            ("max-age", "", Some(0)),
            ("public, s-maxage=7", "", None),
            ("", "", None),
            ("max-age=3\u{e9}", "", Some(0)),
        ] {
            let fields = AnswerFields {
                cache_control: Some(cache_control.as_bytes().to_vec()),
                age: Some(age.as_bytes().to_vec()),
                ..AnswerFields::default()
            };
            let answer = HttpAnswer { fields, ..HttpAnswer::default() };
            assert_eq!(answer.max_age(), expected.map(Duration::from_secs), "{cache_control} {age}");
        }
        assert_eq!(HttpAnswer::default().max_age(), None);
    }
}
