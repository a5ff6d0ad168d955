//! The JSON of header and claims: what is no JSON, what has two meanings, and what is too much of it.

use super::*;

#[test]
fn a_member_that_occurs_twice_refuses_a_token_however_it_is_signed_and_spelled() {
    let mut trial = Trial::new(&config());
    for member in [
        r#""alg":"ES256""#,
        r#""alg":"none""#,
        r#""\u0061lg":"none""#,
        r#""\u0061\u006c\u0067":"ES256""#,
        r#""kid":"k""#,
        r#""typ":"at+jwt""#,
        r#""ty\u0070":"JWT""#,
        r#""x":1,"x":1"#,
        r#""x":{"y":1,"y":2}"#,
        r#""crit":["x"],"crit":[]"#,
    ] {
        assert_eq!(trial.refuses(member, &with_header(member)), Reason::TokenMalformed, "{member}");
    }
    let now = start();
    let far = format!(r#""exp":{}"#, now + 600);
    for member in [
        r#""aud":"https://api.example.com""#,
        r#""aud":"https://other.example.com""#,
        r#""\u0061ud":"https://api.example.com""#,
        &far,
        r#""iss":"https://as.example.com""#,
        r#""sub":"admin""#,
        r#""scope":"admin""#,
        r#""sc\u006fpe":"admin""#,
        r#""client_id":"other""#,
        r#""cnf":{}"#,
        r#""jti":"1""#,
        r#""nbf":1,"nbf":1"#,
        r#""act":{"sub":"a","sub":"b"}"#,
        r#""act":{"act":{"sub":"a","\u0073ub":"b"}}"#,
        r#""jwk":{"kty":"EC","kty":"RSA"}"#,
        r#""list":[{"a":1,"a":1}]"#,
    ] {
        assert_eq!(trial.refuses(member, &with_member(member)), Reason::TokenMalformed, "{member}");
    }
    let thumbprint = base64url::encode(&ALICE);
    for cnf in [
        format!(r#"{{"x5t#S256":"{thumbprint}","x5t#S256":"{thumbprint}"}}"#),
        format!(r#"{{"x5t#S256":"{thumbprint}","x5t#\u00532\u0035\u0036":"AAAA"}}"#),
        format!(r#"{{"x5t#S256":"{thumbprint}","x":1,"x":2}}"#),
    ] {
        assert_eq!(trial.refuses(&cnf, &with_claim("cnf", Some(&cnf))), Reason::TokenMalformed, "{cnf}");
    }
    // The same name at two depths is not twice, and an escape is only another spelling.
    trial.admits("at two depths", &with_member(r#""act":{"sub":"x","act":{"sub":"y"}}"#));
    trial.admits("escaped", &escaped());
    trial.sums("members that occur twice", (29, 2));
}

/// A good token with a claim and a header member in escapes.
fn escaped() -> String {
    let header = good_header().replace("\"typ\"", r#""\u0074yp""#);
    let claims = good_claims().replace("\"scope\"", r#""sc\u006fpe""#);
    assert!(header != good_header() && claims != good_claims());
    signed(header.as_bytes(), claims.as_bytes())
}

#[test]
fn what_is_not_strict_json_is_refused_in_header_and_claims() {
    let mut trial = Trial::new(&config());
    // <in> is what stands between the braces of a good header or of good claims.
    let texts = [
        "{<in>,}",
        "{,<in>}",
        "{<in>/* c */}",
        "// c\n{<in>}",
        "# c\n{<in>}",
        "{<in>,\"n\":NaN}",
        "{<in>,\"n\":Infinity}",
        "{<in>,\"n\":-Infinity}",
        "{<in>,\"n\":undefined}",
        "{<in>,\"n\":True}",
        "{<in>,\"n\":1.}",
        "{<in>,\"n\":01}",
        "{<in>,\"n\":.5}",
        "{<in>,\"n\":+1}",
        "{<in>,\"n\":0x1f}",
        "{<in>,\"n\":1e400}",
        "{<in>,\"n\":'a'}",
        "{<in>,'n':1}",
        "{<in>,n:1}",
        "{<in>,\"n\"}",
        "{<in>,\"n\":\"a\nb\"}",
        "{<in>,\"n\":\"a\tb\"}",
        "{<in>,\"n\":\"\\x41\"}",
        "{<in>,\"n\":\"\\ud800\"}",
        "{<in>,\"n\":\"\\udc00\\ud800\"}",
        "{<in>,\"n\":\"\\u0000\"}",
        "{<in>,\"n\\u0000\":1}",
        "{<in>}{<in>}",
        "{<in>} {}",
        "{<in>}x",
        "{<in>}\0",
        "\u{feff}{<in>}",
        "{<in>",
        "[{<in>}]",
        "\"<in>\"",
        "",
        "null",
        "1",
    ];
    let (header, claims) = (good_header(), good_claims());
    let inner = |object: &str| object[1..object.len() - 1].to_owned();
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for text in texts {
        let of = |object: &str| text.replace("<in>", &inner(object)).into_bytes();
        pairs.push((of(&header), of(&claims)));
    }
    for bytes in NO_UTF8 {
        let of = |object: &str| [b"{", inner(object).as_bytes(), b",\"n\":\"", bytes, b"\"}"].concat();
        pairs.push((of(&header), of(&claims)));
    }
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    pairs.push((utf16(&header), utf16(&claims)));
    for (bad_header, bad_claims) in &pairs {
        for (header, claims) in [(bad_header.as_slice(), claims.as_bytes()), (header.as_bytes(), bad_claims)] {
            let what = String::from_utf8_lossy(if header == bad_header { header } else { claims }).into_owned();
            assert_eq!(trial.refuses(&what, &signed(header, claims)), Reason::TokenMalformed, "{what}");
        }
    }
    for strict in ["\"n\":-0.5e-3", "\"n\":\"\\ud83d\\ude00\"", "\"n\":\"\u{e9}\"", "\"n\" : [ 1 ,\n2 ]"] {
        trial.admits(strict, &with_member(strict));
        trial.admits(strict, &with_header(strict));
    }
    trial.sums("JSON", (90, 8));
}

/// Stray bytes, overlong ones, a surrogate, what is beyond Unicode, and what is cut off.
const NO_UTF8: [&[u8]; 6] = [b"\xff", b"\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82"];

#[test]
fn depth_and_number_of_members_are_bounded_and_nothing_overflows() {
    let mut config = config();
    config["max_token_bytes"] = json!(65_536);
    let mut trial = Trial::new(&config);
    let nested = |depth: usize| format!("\"n\":{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("\"n\":{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    for make in [&nested as &dyn Fn(usize) -> String, &objects] {
        // The object around it is one level.
        trial.admits("15 levels", &with_member(&make(15)));
        for depth in [16, 17, 100, 1_000] {
            assert_eq!(trial.refuses("levels", &with_member(&make(depth))), Reason::TokenMalformed);
        }
    }
    for depth in [5_000, 20_000] {
        assert_eq!(trial.refuses("levels", &with_member(&nested(depth))), Reason::TokenMalformed);
        assert_eq!(trial.refuses("levels of a header", &with_header(&nested(depth))), Reason::TokenMalformed);
        let open = format!("{},\"n\":{}", &good_claims()[..good_claims().len() - 1], "[".repeat(depth));
        assert_eq!(
            trial.refuses("never closed", &signed(good_header().as_bytes(), open.as_bytes())),
            Reason::TokenMalformed
        );
    }
    for depth in [100_000, 1_000_000] {
        assert_eq!(trial.refuses("levels", &with_member(&nested(depth))), Reason::TokenTooLarge);
    }
    let members = |count: usize| (0..count).map(|number| format!("\"m{number}\":1")).collect::<Vec<_>>().join(",");
    let already = token().claims.as_object().unwrap().len();
    trial.admits("256 members", &with_member(&members(256 - already)));
    assert_eq!(trial.refuses("257 members", &with_member(&members(257 - already))), Reason::TokenMalformed);
    let items = |count: usize| format!("\"n\":[{}1]", "1,".repeat(count - 1));
    trial.admits("400 items", &with_member(&items(400)));
    for count in [600, 20_000] {
        assert_eq!(trial.refuses("items", &with_member(&items(count))), Reason::TokenMalformed);
    }
    assert_eq!(trial.refuses("items", &with_member(&items(1_000_000))), Reason::TokenTooLarge);
    trial.admits("a text of 30 kB", &with_member(&format!("\"n\":\"{}\"", "x".repeat(30_000))));
    assert_eq!(
        trial.refuses("a text of 1 MB", &with_member(&format!("\"n\":\"{}\"", "x".repeat(1_000_000)))),
        Reason::TokenTooLarge
    );
    trial.sums("depth and size", (21, 5));
}

#[test]
fn a_token_above_the_bound_is_refused_and_the_longest_below_it_passes() {
    let mut trial = Trial::new(&config());
    let padded = |length: usize| with_member(&format!("\"n\":\"{}\"", "x".repeat(length)));
    let mut length = 11_000;
    while padded(length + 1).len() <= 16_384 {
        length += 1;
    }
    trial.admits("below", &padded(length));
    for more in [1, 2, 100, 100_000] {
        assert_eq!(trial.refuses("above", &padded(length + more)), Reason::TokenTooLarge);
    }
    assert_eq!(trial.refuses("no token at all", &"a".repeat(16_385)), Reason::TokenTooLarge);
    assert_eq!(trial.refuses("as long as may be", &"a".repeat(16_384)), Reason::TokenMalformed);
    trial.sums("long tokens", (6, 1));
}
