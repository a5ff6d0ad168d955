//! The dates of a token: when it begins and ends, and what is none.

use super::*;

#[test]
fn an_expiry_that_is_no_date_refuses_the_token_and_a_fraction_is_one() {
    let mut trial = Trial::new(&config());
    for value in [
        "null",
        "\"9999999999\"",
        "\"\"",
        "true",
        "[]",
        "[9999999999]",
        "{}",
        "-1",
        "-0.5",
        "0",
        "0.0",
        "9e99",
        "1e30",
        "9007199254740993",
        "9223372036854775807",
        "18446744073709551616",
        "253402300800",
        "1790000000000",
        "-9223372036854775808",
    ] {
        assert_eq!(trial.refuses(value, &with_claim("exp", Some(value))), Reason::ClaimsMalformed, "{value}");
    }
    assert_eq!(trial.refuses("missing", &with_claim("exp", None)), Reason::ClaimsMalformed);
    for value in ["1e400", "NaN", "Infinity", "-1e400"] {
        assert_eq!(trial.refuses(value, &with_claim("exp", Some(value))), Reason::TokenMalformed, "{value}");
    }
    let (reason, _) = trial.refused("seconds from now on", &bearing(&with_claim("exp", Some("3600"))), 401);
    assert_eq!(reason, Reason::TokenExpired);
    for value in ["253402300799", "4102444800"] {
        assert_eq!(trial.refuses(value, &with_claim("exp", Some(value))), Reason::LifetimeTooLong, "{value}");
    }
    let exp = start() + 290;
    let exponent = format!("{}.{:09}e9", exp / 1_000_000_000, exp % 1_000_000_000);
    for value in [exp.to_string(), format!("{exp}.5"), format!("{exp}.000"), exponent, format!("{exp}e0")] {
        trial.admits(&value, &with_claim("exp", Some(&value)));
    }
    trial.sums("expiries", (27, 5));
}

#[test]
fn a_token_ends_with_the_second_of_its_expiry_and_the_leeway() {
    let expired = "error=\"invalid_token\", error_description=\"The access token expired\"";
    for leeway in [0, 30] {
        let mut config = config();
        config["issuers"]["main"]["leeway"] = json!(format!("{leeway}s"));
        let mut trial = Trial::new(&config);
        let token = token();
        let end = 290.0 + f64::from(leeway);
        for seconds in [0.0, 289.0, end - 0.001] {
            trial.scene.seconds = seconds;
            trial.admits("before", &token.text());
        }
        for seconds in [end, end + 0.001, end + 1.0, end + 100_000.0] {
            trial.scene.seconds = seconds;
            // Known and new alike.
            for text in [token.text(), self::token().claim("jti", json!("new")).text()] {
                let (reason, challenge) = trial.refused("at the end", &bearing(&text), 401);
                assert!(reason == Reason::TokenExpired && challenge.contains(expired), "{challenge}");
            }
        }
        trial.sums("the end of a token", (8, 3));
    }
}

#[test]
fn a_token_is_not_good_before_its_time() {
    let mut trial = Trial::new(&config());
    let now = start();
    for value in [now + 31, now + 3_600, 253_402_300_799] {
        assert_eq!(trial.refuses("future", &with_claim("nbf", Some(&value.to_string()))), Reason::TokenNotYetValid);
    }
    for value in ["null", "\"1\"", "\"\"", "true", "[]", "{}", "-1", "9e99", "253402300800"] {
        assert_eq!(trial.refuses(value, &with_claim("nbf", Some(value))), Reason::ClaimsMalformed, "{value}");
    }
    assert_eq!(trial.refuses("1e400", &with_claim("nbf", Some("1e400"))), Reason::TokenMalformed);
    for value in ["0".to_owned(), "1".to_owned(), now.to_string(), (now + 30).to_string(), format!("{}.5", now - 1)] {
        trial.admits(&value, &with_claim("nbf", Some(&value)));
    }
    trial.admits("missing", &with_claim("nbf", None));
    trial.sums("not before", (13, 6));
}

#[test]
fn a_token_was_issued_in_the_past_and_lives_no_longer_than_is_allowed() {
    let mut trial = Trial::new(&config());
    let now = start();
    let issued = |iat: u64, life: u64| token().claim("iat", json!(iat)).claim("exp", json!(iat + life)).text();
    for iat in [now + 31, now + 61, now + 86_400] {
        assert_eq!(trial.refuses("future", &issued(iat, 60)), Reason::TokenNotYetValid);
    }
    for value in ["null", "\"1\"", "true", "[]", "{}", "-1", "0", "9e99"] {
        assert_eq!(trial.refuses(value, &with_claim("iat", Some(value))), Reason::ClaimsMalformed, "{value}");
    }
    assert_eq!(trial.refuses("missing", &with_claim("iat", None)), Reason::ClaimsMalformed);
    assert_eq!(trial.refuses("too long", &issued(now, 901)), Reason::LifetimeTooLong);
    assert_eq!(trial.refuses("issued long ago", &issued(now - 86_400, 86_400 + 60)), Reason::LifetimeTooLong);
    for iat in [now - 60, now, now + 10, now + 30] {
        trial.admits("just now", &issued(iat, 300));
    }
    trial.admits("as long as may be", &issued(now, 900));
    trial.sums("issued at", (14, 5));
}
