//! Text, and where its parts stand: what a document says before anything knows its keys. In: bytes. Out: values, and line and
//! column of each. Not here: keys (`reading`).

pub(in crate::config) mod scalars;
pub(in crate::config) mod spots;
pub(in crate::config) mod structured;
pub(in crate::config) mod syntax;
pub(in crate::config) mod yaml;
