//! Services and limits for tests, and the far end of their calls.

#![allow(clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use prost::Message;

use crate::limit::fleet::rls::{CurrentLimit, RateLimitRequest, RateLimitResponse, Seconds, Status};
use crate::policy::{FleetLimit, Kind, OnError, Origin, Service};

fn origin(name: &str) -> Origin {
    Origin { name: name.into(), path: "here".into() }
}

/// envoyproxy/ratelimit, waited for 20 ms, leases of up to 200.
pub(super) fn service() -> Service {
    Service {
        origin: origin("fleet"),
        kind: Kind::Ratelimit,
        cluster: "ratelimit".into(),
        domain: "boundgate".into(),
        timeout: Duration::from_millis(20),
        lease: 200,
        on_error: OnError::Refuse,
    }
}

pub(super) fn limit(service: Service) -> Rc<FleetLimit> {
    Rc::new(FleetLimit::new(origin("per-client"), vec![], Rc::new(service)))
}

pub(super) fn limit_in(domain: &str, name: &str, service: Service) -> FleetLimit {
    FleetLimit::new(origin(name), vec![], Rc::new(Service { domain: domain.into(), ..service }))
}

/// A service with one budget of so many permits an hour, which counts like envoyproxy/ratelimit.
pub(crate) struct Hour {
    pub(crate) quota: u32,
    pub(crate) counted: u32,
}

impl Hour {
    pub(crate) fn answer(&mut self, call: &[u8]) -> Vec<u8> {
        self.answer_within(call, 3600)
    }

    fn answer_within(&mut self, call: &[u8], seconds: u64) -> Vec<u8> {
        self.counted += RateLimitRequest::decode(call).unwrap().hits_addend;
        let code = if self.counted <= self.quota { 1 } else { 2 };
        let status = Status {
            code,
            current_limit: Some(CurrentLimit { requests_per_unit: self.quota, unit: 3 }),
            limit_remaining: self.quota.saturating_sub(self.counted),
            duration_until_reset: Some(Seconds { seconds: seconds as i64, nanos: 0 }),
        };
        RateLimitResponse { overall_code: code, statuses: vec![status], response_headers_to_add: vec![] }
            .encode_to_vec()
    }
}

/// The same for any number of budgets, in windows that begin with the hour.
pub(crate) struct Hours {
    quota: u32,
    hour: u64,
    counted: BTreeMap<String, u32>,
}

/// What a call came to.
pub(crate) struct Asked {
    /// The name of the limit, and whose budget of it.
    pub(crate) limit: String,
    pub(crate) whose: String,
    pub(crate) hits: u32,
    pub(crate) granted: bool,
    /// To be sent back.
    pub(crate) answer: Vec<u8>,
}

impl Hours {
    pub(crate) fn new(quota: u32) -> Self {
        Self { quota, hour: 0, counted: BTreeMap::new() }
    }

    /// By the clock of the service, in seconds.
    pub(crate) fn answer(&mut self, call: &[u8], seconds: u64) -> Asked {
        if seconds / 3600 != self.hour {
            (self.hour, self.counted) = (seconds / 3600, BTreeMap::new());
        }
        let (limit, whose, hits) = asked(call);
        let counted = self.counted.entry(format!("{limit} {whose}")).or_default();
        let mut one = Hour { quota: self.quota, counted: *counted };
        let answer = one.answer_within(call, 3600 - seconds % 3600);
        *counted = one.counted;
        Asked { limit, whose, hits, granted: one.counted <= self.quota, answer }
    }

    /// What was counted of a budget in this hour, refused ones included.
    pub(crate) fn counted(&self, limit: &str, whose: &str) -> u32 {
        self.counted.get(&format!("{limit} {whose}")).copied().unwrap_or(0)
    }
}

/// Which limit a call is for, whose budget of it, and how many permits it wants.
pub(crate) fn asked(call: &[u8]) -> (String, String, u32) {
    let mut call = RateLimitRequest::decode(call).unwrap();
    let entry = call.descriptors.remove(0).entries.remove(0);
    (entry.key, entry.value, call.hits_addend)
}
