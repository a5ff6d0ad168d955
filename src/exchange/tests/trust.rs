//! Which issuer's keys a token is held to, and what a remembered one is worth when an issuer's trust changes, or when two resources
//! trust it differently. As in the proxy, the old policy lives on while its listener drains.

use super::*;
use crate::host::Digest;

const OTHER_HOST: &str = "other.example.com";

/// [`config`] and another resource that trusts the same `iss` by an entry of its own.
fn two_entries(keys: Value) -> Value {
    let mut config = config();
    let mut issuer = config["issuers"]["main"].clone();
    issuer["keys"] = json!({"keys": keys});
    config["issuers"]["other"] = issuer;
    let mut resource = config["resources"][0].clone();
    (resource["hosts"], resource["issuers"]) = (json!([OTHER_HOST]), json!(["other"]));
    config["resources"].as_array_mut().unwrap().push(resource);
    config
}

fn order() -> Request {
    get("/orders/7").peer(ALICE).token(&token())
}

fn order_at(host: &str) -> Request {
    let mut request = order();
    request.head[1].1 = host.into();
    request
}

/// Goes over to `config`; the old policy, which somebody still holds.
fn update(scene: &mut Scene, config: &Value) -> Rc<Policy> {
    let old = std::mem::replace(&mut scene.policy, policy(config));
    scene.worker.adopt(&scene.policy);
    old
}

fn load_keys(scene: &mut Scene, keys: &[Value]) {
    let call = scene.fetch().unwrap();
    scene.answer_with_keys(call, keys);
}

/// How many tokens were verified since the last time.
pub(super) fn verified(scene: &mut Scene) -> u32 {
    let tally = scene.worker.take_tally();
    let missed = Counter::TokenCacheMiss as usize;
    tally.events().find(|(event, _)| *event == missed).map_or(0, |(_, count)| count)
}

#[test]
fn a_change_of_keys_or_algorithms_logs_nobody_out_whose_token_still_verifies() {
    let both = json!([jwk("k", 1), jwk("new", 2)]);
    for (what, path, value) in [
        ("a key is added", "/issuers/main/keys/keys", both.clone()),
        ("an algorithm is added", "/issuers/main/algorithms", json!(["ES256", "Ed25519"])),
    ] {
        let mut scene = Scene::new(&config());
        forwarded(scene.run(&order()));
        let mut changed = config();
        *changed.pointer_mut(path).unwrap() = value;
        let old = update(&mut scene, &changed);
        forwarded(scene.run(&order()));
        forwarded(scene.run(&order()));
        assert_eq!(verified(&mut scene), 2, "{what}: once for each trust");
        let _new = std::mem::replace(&mut scene.policy, old);
        forwarded(scene.run(&order()));
        assert_eq!(verified(&mut scene), 0, "{what}: the old listener still knows it");
    }
    let mut before = config();
    before["issuers"]["main"]["keys"]["keys"] = both;
    let mut scene = Scene::new(&before);
    forwarded(scene.run(&order()));
    let _draining = update(&mut scene, &config());
    forwarded(scene.run(&order()));
}

#[test]
fn a_change_of_the_address_of_keys_logs_nobody_out_whose_token_still_verifies() {
    let mut scene = Scene::new(&remote_keys());
    let mut first = scene.exchange(&order());
    assert!(matches!(scene.poll(&mut first, Some(ALICE)), Step::Wait));
    scene.leave(&mut first);
    load_keys(&mut scene, &[jwk("k", 1)]);
    forwarded(scene.run(&order()));
    let mut changed = remote_keys();
    changed["issuers"]["main"]["jwks"]["uri"] = json!("https://as.example.com/other");
    let _draining = update(&mut scene, &changed);
    let mut exchange = scene.exchange(&order());
    assert!(matches!(scene.poll(&mut exchange, Some(ALICE)), Step::Wait));
    load_keys(&mut scene, &[jwk("k", 1), jwk("new", 2)]);
    assert!(matches!(scene.poll(&mut exchange, Some(ALICE)), Step::Done(Verdict::Forward(_))));
    forwarded(scene.run(&order()));
}

#[test]
fn a_remembered_token_that_the_changed_trust_would_not_take_is_refused() {
    for (member, value, reason) in [
        ("keys", json!({"keys": [jwk("new", 2)]}), Reason::KeyUnknown),
        ("keys", json!({"keys": [jwk("k", 2)]}), Reason::SignatureInvalid),
        ("typ", json!("example+jwt"), Reason::TypUnacceptable),
        ("issuer", json!("https://other.example.com"), Reason::IssuerUntrusted),
    ] {
        let mut scene = Scene::new(&config());
        forwarded(scene.run(&order()));
        let mut changed = config();
        changed["issuers"]["main"][member] = value;
        let _draining = update(&mut scene, &changed);
        for _ in 0..2 {
            assert_eq!(refused(scene.run(&order())).reason, reason, "{member}");
        }
    }
}

#[test]
fn two_entries_of_one_issuer_work_side_by_side_in_any_order() {
    let config = two_entries(json!([jwk("k", 1), jwk("new", 2)]));
    for hosts in [["api.example.com", OTHER_HOST], [OTHER_HOST, "api.example.com"]] {
        let mut scene = Scene::new(&config);
        for host in hosts.repeat(3) {
            forwarded(scene.run(&order_at(host)));
        }
        assert_eq!(verified(&mut scene), 2, "once for each trust");
    }
}

#[test]
fn issuers_of_one_resource_are_told_apart_by_their_exact_name_and_none_vouches_for_another() {
    let [main, elsewhere] = ["https://as.example.com", "https://other.example.com"];
    let mut config = config();
    let mut other = config["issuers"]["main"].clone();
    (other["issuer"], other["keys"]) = (json!(elsewhere), json!({"keys": [jwk("k", 2)]}));
    config["issuers"]["other"] = other;
    config["resources"][0]["issuers"] = json!(["main", "other"]);
    let mut scene = Scene::new(&config);
    let of =
        |issuer: &str, seed| get("/orders/7").peer(ALICE).token(&token().claim("iss", json!(issuer)).signed_by(seed));
    for _ in 0..2 {
        for (issuer, own, foreign) in [(main, 1, 2), (elsewhere, 2, 1)] {
            forwarded(scene.run(&of(issuer, own)));
            assert_eq!(refused(scene.run(&of(issuer, foreign))).reason, Reason::SignatureInvalid, "{issuer}");
        }
    }
    for nearly in ["https://as.example.com/", "https://AS.example.com", "https://as.example.com:443", "as.example.com"]
    {
        for seed in [1, 2] {
            assert_eq!(refused(scene.run(&of(nearly, seed))).reason, Reason::IssuerUntrusted, "{nearly}");
        }
    }
}

#[test]
fn a_token_remembered_under_one_trust_passes_under_no_other_that_would_not_take_it() {
    for (key, reason) in [(jwk("k", 2), Reason::SignatureInvalid), (jwk("new", 2), Reason::KeyUnknown)] {
        for first in ["api.example.com", OTHER_HOST] {
            let mut scene = Scene::new(&two_entries(json!([key])));
            scene.run(&order_at(first));
            for _ in 0..2 {
                forwarded(scene.run(&order()));
                assert_eq!(refused(scene.run(&order_at(OTHER_HOST))).reason, reason);
            }
        }
    }
}

#[test]
fn the_keys_of_a_trust_are_fetched_as_long_as_a_policy_needs_them_and_no_longer() {
    let mut scene = Scene::new(&remote_keys());
    scene.worker.tick(&scene.host, at(scene.seconds));
    load_keys(&mut scene, &[jwk("k", 1)]);
    forwarded(scene.run(&order()));
    let mut changed = remote_keys();
    changed["issuers"]["main"]["jwks"]["uri"] = json!("https://as.example.com/other");
    let draining = update(&mut scene, &changed);
    let paths_fetched = |scene: &mut Scene, seconds: f64| {
        scene.seconds = seconds;
        scene.worker.tick(&scene.host, at(seconds));
        let mut paths = Vec::new();
        while let Some((call, path)) = scene.fetch_from() {
            paths.push(path);
            scene.answer_with_keys(call, &[jwk("k", 1)]);
        }
        // Trusts take turns by a digest of all that they rely on.
        paths.sort();
        paths
    };
    assert_eq!(paths_fetched(&mut scene, 1.0), ["/other"]);
    assert_eq!(paths_fetched(&mut scene, 700.0), ["/jwks", "/other"]);
    drop(draining);
    assert_eq!(paths_fetched(&mut scene, 1400.0), ["/other"]);
    assert_eq!(paths_fetched(&mut scene, 2100.0), ["/other"]);
}

#[test]
fn a_trust_that_comes_back_after_its_end_starts_anew() {
    let mut scene = Scene::new(&config());
    forwarded(scene.run(&order()));
    let mut changed = config();
    changed["issuers"]["main"]["keys"] = json!({"keys": [jwk("k", 1), jwk("new", 2)]});
    drop(update(&mut scene, &changed));
    scene.worker.tick(&scene.host, at(0.0));
    let _draining = update(&mut scene, &config());
    forwarded(scene.run(&order()));
    assert_eq!(verified(&mut scene), 2, "what nobody needed was not kept");
}

#[test]
fn a_listener_with_a_smaller_cache_does_not_shrink_the_one_it_shares() {
    let sized = |entries: u32| {
        let mut config = config();
        config["token_cache"] = json!({ "entries": entries });
        config
    };
    let mut scene = Scene::new(&sized(1_000));
    let clients = |scene: &mut Scene, numbers: std::ops::Range<u32>| {
        for number in numbers {
            forwarded(scene.run(&get("/orders/7").peer(ALICE).token(&token().claim("jti", json!(number.to_string())))));
        }
        verified(scene)
    };
    let large = update(&mut scene, &sized(16));
    assert_eq!((clients(&mut scene, 0..100), clients(&mut scene, 0..100)), (100, 0));
    drop(large);
    scene.worker.tick(&scene.host, at(0.0));
    clients(&mut scene, 100..200);
    assert!(clients(&mut scene, 100..200) >= 84, "the small bound holds once it is the only one");
}

#[test]
fn an_algorithm_that_this_proxy_cannot_verify_is_no_fault_of_the_token() {
    let mut config = config();
    config["issuers"]["main"]["algorithms"] = json!(["ES256", "ES512"]);
    for (lost, algorithm) in [(Digest::Sha512, "ES512"), (Digest::Sha256, "ES256")] {
        let mut scene = Scene::on(FakeHost::without(&[lost]), &config);
        let good = token().header("alg", json!(algorithm));
        let refusal = refused(scene.run(&get("/orders/7").peer(ALICE).token(&good)));
        assert_eq!(refusal.reason, Reason::FilterUnavailable, "{algorithm}");
        assert_eq!(header(&refusal, "www-authenticate"), None, "a good token must not be thrown away");
    }
    let mut scene = Scene::on(FakeHost::without(&[Digest::Sha512]), &config);
    forwarded(scene.run(&order()));
}
