//! The policies that somebody holds: the newest, those of other listeners, and old ones whose requests have not ended. In: policies as
//! they are adopted. Out: what is still relied on. Not here: what each store drops then.

use std::collections::BTreeSet;
use std::rc::{Rc, Weak};

use crate::policy::{Policy, TokenCacheBounds, TrustId};

/// See the module.
#[derive(Default)]
pub(super) struct Policies(Vec<Weak<Policy>>);

impl Policies {
    pub(super) fn adopt(&mut self, policy: &Rc<Policy>) {
        self.0.push(Rc::downgrade(policy));
    }

    /// Those that are left, if there are some that nobody holds any more.
    pub(super) fn retire(&mut self) -> Option<Vec<Rc<Policy>>> {
        let before = self.0.len();
        self.0.retain(|policy| policy.strong_count() > 0);
        (self.0.len() != before).then(|| self.live().collect())
    }

    /// Several listeners, or the old one and the new one of an update, share verified tokens: none makes the place of
    /// another's smaller than it was promised.
    pub(super) fn token_bounds(&self) -> Option<TokenCacheBounds> {
        self.live().map(|policy| policy.token_cache).reduce(TokenCacheBounds::or_larger)
    }

    fn live(&self) -> impl Iterator<Item = Rc<Policy>> {
        self.0.iter().filter_map(Weak::upgrade)
    }
}

/// What policies rely on.
pub(super) struct Used<'p> {
    policies: &'p [Rc<Policy>],
    trusts: BTreeSet<&'p TrustId>,
}

impl<'p> Used<'p> {
    pub(super) fn by(policies: &'p [Rc<Policy>]) -> Self {
        // Extended, not collected: that would sort, and sorting these is 40 KB of the module.
        let mut trusts: BTreeSet<&TrustId> = BTreeSet::new();
        trusts.extend(policies.iter().flat_map(|policy| &policy.issuers).map(|issuer| &issuer.trust));
        Self { policies, trusts }
    }

    /// Whether an issuer is trusted so.
    pub(super) fn trust(&self, trust: &TrustId) -> bool {
        self.trusts.contains(trust)
    }

    /// Whether the revocations of this source count.
    pub(super) fn revocations(&self, id: &str) -> bool {
        self.policies.iter().flat_map(|policy| policy.revocation_sources()).any(|(_, source)| *source.id == *id)
    }
}
