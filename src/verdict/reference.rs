//! docs/refusals.md is this table in words. The test writes it anew with `BLESS=1 cargo test refusals` and fails while
//! it differs.

use std::fmt::Write;

use crate::reason::{ChallengeKind, Fault, Reason};

const HEAD: &str = "# Refusals

Generated from the table in `src/reason.rs`; a test compares them. The **reason** is for operators: it stands in
`%RESPONSE_CODE_DETAILS%` as `boundgate:<reason>`, in the audit record, and in the counter
`wasmcustom.boundgate.requests.decision.refused.reason.<reason>`. Callers get status, challenge and text
only, and these are the same for everything that would help to forge a token; and `request_id` in the problem document, by which you find the
record. How to read that, and what to do: [operations.md](operations.md#explain-a-refusal).

A bare `403 RBAC: access denied`, with the details `rbac_access_denied_…`, is none of these. It is the interlock's:
[what it means](operations.md#from-rbac-access-denied-to-the-cause).

| reason | HTTP | gRPC | `error` in the challenge | text to the caller | fault | meaning |
|---|---|---|---|---|---|---|
";

fn reference() -> String {
    let mut text = String::from(HEAD);
    for reason in Reason::ALL {
        let row = reason.row();
        let challenge = match row.challenge {
            ChallengeKind::None => "–",
            ChallengeKind::Bare => "(bare challenge)",
            ChallengeKind::InvalidRequest => "invalid_request",
            ChallengeKind::InvalidToken => "invalid_token",
            ChallengeKind::InsufficientScope => "insufficient_scope",
            ChallengeKind::InsufficientAuthentication => "insufficient_user_authentication",
            ChallengeKind::InvalidProof => "invalid_dpop_proof",
            ChallengeKind::UseNonce => "use_dpop_nonce",
            ChallengeKind::ApiKey => "(scheme `ApiKey`)",
        };
        let fault = match row.fault {
            Fault::Caller => "caller",
            Fault::Dependency => "dependency",
            Fault::Proxy => "proxy",
        };
        let (slug, meaning) = (reason.slug(), reason.meaning().trim());
        writeln!(
            text,
            "| `{slug}` | {} | {} | {challenge} | {} | {fault} | {meaning} |",
            row.status, row.grpc, row.text
        )
        .unwrap();
    }
    text
}

#[test]
fn the_reference_of_refusals_in_the_docs_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/refusals.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, reference()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == reference(), "docs/refusals.md is out of date: run `BLESS=1 cargo test refusals`");
}
