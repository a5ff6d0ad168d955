//! `make run`, first part: starts everything, then walks through what the filter does, one line a step. It ends with
//! status 0 only if every step went as expected.

use std::process::ExitCode;
use std::time::Duration;

use boundgate_testbed::{Answer, App, Client, Expected, KeyExchange, PluginConfig, Request, Steps, Testbed};
use serde_json::{Value, json};

/// More requests than the shipped limit (burst 10, 5/s) can let through.
const GREEDY: usize = 100;

#[tokio::main]
async fn main() -> ExitCode {
    println!("Starting Envoy with the filter, an upstream and an authorization server ...");
    let bed = Testbed::start(PluginConfig::shipped_in("envoy/post-quantum.yaml")).await;
    println!("Envoy listens on {}.\n", bed.envoy.address("boundgate"));

    let mut tour = Tour { bed: &bed, steps: Steps::default() };
    tour.walk().await;
    println!("\nNext: an app without a certificate, and tokens that die before they expire.");
    let apps = Testbed::start(for_apps()).await;
    let mut tour = Tour { bed: &apps, steps: tour.steps };
    tour.apps().await;
    if tour.steps.sum_up() {
        return ExitCode::SUCCESS;
    }
    println!("\nEnvoy's logs:\n{}\n{}", bed.envoy.log(), apps.envoy.log());
    ExitCode::FAILURE
}

/// Tokens may be bound to keys as well, and the issuer may take them back.
fn for_apps() -> PluginConfig {
    PluginConfig::shipped_but(|config| {
        let resource = &mut config["resources"][0];
        resource["origin"] = json!(boundgate_testbed::RESOURCE);
        for route in resource["routes"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            route.remove("bound");
        }
        config["issuers"]["main"]["revocation"] = json!({ "cluster": "as", "uri": "https://as.example.com/documents/revoked", "refresh": "1s", "on_stale": "allow" });
    })
}

struct Tour<'b> {
    bed: &'b Testbed,
    steps: Steps,
}

impl Tour<'_> {
    async fn walk(&mut self) {
        let bed = self.bed;
        let questions = bed.questions().await;
        if let Some(first) = questions.iter().find(|question| question.token.is_some()) {
            bed.passes(&first.client(bed), first.path, first.token.as_deref().unwrap_or_default()).await;
        }
        for question in &questions {
            self.step(question.shows, question.request(&question.client(bed)), question.expected).await;
        }
        self.greed(&bed.client("bob")).await;
    }

    /// A key in the place of a certificate, and a token that is revoked under a running client.
    async fn apps(&mut self) {
        const ORDER: &str = "/orders/7";
        let (bed, phone, alice) = (self.bed, self.bed.anonymous(), self.bed.client("alice"));
        let token = bed.token(&alice).scope("read:orders").issue().await;
        bed.passes(&alice, ORDER, &token).await;

        let app = App::new(bed);
        let proof = app.proof(ORDER, "the-first", |_| {});
        self.step("app: its token, a proof of its key", app.get(&phone, ORDER, &proof), Expected::ADMITTED).await;
        let replayed = Expected::refused(401, "boundgate:proof-replayed", "error=\"invalid_dpop_proof\"");
        self.step("thief: the same proof again", app.get(&phone, ORDER, &proof), replayed).await;
        let bearer = Expected::refused(401, "boundgate:scheme-mismatch", "error=\"invalid_token\"");
        self.step("thief: the token, as bearer", phone.get(ORDER).token(&app.token), bearer).await;
        let again = app.proof(ORDER, "the-second", |_| {});
        self.step("app: with another proof", app.get(&phone, ORDER, &again), Expected::ADMITTED).await;

        self.step("alice: her own token", alice.get(ORDER).token(&token), Expected::ADMITTED).await;
        bed.authority.publish(&json!({ "client_id": ["alice"] }));
        // Within the time in which the document is fetched anew; else the step below shows that it never was.
        for _ in 0..300 {
            if alice.get(ORDER).token(&token).send().await.status == 401 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let revoked = Expected::refused(401, "boundgate:token-revoked", "error=\"invalid_token\"");
        self.step("alice: the same, which was taken back", alice.get(ORDER).token(&token), revoked).await;
        let third = app.proof(ORDER, "the-third", |_| {});
        self.step("app: goes on", app.get(&phone, ORDER, &third), Expected::ADMITTED).await;
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
        let over = Expected::refused(429, "boundgate:over-limit", "");
        let as_counted = wait.is_some() && sent > 10 && self.bed.upstream.count() == before + sent - 1;
        self.line(&format!("bob: greedy, request {sent}"), "GET /orders/7", &answer, over, as_counted).await;

        let wait = wait.unwrap_or(1);
        tokio::time::sleep(Duration::from_secs(wait)).await;
        let what = format!("bob: after {wait} s, as told");
        self.step(&what, kept.get("/orders/7").token(&token), Expected::ADMITTED).await;
    }

    async fn step(&mut self, who: &str, request: Request<'_>, expected: Expected) {
        let sent = request.line();
        let before = self.bed.upstream.count();
        let answer = request.send().await;
        let reached = self.bed.upstream.count() - before;
        let as_counted = reached == usize::from(expected.status == Expected::ADMITTED.status);
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
