//! A small OAuth 2.0 authorization server. In: client-credentials requests over mTLS (RFC 6749 §4.4, client
//! authentication by certificate, RFC 8705 §2.1). Out: access tokens (RFC 9068) bound to the certificate of that
//! connection (RFC 8705 §3), the JWK set and the metadata (RFC 8414, and under the name that OpenID Connect Discovery has for it).
//!
//! For tests it can also misbehave: see [`JwksAnswer`], [`AuthorizationServer::stop`] and, for tokens that no honest
//! server would issue, [`AuthorizationServer::claims`]. `GET /jwks?max-age=60` is answered with that in `Cache-Control`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{HeaderMap, Method, Request, Response};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::claims::Claims;
use crate::introspection::{Asked, Introspection};
use crate::pki::{CLIENT_URI, Pki, thumbprint};
use crate::server::{Body, Server, Service, Tls};
use crate::signing::{Algorithm, SigningKeys};
use crate::status_lists::{LISTS, StatusLists};

/// The issuer identifier.
pub const ISSUER: &str = "https://as.example.com";

/// How the server answers `GET /jwks`, requests for its metadata, or questions about tokens.
#[derive(Clone, Debug)]
pub enum JwksAnswer {
    /// As it should: with its keys, the metadata, or what it knows of the token.
    Keys,
    /// Not until another answer is set.
    Held,
    /// With this status and no keys.
    Status(u16),
    /// With a redirect to this place.
    Redirect(String),
    /// With 200 and these bytes, as this content type.
    Bytes(&'static str, Vec<u8>),
}

impl JwksAnswer {
    /// A page for humans, as a misrouted request gets it.
    pub fn html() -> Self {
        Self::Bytes("text/html", b"<!DOCTYPE html><title>Sign in</title>".to_vec())
    }

    /// A well-formed key set of more than `size` bytes.
    pub fn huge(size: usize) -> Self {
        let body = json!({ "keys": [], "padding": "x".repeat(size) }).to_string();
        Self::Bytes("application/json", body.into_bytes())
    }
}

/// A running authorization server. It ends when dropped.
#[derive(Debug)]
pub struct AuthorizationServer(Server<State>);

#[derive(Debug)]
struct State {
    keys: Mutex<Arc<SigningKeys>>,
    generation: AtomicUsize,
    issued: AtomicU64,
    jwks_fetches: Mutex<Vec<(String, Instant)>>,
    jwks_head: Mutex<HeaderMap>,
    jwks_answer: watch::Sender<JwksAnswer>,
    metadata_fetches: AtomicUsize,
    metadata_answer: watch::Sender<JwksAnswer>,
    introspection: Introspection,
    document_fetches: AtomicUsize,
    document_answer: watch::Sender<JwksAnswer>,
    status_lists: StatusLists,
}

impl AuthorizationServer {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start(pki: &Pki) -> Self {
        Self::start_on(pki, 0).await
    }

    /// Listens on this port of 127.0.0.1.
    pub async fn start_on(pki: &Pki, port: u16) -> Self {
        let state = State {
            keys: Mutex::new(Arc::new(SigningKeys::new(1))),
            generation: AtomicUsize::new(1),
            issued: AtomicU64::new(0),
            jwks_fetches: Mutex::default(),
            jwks_head: Mutex::default(),
            jwks_answer: watch::Sender::new(JwksAnswer::Keys),
            metadata_fetches: AtomicUsize::new(0),
            metadata_answer: watch::Sender::new(JwksAnswer::Keys),
            introspection: Introspection::default(),
            document_fetches: AtomicUsize::new(0),
            document_answer: watch::Sender::new(JwksAnswer::Status(404)),
            status_lists: StatusLists::default(),
        };
        Self(Server::start(state, Some(Tls::new(pki)), port).await)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// How often `GET /jwks` was asked for.
    pub fn jwks_fetches(&self) -> usize {
        self.0.service().jwks_fetches.lock().expect("nobody panicked with it").len()
    }

    /// When `GET /jwks` was asked for with this query.
    pub fn jwks_fetches_with(&self, query: &str) -> Vec<Instant> {
        let fetches = self.0.service().jwks_fetches.lock().expect("nobody panicked with it");
        fetches.iter().filter(|(with, _)| with == query).map(|(_, when)| *when).collect()
    }

    /// A header field of the last `GET /jwks`.
    pub fn jwks_header(&self, name: &str) -> Option<String> {
        let head = self.0.service().jwks_head.lock().expect("nobody panicked with it");
        head.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    }

    /// How often the metadata was asked for.
    pub fn metadata_fetches(&self) -> usize {
        self.0.service().metadata_fetches.load(Ordering::SeqCst)
    }

    /// From now on requests for the metadata are answered so. Those that are held get this answer too.
    pub fn answer_metadata_with(&self, answer: JwksAnswer) {
        self.0.service().metadata_answer.send_replace(answer);
    }

    /// How often what is below `/documents/` was answered since [it was set](Self::answer_documents_with).
    pub fn document_fetches(&self) -> usize {
        self.0.service().document_fetches.load(Ordering::SeqCst)
    }

    /// From now on all that is asked for below `/documents/` is answered so. Requests that are held get this answer too.
    pub fn answer_documents_with(&self, answer: JwksAnswer) {
        self.0.service().document_fetches.store(0, Ordering::SeqCst);
        self.0.service().document_answer.send_replace(answer);
    }

    /// The same, with this JSON.
    pub fn publish(&self, document: &Value) {
        self.answer_documents_with(JwksAnswer::Bytes("application/json", document.to_string().into_bytes()));
    }

    /// The lists of the states of its tokens.
    pub fn status_lists(&self) -> &StatusLists {
        &self.0.service().status_lists
    }

    /// From now on `GET /jwks` is answered so. Requests that are held get this answer too.
    pub fn answer_jwks_with(&self, answer: JwksAnswer) {
        self.0.service().jwks_answer.send_replace(answer);
    }

    /// A token that says nothing by itself; who asks about it hears these claims.
    pub fn opaque(&self, claims: &Claims) -> String {
        let number = self.0.service().issued.fetch_add(1, Ordering::SeqCst);
        let token = format!("opaque-{number}~{}", "x".repeat(24));
        self.know(&token, claims);
        token
    }

    /// Who asks about this token hears these claims.
    pub fn know(&self, token: &str, claims: &Claims) {
        self.0.service().introspection.know(token, claims.members());
    }

    /// From now on this token is not active.
    pub fn revoke(&self, token: &str) {
        self.0.service().introspection.revoke(token);
    }

    /// From now on only who sends this `authorization` may ask about tokens.
    pub fn demand_authorization(&self, authorization: &str) {
        self.0.service().introspection.demand(authorization);
    }

    /// From now on questions about tokens are answered so. Those that are held get this answer too.
    pub fn answer_introspections_with(&self, answer: JwksAnswer) {
        self.0.service().introspection.answers.send_replace(answer);
    }

    /// All questions about tokens so far.
    pub fn introspections(&self) -> Vec<Asked> {
        self.0.service().introspection.asked()
    }

    /// Replaces every key by a new one with another `kid`; returns the old keys.
    pub fn rotate_keys(&self) -> Arc<SigningKeys> {
        let state = self.0.service();
        let generation = state.generation.fetch_add(1, Ordering::SeqCst) + 1;
        let new = SigningKeys::new(generation.try_into().expect("keys are not rotated that often"));
        std::mem::replace(&mut *state.keys.lock().expect("nobody panicked with it"), Arc::new(new))
    }

    /// The current keys: to sign what no honest server would.
    pub fn keys(&self) -> Arc<SigningKeys> {
        self.0.service().keys()
    }

    /// The public keys, as `GET /jwks` serves them.
    pub fn jwks(&self) -> Value {
        self.keys().jwks()
    }

    /// A token to be signed without asking the token endpoint. The defaults are good, but it is bound to nobody.
    pub fn claims(&self) -> Claims {
        self.0.service().claims()
    }

    /// Signs any header and claims.
    pub fn sign(&self, algorithm: Algorithm, header: &Value, claims: &Value) -> String {
        self.keys().sign(algorithm, header, claims)
    }

    /// Signs any bytes as header and payload.
    pub fn sign_raw(&self, algorithm: Algorithm, header: &[u8], payload: &[u8]) -> String {
        self.keys().sign_raw(algorithm, header, payload)
    }

    /// Until so long after the first connection no handshake ends, as on a machine that has just started.
    pub fn warms_up(&self, lasts: Duration) {
        self.0.warms_up(lasts);
    }

    /// Each handshake takes so long, until one has ended.
    pub fn first_handshake_takes(&self, lasts: Duration) {
        self.0.first_handshake_takes(lasts);
    }

    /// Closes the port and every connection: from now on connections are refused.
    pub async fn stop(&self) {
        self.0.stop().await;
    }

    /// Listens again, on the same port and with the same keys.
    pub async fn restart(&self) {
        self.0.restart().await;
    }
}

impl Service for State {
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Option<CertificateDer<'static>>,
    ) -> Response<Body> {
        let response = match (request.method(), request.uri().path()) {
            (&Method::POST, "/token") => self.token(request, peer).await,
            (&Method::POST, "/introspect") => self.introspection.answer(request, peer.is_some(), || self.keys()).await,
            (&Method::GET, "/jwks") => {
                self.jwks_head.lock().expect("nobody panicked with it").clone_from(request.headers());
                self.jwks(request.uri().query().unwrap_or_default()).await
            }
            (&Method::GET, "/.well-known/oauth-authorization-server" | "/.well-known/openid-configuration") => {
                self.metadata().await
            }
            (&Method::GET, path) if path.starts_with("/documents/") => self.document().await,
            (&Method::GET, path) if path.starts_with(LISTS) => self.status_lists.answer(&request, &self.keys()).await,
            _ => json_response(404, &json!({ "error": "not_found" })),
        };
        response.map(Full::boxed)
    }
}

impl State {
    fn keys(&self) -> Arc<SigningKeys> {
        self.keys.lock().expect("nobody panicked with it").clone()
    }

    fn claims(&self) -> Claims {
        let number = self.issued.fetch_add(1, Ordering::SeqCst);
        Claims::new(self.keys(), format!("token-{number}"))
    }

    async fn jwks(&self, query: &str) -> Response<Full<Bytes>> {
        self.jwks_fetches.lock().expect("nobody panicked with it").push((query.to_owned(), Instant::now()));
        let keys = || ("application/jwk-set+json", self.keys().jwks().to_string().into_bytes());
        let mut response = answer(&self.jwks_answer, keys).await;
        if let Some(age) = query.strip_prefix("max-age=") {
            let value = format!("public, max-age={age}").parse().expect("a number is a valid header value");
            response.headers_mut().insert("cache-control", value);
        }
        response
    }

    async fn metadata(&self) -> Response<Full<Bytes>> {
        self.metadata_fetches.fetch_add(1, Ordering::SeqCst);
        answer(&self.metadata_answer, || ("application/json", metadata().to_string().into_bytes())).await
    }

    async fn document(&self) -> Response<Full<Bytes>> {
        let response = answer(&self.document_answer, || ("application/json", b"{}".to_vec())).await;
        self.document_fetches.fetch_add(1, Ordering::SeqCst);
        response
    }

    async fn token(&self, request: Request<Incoming>, peer: Option<CertificateDer<'static>>) -> Response<Full<Bytes>> {
        let Ok(body) = Limited::new(request.into_body(), 16 * 1024).collect().await else {
            return TokenError::InvalidRequest("the body is too large or incomplete").response();
        };
        match self.issue(&body.to_bytes(), peer) {
            Ok(answer) => json_response(200, &answer),
            Err(error) => error.response(),
        }
    }

    /// RFC 6749 §4.4.2 and, for the answer, §5.1. The parameters `lifetime` (seconds, may be negative) and `alg` are
    /// for demo and tests: a real server decides both itself.
    fn issue(&self, form: &[u8], peer: Option<CertificateDer<'static>>) -> Result<Value, TokenError> {
        let mut parameters = HashMap::new();
        for (name, value) in form_urlencoded::parse(form) {
            if parameters.insert(name, value).is_some() {
                return Err(TokenError::InvalidRequest("a parameter is repeated"));
            }
        }
        let parameter = |name| parameters.get(name).map(AsRef::<str>::as_ref);

        let client = parameter("client_id").ok_or(TokenError::InvalidRequest("client_id is missing"))?;
        let certificate = peer.ok_or(TokenError::InvalidClient("no client certificate"))?;
        if !names_client(&certificate, client) {
            return Err(TokenError::InvalidClient("the certificate is not this client's"));
        }
        match parameter("grant_type") {
            Some("client_credentials") => {}
            Some(_) => return Err(TokenError::UnsupportedGrantType),
            None => return Err(TokenError::InvalidRequest("grant_type is missing")),
        }
        let resource = parameter("resource").ok_or(TokenError::InvalidTarget)?;
        let lifetime = match parameter("lifetime") {
            None => 300,
            Some(text) => text.parse().map_err(|_| TokenError::InvalidRequest("lifetime is not a number"))?,
        };
        let algorithm = match parameter("alg") {
            None => Algorithm::Es256,
            Some(name) => Algorithm::from_name(name).ok_or(TokenError::InvalidRequest("alg is unknown"))?,
        };

        let mut claims = self
            .claims()
            .algorithm(algorithm)
            .client(client)
            .audience(resource)
            .lifetime(lifetime)
            .set("cnf", json!({ "x5t#S256": thumbprint(&certificate) }));
        let mut answer = json!({ "token_type": "Bearer", "expires_in": lifetime });
        if let Some(scope) = parameter("scope") {
            if !is_scope(scope) {
                return Err(TokenError::InvalidScope);
            }
            claims = claims.scope(scope);
            answer["scope"] = json!(scope);
        }
        answer["access_token"] = json!(claims.sign());
        Ok(answer)
    }
}

/// RFC 6749 §5.2, RFC 8707 §2.
enum TokenError {
    InvalidRequest(&'static str),
    InvalidClient(&'static str),
    UnsupportedGrantType,
    InvalidScope,
    InvalidTarget,
}

impl TokenError {
    fn response(&self) -> Response<Full<Bytes>> {
        let (status, error, description) = match self {
            Self::InvalidRequest(why) => (400, "invalid_request", *why),
            Self::InvalidClient(why) => (401, "invalid_client", *why),
            Self::UnsupportedGrantType => (400, "unsupported_grant_type", "only client_credentials"),
            Self::InvalidScope => (400, "invalid_scope", "scope is malformed"),
            Self::InvalidTarget => (400, "invalid_target", "resource is missing"),
        };
        json_response(status, &json!({ "error": error, "error_description": description }))
    }
}

/// `tls_client_auth_san_uri` (RFC 8705 §2.1.2): the URI of the certificate is the one registered for the client.
fn names_client(certificate: &CertificateDer<'_>, client: &str) -> bool {
    let registered = format!("{CLIENT_URI}{client}");
    webpki::EndEntityCert::try_from(certificate).is_ok_and(|end| end.valid_uri_names().any(|uri| uri == registered))
}

/// RFC 6749 §3.3: scope tokens with one space between them.
fn is_scope(text: &str) -> bool {
    let allowed = |c: char| matches!(c, '!'..='~') && c != '"' && c != '\\';
    text.split(' ').all(|token| !token.is_empty() && token.chars().all(allowed))
}

/// The answer that is set, once that is none that is held; `right`: type and body as they should be.
pub(crate) async fn answer(
    set: &watch::Sender<JwksAnswer>,
    right: impl FnOnce() -> (&'static str, Vec<u8>),
) -> Response<Full<Bytes>> {
    let mut answers = set.subscribe();
    let answer = answers.wait_for(|answer| !matches!(answer, JwksAnswer::Held)).await;
    let answer = answer.expect("the sender lives as long as the server").clone();
    let (status, kind, body) = match answer {
        JwksAnswer::Keys => {
            let (kind, body) = right();
            (200, kind, body)
        }
        JwksAnswer::Bytes(kind, body) => (200, kind, body),
        JwksAnswer::Status(status) => (status, "text/plain", Vec::new()),
        JwksAnswer::Redirect(place) => {
            let response = Response::builder().status(302).header("location", place);
            return response.body(Full::default()).expect("the place is a valid header value");
        }
        JwksAnswer::Held => unreachable!("waited for another answer"),
    };
    let response = Response::builder().status(status).header("content-type", kind);
    response.body(Full::from(body)).expect("status and headers are valid")
}

fn metadata() -> Value {
    json!({
        "issuer": ISSUER,
        "token_endpoint": format!("{ISSUER}/token"),
        "jwks_uri": format!("{ISSUER}/jwks"),
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["tls_client_auth"],
        "tls_client_certificate_bound_access_tokens": true,
    })
}

pub(crate) fn json_response(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("cache-control", "no-store");
    response.body(Full::from(body.to_string())).expect("status and headers are valid")
}
