//! The keys of a limit, declared once. In: nothing. Out: the structs that this room compiles, and, through them, the JSON
//! Schema.

use crate::config::limit::EventSetting;
use crate::config::limit::services::{KindSetting, OnErrorSetting};
use crate::config::peer::patterns::PeerText;
use crate::config::reading::doubts::DoubtSetting;
use crate::config::reading::finding::{Findings, Place};
use crate::config::reading::table::{
    At, Key, Named, Reader, Table, Written, config_table, described, not_what, with_default,
};
use crate::config::reading::values::{Count, DayTimesText, Label, Name, Outcome, Rate, Span};
use crate::config::resource::addresses::Cluster;
use crate::config::resource::caller::LimitKey;
use crate::json::Object;
use crate::json::Value;

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
    later { "windows" }
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
}

config_table! {
    /// The table that all limits are counted in.
    LimitTableTable {
        /// How many identities it is sized for. Beyond that, newcomers inherit debts: limits get stricter, never
        /// looser.
        identities: Count<1024, 4_000_000> = default(Count(65_536)),
    }
}
