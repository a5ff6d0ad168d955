//! What a policy means for the one who runs it. In: a policy. Out: a sentence about what it serves and costs.

use std::collections::HashMap;
use std::time::Duration;

use crate::binding::dpop::Nonces;
use crate::config::issuer::profiles::meaning;
use crate::config::resource::fapi;
use crate::limit::TableMemory;
use crate::policy::{DpopRule, Fact, Policy, RevocationSource, StatusListRule, TableSize};
use crate::shared::{Marks, OnceOnly};
use crate::worker::{KNOWN_TOKENS, QUESTIONS_MEMORY};

impl Policy {
    /// What the profile of each issuer means, in the keys that say the same, and what that of each resource demands.
    pub fn profiles(&self) -> impl Iterator<Item = String> {
        let issuers = self.issuers.iter().filter_map(|issuer| meaning(issuer));
        issuers.chain(self.resources.iter().filter_map(|resource| fapi::meaning(resource)))
    }

    /// What it serves, and how much memory all that grows with its callers may come to take.
    pub fn summary(&self) -> String {
        let hosts: Vec<String> =
            self.resources.iter().flat_map(|resource| &resource.hosts).map(ToString::to_string).collect();
        let routes =
            self.resources.iter().map(|resource| resource.routes.iter().count()).fold(0, usize::saturating_add);
        let distinct = self.limits.iter().filter_map(|limit| limit.watch.as_ref()?.distinct.as_ref());
        let mut kinds: HashMap<Vec<Fact>, usize> = HashMap::new();
        for limit in self.limits.iter().chain(distinct) {
            let limits = kinds.entry(kind(&limit.key)).or_default();
            *limits = limits.saturating_add(1);
        }
        let size = TableSize::for_identities(self.limit_identities);
        let memory = |which: fn(TableMemory) -> u64| {
            let bytes = kinds.values().map(|limits| which(TableMemory::of(size, *limits))).sum::<u64>();
            mebibytes(bytes)
        };
        let table = match kinds.len() {
            0 => "no limit table".to_owned(),
            number => format!(
                "limit table about {} with {} identities, at most {} ({} of key)",
                memory(|memory| memory.made_for),
                self.limit_identities,
                memory(|memory| memory.most),
                counted(number, "kind")
            ),
        };
        // A document that several of them name is fetched once.
        let mut sources: Vec<&RevocationSource> = Vec::new();
        for (_, source) in self.revocation_sources() {
            if !sources.iter().any(|other| other.id == source.id) {
                sources.push(source);
            }
        }
        let lists = self.issuers.iter().filter_map(|issuer| issuer.status_lists.as_ref());
        let most = sources
            .into_iter()
            .map(RevocationSource::memory)
            .chain(lists.map(StatusListRule::memory))
            .fold(0, usize::saturating_add);
        let revocations = match most {
            0 => String::new(),
            bytes => format!("; revocations at most {} in each worker", mebibytes(bytes as u64)),
        };
        format!(
            "{}: {}, {}, {}; {table}{}{revocations}",
            hosts.join(", "),
            counted(routes, "route"),
            counted(self.issuers.len(), "issuer"),
            counted(self.limits.len(), "limit"),
            self.memory_of_tokens()
        )
    }

    /// What tokens, questions about them and proofs of their keys may take.
    fn memory_of_tokens(&self) -> String {
        let tokens = match self.issuers.is_empty() {
            true => String::new(),
            false => format!(
                "; known tokens at most {} in each worker and {} for all",
                mebibytes(self.token_cache.bytes as u64),
                mebibytes(Marks::memory(KNOWN_TOKENS))
            ),
        };
        let questions = match self.issuers.iter().any(|issuer| issuer.introspection.is_some()) {
            true => format!("; questions about tokens at most {} in each worker", mebibytes(QUESTIONS_MEMORY as u64)),
            false => String::new(),
        };
        let rules = self.resources.iter().filter_map(|resource| resource.dpop.as_ref());
        let proofs = match rules.map(remembered).max() {
            None => String::new(),
            Some(time) => format!(
                "; used proofs at most {}, for {} in a second, each kept for {} s",
                mebibytes(OnceOnly::MEMORY),
                OnceOnly::CAPACITY.checked_div(time.as_secs()).unwrap_or(OnceOnly::CAPACITY),
                time.as_secs()
            ),
        };
        format!("{tokens}{questions}{proofs}")
    }
}

/// How long a proof that came at once is remembered.
fn remembered(rule: &DpopRule) -> Duration {
    if rule.nonce.is_some() { Nonces::LONGEST } else { rule.max_age }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Limits whose keys differ in constants only are counted in the same table.
fn kind(key: &[Fact]) -> Vec<Fact> {
    let nameless = |part: &Fact| match part {
        Fact::Constant(_) => Fact::Constant("".into()),
        other => other.clone(),
    };
    key.iter().map(nameless).collect()
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
