//! A local rate limit: which identity it counts and how much that identity may do.

use std::rc::Rc;

use crate::limit::Quota;
use crate::policy::Origin;

/// One part of the identity a limit counts by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyPart {
    /// `client_id` of the token, with its issuer.
    ClientId,
    /// `sub` of the token, with its issuer.
    Sub,
    /// A claim of the token, with its issuer.
    Claim(Box<str>),
    /// The SPIFFE ID of a validated peer certificate, else its thumbprint.
    Peer,
    /// The source address; IPv6 counts as its /64.
    Ip,
    /// A fixed text, to tell limits of the same key apart.
    Constant(Box<str>),
}

/// A limit as configured.
#[derive(Debug)]
pub struct Limit {
    /// Name and place. The name is what callers see in RateLimit fields.
    pub origin: Origin,
    /// The identity counted; empty: one budget for everybody.
    pub key: Vec<KeyPart>,
    /// Rate and burst.
    pub quota: Quota,
}

/// A limit on a route and what one request costs there.
#[derive(Clone, Debug)]
pub struct Charge {
    /// The limit.
    pub limit: Rc<Limit>,
    /// Permits a request takes; at least 1, at most the burst.
    pub cost: u32,
}
