//! The forms a configuration arrives in: JSON text and `google.protobuf.Struct`, and what is neither.

use serde_json::{Value, json};

use super::{findings, good, policy, put, with};
use crate::config::load;
use crate::policy::{Endpoint, JwksAt, JwksSource, KeySource};

/// A value as `google.protobuf.Struct` on the wire, by the definition of that message: nothing here is shared with the
/// decoder.
fn wire_struct(members: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in members.as_object().unwrap() {
        let mut entry = Vec::new();
        field(1, name.as_bytes(), &mut entry);
        field(2, &wire_value(value), &mut entry);
        field(1, &entry, &mut bytes);
    }
    bytes
}

fn wire_value(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    match value {
        Value::Null => bytes.extend([0x08, 0]),
        Value::Number(number) => {
            bytes.push(0x11);
            bytes.extend(number.as_f64().unwrap().to_le_bytes());
        }
        Value::String(text) => field(3, text.as_bytes(), &mut bytes),
        Value::Bool(flag) => bytes.extend([0x20, u8::from(*flag)]),
        Value::Object(_) => field(5, &wire_struct(value), &mut bytes),
        Value::Array(items) => {
            let mut list = Vec::new();
            items.iter().for_each(|item| field(1, &wire_value(item), &mut list));
            field(6, &list, &mut bytes);
        }
    }
    bytes
}

fn field(number: u8, content: &[u8], bytes: &mut Vec<u8>) {
    bytes.push(number << 3 | 2);
    prost::encoding::encode_varint(content.len() as u64, bytes);
    bytes.extend(content);
}

#[test]
fn both_forms_give_the_same_policy() {
    let mut config = good();
    put(&mut config, "/limit_table", json!({ "identities": 2048 }));
    put(&mut config, "/peer", json!({ "insecure_assume_validated": true }));
    let from_text = policy(&config).unwrap();
    let from_struct = load(&wire_struct(&config)).unwrap();
    assert_eq!(format!("{from_struct:?}"), format!("{from_text:?}"));
}

#[test]
fn both_forms_give_the_same_findings() {
    let mut config = with("/limits/everyone/burst", json!(1.5));
    put(&mut config, "/resources/0/routes/0/clubs", json!(null));
    put(&mut config, "/token_cache", json!({ "entries": 5_000_000_000_u64 }));
    put(&mut config, "/issuers", json!([]));
    let from_struct: Vec<String> = load(&wire_struct(&config)).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(from_struct, findings(&config));
}

#[test]
fn numbers_that_came_as_text_mean_the_same() {
    for burst in [json!(300), json!("300")] {
        let policy = policy(&with("/limits/per-client/burst", burst)).unwrap();
        let limit = policy.limits.iter().find(|limit| &*limit.origin.name == "per-client").unwrap();
        assert_eq!(limit.allowance.quota.burst(), 300);
    }
}

#[test]
fn the_order_of_names_does_not_matter() {
    // A Struct has none, and Envoy may hand the same one over in another order each time.
    let text = r#"{"limits":{"b":{"rate":"1/s","key":[]},"a":{"key":[],"rate":"1/s"}},"resources":[{"routes":[
        {"path":"/","access":"public","limits":["a","b"]}],"hosts":["h"]}]}"#;
    let names: Vec<String> =
        load(text.as_bytes()).unwrap().limits.iter().map(|limit| limit.origin.name.to_string()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn an_empty_configuration_is_refused_in_every_form() {
    let typed_struct = {
        let mut bytes = Vec::new();
        field(2, &wire_struct(&good()), &mut bytes);
        bytes
    };
    for (bytes, finding) in [
        (b"".as_slice(), "there is none"),
        (b" \n", "there is none"),
        (b"# nothing\n", "there is none"),
        (&typed_struct, "no google.protobuf.Struct: it has no members"),
        (b"\xff", "no text that could be read: it is not UTF-8"),
    ] {
        assert_eq!(load(bytes).unwrap_err().iter().next().unwrap().finding, finding);
    }
    assert_eq!(load(b"{}").unwrap_err().to_string(), "resources: missing. It has no default: write it.");
}

#[test]
fn a_member_that_occurs_twice_in_a_struct_is_refused() {
    let mut bytes = wire_struct(&json!({ "limit_fields": true }));
    bytes.extend(wire_struct(&json!({ "limit_fields": false })));
    let findings = load(&bytes).unwrap_err();
    assert_eq!(
        findings.iter().next().unwrap().finding,
        "no google.protobuf.Struct: member \"limit_fields\" occurs twice"
    );
}

#[test]
fn ten_thousand_brackets_are_a_finding_and_no_crash() {
    let json = "[".repeat(10_000) + &"]".repeat(10_000);
    assert!(load(json.as_bytes()).is_err());
    assert!(load(format!("{{\"resources\":{json}}}").as_bytes()).is_err());
    let mut nested = Vec::new();
    for _ in 0..10_000 {
        let mut outer = Vec::new();
        field(1, &nested, &mut outer);
        nested = Vec::new();
        field(6, &outer, &mut nested);
    }
    let mut entry = Vec::new();
    field(1, b"resources", &mut entry);
    field(2, &nested, &mut entry);
    let mut bytes = Vec::new();
    field(1, &entry, &mut bytes);
    assert!(load(&bytes).is_err());
}

#[test]
fn a_struct_as_deep_as_text_may_be_is_read() {
    let mut value = json!(1);
    for _ in 0..31 {
        value = json!([value]);
    }
    let config = json!({ "resources": value });
    assert_eq!(load(&wire_struct(&config)).unwrap_err().to_string(), policy(&config).unwrap_err().to_string());
}

#[test]
fn megabytes_of_garbage_are_a_finding_and_no_crash() {
    for byte in [0x00, 0x0a, 0x12, b'[', b'{', b'"', b' ', 0xff] {
        for size in [1 << 20, 5 << 20] {
            assert!(load(&vec![byte; size]).is_err(), "{byte:#x} {size}");
        }
    }
    let mixed: Vec<u8> = (0..3_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    assert!(load(&mixed).is_err());
}

#[test]
fn a_struct_that_is_cut_off_is_refused_wherever_it_ends() {
    let whole = wire_struct(&good());
    assert!((0..whole.len()).all(|end| load(&whole[..end]).is_err()));
}

#[test]
fn the_schema_has_requirements_defaults_and_descriptions() {
    let schema = crate::config::schema();
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(schema["required"], json!(["resources"]));
    let refresh =
        &schema["properties"]["issuers"]["additionalProperties"]["properties"]["jwks"]["properties"]["refresh"];
    assert_eq!(refresh["default"], json!("10m"));
    assert_eq!(refresh["description"], json!("The age after which keys are fetched anew."));
}

#[test]
fn a_jwks_source_is_what_the_fetch_sends() {
    let policy = policy(&with("/issuers/main/jwks/uri", json!("https://AS.example.com:8443/keys?v=1"))).unwrap();
    let KeySource::Remote(JwksSource { at: JwksAt::Configured(endpoint), .. }) = &policy.issuers[0].keys else {
        panic!("inline or discovered")
    };
    let Endpoint { cluster, authority, path } = endpoint;
    assert_eq!([&**cluster, authority, path], ["as", "as.example.com:8443", "/keys?v=1"]);
}

#[test]
fn trust_changes_with_what_a_verification_relies_on_and_with_nothing_else() {
    let trust = |pointer: &str, value: Value| policy(&with(pointer, value)).unwrap().issuers[0].trust.clone();
    let first = policy(&good()).unwrap().issuers[0].trust.clone();
    for (pointer, value) in [
        ("/issuers/main/issuer", json!("https://other.example.com")),
        ("/issuers/main/jwks/uri", json!("https://as.example.com/other")),
        ("/issuers/main/jwks/cluster", json!("other")),
        ("/issuers/main/algorithms", json!(["ES256"])),
        ("/issuers/main/typ", json!("example+jwt")),
    ] {
        assert_ne!(trust(pointer, value), first, "{pointer}");
    }
    for (pointer, value) in [
        ("/issuers/main/algorithms", json!(["PS256", "ES256"])),
        ("/issuers/main/leeway", json!("5s")),
        ("/limits/everyone/rate", json!("1/s")),
    ] {
        assert_eq!(trust(pointer, value), first, "{pointer}");
    }
}

#[test]
fn the_trust_in_keys_of_the_configuration_is_in_what_they_say_not_in_how_it_is_written() {
    let trust = |keys: Value| {
        let mut config = good();
        let issuer = config["issuers"]["main"].as_object_mut().unwrap();
        issuer.remove("jwks");
        issuer.insert("keys".into(), json!({ "keys": keys }));
        issuer.insert("algorithms".into(), json!(["Ed25519"]));
        policy(&config).unwrap().issuers[0].trust.clone()
    };
    let first = json!({"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let mut second = first.clone();
    second["kid"] = json!("b");
    let mut noted = first.clone();
    (noted["use"], noted["note"]) = (json!("sig"), json!("of May"));
    let both = trust(json!([first, second]));
    assert_eq!(trust(json!([second, noted])), both);
    assert_ne!(trust(json!([first])), both);
}
