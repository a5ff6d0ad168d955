//! A local rate limit: which identity it counts and how much that identity may do.

use std::rc::Rc;

use crate::limit::Quota;
use crate::limit::fleet::FleetLimit;
use crate::policy::{Origin, PeerPattern};

/// One part of the identity a limit counts by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyPart {
    /// `client_id` of the token, with its issuer.
    ClientId,
    /// `sub` of the token, with its issuer.
    Sub,
    /// A claim of the token, with its issuer.
    Claim(Box<str>),
    /// The SPIFFE ID of a validated peer certificate, else its thumbprint.
    Peer,
    /// The source address; IPv6 counts as its /64.
    Ip,
    /// The SPIFFE ID or thumbprint of a validated peer certificate, else the source address. Unlike `Peer`, nobody gets
    /// another one by making up a certificate.
    Source,
    /// The route.
    Route,
    /// The value of a request header, which the caller chooses: only beside parts that it does not.
    Header(Box<str>),
    /// A fixed text, to tell limits of the same key apart.
    Constant(Box<str>),
}

/// A limit as configured.
#[derive(Debug)]
pub struct Limit {
    /// Name and place. The name is what callers see in RateLimit fields.
    pub origin: Origin,
    /// The identity counted; empty: one budget for everybody.
    pub key: Vec<KeyPart>,
    /// Rate and burst.
    pub quota: Quota,
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
    /// Requests that have not ended: each gives its permit back. What a lost worker held comes back by the quota, whose
    /// burst is the number allowed at once.
    InFlight,
}

impl Counts {
    /// Whether a response with this status is counted.
    pub fn response(&self, status: u16) -> bool {
        match self {
            Counts::Outcomes(outcomes) => outcomes.statuses.contains(&status),
            Counts::Requests | Counts::InFlight => false,
        }
    }

    /// Whether any response may be counted.
    pub fn any_response(&self) -> bool {
        matches!(self, Counts::Outcomes(Outcomes { statuses, .. }) if !statuses.is_empty())
    }

    /// Whether the verification of a token is counted.
    pub fn verification(&self) -> bool {
        match self {
            Counts::Outcomes(outcomes) => outcomes.verifications,
            Counts::Requests | Counts::InFlight => false,
        }
    }
}

/// Outcomes of requests that a limit counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Responses with one of these statuses.
    pub statuses: Vec<u16>,
    /// Verifications of tokens that are not known yet. Only where the key needs no token.
    pub verifications: bool,
}

impl Limit {
    /// A limit of requests, the same for every caller and counted here.
    pub fn new(origin: Origin, key: Vec<KeyPart>, quota: Quota) -> Self {
        let counts = Counts::Requests;
        Self { origin, key, quota, overrides: Vec::new(), shadow: false, counts, fleet: None, watch: None }
    }

    /// Everything about a request that it tells apart.
    pub fn parts(&self) -> &[KeyPart] {
        let distinct = self.watch.as_ref().and_then(|watch| watch.distinct.as_ref());
        distinct.map_or(&self.key, |first| &first.key)
    }

    /// Whether it counts what a source does, whoever the caller turns out to be: its key needs no token.
    pub fn is_of_source(&self) -> bool {
        let of_token = |part: &KeyPart| matches!(part, KeyPart::ClientId | KeyPart::Sub | KeyPart::Claim(_));
        !self.key.iter().any(of_token)
    }
}

/// Another quota for callers that meet all conditions.
#[derive(Debug)]
pub struct Override {
    /// At least one.
    pub conditions: Vec<Condition>,
    /// What they may do.
    pub quota: Quota,
}

/// What must hold of a caller, or of the moment.
#[derive(Debug, PartialEq, Eq)]
pub enum Condition {
    /// `client_id` of the token.
    ClientId(Box<str>),
    /// `sub` of the token.
    Sub(Box<str>),
    /// A claim of the token, by name and text.
    Claim(Box<str>, Box<str>),
    /// The SPIFFE ID of the validated peer.
    Peer(PeerPattern),
    /// The time of day in UTC.
    Utc(DayTimes),
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
}
