//! Peers that come back, and connections that were opened for another host.

use super::*;

/// The proxy says of resumed sessions that nothing was validated.
fn resumed(scene: &mut Scene, request: &Request) -> Verdict {
    scene.validates = false;
    let verdict = scene.run(request);
    scene.validates = true;
    verdict
}

#[test]
fn a_peer_is_known_on_a_resumed_session_whatever_its_first_request_was() {
    let stranger = [0x55; 32];
    for first in
        [get("/mesh"), get("/healthz"), get("/orders/7"), get("/nowhere"), get("/a//b"), get("/mesh").host("x")]
    {
        let mut scene = Scene::new(&config());
        scene.run(&first.peer(ALICE));
        forwarded(resumed(&mut scene, &get("/mesh").peer(ALICE)));
        let refusal = refused(resumed(&mut scene, &get("/mesh").peer(stranger)));
        assert_eq!(refusal.reason, Reason::PeerUnidentified);
    }
}

#[test]
fn who_was_never_validated_is_nobody() {
    let mut scene = Scene::new(&config());
    for _ in 0..3 {
        assert_eq!(refused(resumed(&mut scene, &get("/mesh").peer(ALICE))).reason, Reason::PeerUnidentified);
    }
}

#[test]
fn a_policy_that_asks_nobodys_identity_marks_nothing() {
    let mut config = config();
    config["resources"][0]["routes"].as_array_mut().unwrap().retain(|route| route["path"] != "/mesh");
    let mut scene = Scene::new(&config);
    forwarded(scene.run(&get("/healthz").peer(ALICE)));
    assert!(scene.host.keys("boundgate/certificates/").is_empty());
}
