//! Every schedule of the reads and writes of two workers that spend from two quotas of a limit, or hold places of two versions
//! of one. In: programs of a few acts. Out: how many schedules there were, each checked by the oracle. Schedules that
//! differ in the order of two neighbours that do not concern each other are one.

use std::rc::Rc;
use std::time::Duration;

use super::case::SECOND;
use super::oracle::{Held, Ledger, Moment, Span, Spent};
use super::replay::{Answer, Played, Question, play};
use super::world::Rate;
use crate::fake::FakeHost;
use crate::limit::{Identity, KeyValue, OverLimit, SharedTable, Why};
use crate::policy::{Allowance, Condition, Fact, Limit, Origin, Override, Quota, TableSize};

/// One act of a worker.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// To take one permit from one of two budgets of each limit, at that second by its clock.
    Take { budget: usize, at: u64 },
    /// To end the request before.
    GiveBack { at: u64 },
}

/// A limit with two quotas, or two versions of it.
pub(super) struct Choice {
    budgets: [(Rc<Limit>, Allowance, Rate); 2],
    /// Whether both workers spend from the same.
    shared: bool,
}

impl Choice {
    pub(super) fn budget(&self, budget: usize) -> (&Rc<Limit>, Allowance) {
        let (limit, allowance, _) = &self.budgets[budget];
        (limit, *allowance)
    }

    fn whose(&self, worker: u8) -> u8 {
        if self.shared { 0 } else { worker }
    }

    pub(super) fn identity(&self, worker: u8, table: &SharedTable) -> Identity {
        let whose = self.whose(worker).to_string();
        table.identity(&self.budgets[0].0.key, |_| KeyValue::Text(whose.clone().into()))
    }

    fn account(&self, worker: u8, budget: usize) -> String {
        format!("{} {budget} of {}", self.budgets[0].0.origin.name, self.whose(worker))
    }
}

const SLOW: Rate = Rate { permits: 1, seconds: 10, burst: 2 };
const QUICK: Rate = Rate { permits: 1, seconds: 3, burst: 1 };

fn limit(name: &str, rate: Rate) -> Limit {
    let quota = Quota::new(rate.permits.into(), Duration::from_secs(rate.seconds), rate.burst).unwrap();
    let origin = Origin { name: name.into(), path: "limits".into() };
    Limit::new(origin, vec![Fact::Constant(name.into())], quota, TableSize::for_identities(1))
}

/// A base and an override.
fn overridden(name: &str, shared: bool) -> Choice {
    let quick = limit(name, QUICK).allowance.quota;
    let other = Override::new(name, vec![Condition::Is(Fact::ClientId, "vip".into())], quick);
    let base = Rc::new(limit(name, SLOW));
    Choice { budgets: [(base.clone(), base.allowance, SLOW), (base, other.allowance, QUICK)], shared }
}

/// Two versions with another rate.
fn edited(name: &str) -> Choice {
    let version = |rate| {
        let limit = Rc::new(limit(name, rate));
        (limit.clone(), limit.allowance, rate)
    };
    Choice { budgets: [version(SLOW), version(QUICK)], shared: true }
}

/// Two versions with another number at once: one and two.
fn at_once(name: &str) -> Choice {
    let version = |burst| {
        let rate = Rate { burst, ..QUICK };
        let limit = Rc::new(limit(name, rate).at_once(Duration::from_secs(60)));
        (limit.clone(), limit.allowance, rate)
    };
    Choice { budgets: [version(1), version(2)], shared: true }
}

struct Search<'p> {
    limits: &'p [Choice],
    programs: [&'p [Act]; 2],
    schedules: u64,
}

/// Where a schedule has come to.
struct Node {
    host: FakeHost,
    logs: [Vec<Answer>; 2],
    /// Whose question was answered, in order.
    trail: Vec<usize>,
}

impl Search<'_> {
    fn play(&self, worker: usize, node: &Node) -> Played {
        play(worker as u8, self.programs[worker], self.limits, &node.logs[worker])
    }

    fn explore(&mut self, node: &Node, played: [&Played; 2], last: Option<(usize, &Question)>) {
        if let [None, None] = played.map(|played| played.next.as_ref()) {
            self.schedules += 1;
            if let Err(fault) = self.ledger(node, played).check() {
                panic!("{fault}\nschedule {:?} of {:?}", node.trail, self.programs);
            }
        }
        for worker in 0..2 {
            let Some(question) = &played[worker].next else { continue };
            // The other way round it is the same schedule.
            if last.is_some_and(|(who, before)| who > worker && before.is_independent_of(question)) {
                continue;
            }
            let mut next = Node { host: node.host.copy(), logs: node.logs.clone(), trail: node.trail.clone() };
            let answer = question.ask(&next.host);
            next.logs[worker].push(answer);
            next.trail.push(worker);
            let goes_on = self.play(worker, &next);
            let both = if worker == 0 { [&goes_on, played[1]] } else { [played[0], &goes_on] };
            self.explore(&next, both, Some((worker, question)));
        }
    }

    /// What a whole schedule came to.
    fn ledger(&self, node: &Node, played: [&Played; 2]) -> Ledger {
        let mut ledger = Ledger::default();
        let spans = [0, 1].map(|worker| self.spans(worker, node, played));
        for (worker, played) in played.iter().enumerate() {
            for (place, (came_to, _)) in played.over.iter().enumerate() {
                let span = spans[worker][place];
                match (self.programs[worker][place], came_to) {
                    (Act::Take { budget, .. }, Some(came_to)) => {
                        self.note_taken(&mut ledger, worker, place, budget, span, came_to.as_ref().err());
                    }
                    (Act::GiveBack { .. }, _) | (_, None) => {
                        let request = number(worker, place - 1);
                        self.limits.iter().for_each(|limit| ledger.end(&limit.account(worker as u8, 0), request, span));
                    }
                }
                ledger.settled(worker, span.to);
            }
        }
        ledger
    }

    /// From the first question of each act to the last one's answer.
    fn spans(&self, worker: usize, node: &Node, played: [&Played; 2]) -> Vec<Span> {
        let questions = |of: usize| node.trail.iter().enumerate().filter(move |(_, who)| **who == of);
        let begin = |of: usize, place: usize| {
            let before = if place == 0 { 0 } else { played[of].over[place - 1].1 };
            questions(of).nth(before).map_or(node.trail.len(), |(order, _)| order)
        };
        // It is as late as anybody's clock says.
        let time = |order: usize| {
            let begun = (0..2).flat_map(|of| (0..played[of].over.len()).map(move |place| (of, place)));
            let begun = begun.filter(|(of, place)| begin(*of, *place) <= order);
            begun.map(|(of, place)| self.at(of, place)).max().unwrap_or(0)
        };
        let span = |(place, (_, by)): (usize, &(_, usize))| {
            let from = begin(worker, place);
            let to = questions(worker).nth(by.saturating_sub(1)).map_or(from, |(order, _)| order).max(from);
            let moment = |order: usize, time: u64, end: u64| Moment { time, order: 2 * order as u64 + end };
            Span { from: moment(from, self.at(worker, place), 0), to: moment(to, time(to), 1) }
        };
        played[worker].over.iter().enumerate().map(span).collect()
    }

    fn at(&self, worker: usize, place: usize) -> u64 {
        match self.programs[worker][place] {
            Act::Take { at, .. } | Act::GiveBack { at } => at * SECOND,
        }
    }

    fn note_taken(
        &self,
        ledger: &mut Ledger,
        worker: usize,
        place: usize,
        budget: usize,
        span: Span,
        refused: Option<&OverLimit>,
    ) {
        let request = number(worker, place);
        let kept = refused.is_some_and(|over| over.strain().kept > 0);
        assert!(refused.is_none_or(|over| !over.contended()), "two workers never lose so many races");
        for limit in self.limits {
            let (_, allowance, rate) = &limit.budgets[budget];
            let account = limit.account(worker as u8, budget);
            let flight = limit.account(worker as u8, 0);
            let most = allowance.quota.burst();
            let why = refused.and_then(|over| {
                let of_limit =
                    over.violated().iter().find(|one| one.limit.origin.name == limit.budgets[0].0.origin.name);
                of_limit.map(|one| one.why)
            });
            match why {
                Some(Why::AtOnce { .. }) => ledger.deny_place(&flight, request, span, 1, most),
                Some(Why::Spent { .. }) => ledger.deny(&account, *rate, request, span, 1),
                Some(why) => panic!("{why:?}"),
                None => {}
            }
            let certain = refused.is_none();
            if allowance.budget.is_held() {
                let ended = (!certain).then_some(span);
                let held = Held { request, worker, asked: span, certain, permits: 1, most, ended };
                ledger.hold(&flight, 60 * SECOND, held);
            } else {
                let lasting = certain || kept;
                ledger.spend(&account, *rate, 0, Spent { request, span, cost: 1, certain, lasting, worker });
            }
        }
    }
}

fn number(worker: usize, place: usize) -> u32 {
    (100 * worker + place) as u32
}

/// All schedules of these two. Out: how many.
fn all_schedules(limits: &[Choice], programs: [&[Act]; 2]) -> u64 {
    let mut search = Search { limits, programs, schedules: 0 };
    let root = Node { host: FakeHost::default(), logs: [Vec::new(), Vec::new()], trail: Vec::new() };
    let played = [search.play(0, &root), search.play(1, &root)];
    search.explore(&root, [&played[0], &played[1]], None);
    search.schedules
}

/// Every way to choose between two budgets for each request.
fn takes(times: &[u64]) -> Vec<Vec<Act>> {
    let choice = |choices: usize| {
        let act = |(place, at): (usize, &u64)| Act::Take { budget: choices >> place & 1, at: *at };
        times.iter().enumerate().map(act).collect()
    };
    (0..1 << times.len()).map(choice).collect()
}

#[test]
fn two_workers_and_two_quotas_keep_every_promise_in_every_schedule() {
    let mut schedules = 0;
    for limits in [[overridden("limit", true)], [edited("limit")]] {
        for one in takes(&[0, 4, 12]) {
            for other in takes(&[0, 6, 11]) {
                schedules += all_schedules(&limits, [&one, &other]);
            }
        }
    }
    println!("{schedules} schedules");
    assert!(schedules > 10_000);
}

#[test]
fn two_limits_in_two_slots_keep_every_promise_in_every_schedule() {
    let limits = [overridden("mine", false), edited("ours")];
    let mut schedules = 0;
    for one in takes(&[0, 4, 12]) {
        for other in takes(&[0, 11]) {
            schedules += all_schedules(&limits, [&one, &other]);
        }
    }
    println!("{schedules} schedules");
    assert!(schedules > 1_000);
}

#[test]
fn places_of_two_versions_keep_every_promise_in_every_schedule() {
    let ending =
        |takes: &[Act]| -> Vec<Act> { takes.iter().flat_map(|take| [*take, Act::GiveBack { at: 2 }]).collect() };
    let mut schedules = 0;
    for one in takes(&[0, 1]) {
        for other in takes(&[1]) {
            schedules += all_schedules(&[at_once("flight")], [&ending(&one), &ending(&other)]);
        }
    }
    println!("{schedules} schedules");
    assert!(schedules > 1_000);
}
