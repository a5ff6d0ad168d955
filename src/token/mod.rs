//! OAuth access tokens in JWT form (RFC 9068, RFC 8725). In: header fields and keys. Out: an [`AccessToken`], which
//! only a verified signature can make, or the reason it is refused.
//!
//! Not here: JOSE itself (`jose`), sender constraint (`binding`), scopes (`authz`).

mod access_token;
mod cache;
mod claimed;
mod claims;
mod confirmation;
mod credential;

pub use access_token::{AccessToken, Unverified};
pub use cache::TokenCache;
pub use claimed::Claimed;
pub use claims::Claims;
pub use confirmation::Confirmation;
pub use credential::{RawToken, presented};
