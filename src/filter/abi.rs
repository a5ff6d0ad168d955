//! Host calls that the SDK does not offer, and the only unsafe code of the crate.
//!
//! In: plain Rust values. Out: the same calls the SDK makes, with what it leaves out: response code details, the
//! kernel's monotonic clock, and re-entry into the root context. And request headers in one buffer, where the SDK copies each
//! and panics at names that are no text.

#![allow(unsafe_code)]

use crate::http::{HeaderMap, encode};
use crate::reason::Reason;
use crate::time::MonoNanos;
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

    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, len: *mut usize) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u16;
}

unsafe extern "C" {
    /// The SDK's own export, not an import: runs `on_tick` of the root context `context_id` now, so that a stream can
    /// have the root send its call at once. Allowed from a stream's callbacks only: from a root's callback, or
    /// while a stream is created, the SDK's own borrow would panic.
    safe fn proxy_on_tick(context_id: u32);
}

/// Runs `on_tick` of the root context `root` now. From a stream's callback only.
pub fn tick_root(root: u32) {
    proxy_on_tick(root);
}

/// Answers the request of the effective context. One call for HTTP and gRPC: the proxy turns it into a trailers-only
/// response where the request is gRPC.
pub fn send_local_response(answer: &Answer) -> Result<(), u32> {
    let headers = encode(answer.headers.iter().map(|(name, value)| (*name, value.as_bytes())));
    // SAFETY: every pointer comes with the length of the slice it was taken from, all outlive the call, and the
    // host copies before it returns.
    let status = unsafe {
        proxy_send_local_response(
            u32::from(answer.status),
            answer.details.as_ptr(),
            answer.details.len(),
            answer.body.as_ptr(),
            answer.body.len(),
            headers.as_ptr(),
            headers.len(),
            i32::from(answer.grpc_status),
        )
    };
    if status == 0 { Ok(()) } else { Err(status) }
}

/// The request headers of the effective context.
pub fn request_headers() -> Result<HeaderMap, Reason> {
    const REQUEST_HEADERS: u32 = 0;
    let (mut data, mut len) = (std::ptr::null_mut(), 0);
    // SAFETY: the host writes a pointer and a length to places that outlive the call.
    let status = unsafe { proxy_get_header_map_pairs(REQUEST_HEADERS, &mut data, &mut len) };
    if status != 0 || data.is_null() {
        return Err(Reason::FilterUnavailable);
    }
    // SAFETY: the host had the SDK's `proxy_on_memory_allocate` make it: a Vec of just this capacity, which the SDK forgot
    // and the host filled.
    let bytes = unsafe { Vec::from_raw_parts(data, len, len) };
    HeaderMap::decode(bytes).map_err(|_| Reason::HeadMalformed)
}

/// The kernel's CLOCK_MONOTONIC: one epoch for all workers. The end of time if it cannot be read, which spends
/// no limit and serves no stale key.
pub fn monotonic() -> MonoNanos {
    const CLOCK_MONOTONIC: u32 = 1;
    let mut nanos = 0_u64;
    // SAFETY: the host writes eight bytes to the pointer, which is aligned and outlives the call.
    let errno = unsafe { clock_time_get(CLOCK_MONOTONIC, 0, &mut nanos) };
    MonoNanos::from_nanos(if errno == 0 { nanos } else { u64::MAX })
}
