//! `source_ip`: what is wrong with naming a claim that has an address.

use serde_json::json;

use super::{answers, good, put, route, says};

#[test]
fn a_claim_names_the_address_alone_or_with_a_word_about_ipv6() {
    for written in [json!("claim.ip"), json!({ "claim": "claim.ip" }), json!({ "claim": "claim.ip", "ipv6": "/64" })] {
        let mut config = good();
        put(&mut config, &route("source_ip"), written);
        assert_eq!(answers(&config), Vec::<String>::new());
    }
    let at = "resources[0].routes[1].source_ip";
    for (written, told) in [
        (json!("ip"), format!("{at}: \"ip\" is unknown here. Known here: claim.<name>.")),
        (
            json!("claim.sub"),
            format!(
                "{at}: claim \"sub\" has a name of its own here. Write claim.<name>, like \"claim.ip\": the claim that has an address."
            ),
        ),
        (json!({}), format!("{at}.claim: missing. It has no default: write it.")),
        (
            json!({ "claim": "claim.ip", "ipv6": "/48" }),
            format!("{at}.ipv6: \"/48\" is unknown here. Known here: exact, /64."),
        ),
    ] {
        says(&route("source_ip"), written, &[&told]);
    }
}
