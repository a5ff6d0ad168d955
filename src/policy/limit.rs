//! A local rate limit: which identity it counts and how much that identity may do.

use std::rc::Rc;
use std::time::Duration;

use crate::policy::{BudgetId, Fact, FleetLimit, Origin, PeerPattern, Quota};

/// How much somebody may do by a limit, and the budgets that count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Rate and burst; of a limit at once the burst alone means something: how many.
    pub quota: Quota,
    /// What is owed; of a limit at once: what is under way.
    pub budget: BudgetId,
    /// Requests whose outcome is waited for.
    pub undecided: BudgetId,
}

impl Allowance {
    /// Of the limit of that name, for those who meet all conditions; none: for everybody.
    fn new(limit: &str, conditions: &[Condition], quota: Quota) -> Self {
        let mut texts: Vec<String> = conditions.iter().map(Condition::text).collect();
        texts.sort_unstable();
        let condition = texts.concat();
        Self {
            quota,
            budget: BudgetId::of_rate(limit, &condition, &quota),
            undecided: BudgetId::of_undecided(limit, &condition),
        }
    }
}

/// How many slots the table of a limit has: a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize(u64);

impl TableSize {
    /// How many identities share a slot when the table holds what it was made for.
    pub const IDENTITIES_PER_SLOT: u64 = 8;

    /// For that many identities.
    pub fn for_identities(identities: u32) -> Self {
        Self(u64::from(identities).div_ceil(Self::IDENTITIES_PER_SLOT).max(1).next_power_of_two())
    }

    /// The number of slots.
    pub fn slots(self) -> u64 {
        self.0
    }
}

/// A limit as configured.
#[derive(Debug)]
pub struct Limit {
    /// Name and place. The name is what callers see in RateLimit fields.
    pub origin: Origin,
    /// The identity counted; empty: one budget for everybody. In one order, however it was written.
    pub key: Vec<Fact>,
    /// Rate and burst.
    pub allowance: Allowance,
    /// Other quotas for some callers; the first that fits counts.
    pub overrides: Vec<Override>,
    /// Whether it only counts and reports: it never refuses, and callers are not told.
    pub shadow: bool,
    /// What it counts.
    pub counts: Counts,
    /// Who counts it for the whole fleet, where that is not this proxy alone.
    pub fleet: Option<Rc<FleetLimit>>,
    /// What it raises once it is spent, instead of refusing.
    pub watch: Option<Watch>,
    /// Where it is counted here.
    pub table: TableSize,
}

/// What a limit is that never refuses, but tells that something is going on.
#[derive(Debug)]
pub struct Watch {
    /// What is going on.
    pub event: Event,
    /// Only what this one lets pass is counted: the first of each source, say. Its key is that of the limit and one part
    /// more.
    pub distinct: Option<Rc<Limit>>,
}

/// Something that a defender wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// One caller fails again and again.
    BruteForce,
    /// One caller tries out what exists.
    Enumeration,
    /// Many sources try, or fail with, the credentials of one client.
    CredentialStuffing,
}

impl Event {
    /// Its name in audit records and in the configuration.
    pub const fn slug(self) -> &'static str {
        match self {
            Event::BruteForce => "brute-force",
            Event::Enumeration => "enumeration",
            Event::CredentialStuffing => "credential-stuffing",
        }
    }
}

/// What a limit counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Requests.
    Requests,
    /// What comes of requests.
    Outcomes(Outcomes),
    /// Requests that have not ended: each gives its permit back.
    InFlight(AtOnce),
}

impl Counts {
    /// Whether a response with this status is counted.
    pub fn response(&self, status: u16) -> bool {
        match self {
            Counts::Outcomes(outcomes) => outcomes.statuses.contains(&status),
            Counts::Requests | Counts::InFlight(_) => false,
        }
    }

    /// Whether any response may be counted.
    pub fn any_response(&self) -> bool {
        matches!(self, Counts::Outcomes(outcomes) if outcomes.any_status())
    }

    /// Whether failed authentication is counted, or the work that it makes.
    pub fn failures(&self) -> bool {
        self.verification() || self.response(401)
    }

    /// Whether the verification of a token is counted.
    pub fn verification(&self) -> bool {
        match self {
            Counts::Outcomes(outcomes) => outcomes.verifications,
            Counts::Requests | Counts::InFlight(_) => false,
        }
    }
}

/// Requests at once. How many: the burst of the quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtOnce {
    /// The time in which what a lost worker held comes back.
    pub heal: Duration,
}

/// Outcomes of requests that a limit counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Responses with one of these statuses.
    pub statuses: Vec<u16>,
    /// Verifications of tokens that are not known yet. Only where the key needs no token.
    pub verifications: bool,
    /// The most requests of one identity whose outcome is waited for.
    pub undecided: u32,
}

impl Outcomes {
    /// Whether responses are counted.
    pub fn any_status(&self) -> bool {
        !self.statuses.is_empty()
    }
}

impl Limit {
    /// A limit of requests, the same for every caller and counted here.
    pub fn new(origin: Origin, mut key: Vec<Fact>, quota: Quota, table: TableSize) -> Self {
        Fact::sort(&mut key);
        let allowance = Allowance::new(&origin.name, &[], quota);
        let (overrides, counts) = (Vec::new(), Counts::Requests);
        Self { origin, key, allowance, overrides, shadow: false, counts, fleet: None, watch: None, table }
    }

    /// Instead, requests at once: as many as the quota's burst.
    pub fn at_once(mut self, heal: Duration) -> Self {
        self.counts = Counts::InFlight(AtOnce { heal });
        self.allowance.budget = BudgetId::of_flight(&self.origin.name);
        self
    }

    /// Everything about a request that it tells apart.
    pub fn parts(&self) -> &[Fact] {
        let distinct = self.watch.as_ref().and_then(|watch| watch.distinct.as_ref());
        distinct.map_or(&self.key, |first| &first.key)
    }

    /// Whether it depends on who the peer is: whom it counts, or how much that one may do.
    pub fn needs_identity(&self) -> bool {
        let mut conditions = self.overrides.iter().flat_map(|other| &other.conditions);
        self.parts().iter().any(Fact::is_of_peer) || conditions.any(|condition| matches!(condition, Condition::Peer(_)))
    }

    /// Whether it counts what a source does, whoever the caller turns out to be: its key needs no token.
    pub fn is_of_source(&self) -> bool {
        !self.key.iter().any(Fact::needs_token)
    }

    /// Whether callers whose token was found good before pass when it is spent: it counts nothing but failed
    /// authentication and the work of verifying.
    pub fn spares_known_tokens(&self) -> bool {
        match &self.counts {
            Counts::Outcomes(outcomes) => self.is_of_source() && outcomes.statuses.iter().all(|status| *status == 401),
            Counts::Requests | Counts::InFlight(_) => false,
        }
    }

    /// Whether its budgets are callers' own, so that a caller may be told about them.
    pub fn is_of_callers(&self) -> bool {
        self.key.iter().any(Fact::is_of_caller)
    }
}

/// Another quota for callers that meet all conditions.
#[derive(Debug)]
pub struct Override {
    /// At least one.
    pub conditions: Vec<Condition>,
    /// What they may do.
    pub allowance: Allowance,
}

impl Override {
    /// Of the limit of that name.
    pub fn new(limit: &str, conditions: Vec<Condition>, quota: Quota) -> Self {
        Self { allowance: Allowance::new(limit, &conditions, quota), conditions }
    }
}

/// What must hold of a caller, or of the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A fact of the token has exactly this text.
    Is(Fact, Box<str>),
    /// The validated peer is one of these.
    Peer(PeerPattern),
    /// The time of day in UTC.
    Utc(DayTimes),
}

impl Condition {
    /// Another text for each condition.
    fn text(&self) -> String {
        let ((kind, name), value) = match self {
            Condition::Is(fact, text) => (fact.kind(), text.to_string()),
            Condition::Peer(pattern) => {
                let (kind, text) = pattern.kind();
                (("peer", kind), text)
            }
            Condition::Utc(DayTimes { from, to }) => (("utc", ""), format!("{from}-{to}")),
        };
        format!("{kind} {} {name} {} {value}", name.len(), value.len())
    }
}

/// A stretch of every day, from one minute up to another; it may pass midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayTimes {
    /// First minute of the day that belongs to it.
    pub from: u16,
    /// First minute of the day that does not.
    pub to: u16,
}

impl DayTimes {
    /// Whether it holds that minute of the day.
    pub fn contains(self, minute: u16) -> bool {
        if self.from <= self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

/// A limit on a route and what one request costs there.
#[derive(Clone, Debug)]
pub struct Charge {
    /// The limit.
    pub limit: Rc<Limit>,
    /// Permits a request takes; at least 1, at most the burst of every quota.
    pub cost: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_of_the_day_may_pass_midnight() {
        let night = DayTimes { from: 22 * 60, to: 6 * 60 };
        for (minute, inside) in [(21 * 60 + 59, false), (22 * 60, true), (0, true), (6 * 60 - 1, true), (6 * 60, false)]
        {
            assert_eq!(night.contains(minute), inside, "{minute}");
        }
        let day = DayTimes { from: 8 * 60, to: 18 * 60 };
        assert!(day.contains(8 * 60) && !day.contains(18 * 60) && !day.contains(0));
    }

    #[test]
    fn no_two_patterns_of_peers_have_one_budget() {
        let (name, id) = ("a", crate::spiffe::SpiffeId::parse("spiffe://a/a").unwrap());
        let patterns = [
            PeerPattern::Any,
            PeerPattern::Exactly(id),
            PeerPattern::Below("spiffe://a/a".into()),
            PeerPattern::Dns(name.into()),
            PeerPattern::DnsBelow(name.into()),
            PeerPattern::Subject(name.into()),
            PeerPattern::Subject("00@a".into()),
            PeerPattern::Serial { serial: "00".into(), issuer: name.into() },
            PeerPattern::Serial { serial: "01".into(), issuer: name.into() },
            PeerPattern::Serial { serial: "00".into(), issuer: "b".into() },
            PeerPattern::Thumbprint([1; 32]),
            PeerPattern::Thumbprint([2; 32]),
        ];
        let count = patterns.len();
        let texts: std::collections::BTreeSet<String> =
            patterns.into_iter().map(|pattern| Condition::Peer(pattern).text()).collect();
        assert_eq!(texts.len(), count, "{texts:?}");
    }
}
