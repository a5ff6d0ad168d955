//! A public key and what it verifies. In: a parsed JWS. Out: yes or no: of ES and RS by the proxy's native code, of what
//! the proxy does not know by Rust.

use std::borrow::Cow;

use rsa::pkcs8::AssociatedOid;
use rsa::sha2::digest::FixedOutputReset;
use rsa::sha2::{Sha256, Sha384, Sha512};
use rsa::signature::Verifier as _;
use rsa::{RsaPublicKey, pss};

use crate::host::{Host, NativeVerdict};
use crate::jose::jwk::two_integers;
use crate::jose::ml_dsa::MlDsaKey;
use crate::jose::native::digest_of;
use crate::jose::{Algorithm, Compact, Native};

/// A public key that may verify access tokens.
#[derive(Debug)]
pub struct VerifyingKey {
    pub(super) kid: Option<Box<str>>,
    /// The one algorithm it is for, where its JWK says so (RFC 8725 §3.1).
    pub(super) pinned: Option<Algorithm>,
    pub(super) material: Material,
    /// DER SubjectPublicKeyInfo: what native code takes, and what makes two keys the same.
    pub(super) spki: Box<[u8]>,
}

/// What the key is, and its numbers where the module computes with them.
#[derive(Debug)]
pub(super) enum Material {
    Rsa { key: RsaPublicKey, modulus_bytes: usize },
    P256,
    P384,
    P521,
    Ed25519(ed25519_compact::PublicKey),
    MlDsa(MlDsaKey),
}

impl VerifyingKey {
    /// Whether it may be used with `algorithm`: by its type, and by its JWK.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        let of_type = match (&self.material, algorithm) {
            (
                Material::Rsa { .. },
                Algorithm::Rs256
                | Algorithm::Rs384
                | Algorithm::Rs512
                | Algorithm::Ps256
                | Algorithm::Ps384
                | Algorithm::Ps512,
            )
            | (Material::P256, Algorithm::Es256)
            | (Material::P384, Algorithm::Es384)
            | (Material::P521, Algorithm::Es512)
            | (Material::Ed25519(_), Algorithm::Ed25519 | Algorithm::EdDsa) => true,
            (Material::MlDsa(key), algorithm) => key.algorithm() == algorithm,
            (Material::Rsa { .. } | Material::P256 | Material::P384 | Material::P521 | Material::Ed25519(_), _) => {
                false
            }
        };
        of_type && self.pinned.is_none_or(|pinned| pinned == algorithm)
    }

    /// What makes it the key it is: its numbers, the one algorithm it is for, and its name.
    pub(super) fn content(&self) -> (&[u8], Option<&str>, Option<&str>) {
        (&self.spki, self.pinned.map(Algorithm::name), self.kid.as_deref())
    }

    /// Whether it is the same key: the same numbers, for the same use, under the same name.
    pub fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || (self.kid == other.kid && self.pinned == other.pinned && self.spki == other.spki)
    }

    /// Whether it signed `jws` with the algorithm of its header (RFC 7515 §5.2).
    pub fn verify(&self, jws: &Compact<'_>, host: &dyn Host, native: Native) -> bool {
        let (algorithm, message, signature) = (jws.header.algorithm, jws.signing_input, jws.signature.as_slice());
        if !self.fits(algorithm) || !native.verifies(algorithm) {
            return false;
        }
        if let Some(digest) = digest_of(algorithm) {
            let signature = match &self.material {
                Material::P256 => ecdsa_der::<32>(signature).map(Cow::Owned),
                Material::P384 => ecdsa_der::<48>(signature).map(Cow::Owned),
                Material::P521 => ecdsa_der::<66>(signature).map(Cow::Owned),
                // RFC 8017 §8.2.2: a signature is exactly as long as the modulus.
                Material::Rsa { modulus_bytes, .. } => (signature.len() == *modulus_bytes).then_some(signature.into()),
                Material::Ed25519(_) | Material::MlDsa(_) => None,
            };
            return signature
                .is_some_and(|signature| host.verify(digest, &self.spki, &signature, message) == NativeVerdict::Valid);
        }
        match (&self.material, algorithm) {
            // RFC 8017 §8.1.2, as above.
            (Material::Rsa { modulus_bytes, .. }, _) if signature.len() != *modulus_bytes => false,
            (Material::Rsa { key, .. }, Algorithm::Ps256) => pss::<Sha256>(key, message, signature),
            (Material::Rsa { key, .. }, Algorithm::Ps384) => pss::<Sha384>(key, message, signature),
            (Material::Rsa { key, .. }, Algorithm::Ps512) => pss::<Sha512>(key, message, signature),
            (Material::Ed25519(key), Algorithm::Ed25519 | Algorithm::EdDsa) => {
                ed25519_compact::Signature::from_slice(signature)
                    .is_ok_and(|signature| key.verify(message, &signature).is_ok())
            }
            (Material::MlDsa(key), _) => key.verify(message, signature),
            _ => false,
        }
    }
}

/// A signature of ECDSA as the proxy takes it (RFC 3279 §2.2.3), from two numbers of `N` octets (RFC 7518 §3.4). `None` for
/// another length, and for a number that is 0; whether they are below the order of the curve is found out by the proxy.
fn ecdsa_der<const N: usize>(signature: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = signature.split_first_chunk::<N>()?;
    let s: &[u8; N] = s.try_into().ok()?;
    let significant = |number: &[u8; N]| {
        let zeros = number.iter().position(|byte| *byte != 0)?;
        number.get(zeros..).map(<[u8]>::to_vec)
    };
    Some(two_integers(&significant(r)?, &significant(s)?))
}

/// RSASSA-PSS (RFC 8017 §8.1.2). This form of the crate is the one that refuses a number above the modulus (§5.2.2), and
/// its salt is as long as the digest (RFC 7518 §3.5).
fn pss<D: RsaDigest>(key: &RsaPublicKey, message: &[u8], signature: &[u8]) -> bool {
    let key = pss::VerifyingKey::<D>::new(key.clone());
    pss::Signature::try_from(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
}

/// What the crate demands of a digest.
trait RsaDigest: rsa::sha2::Digest + FixedOutputReset + AssociatedOid {}

impl<D: rsa::sha2::Digest + FixedOutputReset + AssociatedOid> RsaDigest for D {}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::jose::ring_host::{Verifying, agreed, key_of};
    use crate::jose::{Header, base64url};

    fn edges() -> Json {
        serde_json::from_str(include_str!("signature_edges.json")).unwrap()
    }

    fn jws(algorithm: Algorithm, message: &[u8], signature: Vec<u8>) -> Compact<'_> {
        let header = Header { algorithm, kid: None, typ: None };
        Compact { header, payload: Default::default(), signing_input: message, signature }
    }

    /// The verdict on a signature of that many octets when the host says the same to everything.
    fn when_the_host_says(verdict: NativeVerdict, key: &Json, algorithm: Algorithm, octets: usize) -> bool {
        let host = Verifying(move |_, _: &[u8], _: &[u8], _: &[u8]| verdict);
        key_of(key).unwrap().verify(&jws(algorithm, b"", vec![7; octets]), &host, Native::ALL)
    }

    /// RSA keys made for this test, whose private halves are gone, and the Ed25519 key of RFC 8037 appendix A.1.
    #[test]
    fn signatures_at_the_edge_of_what_is_right_get_their_verdict() {
        let edges = edges();
        for edge in edges["signatures"].as_array().unwrap() {
            let text = |name: &str| edge[name].as_str().unwrap();
            let key = key_of(&edges["keys"][text("key")]).unwrap();
            let signature = base64url::decode(text("signature").as_bytes()).unwrap();
            let jws = jws(Algorithm::from_name(text("alg")).unwrap(), text("message").as_bytes(), signature);
            assert_eq!(agreed(&key, &jws), edge["valid"], "{} {}: {}", text("key"), text("alg"), text("what"));
        }
    }

    #[test]
    fn nothing_but_a_plain_yes_of_the_host_is_one() {
        let key = &edges()["keys"]["rsa-2048"];
        assert!(when_the_host_says(NativeVerdict::Valid, key, Algorithm::Rs256, 256));
        assert!(!when_the_host_says(NativeVerdict::Invalid, key, Algorithm::Rs256, 256));
        assert!(!when_the_host_says(NativeVerdict::Missing, key, Algorithm::Rs256, 256));
    }

    #[test]
    fn the_host_is_not_asked_about_a_signature_of_another_length_or_algorithm() {
        let edges = edges();
        let (rsa, ed25519) = (&edges["keys"]["rsa-2048"], &edges["keys"]["ed25519"]);
        let p256 = serde_json::json!({
            "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
        });
        let yes = |key: &Json, algorithm, octets| when_the_host_says(NativeVerdict::Valid, key, algorithm, octets);
        assert!(yes(&p256, Algorithm::Es256, 64));
        for octets in [0, 63, 65, 96] {
            assert!(!yes(&p256, Algorithm::Es256, octets), "{octets} octets");
        }
        for algorithm in [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512] {
            assert!(yes(rsa, algorithm, 256));
            for octets in [0, 255, 257, 512] {
                assert!(!yes(rsa, algorithm, octets), "{algorithm:?} {octets} octets");
            }
        }
        for algorithm in [Algorithm::Ps256, Algorithm::Ps384, Algorithm::Ps512] {
            assert!(!yes(rsa, algorithm, 256), "{algorithm:?}");
        }
        assert!(!yes(ed25519, Algorithm::Ed25519, 64));
        assert!(!yes(&p256, Algorithm::Es384, 96));
        let mut pinned = rsa.clone();
        pinned["alg"] = "PS256".into();
        assert!(!yes(&pinned, Algorithm::Rs256, 256), "a key for PS256 only");
    }

    #[test]
    fn a_signature_of_p_521_reaches_the_host_in_der_and_nothing_else_does() {
        let der = |r: &[u8], s: &[u8]| ecdsa_der::<66>(&[r, s].concat());
        let number = |head: &[u8], rest: u8| [head, &vec![rest; 66 - head.len()]].concat();
        let one = number(&[], 0)[..65].iter().copied().chain([1]).collect::<Vec<_>>();
        assert_eq!(der(&one, &one).unwrap(), [0x30, 6, 2, 1, 1, 2, 1, 1]);
        let long = der(&number(&[1], 0x80), &number(&[0], 0x80)).unwrap();
        assert_eq!(&long[..7], &[0x30, 0x81, 136, 2, 66, 1, 0x80]);
        assert_eq!(&long[71..75], &[2, 66, 0, 0x80], "no number is negative");
        assert_eq!(der(&one, &number(&[], 0)), None);
        assert_eq!(der(&number(&[], 0), &one), None);
        for octets in [0, 64, 131, 133] {
            assert_eq!(ecdsa_der::<66>(&vec![1; octets]), None, "{octets} octets");
        }
    }

    #[test]
    fn a_key_is_for_the_algorithms_of_its_type_and_only_for_its_own_if_it_names_one() {
        let edges = edges();
        let fits = |mut jwk: Json, pinned: Option<&str>| {
            if let Some(pinned) = pinned {
                jwk["alg"] = pinned.into();
            }
            let key = key_of(&jwk).unwrap();
            Algorithm::ALL.into_iter().filter(|algorithm| key.fits(*algorithm)).collect::<Vec<_>>()
        };
        let (rsa, ed25519) = (&edges["keys"]["rsa-2048"], &edges["keys"]["ed25519"]);
        assert_eq!(fits(rsa.clone(), None).len(), 6);
        assert!(fits(rsa.clone(), None).iter().all(|algorithm| algorithm.name()[1..].starts_with('S')));
        assert_eq!(fits(rsa.clone(), Some("PS256")), [Algorithm::Ps256]);
        assert_eq!(fits(ed25519.clone(), None), [Algorithm::Ed25519, Algorithm::EdDsa]);
        for name in ["EdDSA", "Ed25519"] {
            assert_eq!(
                fits(ed25519.clone(), Some(name)),
                [Algorithm::Ed25519, Algorithm::EdDsa],
                "one key by two names"
            );
        }
    }
}
