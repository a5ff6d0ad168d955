//! The way to a route, before anything secret is looked at. In: the head, the connection. Out: a [`RoutedRequest`], with the holder of
//! its certificate, or an [`Unrouted`] one with its refusal. Not here: who may use the route (`judge`).

use std::rc::Rc;

use crate::exchange::holder::{Found, Holder};
use crate::exchange::routed_request::RoutedRequest;
use crate::exchange::unrouted::{Unrouted, never_passes};
use crate::exchange::{AuditFacts, Exchange, InteractionId, Surroundings};
use crate::host::{Connection, ConnectionProperty};
use crate::http::{AnswerForm, Authority, Head, HeadFault, HeaderMap, PathFault};
use crate::peer::{Noticed, Peer};
use crate::policy::{Resource, Route, RouteMatch};
use crate::reason::Reason;
use crate::verdict::Refusal;

impl Exchange {
    /// Which route the request is for, and over whose connection it came.
    pub(super) fn approach(
        &mut self,
        fields: HeaderMap,
        around: &mut Surroundings<'_>,
    ) -> Result<RoutedRequest, Box<Unrouted>> {
        self.facts.form = AnswerForm::of_head(&fields);
        self.facts.request_id = AuditFacts::request_id_of(&fields);
        let peer = Peer::of(around.connection);
        let noticed = peer.ok().flatten().map(|peer| (peer, self.notice(peer, around)));
        let head = match Head::parse(fields) {
            Ok(head) => head,
            Err(unread) => {
                let authority = unread.fields.all(":authority").next().and_then(|host| Authority::parse(host).ok());
                let resource = authority.and_then(|authority| self.policy.hosts.find(&authority).cloned());
                self.recognise(resource.as_ref(), &unread.fields, around);
                let holder = self.holder(resource.as_deref(), &unread.fields, noticed, around);
                let refusal = malformed(unread.fault);
                return Err(Box::new(Unrouted { refusal, head: Err(unread), resource, holder }));
            }
        };
        self.facts.path = Some(head.path().as_str().into());
        let resource = self.policy.hosts.find(head.authority()).cloned();
        self.recognise(resource.as_ref(), head.fields(), around);
        let holder = self.holder(resource.as_deref(), head.fields(), noticed, around);
        let tunnel = never_passes(head.method().as_bytes());
        let Some(resource) = resource else {
            let refusal = if tunnel { Reason::MethodRefused } else { Reason::HostUnknown }.into();
            return Err(Box::new(Unrouted { refusal, head: Ok(head), resource: None, holder }));
        };
        let found = match () {
            () if tunnel => Err(Reason::MethodRefused.into()),
            () if self.is_misdirected(&resource, around.connection) => Err(Reason::Misdirected.into()),
            () if !has_tls(&resource, around.connection) => Err(Reason::TlsTooOld.into()),
            () => find_route(&resource, &head),
        };
        self.facts.route = found.as_ref().ok().map(|(route, _)| route.clone());
        let found = found.and_then(|found| peer.map_or(Err(Reason::PeerUnreadable.into()), |_| Ok(found)));
        let (route, preflight) = match found {
            Ok(found) => found,
            Err(refusal) => {
                return Err(Box::new(Unrouted { refusal, head: Ok(head), resource: Some(resource), holder }));
            }
        };
        Ok(RoutedRequest { head, resource, route, preflight, holder })
    }

    /// The host is that of a resource, or of none. Also of a request that is malformed otherwise, if its host can be read: its
    /// answer carries the number of the interaction as well, where the resource wants one.
    fn recognise(&mut self, resource: Option<&Rc<Resource>>, fields: &HeaderMap, around: &Surroundings<'_>) {
        self.facts.resource = resource.cloned();
        let numbered = resource.filter(|resource| resource.profile.numbers_interactions());
        self.facts.interaction = numbered.map(|_| InteractionId::of(fields, || around.host.random()));
    }

    /// Whether the connection was opened for another resource (RFC 9110 §7.4, §15.5.20): the CAs that its certificate was
    /// checked with may be the other's. Asked only where there is another.
    fn is_misdirected(&self, resource: &Resource, connection: &dyn Connection) -> bool {
        if self.policy.resources.len() < 2 {
            return false;
        }
        let server_name = connection.property(ConnectionProperty::RequestedServerName).unwrap_or_default();
        std::str::from_utf8(&server_name).is_ok_and(|name| self.policy.hosts.misdirects(name, resource))
    }

    /// Whatever the request is for, and even if it is refused: the next one may come on a resumed session.
    fn notice(&self, peer: Peer, around: &mut Surroundings<'_>) -> Option<Noticed> {
        let Surroundings { worker, host, connection, now } = around;
        self.policy.needs_identities.then(|| worker.peers().notice(peer, *connection, *host, *now))
    }

    /// By whose certificate it goes, as the resource says, or the configuration where there is none.
    fn holder(
        &mut self,
        resource: Option<&Resource>,
        fields: &HeaderMap,
        noticed: Option<(Peer, Option<Noticed>)>,
        around: &mut Surroundings<'_>,
    ) -> Option<Holder> {
        let found = Found::of(&self.policy.peer_of(resource), fields, noticed, &self.policy, around);
        self.facts.thumbprint = found.holder.as_ref().and_then(Holder::peer).map(|peer| peer.thumbprint);
        self.facts.peer_source = found.source;
        self.facts.conveyed_unused = found.unused;
        found.holder
    }
}

/// Whether the connection has the TLS that the resource demands. Asked only where it demands some.
fn has_tls(resource: &Resource, connection: &dyn Connection) -> bool {
    let version = || connection.property(ConnectionProperty::TlsVersion);
    resource.require_tls.is_none_or(|floor| floor.admits(version().as_deref()))
}

fn malformed(fault: HeadFault) -> Refusal {
    match fault {
        HeadFault::Malformed => Reason::HeadMalformed.into(),
        HeadFault::Authority(_) => Reason::AuthorityMalformed.into(),
        HeadFault::Path(PathFault::TooLong) => Reason::UriTooLong.into(),
        HeadFault::Path(fault) => Refusal::path_ambiguous(fault),
    }
}

/// The route, and whether the request only is the CORS preflight of one that allows it.
fn find_route(resource: &Resource, head: &Head) -> Result<(Rc<Route>, bool), Refusal> {
    let (method, path) = (head.method(), head.path());
    if let Some(RouteMatch::Found(route)) = head.preflight_for().map(|asked| resource.routes.find(asked, path))
        && route.preflight
    {
        return Ok((route.clone(), true));
    }
    match resource.routes.find(method, path) {
        RouteMatch::Found(route) => Ok((route.clone(), false)),
        RouteMatch::LookAlike => Err(Reason::PathAmbiguous.into()),
        RouteMatch::SlashElsewhere => Err(Refusal::path_ambiguous(PathFault::DangerousEscape)),
        RouteMatch::MethodNotAllowed(allowed, pattern) => Err(Refusal::method_not_allowed(allowed, pattern)),
        RouteMatch::None => Err(Reason::RouteUnknown.into()),
    }
}
