//! The fetched keys of one issuer. In: token headers, ends of fetches, time. Out: [`KeyLookup`], the fetch to send, and
//! whether a key still vouches. Not here: when they are due, and how long old ones serve (`refresh`); how workers tell
//! each other (`key_news`); what a fetch brought instead of keys (`fetch_fault`).
//!
//! An unknown `kid` may cause one fetch per issuer and 30 s for all workers of the proxy together (they agree by a
//! shared time stamp): anyone can send a random `kid`. So that a rotation found by one worker reaches the others at
//! once, the digest of the newest set is shared too: a worker whose set has another digest may fetch as well. Failures
//! are shared as well, and who makes the next attempt: more workers are no more load on a server in trouble. Keys
//! themselves are never taken from shared data, which other plugins may write.

use std::rc::Rc;
use std::time::Duration;

use crate::host::Host;
use crate::jose::{Header, KeySet, MAX_KEY_SET_BYTES, VerifyingKey};
use crate::policy::{JwksSource, TrustId};
use crate::time::MonoNanos;
use crate::worker::fetch::{Fetch, FetchFailed, HttpAnswer};
use crate::worker::fetch_fault::FetchFault;
use crate::worker::key_news::{News, NewsOf};
use crate::worker::refresh::{Refresh, Schedule, Trouble};

/// Between two fetches caused by unknown `kid`s, over all workers.
const UNKNOWN_KID_INTERVAL: Duration = Duration::from_secs(30);
/// Between two fetches of one worker caused by another worker's news.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);
/// A fault that was told already is told again after so long.
const TOLD_AGAIN: Duration = Duration::from_secs(30);

/// Where a token's key stands.
#[derive(Debug)]
pub enum KeyLookup {
    /// These fit.
    Found(Vec<Rc<VerifyingKey>>),
    /// A fetch may bring it: one is under way, or there are no keys and the next one comes soon.
    Wait,
    /// The issuer has no such key.
    Unknown,
}

/// What an answer brought.
pub(super) enum KeysNews {
    Loaded,
    /// With what to tell the operator, unless that was told a short time ago.
    Failed(Option<String>),
}

struct Loaded {
    set: KeySet,
    digest: u64,
}

/// See the module.
pub(super) struct IssuerKeys {
    source: JwksSource,
    /// Where the issuer stands in the configuration.
    place: Box<str>,
    news: NewsOf,
    loaded: Option<Loaded>,
    refresh: Refresh,
    /// The last fault, and when it was told.
    told: Option<(FetchFault, MonoNanos)>,
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
    /// Of an issuer that nothing was fetched of. `seed` is random.
    pub(super) fn new(trust: &TrustId, source: &JwksSource, seed: u64) -> Self {
        Self {
            source: source.clone(),
            place: "".into(),
            news: NewsOf::new(trust),
            loaded: None,
            refresh: Refresh::new(schedule(source), seed),
            told: None,
        }
    }

    /// Goes by the times of `source` from now on: they are no part of the trust. `place`: the issuer's in the
    /// configuration.
    pub(super) fn follow(&mut self, place: &str, source: &JwksSource) {
        self.source = source.clone();
        self.place = place.into();
        self.refresh.follow(schedule(source));
    }

    /// Keys for a token's header, and whether to start a fetch now.
    pub(super) fn lookup(&self, header: &Header, host: &dyn Host, now: MonoNanos) -> (KeyLookup, bool) {
        let Some(loaded) = self.usable(now) else {
            return (KeyLookup::Wait, self.claims_turn(true, host, now));
        };
        match inline(&loaded.set, header) {
            KeyLookup::Found(keys) => (KeyLookup::Found(keys), false),
            _ if self.refresh.is_under_way() => (KeyLookup::Wait, false),
            _ if self.may_fetch_for_unknown_kid(loaded, host, now) => (KeyLookup::Wait, true),
            _ => (KeyLookup::Unknown, false),
        }
    }

    /// The keys that may be used now.
    pub(super) fn set(&self, now: MonoNanos) -> Option<&KeySet> {
        self.usable(now).map(|loaded| &loaded.set)
    }

    /// Whether keys are missing or old, and no fetch for them is under way here.
    pub(super) fn is_due(&self, now: MonoNanos) -> bool {
        self.refresh.is_due(now)
    }

    /// Whether a fetch starts now that no `kid` asks for. While fetches fail, one worker takes each turn. `waited_for`:
    /// requests wait for the keys.
    pub(super) fn claims_turn(&self, waited_for: bool, host: &dyn Host, now: MonoNanos) -> bool {
        let trouble = self.news.read(host).trouble;
        self.refresh.may_start(&trouble, waited_for, now)
            && (trouble.failures == 0
                || self.news.change(host, |news| {
                    let free = self.refresh.may_start(&news.trouble, waited_for, now);
                    free.then_some(News { trouble: news.trouble.retried(now), ..news })
                }))
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
            headers: vec![
                ("accept", "application/jwk-set+json, application/json".into()),
                ("accept-encoding", "identity".into()),
            ],
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
        let max_age = answer.as_ref().ok().and_then(HttpAnswer::max_age);
        match FetchFault::or_keys(answer) {
            Ok(set) => {
                let digest = short(&set.digest());
                self.loaded = Some(Loaded { set, digest });
                self.refresh.succeeded(max_age, now);
                self.told = None;
                self.news.tell(host, |news| News { digest, trouble: Trouble::default(), ..news });
                KeysNews::Loaded
            }
            Err(fault) => {
                let started = self.refresh.failed(now);
                self.news.tell(host, |news| News { trouble: news.trouble.and(started, now), ..news });
                KeysNews::Failed(self.told_of(fault, now))
            }
        }
    }

    /// What the operator is told about a fault. Attempts come as often as once a second while requests wait: the same is
    /// not told each time.
    fn told_of(&mut self, fault: FetchFault, now: MonoNanos) -> Option<String> {
        let just_told = |(told, when): &(FetchFault, MonoNanos)| *told == fault && now.since(*when) < TOLD_AGAIN;
        if self.told.as_ref().is_some_and(just_told) {
            return None;
        }
        let JwksSource { cluster, authority, path, .. } = &self.source;
        let text = format!("{}.jwks: keys at https://{authority}{path} (cluster {cluster}): {fault}", self.place);
        self.told = Some((fault, now));
        Some(text)
    }

    fn usable(&self, now: MonoNanos) -> Option<&Loaded> {
        self.loaded.as_ref().filter(|_| self.refresh.serves(now))
    }

    fn may_fetch_for_unknown_kid(&self, loaded: &Loaded, host: &dyn Host, now: MonoNanos) -> bool {
        let newest = self.news.read(host).digest;
        let behind = newest != 0 && newest != loaded.digest;
        (behind && self.refresh.rested(FOLLOW_INTERVAL, now) && self.claims_turn(false, host, now))
            || self.news.change(host, |news| {
                // A stamp from the future is not ours: it must not stop fetches for good.
                let free = news.asked.is_none_or(|asked| asked > now || now.since(asked) >= UNKNOWN_KID_INTERVAL);
                let free = free && self.refresh.may_start(&news.trouble, false, now);
                free.then_some(News { asked: Some(now), trouble: news.trouble.retried(now), ..news })
            })
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
        IssuerKeys::new(&TrustId::of("issuer"), &JwksSource::example(), 7)
    }

    fn header(kid: &str) -> Header {
        Header { algorithm: Algorithm::Es256, kid: Some(kid.into()), typ: None }
    }

    fn document(kid: &str) -> Result<HttpAnswer, FetchFailed> {
        Ok(HttpAnswer { status: 200, body: FIRST.replace("first", kid).into_bytes(), ..HttpAnswer::default() })
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
        let expected = [("accept", "application/jwk-set+json, application/json"), ("accept-encoding", "identity")];
        assert_eq!(fetch.headers, expected.map(|(name, value)| (name, value.into())));
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
    fn a_failed_first_fetch_is_repeated_soon_and_whoever_needs_the_keys_waits() {
        let (mut keys, host) = (keys(), FakeHost::default());
        look(&mut keys, "first", &host, 0.0);
        keys.answer(Ok(HttpAnswer { status: 500, body: Vec::new(), ..HttpAnswer::default() }), &host, at(0.1).mono);
        assert!(matches!(look(&mut keys, "first", &host, 0.2), (KeyLookup::Wait, false)));
        assert!(matches!(look(&mut keys, "first", &host, 0.4), (KeyLookup::Wait, true)));
        keys.answer(Err(FetchFailed::NoAnswer), &host, at(0.5).mono);
        assert!(matches!(look(&mut keys, "first", &host, 0.75), (KeyLookup::Wait, false)), "the pause grows");
        assert!(matches!(look(&mut keys, "first", &host, 1.1), (KeyLookup::Wait, true)));
    }

    /// The seconds at which workers without keys fetch, with a tick every 100 ms, from a server that fails until `back`.
    fn fetches_while_down(workers: usize, waited_for: bool, back: f64) -> Vec<f64> {
        let host = FakeHost::default();
        let mut workers: Vec<_> = std::iter::repeat_with(keys).take(workers).collect();
        let mut fetches = Vec::new();
        for step in 0..=((back + 10.0) * 10.0) as u32 {
            let seconds = f64::from(step) / 10.0;
            let now = at(seconds).mono;
            let begun: Vec<_> = workers
                .iter_mut()
                .filter_map(|worker| {
                    let due = worker.is_due(now) && worker.claims_turn(waited_for, &host, now);
                    due.then(|| worker.start(now)).map(|_| worker)
                })
                .collect();
            for worker in begun {
                fetches.push(seconds);
                let answer = if seconds < back { Err(FetchFailed::NoAnswer) } else { document("first") };
                worker.answer(answer, &host, at(seconds + 0.01).mono);
            }
        }
        assert!(workers.iter().all(|worker| worker.set(at(back + 10.0).mono).is_some()), "{fetches:?}");
        fetches
    }

    #[test]
    fn more_workers_are_no_more_load_on_a_server_in_trouble() {
        let down = |workers, waited_for| {
            let fetches = fetches_while_down(workers, waited_for, 60.0);
            // All begin at once, before anybody knows, and all fetch once somebody succeeded.
            fetches.iter().filter(|seconds| (0.1..60.0).contains(*seconds)).count()
        };
        let (one, waited) = (down(1, false), down(1, true));
        assert!((12..=22).contains(&one) && (50..=64).contains(&waited), "{one} {waited}");
        assert!(down(5, false) <= one + 4 && down(5, true) <= waited + 4, "{} {}", down(5, false), down(5, true));
    }

    #[test]
    fn all_workers_have_keys_within_two_seconds_of_the_servers_return_where_requests_wait() {
        for workers in [1, 5] {
            let fetches = fetches_while_down(workers, true, 600.0);
            let back: Vec<_> = fetches.into_iter().filter(|seconds| *seconds >= 600.0).collect();
            assert!(back.len() == workers && back.iter().all(|seconds| *seconds < 601.5), "{back:?}");
        }
    }

    #[test]
    fn the_operator_is_told_of_a_fault_when_it_is_new_and_then_twice_a_minute() {
        let (mut keys, host) = (keys(), FakeHost::default());
        keys.follow("issuers.main", &keys.source.clone());
        let mut told = |answer, seconds: f64| {
            keys.start(at(seconds).mono);
            match keys.answer(answer, &host, at(seconds).mono) {
                KeysNews::Loaded => None,
                KeysNews::Failed(text) => text,
            }
        };
        let down = || Err(FetchFailed::NotSent);
        let text = told(down(), 0.0).unwrap();
        assert!(
            text.starts_with("issuers.main.jwks: keys at https://as.example.com/jwks (cluster as): the fetch"),
            "{text}"
        );
        assert_eq!(told(down(), 29.0), None);
        assert!(told(down(), 30.0).is_some());
        assert!(told(Err(FetchFailed::NoAnswer), 31.0).is_some(), "another one");
        assert!(told(document("first"), 32.0).is_none());
        assert!(told(Err(FetchFailed::NoAnswer), 33.0).is_some(), "it was over");
    }

    #[test]
    fn old_keys_serve_while_fetches_fail_until_they_are_stale() {
        let (mut keys, host) = (keys(), FakeHost::default());
        look(&mut keys, "first", &host, 0.0);
        keys.answer(document("first"), &host, at(0.0).mono);
        assert!(!keys.is_due(at(599.0).mono));
        assert!(keys.is_due(at(600.0).mono));
        keys.start(at(600.0).mono);
        keys.answer(
            Ok(HttpAnswer { status: 200, body: b"<html>".to_vec(), ..HttpAnswer::default() }),
            &host,
            at(600.0).mono,
        );
        assert!(matches!(look(&mut keys, "first", &host, 3599.0), (KeyLookup::Found(_), false)));
        assert!(matches!(look(&mut keys, "first", &host, 3600.0), (KeyLookup::Wait, true)));
    }

    /// The fetches that a random `kid` every 100 ms causes in two workers within 29 s, each answered by the next of
    /// `replicas`.
    fn fetches_for_random_kids(replicas: &[&str]) -> usize {
        let host = FakeHost::default();
        let mut workers = [keys(), keys()];
        let mut answers = replicas.iter().cycle();
        let mut answer = || {
            Ok(HttpAnswer { status: 200, body: answers.next().unwrap().as_bytes().to_vec(), ..HttpAnswer::default() })
        };
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
        let [place] = &host.keys("boundgate/keys/")[..] else { panic!() };
        host.overwrite(place, &[0xff; 40]);
        assert!(matches!(look(&mut keys, "x", &host, 5.0), (KeyLookup::Wait, true)));
        keys.answer(document("first"), &host, at(5.1).mono);
        assert!(matches!(look(&mut keys, "x", &host, 5.2), (KeyLookup::Unknown | KeyLookup::Wait, _)));
    }
}
