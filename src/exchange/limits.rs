//! Charging a request to its limits: whose budget it is, and how large. In: the route's charges, the grant, the peer's
//! identity, the connection. Out: [`Permits`] or the refusal, and the names of shadow limits that would have refused.
//! Identities come from what was verified, so that a forged `sub` cannot spend its victim's budget.
//! Not here: who calls, and what a fact is in this request (`caller`), what becomes of permits once the outcome is known (`settling`).

use std::rc::Rc;

use crate::exchange::caller::Caller;
use crate::exchange::fleet::FleetGrants;
use crate::exchange::settling::{count_afterwards, note_strain};
use crate::exchange::{AuditFacts, RoutedRequest, Surroundings};
use crate::host::Connection;
use crate::http::Head;
use crate::limit::{Demand, OverLimit, Pending, Permits, look, spend, take, venture};
use crate::policy::{Allowance, Charge, Charges, Condition, Event, Limit};
use crate::verdict::Refusal;
use crate::worker::{Counter, ExchangeId};

/// What was charged, and the shadow limits that would have refused.
pub(super) type Charged = (Permits, Vec<Rc<Limit>>);

impl<'c> Caller<'c> {
    /// All limits of the route are charged, or none; `None` if it has to wait for a service. Step by step:
    ///
    /// 1. the limits of this proxy are looked at: no service is asked for a request that they refuse;
    /// 2. services are asked, one after the other, and what they grant stands in `granted` meanwhile;
    /// 3. the limits of this proxy are charged, all or none. Since the first step others may have come;
    /// 4. it passes. Only now shadow limits count it, and those that wait for its outcome take note of it.
    ///
    /// Refused in the second or third step, it does not need what services granted: whoever holds `granted` gives that back.
    pub(super) fn charge(
        &self,
        request: &RoutedRequest,
        exchange: ExchangeId,
        granted: &mut FleetGrants,
        around: &mut Surroundings<'_>,
    ) -> Result<Option<Charged>, Refusal> {
        let limits = &request.route.limits;
        if limits.is_empty() {
            return Ok(Some((Permits::none(), Vec::new())));
        }
        let fleet: Vec<&Charge> = self.counted(&limits.fleet).collect();
        let local = self.demands(self.counted(self.refusing(limits)), around);

        if !fleet.is_empty() {
            look_at(&local, around).map_err(|over| self.refusal(over, &fleet, around))?;
        }
        if !granted.complete(&fleet, self, request.size(), exchange, around)? {
            return Ok(None);
        }
        let permits = self.take(local, granted, around).map_err(|over| self.refusal(over, &fleet, around))?;
        let pending = self.pending(self.counted(self.watching(limits)), around);
        let shadowed = self.shadowed(&limits.shadow, around);
        Ok(Some((permits.beside(granted.standings()).watched_by(pending), shadowed)))
    }

    /// Those of this proxy that may refuse the caller.
    fn refusing<'d>(&self, limits: &'d Charges) -> impl Iterator<Item = &'d Charge> {
        let known = self.is_known();
        limits.local.iter().chain(limits.outcomes.iter().filter(move |charge| !spares(charge, known)))
    }

    /// Those that wait for the outcome of a request that they let pass.
    fn watching<'d>(&self, limits: &'d Charges) -> impl Iterator<Item = &'d Charge> {
        let known = self.is_known();
        limits.outcomes.iter().filter(move |charge| spares(charge, known)).chain(&limits.watching)
    }

    /// Charges the limits of this proxy, and those that it counts in the place of services that do not answer.
    fn take<'d>(
        &self,
        mut demands: Vec<Demand<'d>>,
        granted: &'d FleetGrants,
        around: &mut Surroundings<'_>,
    ) -> Result<Permits, OverLimit> {
        let table = around.worker.limits();
        let identity = |limit: &Limit| table.identity(&limit.key, |part| self.fact(part, around.connection));
        demands.extend(granted.demands(identity));
        let taken = take(&demands, table, around.host, around.now.mono);
        note_strain(taken.as_ref().map_or_else(OverLimit::strain, Permits::strain), around.worker);
        taken
    }

    /// A refusal by limits of this proxy, with what services are known to refuse: its caller is told the longest wait.
    fn refusal(&self, over: OverLimit, fleet: &[&Charge], around: &mut Surroundings<'_>) -> Refusal {
        Refusal::over_limit(over.and(FleetGrants::known_to_refuse(fleet, self, around)))
    }

    /// Those that count this request: a preflight has no token, and does nothing but cost.
    fn counted<'d>(&self, charges: impl IntoIterator<Item = &'d Charge>) -> impl Iterator<Item = &'d Charge> {
        let preflight = self.preflight;
        charges.into_iter().filter(move |charge| !preflight || charge.limit.is_of_source())
    }

    /// Whether limits on failures, and on more, let the source have anything: they are asked again with all others, but nothing is
    /// verified for a source that is refused whatever comes out.
    pub(super) fn look_at_source(&self, around: &Surroundings<'_>) -> Result<(), Refusal> {
        let limiting =
            self.of_sources().filter(|charge| charge.limit.counts.failures() && !charge.limit.spares_known_tokens());
        self.allow(limiting, Refusal::of_source, around)
    }

    /// Whether the source may get one more refusal with this status; of a known token, failed authentication is spared.
    fn may_be_refused(&self, status: u16, known: bool, around: &Surroundings<'_>) -> Result<(), Refusal> {
        let counting = |charge: &&Charge| charge.limit.counts.response(status);
        let asked = |charge: &&Charge| !spares(charge, known);
        self.allow(self.of_sources().filter(counting).filter(asked), Refusal::of_source, around)
    }

    /// Whether the source may have something new verified: it may not once it has failed, or made us work, too often.
    pub(super) fn look_at_stranger(&self, around: &Surroundings<'_>) -> Result<(), Refusal> {
        let sparing = self.of_sources().filter(|charge| charge.limit.spares_known_tokens());
        self.allow(sparing, Refusal::locked_out, around)
    }

    /// Whether these limits of the source let it go on; else the refusal that says the longest wait.
    fn allow(
        &self,
        charges: impl Iterator<Item = &'c Charge>,
        refusal: fn(OverLimit) -> Refusal,
        around: &Surroundings<'_>,
    ) -> Result<(), Refusal> {
        self.look(charges, around).map_err(|over| refusal(self.with_known(over, around)))
    }

    /// With what all limits say that can be known before the caller is: so that its source is told the longest wait.
    fn with_known(&self, over: OverLimit, around: &Surroundings<'_>) -> OverLimit {
        let limits = self.route.map(|route| &route.limits);
        let all = limits.into_iter().flat_map(|limits| limits.local.iter().chain(&limits.outcomes));
        let all: Vec<&Charge> = all.filter(|charge| charge.limit.is_of_source()).collect();
        match self.look(all, around) {
            Err(all) if !all.contended() => all,
            _ => over,
        }
    }

    /// Whether the limits of this proxy would let the request pass by now. Charges nothing.
    pub(super) fn look_ahead(&self, request: &RoutedRequest, around: &mut Surroundings<'_>) -> Result<(), Refusal> {
        let limits = &request.route.limits;
        let looked = self.look(self.counted(self.refusing(limits)), around);
        looked.map_err(|over| self.refusal(over, &self.counted(&limits.fleet).collect::<Vec<_>>(), around))
    }

    /// Whether these would let the request pass. Charges nothing.
    pub(super) fn look<'d>(
        &self,
        charges: impl IntoIterator<Item = &'d Charge>,
        around: &Surroundings<'_>,
    ) -> Result<(), OverLimit> {
        look_at(&self.demands(charges, around), around)
    }

    fn of_sources(&self) -> impl Iterator<Item = &'c Charge> {
        self.route.into_iter().flat_map(|route| route.limits.of_sources())
    }

    /// Whether the source is charged for what it has verified.
    pub(super) fn pays_for_verifications(&self) -> bool {
        self.of_sources().any(|charge| charge.limit.counts.verification())
    }

    /// Charges the source for a verification.
    pub(super) fn charge_source(&self, around: &mut Surroundings<'_>) -> Result<(), Refusal> {
        let charges = self.of_sources().filter(|charge| charge.limit.counts.verification());
        let demands = self.demands(charges, around);
        if demands.is_empty() {
            return Ok(());
        }
        spend(&demands, around.worker.limits(), around.host, around.now.mono).map_err(Refusal::locked_out)
    }

    /// Has the source pay for a verification before it is made, and gives that back where it comes out well: an honest caller has a proof
    /// verified with every request.
    pub(super) fn venture<T>(
        &self,
        around: &Surroundings<'_>,
        work: impl FnOnce() -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let charges = self.of_sources().filter(|charge| charge.limit.counts.verification());
        let demands = self.demands(charges, around);
        if demands.is_empty() {
            return Ok(work());
        }
        let made = venture(&demands, around.worker.limits(), around.host, around.now.mono, work);
        made.map_err(Refusal::locked_out)
    }

    /// Counts a refusal of ours with this status, by those of the route's limits, and says what it makes of what was seen
    /// before.
    pub(super) fn refused<'d>(
        &self,
        charges: impl IntoIterator<Item = &'d Charge>,
        status: u16,
        around: &mut Surroundings<'_>,
    ) -> Vec<Event> {
        let counting = charges.into_iter().filter(|charge| charge.limit.counts.response(status));
        let pending = self.pending(counting, around);
        count_afterwards(&pending, |_| true, around.worker, around.host, around.now)
    }

    fn pending<'d>(&self, charges: impl IntoIterator<Item = &'d Charge>, around: &Surroundings<'_>) -> Vec<Pending> {
        let distinct = |limit: &Limit| {
            let first = limit.watch.as_ref()?.distinct.as_ref()?;
            let table = around.worker.limits();
            Some(table.identity(&first.key, |part| self.fact(part, around.connection)))
        };
        let pending = |demand: Demand<'_>| Pending { distinct: distinct(demand.limit), ..demand.into() };
        self.demands(charges, around).into_iter().map(pending).collect()
    }

    /// The shadow limits that would refuse, each by itself.
    fn shadowed(&self, charges: &[Charge], around: &mut Surroundings<'_>) -> Vec<Rc<Limit>> {
        let mut shadowed = Vec::new();
        for demand in self.demands(self.counted(charges), around) {
            let limit = demand.limit.clone();
            if spend(&[demand], around.worker.limits(), around.host, around.now.mono)
                .is_err_and(|over| !over.contended())
            {
                shadowed.push(limit);
            }
        }
        around.worker.count(Counter::ShadowOverLimit, shadowed.len());
        shadowed
    }

    fn demands<'d>(&self, charges: impl IntoIterator<Item = &'d Charge>, around: &Surroundings<'_>) -> Vec<Demand<'d>> {
        let demand = |charge: &'d Charge| {
            let table = around.worker.limits();
            let identity = table.identity(&charge.limit.key, |part| self.fact(part, around.connection));
            Demand {
                limit: &charge.limit,
                allowance: self.allowance(&charge.limit, around.connection),
                identity,
                cost: charge.cost,
            }
        };
        charges.into_iter().map(demand).collect()
    }

    /// What the first override that fits allows, else the limit itself.
    fn allowance(&self, limit: &Limit, connection: &dyn Connection) -> Allowance {
        let fits = |conditions: &[Condition]| conditions.iter().all(|condition| self.meets(condition, connection));
        let other = limit.overrides.iter().find(|other| fits(&other.conditions));
        other.map_or(limit.allowance, |other| other.allowance)
    }
}

/// Refusals are outcomes as well, but for those by limits. They count against the source alone, and for events: whoever sends
/// another's token must not spend the other's budget. Out: what is answered, which is a limit's refusal once the
/// source has been refused so too often. `head`: where it is still there.
pub(super) fn count_refusal(
    refusal: Refusal,
    head: Option<&Head>,
    preflight: bool,
    facts: &mut AuditFacts,
    around: &mut Surroundings<'_>,
) -> Refusal {
    let status = refusal.reason.row().status;
    let Some(route) = facts.route.clone().filter(|_| status != 429) else { return refusal };
    let (peer, wall) = (facts.identity.as_ref(), around.now.wall);
    let source = Caller { head, route: Some(&route), preflight, token: None, key: None, peer, wall };
    let known = facts.token.is_some() || facts.api_key.is_some();
    if let Err(spent) = source.may_be_refused(status, known, around) {
        return spent;
    }
    source.refused(route.limits.of_sources(), status, around);
    let sender = Caller { token: facts.token.as_ref(), key: facts.api_key.as_ref(), ..source };
    facts.events = sender.refused(&route.limits.watching, status, around);
    refusal
}

/// Whether a caller passes it when it is spent: one whose token or key was found good before does when its source has failed too often.
fn spares(charge: &Charge, known: bool) -> bool {
    known && charge.limit.spares_known_tokens()
}

/// Whether these would let the request pass; nothing is charged.
fn look_at(demands: &[Demand<'_>], around: &Surroundings<'_>) -> Result<(), OverLimit> {
    if demands.is_empty() {
        return Ok(());
    }
    look(demands, around.worker.limits(), around.host, around.now.mono)
}
