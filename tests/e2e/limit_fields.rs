//! What callers are told about limits is true: how long to wait, what a limit is, and where they stand. An upstream that
//! counts as well keeps its say: callers are told the stricter of both.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use boundgate_testbed::{Answer, Testbed};
use serde_json::json;

use crate::expectations::{alices_token, with};

/// The answer to a first request, to which the upstream adds these fields. For this request Boundgate says:
/// 4 of 5 are left, and the budget is full again in a minute.
async fn told(bed: &Testbed, token: &str, case: &str, fields: &[&str]) -> Answer {
    let alice = bed.client("alice");
    let request = alice.get("/greedy").token(token).header("x-case", case);
    let request = fields.iter().fold(request, |request, field| request.header("x-upstream-field", field));
    let answer = request.send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

async fn bed(dialect: &'static str) -> (Testbed, String) {
    let own_budgets = move |config: &mut serde_json::Value| {
        config["x_ratelimit"] = json!(dialect);
        let limit = json!({"key": ["client_id", "header.x-case"], "rate": "1/min", "burst": 5});
        config["limits"] = json!({"a": limit});
        for route in config["resources"][0]["routes"].as_array_mut().unwrap() {
            route.as_object_mut().unwrap().remove("limits");
        }
        config["resources"][0]["routes"][4]["limits"] = json!(["a"]);
    };
    let bed = Testbed::start(with(own_budgets)).await;
    let token = alices_token(&bed).await;
    (bed, token)
}

#[tokio::test]
async fn the_stricter_of_both_is_told_on_one_line() {
    let (bed, token) = bed("off").await;
    for (case, sent, state, policy) in [
        ("nothing", &[][..], &[r#""a";r=4;t=60"#][..], r#""a";q=5;w=300"#),
        (
            "stricter",
            &[r#"ratelimit: "a";r=1;t=90;pk=:eA==:"#, r#"ratelimit-policy: "a";q=2;w=10"#],
            &[r#""a";r=1;t=90;pk=:eA==:"#],
            r#""a";q=2;w=10"#,
        ),
        (
            "looser",
            &[r#"ratelimit: "a";r=50;t=9"#, r#"ratelimit-policy: "a";q=100;w=10;qu="requests""#],
            &[r#""a";r=4;t=60"#],
            r#""a";q=5;w=300;qu="requests""#,
        ),
        (
            "another name",
            &[r#"RateLimit: "b";r=0;t=9"#, r#"RateLimit-Policy: "b";q=1;w=10"#],
            &[r#""b";r=0;t=9, "a";r=4;t=60"#],
            r#""b";q=1;w=10, "a";q=5;w=300"#,
        ),
        (
            "repeated lines",
            &[r#"ratelimit: "b";r=7"#, r#"ratelimit: "a";r=3"#, r#"ratelimit: "c";r=8"#],
            &[r#""b";r=7, "a";r=3;t=60, "c";r=8"#],
            r#""a";q=5;w=300"#,
        ),
        (
            "no list",
            &["ratelimit: limit=100, remaining=50"],
            &["limit=100, remaining=50", r#""a";r=4;t=60"#],
            r#""a";q=5;w=300"#,
        ),
    ] {
        let answer = told(&bed, &token, case, sent).await;
        assert_eq!(
            (answer.lines("ratelimit"), answer.lines("ratelimit-policy")),
            (state.iter().map(ToString::to_string).collect(), vec![policy.to_owned()]),
            "{case}"
        );
    }
}

#[tokio::test]
async fn the_older_fields_are_those_of_whoever_leaves_fewer_permits() {
    let (bed, token) = bed("envoy").await;
    let ours = [r#"5, 5;w=300;name="a""#, "4", "60"];
    for (case, remaining, expected) in
        [("stricter", "3", ["9", "3", "7"]), ("looser", "8", ours), ("no number", "few", ours)]
    {
        let remaining = format!("x-ratelimit-remaining: {remaining}");
        let sent = ["x-ratelimit-limit: 9", &remaining, "x-ratelimit-reset: 7", "retry-after: 33"];
        let answer = told(&bed, &token, case, &sent).await;
        let lines = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"].map(|name| answer.lines(name));
        assert_eq!(lines, expected.map(|value| vec![value.to_owned()]), "{case}");
        assert_eq!(answer.lines("retry-after"), ["33"]);
    }
}

/// `/greedy` with these limits, told in the older dialect as well.
async fn limited(limits: serde_json::Value, older: &str) -> (Testbed, String) {
    let own = |config: &mut serde_json::Value| {
        let names: Vec<_> = limits.as_object().unwrap().keys().cloned().collect();
        config["x_ratelimit"] = json!(older);
        config["limits"] = limits;
        let route = json!({"path": "/greedy", "scopes": ["read:orders"], "limits": names});
        config["resources"][0]["routes"] = json!([route]);
    };
    let bed = Testbed::start(with(own)).await;
    let token = alices_token(&bed).await;
    (bed, token)
}

#[tokio::test]
async fn a_caller_is_told_the_longest_wait_of_all_its_limits_and_that_is_enough() {
    let limits = json!({
        "by-second": {"key": ["client_id"], "rate": "1/s", "burst": 1},
        "failures": {"key": ["client_id"], "on": [401], "rate": "12/min", "burst": 1}
    });
    let (bed, token) = limited(limits, "off").await;
    let alice = bed.client("alice").kept();
    let failed = alice.get("/greedy").token(&token).header("x-upstream-status", "401").send().await;
    assert_eq!(failed.status, 401);
    let refusal = alice.get("/greedy").token(&token).send().await;
    assert_eq!(refusal.status, 429);
    let wait = refusal.header("retry-after").unwrap().parse().unwrap();
    assert!((2..=5).contains(&wait), "{wait}");
    assert_eq!(bed.upstream.count(), 1);
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(alice.get("/greedy").token(&token).send().await.status, 200);
}

#[tokio::test]
async fn shadow_limits_are_reported_each_by_itself() {
    let of = |rate| json!({"key": ["client_id"], "rate": rate, "shadow": true});
    let (bed, token) = limited(json!({"one": of("1/h"), "three": of("3/h")}), "off").await;
    let alice = bed.client("alice").kept();
    let mut reported = Vec::new();
    for _ in 0..5 {
        let answer = alice.get("/greedy").token(&token).send().await;
        assert_eq!((answer.status, answer.header("ratelimit")), (200, None));
        let line = bed.envoy.access_log_of(&answer).await;
        let audit: serde_json::Value = serde_json::from_str(line["audit"].as_str().unwrap()).unwrap();
        reported.push(audit["shadow_limits"].clone());
    }
    let (one, both) = (json!(["one"]), json!(["one", "three"]));
    assert_eq!(reported, [json!(null), one.clone(), one, both.clone(), both]);
    bed.envoy.stat_reaches("wasmcustom.boundgate.shadow_over_limit", 6).await.unwrap();
    assert_eq!(bed.upstream.count(), 5);
}

#[tokio::test]
async fn a_window_tells_the_rate_whatever_the_burst() {
    let limits = json!({
        "a": {"key": ["client_id"], "rate": "1000/s", "burst": 1},
        "b": {"key": ["client_id"], "rate": "100/s", "burst": 10},
        "c": {"key": ["client_id"], "rate": "1/min", "burst": 2}
    });
    let (bed, token) = limited(limits, "off").await;
    let answer = bed.client("alice").get("/greedy").token(&token).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.lines("ratelimit-policy"), [r#""a";q=1000;w=1, "b";q=100;w=1, "c";q=2;w=120"#]);
}

#[tokio::test]
async fn claims_of_every_type_have_budgets_of_their_own() {
    let (bed, _) = limited(json!({"l": {"key": ["claim.tenant"], "rate": "1/h"}}), "off").await;
    let alice = bed.client("alice").kept();
    let token = |tenant: Option<&serde_json::Value>| {
        let claims = bed.authority.claims().scope("read:orders").bound_to(&bed.pki.client("alice"));
        tenant.map_or(claims.clone(), |tenant| claims.set("tenant", tenant.clone())).sign()
    };
    let values =
        [json!("7"), json!(7), json!(true), json!(7.5), json!(["a"]), json!({"id": 7}), json!(u64::MAX)].map(Some);
    let mut passed = 0;
    for tenant in values.iter().map(Option::as_ref).chain([None]) {
        assert_eq!(alice.get("/greedy").token(&token(tenant)).send().await.status, 200, "{tenant:?}");
        passed += 1;
        assert_eq!(alice.get("/greedy").token(&token(tenant)).send().await.status, 429, "{tenant:?}");
        assert_eq!(bed.upstream.count(), passed, "{tenant:?}");
    }
    // The same number, and a claim without a value.
    for tenant in [json!(7.0), json!(null)] {
        assert_eq!(alice.get("/greedy").token(&token(Some(&tenant))).send().await.status, 429, "{tenant}");
    }
    assert_eq!(bed.upstream.count(), passed);
}

#[tokio::test]
async fn what_the_proxy_does_not_take_for_grpc_is_told_its_limits_in_a_problem_document() {
    let (bed, token) = limited(json!({"l": {"key": ["client_id"], "rate": "1/h"}}), "off").await;
    let alice = bed.client("alice").http2();
    assert_eq!(alice.get("/greedy").token(&token).send().await.status, 200);
    for kind in ["application/grpc; a=b", "application/grpcfoo", "text/plain"] {
        let answer = alice.post("/greedy").token(&token).header("content-type", kind).body([0; 5]).send().await;
        assert_eq!((answer.status, &answer.problem()["violated-policies"]), (429, &json!(["l"])), "{kind}");
        assert!(answer.header("retry-after").is_some(), "{kind}");
    }
    let answer = alice.grpc("/greedy").token(&token).send().await;
    assert_eq!((answer.status, answer.grpc_status()), (200, Some(8)));
    assert_eq!(bed.upstream.count(), 1);
}

#[tokio::test]
async fn a_reset_in_seconds_since_1970_agrees_with_retry_after() {
    let seconds = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let (bed, token) = limited(json!({"l": {"key": ["client_id"], "rate": "1/min"}}), "epoch").await;
    let alice = bed.client("alice").kept();
    assert_eq!(alice.get("/greedy").token(&token).send().await.status, 200);
    for _ in 0..5 {
        let sent = seconds();
        let refusal = alice.get("/greedy").token(&token).send().await;
        let received = seconds();
        assert_eq!(refusal.status, 429);
        let [wait, reset] =
            ["retry-after", "x-ratelimit-reset"].map(|name| refusal.header(name).unwrap().parse::<u64>().unwrap());
        // The wait is rounded up to whole seconds, and so is the moment at which it ends.
        assert!((sent + wait..=received + wait + 1).contains(&reset), "{sent}, {wait}, {reset}");
    }
    assert_eq!(bed.upstream.count(), 1);
}

#[tokio::test]
async fn callers_are_told_of_budgets_of_their_own_and_of_no_others() {
    let limits = json!({
        "constant": {"key": ["const.x"], "rate": "3/h"},
        "everyone": {"key": [], "rate": "4/h"},
        "mine": {"key": ["client_id"], "rate": "2/h"},
        "route": {"key": ["route"], "rate": "5/h"}
    });
    let (bed, token) = limited(limits, "envoy").await;
    let alice = bed.client("alice").kept();
    let answer = alice.get("/greedy").token(&token).send().await;
    assert_eq!(answer.lines("ratelimit-policy"), [r#""mine";q=2;w=3600"#]);
    assert_eq!(answer.lines("x-ratelimit-remaining"), ["1"]);
    assert_eq!(alice.get("/greedy").token(&token).send().await.status, 200);
    let other = bed.client("bob");
    let others = bed.token(&other).scope("read:orders").issue().await;
    assert_eq!(other.get("/greedy").token(&others).send().await.status, 200);
    // What others share is spent. Whoever asks is told to wait, but not where all of them stand.
    let refusal = other.get("/greedy").token(&others).send().await;
    assert_eq!((refusal.status, &refusal.problem()["violated-policies"]), (429, &json!(["constant"])));
    assert!(refusal.header("retry-after").is_some());
    for name in ["ratelimit", "ratelimit-policy", "x-ratelimit-remaining"] {
        assert_eq!(refusal.header(name), None, "{name}");
    }
    assert_eq!(bed.upstream.count(), 3);
}
