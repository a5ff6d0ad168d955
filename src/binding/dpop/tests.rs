//! Proofs, right and wrong in one thing each.

use std::time::Duration;

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use crate::fake::{FakeHost, at};
use crate::http::{HeaderMap, TargetUri, encode};
use crate::jose::{Algorithm, KeyThumbprint, Native, base64url};
use crate::policy::DpopRule;
use crate::shared::OnceOnly;

const TOKEN: &str = "a.b.c";
const NATIVE: Native = Native::ALL;

/// A client that makes proofs.
#[derive(Clone)]
pub(crate) struct Client {
    pub header: Value,
    pub claims: Value,
    seed: u8,
}

impl Client {
    /// One with the key of `seed`, about to send `GET htu` with `token`.
    pub fn new(seed: u8, htu: &str, token: &str, seconds: f64) -> Self {
        let point = key(seed).verifying_key().to_sec1_point(false);
        let (x, y) = (base64url::encode(&point.as_bytes()[1..33]), base64url::encode(&point.as_bytes()[33..]));
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
        let issued = at(seconds).wall.as_millis() / 1000;
        let ath = ath(token);
        Self {
            header: json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}),
            claims: json!({"jti": "j1", "htm": "GET", "htu": htu, "iat": issued, "ath": ath}),
            seed,
        }
    }

    /// The `jkt` of its key.
    pub fn jkt(&self) -> String {
        let text = |name: &str| self.header["jwk"][name].as_str().unwrap().to_owned();
        let input = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, text("x"), text("y"));
        base64url::encode(&Sha256::digest(input.as_bytes()))
    }

    pub fn claim(mut self, name: &str, value: Value) -> Self {
        put(&mut self.claims, name, value);
        self
    }

    pub fn header(mut self, name: &str, value: Value) -> Self {
        put(&mut self.header, name, value);
        self
    }

    pub fn proof(&self) -> String {
        self.signed(&self.header.to_string(), &self.claims.to_string())
    }

    /// Its signature over a header and claims as they are written.
    pub fn signed(&self, header: &str, claims: &str) -> String {
        let input = format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(claims.as_bytes()));
        let signature: Signature = key(self.seed).sign(input.as_bytes());
        format!("{input}.{}", base64url::encode(&signature.to_bytes()))
    }
}

fn put(object: &mut Value, name: &str, value: Value) {
    if value.is_null() {
        object.as_object_mut().unwrap().remove(name);
    } else {
        object[name] = value;
    }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

/// A resource and what it has seen.
struct Server {
    rule: DpopRule,
    host: FakeHost,
    used: OnceOnly,
    nonces: Nonces,
    ath: String,
    seconds: f64,
}

impl Server {
    fn new() -> Self {
        let host = FakeHost::with_random(1);
        let rule = DpopRule {
            origin: TargetUri::parse("https://rs.example").unwrap(),
            algorithms: vec![Algorithm::Es256, Algorithm::Ed25519],
            nonce: None,
            max_age: Duration::from_secs(60),
            leeway: Duration::from_secs(10),
            forward: false,
        };
        Self {
            rule,
            used: OnceOnly::new("proofs", &host),
            nonces: Nonces::new(&host),
            ath: ath(TOKEN),
            host,
            seconds: 0.0,
        }
    }

    fn about<'a>(&'a self, method: &'a str, path: &'a str, key: KeyThumbprint) -> About<'a> {
        let (rule, nonces, now) = (&self.rule, &self.nonces, at(self.seconds).wall);
        About { method, path, ath: &self.ath, key, rule, nonces, now }
    }

    fn judge(&self, method: &str, path: &str, key: KeyThumbprint, proof: &str) -> Result<Proof, ProofFault> {
        let now = at(self.seconds).wall;
        let read = UnverifiedProof::read(proof.as_bytes(), &self.about(method, path, key))?;
        read.unused(&self.used, &self.host, now)?.verify(&self.host, NATIVE)?.use_up(&self.used, &self.host, now)
    }

    /// `GET /a` with a token for the key of [`honest`].
    fn get(&self, proof: &str) -> Result<KeyThumbprint, ProofFault> {
        self.judge("GET", "/a", jkt(), proof).map(|proof| proof.key())
    }

    fn nonce(&self) -> String {
        self.nonces.current("https://rs.example", at(self.seconds).wall)
    }
}

fn ath(token: &str) -> String {
    base64url::encode(&Sha256::digest(token.as_bytes()))
}

fn honest() -> Client {
    Client::new(7, "https://rs.example/a", TOKEN, 0.0)
}

fn jkt() -> KeyThumbprint {
    KeyThumbprint::from_jkt(&honest().jkt()).unwrap()
}

#[track_caller]
fn refused(client: &Client, fault: ProofFault) {
    assert_eq!(Server::new().get(&client.proof()), Err(fault));
}

#[track_caller]
fn passes(client: &Client) {
    assert_eq!(Server::new().get(&client.proof()), Ok(jkt()));
}

#[test]
fn an_honest_proof_passes() {
    passes(&honest());
}

#[test]
fn the_proof_of_the_rfc_is_about_its_request_and_by_its_key() {
    let proof = concat!(
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJo",
        "RjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.",
        "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXN",
        "vdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.",
        "2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
    );
    let server = Server::new();
    let rule = DpopRule { origin: TargetUri::parse("https://resource.example.org").unwrap(), ..server.rule };
    let now = crate::time::UnixMillis::from_millis(1_562_262_620_000);
    let about = |path, ath| About {
        method: "GET",
        path,
        ath,
        key: KeyThumbprint::from_jkt("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I").unwrap(),
        rule: &rule,
        nonces: &server.nonces,
        now,
    };
    let its = ath("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU");
    let read = UnverifiedProof::read(proof.as_bytes(), &about("/protectedresource", &its)).unwrap();
    assert!(read.unused(&server.used, &server.host, now).unwrap().verify(&server.host, NATIVE).is_ok());
    for (path, ath, fault) in
        [("/other", &its, ProofFault::Target), ("/protectedresource", &ath("z"), ProofFault::Token)]
    {
        assert_eq!(UnverifiedProof::read(proof.as_bytes(), &about(path, ath)).err(), Some(fault));
    }
}

#[test]
fn check_1_one_field_with_one_proof() {
    let proofs = |values: &[&str]| {
        let fields = values.iter().map(|value| ("dpop", value.as_bytes()));
        let map = HeaderMap::decode(encode(fields)).unwrap();
        presented_proof(&map).map(<[u8]>::to_vec)
    };
    assert_eq!(proofs(&["a.b.c"]), Ok(b"a.b.c".to_vec()));
    assert_eq!(proofs(&[]), Err(ProofFault::Missing));
    for several in [&["a.b.c", "a.b.c"][..], &["a.b.c,a.b.c"], &["a.b.c,"], &["", "a.b.c"]] {
        assert_eq!(proofs(several), Err(ProofFault::Repeated), "{several:?}");
    }
}

#[test]
fn check_2_one_well_formed_jwt() {
    let good = honest().proof();
    let (input, _) = good.rsplit_once('.').unwrap();
    for wrong in [
        "",
        "x",
        "a.b.c",
        input,
        &format!("{input}."),
        &format!("{good}.e30"),
        &format!("{good}.e30.e30"),
        &format!(" {good}"),
        &good.replacen('.', " .", 1),
        &format!("{good}="),
    ] {
        assert_eq!(Server::new().get(wrong), Err(ProofFault::Form), "{wrong}");
    }
    refused(&honest().header("crit", json!(["x"])), ProofFault::Form);
    refused(&honest().claim("pad", json!("x".repeat(16 * 1024))), ProofFault::TooLarge);
}

#[test]
fn check_3_every_claim_is_there_and_of_its_type() {
    for name in ["jti", "htm", "htu", "iat", "ath"] {
        for wrong in [Value::Null, json!(true), json!({}), json!([1])] {
            refused(&honest().claim(name, wrong), ProofFault::Claim(name));
        }
    }
    for jti in ["", &"j".repeat(257)] {
        refused(&honest().claim("jti", json!(jti)), ProofFault::Claim("jti"));
    }
    for iat in [json!("1767225600"), json!(-1), json!(1e300)] {
        refused(&honest().claim("iat", iat), ProofFault::Claim("iat"));
    }
    refused(&honest().header("alg", Value::Null), ProofFault::Algorithm);
    refused(&honest().header("jwk", Value::Null), ProofFault::Form);
}

#[test]
fn check_4_the_typ_of_a_proof_and_no_other() {
    for typ in ["dpop+jwt", "DPoP+JWT", "application/dpop+jwt"] {
        passes(&honest().header("typ", json!(typ)));
    }
    for typ in [Value::Null, json!("JWT"), json!("at+jwt"), json!("dpop"), json!("")] {
        refused(&honest().header("typ", typ), ProofFault::Typ);
    }
}

#[test]
fn check_5_an_asymmetric_algorithm_that_the_resource_takes_and_the_key_is_for() {
    for algorithm in ["none", "HS256", "PS256", "ES384", "Ed25519", "es256", ""] {
        refused(&honest().header("alg", json!(algorithm)), ProofFault::Algorithm);
    }
}

#[test]
fn check_6_the_signature_is_by_the_embedded_key() {
    let good = honest().proof();
    let (input, signature) = good.rsplit_once('.').unwrap();
    let mut bytes = base64url::decode(signature.as_bytes()).unwrap();
    bytes[10] ^= 1;
    let flipped = format!("{input}.{}", base64url::encode(&bytes));
    assert_eq!(Server::new().get(&flipped), Err(ProofFault::Signature));
    let other = Client { seed: 8, ..honest() };
    refused(&other, ProofFault::Signature);
}

#[test]
fn check_7_the_key_is_public_and_stands_in_the_proof() {
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] {
        let mut client = honest();
        client.header["jwk"][member] = json!("AAAA");
        refused(&client, ProofFault::Form);
    }
    for (member, value) in [("jku", json!("https://x")), ("x5u", json!("https://x")), ("x5c", json!(["AAAA"]))] {
        refused(&honest().header(member, value), ProofFault::Form);
    }
    refused(&honest().header("jwk", json!({"kty": "oct", "k": "AAAA"})), ProofFault::Form);
    refused(&honest().header("jwk", json!("x")), ProofFault::Form);
}

#[test]
fn check_8_the_method_of_the_request() {
    for method in ["POST", "get", "GET ", "HEAD"] {
        refused(&honest().claim("htm", json!(method)), ProofFault::Method);
    }
}

#[test]
fn check_9_the_uri_of_the_request_without_query_and_fragment() {
    for htu in
        ["HTTPS://RS.example:443/a", "https://rs.example/a?x=1", "https://rs.example/a#x", "https://rs.example/%61"]
    {
        passes(&honest().claim("htu", json!(htu)));
    }
    for htu in ["https://rs.example/", "https://rs.example/a/", "https://rs.example:8443/a", "https://other.example/a"]
    {
        refused(&honest().claim("htu", json!(htu)), ProofFault::Target);
    }
    for htu in ["http://rs.example/a", "/a", ""] {
        refused(&honest().claim("htu", json!(htu)), ProofFault::Claim("htu"));
    }
    let mut server = Server::new();
    server.rule.origin = TargetUri::parse("https://rs.example/svc2").unwrap();
    let behind = honest().claim("htu", json!("https://rs.example/svc2/a"));
    assert!(server.get(&behind.proof()).is_ok(), "a hop in front took the prefix away");
    assert_eq!(server.get(&honest().proof()), Err(ProofFault::Target));
}

#[test]
fn check_10_a_nonce_of_ours_where_one_is_needed() {
    let mut server = Server::new();
    server.rule.nonce = Some("https://rs.example".into());
    let nonce = server.nonce();
    let with = |jti: &str, nonce: &str| honest().claim("nonce", json!(nonce)).claim("jti", json!(jti)).proof();
    assert_eq!(server.get(&honest().proof()), Err(ProofFault::Nonce));
    assert_eq!(server.get(&honest().claim("nonce", json!(7)).proof()), Err(ProofFault::Nonce));
    assert_eq!(server.get(&with("1", "eyJ7S_zG.eyJH0-Z.HX4w-7v")), Err(ProofFault::Nonce));
    assert_eq!(server.get(&with("1", &nonce)), Ok(jkt()));
    server.seconds = 359.0;
    assert_eq!(server.get(&with("2", &nonce)), Ok(jkt()), "the one before is still good");
    assert_eq!(server.get(&with("2", &nonce)), Err(ProofFault::Replayed), "as long as it is, it is remembered");
    server.seconds = 360.0;
    assert_eq!(server.get(&with("3", &nonce)), Err(ProofFault::Nonce));
}

#[test]
fn check_11_a_proof_is_made_just_now_by_the_clock_of_its_maker_or_by_the_nonce() {
    for (seconds, fault) in [
        (10.0, None),
        (11.0, Some(ProofFault::Future)),
        (3600.0, Some(ProofFault::Future)),
        (-59.0, None),
        (-60.0, Some(ProofFault::Old)),
        (-3600.0, Some(ProofFault::Old)),
    ] {
        let mut server = Server::new();
        server.seconds = 4000.0;
        let issued = Client::new(7, "https://rs.example/a", TOKEN, 4000.0 + seconds);
        assert_eq!(server.get(&issued.proof()).err(), fault, "{seconds}");
        server.rule.nonce = Some("https://rs.example".into());
        let with_nonce = issued.claim("nonce", json!(server.nonce())).claim("jti", json!("other"));
        let quite_wrong = seconds <= -3600.0;
        assert_eq!(server.get(&with_nonce.proof()).is_err(), quite_wrong, "{seconds} with a nonce");
    }
}

#[test]
fn check_12_the_token_of_the_request_and_the_key_that_it_names() {
    refused(&honest().claim("ath", json!(base64url::encode(&Sha256::digest(b"a.b.d")))), ProofFault::Token);
    refused(&honest().claim("ath", json!("47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU")), ProofFault::Token);
    refused(&Client::new(8, "https://rs.example/a", TOKEN, 0.0), ProofFault::Key);
}

#[test]
fn what_else_a_proof_says_does_not_disturb() {
    let claims = [("exp", json!(1)), ("nbf", json!(9e9)), ("sub", json!("x")), ("nonce", json!("of another server"))];
    for (name, value) in claims {
        passes(&honest().claim(name, value));
    }
    passes(&honest().header("kid", json!("k")));
    let mut client = honest();
    client.header["jwk"]["kid"] = json!("k");
    client.header["jwk"]["use"] = json!("sig");
    client.header["jwk"]["key_ops"] = json!(["verify"]);
    passes(&client);
}

#[test]
fn a_proof_is_good_once_in_whatever_spelling_for_as_long_as_it_could_be_good() {
    let mut server = Server::new();
    assert!(server.get(&honest().proof()).is_ok());
    // Another signature over the same, and another text around the same jti.
    for copy in [honest().proof(), honest().claim("x", json!(1)).proof()] {
        assert_eq!(server.get(&copy), Err(ProofFault::Replayed));
    }
    server.seconds = 59.9;
    assert_eq!(server.get(&honest().proof()), Err(ProofFault::Replayed));
    // One from ahead of our clock stays good for longer.
    let ahead = Client::new(7, "https://rs.example/a", TOKEN, 69.0).claim("jti", json!("ahead"));
    assert!(server.get(&ahead.proof()).is_ok());
    server.seconds = 128.9;
    assert_eq!(server.get(&ahead.proof()), Err(ProofFault::Replayed));
    server.seconds = 129.0;
    assert_eq!(server.get(&ahead.proof()), Err(ProofFault::Old));
}

#[test]
fn a_refused_proof_uses_no_honest_ones_jti_up() {
    let server = Server::new();
    for wrong in
        [Client { seed: 8, ..honest() }, honest().claim("htm", json!("POST")), honest().claim("ath", json!("x"))]
    {
        assert!(server.get(&wrong.proof()).is_err());
    }
    assert_eq!(server.get(&Client::new(8, "https://rs.example/a", TOKEN, 0.0).proof()), Err(ProofFault::Key));
    assert!(server.get(&honest().proof()).is_ok());
}

#[test]
fn the_same_jti_of_another_key_is_another_proof() {
    let server = Server::new();
    assert!(server.get(&honest().proof()).is_ok());
    let other = Client::new(8, "https://rs.example/a", TOKEN, 0.0);
    let key = KeyThumbprint::from_jkt(&other.jkt()).unwrap();
    assert!(server.judge("GET", "/a", key, &other.proof()).is_ok());
}
