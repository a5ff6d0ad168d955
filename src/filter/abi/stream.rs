//! What becomes of a stream: an answer of our own, or its way on.

use super::{Failed, done};
use crate::http::encode;
use crate::verdict::Answer;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_len: usize,
        body: *const u8,
        body_len: usize,
        headers: *const u8,
        headers_len: usize,
        grpc_status: i32,
    ) -> u32;

    safe fn proxy_continue_stream(stream: u32) -> u32;
}

/// The status of a gRPC answer stands in its headers, so that it is the same behind a filter that translates gRPC-Web.
const NO_GRPC_STATUS: i32 = -1;

/// Answers the request of the effective context, with response code details, which the SDK leaves out.
pub fn send_local_response(answer: &Answer) -> Result<(), Failed> {
    let headers = encode(answer.headers.iter().map(|(name, value)| (*name, value.as_bytes())));
    // SAFETY: every pointer comes with the length of the slice it was taken from, all outlive the call, and the
    // host copies before it returns.
    done(unsafe {
        proxy_send_local_response(
            u32::from(answer.status),
            answer.details.as_ptr(),
            answer.details.len(),
            answer.body.as_ptr(),
            answer.body.len(),
            headers.as_ptr(),
            headers.len(),
            NO_GRPC_STATUS,
        )
    })
}

/// Lets the paused request of the effective context go on.
pub fn resume_request() -> Result<(), Failed> {
    const REQUEST: u32 = 0;
    done(proxy_continue_stream(REQUEST))
}
