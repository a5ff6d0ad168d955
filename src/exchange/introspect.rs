//! A token that this worker does not remember and whose issuer is asked about it: whether it may be asked, and who pays. In: the
//! token as it was sent, its source; later what the issuer said. Out: the token, a refusal, or leave to wait for an answer.
//! Not here: what an answer means (`token::introspection`), one question for all that wait (`worker`).

use std::rc::Rc;

use crate::exchange::caller::Caller;
use crate::exchange::verify::make_known;
use crate::exchange::{Awaited, RETRY, Stop, Surroundings};
use crate::policy::{Issuer, Policy};
use crate::reason::Reason;
use crate::token::introspection::Rejected;
use crate::token::{AccessToken, Claimed, RawToken};
use crate::verdict::Refusal;
use crate::worker::{Inquiry, Told};

/// Leave to wait for what `issuer` says, or what it said a short time ago. As for [`verify`](super::verify::verify), a source that
/// has failed too often has nothing new asked; who waits for a question that another one paid makes no work.
pub(super) fn ask(
    raw: RawToken<'_>,
    issuer: &Rc<Issuer>,
    source: &Caller<'_>,
    around: &mut Surroundings<'_>,
) -> Result<Told, Stop> {
    source.look_at_source(around)?;
    let is_known = around.worker.tokens().is_known(raw, issuer, around.host, around.now);
    if !is_known {
        source.look_at_stranger(around)?;
    }
    raw.check_syntax()?;
    let question = match around.worker.inquiry(raw, issuer, around.now) {
        Inquiry::Rejected(rejected) => return Ok(Err(rejected)),
        Inquiry::GivenUp => return Err(unavailable().into()),
        Inquiry::UnderWay(question) => question,
        Inquiry::Open => {
            if source.pays_for_verifications() && !is_known {
                source.charge_source(around)?;
            }
            around.worker.ask_about(raw, issuer, around.host, around.now).map_err(refusal)?
        }
    };
    Err(Stop::WaitFor(Awaited::Answer(issuer.clone(), question)))
}

/// What the issuer said, as a token or a refusal; and what is wrong with its answer, for the audit record.
pub(super) fn hear(
    told: Told,
    raw: RawToken<'_>,
    policy: &Policy,
    claimed: &mut Option<Box<Claimed>>,
    around: &Surroundings<'_>,
) -> Result<Rc<AccessToken>, Refusal> {
    match told {
        Ok(token) => {
            make_known(raw, &token, policy, around);
            Ok(token)
        }
        Err(Rejected { reason, because }) => {
            *claimed = because.map(|(member, what)| Box::new(Claimed::of_answer(member, what)));
            Err(refusal(reason))
        }
    }
}

/// The issuer could not be asked, or did not answer in time.
pub(super) fn unavailable() -> Refusal {
    Refusal::unavailable(Reason::IntrospectionUnavailable, RETRY)
}

fn refusal(reason: Reason) -> Refusal {
    match reason {
        Reason::IntrospectionUnavailable => unavailable(),
        reason => reason.into(),
    }
}
