//! Authorization servers that are not ours, as they come, in front of the filter in real Envoy. Each test starts a server,
//! or says in one line what this machine lacks for it.

mod apps;
mod dpop_clients;
mod keycloak;
mod node_signer;
mod oidc_provider;

/// Says it also where the test passes, and nobody asked to see what it prints.
fn tell(line: &str) {
    use std::io::Write;
    // A closed stderr is the reader's decision.
    let _ = writeln!(std::io::stderr(), "{line}");
}
