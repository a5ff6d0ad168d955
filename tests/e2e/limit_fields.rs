//! RateLimit fields of an upstream that counts as well: callers are told the stricter of both.

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
