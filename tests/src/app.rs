//! A client without a certificate and with a key of its own, as apps are (RFC 9449). In: the test bed, for a token that names the key.
//! Out: proofs, and requests that carry them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::bed::Testbed;
use crate::client::{Client, Request};
use crate::signing::{Algorithm, SigningKeys};

/// See the module.
#[derive(Debug)]
pub struct App {
    /// Its keys; it uses that of ES256.
    pub keys: Arc<SigningKeys>,
    /// Its access token.
    pub token: String,
}

impl App {
    /// With a token that names the key.
    pub fn new(bed: &Testbed) -> Self {
        let keys = Arc::new(SigningKeys::new(77));
        let token = bed.authority.claims().client("app").scope("read:orders").bound_to_key(&keys).sign();
        Self { keys, token }
    }

    /// The thumbprint of the key.
    pub fn jkt(&self) -> String {
        thumbprint(&self.keys.jwk(Algorithm::Es256))
    }

    /// A proof of the key for `GET path`, unless `change` makes it another.
    pub fn proof(&self, path: &str, jti: &str, change: impl FnOnce(&mut Value)) -> String {
        let jwk = self.keys.jwk(Algorithm::Es256);
        let jwk = json!({"kty": jwk["kty"], "crv": jwk["crv"], "x": jwk["x"], "y": jwk["y"]});
        let header = json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk});
        let mut claims = json!({
            "jti": jti, "htm": "GET", "htu": format!("https://api.example.com{path}"),
            "iat": OffsetDateTime::now_utc().unix_timestamp(),
            "ath": BASE64.encode(digest(&SHA256, self.token.as_bytes())),
        });
        change(&mut claims);
        self.keys.sign(Algorithm::Es256, &header, &claims)
    }

    /// A request with the token and a proof.
    pub fn get<'c>(&self, client: &'c Client, path: &str, proof: &str) -> Request<'c> {
        client.get(path).header("authorization", format!("DPoP {}", self.token)).header("dpop", proof)
    }
}

/// RFC 7638 of a key of P-256.
pub(crate) fn thumbprint(jwk: &Value) -> String {
    let text = |name: &str| jwk[name].as_str().expect("text");
    let input = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, text("x"), text("y"));
    BASE64.encode(digest(&SHA256, input.as_bytes()))
}
