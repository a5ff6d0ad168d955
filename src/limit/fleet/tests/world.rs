//! One worker with one limit, and the answers of both servers. In: requests, and answers as a test wants them. Out: what
//! is asked, and what requests hear.

#![allow(clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use prost::Message;

use crate::fake::{FakeHost, at};
use crate::limit::fleet::fake::{limit, service};
use crate::limit::fleet::rls::{CurrentLimit, HeaderValue, RateLimitRequest, RateLimitResponse, Seconds, Status};
use crate::limit::fleet::*;
use crate::limit::{Identity, KeyValue, SharedTable};
use crate::policy::{Fact, FilterId, FleetLimit, Kind, OnError, Service};

pub(super) fn identity(name: &str) -> Identity {
    let part = [Fact::Constant(name.into())];
    SharedTable::new(FilterId::new(b"test"), &FakeHost::default())
        .identity(&part, |_| KeyValue::Text(name.to_owned().into()))
}

/// One worker, one limit.
pub(super) struct World {
    pub(super) leases: Leases,
    pub(super) limit: Rc<FleetLimit>,
    pub(super) last_waiter: u64,
    /// What was settled and not asked for yet.
    settled: BTreeMap<Waiter, Settled>,
}

pub(super) type Reply = Result<Vec<u8>, CallFailed>;

impl World {
    pub(super) fn new(service: Service) -> Self {
        Self { leases: Leases::new(100), limit: limit(service), last_waiter: 0, settled: BTreeMap::new() }
    }

    pub(super) fn take_as(&mut self, waiter: u64, name: &str, cost: u32, seconds: f64) -> Taken {
        let limit = Rc::clone(&self.limit);
        let value = || DescriptorValue::new(&limit, |_| KeyValue::Missing);
        let demand = demand(&limit, waiter, name, cost, &value);
        match self.settled.remove(&Waiter(waiter)).map(|settled| settled.answers(&demand)) {
            Some(Ok(taken)) => return taken,
            Some(Err(other)) => self.leases.put_back(other, at(seconds).mono),
            None => {}
        }
        self.leases.take(&demand, at(seconds).mono)
    }

    pub(super) fn leave(&mut self, waiter: u64, name: &str) {
        let value = || DescriptorValue::new(&self.limit, |_| KeyValue::Missing);
        let budget = demand(&self.limit, waiter, name, 1, &value).budget();
        self.leases.leave(budget, Waiter(waiter));
    }

    /// A new request of one permit.
    pub(super) fn take(&mut self, seconds: f64) -> Taken {
        self.take_of(1, seconds)
    }

    pub(super) fn take_of(&mut self, cost: u32, seconds: f64) -> Taken {
        self.last_waiter += 1;
        self.take_as(self.last_waiter, "alice", cost, seconds)
    }

    /// The number of permits in the next call.
    pub(super) fn next_call(&mut self, seconds: f64) -> Option<(LeaseCallId, u32)> {
        let call = self.leases.next_call(at(seconds).mono)?;
        Some((call.id, RateLimitRequest::decode(&*call.body).unwrap().hits_addend))
    }

    pub(super) fn answer(&mut self, id: LeaseCallId, reply: Reply, seconds: f64) -> Vec<Waiter> {
        let settled = self.leases.answer(id, reply, at(seconds).mono);
        self.settle(settled)
    }

    pub(super) fn tick(&mut self, seconds: f64) -> Vec<Waiter> {
        let settled = self.leases.tick(at(seconds).mono);
        self.settle(settled)
    }

    fn settle(&mut self, settled: Vec<Settled>) -> Vec<Waiter> {
        let waiters = settled.iter().map(|settled| settled.waiter).collect();
        self.settled.extend(settled.into_iter().map(|settled| (settled.waiter, settled)));
        waiters
    }

    /// A request that waits for a call; what it hears when `reply` comes.
    pub(super) fn take_with(&mut self, cost: u32, seconds: f64, reply: Reply) -> (u32, Taken) {
        assert_eq!(self.take_of(cost, seconds), Taken::Wait);
        let (id, hits) = self.next_call(seconds).unwrap();
        let waiter = Waiter(self.last_waiter);
        assert_eq!(self.answer(id, reply, seconds), [waiter]);
        (hits, self.take_as(waiter.0, "alice", cost, seconds))
    }

    /// Requests that make it expect as many more, and a lease; the window has `rest` left at the end.
    pub(super) fn busy(&mut self, requests: u32, rest: u32) {
        for _ in 0..requests {
            let _ = self.take(0.0);
            self.answer_all(500_000);
        }
        while self.take(0.0) != Taken::Wait {}
        self.answer_all(rest);
    }

    pub(super) fn answer_all(&mut self, rest: u32) {
        while let Some((id, _)) = self.next_call(0.0) {
            self.answer(id, ok(1_000_000, rest, 3600), 0.0);
        }
    }

    /// How many pass without a call.
    pub(super) fn granted_at_once(&mut self, seconds: f64) -> u32 {
        let mut granted = 0;
        while matches!(self.take(seconds), Taken::Granted(_)) {
            granted += 1;
        }
        granted
    }
}

fn demand<'d>(
    limit: &'d Rc<FleetLimit>,
    waiter: u64,
    name: &str,
    cost: u32,
    value: &'d dyn Fn() -> DescriptorValue,
) -> FleetDemand<'d> {
    FleetDemand { limit, identity: identity(name), value, cost, waiter: Waiter(waiter), may_wait: true }
}

pub(super) fn response(code: i32, statuses: Vec<Status>, fields: &[(&str, String)]) -> Reply {
    let field =
        |(key, value): &(&str, String)| HeaderValue { key: (*key).into(), value: value.clone(), raw_value: vec![] };
    let response_headers_to_add = fields.iter().map(field).collect();
    Ok(RateLimitResponse { overall_code: code, statuses, response_headers_to_add }.encode_to_vec())
}

/// Of a limit by the minute, if the window ends within a minute; else by the hour.
pub(super) fn status(code: i32, limit: u32, rest: u32, reset: i64) -> Vec<Status> {
    let current_limit = Some(CurrentLimit { requests_per_unit: limit, unit: if reset <= 60 { 2 } else { 3 } });
    let duration_until_reset = Some(Seconds { seconds: reset, nanos: 0 });
    vec![Status { code, current_limit, limit_remaining: rest, duration_until_reset }]
}

pub(super) fn ok(limit: u32, rest: u32, reset: i64) -> Reply {
    response(1, status(1, limit, rest, reset), &[])
}

pub(super) fn over(limit: u32, reset: i64) -> Reply {
    response(2, status(2, limit, 0, reset), &[])
}

pub(super) fn fields(limit: u32, rest: u32, reset: u64) -> [(&'static str, String); 3] {
    [
        ("x-ratelimit-limit", format!("{limit}, {limit};w=60")),
        ("x-ratelimit-remaining", rest.to_string()),
        ("x-ratelimit-reset", reset.to_string()),
    ]
}

pub(super) fn limitador() -> Service {
    Service { kind: Kind::Limitador, ..service() }
}

pub(super) fn granted(taken: &Taken) -> bool {
    matches!(taken, Taken::Granted(_))
}

#[track_caller]
pub(super) fn refused_for(taken: Taken, seconds: Option<f64>) {
    let Taken::Over { retry, .. } = taken else { panic!("{taken:?}") };
    assert_eq!(retry, seconds.map_or(Retry::Untold, |seconds| Retry::After(Duration::from_secs_f64(seconds))));
}

pub(super) fn because(taken: &Taken) -> Option<NoAnswer> {
    match taken {
        Taken::Fallback { on_error: OnError::Refuse, why } => Some(*why),
        _ => None,
    }
}
