//! A flood of tokens that are no good, each another. In: as many of each kind as would empty every cache. Out: refusals, and
//! what was known before is known after.

use super::*;
use crate::exchange::tests::trust::verified;

const CACHE: u32 = 16;
/// So many that none of them pushes out another, however often they come.
const GOOD: u32 = CACHE / 2;

fn good() -> impl Iterator<Item = Token> {
    (0..GOOD).map(|number| token().claim("jti", json!(number.to_string())))
}

#[test]
fn forged_tokens_never_take_the_place_of_good_ones() {
    let mut config = config();
    config["token_cache"] = json!({ "entries": CACHE });
    let mut scene = Scene::new(&config);
    for token in good() {
        forwarded(scene.run(&get("/orders/7").peer(ALICE).token(&token)));
    }
    assert_eq!(verified(&mut scene), GOOD);

    let of_good: Vec<String> = good().map(|token| token.text()).collect();
    let mut flood = Vec::new();
    for number in 0..20 * CACHE {
        let new = token().claim("jti", json!(format!("forged {number}")));
        let (signed, signature) = of_good[(number % GOOD) as usize].rsplit_once('.').unwrap();
        let other: Signature = signing_key(2).sign(format!("{signed}{number}").as_bytes());
        let new_text = new.text();
        flood.extend([
            (new.signed_by(2).text(), Reason::SignatureInvalid),
            // What a good token says with another signature, and a good token's signature below other claims.
            (format!("{signed}.{}", base64url::encode(&other.to_bytes())), Reason::SignatureInvalid),
            (format!("{}.{signature}", new_text.rsplit_once('.').unwrap().0), Reason::SignatureInvalid),
            (token().header("kid", json!(format!("k{number}"))).text(), Reason::KeyUnknown),
            (token().claim("iss", json!(format!("https://as{number}.example.com"))).text(), Reason::IssuerUntrusted),
            (format!("{signed}{number}"), Reason::TokenMalformed),
        ]);
    }
    for (forged, reason) in flood {
        assert_eq!(
            refused(scene.run(&get("/orders/7").peer(ALICE).header("authorization", &format!("Bearer {forged}"))))
                .reason,
            reason,
            "{forged}"
        );
    }

    for token in good() {
        forwarded(scene.run(&get("/orders/7").peer(ALICE).token(&token)));
    }
    assert_eq!(verified(&mut scene), 0, "a good token was verified again");
}
