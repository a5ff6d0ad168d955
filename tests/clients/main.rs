//! Clients that are not ours, as they come, against the filter in real Envoy: each does what its users do, and must learn what it
//! is told. What a client cannot be told stands in the first table of `docs/clients.md`, with the cure; nothing else may
//! fail, and nothing that stands there may pass.
//!
//! Who the clients are: `clients`. How a language is made ready: `languages`. What they call: `service`. What is right:
//! `cells`. What is documented: `exceptions`.

mod browser;
mod cells;
mod clients;
mod curl;
mod exceptions;
mod languages;
mod matrix;
mod service;
mod websocket;

use clients::Language;

#[tokio::test(flavor = "multi_thread")]
async fn command_lines_and_python_learn_what_they_are_told() {
    matrix::holds(&[Language::CommandLine, Language::Python]).await;
}

/// Compilers and packages of five languages: minutes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "make conformance"]
async fn every_client_learns_what_it_is_told() {
    matrix::holds(&Language::ALL).await;
}
