//! By whose certificate a request goes: that of its connection, or one that a trusted hop conveys; or who the mesh says it is. In:
//! what the resource says, the peer of the connection, the fields. Out: the holder, of whom nothing but the thumbprint is
//! looked at until a rule asks, and why what was conveyed is not used.
//!
//! A trusted hop never speaks for itself: where it says nothing of its client, or nothing that can be read, there is no
//! holder.
//! Not here: how a certificate is read and validated (`peer`), what it is good for (`binding`, `authz`).

use crate::exchange::Surroundings;
use crate::http::HeaderMap;
use crate::peer::{Conveyed, Noticed, Peer, PeerIdentity, Unused};
use crate::policy::{PeerSource, Policy, TrustedHops};

/// Who calls.
pub(super) enum Holder {
    /// The peer of the connection, noticed if a rule may ask who that is.
    Peer(Peer, Option<Noticed>),
    /// Somebody else, by the word of a hop or of the mesh.
    Client(PeerIdentity),
}

/// The holder, if there is one, and where that was read.
#[derive(Default)]
pub(super) struct Found {
    pub(super) holder: Option<Holder>,
    /// The name of the source.
    pub(super) source: Option<&'static str>,
    /// Why what a hop or the mesh may have said is not used.
    pub(super) unused: Option<Unused>,
}

impl Found {
    fn by(source: &'static str, holder: Holder) -> Self {
        Self { holder: Some(holder), source: Some(source), unused: None }
    }

    /// By whose certificate a request with these fields goes.
    pub(super) fn of(
        source: &PeerSource,
        fields: &HeaderMap,
        peer: Option<(Peer, Option<Noticed>)>,
        policy: &Policy,
        around: &mut Surroundings<'_>,
    ) -> Self {
        let itself = |(peer, noticed)| Self::by("tls", Holder::Peer(peer, noticed));
        let client = match source {
            PeerSource::Tls => return peer.map(itself).unwrap_or_default(),
            PeerSource::MeshPrincipal => PeerIdentity::principal(around.connection),
            PeerSource::Hop(hops) => conveyed(hops, fields, peer, policy, around),
        };
        match (client, source) {
            (Ok(client), _) => Self::by(source.slug(), Holder::Client(client)),
            (Err(Unused::HopUntrusted), PeerSource::Hop(hops)) => {
                let direct = peer.filter(|_| hops.direct).map(itself).unwrap_or_default();
                let wrote = fields.all(hops.header.name()).next().is_some();
                let unused = (wrote || direct.holder.is_none()).then_some(Unused::HopUntrusted);
                Self { unused, ..direct }
            }
            (Err(unused), _) => Self { unused: Some(unused), ..Self::default() },
        }
    }
}

/// The client of the peer, if that is a hop whose word is taken.
fn conveyed(
    hops: &TrustedHops,
    fields: &HeaderMap,
    peer: Option<(Peer, Option<Noticed>)>,
    policy: &Policy,
    around: &mut Surroundings<'_>,
) -> Result<PeerIdentity, Unused> {
    let (peer, noticed) = peer.ok_or(Unused::HopUntrusted)?;
    let hop = Holder::Peer(peer, noticed).identity(policy, around);
    if !hop.is_some_and(|hop| hop.fits_one_of(&hops.trusted)) {
        return Err(Unused::HopUntrusted);
    }
    let conveyed = Conveyed::read(hops.header, fields, peer.thumbprint)?;
    Ok(around.worker.peers().conveyed(conveyed))
}

impl Holder {
    /// As tokens are bound to it; of a principal none is.
    pub(super) fn peer(&self) -> Option<Peer> {
        match self {
            Self::Peer(peer, _) => Some(*peer),
            Self::Client(client) => client.thumbprint.map(|thumbprint| Peer { thumbprint }),
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
