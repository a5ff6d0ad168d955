//! Permits of services of the fleet, for those who wait for them. In: ends of calls, time. Out: exchanges to wake; what nobody waits for
//! any more goes back. Not here: how much is asked, and when (`limit::fleet`).

use crate::limit::fleet::{CallFailed, LeaseCallId, Settled};
use crate::time::Now;
use crate::worker::calls::Answered;
use crate::worker::fetch::FetchFailed;
use crate::worker::{Counter, ExchangeId, Worker};

impl Worker {
    /// The call to a service ended.
    pub(super) fn permitted(&mut self, call: LeaseCallId, answer: Result<Answered, FetchFailed>, now: Now) {
        let answer = match answer {
            Ok(Answered::Grpc(message)) => Ok(message),
            Ok(Answered::Http(_)) | Err(_) => Err(CallFailed),
        };
        let settled = self.leases.answer(call, answer, now.mono);
        self.settle(settled, now);
    }

    /// What is settled for somebody who waits no longer serves others.
    pub(super) fn settle(&mut self, settled: Vec<Settled>, now: Now) {
        for settled in settled {
            // Every waiter is an exchange: nobody else takes permits.
            let Ok(exchange) = u32::try_from(settled.waiter.0) else { continue };
            if let Some(unheard) = self.waits.settled(ExchangeId(exchange), settled) {
                self.leases.put_back(unheard, now.mono);
            }
        }
    }

    /// Counts what happened since the last time.
    pub(super) fn count_permits(&mut self) {
        let fleet = self.leases.take_tally();
        for (counter, count) in [
            (Counter::FleetAsk, fleet.calls),
            (Counter::FleetFailed, fleet.failed),
            (Counter::FleetNoLimit, fleet.no_limit),
            (Counter::FleetBreakerOpened, fleet.opened),
        ] {
            self.tally.add(counter, count);
        }
    }
}
