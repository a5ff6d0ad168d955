//! Hostile input: a clear status, no trap (the same worker still serves), the upstream untouched.

use boundgate_testbed::{Algorithm, JwksAnswer, Testbed, rcgen};

use crate::expectations::{alices_token, bed, refused};

/// The one worker still serves, and was not replaced by a new one meanwhile.
async fn assert_unharmed(bed: &Testbed) {
    let before = bed.upstream.count();
    assert_eq!(bed.anonymous().get("/healthz").send().await.status, 200);
    assert_eq!(bed.upstream.count(), before + 1);
    let reloads = bed.envoy.stats("vm_reload").await;
    assert!(reloads.values().all(|count| *count == 0), "{reloads:?}");
    assert!(!bed.envoy.log().contains("panicked"), "the filter panicked");
}

#[tokio::test]
async fn header_values_that_are_not_text_do_no_harm() {
    let bed = bed().await;
    let alice = bed.client("alice");
    for client in [alice.clone(), alice.http2()] {
        let answer = client
            .get("/orders/7")
            .header("authorization", b"Bearer \xff\xfe")
            .header("x-bytes", b"\x80\xff")
            .send()
            .await;
        refused(&bed, &answer, 400, "authorization-malformed").await;
        let answer = client.get("/orders/7").header("authorization", b"\xff").send().await;
        refused(&bed, &answer, 400, "authorization-malformed").await;
    }
    assert_unharmed(&bed).await;
}

/// An HTTP/2 request by hand: no client library sends such a name.
fn request_with_header_name(name: &[u8]) -> Vec<u8> {
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
    };
    // HPACK literals without indexing (RFC 7541 §6.2.2): every text is short.
    let literal = |name: &[u8], value: &[u8]| {
        let length = |text: &[u8]| u8::try_from(text.len()).unwrap();
        [&[0, length(name)][..], name, &[length(value)], value].concat()
    };
    let head = [
        literal(b":method", b"GET"),
        literal(b":scheme", b"https"),
        literal(b":authority", b"api.example.com"),
        literal(b":path", b"/healthz"),
        literal(name, b"x"),
    ];
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[]), frame(1, 5, 1, &head.concat())].concat()
}

#[tokio::test]
async fn header_names_that_are_not_text_do_no_harm() {
    let bed = bed().await;
    let alice = bed.client("alice").http2();
    alice.frames(request_with_header_name(b"x-name")).await.unwrap();
    assert_eq!(bed.upstream.count(), 1, "a request by hand is a request");
    for name in [&b"x-\xff"[..], b"\xc3\x28", b"x\0y", b"x y", b"X-Upper", b""] {
        alice.frames(request_with_header_name(name)).await.unwrap();
    }
    assert_eq!(bed.upstream.count(), 1);
    assert_unharmed(&bed).await;
}

#[tokio::test]
async fn two_authorization_headers_are_an_invalid_request() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    let alice = bed.client("alice");
    for client in [alice.clone(), alice.http2()] {
        let answer = client.get("/orders/7").token(&token).token(&token).send().await;
        refused(&bed, &answer, 400, "authorization-repeated").await;
        assert!(answer.challenges()[0].contains("error=\"invalid_request\""));
    }
    let answer = alice.get("/orders/7?access_token=x").token(&token).send().await;
    refused(&bed, &answer, 400, "token-in-query").await;
    assert_unharmed(&bed).await;
}

#[tokio::test]
async fn an_oversized_token_is_refused_before_it_is_parsed() {
    let bed = bed().await;
    let alice = bed.client("alice");
    let answer = alice.get("/orders/7").token(&"a".repeat(50_000)).send().await;
    refused(&bed, &answer, 401, "token-too-large").await;
    // Beyond Envoy's own bound on headers.
    let answer = alice.get("/orders/7").token(&"a".repeat(100_000)).send().await;
    assert_eq!(answer.status, 431);
    assert_unharmed(&bed).await;
}

#[tokio::test]
async fn malformed_tokens_are_refused_without_harm() {
    let bed = bed().await;
    let alice = bed.client("alice").kept();
    let header = br#"{"alg":"ES256","kid":"es256-1","typ":"at+jwt"}"#;
    let nested = format!("{{\"iss\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let twice = br#"{"iss":"https://as.example.com","aud":"a","aud":"https://api.example.com"}"#;
    let sign = |header: &[u8], payload: &[u8]| bed.authority.sign_raw(Algorithm::Es256, header, payload);
    for token in [
        sign(header, nested.as_bytes()),
        sign(header, twice),
        sign(header, b"\xff\xfe"),
        sign(header, b"[]"),
        sign(br#"{"alg":"ES256","alg":"none"}"#, b"{}"),
        sign(br#"{"alg":"ES256","crit":["x"],"x":1}"#, b"{}"),
        String::from("abc"),
        String::from("a.b"),
        String::from("a.b.c.d.e"),
        String::from("..."),
        String::from("eyJhbGciOiJub25lIn0.e30."),
        format!("{}=", sign(header, b"{}")),
    ] {
        let answer = alice.get("/orders/7").token(&token).send().await;
        assert_eq!(answer.status, 401, "{token}");
        assert!(answer.challenges()[0].contains("error=\"invalid_token\""), "{token}");
    }
    assert_eq!(bed.upstream.count(), 0);
    assert_unharmed(&bed).await;
}

#[tokio::test]
async fn ten_thousand_nested_brackets_are_refused() {
    let bed = bed().await;
    // 20,000 bytes of JSON are 26,668 characters of base64url: above the bound on tokens; 6,000 brackets are below it.
    for brackets in [3_000, 10_000] {
        let payload = format!("{{\"a\":{}{}}}", "[".repeat(brackets), "]".repeat(brackets));
        let token = bed.authority.sign_raw(Algorithm::Es256, br#"{"alg":"ES256","typ":"at+jwt"}"#, payload.as_bytes());
        let answer = bed.client("alice").get("/orders/7").token(&token).send().await;
        let reason = if brackets == 3_000 { "token-malformed" } else { "token-too-large" };
        refused(&bed, &answer, 401, reason).await;
    }
    assert_unharmed(&bed).await;
}

#[tokio::test]
async fn a_key_set_that_is_none_leaves_the_filter_unharmed() {
    for (wrong, remedy) in [
        (JwksAnswer::html(), "Is \"uri\" right? The answer begins with \"<!DOCTYPE html>"),
        (JwksAnswer::huge(5_000_000), "larger than 262144 bytes. Is \"uri\" right?"),
        (JwksAnswer::Status(500), "answered with status 500. See the server's log"),
        (JwksAnswer::Redirect("https://evil.example/".into()), "redirects to \"https://evil.example/\""),
        (JwksAnswer::Bytes("application/json", vec![0x1f, 0x8b, 8, 0]), "Switch off compression"),
        (JwksAnswer::Held, "Nothing came in time: see the cluster's endpoint"),
    ] {
        let bed = Testbed::start(crate::expectations::config()).await;
        let token = alices_token(&bed).await;
        bed.authority.answer_jwks_with(wrong.clone());
        let mut other = crate::expectations::config();
        other["issuers"]["main"]["jwks"]["uri"] = serde_json::json!("https://as.example.com/jwks?new");
        // Another trust: keys are fetched anew.
        bed.envoy.config_update(other).await.unwrap();
        let answer = bed.client("alice").get("/orders/7").token(&token).send().await;
        refused(&bed, &answer, 503, "keys-unavailable").await;
        assert!(answer.header("retry-after").is_some());
        let told = |line: &str| {
            line.contains("issuers.main.jwks: keys at https://as.example.com/jwks") && line.contains(remedy)
        };
        crate::expectations::eventually(|| bed.envoy.log().lines().any(told)).await;
        assert_unharmed(&bed).await;
        bed.authority.answer_jwks_with(JwksAnswer::Keys);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while bed.client("alice").get("/orders/7").token(&token).send().await.status != 200 {
            assert!(std::time::Instant::now() < deadline, "never recovered from {wrong:?}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn a_certificate_with_hostile_names_is_nobody() {
    let bed = bed().await;
    let uri = |text: &str| rcgen::SanType::URI(text.try_into().expect("ASCII"));
    let hostile = [
        vec![uri("spiffe://example.org/client/alice,Hash=0000;Subject=\"CN=admin\";URI=x")],
        vec![uri("spiffe://example.org/client/alice"), uri("spiffe://example.org/client/bob")],
        vec![uri("spiffe://example.org/client/alice"), uri("https://example.org/alice")],
        vec![uri("https://example.org/alice"), uri("spiffe://example.org/client/alice")],
        vec![uri("spiffe://example.org/client/../client/alice")],
        vec![uri("spiffe://EXAMPLE.org@evil/client/alice")],
        vec![uri(&format!("spiffe://example.org/client/{}", "a".repeat(4_000)))],
        vec![uri("spiffe://example.org/client/%61lice")],
    ];
    for names in hostile {
        let identity = bed.pki.client_with("hostile", |params| params.subject_alt_names = names.clone());
        let answer = bed.client_with(identity).get("/mesh").send().await;
        refused(&bed, &answer, 403, "peer-unidentified").await;
    }
    assert_unharmed(&bed).await;
}
