//! Refusals of gRPC calls: trailers-only, an explicit status, the challenge kept as a header.

use boundgate_testbed::{Answer, Testbed};
use serde_json::json;

use crate::expectations::{alices_token, bed, refused, with};

#[tokio::test]
async fn a_grpc_call_without_a_token_is_unauthenticated() {
    let bed = bed().await;
    let answer = bed.client("alice").http2().grpc("/orders.Orders/Get").send().await;
    assert_eq!((answer.status, answer.grpc_status()), (200, Some(16)));
    assert_eq!(answer.grpc_message().as_deref(), Some("An access token is required"));
    assert_eq!(answer.challenges(), [r#"Bearer realm="api""#]);
    assert_eq!(bed.envoy.details(&answer).await, "boundgate:token-missing");
    assert_eq!(bed.upstream.count(), 0);
}

#[tokio::test]
async fn what_the_proxy_does_not_take_for_grpc_is_refused_with_a_problem_document() {
    let bed = bed().await;
    let call = bed.client("alice").http2();
    for kind in ["application/grpc; a=b", "application/grpcfoo"] {
        let answer = call.post("/orders.Orders/Get").header("content-type", kind).body([0; 5]).send().await;
        refused(&bed, &answer, 401, "token-missing").await;
        assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"), "{kind}");
    }
    let answer =
        call.post("/orders.Orders/Get").header("content-type", "application/grpc+proto").body([0; 5]).send().await;
    assert_eq!((answer.status, answer.grpc_status()), (200, Some(16)));
    assert_eq!(bed.upstream.count(), 0);
}

/// Where the proxy's own translator of gRPC-Web stands.
#[derive(Clone, Copy, Debug)]
enum Translator {
    None,
    Before,
    Behind,
}

/// A trailer of a gRPC-Web answer: in its only frame, or among the headers where it has no body.
fn web(answer: &Answer, name: &str) -> String {
    let Some((head, trailers)) = answer.body.split_first_chunk::<5>() else {
        return answer.header(name).unwrap_or_default();
    };
    assert_eq!((head[0], u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize), (0x80, trailers.len()));
    let lines = str::from_utf8(trailers).unwrap().lines();
    lines.filter_map(|line| line.split_once(':')).find(|(field, _)| *field == name).unwrap_or_default().1.to_owned()
}

/// Without one and behind this filter, the call comes as gRPC-Web; behind one it comes as gRPC, but the proxy does not know.
#[tokio::test]
async fn a_grpc_web_call_is_refused_like_a_native_one_wherever_it_is_translated() {
    for translator in [Translator::None, Translator::Before, Translator::Behind] {
        let config = with(|config| config["limits"]["per-client"] = json!({"key": ["ip"], "rate": "1/h", "burst": 1}));
        let bed = Testbed::start(config.edit(move |envoy| {
            let manager =
                &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
            let filters = manager["http_filters"].as_array_mut().unwrap();
            let web = json!({"name": "web", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.grpc_web.v3.GrpcWeb"}});
            match translator {
                Translator::None => {}
                Translator::Before => filters.insert(0, web),
                Translator::Behind => filters.insert(1, web),
            }
        }))
        .await;
        let token = alices_token(&bed).await;
        let alice = bed.client("alice");
        let call = |kind: &str| alice.post("/orders.Orders/Get").header("content-type", kind).body([0; 5]);
        for kind in ["application/grpc-web", "application/grpc-web+proto"] {
            let answer = call(kind).send().await;
            assert_eq!(
                answer.header("content-type").as_deref(),
                Some("application/grpc-web+proto"),
                "{translator:?} {kind}"
            );
            let expected = (200, "16".to_owned(), "An access token is required".to_owned());
            assert_eq!((answer.status, web(&answer, "grpc-status"), web(&answer, "grpc-message")), expected);
            assert_eq!(answer.challenges().len(), 1);
            assert_eq!(bed.envoy.details(&answer).await, "boundgate:token-missing");
        }
        assert_eq!(bed.upstream.count(), 0);
        call("application/grpc-web").token(&token).send().await;
        let answer = call("application/grpc-web").token(&token).send().await;
        assert_eq!(
            (answer.status, web(&answer, "grpc-status")),
            (200, "8".to_owned()),
            "{translator:?}: over the limit"
        );
        assert!(web(&answer, "grpc-retry-pushback-ms").parse::<u64>().is_ok_and(|wait| wait > 0));
        assert_eq!(bed.upstream.count(), 1);
    }
}

/// gRFC A6: a client with a retry policy waits as long as it is told, and no shorter.
#[tokio::test]
async fn a_grpc_client_at_its_limit_is_told_when_to_try_again() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    let call = bed.client("alice").http2();
    let over = loop {
        let answer = call.grpc("/orders.Orders/Get").token(&token).send().await;
        if answer.grpc_status() == Some(8) {
            break answer;
        }
    };
    let number = |name: &str| over.header(name).unwrap().parse::<u64>().unwrap();
    let (wait, seconds) = (number("grpc-retry-pushback-ms"), number("retry-after"));
    assert!((1..=seconds * 1_000).contains(&wait), "{wait} ms, {seconds} s");
    let unauthorised = call.grpc("/orders.Orders/Get").send().await;
    assert_eq!(unauthorised.header("grpc-retry-pushback-ms"), None, "no time makes it right");
}

#[tokio::test]
async fn every_refusal_has_the_grpc_status_of_its_row() {
    let bed = bed().await;
    let token = alices_token(&bed).await;
    let weak = bed.token(&bed.client("alice")).scope("other").issue().await;
    let call = bed.client("alice").http2();
    assert_eq!(call.grpc("/orders.Orders/Get").token(&weak).send().await.grpc_status(), Some(7));
    assert_eq!(call.grpc("/orders.Orders/Delete").token(&token).send().await.grpc_status(), Some(12));
    assert_eq!(call.grpc("/orders.Orders//Get").token(&token).send().await.grpc_status(), Some(3));
    assert_eq!(bed.upstream.count(), 0);
    let mut last = None;
    for _ in 0..10 {
        last = call.grpc("/orders.Orders/Get").token(&token).send().await.grpc_status();
    }
    assert_eq!(last, Some(8), "over the limit");
    assert!(bed.upstream.count() < 10);
}
