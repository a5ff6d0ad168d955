//! Facts about a request and its caller: what limits count by, what upstreams are told, what chooses an override. In:
//! nothing; `config` makes these values and says which of them may stand where. Out: what each depends on.
//! Not here: what a fact is in one request (`exchange::caller`).

use std::fmt;

/// A fact about a request and its caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fact {
    /// `client_id` of the token, or of the API key.
    ClientId,
    /// `sub` of the token.
    Sub,
    /// `iss` of the token.
    Issuer,
    /// `scope`, as in the token, or the scopes of the API key.
    Scope,
    /// A claim of the token that has no name of its own here.
    Claim(Box<str>),
    /// The SPIFFE ID of a validated peer certificate, else its thumbprint.
    Peer,
    /// The thumbprint (x5t#S256) of the peer certificate.
    Thumbprint,
    /// The source address; IPv6 counts as its /64.
    Ip,
    /// The SPIFFE ID or thumbprint of a validated peer certificate, else the source address. Unlike `Peer`, nobody gets
    /// another one by making up a certificate.
    Source,
    /// The route.
    Route,
    /// The value of a request header, which the caller chooses: counted only beside what it does not.
    Header(Box<str>),
    /// A fixed text, to tell limits of the same key apart.
    Constant(Box<str>),
}

impl Fact {
    /// Its kind and the name that belongs to it, if any: what tells it from all others but its value.
    pub fn kind(&self) -> (&'static str, &str) {
        match self {
            Fact::ClientId => ("client_id", ""),
            Fact::Sub => ("sub", ""),
            Fact::Issuer => ("iss", ""),
            Fact::Scope => ("scope", ""),
            Fact::Claim(name) => ("claim.", name),
            Fact::Peer => ("peer", ""),
            Fact::Thumbprint => ("thumbprint", ""),
            Fact::Ip => ("ip", ""),
            Fact::Source => ("source", ""),
            Fact::Route => ("route", ""),
            Fact::Header(name) => ("header.", name),
            Fact::Constant(_) => ("const", ""),
        }
    }

    /// Brings the parts of a key into one order: the order in which they were written means nothing.
    pub(super) fn sort(key: &mut [Self]) {
        fn rank(fact: &Fact) -> ((&'static str, &str), &str) {
            (fact.kind(), if let Fact::Constant(text) = fact { text } else { "" })
        }
        key.sort_unstable_by(|one, other| rank(one).cmp(&rank(other)));
    }

    /// Whether a request without a token never has it, unless it [is of an API key](Self::is_of_key).
    pub fn needs_token(&self) -> bool {
        matches!(self, Fact::ClientId | Fact::Sub | Fact::Issuer | Fact::Scope | Fact::Claim(_))
    }

    /// Whether a request with an API key has it.
    pub fn is_of_key(&self) -> bool {
        matches!(self, Fact::ClientId | Fact::Scope)
    }

    /// Whether it depends on the peer's certificate.
    pub fn is_of_peer(&self) -> bool {
        matches!(self, Fact::Peer | Fact::Source | Fact::Thumbprint)
    }

    /// Whether it tells callers apart.
    pub fn is_of_caller(&self) -> bool {
        !matches!(self, Fact::Route | Fact::Constant(_))
    }
}

/// As it is written in the configuration.
impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = self.kind();
        match self {
            Fact::Constant(text) => write!(f, "{kind}.{text}"),
            _ => write!(f, "{kind}{name}"),
        }
    }
}
