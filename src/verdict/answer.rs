//! A refusal as bytes for the caller: status, headers, problem document or gRPC message. One function for HTTP and
//! gRPC, so that both always come from the same row.

use std::time::Duration;

use serde::Serialize;

use crate::policy::Dialects;
use crate::reason::Reason;
use crate::time::{UnixMillis, whole_seconds_up};
use crate::verdict::challenge;
use crate::verdict::{Detail, Refusal};

/// A complete answer to a refused request.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status; the proxy turns it into 200 for gRPC.
    pub status: u16,
    /// gRPC status; never 0.
    pub grpc_status: u8,
    /// Response code details: `boundgate:<slug>`.
    pub details: String,
    /// Header fields, lower-case names.
    pub headers: Vec<(&'static str, String)>,
    /// Problem document (RFC 9457), or for gRPC the bare text, which becomes `grpc-message`.
    pub body: String,
}

/// RFC 9457 with the extension of draft-ietf-httpapi-ratelimit-headers.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(rename = "violated-policies", skip_serializing_if = "Vec::is_empty")]
    violated_policies: Vec<&'a str>,
}

const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
const ABNORMAL_USAGE: &str = "https://iana.org/assignments/http-problem-types#abnormal-usage-detected";

impl Refusal {
    /// The answer. `grpc`: the proxy takes the request for gRPC; `dialects`: which fields of limits are wanted.
    pub fn answer(&self, grpc: bool, dialects: Dialects, now: UnixMillis) -> Answer {
        let row = self.reason.row();
        let mut headers = vec![("cache-control", String::from("no-store"))];
        let challenge = challenge::bearer(row.challenge, row.text, self.resource.as_deref(), self.route.as_deref());
        headers.extend(challenge.map(|challenge| ("www-authenticate", challenge)));
        match &self.detail {
            Detail::None => {}
            Detail::RetryAfter(wait) => headers.push(("retry-after", seconds(*wait))),
            Detail::Allow(methods) => headers.push(("allow", methods.join(", "))),
            Detail::Limits(over) => {
                headers.extend(over.retry_after().map(|wait| ("retry-after", seconds(wait))));
                headers.extend(over.fields(dialects, now));
            }
        }
        let body = if grpc {
            row.text.to_owned()
        } else {
            headers.push(("content-type", String::from("application/problem+json")));
            self.problem(row.status, row.text)
        };
        Answer {
            status: row.status,
            grpc_status: row.grpc,
            details: format!("boundgate:{}", self.reason.slug()),
            headers,
            body,
        }
    }

    fn problem(&self, status: u16, detail: &str) -> String {
        let violated_policies: Vec<&str> = self.violated_limits().collect();
        let r#type = match (self.reason, violated_policies.is_empty()) {
            (Reason::SourceLockedOut, _) => ABNORMAL_USAGE,
            (_, false) => QUOTA_EXCEEDED,
            (_, true) => "about:blank",
        };
        let problem = Problem { r#type, title: title(status), status, detail, violated_policies };
        // A struct of text and numbers always serialises.
        serde_json::to_string(&problem).unwrap_or_default()
    }
}

/// At least one second, rounded up: waiting that long always suffices.
fn seconds(wait: Duration) -> String {
    whole_seconds_up(wait).max(1).to_string()
}

/// The status phrase (RFC 9457 §4.2.1: the title of `about:blank`).
fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        421 => "Misdirected Request",
        501 => "Not Implemented",
        429 => "Too Many Requests",
        _ => "Service Unavailable",
    }
}
