//! Whose host is whose, over all resources. In: the hosts of each. Out: those that it is served under, and findings where two
//! claim the same requests.
//! Not here: how a host is written (`addresses`), which of several patterns counts (`policy::Hosts`).

use std::collections::HashMap;

use crate::config::reading::finding::{Findings, Place, quoted};
use crate::config::resource::keys::ResourceTable;
use crate::http::{HostNames, HostPattern};

/// Who claimed what so far.
#[derive(Default)]
pub(in crate::config) struct Claims(HashMap<HostPattern, Claim>);

struct Claim {
    at: Place,
    /// The place of the resource.
    resource: Place,
}

impl Claims {
    /// The hosts of a resource, without those that were claimed before.
    pub(in crate::config) fn of(&mut self, table: &ResourceTable, findings: &mut Findings) -> Vec<HostPattern> {
        let at = table.at.key("hosts");
        let mut own = Vec::new();
        for host in table.hosts.iter().flatten() {
            let pattern = &host.value.0;
            match self.0.get(pattern) {
                Some(first) => {
                    let taken = format!("{} is served by {} already", quoted(&pattern.to_string()), first.at.as_str());
                    findings.add(&host.at, taken, "Remove one of both, or put the routes together.");
                }
                None => {
                    let claim = Claim { at: host.at.clone(), resource: table.at.clone() };
                    self.0.insert(pattern.clone(), claim);
                    own.push(pattern.clone());
                }
            }
        }
        if own.is_empty() && !findings.touch(&at) {
            findings.add(&at, "an empty list, so that nothing would be served", "Write the hosts that clients name.");
        }
        own
    }

    /// Requests that two resources claim, one by the name and one by the port: neither is the more exact.
    pub(in crate::config) fn check(self, findings: &mut Findings) {
        let mut by_port: HashMap<&HostNames, Vec<(u16, &Claim)>> = HashMap::new();
        for (pattern, claim) in self.0.iter().filter(|(pattern, _)| !pattern.is_exact()) {
            if let Some(port) = pattern.port {
                by_port.entry(&pattern.names).or_default().push((port, claim));
            }
        }
        for (pattern, claim) in self.0.iter().filter(|(pattern, _)| pattern.port.is_none()) {
            let wider = wider(&pattern.names).into_iter().filter_map(|names| by_port.get(&names)).flatten();
            for (port, other) in wider.filter(|(_, other)| other.resource != claim.resource) {
                let both = HostPattern { names: pattern.names.clone(), port: Some(*port) };
                if !self.0.contains_key(&both) {
                    let both = quoted(&both.to_string());
                    findings.add(
                        &claim.at,
                        format!("{both} could be meant by this and by {}", other.at.as_str()),
                        format!("Write {both} into the resource that is to serve it."),
                    );
                }
            }
        }
    }
}

/// All names that take these as well.
fn wider(names: &HostNames) -> Vec<HostNames> {
    let name = match names {
        HostNames::One(name) | HostNames::Below(name) => name,
        HostNames::All => return Vec::new(),
    };
    let parents = std::iter::successors(Some(&**name), |name| name.split_once('.').map(|(_, parent)| parent)).skip(1);
    parents.map(|parent| HostNames::Below(parent.into())).chain([HostNames::All]).collect()
}
