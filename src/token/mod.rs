//! OAuth access tokens: in JWT form (RFC 9068, RFC 8725), and those that their server is asked about (RFC 7662); and API keys for
//! callers that have none. In: header fields and keys, or the server's answer. Out: an [`AccessToken`], which only a verified
//! signature or that answer can make, or a [`PresentedKey`], or the reason it is refused.
//!
//! Not here: JOSE itself (`jose`), sender constraint (`binding`), scopes (`authz`).

mod access_token;
mod api_key;
mod cache;
mod claimed;
mod claims;
mod confirmation;
mod credential;
pub mod introspection;
pub mod signed_answer;
mod subject;

pub use access_token::{AccessToken, Unverified};
pub use api_key::{PresentedKey, RawKey};
pub use cache::TokenCache;
pub use claimed::Claimed;
pub use claims::Claims;
pub use confirmation::Confirmation;
pub use credential::{RawToken, Scheme, presented};
