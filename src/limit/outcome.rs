//! What a decision over all limits of a request answers. Out: [`Permits`] or [`OverLimit`].
//! Not here: how it is reached (`meter`), how it is told to the caller (`fields`).

use std::rc::Rc;
use std::time::Duration;

use crate::limit::identity::Identity;
use crate::policy::{Allowance, Limit, Quota};
use crate::shared::Holder;

/// Where one identity stands with one limit.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The limit.
    pub limit: Rc<Limit>,
    /// How much this caller may do by it.
    pub quota: Quota,
    /// Permits left.
    pub remaining: u64,
    /// The time until the budget is full.
    pub reset: Duration,
}

/// A limit that said no.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The limit.
    pub limit: Rc<Limit>,
    /// How much this caller may do by it.
    pub quota: Quota,
    /// Why.
    pub why: Why,
}

/// Why a limit said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The budget is spent.
    Spent {
        /// Permits left: fewer than the request costs.
        remaining: u64,
        /// The time after which the request passes, unless others spend meanwhile.
        retry_after: Duration,
    },
    /// This identity was forgotten, or never known, and owes what those owe who were forgotten; or there is no room to count it.
    Crowded {
        /// The time after which the request passes, unless more are forgotten meanwhile.
        retry_after: Duration,
    },
    /// As many are under way as may be, or as many of which the outcome is not known. When another one ends cannot be known.
    AtOnce {
        /// How many may be.
        most: u32,
    },
    /// The request costs more than the limit ever has.
    Never,
}

/// What a caller is told to wait who has too many requests under way.
const UNTIL_ANOTHER_ENDS: Duration = Duration::from_secs(1);

impl Violation {
    /// The time after which this limit lets the request pass; `None`: it never does.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.why {
            Why::Spent { retry_after, .. } | Why::Crowded { retry_after } => Some(retry_after),
            Why::AtOnce { .. } => Some(UNTIL_ANOTHER_ENDS),
            Why::Never => None,
        }
    }
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
    strain: Strain,
}

/// A limit whose last word comes later: it counts the response, or gets a permit back when the request ends.
#[derive(Debug)]
pub struct Pending {
    /// The limit; what it counts says when.
    pub limit: Rc<Limit>,
    /// How much this caller may do by it.
    pub allowance: Allowance,
    /// Whose budget.
    pub identity: Identity,
    /// Permits.
    pub cost: u32,
    /// What it tells apart about the request, where it counts only what it has not counted before.
    pub distinct: Option<Identity>,
    /// Who holds a place for it until then.
    pub held_by: Option<Holder>,
}

impl Permits {
    /// For a request that no limit counts.
    pub fn none() -> Self {
        Self { standings: Vec::new(), pending: Vec::new(), strain: Strain::default() }
    }

    pub(super) fn new(standings: Vec<Standing>, pending: Vec<Pending>, strain: Strain) -> Self {
        Self { standings, pending, strain }
    }

    /// With what a service of the fleet counted as well.
    pub fn beside(mut self, fleet: Vec<Standing>) -> Self {
        self.standings.extend(fleet);
        self
    }

    /// With limits that count the response but hold no place for it.
    pub fn watched_by(mut self, pending: impl IntoIterator<Item = Pending>) -> Self {
        self.pending.extend(pending);
        self
    }

    /// Whether the response may raise an event.
    pub fn watched(&self) -> bool {
        self.pending.iter().any(|pending| pending.limit.watch.is_some())
    }

    /// Whether something is to be done once the response is known.
    pub fn awaits_response(&self) -> bool {
        self.pending.iter().any(|pending| pending.limit.counts.any_response())
    }

    /// Takes what is to be done once the response is known.
    pub fn take_awaiting_response(&mut self) -> Vec<Pending> {
        self.pending.extract_if(.., |pending| pending.limit.counts.any_response()).collect()
    }

    /// Takes all that is to be done once the request ended.
    pub fn take_pending(&mut self) -> Vec<Pending> {
        std::mem::take(&mut self.pending)
    }

    /// What is still to be done.
    pub fn pending(&self) -> &[Pending] {
        &self.pending
    }

    /// Every limit whose budget was charged, in the order of the demands.
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
    violated: Vec<Violation>,
    strain: Strain,
}

impl OverLimit {
    /// What a caller is told to wait when no limit is spent.
    const UNDECIDED: Duration = Duration::from_secs(1);

    pub(super) fn new(violated: Vec<Violation>, strain: Strain) -> Self {
        Self { violated, strain }
    }

    /// A service of the fleet said no.
    pub fn by_fleet(violation: Violation) -> Self {
        Self::new(vec![violation], Strain::default())
    }

    /// With what other limits of the request say as well.
    pub fn and(mut self, others: impl IntoIterator<Item = Violation>) -> Self {
        self.violated.extend(others);
        self
    }

    /// The limits that said no; empty if [`OverLimit::contended`].
    pub fn violated(&self) -> &[Violation] {
        &self.violated
    }

    /// Their names.
    pub fn violated_names(&self) -> impl Iterator<Item = &str> {
        self.violated.iter().map(|violation| &*violation.limit.origin.name)
    }

    /// The time after which the whole request passes, unless others spend meanwhile or what is under way does not end;
    /// `None`: it never does.
    pub fn retry_after(&self) -> Option<Duration> {
        if self.contended() {
            return Some(Self::UNDECIDED);
        }
        self.violated
            .iter()
            .map(Violation::retry_after)
            .try_fold(Duration::ZERO, |longest, wait| Some(longest.max(wait?)))
    }

    /// Whether no limit said no, but the charge could not be written: other workers kept changing the same slot.
    pub fn contended(&self) -> bool {
        self.violated.is_empty()
    }

    /// Whether nobody's budget is spent, but there are more identities than the table has room for.
    pub fn crowded(&self) -> bool {
        !self.contended() && self.violated.iter().all(|violation| matches!(violation.why, Why::Crowded { .. }))
    }

    /// What to count.
    pub fn strain(&self) -> Strain {
        self.strain
    }
}
