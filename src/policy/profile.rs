//! What a named profile demands of a resource, whatever its issuers and routes say. Plain data.
//! Not here: what it demands of what is written beside it (`config::fapi`), keeping to it (`token`, `exchange`, `filter`).

use crate::jose::Algorithm;

/// The profile of a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Nothing beyond what its issuers and routes say.
    #[default]
    None,
    /// FAPI 2.0 Security Profile (Final), what it demands of resource servers.
    Fapi2,
}

impl Profile {
    /// The header that carries the number of an interaction, in requests and in answers.
    pub const INTERACTION_ID: &'static str = "x-fapi-interaction-id";

    /// Whether tokens with this signature may be used (FAPI 2.0 §5.4.1), if their issuer may sign so.
    pub const fn admits(self, algorithm: Algorithm) -> bool {
        match self {
            Self::None => true,
            Self::Fapi2 => {
                matches!(algorithm, Algorithm::Ps256 | Algorithm::Es256 | Algorithm::Ed25519 | Algorithm::EdDsa)
            }
        }
    }

    /// Whether each answer carries the number of the interaction.
    pub const fn numbers_interactions(self) -> bool {
        match self {
            Self::None => false,
            Self::Fapi2 => true,
        }
    }
}
