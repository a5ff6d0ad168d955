//! One proof (RFC 9449 §4.2, §4.3). In: its text, what it has to be about. Out: a [`Proof`] or what is wrong with it.

use std::time::Duration;

use crate::binding::dpop::{NonceAge, Nonces, ProofFault};
use crate::host::Host;
use crate::http::{HeaderMap, TargetUri};
use crate::jose::{Algorithm, Compact, EmbeddedKey, JwsFault, KeyThumbprint, Native};
use crate::json::{Object, Value};
use crate::policy::DpopRule;
use crate::shared::{NotOnce, NotYet, OnceOnly};
use crate::time::UnixMillis;

/// The longest proof: one of ML-DSA-87 with its key takes ten thousand bytes.
const MAX_PROOF: usize = 16 * 1024;
/// The longest `jti`.
const MAX_JTI: usize = 256;
/// With a nonce of ours the client's clock decides nothing; it only must not be quite wrong.
const WITH_NONCE: Duration = Duration::from_secs(3600);

/// What a proof has to be about.
pub struct About<'a> {
    /// The method of the request.
    pub method: &'a str,
    /// Its path, as it came.
    pub path: &'a str,
    /// The digest of its token, as it stands in proofs.
    pub ath: &'a str,
    /// The key that the token names.
    pub key: KeyThumbprint,
    /// What the resource demands.
    pub rule: &'a DpopRule,
    /// The nonces of this proxy.
    pub nonces: &'a Nonces,
    /// The moment.
    pub now: UnixMillis,
}

/// A proof that is about the request, by a key that has not been shown to be the sender's yet.
pub struct UnverifiedProof<'p> {
    jws: Compact<'p>,
    key: EmbeddedKey,
    jti: Box<str>,
    /// From when on nobody accepts it any more.
    end: UnixMillis,
    nonce: Option<NonceAge>,
}

/// The same, and it was not used before.
pub struct UnusedProof<'p> {
    read: UnverifiedProof<'p>,
    unused: NotYet,
}

/// A proof by its key. Another worker may use it first.
pub struct SignedProof {
    key: KeyThumbprint,
    unused: NotYet,
    end: UnixMillis,
}

/// Whoever sent the request has the key, and says so for the first time with this proof.
#[derive(Debug)]
pub struct Proof {
    key: KeyThumbprint,
}

/// The one proof of a request (§4.3, check 1). The proxy keeps fields of one name apart; others join them with commas.
pub fn presented_proof(fields: &HeaderMap) -> Result<&[u8], ProofFault> {
    let mut proofs = fields.all("dpop");
    let proof = proofs.next().ok_or(ProofFault::Missing)?;
    if proofs.next().is_some() || proof.contains(&b',') { Err(ProofFault::Repeated) } else { Ok(proof) }
}

impl<'p> UnverifiedProof<'p> {
    /// Reads a proof and holds it to what it has to be about: all of §4.3 but the signature.
    pub fn read(proof: &'p [u8], about: &About<'_>) -> Result<Self, ProofFault> {
        if proof.len() > MAX_PROOF {
            return Err(ProofFault::TooLarge);
        }
        let (jws, key) = Compact::parse_with_key(proof).map_err(fault)?;
        let typ = jws.header.typ.as_deref();
        let is_proof =
            |typ: &str| typ.eq_ignore_ascii_case("dpop+jwt") || typ.eq_ignore_ascii_case("application/dpop+jwt");
        if !typ.is_some_and(is_proof) {
            return Err(ProofFault::Typ);
        }
        let algorithm = jws.header.algorithm;
        if !about.rule.algorithms.contains(&algorithm) || !key.key.fits(algorithm) {
            return Err(ProofFault::Algorithm);
        }
        let claims = &jws.payload;
        let jti = text(claims, "jti")?;
        if jti.is_empty() || jti.len() > MAX_JTI {
            return Err(ProofFault::Claim("jti"));
        }
        if text(claims, "htm")? != about.method {
            return Err(ProofFault::Method);
        }
        let target = TargetUri::parse(text(claims, "htu")?).ok_or(ProofFault::Claim("htu"))?;
        if !about.rule.origin.is_at(about.path, &target) {
            return Err(ProofFault::Target);
        }
        let issued = claims.get("iat").and_then(Value::as_number).and_then(UnixMillis::from_numeric_date);
        let issued = issued.ok_or(ProofFault::Claim("iat"))?;
        if text(claims, "ath")? != about.ath {
            return Err(ProofFault::Token);
        }
        if key.thumbprint != about.key {
            return Err(ProofFault::Key);
        }
        let (nonce, end) = timely(claims, issued, about)?;
        let jti = jti.into();
        Ok(Self { jws, key, jti, end, nonce })
    }

    /// How its nonce stands, where it needs one.
    pub fn nonce(&self) -> Option<NonceAge> {
        self.nonce
    }

    /// Finds out whether it was used before: that costs less than its signature.
    pub fn unused(self, used: &OnceOnly, host: &dyn Host, now: UnixMillis) -> Result<UnusedProof<'p>, ProofFault> {
        // Not its text, of which a stranger can make others with the same meaning.
        let identity = [self.key.thumbprint.as_bytes(), self.jti.as_bytes()].concat();
        let unused = used.look(&identity, host, now).ok_or(ProofFault::Replayed)?;
        Ok(UnusedProof { read: self, unused })
    }
}

impl UnusedProof<'_> {
    /// What it is signed with.
    pub fn algorithm(&self) -> Algorithm {
        self.read.jws.header.algorithm
    }

    /// Verifies the signature.
    pub fn verify(self, host: &dyn Host, native: Native) -> Result<SignedProof, ProofFault> {
        let UnverifiedProof { jws, key, end, .. } = self.read;
        if !key.key.verify(&jws, host, native) {
            return Err(ProofFault::Signature);
        }
        Ok(SignedProof { key: key.thumbprint, unused: self.unused, end })
    }
}

impl SignedProof {
    /// Uses it up: no worker takes it again.
    pub fn use_up(self, used: &OnceOnly, host: &dyn Host, now: UnixMillis) -> Result<Proof, ProofFault> {
        match used.happens(self.unused, self.end, host, now) {
            Ok(()) => Ok(Proof { key: self.key }),
            Err(NotOnce::Again) => Err(ProofFault::Replayed),
            Err(NotOnce::NoRoom) => Err(ProofFault::NoRoom),
        }
    }
}

impl Proof {
    /// Whose key it is of.
    pub fn key(&self) -> KeyThumbprint {
        self.key
    }
}

/// Whether it was made just now: by its nonce where it needs one, else by the client's clock. And from when on it is too old.
fn timely(
    claims: &Object,
    issued: UnixMillis,
    about: &About<'_>,
) -> Result<(Option<NonceAge>, UnixMillis), ProofFault> {
    let (rule, now) = (about.rule, about.now);
    let (past, future) = if rule.nonce.is_some() { (WITH_NONCE, WITH_NONCE) } else { (rule.max_age, rule.leeway) };
    if issued > now.plus(future) {
        return Err(ProofFault::Future);
    }
    let end = issued.plus(past);
    if now >= end {
        return Err(ProofFault::Old);
    }
    let Some(purpose) = &rule.nonce else { return Ok((None, end)) };
    let nonce = claims.get("nonce").and_then(Value::as_text).unwrap_or_default();
    match about.nonces.age(nonce, purpose, now) {
        (NonceAge::Unknown, _) => Err(ProofFault::Nonce),
        (age, nonce_end) => Ok((Some(age), nonce_end.min(end))),
    }
}

fn text<'c>(claims: &'c Object, name: &'static str) -> Result<&'c str, ProofFault> {
    claims.get(name).and_then(Value::as_text).ok_or(ProofFault::Claim(name))
}

fn fault(fault: JwsFault) -> ProofFault {
    match fault {
        JwsFault::Algorithm => ProofFault::Algorithm,
        JwsFault::Parts
        | JwsFault::Json
        | JwsFault::Critical
        | JwsFault::OfferedKey
        | JwsFault::NoKey
        | JwsFault::OtherForm
        | JwsFault::Member => ProofFault::Form,
    }
}
