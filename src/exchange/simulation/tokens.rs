//! What callers show for themselves, and what the authorization server says of it: proofs that are new or used again, opaque tokens,
//! tokens that are taken back while workers know them. In: what a request showed, what a worker was told. Out: that whoever passed had
//! shown enough, and that a refusal for a token had a reason. Not here: limits (`books`, `oracle`).

use std::collections::BTreeSet;

use serde_json::json;

use super::case::{Brought, Case, Doing, SECOND, State};
use super::documents::ORIGIN;
use super::party::{Report, Step};
use super::random::pick;
use super::world::{Access, Caller, Shows, claims, token_text};
use crate::binding::dpop::tests::Client;
use crate::reason::Reason;
use crate::worker::{Answered, CallId, FetchFailed, HttpAnswer};

/// The key of every client.
const KEY: u8 = 7;
/// So long an answer counts that says yes, and one that says no.
const TTL: u64 = 30 * SECOND;
const NEGATIVE_TTL: u64 = 5 * SECOND;
/// The longest wait for an answer, and for keys.
const ANSWER_TIMEOUT: u64 = 2 * SECOND;
const KEYS_TIMEOUT: u64 = 5 * SECOND;
/// The age beyond which a document of revocations is stale.
const MAX_STALE: u64 = 300 * SECOND;
/// A proof is good for so long, but for the part of a second that it does not tell.
const PROOF_AGE: u64 = 59 * SECOND;
/// So long a nonce is good at least.
const NONCE_AGE: u64 = 180 * SECOND;

/// What the authorization server knows.
#[derive(Default)]
pub(super) struct AuthorizationServer {
    /// The tokens that its document names.
    revoked: BTreeSet<String>,
    inactive: BTreeSet<String>,
}

/// A proof that was made.
pub(super) struct Proof {
    pub(super) text: String,
    path: String,
    token: String,
    made: u64,
    /// When its nonce was handed out, if it has one.
    nonce: Option<u64>,
    /// How many requests it was sent with.
    sent: u32,
    /// The request that passed with it.
    passed: Option<u32>,
}

/// The thumbprint of that key.
pub(super) fn thumbprint() -> String {
    Client::new(KEY, ORIGIN, "", 0.0).jkt()
}

pub(super) fn said(status: u16, body: Vec<u8>) -> Result<Answered, FetchFailed> {
    Ok(Answered::Http(HttpAnswer { status, body, ..HttpAnswer::default() }))
}

impl Case<'_, '_> {
    /// The proof for a request, where one is needed: a new one, or one that was sent before.
    pub(super) fn proof(&mut self, path: &str, caller: &Caller) -> Option<usize> {
        if caller.shows != Shows::ForKey {
            return None;
        }
        let token = caller.token_id();
        let used = |(_, proof): &(usize, &Proof)| proof.path == path && proof.token == token;
        let used: Vec<usize> = self.proofs.iter().enumerate().filter(used).map(|(number, _)| number).collect();
        let again = !self.calm && !used.is_empty() && self.random.happens(0.3);
        let number = if again { pick(&mut self.random, &used) } else { self.new_proof(path, caller) };
        self.proofs[number].sent += 1;
        Some(number)
    }

    fn new_proof(&mut self, path: &str, caller: &Caller) -> usize {
        let (number, seconds) = (self.proofs.len(), self.now as f64 / SECOND as f64);
        let client = Client::new(KEY, &format!("{ORIGIN}{path}"), token_text(caller), seconds);
        let client = client.claim("jti", json!(number.to_string()));
        let client = match &self.nonce {
            Some((nonce, _)) => client.claim("nonce", json!(nonce)),
            None => client,
        };
        let (path, token, nonce) = (path.to_owned(), caller.token_id(), self.nonce.as_ref().map(|(_, since)| *since));
        self.proofs.push(Proof { text: client.proof(), path, token, made: self.now, nonce, sent: 0, passed: None });
        number
    }

    pub(super) fn note_nonce(&mut self, id: u32, nonce: Option<&String>) {
        if let Some(nonce) = nonce {
            self.nonce = Some((nonce.clone(), self.requests[&id].judged));
        }
    }

    /// A token is taken back, in one way or the other.
    pub(super) fn take_back(&mut self) {
        let caller = pick(&mut self.random, &self.world.callers);
        let token = caller.token_id();
        self.tell(|_| format!("{token} is taken back"));
        if caller.shows == Shows::Opaque && self.random.happens(0.5) {
            self.server.inactive.insert(token);
        } else {
            self.server.revoked.insert(token);
        }
    }

    /// The document of revocations comes, or something else.
    pub(super) fn publish(&mut self, worker: usize, call: CallId, fails: bool) {
        let named = self.server.revoked.clone();
        let body = json!({"jti": named}).to_string().into_bytes();
        let (answer, named) = match fails.then(|| self.random.below(3)) {
            None => (said(200, body), Some(named)),
            Some(0) => (said(500, Vec::new()), None),
            Some(1) => (said(200, b"{\"jti\":".to_vec()), None),
            Some(_) => (Err(FetchFailed::NoAnswer), None),
        };
        self.start(worker, Doing::Hear(Brought::Revocations(named)), Step::Answer(call, answer));
    }

    /// The server says what a token is, or something else, or nothing for ever.
    pub(super) fn tell_of(&mut self, worker: usize, call: CallId, token: &str, asked: u64, fails: bool) {
        let active = !self.server.inactive.contains(token);
        let caller = self.world.callers.iter().find(|caller| caller.token_id() == token).unwrap();
        let mut answer = if active { claims(caller) } else { json!({}) };
        answer["active"] = json!(active);
        let nonsense = fails.then(|| self.random.below(6));
        let answer = match nonsense {
            None => said(200, answer.to_string().into_bytes()),
            Some(0) => said(503, Vec::new()),
            Some(1) => said(200, b"<html>".to_vec()),
            Some(2) => {
                answer["active"] = json!("true");
                said(200, answer.to_string().into_bytes())
            }
            Some(3) => {
                answer.as_object_mut().unwrap().remove("active");
                said(200, answer.to_string().into_bytes())
            }
            Some(4) => Err(FetchFailed::NoAnswer),
            Some(_) => {
                self.hands[worker].answers_failed = true;
                return;
            }
        };
        let heard = Brought::Answer(token.to_owned(), asked, nonsense.is_none().then_some(active));
        self.start(worker, Doing::Hear(heard), Step::Answer(call, answer));
    }

    pub(super) fn heard_revocations(&mut self, worker: usize, named: Option<&BTreeSet<String>>) {
        if let Some(named) = named {
            self.hands[worker].revoked = Some((self.now, named.clone()));
        }
    }

    pub(super) fn heard_answer(&mut self, worker: usize, token: &str, asked: u64, active: Option<bool>) {
        let is_late = self.now >= asked + ANSWER_TIMEOUT;
        let hand = &mut self.hands[worker];
        // Who waited so long has been told so, and may hear of it only now.
        hand.answers_failed |= is_late;
        match active {
            Some(true) => drop(hand.active.insert(token.to_owned(), asked)),
            Some(false) => {
                hand.active.remove(token);
                hand.inactive.insert(token.to_owned(), (asked, self.now));
            }
            None => hand.answers_failed = true,
        }
    }

    fn shows_a_token(&self, id: u32) -> bool {
        let request = &self.requests[&id];
        let route = self.world.versions[request.version].route(&request.path);
        route.is_some_and(|route| route.access == Access::Token)
    }

    /// A request passed: its token was not taken back, as far as its worker was told; its issuer had said that it is good; its
    /// proof had not passed anywhere.
    pub(super) fn showed_enough(&mut self, id: u32) {
        if !self.shows_a_token(id) {
            return;
        }
        let request = &self.requests[&id];
        let (hand, token) = (&self.hands[request.worker], request.caller.token_id());
        let revoked = hand.revoked.as_ref();
        assert!(!revoked.is_some_and(|(_, named)| named.contains(&token)), "request {id} passed with a revoked token");
        assert!(self.world.revokes != Some("refuse") || revoked.is_some(), "request {id} passed without a document");
        // Who was told stands in line with that, however long.
        if request.caller.shows == Shows::Opaque && !request.told_active {
            let asked = *hand.active.get(&token).unwrap_or_else(|| panic!("nobody said that {token} is active"));
            assert!(asked + TTL > request.arrived, "request {id} passed with an answer of {asked}");
        }
        if let Some(proof) = request.proof {
            let before = self.proofs[proof].passed.replace(id);
            assert_eq!(before, None, "request {id} passed with a proof that passed before");
        }
        assert!(request.caller.shows != Shows::ForKey || request.proof.is_some());
    }

    pub(super) fn is_of_tokens(&self, reason: Reason) -> bool {
        use Reason::{
            IntrospectionUnavailable, NonceNeeded, ProofReplayed, ProofUntimely, ProofsCrowded, RevocationStale,
            TokenInactive, TokenRevoked,
        };
        matches!(
            reason,
            IntrospectionUnavailable
                | NonceNeeded
                | ProofReplayed
                | ProofUntimely
                | ProofsCrowded
                | RevocationStale
                | TokenInactive
                | TokenRevoked
        )
    }

    /// Whether a request was rightly refused for what it showed.
    pub(super) fn lacked(&self, id: u32, reason: Reason, report: &Report) -> bool {
        let request = &self.requests[&id];
        let (hand, token) = (&self.hands[request.worker], request.caller.token_id());
        let proof = request.proof.map(|proof| &self.proofs[proof]);
        let since = |when: u64| request.judged.saturating_sub(when);
        self.shows_a_token(id)
            && match reason {
                Reason::TokenRevoked => hand.revoked.as_ref().is_some_and(|(_, named)| named.contains(&token)),
                Reason::RevocationStale => {
                    let fresh = hand.revoked.as_ref().is_some_and(|(when, _)| since(*when) < MAX_STALE);
                    self.world.revokes == Some("refuse") && !fresh
                }
                // It waited for that answer, or that still counts.
                Reason::TokenInactive => hand
                    .inactive
                    .get(&token)
                    .is_some_and(|(asked, heard)| asked + NEGATIVE_TTL >= request.arrived || *heard >= request.arrived),
                Reason::IntrospectionUnavailable => {
                    hand.answers_failed || hand.calls.iter().any(|call| since(call.at) >= ANSWER_TIMEOUT)
                }
                Reason::ProofReplayed => proof.is_some_and(|proof| proof.sent > 1),
                Reason::ProofUntimely => {
                    self.world.proofs == Some(false) && proof.is_some_and(|proof| since(proof.made) >= PROOF_AGE)
                }
                Reason::NonceNeeded => {
                    let old = |proof: &Proof| proof.nonce.is_none_or(|when| since(when) >= NONCE_AGE);
                    self.world.proofs == Some(true) && proof.is_some_and(old)
                }
                _ => report.conflicts > 0,
            }
    }

    /// After each tick, whoever has waited as long as it may has been named.
    pub(super) fn nobody_waits_too_long(&self, worker: usize, now: u64) {
        let longest = if self.world.remote_keys { KEYS_TIMEOUT } else { ANSWER_TIMEOUT };
        let waits = self.requests.iter().filter(|(_, one)| one.worker == worker && one.state == State::Waits);
        for (id, request) in waits {
            assert!(now < request.judged + longest, "request {id} waits since {} at {now}", request.judged);
        }
    }
}
