//! Proof of possession in a request: what it is held to, and who pays for the work. In: a token that names a key, the request, its
//! source. Out: the bound token or a refusal; and, for the answer, the nonce that the client lacks.
//! Not here: the checks of a proof (`binding`).

use crate::binding::dpop::{About, NonceAge, ProofFault, UnverifiedProof, presented_proof};
use crate::binding::{Bound, ByKey};
use crate::exchange::caller::Caller;
use crate::exchange::{Exchange, RETRY, RoutedRequest, Stop, Surroundings};
use crate::reason::Reason;
use crate::token::RawToken;
use crate::verdict::Refusal;

impl Exchange {
    /// Holds the sender to the key that its token names.
    pub(super) fn prove(
        &mut self,
        by_key: ByKey,
        raw: RawToken<'_>,
        request: &RoutedRequest,
        source: &Caller<'_>,
        around: &mut Surroundings<'_>,
    ) -> Result<Bound, Stop> {
        let Some(rule) = &request.resource.dpop else { return Err(Reason::ConfirmationUnusable.into()) };
        let (head, now, nonces) = (&request.head, around.now.wall, around.worker.nonces());
        self.facts.nonce = rule.nonce.as_deref().map(|purpose| nonces.current(purpose, now).into());
        let (method, path, ath, key) = (head.method(), head.path().as_str(), by_key.token().ath(raw), by_key.key());
        let about = About { method, path, ath, key, rule, nonces, now };
        let used = around.worker.proofs();
        let read = presented_proof(head.fields()).and_then(|proof| UnverifiedProof::read(proof, &about));
        let read = read.map_err(|fault| self.fault(fault))?;
        if read.nonce() == Some(NonceAge::Current) {
            self.facts.nonce = None;
        }
        let unused = read.unused(used, around.host, now).map_err(|fault| self.fault(fault))?;
        let native = around.worker.native();
        if !native.verifies(unused.algorithm()) {
            return Err(Reason::FilterUnavailable.into());
        }
        source.look_at_source(around)?;
        let signed = source.venture(around, || unused.verify(around.host, native).ok())?;
        let signed = signed.ok_or(ProofFault::Signature).map_err(|fault| self.fault(fault))?;
        // What limits refuse must take no room from the proofs of others.
        Caller { token: Some(by_key.token()), ..*source }.look_ahead(request, around)?;
        let proof = signed.use_up(around.worker.proofs(), around.host, now).map_err(|fault| self.fault(fault))?;
        Ok(by_key.proved(&proof)?)
    }

    fn fault(&mut self, fault: ProofFault) -> Refusal {
        self.facts.proof_fault = Some(fault);
        match fault.reason() {
            Reason::ProofsCrowded => Refusal::unavailable(Reason::ProofsCrowded, RETRY),
            reason => reason.into(),
        }
    }
}
