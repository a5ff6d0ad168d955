//! How an authorization server is asked about a token (RFC 7662): where, as which client, about which tokens, and how long its
//! answer counts. Plain data. Not here: reading it (`config`), what an answer means (`token::introspection`), when it is asked
//! (`worker`).

use std::time::Duration;

use crate::policy::Endpoint;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introspection {
    /// Where it is asked.
    pub endpoint: Endpoint,
    /// Who asks. `None`: the server knows it by the connection alone.
    pub client: Option<AskingClient>,
    /// What it is asked about.
    pub tokens: AskedTokens,
    /// Whether its answers must be signed (RFC 9701).
    pub signed: bool,
    /// How long an answer counts that a token is good, from when it was asked for.
    pub ttl: Duration,
    /// How long an answer counts that it is not.
    pub negative_ttl: Duration,
    /// The longest that a question takes.
    pub timeout: Duration,
}

/// The client that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskingClient {
    /// Its `client_id`.
    pub id: Box<str>,
    /// What it shows. `None`: the certificate of the cluster's connection, and it only says its name (RFC 8705 §2).
    pub secret: Option<ClientSecret>,
}

/// A secret that never stands in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSecret {
    /// The variable in the environment of the VM that holds it.
    pub variable: Box<str>,
    /// How it is shown.
    pub auth: ClientAuth,
}

/// How a client shows its secret (RFC 6749 §2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// HTTP Basic, with name and secret form-encoded first.
    Basic,
    /// HTTP Basic with both as they are, for servers that do not decode them.
    BasicRaw,
    /// In the body.
    Body,
}

/// Which tokens a server is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedTokens {
    /// Those that are no JWT.
    Opaque,
    /// Also JWTs that say they are this issuer's: the answer counts, not their signature.
    All,
}

#[cfg(test)]
impl Introspection {
    /// Asks the server of [`JwksSource::example`](crate::policy::JwksSource::example) about opaque tokens.
    pub(crate) fn example() -> Self {
        Self {
            endpoint: Endpoint::example("/introspect"),
            client: None,
            tokens: AskedTokens::Opaque,
            signed: false,
            ttl: Duration::from_secs(30),
            negative_ttl: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
        }
    }
}
