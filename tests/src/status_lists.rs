//! The status lists of the authorization server (draft-ietf-oauth-status-list). In: the states of its tokens, what a list is to say
//! besides. Out: lists, and which were asked for. They can be wrong: see [`StatusLists::answer_with`] and [`StatusLists::sign`].

use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use miniz_oxide::deflate::compress_to_vec_zlib;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::authorization_server::{ISSUER, JwksAnswer, answer, json_response};
use crate::claims::now;
use crate::signing::{Algorithm, SigningKeys};

/// What the path of each list begins with.
pub(crate) const LISTS: &str = "/statuslists/";

const TYPE: &str = "application/statuslist+jwt";

/// See the module.
#[derive(Debug)]
pub struct StatusLists {
    states: Mutex<Vec<u8>>,
    asked: Mutex<Vec<String>>,
    answers: watch::Sender<JwksAnswer>,
}

impl Default for StatusLists {
    fn default() -> Self {
        let answers = watch::Sender::new(JwksAnswer::Keys);
        Self { states: Mutex::new(vec![0]), asked: Mutex::default(), answers }
    }
}

impl StatusLists {
    /// What a token says whose state is at this place of this list.
    pub fn reference(list: &str, index: u64) -> Value {
        json!({ "status_list": { "idx": index, "uri": Self::uri(list) } })
    }

    /// The name of a list.
    pub fn uri(list: &str) -> String {
        format!("{ISSUER}{LISTS}{list}")
    }

    /// From now on every list has these states, from place 0 on; each is below 4.
    pub fn set(&self, states: &[u8]) {
        *self.states.lock().expect("nobody panicked with it") = states.to_vec();
        self.answer_with(JwksAnswer::Keys);
    }

    /// From now on lists are answered so. Requests that are held get this answer too.
    pub fn answer_with(&self, answer: JwksAnswer) {
        self.answers.send_replace(answer);
    }

    /// From now on every list is this text.
    pub fn serve(&self, list: String) {
        self.answer_with(JwksAnswer::Bytes(TYPE, list.into_bytes()));
    }

    /// The paths of all requests so far, whatever became of them.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panicked with it").clone()
    }

    /// The claims of a list with these states.
    pub fn claims(list: &str, states: &[u8]) -> Value {
        let mut bytes = vec![0; states.len().div_ceil(4).max(1)];
        for (place, state) in states.iter().enumerate() {
            bytes[place / 4] |= (state & 3) << (place % 4 * 2);
        }
        let packed = Self::packed(&bytes);
        json!({ "sub": Self::uri(list), "iat": now(), "status_list": { "bits": 2, "lst": packed } })
    }

    /// Bytes as they stand in a list.
    pub fn packed(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(compress_to_vec_zlib(bytes, 9))
    }

    /// The token of a list with these claims.
    pub fn sign(keys: &SigningKeys, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "kid": keys.kid(Algorithm::Es256), "typ": "statuslist+jwt" });
        keys.sign(Algorithm::Es256, &header, claims)
    }

    pub(crate) async fn answer(&self, request: &Request<Incoming>, keys: &SigningKeys) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        self.asked.lock().expect("nobody panicked with it").push(path.to_owned());
        if request.headers().get("accept").is_none_or(|accept| accept != TYPE) {
            return json_response(406, &json!({ "error": "not_acceptable" }));
        }
        let list = path.strip_prefix(LISTS).unwrap_or_default();
        let right = || {
            let claims = Self::claims(list, &self.states.lock().expect("nobody panicked with it"));
            (TYPE, Self::sign(keys, &claims).into_bytes())
        };
        answer(&self.answers, right).await
    }
}
