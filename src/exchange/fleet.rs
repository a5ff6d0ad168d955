//! Limits that a service counts for the whole fleet. In: the caller and the route's fleet limits. Out: what was granted,
//! or a refusal, or leave to wait. Local limits were looked at before: a service is asked only for requests that
//! they let pass. Not here: giving back what it granted to a request that is refused after all (the exchange does).

use std::rc::Rc;
use std::time::Duration;

use crate::exchange::Surroundings;
use crate::exchange::caller::Caller;
use crate::limit::fleet::{DescriptorValue, FleetDemand, Grant, Leases, Retry, Settled, Taken};
use crate::limit::{Demand, Identity, OverLimit, Standing, Violation, Why};
use crate::policy::{Charge, FleetLimit, Limit, OnError};
use crate::reason::Reason;
use crate::time::MonoNanos;
use crate::verdict::Refusal;
use crate::worker::{Counter, ExchangeId};

/// What services granted a request so far; kept while it waits for the next one.
#[derive(Default)]
pub(super) struct FleetGrants {
    counted: Vec<Counted>,
    /// The answer that it waited for, until it is used.
    answer: Option<Settled>,
}

/// How one fleet limit was settled.
struct Counted {
    limit: Rc<Limit>,
    cost: u32,
    by: By,
}

enum By {
    /// The service counted it.
    Service(Rc<FleetLimit>, Identity, Grant),
    /// It passes uncounted: the service knows no such limit, or does not answer and the operator lets it pass.
    Nobody,
    /// The service does not answer: this proxy counts it alone.
    ThisProxy,
}

/// When to try a service again that does not answer.
const RETRY: Duration = Duration::from_secs(1);

impl FleetGrants {
    /// The request is polled again, and this is what it waited for.
    pub(super) fn answered(&mut self, answer: Option<Settled>) {
        self.answer = answer;
    }

    /// Asks for what is still missing; `false` if it has to wait for that. What was granted so far stays granted, also
    /// beside a refusal.
    pub(super) fn complete(
        &mut self,
        charges: &[&Charge],
        caller: &Caller<'_>,
        size: usize,
        exchange: ExchangeId,
        around: &mut Surroundings<'_>,
    ) -> Result<bool, Refusal> {
        let fleet = charges.iter().filter_map(|charge| Some((*charge, charge.limit.fleet.as_ref()?)));
        for (charge, fleet) in fleet.skip(self.counted.len()) {
            let identity = around.worker.limits().identity(&fleet.key, |part| caller.fact(part, around.connection));
            let connection = around.connection;
            let value = || DescriptorValue::new(fleet, |part| caller.fact(part, connection));
            let room = around.worker.waits().room(size);
            let (waiter, may_wait) = (exchange.into(), room.is_some());
            let demand = FleetDemand { limit: fleet, identity, value: &value, cost: charge.cost, waiter, may_wait };
            let by = match self.take(&demand, around) {
                Taken::Granted(grant) => By::Service(fleet.clone(), identity, grant),
                Taken::NoLimit => By::Nobody,
                Taken::Wait => {
                    if let Some(room) = room {
                        around.worker.waits().for_permits(exchange, room, demand.budget());
                    }
                    return Ok(false);
                }
                Taken::Over { retry, .. } => {
                    if retry == Retry::Never {
                        around.worker.count(Counter::FleetNeverFits, 1);
                    }
                    let known = Self::known_to_refuse(charges, caller, around);
                    let others = known.into_iter().filter(|other| !Rc::ptr_eq(&other.limit, &charge.limit));
                    let over = OverLimit::by_fleet(violation(&charge.limit, retry)).and(others);
                    return Err(Refusal::over_limit(over));
                }
                Taken::Fallback { on_error, .. } => {
                    around.worker.count(Counter::FleetFallback, 1);
                    match on_error {
                        OnError::Local => By::ThisProxy,
                        OnError::Allow => By::Nobody,
                        OnError::Refuse => return Err(Refusal::unavailable(Reason::LimiterUnavailable, RETRY)),
                    }
                }
            };
            self.counted.push(Counted { limit: charge.limit.clone(), cost: charge.cost, by });
        }
        Ok(true)
    }

    /// What this worker knows to be refused by services, without asking them: so that a caller is told the longest wait.
    pub(super) fn known_to_refuse(
        charges: &[&Charge],
        caller: &Caller<'_>,
        around: &mut Surroundings<'_>,
    ) -> Vec<Violation> {
        let known = charges.iter().filter_map(|charge| {
            let fleet = charge.limit.fleet.as_ref()?;
            let identity = around.worker.limits().identity(&fleet.key, |part| caller.fact(part, around.connection));
            let retry = around.worker.leases().refusal(fleet, identity, charge.cost, around.now.mono)?;
            Some(violation(&charge.limit, retry))
        });
        known.collect()
    }

    /// The answer that the request waited for, if it is one to this; else one is given now.
    fn take(&mut self, demand: &FleetDemand<'_>, around: &mut Surroundings<'_>) -> Taken {
        let leases = around.worker.leases();
        match self.answer.take().map(|answer| answer.answers(demand)) {
            Some(Ok(taken)) => return taken,
            Some(Err(of_another)) => leases.put_back(of_another, around.now.mono),
            None => {}
        }
        leases.take(demand, around.now.mono)
    }

    /// What this proxy counts for services that do not answer.
    pub(super) fn demands(&self, identity: impl Fn(&Limit) -> Identity) -> Vec<Demand<'_>> {
        let here = self.counted.iter().filter_map(|Counted { limit, cost, by }| match by {
            By::ThisProxy => Some(Demand { limit, allowance: limit.allowance, identity: identity(limit), cost: *cost }),
            By::Service(..) | By::Nobody => None,
        });
        here.collect()
    }

    /// Where the caller stands with each limit that a service counted and told about.
    pub(super) fn standings(&self) -> Vec<Standing> {
        let standing = |counted: &Counted| {
            let By::Service(_, _, grant) = &counted.by else { return None };
            let told = grant.standing();
            let (limit, quota) = (counted.limit.clone(), counted.limit.allowance.quota);
            Some(Standing { limit, quota, remaining: told.remaining?.into(), reset: told.reset? })
        };
        self.counted.iter().filter_map(standing).collect()
    }

    /// The request does not go upstream after all.
    pub(super) fn give_back(self, leases: &mut Leases, now: MonoNanos) {
        if let Some(unheard) = self.answer {
            leases.put_back(unheard, now);
        }
        for counted in self.counted {
            if let By::Service(fleet, identity, grant) = counted.by {
                leases.give_back(&fleet, identity, grant, now);
            }
        }
    }
}

fn violation(limit: &Rc<Limit>, retry: Retry) -> Violation {
    let why = match retry {
        Retry::After(retry_after) => Why::Spent { remaining: 0, retry_after },
        Retry::Untold => Why::Spent { remaining: 0, retry_after: RETRY },
        Retry::Never => Why::Never,
    };
    Violation { limit: limit.clone(), quota: limit.allowance.quota, why }
}
