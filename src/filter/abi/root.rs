//! What a root context asks for: whose calls follow, its ticks, its end, what its callbacks are about, counters.

use std::time::Duration;

use super::{Failed, Returned, done};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    safe fn proxy_set_effective_context(context: u32) -> u32;
    safe fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    safe fn proxy_done() -> u32;
    safe fn proxy_increment_metric(metric: u32, by: i64) -> u32;
    safe fn proxy_record_metric(metric: u32, value: u64) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_len: usize, metric: *mut u32) -> u32;
    fn proxy_get_buffer_bytes(buffer: u32, start: usize, max: usize, data: *mut *mut u8, len: *mut usize) -> u32;
}

unsafe extern "C" {
    /// The SDK's own export, not an import: runs `on_tick` of the root context `context` now, so that a stream can
    /// have the root send its call at once. Allowed from a stream's callbacks only: from a root's callback, or
    /// while a stream is created, the SDK's own borrow would panic.
    safe fn proxy_on_tick(context: u32);
}

/// Bytes that a callback is about.
#[derive(Clone, Copy, Debug)]
pub enum Buffer {
    /// Of an HTTP call's answer.
    Answer = 4,
    /// Of a gRPC call's answer.
    GrpcAnswer = 5,
    /// The configuration.
    Configuration = 7,
}

/// Runs `on_tick` of the root context `root` now. From a stream's callback only.
pub fn tick(root: u32) {
    proxy_on_tick(root);
}

/// Makes `context` the one that calls are about. Fails for a stream that the proxy has destroyed.
pub fn set_effective_context(context: u32) -> Result<(), Failed> {
    done(proxy_set_effective_context(context))
}

/// Has `on_tick` of the effective root context run this often.
pub fn set_tick_period(period: Duration) -> Result<(), Failed> {
    done(proxy_set_tick_period_milliseconds(u32::try_from(period.as_millis()).unwrap_or(u32::MAX)))
}

/// Ends the effective root context, whose `on_done` said that it was not done yet.
pub fn end() -> Result<(), Failed> {
    done(proxy_done())
}

/// Up to `max` bytes of what the callback is about.
pub fn bytes(buffer: Buffer, max: usize) -> Result<Vec<u8>, Failed> {
    let mut returned = Returned::new();
    // SAFETY: the host writes a pointer and a length to places that outlive the call.
    let read = unsafe {
        let status = proxy_get_buffer_bytes(buffer as u32, 0, max, &mut returned.data, &mut returned.len);
        returned.read(status)
    };
    read.map(Option::unwrap_or_default)
}

/// A counter of this name, by its number.
pub fn define_counter(name: &str) -> Result<u32, Failed> {
    const COUNTER: u32 = 0;
    define(COUNTER, name)
}

/// A gauge of this name, by its number.
pub fn define_gauge(name: &str) -> Result<u32, Failed> {
    const GAUGE: u32 = 1;
    define(GAUGE, name)
}

fn define(kind: u32, name: &str) -> Result<u32, Failed> {
    let mut metric = 0;
    // SAFETY: the pointer comes with the length of its slice; the host writes to a place that outlives the call.
    done(unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &mut metric) })?;
    Ok(metric)
}

/// Sets a gauge, for all workers.
pub fn set_metric(metric: u32, value: u64) -> Result<(), Failed> {
    done(proxy_record_metric(metric, value))
}

/// Raises a counter, or raises or lowers a gauge.
pub fn change_metric(metric: u32, by: i64) -> Result<(), Failed> {
    done(proxy_increment_metric(metric, by))
}
