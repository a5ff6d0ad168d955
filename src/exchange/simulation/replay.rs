//! A worker whose every read and write can come before or after those of another one, without a thread: what it did so far is
//! done again from a log of answers, up to the first question that is not answered there. In: a program, a log. Out: what it
//! got, and its next question. Not here: who is next (`every_schedule`).

use std::cell::{Cell, RefCell};

use super::case::{SECOND, clock};
use super::every_schedule::{Act, Choice};
use crate::fake::FakeHost;
use crate::host::{Cas, Conflict, Digest, Expect, Host, NativeVerdict};
use crate::jose::ring_host::ring;
use crate::limit::{Demand, OverLimit, Permits, SharedTable, conclude, take};
use crate::policy::FilterId;

/// A question to the data that workers share.
#[derive(Clone, Debug)]
pub(super) enum Question {
    Get(String),
    Set(String, Vec<u8>, Expect),
}

/// Its answer.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Got(Option<(Vec<u8>, Cas)>),
    Set(Result<(), Conflict>),
}

impl Question {
    pub(super) fn ask(&self, host: &FakeHost) -> Answer {
        match self {
            Question::Get(key) => Answer::Got(host.shared_get(key)),
            Question::Set(key, value, expect) => Answer::Set(host.shared_set(key, value, *expect)),
        }
    }

    /// Whether it makes no difference which of both comes first.
    pub(super) fn is_independent_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Question::Get(_), Question::Get(_)) => true,
            (Question::Get(one) | Question::Set(one, ..), Question::Get(other) | Question::Set(other, ..)) => {
                one != other
            }
        }
    }
}

/// What the first acts of a program came to.
pub(super) struct Played {
    /// What each that is over came to, and how many questions there were by its end. `None`: it gave back.
    pub(super) over: Vec<(Option<Result<Permits, OverLimit>>, usize)>,
    /// What the next one asks; `None`: the program is over.
    pub(super) next: Option<Question>,
}

/// Does all again that `log` answers.
pub(super) fn play<'p>(worker: u8, program: &[Act], limits: &'p [Choice], log: &[Answer]) -> Played {
    let host = Replay { worker, log, answered: Cell::new(0), next: RefCell::new(None) };
    let table = SharedTable::new(FilterId::new(b"filter"), &host);
    let mut over: Vec<(Option<Result<Permits, OverLimit>>, usize)> = Vec::new();
    for act in program {
        let came_to = match act {
            Act::Take { budget, at } => {
                let demand = |choice: &'p Choice| {
                    let (limit, allowance) = choice.budget(*budget);
                    Demand { limit, allowance, identity: choice.identity(worker, &table), cost: 1 }
                };
                let demands: Vec<Demand<'_>> = limits.iter().map(demand).collect();
                Some(take(&demands, &table, &host, clock(at * SECOND).mono))
            }
            Act::GiveBack { at } => {
                if let Some((Some(Ok(permits)), _)) = over.last_mut() {
                    conclude(&permits.take_pending(), |_| false, &table, &host, clock(at * SECOND).mono);
                }
                None
            }
        };
        if host.next.borrow().is_some() {
            break;
        }
        over.push((came_to, host.answered.get()));
    }
    Played { over, next: host.next.into_inner() }
}

struct Replay<'l> {
    worker: u8,
    log: &'l [Answer],
    answered: Cell<usize>,
    next: RefCell<Option<Question>>,
}

impl Replay<'_> {
    fn answer(&self, question: impl FnOnce() -> Question) -> Option<Answer> {
        let answer = self.log.get(self.answered.get());
        match answer {
            Some(_) => self.answered.set(self.answered.get() + 1),
            None => drop(self.next.borrow_mut().get_or_insert_with(question)),
        }
        answer.cloned()
    }
}

/// Slots are shared and so one asks for them; all else is known before. What follows the first question without an answer is
/// thrown away.
impl Host for Replay<'_> {
    fn shared_get(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        match key {
            "boundgate/secret/1" => Some((vec![7; 32], Cas(0))),
            _ if !key.starts_with("boundgate/limits") => None,
            _ => match self.answer(|| Question::Get(key.to_owned())) {
                Some(Answer::Got(value)) => value,
                _ => None,
            },
        }
    }

    fn shared_set(&self, key: &str, value: &[u8], expect: Expect) -> Result<(), Conflict> {
        if !key.starts_with("boundgate/limits") {
            return Ok(());
        }
        match self.answer(|| Question::Set(key.to_owned(), value.to_vec(), expect)) {
            Some(Answer::Set(result)) => result,
            _ => Ok(()),
        }
    }

    fn verify(&self, digest: Digest, spki: &[u8], signature: &[u8], message: &[u8]) -> NativeVerdict {
        ring(digest, spki, signature, message)
    }

    fn random(&self) -> [u8; 32] {
        [self.worker + 1; 32]
    }
}
