//! Whose budget: the parts of a key, resolved for one request, as a keyed hash. In: key parts and their values. Out:
//! an [`Identity`], and its tag in a slot. Not here: reading the values from a request (`exchange`).
//!
//! The hash is SipHash-1-3 with 128 bits under a secret that all workers of a process share, so that nobody outside
//! can choose identities that meet in one slot. Not here: how a key becomes bytes (`parts`).
//!
//! The *owner* of an identity is what of it a caller cannot choose at will: the key without headers, and an IPv6 address
//! as its /48. Identities of one owner stand in a few slots and have few places there.

use siphasher::sip128::Hasher128;

use crate::limit::parts::{KeyValue, Whole, write_key};
use crate::policy::Fact;
use crate::shared::{Purpose, Secret};

/// An identity that is counted: a keyed hash, the same for all limits with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    whole: u128,
    owner: u64,
}

/// How many slots an owner's identities are spread over.
const SPREAD: u64 = 64;

impl Identity {
    /// Which of `slots`, a power of two, it stands in.
    pub(super) fn slot(self, slots: u64) -> u64 {
        // The upper half of the hash: the lower makes the tag. Another slot for each, far from each other.
        let spread = SPREAD.min(slots.div_ceil(2)).max(1);
        let step = ((self.whole >> 64) as u64).checked_rem(spread).unwrap_or(0);
        self.owner.wrapping_add(step.wrapping_mul(0x9e37_79b9_7f4a_7c15)) & slots.saturating_sub(1)
    }

    /// Its tag there.
    pub(super) fn tag(self) -> Tag {
        Tag((self.owner & Tag::OWNER) | (self.whole as u64 & !Tag::OWNER).max(1))
    }
}

/// An identity in a slot: sixteen bits of its owner, forty-eight of its own, which are never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(u64);

impl Tag {
    const OWNER: u64 = 0xffff << 48;

    /// What all identities of its owner together are called.
    pub(super) fn of_owner(self) -> Self {
        Self(self.0 & Self::OWNER)
    }

    pub(super) fn word(self) -> u64 {
        self.0
    }

    pub(super) fn from_word(word: u64) -> Self {
        Self(word)
    }
}

/// The hashes of limits under the secret of the process.
impl Secret {
    /// The identity that `key` counts, with the values that `value_of` gives its parts.
    pub(super) fn identity<'k, 'v>(
        &self,
        key: &'k [Fact],
        mut value_of: impl FnMut(&'k Fact) -> KeyValue<'v>,
    ) -> Identity {
        let mut hasher = self.hasher(Purpose::Identity);
        let whole = write_key(&mut hasher, key, Whole::Identity, &mut value_of);
        let hash = hasher.finish128();
        let owner = if whole {
            hash.h1
        } else {
            let mut hasher = self.hasher(Purpose::Owner);
            write_key(&mut hasher, key, Whole::Owner, value_of);
            hasher.finish128().h1
        };
        Identity { whole: hash.as_u128(), owner }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Value;
    use crate::limit::parts::ClaimValue;

    fn text(text: &str) -> KeyValue<'_> {
        KeyValue::Text(text.into())
    }

    fn identity(key: &[Fact], values: &[KeyValue<'static>]) -> Identity {
        let mut values = values.iter().cloned().cycle();
        Secret::fixed(1, 2).identity(key, |_| values.next().unwrap())
    }

    fn address(text: &str) -> Identity {
        identity(&[Fact::Ip], &[KeyValue::Address(text.parse().unwrap())])
    }

    #[test]
    fn the_border_between_two_parts_counts() {
        let key = [Fact::Peer, Fact::Peer];
        let values = [["a", "bc"], ["ab", "c"], ["abc", ""], ["", "abc"]];
        let identities = values.map(|[one, two]| identity(&key, &[text(one), text(two)]));
        for (place, one) in identities.iter().enumerate() {
            assert!(!identities[..place].contains(one));
        }
    }

    #[test]
    fn the_same_name_at_two_issuers_is_two_identities() {
        let of =
            |issuer| identity(&[Fact::Sub], &[KeyValue::Claim { issuer, value: ClaimValue::Text("alice".into()) }]);
        assert_ne!(of("https://one.example"), of("https://two.example"));
    }

    #[test]
    fn the_same_value_in_two_claims_is_two_identities() {
        let of = |claim: &str| identity(&[Fact::Claim(claim.into())], &[text("7")]);
        assert_ne!(of("tenant"), of("team"));
    }

    #[test]
    fn a_missing_value_is_not_an_empty_one() {
        assert_ne!(identity(&[Fact::Peer], &[KeyValue::Missing]), identity(&[Fact::Peer], &[text("")]));
    }

    #[test]
    fn ipv6_addresses_count_by_their_network_and_mapped_ones_as_ipv4() {
        assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2:ffff::9"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    }

    #[test]
    fn a_claim_counts_by_its_type_and_value() {
        let parse = |text: &str| crate::json::parse(text.as_bytes(), crate::json::Bounds::TOKEN).unwrap();
        let of = |text: &str| {
            let value = parse(text);
            let claim = match &value {
                Value::Text(text) => ClaimValue::Text(text.clone().into()),
                other => ClaimValue::Json(other),
            };
            Secret::fixed(1, 2).identity(&[Fact::Claim("c".into())], |_| KeyValue::Claim {
                issuer: "https://as.example",
                value: claim.clone(),
            })
        };
        let distinct = [
            "7",
            "\"7\"",
            "true",
            "\"true\"",
            "7.5",
            "[7]",
            "[\"7\"]",
            "[1,2]",
            "[2,1]",
            "{\"a\":1}",
            "{\"b\":1}",
            "[[7]]",
        ];
        for (place, one) in distinct.iter().enumerate() {
            assert!(distinct[..place].iter().all(|other| of(other) != of(one)), "{one}");
        }
        assert_eq!(of("7"), of("7.0"));
        assert_eq!(of(r#"{"a":1,"b":[2]}"#), of(r#"{"b":[2],"a":1}"#));
    }

    #[test]
    fn what_a_caller_can_choose_changes_the_identity_but_not_the_owner() {
        let key = [Fact::ClientId, Fact::Header("x".into())];
        let (one, two) = (identity(&key, &[text("a"), text("1")]), identity(&key, &[text("a"), text("2")]));
        assert_ne!(one.tag(), two.tag());
        assert_eq!(one.tag().of_owner(), two.tag().of_owner());
        assert_ne!(one.tag(), one.tag().of_owner());
        assert_ne!(identity(&key, &[text("b"), text("1")]).owner, one.owner);
        let slots: std::collections::HashSet<_> =
            (0..1000).map(|n| identity(&key, &[text("a"), KeyValue::Text(n.to_string().into())]).slot(8192)).collect();
        assert_eq!(slots.len() as u64, SPREAD);
        assert_eq!(address("2001:db8:1:2::1").owner, address("2001:db8:1:3::1").owner);
        assert_ne!(address("2001:db8:1::1").owner, address("2001:db8:2::1").owner);
        assert_ne!(address("192.0.2.1").owner, address("192.0.2.2").owner);
    }
}
