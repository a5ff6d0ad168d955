//! What was found out about a request on its way, for challenges and for the audit record. Nothing here is evidence:
//! decisions rest on the proofs that the checks hand on.

use std::rc::Rc;

use crate::exchange::InteractionId;
use crate::http::AnswerForm;
use crate::peer::PeerIdentity;
use crate::peer::Thumbprint;
use crate::policy::{Event, Limit, Resource, Route};
use crate::token::AccessToken;
use crate::verdict::Refusal;

/// See the module.
#[derive(Debug, Default)]
pub struct Seen {
    /// In which form the request wants its answer.
    pub form: AnswerForm,
    /// The resource, once the host was recognised.
    pub resource: Option<Rc<Resource>>,
    /// The route, once it was found.
    pub route: Option<Rc<Route>>,
    /// The number of the interaction, where the resource has its answers carry one.
    pub interaction: Option<InteractionId>,
    /// The path as it was judged, without the query: later filters may change it.
    pub path: Option<Box<str>>,
    /// The certificate of the connection, validated or not.
    pub thumbprint: Option<Thumbprint>,
    /// Who that is, where the route asked.
    pub identity: Option<PeerIdentity>,
    /// Shadow limits that would have refused it.
    pub shadowed: Vec<Rc<Limit>>,
    /// What its outcome makes of what was seen before.
    pub events: Vec<Event>,
    /// The token, once its signature was found right.
    pub token: Option<Rc<AccessToken>>,
}

impl Seen {
    /// Adds to a refusal what its challenge may mention.
    pub(super) fn explain(&self, refusal: Refusal) -> Refusal {
        Refusal { resource: self.resource.clone(), route: self.route.clone(), ..refusal }
    }
}
