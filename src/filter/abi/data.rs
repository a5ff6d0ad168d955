//! What all VMs of the proxy share, and functions that the host has beyond the ABI.

use super::{Failed, Returned, done};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_shared_data(
        key: *const u8,
        key_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
        version: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(key: *const u8, key_len: usize, value: *const u8, value_len: usize, version: u32) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_len: usize,
        arguments: *const u8,
        arguments_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
}

/// The value under `key` and its version, if there is one.
pub fn get(key: &str) -> Result<Option<(Vec<u8>, u32)>, Failed> {
    let mut returned = Returned::new();
    let mut version = 0;
    // SAFETY: the pointer comes with the length of its slice; the host writes to places that outlive the call.
    let value = unsafe {
        let status =
            proxy_get_shared_data(key.as_ptr(), key.len(), &mut returned.data, &mut returned.len, &mut version);
        returned.read(status)?
    };
    Ok(value.map(|value| (value, version)))
}

/// Puts `value` under `key`, if what is there still has this version.
pub fn set(key: &str, value: &[u8], version: u32) -> Result<(), Failed> {
    // SAFETY: both pointers come with the lengths of their slices, which outlive the call.
    done(unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version) })
}

/// What the host's function `name` returns.
pub fn call(name: &str, arguments: &[u8]) -> Result<Vec<u8>, Failed> {
    let mut returned = Returned::new();
    // SAFETY: both pointers come with the lengths of their slices; the host writes to places that outlive the call.
    let result = unsafe {
        let status = proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            arguments.as_ptr(),
            arguments.len(),
            &mut returned.data,
            &mut returned.len,
        );
        returned.read(status)?
    };
    result.ok_or(Failed(super::NOT_FOUND))
}
