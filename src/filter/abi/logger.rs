//! The log: what the `log` crate's macros say goes to the proxy's log, and a panic is told there before the VM ends. A
//! line that the proxy does not take is lost: a request does not depend on it.

use log::{Level, LevelFilter, Log, Metadata, Record};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, len: usize) -> u32;
}

const CRITICAL: u32 = 5;

struct ProxyLog;

/// Once, when the VM starts.
pub fn start() {
    // Fails only where there is one already: then it is this one.
    let _ = log::set_logger(&ProxyLog);
    log::set_max_level(LevelFilter::Info);
    std::panic::set_hook(Box::new(|panic| write(CRITICAL, &panic.to_string())));
}

impl Log for ProxyLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = match record.level() {
                Level::Trace => 0,
                Level::Debug => 1,
                Level::Info => 2,
                Level::Warn => 3,
                Level::Error => 4,
            };
            write(level, &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

fn write(level: u32, message: &str) {
    // SAFETY: the pointer comes with the length of its slice, which outlives the call.
    let _ = unsafe { proxy_log(level, message.as_ptr(), message.len()) };
}
