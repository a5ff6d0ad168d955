//! The seam to the proxy: what the core asks of the process it runs in.
//!
//! [`Host`] is the process (shared data, native cryptography, randomness, secrets); [`Connection`] is the TLS
//! connection of one request. `filter::host` answers with Envoy's host calls, tests with a fake.
//! Time is not here: it is an argument, [`crate::time::Now`].

/// A version of a shared value, for compare-and-set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cas(pub u32);

/// What a write to shared data expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key was never written.
    Absent,
    /// The value still is the one that was read with this version.
    Unchanged(Cas),
}

impl Expect {
    /// The version that the proxy is told. To it, 0 means whatever is there.
    pub const fn version(self) -> u32 {
        match self {
            // It ignores the version of a key that is absent, and no value ever has this one.
            Self::Absent => u32::MAX,
            Self::Unchanged(Cas(version)) => version,
        }
    }
}

/// The write was refused: somebody else wrote first. Read again and decide again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict;

/// Digest of a signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// What the host's own signature verification says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativeVerdict {
    /// The signature is right.
    Valid,
    /// The signature is wrong, or the host could not use the key: either way nothing was proved.
    Invalid,
    /// The host has no such function.
    Missing,
}

/// The process: one for all workers of the proxy.
pub trait Host {
    /// The value of `key` in the data all workers share, and its version. `None` if never written.
    ///
    /// A wrong `None` makes a limit forget: when unsure, answer with what is known.
    fn shared_get(&self, key: &str) -> Option<(Vec<u8>, Cas)>;

    /// Writes `value` if `expect` holds, atomically for all workers.
    ///
    /// A wrong `Ok` loses another worker's charge; a wrong `Err` costs a retry: when unsure, `Err`.
    fn shared_set(&self, key: &str, value: &[u8], expect: Expect) -> Result<(), Conflict>;

    /// Verifies with the proxy's native cryptography: `spki` is a DER SubjectPublicKeyInfo, `signature`
    /// PKCS#1 v1.5 for RSA keys and a DER SEQUENCE of two INTEGERs for EC keys.
    ///
    /// A wrong `Valid` lets a forged token in: everything that is not a plain yes is `Invalid`.
    fn verify(&self, digest: Digest, spki: &[u8], signature: &[u8], message: &[u8]) -> NativeVerdict;

    /// Thirty-two unpredictable bytes.
    fn random(&self) -> [u8; 32];

    /// The variable of this name in the environment that the proxy gives the VM: where secrets are. Without an environment there
    /// is none.
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }
}

/// A property of a request's connection, by the name Envoy gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionProperty {
    /// `connection.id`: the proxy's number of the connection, a `u64` with the lowest byte first.
    Id,
    /// `connection.requested_server_name`: the server name of TLS (SNI), which only a listener with `tls_inspector` has.
    RequestedServerName,
    /// `connection.tls_version`: `TLSv1.3`; connections with TLS only.
    TlsVersion,
    /// `connection.sha256_peer_certificate_digest`: 64 lowercase hex characters.
    PeerDigest,
    /// `connection.peer_certificate_valid`: one byte; newer Envoys only.
    PeerCertificateValid,
    /// `connection.peer_certificate`: the leaf as PEM, plain or URL-encoded; newer Envoys only.
    PeerCertificate,
    /// `connection.uri_san_peer_certificate`: the first URI SAN.
    PeerUriSan,
    /// `connection.dns_san_peer_certificate`: the first DNS SAN.
    PeerDnsSan,
    /// `connection.subject_peer_certificate`: RFC 2253 text.
    PeerSubject,
    /// `filter_state["io.istio.peer_principal"]`: the URI names of the client's certificate, where the mesh ends its TLS elsewhere.
    MeshPrincipal,
    /// `source.address`: `ip:port`.
    SourceAddress,
    /// `destination.port`: the port the client connected to.
    DestinationPort,
    /// `xds.filter_chain_name`: empty where the chain has no name.
    FilterChainName,
}

/// The connection that carried the request being judged.
pub trait Connection {
    /// The property's bytes; `None` where this connection or this Envoy has none.
    fn property(&self, property: ConnectionProperty) -> Option<Vec<u8>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_write_takes_whatever_is_there() {
        assert_eq!([Expect::Absent, Expect::Unchanged(Cas(7))].map(Expect::version), [u32::MAX, 7]);
    }
}
