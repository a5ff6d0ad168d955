//! Whether a service is worth waiting for. In: how calls ended. Out: closed, or open with a probe each second.
//!
//! ```text
//!  Closed { failures } ──`TRIES` failures in a row──▶ Open { next probe } ──any answer──▶ Closed { 0 }
//! ```
//! While it is open nobody waits. The probe is a call that no request waits for, so a service that comes back is
//! known to be back after [`PROBE_INTERVAL`] and the time of one answer.

use std::rc::Rc;
use std::time::Duration;

use crate::policy::Service;
use crate::time::MonoNanos;

/// Failures in a row that open it.
pub(super) const TRIES: u32 = 5;
/// Between two probes. No probe is waited for longer than that.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// It is called.
    Closed {
        /// In a row.
        failures: u32,
    },
    /// It is given up until it answers a probe.
    Open {
        /// When the next may be sent.
        next_probe: MonoNanos,
    },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new()
    }
}

impl Breaker {
    /// Of a service that was never called.
    pub const fn new() -> Self {
        Breaker::Closed { failures: 0 }
    }

    /// Whether it is given up.
    pub fn is_open(self) -> bool {
        matches!(self, Breaker::Open { .. })
    }

    /// Whether it is given up, and no probe is due.
    pub fn lets_nobody(self, now: MonoNanos) -> bool {
        matches!(self, Breaker::Open { next_probe } if now < next_probe)
    }

    /// A call was answered.
    pub fn succeeded(&mut self) {
        *self = Breaker::new();
    }

    /// A call failed. `true` if that opened it.
    pub fn failed(&mut self, now: MonoNanos) -> bool {
        let Breaker::Closed { failures } = self else { return false };
        *failures = failures.saturating_add(1);
        let opens = *failures >= TRIES;
        if opens {
            *self = Breaker::Open { next_probe: now.plus(PROBE_INTERVAL) };
        }
        opens
    }

    /// Whether a probe may be sent now; the next may be sent an interval later.
    pub fn take_probe(&mut self, now: MonoNanos) -> bool {
        match self {
            Breaker::Open { next_probe } if now >= *next_probe => {
                *next_probe = now.plus(PROBE_INTERVAL);
                true
            }
            _ => false,
        }
    }
}

/// One breaker for each service, whatever its configuration's other values are.
#[derive(Default)]
pub(super) struct Breakers(Vec<(Rc<Service>, Breaker)>);

impl Breakers {
    pub(super) fn is_open(&self, service: &Service) -> bool {
        self.0.iter().any(|(known, breaker)| breaker.is_open() && known.is_same(service))
    }

    /// Changes the breaker of `service`. When a new service comes, those that no policy has any more are dropped.
    pub(super) fn change<T>(&mut self, service: &Rc<Service>, change: impl FnOnce(&mut Breaker) -> T) -> T {
        if let Some((_, breaker)) = self.0.iter_mut().find(|(known, _)| known.is_same(service)) {
            return change(breaker);
        }
        self.0.retain(|(known, _)| Rc::strong_count(known) > 1);
        let mut breaker = Breaker::new();
        let changed = change(&mut breaker);
        self.0.push((Rc::clone(service), breaker));
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::at;

    fn open() -> Breaker {
        let mut breaker = Breaker::new();
        let opened = (0..TRIES).filter(|_| breaker.failed(at(0.0).mono)).count();
        assert_eq!(opened, 1, "told once");
        breaker
    }

    #[test]
    fn an_answer_between_failures_keeps_it_closed() {
        let mut breaker = Breaker::new();
        for _ in 0..TRIES {
            for _ in 1..TRIES {
                assert!(!breaker.failed(at(0.0).mono));
            }
            breaker.succeeded();
        }
        assert!(!breaker.is_open());
    }

    #[test]
    fn an_open_breaker_probes_once_a_second() {
        let mut breaker = open();
        let probes = (0..10_000).filter(|ms| breaker.take_probe(at(f64::from(*ms) / 1e3).mono)).count();
        assert_eq!(probes, 9);
    }

    #[test]
    fn a_failed_probe_leaves_it_open_and_an_answer_closes_it() {
        let mut breaker = open();
        assert!(breaker.take_probe(at(1.0).mono));
        assert!(!breaker.failed(at(1.1).mono));
        assert!(breaker.is_open());
        breaker.succeeded();
        assert!(!breaker.is_open());
        assert!(!breaker.take_probe(at(9.0).mono), "a closed one needs no probe");
    }
}
