//! Exchanges that wait for keys, and what survives a configuration.

use super::*;

#[test]
fn requests_that_need_keys_wait_for_one_fetch_and_all_go_on() {
    let mut scene = Scene::new(&remote_keys());
    let requests: Vec<_> = (1..=3).map(|id| get("/orders/7").peer(ALICE).token(&token()).number(id)).collect();
    let mut exchanges: Vec<_> = requests.iter().map(|request| scene.exchange(request)).collect();
    for exchange in &mut exchanges {
        assert!(matches!(scene.poll(exchange, Some(ALICE)), Step::Wait));
    }
    let call = scene.fetch().unwrap();
    assert!(scene.fetch().is_none(), "one fetch for all");
    assert_eq!(scene.answer_with_keys(call, &[jwk("k", 1)]), [ExchangeId(1), ExchangeId(2), ExchangeId(3)]);
    for exchange in &mut exchanges {
        assert!(matches!(scene.poll(exchange, Some(ALICE)), Step::Done(Verdict::Forward(_))));
    }
}

#[test]
fn a_client_that_hangs_up_does_not_lose_the_fetch_for_the_others() {
    let mut scene = Scene::new(&remote_keys());
    let mut exchanges: Vec<_> =
        (1..=2).map(|id| scene.exchange(&get("/orders/7").peer(ALICE).token(&token()).number(id))).collect();
    for exchange in &mut exchanges {
        scene.poll(exchange, Some(ALICE));
    }
    scene.leave(&mut exchanges[0]);
    let call = scene.fetch().unwrap();
    assert_eq!(scene.answer_with_keys(call, &[jwk("k", 1)]), [ExchangeId(2)]);
    assert!(matches!(scene.poll(&mut exchanges[1], Some(ALICE)), Step::Done(Verdict::Forward(_))));
}

#[test]
fn without_keys_and_with_the_authorization_server_down_the_answer_is_503_and_when_to_retry() {
    let mut scene = Scene::new(&remote_keys());
    let mut exchange = scene.exchange(&get("/orders/7").peer(ALICE).token(&token()));
    scene.poll(&mut exchange, Some(ALICE));
    let call = scene.fetch().unwrap();
    let down = || Ok(Answered::Http(HttpAnswer { status: 503, body: Vec::new(), ..HttpAnswer::default() }));
    assert_eq!(scene.answer(call, down()), []);
    while scene.seconds < 4.85 {
        scene.seconds += 0.1;
        assert_eq!(scene.tick(), [], "it waits as long as one fetch may take");
        if let Some(call) = scene.fetch() {
            scene.answer(call, down());
        }
    }
    scene.seconds = 5.0;
    assert_eq!(scene.tick(), [ExchangeId(1)]);
    let Step::Done(verdict) = scene.poll(&mut exchange, Some(ALICE)) else { panic!() };
    let refusal = refused(verdict);
    assert_eq!((refusal.reason, header(&refusal, "retry-after").unwrap().as_str()), (Reason::KeysUnavailable, "1"));
    assert_eq!(header(&refusal, "www-authenticate"), None, "a good token must not be thrown away");
}

#[test]
fn requests_wait_for_the_attempt_that_succeeds_after_others_failed() {
    let mut scene = Scene::new(&remote_keys());
    let mut first = scene.exchange(&get("/orders/7").peer(ALICE).token(&token()));
    scene.poll(&mut first, Some(ALICE));
    let call = scene.fetch().unwrap();
    assert_eq!(scene.answer(call, Err(FetchFailed::NoAnswer)), []);
    assert!(scene.fetch().is_none(), "not at once");
    let mut second = scene.exchange(&get("/orders/7").peer(ALICE).token(&token()).number(2));
    scene.seconds = 0.1;
    assert!(matches!(scene.poll(&mut second, Some(ALICE)), Step::Wait));
    scene.seconds = 0.3;
    assert_eq!(scene.tick(), []);
    let call = scene.fetch().unwrap();
    assert_eq!(scene.answer_with_keys(call, &[jwk("k", 1)]), [ExchangeId(1), ExchangeId(2)]);
    for exchange in [&mut first, &mut second] {
        assert!(matches!(scene.poll(exchange, Some(ALICE)), Step::Done(Verdict::Forward(_))));
    }
}

#[test]
fn after_a_long_outage_a_request_that_waits_has_the_keys_fetched_within_a_second() {
    let mut scene = Scene::new(&remote_keys());
    let mut attempts = 0;
    while scene.seconds < 100.0 {
        scene.tick();
        if let Some(call) = scene.fetch() {
            attempts += 1;
            scene.answer(call, Err(FetchFailed::NoAnswer));
        }
        scene.seconds += 0.1;
    }
    assert!((18..36).contains(&attempts), "{attempts} while nobody waits");
    let mut exchange = scene.exchange(&get("/orders/7").peer(ALICE).token(&token()));
    let came = scene.seconds;
    assert!(matches!(scene.poll(&mut exchange, Some(ALICE)), Step::Wait));
    let call = loop {
        if let Some(call) = scene.fetch() {
            break call;
        }
        scene.seconds += 0.1;
        assert_eq!(scene.tick(), []);
    };
    assert!(scene.seconds - came < 1.15, "{}", scene.seconds - came);
    assert_eq!(scene.answer_with_keys(call, &[jwk("k", 1)]), [ExchangeId(1)]);
    assert!(matches!(scene.poll(&mut exchange, Some(ALICE)), Step::Done(Verdict::Forward(_))));
}

#[test]
fn waiting_again_for_another_fetch_makes_the_wait_no_longer() {
    let mut scene = Scene::new(&remote_keys());
    let mut exchange = scene.exchange(&get("/orders/7").peer(ALICE).token(&token()));
    scene.poll(&mut exchange, Some(ALICE));
    let call = scene.fetch().unwrap();
    scene.seconds = 4.0;
    assert_eq!(scene.answer_with_keys(call, &[jwk("another", 2)]), [ExchangeId(1)]);
    assert!(matches!(scene.poll(&mut exchange, Some(ALICE)), Step::Wait), "its kid is not there: another fetch");
    assert!(scene.fetch().is_some());
    scene.seconds = 5.0;
    assert_eq!(scene.tick(), [ExchangeId(1)]);
    let Step::Done(verdict) = scene.poll(&mut exchange, Some(ALICE)) else { panic!() };
    assert_eq!(refused(verdict).reason, Reason::KeysUnavailable);
}

#[test]
fn a_call_whose_end_is_never_reported_does_not_hold_anybody_for_ever() {
    let mut scene = Scene::new(&remote_keys());
    let mut exchange = scene.exchange(&get("/orders/7").peer(ALICE).token(&token()));
    scene.poll(&mut exchange, Some(ALICE));
    let call = scene.fetch().unwrap();
    scene.seconds = 4.9;
    assert_eq!(scene.tick(), []);
    scene.seconds = 5.0;
    assert_eq!(scene.tick(), [ExchangeId(1)]);
    let Step::Done(verdict) = scene.poll(&mut exchange, Some(ALICE)) else { panic!() };
    assert_eq!(refused(verdict).reason, Reason::KeysUnavailable);
    scene.seconds = 8.0;
    scene.tick();
    let late = scene.answer_with_keys(call, &[jwk("k", 1)]);
    assert_eq!(late, [], "an answer after its end changes nothing");
    scene.seconds = 8.5;
    scene.tick();
    assert!(scene.fetch().is_some(), "the next attempt");
}

#[test]
fn keys_and_tokens_survive_a_configuration_that_leaves_the_trust_alone() {
    let mut scene = Scene::new(&remote_keys());
    load_keys(&mut scene);
    let mut changed = remote_keys();
    changed["limits"]["per-client"]["burst"] = json!(5);
    adopt(&mut scene, &changed);
    forwarded(scene.run(&get("/orders/7").peer(ALICE).token(&token())));
}

#[test]
fn a_changed_trust_starts_without_keys() {
    let mut scene = Scene::new(&remote_keys());
    load_keys(&mut scene);
    let mut changed = remote_keys();
    changed["issuers"]["main"]["jwks"]["uri"] = json!("https://as.example.com/other");
    adopt(&mut scene, &changed);
    let mut exchange = scene.exchange(&get("/orders/7").peer(ALICE).token(&token()));
    assert!(matches!(scene.poll(&mut exchange, Some(ALICE)), Step::Wait));
    scene.leave(&mut exchange);
}

fn load_keys(scene: &mut Scene) {
    let mut exchange = scene.exchange(&get("/orders/7").peer(ALICE).token(&token()));
    scene.poll(&mut exchange, Some(ALICE));
    let call = scene.fetch().unwrap();
    scene.answer_with_keys(call, &[jwk("k", 1)]);
    assert!(matches!(scene.poll(&mut exchange, Some(ALICE)), Step::Done(Verdict::Forward(_))));
}

fn adopt(scene: &mut Scene, config: &Value) {
    scene.policy = policy(config);
    scene.worker.adopt(&scene.policy);
}

#[test]
fn many_that_waited_go_on_in_batches_and_all_pass() {
    let mut scene = Scene::new(&remote_keys());
    let request = get("/orders/7").peer(ALICE).token(&token());
    let mut exchanges: Vec<_> = (0..200).map(|id| scene.exchange(&request.clone().number(id))).collect();
    for exchange in &mut exchanges {
        assert!(matches!(scene.poll(exchange, Some(ALICE)), Step::Wait));
    }
    let call = scene.fetch().unwrap();
    let body = json!({"keys": [jwk("k", 1)]}).to_string().into_bytes();
    scene.worker.answered(
        call,
        Ok(Answered::Http(HttpAnswer { status: 200, body, ..HttpAnswer::default() })),
        &scene.host,
        at(0.1),
    );
    let mut polled = Vec::new();
    while scene.worker.pace() == Pace::Batches {
        let mut batch = Batch::begin(at(0.1).mono);
        let mut size = 0;
        while let Some(ExchangeId(id)) = scene.worker.next_woken(&mut batch, at(0.1)) {
            let step = scene.poll(&mut exchanges[id as usize], Some(ALICE));
            assert!(matches!(step, Step::Done(Verdict::Forward(_))));
            polled.push(id);
            size += 1;
        }
        assert!((1..=32).contains(&size));
    }
    assert_eq!(polled, (0..200).collect::<Vec<_>>());
}

#[test]
fn one_that_is_polled_before_it_is_named_waits_on_and_asks_for_nothing_more() {
    let mut scene = Scene::new(&remote_keys());
    let mut exchange = scene.exchange(&get("/orders/7").peer(ALICE).token(&token()));
    for _ in 0..3 {
        assert!(matches!(scene.poll(&mut exchange, Some(ALICE)), Step::Wait));
    }
    let call = scene.fetch().unwrap();
    assert!(scene.fetch().is_none());
    assert_eq!(scene.answer_with_keys(call, &[jwk("k", 1)]), [ExchangeId(1)]);
    assert!(matches!(scene.poll(&mut exchange, Some(ALICE)), Step::Done(Verdict::Forward(_))));
}

#[test]
fn large_heads_that_wait_are_bounded_in_bytes() {
    let mut scene = Scene::new(&remote_keys());
    let large = get("/orders/7").peer(ALICE).token(&token()).header("x-large", &"x".repeat(60_000));
    let mut exchanges = Vec::new();
    let refusal = loop {
        let mut exchange = scene.exchange(&large.clone().number(exchanges.len() as u32));
        match scene.poll(&mut exchange, Some(ALICE)) {
            Step::Wait => exchanges.push(exchange),
            Step::Done(verdict) => break refused(verdict),
        }
    };
    assert_eq!(refusal.reason, Reason::Overloaded);
    assert!((500..600).contains(&exchanges.len()), "32 MiB: {}", exchanges.len());
    scene.leave(&mut exchanges[0]);
    let mut next = scene.exchange(&large.number(1_000_000));
    assert!(matches!(scene.poll(&mut next, Some(ALICE)), Step::Wait));
    exchanges.push(next);
    exchanges.iter_mut().for_each(|exchange| scene.leave(exchange));
}

#[test]
fn a_call_that_the_proxy_does_not_send_ends_at_the_next_tick() {
    let mut scene = Scene::new(&remote_keys());
    let mut exchange = scene.exchange(&get("/orders/7").peer(ALICE).token(&token()));
    scene.poll(&mut exchange, Some(ALICE));
    let call = scene.fetch().unwrap();
    scene.worker.not_sent(call);
    assert_eq!(scene.worker.pace(), Pace::Pressed);
    assert_eq!(scene.tick(), []);
    assert!(scene.worker.calls_under_way().is_empty());
    scene.seconds = 0.3;
    scene.tick();
    assert!(scene.fetch().is_some(), "the next attempt");
    scene.leave(&mut exchange);
}

#[test]
fn keys_are_fetched_again_when_their_server_says_and_not_before() {
    for (says, due) in [("max-age=900", 900.0), ("max-age=60", 600.0), ("max-age=86400", 1800.0), ("no-cache", 600.0)] {
        let mut scene = Scene::new(&remote_keys());
        scene.tick();
        let call = scene.fetch().unwrap();
        let body = json!({ "keys": [jwk("k", 1)] }).to_string().into_bytes();
        let fields = AnswerFields { cache_control: Some(says.as_bytes().to_vec()), ..AnswerFields::default() };
        scene.answer(call, Ok(Answered::Http(HttpAnswer { status: 200, fields, body, ..HttpAnswer::default() })));
        scene.seconds = due - 0.1;
        scene.tick();
        assert!(scene.fetch().is_none(), "{says}");
        scene.seconds = due;
        scene.tick();
        assert!(scene.fetch().is_some(), "{says}");
    }
}

/// The keys where the metadata of the issuer says.
fn discovered_keys() -> Value {
    let mut config = remote_keys();
    config["issuers"]["main"]["jwks"] = json!({"cluster": "as", "discovery": "oauth-authorization-server"});
    config
}

fn metadata(jwks_uri: &str) -> Result<Answered, FetchFailed> {
    let body = json!({"issuer": "https://as.example.com", "jwks_uri": jwks_uri}).to_string().into_bytes();
    Ok(Answered::Http(HttpAnswer { status: 200, body, ..HttpAnswer::default() }))
}

#[test]
fn requests_wait_until_the_metadata_has_said_where_the_keys_are_and_they_are_fetched() {
    let mut scene = Scene::new(&discovered_keys());
    let mut exchange = scene.exchange(&get("/orders/7").peer(ALICE).token(&token()));
    assert!(matches!(scene.poll(&mut exchange, Some(ALICE)), Step::Wait));
    let (call, path) = scene.fetch_from().unwrap();
    assert_eq!(path, "/.well-known/oauth-authorization-server");
    assert_eq!(
        scene.answer(call, metadata("https://as.example.com/keys")),
        [],
        "nobody is named before the keys are there"
    );
    let (call, path) = scene.fetch_from().unwrap();
    assert_eq!(path, "/keys");
    assert_eq!(scene.answer_with_keys(call, &[jwk("k", 1)]), [ExchangeId(1)]);
    assert!(matches!(scene.poll(&mut exchange, Some(ALICE)), Step::Done(Verdict::Forward(_))));
    assert!(scene.fetch().is_none());
}

#[test]
fn keys_are_not_fetched_from_where_metadata_may_not_send_anybody() {
    let mut scene = Scene::new(&discovered_keys());
    let mut exchange = scene.exchange(&get("/orders/7").peer(ALICE).token(&token()));
    scene.poll(&mut exchange, Some(ALICE));
    while scene.seconds < 4.95 {
        if let Some((call, path)) = scene.fetch_from() {
            assert_eq!(path, "/.well-known/oauth-authorization-server");
            assert_eq!(scene.answer(call, metadata("https://169.254.169.254/keys")), []);
        }
        scene.seconds += 0.1;
        scene.tick();
    }
    scene.seconds = 5.1;
    scene.tick();
    let Step::Done(verdict) = scene.poll(&mut exchange, Some(ALICE)) else { panic!() };
    assert_eq!(refused(verdict).reason, Reason::KeysUnavailable);
}

#[test]
fn a_rotation_is_found_by_way_of_the_metadata_and_the_old_keys_tokens_end() {
    let mut scene = Scene::new(&discovered_keys());
    let mut first = scene.exchange(&get("/orders/7").peer(ALICE).token(&token()));
    scene.poll(&mut first, Some(ALICE));
    let call = scene.fetch().unwrap();
    scene.answer(call, metadata("https://as.example.com/keys"));
    let call = scene.fetch().unwrap();
    scene.answer_with_keys(call, &[jwk("k", 1)]);
    assert!(matches!(scene.poll(&mut first, Some(ALICE)), Step::Done(Verdict::Forward(_))));

    scene.seconds = 60.0;
    let mut next = scene
        .exchange(&get("/orders/7").peer(ALICE).token(&token().header("kid", json!("new")).signed_by(2)).number(2));
    assert!(matches!(scene.poll(&mut next, Some(ALICE)), Step::Wait));
    let (call, _) = scene.fetch_from().unwrap();
    assert_eq!(scene.answer(call, metadata("https://as.example.com/moved")), []);
    let (call, path) = scene.fetch_from().unwrap();
    assert_eq!(path, "/moved");
    assert_eq!(scene.answer_with_keys(call, &[jwk("new", 2)]), [ExchangeId(2)]);
    assert!(matches!(scene.poll(&mut next, Some(ALICE)), Step::Done(Verdict::Forward(_))));
    assert_eq!(refused(scene.run(&get("/orders/7").peer(ALICE).token(&token()).number(3))).reason, Reason::KeyUnknown);
}
