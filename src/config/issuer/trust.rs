//! The values of an issuer's keys: algorithms, `typ`, keys in the configuration. In: one value. Out: what the policy
//! holds, or a finding.

use std::rc::Rc;

use serde_json::json;

use crate::config::reading::finding::{Findings, Place, quoted};
use crate::config::reading::table::{Key, Mistake, TextKey, Written, not_what, unknown_word};
use crate::jose::{Algorithm, KeySet, PRIVATE_MEMBERS};
use crate::json::{Object, Value};
use crate::policy::TypRule;

/// An algorithm of JOSE by its exact name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct AlgorithmName(pub(in crate::config) Algorithm);

fn supported() -> Vec<&'static str> {
    Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect()
}

impl TextKey for AlgorithmName {
    const WHAT: &'static str = "the name of an algorithm";
    const EXAMPLE: &'static str = r#"one like "ES256""#;

    fn parse(text: &str) -> Result<Self, Mistake> {
        if let Some(algorithm) = Algorithm::from_name(text) {
            return Ok(Self(algorithm));
        }
        let remedy = || format!("Supported: {}.", supported().join(", "));
        let refused = |why: &str| Err(Mistake::new(format!("{} {why}", quoted(text)), remedy()));
        match text {
            _ if text.eq_ignore_ascii_case("none") => refused("would accept tokens without a signature"),
            "HS256" | "HS384" | "HS512" => refused("is symmetric: whoever can verify a token could also make one"),
            "ESP256" | "ESP384" | "ESP512" | "ESB256" | "ESB320" | "ESB384" | "ESB512" => {
                refused("is a name of COSE only (RFC 9864): no JWT carries it")
            }
            "ES256K" | "Ed448" => refused("is not supported yet"),
            _ => Err(unknown_word(text, &supported())),
        }
    }

    fn restrict(schema: &mut serde_json::Value) {
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("enum".into(), supported().into());
        }
    }
}

/// What `typ` tokens carry: `at+jwt` (RFC 9068), `absent`, or exactly another text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct TypText(pub(in crate::config) TypRule);

impl TextKey for TypText {
    const WHAT: &'static str = "a type of token";
    const EXAMPLE: &'static str = r#""at+jwt", "absent", or the exact value of its tokens"#;

    fn parse(text: &str) -> Result<Self, Mistake> {
        match text {
            "at+jwt" => Ok(Self(TypRule::AccessToken)),
            _ if text.eq_ignore_ascii_case("at+jwt") || text.eq_ignore_ascii_case("application/at+jwt") => {
                let finding = format!("{} is at+jwt in another spelling, and would refuse all others", quoted(text));
                Err(Mistake::new(finding, "Write at+jwt: it takes application/at+jwt too, in upper or lower case."))
            }
            "absent" => Ok(Self(TypRule::Absent)),
            _ if (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Self(TypRule::Exactly(text.into())))
            }
            _ => {
                Err(Mistake::new(format!("{} is no type of token", quoted(text)), format!("Write {}.", Self::EXAMPLE)))
            }
        }
    }
}

impl Written for TypText {
    fn written(&self) -> serde_json::Value {
        match &self.0 {
            TypRule::AccessToken => "at+jwt".into(),
            TypRule::Absent => "absent".into(),
            TypRule::Exactly(text) => (**text).into(),
        }
    }
}

/// A JWK set (RFC 7517 §5) in the configuration.
#[derive(Debug)]
pub(in crate::config) struct InlineKeys {
    pub(in crate::config) set: Rc<KeySet>,
    /// Where a `kid` stands that an earlier key of the same kind has, and the `kid`.
    pub(in crate::config) shared: Vec<(Place, String)>,
}

impl Key for InlineKeys {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        const REMEDY: &str = "Write a JWK set: { keys: [...] }.";
        let Some(keys) = value.as_object().and_then(|set| set.get("keys")).and_then(Value::as_array) else {
            findings.add(at, not_what(value, "a JWK set"), REMEDY);
            return None;
        };
        for (index, key) in keys.iter().enumerate() {
            check(key, &at.key("keys").item(index), findings);
        }
        if findings.touch(at) {
            return None;
        }
        match KeySet::from_value(value) {
            Ok(set) => Some(Self { set: Rc::new(set), shared: shared(keys, &at.key("keys")) }),
            Err(fault) => {
                findings.add(at, fault.to_string(), "Write the public keys of the issuer.");
                None
            }
        }
    }

    fn schema() -> serde_json::Value {
        json!({
            "type": "object",
            "properties": { "keys": { "type": "array", "items": { "type": "object" }, "minItems": 1 } },
            "required": ["keys"]
        })
    }
}

/// The keys whose kind and `kid` an earlier one has. Keys of different kinds may well share one (RFC 7517 §4.5).
fn shared(keys: &[Value], at: &Place) -> Vec<(Place, String)> {
    let member = |key: &Value, name: &str| key.as_object()?.get(name)?.as_text().map(str::to_owned);
    let named = |key: &Value| {
        let (kind, kid) = (member(key, "kty")?, member(key, "kid")?);
        Some((kind, member(key, "crv"), member(key, "alg"), kid))
    };
    let mut seen = Vec::new();
    let mut shared = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let Some(named) = named(key) else { continue };
        if seen.contains(&named) {
            shared.push((at.item(index).key("kid"), named.3));
        } else {
            seen.push(named);
        }
    }
    shared
}

/// In a set that is fetched, a key that cannot be used is passed over; in a configuration it is a mistake.
fn check(key: &Value, at: &Place, findings: &mut Findings) {
    let secret = |object: &Object| PRIVATE_MEMBERS.iter().find(|member| object.get(member).is_some()).copied();
    if let Some(member) = key.as_object().and_then(secret) {
        findings.add(
            &at.key(member),
            "a secret, which does not belong into a configuration",
            "Write the public part of the key only.",
        );
        return;
    }
    let mut alone = Object::default();
    // Inserting into an empty object cannot meet a second member of that name.
    let _ = alone.insert("keys".to_owned(), Value::Array(vec![key.clone()]));
    if KeySet::from_value(&Value::Object(alone)).is_err() {
        let remedy =
            "Write a public key for signatures: RSA of 2048 to 8192 bits, P-256, P-384, P-521, Ed25519 or ML-DSA.";
        findings.add(at, "this key cannot verify access tokens", remedy);
    }
}
