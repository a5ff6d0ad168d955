//! Every key of the configuration, declared once. In: nothing. Out: the structs that the rest of `config` compiles,
//! and, through them, the JSON Schema. docs/configuration.md has an entry for each key; a test compares.

use crate::config::issuer::keys::IssuerTable;
use crate::config::limit::XRateLimitSetting;
use crate::config::limit::keys::{LimitTable, LimitTableTable, ServiceTable};
use crate::config::peer::keys::PeerTable;
use crate::config::reading::environment::Variable;
use crate::config::reading::finding::{Findings, Place};
use crate::config::reading::table::{
    At, Key, Named, Reader, Table, Written, config_table, described, not_what, with_default,
};
use crate::config::reading::values::{Count, Size, Span};
use crate::config::resource::caller::MarkName;
use crate::config::resource::keys::{ApiKeyTable, ResourceTable};
use crate::config::route::access::ModeSetting;
use crate::json::Object;
use crate::json::Value;

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
}

config_table! {
    /// What stands in the environment of the VM.
    EnvironmentTable {
        /// The variable that holds it, in Envoy's `vm_config.environment_variables`.
        env: Variable = required,
    }
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
}

config_table! {
    /// What each worker remembers of tokens it has verified.
    TokenCacheTable {
        /// How many tokens.
        entries: Count<16, 1_000_000> = default(Count(10_000)),
        /// How much memory they may take.
        bytes: Size<65_536, 1_073_741_824> = default(Size::kibibytes(32 * 1024)),
    }
}
