//! A token that this worker does not remember: whether it may be verified at all, by which keys, and who pays for the work.
//! In: the token as it was sent, its source. Out: the verified token, a refusal, or leave to wait for keys.
//! Not here: verifying (`token`), when keys are fetched (`worker`).

use std::rc::Rc;

use crate::exchange::caller::Caller;
use crate::exchange::{Awaited, Stop, Surroundings};
use crate::policy::{Policy, Resource};
use crate::reason::Reason;
use crate::token::{AccessToken, RawToken, Unverified};
use crate::worker::KeyLookup;

/// Verifies a token. A source that has failed too often, or made too much work, has nothing new verified; a token that any
/// worker of the proxy has verified is not new.
pub(super) fn verify(
    raw: RawToken<'_>,
    source: &Caller<'_>,
    resource: &Resource,
    policy: &Policy,
    around: &mut Surroundings<'_>,
) -> Result<Rc<AccessToken>, Stop> {
    source.look_at_source(around)?;
    let locked_out = source.look_at_stranger(around).err();
    let parsed = raw.check_syntax().and_then(|()| Unverified::parse(raw.as_bytes(), resource));
    let unverified = match (parsed, locked_out) {
        (Ok(unverified), None) => unverified,
        (Ok(unverified), Some(refusal)) => {
            if !around.worker.tokens().is_known(raw, unverified.issuer(), around.host, around.now) {
                return Err(refusal.into());
            }
            unverified
        }
        (Err(_), Some(refusal)) => return Err(refusal.into()),
        (Err(reason), None) => return Err(reason.into()),
    };
    let issuer = unverified.issuer().clone();
    if !around.worker.native().verifies(unverified.header().algorithm) {
        return Err(Reason::FilterUnavailable.into());
    }
    let keys = match around.worker.keys(&issuer, unverified.header(), around.host, around.now) {
        KeyLookup::Found(keys) => keys,
        KeyLookup::Wait => return Err(Stop::WaitFor(Awaited::Keys(issuer))),
        KeyLookup::Unknown => return Err(Reason::KeyUnknown.into()),
    };
    if source.pays_for_verifications() && !around.worker.tokens().is_known(raw, &issuer, around.host, around.now) {
        source.charge_source(around)?;
    }
    let token = Rc::new(unverified.verify(&keys, around.host, around.worker.native())?);
    around.worker.remember(raw, &token);
    make_known(raw, &token, policy, around);
    Ok(token)
}

/// Tells the other workers of a good token, where that spares it anything.
pub(super) fn make_known(raw: RawToken<'_>, token: &AccessToken, policy: &Policy, around: &Surroundings<'_>) {
    if policy.limits.iter().any(|limit| limit.spares_known_tokens()) {
        around.worker.tokens().make_known(raw, token, around.host, around.now);
    }
}
