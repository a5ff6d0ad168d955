//! Peers: mTLS identity alone. In: a route's list and who the peer is. Out: nothing, or the reason it may not pass.

use crate::peer::PeerIdentity;
use crate::policy::PeerRule;
use crate::reason::Reason;

/// Only a validated certificate is somebody; where SPIFFE IDs alone are listed, one without is nobody.
pub fn admits(rule: &PeerRule, peer: Option<&PeerIdentity>) -> Result<(), Reason> {
    let peer = peer.ok_or(Reason::PeerMissing)?;
    if !peer.validated {
        return Err(Reason::PeerUnidentified);
    }
    if peer.fits_one_of(rule) {
        return Ok(());
    }
    let nameless = peer.spiffe_id.is_none() && rule.is_of_spiffe_ids();
    Err(if nameless { Reason::PeerUnidentified } else { Reason::PeerNotAllowed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Thumbprint;
    use crate::policy::PeerPattern;
    use crate::spiffe::SpiffeId;

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

    #[test]
    fn a_certificate_without_spiffe_id_is_nobody_only_where_all_are_known_by_one() {
        let (below, dns) = (PeerPattern::Below("spiffe://a/".into()), PeerPattern::Dns("a.example".into()));
        for (rule, reason) in [
            (PeerRule(vec![below.clone()]), Reason::PeerUnidentified),
            (PeerRule(vec![below, dns.clone()]), Reason::PeerNotAllowed),
            (PeerRule(vec![dns]), Reason::PeerNotAllowed),
        ] {
            assert_eq!(admits(&rule, Some(&peer(None, true))), Err(reason));
        }
    }
}
