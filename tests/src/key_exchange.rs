//! The key exchange of TLS. In: which groups an end offers. Out: what rustls needs, and the name that Envoy gives a group.
//!
//! X25519MLKEM768 (RFC 10024) is put together here, because ring has no ML-KEM: what either end sends
//! and what both come to is the ML-KEM-768 part with the X25519 part behind it.

use std::sync::Arc;

use ml_kem::ml_kem_768::{Ciphertext, DecapsulationKey, EncapsulationKey, MlKem768};
use ml_kem::{Decapsulate, Encapsulate, Kem, KeyExport, TryKeyInit};
use tokio_rustls::rustls::crypto::ring::{default_provider, kx_group};
use tokio_rustls::rustls::crypto::{
    ActiveKeyExchange, CompletedKeyExchange, CryptoProvider, SharedSecret, SupportedKxGroup,
};
use tokio_rustls::rustls::{Error, NamedGroup, PeerMisbehaved, ProtocolVersion};

/// A group of the key exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyExchange {
    /// X25519 and ML-KEM-768 together. Only in TLS 1.3.
    X25519MlKem768,
    /// X25519.
    X25519,
    /// The NIST curve P-256.
    P256,
}

impl KeyExchange {
    /// Its name in Envoy's access log, statistics and `ecdh_curves`.
    pub fn name(self) -> &'static str {
        match self {
            Self::X25519MlKem768 => "X25519MLKEM768",
            Self::X25519 => "X25519",
            Self::P256 => "P-256",
        }
    }

    fn group(self) -> &'static dyn SupportedKxGroup {
        match self {
            Self::X25519MlKem768 => &Hybrid,
            Self::X25519 => kx_group::X25519,
            Self::P256 => kx_group::SECP256R1,
        }
    }

    pub(crate) fn named(name: NamedGroup) -> Option<Self> {
        [Self::X25519MlKem768, Self::X25519, Self::P256].into_iter().find(|group| group.group().name() == name)
    }
}

/// What the servers of the testbed can, the strongest first.
pub(crate) const EVERY: &[KeyExchange] = &[KeyExchange::X25519MlKem768, KeyExchange::X25519, KeyExchange::P256];

/// What clients offer unless they are told otherwise.
pub(crate) const CLASSICAL: &[KeyExchange] = &[KeyExchange::X25519, KeyExchange::P256];

/// The cryptography of a TLS end that offers these groups, the first one most.
pub(crate) fn provider(groups: &[KeyExchange]) -> Arc<CryptoProvider> {
    let kx_groups = groups.iter().map(|group| group.group()).collect();
    Arc::new(CryptoProvider { kx_groups, ..default_provider() })
}

/// Bytes of an ML-KEM-768 encapsulation key, which the client sends, and of a ciphertext, which the server sends.
const ENCAPSULATION_KEY: usize = 1184;
const CIPHERTEXT: usize = 1088;

const INVALID_SHARE: Error = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);

#[derive(Debug)]
struct Hybrid;

impl SupportedKxGroup for Hybrid {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let classical = kx_group::X25519.start()?;
        let (decapsulation_key, encapsulation_key) = MlKem768::generate_keypair();
        let share = [&encapsulation_key.to_bytes(), classical.pub_key()].concat();
        Ok(Box::new(Started { classical, decapsulation_key, share }))
    }

    fn start_and_complete(&self, client: &[u8]) -> Result<CompletedKeyExchange, Error> {
        let (encapsulation_key, classical) = client.split_at_checked(ENCAPSULATION_KEY).ok_or(INVALID_SHARE)?;
        let key = EncapsulationKey::new_from_slice(encapsulation_key).map_err(|_| INVALID_SHARE)?;
        let (ciphertext, shared) = key.encapsulate();
        let classical = kx_group::X25519.start_and_complete(classical)?;
        Ok(CompletedKeyExchange {
            group: self.name(),
            pub_key: [&ciphertext, classical.pub_key.as_slice()].concat(),
            secret: [&shared, classical.secret.secret_bytes()].concat().into(),
        })
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_3
    }
}

/// A client that has sent its share.
struct Started {
    classical: Box<dyn ActiveKeyExchange>,
    decapsulation_key: DecapsulationKey,
    share: Vec<u8>,
}

impl ActiveKeyExchange for Started {
    fn complete(self: Box<Self>, server: &[u8]) -> Result<SharedSecret, Error> {
        let (ciphertext, classical) = server.split_at_checked(CIPHERTEXT).ok_or(INVALID_SHARE)?;
        let ciphertext = Ciphertext::try_from(ciphertext).map_err(|_| INVALID_SHARE)?;
        let shared = self.decapsulation_key.decapsulate(&ciphertext);
        let classical = self.classical.complete(classical)?;
        Ok([&shared, classical.secret_bytes()].concat().into())
    }

    /// The X25519 part is offered by itself too, for a server that lacks the other.
    fn hybrid_component(&self) -> Option<(NamedGroup, &[u8])> {
        Some((self.classical.group(), self.classical.pub_key()))
    }

    fn complete_hybrid_component(self: Box<Self>, server: &[u8]) -> Result<SharedSecret, Error> {
        self.classical.complete(server)
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }
}
