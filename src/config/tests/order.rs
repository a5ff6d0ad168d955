//! Findings stand in the order of the document, whichever check found them first.

use super::findings_of;

fn places(text: &str) -> Vec<String> {
    findings_of(text).iter().map(|finding| finding.path.clone()).collect()
}

#[test]
fn a_host_that_another_resource_has_and_an_unknown_key_at_the_top_stand_where_they_are_written() {
    let text = r#"{
        "limts": {},
        "resources": [
            { "hosts": ["a", "b"], "routes": [{ "path": "/", "acess": "public" }] },
            { "hosts": ["c", "b"], "audience": [], "routes": [{ "path": "no", "access": "public" }] }
        ],
        "max_token_bytes": 1,
        "issuers": { "z": { "leeway": 1 }, "a": { "leeway": 2 } }
    }"#;
    let places = places(text);
    let of =
        |place: &str| places.iter().position(|other| other == place).unwrap_or_else(|| panic!("{place} {places:?}"));
    let expected = [
        "limts",
        "resources[0].routes[0].acess",
        "resources[1].hosts[1]",
        "resources[1].audience",
        "resources[1].routes[0].path",
        "max_token_bytes",
        "issuers.z.leeway",
        "issuers.a.leeway",
    ];
    assert!(expected.iter().map(|place| of(place)).is_sorted(), "{places:?}");
}

#[test]
fn what_is_missing_is_told_where_the_table_begins_that_lacks_it() {
    let text = r#"{ "resources": [{ "clubs": 1, "hosts": ["a"] }], "limits": { "a": { "rate": "1/s" } } }"#;
    let told = places(text);
    assert_eq!(told[..2], ["resources[0].routes", "resources[0].clubs"]);
    assert!(told[2].starts_with("limits.a"), "{told:?}");
}

#[test]
fn that_there_are_more_findings_is_told_last() {
    let wrong: Vec<String> = (0..1100).map(|number| format!("\"x{number}\": 1")).collect();
    let told = places(&format!("{{ {}, \"resources\": 1 }}", wrong.join(", ")));
    assert_eq!((told.len(), told[1000].as_str()), (1001, ""));
}
