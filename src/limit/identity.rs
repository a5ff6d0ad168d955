//! Whose budget: the parts of a key, resolved for one request, as a keyed hash. In: key parts and their values. Out:
//! an [`Identity`], and a tag for each limit that counts it. Not here: reading the values from a request (`exchange`).
//!
//! The hash is SipHash-1-3 with 128 bits under a secret that all workers of a process share, so that nobody outside
//! can choose identities that meet in one slot. Not here: how a key becomes bytes (`parts`).

use std::borrow::Cow;
use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip128::Hasher128;

use crate::limit::parts::{write_key, write_text};
use crate::policy::KeyPart;
use crate::shared::Secret;

/// What a part of a key is in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyValue<'a> {
    /// Text that means the same for every issuer: a peer, a constant.
    Text(Cow<'a, str>),
    /// A claim of a token: what two issuers call by the same name are two identities.
    OfIssuer {
        /// `iss` of the token.
        issuer: &'a str,
        /// The claim's value.
        text: Cow<'a, str>,
    },
    /// An address. IPv6 counts as its /64, an IPv4 address mapped into IPv6 as itself.
    Address(IpAddr),
    /// The request has none. All such requests share one budget: leaving a claim out is no way around a limit.
    Missing,
}

/// An identity that is counted: a keyed hash, the same for all limits with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity(u128);

impl Identity {
    /// Sixty-four of its bits.
    pub(super) fn low_bits(self) -> u64 {
        // The cast keeps the low half, which is what is asked for.
        self.0 as u64
    }
}

/// One limit's entry for one identity. Never zero, which is the tag of an empty way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(pub(super) u64);

/// The hashes of limits under the secret of the process.
impl Secret {
    /// The identity that `key` counts, with the values that `value_of` gives its parts.
    pub(super) fn identity<'k, 'v>(
        &self,
        key: &'k [KeyPart],
        value_of: impl FnMut(&'k KeyPart) -> KeyValue<'v>,
    ) -> Identity {
        let mut hasher = self.hasher(b'i');
        write_key(&mut hasher, key, value_of);
        Identity(hasher.finish128().as_u128())
    }

    /// The tag of `identity` for the limit of that name.
    pub(super) fn tag(&self, identity: Identity, limit: &str) -> Tag {
        let mut hasher = self.hasher(b't');
        hasher.write(&identity.0.to_le_bytes());
        write_text(&mut hasher, limit);
        Tag(hasher.finish().max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> KeyValue<'_> {
        KeyValue::Text(text.into())
    }

    fn identity(key: &[KeyPart], values: &[KeyValue<'static>]) -> Identity {
        let mut values = values.iter().cloned();
        Secret::fixed(1, 2).identity(key, |_| values.next().unwrap())
    }

    fn address(text: &str) -> Identity {
        identity(&[KeyPart::Ip], &[KeyValue::Address(text.parse().unwrap())])
    }

    #[test]
    fn the_border_between_two_parts_counts() {
        let key = [KeyPart::Peer, KeyPart::Peer];
        let values = [["a", "bc"], ["ab", "c"], ["abc", ""], ["", "abc"]];
        let identities = values.map(|[one, two]| identity(&key, &[text(one), text(two)]));
        for (place, one) in identities.iter().enumerate() {
            assert!(!identities[..place].contains(one));
        }
    }

    #[test]
    fn the_same_name_at_two_issuers_is_two_identities() {
        let of = |issuer| identity(&[KeyPart::Sub], &[KeyValue::OfIssuer { issuer, text: "alice".into() }]);
        assert_ne!(of("https://one.example"), of("https://two.example"));
    }

    #[test]
    fn the_same_value_in_two_claims_is_two_identities() {
        let of = |claim: &str| identity(&[KeyPart::Claim(claim.into())], &[text("7")]);
        assert_ne!(of("tenant"), of("team"));
    }

    #[test]
    fn a_missing_value_is_not_an_empty_one() {
        assert_ne!(identity(&[KeyPart::Peer], &[KeyValue::Missing]), identity(&[KeyPart::Peer], &[text("")]));
    }

    #[test]
    fn ipv6_addresses_count_by_their_network_and_mapped_ones_as_ipv4() {
        assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2:ffff::9"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    }

    #[test]
    fn limits_of_one_identity_have_different_tags() {
        let identity = identity(&[], &[]);
        assert_ne!(Secret::fixed(1, 2).tag(identity, "per-second"), Secret::fixed(1, 2).tag(identity, "per-minute"));
    }
}
