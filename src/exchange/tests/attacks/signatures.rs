//! The bytes of a signature: numbers out of range, other encodings, and what was signed elsewhere.

use p256::elliptic_curve::PrimeField as _;

use super::*;

/// The order of P-256, and of P-384.
const ORDERS: [(&str, &str, &str); 2] = [
    ("ES256", "p256", "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
    (
        "ES384",
        "p384",
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    ),
];

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn a_signature_of_numbers_at_the_edges_of_their_range_verifies_nothing() {
    let mut trial = Trial::new(&foreign_config());
    for (alg, kid, order) in ORDERS {
        let order = bytes(order);
        let last = order.len() - 1;
        let near = |difference: i16| {
            let mut number = order.clone();
            number[last] = u8::try_from(i16::from(number[last]) + difference).unwrap();
            number
        };
        let small = |value: u8| {
            let mut number = vec![0; order.len()];
            number[last] = value;
            number
        };
        let numbers = [small(0), small(1), near(-1), near(0), near(1), vec![0xff; order.len()]];
        let header = json!({"alg": alg, "kid": kid, "typ": "at+jwt"}).to_string();
        let input = signing_input(header.as_bytes(), good_claims().as_bytes());
        for r in &numbers {
            for s in &numbers {
                let token = format!("{input}.{}", base64url::encode(&[&r[..], s].concat()));
                assert_eq!(trial.refuses(alg, &token), Reason::SignatureInvalid, "{alg}: {r:x?} {s:x?}");
            }
        }
    }
    trial.sums("psychic signatures", (72, 0));
}

/// (r, n - s), which verifies whatever (r, s) verifies.
fn malleated(token: &str) -> String {
    let (input, signature) = token.rsplit_once('.').unwrap();
    let signature = Signature::from_slice(&base64url::decode(signature.as_bytes()).unwrap()).unwrap();
    let (r, s) = signature.split_scalars();
    let other = Signature::from_scalars(r.to_repr(), (-*s).to_repr()).unwrap();
    format!("{input}.{}", base64url::encode(&other.to_bytes()))
}

#[test]
fn the_other_form_of_a_signature_verifies_and_is_nobody_else() {
    let mut trial = Trial::new(&config());
    let one = token().text();
    let other = malleated(&one);
    assert_ne!(one, other);
    let limited = |token: &str| get("/limited").peer(ALICE).header("authorization", &format!("Bearer {token}"));
    trial.admits_request("as it was made", &limited(&one));
    trial.admits_request("malleated", &limited(&other));
    // One budget, of two: the bytes of a token are nobody's identity.
    for token in [&one, &other] {
        let (reason, _) = trial.refused("a third", &limited(token), 429);
        assert_eq!(reason, Reason::OverLimit);
    }
    assert_eq!(trial.refuses_request("of Bob", &bearing(&other).peer(BOB)), Reason::BindingMismatch);
    trial.sums("malleated signatures", (3, 2));
}

#[test]
fn a_key_that_is_withdrawn_takes_both_forms_of_a_signature_with_it() {
    let mut trial = Trial::new(&remote_keys());
    super::algorithms::load_keys(&mut trial.scene, &[jwk("k", 1)]);
    let one = token().text();
    for token in [&one, &malleated(&one)] {
        trial.admits("while the key is there", token);
    }
    let unknown = token().header("kid", json!("new")).signed_by(2).text();
    let mut rotation = trial.scene.exchange(&bearing(&unknown));
    assert!(matches!(trial.scene.poll(&mut rotation, Some(ALICE)), Step::Wait));
    super::algorithms::load_keys(&mut trial.scene, &[jwk("new", 2)]);
    assert!(matches!(trial.scene.poll(&mut rotation, Some(ALICE)), Step::Done(Verdict::Forward(_))));
    for token in [&one, &malleated(&one)] {
        assert_eq!(trial.refuses("once it is gone", token), Reason::KeyUnknown);
    }
    trial.sums("malleated signatures of a withdrawn key", (2, 2));
}

/// A token whose r begins with a zero octet.
fn with_a_short_number() -> (String, Vec<u8>) {
    for number in 0_u32..100_000 {
        let claims = token().claim("jti", json!(number.to_string())).claims.to_string();
        let input = signing_input(good_header().as_bytes(), claims.as_bytes());
        let signature = es256(&input, 1);
        if signature[0] == 0 {
            return (input, signature);
        }
    }
    panic!("no r begins with a zero octet");
}

#[test]
fn an_ecdsa_signature_is_two_numbers_of_full_length_and_nothing_else() {
    let mut trial = Trial::new(&config());
    let input = signing_input(good_header().as_bytes(), good_claims().as_bytes());
    let good = es256(&input, 1);
    let der = Signature::from_slice(&good).unwrap().to_der().as_bytes().to_vec();
    let (short_input, short) = with_a_short_number();
    let wrong = [
        ("DER", &input, der),
        ("63 octets", &input, good[..63].to_vec()),
        ("65 octets, zero behind", &input, [&good[..], &[0]].concat()),
        ("65 octets, zero before", &input, [&[0], &good[..]].concat()),
        ("r alone", &input, good[..32].to_vec()),
        ("three numbers", &input, [&good[..], &good[..32]].concat()),
        ("twice", &input, [&good[..], &good[..]].concat()),
        ("s before r", &input, [&good[32..], &good[..32]].concat()),
        ("each with a sign octet", &input, [&[0], &good[..32], &[0], &good[32..]].concat()),
        ("an uncompressed point's mark", &input, [&[4], &good[..]].concat()),
        ("octets backwards", &input, good.iter().rev().copied().collect()),
        ("zeros", &input, vec![0; 64]),
        ("one octet", &input, vec![1]),
        ("the leading zero of r left out", &short_input, short[1..].to_vec()),
        ("and made up for behind", &short_input, [&short[1..], &[0]].concat()),
    ];
    let count = wrong.len() as u32;
    for (what, input, signature) in wrong {
        let token = format!("{input}.{}", base64url::encode(&signature));
        assert_eq!(trial.refuses(what, &token), Reason::SignatureInvalid, "{what}");
    }
    for (input, signature) in [(&input, good), (&short_input, short)] {
        trial.admits("as it should be", &format!("{input}.{}", base64url::encode(&signature)));
    }
    trial.sums("encodings of ECDSA", (count, 2));
}

#[test]
fn no_part_of_a_token_can_be_left_out_moved_or_taken_from_another() {
    let mut trial = Trial::new(&config());
    let (one, two) = (token().text(), token().claim("scope", json!("read:orders admin")).text());
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (a, b) = (parts(&one), parts(&two));
    let joined = |parts: &[&String]| parts.iter().map(|part| part.as_str()).collect::<Vec<_>>().join(".");
    for (what, token) in [
        ("no signature", format!("{}.{}.", a[0], a[1])),
        ("no signature and no dot", format!("{}.{}", a[0], a[1])),
        ("header and signature", joined(&[&a[0], &a[2]])),
        ("no payload", format!("{}..{}", a[0], a[2])),
        ("payload first", joined(&[&a[1], &a[0], &a[2]])),
        ("signature first", joined(&[&a[2], &a[0], &a[1]])),
        ("signature of another", joined(&[&a[0], &a[1], &b[2]])),
        ("payload of another", joined(&[&a[0], &b[1], &a[2]])),
        ("both signatures", joined(&[&a[0], &a[1], &a[2], &b[2]])),
        ("signature twice", format!("{one}{}", a[2])),
    ] {
        trial.refuses(what, &token);
    }
    for (member, value) in [("kid", json!("other")), ("typ", json!("AT+JWT")), ("x", json!(1))] {
        let header = base64url::encode(token().header(member, value).header.to_string().as_bytes());
        trial.refuses("header changed after signing", &joined(&[&header, &a[1], &a[2]]));
    }
    let mut characters = 0;
    for (place, letter) in one.char_indices().filter(|(_, letter)| *letter != '.') {
        let mut changed = one.clone().into_bytes();
        changed[place] = if letter == 'A' { b'B' } else { b'A' };
        trial.refuses("a character changed", std::str::from_utf8(&changed).unwrap());
        characters += 1;
    }
    trial.admits("as it was", &one);
    trial.admits("the other", &two);
    trial.sums("parts exchanged", (13 + characters, 2));
}
