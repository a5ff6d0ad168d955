//! Verified tokens: those that this worker remembers with all that is in them, and those of which it knows that some worker verified
//! them. In: tokens as they were sent, and as they were verified. Out: a token whose issuer still stands by it. Not here: how they are
//! kept (`token::cache`, `shared::Marks`), whether one was taken back (`standing`).

use std::rc::Rc;

use crate::host::Host;
use crate::policy::{Issuer, Resource, TokenCacheBounds};
use crate::shared::Marks;
use crate::time::Now;
use crate::token::{AccessToken, RawToken, TokenCache};
use crate::worker::policies::Used;
use crate::worker::{Counter, Worker};

/// So many tokens are known to all workers together.
pub const KNOWN_TOKENS: u32 = 65_536;

/// See the module.
pub struct Tokens {
    remembered: TokenCache,
    /// Tokens that some worker verified.
    known: Marks,
}

impl Tokens {
    pub(super) fn new(seed: u64, bounds: TokenCacheBounds, host: &dyn Host) -> Self {
        Self { remembered: TokenCache::new(seed, bounds), known: Marks::new("tokens", KNOWN_TOKENS, host) }
    }

    pub(super) fn set_bounds(&mut self, bounds: TokenCacheBounds) {
        self.remembered.set_bounds(bounds);
    }

    /// Drops those of trusts that no policy relies on.
    pub(super) fn retain(&mut self, used: &Used<'_>) {
        self.remembered.retain(|token| used.trust(&token.issuer().trust));
    }

    /// Does not know a token any more that was verified under the trust of `issuer`.
    pub(super) fn forget(&mut self, text: &[u8], issuer: &Issuer) {
        self.remembered.forget(text, |known| known.issuer().trust == issuer.trust);
    }

    /// Whether any worker of the proxy verified that token, under the trust of `issuer`.
    pub fn is_known(&self, raw: RawToken<'_>, issuer: &Issuer, host: &dyn Host, now: Now) -> bool {
        self.known.holds(&under_trust(raw, issuer), host, now.mono)
    }

    /// Tells all workers of the proxy that this token was verified.
    pub fn make_known(&self, raw: RawToken<'_>, token: &AccessToken, host: &dyn Host, now: Now) {
        let lasts = token.claims().expires.plus(token.issuer().leeway).since(now.wall);
        self.known.mark(&under_trust(raw, token.issuer()), now.mono.plus(lasts), host, now.mono);
    }
}

impl Worker {
    /// A token verified before under a trust of `resource`, found by its whole text, if its issuer still
    /// stands by it. One that is known under other trusts only is to be verified anew.
    pub fn verified(&mut self, raw: RawToken<'_>, resource: &Resource, now: Now) -> Option<Rc<AccessToken>> {
        let remembered = &mut self.tokens.remembered;
        let token = remembered.get(raw.as_bytes(), |token| token.trusted_by(resource).is_some())?;
        if !token.is_fresh(resource, now) || !self.vouches(&token, now) {
            self.tokens.remembered.forget(raw.as_bytes(), |known| std::ptr::eq(known, &*token));
            return None;
        }
        self.tally.count(Counter::TokenCacheHit);
        Some(token)
    }

    /// Whether the issuer of a verified token still stands by it, as far as is known now: nothing is fetched, nobody
    /// waits.
    pub fn vouches(&self, token: &AccessToken, now: Now) -> bool {
        token.still_vouched(self.documents.keys.set(token.issuer(), now.mono))
    }

    /// Remembers a token that was just verified, beside what is known of it under other trusts.
    pub fn remember(&mut self, raw: RawToken<'_>, token: &Rc<AccessToken>) {
        self.keep(raw.as_bytes(), token);
    }

    /// The same for its text.
    pub(super) fn keep(&mut self, text: &[u8], token: &Rc<AccessToken>) {
        self.tally.count(Counter::TokenCacheMiss);
        let trust = &token.issuer().trust;
        let same = |known: &AccessToken| known.issuer().trust == *trust;
        self.tokens.remembered.insert(text, token.clone(), token.memory(), same);
    }
}

/// A token as all workers know it: under a trust.
fn under_trust(raw: RawToken<'_>, issuer: &Issuer) -> Vec<u8> {
    [issuer.trust.as_bytes(), raw.as_bytes()].concat()
}
