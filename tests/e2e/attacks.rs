//! Attacks on signatures, judged by the proxy's own cryptography: what the core tests show of the module's, and of a
//! stand-in for the proxy's, must be true of the real one.

use std::io::Write as _;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use boundgate_testbed::{Algorithm, Client, Testbed};

use crate::expectations::bed;

const INVALID: &str = r#"Bearer realm="api", error="invalid_token", error_description="The access token is invalid""#;

/// The order of each curve.
const ORDERS: [(Algorithm, &str); 3] = [
    (Algorithm::Es256, "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
    (
        Algorithm::Es384,
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    ),
    (
        Algorithm::Es512,
        "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5\
         c9b8899c47aebb6fb71e91386409",
    ),
];

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// `left` - `right`, of one length; not below 0.
fn less(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut digits: Vec<u8> = left
        .iter()
        .zip(right)
        .rev()
        .map(|(left, right)| {
            let digit = i16::from(*left) - i16::from(*right) - borrow;
            borrow = i16::from(digit < 0);
            digit.rem_euclid(256) as u8
        })
        .collect();
    assert_eq!(borrow, 0);
    digits.reverse();
    digits
}

/// SEQUENCE { INTEGER r, INTEGER s }.
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let tlv = |tag: u8, value: &[u8]| match u8::try_from(value.len()).unwrap() {
        short @ 0..=127 => [&[tag, short][..], value].concat(),
        long => [&[tag, 0x81, long][..], value].concat(),
    };
    let integer = |number: &[u8]| {
        let start = number.iter().position(|byte| *byte != 0).unwrap();
        let number = &number[start..];
        tlv(2, &[if number[0] >= 0x80 { &[0][..] } else { &[] }, number].concat())
    };
    tlv(0x30, &[integer(r), integer(s)].concat())
}

/// As the core tests tell their sums.
fn tell(what: &str, refused: usize, admitted: usize) {
    let inputs = refused + admitted;
    let line = format!("\nattacks: {what}: {inputs} inputs, {refused} refused, {admitted} admitted as they should\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Signatures of one token, sent over one connection.
struct Trial<'b> {
    bed: &'b Testbed,
    client: Client,
    input: String,
    signature: Vec<u8>,
    refused: usize,
}

impl<'b> Trial<'b> {
    fn of(bed: &'b Testbed, algorithm: Algorithm) -> Self {
        let client = bed.client("alice").kept();
        let claims = bed.authority.claims().algorithm(algorithm).scope("read:orders");
        let token = claims.bound_to(client.identity().unwrap()).sign();
        let (input, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        Self { bed, client, input: input.to_owned(), signature, refused: 0 }
    }

    async fn status(&self, signature: &[u8]) -> (u16, Vec<String>) {
        let token = format!("{}.{}", self.input, URL_SAFE_NO_PAD.encode(signature));
        let answer = self.client.get("/orders/7").token(&token).send().await;
        (answer.status, answer.challenges())
    }

    async fn refuses(&mut self, what: &str, signature: &[u8]) {
        let before = self.bed.upstream.count();
        let (status, challenges) = self.status(signature).await;
        assert_eq!((status, &challenges[..]), (401, &[INVALID.to_owned()][..]), "{what}");
        assert_eq!(self.bed.upstream.count(), before, "{what}: the upstream was reached");
        self.refused += 1;
    }

    async fn admits(&self, what: &str, signature: &[u8]) {
        assert_eq!(self.status(signature).await.0, 200, "{what}");
    }
}

#[tokio::test]
async fn the_proxys_cryptography_refuses_what_is_no_ecdsa_signature_and_takes_both_forms_of_one() {
    let bed = bed().await;
    let mut refused = 0;
    for (algorithm, order) in ORDERS {
        let order = bytes(order);
        let size = order.len();
        let mut trial = Trial::of(&bed, algorithm);
        let good = trial.signature.clone();
        let (r, s) = good.split_at(size);
        let number = |value: u8| [&vec![0; size - 1][..], &[value]].concat();
        let mut above = order.clone();
        *above.last_mut().unwrap() += 1;
        let edges = [number(0), number(1), less(&order, &number(1)), order.clone(), above, vec![0xff; size]];
        for one in &edges {
            for other in &edges {
                trial.refuses("edges", &[&one[..], other].concat()).await;
            }
            trial.refuses("another r", &[&one[..], s].concat()).await;
            trial.refuses("another s", &[r, one].concat()).await;
        }
        let short = if r[0] == 0 { &good[1..] } else { &good[..good.len() - 1] };
        for (what, signature) in [
            ("DER", der(r, s)),
            ("an octet less", short.to_vec()),
            ("a zero behind", [&good[..], &[0]].concat()),
            ("a zero before", [&[0], &good[..]].concat()),
            ("each with a zero", [&[0], r, &[0], s].concat()),
            ("s before r", [s, r].concat()),
            ("r alone", r.to_vec()),
            ("twice", [&good[..], &good[..]].concat()),
        ] {
            trial.refuses(what, &signature).await;
        }
        let other_form = [r, &less(&order, s)].concat();
        trial.admits("as it was made", &good).await;
        trial.admits("the other form", &other_form).await;
        refused += trial.refused;
    }
    tell("ECDSA by the proxy", refused, bed.upstream.count());
    assert_eq!((refused, bed.upstream.count()), (3 * 56, 6));
    assert!(!bed.envoy.log().contains("panicked"));
}

#[tokio::test]
async fn the_proxys_cryptography_refuses_what_is_no_rsa_signature_of_its_algorithm() {
    let bed = bed().await;
    let rsa =
        [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512, Algorithm::Ps256, Algorithm::Ps384, Algorithm::Ps512];
    let mut refused = 0;
    for algorithm in rsa {
        let mut trial = Trial::of(&bed, algorithm);
        let good = trial.signature.clone();
        let keys = bed.authority.keys();
        for other in rsa.into_iter().filter(|other| *other != algorithm) {
            // All of them have the same numbers.
            let signature = keys.signature(other, trial.input.as_bytes());
            trial.refuses(&format!("{other:?} called {algorithm:?}"), &signature).await;
        }
        for (what, signature) in [
            ("an octet less", good[..255].to_vec()),
            ("without the first octet", good[1..].to_vec()),
            ("a zero before", [&[0], &good[..]].concat()),
            ("a zero behind", [&good[..], &[0]].concat()),
            ("zeros", vec![0; 256]),
            ("one", [&[0; 255][..], &[1]].concat()),
            ("above the modulus", vec![0xff; 256]),
            ("one octet", vec![1]),
        ] {
            trial.refuses(what, &signature).await;
        }
        trial.admits("as it was made", &good).await;
        refused += trial.refused;
    }
    tell("RSA by the proxy and the module", refused, bed.upstream.count());
    assert_eq!((refused, bed.upstream.count()), (6 * 13, 6));
}
