//! The characters of a token and the parts they make, and names whose letters look or fold alike.

use super::*;

/// A request whose field is these bytes behind `Bearer `.
fn bearing_bytes(token: &[u8]) -> Request {
    let mut request = get("/orders/7").peer(ALICE);
    request.head.push(("authorization".to_owned(), [b"Bearer ", token].concat()));
    request
}

#[test]
fn nothing_but_the_letters_of_base64url_stands_in_a_token() {
    let mut trial = Trial::new(&config());
    let good = token().text();
    let parts: Vec<_> = good.split('.').collect();
    let strange: [&[u8]; 20] = [
        b"=",
        b"==",
        b"+",
        b"/",
        b"%2B",
        b"%3D",
        b" ",
        b"\t",
        b"\n",
        b"\r",
        b"\r\n",
        b"\0",
        b"\xef\xbb\xbf",
        "\u{430}".as_bytes(),
        "\u{ff21}".as_bytes(),
        b"?",
        b"~",
        b",",
        b"\"",
        b"\xff",
    ];
    for text in strange {
        for part in 0..3 {
            for place in [0, 5, parts[part].len()] {
                let mut bytes: Vec<Vec<u8>> = parts.iter().map(|part| part.as_bytes().to_vec()).collect();
                bytes[part].splice(place..place, text.iter().copied());
                let request = bearing_bytes(&bytes.join(&b'.'));
                let what = format!("{text:?} in part {part} at {place}");
                // Spaces between scheme and token are the scheme's; none belongs to the token.
                if text == b" " && (part, place) == (0, 0) {
                    trial.admits_request(&what, &request);
                    continue;
                }
                // A token68 ends in =, and has none inside (RFC 6750 §2.1).
                let ends = part == 2 && place > 5;
                let in_token68 = matches!(text, b"+" | b"/" | b"~") || (matches!(text, b"=" | b"==") && ends);
                if in_token68 {
                    assert_eq!(trial.refuses_request(&what, &request), Reason::TokenMalformed);
                } else {
                    let (_, challenge) = trial.refused(&what, &request, 400);
                    assert!(challenge.contains("error=\"invalid_request\""), "{what}: {challenge}");
                }
            }
        }
    }
    trial.admits("as it was", &good);
    trial.sums("characters", (179, 2));
}

/// The letters of base64url, in the order of their values.
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The texts that a careless decoder takes for the same bytes: with bits set behind the last one.
fn with_tails(text: &str) -> Vec<String> {
    let free = match text.len() % 4 {
        2 => 16,
        3 => 4,
        _ => return Vec::new(),
    };
    let last = LETTERS.iter().position(|letter| Some(letter) == text.as_bytes().last()).unwrap();
    let tail = |bits: usize| format!("{}{}", &text[..text.len() - 1], char::from(LETTERS[last + bits]));
    (1..free).map(tail).collect()
}

#[test]
fn every_part_has_one_text_and_bits_behind_its_end_make_it_none() {
    let mut trial = Trial::new(&config());
    // White space at the end makes each of the three lengths.
    let (header, claims) = (good_header(), good_claims());
    let mut inputs = 0;
    for spaces in ["", " ", "  "] {
        let (header, claims) = (
            base64url::encode(format!("{header}{spaces}").as_bytes()),
            base64url::encode(format!("{claims}{spaces}").as_bytes()),
        );
        let good = signed_input(&format!("{header}.{claims}"));
        trial.admits("as it should be", &good);
        // Signed as they are: nothing but the encoding is wrong.
        let headers = with_tails(&header).into_iter().map(|header| signed_input(&format!("{header}.{claims}")));
        let payloads = with_tails(&claims).into_iter().map(|claims| signed_input(&format!("{header}.{claims}")));
        let (input, signature) = good.rsplit_once('.').unwrap();
        let signatures = with_tails(signature).into_iter().map(|signature| format!("{input}.{signature}"));
        for token in headers.chain(payloads).chain(signatures) {
            assert_eq!(trial.refuses("bits behind the end", &token), Reason::TokenMalformed);
            inputs += 1;
        }
    }
    assert_eq!(inputs, 2 * (15 + 3) + 3 * 15);
    trial.sums("tail bits", (inputs, 3));
}

#[test]
fn a_part_of_a_length_that_no_bytes_have_is_refused() {
    let mut trial = Trial::new(&config());
    let (header, claims) = (base64url::encode(good_header().as_bytes()), base64url::encode(good_claims().as_bytes()));
    let impossible = |text: &str| {
        let rest = (5 - text.len() % 4) % 4;
        format!("{text}{}", "A".repeat(rest))
    };
    for (header, claims) in [(impossible(&header), claims.clone()), (header.clone(), impossible(&claims))] {
        assert_eq!(trial.refuses("", &signed_input(&format!("{header}.{claims}"))), Reason::TokenMalformed);
    }
    let good = signed_input(&format!("{header}.{claims}"));
    let (input, signature) = good.rsplit_once('.').unwrap();
    assert_eq!(trial.refuses("", &format!("{input}.{}", impossible(signature))), Reason::TokenMalformed);
    for letter in ["A", "_"] {
        for token in [format!("{letter}.{claims}.{signature}"), format!("{header}.{letter}.{signature}")] {
            assert_eq!(trial.refuses("", &token), Reason::TokenMalformed);
        }
        assert_eq!(trial.refuses("", &format!("{input}.{letter}")), Reason::TokenMalformed);
    }
    trial.admits("as it should be", &good);
    trial.sums("lengths", (9, 1));
}

#[test]
fn a_token_has_three_parts_and_none_of_them_is_empty() {
    let mut trial = Trial::new(&config());
    let good = token().text();
    let (h, rest) = good.split_once('.').unwrap();
    let (p, s) = rest.split_once('.').unwrap();
    for token in [
        h.to_owned(),
        format!("{h}.{p}"),
        format!("{h}.{p}.{s}.{s}"),
        format!("{h}.{p}.{p}.{s}"),
        format!("{h}.{p}.{s}.{p}.{s}"),
        format!("{h}.{p}.{s}.{h}.{p}.{s}"),
        format!(".{h}.{p}.{s}"),
        format!("{h}.{p}.{s}."),
        format!(".{p}.{s}"),
        format!("{h}..{s}"),
        format!("{h}.{p}."),
        format!("{h}..{p}.{s}"),
        "...".to_owned(),
        "..".to_owned(),
        ".".to_owned(),
    ] {
        assert_eq!(trial.refuses(&token, &token), Reason::TokenMalformed);
    }
    trial.admits("three parts", &good);
    trial.sums("numbers of parts", (15, 1));
}

#[test]
fn letters_that_look_or_fold_alike_are_not_the_same() {
    let mut trial = Trial::new(&config());
    let alike = |text: &str| {
        // Long s, a Cyrillic letter, full width, zero width, right to left, other case, and a letter with its mark apart.
        [
            text.replace('s', "\u{17f}"),
            text.replace('a', "\u{430}"),
            text.replace('e', "\u{ff45}"),
            text.replace('a', "a\u{200b}"),
            format!("\u{202e}{text}"),
            text.replace('e', "E"),
            text.replace('e', "e\u{301}"),
            text.replace('e', "\u{e9}"),
            format!("{text}\u{feff}"),
            text.replace('s', "s\u{ad}"),
        ]
    };
    for text in alike("https://as.example.com") {
        assert_eq!(trial.refuses(&text, &token().claim("iss", json!(text)).text()), Reason::IssuerUntrusted);
    }
    for text in alike("https://api.example.com") {
        assert_eq!(trial.refuses(&text, &token().claim("aud", json!(text)).text()), Reason::AudienceMismatch);
    }
    for text in ["\u{430}t+jwt", "at+j\u{ff57}t", "at\u{200b}+jwt", "\u{202e}at+jwt", "at\u{ff0b}jwt", "a\u{301}t+jwt"]
    {
        assert_eq!(trial.refuses(text, &token().header("typ", json!(text)).text()), Reason::TypUnacceptable);
    }
    for text in alike("read:orders") {
        let (reason, challenge) =
            trial.refused(&text, &get("/orders/7").peer(ALICE).token(&token().claim("scope", json!(text))), 403);
        assert!(reason == Reason::ScopeMissing && challenge.contains("insufficient_scope"), "{text}");
    }
    for scheme in ["Be\u{430}rer", "\u{ff22}earer", "Bearer\u{200b}", "bearer\u{a0}"] {
        let request = get("/orders/7").peer(ALICE).header("authorization", &format!("{scheme} {}", token().text()));
        trial.refused(scheme, &request, 400);
    }
    // Only ASCII folds, and only where the standards say so.
    for typ in ["AT+JWT", "at+JWT", "application/AT+jwt", "APPLICATION/at+jwt"] {
        trial.admits(typ, &token().header("typ", json!(typ)).text());
    }
    trial.admits_request(
        "BEARER",
        &get("/orders/7").peer(ALICE).header("authorization", &format!("BEARER {}", token().text())),
    );
    trial.sums("look-alikes", (40, 5));
}
