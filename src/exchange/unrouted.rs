//! Requests that no route is found for: a path, method or host that is not served. In: the refusal, what is known of the
//! request. Out: the same refusal, counted against the source, or that the source has been refused so too often.
//! Not here: finding routes (`approach`), refusals on a route (`limits`).
//!
//! They have no route whose limits could count them. So all limits on answers count them that a route of the resource has
//! (of any resource, where not even that is known), if their key needs no token.

use std::rc::Rc;

use crate::exchange::Surroundings;
use crate::exchange::caller::Caller;
use crate::exchange::holder::Holder;
use crate::http::{Head, HeadFault, HeaderMap, Unread};
use crate::peer::PeerIdentity;
use crate::policy::{Charge, Policy, Resource};
use crate::verdict::Refusal;

/// See the module.
pub(super) struct Unrouted {
    pub(super) refusal: Refusal,
    /// If it could be read.
    pub(super) head: Result<Head, Unread>,
    /// If the host was recognised.
    pub(super) resource: Option<Rc<Resource>>,
    pub(super) holder: Option<Holder>,
}

/// Methods that no mode lets through: they make a tunnel or an echo.
pub(super) fn never_passes(method: &[u8]) -> bool {
    matches!(method, b"CONNECT" | b"TRACE")
}

impl Unrouted {
    pub(super) fn fields(&self) -> &HeaderMap {
        self.head.as_ref().map_or_else(|unread| &unread.fields, Head::fields)
    }

    /// Whether it may pass where refusals are only reported. Nobody knows what a head without one method, host and path
    /// means; everything else would pass as well if it were written otherwise.
    pub(super) fn may_pass(&self) -> bool {
        let fault = self.head.as_ref().err().map(|unread| unread.fault);
        fault != Some(HeadFault::Malformed) && !self.fields().all(":method").any(never_passes)
    }

    /// Counts it. Out: what is answered.
    pub(super) fn count(&mut self, policy: &Policy, around: &mut Surroundings<'_>) -> Refusal {
        let refusal = std::mem::replace(&mut self.refusal, crate::reason::Reason::FilterUnavailable.into());
        let status = refusal.reason.row().status;
        let charges = self.resource.as_ref().map_or(&policy.unrouted, |resource| &resource.unrouted);
        let counting: Vec<&Charge> = charges.iter().filter(|charge| charge.limit.counts.response(status)).collect();
        if counting.is_empty() {
            return refusal;
        }
        let peer = self.identity(&counting, policy, around);
        let source = Caller {
            head: self.head.as_ref().ok(),
            route: None,
            preflight: false,
            token: None,
            key: None,
            peer: peer.as_ref(),
            wall: around.now.wall,
        };
        match source.look(counting.iter().copied(), around) {
            Ok(()) => {
                source.refused(counting, status, around);
                refusal
            }
            Err(over) => Refusal::of_source(over),
        }
    }

    /// Who the peer is, if any of these depends on it.
    fn identity(&self, counting: &[&Charge], policy: &Policy, around: &mut Surroundings<'_>) -> Option<PeerIdentity> {
        counting.iter().any(|charge| charge.limit.needs_identity()).then_some(())?;
        self.holder.as_ref()?.identity(policy, around)
    }
}
