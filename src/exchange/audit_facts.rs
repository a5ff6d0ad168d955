//! What was found out about a request on its way, for challenges and for the audit record. Nothing here is evidence:
//! decisions rest on the proofs that the checks hand on.

use std::rc::Rc;

use crate::binding::dpop::ProofFault;
use crate::exchange::InteractionId;
use crate::http::{AnswerForm, HeaderMap};
use crate::peer::{PeerIdentity, Thumbprint, Unused};
use crate::policy::{ApiKey, Event, Limit, Policy, Resource, Route};
use crate::time::UnixMillis;
use crate::token::{AccessToken, Claimed, Scheme};
use crate::verdict::Refusal;

/// The longest request id that is told, in bytes.
const MAX_REQUEST_ID: usize = 128;

/// How long a certificate lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateLife {
    /// Whole days.
    pub days_left: u64,
    /// Whether that is less than the operator wants to be told of, and less than a third of its life: one that lives for a day is
    /// no news in the morning.
    pub is_short: bool,
}

impl CertificateLife {
    /// Of a peer, if its certificate was validated and can be read.
    pub(super) fn of(peer: &PeerIdentity, policy: &Policy, wall: UnixMillis) -> Option<Self> {
        let certificate = peer.certificate.as_ref().filter(|_| peer.validated)?;
        let left = certificate.not_after.since(wall);
        Some(Self {
            days_left: left.as_secs() / 86_400,
            is_short: left < policy.warn_before && left.saturating_mul(3) < certificate.lifetime,
        })
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct AuditFacts {
    /// In which form the request wants its answer.
    pub form: AnswerForm,
    /// What the proxy calls the request (`x-request-id`), by which a caller's complaint is found.
    pub request_id: Option<Box<str>>,
    /// The resource, once the host was recognised.
    pub resource: Option<Rc<Resource>>,
    /// The route, once it was found.
    pub route: Option<Rc<Route>>,
    /// The number of the interaction, where the resource has its answers carry one.
    pub interaction: Option<InteractionId>,
    /// The path as it was judged, without the query: later filters may change it.
    pub path: Option<Box<str>>,
    /// The certificate of the caller, validated or not.
    pub thumbprint: Option<Thumbprint>,
    /// Where it was read who calls.
    pub peer_source: Option<&'static str>,
    /// Why what a hop in front or the mesh may have said is not used.
    pub conveyed_unused: Option<Unused>,
    /// Who that is, where the route asked.
    pub identity: Option<PeerIdentity>,
    /// How long its validated certificate lasts, where that was looked at.
    pub certificate: Option<CertificateLife>,
    /// Shadow limits that would have refused it.
    pub shadowed: Vec<Rc<Limit>>,
    /// What its outcome makes of what was seen before.
    pub events: Vec<Event>,
    /// The token, once its signature was found right.
    pub token: Option<Rc<AccessToken>>,
    /// The API key, once it was found right.
    pub api_key: Option<Rc<ApiKey>>,
    /// How the token came.
    pub scheme: Option<Scheme>,
    /// The nonce that the client's next proof is to have, where it has not got it.
    pub nonce: Option<Box<str>>,
    /// What is wrong with the proof of the token's key.
    pub proof_fault: Option<ProofFault>,
    /// What a token says of itself that was refused before that.
    pub claimed: Option<Box<Claimed>>,
}

impl AuditFacts {
    /// The request id as it is told: cut to a bound, and a `?` for whatever is no visible ASCII. Where the proxy takes it from
    /// the client, it may be anything.
    pub fn request_id(value: &[u8]) -> Option<Box<str>> {
        let told = value.iter().take(MAX_REQUEST_ID).map(|byte| if byte.is_ascii_graphic() { *byte } else { b'?' });
        let told: String = told.map(char::from).collect();
        (!told.is_empty()).then(|| told.into())
    }

    /// That of a request with these headers.
    pub(super) fn request_id_of(head: &HeaderMap) -> Option<Box<str>> {
        Self::request_id(head.all("x-request-id").next()?)
    }

    /// Adds to a refusal what its challenge may mention.
    pub(super) fn explain(&self, refusal: Refusal) -> Refusal {
        Refusal {
            resource: self.resource.clone(),
            route: self.route.clone(),
            scheme: self.scheme,
            nonce: self.nonce.clone(),
            request_id: self.request_id.clone(),
            ..refusal
        }
    }
}
