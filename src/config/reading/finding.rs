//! What is wrong with a configuration. In: findings, from everywhere in the configuration. Out: all of them, each
//! with its place, what was found there, and what to do about it. And what may be right and is rarely meant: doubts.
//! Not here: how an operator says that something is meant (`doubts`).

use std::cmp::Ordering;
use std::fmt;

use crate::config::reading::doubts::DoubtSetting;
use crate::config::text::spots::{Position, Spot};
use crate::policy::Origin;

/// A place in the configuration: `resources[0].routes[2].path`. Empty for the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::config) struct Place(String);

impl Place {
    /// The whole configuration.
    pub(in crate::config) fn root() -> Self {
        Self::default()
    }

    /// The member `name` of what stands here.
    pub(in crate::config) fn key(&self, name: &str) -> Self {
        let plain = (1..=LONGEST_QUOTE).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        match (plain, self.0.is_empty()) {
            (true, true) => Self(name.to_owned()),
            (true, false) => Self(format!("{}.{name}", self.0)),
            (false, _) => Self(format!("{}[{}]", self.0, quoted(name))),
        }
    }

    /// The item number `index`, from 0, of the list that stands here.
    pub(in crate::config) fn item(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// Where a rule was written.
    pub(in crate::config) fn of(origin: &Origin) -> Self {
        Self(origin.path.to_string())
    }

    /// Whether `path`, as it is written in findings, is this place or one inside it.
    pub(in crate::config) fn holds(&self, path: &str) -> bool {
        let rest = path.strip_prefix(&*self.0);
        rest.is_some_and(|rest| rest.is_empty() || self.0.is_empty() || rest.starts_with(['.', '[']))
    }

    /// As it is written in findings.
    pub(in crate::config) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The most findings that are told at once.
const MOST_FINDINGS: usize = 1000;

/// The longest text of a configuration that a finding repeats, in characters.
const LONGEST_QUOTE: usize = 80;

/// `text` in quotation marks, escaped, and cut when it is long.
pub(in crate::config) fn quoted(text: &str) -> String {
    match text.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where: `resources[0].routes[2].limits[0]`; empty for the configuration as a whole.
    pub path: String,
    /// What was found there, without a full stop.
    pub finding: String,
    /// What to do: whole sentences.
    pub remedy: String,
    /// Where in the text it stands, where there is a text.
    pub position: Option<Position>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "configuration" } else { &self.path };
        write!(f, "{path}: {}. {}", self.finding, self.remedy)
    }
}

/// Something that may be right and is rarely meant: told as a warning, unless the operator says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Doubt {
    pub(in crate::config) finding: Finding,
    /// The word that answers it, and the table in which it is written; `None` where something else answers it.
    pub(in crate::config) answer: Option<(DoubtSetting, Place)>,
}

/// Everything that is wrong, in the order of the document; at least one where there is an error. A document that has
/// little in common with a configuration is cut short, with a finding that says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings(Vec<Finding>, Vec<Doubt>);

impl Findings {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }

    // Cold, and called from hundreds of places: inlined, it makes the module larger.
    #[inline(never)]
    pub(in crate::config) fn add(&mut self, at: &Place, finding: impl Into<String>, remedy: impl Into<String>) {
        self.add_at(at, finding, remedy, None);
    }

    /// The same, about something that stands in the text at `position`.
    pub(in crate::config) fn add_at(
        &mut self,
        at: &Place,
        finding: impl Into<String>,
        remedy: impl Into<String>,
        position: Option<Position>,
    ) {
        self.put(Finding { path: at.0.clone(), finding: finding.into(), remedy: remedy.into(), position });
    }

    /// One that is made already.
    pub(in crate::config) fn put(&mut self, finding: Finding) {
        match self.0.len().cmp(&MOST_FINDINGS) {
            Ordering::Less => self.0.push(finding),
            Ordering::Equal => self.0.push(Finding {
                path: String::new(),
                finding: format!("more than {MOST_FINDINGS} findings"),
                remedy: "Repair these first.".to_owned(),
                position: None,
            }),
            Ordering::Greater => {}
        }
    }

    /// What may be right and is rarely meant. `word`, written under `meant` of the table at `table`, says that it is.
    pub(in crate::config) fn doubt(
        &mut self,
        word: DoubtSetting,
        table: &Place,
        at: &Place,
        finding: String,
        remedy: &str,
    ) {
        let remedy = format!("{remedy} If it is meant, write meant: [{}] in {}.", word.word(), table.as_str());
        self.push_doubt(at, finding, remedy, Some((word, table.clone())));
    }

    /// The same where the remedy tells how to say that it is meant.
    pub(in crate::config) fn warn(&mut self, at: &Place, finding: String, remedy: &str) {
        self.push_doubt(at, finding, remedy.to_owned(), None);
    }

    fn push_doubt(&mut self, at: &Place, finding: String, remedy: String, answer: Option<(DoubtSetting, Place)>) {
        if self.1.len() < MOST_FINDINGS {
            let finding = Finding { path: at.0.clone(), finding, remedy, position: None };
            self.1.push(Doubt { finding, answer });
        }
    }

    /// The doubts, which are told where nothing is wrong.
    pub(in crate::config) fn into_doubts(self) -> Vec<Doubt> {
        self.1
    }

    /// Whether something is wrong at `at` or inside it, so that what it means is not known.
    pub(in crate::config) fn touch(&self, at: &Place) -> bool {
        self.0.iter().any(|finding| at.holds(&finding.path))
    }

    /// One that was found before there was a document.
    pub(in crate::config) fn of(finding: Finding) -> Self {
        Self(vec![finding], Vec::new())
    }

    /// One that stands alone.
    pub(in crate::config) fn single(finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        let mut findings = Self::default();
        findings.add(&Place::root(), finding, remedy);
        findings
    }

    /// In the order of `ranks`, one for each; those of one rank as they were found. That there are more stays last.
    pub(in crate::config) fn sorted_by(self, ranks: &[usize]) -> Self {
        // Numbers are sorted, not findings: for these the sort alone would be a fiftieth of the module.
        let mut order: Vec<(usize, usize)> = ranks.iter().copied().zip(0..).collect();
        if let Some(told) = order.get_mut(..ranks.len().min(MOST_FINDINGS)) {
            told.sort_unstable();
        }
        let mut findings: Vec<Option<Finding>> = self.0.into_iter().map(Some).collect();
        let next = |(_, index): (usize, usize)| findings.get_mut(index)?.take();
        Self(order.into_iter().filter_map(next).collect(), self.1)
    }

    /// Without those about how something is said whose spelling is wrong (it has a position already): one finding is enough.
    pub(in crate::config) fn once_each(mut self) -> Self {
        let slips: Vec<String> =
            self.0.iter().filter(|finding| finding.position.is_some()).map(|finding| finding.path.clone()).collect();
        self.0.retain(|finding| finding.position.is_some() || !slips.contains(&finding.path));
        self
    }

    /// With the position of each in the text that `spot` stands for.
    pub(in crate::config) fn placed(mut self, spot: &Spot) -> Self {
        for finding in &mut self.0 {
            finding.position.get_or_insert_with(|| spot.position(&finding.path));
        }
        self
    }

    /// With positions changed by `change`.
    #[cfg(feature = "cli")]
    pub(in crate::config) fn moved(mut self, change: impl Fn(Option<Position>) -> Option<Position>) -> Self {
        self.0.iter_mut().for_each(|finding| finding.position = change(finding.position));
        self
    }

    /// With those of `other` behind them.
    #[cfg(feature = "cli")]
    pub(in crate::config) fn and(mut self, other: &Self) -> Self {
        self.0.extend(other.iter().cloned());
        self
    }

    pub(in crate::config) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One a line.
impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        self.0.iter().try_for_each(|finding| write!(f, "{}{finding}", std::mem::replace(&mut separator, "\n")))
    }
}

impl std::error::Error for Findings {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_like_the_configuration() {
        let route = Place::root().key("resources").item(0).key("routes").item(2);
        assert_eq!(route.as_str(), "resources[0].routes[2]");
        assert_eq!(route.key("a.b\n").as_str(), r#"resources[0].routes[2]["a.b\n"]"#);
    }

    #[test]
    fn a_place_is_touched_by_what_is_wrong_inside_it_only() {
        let mut findings = Findings::default();
        findings.add(&Place::root().key("limits").item(0), "wrong", "Repair it.");
        assert!(findings.touch(&Place::root().key("limits")));
        assert!(!findings.touch(&Place::root().key("limit")));
        assert!(!findings.touch(&Place::root().key("limits").item(0).key("rate")));
    }

    #[test]
    fn long_texts_are_cut_and_none_can_forge_a_line() {
        assert_eq!(quoted("a\nb: c"), r#""a\nb: c""#);
        assert_eq!(quoted(&"ä".repeat(81)).chars().count(), 83);
    }
}
