//! What access tokens of one issuer look like: how they are told from other tokens, where their claims stand, which may be
//! missing. Plain data. Not here: what a profile is made of (`config::profiles`), reading claims by it (`token::claims`).

use std::fmt;

/// What access tokens of one issuer look like. By default as RFC 9068 has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenForm {
    /// The values of `typ` they carry: one of these. Never empty.
    pub typ: Vec<TypRule>,
    /// Claims that must be there and say one of these texts, so that no other kind of token passes for an access token.
    pub required: Vec<RequiredClaim>,
    /// Claims that must not be there, for the same reason: `nonce` is an ID token's.
    pub forbidden: Vec<Box<str>>,
    /// Where `client_id` stands: the first place that has one counts.
    pub client_id: Vec<ClaimPlace>,
    /// Where `sub` stands, likewise.
    pub subject: Vec<ClaimPlace>,
    /// Where `jti` stands, likewise.
    pub token_id: Vec<ClaimPlace>,
    /// Where scopes stand.
    pub scope: ScopePlaces,
    /// Other claims that have a name of ours, and where each stands. Several places are united.
    pub named: Vec<(Box<str>, Vec<ClaimPlace>)>,
    /// What a token says that a client got for itself; in a text, `{client_id}` stands for the client's id. Empty: `sub` is the client's id.
    pub client_tokens: Vec<RequiredClaim>,
    /// What a token says that a client got for a user. Empty: whatever has a subject and is not the client's own.
    pub user_tokens: Vec<RequiredClaim>,
    /// What may be missing.
    pub optional: Vec<OptionalClaim>,
    /// Whether a token without `aud` is good for every resource that trusts the issuer.
    pub insecure_no_audience: bool,
}

impl TokenForm {
    /// Whether a token may lack it.
    pub fn may_lack(&self, claim: OptionalClaim) -> bool {
        self.optional.contains(&claim)
    }
}

impl Default for TokenForm {
    fn default() -> Self {
        let at = |name: &str| vec![ClaimPlace::of(name)];
        Self {
            typ: vec![TypRule::AccessToken],
            required: Vec::new(),
            forbidden: Vec::new(),
            client_id: at("client_id"),
            subject: at("sub"),
            token_id: at("jti"),
            scope: ScopePlaces::Standard,
            named: Vec::new(),
            client_tokens: Vec::new(),
            user_tokens: Vec::new(),
            optional: Vec::new(),
            insecure_no_audience: false,
        }
    }
}

/// A value of the `typ` header of access tokens (RFC 9068 §4, RFC 8725 §3.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypRule {
    /// `at+jwt` or `application/at+jwt`, ASCII case-insensitive.
    AccessToken,
    /// Exactly this value, for an authorization server that predates RFC 9068.
    Exactly(Box<str>),
    /// No `typ` at all, for the same reason.
    Absent,
}

/// As it is written in the configuration.
impl fmt::Display for TypRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TypRule::AccessToken => "at+jwt",
            TypRule::Absent => "absent",
            TypRule::Exactly(text) => text,
        })
    }
}

/// A claim that every access token has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredClaim {
    /// Its name in the token.
    pub name: Box<str>,
    /// What it may say.
    pub says: Says,
}

/// Whom a token is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectKind {
    /// A user, who let the client act.
    User,
    /// The client itself (RFC 6749 §4.4).
    Client,
}

/// As it is written in the configuration.
impl fmt::Display for SubjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SubjectKind::User => "user",
            SubjectKind::Client => "client",
        })
    }
}

/// What a required claim may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// One of these texts.
    OneOf(Vec<Box<str>>),
    /// Anything but null.
    Anything,
}

/// Where a claim stands: the names of members from the top of the payload inwards. Names are literal: no dot or slash in
/// them means anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPlace(pub Vec<Box<str>>);

impl ClaimPlace {
    /// The claim of this name at the top.
    pub fn of(name: &str) -> Self {
        Self(vec![name.into()])
    }
}

/// Where scopes stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopePlaces {
    /// In `scope`, as one text (RFC 9068 §2.2.3).
    Standard,
    /// In all of these together, each a text or a list of texts.
    United(Vec<ClaimPlace>),
}

/// A claim that RFC 9068 demands and that tokens of some issuers lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionalClaim {
    /// `client_id`: `sub` stands in.
    ClientId,
    /// `sub`: `client_id` stands in.
    Sub,
    /// `jti`: then the token has no name in audit records.
    Jti,
    /// `iat`: then what is left of its life must not exceed the longest lifetime.
    Iat,
}

impl OptionalClaim {
    /// All, in the order they are written.
    pub const ALL: [Self; 4] = [Self::ClientId, Self::Sub, Self::Jti, Self::Iat];

    /// The name of the claim.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientId => "client_id",
            Self::Sub => "sub",
            Self::Jti => "jti",
            Self::Iat => "iat",
        }
    }
}
