//! The keys of a route, declared once. In: nothing. Out: the structs that this room compiles, and, through them, the JSON
//! Schema.

use crate::config::peer::patterns::PeerText;
use crate::config::reading::doubts::DoubtSetting;
use crate::config::reading::finding::{Findings, Place};
use crate::config::reading::table::{
    At, Key, Named, Reader, Table, Written, config_table, described, not_what, with_default,
};
use crate::config::reading::values::{Count, Label, Name, Size, Span};
use crate::config::resource::caller::AddressClaim;
use crate::config::route::access::{
    AccessSetting, BoundSetting, LimitNames, Method, ParameterName, PathText, Scopes, SubjectSetting,
};
use crate::config::route::bodies::MediaText;
use crate::config::route::claims::{Bound, ClaimDemands, Words};
use crate::config::route::objects::Owners;
use crate::config::route::source_ip::{Ipv6Setting, SourceIpRule};
use crate::config::route::step_up::AuthenticationContext;
use crate::json::Object;
use crate::json::Value;

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
        /// Of the API keys of the resource, those that are good here. Without it: all.
        api_keys: Vec<At<Name>> = optional,
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
        /// How long an issuer's answer about a token counts here, where its own `ttl` is longer. 0: for one request.
        introspection_ttl: Span<0, 3600> = optional,
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
}

config_table! {
    /// Whence a token must come.
    SourceIpTable {
        /// The claim with the address, or a list of some.
        claim: AddressClaim = required,
        /// How IPv6 addresses are compared.
        ipv6: Ipv6Setting = default(Ipv6Setting::Exact),
    }
}

config_table! {
    /// How users must have signed in. One of both, or both.
    StepUpTable {
        /// The values of `acr` of which one will do, the preferred first.
        acr: Vec<At<AuthenticationContext>> = optional,
        /// How long ago it may have been, by `auth_time`.
        max_age: Span<1, 2_592_000> = optional,
    }
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
}
