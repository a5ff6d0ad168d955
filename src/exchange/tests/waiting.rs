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
    let keys = json!({"keys": [jwk("k", 1)]}).to_string().into_bytes();
    let woken = scene.worker.fetched(call.id, Ok(HttpAnswer { status: 200, body: keys }), &scene.host, at(0.1));
    assert_eq!(woken, [ExchangeId(1), ExchangeId(2), ExchangeId(3)]);
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
    assert_eq!(scene.worker.fetched(call.id, Err(FetchFailed::NoAnswer), &scene.host, at(0.1)), [ExchangeId(2)]);
}

#[test]
fn without_keys_and_with_the_authorization_server_down_the_answer_is_503_and_when_to_retry() {
    let mut scene = Scene::new(&remote_keys());
    let mut exchange = scene.exchange(&get("/orders/7").peer(ALICE).token(&token()));
    scene.poll(&mut exchange, Some(ALICE));
    let call = scene.fetch().unwrap();
    scene.worker.fetched(call.id, Ok(HttpAnswer { status: 503, body: Vec::new() }), &scene.host, at(0.0));
    let Step::Done(verdict) = scene.poll(&mut exchange, Some(ALICE)) else { panic!() };
    let refusal = refused(verdict);
    assert_eq!((refusal.reason, header(&refusal, "retry-after").unwrap().as_str()), (Reason::KeysUnavailable, "1"));
    assert_eq!(header(&refusal, "www-authenticate"), None, "a good token must not be thrown away");
}

#[test]
fn a_call_whose_end_is_never_reported_does_not_hold_anybody_for_ever() {
    let mut scene = Scene::new(&remote_keys());
    let mut exchange = scene.exchange(&get("/orders/7").peer(ALICE).token(&token()));
    scene.poll(&mut exchange, Some(ALICE));
    let call = scene.fetch().unwrap();
    assert_eq!(scene.worker.tick(&scene.host, at(6.0)), []);
    assert_eq!(scene.worker.tick(&scene.host, at(8.0)), [ExchangeId(1)]);
    let keys = json!({"keys": [jwk("k", 1)]}).to_string().into_bytes();
    let late = scene.worker.fetched(call.id, Ok(HttpAnswer { status: 200, body: keys }), &scene.host, at(8.1));
    assert_eq!(late, [], "an answer after its end changes nothing");
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
}

fn load_keys(scene: &mut Scene) {
    let mut exchange = scene.exchange(&get("/orders/7").peer(ALICE).token(&token()));
    scene.poll(&mut exchange, Some(ALICE));
    let call = scene.fetch().unwrap();
    let keys = json!({"keys": [jwk("k", 1)]}).to_string().into_bytes();
    scene.worker.fetched(call.id, Ok(HttpAnswer { status: 200, body: keys }), &scene.host, at(0.0));
    assert!(matches!(scene.poll(&mut exchange, Some(ALICE)), Step::Done(Verdict::Forward(_))));
}

fn adopt(scene: &mut Scene, config: &Value) {
    scene.policy = policy(config);
    scene.worker.adopt(&scene.policy);
}
