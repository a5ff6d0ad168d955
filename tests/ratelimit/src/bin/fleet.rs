//! `make run`, second part: two Envoys share one limit through a rate-limit service, which then dies and comes back.
//! One line a step. It ends with status 0 only if every step went as expected.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use boundgate_ratelimit::{Clock, Config, Limits, Mode, RateLimitServer, Redis, StartError, Unit};
use boundgate_testbed::{Answer, Client, EnvoyConfig, Steps, Testbed};

/// Requests that the service lets each client make in an hour, through all proxies together. Not in a minute: on a machine
/// whose cores are busy it is over before they are spent.
const QUOTA: u32 = 600;
/// What each proxy lets pass at once when it counts alone; then [`PER_SECOND`].
const BURST: u32 = 30;
const PER_SECOND: f64 = QUOTA as f64 / 3600.0;
/// The longest that a request waits for the service. Long, because on a machine whose cores are busy even a service that is
/// there takes its time.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The service must be used again this soon, also on such a machine.
const BACK: Duration = Duration::from_secs(30);

/// With the numbers above.
const FILTER: &str = r"
issuers:
  main:
    issuer: https://as.example.com
    algorithms: [ES256]
    jwks: { cluster: as, uri: https://as.example.com/jwks }
services:
  fleet: { kind: ratelimit, cluster: ratelimit, timeout: 5s, on_error: local }
resources:
  - hosts: [api.example.com]
    audiences: [https://api.example.com]
    issuers: [main]
    routes:
      - { path: '/orders/{id}', scopes: [read:orders], limits: [per-client] }
limits:
  per-client: { key: [client_id], rate: 600/h, burst: 30, service: fleet }
";

#[tokio::main]
async fn main() -> ExitCode {
    println!("Starting Redis, a rate-limit service and two Envoys that share a limit of {QUOTA} an hour ...");
    match Fleet::start().await {
        Ok(fleet) => fleet.walk().await,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

struct Fleet {
    clock: Clock,
    service: RateLimitServer,
    proxies: [Testbed; 2],
    steps: Steps,
    _redis: Redis,
}

impl Fleet {
    async fn start() -> Result<Self, StartError> {
        let redis = Redis::start().await;
        let clock = Clock::default();
        let limits = Limits::new("boundgate").limit("per-client", QUOTA, Unit::Hour);
        let config = Config::new(Mode::Fixed { redis_url: redis.url() }, limits);
        let service = RateLimitServer::start(Config { clock: clock.clone(), ..config }).await?;
        let config = EnvoyConfig::new(FILTER).grpc_cluster("ratelimit", service.address());
        let one = Testbed::start(config.clone()).await;
        let two = Testbed::start(config.cluster_at("as", one.authority.address())).await;
        Ok(Self { clock, service, proxies: [one, two], steps: Steps::default(), _redis: redis })
    }

    async fn walk(mut self) -> ExitCode {
        let [one, two] = &self.proxies;
        let address = |bed: &Testbed| bed.envoy.address("boundgate");
        println!(
            "The Envoys listen on {} and {}, the service on {}.\n",
            address(one),
            address(two),
            self.service.address()
        );

        let early = self.caller("dave").await;
        for (proxy, client) in self.proxies.iter().zip(&early.through) {
            proxy.passes(client, "/orders/7", &early.token).await;
        }
        let alice = self.caller("alice").await;
        let (bob, carol) = (self.caller("bob").await, self.caller("carol").await);
        self.new_hour();
        self.shared(&alice).await;
        self.remembered("alice: again through both", &alice).await;
        self.unaffected(&bob).await;

        self.service.stop().await;
        self.alone(&carol).await;
        self.remembered("alice: still over her limit", &alice).await;
        self.back(&carol).await;
        if self.steps.sum_up() {
            return ExitCode::SUCCESS;
        }
        for proxy in &self.proxies {
            println!("\nEnvoy's log:\n{}", proxy.envoy.log());
        }
        ExitCode::FAILURE
    }

    /// One client with one token, and a connection to each proxy.
    async fn caller(&self, name: &str) -> Caller {
        let [one, two] = &self.proxies;
        let client = one.client(name);
        let token = one.token(&client).scope("read:orders").issue().await;
        Caller { through: [client.kept(), two.client(name).kept()], token }
    }

    /// Lets the service's hour begin, so that none ends on the way.
    fn new_hour(&self) {
        let gone = u64::try_from(self.clock.unix() % 3600).expect("it is past 1970");
        self.clock.advance(Duration::from_secs(3600 - gone));
    }

    fn reached(&self) -> usize {
        self.proxies.iter().map(|proxy| proxy.upstream.count()).sum()
    }

    /// One budget for both proxies, without a call for each request.
    async fn shared(&mut self, alice: &Caller) {
        let (calls, reached) = (self.service.calls(), self.reached());
        let seen = alice.by_turns().await;
        let (calls, reached) = (self.service.calls() - calls, self.reached() - reached);
        let [one, two] = seen.passed;
        let sum = one + two;
        let good = seen.refused == [429; 2]
            && (QUOTA * 9 / 10..=QUOTA).contains(&sum)
            && one.min(two) > 0
            && calls * 3 <= u64::from(sum)
            && reached == sum as usize;
        let notes = format!("{sum} of {QUOTA} passed, {calls} calls to the service");
        self.steps.step(good, "alice: by turns, until both say 429", GET, &format!("{one} + {two}"), &notes);
        if !good {
            let (least, most) = (QUOTA * 9 / 10, QUOTA);
            self.steps.expected(&format!("{least} to {most}, in at most a third as many calls; {seen:?}"));
        }
    }

    /// A spent budget is not asked for again, and is not forgotten when nobody can be asked.
    async fn remembered(&mut self, who: &str, alice: &Caller) {
        let (calls, reached) = (self.service.calls(), self.reached());
        let (one, two) = (alice.call(0).await, alice.call(1).await);
        let calls = self.service.calls() - calls;
        let good = [one.status, two.status] == [429; 2] && calls == 0 && self.reached() == reached;
        let notes = format!("{calls} calls  {}", limits(&one));
        self.steps.step(good, who, GET, &both(&one, &two), &notes);
        if !good {
            self.steps.expected("429, 429 without a call");
        }
    }

    async fn unaffected(&mut self, bob: &Caller) {
        let (one, two) = (bob.call(0).await, bob.call(1).await);
        let good = [one.status, two.status] == [200; 2];
        self.steps.step(good, "bob: through both", GET, &both(&one, &two), &limits(&two));
        if !good {
            self.steps.expected("200, 200");
        }
    }

    /// Without the service each proxy has a budget of its own, and nobody waits.
    async fn alone(&mut self, carol: &Caller) {
        let reached = self.reached();
        let seen = carol.by_turns().await;
        let [one, two] = seen.passed;
        let most = BURST + (seen.lasted.as_secs_f64() * PER_SECOND).ceil() as u32;
        let good = seen.refused == [429; 2]
            && [one, two].iter().all(|passed| (BURST..=most).contains(passed))
            && seen.longest < TIMEOUT
            && self.reached() - reached == (one + two) as usize;
        let notes = format!("each counts alone: {BURST}, then {PER_SECOND:.1}/s; longest answer {:.1?}", seen.longest);
        self.steps.step(good, "service killed; carol: until 429", GET, &format!("{one} + {two}"), &notes);
        if !good {
            self.steps.expected(&format!("{BURST} to {most} through each, each within {TIMEOUT:?}; {seen:?}"));
        }
    }

    /// A proxy that counts alone has never more than [`BURST`] left, so more than that comes from the service.
    async fn back(&mut self, carol: &Caller) {
        let restarted = self.service.restart().await;
        let (calls, since) = (self.service.calls(), Instant::now());
        let counted = async |proxy| loop {
            let answer = carol.call(proxy).await;
            let counted = answer.status == 200 && remaining(&answer).is_some_and(|rest| rest > BURST);
            if counted || since.elapsed() > 2 * BACK {
                break (answer, since.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let last = [counted(0).await, counted(1).await];
        let calls = self.service.calls() - calls;
        let good = restarted.is_ok() && calls > 0 && last.iter().all(|(_, after)| *after <= BACK);
        let [(one, _), (two, after)] = &last;
        let notes = format!("after {:.1} s  {}", after.as_secs_f64(), limits(two));
        self.steps.step(good, "service back; carol: counted by it", GET, &both(one, two), &notes);
        if !good {
            self.steps.expected(&format!("more than {BURST} left within {BACK:?}; {calls} calls, {restarted:?}"));
        }
    }
}

const GET: &str = "GET /orders/7";

struct Caller {
    through: [Client; 2],
    token: String,
}

/// What came of many requests.
#[derive(Debug)]
struct Seen {
    /// How many each proxy let pass.
    passed: [u32; 2],
    /// What each said instead, in the end.
    refused: [u16; 2],
    longest: Duration,
    lasted: Duration,
}

impl Caller {
    async fn call(&self, proxy: usize) -> Answer {
        self.through[proxy].get("/orders/7").token(&self.token).send().await
    }

    /// Through both proxies by turns, until each has refused once.
    async fn by_turns(&self) -> Seen {
        let started = Instant::now();
        let (mut passed, mut refused, mut longest) = ([0; 2], [0; 2], Duration::ZERO);
        while refused.contains(&0) && passed.iter().sum::<u32>() <= 2 * QUOTA {
            for proxy in 0..2 {
                if refused[proxy] == 0 {
                    let sent = Instant::now();
                    match self.call(proxy).await.status {
                        200 => passed[proxy] += 1,
                        status => refused[proxy] = status,
                    }
                    longest = longest.max(sent.elapsed());
                }
            }
        }
        Seen { passed, refused, longest, lasted: started.elapsed() }
    }
}

/// `r` of the RateLimit field: what is left.
fn remaining(answer: &Answer) -> Option<u32> {
    let field = answer.header("ratelimit")?;
    field.split(';').find_map(|parameter| parameter.strip_prefix("r=")?.parse().ok())
}

fn both(one: &Answer, two: &Answer) -> String {
    format!("{}, {}", one.status, two.status)
}

/// What is said about limits.
fn limits(answer: &Answer) -> String {
    let named = ["retry-after", "ratelimit"].into_iter();
    named.filter_map(|name| Some(format!("{name}: {}", answer.header(name)?))).collect::<Vec<_>>().join("  ")
}
