//! Header maps of the effective context, as bytes. In: a map, a name in lower case. Out: its fields.

use super::{Failed, Returned, done};
use crate::http::{HeaderMap, encode};
use crate::reason::Reason;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_set_header_map_pairs(map: u32, data: *const u8, len: usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        name_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_len: usize) -> u32;
}

/// Which map.
#[derive(Clone, Copy, Debug)]
pub enum Map {
    /// Of the request.
    Request = 0,
    /// Behind the body of the request.
    RequestTrailers = 1,
    /// Of the response.
    Response = 2,
    /// Behind the body of the response.
    ResponseTrailers = 3,
    /// Of the HTTP call whose callback is running.
    Answer = 6,
}

/// All fields, in one buffer.
pub fn all(map: Map) -> Result<HeaderMap, Reason> {
    let mut returned = Returned::new();
    // SAFETY: the host writes a pointer and a length to places that outlive the call.
    let read = unsafe {
        let status = proxy_get_header_map_pairs(map as u32, &mut returned.data, &mut returned.len);
        returned.read(status)
    };
    let bytes = match read.ok().flatten().ok_or(Reason::FilterUnavailable)? {
        empty if empty.is_empty() => encode(std::iter::empty()),
        bytes => bytes,
    };
    HeaderMap::decode(bytes).map_err(|_| Reason::HeadMalformed)
}

/// Removes all fields.
pub fn clear(map: Map) -> Result<(), Failed> {
    let none = encode(std::iter::empty());
    // SAFETY: the pointer comes with the length of its slice, which outlives the call.
    done(unsafe { proxy_set_header_map_pairs(map as u32, none.as_ptr(), none.len()) })
}

/// The first line of a field, if there is one.
pub fn get(map: Map, name: &str) -> Result<Option<Vec<u8>>, Failed> {
    let mut returned = Returned::new();
    // SAFETY: the pointer comes with the length of its slice; the host writes to places that outlive the call.
    unsafe {
        let status =
            proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), &mut returned.data, &mut returned.len);
        returned.read(status)
    }
}

/// Adds a line.
pub fn add(map: Map, name: &str, value: &str) -> Result<(), Failed> {
    // SAFETY: both pointers come with the lengths of their slices, which outlive the call.
    done(unsafe { proxy_add_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// Puts one line in the place of all lines of a field.
pub fn set(map: Map, name: &str, value: &str) -> Result<(), Failed> {
    // SAFETY: both pointers come with the lengths of their slices, which outlive the call.
    done(unsafe { proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// Removes all lines of a field.
pub fn remove(map: Map, name: &str) -> Result<(), Failed> {
    // SAFETY: the pointer comes with the length of its slice, which outlives the call.
    done(unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}
