//! Routes whose tokens come from the address that a claim names. Every request here comes from 192.0.2.1, unless it says another.

use super::*;

fn from(source: &str, rule: &Value, ip: Value) -> Result<(), &'static str> {
    let mut config = config();
    config["resources"][0]["routes"][1]["source_ip"] = rule.clone();
    let mut scene = Scene::new(&config);
    scene.source = source.to_owned();
    match scene.run(&get("/orders/7").peer(ALICE).token(&token().claim("ip", ip))) {
        Verdict::Forward(_) => Ok(()),
        verdict => {
            let refusal = refused(verdict);
            assert_eq!((refusal.reason, refusal.reason.row().status), (Reason::SourceMismatch, 401));
            assert!(header(&refusal, "www-authenticate").unwrap().contains("error=\"invalid_token\""));
            Err(refusal.denying_rule().unwrap().because)
        }
    }
}

const OTHER: Result<(), &str> = Err("it comes from another address");
const V4: &str = "192.0.2.1:50000";
const V6: &str = "[2001:db8:1:2:3::4]:50000";

#[test]
fn a_token_comes_from_the_address_that_it_names() {
    let exact = json!("claim.ip");
    for (source, ip, expected) in [
        (V4, json!("192.0.2.1"), Ok(())),
        (V4, json!("::ffff:192.0.2.1"), Ok(())),
        (V4, json!("::ffff:c000:201"), Ok(())),
        ("[::ffff:192.0.2.1]:50000", json!("192.0.2.1"), Ok(())),
        (V4, json!(["198.51.100.1", "192.0.2.1"]), Ok(())),
        (V6, json!("2001:DB8:1:2:3:0:0:4"), Ok(())),
        (V4, json!("192.0.2.2"), OTHER),
        (V4, json!([]), OTHER),
        (V4, json!("2001:db8:1:2:3::4"), OTHER),
        (V6, json!("2001:db8:1:2:3::5"), OTHER),
        (V6, json!("192.0.2.1"), OTHER),
        (V4, Value::Null, Err("the token does not have the claim")),
        (V4, json!("192.0.2.01"), Err("the claim is no address")),
        (V4, json!("192.0.2.1/32"), Err("the claim is no address")),
        (V4, json!("192.0.2.1:50000"), Err("the claim is no address")),
        (V4, json!(" 192.0.2.1"), Err("the claim is no address")),
        (V4, json!(3_221_225_985_u32), Err("the claim is no address")),
        (V4, json!(["192.0.2.1", "any"]), Err("the claim lists other things than addresses")),
        ("/run/a.sock", json!("192.0.2.1"), Err("the connection has no address")),
    ] {
        assert_eq!(from(source, &exact, ip.clone()), expected, "{source} {ip}");
    }
}

#[test]
fn ipv6_addresses_may_be_compared_by_their_64_and_ipv4_never() {
    let by_64 = json!({"claim": "claim.ip", "ipv6": "/64"});
    for (source, ip, expected) in [
        (V6, json!("2001:db8:1:2::"), Ok(())),
        (V6, json!("2001:db8:1:2:ffff::1"), Ok(())),
        (V6, json!("2001:db8:1:3:3::4"), OTHER),
        (V4, json!("192.0.2.1"), Ok(())),
        (V4, json!("192.0.2.2"), OTHER),
        (V4, json!("::ffff:192.0.2.2"), OTHER),
        (V4, json!("::"), OTHER),
    ] {
        assert_eq!(from(source, &by_64, ip.clone()), expected, "{source} {ip}");
    }
}

#[test]
fn a_header_that_names_the_source_is_not_asked() {
    let mut config = config();
    config["resources"][0]["routes"][1]["source_ip"] = json!("claim.ip");
    let token = token().claim("ip", json!("198.51.100.1"));
    let request = get("/orders/7").peer(ALICE).token(&token).header("x-forwarded-for", "198.51.100.1");
    let refusal = refused(Scene::new(&config).run(&request.header("x-real-ip", "198.51.100.1")));
    assert_eq!(refusal.reason, Reason::SourceMismatch);
}
