//! What a policy means for the one who runs it. In: a policy. Out: a sentence about what it serves and costs.

use std::collections::HashSet;

use crate::limit::SharedTable;
use crate::policy::{KeyPart, Policy};

impl Policy {
    /// What it serves, and how much memory its limits may come to take.
    pub fn summary(&self) -> String {
        let hosts: Vec<&str> =
            self.resources.iter().flat_map(|resource| &resource.hosts).map(|host| host.as_str()).collect();
        let routes =
            self.resources.iter().map(|resource| resource.routes.iter().count()).fold(0, usize::saturating_add);
        let distinct = self.limits.iter().filter_map(|limit| limit.watch.as_ref()?.distinct.as_ref());
        let kinds: HashSet<Vec<KeyPart>> = self.limits.iter().chain(distinct).map(|limit| kind(&limit.key)).collect();
        let table = match kinds.len() {
            0 => "no limit table".to_owned(),
            kinds => format!(
                "limit table at most about {:.1} MiB when full ({} identities, {} of key)",
                SharedTable::memory(self.limit_identities) as f64 * kinds as f64 / f64::from(1 << 20),
                self.limit_identities,
                counted(kinds, "kind")
            ),
        };
        format!(
            "{}: {}, {}, {}; {table}",
            hosts.join(", "),
            counted(routes, "route"),
            counted(self.issuers.len(), "issuer"),
            counted(self.limits.len(), "limit")
        )
    }
}

/// Limits whose keys differ in constants only are counted in the same table.
fn kind(key: &[KeyPart]) -> Vec<KeyPart> {
    let nameless = |part: &KeyPart| match part {
        KeyPart::Constant(_) => KeyPart::Constant("".into()),
        other => other.clone(),
    };
    key.iter().map(nameless).collect()
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
