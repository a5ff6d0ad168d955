//! The keys of an issuer against a fake host and fake clocks.

use super::*;
use crate::fake::{FakeHost, at};
use crate::jose::Algorithm;

const FIRST: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"first","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}]}"#;

fn keys() -> IssuerKeys {
    IssuerKeys::new(&TrustId::of("issuer"), &JwksSource::example(), 7)
}

fn discovered() -> IssuerKeys {
    IssuerKeys::new(&TrustId::of("issuer"), &JwksSource::discovered(), 7)
}

/// Ends the fetch of keys.
fn answer(keys: &mut IssuerKeys, answer: Result<HttpAnswer, FetchFailed>, host: &FakeHost, seconds: f64) -> Outcome {
    keys.answer(Part::Keys, answer, host, at(seconds).mono)
}

fn header(kid: &str) -> Header {
    Header { algorithm: Algorithm::Es256, kid: Some(kid.into()), typ: None }
}

/// The metadata, which says that keys are at this path.
fn metadata(path: &str) -> Result<HttpAnswer, FetchFailed> {
    let body = format!(r#"{{"issuer":"https://as.example.com","jwks_uri":"https://as.example.com{path}"}}"#);
    Ok(HttpAnswer { status: 200, body: body.into_bytes(), ..HttpAnswer::default() })
}

fn document(kid: &str) -> Result<HttpAnswer, FetchFailed> {
    Ok(HttpAnswer { status: 200, body: FIRST.replace("first", kid).into_bytes(), ..HttpAnswer::default() })
}

/// Begins the fetch that the lookup asks for, if it does.
fn look(keys: &mut IssuerKeys, kid: &str, host: &FakeHost, seconds: f64) -> (KeyLookup, bool) {
    let now = at(seconds).mono;
    let lookup = keys.lookup(&header(kid), host, now);
    let fetch = matches!(lookup, KeyLookup::Wait) && keys.begin(true, host, now).is_some();
    (lookup, fetch)
}

fn fields(fetch: &Fetch) -> Vec<(&str, &str)> {
    fetch.headers.iter().map(|(name, value)| (&**name, &**value)).collect()
}

#[test]
fn configured_headers_are_sent_with_keys_and_metadata_and_in_the_place_of_our_own() {
    let headers = vec![("user-agent".into(), "orders-gateway".into()), ("x-tenant".into(), "7".into())];
    for source in [JwksSource::example(), JwksSource::discovered()] {
        let source = JwksSource { headers: headers.clone(), ..source };
        let mut keys = IssuerKeys::new(&TrustId::of("issuer"), &source, 7);
        let (_, fetch) = keys.begin(false, &FakeHost::default(), at(0.0).mono).unwrap();
        let fields = fields(&fetch);
        assert_eq!(fields[1..], [("accept-encoding", "identity"), ("user-agent", "orders-gateway"), ("x-tenant", "7")]);
    }
}

#[test]
fn the_fetch_asks_the_configured_place_for_a_key_set() {
    let (part, fetch) = keys().begin(false, &FakeHost::default(), at(0.0).mono).unwrap();
    assert_eq!(part, Part::Keys);
    assert_eq!((&*fetch.cluster, fetch.timeout), ("as", Duration::from_secs(5)));
    assert_eq!((fetch.method, &*fetch.authority, &*fetch.path), ("GET", "as.example.com", "/jwks"));
    let agent = format!("boundgate/{}", env!("CARGO_PKG_VERSION"));
    let accept = ("accept", "application/jwk-set+json, application/json");
    assert_eq!(fields(&fetch), [accept, ("accept-encoding", "identity"), ("user-agent", &agent)]);
    assert!(fetch.body.is_empty() && fetch.max_bytes == MAX_KEY_SET_BYTES);
}

#[test]
fn requests_that_come_while_keys_are_fetched_wait_for_one_fetch() {
    let (mut keys, host) = (keys(), FakeHost::default());
    assert!(matches!(look(&mut keys, "first", &host, 0.0), (KeyLookup::Wait, true)));
    assert!(matches!(look(&mut keys, "first", &host, 0.1), (KeyLookup::Wait, false)));
    answer(&mut keys, document("first"), &host, 0.2);
    assert!(matches!(look(&mut keys, "first", &host, 0.3), (KeyLookup::Found(_), false)));
}

#[test]
fn a_failed_first_fetch_is_repeated_soon_and_whoever_needs_the_keys_waits() {
    let (mut keys, host) = (keys(), FakeHost::default());
    look(&mut keys, "first", &host, 0.0);
    answer(&mut keys, Ok(HttpAnswer { status: 500, body: Vec::new(), ..HttpAnswer::default() }), &host, 0.1);
    assert!(matches!(look(&mut keys, "first", &host, 0.2), (KeyLookup::Wait, false)));
    assert!(matches!(look(&mut keys, "first", &host, 0.4), (KeyLookup::Wait, true)));
    answer(&mut keys, Err(FetchFailed::NoAnswer), &host, 0.5);
    assert!(matches!(look(&mut keys, "first", &host, 0.75), (KeyLookup::Wait, false)), "the pause grows");
    assert!(matches!(look(&mut keys, "first", &host, 1.1), (KeyLookup::Wait, true)));
}

/// The seconds at which workers without keys fetch, with a tick every 100 ms, from a server that fails until `back`.
fn fetches_while_down(of: fn() -> IssuerKeys, workers: usize, waited_for: bool, back: f64) -> Vec<f64> {
    let host = FakeHost::default();
    let mut workers: Vec<_> = std::iter::repeat_with(of).take(workers).collect();
    let mut fetches = Vec::new();
    for step in 0..=((back + 10.0) * 10.0) as u32 {
        let seconds = f64::from(step) / 10.0;
        let now = at(seconds).mono;
        let begun: Vec<_> = workers
            .iter_mut()
            .filter_map(|worker| worker.begin(waited_for, &host, now).map(|(part, _)| (worker, part)))
            .collect();
        for (worker, first) in begun {
            let mut next = Some(first);
            while let Some(part) = next {
                fetches.push(seconds);
                let now = at(seconds + 0.01).mono;
                let up = || if part == Part::Keys { document("first") } else { metadata("/jwks") };
                let answer = if seconds < back { Err(FetchFailed::NoAnswer) } else { up() };
                worker.answer(part, answer, &host, now);
                let then = part == Part::Metadata;
                next = worker.begin(waited_for, &host, now).filter(|_| then).map(|(part, _)| part);
            }
        }
    }
    assert!(workers.iter().all(|worker| worker.set(at(back + 10.0).mono).is_some()), "{fetches:?}");
    fetches
}

#[test]
fn more_workers_are_no_more_load_on_a_server_in_trouble() {
    for of in [keys, discovered] {
        let down = |workers, waited_for| {
            let fetches = fetches_while_down(of, workers, waited_for, 60.0);
            // All begin at once, before anybody knows, and all fetch once somebody succeeded.
            fetches.iter().filter(|seconds| (0.1..60.0).contains(*seconds)).count()
        };
        let (one, waited) = (down(1, false), down(1, true));
        assert!((12..=22).contains(&one) && (50..=64).contains(&waited), "{one} {waited}");
        assert!(down(5, false) <= one + 4 && down(5, true) <= waited + 4, "{} {}", down(5, false), down(5, true));
    }
}

#[test]
fn all_workers_have_keys_within_two_seconds_of_the_servers_return_where_requests_wait() {
    for (of, each) in [(keys as fn() -> IssuerKeys, 1), (discovered, 2)] {
        for workers in [1, 5] {
            let fetches = fetches_while_down(of, workers, true, 600.0);
            let back: Vec<_> = fetches.into_iter().filter(|seconds| *seconds >= 600.0).collect();
            assert!(back.len() == workers * each && back.iter().all(|seconds| *seconds < 601.5), "{back:?}");
        }
    }
}

#[test]
fn the_operator_is_told_of_a_fault_when_it_is_new_and_then_twice_a_minute() {
    let (mut keys, host) = (keys(), FakeHost::default());
    keys.follow("issuers.main", &keys.source.clone());
    let mut told = |answer, seconds: f64| {
        keys.keys.started(at(seconds).mono);
        match self::answer(&mut keys, answer, &host, seconds) {
            Outcome::Loaded => None,
            Outcome::Failed(text) => text,
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
    answer(&mut keys, document("first"), &host, 0.0);
    assert!(!keys.is_due(at(599.0).mono));
    assert!(keys.is_due(at(600.0).mono));
    keys.keys.started(at(600.0).mono);
    let html = HttpAnswer { status: 200, body: b"<html>".to_vec(), ..HttpAnswer::default() };
    answer(&mut keys, Ok(html), &host, 600.0);
    assert!(matches!(look(&mut keys, "first", &host, 3599.0), (KeyLookup::Found(_), false)));
    assert!(matches!(look(&mut keys, "first", &host, 3600.0), (KeyLookup::Wait, true)));
}

/// The fetches that a random `kid` every 100 ms causes in two workers within 29 s, each answered by the next of
/// `replicas`.
fn fetches_for_random_kids(replicas: &[&str]) -> usize {
    let host = FakeHost::default();
    let mut workers = [keys(), keys()];
    let mut answers = replicas.iter().cycle();
    let mut answer =
        || Ok(HttpAnswer { status: 200, body: answers.next().unwrap().as_bytes().to_vec(), ..HttpAnswer::default() });
    for worker in &mut workers {
        look(worker, "first", &host, 0.0);
        self::answer(worker, answer(), &host, 0.0);
    }
    let mut fetches = 0;
    for step in 0..290_u32 {
        let worker = &mut workers[(step % 2) as usize];
        let (_, fetch) = look(worker, &format!("random-{step}"), &host, 1.0 + f64::from(step) / 10.0);
        if fetch {
            fetches += 1;
            self::answer(worker, answer(), &host, 1.05 + f64::from(step) / 10.0);
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
        answer(worker, document("first"), &host, 0.0);
    }
    assert!(look(&mut first, "rotated", &host, 10.0).1);
    answer(&mut first, document("rotated"), &host, 10.1);
    assert!(matches!(look(&mut second, "rotated", &host, 10.2), (KeyLookup::Wait, true)));
    answer(&mut second, document("rotated"), &host, 10.3);
    assert!(matches!(look(&mut second, "rotated", &host, 10.4), (KeyLookup::Found(_), false)));
}

#[test]
fn a_removed_key_vouches_for_nothing() {
    let (mut keys, host) = (keys(), FakeHost::default());
    look(&mut keys, "first", &host, 0.0);
    answer(&mut keys, document("first"), &host, 0.0);
    let KeyLookup::Found(found) = look(&mut keys, "first", &host, 1.0).0 else { panic!() };
    let vouches = |keys: &IssuerKeys, now| keys.set(now).is_some_and(|set| set.contains(&found[0]));
    assert!(vouches(&keys, at(1.0).mono));
    keys.keys.started(at(2.0).mono);
    answer(&mut keys, document("rotated"), &host, 2.0);
    assert!(!vouches(&keys, at(2.0).mono));
}

#[test]
fn a_scribble_in_shared_data_neither_starts_nor_stops_fetches_for_good() {
    let (mut keys, host) = (keys(), FakeHost::default());
    look(&mut keys, "first", &host, 0.0);
    answer(&mut keys, document("first"), &host, 0.0);
    let [place] = &host.keys("boundgate/keys/")[..] else { panic!() };
    host.overwrite(place, &[0xff; 40]);
    assert!(matches!(look(&mut keys, "x", &host, 5.0), (KeyLookup::Wait, true)));
    answer(&mut keys, document("first"), &host, 5.1);
    assert!(matches!(look(&mut keys, "x", &host, 5.2), (KeyLookup::Unknown | KeyLookup::Wait, _)));
}

/// What begins now, and the path it asks for.
fn begins(keys: &mut IssuerKeys, host: &FakeHost, seconds: f64) -> Option<(Part, String)> {
    keys.begin(false, host, at(seconds).mono).map(|(part, fetch)| (part, fetch.path.into()))
}

/// The document that is asked for, and where.
fn part(part: Part, path: &str) -> Option<(Part, String)> {
    Some((part, path.to_owned()))
}

const METADATA: &str = "/.well-known/openid-configuration";

/// Keys that are there at second 0, by way of the metadata.
fn known(host: &FakeHost) -> IssuerKeys {
    let mut keys = discovered();
    assert_eq!(begins(&mut keys, host, 0.0), part(Part::Metadata, METADATA));
    keys.answer(Part::Metadata, metadata("/jwks"), host, at(0.0).mono);
    assert_eq!(begins(&mut keys, host, 0.0), part(Part::Keys, "/jwks"));
    answer(&mut keys, document("first"), host, 0.0);
    keys
}

#[test]
fn the_metadata_says_where_keys_are_and_both_are_fetched_once() {
    let (mut keys, host) = (discovered(), FakeHost::default());
    let (first, fetch) = keys.begin(true, &host, at(0.0).mono).unwrap();
    assert_eq!(
        (first, &*fetch.cluster, &*fetch.authority, &*fetch.path),
        (Part::Metadata, "as", "as.example.com", METADATA)
    );
    assert_eq!(fields(&fetch)[..2], [("accept", "application/json"), ("accept-encoding", "identity")]);
    assert!(fetch.max_bytes == MAX_METADATA_BYTES && fetch.timeout == Duration::from_secs(5));
    assert!(matches!(look(&mut keys, "first", &host, 0.1), (KeyLookup::Wait, false)));
    let body = br#"{"issuer":"https://as.example.com","jwks_uri":"https://keys.example.com/a?b"}"#.to_vec();
    let answer = Ok(HttpAnswer { status: 200, body, ..HttpAnswer::default() });
    keys.answer(Part::Metadata, answer, &host, at(0.2).mono);
    let (second, fetch) = keys.begin(true, &host, at(0.2).mono).unwrap();
    assert_eq!(
        (second, &*fetch.cluster, &*fetch.authority, &*fetch.path),
        (Part::Keys, "keys", "keys.example.com", "/a?b")
    );
    assert!(matches!(look(&mut keys, "first", &host, 0.3), (KeyLookup::Wait, false)));
    self::answer(&mut keys, document("first"), &host, 0.4);
    assert!(matches!(look(&mut keys, "first", &host, 0.5), (KeyLookup::Found(_), false)));
    assert_eq!(begins(&mut keys, &host, 599.0), None);
    assert_eq!(begins(&mut keys, &host, 600.4), part(Part::Metadata, METADATA));
}

#[test]
fn metadata_that_does_not_come_is_asked_for_again_as_keys_are_and_no_keys_are() {
    let (mut keys, host) = (discovered(), FakeHost::default());
    let mut attempts = Vec::new();
    for step in 0..40_u32 {
        let seconds = f64::from(step) / 20.0;
        if let Some((part, _)) = keys.begin(true, &host, at(seconds).mono) {
            assert_eq!(part, Part::Metadata);
            attempts.push(seconds);
            keys.answer(part, Err(FetchFailed::NoAnswer), &host, at(seconds).mono);
        }
        assert!(matches!(look(&mut keys, "first", &host, seconds), (KeyLookup::Wait, false)));
    }
    let pauses: Vec<f64> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.len() == 3, "{attempts:?}");
    for (pause, expected) in pauses.iter().zip([0.2, 0.4, 0.8]) {
        assert!((expected * 0.75..expected * 1.25 + 0.06).contains(pause), "{pauses:?}");
    }
}

#[test]
fn metadata_that_cannot_be_fetched_again_serves_and_keys_are_refreshed() {
    let host = FakeHost::default();
    let mut keys = known(&host);
    assert_eq!(begins(&mut keys, &host, 600.0), part(Part::Metadata, METADATA));
    keys.answer(Part::Metadata, Err(FetchFailed::NoAnswer), &host, at(600.1).mono);
    assert_eq!(begins(&mut keys, &host, 600.1), part(Part::Keys, "/jwks"));
    answer(&mut keys, document("rotated"), &host, 600.2);
    assert!(matches!(look(&mut keys, "rotated", &host, 600.3), (KeyLookup::Found(_), false)));
    // Beyond max_stale the place is not known any more: no keys are taken from there.
    for seconds in [1200.2, 1800.3, 2400.4, 3000.5] {
        assert_eq!(begins(&mut keys, &host, seconds), part(Part::Metadata, METADATA));
        keys.answer(Part::Metadata, Err(FetchFailed::NoAnswer), &host, at(seconds).mono);
        assert_eq!(begins(&mut keys, &host, seconds), part(Part::Keys, "/jwks"));
        answer(&mut keys, document("rotated"), &host, seconds);
    }
    assert_eq!(begins(&mut keys, &host, 3600.6), part(Part::Metadata, METADATA));
    keys.answer(Part::Metadata, Err(FetchFailed::NoAnswer), &host, at(3600.6).mono);
    assert_eq!(begins(&mut keys, &host, 3600.6), None);
    assert!(matches!(look(&mut keys, "rotated", &host, 3600.7), (KeyLookup::Found(_), false)));
    assert!(
        matches!(look(&mut keys, "random", &host, 3600.7), (KeyLookup::Unknown, false)),
        "nobody waits for nothing"
    );
}

#[test]
fn metadata_that_is_not_believed_changes_nothing_and_the_operator_is_told() {
    for (body, remedy) in [
        (
            r#"{"issuer":"https://evil.example.com","jwks_uri":"https://as.example.com/jwks"}"#,
            "that of \"https://evil.example.com\"",
        ),
        (
            r#"{"issuer":"https://as.example.com","jwks_uri":"https://evil.example.com/jwks"}"#,
            "write it into \"hosts\"",
        ),
        (r#"{"issuer":"https://as.example.com","jwks_uri":"http://as.example.com/jwks"}"#, "publish an https URL"),
    ] {
        let host = FakeHost::default();
        let mut keys = known(&host);
        keys.follow("issuers.main", &JwksSource::discovered());
        assert_eq!(begins(&mut keys, &host, 600.0), part(Part::Metadata, METADATA));
        let answer = HttpAnswer { status: 200, body: body.as_bytes().to_vec(), ..HttpAnswer::default() };
        let Outcome::Failed(Some(text)) = keys.answer(Part::Metadata, Ok(answer), &host, at(600.0).mono) else {
            panic!()
        };
        let place =
            "issuers.main.jwks: metadata at https://as.example.com/.well-known/openid-configuration (cluster as): ";
        assert!(text.starts_with(place) && text.contains(remedy), "{text}");
        assert_eq!(begins(&mut keys, &host, 600.0), part(Part::Keys, "/jwks"), "where they were");
        assert!(matches!(look(&mut keys, "first", &host, 601.0), (KeyLookup::Found(_), false)));
    }
}

#[test]
fn keys_that_have_moved_are_found_where_they_are_gone_or_a_kid_is_unknown() {
    let host = FakeHost::default();
    let mut keys = known(&host);
    // Gone: the next attempt that is not within half a minute of the metadata asks it first.
    assert_eq!(begins(&mut keys, &host, 600.0), part(Part::Metadata, METADATA));
    keys.answer(Part::Metadata, metadata("/jwks"), &host, at(600.0).mono);
    assert_eq!(begins(&mut keys, &host, 600.0), part(Part::Keys, "/jwks"));
    let gone = || Ok(HttpAnswer { status: 404, ..HttpAnswer::default() });
    answer(&mut keys, gone(), &host, 600.0);
    let mut seconds = 600.0;
    let next = loop {
        seconds += 0.1;
        match begins(&mut keys, &host, seconds) {
            Some((Part::Keys, path)) => {
                assert_eq!(path, "/jwks");
                answer(&mut keys, gone(), &host, seconds);
            }
            Some(next) => break next,
            None => assert!(seconds < 640.0, "never asked"),
        }
    };
    assert_eq!(Some(next), part(Part::Metadata, METADATA));
    keys.answer(Part::Metadata, metadata("/moved"), &host, at(seconds).mono);
    while begins(&mut keys, &host, seconds).is_none() {
        seconds += 0.1;
    }
    answer(&mut keys, document("first"), &host, seconds);
    assert!(matches!(look(&mut keys, "first", &host, seconds), (KeyLookup::Found(_), false)));

    // Another place, and nobody knows it but the metadata.
    seconds += 100.0;
    assert!(matches!(look(&mut keys, "rotated", &host, seconds), (KeyLookup::Wait, true)));
    keys.answer(Part::Metadata, metadata("/again"), &host, at(seconds).mono);
    assert_eq!(begins(&mut keys, &host, seconds), part(Part::Keys, "/again"));
    answer(&mut keys, document("rotated"), &host, seconds);
    assert!(matches!(look(&mut keys, "rotated", &host, seconds), (KeyLookup::Found(_), false)));
}

#[test]
fn random_kids_cause_one_fetch_of_each_document_in_thirty_seconds_for_all_workers() {
    let host = FakeHost::default();
    let mut workers = [known(&host), known(&host)];
    let mut fetches = Vec::new();
    for step in 0..290_u32 {
        let (worker, seconds) = (&mut workers[(step % 2) as usize], 100.0 + f64::from(step) / 10.0);
        let lookup = worker.lookup(&header(&format!("random-{step}")), &host, at(seconds).mono);
        assert!(matches!(lookup, KeyLookup::Wait) == (step == 0), "{step}");
        while let Some((part, _)) = worker.begin(true, &host, at(seconds).mono) {
            fetches.push(part);
            let answer = if part == Part::Keys { document("first") } else { metadata("/jwks") };
            worker.answer(part, answer, &host, at(seconds).mono);
        }
    }
    assert_eq!(fetches, [Part::Metadata, Part::Keys]);
}
