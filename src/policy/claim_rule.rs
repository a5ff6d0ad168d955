//! What a route demands of the claims of a token. Plain data. Not here: the judgement (`authz::claims`), how it is written
//! (`config::claims`), why this is no expression language (decision 39).

use std::fmt;
use std::rc::Rc;

use crate::policy::Fact;

/// One rule of a route or of its whole resource.
#[derive(Debug, PartialEq, Eq)]
pub struct ClaimRule {
    /// What is demanded.
    pub demand: ClaimDemand,
    /// Where it is written: `resources[0].routes[2].claims.groups`.
    pub path: Box<str>,
}

/// A demand, and how demands go together. As deep as the configuration allows.
#[derive(Debug, PartialEq, Eq)]
pub enum ClaimDemand {
    /// Of one claim.
    Of(Fact, ClaimTest),
    /// Every one of these.
    All(Vec<ClaimDemand>),
    /// At least one of these. Never empty.
    Any(Vec<ClaimDemand>),
    /// Not this.
    Not(Box<ClaimDemand>),
}

/// What a claim must be.
#[derive(Debug, PartialEq, Eq)]
pub enum ClaimTest {
    /// One of these. Never empty.
    OneOf(Vec<ClaimValue>),
    /// A list with one of these in it, or a text of words between spaces. Never empty.
    Contains(Vec<Box<str>>),
    /// A number from `min` to `max`. One of both is there.
    Within {
        /// The least.
        min: Option<i64>,
        /// The most.
        max: Option<i64>,
    },
    /// There, or not there.
    Present(bool),
}

/// A value that a claim may have.
#[derive(Debug, PartialEq, Eq)]
pub enum ClaimValue {
    /// A text, or a whole number by its decimal digits.
    Text(Box<str>),
    /// True or false.
    Flag(bool),
}

impl ClaimRule {
    /// Whether whatever `mine` let pass is let pass by `theirs`.
    pub(super) fn demand_all_of(mine: &[Rc<Self>], theirs: &[Rc<Self>]) -> bool {
        let has = |demand: &ClaimDemand| mine.iter().any(|mine| mine.demand == *demand);
        theirs.iter().all(|theirs| has(&theirs.demand))
    }
}

/// In the words of the configuration.
impl fmt::Display for ClaimDemand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClaimDemand::Of(fact, test) => write!(f, "{fact} {test}"),
            ClaimDemand::All(demands) => listed(f, "all of", demands),
            ClaimDemand::Any(demands) => listed(f, "any of", demands),
            ClaimDemand::Not(demand) => write!(f, "not ({demand})"),
        }
    }
}

impl fmt::Display for ClaimTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClaimTest::OneOf(values) => {
                f.write_str("is")?;
                values.iter().enumerate().try_for_each(|(index, value)| {
                    let or = if index == 0 { "" } else { " or" };
                    match value {
                        ClaimValue::Text(text) => write!(f, "{or} {text:?}"),
                        ClaimValue::Flag(flag) => write!(f, "{or} {flag}"),
                    }
                })
            }
            ClaimTest::Contains(words) => {
                f.write_str("contains")?;
                words.iter().enumerate().try_for_each(|(index, word)| {
                    let or = if index == 0 { "" } else { " or" };
                    write!(f, "{or} {word:?}")
                })
            }
            ClaimTest::Within { min, max } => {
                let bound = |bound: &Option<i64>| bound.map(|bound| bound.to_string()).unwrap_or_default();
                write!(f, "in {}..{}", bound(min), bound(max))
            }
            ClaimTest::Present(true) => f.write_str("is there"),
            ClaimTest::Present(false) => f.write_str("is not there"),
        }
    }
}

fn listed(f: &mut fmt::Formatter<'_>, which: &str, demands: &[ClaimDemand]) -> fmt::Result {
    write!(f, "{which} (")?;
    demands.iter().enumerate().try_for_each(|(index, demand)| {
        let comma = if index == 0 { "" } else { ", " };
        write!(f, "{comma}{demand}")
    })?;
    f.write_str(")")
}
