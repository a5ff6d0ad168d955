//! Requests that a service of the fleet counts: what it granted is used once, or serves another request.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::limit::fleet::fake::Hour;

/// A route with a limit of this proxy and one of the fleet.
fn fleet(local: &str, fleet: &[&str]) -> Scene {
    Scene::new(&limited(local, fleet))
}

fn limited(local: &str, fleet: &[&str]) -> Value {
    let mut config = config();
    config["services"] = json!({"fleet": {
        "kind": "ratelimit", "cluster": "ratelimit", "domain": "boundgate", "timeout": "20ms", "lease": 200, "on_error": "refuse"
    }});
    config["limits"]["per-client"] = json!({"key": ["client_id"], "rate": local});
    for name in fleet {
        config["limits"][name] = json!({"key": ["client_id"], "rate": "1000/h", "service": "fleet"});
    }
    let names: Vec<&str> = [&["per-client"], fleet].concat();
    config["resources"][0]["routes"][3]["limits"] = json!(names);
    config
}

fn service() -> Hour {
    Hour { quota: 1000, counted: 0 }
}

/// So many requests of alice, all waiting for the first answer.
fn crowd(scene: &mut Scene, size: u32) -> Vec<Exchange> {
    let waiting = (1..=size).map(|id| {
        let request = get("/limited").peer(ALICE).token(&token()).number(id);
        let mut exchange = scene.exchange(&request);
        assert!(matches!(scene.poll(&mut exchange, Some(ALICE)), Step::Wait));
        exchange
    });
    waiting.collect()
}

/// Answers every ask, until there is none.
fn serve(scene: &mut Scene, service: &mut Hour) -> Vec<ExchangeId> {
    let mut woken = Vec::new();
    while let Some((call, ask)) = scene.ask() {
        let answer = service.answer(&ask);
        woken.extend(scene.answer(call, Ok(Answered::Grpc(answer))));
    }
    woken
}

/// How many pass without an ask and while nothing else stops them.
fn leased(scene: &mut Scene) -> u32 {
    scene.seconds += 1.0;
    let mut passed = 0;
    loop {
        let mut exchange = scene.exchange(&get("/limited").peer(ALICE).token(&token()).number(9_000_000 + passed));
        match scene.poll(&mut exchange, Some(ALICE)) {
            Step::Done(verdict) => {
                forwarded(verdict);
                passed += 1;
                scene.seconds += 0.3;
            }
            Step::Wait => {
                scene.leave(&mut exchange);
                return passed;
            }
        }
    }
}

/// Polls all; how many passed.
fn passed(scene: &mut Scene, exchanges: &mut [Exchange]) -> u32 {
    let mut passed = 0;
    for exchange in exchanges {
        match scene.poll(exchange, Some(ALICE)) {
            Step::Done(Verdict::Forward(_)) => passed += 1,
            Step::Done(_) => {}
            Step::Wait => panic!("it waits again"),
        }
    }
    passed
}

#[test]
fn what_a_service_granted_to_requests_that_a_local_limit_refuses_meanwhile_serves_later_ones() {
    let mut scene = fleet("4/s", &["fleet-hour"]);
    let mut service = service();
    let mut waiting = crowd(&mut scene, 100);
    assert_eq!(serve(&mut scene, &mut service).len(), 100);
    let served = passed(&mut scene, &mut waiting);
    assert_eq!(served, 4);
    assert_eq!(leased(&mut scene), service.counted - served);
}

#[test]
fn what_a_service_granted_to_a_request_whose_token_expires_meanwhile_serves_later_ones() {
    let mut scene = fleet("100/s", &["fleet-hour"]);
    let mut service = service();
    let expires = |id: u32, seconds: u64| {
        let exp = at(0.0).wall.as_millis() / 1000 - 30 + seconds;
        get("/limited").peer(ALICE).token(&token().claim("exp", json!(exp))).number(id)
    };
    let mut exchange = scene.exchange(&expires(1, 1));
    assert!(matches!(scene.poll(&mut exchange, Some(ALICE)), Step::Wait));
    assert_eq!(serve(&mut scene, &mut service), [ExchangeId(1)]);
    scene.seconds = 1.0;
    let Step::Done(verdict) = scene.poll(&mut exchange, Some(ALICE)) else { panic!() };
    assert_eq!(refused(verdict).reason, Reason::TokenExpired);
    assert_eq!(leased(&mut scene), service.counted);
}

#[test]
fn what_a_service_granted_to_a_client_that_hangs_up_serves_later_requests() {
    let mut scene = fleet("100/s", &["fleet-hour"]);
    let mut service = service();
    let mut waiting = crowd(&mut scene, 60);
    for exchange in &mut waiting[..20] {
        scene.leave(exchange);
    }
    serve(&mut scene, &mut service);
    for exchange in &mut waiting[20..40] {
        scene.leave(exchange);
    }
    let served = passed(&mut scene, &mut waiting[40..]);
    assert_eq!(served, 20);
    assert_eq!(leased(&mut scene), service.counted - served);
}

#[test]
fn what_one_limit_granted_is_given_back_when_the_next_one_is_spent() {
    let mut scene = fleet("100/s", &["first", "second"]);
    let (mut first, mut second) = (service(), Hour { quota: 0, counted: 0 });
    let mut waiting = crowd(&mut scene, 1);
    assert_eq!(serve(&mut scene, &mut first), [ExchangeId(1)]);
    assert!(matches!(scene.poll(&mut waiting[0], Some(ALICE)), Step::Wait));
    assert_eq!(serve(&mut scene, &mut second), [ExchangeId(1)]);
    let Step::Done(verdict) = scene.poll(&mut waiting[0], Some(ALICE)) else { panic!() };
    assert_eq!(refused(verdict).reason, Reason::OverLimit);
    let next = refused(scene.run(&get("/limited").peer(ALICE).token(&token())));
    assert_eq!(next.reason, Reason::OverLimit, "it does not wait for the first again");
}

#[test]
fn a_key_that_is_withdrawn_while_a_request_waits_for_permits_vouches_for_it_no_longer() {
    let mut config = limited("100/s", &["fleet-hour"]);
    config["issuers"] = remote_keys()["issuers"].clone();
    let mut scene = Scene::new(&config);
    let mut service = service();
    let exp = at(800.0).wall.as_millis() / 1000;
    let mut exchange = scene.exchange(&get("/limited").peer(ALICE).token(&token().claim("exp", json!(exp))));
    scene.poll(&mut exchange, Some(ALICE));
    let call = scene.fetch().unwrap();
    assert_eq!(scene.answer_with_keys(call, &[jwk("k", 1)]), [ExchangeId(1)]);
    assert!(matches!(scene.poll(&mut exchange, Some(ALICE)), Step::Wait));
    assert_eq!(serve(&mut scene, &mut service), [ExchangeId(1)]);
    scene.seconds = 600.0;
    scene.tick();
    let call = scene.fetch().unwrap();
    scene.answer_with_keys(call, &[jwk("k", 2)]);
    let Step::Done(verdict) = scene.poll(&mut exchange, Some(ALICE)) else { panic!() };
    assert_eq!(refused(verdict).reason, Reason::KeyUnknown);
}

#[test]
fn a_wait_for_permits_ends_at_its_deadline_while_others_wait_for_keys() {
    let mut config = limited("100/s", &["fleet-hour"]);
    config["resources"][0]["issuers"] = json!(["main", "slow"]);
    config["issuers"]["slow"] = remote_keys()["issuers"]["main"].clone();
    config["issuers"]["slow"]["issuer"] = json!("https://slow.example.com");
    let mut scene = Scene::new(&config);
    let slow = get("/orders/7").peer(ALICE).token(&token().claim("iss", json!("https://slow.example.com")));
    let mut slow: Vec<_> = (1000..1100).map(|id| scene.exchange(&slow.clone().number(id))).collect();
    for exchange in &mut slow {
        assert!(matches!(scene.poll(exchange, Some(ALICE)), Step::Wait));
    }
    let fetch = scene.fetch().unwrap();
    let mut waiting = crowd(&mut scene, 2);
    let (ask, _) = scene.ask().unwrap();
    scene.seconds = 0.02;
    // Both at once: who has the shorter time-out does not stand behind all others.
    let keys = json!({"keys": [jwk("another", 2)]}).to_string().into_bytes();
    scene.worker.answered(
        fetch,
        Ok(Answered::Http(HttpAnswer { status: 200, body: keys, ..HttpAnswer::default() })),
        &scene.host,
        at(0.02),
    );
    let woken = scene.tick();
    assert!(woken[..4].contains(&ExchangeId(1)) && woken[..4].contains(&ExchangeId(2)), "{woken:?}");
    assert_eq!(woken.len(), 102);
    for exchange in &mut waiting {
        let Step::Done(verdict) = scene.poll(exchange, Some(ALICE)) else { panic!() };
        assert_eq!(refused(verdict).reason, Reason::LimiterUnavailable);
    }
    slow.iter_mut().for_each(|exchange| scene.leave(exchange));
    assert_eq!(scene.answer(ask, Err(FetchFailed::NoAnswer)), []);
}

/// What may happen to requests that wait.
#[derive(Clone, Copy, Debug)]
enum Event {
    Comes,
    /// The service answers.
    Answered,
    /// A call fails.
    Failed,
    /// One of those that stand in line is polled.
    Polled,
    /// One of those that wait, wherever it stands, hangs up.
    HangsUp(usize),
    /// Milliseconds.
    Passes(u16),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Comes),
        2 => Just(Event::Answered),
        3 => Just(Event::Polled),
        2 => any::<usize>().prop_map(Event::HangsUp),
    ]
}

fn event_or_fault() -> impl Strategy<Value = Event> {
    prop_oneof![8 => event(), 1 => Just(Event::Failed), 2 => (1_u16..60).prop_map(Event::Passes)]
}

/// Requests with a limit of this proxy and one of the fleet, until nobody waits. How many passed, and what was counted.
fn happen(scene: &mut Scene, events: &[Event]) -> (u32, u32) {
    let request = get("/limited").peer(ALICE).token(&token());
    let (mut service, mut passed) = (service(), 0);
    let mut waiting = BTreeMap::new();
    let mut settle = |step, exchange, id, waiting: &mut BTreeMap<u32, Exchange>| match step {
        Step::Wait => drop(waiting.insert(id, exchange)),
        Step::Done(Verdict::Forward(_)) => passed += 1,
        Step::Done(_) => {}
    };
    for (id, event) in events.iter().enumerate() {
        let id = id as u32;
        match event {
            Event::Comes => {
                let mut exchange = scene.exchange(&request.clone().number(id));
                let step = scene.poll(&mut exchange, Some(ALICE));
                settle(step, exchange, id, &mut waiting);
            }
            Event::Answered => {
                if let Some((call, ask)) = scene.ask() {
                    let answer = Ok(Answered::Grpc(service.answer(&ask)));
                    scene.worker.answered(call, answer, &scene.host, at(scene.seconds));
                }
            }
            Event::Failed => {
                if let Some((call, _)) = scene.ask() {
                    scene.worker.answered(call, Err(FetchFailed::NoAnswer), &scene.host, at(scene.seconds));
                }
            }
            Event::Polled => {
                let now = at(scene.seconds);
                if let Some(ExchangeId(id)) = scene.worker.next_woken(&mut Batch::begin(now.mono), now) {
                    let mut exchange = waiting.remove(&id).expect("only those are named that wait");
                    let step = scene.poll(&mut exchange, Some(ALICE));
                    settle(step, exchange, id, &mut waiting);
                }
            }
            Event::HangsUp(any) => {
                let id = waiting.keys().nth(any % waiting.len().max(1)).copied();
                if let Some(mut exchange) = id.and_then(|id| waiting.remove(&id)) {
                    scene.leave(&mut exchange);
                }
            }
            Event::Passes(ms) => {
                scene.seconds += f64::from(*ms) / 1e3;
                scene.worker.tick(&scene.host, at(scene.seconds));
            }
        }
    }
    waiting.values_mut().for_each(|exchange| scene.leave(exchange));
    (passed, service.counted)
}

proptest! {
    #[test]
    fn whatever_ends_a_wait_each_permit_is_used_once_or_serves_a_later_request(
        events in proptest::collection::vec(event(), 0..60)
    ) {
        let mut scene = fleet("9/s", &["fleet-hour"]);
        let (passed, counted) = happen(&mut scene, &events);
        // What is asked when nobody waits any more is for those to come.
        while scene.ask().is_some() {}
        prop_assert_eq!(leased(&mut scene), counted - passed);
    }

    #[test]
    fn whatever_happens_nobody_passes_uncounted_and_nothing_is_left(
        events in proptest::collection::vec(event_or_fault(), 0..120)
    ) {
        let mut scene = fleet("9/s", &["fleet-hour"]);
        let (passed, counted) = happen(&mut scene, &events);
        prop_assert!(passed <= counted);
    }
}
