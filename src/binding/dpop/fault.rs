//! Why a proof is refused. In: nothing. Out: the reason by which it is answered, and words for the audit record.

use crate::reason::Reason;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofFault {
    /// There is none.
    Missing,
    /// There are several, in one field or in more.
    Repeated,
    /// It is longer than any proof.
    TooLarge,
    /// It is no JWS that carries its public key.
    Form,
    /// `typ` is not `dpop+jwt`.
    Typ,
    /// `alg` is none of those that the resource takes.
    Algorithm,
    /// A claim is missing or no text or number, by its name.
    Claim(&'static str),
    /// `htm` is another method.
    Method,
    /// `htu` is another URI.
    Target,
    /// `ath` is of another token.
    Token,
    /// `iat` is too long ago.
    Old,
    /// `iat` is in the future.
    Future,
    /// The nonce is missing, or not good now.
    Nonce,
    /// The key is not the one that the token names.
    Key,
    /// The signature is wrong.
    Signature,
    /// It was used before.
    Replayed,
    /// It could not be remembered that it was used.
    NoRoom,
}

impl ProofFault {
    /// By which it is answered.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Missing => Reason::ProofMissing,
            Self::Repeated => Reason::ProofRepeated,
            Self::TooLarge | Self::Form | Self::Typ | Self::Algorithm | Self::Claim(_) => Reason::ProofMalformed,
            Self::Method | Self::Target | Self::Token => Reason::ProofElsewhere,
            Self::Old | Self::Future => Reason::ProofUntimely,
            Self::Nonce => Reason::NonceNeeded,
            Self::Key => Reason::KeyMismatch,
            Self::Signature => Reason::ProofInvalid,
            Self::Replayed => Reason::ProofReplayed,
            Self::NoRoom => Reason::ProofsCrowded,
        }
    }

    /// The member that is wrong, and what is wrong with it or with the whole.
    pub const fn told(self) -> (Option<&'static str>, &'static str) {
        match self {
            Self::Missing => (None, "no proof was sent"),
            Self::Repeated => (None, "several proofs were sent"),
            Self::TooLarge => (None, "the proof is longer than 16 KiB"),
            Self::Form => (None, "the proof is no strict JWS with its public key in jwk"),
            Self::Typ => (Some("typ"), "not dpop+jwt"),
            Self::Algorithm => (Some("alg"), "not taken here"),
            Self::Claim(name) => (Some(name), "missing or malformed"),
            Self::Method => (Some("htm"), "another method"),
            Self::Target => (Some("htu"), "another URI"),
            Self::Token => (Some("ath"), "another token"),
            Self::Old => (Some("iat"), "too long ago"),
            Self::Future => (Some("iat"), "in the future"),
            Self::Nonce => (Some("nonce"), "missing or not good now"),
            Self::Key => (Some("jwk"), "another key than the token names"),
            Self::Signature => (None, "the signature of the proof is wrong"),
            Self::Replayed => (Some("jti"), "used before"),
            Self::NoRoom => (None, "too many proofs to remember"),
        }
    }
}
