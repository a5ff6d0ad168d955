//! Objects: what in a request names a thing that belongs to somebody, and which claims say whose it is. Plain data.
//! Not here: the judgement (`authz::objects`), how a rule is written (`config::objects`).

use std::fmt;

use crate::policy::Fact;

/// One tie between a request and a token: what is named there must be what a claim says.
#[derive(Debug, PartialEq, Eq)]
pub struct ObjectRule {
    /// What names the object in the request.
    pub name: ObjectName,
    /// The claims, one of which must say the same. Never empty.
    pub owners: Vec<Fact>,
    /// Where it is written: `resources[0].routes[2].where.user`.
    pub path: Box<str>,
}

/// What names an object in a request.
#[derive(Debug, PartialEq, Eq)]
pub enum ObjectName {
    /// The parameter of the path that has this name, and the number of its segment from the left.
    Parameter(Box<str>, usize),
    /// The parameter of the query that has this name.
    Query(Box<str>),
    /// The header of this name, in lower case.
    Header(Box<str>),
}

impl ObjectRule {
    /// Whether whatever `mine` let pass is let pass by `theirs`.
    pub(super) fn demand_all_of(mine: &[Self], theirs: &[Self]) -> bool {
        let covers = |mine: &Self, theirs: &Self| {
            mine.name == theirs.name && mine.owners.iter().all(|owner| theirs.owners.contains(owner))
        };
        theirs.iter().all(|theirs| mine.iter().any(|mine| covers(mine, theirs)))
    }
}

/// As it is written in the configuration.
impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectName::Parameter(name, _) => f.write_str(name),
            ObjectName::Query(name) => write!(f, "query.{name}"),
            ObjectName::Header(name) => write!(f, "header.{name}"),
        }
    }
}
