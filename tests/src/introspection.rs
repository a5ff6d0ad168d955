//! The introspection endpoint of the authorization server (RFC 7662): what it knows of tokens that are opaque, who asks, and what it
//! says. In: tokens to know, questions. Out: answers, and what was asked. It can misbehave: see [`JwksAnswer`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{HeaderMap, Request, Response};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::authorization_server::{ISSUER, JwksAnswer, answer, json_response};
use crate::claims::now;
use crate::signing::{Algorithm, SigningKeys};

/// The media type of signed answers.
const SIGNED: &str = "application/token-introspection+jwt";

/// A question that came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its header fields.
    pub head: HeaderMap,
    /// The path and query.
    pub target: String,
    /// The form in its body.
    pub form: HashMap<String, String>,
    /// Whether the connection has a client certificate.
    pub has_certificate: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Introspection {
    known: Mutex<HashMap<String, Value>>,
    asked: Mutex<Vec<Asked>>,
    /// The only `authorization` that may ask; whoever may, without.
    authorization: Mutex<Option<String>>,
    pub(crate) answers: watch::Sender<JwksAnswer>,
}

impl Default for Introspection {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            asked: Mutex::default(),
            authorization: Mutex::default(),
            answers: watch::Sender::new(JwksAnswer::Keys),
        }
    }
}

impl Introspection {
    /// A token with these claims becomes known, as active.
    pub(crate) fn know(&self, token: &str, claims: &Value) {
        let mut answer = claims.clone();
        answer["active"] = json!(true);
        answer["token_type"] = json!("Bearer");
        self.known.lock().expect("nobody panicked with it").insert(token.to_owned(), answer);
    }

    pub(crate) fn revoke(&self, token: &str) {
        self.known.lock().expect("nobody panicked with it").remove(token);
    }

    pub(crate) fn demand(&self, authorization: &str) {
        *self.authorization.lock().expect("nobody panicked with it") = Some(authorization.to_owned());
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("nobody panicked with it").clone()
    }

    /// An answer that is signed with `keys` if that is asked for (RFC 9701).
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        has_certificate: bool,
        keys: impl Fn() -> Arc<SigningKeys>,
    ) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, 128 * 1024).collect().await else {
            return json_response(400, &json!({ "error": "invalid_request" }));
        };
        let form: HashMap<String, String> = form_urlencoded::parse(&body.to_bytes()).into_owned().collect();
        let token = form.get("token").cloned().unwrap_or_default();
        let authorization = head.headers.get("authorization").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let target = head.uri.to_string();
        let client = form.get("client_id").cloned().unwrap_or_default();
        let wants_signed = head.headers.get("accept").is_some_and(|accept| accept == SIGNED);
        let asked = Asked { head: head.headers, target, form, has_certificate };
        self.asked.lock().expect("nobody panicked with it").push(asked);
        let demanded = self.authorization.lock().expect("nobody panicked with it").clone();
        if demanded.is_some() && demanded != authorization {
            return json_response(401, &json!({ "error": "invalid_client" }));
        }
        let right = || {
            let known = self.known.lock().expect("nobody panicked with it").get(&token).cloned();
            let says = known.unwrap_or_else(|| json!({ "active": false }));
            if !wants_signed {
                return ("application/json", says.to_string().into_bytes());
            }
            let keys = keys();
            let header = json!({ "alg": "ES256", "kid": keys.kid(Algorithm::Es256), "typ": "token-introspection+jwt" });
            let claims = json!({ "iss": ISSUER, "aud": client, "iat": now(), "token_introspection": says });
            (SIGNED, keys.sign(Algorithm::Es256, &header, &claims).into_bytes())
        };
        answer(&self.answers, right).await
    }
}
