//! JOSE: strict base64url, algorithms, JSON Web Keys and signatures (RFC 7515, 7517, 7518, 8037, 9864, 9964).
//!
//! In: bytes of a compact JWS or of a JWK set. Out: typed parts and a proof that a key signed them.
//! Not here: what the payload means (`token`), where key sets come from (`worker`).

mod algorithm;
pub mod base64url;
mod compact;
mod embedded_key;
mod jwk;
mod key;
mod key_set;
mod ml_dsa;
mod native;
#[cfg(test)]
pub(crate) mod ring_host;
#[cfg(test)]
mod vectors;

pub use algorithm::Algorithm;
pub use compact::{Compact, Header, JwsFault};
pub use embedded_key::{EmbeddedKey, KeyThumbprint};
pub use jwk::{JwkFault, PRIVATE_MEMBERS};
pub use key::VerifyingKey;
pub use key_set::{KeySet, KeySetFault, MAX_KEY_SET_BYTES};
pub use native::Native;
