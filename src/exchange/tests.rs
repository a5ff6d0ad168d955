//! Exchanges against a real policy, a fake host and fake clocks. A test reads as: this request, that verdict.

#![allow(clippy::arithmetic_side_effects)]

mod api_keys;
mod attacks;
mod audit;
mod bodies;
mod claim_rules;
mod fapi;
mod fleet;
mod flood;
mod hops;
mod introspection;
mod issuers;
mod limits;
mod metadata;
mod objects;
mod peers;
mod principals;
mod proofs;
mod report;
mod revocation;
mod signed_introspection;
mod source_ip;
mod status_list;
mod step_up;
mod subjects;
mod trust;
mod waiting;
mod words;

use std::rc::Rc;

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};

use super::*;
use crate::config;
use crate::fake::{FakeConnection, FakeHost, at};
use crate::host::ConnectionProperty;
use crate::http::{AnswerForm, encode};
use crate::jose::base64url;
use crate::policy::{Dialects, FilterId};
use crate::verdict::Forward;
use crate::worker::{
    AnswerFields, Answered, Batch, Call, CallId, Counter, FetchFailed, Gauge, HttpAnswer, Message, Pace,
};

const ALICE: [u8; 32] = [0xa1; 32];
const BOB: [u8; 32] = [0xb0; 32];
const TOLD: Dialects = Dialects { draft: true, older: None };

fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

pub(super) fn jwk(kid: &str, seed: u8) -> Value {
    let point = signing_key(seed).verifying_key().to_sec1_point(false);
    let (x, y) = (base64url::encode(&point.as_bytes()[1..33]), base64url::encode(&point.as_bytes()[33..]));
    json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": kid, "x": x, "y": y})
}

/// Keys in the configuration, and one route of every kind.
fn config() -> Value {
    json!({
        "issuers": {"main": {
            "issuer": "https://as.example.com", "keys": {"keys": [jwk("k", 1)]}, "algorithms": ["ES256"], "max_lifetime": "15m"
        }},
        "resources": [{
            "hosts": ["api.example.com"], "audiences": ["https://api.example.com"], "issuers": ["main"], "realm": "api",
            "resource_metadata": "https://api.example.com/.well-known/oauth-protected-resource",
            "forward": {"headers": {"x-client-id": "client_id"}},
            "routes": [
                {"path": "/healthz", "access": "public"},
                {"path": "/orders/{id}", "methods": ["GET"], "scopes": ["read:orders"]},
                {"path": "/plain", "bound": "when-bound", "scopes": {"any": ["a", "b"]}},
                {"path": "/limited", "scopes": ["read:orders"], "limits": ["per-client"]},
                {"path": "/mesh", "access": "peer", "peers": ["spiffe://example.org/client/*"]},
                {"path": "/cors", "methods": ["PUT"], "preflight": true}
            ]
        }],
        "limits": {"per-client": {"key": ["client_id"], "rate": "1/s", "burst": 2}}
    })
}

fn remote_keys() -> Value {
    let mut config = config();
    let issuer = config["issuers"]["main"].as_object_mut().unwrap();
    issuer.remove("keys");
    issuer.insert("jwks".into(), json!({"cluster": "as", "uri": "https://as.example.com/jwks"}));
    config
}

pub(super) struct Token {
    header: Value,
    claims: Value,
    seed: u8,
}

pub(super) fn token() -> Token {
    let issued = at(0.0).wall.as_millis() / 1000 - 10;
    Token {
        header: json!({"alg": "ES256", "kid": "k", "typ": "at+jwt"}),
        claims: json!({
            "iss": "https://as.example.com", "sub": "alice", "client_id": "alice", "jti": "1", "aud": "https://api.example.com",
            "iat": issued, "exp": issued + 300, "scope": "read:orders",
            "cnf": {"x5t#S256": base64url::encode(&ALICE)}
        }),
        seed: 1,
    }
}

impl Token {
    pub(super) fn claim(mut self, name: &str, value: Value) -> Self {
        if value.is_null() {
            self.claims.as_object_mut().unwrap().remove(name);
        } else {
            self.claims[name] = value;
        }
        self
    }

    fn header(mut self, name: &str, value: Value) -> Self {
        self.header[name] = value;
        self
    }

    fn signed_by(mut self, seed: u8) -> Self {
        self.seed = seed;
        self
    }

    fn bound_to(self, certificate: [u8; 32]) -> Self {
        self.claim("cnf", json!({"x5t#S256": base64url::encode(&certificate)}))
    }

    pub(super) fn claims(&self) -> Value {
        self.claims.clone()
    }

    pub(super) fn text(&self) -> String {
        let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
        let input = format!("{}.{}", part(&self.header), part(&self.claims));
        let signature: Signature = signing_key(self.seed).sign(input.as_bytes());
        format!("{input}.{}", base64url::encode(&signature.to_bytes()))
    }
}

/// At its end nothing may be left of its requests in the worker.
struct Scene {
    worker: Worker,
    policy: Rc<Policy>,
    host: FakeHost,
    seconds: f64,
    /// Whether the proxy validates certificates.
    validates: bool,
    /// The SNI of the connection.
    server_name: &'static str,
    /// Where it comes from.
    source: String,
    /// What the mesh tells of it.
    principal: &'static str,
    /// Its version of TLS.
    tls_version: &'static str,
}

impl Scene {
    fn new(config: &Value) -> Self {
        Self::on(FakeHost::default(), config)
    }

    fn on(host: FakeHost, config: &Value) -> Self {
        let policy = policy(config);
        Self {
            worker: Worker::new(FilterId::new(b"filter"), &policy, &host),
            policy,
            host,
            seconds: 0.0,
            validates: true,
            server_name: "",
            source: "192.0.2.1:50000".to_owned(),
            principal: "",
            tls_version: "TLSv1.3",
        }
    }

    fn poll(&mut self, exchange: &mut Exchange, peer: Option<[u8; 32]>) -> Step {
        let mut connection = FakeConnection::default();
        connection.0.insert(ConnectionProperty::SourceAddress, self.source.clone().into_bytes());
        connection.0.insert(ConnectionProperty::RequestedServerName, self.server_name.into());
        connection.0.insert(ConnectionProperty::TlsVersion, self.tls_version.into());
        connection.0.insert(ConnectionProperty::MeshPrincipal, self.principal.into());
        if let Some(digest) = peer {
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            connection.0.insert(ConnectionProperty::PeerDigest, hex.into_bytes());
            connection.0.insert(ConnectionProperty::PeerCertificateValid, vec![u8::from(self.validates)]);
            connection.0.insert(ConnectionProperty::PeerUriSan, b"spiffe://example.org/client/alice".to_vec());
        }
        let now = at(self.seconds);
        exchange.poll(&mut Surroundings { worker: &mut self.worker, host: &self.host, connection: &connection, now })
    }

    fn exchange(&self, request: &Request) -> Exchange {
        let head = request.head.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        Exchange::new(
            ExchangeId(request.id),
            self.policy.clone(),
            HeaderMap::decode(encode(head)).unwrap(),
            request.body,
        )
    }

    /// The next call, which fetches keys.
    fn fetch(&mut self) -> Option<CallId> {
        Some(self.fetch_from()?.0)
    }

    /// The same, and the path.
    fn fetch_from(&mut self) -> Option<(CallId, String)> {
        match self.worker.next_call(at(self.seconds))? {
            Call { id, message: Message::Fetch(fetch) } => Some((id, fetch.path.into())),
            Call { message: Message::RateLimitCall(_), .. } => panic!("an ask"),
        }
    }

    /// The next call, which asks a service; and its message.
    fn ask(&mut self) -> Option<(CallId, Vec<u8>)> {
        match self.worker.next_call(at(self.seconds))? {
            Call { id, message: Message::RateLimitCall(ask) } => Some((id, ask.body)),
            Call { message: Message::Fetch(_), .. } => panic!("a fetch"),
        }
    }

    /// A call ends. Who is to be polled again.
    fn answer(&mut self, call: CallId, answer: Result<Answered, FetchFailed>) -> Vec<ExchangeId> {
        self.worker.answered(call, answer, &self.host, at(self.seconds));
        self.woken()
    }

    fn answer_with_keys(&mut self, call: CallId, keys: &[Value]) -> Vec<ExchangeId> {
        let body = json!({ "keys": keys }).to_string().into_bytes();
        self.answer(call, Ok(Answered::Http(HttpAnswer { status: 200, body, ..HttpAnswer::default() })))
    }

    fn tick(&mut self) -> Vec<ExchangeId> {
        self.worker.tick(&self.host, at(self.seconds));
        self.woken()
    }

    /// All that stand in line.
    fn woken(&mut self) -> Vec<ExchangeId> {
        let now = at(self.seconds);
        let mut woken = Vec::new();
        loop {
            let mut batch = Batch::begin(now.mono);
            let named = woken.len();
            woken.extend(std::iter::from_fn(|| self.worker.next_woken(&mut batch, now)));
            if woken.len() == named {
                return woken;
            }
        }
    }

    fn leave(&mut self, exchange: &mut Exchange) {
        exchange.leave(&mut self.worker, at(self.seconds));
    }

    fn run(&mut self, request: &Request) -> Verdict {
        let mut exchange = self.exchange(request);
        match self.poll(&mut exchange, request.peer) {
            Step::Done(verdict) => verdict,
            Step::Wait => panic!("it waits"),
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let now = at(self.seconds);
        assert_eq!(self.worker.leftovers(), Vec::<String>::new());
        while self.worker.next_call(now).is_some() {}
        for call in self.worker.calls_under_way() {
            self.answer(call, Err(FetchFailed::NoAnswer));
        }
        // Who left in line is passed over.
        self.woken();
        assert_eq!((self.worker.level(Gauge::Calls), self.worker.pace()), (0, Pace::Calm));
    }
}

fn policy(config: &Value) -> Rc<Policy> {
    Rc::new(config::load(config.to_string().as_bytes()).unwrap_or_else(|findings| panic!("{findings}")))
}

#[derive(Clone)]
struct Request {
    id: u32,
    head: Vec<(String, Vec<u8>)>,
    body: bool,
    peer: Option<[u8; 32]>,
}

fn request(method: &str, path: &str) -> Request {
    let head = [(":method", method), (":authority", "api.example.com"), (":path", path)];
    let head = head.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).to_vec();
    Request { id: 1, head, body: false, peer: None }
}

fn get(path: &str) -> Request {
    request("GET", path)
}

impl Request {
    fn with_body(mut self) -> Self {
        self.body = true;
        self
    }

    fn peer(mut self, certificate: [u8; 32]) -> Self {
        self.peer = Some(certificate);
        self
    }

    fn host(mut self, authority: &str) -> Self {
        self.head[1].1 = authority.as_bytes().to_vec();
        self
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    fn token(self, token: &Token) -> Self {
        self.header("authorization", &format!("Bearer {}", token.text()))
    }

    fn number(mut self, id: u32) -> Self {
        self.id = id;
        self
    }

    fn run(&self) -> Verdict {
        Scene::new(&config()).run(self)
    }
}

#[track_caller]
fn forwarded(verdict: Verdict) -> Forward {
    match verdict {
        Verdict::Forward(forward) => forward,
        Verdict::Refuse(refusal) | Verdict::Report(refusal, _) => panic!("refused: {:?}", refusal.reason),
    }
}

#[track_caller]
fn refused(verdict: Verdict) -> Refusal {
    match verdict {
        Verdict::Forward(_) | Verdict::Report(..) => panic!("forwarded"),
        Verdict::Refuse(refusal) => refusal,
    }
}

#[track_caller]
fn reason(request: &Request) -> Reason {
    refused(request.run()).reason
}

fn header(refusal: &Refusal, name: &str) -> Option<String> {
    refusal
        .answer(AnswerForm::Problem, TOLD, at(0.0).wall)
        .headers
        .into_iter()
        .find(|(field, _)| *field == name)
        .map(|(_, value)| value)
}

#[test]
fn the_rightful_holder_of_a_bound_token_passes_and_the_upstream_learns_who_it_is() {
    let forward = forwarded(get("/orders/7").peer(ALICE).token(&token()).header("x-client-id", "mallory").run());
    assert_eq!(forward.upstream().set, [("x-client-id".to_owned(), "alice".to_owned())]);
}

#[test]
fn a_token_bound_to_another_certificate_is_refused() {
    assert_eq!(reason(&get("/orders/7").peer(BOB).token(&token())), Reason::BindingMismatch);
    assert_eq!(reason(&get("/orders/7").token(&token())), Reason::CertificateMissing);
}

#[test]
fn the_binding_is_checked_again_for_a_token_that_was_verified_before() {
    let mut scene = Scene::new(&config());
    forwarded(scene.run(&get("/orders/7").peer(ALICE).token(&token())));
    assert_eq!(refused(scene.run(&get("/orders/7").peer(BOB).token(&token()))).reason, Reason::BindingMismatch);
}

#[test]
fn a_token_verified_before_expires_all_the_same() {
    let mut scene = Scene::new(&config());
    forwarded(scene.run(&get("/orders/7").peer(ALICE).token(&token())));
    scene.seconds = 289.0 + 30.0;
    forwarded(scene.run(&get("/orders/7").peer(ALICE).token(&token())));
    scene.seconds = 290.0 + 30.0;
    assert_eq!(refused(scene.run(&get("/orders/7").peer(ALICE).token(&token()))).reason, Reason::TokenExpired);
}

#[test]
fn an_unbound_token_passes_only_where_the_route_says_so() {
    let bearer = token().claim("cnf", Value::Null);
    assert_eq!(reason(&get("/orders/7").peer(ALICE).token(&bearer)), Reason::TokenUnbound);
    forwarded(get("/plain").token(&bearer.claim("scope", json!("b"))).run());
}

#[test]
fn a_bound_token_is_held_to_its_binding_even_where_bearer_tokens_pass() {
    let bound = token().claim("scope", json!("a"));
    assert_eq!(reason(&get("/plain").peer(BOB).token(&bound)), Reason::BindingMismatch);
    assert_eq!(reason(&get("/plain").token(&bound.claim("cnf", json!({"foo": 1})))), Reason::ConfirmationUnusable);
}

#[test]
fn each_defect_of_a_token_has_its_reason_and_all_look_alike_to_the_caller() {
    let now = at(0.0).wall.as_millis() / 1000;
    let cases = [
        (token().claim("iss", json!("https://as.example.com/")), Reason::IssuerUntrusted),
        (token().header("typ", json!("JWT")), Reason::TypUnacceptable),
        (token().header("alg", json!("RS256")), Reason::AlgorithmNotAllowed),
        (token().header("alg", json!("none")), Reason::AlgorithmNotAllowed),
        (token().header("crit", json!(["exp"])), Reason::TokenMalformed),
        (token().header("jku", json!("https://evil.example")), Reason::TokenMalformed),
        (token().header("kid", json!("other")), Reason::KeyUnknown),
        (token().signed_by(2), Reason::SignatureInvalid),
        (token().claim("sub", Value::Null), Reason::ClaimsMalformed),
        (token().claim("nbf", json!(now + 31)), Reason::TokenNotYetValid),
        (token().claim("iat", json!(now + 31)).claim("exp", json!(now + 60)), Reason::TokenNotYetValid),
        (token().claim("exp", json!(now + 900)), Reason::LifetimeTooLong),
        (token().claim("aud", json!("https://api.example.com/")), Reason::AudienceMismatch),
        (token().claim("aud", json!([])), Reason::ClaimsMalformed),
        (token().bound_to(BOB), Reason::BindingMismatch),
        (token().claim("cnf", json!({})), Reason::ConfirmationUnusable),
    ];
    for (token, expected) in cases {
        let refusal = refused(get("/orders/7").peer(ALICE).token(&token).run());
        assert_eq!(refusal.reason, expected, "{:?} {:?}", token.header, token.claims);
        assert_eq!(
            header(&refusal, "www-authenticate").unwrap(),
            "Bearer realm=\"api\", error=\"invalid_token\", error_description=\"The access token is invalid\", \
             resource_metadata=\"https://api.example.com/.well-known/oauth-protected-resource\""
        );
        assert_eq!(refusal.answer(AnswerForm::Problem, TOLD, at(0.0).wall).status, 401);
    }
}

#[test]
fn several_defects_are_told_in_the_order_of_the_checks() {
    let old = token().claim("exp", json!(1)).claim("iat", json!(1)).claim("scope", json!("other"));
    assert_eq!(reason(&get("/orders/7").peer(BOB).token(&old)), Reason::TokenExpired);
    let stolen = token().claim("scope", json!("other"));
    assert_eq!(reason(&get("/orders/7").peer(BOB).token(&stolen)), Reason::BindingMismatch);
}

#[test]
fn an_expired_token_is_told_as_such_only_when_its_signature_is_right() {
    let expired = token().claim("exp", json!(1)).claim("iat", json!(1));
    let challenge = header(&refused(get("/orders/7").peer(ALICE).token(&expired).run()), "www-authenticate").unwrap();
    assert!(challenge.contains("The access token expired"));
    assert_eq!(reason(&get("/orders/7").peer(ALICE).token(&expired.signed_by(2))), Reason::SignatureInvalid);
}

const METADATA: &str = "resource_metadata=\"https://api.example.com/.well-known/oauth-protected-resource\"";

#[test]
fn challenges_are_those_of_rfc_6750() {
    let challenge = |request: &Request| header(&refused(request.run()), "www-authenticate");
    assert_eq!(challenge(&get("/orders/7")).unwrap(), format!("Bearer realm=\"api\", {METADATA}"));
    assert_eq!(
        challenge(&get("/orders/7").header("authorization", "Bearer a,Bearer b")).unwrap(),
        format!(
            "Bearer realm=\"api\", error=\"invalid_request\", error_description=\"Multiple methods used to include access token\", {METADATA}"
        )
    );
    let without_scope = token().claim("scope", json!("write:orders"));
    assert_eq!(
        challenge(&get("/orders/7").peer(ALICE).token(&without_scope)).unwrap(),
        format!(
            "Bearer realm=\"api\", error=\"insufficient_scope\", scope=\"read:orders\", \
         error_description=\"The request requires higher privileges than provided by the access token\", {METADATA}"
        )
    );
    assert_eq!(challenge(&get("/nowhere")), None);
}

#[test]
fn a_caller_is_told_what_is_wrong_with_its_path_and_its_length() {
    let told = |path: &str| {
        let answer = refused(get(path).run()).answer(AnswerForm::Problem, TOLD, at(0.0).wall);
        let problem: Value = serde_json::from_slice(&answer.body).unwrap();
        (answer.status, problem["detail"].as_str().unwrap().to_owned())
    };
    for (path, fault) in [
        ("/orders/7;a", "it has a semicolon"),
        ("/orders//7", "two slashes follow each other"),
        ("/orders/%2E%2E/7", "a segment is one dot or two"),
        ("/orders/a%2Fb", "a slash, backslash, semicolon or control character is escaped"),
        ("/orders/%252e", "an escaped percent sign begins another escape"),
        (
            "/orders/{7}",
            "a control character, space, quote, brace, angle bracket, backslash, hash or letter outside ASCII is not escaped",
        ),
    ] {
        assert_eq!(told(path), (400, format!("The path is not in canonical form: {fault}")), "{path}");
    }
    for path in [format!("/{}", "a".repeat(8_192)), format!("/a?{}", "b".repeat(8_193)), "/a".repeat(65)] {
        assert_eq!(told(&path), (414, "The path or the query is too long".to_owned()));
    }
}

#[test]
fn what_no_host_route_or_method_matches_is_refused() {
    assert_eq!(reason(&get("/nowhere")), Reason::RouteUnknown);
    let refusal = refused(request("DELETE", "/orders/7").run());
    assert_eq!((refusal.reason, header(&refusal, "allow").unwrap().as_str()), (Reason::MethodNotAllowed, "GET, HEAD"));
    let mut other_host = get("/healthz");
    other_host.head[1].1 = b"other.example.com".to_vec();
    assert_eq!(reason(&other_host), Reason::HostUnknown);
    assert_eq!(reason(&request("CONNECT", "/healthz")), Reason::MethodRefused);
    assert_eq!(reason(&get("/orders/%2e%2e/healthz")), Reason::PathAmbiguous);
}

#[test]
fn a_peer_route_needs_a_validated_certificate_on_its_list() {
    forwarded(get("/mesh").peer(ALICE).run());
    assert_eq!(reason(&get("/mesh")), Reason::PeerMissing);
}

#[test]
fn a_preflight_passes_only_where_the_route_allows_it() {
    let ask = |path: &str, method: &str| {
        request("OPTIONS", path).header("origin", "https://app.example").header("access-control-request-method", method)
    };
    forwarded(ask("/cors", "PUT").run());
    assert_eq!(reason(&ask("/cors", "GET")), Reason::MethodNotAllowed);
    assert_eq!(reason(&ask("/orders/7", "GET")), Reason::MethodNotAllowed);
}

#[test]
fn headers_that_pretend_an_identity_or_another_method_never_pass() {
    let pretending = get("/healthz")
        .header("client-cert", ":AA==:")
        .header("x-http-method-override", "DELETE")
        .header("x_client_id", "mallory")
        .header("x-client-id", "mallory");
    let mut removed = forwarded(pretending.run()).upstream().remove.clone();
    removed.sort();
    assert_eq!(removed, ["client-cert", "x-client-id", "x-http-method-override", "x_client_id"]);
}

#[test]
fn a_resource_that_only_reports_refuses_nothing_and_vouches_for_nobody() {
    let mut config = config();
    config["resources"][0]["mode"] = json!("report");
    let mut scene = Scene::new(&config);
    let stolen = get("/orders/7").peer(BOB).token(&token()).header("x-client-id", "mallory");
    for (request, reason) in
        [(stolen, Reason::BindingMismatch), (get("/nowhere").header("x-client-id", "x"), Reason::RouteUnknown)]
    {
        let mut exchange = scene.exchange(&request);
        let Step::Done(verdict) = scene.poll(&mut exchange, request.peer) else { panic!() };
        let record = crate::observe::audit_record(exchange.facts(), (&verdict).into());
        assert!(record.contains(r#""decision":"reported""#) && record.contains(reason.slug()), "{record}");
        let Verdict::Report(_, upstream) = verdict else { panic!("{verdict:?}") };
        assert_eq!((upstream.set.len(), &upstream.remove[..]), (0, &["x-client-id".to_owned()][..]));
    }
    forwarded(scene.run(&get("/orders/7").peer(ALICE).token(&token())));
    assert_eq!(refused(scene.run(&request("CONNECT", "/healthz"))).reason, Reason::MethodRefused);
}
