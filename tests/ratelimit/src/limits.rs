//! What is limited: the configuration file of envoyproxy/ratelimit, as far as it concerns answers. In: YAML. Out: the
//! limit that a descriptor meets.
//!
//! ```yaml
//! domain: boundgate
//! descriptors:
//!   - key: per-client
//!     rate_limit: { unit: minute, requests_per_unit: 600 }
//! ```

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;

use crate::messages::Entry;

/// The limits of one domain.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub(crate) domain: String,
    #[serde(default)]
    pub(crate) descriptors: Vec<Node>,
}

/// One level of the tree: what an entry of a descriptor must be, and what holds there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Node {
    pub(crate) key: String,
    /// Empty: any value. Each `*` stands for any text.
    #[serde(default)]
    pub(crate) value: String,
    pub(crate) rate_limit: Option<RateLimit>,
    #[serde(default)]
    pub(crate) descriptors: Vec<Node>,
    #[serde(default)]
    pub(crate) shadow_mode: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateLimit {
    /// None exactly where `unlimited`.
    pub(crate) unit: Option<Unit>,
    #[serde(default)]
    pub(crate) requests_per_unit: u32,
    #[serde(default)]
    pub(crate) unlimited: bool,
    #[serde(default)]
    pub(crate) name: String,
}

/// A unit of time, as long as envoyproxy/ratelimit takes it to be. Months have 30 days, years 365.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
#[allow(missing_docs)]
pub enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Unit {
    /// How long it is.
    pub fn seconds(self) -> u32 {
        const DAY: u32 = 24 * 60 * 60;
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 60 * 60,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
            Self::Month => 30 * DAY,
            Self::Year => 365 * DAY,
        }
    }
}

impl TryFrom<String> for Unit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "second" => Self::Second,
            "minute" => Self::Minute,
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "year" => Self::Year,
            _ => return Err(format!("invalid rate limit unit '{text}'")),
        })
    }
}

/// A configuration that cannot be served; the text says why.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub(crate) String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Limits {
    /// A domain without limits.
    pub fn new(domain: &str) -> Self {
        Self { domain: domain.to_owned(), descriptors: Vec::new() }
    }

    /// Adds a limit for every value of `key` by itself.
    #[must_use]
    pub fn limit(mut self, key: &str, requests_per_unit: u32, unit: Unit) -> Self {
        let rate_limit = RateLimit { unit: Some(unit), requests_per_unit, unlimited: false, name: String::new() };
        self.descriptors.push(Node {
            key: key.to_owned(),
            value: String::new(),
            rate_limit: Some(rate_limit),
            descriptors: Vec::new(),
            shadow_mode: false,
        });
        self
    }

    /// Reads a file of envoyproxy/ratelimit. Members that change no answer here are refused as unknown.
    pub fn parse(yaml: &str) -> Result<Self, ConfigError> {
        let limits: Self = serde_saphyr::from_str(yaml).map_err(|error| ConfigError(error.to_string()))?;
        if limits.domain.is_empty() {
            return Err(ConfigError(String::from("config file cannot have empty domain")));
        }
        validate(&limits.domain, &limits.descriptors)?;
        Ok(limits)
    }

    /// The limit that a descriptor meets. Its entries are followed in order, all of them; at each the exact value goes
    /// before patterns, and patterns before the bare key.
    pub(crate) fn find(&self, entries: &[Entry]) -> Option<&Node> {
        let mut level = &self.descriptors;
        let mut found = None;
        for entry in entries {
            let same_key = || level.iter().filter(|node| node.key == entry.key);
            let node = same_key()
                .find(|node| !node.value.is_empty() && node.value == entry.value)
                .or_else(|| same_key().find(|node| node.value.contains('*') && matches(&node.value, &entry.value)))
                .or_else(|| same_key().find(|node| node.value.is_empty()))?;
            level = &node.descriptors;
            found = Some(node);
        }
        found.filter(|node| node.rate_limit.is_some())
    }
}

fn validate(path: &str, nodes: &[Node]) -> Result<(), ConfigError> {
    let mut seen = HashSet::new();
    for node in nodes {
        if node.key.is_empty() {
            return Err(ConfigError(format!("{path}: descriptor has empty key")));
        }
        let path = format!("{path}.{}{}{}", node.key, if node.value.is_empty() { "" } else { "_" }, node.value);
        if !seen.insert((&node.key, &node.value)) {
            return Err(ConfigError(format!("duplicate descriptor composite key '{path}'")));
        }
        match &node.rate_limit {
            Some(limit) if limit.unlimited && limit.unit.is_some() => {
                return Err(ConfigError(format!("{path}: should not specify rate limit unit when unlimited")));
            }
            Some(limit) if !limit.unlimited && limit.unit.is_none() => {
                return Err(ConfigError(format!("{path}: invalid rate limit unit ''")));
            }
            _ => validate(&path, &node.descriptors)?,
        }
    }
    Ok(())
}

/// Whether a value is what the pattern says.
fn matches(pattern: &str, value: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == value };
    let Some(mut value) = value.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').map_or((None, rest), |(middle, last)| (Some(middle), last));
    match value.strip_suffix(last) {
        None => return false,
        Some(without) => value = without,
    }
    middle.into_iter().flat_map(|middle| middle.split('*')).all(|part| match value.split_once(part) {
        None => false,
        Some((_, after)) => {
            value = after;
            true
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> Vec<Entry> {
        pairs.iter().map(|(key, value)| Entry { key: (*key).into(), value: (*value).into() }).collect()
    }

    fn requests(limits: &Limits, pairs: &[(&str, &str)]) -> Option<u32> {
        limits
            .find(&entries(pairs))
            .map(|node| node.rate_limit.as_ref().expect("only limits are found").requests_per_unit)
    }

    const TREE: &str = "
domain: d
descriptors:
  - key: tenant
    rate_limit: {unit: HOUR, requests_per_unit: 1}
  - key: tenant
    value: gold
    rate_limit: {unit: hour, requests_per_unit: 2}
    descriptors:
      - key: route
        rate_limit: {unit: hour, requests_per_unit: 3}
  - key: tenant
    value: g*d*
    rate_limit: {unit: hour, requests_per_unit: 4}
";

    #[test]
    fn exact_value_goes_before_pattern_and_pattern_before_bare_key() {
        let limits = Limits::parse(TREE).unwrap();
        assert_eq!(requests(&limits, &[("tenant", "gold")]), Some(2));
        assert_eq!(requests(&limits, &[("tenant", "golden")]), Some(4));
        assert_eq!(requests(&limits, &[("tenant", "silver")]), Some(1));
    }

    #[test]
    fn every_entry_must_match_in_order_and_end_at_the_last_one() {
        let limits = Limits::parse(TREE).unwrap();
        assert_eq!(requests(&limits, &[("tenant", "gold"), ("route", "r")]), Some(3));
        assert_eq!(requests(&limits, &[("route", "r"), ("tenant", "gold")]), None);
        assert_eq!(requests(&limits, &[("tenant", "silver"), ("route", "r")]), None);
        assert_eq!(requests(&limits, &[]), None);
    }

    #[test]
    fn star_stands_for_any_text() {
        for (pattern, value, expected) in [
            ("*", "", true),
            ("a*", "a", true),
            ("a*c", "abbc", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "ac", false),
            ("a*b*b*c", "abc", false),
        ] {
            assert_eq!(matches(pattern, value), expected, "{pattern} {value}");
        }
    }

    #[test]
    fn mistakes_are_refused_with_the_place() {
        for (yaml, expected) in [
            ("domain: ''", "config file cannot have empty domain"),
            ("{domain: d, descriptors: [{key: ''}]}", "d: descriptor has empty key"),
            ("{domain: d, descriptors: [{key: a}, {key: a}]}", "duplicate descriptor composite key 'd.a'"),
            (
                "{domain: d, descriptors: [{key: a, rate_limit: {requests_per_unit: 1}}]}",
                "d.a: invalid rate limit unit ''",
            ),
            (
                "{domain: d, descriptors: [{key: a, value: b, rate_limit: {unlimited: true, unit: day}}]}",
                "d.a_b: should not specify rate limit unit when unlimited",
            ),
        ] {
            assert_eq!(Limits::parse(yaml).unwrap_err().to_string(), expected);
        }
        let unit = "{domain: d, descriptors: [{key: a, rate_limit: {unit: fortnight, requests_per_unit: 1}}]}";
        assert!(Limits::parse(unit).unwrap_err().to_string().contains("invalid rate limit unit 'fortnight'"));
    }
}
