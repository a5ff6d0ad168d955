//! Local rate limits: exact for all workers of a proxy, in bounded memory.
//!
//! In: the [`Demand`]s of a request (which limit, whose budget, how many permits) and the time. Out: [`Permits`], the
//! proof that every limit was charged, or [`OverLimit`], and then none was.
//!
//! Bottom up: [`gcra`] is the pure algorithm; `parts` turns a key into bytes and `identity` those into a keyed hash; `slot` is the
//! value stored in shared data and `reading` reads it; `table` names the slots; `page` is one slot in one decision and `settlement` the last word
//! about it; `meter` decides over several limits at once; `outcome` is what it answers; `fields` puts that into response
//! fields and `merge` those beside the upstream's own.
//! Not here: what the limits are (`policy`), which facts of a request make its identity (`exchange`).

pub mod fleet;
pub mod gcra;

mod fields;
mod identity;
mod merge;
mod meter;
mod outcome;
mod page;
mod parts;
mod reading;
mod settlement;
mod slot;
mod table;

pub use identity::Identity;
pub use merge::Change;
pub use meter::{Demand, conclude, look, spend, take, venture};
pub use outcome::{OverLimit, Pending, Permits, Standing, Strain, Violation, Why};
pub use parts::{ClaimValue, KeyValue};
#[cfg(test)]
pub(crate) use table::places_held;
pub use table::{SharedTable, TableMemory};
