//! The questions of the tour: who asks for what, with which token, and what must come of it. In: the test bed, for tokens.
//! Out: a list, for the tour itself and for the test that the companion explains each as the proxy decides it.

use crate::bed::{Testbed, TokenRequest};
use crate::client::{Client, Request};
use crate::key_exchange::KeyExchange;
use crate::signing::Algorithm;

/// One request and its answer.
#[derive(Debug)]
pub struct Question {
    /// What it shows.
    pub shows: &'static str,
    /// Whose certificate the connection has, if any.
    pub caller: Option<&'static str>,
    /// How it travels.
    pub over: Over,
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: &'static str,
    /// The access token, if one is sent.
    pub token: Option<String>,
    /// What must come of it.
    pub expected: Expected,
}

/// How a request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// HTTP/1.1, with keys that were agreed by a hybrid of classical and post-quantum exchange.
    Hybrid,
}

/// What a request must come to.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The status.
    pub status: u16,
    /// Response code details: `boundgate:<reason>` for a refusal.
    pub details: &'static str,
    /// Part of the first challenge, or empty for none.
    pub challenge: &'static str,
}

impl Expected {
    /// It reaches the upstream.
    pub const ADMITTED: Self = Self { status: 200, details: "via_upstream", challenge: "" };

    /// It does not.
    pub const fn refused(status: u16, details: &'static str, challenge: &'static str) -> Self {
        Self { status, details, challenge }
    }

    /// The reason, where it is refused.
    pub fn reason(&self) -> Option<&'static str> {
        self.details.strip_prefix("boundgate:")
    }
}

impl Question {
    /// The client that asks it.
    pub fn client(&self, bed: &Testbed) -> Client {
        let client = self.caller.map_or_else(|| bed.anonymous(), |name| bed.client(name));
        match self.over {
            Over::Http1 => client,
            Over::Http2 => client.http2(),
            Over::Hybrid => client.key_exchange(&[KeyExchange::X25519MlKem768]),
        }
    }

    /// The request.
    pub fn request<'c>(&self, client: &'c Client) -> Request<'c> {
        let request = client.request(self.method, self.path);
        match &self.token {
            Some(token) => request.token(token),
            None => request,
        }
    }
}

impl Testbed {
    /// All of them, in the order of the tour. The filter must have the configuration of `envoy/post-quantum.yaml`.
    pub async fn questions(&self) -> Vec<Question> {
        const ADMITTED: Expected = Expected::ADMITTED;
        const ORDER: (&str, &str) = ("GET", "/orders/7");
        let alice = self.client("alice");
        let of_alice =
            |edit: fn(TokenRequest<'_>) -> TokenRequest<'_>| edit(self.token(&alice).scope("read:orders")).issue();
        let good = of_alice(|token| token).await;
        let signed = of_alice(|token| token.algorithm(Algorithm::MlDsa65)).await;
        let expired = of_alice(|token| token.lifetime(-120)).await;
        let elsewhere = of_alice(|token| token.resource("https://other.example.com")).await;

        let question = |shows, caller, (method, path), token: Option<&str>, expected| {
            let token = token.map(str::to_owned);
            Question { shows, caller, over: Over::Http1, method, path, token, expected }
        };
        let over = |over, question| Question { over, ..question };
        let alice = Some("alice");
        let invalid = |details| Expected::refused(401, details, "error=\"invalid_token\"");
        let late = "error_description=\"The access token expired\"";
        vec![
            question("no certificate: public route", None, ("GET", "/healthz"), None, ADMITTED),
            question("alice: her own token", alice, ORDER, Some(&good), ADMITTED),
            over(Over::Http2, question("alice: the same over HTTP/2", alice, ORDER, Some(&good), ADMITTED)),
            over(Over::Hybrid, question("alice: hybrid key exchange", alice, ORDER, Some(&good), ADMITTED)),
            over(Over::Hybrid, question("alice: token signed by ML-DSA-65", alice, ORDER, Some(&signed), ADMITTED)),
            question(
                "bob: alice's token, stolen",
                Some("bob"),
                ORDER,
                Some(&good),
                invalid("boundgate:binding-mismatch"),
            ),
            question(
                "no certificate: alice's token",
                None,
                ORDER,
                Some(&good),
                invalid("boundgate:certificate-missing"),
            ),
            question(
                "alice: no token",
                alice,
                ORDER,
                None,
                Expected::refused(401, "boundgate:token-missing", "realm="),
            ),
            question(
                "alice: token lacks the scope",
                alice,
                ("POST", "/orders"),
                Some(&good),
                Expected::refused(403, "boundgate:scope-missing", "scope=\"write:orders\""),
            ),
            question(
                "alice: token has expired",
                alice,
                ORDER,
                Some(&expired),
                Expected::refused(401, "boundgate:token-expired", late),
            ),
            question(
                "alice: token for another API",
                alice,
                ORDER,
                Some(&elsewhere),
                invalid("boundgate:audience-mismatch"),
            ),
            question(
                "alice: path trick",
                alice,
                ("GET", "/orders/%2e%2e/admin"),
                Some(&good),
                Expected::refused(400, "boundgate:path-ambiguous", ""),
            ),
        ]
    }
}
