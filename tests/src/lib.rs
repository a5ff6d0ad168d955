//! Real Envoy, real mTLS and a small authorization server, in one process: what tests, demo and benchmark share.
//!
//! ```text
//! client ──mTLS──▶ envoy (the filter) ──▶ upstream   echoes and records
//!    └────mTLS──▶ authorization server ◀── envoy     issues tokens, serves keys
//! ```
//! Start at [`Testbed`]. It panics rather than returning errors, except where a failure is something to test.

mod answer;
mod app;
mod authorization_server;
mod bed;
mod claims;
mod client;
mod dpop_client;
mod envoy;
mod envoy_config;
mod gate;
mod http1;
mod introspection;
mod key_exchange;
mod keycloak;
mod node_signer;
mod npm;
mod oidc_provider;
mod pki;
mod questions;
mod server;
mod signing;
mod status_lists;
mod steps;
mod upstream;
mod websocket;
mod wire;

pub use answer::Answer;
pub use app::App;
pub use authorization_server::{AuthorizationServer, ISSUER, JwksAnswer};
pub use bed::{AUTHORITY, RESOURCE, Testbed, TokenRequest};
pub use claims::Claims;
pub use client::{Client, Request};
pub use dpop_client::{Called, DpopClient, Errand};
pub use envoy::{Envoy, StartError, Update};
pub use envoy_config::{ClientCertificates, EnvoyConfig, PluginConfig, Surroundings};
pub use gate::{Fault, Gate};
pub use introspection::Asked;
pub use key_exchange::KeyExchange;
pub use keycloak::Keycloak;
pub use node_signer::NodeSigner;
pub use oidc_provider::OidcProvider;
pub use pki::{Identity, Pki};
pub use questions::{Expected, Over, Question};
pub use rcgen;
pub use server::Timeout;
pub use signing::{Algorithm, SigningKeys};
pub use status_lists::StatusLists;
pub use steps::Steps;
pub use upstream::{Received, Upstream};
pub use websocket::Socket;
