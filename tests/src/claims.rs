//! An access token to be (RFC 9068). In: what a test wants to be special. Out: a signed token. The defaults make a
//! good one, except that it is bound to nobody.

use std::sync::Arc;

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::app::thumbprint;
use crate::authorization_server::ISSUER;
use crate::bed::RESOURCE;
use crate::pki::Identity;
use crate::signing::{Algorithm, SigningKeys};

/// Builder for a token; see [`AuthorizationServer::claims`](crate::AuthorizationServer::claims).
#[derive(Clone, Debug)]
pub struct Claims {
    keys: Arc<SigningKeys>,
    algorithm: Algorithm,
    header: Value,
    claims: Value,
}

impl Claims {
    pub(crate) fn new(keys: Arc<SigningKeys>, jti: String) -> Self {
        let claims = json!({
            "iss": ISSUER, "sub": "alice", "client_id": "alice", "aud": RESOURCE, "jti": jti,
            "iat": now(), "exp": now() + 300,
        });
        Self { keys, algorithm: Algorithm::Es256, header: json!({}), claims }.algorithm(Algorithm::Es256)
    }

    /// Signs with this algorithm, and says so in the header.
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self.header = json!({ "alg": algorithm.name(), "kid": self.keys.kid(algorithm), "typ": "at+jwt" });
        self
    }

    /// Sets `sub` and `client_id`, which client credentials make the same (RFC 9068 §2.2).
    pub fn client(self, name: &str) -> Self {
        self.set("sub", name).set("client_id", name)
    }

    /// Binds the token to a certificate (RFC 8705 §3.1).
    pub fn bound_to(self, identity: &Identity) -> Self {
        self.set("cnf", json!({ "x5t#S256": identity.thumbprint() }))
    }

    /// Binds the token to the key of ES256 of these (RFC 9449 §6.1).
    pub fn bound_to_key(self, keys: &SigningKeys) -> Self {
        self.set("cnf", json!({ "jkt": thumbprint(&keys.jwk(Algorithm::Es256)) }))
    }

    /// Sets `scope`, space-delimited.
    pub fn scope(self, scope: &str) -> Self {
        self.set("scope", scope)
    }

    /// Sets `aud`.
    pub fn audience(self, audience: impl Into<Value>) -> Self {
        self.set("aud", audience)
    }

    /// Issued now, and ends after `seconds`; negative: it has ended, and was issued ten minutes before that.
    pub fn lifetime(self, seconds: i64) -> Self {
        let expiry = now() + seconds;
        let issued = if seconds > 0 { now() } else { expiry - 600 };
        self.set("iat", issued).set("exp", expiry)
    }

    /// Sets any claim.
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    /// Removes a claim.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.as_object_mut().expect("claims are an object").remove(name);
        self
    }

    /// Sets any member of the JOSE header.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    /// Removes a member of the JOSE header.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.as_object_mut().expect("a header is an object").remove(name);
        self
    }

    /// What it says, unsigned: for tokens that are asked about.
    pub fn members(&self) -> &Value {
        &self.claims
    }

    /// The token.
    pub fn sign(&self) -> String {
        self.keys.sign(self.algorithm, &self.header, &self.claims)
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}
