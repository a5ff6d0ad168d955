//! `make run`, first part: starts everything, then walks through what the filter does, one line a step. It ends with
//! status 0 only if every step went as expected.

use std::process::ExitCode;
use std::time::Duration;

use boundgate_testbed::{Algorithm, Answer, Client, KeyExchange, PluginConfig, Request, Steps, Testbed};

/// More requests than the shipped limit (burst 10, 5/s) can let through.
const GREEDY: usize = 100;

#[tokio::main]
async fn main() -> ExitCode {
    println!("Starting Envoy with the filter, an upstream and an authorization server ...");
    let bed = Testbed::start(PluginConfig::shipped_in("envoy/post-quantum.yaml")).await;
    println!("Envoy listens on {}.\n", bed.envoy.address("boundgate"));

    let mut tour = Tour { bed: &bed, steps: Steps::default() };
    tour.walk().await;
    if tour.steps.sum_up() {
        return ExitCode::SUCCESS;
    }
    println!("\nEnvoy's log:\n{}", bed.envoy.log());
    ExitCode::FAILURE
}

/// What a step must come to.
#[derive(Clone, Copy)]
struct Expected {
    status: u16,
    /// Response code details: `boundgate:<reason>` for a refusal.
    details: &'static str,
    /// Part of the first challenge, or empty for none.
    challenge: &'static str,
}

const ADMITTED: Expected = Expected { status: 200, details: "via_upstream", challenge: "" };

const fn refused(status: u16, details: &'static str, challenge: &'static str) -> Expected {
    Expected { status, details, challenge }
}

struct Tour<'b> {
    bed: &'b Testbed,
    steps: Steps,
}

impl Tour<'_> {
    async fn walk(&mut self) {
        let bed = self.bed;
        let (alice, bob, nobody) = (bed.client("alice"), bed.client("bob"), bed.anonymous());
        let good = bed.token(&alice).scope("read:orders").issue().await;
        let expired = bed.token(&alice).scope("read:orders").lifetime(-120).issue().await;
        bed.passes(&alice, "/orders/7", &good).await;
        let elsewhere = bed.token(&alice).scope("read:orders").resource("https://other.example.com").issue().await;

        self.step("no certificate: public route", nobody.get("/healthz"), ADMITTED).await;
        self.step("alice: her own token", alice.get("/orders/7").token(&good), ADMITTED).await;
        let http2 = alice.http2();
        self.step("alice: the same over HTTP/2", http2.get("/orders/7").token(&good), ADMITTED).await;
        let hybrid = alice.key_exchange(&[KeyExchange::X25519MlKem768]);
        self.step("alice: hybrid key exchange", hybrid.get("/orders/7").token(&good), ADMITTED).await;
        let signed = bed.token(&alice).scope("read:orders").algorithm(Algorithm::MlDsa65).issue().await;
        self.step("alice: token signed by ML-DSA-65", hybrid.get("/orders/7").token(&signed), ADMITTED).await;
        let stolen = refused(401, "boundgate:binding-mismatch", "error=\"invalid_token\"");
        self.step("bob: alice's token, stolen", bob.get("/orders/7").token(&good), stolen).await;
        let without = refused(401, "boundgate:certificate-missing", "error=\"invalid_token\"");
        self.step("no certificate: alice's token", nobody.get("/orders/7").token(&good), without).await;
        let missing = refused(401, "boundgate:token-missing", "realm=");
        self.step("alice: no token", alice.get("/orders/7"), missing).await;
        let scope = refused(403, "boundgate:scope-missing", "scope=\"write:orders\"");
        self.step("alice: token lacks the scope", alice.post("/orders").token(&good), scope).await;
        let late = refused(401, "boundgate:token-expired", "error_description=\"The access token expired\"");
        self.step("alice: token has expired", alice.get("/orders/7").token(&expired), late).await;
        let audience = refused(401, "boundgate:audience-mismatch", "error=\"invalid_token\"");
        self.step("alice: token for another API", alice.get("/orders/7").token(&elsewhere), audience).await;
        let path = refused(400, "boundgate:path-ambiguous", "");
        self.step("alice: path trick", alice.get("/orders/%2e%2e/admin").token(&good), path).await;
        self.greed(&bob).await;
    }

    /// A burst until it is refused; then, after the time it was told to wait, success.
    async fn greed(&mut self, bob: &Client) {
        let token = self.bed.token(bob).scope("read:orders").issue().await;
        let kept = bob.kept();
        let before = self.bed.upstream.count();
        let mut sent = 0;
        let answer = loop {
            let answer = kept.get("/orders/7").token(&token).send().await;
            sent += 1;
            if answer.status != 200 || sent == GREEDY {
                break answer;
            }
        };
        let wait = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
        let over = refused(429, "boundgate:over-limit", "");
        let as_counted = wait.is_some() && sent > 10 && self.bed.upstream.count() == before + sent - 1;
        self.line(&format!("bob: greedy, request {sent}"), "GET /orders/7", &answer, over, as_counted).await;

        let wait = wait.unwrap_or(1);
        tokio::time::sleep(Duration::from_secs(wait)).await;
        let what = format!("bob: after {wait} s, as told");
        self.step(&what, kept.get("/orders/7").token(&token), ADMITTED).await;
    }

    async fn step(&mut self, who: &str, request: Request<'_>, expected: Expected) {
        let sent = request.line();
        let before = self.bed.upstream.count();
        let answer = request.send().await;
        let reached = self.bed.upstream.count() - before;
        let as_counted = reached == usize::from(expected.status == ADMITTED.status);
        self.line(who, &sent, &answer, expected, as_counted).await;
    }

    /// Prints one line; `as_counted`: the upstream received what it should have.
    async fn line(&mut self, who: &str, sent: &str, answer: &Answer, expected: Expected, as_counted: bool) {
        let details = self.bed.envoy.details(answer).await;
        let reason = details.strip_prefix("boundgate:").unwrap_or(if answer.status == 200 { "-" } else { &details });
        let challenge = answer.challenges().into_iter().next().unwrap_or_default();
        let challenged =
            if expected.challenge.is_empty() { challenge.is_empty() } else { challenge.contains(expected.challenge) };
        let good = answer.status == expected.status && details == expected.details && challenged && as_counted;
        self.steps.step(good, who, sent, &format!("{}  {reason}", answer.status), &notes(answer, challenge));
        if !good {
            let upstream = if as_counted { "" } else { ", and another count at the upstream" };
            self.steps.expected(&format!("{} {} {}{upstream}", expected.status, expected.details, expected.challenge));
        }
    }
}

/// The challenge, what is said about limits, and a key exchange that is not the usual one.
fn notes(answer: &Answer, challenge: String) -> String {
    let hybrid = answer.key_exchange().filter(|group| *group == KeyExchange::X25519MlKem768);
    let hybrid = hybrid.map(|group| format!("keys agreed by {}", group.name()));
    let limits = ["retry-after", "ratelimit", "ratelimit-policy"];
    let limits = limits.into_iter().filter_map(|name| Some(format!("{name}: {}", answer.header(name)?)));
    let challenge = Some(challenge).filter(|challenge| !challenge.is_empty());
    hybrid.into_iter().chain(challenge).chain(limits).collect::<Vec<_>>().join("  ")
}
