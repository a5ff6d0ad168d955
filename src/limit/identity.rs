//! Whose budget: the parts of a key, resolved for one request, as a keyed hash. In: key parts and their values. Out:
//! an [`Identity`], and a tag for each limit that counts it. Not here: reading the values from a request (`exchange`).
//!
//! The hash is SipHash-1-3 with 128 bits under a secret that all workers of a process share, so that nobody outside
//! can choose identities that meet in one slot. Not here: how a key becomes bytes (`parts`).

use std::borrow::Cow;
use std::fmt;
use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::host::{Expect, Host};
use crate::limit::parts::{write_key, write_text};
use crate::policy::KeyPart;

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

/// The key of the hash: one for all workers of a process.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(u64, u64);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where the process keeps it.
const SHARED_KEY: &str = "boundgate/secret/1";

impl Secret {
    /// The secret of this process: whoever comes first chooses it.
    ///
    /// Whatever stands under the key is used, even if another plugin wrote it there: a secret that is known weakens
    /// the spread over the slots, but two secrets would give every identity two budgets.
    pub(super) fn agree(host: &dyn Host) -> Self {
        let read = || host.shared_get(SHARED_KEY).map(|(value, _)| value);
        let agreed = read().unwrap_or_else(|| {
            let mine = host.random();
            match host.shared_set(SHARED_KEY, &mine, Expect::Absent) {
                Ok(()) => mine.to_vec(),
                Err(_) => read().unwrap_or_default(),
            }
        });
        let mut hasher = SipHasher13::new();
        hasher.write(&agreed);
        let hash = hasher.finish128();
        Self(hash.h1, hash.h2)
    }

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

    /// `purpose` keeps hashes of different things apart.
    fn hasher(&self, purpose: u8) -> SipHasher13 {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        hasher.write(&[purpose]);
        hasher
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;

    fn text(text: &str) -> KeyValue<'_> {
        KeyValue::Text(text.into())
    }

    fn identity(key: &[KeyPart], values: &[KeyValue<'static>]) -> Identity {
        let mut values = values.iter().cloned();
        Secret(1, 2).identity(key, |_| values.next().unwrap())
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
        assert_ne!(Secret(1, 2).tag(identity, "per-second"), Secret(1, 2).tag(identity, "per-minute"));
    }

    #[test]
    fn all_workers_of_a_process_agree_on_one_secret_and_processes_differ() {
        let host = FakeHost::with_random(1);
        let first = Secret::agree(&host);
        host.set_random(2);
        assert_eq!(Secret::agree(&host), first);
        assert_ne!(Secret::agree(&FakeHost::with_random(2)), first);
    }

    #[test]
    fn workers_agree_even_when_another_plugin_wrote_the_secret() {
        let host = FakeHost::with_random(1);
        host.overwrite(SHARED_KEY, b"");
        let first = Secret::agree(&host);
        host.set_random(2);
        assert_eq!(Secret::agree(&host), first);
    }

    #[test]
    fn a_secret_cannot_be_printed() {
        assert_eq!(format!("{:?}", Secret(7, 9)), "Secret(…)");
    }
}
