//! Everything together: PKI, authorization server, upstream and Envoy. In: a configuration of the filter. Out: clients
//! that call through the proxy, and tokens issued to them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::answer::Answer;
use crate::authorization_server::AuthorizationServer;
use crate::client::Client;
use crate::envoy::{Envoy, StartError};
use crate::envoy_config::{EnvoyConfig, Surroundings};
use crate::pki::{Identity, Pki};
use crate::signing::Algorithm;
use crate::upstream::Upstream;

/// The host that clients ask for.
pub const AUTHORITY: &str = "api.example.com";

/// The resource that tokens are for, unless a test wants another (RFC 8707).
pub const RESOURCE: &str = "https://api.example.com";

/// A running proxy with its surroundings. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Testbed {
    /// Who signed the certificates.
    pub pki: Arc<Pki>,
    /// Who issues tokens.
    pub authority: AuthorizationServer,
    /// Who is protected.
    pub upstream: Upstream,
    /// The proxy with the filter.
    pub envoy: Envoy,
}

impl Testbed {
    /// Starts everything; panics with Envoy's log if that fails.
    pub async fn start(config: impl Into<EnvoyConfig>) -> Self {
        Self::try_start(config).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts everything, with a configuration that needs the authorization server's keys.
    pub async fn start_with(config: impl FnOnce(&AuthorizationServer) -> EnvoyConfig) -> Self {
        let authority = AuthorizationServer::start(&Pki::shared()).await;
        let config = config(&authority);
        Self::beside(authority, config).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts everything, unless Envoy refuses.
    pub async fn try_start(config: impl Into<EnvoyConfig>) -> Result<Self, StartError> {
        Self::beside(AuthorizationServer::start(&Pki::shared()).await, config.into()).await
    }

    async fn beside(authority: AuthorizationServer, config: EnvoyConfig) -> Result<Self, StartError> {
        let pki = Pki::shared();
        let upstream =
            if config.upstream_has_tls() { Upstream::start_with_tls(&pki).await } else { Upstream::start().await };
        let surroundings = Surroundings { authorization_server: authority.address(), upstream: upstream.address() };
        let envoy = Envoy::start(config, &pki, surroundings).await?;
        Ok(Self { pki, authority, upstream, envoy })
    }

    /// The client of this name, with its own certificate, over HTTP/1.1.
    pub fn client(&self, name: &str) -> Client {
        self.client_as(Some(self.pki.client(name)))
    }

    /// A client with this certificate.
    pub fn client_with(&self, identity: Identity) -> Client {
        self.client_as(Some(Arc::new(identity)))
    }

    /// A client without a certificate.
    pub fn anonymous(&self) -> Client {
        self.client_as(None)
    }

    /// A client of the listener without TLS
    /// ([`with_plaintext_listener`](EnvoyConfig::with_plaintext_listener)).
    pub fn plaintext(&self) -> Client {
        Client::plain(self.envoy.address("plaintext"), AUTHORITY)
    }

    /// Waits until a request of this client with this token passes, at most two minutes: on a machine that has just
    /// started, everything is slow the first time.
    pub async fn passes(&self, client: &Client, path: &str, token: &str) {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let answer = client.get(path).token(token).send().await;
            if answer.status == 200 {
                return;
            }
            assert!(Instant::now() < deadline, "not within two minutes: {} {}", answer.status, answer.text());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A token for this client, from the token endpoint and over the client's own mTLS connection.
    pub fn token<'b>(&'b self, client: &'b Client) -> TokenRequest<'b> {
        TokenRequest { bed: self, client, client_id: None, resource: RESOURCE, parameters: Vec::new() }
    }

    fn client_as(&self, identity: Option<Arc<Identity>>) -> Client {
        Client::tls(self.envoy.address("boundgate"), AUTHORITY, &self.pki, identity)
    }
}

/// A request to the token endpoint (RFC 6749 §4.4.2).
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `issue`"]
pub struct TokenRequest<'b> {
    bed: &'b Testbed,
    client: &'b Client,
    client_id: Option<String>,
    resource: &'b str,
    parameters: Vec<(&'static str, String)>,
}

impl<'b> TokenRequest<'b> {
    /// Asks for these scopes, space-delimited.
    pub fn scope(self, scope: &str) -> Self {
        self.parameter("scope", scope)
    }

    /// Asks for another resource than the usual one (RFC 8707).
    pub fn resource(self, resource: &'b str) -> Self {
        Self { resource, ..self }
    }

    /// Asks for this lifetime in seconds; a negative one makes an expired token.
    pub fn lifetime(self, seconds: i64) -> Self {
        self.parameter("lifetime", &seconds.to_string())
    }

    /// Asks for this signature algorithm.
    pub fn algorithm(self, algorithm: Algorithm) -> Self {
        self.parameter("alg", algorithm.name())
    }

    /// Claims to be this client, instead of the one the certificate names.
    pub fn client_id(self, client_id: &str) -> Self {
        Self { client_id: Some(client_id.to_owned()), ..self }
    }

    /// The token; panics if none is issued.
    pub async fn issue(self) -> String {
        let answer = self.send().await;
        match answer.json()["access_token"].as_str() {
            Some(token) => token.to_owned(),
            None => panic!("no token: {} {}", answer.status, answer.text()),
        }
    }

    /// The token endpoint's answer.
    pub async fn send(self) -> Answer {
        let named = self.client.identity().map(|identity| identity.name().to_owned());
        let client_id = self.client_id.or(named).unwrap_or_default();
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("grant_type", "client_credentials"), ("client_id", &client_id)])
            .append_pair("resource", self.resource)
            .extend_pairs(self.parameters)
            .finish();
        let endpoint = self.client.at(self.bed.authority.address(), "as.example.com");
        endpoint.post("/token").header("content-type", "application/x-www-form-urlencoded").body(form).send().await
    }

    fn parameter(mut self, name: &'static str, value: &str) -> Self {
        self.parameters.push((name, value.to_owned()));
        self
    }
}
