//! What all workers of a proxy know together: tables in Envoy's shared data. In: keys and values as bytes, time. Out: what
//! some worker wrote, as long as it holds.
//!
//! Keys of shared data can never be deleted, so everything here is bounded by the number of its keys. Other plugins of the
//! proxy may write under our keys: nothing read here is believed beyond what its reader says.
//! Not here: what is kept for limits (`limit`).

mod entries;
mod marks;
mod presence;
mod replay;
mod secret;

pub use marks::Marks;
pub use presence::{Holder, Presence, is_gone};
pub use replay::{NotOnce, NotYet, OnceOnly};
pub use secret::{Purpose, Secret};
