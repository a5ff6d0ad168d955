//! Refusals that wait for the body of their request: an answer before its end closes an HTTP/1.1 connection, and some
//! clients lose the answer. In: who waits, for how much, what has come, time. Out: whom to look at again. Bounded in
//! number, in time, and in the bytes of each. Not here: which refusals wait (`policy`), what has come (`filter`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::time::MonoNanos;
use crate::worker::ExchangeId;

/// More never wait at once in one worker; the proxy holds what has come of their bodies.
const MOST: usize = 256;

/// Most bodies come with their heads: the first look is soon. Each next one waits as long as all before it.
const FIRST_LOOK: Duration = Duration::from_millis(2);
const LONGEST_LOOK: Duration = Duration::from_millis(100);

struct Body {
    /// The bytes of the request with which it is complete, as the proxy counts them.
    complete: u64,
    since: MonoNanos,
    until: MonoNanos,
    look: MonoNanos,
}

/// See the module.
#[derive(Default)]
pub struct Bodies {
    bodies: BTreeMap<ExchangeId, Body>,
    looks: BTreeSet<(MonoNanos, ExchangeId)>,
}

impl Bodies {
    /// Whether the refusal may wait, until so many bytes of its request have come, no longer than `lasts`.
    pub fn begin(&mut self, exchange: ExchangeId, complete: u64, lasts: Duration, now: MonoNanos) -> bool {
        self.leave(exchange);
        if self.bodies.len() >= MOST {
            return false;
        }
        let until = now.plus(lasts);
        self.schedule(exchange, Body { complete, since: now, until, look: now });
        true
    }

    /// The next to look at.
    pub fn next(&self, now: MonoNanos) -> Option<ExchangeId> {
        self.looks.first().filter(|(look, _)| *look <= now).map(|(_, exchange)| *exchange)
    }

    /// So many bytes of the request have come; whether the wait is over.
    pub fn came(&mut self, exchange: ExchangeId, bytes: u64, now: MonoNanos) -> bool {
        let Some(body) = self.end(exchange) else { return true };
        let over = bytes >= body.complete || now >= body.until;
        if !over {
            self.schedule(exchange, Body { look: now, ..body });
        }
        over
    }

    /// The refusal waits no longer.
    pub fn leave(&mut self, exchange: ExchangeId) {
        self.end(exchange);
    }

    pub(super) fn len(&self) -> usize {
        self.bodies.len()
    }

    fn schedule(&mut self, exchange: ExchangeId, body: Body) {
        let pause = body.look.since(body.since).clamp(FIRST_LOOK, LONGEST_LOOK);
        let look = body.look.plus(pause).min(body.until);
        self.looks.insert((look, exchange));
        self.bodies.insert(exchange, Body { look, ..body });
    }

    fn end(&mut self, exchange: ExchangeId) -> Option<Body> {
        let body = self.bodies.remove(&exchange)?;
        self.looks.remove(&(body.look, exchange));
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> MonoNanos {
        MonoNanos::from_nanos(millis * 1_000_000)
    }

    fn waiting() -> Bodies {
        let mut bodies = Bodies::default();
        assert!(bodies.begin(ExchangeId(1), 500, LASTS, at(0)));
        bodies
    }

    #[test]
    fn a_body_that_is_complete_ends_the_wait() {
        let mut bodies = waiting();
        assert_eq!(bodies.next(at(0)), None);
        assert_eq!(bodies.next(at(2)), Some(ExchangeId(1)));
        assert!(!bodies.came(ExchangeId(1), 499, at(2)));
        assert!(bodies.came(ExchangeId(1), 500, at(4)));
        assert_eq!((bodies.len(), bodies.next(at(5_000))), (0, None));
    }

    #[test]
    fn looks_become_rare_and_the_last_is_at_the_end() {
        let (mut bodies, mut looks) = (waiting(), Vec::new());
        for millis in 0..=1_000 {
            if bodies.next(at(millis)).is_some() {
                looks.push(millis);
                assert_eq!(bodies.came(ExchangeId(1), 0, at(millis)), millis == 1_000);
            }
        }
        assert_eq!(looks[..6], [2, 4, 8, 16, 32, 64]);
        assert_eq!((looks.len(), looks.last()), (16, Some(&1_000)));
    }

    #[test]
    fn only_so_many_wait_and_who_leaves_makes_room() {
        let mut bodies = Bodies::default();
        let most = u32::try_from(MOST).unwrap();
        assert!((0..most).all(|id| bodies.begin(ExchangeId(id), 1, LASTS, at(0))));
        assert!(!bodies.begin(ExchangeId(most), 1, LASTS, at(0)));
        bodies.leave(ExchangeId(7));
        assert!(bodies.begin(ExchangeId(most), 1, LASTS, at(0)));
        assert_eq!((bodies.len(), bodies.looks.len()), (MOST, MOST));
    }

    #[test]
    fn one_that_is_unknown_waits_for_nothing() {
        assert!(waiting().came(ExchangeId(2), 0, at(1)));
    }
}
