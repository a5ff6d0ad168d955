//! The keys of an issuer, declared once. In: nothing. Out: the structs that this room compiles, and, through them, the JSON
//! Schema.

use crate::config::issuer::introspection::{AskedSetting, ClientAuthSetting, OwnClientId, SecretSetting};
use crate::config::issuer::jwks::{DiscoverySetting, FieldValue};
use crate::config::issuer::moment::Moment;
use crate::config::issuer::profiles::{DEFAULT_LIFE, LONGEST_LIFE};
use crate::config::issuer::revocation::{Entries, OnStaleSetting};
use crate::config::issuer::token_form::{OptionalSetting, Places, ProfileSetting, SaysWhat, TokenClaim, TypTexts};
use crate::config::issuer::trust::{AlgorithmName, InlineKeys};
use crate::config::reading::doubts::DoubtSetting;
use crate::config::reading::finding::{Findings, Place};
use crate::config::reading::table::{
    At, Key, Named, Reader, Table, Written, config_table, described, not_what, with_default,
};
use crate::config::reading::values::{Count, Size, Span};
use crate::config::resource::addresses::{Cluster, IssuerUrl};
use crate::http::HttpsUrl;
use crate::json::Object;
use crate::json::Value;

config_table! {
    /// An authorization server and the rules for its tokens.
    IssuerTable {
        /// The exact `iss` of its tokens (RFC 9068).
        issuer: IssuerUrl = required,
        /// Where its keys are fetched. Either this or `keys`.
        jwks: JwksTable = optional,
        /// Its keys, as a JWK set. Either this or `jwks`.
        keys: InlineKeys = optional,
        /// The signature algorithms its tokens may use. Never taken from a token (RFC 8725). Needed unless it has no keys.
        algorithms: Vec<At<AlgorithmName>> = optional,
        /// How it is asked about tokens (RFC 7662). An issuer of opaque tokens alone needs no keys beside it.
        introspection: IntrospectionTable = optional,
        /// What makes its tokens: a named set of the keys from `typ` to `max_lifetime`, which may stand beside it.
        profile: ProfileSetting = default(ProfileSetting::Rfc9068),
        /// How far its clock may be off, for `exp`, `nbf` and `iat`.
        leeway: Span<0, 60> = default(Span::seconds(30)),
        /// The `typ` of its tokens: `at+jwt` (RFC 9068), `absent`, exactly another text, or a list of those that are good.
        typ: TypTexts = default(TypTexts(vec![crate::policy::TypRule::AccessToken])),
        /// Where claims stand in its tokens, by the name that they have here.
        claims: Named<Places> = optional,
        /// Claims that each token has, and what they say: what tells access tokens from others.
        required_claims: Named<SaysWhat> = optional,
        /// Claims that no access token has, for the same reason.
        forbidden_claims: Vec<At<TokenClaim>> = optional,
        /// What a token says that a client got for itself, where `sub` is not its id. `{client_id}` stands for that.
        client_tokens: Named<SaysWhat> = optional,
        /// What a token says that a client got for a user. Without it: it has a subject, and is not the client's own.
        user_tokens: Named<SaysWhat> = optional,
        /// What its tokens may lack of what RFC 9068 demands.
        optional_claims: Vec<At<OptionalSetting>> = optional,
        /// Whether tokens without `aud` are taken, whomever they are for.
        insecure_no_audience: bool = default(false),
        /// The longest lifetime (`exp` - `iat`) of its tokens that is accepted.
        max_lifetime: Span<1, LONGEST_LIFE> = default(DEFAULT_LIFE),
        /// Tokens that were issued before this moment are refused: for an emergency.
        not_issued_before: Moment = optional,
        /// How its tokens end before their time.
        revocation: RevocationTable = optional,
        /// What a warning doubts about it, and is meant.
        meant: Vec<At<DoubtSetting>> = optional,
    }
}

config_table! {
    /// What a profile may say of tokens: keys of an issuer.
    FormTable {
        typ: TypTexts = optional,
        claims: Named<Places> = optional,
        required_claims: Named<SaysWhat> = optional,
        forbidden_claims: Vec<At<TokenClaim>> = optional,
        client_tokens: Named<SaysWhat> = optional,
        user_tokens: Named<SaysWhat> = optional,
        optional_claims: Vec<At<OptionalSetting>> = optional,
        max_lifetime: Span<1, LONGEST_LIFE> = optional,
    }
}

config_table! {
    /// A JWK set that is fetched.
    JwksTable {
        /// The cluster of Envoy that the fetch goes to.
        cluster: Cluster = required,
        /// Its URL. Host and path are sent; where to connect is the cluster's matter. Either this or `discovery`.
        uri: HttpsUrl = optional,
        /// The metadata of the issuer that names the URL (`jwks_uri`). Either this or `uri`.
        discovery: DiscoverySetting = optional,
        /// Hosts besides the issuer's own that the metadata may name, and for each the cluster that leads there.
        hosts: Named<Cluster> = optional,
        /// The age after which keys are fetched anew.
        refresh: Span<30, 86_400> = default(Span::seconds(600)),
        /// The age up to which keys are used while fetches fail. At least `refresh`.
        max_stale: Span<30, 604_800> = default(Span::seconds(3600)),
        /// The time-out of one fetch.
        timeout: Span<1, 30> = default(Span::seconds(5)),
        /// Header fields of every fetch, by name. No secrets: they would stand in the configuration.
        headers: Named<FieldValue> = optional,
    }
}

config_table! {
    /// The introspection endpoint of an authorization server (RFC 7662).
    IntrospectionTable {
        /// The cluster of Envoy that the question goes to. It must check the server's certificate and name: tokens go there.
        cluster: Cluster = required,
        /// Its URL. Host and path are sent; where to connect is the cluster's matter.
        uri: HttpsUrl = required,
        /// Who asks. Without it: whoever the cluster's own client certificate names.
        client: AskingClientTable = optional,
        /// Which tokens it is asked about.
        tokens: AskedSetting = default(AskedSetting::Opaque),
        /// Whether its answers must be signed with the issuer's keys, for this client (RFC 9701).
        signed: bool = default(false),
        /// How long its answer counts that a token is good: so long a revoked one may pass. 0: for one request.
        ttl: Span<0, 3600> = default(Span::seconds(30)),
        /// How long its answer counts that a token is not good.
        negative_ttl: Span<0, 60> = default(Span::seconds(5)),
        /// The longest that a request waits for an answer.
        timeout: Span<0, 30> = default(Span::seconds(2)),
    }
}

config_table! {
    /// The client that asks.
    AskingClientTable {
        /// Its `client_id`.
        id: OwnClientId = required,
        /// Where its secret is. Without it: the cluster's client certificate proves who it is (RFC 8705).
        secret: SecretSetting = optional,
        /// How it shows its secret.
        auth: ClientAuthSetting = default(ClientAuthSetting::Basic),
    }
}

config_table! {
    /// What is taken back before its time: a document that is fetched, entries here, or both.
    RevocationTable {
        /// The cluster of Envoy that the fetch goes to. Needed with `uri`.
        cluster: Cluster = optional,
        /// The URL of a document of revocations. Host and path are sent; where to connect is the cluster's matter.
        uri: HttpsUrl = optional,
        /// The age after which it is fetched anew: so long a revocation takes at most, while fetches succeed.
        refresh: Span<1, 86_400> = default(Span::seconds(30)),
        /// The age beyond which it is stale. At least `refresh`.
        max_stale: Span<1, 604_800> = default(Span::seconds(300)),
        /// The time-out of one fetch.
        timeout: Span<1, 30> = default(Span::seconds(5)),
        /// The longest document that is read. Each worker may come to use four times as much memory.
        max_bytes: Size<1024, 67_108_864> = default(Size::kibibytes(4096)),
        /// What becomes of tokens while the document is stale or was never there.
        on_stale: OnStaleSetting = default(OnStaleSetting::Refuse),
        /// Revocations that stand here, in the form of a document of them.
        entries: Entries = optional,
        /// The status lists that tokens name.
        status_lists: StatusListsTable = optional,
    }
}

config_table! {
    /// Token Status Lists (draft-ietf-oauth-status-list).
    StatusListsTable {
        /// The cluster of Envoy that the fetches go to.
        cluster: Cluster = required,
        /// What the `uri` of each list begins with, with a slash at its end. Tokens that name another list are refused.
        uri: HttpsUrl = required,
        /// The longest list that is read, once it is unpacked.
        max_bytes: Size<1024, 16_777_216> = default(Size::kibibytes(1024)),
        /// How many lists each worker keeps.
        max_lists: Count<1, 256> = default(Count(16)),
    }
}
