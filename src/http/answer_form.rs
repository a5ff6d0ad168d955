//! In which form a request wants its answer. In: its `content-type`. Out: [`AnswerForm`].

use crate::http::HeaderMap;

/// The form of an answer that is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerForm {
    /// HTTP with a problem document.
    #[default]
    Problem,
    /// gRPC.
    Grpc,
    /// gRPC-Web, which no filter before this one has translated.
    GrpcWeb,
    /// gRPC-Web in base64.
    GrpcWebText,
}

impl AnswerForm {
    /// What a request of this `content-type` wants. gRPC is what the proxy takes for gRPC: a type with parameters is not,
    /// and neither does the proxy's own `grpc_web` filter take such a one for gRPC-Web.
    pub fn of(content_type: &[u8]) -> Self {
        match content_type {
            b"application/grpc-web" | b"application/grpc-web+proto" => Self::GrpcWeb,
            b"application/grpc-web-text" | b"application/grpc-web-text+proto" => Self::GrpcWebText,
            _ => match content_type.strip_prefix(b"application/grpc") {
                Some([] | [b'+', ..]) => Self::Grpc,
                Some(_) | None => Self::Problem,
            },
        }
    }

    /// What a request with this header map wants, which may be malformed otherwise.
    pub fn of_head(map: &HeaderMap) -> Self {
        map.all("content-type").next().map_or(Self::Problem, Self::of)
    }

    /// The `content-type` of the answer.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Problem => "application/problem+json",
            Self::Grpc => "application/grpc",
            Self::GrpcWeb => "application/grpc-web+proto",
            Self::GrpcWebText => "application/grpc-web-text+proto",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_what_the_proxy_takes_for_it() {
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc+"] {
            assert_eq!(AnswerForm::of(kind.as_bytes()), AnswerForm::Grpc, "{kind}");
        }
        for kind in
            ["application/grpc-web; a=b", "application/grpc; a=b", "application/grpcfoo", "Application/grpc", ""]
        {
            assert_eq!(AnswerForm::of(kind.as_bytes()), AnswerForm::Problem, "{kind}");
        }
    }

    #[test]
    fn grpc_web_is_answered_in_its_own_encoding() {
        for (kind, form) in [
            ("application/grpc-web", AnswerForm::GrpcWeb),
            ("application/grpc-web+proto", AnswerForm::GrpcWeb),
            ("application/grpc-web-text", AnswerForm::GrpcWebText),
        ] {
            assert_eq!(AnswerForm::of(kind.as_bytes()), form, "{kind}");
            assert!(form.content_type().starts_with(kind), "{kind}");
        }
    }
}
