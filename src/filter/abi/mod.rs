//! The host calls of the filter, and the only unsafe code of the crate. In: plain Rust values. Out: what the host
//! answered, or the [`Failed`] status that it gave instead.
//!
//! The SDK has most of these calls as well, but panics at a status it does not expect, and a panic takes every stream of
//! the worker with it. Two calls stay the SDK's, `dispatch_http_call` and `dispatch_grpc_call`: it alone can note whom
//! an answer is for, and every status that Envoy gives to a well-formed call of these is one it returns. Before such an
//! answer its dispatcher sets the effective context, of a root that is there.
//!
//! * [`headers`]: header maps and trailers; [`stream`]: what becomes of a stream; [`root`]: contexts, ticks, metrics, buffers;
//! * [`property`]: properties and filter state; [`data`]: shared data and functions of the host;
//! * [`clock`]: both clocks; [`logger`]: the log.

#![allow(unsafe_code)]

pub mod clock;
pub mod data;
pub mod headers;
pub mod logger;
pub mod property;
pub mod root;
pub mod stream;

/// The status of a host call that did not do what it was asked for; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed(pub u32);

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;

fn done(status: u32) -> Result<(), Failed> {
    if status == OK { Ok(()) } else { Err(Failed(status)) }
}

/// Where the host puts what it returns.
struct Returned {
    data: *mut u8,
    len: usize,
}

impl Returned {
    const fn new() -> Self {
        Self { data: std::ptr::null_mut(), len: 0 }
    }

    /// What the host put there; `None` if it answered that there is nothing.
    ///
    /// # Safety
    ///
    /// Both places must have been written by one host call that returned `status`, or not at all.
    unsafe fn read(self, status: u32) -> Result<Option<Vec<u8>>, Failed> {
        match status {
            // The host returns emptiness as no place.
            OK if self.data.is_null() => Ok(Some(Vec::new())),
            // SAFETY: the host had the SDK's `proxy_on_memory_allocate` make it: a Vec of just this capacity, which the
            // SDK forgot and the host filled.
            OK => Ok(Some(unsafe { Vec::from_raw_parts(self.data, self.len, self.len) })),
            NOT_FOUND => Ok(None),
            failed => Err(Failed(failed)),
        }
    }
}
