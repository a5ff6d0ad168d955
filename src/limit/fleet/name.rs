//! What the service knows an identity by. In: the parts of a key and their values in one request. Out: a
//! [`DescriptorValue`], equal in every proxy of the fleet.
//!
//! It is the SHA-256 of the domain, the limit's name and the parts, each text behind its length, in hexadecimal. So
//! two limits or callers never meet in one counter, whatever characters a claim holds and however the service joins
//! names (envoyproxy/ratelimit joins them by `_`, unescaped), and names do not stand in its store. The hash has no
//! secret: who reads the store can still test a guess.
//! Not here: the keyed hash by which this process finds identities (`limit::Identity`).

use std::fmt;

use sha2::{Digest, Sha256};

use crate::limit::KeyValue;
use crate::limit::parts::{Whole, write_key, write_text};
use crate::policy::Fact;
use crate::policy::FleetLimit;

/// The value of a descriptor's one entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DescriptorValue([u8; 32]);

impl DescriptorValue {
    /// Of the identity that `limit` counts, with the values that `value_of` gives the parts of its key.
    pub fn new<'k, 'v>(limit: &'k FleetLimit, value_of: impl FnMut(&'k Fact) -> KeyValue<'v>) -> Self {
        let mut hash = Sha256::new();
        write_text(&mut hash, &limit.service.domain);
        write_text(&mut hash, &limit.origin.name);
        write_key(&mut hash, &limit.key, Whole::Identity, value_of);
        Self(hash.finalize().into())
    }
}

impl fmt::Display for DescriptorValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DescriptorValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DescriptorValue({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::ClaimValue;
    use crate::limit::fleet::fake::{limit_in, service};

    fn value(domain: &str, name: &str, parts: &[Fact], values: &[KeyValue<'static>]) -> DescriptorValue {
        let mut limit = limit_in(domain, name, service());
        limit.key = parts.to_vec();
        let mut values = values.iter().cloned();
        DescriptorValue::new(&limit, |_| values.next().unwrap())
    }

    fn text(text: &str) -> KeyValue<'_> {
        KeyValue::Text(text.into())
    }

    #[test]
    fn no_two_callers_limits_or_domains_share_a_value() {
        let (peer, sub) = (Fact::Peer, Fact::Sub);
        let of_issuer = |issuer| KeyValue::Claim { issuer, value: ClaimValue::Text("a".into()) };
        let address = |text: &str| KeyValue::Address(text.parse().unwrap());
        let two = [peer.clone(), peer.clone()];
        let values = [
            value("d", "n", &two, &[text("a"), text("bc")]),
            value("d", "n", &two, &[text("ab"), text("c")]),
            value("d", "n", std::slice::from_ref(&peer), &[text("a")]),
            value("d_n", "", std::slice::from_ref(&peer), &[text("a")]),
            value("d", "n", std::slice::from_ref(&peer), &[KeyValue::Missing]),
            value("d", "n", std::slice::from_ref(&peer), &[text("")]),
            value("d", "n", std::slice::from_ref(&sub), &[text("a")]),
            value("d", "n", std::slice::from_ref(&sub), &[of_issuer("https://one.example")]),
            value("d", "n", std::slice::from_ref(&sub), &[of_issuer("https://two.example")]),
            value("d", "n", &[Fact::Ip], &[address("192.0.2.1")]),
            value("d", "n", &[Fact::Ip], &[address("2001:db8::1")]),
        ];
        for (place, one) in values.iter().enumerate() {
            assert!(!values[..place].contains(one), "{place}");
        }
    }

    #[test]
    fn every_proxy_of_the_fleet_and_every_version_gives_the_same_value() {
        let value = value("boundgate", "per-client", &[Fact::Peer], &[text("spiffe://mesh/ns/billing")]);
        assert_eq!(value.to_string(), "19c07faafcbd9fb45bca79cd3ae227db8d8313fcb67ff6f5e3a3ba20e8b65264");
    }

    #[test]
    fn the_order_in_which_a_key_was_written_means_nothing() {
        let of = |key: &[Fact]| {
            let limit = FleetLimit::new(service().origin, key.to_vec(), std::rc::Rc::new(service()));
            DescriptorValue::new(&limit, |part| text(if *part == Fact::Peer { "a" } else { "b" }))
        };
        assert_eq!(of(&[Fact::Peer, Fact::Route]), of(&[Fact::Route, Fact::Peer]));
    }

    #[test]
    fn a_value_shows_no_name_and_needs_no_escapes() {
        let shown = value("d", "n", &[Fact::Peer], &[text("alice_x:y%\n")]).to_string();
        assert_eq!(shown.len(), 64);
        assert!(shown.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
