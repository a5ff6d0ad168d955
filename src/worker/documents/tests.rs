//! Every kind of document, in the workers of one proxy, from servers whose troubles a seed chooses: what is fetched, how long it
//! serves, when the newest is everywhere. One more kind of document is one more row here.

#![allow(clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;
use std::rc::Rc;

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};

use super::*;
use crate::config;
use crate::fake::{FakeHost, at};
use crate::jose::{Algorithm, base64url};
use crate::limit::fleet::simulation::random::Random;
use crate::policy::{FilterId, Policy};
use crate::revocation::{Edition, Kind as RevokedBy, Revocable, StatusReference};
use crate::worker::revocations::Named;
use crate::worker::status_lists::Looked;
use crate::worker::{AnswerFields, Answered, Batch, Call, CallId, ExchangeId, Gauge, Tally, WaitEnd, Woken};

const WORKERS: usize = 3;
/// Between two ticks.
const TICK: f64 = 0.2;
const END: f64 = 1_200.0;
/// As configured, in seconds.
const MAX_STALE: f64 = 90.0;
const TIMEOUT: f64 = 2.0;
/// After a time-out, a worker gives a fetch up.
const GIVEN_UP: f64 = TIMEOUT + 2.0 + TICK;
/// The longest pause after failures, with its jitter.
const LONGEST_PAUSE: f64 = 38.0;
const REFRESH: f64 = 30.0;
const LIST: &str = "https://as.example.com/lists/1";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Metadata,
    Keys,
    Revocations,
    StatusList,
}

const KINDS: [Kind; 4] = [Kind::Metadata, Kind::Keys, Kind::Revocations, Kind::StatusList];

impl Kind {
    fn of(path: &str) -> Self {
        match path {
            "/.well-known/openid-configuration" => Kind::Metadata,
            "/jwks" => Kind::Keys,
            "/revoked" => Kind::Revocations,
            "/lists/1" => Kind::StatusList,
            other => panic!("{other} is fetched"),
        }
    }

    /// Those without which it cannot be fetched or believed, and itself.
    fn needs(self) -> &'static [Kind] {
        match self {
            Kind::Metadata => &[Kind::Metadata],
            Kind::Keys => &[Kind::Metadata, Kind::Keys],
            Kind::Revocations => &[Kind::Revocations],
            Kind::StatusList => &[Kind::Metadata, Kind::Keys, Kind::StatusList],
        }
    }

    fn counters(self) -> [Counter; 2] {
        match self {
            Kind::Metadata => [Counter::MetadataFetchOk, Counter::MetadataFetchFailed],
            Kind::Keys => [Counter::KeyFetchOk, Counter::KeyFetchFailed],
            Kind::Revocations => [Counter::RevocationFetchOk, Counter::RevocationFetchFailed],
            Kind::StatusList => [Counter::StatusListFetchOk, Counter::StatusListFetchFailed],
        }
    }
}

fn policy() -> Rc<Policy> {
    let document = json!({
        "issuers": {"main": {
            "issuer": "https://as.example.com", "algorithms": ["ES256"],
            "jwks": {
                "cluster": "as", "discovery": "openid-configuration", "refresh": "30s", "max_stale": "90s", "timeout": "2s"
            },
            "revocation": {
                "cluster": "as", "uri": "https://as.example.com/revoked", "refresh": "30s", "max_stale": "90s", "timeout": "2s",
                "status_lists": {"cluster": "as", "uri": "https://as.example.com/lists/"}
            }
        }},
        "resources": [{
            "hosts": ["api.example.com"], "audiences": ["https://api.example.com"], "issuers": ["main"],
            "routes": [{"path": "/orders"}]
        }]
    });
    Rc::new(config::load(document.to_string().as_bytes()).unwrap())
}

/// What a server does with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Up,
    Refuses,
    Nonsense,
    TimesOut,
    /// The end is reported when nobody counts on it any more.
    Loses,
}

/// A server, and what it did until now.
struct Server {
    /// Moods, each with the second when it ends. Bad ones are as long as a part of `max_stale` or as more.
    moods: Vec<(f64, Mood)>,
    /// What it serves is another one each time: what, and from when.
    editions: Vec<(f64, Vec<u8>)>,
}

impl Server {
    fn new(kind: Kind, random: &mut Random) -> Self {
        let (mut moods, mut editions) = (Vec::new(), vec![(0.0, served(kind, 1))]);
        let mut time = 0.0;
        while time < END {
            let bad = [Mood::Refuses, Mood::Nonsense, Mood::TimesOut, Mood::Loses][random.below(4)];
            let mood = if random.happens(0.5) { Mood::Up } else { bad };
            time += random.between(1.0, if mood == Mood::Up { 300.0 } else { 150.0 });
            moods.push((time, mood));
        }
        let mut time = 0.0;
        while time < END {
            time += random.between(5.0, 400.0);
            editions.push((time, served(kind, editions.len() + 1)));
        }
        Self { moods, editions }
    }

    fn mood(&self, time: f64) -> Mood {
        self.moods.iter().find(|(until, _)| time < *until).unwrap().1
    }

    /// Since when it has been up without a break.
    fn up_since(&self, time: f64) -> Option<f64> {
        let before = self.moods.iter().take_while(|(end, _)| *end <= time);
        let last_bad = before.filter(|(_, mood)| *mood != Mood::Up).last().map_or(0.0, |(end, _)| *end);
        (self.mood(time) == Mood::Up).then_some(last_bad)
    }

    /// The number of what it serves, and since when.
    fn edition(&self, time: f64) -> (usize, f64) {
        let number = self.editions.iter().take_while(|(from, _)| *from <= time).count();
        (number, self.editions[number - 1].0)
    }

    fn body(&self, edition: usize) -> &[u8] {
        &self.editions[edition - 1].1
    }
}

fn signing_key() -> SigningKey {
    SigningKey::from_slice(&[1; 32]).unwrap()
}

fn signed(claims: &Value) -> Vec<u8> {
    let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
    let input = format!("{}.{}", part(&json!({"alg": "ES256", "typ": "statuslist+jwt"})), part(claims));
    let signature: Signature = signing_key().sign(input.as_bytes());
    format!("{input}.{}", base64url::encode(&signature.to_bytes())).into_bytes()
}

/// What a server serves as this edition.
fn served(kind: Kind, edition: usize) -> Vec<u8> {
    match kind {
        Kind::Metadata => {
            json!({"issuer": "https://as.example.com", "jwks_uri": "https://as.example.com/jwks", "edition": edition})
                .to_string()
                .into_bytes()
        }
        Kind::Keys => {
            let point = signing_key().verifying_key().to_sec1_point(false);
            let (x, y) = (base64url::encode(&point.as_bytes()[1..33]), base64url::encode(&point.as_bytes()[33..]));
            let key = json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": name(edition), "x": x, "y": y});
            json!({"keys": [key]}).to_string().into_bytes()
        }
        Kind::Revocations => json!({"jti": [name(edition)]}).to_string().into_bytes(),
        Kind::StatusList => {
            let states = miniz_oxide::deflate::compress_to_vec_zlib(&[u8::try_from(edition).unwrap(), 0], 1);
            signed(&json!({
                "sub": LIST, "iat": at(0.0).wall.as_millis() / 1000,
                "status_list": {"bits": 8, "lst": base64url::encode(&states)}
            }))
        }
    }
}

fn name(edition: usize) -> String {
    format!("edition-{edition}")
}

/// A call under way, as the network knows it.
struct UnderWay {
    call: CallId,
    kind: Kind,
    ends: f64,
    answer: Result<HttpAnswer, FetchFailed>,
    edition: usize,
    is_good: bool,
}

/// A worker, and what an observer knows of it.
struct Party {
    worker: Worker,
    network: Vec<UnderWay>,
    /// When each kind was loaded last, and which edition.
    loaded: BTreeMap<Kind, (f64, usize)>,
    started: BTreeMap<Kind, f64>,
    /// Who waits for keys, and since when.
    waiting: BTreeMap<ExchangeId, f64>,
    exchanges: u32,
}

struct Proxy {
    seed: u64,
    random: Random,
    host: FakeHost,
    issuer: Rc<Issuer>,
    servers: BTreeMap<Kind, Server>,
    parties: Vec<Party>,
    time: f64,
    /// How many fetches began.
    begun: BTreeMap<Kind, usize>,
}

fn count(tally: &Tally, counter: Counter) -> u32 {
    let place = Counter::ALL.iter().position(|other| *other == counter).unwrap();
    tally.events().find(|(which, _)| *which == place).map_or(0, |(_, count)| count)
}

impl Proxy {
    fn new(seed: u64) -> (Self, Rc<Policy>) {
        let (mut random, host, policy) = (Random(seed), FakeHost::default(), policy());
        let servers = KINDS.into_iter().map(|kind| (kind, Server::new(kind, &mut random))).collect();
        let mut party = |number: usize| {
            host.set_random(number as u8 + 1);
            let worker = Worker::new(FilterId::new(b"filter"), &policy, &host);
            let (network, waiting) = (Vec::new(), BTreeMap::new());
            Party { worker, network, loaded: BTreeMap::new(), started: BTreeMap::new(), waiting, exchanges: 0 }
        };
        let parties = (0..WORKERS).map(&mut party).collect();
        let issuer = policy.issuers[0].clone();
        let proxy = Self { seed, random, host, issuer, servers, parties, time: 0.0, begun: BTreeMap::new() };
        (proxy, policy)
    }

    fn now(&self) -> Now {
        at(self.time)
    }

    fn at(&self, what: &str) -> String {
        format!("seed {} at {:.1}: {what}", self.seed, self.time)
    }

    /// Some minutes pass. In half of all seeds requests wait for keys all the time.
    fn live(&mut self) {
        let pressed = self.seed.is_multiple_of(2);
        for step in 0..(END / TICK) as u32 {
            self.time = f64::from(step) * TICK;
            for who in 0..WORKERS {
                self.answers_come(who);
                let now = self.now();
                self.counting(who, |worker, host| worker.tick(host, now), &[]);
                if pressed || self.random.happens(0.02) {
                    self.ask_for_a_key(who);
                }
                self.calls_go(who);
                self.wake(who);
                self.look(who, pressed);
            }
        }
    }

    /// Does something, in which so many fetches end well, and those that are given up do not.
    fn counting(&mut self, who: usize, act: impl FnOnce(&mut Worker, &FakeHost), answered: &[(Kind, bool)]) {
        let party = &mut self.parties[who];
        let before = party.worker.calls_under_way();
        act(&mut party.worker, &self.host);
        let after = party.worker.calls_under_way();
        let tally = party.worker.take_tally();
        for kind in KINDS {
            let ended = party.network.iter().filter(|one| one.kind == kind && before.contains(&one.call));
            let ended = ended.filter(|one| !after.contains(&one.call)).count() as u32;
            let heard = answered.iter().filter(|(of, _)| *of == kind).count() as u32;
            let good = answered.iter().filter(|(of, good)| *of == kind && *good).count() as u32;
            let counted = kind.counters().map(|counter| count(&tally, counter));
            let told = format!("seed {} at {}: {kind:?} counted {counted:?}", self.seed, self.time);
            assert_eq!(counted, [good, ended + heard - good], "{told}");
        }
    }

    fn answers_come(&mut self, who: usize) {
        loop {
            let party = &mut self.parties[who];
            let Some(next) = party.network.iter().position(|one| one.ends <= self.time) else { return };
            let UnderWay { call, kind, answer, edition, is_good, .. } = party.network.swap_remove(next);
            let now = self.now();
            let is_awaited = self.parties[who].worker.calls_under_way().contains(&call);
            // A list is believed if there are keys.
            let keys = self.parties[who].worker.documents.keys.set(&self.issuer, now.mono).is_some();
            let is_good = is_good && (kind != Kind::StatusList || keys);
            let heard: &[(Kind, bool)] = if is_awaited { &[(kind, is_good)] } else { &[] };
            let answer = answer.map(Answered::Http);
            self.counting(who, |worker, host| worker.answered(call, answer, host, now), heard);
            if is_awaited && is_good {
                self.parties[who].loaded.insert(kind, (self.time, edition));
            }
        }
    }

    /// A request with a token that the newest key signed, or with one that nobody did.
    fn ask_for_a_key(&mut self, who: usize) {
        let (newest, _) = self.servers[&Kind::Keys].edition(self.time);
        let kid = if self.random.happens(0.5) { name(newest) } else { format!("random-{}", self.random.next()) };
        let header = Header { algorithm: Algorithm::Es256, kid: Some(kid.into()), typ: None };
        let now = self.now();
        let party = &mut self.parties[who];
        if party.waiting.len() < 3
            && matches!(party.worker.keys(&self.issuer, &header, &self.host, now), KeyLookup::Wait)
        {
            party.exchanges += 1;
            let exchange = ExchangeId(party.exchanges);
            let room = party.worker.waits().room_for_keys(100).unwrap();
            party.worker.waits().for_keys(exchange, room, &self.issuer, now.mono);
            party.waiting.insert(exchange, self.time);
        }
    }

    fn calls_go(&mut self, who: usize) {
        let now = self.now();
        while let Some(Call { id, message }) = self.parties[who].worker.next_call(now) {
            let Message::Fetch(fetch) = message else { panic!("{message:?}") };
            let kind = Kind::of(&fetch.path);
            let under_way = self.parties[who].worker.calls_under_way();
            let same = self.parties[who].network.iter().filter(|one| one.kind == kind);
            assert_eq!(same.filter(|one| under_way.contains(&one.call)).count(), 0, "{}", self.at("two at once"));
            let server = &self.servers[&kind];
            let (mood, (edition, _)) = (server.mood(self.time), server.edition(self.time));
            let body = server.body(edition);
            let etag = format!("\"{}\"", name(edition));
            let unchanged = fetch.headers.iter().any(|(name, value)| &**name == "if-none-match" && **value == *etag);
            let fields = AnswerFields { etag: Some(etag.into_bytes()), ..AnswerFields::default() };
            let said = |status, body: &[u8]| Ok(HttpAnswer { status, body: body.into(), ..HttpAnswer::default() });
            let good = || match unchanged && kind == Kind::Revocations {
                true => said(304, b""),
                false => Ok(HttpAnswer { status: 200, body: body.to_vec(), fields, ..HttpAnswer::default() }),
            };
            let quick = self.time + self.random.between(0.0, 2.0 * TICK);
            let (ends, answer) = match mood {
                Mood::Up => (quick, good()),
                Mood::Refuses => (quick, said(500, b"down")),
                Mood::Nonsense => (quick, said(200, &body[..body.len() / 2])),
                Mood::TimesOut => (self.time + TIMEOUT, Err(FetchFailed::NoAnswer)),
                Mood::Loses => (self.time + GIVEN_UP + 2.0, good()),
            };
            let is_good = matches!(mood, Mood::Up | Mood::Loses);
            *self.begun.entry(kind).or_default() += 1;
            self.parties[who].started.insert(kind, self.time);
            self.parties[who].network.push(UnderWay { call: id, kind, ends, answer, edition, is_good });
        }
    }

    fn wake(&mut self, who: usize) {
        let now = self.now();
        let time = self.time;
        let party = &mut self.parties[who];
        loop {
            let mut batch = Batch::begin(now.mono);
            let named: Vec<ExchangeId> = std::iter::from_fn(|| party.worker.next_woken(&mut batch, now)).collect();
            if named.is_empty() {
                break;
            }
            for exchange in named {
                let since = party.waiting.remove(&exchange).unwrap();
                match party.worker.waits().poll(exchange) {
                    Woken::Yes(Some(WaitEnd::Keys)) => {}
                    Woken::Yes(Some(WaitEnd::TooLate)) => assert!(time - since >= TIMEOUT - 0.01),
                    other => panic!("{other:?}"),
                }
            }
        }
        let longest = party.waiting.values().map(|since| time - since).fold(0.0, f64::max);
        assert!(longest <= TIMEOUT + TICK, "{}", self.at("somebody waits too long"));
    }

    /// What a worker holds, against what an observer expects.
    fn look(&mut self, who: usize, pressed: bool) {
        let now = self.now();
        for kind in [Kind::Keys, Kind::Revocations, Kind::StatusList] {
            let (newest, changed) = self.servers[&kind].edition(self.time);
            let documents = &mut self.parties[who].worker.documents;
            let (serves, has_newest) = match kind {
                Kind::Keys => {
                    let set = documents.keys.set(&self.issuer, now.mono);
                    let kid = name(newest);
                    let newest = set.is_some_and(|set| set.candidates(Some(&kid), Algorithm::Es256).next().is_some());
                    (set.is_some(), newest)
                }
                Kind::Revocations => {
                    let source = self.issuer.revocation.source.as_ref().unwrap();
                    let named = |id: &str| {
                        let token = || {
                            let mut token = Revocable { values: [None; RevokedBy::ALL.len()], issued: None };
                            token.values[0] = Some(id.as_bytes());
                            token
                        };
                        documents.revocations.name(source, Edition::default(), token, now.mono)
                    };
                    (matches!(named("other"), Named::No(_)), named(&name(newest)) == Named::Yes)
                }
                _ => {
                    let rule = self.issuer.status_lists.as_ref().unwrap();
                    let mut state = |index| {
                        let reference = StatusReference { uri: LIST, index };
                        documents.status_lists.look_up(&self.issuer, rule, reference, 7, now)
                    };
                    (state(1) == Looked::State(0), state(0) == Looked::State(newest as u8))
                }
            };
            let loaded = self.parties[who].loaded.get(&kind).map(|(when, _)| *when);
            let expected = loaded.is_some_and(|when| self.time - when < MAX_STALE);
            let edge = loaded.is_some_and(|when| (self.time - when - MAX_STALE).abs() < TICK / 2.0);
            assert!(serves == expected || edge, "{}", self.at(&format!("{kind:?} serves {serves}, loaded {loaded:?}")));
            let since = kind.needs().iter().map(|needed| self.servers[needed].up_since(self.time));
            let Some(since) = since.collect::<Option<Vec<f64>>>().map(|since| since.into_iter().fold(0.0, f64::max))
            else {
                continue;
            };
            // Of each document on the way, the fetch that was under way is given up, and the longest pause passes; then the next.
            let needs = kind.needs().len() as f64;
            let back = needs * (GIVEN_UP + LONGEST_PAUSE) + REFRESH + 1.0;
            if self.time > since + back && self.time > changed + REFRESH + 2.0 {
                assert!(has_newest, "{}", self.at(&format!("{kind:?} {newest} has not come, up since {since}")));
            }
            // Where requests wait, nobody waits long for a server that is back.
            if pressed && kind == Kind::Keys && self.time > since + needs * (GIVEN_UP + 1.5) {
                assert!(serves, "{}", self.at(&format!("no keys, up since {since}")));
            }
        }
    }
}

#[test]
fn whatever_servers_do_each_document_is_fetched_once_at_a_time_serves_as_long_as_it_may_and_the_newest_comes_everywhere()
 {
    for seed in 0..4 {
        let (mut proxy, policy) = Proxy::new(seed);
        proxy.live();
        for kind in KINDS {
            let begun = proxy.begun.get(&kind).copied().unwrap_or(0);
            // Each worker refreshes on its own in good times; in bad ones all together fetch what requests miss once a second.
            let most = END as usize + WORKERS * (END / 8.0) as usize;
            assert!((WORKERS..most).contains(&begun), "seed {seed}: {begun} fetches of {kind:?}");
        }
        drop(policy);
        for party in &mut proxy.parties {
            for exchange in party.waiting.keys() {
                party.worker.leave(*exchange, at(END));
            }
            party.worker.tick(&proxy.host, at(END + GIVEN_UP));
            assert_eq!(party.worker.leftovers(), Vec::<String>::new());
            assert_eq!(party.worker.level(Gauge::Calls), 0, "seed {seed}");
        }
    }
}
