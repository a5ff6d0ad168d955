//! How tables of keys are declared and read, whatever the keys: types of values, findings, names that refer to definitions.
//! Not here: the keys themselves, which stand in `keys.rs` of the room of their subject.

pub(in crate::config) mod defined;
pub(in crate::config) mod doubts;
pub(in crate::config) mod elsewhere;
pub(in crate::config) mod environment;
pub(in crate::config) mod finding;
pub(in crate::config) mod order;
pub(in crate::config) mod table;
pub(in crate::config) mod values;
