//! A JWK set (RFC 7517 §5). In: a document from an authorization server or from the configuration. Out: the keys that
//! can verify access tokens. One bad key does not spoil the others; a set without a good one is refused.

use std::fmt;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use crate::jose::{Algorithm, JwkFault, VerifyingKey};
use crate::json::{Bounds, Value, parse};

/// The largest document that is read.
pub const MAX_KEY_SET_BYTES: usize = 256 * 1024;
/// The most keys that are looked at.
const MAX_KEYS: usize = 64;
/// The most keys that one token is tried with.
const MAX_CANDIDATES: usize = 4;
/// The most characters of a JSON fault that are kept: it may quote the document.
const MAX_QUOTE: usize = 200;

/// The usable keys of a set.
#[derive(Debug)]
pub struct KeySet(Vec<Rc<VerifyingKey>>);

/// Why a document is no key set. The texts are for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySetFault {
    /// Larger than is read.
    TooLarge,
    /// No strict JSON.
    NotJson(String),
    /// No object with an array `keys`.
    NotKeySet,
    /// More keys than are looked at.
    TooMany,
    /// None of the keys can verify access tokens; the fault of the first, if there is one.
    NoUsableKey(Option<JwkFault>),
}

impl fmt::Display for KeySetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySetFault::TooLarge => write!(f, "the key set is larger than {MAX_KEY_SET_BYTES} bytes"),
            KeySetFault::NotJson(why) => write!(f, "the key set is not JSON: {why}"),
            KeySetFault::NotKeySet => f.write_str("the document is no key set: it has no array \"keys\""),
            KeySetFault::TooMany => write!(f, "the key set has more than {MAX_KEYS} keys"),
            KeySetFault::NoUsableKey(None) => f.write_str("the key set is empty"),
            KeySetFault::NoUsableKey(Some(first)) => {
                write!(f, "no key of the set can verify access tokens; the first one {first}")
            }
        }
    }
}

impl KeySet {
    /// Reads a document.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetFault> {
        if document.len() > MAX_KEY_SET_BYTES {
            return Err(KeySetFault::TooLarge);
        }
        let quote = |text: String| text.chars().take(MAX_QUOTE).collect();
        Self::from_value(&parse(document, Bounds::KEYS).map_err(|fault| KeySetFault::NotJson(quote(fault.0)))?)
    }

    /// Reads a document that is parsed already.
    pub fn from_value(document: &Value) -> Result<Self, KeySetFault> {
        let keys = document.as_object().and_then(|set| set.get("keys")).and_then(Value::as_array);
        let keys = keys.ok_or(KeySetFault::NotKeySet)?;
        if keys.len() > MAX_KEYS {
            return Err(KeySetFault::TooMany);
        }
        let mut usable = Vec::new();
        let mut first = None;
        for key in keys {
            match key.as_object().ok_or(JwkFault::Kind).and_then(VerifyingKey::from_jwk) {
                Ok(key) => usable.push(Rc::new(key)),
                Err(fault) => first = first.or(Some(fault)),
            }
        }
        if usable.is_empty() { Err(KeySetFault::NoUsableKey(first)) } else { Ok(Self(usable)) }
    }

    /// The keys to try for a token: those of its `kid`, or all if it has none, that fit its algorithm; at most four. Keys
    /// may share a `kid` (RFC 7517 §4.5): type and algorithm tell them apart, and what is left is tried in turn.
    pub fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &Rc<VerifyingKey>> {
        let named = move |key: &&Rc<VerifyingKey>| kid.is_none() || key.kid.as_deref() == kid;
        self.0.iter().filter(named).filter(move |key| key.fits(algorithm)).take(MAX_CANDIDATES)
    }

    /// Whether the set has this key: the same numbers for the same use under the same name. Cheap: a key that came from
    /// this set is recognised by its address, another one usually differs in its `kid` already.
    pub fn contains(&self, key: &VerifyingKey) -> bool {
        self.0.iter().any(|known| known.is(key))
    }

    /// SHA-256 of what the set says. Equal for sets that verify the same tokens, in whatever order and form, with
    /// whatever unknown members their keys were written; also if a key is there twice, or once more without its name.
    pub fn digest(&self) -> [u8; 32] {
        let mut keys: Vec<_> = self.0.iter().map(|key| key.content()).collect();
        // Backwards, so that a key without a name stands right behind the same one with a name, which does all it does.
        keys.sort_unstable_by(|left, right| right.cmp(left));
        keys.dedup_by(|next, before| next == before || (next.2.is_none() && (next.0, next.1) == (before.0, before.1)));
        let mut hash = Sha256::new();
        for (numbers, algorithm, name) in keys {
            for part in [Some(numbers), algorithm.map(str::as_bytes), name.map(str::as_bytes)] {
                // The length tells where the part ends, and one that no part has that it is missing.
                hash.update(part.map_or(u64::MAX, |part| part.len() as u64).to_le_bytes());
                hash.update(part.unwrap_or_default());
            }
        }
        hash.finalize().into()
    }

    /// The number of usable keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: a set without a usable key is refused.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;
    const B: &str = r#""kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA""#;
    const ED25519: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;

    fn set(keys: &[String]) -> KeySet {
        KeySet::parse(format!("{{\"keys\":[{}]}}", keys.join(",")).as_bytes()).unwrap()
    }

    fn fault_of(keys: &[String]) -> String {
        KeySet::parse(format!("{{\"keys\":[{}]}}", keys.join(",")).as_bytes()).unwrap_err().to_string()
    }

    fn named(key: &str, kid: &str) -> String {
        format!("{{{key},\"kid\":\"{kid}\"}}")
    }

    fn count(set: &KeySet, kid: Option<&str>, algorithm: Algorithm) -> usize {
        set.candidates(kid, algorithm).count()
    }

    #[test]
    fn a_kid_is_compared_for_equality_and_chooses_among_fitting_keys() {
        let set = set(&[named(A, "a"), named(B, "b"), named(ED25519, "a"), format!("{{{B}}}")]);
        assert_eq!(count(&set, Some("a"), Algorithm::Es256), 1);
        assert_eq!(count(&set, Some("a"), Algorithm::Ed25519), 1);
        assert_eq!(count(&set, Some("b"), Algorithm::Ed25519), 0);
        for kid in ["A", "a ", "", "../a"] {
            assert_eq!(count(&set, Some(kid), Algorithm::Es256), 0, "{kid}");
        }
    }

    #[test]
    fn without_kid_a_token_is_tried_with_four_fitting_keys_at_most() {
        let mut keys = vec![named(ED25519, "e"), named(A, "a"), format!("{{{B}}}")];
        assert_eq!(count(&set(&keys), None, Algorithm::Es256), 2);
        keys.extend((0..4).map(|number| named(B, &number.to_string())));
        assert_eq!(count(&set(&keys), None, Algorithm::Es256), 4);
    }

    /// What issuers publish beside the keys that sign their access tokens: for other uses, algorithms and purposes, of
    /// kinds that do not exist yet, or broken.
    #[test]
    fn a_set_is_read_for_the_keys_that_can_be_used_whatever_else_is_in_it() {
        let edges: serde_json::Value = serde_json::from_str(include_str!("signature_edges.json")).unwrap();
        let rsa = edges["keys"]["rsa-2048"].to_string();
        let rsa = |members: &str| format!("{},{members}}}", rsa.trim_end_matches('}'));
        let useless = [
            rsa(r#""alg":"ES256","kid":"r""#),
            rsa(r#""alg":"RSA-OAEP","use":"enc","kid":"e""#),
            rsa(r#""alg":"RSA-OAEP-256","kid":"r""#),
            rsa(r#""use":"enc","kid":"r""#),
            rsa(r#""alg":"XY999","kid":"r""#),
            rsa(r#""alg":7,"kid":"r""#),
            rsa(r#""kid":7"#),
            rsa(r#""key_ops":["encrypt","wrapKey"],"kid":"r""#),
            format!(r#"{{{A},"use":"enc","alg":"ECDH-ES+A256KW","kid":"a"}}"#),
            format!(r#"{{{A},"alg":"ECDH-ES","kid":"a"}}"#),
            A.replace("P-256", "secp256k1").replacen("\"kty\"", "{\"kid\":\"a\",\"kty\"", 1) + "}",
            r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"a"}"#.to_owned(),
            r#"{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"o"}"#.to_owned(),
            r#"{"kty":"OKP","crv":"Ed448","x":"AA","alg":"Ed448","kid":"o"}"#.to_owned(),
            r#"{"kty":"oct","k":"AAAA","alg":"HS256","kid":"a"}"#.to_owned(),
            r#"{"kty":"from-the-future","alg":"SLH-DSA","pub":"AAAA","priority":{"deep":[1,2]},"kid":"f"}"#.to_owned(),
            "{}".to_owned(),
            "null".to_owned(),
            "[]".to_owned(),
            "\"text\"".to_owned(),
        ];
        assert_eq!(
            fault_of(&useless),
            format!("no key of the set can verify access tokens; the first one {}", JwkFault::Algorithm)
        );
        let useful = [
            format!(r#"{{{A},"x5c":["MIIB"],"x5t":"AA","x5t#S256":"AA","kid":"a","use":"sig"}}"#),
            format!(r#"{{{B}}}"#),
            rsa(r#""alg":"RS256","use":"sig","kid":"r","key_ops":["verify"],"x5c":[]"#),
            format!(r#"{{{ED25519},"alg":"EdDSA","kid":"o"}}"#),
        ];
        let mut keys: Vec<_> = useless.iter().chain(&useful).cloned().collect();
        for _ in 0..2 {
            let set = set(&keys);
            assert_eq!(set.len(), useful.len());
            assert_eq!(count(&set, Some("a"), Algorithm::Es256), 1);
            assert_eq!(count(&set, None, Algorithm::Es256), 2, "without kid, and a key without alg");
            assert_eq!((count(&set, Some("r"), Algorithm::Rs256), count(&set, Some("r"), Algorithm::Ps256)), (1, 0));
            assert_eq!(count(&set, Some("o"), Algorithm::EdDsa), 1);
            keys.reverse();
        }
    }

    #[test]
    fn keys_that_share_a_kid_are_told_apart_by_algorithm_and_else_tried_in_turn() {
        let set = set(&[named(A, "k"), named(B, "k"), named(ED25519, "k")]);
        let [first, second] = &set.candidates(Some("k"), Algorithm::Es256).collect::<Vec<_>>()[..] else { panic!() };
        assert!(!first.is(second));
        assert_eq!(count(&set, Some("k"), Algorithm::Ed25519), 1);
    }

    #[test]
    fn a_key_stays_known_after_a_refresh_until_its_numbers_name_or_use_change() {
        let old = set(&[named(A, "a")]);
        let key = old.candidates(None, Algorithm::Es256).next().unwrap();
        assert!(old.contains(key));
        assert!(set(&[named(B, "b"), named(A, "a")]).contains(key));
        for changed in [named(B, "a"), named(A, "b"), format!("{{{A}}}"), named(&format!("{A},\"alg\":\"ES256\""), "a")]
        {
            assert!(!set(std::slice::from_ref(&changed)).contains(key), "{changed}");
        }
    }

    #[test]
    fn sets_with_the_same_keys_have_one_digest_however_they_are_written() {
        let written = |document: &str| KeySet::parse(document.as_bytes()).unwrap().digest();
        let first = written(&format!(r#"{{"keys":[{{{A},"kid":"a"}},{{{B},"kid":"b","alg":"ES256"}}]}}"#));
        for same in [
            format!(r#"{{"keys":[{{{B},"kid":"b","alg":"ES256"}},{{{A},"kid":"a"}}]}}"#),
            format!(
                r#" {{ "x": 1, "keys": [ {{ "kid": "a", {A} }}, {{ "alg": "ES256", "use": "sig", {B}, "kid": "b" }} ] }}"#
            ),
            format!(
                r#"{{"keys":[{{{A},"kid":"a"}},{{{A}}},{{{A},"kid":"a"}},{{{B},"kid":"b","alg":"ES256"}},{{"kty":"oct"}}]}}"#
            ),
        ] {
            assert_eq!(written(&same), first, "{same}");
        }
        let others = [
            format!(r#"{{{A},"kid":"a"}}"#),
            format!(r#"{{{A},"kid":"a"}},{{{B},"kid":"b"}}"#),
            format!(r#"{{{A},"kid":"b"}},{{{B},"kid":"a","alg":"ES256"}}"#),
            format!(r#"{{{A},"kid":"a"}},{{{B},"kid":"","alg":"ES256"}}"#),
            format!(r#"{{{A},"kid":"a"}},{{{B},"alg":"ES256"}}"#),
            format!(r#"{{{A},"kid":"a"}},{{{B},"kid":"b","alg":"ES256"}},{{{B}}}"#),
            format!(r#"{{{A},"kid":"a"}},{{{B},"kid":"b","alg":"ES256"}},{{{ED25519}}}"#),
        ];
        let digests: std::collections::BTreeSet<_> =
            others.iter().map(|keys| written(&format!(r#"{{"keys":[{keys}]}}"#))).chain([first]).collect();
        assert_eq!(digests.len(), others.len() + 1);
    }

    #[test]
    fn documents_that_are_no_key_set_say_why() {
        let fault = |document: &str| KeySet::parse(document.as_bytes()).unwrap_err().to_string();
        for document in ["<!DOCTYPE html>", "", "{\"keys\":[]} {}", "{\"keys\":[],\"keys\":[]}"] {
            assert!(fault(document).contains("not JSON"), "{document}");
        }
        for document in ["[]", "{}", "null", "\"keys\"", r#"{"keys":{}}"#, r#"{"kty":"EC"}"#] {
            assert!(fault(document).contains("no array \"keys\""), "{document}");
        }
        assert_eq!(fault(r#"{"keys":[]}"#), "the key set is empty");
        let private = fault(r#"{"keys":[{"kty":"oct","k":"AAAA"},1]}"#);
        assert_eq!(
            private,
            "no key of the set can verify access tokens; the first one has private or symmetric members"
        );
        assert!(fault(&format!(r#"{{"keys":[{}1]}}"#, "1,".repeat(64))).contains("more than 64"));
        assert!(fault(&" ".repeat(MAX_KEY_SET_BYTES + 1)).contains("larger than"));
    }

    #[test]
    fn a_hostile_document_does_not_fill_the_log() {
        let name = "x".repeat(100_000);
        let fault = KeySet::parse(format!(r#"{{"{name}":1,"{name}":2}}"#).as_bytes()).unwrap_err();
        assert!(fault.to_string().len() < 300);
    }

    #[test]
    fn sixty_four_keys_are_read() {
        let keys: Vec<_> = (0..64).map(|number| named(A, &number.to_string())).collect();
        assert_eq!(set(&keys).len(), 64);
    }
}
