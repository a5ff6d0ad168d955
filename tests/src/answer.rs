//! What a client got back. In: a response. Out: the parts that tests ask for.

use std::net::SocketAddr;

use serde_json::Value;
use time::OffsetDateTime;

use crate::http1::{Fields, Response};
use crate::key_exchange::KeyExchange;

/// A complete response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Every header field in order, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// Every trailer field.
    pub trailers: Vec<(String, Vec<u8>)>,
    /// The connection it came over.
    pub(crate) link: Link,
    /// How many requests that connection had carried before.
    pub(crate) nth: usize,
}

/// A connection, as far as an answer tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// The client's end, as the access log names it.
    pub(crate) client: SocketAddr,
    /// From when on lines of the access log may be about it. Ports are used again.
    pub(crate) since: OffsetDateTime,
    /// Whether it resumed a TLS session.
    pub(crate) resumed: bool,
    /// What its keys were agreed by.
    pub(crate) group: Option<KeyExchange>,
}

impl Answer {
    pub(crate) fn new(response: Response, link: Link, nth: usize) -> Self {
        let Response { status, headers, body, trailers } = response;
        Self { status, headers, body, trailers, link, nth }
    }

    /// Whether its connection resumed a TLS session.
    pub fn resumed(&self) -> bool {
        self.link.resumed
    }

    /// The group of its connection's key exchange; none without TLS.
    pub fn key_exchange(&self) -> Option<KeyExchange> {
        self.link.group
    }

    /// How many requests its connection had carried before.
    pub fn nth(&self) -> usize {
        self.nth
    }

    /// The first header field of this name, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        values(&self.headers, name).next()
    }

    /// Every header field of this name, as text.
    pub fn lines(&self, name: &str) -> Vec<String> {
        values(&self.headers, name).collect()
    }

    /// Every `WWW-Authenticate` value: one challenge each.
    pub fn challenges(&self) -> Vec<String> {
        self.lines("www-authenticate")
    }

    /// The problem document (RFC 9457), or `Null` if the body is none.
    pub fn problem(&self) -> Value {
        match self.header("content-type").as_deref() {
            Some("application/problem+json") => self.json(),
            _ => Value::Null,
        }
    }

    /// The body as JSON, or `Null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `grpc-status`, from the trailers or a trailers-only response.
    pub fn grpc_status(&self) -> Option<u8> {
        self.trailing("grpc-status").and_then(|status| status.parse().ok())
    }

    /// `grpc-message`, from the trailers or a trailers-only response.
    pub fn grpc_message(&self) -> Option<String> {
        self.trailing("grpc-message")
    }

    fn trailing(&self, name: &str) -> Option<String> {
        values(&self.trailers, name).chain(values(&self.headers, name)).next()
    }
}

fn values(fields: &Fields, name: &str) -> impl Iterator<Item = String> {
    let values = fields.iter().filter(move |(field, _)| field == name);
    values.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
}
