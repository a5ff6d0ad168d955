//! Why a request is refused: ONE table from which status, challenge, text to the caller, gRPC status, metric and
//! the reference in docs/refusals.md come. No `_` arm: a new reason does not compile without its row.
//!
//! The slug goes to operators (response code details, metric, audit record). Callers get the row's text only, which
//! is the same for everything that would help to forge a token.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $slug:literal,)+) => {
        /// Why a request is refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[doc = $doc])+ $name,)+ }

        impl Reason {
            /// Every reason, in the order of the checks.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)+];

            /// The name operators see: `[a-z-]`, stable over releases.
            pub const fn slug(self) -> &'static str {
                match self { $(Reason::$name => $slug,)+ }
            }

            /// What it means, for the reference.
            pub const fn meaning(self) -> &'static str {
                match self { $(Reason::$name => concat!($($doc,)+),)+ }
            }
        }
    };
}

reasons! {
    /// The request's pseudo headers are missing, repeated or malformed.
    HeadMalformed = "head-malformed",
    /// The method is CONNECT or TRACE, which never pass.
    MethodRefused = "method-refused",
    /// `:authority` is not a plain host with an optional port.
    AuthorityMalformed = "authority-malformed",
    /// The path or the query is longer than 8,192 bytes, or the path has more than 64 segments.
    UriTooLong = "uri-too-long",
    /// The path has more than one reading (doubled slashes, escaped ones where no route takes them, dot segments, `;`, escapes of escapes, raw bytes), or
    /// looks like the path of a route that demands more than the one it leads to.
    PathAmbiguous = "path-ambiguous",
    /// No resource is configured for this host.
    HostUnknown = "host-unknown",
    /// The connection was opened for a host of another resource (SNI), so its certificate was not checked for this one.
    Misdirected = "misdirected",
    /// The connection has an older version of TLS than the resource's `require_tls`, or none.
    TlsTooOld = "tls-too-old",
    /// No route of the resource matches the path.
    RouteUnknown = "route-unknown",
    /// The route exists, but not for this method.
    MethodNotAllowed = "method-not-allowed",
    /// The request came in early data of TLS (`Early-Data: 1`), which can be replayed, and is not one of a safe method for an open route.
    TooEarly = "too-early",
    /// What the proxy says of the peer certificate cannot be read.
    PeerUnreadable = "peer-unreadable",
    /// The route is for mTLS peers and the connection has no client certificate.
    PeerMissing = "peer-missing",
    /// The client certificate was not validated, or carries no usable SPIFFE ID where peers are known by that alone.
    PeerUnidentified = "peer-unidentified",
    /// The peer's identity is not on the route's list.
    PeerNotAllowed = "peer-not-allowed",
    /// No access token was sent in `Authorization: Bearer`.
    TokenMissing = "token-missing",
    /// `Authorization` is not `Bearer` and one token68.
    AuthorizationMalformed = "authorization-malformed",
    /// `Authorization` was sent more than once, or holds several credentials.
    AuthorizationRepeated = "authorization-repeated",
    /// A token was sent in the query as well as in the header.
    TokenInQuery = "token-in-query",
    /// The token is longer than `max_token_bytes`.
    TokenTooLarge = "token-too-large",
    /// The route takes API keys and the request has none in the resource's `api_key_header`.
    ApiKeyMissing = "api-key-missing",
    /// The API key is unknown here, was sent more than once, is empty, or is longer than 512 bytes.
    ApiKeyInvalid = "api-key-invalid",
    /// The API key was good until its `not_after`.
    ApiKeyExpired = "api-key-expired",
    /// The token is not a compact JWS of strict base64url and strict JSON.
    TokenMalformed = "token-malformed",
    /// The token's `iss` is none of the issuers of this resource.
    IssuerUntrusted = "issuer-untrusted",
    /// The JOSE header has a `typ` that is not an access token's, or a claim shows that it is another kind of token.
    TypUnacceptable = "typ-unacceptable",
    /// The `alg` is none of those configured for the issuer.
    AlgorithmNotAllowed = "algorithm-not-allowed",
    /// The issuer has no key of this `kid` for this algorithm.
    KeyUnknown = "key-unknown",
    /// The signature is wrong.
    SignatureInvalid = "signature-invalid",
    /// The issuer was asked about the token and says that it is not active: expired, revoked, unknown, or not for this proxy.
    TokenInactive = "token-inactive",
    /// A claim that RFC 9068 demands is missing, where the issuer's may not, or of the wrong type.
    ClaimsMalformed = "claims-malformed",
    /// The token has expired.
    TokenExpired = "token-expired",
    /// `nbf` or `iat` lies in the future.
    TokenNotYetValid = "token-not-yet-valid",
    /// The token lives longer than the issuer's `max_lifetime`.
    LifetimeTooLong = "lifetime-too-long",
    /// The token was issued before the issuer's `not_issued_before`, or does not say when.
    IssuedTooEarly = "issued-too-early",
    /// The token is for another resource.
    AudienceMismatch = "audience-mismatch",
    /// What the token says of its status (`status.status_list`) is malformed, or names a list or a place that its issuer does not have.
    StatusUnusable = "status-unusable",
    /// The token was taken back: a document of revocations or the configuration, of its issuer or of the resource, names it, its subject, client, session, certificate
    /// or key, or its status list says so.
    TokenRevoked = "token-revoked",
    /// The route demands a token that is bound as its `bound` says, and this one is not.
    TokenUnbound = "token-unbound",
    /// The token's `cnf` is malformed, or names no method understood here: a key, where the resource has no `origin`.
    ConfirmationUnusable = "confirmation-unusable",
    /// The token is bound to a certificate and the connection has none.
    CertificateMissing = "certificate-missing",
    /// The token is bound to another certificate than the connection's.
    BindingMismatch = "binding-mismatch",
    /// A token that names a key came as `Bearer`, or one that names none as `DPoP`.
    SchemeMismatch = "scheme-mismatch",
    /// The token names a key, and no proof of it was sent in `DPoP`.
    ProofMissing = "proof-missing",
    /// Several proofs were sent, in one field or in more.
    ProofRepeated = "proof-repeated",
    /// The proof is no JWS of `typ: dpop+jwt` with a public key and all claims, or by an algorithm that the resource does not take.
    ProofMalformed = "proof-malformed",
    /// The proof is for another method, another URI (`origin` of the resource and the path) or another token.
    ProofElsewhere = "proof-elsewhere",
    /// The proof is older than `dpop.max_age`, or from further in the future than `dpop.leeway`.
    ProofUntimely = "proof-untimely",
    /// The resource demands a nonce of this proxy, and the proof has none that is good now. Normal for a client's first request.
    NonceNeeded = "nonce-needed",
    /// The proof is by another key than the token names.
    KeyMismatch = "key-mismatch",
    /// The signature of the proof is wrong.
    ProofInvalid = "proof-invalid",
    /// The proof was used before.
    ProofReplayed = "proof-replayed",
    /// More proofs came at once than can be remembered; refused rather than forgotten.
    ProofsCrowded = "proofs-crowded",
    /// The token is for another source address than the connection's, or it cannot be told.
    SourceMismatch = "source-mismatch",
    /// The route is for tokens of users or for those of clients themselves, and this one is not, or it cannot be told.
    SubjectRefused = "subject-refused",
    /// The token lacks a scope of the route.
    ScopeMissing = "scope-missing",
    /// The token's claims do not say what a rule of the route or resource demands, or one is of a type that the rule is not for.
    ClaimRefused = "claim-refused",
    /// What the request names in its path, query or a header is not what the token's claims say: another's object, or one that cannot be told.
    ObjectMismatch = "object-mismatch",
    /// The API key is good for the resource and not for this route.
    ApiKeyNotAllowed = "api-key-not-allowed",
    /// The client of the API key lacks a scope of the route.
    ApiKeyScopeMissing = "api-key-scope-missing",
    /// The user behind the token signed in too long ago, or in another way than the route demands (RFC 9470), or the token does not say.
    AuthenticationInsufficient = "authentication-insufficient",
    /// The body is longer than `max_body` of the route, as it says itself or as it comes.
    BodyTooLarge = "body-too-large",
    /// The body has none of the types that the route `accepts`.
    TypeNotAccepted = "type-not-accepted",
    /// A claim that is to go upstream in a header is too long or holds characters no header may.
    ClaimUnforwardable = "claim-unforwardable",
    /// The source of the request has failed too often to have another token verified.
    SourceLockedOut = "source-locked-out",
    /// A rate limit is spent.
    OverLimit = "over-limit",
    /// More identities came than `limit_table.identities` has room for, and this one owes what those owe who were forgotten.
    LimitCrowded = "limit-crowded",
    /// Other workers kept changing the same limit; refused rather than let through uncounted.
    LimitContended = "limit-contended",
    /// The issuer's keys could not be fetched yet.
    KeysUnavailable = "keys-unavailable",
    /// The issuer could not be asked about the token, or its answer says nothing.
    IntrospectionUnavailable = "introspection-unavailable",
    /// Whether the token was revoked is not known: the document that says so could not be fetched for too long.
    RevocationStale = "revocation-stale",
    /// The rate-limit service does not answer, and the operator wants such requests refused.
    LimiterUnavailable = "limiter-unavailable",
    /// Too many requests wait for an answer of a dependency.
    Overloaded = "overloaded",
    /// The filter has no usable configuration in this worker, or the proxy failed it.
    FilterUnavailable = "filter-unavailable",
}

/// Whose fault a refusal is: tells an operator where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The caller's.
    Caller,
    /// A service the filter depends on.
    Dependency,
    /// The proxy's or the filter's.
    Proxy,
}

/// The challenge of a refusal (RFC 6750 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeKind {
    /// No `WWW-Authenticate`.
    None,
    /// Scheme and realm, without `error`: no credentials were sent (§3.1).
    Bare,
    /// `error="invalid_request"`.
    InvalidRequest,
    /// `error="invalid_token"`.
    InvalidToken,
    /// `error="insufficient_scope"`.
    InsufficientScope,
    /// `error="insufficient_user_authentication"` (RFC 9470 §3).
    InsufficientAuthentication,
    /// `error="invalid_dpop_proof"` (RFC 9449 §7.1).
    InvalidProof,
    /// `error="use_dpop_nonce"` (RFC 9449 §9).
    UseNonce,
    /// Of API keys, for which no scheme is registered: `ApiKey` and the realm.
    ApiKey,
}

/// What a refusal looks like to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// HTTP status.
    pub status: u16,
    /// gRPC status, for requests that the proxy takes for gRPC.
    pub grpc: u8,
    /// The challenge.
    pub challenge: ChallengeKind,
    /// The only explanation the caller gets: `detail` of the problem, `error_description`, `grpc-message`.
    pub text: &'static str,
    /// Whose fault it is.
    pub fault: Fault,
}

const INVALID: &str = "The access token is invalid";
const NOT_ALLOWED: &str = "The access token does not allow this request";
const UNAVAILABLE: &str = "The service is temporarily unavailable";

// gRPC status codes, https://grpc.io/docs/guides/status-codes/
const INVALID_ARGUMENT: u8 = 3;
const NOT_FOUND: u8 = 5;
const PERMISSION_DENIED: u8 = 7;
const RESOURCE_EXHAUSTED: u8 = 8;
const UNIMPLEMENTED: u8 = 12;
const UNAVAILABLE_STATUS: u8 = 14;
const UNAUTHENTICATED: u8 = 16;

impl Reason {
    /// Whether what a token says explains it to an operator.
    pub const fn is_of_token(self) -> bool {
        match self {
            Reason::TokenMalformed
            | Reason::IssuerUntrusted
            | Reason::TypUnacceptable
            | Reason::AlgorithmNotAllowed
            | Reason::KeyUnknown
            | Reason::SignatureInvalid
            | Reason::TokenInactive
            | Reason::ClaimsMalformed
            | Reason::TokenExpired
            | Reason::TokenNotYetValid
            | Reason::LifetimeTooLong
            | Reason::IssuedTooEarly
            | Reason::AudienceMismatch
            | Reason::StatusUnusable
            | Reason::TokenRevoked
            | Reason::TokenUnbound
            | Reason::ConfirmationUnusable
            | Reason::CertificateMissing
            | Reason::BindingMismatch
            | Reason::SchemeMismatch
            | Reason::KeyMismatch
            | Reason::SourceMismatch
            | Reason::SubjectRefused
            | Reason::ScopeMissing
            | Reason::ClaimRefused
            | Reason::ObjectMismatch
            | Reason::AuthenticationInsufficient
            | Reason::ClaimUnforwardable
            | Reason::KeysUnavailable
            | Reason::IntrospectionUnavailable
            | Reason::RevocationStale => true,
            Reason::HeadMalformed
            | Reason::MethodRefused
            | Reason::AuthorityMalformed
            | Reason::UriTooLong
            | Reason::PathAmbiguous
            | Reason::HostUnknown
            | Reason::Misdirected
            | Reason::TlsTooOld
            | Reason::RouteUnknown
            | Reason::MethodNotAllowed
            | Reason::PeerUnreadable
            | Reason::PeerMissing
            | Reason::PeerUnidentified
            | Reason::PeerNotAllowed
            | Reason::TokenMissing
            | Reason::AuthorizationMalformed
            | Reason::AuthorizationRepeated
            | Reason::TokenInQuery
            | Reason::TokenTooLarge
            | Reason::TooEarly
            | Reason::BodyTooLarge
            | Reason::TypeNotAccepted
            | Reason::ApiKeyMissing
            | Reason::ApiKeyInvalid
            | Reason::ApiKeyExpired
            | Reason::ApiKeyNotAllowed
            | Reason::ApiKeyScopeMissing
            | Reason::ProofMissing
            | Reason::ProofRepeated
            | Reason::ProofMalformed
            | Reason::ProofElsewhere
            | Reason::ProofUntimely
            | Reason::NonceNeeded
            | Reason::ProofInvalid
            | Reason::ProofReplayed
            | Reason::ProofsCrowded
            | Reason::SourceLockedOut
            | Reason::OverLimit
            | Reason::LimitCrowded
            | Reason::LimitContended
            | Reason::LimiterUnavailable
            | Reason::Overloaded
            | Reason::FilterUnavailable => false,
        }
    }

    /// The row of this reason.
    pub const fn row(self) -> Row {
        use ChallengeKind::{
            ApiKey, Bare, InsufficientAuthentication, InsufficientScope, InvalidProof, InvalidRequest, InvalidToken,
            UseNonce,
        };
        use Fault::{Caller, Dependency, Proxy};

        const fn row(status: u16, grpc: u8, challenge: ChallengeKind, text: &'static str, fault: Fault) -> Row {
            Row { status, grpc, challenge, text, fault }
        }
        const NO: ChallengeKind = ChallengeKind::None;

        match self {
            Reason::HeadMalformed => row(400, INVALID_ARGUMENT, NO, "The request is malformed", Caller),
            Reason::MethodRefused => row(501, UNIMPLEMENTED, NO, "The method is not supported", Caller),
            Reason::AuthorityMalformed => row(400, INVALID_ARGUMENT, NO, "The host is malformed", Caller),
            Reason::UriTooLong => row(414, INVALID_ARGUMENT, NO, "The path or the query is too long", Caller),
            Reason::PathAmbiguous => row(400, INVALID_ARGUMENT, NO, "The path is not in canonical form", Caller),
            Reason::HostUnknown => row(421, NOT_FOUND, NO, "This host is not served here", Caller),
            Reason::Misdirected => row(421, NOT_FOUND, NO, "This connection is not for this host", Caller),
            // Not 426: that is for versions of HTTP to which this connection could change.
            Reason::TlsTooOld => row(403, PERMISSION_DENIED, NO, "A newer version of TLS is required", Caller),
            Reason::RouteUnknown => row(404, UNIMPLEMENTED, NO, "There is no such resource", Caller),
            Reason::MethodNotAllowed => row(405, UNIMPLEMENTED, NO, "The method is not allowed here", Caller),
            // As soon as the handshake is over it may come again, by itself (RFC 8470 5.2).
            Reason::TooEarly => row(425, UNAVAILABLE_STATUS, NO, "The request came in early data", Caller),
            Reason::PeerUnreadable => row(503, UNAVAILABLE_STATUS, NO, UNAVAILABLE, Proxy),
            Reason::PeerMissing => row(403, PERMISSION_DENIED, NO, "A client certificate is required", Caller),
            Reason::PeerUnidentified | Reason::PeerNotAllowed => {
                row(403, PERMISSION_DENIED, NO, "The client certificate is not authorised", Caller)
            }
            Reason::TokenMissing => row(401, UNAUTHENTICATED, Bare, "An access token is required", Caller),
            Reason::AuthorizationMalformed => {
                row(400, INVALID_ARGUMENT, InvalidRequest, "The Authorization header is malformed", Caller)
            }
            Reason::AuthorizationRepeated | Reason::TokenInQuery => {
                row(400, INVALID_ARGUMENT, InvalidRequest, "Multiple methods used to include access token", Caller)
            }
            // A client that is told no more fetches another one of that size.
            Reason::TokenTooLarge => row(401, UNAUTHENTICATED, InvalidToken, "The access token is too large", Caller),
            // One text for all of these: a forger learns nothing from it.
            Reason::TokenMalformed
            | Reason::IssuerUntrusted
            | Reason::TypUnacceptable
            | Reason::AlgorithmNotAllowed
            | Reason::KeyUnknown
            | Reason::SignatureInvalid
            | Reason::TokenInactive
            | Reason::ClaimsMalformed
            | Reason::TokenNotYetValid
            | Reason::LifetimeTooLong
            | Reason::IssuedTooEarly
            | Reason::AudienceMismatch
            | Reason::StatusUnusable
            | Reason::TokenRevoked
            | Reason::TokenUnbound
            | Reason::ConfirmationUnusable
            | Reason::CertificateMissing
            | Reason::BindingMismatch
            | Reason::SchemeMismatch
            | Reason::KeyMismatch
            | Reason::SourceMismatch
            | Reason::ClaimUnforwardable => row(401, UNAUTHENTICATED, InvalidToken, INVALID, Caller),
            // Only said once the signature was found right: an honest client needs it to fetch a new token.
            Reason::TokenExpired => row(401, UNAUTHENTICATED, InvalidToken, "The access token expired", Caller),
            Reason::ProofMissing => row(401, UNAUTHENTICATED, InvalidProof, "A DPoP proof is required", Caller),
            Reason::ProofRepeated
            | Reason::ProofMalformed
            | Reason::ProofElsewhere
            | Reason::ProofUntimely
            | Reason::ProofInvalid
            | Reason::ProofReplayed => row(401, UNAUTHENTICATED, InvalidProof, "The DPoP proof is invalid", Caller),
            Reason::NonceNeeded => row(401, UNAUTHENTICATED, UseNonce, "The DPoP proof needs a nonce", Caller),
            Reason::ScopeMissing => row(
                403,
                PERMISSION_DENIED,
                InsufficientScope,
                "The request requires higher privileges than provided by the access token",
                Caller,
            ),
            // As if there were such an object, whether there is or not: it is judged before anybody looks.
            Reason::SubjectRefused | Reason::ClaimRefused | Reason::ObjectMismatch => {
                row(403, PERMISSION_DENIED, NO, NOT_ALLOWED, Caller)
            }
            Reason::AuthenticationInsufficient => row(
                401,
                UNAUTHENTICATED,
                InsufficientAuthentication,
                "A more recent or another authentication is required",
                Caller,
            ),
            Reason::BodyTooLarge => row(413, RESOURCE_EXHAUSTED, NO, "The body is too large", Caller),
            Reason::TypeNotAccepted => row(415, INVALID_ARGUMENT, NO, "The type of the body is not accepted", Caller),
            Reason::ApiKeyMissing => row(401, UNAUTHENTICATED, ApiKey, "An API key is required", Caller),
            Reason::ApiKeyInvalid => row(401, UNAUTHENTICATED, ApiKey, "The API key is invalid", Caller),
            // Said to none but its holder.
            Reason::ApiKeyExpired => row(401, UNAUTHENTICATED, ApiKey, "The API key expired", Caller),
            Reason::ApiKeyNotAllowed | Reason::ApiKeyScopeMissing => {
                row(403, PERMISSION_DENIED, NO, "The API key does not allow this request", Caller)
            }
            Reason::SourceLockedOut => {
                row(429, RESOURCE_EXHAUSTED, NO, "Too many requests from this source have failed", Caller)
            }
            Reason::OverLimit | Reason::LimitCrowded | Reason::LimitContended => {
                row(429, RESOURCE_EXHAUSTED, NO, "The request rate exceeds the quota", Caller)
            }
            Reason::KeysUnavailable
            | Reason::IntrospectionUnavailable
            | Reason::RevocationStale
            | Reason::LimiterUnavailable => row(503, UNAVAILABLE_STATUS, NO, UNAVAILABLE, Dependency),
            Reason::ProofsCrowded | Reason::Overloaded | Reason::FilterUnavailable => {
                row(503, UNAVAILABLE_STATUS, NO, UNAVAILABLE, Proxy)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_slug_is_distinct_and_fit_for_details_and_metrics() {
        let slugs: HashSet<_> = Reason::ALL.iter().map(|reason| reason.slug()).collect();
        assert_eq!(slugs.len(), Reason::ALL.len());
        assert!(slugs.iter().all(|slug| slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
    }

    #[test]
    fn no_refusal_tells_a_grpc_client_ok() {
        assert!(Reason::ALL.iter().all(|reason| reason.row().grpc != 0));
    }

    #[test]
    fn every_401_has_a_challenge_and_every_503_is_not_the_callers_fault() {
        for row in Reason::ALL.iter().map(|reason| reason.row()) {
            let of_401 = [
                ChallengeKind::Bare,
                ChallengeKind::InvalidToken,
                ChallengeKind::InsufficientAuthentication,
                ChallengeKind::InvalidProof,
                ChallengeKind::UseNonce,
                ChallengeKind::ApiKey,
            ];
            assert_eq!(row.status == 401, of_401.contains(&row.challenge));
            assert_eq!(row.status == 503, row.fault != Fault::Caller);
        }
    }
}
