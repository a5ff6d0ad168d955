//! The rows: which clients there are, and what each can be asked.

use crate::cells::Case::{self, *};

/// What a client is written in, or comes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    CommandLine,
    Python,
    Node,
    Go,
    Java,
    Rust,
}

impl Language {
    pub const ALL: [Self; 6] = [Self::CommandLine, Self::Python, Self::Node, Self::Go, Self::Java, Self::Rust];
}

/// A client, as it comes.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// As the documentation and the programs name it.
    pub name: &'static str,
    pub language: Language,
    pub grpc: bool,
    /// Whether it resumes TLS sessions by itself.
    pub resumes: bool,
    pub cases: &'static [Case],
}

const fn http(language: Language, name: &'static str, resumes: bool) -> Client {
    Client { name, language, grpc: false, resumes, cases: USUAL }
}

const fn grpc(language: Language, name: &'static str, resumes: bool) -> Client {
    Client { name, language, grpc: true, resumes, cases: USUAL }
}

const fn only(client: Client, cases: &'static [Case]) -> Client {
    Client { cases, ..client }
}

const USUAL: &[Case] = &[Honest, Resumed, Small, Large, Kept, Retry, Challenge, Stream];
/// The older one is what loses answers that come before the body.
const CURL: &[Case] = &[Honest, Resumed, Small, Medium, Large, Kept, Retry, Stream];
/// It has no option that ends an HTTP/2 connection and keeps its session.
const CURL_HTTP2: &[Case] = &[Honest, Small, Medium, Large, Kept, Retry, Stream];
/// One connection for everything, which nothing ends from outside.
const WITHOUT_RESUMED: &[Case] = &[Honest, Small, Large, Kept, Retry, Challenge, Stream];

/// Every row.
pub const CLIENTS: &[Client] = {
    use Language::*;
    &[
        // The system's: the newer one answers for itself what the older one loses.
        only(http(CommandLine, "curl 7", false), CURL_HTTP2),
        only(http(CommandLine, "curl 7 HTTP/1.1", true), CURL),
        only(http(CommandLine, "curl 8", false), CURL_HTTP2),
        only(http(CommandLine, "curl 8 HTTP/1.1", true), CURL),
        only(http(CommandLine, "wget", false), &[Honest, Small, Large]),
        http(Python, "requests", false),
        http(Python, "httpx", false),
        http(Python, "httpx HTTP/2", false),
        http(Python, "aiohttp", false),
        grpc(Python, "grpcio", true),
        http(Node, "undici", true),
        only(http(Node, "undici HTTP/2", true), WITHOUT_RESUMED),
        http(Node, "axios", true),
        http(Node, "got", true),
        only(http(Node, "got HTTP/2", true), WITHOUT_RESUMED),
        grpc(Node, "grpc-js", false),
        only(http(Node, "ws", false), &[Honest, Challenge, Stream]),
        http(Go, "net/http", true),
        http(Go, "net/http HTTP/1.1", true),
        grpc(Go, "grpc-go", true),
        http(Java, "JDK HttpClient", true),
        http(Java, "JDK HttpClient HTTP/1.1", true),
        http(Java, "OkHttp", true),
        http(Java, "OkHttp HTTP/1.1", true),
        http(Java, "Apache HC5", true),
        http(Java, "Apache HC5 with Expect", true),
        grpc(Java, "grpc-java", false),
        http(Rust, "reqwest", true),
        http(Rust, "reqwest HTTP/1.1", true),
        grpc(Rust, "tonic", false),
    ]
};
