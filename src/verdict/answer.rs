//! An answer as bytes for the caller; of a refusal: status, headers, problem document or gRPC message. One function for HTTP, gRPC and
//! gRPC-Web, so that all come from the same row.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

use crate::http::AnswerForm;
use crate::policy::Dialects;
use crate::reason::Reason;
use crate::time::{UnixMillis, whole_seconds_up};
use crate::verdict::challenge::challenges;
use crate::verdict::{Detail, Refusal};

/// A complete answer to a request that does not go upstream.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status; 200 for gRPC, whose status is a header.
    pub status: u16,
    /// Response code details: `boundgate:<slug>`.
    pub details: String,
    /// Header fields, lower-case names.
    pub headers: Vec<(&'static str, String)>,
    /// Problem document (RFC 9457); nothing for gRPC, whose answers consist of headers only; for gRPC-Web these as a frame.
    pub body: Vec<u8>,
}

/// RFC 9457 with the extension of draft-ietf-httpapi-ratelimit-headers, and the request id for callers to quote.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(rename = "violated-policies", skip_serializing_if = "Vec::is_empty")]
    violated_policies: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
const ABNORMAL_USAGE: &str = "https://iana.org/assignments/http-problem-types#abnormal-usage-detected";

impl Answer {
    /// With a document that anybody may have and keep for an hour, pages of other origins too.
    pub fn serve(document: &str) -> Self {
        let headers = [
            ("content-type", "application/json"),
            ("cache-control", "public, max-age=3600"),
            ("access-control-allow-origin", "*"),
        ];
        let headers = headers.map(|(name, value)| (name, value.to_owned())).into();
        Self { status: 200, details: "boundgate:metadata".to_owned(), headers, body: document.as_bytes().to_vec() }
    }
}

impl Refusal {
    /// The answer. `dialects`: which fields of limits are wanted.
    pub fn answer(&self, form: AnswerForm, dialects: Dialects, now: UnixMillis) -> Answer {
        let row = self.reason.row();
        let mut headers = vec![("cache-control", String::from("no-store"))];
        headers.extend(challenges(self, &row).into_iter().map(|challenge| ("www-authenticate", challenge)));
        headers.extend(self.nonce.iter().map(|nonce| ("dpop-nonce", nonce.to_string())));
        match &self.detail {
            Detail::None | Detail::RetryAfter(_) | Detail::Path(_) | Detail::Rule(_) => {}
            Detail::Allow(methods, _) => headers.push(("allow", methods.join(", "))),
            Detail::Limits(over) => headers.extend(over.fields(dialects, now)),
        }
        headers.extend(self.accepted().map(|types| ("accept", types)));
        let wait = self.retry_after();
        headers.extend(wait.map(|wait| ("retry-after", seconds(wait))));
        headers.push(("content-type", form.content_type().to_owned()));
        let text = match &self.detail {
            Detail::Path(fault) => format!("{}: {}", row.text, fault.told()),
            Detail::None | Detail::RetryAfter(_) | Detail::Allow(..) | Detail::Limits(_) | Detail::Rule(_) => {
                row.text.to_owned()
            }
        };
        // The texts have no character that would have to be escaped.
        let grpc = || {
            let status = [("grpc-status", row.grpc.to_string()), ("grpc-message", text.clone())];
            status.into_iter().chain(wait.map(|wait| ("grpc-retry-pushback-ms", milliseconds(wait))))
        };
        let (status, body) = match form {
            AnswerForm::Problem => (row.status, self.problem(row.status, &text).into_bytes()),
            AnswerForm::Grpc => {
                headers.extend(grpc());
                (200, Vec::new())
            }
            AnswerForm::GrpcWeb => (200, trailers_frame(grpc())),
            AnswerForm::GrpcWebText => (200, BASE64.encode(trailers_frame(grpc())).into_bytes()),
        };
        Answer { status, details: format!("boundgate:{}", self.reason.slug()), headers, body }
    }

    /// The types of bodies that would do (RFC 9110 §15.5.16), where this one does not.
    fn accepted(&self) -> Option<String> {
        let route = self.route.as_ref().filter(|_| self.reason == Reason::TypeNotAccepted)?;
        let types: Vec<String> = route.body.accepts.iter().map(ToString::to_string).collect();
        Some(types.join(", "))
    }

    /// When it is worth another try, if that can be told.
    fn retry_after(&self) -> Option<Duration> {
        match &self.detail {
            Detail::RetryAfter(wait) => Some(*wait),
            Detail::Limits(over) => over.retry_after(),
            Detail::None | Detail::Allow(..) | Detail::Path(_) | Detail::Rule(_) => None,
        }
    }

    fn problem(&self, status: u16, detail: &str) -> String {
        let violated_policies: Vec<&str> = self.violated_limits().collect();
        let r#type = match (self.reason, violated_policies.is_empty()) {
            (Reason::SourceLockedOut, _) => ABNORMAL_USAGE,
            (_, false) => QUOTA_EXCEEDED,
            (_, true) => "about:blank",
        };
        let request_id = self.request_id.as_deref();
        let problem = Problem { r#type, title: title(status), status, detail, violated_policies, request_id };
        // A struct of text and numbers always serialises.
        serde_json::to_string(&problem).unwrap_or_default()
    }
}

/// Trailers as gRPC-Web has them, in the body: browsers read them whatever CORS says, and the proxy keeps the type of an
/// answer only where it has a body.
fn trailers_frame(trailers: impl Iterator<Item = (&'static str, String)>) -> Vec<u8> {
    const TRAILERS: u8 = 0x80;
    let text: String = trailers.map(|(name, value)| format!("{name}:{value}\r\n")).collect();
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    [&[TRAILERS][..], &length.to_be_bytes(), text.as_bytes()].concat()
}

/// At least one second, rounded up: waiting that long always suffices.
fn seconds(wait: Duration) -> String {
    whole_seconds_up(wait).max(1).to_string()
}

/// Clients of gRPC that retry wait as long as this says (gRFC A6); like [`seconds`], it always suffices.
fn milliseconds(wait: Duration) -> String {
    wait.as_nanos().div_ceil(1_000_000).to_string()
}

/// The status phrase (RFC 9457 §4.2.1: the title of `about:blank`).
fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        421 => "Misdirected Request",
        425 => "Too Early",
        501 => "Not Implemented",
        429 => "Too Many Requests",
        _ => "Service Unavailable",
    }
}
