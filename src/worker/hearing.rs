//! A question is sent, and ends: what the answer says is found out, remembered, and told to whoever waits. In: a token; the end of its
//! call; keys that have come. Out: a call; woken exchanges. A signed answer whose keys are not there yet is held until they are, no longer than a question lasts.
//! Not here: the questions (`introspections`), what an answer means (`token`).

use std::rc::Rc;

use crate::host::Host;
use crate::policy::{Issuer, TrustId};
use crate::reason::Reason;
use crate::time::Now;
use crate::token::introspection::judge_members;
use crate::token::signed_answer::SignedAnswer;
use crate::token::{AccessToken, RawToken, introspection::Rejected};
use crate::worker::calls::{For, Message};
use crate::worker::fetch::{FetchFailed, HttpAnswer};
use crate::worker::fetch_fault::FetchFault;
use crate::worker::introspections::{HeldAnswer, Inquiry, QuestionId};
use crate::worker::key_store::KeyLookup;
use crate::worker::{Counter, Worker};

type Heard = Result<Result<AccessToken, Rejected>, FetchFault>;

impl Worker {
    /// What is known of a token that `issuer` is asked about, and that is not [known to be good](Self::verified).
    pub fn inquiry(&self, raw: RawToken<'_>, issuer: &Issuer, now: Now) -> Inquiry {
        self.introspections.inquiry(raw.as_bytes(), issuer, now.mono)
    }

    /// Has `issuer` asked about a token.
    pub fn ask_about(
        &mut self,
        raw: RawToken<'_>,
        issuer: &Rc<Issuer>,
        host: &dyn Host,
        now: Now,
    ) -> Result<QuestionId, Reason> {
        let introspection = issuer.introspection.as_ref().ok_or(Reason::IssuerUntrusted)?;
        let (id, fetch) = self.introspections.ask(raw.as_bytes(), issuer, introspection, host, now)?;
        self.calls.send(For::Introspection(id), Message::Fetch(fetch));
        Ok(id)
    }

    /// The call of a question ended.
    pub(super) fn introspected(
        &mut self,
        id: QuestionId,
        answer: Result<HttpAnswer, FetchFailed>,
        host: &dyn Host,
        now: Now,
    ) {
        let Some((issuer, asked)) = self.introspections.about(id) else { return };
        if !issuer.introspection.as_ref().is_some_and(|introspection| introspection.signed) {
            return self.conclude(id, FetchFault::or_told(answer, &issuer, asked.mono), now);
        }
        let content_type = answer.as_ref().ok().and_then(|answer| answer.fields.content_type.clone());
        match FetchFault::or_answer(answer) {
            Ok(body) => self.hear_signed(id, HeldAnswer { body, content_type }, host, now),
            Err(fault) => self.conclude(id, Err(fault), now),
        }
    }

    fn hear_signed(&mut self, id: QuestionId, answer: HeldAnswer, host: &dyn Host, now: Now) {
        let Some((issuer, asked)) = self.introspections.about(id) else { return };
        let parsed = SignedAnswer::parse(&answer.body, answer.content_type.as_deref(), &issuer);
        let heard = parsed.and_then(|signed| {
            let keys = match self.keys(&issuer, signed.header(), host, now) {
                KeyLookup::Found(keys) => keys,
                KeyLookup::Wait => return Ok(None),
                KeyLookup::Unknown => Vec::new(),
            };
            let members = signed.verify(&keys, &issuer, asked.wall, host, self.native, now)?;
            judge_members(members, &issuer, asked.mono).map(Some)
        });
        match heard.transpose() {
            Some(heard) => self.conclude(id, heard.map_err(FetchFault::Answer), now),
            None => self.introspections.hold(id, answer),
        }
    }

    /// There are keys of an issuer, old or new.
    pub(super) fn hear_held(&mut self, trust: &TrustId, host: &dyn Host, now: Now) {
        for (id, answer) in self.introspections.take_held(trust) {
            self.hear_signed(id, answer, host, now);
        }
    }

    /// Answers are given up whose keys did not come in time.
    pub(super) fn give_up_held(&mut self, now: Now) {
        for id in self.introspections.overdue(now.mono) {
            self.conclude(id, Err(FetchFault::Call(FetchFailed::Lost)), now);
        }
    }

    fn conclude(&mut self, id: QuestionId, heard: Heard, now: Now) {
        let Some(ended) = self.introspections.end(id, heard, now.mono) else { return };
        let failed = matches!(&ended.told, Err(rejected) if rejected.reason == Reason::IntrospectionUnavailable);
        self.tally.count(if failed { Counter::IntrospectionFailed } else { Counter::IntrospectionOk });
        self.tally.add(Counter::IntrospectionBreakerOpened, usize::from(ended.opened));
        if let Some(warning) = ended.warning {
            log::warn!("{warning}");
        }
        match &ended.told {
            Ok(token) => self.keep(&ended.token, token),
            // It was asked about again before the last answer was over.
            Err(_) if !failed => self.tokens.forget(&ended.token, &ended.issuer),
            Err(_) => {}
        }
        self.waits.introspected(id, &ended.told);
    }
}
