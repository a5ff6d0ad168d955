//! The order of findings: that of the document, whichever check found them. In: findings as they were found, the document. Out:
//! the same, from the top to the bottom.

use crate::config::reading::finding::{Findings, Place};
use crate::json::Value;

/// A finding about something that is missing stands where the table begins that lacks it.
pub(in crate::config) fn sorted(findings: Findings, document: &Value) -> Findings {
    let paths: Vec<&str> = findings.iter().map(|finding| &*finding.path).collect();
    let about: Vec<usize> = (0..paths.len()).collect();
    let mut ranks = vec![0; paths.len()];
    Walk { paths: &paths, ranks: &mut ranks, visited: 0 }.visit(document, &Place::root(), &about);
    findings.sorted_by(&ranks)
}

/// The places of a document that findings are about, each after the one that it stands in.
struct Walk<'w> {
    paths: &'w [&'w str],
    /// By finding: the number of the last place visited that the finding is about.
    ranks: &'w mut [usize],
    visited: usize,
}

impl Walk<'_> {
    /// As deep as the document, which is bounded. `about`: the findings at this place or inside it.
    fn visit(&mut self, value: &Value, at: &Place, about: &[usize]) {
        self.visited = self.visited.saturating_add(1);
        for finding in about {
            if let Some(rank) = self.ranks.get_mut(*finding) {
                *rank = self.visited;
            }
        }
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.enter(item, &at.item(index), about);
                }
            }
            Value::Object(object) => {
                for (name, member) in object.members() {
                    self.enter(member, &at.key(name), about);
                }
            }
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) | Value::Text(_) => {}
        }
    }

    fn enter(&mut self, value: &Value, at: &Place, about: &[usize]) {
        let is_inside = |finding: &usize| self.paths.get(*finding).is_some_and(|path| at.holds(path));
        let inside: Vec<usize> = about.iter().copied().filter(is_inside).collect();
        if !inside.is_empty() {
            self.visit(value, at, &inside);
        }
    }
}
