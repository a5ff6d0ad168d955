//! Every key of the configuration, declared once. In: nothing. Out: the structs that the rest of `config` compiles,
//! and, through them, the JSON Schema. docs/configuration.md has an entry for each key; a test compares.

use crate::config::access::{
    AccessSetting, BoundSetting, LimitNames, Method, ModeSetting, ParameterName, PathText, ResourceProfileSetting,
    Scope, Scopes, SubjectSetting, TlsFloorSetting,
};
use crate::config::addresses::{Cluster, Host, Identifier, IssuerUrl, MetadataUrl};
use crate::config::api_keys::DigestSetting;
use crate::config::bodies::MediaText;
use crate::config::caller::{AddressClaim, ForwardedFact, HeaderName, LimitKey, MarkName, StrippedName};
use crate::config::claims::{Bound, ClaimDemands, Words};
use crate::config::doubts::DoubtSetting;
use crate::config::dpop::OriginUrl;
use crate::config::environment::Variable;
use crate::config::finding::{Findings, Place};
use crate::config::introspection::{AskedSetting, ClientAuthSetting, OwnClientId};
use crate::config::jwks::{DiscoverySetting, FieldValue};
use crate::config::limits::{EventSetting, XRateLimitSetting};
use crate::config::moment::Moment;
use crate::config::objects::Owners;
use crate::config::peer::PeerFrom;
use crate::config::peer_text::PeerText;
use crate::config::profiles::{DEFAULT_LIFE, LONGEST_LIFE};
use crate::config::revocation::{Entries, OnStaleSetting};
use crate::config::services::{KindSetting, OnErrorSetting};
use crate::config::source_ip::{Ipv6Setting, SourceIpRule};
use crate::config::step_up::AuthenticationContext;
use crate::config::table::{At, Key, Named, Reader, Table, Written, config_table, described, not_what, with_default};
use crate::config::token_form::{OptionalSetting, Places, ProfileSetting, SaysWhat, TokenClaim, TypTexts};
use crate::config::trust::{AlgorithmName, InlineKeys};
use crate::config::values::{Count, DayTimesText, Label, Name, Outcome, Rate, Size, Span};
use crate::http::HttpsUrl;
use crate::json::{Object, Value};

config_table! {
    /// Boundgate's configuration: who may call what, and how often.
    ConfigTable {
        /// Whether refusals are carried out, or only recorded: where a resource does not say, and for hosts that none lists.
        mode: ModeSetting = default(ModeSetting::Enforce),
        /// Where the client's certificate is read.
        peer: PeerTable = table,
        /// Authorization servers, by a name of your choice.
        issuers: Named<IssuerTable> = optional,
        /// API keys, by a name of your choice: for callers that can have no token.
        api_keys: Named<ApiKeyTable> = optional,
        /// What is protected: hosts and their routes. What is not listed is refused.
        resources: Vec<At<ResourceTable>> = required,
        /// Rate limits, by a name of your choice. Callers see the name in RateLimit fields.
        limits: Named<LimitTable> = optional,
        /// Rate-limit services that a fleet of proxies shares, by a name of your choice.
        services: Named<ServiceTable> = optional,
        /// The table that all limits are counted in, shared by all workers of the proxy.
        limit_table: LimitTableTable = table,
        /// Whether answers carry the fields RateLimit and RateLimit-Policy.
        limit_fields: bool = default(true),
        /// Whether answers also carry X-RateLimit-Limit, -Remaining and -Reset, and in which dialect.
        x_ratelimit: XRateLimitSetting = default(XRateLimitSetting::Off),
        /// Whether answers carry these fields also where refusals are only recorded.
        limit_fields_in_report: bool = default(false),
        /// How refusals reach callers.
        refusals: RefusalsTable = table,
        /// What each worker remembers of tokens it has verified.
        token_cache: TokenCacheTable = table,
        /// The name in the filter state by which its interlock knows what this filter let through: `wasm.boundgate_<name>`.
        /// Needed where a chain has two of these filters. Without it: `wasm.boundgate`.
        mark: MarkName = optional,
        /// The longest access token that is looked at, in bytes. Longer ones are refused.
        max_token_bytes: Count<512, 65_536> = default(Count(16_384)),
    }
    later { "sources", "introspection" }
}

config_table! {
    /// Where the client's certificate is read.
    PeerTable {
        /// The TLS connection that ends at this proxy.
        from: PeerFrom = default(PeerFrom::Tls),
        /// Whether a certificate counts as validated where Envoy does not say (before 1.39). Right only if every
        /// listener validates all certificates against a trusted CA.
        insecure_assume_validated: bool = default(false),
        /// How long before its end a caller's certificate is told to be about to end, in the audit record and in a counter.
        warn_before: Span<0, 31_536_000> = default(Span::seconds(30 * 86_400)),
    }
    later {}
}

config_table! {
    /// A header by which a hop in front conveys the certificate of its client.
    PeerFromTable {
        /// `x-forwarded-client-cert`, as Envoy writes it.
        xfcc: TrustedHopsTable = optional,
        /// `Client-Cert` (RFC 9440).
        client_cert: TrustedHopsTable = optional,
    }
    later {}
}

config_table! {
    /// Who may speak for others.
    TrustedHopsTable {
        /// The hops that are believed, by the validated certificates of their own connections; as in `peers` of a route.
        trusted: Vec<At<PeerText>> = required,
        /// Whether all others may call by the certificates of their own connections.
        direct: bool = default(false),
    }
    later {}
}

config_table! {
    /// Where the certificate of a resource's callers is read.
    ResourcePeerTable {
        /// As `peer.from`.
        from: PeerFrom = required,
    }
    later {}
}

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
    later {}
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
    later {}
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
    later { "retries" }
}

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
    later {}
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
    later { "headers" }
}

config_table! {
    /// The client that asks.
    AskingClientTable {
        /// Its `client_id`.
        id: OwnClientId = required,
        /// Where its secret is. Without it: the cluster's client certificate proves who it is (RFC 8705).
        secret: EnvironmentTable = optional,
        /// How it shows its secret.
        auth: ClientAuthSetting = default(ClientAuthSetting::Basic),
    }
    later {}
}

config_table! {
    /// What stands in the environment of the VM.
    EnvironmentTable {
        /// The variable that holds it, in Envoy's `vm_config.environment_variables`.
        env: Variable = required,
    }
    later {}
}

config_table! {
    /// What an issuer takes back: a document that is fetched, entries here, or both.
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
    later {}
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
    later {}
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
    later { "step_up" }
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
    later {}
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
    later {}
}

config_table! {
    /// Requests and what they need.
    RouteTable {
        /// The paths: segments as they are, `{name}` for any one segment, `**` as the last for one or more. The most
        /// specific path decides.
        path: PathText = required,
        /// The `{names}` in the path that also stand for identifiers with an escaped slash (`group%2Fname`).
        slash_in: Vec<At<ParameterName>> = optional,
        /// The methods, in upper case; GET includes HEAD. Without it: all but CONNECT and TRACE.
        methods: Vec<At<Method>> = optional,
        /// Who may pass.
        access: AccessSetting = default(AccessSetting::Token),
        /// How a token must be bound to its sender. Without it: `any` where the resource has an `origin`, else `mtls`.
        bound: BoundSetting = optional,
        /// Scopes a token, or the client of an API key, must have: a list means all of them.
        scopes: Scopes = optional,
        /// The peers that may pass: SPIFFE IDs, `dns:`, `subject:`, `serial:`, `sha256:`. Needed with `access: peer`.
        peers: Vec<At<PeerText>> = optional,
        /// The claim that names the address from which a token must come.
        source_ip: SourceIpRule = optional,
        /// Whom a token must be about: a user, or the client itself. Without it: either.
        subject: SubjectSetting = optional,
        /// What the claims of a token must say, by their names here; `all`, `any` and `not` put several together.
        claims: ClaimDemands = optional,
        /// Whose the objects must be that a request names: parameters of the path, `query.<name>` or `header.<name>`, and for each the claim that
        /// says so.
        r#where: Named<Owners> = optional,
        /// How the user behind a token must have signed in (RFC 9470).
        step_up: StepUpTable = optional,
        /// The media types of the bodies that it takes: `application/json`, `image/*`. Without it: all.
        accepts: Vec<At<MediaText>> = optional,
        /// The longest body that it takes. Without it: any.
        max_body: Size<0, 4_294_967_295> = optional,
        /// The names of the limits that a request is counted by, or `none`. Without it: those of the resource.
        limits: LimitNames = optional,
        /// What one request takes from each of its limits.
        cost: Count<1, 1_000_000> = default(Count(1)),
        /// Whether a CORS preflight for it passes without a token.
        preflight: bool = default(false),
        /// Its name in audit records. Without it: methods and path.
        name: Label = optional,
        /// What a warning doubts about it, and is meant.
        meant: Vec<At<DoubtSetting>> = optional,
    }
    later { "on", "mode", "in_flight", "fields" }
}

config_table! {
    /// Whence a token must come.
    SourceIpTable {
        /// The claim with the address, or a list of some.
        claim: AddressClaim = required,
        /// How IPv6 addresses are compared.
        ipv6: Ipv6Setting = default(Ipv6Setting::Exact),
    }
    later {}
}

config_table! {
    /// How users must have signed in. One of both, or both.
    StepUpTable {
        /// The values of `acr` of which one will do, the preferred first.
        acr: Vec<At<AuthenticationContext>> = optional,
        /// How long ago it may have been, by `auth_time`.
        max_age: Span<1, 2_592_000> = optional,
    }
    later {}
}

config_table! {
    /// What a claim must be, where it is not compared as a whole. One of these, or both bounds.
    ClaimTestTable {
        /// A list has one of these in it, or a text among its words between spaces.
        contains: Words = optional,
        /// A number is at least this.
        min: Bound = optional,
        /// A number is at most this.
        max: Bound = optional,
        /// Whether it is there, whatever it says.
        present: bool = optional,
    }
    later {}
}

config_table! {
    /// A rate limit.
    LimitTable {
        /// What is counted: each combination of these has a budget of its own. Empty: one budget for everybody.
        key: Vec<At<LimitKey>> = required,
        /// The rate: a whole number and `/s`, `/min`, `/h` or `/day`. Needed unless `in_flight` is there.
        rate: Rate = optional,
        /// How much may be done at once. Without it: the number of the rate.
        burst: Count<1, 1_000_000_000> = optional,
        /// Says that a limit by the day may be counted by each proxy alone, and starts afresh with it.
        local_only: bool = default(false),
        /// Other rates for some callers, or for some time of the day. The first that fits counts.
        overrides: Vec<At<OverrideTable>> = optional,
        /// Whether it only counts and reports what it would have refused.
        shadow: bool = default(false),
        /// Counts responses with these statuses, or each `verification` of a token that is not known yet, instead of
        /// requests; once it is spent, requests are refused.
        on: Vec<At<Outcome>> = optional,
        /// How many requests of one identity may wait for their outcome at once, where `on` counts responses: so much more than
        /// the burst can fail at most, however many come together.
        undecided: Count<1, 10_000> = default(Count(100)),
        /// What it raises once it is spent, in the audit record and in a counter; it never refuses then. Needs `on`.
        event: EventSetting = optional,
        /// Counts each of these once in the time of the rate, and not again. Needs `event`.
        distinct: LimitKey = optional,
        /// How many requests may be under way at once, instead of a rate. No more than one proxy can hold.
        in_flight: Count<1, 100_000> = optional,
        /// The time in which what a lost worker held in flight comes back.
        heal: Span<60, 86_400> = default(Span::seconds(3600)),
        /// The service that counts it for all proxies together. Its configuration must have the same rate under the
        /// limit's name.
        service: Name = optional,
        /// What a warning doubts about it, and is meant.
        meant: Vec<At<DoubtSetting>> = optional,
    }
    later { "mode", "windows", "lease", "on_error" }
}

config_table! {
    /// Another rate, for callers that meet every condition given.
    OverrideTable {
        /// The `client_id` of the token.
        client_id: Label = optional,
        /// The `sub` of the token.
        sub: Label = optional,
        /// Claims of the token by name, and the text that each must have.
        claims: Named<Label> = optional,
        /// The validated peer, as in `peers` of a route.
        peer: PeerText = optional,
        /// The time of day in UTC, as `22:00-06:00`.
        utc: DayTimesText = optional,
        /// The rate instead.
        rate: Rate = required,
        /// The burst instead. Without it: the number of the rate.
        burst: Count<1, 1_000_000_000> = optional,
    }
    later {}
}

config_table! {
    /// A rate-limit service.
    ServiceTable {
        /// Which server it is: they answer the same protocol differently.
        kind: KindSetting = required,
        /// The cluster of Envoy that it is called through. It must speak HTTP/2.
        cluster: Cluster = required,
        /// The `domain` of every call. Without it: `boundgate`.
        domain: Label = optional,
        /// The longest that a request waits for it.
        timeout: Span<0, 10> = default(Span(std::time::Duration::from_millis(20))),
        /// The most permits that are asked for at once. 1: none in advance.
        lease: Count<1, 100_000> = default(Count(200)),
        /// What becomes of requests while it does not answer.
        on_error: OnErrorSetting = default(OnErrorSetting::Local),
    }
    later {}
}

config_table! {
    /// How refusals reach callers.
    RefusalsTable {
        /// The longest body that the refusal of its request waits for: an answer before the end of the body closes an HTTP/1.1
        /// connection. 0: none.
        await_body: Size<0, 1_048_576> = default(Size::kibibytes(64)),
        /// How long it waits at most.
        within: Span<0, 10> = default(Span::seconds(1)),
    }
    later {}
}

config_table! {
    /// The table that all limits are counted in.
    LimitTableTable {
        /// How many identities it is sized for. Beyond that, newcomers inherit debts: limits get stricter, never
        /// looser.
        identities: Count<1024, 4_000_000> = default(Count(65_536)),
    }
    later {}
}

config_table! {
    /// What each worker remembers of tokens it has verified.
    TokenCacheTable {
        /// How many tokens.
        entries: Count<16, 1_000_000> = default(Count(10_000)),
        /// How much memory they may take.
        bytes: Size<65_536, 1_073_741_824> = default(Size::kibibytes(32 * 1024)),
    }
    later {}
}
