//! What a policy means for the one who runs it. In: a policy. Out: a sentence about what it serves and costs.

use std::collections::HashMap;

use crate::config::issuer::profiles::meaning;
use crate::config::resource::fapi;
use crate::limit::TableMemory;
use crate::policy::{Fact, Policy, RevocationSource, StatusListRule, TableSize};

impl Policy {
    /// What the profile of each issuer means, in the keys that say the same, and what that of each resource demands.
    pub fn profiles(&self) -> impl Iterator<Item = String> {
        let issuers = self.issuers.iter().filter_map(|issuer| meaning(issuer));
        issuers.chain(self.resources.iter().filter_map(|resource| fapi::meaning(resource)))
    }

    /// What it serves, and how much memory its limits may come to take.
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
            bytes as f64 / f64::from(1 << 20)
        };
        let table = match kinds.len() {
            0 => "no limit table".to_owned(),
            number => format!(
                "limit table about {:.1} MiB with {} identities, at most {:.1} MiB ({} of key)",
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
            bytes => format!("; revocations at most {:.1} MiB in each worker", bytes as f64 / f64::from(1 << 20)),
        };
        format!(
            "{}: {}, {}, {}; {table}{revocations}",
            hosts.join(", "),
            counted(routes, "route"),
            counted(self.issuers.len(), "issuer"),
            counted(self.limits.len(), "limit")
        )
    }
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
