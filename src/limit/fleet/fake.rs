//! Services and limits for tests, and the far end of their calls.

#![allow(clippy::arithmetic_side_effects)]

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
    pub(crate) fn answer(&mut self, ask: &[u8]) -> Vec<u8> {
        self.counted += RateLimitRequest::decode(ask).unwrap().hits_addend;
        let code = if self.counted <= self.quota { 1 } else { 2 };
        let status = Status {
            code,
            current_limit: Some(CurrentLimit { requests_per_unit: self.quota, unit: 3 }),
            limit_remaining: self.quota.saturating_sub(self.counted),
            duration_until_reset: Some(Seconds { seconds: 3600, nanos: 0 }),
        };
        RateLimitResponse { overall_code: code, statuses: vec![status], response_headers_to_add: vec![] }
            .encode_to_vec()
    }
}
