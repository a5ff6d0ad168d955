//! Services and limits for tests.

use std::rc::Rc;
use std::time::Duration;

use crate::limit::fleet::service::{FleetLimit, Kind, OnError, Service};
use crate::policy::Origin;

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
