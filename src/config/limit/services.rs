//! Rate-limit services and the limits they count. In: their tables. Out: [`FleetLimit`]s.
//! Not here: limits that this proxy counts (`limits`).

use std::rc::Rc;
use std::time::Duration;

use crate::config::keys::ConfigTable;
use crate::config::limit::keys::{LimitTable, ServiceTable};
use crate::config::reading::defined::Defined;
use crate::config::reading::finding::Findings;
use crate::config::reading::table::{At, Mistake, Named, TextKey, Written, config_settings, described, unknown_word};
use crate::policy::{Fact, FleetLimit, Kind, OnError, Origin, Service};

config_settings! {
    /// Which server counts.
    KindSetting {
        /// envoyproxy/ratelimit, with Redis behind it.
        Ratelimit = "ratelimit",
        /// Kuadrant's Limitador.
        Limitador = "limitador",
    }
    refused {}
}

config_settings! {
    /// What becomes of requests while the service does not answer.
    OnErrorSetting {
        /// Each proxy counts alone, by the rate and burst of the limit.
        Local = "local",
        /// They are refused with 503.
        Refuse = "refuse",
        /// They pass.
        Allow = "allow",
    }
    refused {}
}

/// The longest cluster name: the call names it behind a length of one byte.
const MAX_CLUSTER: usize = 120;
/// The `domain` where none is written.
const DOMAIN: &str = "boundgate";

/// A service as written; what happens without it depends on the limit.
pub(in crate::config) struct Wanted {
    service: Service,
    on_error: OnErrorSetting,
}

pub(in crate::config) fn compile(written: Option<&Named<ServiceTable>>, findings: &mut Findings) -> Defined<Wanted> {
    Defined::compile("service", written, findings, service)
}

fn service(origin: Origin, table: &ServiceTable, findings: &mut Findings) -> Option<Wanted> {
    if table.timeout.0 < Duration::from_millis(1) {
        findings.add(&table.at.key("timeout"), "zero, which would be no time-out at all", "Write one, like 20ms.");
    }
    let cluster = table.cluster.as_ref()?.0.clone();
    if cluster.len() > MAX_CLUSTER {
        findings.add(&table.at.key("cluster"), "longer than 120 characters", "Give the cluster a shorter name.");
    }
    let domain = table.domain.as_ref().map_or(DOMAIN.into(), |domain| domain.0.clone());
    let kind = match table.kind? {
        KindSetting::Ratelimit => Kind::Ratelimit,
        KindSetting::Limitador => Kind::Limitador,
    };
    let (timeout, lease) = (table.timeout.0, table.lease.0);
    let service = Service { origin, kind, cluster, domain, timeout, lease, on_error: OnError::Refuse };
    Some(Wanted { service, on_error: table.on_error })
}

/// Whether each lease that was written says something: of more than a window has, nobody can ask.
pub(in crate::config) fn check_leases(config: &ConfigTable, findings: &mut Findings) {
    for (name, service) in config.services.iter().flat_map(|services| &services.0) {
        let Some(service) = service.value.as_ref().filter(|service| service.wrote("lease")) else { continue };
        let limits = config.limits.iter().flat_map(|limits| &limits.0).filter_map(|(_, limit)| limit.value.as_ref());
        let counted = limits.filter(|limit| limit.service.as_ref().is_some_and(|service| *service.0 == **name));
        // Unless every rate is understood, the largest is not known.
        let rates: Option<Vec<u32>> = counted.map(|limit| limit.rate.map(|rate| rate.permits)).collect();
        let at = service.at.key("lease");
        let Some(largest) = rates.and_then(|rates| rates.into_iter().max()) else { continue };
        if service.lease.0 > largest && !findings.touch(&at) {
            let finding = format!("{} is more than any limit with this service allows in its window", service.lease.0);
            findings.add(&at, finding, format!("Write {largest} at most, or leave it out."));
        }
    }
}

/// The limit as the service of `table` counts it, where one is named.
pub(in crate::config) fn fleet_limit(
    origin: &Origin,
    table: &LimitTable,
    key: &[Fact],
    services: &Defined<Wanted>,
    findings: &mut Findings,
) -> Option<Rc<FleetLimit>> {
    let at = table.at.key("service");
    let name = table.service.clone()?;
    let reference = [At { at: at.clone(), value: name }];
    let (_, written) = services.resolve(&reference, findings).pop()?;
    if table.rate.is_some_and(|rate| rate.per <= Duration::from_secs(1)) && written.service.lease > 1 {
        findings.add(
            &table.at.key("rate"),
            "counted by a service by the second, for which no permits can be leased: every request would call it",
            "Write a rate by the minute or longer, leave out service, or set lease: 1 at the service if that is meant.",
        );
    }
    for key in ["overrides", "shadow"].iter().filter(|key| table.wrote(key)) {
        findings.add(
            &table.at.key(key),
            "means nothing for a limit that a service counts",
            "Leave it out, or service.",
        );
    }
    let on_error = match written.on_error {
        OnErrorSetting::Local => OnError::Local,
        OnErrorSetting::Refuse => OnError::Refuse,
        OnErrorSetting::Allow => OnError::Allow,
    };
    let service = Rc::new(Service { on_error, ..written.service.clone() });
    Some(Rc::new(FleetLimit::new(origin.clone(), key.to_vec(), service)))
}
