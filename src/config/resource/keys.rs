//! The keys of a resource, declared once. In: nothing. Out: the structs that this room compiles, and, through them, the JSON
//! Schema.

use crate::config::issuer::moment::Moment;
use crate::config::issuer::revocation::OfResource;
use crate::config::issuer::trust::AlgorithmName;
use crate::config::peer::keys::ResourcePeerTable;
use crate::config::peer::patterns::PeerText;
use crate::config::reading::doubts::DoubtSetting;
use crate::config::reading::finding::{Findings, Place};
use crate::config::reading::table::{
    At, Key, Named, Reader, Table, Written, config_table, described, not_what, with_default,
};
use crate::config::reading::values::{Label, Name, Span};
use crate::config::resource::addresses::{Host, Identifier, MetadataUrl};
use crate::config::resource::api_keys::DigestSetting;
use crate::config::resource::caller::{ForwardedFact, HeaderName, StrippedName};
use crate::config::resource::dpop::OriginUrl;
use crate::config::route::access::{LimitNames, ModeSetting, ResourceProfileSetting, Scope, TlsFloorSetting};
use crate::config::route::claims::ClaimDemands;
use crate::config::route::keys::RouteTable;
use crate::http::HttpsUrl;
use crate::json::Object;
use crate::json::Value;

config_table! {
    /// An API key and its client.
    ApiKeyTable {
        /// Its SHA-256 digest, never the key: 64 hexadecimal digits, or `{ env: NAME }`.
        sha256: DigestSetting = required,
        /// Who presents it.
        client_id: Label = required,
        /// The scopes of that client.
        scopes: Vec<At<Scope>> = optional,
        /// The peers that may use it. Without it: any, also those without a certificate.
        peers: Vec<At<PeerText>> = optional,
        /// The moment from which it is no longer good.
        not_after: Moment = optional,
    }
}

config_table! {
    /// A protected resource: hosts that serve the same things by the same rules.
    ResourceTable {
        /// The hosts it is served under: a name for all ports or for one, `*.` and a name for all below it, `*` for all.
        hosts: Vec<At<Host>> = required,
        /// Its name in audit records. Without it: the first host.
        name: Label = optional,
        /// Whether refusals are carried out, or only recorded. Without it: as the whole configuration says.
        mode: ModeSetting = optional,
        /// What is demanded here as a whole, whatever the issuers and routes say.
        profile: ResourceProfileSetting = optional,
        /// Where the client's certificate is read. Without it: as the whole configuration says.
        peer: ResourcePeerTable = optional,
        /// The oldest version of TLS that the connection to this proxy may have. Without it: whatever the proxy takes.
        require_tls: TlsFloorSetting = optional,
        /// The values of `aud` that mean this resource (RFC 9068). Needed if a route takes tokens.
        audiences: Vec<At<Identifier>> = optional,
        /// The names of the issuers trusted here. Needed if a route takes tokens.
        issuers: Vec<At<Name>> = optional,
        /// The names of the API keys that are good here. Needed if a route takes them.
        api_keys: Vec<At<Name>> = optional,
        /// The header that carries them. It never goes upstream.
        api_key_header: HeaderName = default(HeaderName("x-api-key".into())),
        /// The `realm` of challenges (RFC 6750). Without it: the first host that is no wildcard.
        realm: Label = optional,
        /// The identifier of the resource (RFC 9728), under which the filter serves its metadata, made of the rules written here.
        metadata: HttpsUrl = optional,
        /// The `resource_metadata` of challenges (RFC 9728), where somebody else serves it.
        resource_metadata: MetadataUrl = optional,
        /// Where clients find it, as their proofs of possession say (`htu`, RFC 9449): https, host, and the path that a hop in front
        /// takes away. With it, tokens may be bound to a key.
        origin: OriginUrl = optional,
        /// What proofs of possession have to be like. Needs `origin`.
        dpop: DpopTable = table,
        /// What is taken back here of the tokens of any issuer: a document that is fetched, entries here, or both.
        revocation: OfResource = optional,
        /// What the upstream is told about the caller.
        forward: ForwardTable = table,
        /// What the claims of every token must say here, besides what its route demands.
        claims: ClaimDemands = optional,
        /// The limits of every route here that names none itself: a list of names, or `none`.
        limits: LimitNames = optional,
        /// What is served. What no route matches is refused.
        routes: Vec<At<RouteTable>> = required,
        /// What a warning doubts about it or one of its routes, and is meant.
        meant: Vec<At<DoubtSetting>> = optional,
    }
}

config_table! {
    /// What proofs of possession have to be like (RFC 9449).
    DpopTable {
        /// What they may be signed with. Without it: ES256, PS256, Ed25519 and EdDSA.
        algorithms: Vec<At<AlgorithmName>> = optional,
        /// Whether each needs a nonce that this proxy has handed out.
        nonce: bool = default(false),
        /// How old one may be, by its `iat`.
        max_age: Span<1, 300> = default(Span::seconds(60)),
        /// How far in the future its `iat` may lie.
        leeway: Span<0, 60> = default(Span::seconds(10)),
        /// Whether it goes upstream.
        forward: bool = default(false),
    }
}

config_table! {
    /// What the upstream is told about the caller: nothing but this.
    ForwardTable {
        /// Headers by name, and what each carries. A caller's own header of that name never passes.
        headers: Named<ForwardedFact> = optional,
        /// Filter state by key below `wasm.`, and what each carries.
        filter_state: Named<ForwardedFact> = optional,
        /// Whether `Authorization` goes upstream, on any route.
        token: bool = default(true),
        /// Headers that are removed from every request, besides those that claim an identity or another target.
        strip: Vec<At<StrippedName>> = optional,
        /// Headers that claim an identity or another target and pass all the same, because a trusted hop sets them.
        keep: Vec<At<StrippedName>> = optional,
    }
}
