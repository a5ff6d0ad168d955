//! Routes that take API keys: who presents one is its client, to limits, upstream and record, and what it carries goes nowhere.

use sha2::{Digest, Sha256};

use super::*;
use crate::observe::audit_record;

const SHOP: &str = "shop-key-0123456789";
const DEPOT: &str = "depot-key-0123456789";

pub(super) fn digest(key: &str) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `config` with two keys and routes that take them.
fn keyed() -> Value {
    let mut config = config();
    config["api_keys"] = json!({
        "shop": {"sha256": digest(SHOP), "client_id": "alice", "scopes": ["read:stock"], "not_after": "2026-01-01T01:00:00Z"},
        "depot": {
            "sha256": {"env": "DEPOT_KEY"}, "client_id": "depot", "scopes": ["read:stock", "write:stock"],
            "peers": ["spiffe://example.org/client/*"]
        }
    });
    let resource = &mut config["resources"][0];
    resource["api_keys"] = json!(["shop", "depot"]);
    resource["forward"]["headers"]["x-scope"] = json!("scope");
    resource["forward"]["headers"]["x-user"] = json!("sub");
    let routes = resource["routes"].as_array_mut().unwrap();
    routes.extend([
        json!({"path": "/stock", "access": "key", "scopes": ["read:stock"]}),
        json!({"path": "/stock/{id}", "methods": ["PUT"], "access": "key", "scopes": ["write:stock"], "preflight": true}),
        json!({"path": "/scarce", "access": "key", "limits": ["per-client"]}),
        json!({"path": "/guess", "access": "key", "limits": ["guesses"]}),
    ]);
    config["limits"]["guesses"] = json!({"key": ["source"], "rate": "3/h", "burst": 3, "on": [401]});
    config
}

fn scene() -> Scene {
    Scene::on(FakeHost::default().with_variables(&[("DEPOT_KEY", &digest(DEPOT))]), &keyed())
}

fn with_key(path: &str, key: &str) -> Request {
    get(path).header("x-api-key", key)
}

#[test]
fn the_client_of_a_key_passes_and_the_upstream_learns_who_it_is_and_not_the_key() {
    let forward = forwarded(scene().run(&with_key("/stock", SHOP).header("x-user", "mallory")));
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(forward.upstream().set, [set("x-client-id", "alice"), set("x-scope", "read:stock")]);
    let mut removed = forward.upstream().remove.clone();
    removed.sort();
    assert_eq!(removed, ["x-api-key", "x-user"]);
}

#[test]
fn the_key_goes_upstream_on_no_route_of_its_resource_and_in_no_spelling() {
    let mut scene = scene();
    let token = token();
    for request in [get("/healthz"), get("/mesh").peer(ALICE), get("/orders/7").peer(ALICE).token(&token)] {
        let forward = forwarded(scene.run(&request.header("x-api-key", SHOP).header("x_api_key", SHOP)));
        let removed = &forward.upstream().remove;
        assert!(["x-api-key", "x_api_key"].iter().all(|name| removed.iter().any(|removed| removed == name)));
        assert!(scene.policy.resources[0].forward.spoofs_in_trailers("x-api-key"));
    }
    let mut reporting = keyed();
    reporting["mode"] = json!("report");
    let Verdict::Report(_, upstream) = Scene::new(&reporting).run(&with_key("/stock", "wrong")) else { panic!() };
    assert!(upstream.remove.contains(&"x-api-key".to_owned()));
}

#[test]
fn each_way_to_have_no_key_has_its_reason_and_its_challenge() {
    let mut scene = scene();
    let mut ask = |request: Request| {
        let refusal = refused(scene.run(&request));
        let answer = refusal.answer(AnswerForm::Problem, TOLD, at(0.0).wall);
        (refusal.reason, answer.status, header(&refusal, "www-authenticate"))
    };
    let challenge = Some("ApiKey realm=\"api\"".to_owned());
    for (request, reason) in [
        (get("/stock"), Reason::ApiKeyMissing),
        (get(&format!("/stock?x-api-key={SHOP}&api_key={SHOP}")), Reason::ApiKeyMissing),
        (get("/stock").header("authorization", &format!("Bearer {SHOP}")), Reason::ApiKeyMissing),
        (with_key("/stock", "wrong"), Reason::ApiKeyInvalid),
        (with_key("/stock", &digest(SHOP)), Reason::ApiKeyInvalid),
        (with_key("/stock", ""), Reason::ApiKeyInvalid),
        (with_key("/stock", &"a".repeat(513)), Reason::ApiKeyInvalid),
        (with_key("/stock", SHOP).header("x-api-key", SHOP), Reason::ApiKeyInvalid),
    ] {
        assert_eq!(ask(request), (reason, 401, challenge.clone()));
    }
    assert_eq!(ask(with_key("/scarce", "wrong")).0, Reason::ApiKeyInvalid);
}

#[test]
fn a_key_allows_what_its_client_may_and_over_the_connections_that_it_is_for() {
    let mut scene = scene();
    let put = |key: &str| request("PUT", "/stock/7").header("x-api-key", key);
    let refusal = refused(scene.run(&put(SHOP)));
    assert_eq!((refusal.reason, header(&refusal, "www-authenticate")), (Reason::ApiKeyScopeMissing, None));
    assert_eq!(refusal.answer(AnswerForm::Problem, TOLD, at(0.0).wall).status, 403);
    assert_eq!(refused(scene.run(&put(DEPOT))).reason, Reason::PeerMissing);
    forwarded(scene.run(&put(DEPOT).peer(ALICE)));
    let ask = request("OPTIONS", "/stock/7").header("origin", "https://a.example");
    forwarded(scene.run(&ask.header("access-control-request-method", "PUT")));
}

#[test]
fn a_route_may_take_some_of_the_keys_of_its_resource_and_no_others() {
    let mut config = keyed();
    config["resources"][0]["routes"]
        .as_array_mut()
        .unwrap()
        .push(json!({"path": "/depots", "access": "key", "scopes": ["read:stock"], "api_keys": ["depot"]}));
    let mut scene = Scene::on(FakeHost::default().with_variables(&[("DEPOT_KEY", &digest(DEPOT))]), &config);
    forwarded(scene.run(&with_key("/depots", DEPOT).peer(ALICE)));
    let refusal = refused(scene.run(&with_key("/depots", SHOP)));
    assert_eq!((refusal.reason, header(&refusal, "www-authenticate")), (Reason::ApiKeyNotAllowed, None));
    assert_eq!(refusal.answer(AnswerForm::Problem, TOLD, at(0.0).wall).status, 403);
    forwarded(scene.run(&with_key("/stock", SHOP)));
}

#[test]
fn a_key_ends_at_its_moment_and_a_digest_that_is_not_in_the_environment_is_nobodys() {
    let mut scene = scene();
    scene.seconds = 3599.0;
    forwarded(scene.run(&with_key("/stock", SHOP)));
    scene.seconds = 3600.0;
    assert_eq!(refused(scene.run(&with_key("/stock", SHOP))).reason, Reason::ApiKeyExpired);
    let mut without = Scene::new(&keyed());
    assert_eq!(refused(without.run(&with_key("/stock", DEPOT).peer(ALICE))).reason, Reason::ApiKeyInvalid);
    assert_eq!(
        without.policy.missing_digests(&without.host),
        [
            "api_keys.depot.sha256: the environment variable DEPOT_KEY is missing or no SHA-256 digest, so that nobody can use this key. \
             Set it in vm_config.environment_variables."
        ]
    );
    assert_eq!(scene.policy.missing_digests(&scene.host), [""; 0]);
}

#[test]
fn the_client_of_a_key_shares_no_budget_with_the_client_of_that_name_of_an_issuer() {
    let mut scene = scene();
    for _ in 0..2 {
        forwarded(scene.run(&with_key("/scarce", SHOP)));
    }
    assert_eq!(refused(scene.run(&with_key("/scarce", SHOP))).reason, Reason::OverLimit);
    forwarded(scene.run(&with_key("/scarce", DEPOT).peer(ALICE)));
    forwarded(scene.run(&get("/limited").peer(ALICE).token(&token())));
}

#[test]
fn a_source_that_guesses_is_locked_out_and_its_right_guess_is_not_looked_at() {
    let mut scene = scene();
    for _ in 0..3 {
        assert_eq!(refused(scene.run(&with_key("/guess", "wrong"))).reason, Reason::ApiKeyInvalid);
    }
    for key in ["wrong", SHOP] {
        assert_eq!(refused(scene.run(&with_key("/guess", key))).reason, Reason::SourceLockedOut);
    }
}

#[test]
fn the_record_names_the_key_and_never_holds_it() {
    let mut scene = scene();
    let mut record = |request: Request| {
        let mut exchange = scene.exchange(&request);
        let Step::Done(verdict) = scene.poll(&mut exchange, request.peer) else { panic!("it waits") };
        let text = audit_record(exchange.facts(), (&verdict).into());
        assert!(
            !text.contains(SHOP) && !text.contains(&digest(SHOP)) && !format!("{verdict:?}").contains(SHOP),
            "{text}"
        );
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let passed = record(with_key("/stock", SHOP));
    assert_eq!((&passed["api_key"], &passed["client_id"]), (&"shop".into(), &"alice".into()));
    assert_eq!((passed.get("iss"), passed.get("sub")), (None, None));
    let lacking = record(request("PUT", "/stock/7").header("x-api-key", SHOP));
    assert_eq!((&lacking["api_key"], &lacking["missing_scopes"]), (&"shop".into(), &json!(["write:stock"])));
    let unknown = record(with_key("/stock", "wrong"));
    assert_eq!((&unknown["reason"], unknown.get("client_id")), (&"api-key-invalid".into(), None));
}
