//! The number of an interaction, by which client, proxy and upstream find the same request in their records
//! (`x-fapi-interaction-id`, FAPI 2.0 Implementation Advice). In: the request's header map, random bytes. Out: what the client
//! sent if it is a UUID (RFC 9562 §4), unchanged; otherwise a new one.
//! Not here: who is told it (`filter` the caller, `observe` the records).

use std::rc::Rc;

use crate::http::HeaderMap;
use crate::policy::Profile;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InteractionId {
    text: Rc<str>,
    is_new: bool,
}

impl InteractionId {
    /// That of a request with these headers.
    pub(super) fn of(head: &HeaderMap, random: impl FnOnce() -> [u8; 32]) -> Self {
        let mut sent = head.all(Profile::INTERACTION_ID);
        match (sent.next().and_then(uuid), sent.next()) {
            (Some(sent), None) => Self { text: sent.into(), is_new: false },
            (Some(_) | None, _) => Self { text: random_uuid(random()).into(), is_new: true },
        }
    }

    /// As it is written.
    pub fn text(&self) -> &Rc<str> {
        &self.text
    }

    /// Whether it was made here.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }
}

/// `8-4-4-4-12` hexadecimal digits, in either case.
fn uuid(value: &[u8]) -> Option<&str> {
    let fits = |(place, byte): (usize, &u8)| match place {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let is_one = value.len() == 36 && value.iter().enumerate().all(fits);
    std::str::from_utf8(value).ok().filter(|_| is_one)
}

/// RFC 9562 §5.4.
fn random_uuid(random: [u8; 32]) -> String {
    let [a, b, c, d, e, f, g, h, i, rest @ ..] = random;
    let [j, k, l, m, n, o, p, ..] = rest;
    let (g, i) = (g & 0x0f | 0x40, i & 0x3f | 0x80);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let parts = [hex(&[a, b, c, d]), hex(&[e, f]), hex(&[g, h]), hex(&[i, j]), hex(&[k, l, m, n, o, p])];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::encode;

    fn of(sent: &[&str]) -> InteractionId {
        let fields = sent.iter().map(|value| (Profile::INTERACTION_ID, value.as_bytes()));
        InteractionId::of(&HeaderMap::decode(encode(fields)).unwrap(), || [0xff; 32])
    }

    const NEW: &str = "ffffffff-ffff-4fff-bfff-ffffffffffff";

    #[test]
    fn a_uuid_is_echoed_unchanged_in_either_case() {
        for sent in [
            "93bac548-d2de-4546-b106-880a5018460d",
            "93BAC548-D2DE-4546-B106-880A5018460D",
            "00000000-0000-0000-0000-000000000000",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        ] {
            let interaction = of(&[sent]);
            assert_eq!((&**interaction.text(), interaction.is_new()), (sent, false));
        }
    }

    #[test]
    fn what_is_no_single_uuid_is_replaced_by_a_random_one() {
        let good = "93bac548-d2de-4546-b106-880a5018460d";
        for sent in [
            &[][..],
            &[""],
            &["7"],
            &["93bac548d2de4546b106880a5018460d"],
            &["{93bac548-d2de-4546-b106-880a5018460d}"],
            &["urn:uuid:93bac548-d2de-4546-b106-880a5018460d"],
            &["93bac548-d2de-4546-b106-880a5018460g"],
            &["93bac548-d2de-4546-b106-880a5018460d "],
            &["93bac548-d2de-4546-b106_880a5018460d"],
            &["93bac548-d2de-4546-b106-880a501846\u{e9}"],
            &[good, good],
            &["7", good],
        ] {
            let interaction = of(sent);
            assert_eq!((&**interaction.text(), interaction.is_new()), (NEW, true), "{sent:?}");
        }
    }

    #[test]
    fn a_random_one_has_the_form_of_version_4() {
        let random = std::array::from_fn(|index| u8::try_from(index).unwrap());
        assert_eq!(random_uuid(random), "00010203-0405-4607-8809-0a0b0c0d0e0f");
        assert!(uuid(random_uuid([0; 32]).as_bytes()).is_some());
    }
}
