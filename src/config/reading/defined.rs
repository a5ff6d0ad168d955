//! Things that are defined under a name and referred to elsewhere: issuers and limits. In: definitions, then
//! references. Out: what a reference means, and findings about names that mean nothing and definitions that nobody
//! uses.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::config::reading::finding::{Findings, Place, quoted};
use crate::config::reading::table::{At, Named, nearest};
use crate::config::reading::values::Name;
use crate::policy::Origin;

/// The most names that a finding lists.
const MOST_NAMES: usize = 20;

/// The definitions of one kind.
pub(in crate::config) struct Defined<T> {
    kind: &'static str,
    /// Sorted by name; `None` where the definition is wrong, which was reported.
    entries: Vec<(String, Place, Option<Rc<T>>)>,
    used: RefCell<BTreeSet<String>>,
    /// Whether a reference could not be understood: then nobody knows which definitions are unused.
    unclear: Cell<bool>,
}

impl<T> Defined<T> {
    /// Compiles each of `written`. `kind`: what one is called, in the singular.
    pub(in crate::config) fn compile<W>(
        kind: &'static str,
        written: Option<&Named<W>>,
        findings: &mut Findings,
        mut compile: impl FnMut(Origin, &W, &mut Findings) -> Option<T>,
    ) -> Self {
        let mut entries = Vec::new();
        for (name, At { at, value }) in written.map(|named| named.0.as_slice()).unwrap_or_default() {
            if !Name::is_one(name) {
                findings.add(at, format!("{} is no name", quoted(name)), Name::RULE);
            }
            let origin = Origin { name: name.as_str().into(), path: at.as_str().into() };
            let value = value.as_ref().and_then(|value| compile(origin, value, findings)).map(Rc::new);
            entries.push((name.clone(), at.clone(), value));
        }
        Self { kind, entries, used: RefCell::default(), unclear: Cell::new(false) }
    }

    /// What each of `references` means. Those that mean nothing, or stand there twice, are reported and left out.
    pub(in crate::config) fn resolve<'r>(
        &self,
        references: &'r [At<Name>],
        findings: &mut Findings,
    ) -> Vec<(&'r Place, Rc<T>)> {
        let mut seen = BTreeSet::new();
        let mut resolved = Vec::new();
        for At { at, value: Name(name) } in references {
            if !seen.insert(name) {
                findings.add(at, format!("{} stands there twice", quoted(name)), "Remove one.");
                continue;
            }
            let found = self.entries.binary_search_by(|(defined, ..)| defined.as_str().cmp(name));
            match found.ok().and_then(|index| self.entries.get(index)) {
                Some((_, _, value)) => {
                    self.used.borrow_mut().insert(name.to_string());
                    resolved.extend(value.clone().map(|value| (at, value)));
                }
                None => {
                    self.unclear.set(true);
                    findings.add(at, format!("no {} is named {}", self.kind, quoted(name)), self.defined_names(name));
                }
            }
        }
        resolved
    }

    /// That a list of references could not be understood as a whole.
    pub(in crate::config) fn reference_unclear(&self) {
        self.unclear.set(true);
    }

    /// Whether every reference so far was understood.
    pub(in crate::config) fn uses_are_clear(&self) -> bool {
        !self.unclear.get()
    }

    fn defined_names(&self, name: &str) -> String {
        let names = || self.entries.iter().map(|(name, ..)| name.as_str());
        let mut list = names().take(MOST_NAMES).collect::<Vec<_>>().join(", ");
        if self.entries.len() > MOST_NAMES {
            list.push_str(", …");
        }
        match (list.is_empty(), nearest(name, names())) {
            (true, _) => format!("Define it under {}s.", self.kind),
            (false, Some(near)) => format!("Did you mean {near:?}? Defined: {list}."),
            (false, None) => format!("Defined: {list}."),
        }
    }

    /// All definitions, after a finding for each that nobody uses.
    pub(in crate::config) fn into_used(self, findings: &mut Findings) -> Vec<Rc<T>> {
        let used = self.used.into_inner();
        let mut values = Vec::new();
        for (name, at, value) in self.entries {
            if !used.contains(&name) && !self.unclear.get() {
                findings.add(
                    &at,
                    format!("nobody uses this {}", self.kind),
                    "Name it where it is meant, or remove it.",
                );
            }
            values.extend(value);
        }
        values
    }
}
