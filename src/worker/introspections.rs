//! Questions to authorization servers about tokens: who is asked now, and whose answer was no a short time ago. In: tokens, ends of
//! questions, time. Out: what is known of a token, the question to send, what came of it. One question for a token at a time,
//! whoever waits for it. Not here: tokens that are good (`token::cache`), who waits (`waits`), what an answer means
//! (`token::introspection`), how a question looks (`question`).
//!
//! Anyone can send tokens that nobody issued. What is remembered of them stands in a table of its own, where one takes the place of
//! another: they never take that of a good one.

use std::mem::{Discriminant, discriminant};
use std::rc::Rc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::host::Host;
use crate::limit::fleet::Breaker;
use crate::policy::{Introspection, Issuer, TrustId};
use crate::reason::Reason;
use crate::time::{MonoNanos, Now};
use crate::token::AccessToken;
use crate::token::introspection::{Rejected, held_to};
use crate::worker::fetch::Fetch;
use crate::worker::fetch_fault::{FetchFault, Sought};
use crate::worker::question;

/// More questions are never under way at once in one worker. Those of one issuer may be as many as are free: half of all, so that a
/// server that is slow leaves places for others.
const MOST: usize = 2000;
/// The same of the bytes of the tokens that they are about.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// So many answers of no are remembered, at most.
const REJECTIONS: usize = 1024;
/// The most memory in one worker, with what the proxy keeps of each question: a head, and the token once more.
pub const MEMORY: usize = 2 * MOST_BYTES + MOST * 2048 + REJECTIONS * (size_of::<Option<Rejection>>() + 64);
/// A question whose end was not reported so long after its time-out never ends.
const LOST_AFTER: Duration = Duration::from_secs(1);
/// A fault of the same kind is told again after so long.
const TOLD_AGAIN: Duration = Duration::from_secs(30);
/// Nor is one of another kind told sooner than this after one.
const TOLD_NEXT: Duration = Duration::from_secs(1);

/// A question, by our number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuestionId(u64);

/// What is known of a token that an issuer is asked about and that is not known to be good.
#[derive(Debug)]
pub enum Inquiry {
    /// The issuer said no, a short time ago.
    Rejected(Rejected),
    /// It is being asked.
    UnderWay(QuestionId),
    /// It may be asked.
    Open,
    /// It does not answer, and is given up for a moment.
    GivenUp,
}

/// What came of a question.
pub type Told = Result<Rc<AccessToken>, Rejected>;

/// A token under a trust: equal if and only if both are.
type TokenDigest = [u8; 32];

struct Question {
    id: QuestionId,
    digest: TokenDigest,
    token: Box<[u8]>,
    issuer: Rc<Issuer>,
    asked: Now,
    /// An answer that cannot be verified before the keys have come.
    held: Option<HeldAnswer>,
}

/// An answer as it came.
pub(super) struct HeldAnswer {
    pub(super) body: Vec<u8>,
    pub(super) content_type: Option<Vec<u8>>,
}

struct Rejection {
    digest: TokenDigest,
    rejected: Rejected,
    until: MonoNanos,
}

/// The server of an issuer.
struct Server {
    trust: TrustId,
    breaker: Breaker,
    /// The last kind of fault, and when it was told.
    told: Option<(Discriminant<FetchFault>, MonoNanos)>,
}

/// A question that ended.
pub(super) struct Ended {
    pub(super) token: Box<[u8]>,
    /// Who was asked.
    pub(super) issuer: Rc<Issuer>,
    pub(super) told: Told,
    /// What to tell the operator.
    pub(super) warning: Option<String>,
    /// Whether its server was given up for that.
    pub(super) opened: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Introspections {
    under_way: Vec<Question>,
    bytes: usize,
    last: u64,
    /// By the first bytes of the digest; empty until the first comes.
    rejections: Vec<Option<Rejection>>,
    servers: Vec<Server>,
}

impl Introspections {
    /// What is known of `token`. Changes nothing.
    pub(super) fn inquiry(&self, token: &[u8], issuer: &Issuer, now: MonoNanos) -> Inquiry {
        let digest = digest(token, issuer);
        let rejection = self.rejections.get(slot(&digest)).and_then(Option::as_ref);
        if let Some(rejection) = rejection.filter(|known| known.digest == digest && now < known.until) {
            return Inquiry::Rejected(rejection.rejected.clone());
        }
        if let Some(question) = self.under_way.iter().find(|question| question.digest == digest) {
            return Inquiry::UnderWay(question.id);
        }
        let server = self.servers.iter().find(|server| server.trust == issuer.trust);
        match server.is_some_and(|server| server.breaker.lets_nobody(now)) {
            true => Inquiry::GivenUp,
            false => Inquiry::Open,
        }
    }

    /// A question begins. To an open breaker it is the probe.
    pub(super) fn ask(
        &mut self,
        token: &[u8],
        issuer: &Rc<Issuer>,
        introspection: &Introspection,
        host: &dyn Host,
        now: Now,
    ) -> Result<(QuestionId, Fetch), Reason> {
        let bytes = self.bytes.saturating_add(token.len());
        if !self.has_room(&issuer.trust, token.len()) {
            return Err(Reason::Overloaded);
        }
        let fetch = question::fetch(token, introspection, host).ok_or(Reason::IntrospectionUnavailable)?;
        if !self.change(&issuer.trust, |server| !server.breaker.is_open() || server.breaker.take_probe(now.mono)) {
            return Err(Reason::IntrospectionUnavailable);
        }
        self.last = self.last.wrapping_add(1);
        let id = QuestionId(self.last);
        let digest = digest(token, issuer);
        self.under_way.push(Question {
            id,
            digest,
            token: token.into(),
            issuer: issuer.clone(),
            asked: now,
            held: None,
        });
        self.bytes = bytes;
        Ok((id, fetch))
    }

    /// Whether one more question of an issuer, about a token of so many bytes, leaves as much free as it has.
    fn has_room(&self, trust: &TrustId, bytes: usize) -> bool {
        let own = || self.under_way.iter().filter(|question| question.issuer.trust == *trust);
        let own_bytes = own().map(|question| question.token.len()).fold(bytes, usize::saturating_add);
        own().count() < MOST.saturating_sub(self.under_way.len()) && own_bytes <= MOST_BYTES.saturating_sub(self.bytes)
    }

    /// Whether the question will never end.
    pub(super) fn is_lost(&self, id: QuestionId, now: MonoNanos) -> bool {
        let question = self.under_way.iter().find(|question| question.id == id);
        question.is_none_or(|question| now >= question.ends().plus(LOST_AFTER))
    }

    /// Who was asked, and when. `None` of a question that ended before.
    pub(super) fn about(&self, id: QuestionId) -> Option<(Rc<Issuer>, Now)> {
        let question = self.under_way.iter().find(|question| question.id == id)?;
        Some((question.issuer.clone(), question.asked))
    }

    /// Keeps an answer until keys have come.
    pub(super) fn hold(&mut self, id: QuestionId, answer: HeldAnswer) {
        if let Some(question) = self.under_way.iter_mut().find(|question| question.id == id) {
            question.held = Some(answer);
        }
    }

    /// Whether an answer waits for the keys of an issuer.
    pub(super) fn holds(&self, trust: &TrustId) -> bool {
        self.under_way.iter().any(|question| question.held.is_some() && question.issuer.trust == *trust)
    }

    /// The answers that wait for the keys of an issuer.
    pub(super) fn take_held(&mut self, trust: &TrustId) -> Vec<(QuestionId, HeldAnswer)> {
        let questions = self.under_way.iter_mut().filter(|question| question.issuer.trust == *trust);
        questions.filter_map(|question| Some((question.id, question.held.take()?))).collect()
    }

    /// The questions whose answers have waited for keys as long as they may.
    pub(super) fn overdue(&self, now: MonoNanos) -> Vec<QuestionId> {
        let overdue = self.under_way.iter().filter(|question| question.held.is_some() && now >= question.ends());
        overdue.map(|question| question.id).collect()
    }

    /// The question ended, with what was heard. `None` if it ended before.
    pub(super) fn end(
        &mut self,
        id: QuestionId,
        heard: Result<Result<AccessToken, Rejected>, FetchFault>,
        now: MonoNanos,
    ) -> Option<Ended> {
        let index = self.under_way.iter().position(|question| question.id == id)?;
        let Question { digest, token, issuer, asked, .. } = self.under_way.swap_remove(index);
        self.bytes = self.bytes.saturating_sub(token.len());
        match heard {
            Ok(told) => {
                let told = told.and_then(|good| held_to(&token, good));
                self.change(&issuer.trust, |server| server.breaker.succeeded());
                if let (Err(rejected), Some(introspection)) = (&told, &issuer.introspection) {
                    let until = asked.mono.plus(introspection.negative_ttl);
                    self.reject(Rejection { digest, rejected: rejected.clone(), until });
                }
                Some(Ended { token, issuer, told: told.map(Rc::new), warning: None, opened: false })
            }
            Err(fault) => {
                let (opened, news) = self.change(&issuer.trust, |server| {
                    // What a token can bring about is no reason to ask nobody about others, and shows that the server is there.
                    let is_of_server = is_of_server(&fault);
                    if !is_of_server && server.breaker.is_open() {
                        server.breaker.succeeded();
                    }
                    (is_of_server && server.breaker.failed(now), server.is_news(&fault, now))
                });
                let warning = news.then(|| warning(&issuer, &fault));
                let told = Err(Reason::IntrospectionUnavailable.into());
                Some(Ended { token, issuer, told, warning, opened })
            }
        }
    }

    /// Forgets the servers of trusts that nobody relies on any more.
    pub(super) fn retain(&mut self, used: impl Fn(&TrustId) -> bool) {
        self.servers.retain(|server| used(&server.trust));
    }

    fn reject(&mut self, rejection: Rejection) {
        if self.rejections.is_empty() {
            self.rejections.resize_with(REJECTIONS, || None);
        }
        if let Some(place) = self.rejections.get_mut(slot(&rejection.digest)) {
            *place = Some(rejection);
        }
    }

    fn change<T>(&mut self, trust: &TrustId, change: impl FnOnce(&mut Server) -> T) -> T {
        if let Some(server) = self.servers.iter_mut().find(|server| server.trust == *trust) {
            return change(server);
        }
        let mut server = Server { trust: trust.clone(), breaker: Breaker::new(), told: None };
        let changed = change(&mut server);
        self.servers.push(server);
        changed
    }
}

impl Question {
    /// When nobody waits for it any more.
    fn ends(&self) -> MonoNanos {
        let timeout = self.issuer.introspection.as_ref().map_or(Duration::ZERO, |asked| asked.timeout);
        self.asked.mono.plus(timeout)
    }
}

impl Server {
    /// Whether the operator is told of a fault. Requests bring it about: the same kind is not told each time.
    fn is_news(&mut self, fault: &FetchFault, now: MonoNanos) -> bool {
        let kind = discriminant(fault);
        let news =
            self.told.is_none_or(|(told, when)| now.since(when) >= if told == kind { TOLD_AGAIN } else { TOLD_NEXT });
        if news {
            self.told = Some((kind, now));
        }
        news
    }
}

/// Whether the server does not answer, or not to this proxy, whatever it is asked about.
fn is_of_server(fault: &FetchFault) -> bool {
    match fault {
        FetchFault::Call(_) | FetchFault::Unreachable(..) => true,
        FetchFault::Status(status, _) => *status >= 500 || matches!(status, 401 | 403 | 429),
        _ => false,
    }
}

fn warning(issuer: &Issuer, fault: &FetchFault) -> String {
    let sought = Sought::Answer;
    let at = issuer.introspection.as_ref().map(|asked| &asked.endpoint);
    let at = at.map(|endpoint| format!(" at {endpoint} (cluster {})", endpoint.cluster)).unwrap_or_default();
    format!("{}.introspection: {sought}{at}: {}", issuer.origin.path, fault.text(sought))
}

fn digest(token: &[u8], issuer: &Issuer) -> TokenDigest {
    let mut hash = Sha256::new();
    hash.update(issuer.trust.as_bytes());
    hash.update(token);
    hash.finalize().into()
}

fn slot(digest: &TokenDigest) -> usize {
    let [a, b, ..] = *digest;
    usize::from(u16::from_le_bytes([a, b])) % REJECTIONS
}
