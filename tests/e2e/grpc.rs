//! Refusals of gRPC calls: trailers-only, an explicit status, the challenge kept as a header.

use crate::expectations::{alices_token, bed, refused};

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
    for kind in ["application/grpc-web", "application/grpc; a=b", "application/grpcfoo"] {
        let answer = call.post("/orders.Orders/Get").header("content-type", kind).body([0; 5]).send().await;
        refused(&bed, &answer, 401, "token-missing").await;
        assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"), "{kind}");
    }
    let answer =
        call.post("/orders.Orders/Get").header("content-type", "application/grpc+proto").body([0; 5]).send().await;
    assert_eq!((answer.status, answer.grpc_status()), (200, Some(16)));
    assert_eq!(bed.upstream.count(), 0);
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
