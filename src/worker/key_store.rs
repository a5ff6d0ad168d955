//! The fetched keys of one issuer. In: token headers, ends of fetches, time. Out: [`KeyLookup`], the fetch to send, and
//! whether a key still vouches. Not here: when they are due, and how long old ones serve (`refresh`).
//!
//! An unknown `kid` may cause one fetch per issuer and 30 s for all workers of the proxy together (they agree by a
//! shared time stamp): anyone can send a random `kid`. So that a rotation found by one worker reaches the others at
//! once, the digest of the newest set is shared too: a worker whose set has another digest may fetch as well. Keys
//! themselves are never taken from shared data, which other plugins may write.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::host::{Cas, Expect, Host};
use crate::jose::{Header, KeySet, KeySetFault, MAX_KEY_SET_BYTES, VerifyingKey};
use crate::policy::{JwksSource, TrustId};
use crate::time::MonoNanos;
use crate::worker::fetch::{Fetch, FetchFailed, HttpAnswer};
use crate::worker::refresh::{Attempt, Refresh, Schedule};

/// Between two fetches caused by unknown `kid`s, over all workers.
const UNKNOWN_KID_INTERVAL: Duration = Duration::from_secs(30);
/// Between two fetches of one worker caused by another worker's news.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);
/// Where workers share what they know about an issuer's keys; with the number of its layout.
const SHARED_KEYS: &str = "boundgate/keys/1/";

/// Where a token's key stands.
#[derive(Debug)]
pub enum KeyLookup {
    /// These fit.
    Found(Vec<Rc<VerifyingKey>>),
    /// A fetch is under way that may bring it.
    Wait,
    /// The issuer has no such key.
    Unknown,
    /// There are no keys yet, and the next attempt is that far away.
    Unavailable(Duration),
}

/// What an answer brought.
pub(super) enum KeysNews {
    Loaded,
    Failed(FetchFault),
}

/// Why a fetch brought no keys.
pub(super) enum FetchFault {
    Call(FetchFailed),
    Status(u16),
    Keys(KeySetFault),
}

impl fmt::Display for FetchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchFault::Call(FetchFailed::NotSent) => {
                f.write_str("the fetch was not sent. Is the cluster defined and has it an endpoint?")
            }
            FetchFault::Call(FetchFailed::NoAnswer) => f.write_str("the fetch was reset or its answer too large"),
            FetchFault::Call(FetchFailed::Lost) => f.write_str("the fetch never ended"),
            FetchFault::Status(status) => write!(f, "the fetch was answered with status {status}"),
            FetchFault::Keys(fault) => write!(f, "{fault}"),
        }
    }
}

struct Loaded {
    set: KeySet,
    digest: u64,
}

/// See the module.
pub(super) struct IssuerKeys {
    source: JwksSource,
    shared_key: String,
    loaded: Option<Loaded>,
    refresh: Refresh,
}

/// The lookup where keys stand in the configuration.
pub(super) fn inline(set: &KeySet, header: &Header) -> KeyLookup {
    let fitting: Vec<_> = set.candidates(header.kid.as_deref(), header.algorithm).cloned().collect();
    if fitting.is_empty() { KeyLookup::Unknown } else { KeyLookup::Found(fitting) }
}

fn schedule(source: &JwksSource) -> Schedule {
    Schedule { refresh: source.refresh, max_stale: source.max_stale, timeout: source.timeout }
}

impl IssuerKeys {
    pub(super) fn new(trust: &TrustId, source: &JwksSource) -> Self {
        Self {
            source: source.clone(),
            shared_key: format!("{SHARED_KEYS}{trust}"),
            loaded: None,
            refresh: Refresh::new(schedule(source)),
        }
    }

    /// Goes by the times of `source` from now on: they are no part of the trust.
    pub(super) fn follow(&mut self, source: &JwksSource) {
        self.source = source.clone();
        self.refresh.follow(schedule(source));
    }

    /// For the operator's log.
    pub(super) fn describe(&self) -> String {
        format!("at https://{}{} (cluster {})", self.source.authority, self.source.path, self.source.cluster)
    }

    /// Keys for a token's header, and whether to start a fetch.
    pub(super) fn lookup(&self, header: &Header, host: &dyn Host, now: MonoNanos) -> (KeyLookup, bool) {
        let attempt = self.refresh.attempt(now);
        let Some(loaded) = self.usable(now) else {
            return match attempt {
                Attempt::UnderWay => (KeyLookup::Wait, false),
                Attempt::Allowed => (KeyLookup::Wait, true),
                Attempt::NotBefore(pause) => (KeyLookup::Unavailable(pause), false),
            };
        };
        match (inline(&loaded.set, header), attempt) {
            (KeyLookup::Found(keys), _) => (KeyLookup::Found(keys), false),
            (_, Attempt::UnderWay) => (KeyLookup::Wait, false),
            (_, Attempt::Allowed) if self.may_fetch_for_unknown_kid(loaded, host, now) => (KeyLookup::Wait, true),
            (_, Attempt::Allowed | Attempt::NotBefore(_)) => (KeyLookup::Unknown, false),
        }
    }

    /// The keys that may be used now.
    pub(super) fn set(&self, now: MonoNanos) -> Option<&KeySet> {
        self.usable(now).map(|loaded| &loaded.set)
    }

    /// Whether keys are missing or old, and an attempt is allowed.
    pub(super) fn is_due(&self, now: MonoNanos) -> bool {
        self.refresh.is_due(now)
    }

    /// Whether the fetch under way will never end.
    pub(super) fn is_lost(&self, now: MonoNanos) -> bool {
        self.refresh.is_lost(now)
    }

    /// The fetch that starts now.
    pub(super) fn start(&mut self, now: MonoNanos) -> Fetch {
        self.refresh.started(now);
        Fetch {
            cluster: self.source.cluster.clone(),
            method: "GET",
            authority: self.source.authority.clone(),
            path: self.source.path.clone(),
            headers: vec![("accept", "application/jwk-set+json, application/json".into())],
            body: Vec::new(),
            timeout: self.source.timeout,
            max_bytes: MAX_KEY_SET_BYTES,
        }
    }

    /// The fetch under way ended.
    pub(super) fn answer(
        &mut self,
        answer: Result<HttpAnswer, FetchFailed>,
        host: &dyn Host,
        now: MonoNanos,
    ) -> KeysNews {
        let set = answer.map_err(FetchFault::Call).and_then(|answer| match answer.status {
            200 => KeySet::parse(&answer.body).map_err(FetchFault::Keys),
            status => Err(FetchFault::Status(status)),
        });
        match set {
            Ok(set) => {
                let digest = short(&set.digest());
                self.loaded = Some(Loaded { set, digest });
                self.refresh.succeeded(now);
                self.share(host, |shared| Some(Shared { digest, ..shared }));
                KeysNews::Loaded
            }
            Err(fault) => {
                self.refresh.failed(now);
                KeysNews::Failed(fault)
            }
        }
    }

    fn usable(&self, now: MonoNanos) -> Option<&Loaded> {
        self.loaded.as_ref().filter(|_| self.refresh.serves(now))
    }

    fn may_fetch_for_unknown_kid(&self, loaded: &Loaded, host: &dyn Host, now: MonoNanos) -> bool {
        let rested = self.refresh.rested(FOLLOW_INTERVAL, now);
        let news = Shared::read(host, &self.shared_key).is_some_and(|(shared, _)| shared.digest != loaded.digest);
        (news && rested)
            || self.share(host, |shared| {
                // A stamp from the future is not ours: it must not stop fetches for good.
                let free = shared.asked.is_none_or(|asked| asked > now || now.since(asked) >= UNKNOWN_KID_INTERVAL);
                free.then_some(Shared { asked: Some(now), ..shared })
            })
    }

    /// Changes what the workers share about this issuer; `false` if `change` declines or another worker was faster.
    fn share(&self, host: &dyn Host, change: impl Fn(Shared) -> Option<Shared>) -> bool {
        let (shared, expect) = match Shared::read(host, &self.shared_key) {
            Some((shared, cas)) => (shared, Expect::Unchanged(cas)),
            None => (Shared { asked: None, digest: 0 }, Expect::Absent),
        };
        change(shared).is_some_and(|shared| host.shared_set(&self.shared_key, &shared.to_bytes(), expect).is_ok())
    }
}

/// What workers share about an issuer: nothing that a verification rests on.
struct Shared {
    /// When an unknown `kid` last caused a fetch.
    asked: Option<MonoNanos>,
    /// Of the newest set any worker loaded.
    digest: u64,
}

impl Shared {
    /// What another plugin may have scribbled there reads as nothing known.
    fn read(host: &dyn Host, key: &str) -> Option<(Self, Cas)> {
        let (bytes, cas) = host.shared_get(key)?;
        let (words, _) = bytes.as_chunks::<8>();
        let word = |index: usize| words.get(index).map_or(0, |word| u64::from_le_bytes(*word));
        let asked = Some(word(0)).filter(|asked| *asked != 0).map(MonoNanos::from_nanos);
        Some((Self { asked, digest: word(1) }, cas))
    }

    fn to_bytes(&self) -> [u8; 16] {
        let asked = self.asked.map_or(0, MonoNanos::as_nanos);
        (u128::from(asked) | (u128::from(self.digest) << 64)).to_le_bytes()
    }
}

/// Eight bytes of a digest: they tell things apart, nothing more.
fn short(digest: &[u8]) -> u64 {
    digest.first_chunk::<8>().map_or(0, |first| u64::from_le_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeHost, at};
    use crate::jose::Algorithm;

    const FIRST: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"first","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}]}"#;

    fn keys() -> IssuerKeys {
        let source = JwksSource {
            cluster: "as".into(),
            authority: "as.example.com".into(),
            path: "/jwks".into(),
            refresh: Duration::from_secs(600),
            max_stale: Duration::from_secs(3600),
            timeout: Duration::from_secs(5),
        };
        IssuerKeys::new(&TrustId::of("issuer"), &source)
    }

    fn header(kid: &str) -> Header {
        Header { algorithm: Algorithm::Es256, kid: Some(kid.into()), typ: None }
    }

    fn document(kid: &str) -> Result<HttpAnswer, FetchFailed> {
        Ok(HttpAnswer { status: 200, body: FIRST.replace("first", kid).into_bytes() })
    }

    /// Starts the fetch that the lookup asks for, if it does.
    fn look(keys: &mut IssuerKeys, kid: &str, host: &FakeHost, seconds: f64) -> (KeyLookup, bool) {
        let now = at(seconds).mono;
        let (lookup, fetch) = keys.lookup(&header(kid), host, now);
        if fetch {
            keys.start(now);
        }
        (lookup, fetch)
    }

    #[test]
    fn the_fetch_asks_the_configured_place_for_a_key_set() {
        let fetch = keys().start(at(0.0).mono);
        assert_eq!((&*fetch.cluster, fetch.timeout), ("as", Duration::from_secs(5)));
        assert_eq!((fetch.method, &*fetch.authority, &*fetch.path), ("GET", "as.example.com", "/jwks"));
        assert_eq!(fetch.headers, [("accept", "application/jwk-set+json, application/json".into())]);
        assert!(fetch.body.is_empty() && fetch.max_bytes == MAX_KEY_SET_BYTES);
    }

    #[test]
    fn requests_that_come_while_keys_are_fetched_wait_for_one_fetch() {
        let (mut keys, host) = (keys(), FakeHost::default());
        assert!(matches!(look(&mut keys, "first", &host, 0.0), (KeyLookup::Wait, true)));
        assert!(matches!(look(&mut keys, "first", &host, 0.1), (KeyLookup::Wait, false)));
        keys.answer(document("first"), &host, at(0.2).mono);
        assert!(matches!(look(&mut keys, "first", &host, 0.3), (KeyLookup::Found(_), false)));
    }

    #[test]
    fn a_failed_first_fetch_is_told_with_the_time_of_the_next() {
        let (mut keys, host) = (keys(), FakeHost::default());
        look(&mut keys, "first", &host, 0.0);
        keys.answer(Ok(HttpAnswer { status: 500, body: Vec::new() }), &host, at(0.1).mono);
        let (lookup, _) = look(&mut keys, "first", &host, 0.2);
        assert!(matches!(lookup, KeyLookup::Unavailable(wait) if wait == Duration::from_millis(900)), "{lookup:?}");
        assert!(matches!(look(&mut keys, "first", &host, 1.1), (KeyLookup::Wait, true)));
        keys.answer(Err(FetchFailed::NoAnswer), &host, at(1.2).mono);
        assert!(
            matches!(look(&mut keys, "first", &host, 2.3), (KeyLookup::Unavailable(_), false)),
            "the back-off grows"
        );
    }

    #[test]
    fn old_keys_serve_while_fetches_fail_until_they_are_stale() {
        let (mut keys, host) = (keys(), FakeHost::default());
        look(&mut keys, "first", &host, 0.0);
        keys.answer(document("first"), &host, at(0.0).mono);
        assert!(!keys.is_due(at(599.0).mono));
        assert!(keys.is_due(at(600.0).mono));
        keys.start(at(600.0).mono);
        keys.answer(Ok(HttpAnswer { status: 200, body: b"<html>".to_vec() }), &host, at(600.0).mono);
        assert!(matches!(look(&mut keys, "first", &host, 3599.0), (KeyLookup::Found(_), false)));
        assert!(matches!(look(&mut keys, "first", &host, 3600.0), (KeyLookup::Wait, true)));
    }

    /// The fetches that a random `kid` every 100 ms causes in two workers within 29 s, each answered by the next of
    /// `replicas`.
    fn fetches_for_random_kids(replicas: &[&str]) -> usize {
        let host = FakeHost::default();
        let mut workers = [keys(), keys()];
        let mut answers = replicas.iter().cycle();
        let mut answer = || Ok(HttpAnswer { status: 200, body: answers.next().unwrap().as_bytes().to_vec() });
        for worker in &mut workers {
            look(worker, "first", &host, 0.0);
            worker.answer(answer(), &host, at(0.0).mono);
        }
        let mut fetches = 0;
        for step in 0..290_u32 {
            let worker = &mut workers[(step % 2) as usize];
            let (_, fetch) = look(worker, &format!("random-{step}"), &host, 1.0 + f64::from(step) / 10.0);
            if fetch {
                fetches += 1;
                worker.answer(answer(), &host, at(1.05 + f64::from(step) / 10.0).mono);
            }
        }
        fetches
    }

    #[test]
    fn random_kids_cause_one_fetch_in_thirty_seconds_for_all_workers() {
        assert_eq!(fetches_for_random_kids(&[FIRST]), 1);
    }

    #[test]
    fn replicas_that_write_the_same_keys_differently_cause_no_more_fetches() {
        let (first, second) = (FIRST.replace("first", "a"), FIRST.replace("first", "b"));
        let key = |document: &str| document[r#"{"keys":["#.len()..document.len() - "]}".len()].to_owned();
        let (a, b) = (key(&first), key(&second));
        let replicas = [format!(r#"{{"keys":[{a},{b}]}}"#), format!(r#"{{ "served-by": 2, "keys": [ {b}, {a} ] }}"#)];
        assert_eq!(fetches_for_random_kids(&[&replicas[0], &replicas[1], &replicas[1]]), 1);
    }

    #[test]
    fn a_rotation_found_by_one_worker_reaches_the_other_at_its_next_unknown_kid() {
        let host = FakeHost::default();
        let (mut first, mut second) = (keys(), keys());
        for worker in [&mut first, &mut second] {
            look(worker, "first", &host, 0.0);
            worker.answer(document("first"), &host, at(0.0).mono);
        }
        assert!(look(&mut first, "rotated", &host, 10.0).1);
        first.answer(document("rotated"), &host, at(10.1).mono);
        assert!(matches!(look(&mut second, "rotated", &host, 10.2), (KeyLookup::Wait, true)));
        second.answer(document("rotated"), &host, at(10.3).mono);
        assert!(matches!(look(&mut second, "rotated", &host, 10.4), (KeyLookup::Found(_), false)));
    }

    #[test]
    fn a_removed_key_vouches_for_nothing() {
        let (mut keys, host) = (keys(), FakeHost::default());
        look(&mut keys, "first", &host, 0.0);
        keys.answer(document("first"), &host, at(0.0).mono);
        let KeyLookup::Found(found) = look(&mut keys, "first", &host, 1.0).0 else { panic!() };
        let vouches = |keys: &IssuerKeys, now| keys.set(now).is_some_and(|set| set.contains(&found[0]));
        assert!(vouches(&keys, at(1.0).mono));
        keys.start(at(2.0).mono);
        keys.answer(document("rotated"), &host, at(2.0).mono);
        assert!(!vouches(&keys, at(2.0).mono));
    }

    #[test]
    fn a_scribble_in_shared_data_neither_starts_nor_stops_fetches_for_good() {
        let (mut keys, host) = (keys(), FakeHost::default());
        look(&mut keys, "first", &host, 0.0);
        keys.answer(document("first"), &host, at(0.0).mono);
        let (_, cas) = host.shared_get(&keys.shared_key).unwrap();
        host.shared_set(&keys.shared_key, &[0xff; 16], Expect::Unchanged(cas)).unwrap();
        assert!(matches!(look(&mut keys, "x", &host, 5.0), (KeyLookup::Wait, true)));
        keys.answer(document("first"), &host, at(5.1).mono);
        assert!(matches!(look(&mut keys, "x", &host, 5.2), (KeyLookup::Unknown | KeyLookup::Wait, _)));
    }
}
