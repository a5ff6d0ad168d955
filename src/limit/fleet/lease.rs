//! What one worker knows and holds of one identity's budget: permits to spend, the service's window, who waits.
//! In: demands, answers, time. Out: verdicts, and how much to ask. Not here: the calls and the table (`leases`), when
//! a window ends (`window`).

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::limit::fleet::name::DescriptorValue;
use crate::limit::fleet::outcome::{FleetStanding, Grant, Retry, Taken, Waiter};
use crate::limit::fleet::recent::Recent;
use crate::limit::fleet::rls::{Answer, Reset};
use crate::limit::fleet::window::Window;
use crate::policy::{FleetLimit, Kind};
use crate::time::MonoNanos;

/// How long a refusal is remembered that tells no end.
const UNTOLD: Duration = Duration::from_millis(100);
/// A lease is this part of what is left, at most: proxies that race meet the end with small calls.
const SHARE: u32 = 16;
/// The first call of a window is this part of a window's permits, at most: what is left then is unknown, and a call that
/// finds too little spends it for everybody.
const BLIND_SHARE: u32 = 256;
/// A lease reaches that much beyond its window: a few permits too many cost less than another call.
const BEYOND: Duration = Duration::from_secs(4);
/// How long it is believed how many permits a window has, and that a request costs more than that.
const BELIEVED: Duration = Duration::from_secs(300);
/// Fewer permits are not worth a call that nobody waits for.
const LEAST_AHEAD: u32 = 2;

/// Asks of `from` permits and more are refused until then.
#[derive(Clone, Copy, Debug)]
struct Refused {
    from: u32,
    until: MonoNanos,
    told: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    No,
    Queued { probe: bool },
    Sent,
}

/// See the module.
pub(super) struct Lease {
    pub(super) limit: Rc<FleetLimit>,
    pub(super) value: DescriptorValue,
    pub(super) asking: Asking,
    /// Good as long as the window surely lasts.
    left: u32,
    window: Option<Window>,
    refused: Option<Refused>,
    permits_per_window: Option<u32>,
    /// When the service said so last.
    permits_told: MonoNanos,
    recent: Recent,
    /// The oldest request first.
    waiting: BTreeMap<Waiter, Waiting>,
}

/// A request that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) cost: u32,
    pub(super) deadline: MonoNanos,
}

/// The end of a wait.
pub(super) type Ended = (Waiter, Waiting, Taken);

impl Lease {
    pub(super) fn new(limit: &Rc<FleetLimit>, value: DescriptorValue, now: MonoNanos) -> Self {
        Self {
            limit: Rc::clone(limit),
            value,
            asking: Asking::No,
            left: 0,
            window: None,
            refused: None,
            permits_per_window: None,
            permits_told: now,
            recent: Recent::new(now),
            waiting: BTreeMap::new(),
        }
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What can be said without the service.
    pub(super) fn take(&mut self, cost: u32, now: MonoNanos) -> Option<Taken> {
        self.recent.note(cost, now);
        self.spend(cost, now).or_else(|| self.refuses(cost, now))
    }

    /// From what is leased.
    fn spend(&mut self, cost: u32, now: MonoNanos) -> Option<Taken> {
        self.left = self.left(now).checked_sub(cost)?;
        Some(Taken::Granted(self.grant(cost, now)))
    }

    pub(super) fn is_waiting(&self, waiter: Waiter) -> bool {
        self.waiting.contains_key(&waiter)
    }

    pub(super) fn wait(&mut self, waiter: Waiter, waiting: Waiting) {
        self.waiting.insert(waiter, waiting);
    }

    pub(super) fn leave(&mut self, waiter: Waiter) -> Option<Waiting> {
        self.waiting.remove(&waiter)
    }

    pub(super) fn leave_all(&mut self) -> BTreeMap<Waiter, Waiting> {
        std::mem::take(&mut self.waiting)
    }

    /// Permits of a request that was refused elsewhere. Only those of the window that lasts are worth anything.
    pub(super) fn give_back(&mut self, grant: Grant, now: MonoNanos) {
        if self.window(now).is_some_and(|window| window.number == grant.window) {
            self.left = self.left.saturating_add(grant.cost);
        }
    }

    /// Whether to ask although nobody waits: what is left would not last until an answer comes, and there is demand
    /// for more.
    pub(super) fn runs_dry(&self, now: MonoNanos) -> bool {
        let service = &self.limit.service;
        let until_answered = self.recent.expected(service.timeout, now).min(service.lease / 2);
        // Not before half of it is used up, or every answer would be followed by a small call.
        self.left(now) <= until_answered.min(self.target(now) / 2) && self.wanted(now) >= LEAST_AHEAD
    }

    /// How many permits to ask now; `None` if there is no more need.
    pub(super) fn ask(&self, now: MonoNanos) -> Option<u32> {
        let first = self.waiting.values().next().map_or(0, |waiting| waiting.cost);
        let all = self.waiting.values().fold(0_u32, |sum, waiting| sum.saturating_add(waiting.cost));
        let most = self.limit.service.lease.min(self.permits_per_window.unwrap_or(u32::MAX));
        let hits = all.min(self.safe(first, now)).max(self.wanted(now)).min(most);
        // What no window had is asked for with one permit, to hear whether windows have more by now.
        let hits = if self.permits_per_window.is_some_and(|limit| limit < first) { 1 } else { hits.max(first) };
        match hits {
            0 if self.asking == (Asking::Queued { probe: true }) => Some(1),
            0 => None,
            hits => Some(hits),
        }
    }

    /// The most to ask for requests that wait, so that a refusal costs little. At envoyproxy/ratelimit a refusal
    /// spends the window; Limitador's costs a call.
    fn safe(&self, first: u32, now: MonoNanos) -> u32 {
        let rest = self.window(now).and_then(|window| window.rest);
        let safe = match (rest, self.limit.service.kind, self.permits_per_window) {
            // Spent, or in shadow mode; nothing can be lost.
            (Some(0), _, _) => u32::MAX,
            (Some(rest), _, _) => rest.div_ceil(2),
            (None, Kind::Limitador, limit) => limit.unwrap_or(u32::MAX),
            (None, Kind::Ratelimit, Some(limit)) => limit / SHARE,
            (None, Kind::Ratelimit, None) => first,
        };
        self.refused(now).map_or(safe, |refused| safe.min(refused.from / 2))
    }

    /// Permits worth having beside those that are left.
    fn wanted(&self, now: MonoNanos) -> u32 {
        self.target(now).saturating_sub(self.left(now))
    }

    /// Permits worth having: for the rest of the window, if that can be known.
    fn target(&self, now: MonoNanos) -> u32 {
        let Some(window) = self.window else { return 0 };
        let (span, most) = match (window.lasts(now), window.rest, window.next_lasts(now), self.permits_per_window) {
            (Some(lasts), Some(rest), _, _) => (lasts, rest / SHARE),
            (None, _, Some(lasts), Some(limit)) => (lasts, limit / BLIND_SHARE),
            _ => return 0,
        };
        let most = self.refused(now).map_or(most, |refused| most.min(refused.from / 2));
        let expected = self.recent.expected(span.saturating_add(BEYOND), now);
        // Half the usual deviation less: what one worker has left over, others are refused.
        expected.saturating_sub(expected.isqrt() / 2).min(self.limit.service.lease).min(most)
    }

    /// The end of a call of `hits`. Out: who need not wait any longer. Whoever still waits needs another call.
    pub(super) fn answer(
        &mut self,
        answer: Answer,
        hits: u32,
        sent: MonoNanos,
        now: MonoNanos,
        number: u64,
    ) -> Vec<Ended> {
        let told = |rest, reset: Option<Reset>| reset.map(|reset| Window::told(number, rest, reset, sent, now));
        let mut pool = 0;
        match answer {
            Answer::NoLimit => {
                let all = self.leave_all().into_iter();
                return all.map(|(waiter, waiting)| (waiter, waiting, Taken::NoLimit)).collect();
            }
            Answer::Granted { limit, remaining, reset } => {
                self.permits_per_window = limit;
                self.permits_told = now;
                self.learn(told(remaining, reset), now);
                // Only a refusal of a smaller call stands beside a grant.
                if self.limit.service.kind == Kind::Ratelimit {
                    self.refused = None;
                }
                pool = hits;
            }
            Answer::Over { limit, reset } => {
                // Else what grants tell is the better ground for leases.
                if limit.is_some_and(|limit| limit < hits) {
                    self.permits_per_window = limit;
                    self.permits_told = now;
                }
                let rest = self.window(now).and_then(|window| window.rest);
                self.learn_refusal(hits, told(rest, reset), now);
            }
        }
        let mut ended = Vec::new();
        while let Some((&waiter, &waiting)) = self.waiting.first_key_value() {
            let cost = waiting.cost;
            // What was asked goes to those who waited, even if its window is over by now.
            let taken = if let Some(rest) = pool.checked_sub(cost) {
                pool = rest;
                Some(Taken::Granted(self.grant(cost, now)))
            } else {
                self.spend(cost, now).or_else(|| self.refuses(cost, now))
            };
            let Some(taken) = taken else { break };
            self.waiting.pop_first();
            ended.push((waiter, waiting, taken));
        }
        if self.window(now).is_some() {
            self.left = self.left.saturating_add(pool);
        }
        ended
    }

    /// Permits of another window than the one that was told are worth nothing.
    fn learn(&mut self, told: Option<Window>, now: MonoNanos) {
        let known = self.window;
        self.window = known.zip(told).map(|(known, told)| known.joined(told, now)).or(told);
        if known.map(|known| known.number) != self.window.map(|window| window.number) {
            self.left = 0;
            self.refused = None;
        }
    }

    fn learn_refusal(&mut self, hits: u32, told: Option<Window>, now: MonoNanos) {
        if told.is_some() {
            self.learn(told, now);
        }
        // Limitador refuses what does not fit and counts nothing: less may still fit.
        let from = match self.limit.service.kind {
            Kind::Ratelimit => 1,
            Kind::Limitador => hits,
        };
        let from = self.refused(now).map_or(from, |refused| from.min(refused.from));
        let until = self.window.filter(|window| now < window.over_by).map(|window| window.over_by);
        self.refused = Some(Refused { from, until: until.unwrap_or(now.plus(UNTOLD)), told: until.is_some() });
    }

    /// What is refused without a call: what was refused before, what is more than is left, and what
    /// is more than a whole window has.
    pub(super) fn refuses(&self, cost: u32, now: MonoNanos) -> Option<Taken> {
        let refused = self.refused(now).filter(|refused| cost >= refused.from);
        let too_much = self.window(now).filter(|window| window.rest.is_some_and(|rest| 0 < rest && rest < cost));
        let known = refused.is_some() || self.window(now).is_some() || now.since(self.permits_told) < BELIEVED;
        let never = known && self.permits_per_window.is_some_and(|limit| limit < cost);
        let until = |at: MonoNanos| Retry::After(at.since(now));
        let retry = match (refused, too_much) {
            _ if never => Retry::Never,
            (Some(refused), _) => {
                if refused.told {
                    until(refused.until)
                } else {
                    Retry::Untold
                }
            }
            (None, Some(window)) => until(window.over_by),
            (None, None) => return None,
        };
        let reset = if let Retry::After(wait) = retry { Some(wait) } else { None };
        let standing = FleetStanding { reset, ..self.standing(now) };
        Some(Taken::Over { retry, standing })
    }

    fn grant(&self, cost: u32, now: MonoNanos) -> Grant {
        let window = self.window(now).map_or(u64::MAX, |window| window.number);
        Grant { standing: self.standing(now), cost, window }
    }

    fn standing(&self, now: MonoNanos) -> FleetStanding {
        let spent = self.refused(now).is_some_and(|refused| refused.from == 1);
        let window = self.window(now);
        let rest = if spent { Some(0) } else { window.and_then(|window| window.rest) };
        FleetStanding {
            limit: self.permits_per_window,
            remaining: rest.map(|rest| rest.saturating_add(self.left(now))),
            reset: window.map(|window| window.over_by.since(now)),
        }
    }

    /// The window, as long as it surely lasts.
    fn window(&self, now: MonoNanos) -> Option<&Window> {
        self.window.as_ref().filter(|window| window.lasts(now).is_some())
    }

    /// The permits that are left of it.
    fn left(&self, now: MonoNanos) -> u32 {
        self.window(now).map_or(0, |_| self.left)
    }

    fn refused(&self, now: MonoNanos) -> Option<&Refused> {
        self.refused.as_ref().filter(|refused| now < refused.until)
    }
}
