//! One unary gRPC method over HTTP/2. In: an HTTP request. Out: its message, and the HTTP response for an answer, for a
//! failure, or for bytes that are neither.

use std::convert::Infallible;

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::{Bytes, Incoming};
use prost::Message;

/// No ask is nearly as long.
const LONGEST: usize = 1024 * 1024;
/// Before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

pub(crate) type Body = BoxBody<Bytes, Infallible>;

/// The gRPC status codes that are in use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Code {
    Unknown = 2,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
}

/// A call that failed.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl Status {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Self::new(Code::Unknown, message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }
}

/// The message of a call.
pub(crate) async fn read<M: Message + Default>(request: Request<Incoming>) -> Result<M, Status> {
    let body = Limited::new(request.into_body(), LONGEST).collect().await;
    let body = body.map_err(|error| Status::new(Code::Internal, error.to_string()))?.to_bytes();
    let message = match body.split_first_chunk::<PREFIX>() {
        Some(([0, length @ ..], message)) if u32::from_be_bytes(*length) as usize == message.len() => message,
        _ => return Err(Status::new(Code::Unimplemented, "one message, not compressed, is what this takes")),
    };
    M::decode(message).map_err(|error| Status::new(Code::Internal, error.to_string()))
}

/// An answer, well or not.
pub(crate) fn answered<M: Message>(answer: Result<M, Status>) -> Response<Body> {
    match answer {
        Ok(message) => bytes(&message.encode_to_vec()),
        Err(status) => failed(&status),
    }
}

/// A gRPC message of these bytes, with status OK.
pub(crate) fn bytes(message: &[u8]) -> Response<Body> {
    let length = u32::try_from(message.len()).expect("a message is shorter than 4 GiB");
    let frame = [&[0], &length.to_be_bytes()[..], message].concat();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    response(Full::new(Bytes::from(frame)).with_trailers(async move { Some(Ok(trailers)) }).boxed())
}

/// The status stands in the headers, and nothing follows.
fn failed(status: &Status) -> Response<Body> {
    let mut response = response(Empty::new().boxed());
    response.headers_mut().insert("grpc-status", HeaderValue::from(status.code as u16));
    // gRPC has what is not printable ASCII percent-encoded. Nobody reads ours but people.
    let message: String =
        status.message.chars().map(|c| if matches!(c, ' '..='~') && c != '%' { c } else { '?' }).collect();
    let message = HeaderValue::try_from(message).expect("printable ASCII is a header's value");
    response.headers_mut().insert("grpc-message", message);
    response
}

fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
