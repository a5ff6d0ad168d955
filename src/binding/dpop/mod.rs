//! Proof of possession of a key (DPoP, RFC 9449). In: the field of a request, what it has to be about, what the resource demands. Out:
//! a [`Proof`], which only a signature by that key makes, and which was not there before; or a [`ProofFault`].
//!
//! Every check that costs nothing comes before the signature, and remembering comes last: a proof that is refused for anything else
//! must not use up an honest one's `jti`.
//! Not here: which tokens need a proof (`binding`), who pays for the signature (`exchange`).

mod fault;
mod nonce;
mod proof;
#[cfg(test)]
pub(crate) mod tests;

pub use fault::ProofFault;
pub use nonce::{NonceAge, Nonces};
pub use proof::{About, Proof, SignedProof, UnusedProof, UnverifiedProof, presented_proof};
