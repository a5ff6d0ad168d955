//! Both clocks of the host. The SDK has no monotonic one.

use super::done;
use crate::time::MonoNanos;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u16;
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

/// Nanoseconds since 1970, if the host says.
pub fn wall_nanos() -> Option<u64> {
    let mut nanos = 0_u64;
    // SAFETY: the host writes eight bytes to the pointer, which is aligned and outlives the call.
    let status = unsafe { proxy_get_current_time_nanoseconds(&mut nanos) };
    done(status).ok().map(|()| nanos)
}
