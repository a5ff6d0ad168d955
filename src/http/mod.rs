//! HTTP as this filter reads it: where a request goes and what its head says, in one reading only. In: header bytes as
//! the proxy holds them. Out: [`Head`], [`Authority`], [`CanonicalPath`].
//! Not here: which routes exist (`policy`).

mod authority;
mod head;
mod path;

pub use authority::{Authority, AuthorityFault};
pub use head::{Head, HeadFault, wants_grpc};
pub use path::{CanonicalPath, PathFault, is_segment, plain, unescaped};
