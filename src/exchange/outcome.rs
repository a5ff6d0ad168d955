//! How a response ends, for limits that count it: an HTTP status, also where gRPC says it. In: what the response says so
//! far. Out: [`Outcome`]. Not here: counting (`settling`).

/// What limits count a response as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This HTTP status of the upstream.
    Known(u16),
    /// What the trailers of the upstream's response say.
    InTrailers,
    /// Nothing: the proxy or another filter answered.
    NotUpstreams,
}

impl Outcome {
    /// From the head of a response to a gRPC call: its HTTP status and its `grpc-status`. What fails before gRPC says so by
    /// HTTP alone.
    pub fn of_call(status: u16, grpc_status: Option<&[u8]>) -> Self {
        match grpc_status {
            Some(code) => Outcome::Known(http_status(code)),
            None if status == 200 => Outcome::InTrailers,
            None => Outcome::Known(status),
        }
    }

    /// From the `grpc-status` of trailers; without one the call did not fail.
    pub fn of_trailers(grpc_status: Option<&[u8]>) -> u16 {
        grpc_status.map_or(200, http_status)
    }
}

/// The HTTP mapping of google.rpc.Code. A code that gRPC does not define is UNKNOWN.
fn http_status(code: &[u8]) -> u16 {
    match code {
        b"0" => 200,
        b"1" => 499,
        b"3" | b"9" | b"11" => 400,
        b"4" => 504,
        b"5" => 404,
        b"6" | b"10" => 409,
        b"7" => 403,
        b"8" => 429,
        b"12" => 501,
        b"14" => 503,
        b"16" => 401,
        _ => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_http_status_that_google_rpc_gives_it() {
        let statuses =
            [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401, 500].into_iter();
        for (code, status) in statuses.enumerate() {
            assert_eq!(http_status(code.to_string().as_bytes()), status, "{code}");
        }
        assert_eq!(http_status(b"NOT_FOUND"), 500);
    }

    #[test]
    fn a_call_ends_with_its_grpc_status_wherever_that_stands() {
        assert_eq!(Outcome::of_call(200, Some(b"5")), Outcome::Known(404));
        assert_eq!(Outcome::of_call(200, None), Outcome::InTrailers);
        assert_eq!(Outcome::of_trailers(Some(b"16")), 401);
        assert_eq!(Outcome::of_trailers(None), 200);
    }

    #[test]
    fn a_call_that_fails_before_grpc_ends_with_its_http_status() {
        assert_eq!(Outcome::of_call(403, None), Outcome::Known(403));
    }
}
