//! What a policy means for the one who runs it. In: a policy. Out: a sentence about what it serves and costs.

use std::collections::HashSet;

use crate::policy::{KeyPart, Policy};

/// One slot of the limit table in Envoy's memory, with its key: 272 bytes of value, the rest is measured overhead.
const SLOT_BYTES: u64 = 400;
/// Entries of a slot.
const SLOT_ENTRIES: u64 = 16;

impl Policy {
    /// What it serves, and how much memory its limits may come to take.
    pub fn summary(&self) -> String {
        let hosts: Vec<&str> =
            self.resources.iter().flat_map(|resource| &resource.hosts).map(|host| host.as_str()).collect();
        let routes =
            self.resources.iter().map(|resource| resource.routes.iter().count()).fold(0, usize::saturating_add);
        let kinds: HashSet<Vec<KeyPart>> = self.limits.iter().map(|limit| kind(&limit.key)).collect();
        let table = match kinds.len() {
            0 => "no limit table".to_owned(),
            kinds => format!(
                "limit table at most about {:.1} MiB when full ({} identities, {} of key)",
                mebibytes(self.limit_identities, kinds),
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

/// The table is made for half load, in a power of two of slots, one for each kind of key.
fn mebibytes(identities: u32, kinds: usize) -> f64 {
    let slots = u64::from(identities).saturating_mul(2).div_ceil(SLOT_ENTRIES).max(1).next_power_of_two();
    let bytes = slots.saturating_mul(SLOT_BYTES).saturating_mul(kinds as u64);
    bytes as f64 / f64::from(1 << 20)
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
