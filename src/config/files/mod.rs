//! Configurations in files: in those of Envoy, and what is wrong around them there. In: a file. Out: documents and findings.
//! Only for the companion.

pub(in crate::config) mod buffers;
pub(in crate::config) mod chains;
pub(in crate::config) mod clusters;
pub mod documents;
pub(in crate::config) mod escaped_slashes;
pub(in crate::config) mod managers;
pub(in crate::config) mod removed_header;
