//! By whose certificate a request goes: that of its connection, or one that a trusted hop conveys. In: what the resource
//! says, the peer of the connection, the fields. Out: the holder, of whom nothing but the thumbprint is looked at until a rule asks.
//!
//! A trusted hop never speaks for itself: where it says nothing of its client, or nothing that can be read, there is no
//! holder.
//! Not here: how a certificate is read and validated (`peer`), what it is good for (`binding`, `authz`).

use crate::exchange::Surroundings;
use crate::http::HeaderMap;
use crate::peer::{Conveyed, Noticed, Peer, PeerIdentity};
use crate::policy::{PeerSource, Policy};

/// Who holds the certificate.
pub(super) enum Holder {
    /// The peer of the connection, noticed if a rule may ask who that is.
    Peer(Peer, Option<Noticed>),
    /// The client of a trusted hop.
    Client(PeerIdentity),
}

impl Holder {
    /// By whose certificate a request with these fields goes.
    pub(super) fn of(
        source: &PeerSource,
        fields: &HeaderMap,
        (peer, noticed): (Peer, Option<Noticed>),
        policy: &Policy,
        around: &mut Surroundings<'_>,
    ) -> Option<Self> {
        let peer_itself = Self::Peer(peer, noticed);
        let hops = match source {
            PeerSource::Tls => return Some(peer_itself),
            PeerSource::Hop(hops) => hops,
        };
        let hop = peer_itself.identity(policy, around)?;
        if !hop.fits_one_of(&hops.trusted) {
            return hops.direct.then_some(peer_itself);
        }
        let conveyed = Conveyed::read(hops.header, fields, peer.thumbprint)?;
        Some(Self::Client(around.worker.peers().conveyed(conveyed)))
    }

    /// As tokens are bound to it.
    pub(super) fn peer(&self) -> Peer {
        match self {
            Self::Peer(peer, _) => *peer,
            Self::Client(client) => Peer { thumbprint: client.thumbprint },
        }
    }

    /// Who that is: it may cost several questions to the proxy.
    pub(super) fn identity(&self, policy: &Policy, around: &mut Surroundings<'_>) -> Option<PeerIdentity> {
        let Surroundings { worker, host, connection, now } = around;
        match self {
            Self::Peer(peer, noticed) => {
                let assume = policy.assume_validated;
                Some(worker.peers().identify(*peer, (*noticed)?, assume, *connection, *host, *now))
            }
            Self::Client(client) => Some(client.at(now.wall)),
        }
    }
}
