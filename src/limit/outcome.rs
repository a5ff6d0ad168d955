//! What a decision over all limits of a request answers. Out: [`Permits`] or [`OverLimit`].
//! Not here: how it is reached (`meter`), how it is told to the caller (`fields`).

use std::rc::Rc;
use std::time::Duration;

use crate::limit::gcra::Quota;
use crate::limit::identity::Identity;
use crate::policy::{Counts, Limit};

/// Where one identity stands with one limit.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The limit.
    pub limit: Rc<Limit>,
    /// How much this caller may do by it.
    pub quota: Quota,
    /// Permits left.
    pub remaining: u64,
    /// After a charge: the time until the budget is full. After a refusal: the time until the request would pass.
    pub reset: Duration,
}

/// Odd things on the way to a decision, for metrics. None of them ever admits too much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strain {
    /// Newcomers to a full slot that started with a debt, because the slot had forgotten others.
    pub inherited: usize,
    /// Slots that another plugin had overwritten.
    pub unreadable: usize,
    /// Decisions taken again because another worker was faster.
    pub retries: usize,
    /// Charges of a refused request that could not be given back, because others had charged meanwhile.
    pub kept: usize,
}

/// The proof that all limits of a request were charged. Made only by [`crate::limit::take`], or for a request that
/// has no limits.
#[derive(Debug)]
pub struct Permits {
    standings: Vec<Standing>,
    pending: Vec<Pending>,
    held: Vec<Pending>,
    strain: Strain,
}

/// A limit whose last word comes later: it counts the response, or gets a permit back when the request ends.
#[derive(Debug)]
pub struct Pending {
    /// The limit; what it counts says when.
    pub limit: Rc<Limit>,
    /// How much this caller may do by it.
    pub quota: Quota,
    /// Whose budget.
    pub identity: Identity,
    /// Permits.
    pub cost: u32,
    /// What it tells apart about the request, where it counts only what it has not counted before.
    pub distinct: Option<Identity>,
}

impl Permits {
    /// For a request that no limit counts.
    pub fn none() -> Self {
        Self { standings: Vec::new(), pending: Vec::new(), held: Vec::new(), strain: Strain::default() }
    }

    pub(super) fn new(standings: Vec<Standing>, strain: Strain) -> Self {
        Self { standings, pending: Vec::new(), held: Vec::new(), strain }
    }

    /// With what a service of the fleet counted as well.
    pub fn beside(mut self, fleet: Vec<Standing>) -> Self {
        self.standings.extend(fleet);
        self
    }

    /// With limits that count the response, and with what is held until the request ends.
    pub fn until_end(mut self, pending: Vec<Pending>, held: Vec<Pending>) -> Self {
        // How many are under way is no quota that a caller could pace itself by.
        self.standings.retain(|standing| standing.limit.counts != Counts::InFlight);
        self.pending = pending;
        self.held = held;
        self
    }

    /// What to give back once the request ended, however it did.
    pub fn held(&self) -> &[Pending] {
        &self.held
    }

    /// Whether the response may raise an event.
    pub fn watched(&self) -> bool {
        self.pending.iter().any(|pending| pending.limit.watch.is_some())
    }

    /// What to count once the response is known.
    pub fn pending(&self) -> &[Pending] {
        &self.pending
    }

    /// Every limit that was charged, in the order of the demands.
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }

    /// What to count.
    pub fn strain(&self) -> Strain {
        self.strain
    }
}

/// No limit was charged: one said no, or what they say could not be settled.
#[derive(Debug)]
pub struct OverLimit {
    violated: Vec<Standing>,
    strain: Strain,
}

impl OverLimit {
    /// What a caller is told to wait when no limit is spent.
    const UNDECIDED: Duration = Duration::from_secs(1);

    pub(super) fn new(violated: Vec<Standing>, strain: Strain) -> Self {
        Self { violated, strain }
    }

    /// A service of the fleet said no.
    pub fn by_fleet(standing: Standing) -> Self {
        Self::new(vec![standing], Strain::default())
    }

    /// The limits that said no; empty if [`OverLimit::contended`].
    pub fn violated(&self) -> &[Standing] {
        &self.violated
    }

    /// Their names.
    pub fn violated_names(&self) -> impl Iterator<Item = &str> {
        self.violated.iter().map(|standing| &*standing.limit.origin.name)
    }

    /// The time after which the whole request passes, unless others spend meanwhile.
    pub fn retry_after(&self) -> Duration {
        self.violated.iter().map(|standing| standing.reset).max().unwrap_or(Self::UNDECIDED)
    }

    /// Whether no limit said no, but the charge could not be written: other workers kept changing the same slot.
    pub fn contended(&self) -> bool {
        self.violated.is_empty()
    }

    /// What to count.
    pub fn strain(&self) -> Strain {
        self.strain
    }
}
