//! What docs/operations.md says of limits in words.

use super::*;

/// How many requests pass in the first minute, where one comes every tenth of a second; and how many of them at once.
fn first_minute(rate: &str, burst: Option<u32>) -> (usize, usize) {
    let mut config = config();
    config["limits"]["per-client"] = json!({"key": ["client_id"], "rate": rate});
    if let Some(burst) = burst {
        config["limits"]["per-client"]["burst"] = json!(burst);
    }
    let mut scene = Scene::new(&config);
    let request = get("/limited").peer(ALICE).token(&token());
    let passes = |scene: &mut Scene| matches!(scene.run(&request), Verdict::Forward(_));
    let at_once = (0..300).filter(|_| passes(&mut scene)).count();
    let later = (1..600).filter(|tenth| {
        scene.seconds = f64::from(*tenth) / 10.0;
        passes(&mut scene)
    });
    (at_once, at_once + later.count())
}

#[test]
fn a_hundred_a_minute_lets_a_hundred_through_at_once_and_up_to_two_hundred_in_the_first_minute() {
    assert_eq!(first_minute("100/min", None), (100, 199));
}

#[test]
fn burst_and_rate_together_are_what_never_is_exceeded_in_a_minute() {
    assert_eq!(first_minute("50/min", Some(50)), (50, 99));
    assert_eq!(first_minute("90/min", Some(10)), (10, 99));
}

#[test]
fn one_limit_on_two_routes_is_one_budget() {
    let mut config = config();
    config["resources"][0]["routes"][1]["limits"] = json!(["per-client"]);
    let mut scene = Scene::new(&config);
    for path in ["/limited", "/orders/7"] {
        forwarded(scene.run(&get(path).peer(ALICE).token(&token())));
    }
    assert_eq!(refused(scene.run(&get("/limited").peer(ALICE).token(&token()))).reason, Reason::OverLimit);
}
