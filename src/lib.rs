//! Boundgate: certificate-bound OAuth tokens, scopes and rate limits per verified identity, inside Envoy.
//!
//! Three layers, knowledge in one direction. The **core** (most modules) knows HTTP, JOSE, OAuth and limits and is
//! given time as an argument. The **host seam** ([`host`], [`time`]) is what the core asks of the proxy. The
//! **filter** (`filter`, wasm only in practice) answers with Envoy's host calls. Start reading at [`exchange`].

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails"))]

/// The version, as operators see it in the log, in a gauge, in audit records, and servers of keys in `user-agent`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub mod authz;
pub mod binding;
pub mod config;
pub mod exchange;
#[cfg(test)]
mod fake;
#[cfg(target_arch = "wasm32")]
pub mod filter;
pub mod host;
pub mod http;
pub mod jose;
pub mod json;
pub mod limit;
pub mod observe;
pub mod peer;
pub mod policy;
pub mod reason;
pub mod revocation;
pub mod shared;
pub mod spiffe;
#[cfg(test)]
mod standards;
pub mod time;
pub mod token;
pub mod verdict;
pub mod worker;
