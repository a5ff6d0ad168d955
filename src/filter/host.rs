//! The core's seam answered by Envoy: shared data, native signatures, randomness, connection properties, the clocks.

use std::cell::Cell;

use prost::Message;

use crate::filter::abi;
use crate::host::{Cas, Conflict, Connection, ConnectionProperty, Digest, Expect, Host, NativeVerdict};
use crate::time::{MonoNanos, Now, UnixMillis};

/// The proxy. As a [`Connection`] it is that of the effective context.
pub struct Envoy;

/// `envoy.source.extensions.common.wasm.VerifySignatureArguments`
#[derive(Clone, PartialEq, Message)]
struct VerifySignatureArguments {
    #[prost(string, tag = "1")]
    hash_function: String,
    #[prost(bytes = "vec", tag = "2")]
    public_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    signature: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    text: Vec<u8>,
}

/// What `verify_signature` answers to a right signature: field 1, true, and nothing else.
const VERIFIED: &[u8] = &[0x08, 0x01];

impl Host for Envoy {
    fn shared_get(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        abi::data::get(key).ok().flatten().map(|(value, version)| (value, Cas(version)))
    }

    fn shared_set(&self, key: &str, value: &[u8], expect: Expect) -> Result<(), Conflict> {
        abi::data::set(key, value, expect.version()).map_err(|_| Conflict)
    }

    fn verify(&self, digest: Digest, spki: &[u8], signature: &[u8], message: &[u8]) -> NativeVerdict {
        let hash = match digest {
            Digest::Sha256 => "sha256",
            Digest::Sha384 => "sha384",
            Digest::Sha512 => "sha512",
        };
        let arguments = VerifySignatureArguments {
            hash_function: hash.to_owned(),
            public_key: spki.to_vec(),
            signature: signature.to_vec(),
            text: message.to_vec(),
        };
        match abi::data::call("verify_signature", &arguments.encode_to_vec()) {
            Ok(result) if result == VERIFIED => NativeVerdict::Valid,
            Ok(_) => NativeVerdict::Invalid,
            Err(_) => NativeVerdict::Missing,
        }
    }

    fn random(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        // The host's random_get does not fail for 32 bytes; if it did, the caches would still be correct, since
        // nothing but the place of an entry depends on these bytes.
        if getrandom::fill(&mut bytes).is_err() {
            log::error!("the proxy gives no random bytes: hash tables are predictable");
        }
        bytes
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

impl Connection for Envoy {
    fn property(&self, property: ConnectionProperty) -> Option<Vec<u8>> {
        let path = match property {
            ConnectionProperty::Id => ["connection", "id"],
            ConnectionProperty::RequestedServerName => ["connection", "requested_server_name"],
            ConnectionProperty::TlsVersion => ["connection", "tls_version"],
            ConnectionProperty::PeerDigest => ["connection", "sha256_peer_certificate_digest"],
            ConnectionProperty::PeerCertificateValid => ["connection", "peer_certificate_valid"],
            ConnectionProperty::PeerCertificate => ["connection", "peer_certificate"],
            ConnectionProperty::PeerUriSan => ["connection", "uri_san_peer_certificate"],
            ConnectionProperty::PeerDnsSan => ["connection", "dns_san_peer_certificate"],
            ConnectionProperty::PeerSubject => ["connection", "subject_peer_certificate"],
            ConnectionProperty::MeshPrincipal => ["filter_state", "io.istio.peer_principal"],
            ConnectionProperty::SourceAddress => ["source", "address"],
            ConnectionProperty::DestinationPort => ["destination", "port"],
            ConnectionProperty::FilterChainName => ["xds", "filter_chain_name"],
        };
        abi::property::get(&path)
    }
}

thread_local! {
    /// How far the wall clock is ahead of the monotonic one, in milliseconds.
    static AHEAD: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Reads the wall clock, which may have been set. At every tick: requests in between reckon with what it said, and save a
/// call of the proxy.
pub fn set_clock() {
    AHEAD.set(Some(ahead(abi::clock::monotonic())));
}

/// Both clocks, now.
pub fn now() -> Now {
    let mono = abi::clock::monotonic();
    let ahead = AHEAD.get().unwrap_or_else(|| ahead(mono));
    Now { wall: UnixMillis::from_millis(ahead.saturating_add(millis(mono))), mono }
}

fn ahead(mono: MonoNanos) -> u64 {
    // Without a wall clock every token has expired.
    abi::clock::wall_nanos().map_or(u64::MAX, |nanos| (nanos / 1_000_000).saturating_sub(millis(mono)))
}

fn millis(mono: MonoNanos) -> u64 {
    mono.as_nanos() / 1_000_000
}
