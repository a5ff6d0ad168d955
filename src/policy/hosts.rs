//! Which resource serves a host: the way Envoy chooses its virtual hosts. In: the hosts of all resources; the authority of a
//! request, the server name of a connection (SNI). Out: the resource, and whether the connection was opened for another.
//! Not here: how hosts are written (`http`), that no two resources claim the same ones (`config`).
//!
//! An exact name before `*.`, the longest of these before shorter ones, `*` last. Of one name: its port before all ports.

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use crate::http::{Authority, HostNames};
use crate::policy::Resource;

/// See the module.
#[derive(Default)]
pub struct Hosts {
    exact: HashMap<Box<str>, Ports>,
    below: HashMap<Box<str>, Ports>,
    all: Ports,
}

/// Who serves a name.
#[derive(Default)]
struct Ports {
    /// On all ports but those.
    any: Option<Rc<Resource>>,
    own: Vec<(u16, Rc<Resource>)>,
}

/// Nothing that the resources do not say, and in an order of its own.
impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosts").finish_non_exhaustive()
    }
}

impl Ports {
    fn find(&self, port: u16) -> Option<&Rc<Resource>> {
        let own = self.own.iter().find(|(own, _)| *own == port).map(|(_, resource)| resource);
        own.or(self.any.as_ref())
    }

    fn resources(&self) -> impl Iterator<Item = &Rc<Resource>> {
        self.own.iter().map(|(_, resource)| resource).chain(&self.any)
    }
}

impl Hosts {
    /// The hosts of these.
    pub fn of(resources: &[Rc<Resource>]) -> Self {
        let mut hosts = Self::default();
        for (resource, host) in resources.iter().flat_map(|each| each.hosts.iter().map(move |host| (each, host))) {
            let ports = match &host.names {
                HostNames::One(name) => hosts.exact.entry(name.clone()).or_default(),
                HostNames::Below(name) => hosts.below.entry(name.clone()).or_default(),
                HostNames::All => &mut hosts.all,
            };
            match host.port {
                Some(port) => ports.own.push((port, resource.clone())),
                None => ports.any = Some(resource.clone()),
            }
        }
        hosts
    }

    /// Who serves it, if anyone. For a host that is written as it is, that costs one look-up.
    pub fn find(&self, authority: &Authority) -> Option<&Rc<Resource>> {
        let mut by_name = self.listing(authority.host()).chain([&self.all]);
        by_name.find_map(|ports| ports.find(authority.port()))
    }

    /// Whether a connection that was opened for `server_name` is for other resources than `resource`. Ports do not matter: the
    /// filter chain was chosen without. A name that none lists says nothing: an address, a name of the mesh, and what only `*`
    /// takes, which is what a connection without a server name is for.
    pub fn misdirects(&self, server_name: &str, resource: &Resource) -> bool {
        let mut others = false;
        for ports in self.listing(&server_name.to_ascii_lowercase()) {
            if ports.resources().any(|listed| std::ptr::eq(&**listed, resource)) {
                return false;
            }
            others = true;
            if ports.any.is_some() {
                break;
            }
        }
        others
    }

    /// Who lists the name, from the most exact to the least.
    fn listing<'h, 'n>(&'h self, name: &'n str) -> impl Iterator<Item = &'h Ports> + use<'h, 'n> {
        let parents = std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, parent)| parent)).skip(1);
        let parents = parents.take(if self.below.is_empty() { 0 } else { usize::MAX });
        self.exact.get(name).into_iter().chain(parents.filter_map(|parent| self.below.get(parent)))
    }
}
