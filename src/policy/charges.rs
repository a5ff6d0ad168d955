//! The limits of a route, sorted by what they count: once, when the configuration is loaded. In: charges in the order in
//! which they were written. Out: [`Charges`]. Not here: charging them (`exchange::limits`).

use std::rc::Rc;

use crate::policy::{Charge, Counts, Limit};

/// See the module. Each list is in the order in which it was written.
#[derive(Debug, Default)]
pub struct Charges {
    /// Requests, by this proxy: how often, and how many at once.
    pub local: Vec<Charge>,
    /// Requests, by this proxy, without consequence.
    pub shadow: Vec<Charge>,
    /// Requests, by a service.
    pub fleet: Vec<Charge>,
    /// Outcomes, by this proxy.
    pub outcomes: Vec<Charge>,
    /// Outcomes, to raise events.
    pub watching: Vec<Charge>,
}

impl Charges {
    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Charge> {
        let Self { local, shadow, fleet, outcomes, watching } = self;
        [local, shadow, fleet, outcomes, watching].into_iter().flatten()
    }

    /// Those that count what comes of a source's requests, whoever sends them.
    pub fn of_sources(&self) -> impl Iterator<Item = &Charge> {
        self.outcomes.iter().filter(|charge| charge.limit.is_of_source())
    }
}

/// Of these, the limits on answers that count a request of which the source alone is known; each once, for one permit.
pub fn unrouted<'c>(charges: impl IntoIterator<Item = &'c Charge>) -> Vec<Charge> {
    let mut counting: Vec<Charge> = Vec::new();
    for Charge { limit, .. } in charges {
        let known = counting.iter().any(|charge| Rc::ptr_eq(&charge.limit, limit));
        if !known && limit.is_of_source() && limit.counts.any_response() && limit.watch.is_none() {
            counting.push(Charge { limit: Rc::clone(limit), cost: 1 });
        }
    }
    counting
}

impl FromIterator<Charge> for Charges {
    fn from_iter<I: IntoIterator<Item = Charge>>(charges: I) -> Self {
        let mut sorted = Self::default();
        for charge in charges {
            let kind = match &*charge.limit {
                Limit { fleet: Some(_), .. } => &mut sorted.fleet,
                Limit { watch: Some(_), .. } => &mut sorted.watching,
                Limit { shadow: true, .. } => &mut sorted.shadow,
                Limit { counts: Counts::Outcomes(_), .. } => &mut sorted.outcomes,
                Limit { counts: Counts::Requests | Counts::InFlight(_), .. } => &mut sorted.local,
            };
            kind.push(charge);
        }
        sorted
    }
}
