//! The load: requests of every kind at a steady pace, each over a connection of its own, wherever that lands. In: a world. Out: what
//! each was answered, judged by the table in `answers`.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use boundgate_testbed::{Answer, App, Client, StatusLists, Testbed};
use serde_json::Value;
use tokio::task::{JoinHandle, JoinSet};

use crate::answers::{BY_ENVOY, CUT_OFF, Kind, PASSED};
use crate::servers::Server;
use crate::world::{TIMEOUT, World};

/// From one request to the next.
const PACE: Duration = Duration::from_millis(20);
/// On a machine that is slower than that no more are under way.
const MOST: usize = 150;
/// All is well after so long without any other answer than the usual one.
const WELL: Duration = Duration::from_millis(1500);
/// What is promised of a server that is back.
const RECOVERY: Duration = Duration::from_secs(2);
/// What the promises are lengthened by on a machine whose cores are busy.
const BUSY: Duration = Duration::from_secs(2);
/// Nothing here stands still for so long where the machine has time for it: else every server is slow.
const STALL: Duration = Duration::from_millis(250);
/// So many connections reach every worker.
const EVERYWHERE: usize = 45;

/// Numbers that are used once.
static NUMBERS: AtomicUsize = AtomicUsize::new(0);

fn number() -> usize {
    NUMBERS.fetch_add(1, Ordering::SeqCst)
}

/// Who sends the requests, and with what.
pub struct Cast {
    alice: Client,
    mallory: Client,
    nobody: Client,
    app: App,
    known: String,
    opaque: String,
    revocable: String,
    revoked: String,
    listed: String,
    suspended: String,
    spent: String,
    forged: String,
    /// A path and the proof that was used there.
    replayed: (String, String),
}

/// What became of a request.
struct Outcome {
    kind: Kind,
    started: Instant,
    took: Duration,
    answer: std::io::Result<Answer>,
}

impl Outcome {
    fn is_usual(&self) -> bool {
        let status = match self.kind.usual() {
            PASSED => 200,
            "over-limit" => 429,
            _ => 401,
        };
        self.answer.as_ref().is_ok_and(|answer| answer.status == status)
    }
}

impl Cast {
    /// With tokens that every worker knows.
    pub async fn of(world: &World) -> Arc<Self> {
        let bed = &world.bed;
        let alice = bed.client("alice");
        let claims = || bed.authority.claims().scope("read:orders").bound_to(alice.identity().expect("she has one"));
        let revoking = || claims().set("iss", "https://revoking.example.com");
        let at_place = |place| {
            let listing = claims().set("iss", "https://listing.example.com");
            listing.set("status", StatusLists::reference("1", place)).sign()
        };
        let known = claims().sign();
        let mut forged = known.clone();
        forged.replace_range(known.len() - 12..known.len() - 8, "AAAA");
        let app = App::new(bed);
        let path = format!("/orders/replayed-{}", number());
        let proof = app.proof(&path, &path, |_| {});
        let cast = Self {
            mallory: bed.client("mallory"),
            nobody: bed.anonymous(),
            opaque: bed.authority.opaque(&claims()),
            revocable: revoking().sign(),
            revoked: revoking().set("jti", "revoked").sign(),
            listed: at_place(0),
            suspended: at_place(1),
            spent: claims().client(&format!("spent-{}", number())).sign(),
            replayed: (path, proof),
            alice,
            app,
            known,
            forged,
        };
        cast.gets_known(bed).await;
        Arc::new(cast)
    }

    async fn gets_known(&self, bed: &Testbed) {
        let (path, proof) = &self.replayed;
        for token in [&self.known, &self.revocable, &self.listed] {
            bed.passes(&self.alice, "/orders/warm", token).await;
        }
        for _ in 0..EVERYWHERE {
            for kind in [Kind::Known, Kind::KnownOpaque, Kind::Revocable, Kind::Listed, Kind::Spent] {
                self.send(kind, bed).await.expect("an answer");
            }
        }
        let first = self.app.get(&self.nobody, path, proof).send().await;
        assert_eq!(first.status, 200, "{}", first.text());
    }

    /// One request of a kind.
    async fn send(&self, kind: Kind, bed: &Testbed) -> std::io::Result<Answer> {
        let number = number();
        let authority = &bed.authority;
        let path = |route: &str| format!("/{route}/{kind:?}-{number}");
        let alice = |route: &str, token: &str| self.alice.get(path(route)).token(token);
        let new = || {
            let claims = authority.claims().scope("read:orders").bound_to(self.alice.identity().expect("she has one"));
            claims.client(&format!("client-{number}"))
        };
        let (app, nobody) = (&self.app, &self.nobody);
        let request = match kind {
            Kind::Public => nobody.get(path("public")),
            Kind::Known => alice("orders", &self.known),
            Kind::New => alice("orders", &new().sign()),
            Kind::NewIssuer => alice("orders", &new().set("iss", "https://new.example.com").sign()),
            Kind::KnownOpaque => alice("orders", &self.opaque),
            Kind::NewOpaque => alice("orders", &authority.opaque(&new())),
            Kind::Inactive => alice("orders", &format!("nobody-issued-{number}")),
            Kind::Proof => {
                let path = path("orders");
                app.get(nobody, &path, &app.proof(&path, &path, |_| {}))
            }
            Kind::Replayed => app.get(nobody, &self.replayed.0, &self.replayed.1),
            Kind::Forged => alice("orders", &self.forged),
            Kind::UnknownKey => alice("orders", &new().header("kid", format!("kid-{number}")).sign()),
            Kind::Stolen => self.mallory.get(path("orders")).token(&self.known),
            Kind::Revocable => alice("orders", &self.revocable),
            Kind::Revoked => alice("orders", &self.revoked),
            Kind::Listed => alice("orders", &self.listed),
            Kind::Suspended => alice("orders", &self.suspended),
            Kind::Limited => alice("limited", &new().sign()),
            Kind::LimitedOrCounted => alice("lenient", &new().sign()),
            Kind::Spent => alice("spent", &self.spent),
        };
        request.try_send().await
    }
}

/// Requests under way, and what became of others.
pub struct Load {
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    stops: Arc<AtomicBool>,
    /// The longest that a task here has waited for its turn.
    stall: Arc<Mutex<Duration>>,
    task: JoinHandle<()>,
    replayed: String,
}

impl Load {
    /// It goes on until it is ended; most of it needs `server`.
    pub fn begin(world: &World, cast: Arc<Cast>, server: Server) -> Self {
        let outcomes = Arc::<Mutex<Vec<Outcome>>>::default();
        let stops = Arc::<AtomicBool>::default();
        let replayed = cast.replayed.0.clone();
        let task = tokio::spawn(go_on(cast, world.bed.clone(), server, outcomes.clone(), stops.clone()));
        let stall = Arc::<Mutex<Duration>>::default();
        tokio::spawn(measure(Arc::downgrade(&stall)));
        Self { outcomes, stops, stall, task, replayed }
    }

    /// Waits until every kind gets its usual answer.
    pub async fn is_well(&self, what: &str) {
        let begun = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = Instant::now();
            let unusual = {
                let outcomes = self.outcomes.lock().expect("nobody panicked with it");
                let last = outcomes.iter().filter(|outcome| !outcome.is_usual()).max_by_key(|outcome| outcome.started);
                last.map(|last| (last.started, format!("{:?} {:?}", last.kind, last.answer)))
            };
            let since = unusual.as_ref().map_or(begun, |(last, _)| begun.max(*last));
            if now - since > WELL {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}: not well again: {unusual:?}");
        }
    }

    /// Ends, and judges what was answered: before `troubled`, until `recovered`, and from then on.
    pub async fn end(self, world: &World, server: Server, what: &str, troubled: Instant, recovered: Instant) {
        self.stops.store(true, Ordering::SeqCst);
        self.task.await.expect("the load ends");
        let outcomes = std::mem::take(&mut *self.outcomes.lock().expect("nobody panicked with it"));
        let reasons = reasons(&outcomes, &world.bed).await;
        // What needs no server tells it of Envoy.
        let public = outcomes.iter().filter(|outcome| outcome.kind == Kind::Public && server != Server::Upstream);
        let stall = *self.stall.lock().expect("nobody panicked with it");
        let stall = stall.max(public.map(|outcome| outcome.took).max().unwrap_or_default());
        let busy = BUSY + stall;

        let mut faults = Vec::new();
        let mut seen = BTreeMap::<(Kind, String), usize>::new();
        let mut recovery = Duration::ZERO;
        let mut longest = Duration::ZERO;
        for Outcome { kind, started, took, answer } in &outcomes {
            let said = match answer {
                Ok(answer) if answer.status == 200 => PASSED.to_owned(),
                Ok(answer) => match request_id(answer).and_then(|id| reasons.get(&id)) {
                    Some(reason) => reason.clone(),
                    None if (502..=504).contains(&answer.status) => BY_ENVOY.to_owned(),
                    None => format!("{} {}", answer.status, answer.text()),
                },
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => CUT_OFF.to_owned(),
                Err(error) => error.to_string(),
            };
            let usual = said == kind.usual();
            let ended_before = *started + *took < troubled;
            let is_for = |server: Server| kind.otherwise(server).contains(&said.as_str());
            let documented = !ended_before && is_for(server) || stall > STALL && Server::ALL.into_iter().any(is_for);
            if !usual && !documented {
                faults.push(format!(
                    "{kind:?}: {said}, {:?} after the trouble began",
                    started.saturating_duration_since(troubled)
                ));
            }
            if *took > kind.patience() + busy {
                faults.push(format!("{kind:?}: {said} after {took:?}"));
            }
            if !usual && is_for(server) {
                recovery = recovery.max(started.saturating_duration_since(recovered));
            }
            longest = longest.max(*took);
            if *started > troubled {
                *seen.entry((*kind, said)).or_default() += 1;
            }
        }
        // Where servers that are well do not answer in time either, when one is back cannot be told.
        if recovery > RECOVERY + busy && stall < TIMEOUT / 2 {
            faults.push(format!("well again only after {recovery:?}"));
        }
        for received in world.bed.upstream.received() {
            let refused = Kind::ALL.iter().filter(|kind| kind.usual() != PASSED && **kind != Kind::Spent);
            if refused.into_iter().any(|kind| received.path.contains(&format!("/{kind:?}-"))) {
                faults.push(format!("the upstream was reached: {}", received.path));
            }
        }
        let times = world.bed.upstream.received().iter().filter(|received| received.path == self.replayed).count();
        if times != 1 {
            faults.push(format!("a proof passed {times} times"));
        }
        let unusual: Vec<String> = seen
            .iter()
            .filter(|((kind, said), _)| said != kind.usual())
            .map(|((kind, said), times)| format!("{times} {kind:?} {said}"))
            .collect();
        println!(
            "{what}: {} requests, the longest {} ms, while nothing stood still for more than {} ms; well again after {} ms; {}",
            outcomes.len(),
            longest.as_millis(),
            stall.as_millis(),
            recovery.as_millis(),
            unusual.join(", ")
        );
        assert!(faults.is_empty(), "{what}:\n{}", faults.join("\n"));
    }
}

/// How late a task is that wants to go on after a moment; until nobody wants to know.
async fn measure(stall: Weak<Mutex<Duration>>) {
    const MOMENT: Duration = Duration::from_millis(5);
    while let Some(stall) = stall.upgrade() {
        let begun = Instant::now();
        tokio::time::sleep(MOMENT).await;
        let late = begun.elapsed().saturating_sub(MOMENT);
        let mut longest = stall.lock().expect("nobody panicked with it");
        *longest = late.max(*longest);
    }
}

fn request_id(answer: &Answer) -> Option<String> {
    answer.problem()["request_id"].as_str().map(str::to_owned)
}

/// Why requests were refused, by their ids, once all of it stands in the access log.
async fn reasons(outcomes: &[Outcome], bed: &Testbed) -> HashMap<String, String> {
    let answers = outcomes.iter().filter_map(|outcome| outcome.answer.as_ref().ok());
    let ids: Vec<String> = answers.filter_map(request_id).collect();
    let begun = Instant::now();
    loop {
        let audits = bed.envoy.access_log().into_iter().filter_map(|line| {
            let audit: Value = serde_json::from_str(line["audit"].as_str()?).ok()?;
            Some((audit["request_id"].as_str()?.to_owned(), audit["reason"].as_str()?.to_owned()))
        });
        let reasons: HashMap<String, String> = audits.collect();
        if ids.iter().all(|id| reasons.contains_key(id)) {
            return reasons;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "refusals without a line in the access log");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn go_on(
    cast: Arc<Cast>,
    bed: Arc<Testbed>,
    server: Server,
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    stops: Arc<AtomicBool>,
) {
    let mut pace = tokio::time::interval(PACE);
    let mut requests = JoinSet::new();
    // Every second one is of a kind that needs the server in trouble.
    let needing: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| !kind.otherwise(server).is_empty()).collect();
    let kinds = Kind::ALL.into_iter().cycle().zip(needing.into_iter().cycle());
    for kind in kinds.flat_map(|(one, other)| [one, other]) {
        if stops.load(Ordering::SeqCst) {
            break;
        }
        pace.tick().await;
        while requests.len() > MOST {
            requests.join_next().await;
        }
        let (cast, bed, outcomes) = (cast.clone(), bed.clone(), outcomes.clone());
        requests.spawn(async move {
            let started = Instant::now();
            let answer = tokio::time::timeout(Duration::from_secs(40), cast.send(kind, &bed)).await;
            let answer = answer.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
            let outcome = Outcome { kind, started, took: started.elapsed(), answer };
            outcomes.lock().expect("nobody panicked with it").push(outcome);
        });
        while requests.try_join_next().is_some() {}
    }
    while requests.join_next().await.is_some() {}
}
