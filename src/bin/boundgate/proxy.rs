//! What the core asks of a proxy, where there is none: one process, one connection, calls. In: signatures, the client's certificate, a
//! key set. Out: verdicts by crates in Rust, properties as Envoy tells them, answers of servers.
//!
//! ES512 is not verified: no crate here knows its curve. Not here: what the answers mean (`boundgate::exchange`).

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use boundgate::host::{Cas, Conflict, Connection, ConnectionProperty, Digest, Expect, Host, NativeVerdict};
use boundgate::policy::{Discovery, Issuer, JwksAt, KeySource, Policy};
use boundgate::worker::{Answered, Fetch, HttpAnswer};
use p256::ecdsa::signature::Verifier as _;
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::spki::SubjectPublicKeyInfoRef;

use crate::certificate::First;

/// A process whose shared data ends with it.
#[derive(Default)]
pub struct Process(RefCell<HashMap<String, (Vec<u8>, Cas)>>);

impl Host for Process {
    fn shared_get(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        self.0.borrow().get(key).cloned()
    }

    fn shared_set(&self, key: &str, value: &[u8], expect: Expect) -> Result<(), Conflict> {
        let mut data = self.0.borrow_mut();
        let found = data.get(key).map(|(_, cas)| *cas);
        match (expect, found) {
            (Expect::Absent, Some(_)) => return Err(Conflict),
            (Expect::Unchanged(expected), Some(found)) if expected != found => return Err(Conflict),
            _ => {}
        }
        let next = found.map_or(1, |Cas(last)| last.wrapping_add(1));
        data.insert(key.to_owned(), (value.to_vec(), Cas(next)));
        Ok(())
    }

    fn verify(&self, digest: Digest, spki: &[u8], signature: &[u8], message: &[u8]) -> NativeVerdict {
        match verified(digest, spki, signature, message) {
            Some(true) => NativeVerdict::Valid,
            Some(false) => NativeVerdict::Invalid,
            None => NativeVerdict::Missing,
        }
    }

    fn random(&self) -> [u8; 32] {
        let mut random = [0; 32];
        // It only spreads what several workers would do at once.
        let _ = getrandom::fill(&mut random);
        random
    }

    /// Its own, where digests of API keys may stand. Secrets of the proxy are not needed: nobody is asked anything.
    fn variable(&self, name: &str) -> Option<String> {
        Some(std::env::var(name).unwrap_or_default())
    }
}

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// The largest RSA key that native code takes, in bits.
const LARGEST_RSA: usize = 8192;

/// `None` for what is not known here.
fn verified(digest: Digest, spki: &[u8], signature: &[u8], message: &[u8]) -> Option<bool> {
    let spki = SubjectPublicKeyInfoRef::from_der(spki).ok()?;
    let (kind, key) = (spki.algorithm.oid, spki.subject_public_key.as_bytes()?);
    macro_rules! ecdsa {
        ($curve:ident) => {{
            let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes(key);
            let signature = $curve::ecdsa::DerSignature::try_from(signature);
            Some(key.is_ok_and(|key| signature.is_ok_and(|signature| key.verify(message, &signature).is_ok())))
        }};
    }
    macro_rules! pkcs1 {
        ($digest:ident) => {{
            let key = rsa_key(key).map(rsa::pkcs1v15::VerifyingKey::<rsa::sha2::$digest>::new);
            let signature = rsa::pkcs1v15::Signature::try_from(signature).ok();
            Some(
                key.zip(signature)
                    .is_some_and(|(key, it)| rsa::signature::Verifier::verify(&key, message, &it).is_ok()),
            )
        }};
    }
    match (digest, kind) {
        (Digest::Sha256, EC) => ecdsa!(p256),
        (Digest::Sha384, EC) => ecdsa!(p384),
        (Digest::Sha256, RSA) => pkcs1!(Sha256),
        (Digest::Sha384, RSA) => pkcs1!(Sha384),
        (Digest::Sha512, RSA) => pkcs1!(Sha512),
        _ => None,
    }
}

/// From PKCS#1.
fn rsa_key(der: &[u8]) -> Option<rsa::RsaPublicKey> {
    let key = rsa::pkcs1::RsaPublicKey::try_from(der).ok()?;
    let [n, e] = [key.modulus, key.public_exponent].map(|number| rsa::BigUint::from_bytes_be(number.as_bytes()));
    rsa::RsaPublicKey::new_with_max_size(n, e, LARGEST_RSA).ok()
}

/// The connection that the request comes on.
pub struct Tls<'c> {
    /// The client's, which counts as validated.
    pub certificate: Option<&'c First>,
    /// Of the mesh.
    pub principal: Option<&'c str>,
    /// Where it comes from.
    pub source: Option<IpAddr>,
}

/// From the addresses that stand in no network (RFC 5737).
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

impl Connection for Tls<'_> {
    fn property(&self, property: ConnectionProperty) -> Option<Vec<u8>> {
        let certificate = || self.certificate;
        match property {
            ConnectionProperty::MeshPrincipal => Some(self.principal?.as_bytes().to_vec()),
            ConnectionProperty::TlsVersion => Some(b"TLSv1.3".to_vec()),
            ConnectionProperty::SourceAddress => {
                Some(SocketAddr::new(self.source.unwrap_or(SOURCE), 50_000).to_string().into_bytes())
            }
            ConnectionProperty::PeerDigest => {
                let digest = certificate()?.thumbprint;
                Some(digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes())
            }
            ConnectionProperty::PeerCertificateValid => certificate().map(|_| vec![1]),
            ConnectionProperty::PeerCertificate => Some(certificate()?.pem.clone().into_bytes()),
            _ => None,
        }
    }
}

/// The answer of a server to a fetch of the worker: `keys` where keys are, and metadata that says that they are there.
pub fn answer(fetch: &Fetch, policy: &Policy, keys: &[u8]) -> Answered {
    let is_asked = |discovery: &&Discovery| {
        discovery.metadata.authority == fetch.authority && discovery.metadata.path == fetch.path
    };
    let metadata = |discovery: &Discovery| {
        let host = discovery.hosts.first().map(|(host, _)| &**host).unwrap_or_default();
        serde_json::json!({ "issuer": discovery.issuer, "jwks_uri": format!("https://{host}/") }).to_string()
    };
    let metadata = policy.issuers.iter().filter_map(|issuer| discovery(issuer)).find(is_asked).map(metadata);
    let body = metadata.map_or_else(|| keys.to_vec(), String::into_bytes);
    Answered::Http(HttpAnswer { status: 200, body, ..HttpAnswer::default() })
}

fn discovery(issuer: &Issuer) -> Option<&Discovery> {
    match &issuer.keys {
        KeySource::Remote(source) => match &source.at {
            JwksAt::Discovered(discovery) => Some(discovery),
            JwksAt::Configured(_) => None,
        },
        KeySource::Inline(_) | KeySource::None => None,
    }
}

/// The answer of a rate-limit service that grants what is asked: a `RateLimitResponse` with `overall_code` OK.
pub fn granted() -> Answered {
    Answered::Grpc(vec![0x08, 0x01])
}

#[cfg(test)]
mod tests {
    use super::*;
    use boundgate::jose::Native;

    #[test]
    fn everything_that_the_proxy_verifies_is_verified_here_but_es512() {
        assert_eq!(Native::probe(&Process::default()).to_string(), "ES256 ES384 RS256 RS384 RS512");
    }
}
