//! Properties of the effective context, and filter state below `wasm.`.

use super::{Failed, Returned, done};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_property(path: *const u8, path_len: usize, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_len: usize, value: *const u8, value_len: usize) -> u32;
}

/// The property at `path`. `None`: it is absent, has another form than bytes, or the proxy does not say.
pub fn get(path: &[&str]) -> Option<Vec<u8>> {
    let written = path.join("\0");
    let mut returned = Returned::new();
    // SAFETY: the pointer comes with the length of its slice; the host writes to places that outlive the call.
    let read = unsafe {
        let status = proxy_get_property(written.as_ptr(), written.len(), &mut returned.data, &mut returned.len);
        returned.read(status)
    };
    read.ok().flatten().filter(|value| !value.is_empty())
}

/// Sets the filter state `wasm.<key>`.
pub fn set_filter_state(key: &str, value: &str) -> Result<(), Failed> {
    // SAFETY: both pointers come with the lengths of their slices, which outlive the call.
    done(unsafe { proxy_set_property(key.as_ptr(), key.len(), value.as_ptr(), value.len()) })
}
