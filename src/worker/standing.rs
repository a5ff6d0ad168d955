//! Whether a token that its issuer vouches for was taken back before its time, by the issuer or by the resource. In: a token, the resource it is for. Out: [`Standing`]. Not here: the
//! documents and lists that say so (`revocations`, `status_lists`).

use std::rc::Rc;
use std::time::Duration;

use crate::host::Host;
use crate::policy::{Issuer, OnStale, Resource, RevocationRule, StatusListRule, TrustId};
use crate::revocation::{RevokedBy, StatusReference};
use crate::time::{MonoNanos, Now};
use crate::token::AccessToken;
use crate::worker::Worker;
use crate::worker::documents::DocumentId;
use crate::worker::revocations::Named;
use crate::worker::status_lists::Looked;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was not.
    Good,
    /// It was.
    Revoked,
    /// What it says of its status is not understood, or leads nowhere.
    Malformed,
    /// A fetch tells, which may take so long.
    Pending(TrustId, Duration),
    /// Nobody knows, and the operator wants such tokens refused.
    Unknown,
}

impl Standing {
    fn unknown(on_stale: OnStale) -> Self {
        match on_stale {
            OnStale::Refuse => Standing::Unknown,
            OnStale::Allow => Standing::Good,
        }
    }
}

impl Worker {
    /// Whether a token was taken back, as far as is known now, by the rules of its issuer as `resource` trusts it, and by those of
    /// `resource`. May queue the fetch of a status list; `Pending` only where the request `may_wait`.
    pub fn standing(
        &mut self,
        token: &AccessToken,
        resource: &Resource,
        may_wait: bool,
        host: &dyn Host,
        now: Now,
    ) -> Standing {
        let Some(issuer) = token.trusted_by(resource) else { return Standing::Revoked };
        let rules = [(RevokedBy::Issuer, &issuer.revocation), (RevokedBy::Resource, &resource.revocation)];
        let mut standing = Standing::Good;
        // What one of them does not know, the other may.
        for (by, rule) in rules {
            match self.document_standing(token, by, rule, now.mono) {
                Standing::Good => {}
                Standing::Unknown => standing = Standing::Unknown,
                other => return other,
            }
        }
        let (Some(rule), Standing::Good) = (&issuer.status_lists, &standing) else { return standing };
        let Some(status) = token.claims().claim("status") else { return standing };
        match StatusReference::read(status) {
            Some(reference) => self.listed_standing(issuer, rule, reference, may_wait, host, now),
            // Another mechanism, or none that is understood: it may say no.
            None => Standing::Malformed,
        }
    }

    /// The same by entries and a document alone.
    fn document_standing(
        &self,
        token: &AccessToken,
        by: RevokedBy,
        RevocationRule { listed, source }: &RevocationRule,
        now: MonoNanos,
    ) -> Standing {
        if !listed.is_empty() && listed.name(&token.revocable()) {
            return Standing::Revoked;
        }
        let Some(source) = source else { return Standing::Good };
        match self.documents.revocations.name(source, token.cleared(by), || token.revocable(), now) {
            Named::Yes => Standing::Revoked,
            Named::No(edition) => {
                token.clear(by, edition);
                Standing::Good
            }
            Named::Unknown => Standing::unknown(source.on_stale),
        }
    }

    fn listed_standing(
        &mut self,
        issuer: &Rc<Issuer>,
        rule: &StatusListRule,
        reference: StatusReference<'_>,
        may_wait: bool,
        host: &dyn Host,
        now: Now,
    ) -> Standing {
        match self.documents.status_lists.look_up(issuer, rule, reference, self.seed, now) {
            Looked::State(0) => Standing::Good,
            Looked::State(_) => Standing::Revoked,
            Looked::Nowhere => Standing::Malformed,
            Looked::Pending(id) => {
                self.fetch(&DocumentId::StatusList(id.clone()), may_wait, host, now);
                if may_wait { Standing::Pending(id, rule.timeout) } else { Standing::unknown(rule.on_stale) }
            }
            Looked::Unknown => Standing::unknown(rule.on_stale),
        }
    }
}
