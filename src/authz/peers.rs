//! Peers: mTLS identity alone. In: a route's list and who the peer is. Out: nothing, or the reason it may not pass.

use crate::peer::PeerIdentity;
use crate::policy::{PeerPattern, PeerRule};
use crate::reason::Reason;

/// Only a validated certificate is somebody; a pattern with a name needs its SPIFFE ID.
pub fn admits(rule: &PeerRule, peer: Option<&PeerIdentity>) -> Result<(), Reason> {
    let peer = peer.ok_or(Reason::PeerMissing)?;
    if !peer.validated {
        return Err(Reason::PeerUnidentified);
    }
    if rule.0.contains(&PeerPattern::Any) {
        return Ok(());
    }
    let id = peer.spiffe_id.as_ref().ok_or(Reason::PeerUnidentified)?;
    let matches = |pattern: &PeerPattern| match pattern {
        PeerPattern::Any => true,
        PeerPattern::Exactly(exactly) => exactly == id,
        PeerPattern::Below(prefix) => id.as_str().starts_with(&**prefix),
    };
    if rule.0.iter().any(matches) { Ok(()) } else { Err(Reason::PeerNotAllowed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::SpiffeId;
    use crate::peer::Thumbprint;

    fn peer(id: Option<&str>, validated: bool) -> PeerIdentity {
        let spiffe_id = id.map(|id| SpiffeId::parse(id).unwrap());
        PeerIdentity { validated, spiffe_id, ..PeerIdentity::nobody(Thumbprint::from_bytes([1; 32])) }
    }

    #[test]
    fn a_pattern_ends_at_a_segment() {
        let rule = PeerRule(vec![PeerPattern::Below("spiffe://a/b/".into())]);
        assert_eq!(admits(&rule, Some(&peer(Some("spiffe://a/b/c"), true))), Ok(()));
        assert_eq!(admits(&rule, Some(&peer(Some("spiffe://a/bc"), true))), Err(Reason::PeerNotAllowed));
    }

    #[test]
    fn nobody_passes_without_a_validated_certificate() {
        let any = PeerRule(vec![PeerPattern::Any]);
        assert_eq!(admits(&any, None), Err(Reason::PeerMissing));
        assert_eq!(admits(&any, Some(&peer(None, false))), Err(Reason::PeerUnidentified));
        assert_eq!(admits(&any, Some(&peer(None, true))), Ok(()));
    }
}
