//! The shape of a request: how long its body is, what is in it, and whether it could be a replay.

use super::*;

fn shaped() -> Value {
    let mut config = config();
    config["resources"][0]["routes"].as_array_mut().unwrap().extend([
        json!({"path": "/upload", "access": "public", "accepts": ["application/json", "image/*"], "max_body": 10}),
        json!({"path": "/nothing", "access": "public", "max_body": 0}),
        json!({"path": "/spool", "scopes": ["read:orders"], "limits": ["per-client"], "max_body": "1KiB"}),
    ]);
    config
}

fn verdict(request: &Request) -> Verdict {
    Scene::new(&shaped()).run(request)
}

fn post(path: &str, length: &str, kind: &str) -> Request {
    request("POST", path).with_body().header("content-length", length).header("content-type", kind)
}

#[test]
fn a_body_is_as_long_as_the_route_takes_or_shorter() {
    for (length, passes) in [("0", true), ("10", true), ("11", false), ("99999999999999999999", false)] {
        match verdict(&post("/upload", length, "application/json")) {
            Verdict::Forward(_) => assert!(passes, "{length}"),
            other => {
                let refusal = refused(other);
                assert_eq!((refusal.reason, passes), (Reason::BodyTooLarge, false), "{length}");
                assert_eq!(refusal.answer(AnswerForm::Problem, TOLD, at(0.0).wall).status, 413);
            }
        }
    }
    forwarded(verdict(&post("/nothing", "0", "text/plain")));
    assert_eq!(refused(verdict(&post("/nothing", "1", "text/plain"))).reason, Reason::BodyTooLarge);
}

#[test]
fn a_body_has_a_type_that_the_route_accepts_and_a_request_without_one_needs_none() {
    for kind in ["application/json", "Application/JSON; charset=utf-8", "image/png"] {
        forwarded(verdict(&post("/upload", "5", kind)));
    }
    let of_unknown_length = request("POST", "/upload").with_body();
    forwarded(verdict(&of_unknown_length.clone().header("content-type", "image/png")));
    for other in [
        post("/upload", "5", "text/plain"),
        post("/upload", "5", "application/json,text/plain"),
        post("/upload", "5", "application/json").header("content-type", "application/json"),
        request("POST", "/upload").with_body().header("content-length", "5"),
        of_unknown_length,
    ] {
        let refusal = refused(verdict(&other));
        assert_eq!(refusal.reason, Reason::TypeNotAccepted);
        assert_eq!(header(&refusal, "accept").as_deref(), Some("application/json, image/*"));
        assert_eq!(refusal.answer(AnswerForm::Problem, TOLD, at(0.0).wall).status, 415);
    }
    forwarded(verdict(&get("/upload")));
    forwarded(verdict(&get("/upload").header("content-type", "text/plain")));
    forwarded(verdict(&post("/upload", "0", "text/plain")));
}

#[test]
fn whoever_may_not_use_the_route_is_told_that_first_and_a_refused_body_costs_nothing() {
    let mut scene = Scene::new(&shaped());
    let large = post("/spool", "1025", "text/plain");
    assert_eq!(refused(scene.run(&large)).reason, Reason::TokenMissing);
    let token = token();
    for _ in 0..3 {
        assert_eq!(refused(scene.run(&large.clone().peer(ALICE).token(&token))).reason, Reason::BodyTooLarge);
    }
    let small = post("/spool", "1024", "text/plain").peer(ALICE).token(&token);
    forwarded(scene.run(&small));
    forwarded(scene.run(&small));
    assert_eq!(refused(scene.run(&small)).reason, Reason::OverLimit);
}

impl Scene {
    /// What becomes of a request of which these facts are known, and more comes than its route takes.
    fn too_large(&mut self, facts: &mut AuditFacts) -> Verdict {
        let mut connection = FakeConnection::default();
        connection.0.insert(ConnectionProperty::SourceAddress, self.source.clone().into_bytes());
        let now = at(self.seconds);
        let mut around = Surroundings { worker: &mut self.worker, host: &self.host, connection: &connection, now };
        body_too_large(facts, &self.policy, &mut around)
    }
}

#[test]
fn a_body_that_turns_out_too_long_counts_against_its_source() {
    let mut config = shaped();
    config["limits"]["large"] = json!({"key": ["ip"], "rate": "1/min", "burst": 2, "on": [413]});
    config["resources"][0]["routes"] =
        json!([{"path": "/spool", "access": "public", "limits": ["large"], "max_body": 10}]);
    config["limits"].as_object_mut().unwrap().remove("per-client");
    let mut scene = Scene::new(&config);
    let resource = scene.policy.resources[0].clone();
    let route = resource.routes.iter().find(|route| !route.limits.is_empty()).unwrap().clone();
    let mut reasons = Vec::new();
    for _ in 0..3 {
        let (resource, route) = (Some(resource.clone()), Some(route.clone()));
        let mut facts = AuditFacts { resource, route, ..AuditFacts::default() };
        reasons.push(refused(scene.too_large(&mut facts)).reason);
    }
    assert_eq!(reasons, [Reason::BodyTooLarge, Reason::BodyTooLarge, Reason::OverLimit]);
}

#[test]
fn a_body_that_turns_out_too_long_is_refused_or_reported_as_the_resource_says() {
    let route = |scene: &Scene| scene.policy.resources[0].routes.iter().next().unwrap().clone();
    for (mode, refuses) in [("enforce", true), ("report", false)] {
        let mut config = shaped();
        config["mode"] = json!(mode);
        let mut scene = Scene::new(&config);
        let mut facts = AuditFacts {
            resource: Some(scene.policy.resources[0].clone()),
            route: Some(route(&scene)),
            ..AuditFacts::default()
        };
        let verdict = scene.too_large(&mut facts);
        assert_eq!(matches!(verdict, Verdict::Refuse(_)), refuses);
        let (Verdict::Refuse(refusal) | Verdict::Report(refusal, _)) = verdict else { panic!() };
        assert!(refusal.reason == Reason::BodyTooLarge && refusal.route.is_some());
    }
}

#[test]
fn what_could_be_a_replay_passes_only_where_a_replay_does_no_harm() {
    let early = |request: Request| request.header("early-data", "1");
    let token = token();
    forwarded(verdict(&early(get("/healthz"))));
    forwarded(verdict(&early(request("HEAD", "/healthz"))));
    for request in [
        request("POST", "/healthz"),
        get("/orders/7").peer(ALICE).token(&token),
        get("/orders/7"),
        get("/mesh").peer(ALICE),
        get("/orders/7").header("early-data", "1"),
    ] {
        let refusal = refused(verdict(&early(request)));
        assert_eq!(refusal.reason, Reason::TooEarly);
        assert_eq!(refusal.answer(AnswerForm::Problem, TOLD, at(0.0).wall).status, 425);
    }
}
