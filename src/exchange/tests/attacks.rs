//! Attacks on tokens that are published, and what is honest and looks like them. In: tokens made for the purpose, many of
//! them signed as they should be, so that nothing but the one thing that a test is about is wrong. Out: the whole answer,
//! and a line that says how many inputs there were and what became of them.
//!
//! docs/standards.md ties every row of the table of attacks to its test. What needs no whole exchange is tested beside
//! the code: numbers of keys and edges of signatures in `jose`, time-outs of key servers in `worker`.

mod algorithms;
mod carriage;
mod characters;
mod claims;
mod dates;
mod form;
mod json;
mod keys;
mod possession;
mod signatures;

use std::io::Write as _;

use ring::rand::SystemRandom;
use ring::signature::{EcdsaKeyPair, KeyPair as _};

use super::*;

/// The one challenge of all tokens that do not pass, whatever is wrong with them.
const INVALID: &str = "Bearer realm=\"api\", error=\"invalid_token\", error_description=\"The access token is invalid\", \
                       resource_metadata=\"https://api.example.com/.well-known/oauth-protected-resource\"";

/// A proxy that is tried, and the count of what was tried.
struct Trial {
    scene: Scene,
    refused: u32,
    admitted: u32,
}

impl Trial {
    fn new(config: &Value) -> Self {
        Self { scene: Scene::new(config), refused: 0, admitted: 0 }
    }

    /// A request with this token goes upstream.
    #[track_caller]
    fn admits(&mut self, what: &str, token: &str) {
        self.admits_request(what, &bearing(token));
    }

    #[track_caller]
    fn admits_request(&mut self, what: &str, request: &Request) {
        match self.scene.run(request) {
            Verdict::Forward(_) => self.admitted += 1,
            Verdict::Refuse(refusal) | Verdict::Report(refusal, _) => panic!("{what}: refused, {:?}", refusal.reason),
        }
    }

    /// A request with this token is answered with 401 and nothing that would help to forge another, and nobody is asked
    /// anything for its sake.
    #[track_caller]
    fn refuses(&mut self, what: &str, token: &str) -> Reason {
        self.refuses_request(what, &bearing(token))
    }

    #[track_caller]
    fn refuses_request(&mut self, what: &str, request: &Request) -> Reason {
        let (reason, challenge) = self.refused(what, request, 401);
        // Its size alone is told: it says nothing about what is in it.
        let said = if reason == Reason::TokenTooLarge {
            INVALID.replace("token is invalid", "token is too large")
        } else {
            INVALID.to_owned()
        };
        assert_eq!(challenge, said, "{what}");
        reason
    }

    /// Any other refusal; and its challenge.
    #[track_caller]
    fn refused(&mut self, what: &str, request: &Request, status: u16) -> (Reason, String) {
        let Verdict::Refuse(refusal) = self.scene.run(request) else { panic!("{what}: it goes upstream") };
        let answer = refusal.answer(AnswerForm::Problem, TOLD, at(self.scene.seconds).wall);
        assert_eq!(answer.status, status, "{what}: {:?}", refusal.reason);
        assert!(self.scene.worker.next_call(at(self.scene.seconds)).is_none(), "{what}: somebody is asked");
        self.refused += 1;
        (refusal.reason, header(&refusal, "www-authenticate").unwrap_or_default())
    }

    /// Tells what became of all that was tried. `expected`: how many were refused, and how many admitted.
    #[track_caller]
    fn sums(self, what: &str, expected: (u32, u32)) {
        let (refused, admitted) = (self.refused, self.admitted);
        // Not println, which the test harness keeps for itself; in one piece, because tests run side by side.
        let line = format!(
            "\nattacks: {what}: {} inputs, {refused} refused, {admitted} admitted as they should\n",
            refused + admitted
        );
        let _ = std::io::stderr().write_all(line.as_bytes());
        assert_eq!((refused, admitted), expected, "{what}");
    }
}

/// A request of Alice with this token, or what stands in its place.
fn bearing(token: &str) -> Request {
    get("/orders/7").peer(ALICE).header("authorization", &format!("Bearer {token}"))
}

/// The seconds in which tokens count, at the start of every test's time.
fn start() -> u64 {
    at(0.0).wall.as_millis() / 1000
}

/// What the signature is over.
fn signing_input(header: &[u8], payload: &[u8]) -> String {
    format!("{}.{}", base64url::encode(header), base64url::encode(payload))
}

fn es256(input: &str, seed: u8) -> Vec<u8> {
    let signature: Signature = signing_key(seed).sign(input.as_bytes());
    signature.to_bytes().to_vec()
}

/// Signed by the issuer's own key, whatever header and payload are.
fn signed(header: &[u8], payload: &[u8]) -> String {
    signed_input(&signing_input(header, payload))
}

/// The same for any text before the signature.
fn signed_input(input: &str) -> String {
    format!("{input}.{}", base64url::encode(&es256(input, 1)))
}

/// The text of the header of a good token.
fn good_header() -> String {
    token().header.to_string()
}

/// The text of the claims of a good token.
fn good_claims() -> String {
    token().claims.to_string()
}

/// A good token whose claims have one more member, or two of one name: `"name":value`.
fn with_member(member: &str) -> String {
    signed(good_header().as_bytes(), adding(&good_claims(), member).as_bytes())
}

/// A good token whose claim `name` is this JSON text; `None` leaves it out.
fn with_claim(name: &str, value: Option<&str>) -> String {
    let mut claims = token().claims;
    claims.as_object_mut().unwrap().remove(name);
    let claims = claims.to_string();
    let claims = value.map_or(claims.clone(), |value| adding(&claims, &format!("\"{name}\":{value}")));
    signed(good_header().as_bytes(), claims.as_bytes())
}

/// A good token whose header has one more member.
fn with_header(member: &str) -> String {
    signed(adding(&good_header(), member).as_bytes(), good_claims().as_bytes())
}

/// The object with one more member at its end.
fn adding(object: &str, member: &str) -> String {
    format!("{},{member}}}", object.strip_suffix('}').unwrap())
}

/// Keys and tokens of another implementation (OpenSSL, by way of Python's cryptography): valid when the time of tests
/// begins, for [`config`]'s resource and bound to [`ALICE`]. The private halves of the keys are gone.
fn foreign() -> Value {
    serde_json::from_str(include_str!("attacks/foreign.json")).unwrap()
}

/// [`config`] with the keys of [`foreign`] and of the issuer itself, and all algorithms but the one that only proxies have.
fn foreign_config() -> Value {
    let mut config = config();
    let mut keys = foreign()["keys"].as_array().unwrap().clone();
    keys.push(jwk("k", 1));
    let issuer = &mut config["issuers"]["main"];
    // What no configuration may hold does stand in the key sets of servers.
    keys.retain(|key| !["secp256k1", "ed448", "x25519"].iter().any(|kid| key["kid"] == *kid));
    issuer["keys"]["keys"] = Value::Array(keys);
    issuer["algorithms"] =
        json!(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "Ed25519", "EdDSA"]);
    config
}

/// A key pair of an attacker.
struct Attacker(EcdsaKeyPair);

impl Attacker {
    fn new() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap())
    }

    fn jwk(&self) -> Value {
        let point = self.0.public_key().as_ref();
        let (x, y) = (base64url::encode(&point[1..33]), base64url::encode(&point[33..]));
        json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "k", "x": x, "y": y})
    }

    fn signed(&self, header: &Value, claims: &Value) -> String {
        let input = signing_input(header.to_string().as_bytes(), claims.to_string().as_bytes());
        let signature = self.0.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
        format!("{input}.{}", base64url::encode(signature.as_ref()))
    }
}
