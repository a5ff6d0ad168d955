//! What the operator writes, made into a [`Policy`]. In: the bytes that the proxy hands over, or a document of a file.
//! Out: the policy, or everything that is wrong with it at once, each finding with its place and what to do.
//!
//! From a key to its code in one step: `issuers.<name>.…` is in `issuer`, `resources[].…` in `resource`, `….routes[].…` in `route`, `limits`
//! and `services` in `limit`, `peer` in `peer`, and the few others in `keys` here. In each of these rooms `keys` declares the keys, `mod` checks what belongs
//! together and compiles it, and a file of its own has what has rules of its own (`issuer/revocation`, `route/objects`).
//! `reading` is how tables are declared and read, whatever the keys; `text` is what a document says before anybody knows keys, and where it
//! stands; `files` finds configurations in files of Envoy and Istio, and what is wrong around them. `slips` is about what is rarely meant.
//! Not here: what the rules mean for a request (`exchange` and its rooms).

#[cfg(feature = "cli")]
pub mod files;
mod issuer;
mod keys;
mod limit;
mod peer;
mod reading;
mod resource;
mod route;
mod slips;
mod summary;
#[cfg(test)]
mod tests;
mod text;

pub use issuer::introspection::check_secrets;
pub use reading::finding::{Finding, Findings};
pub use text::spots::Position;

use crate::config::keys::ConfigTable;
use crate::config::reading::finding::Place;
use crate::config::reading::table::{Key, Table, not_what};
use crate::config::text::yaml::Read;
use crate::json::{Bounds, Value};
use crate::policy::{AwaitedBody, Dialects, Hosts, Mark, PeerSource, Policy, TableSize, TokenCacheBounds, unrouted};

/// The largest configuration, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// The policy of a configuration as the proxy hands it over: text, YAML or JSON (a `google.protobuf.StringValue`, or what
/// Istio makes of `pluginConfig`), or a serialized `google.protobuf.Struct`.
pub fn load(bytes: &[u8]) -> Result<Policy, Findings> {
    if bytes.is_empty() {
        let remedy = "Write one, as YAML or JSON text in a google.protobuf.StringValue.";
        return Err(Findings::single("there is none", remedy));
    }
    if bytes.len() > MAX_BYTES {
        return Err(Findings::single("larger than 4 MiB", "Write a smaller one, or use several filters."));
    }
    // Every entry of a Struct has the tag 0x12 before its value, and neither YAML nor JSON has that byte.
    if bytes.contains(&0x12) {
        let value = text::structured::decode(bytes).map_err(|fault| {
            Findings::single(
                format!("no google.protobuf.Struct: {fault}"),
                "Write the configuration as YAML or JSON text in a google.protobuf.StringValue.",
            )
        })?;
        return judge(&value, Findings::default());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| {
        Findings::single("no text that could be read: it is not UTF-8", "Write YAML or JSON, in UTF-8.")
    })?;
    load_text(text)
}

/// The policy of a configuration that is written as text.
fn load_text(text: &str) -> Result<Policy, Findings> {
    let mut documents = text::yaml::read(text, Bounds::CONFIG, text::scalars::plain).map_err(Findings::of)?.into_iter();
    match (documents.next(), documents.next()) {
        (None, _) => Err(Findings::single("there is none", "Write keys and values, like resources: [...].")),
        (Some(read), None) => compile(&read),
        (Some(_), Some(second)) => {
            let findings = Findings::single("there are several documents", "Write one, without lines of ---.");
            Err(findings.placed(&second.spot))
        }
    }
}

/// The policy of a configuration that is read already.
fn compile(read: &Read) -> Result<Policy, Findings> {
    judge(&read.value, read.spot.slips()).map_err(|findings| findings.placed(&read.spot))
}

/// The policy that `value` says, or what is wrong with it beside what is wrong already.
fn judge(value: &Value, mut findings: Findings) -> Result<Policy, Findings> {
    let Value::Object(members) = value else {
        return Err(Findings::single(not_what(value, "a table"), "Write keys and values, like resources: [...]."));
    };
    let config = ConfigTable::read_members(members, &Place::root(), &mut findings);
    let policy = policy(&config, &mut findings);
    if !findings.is_empty() {
        return Err(reading::order::sorted(findings.once_each(), value));
    }
    let doubts = reading::order::sorted(reading::doubts::unanswered(&config, findings.into_doubts()), value);
    Ok(Policy { doubts: doubts.iter().map(ToString::to_string).collect(), ..policy })
}

/// The JSON Schema (draft 2020-12) of a configuration.
pub fn schema() -> serde_json::Value {
    let mut schema = ConfigTable::schema();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        schema.insert("title".into(), "Boundgate".into());
    }
    schema
}

/// What `config` says, as far as it could be understood.
fn policy(config: &ConfigTable, findings: &mut Findings) -> Policy {
    let issuers = issuer::compile(config.issuers.as_ref(), findings);
    let api_keys = resource::api_keys::compile(config.api_keys.as_ref(), findings);
    let services = limit::services::compile(config.services.as_ref(), findings);
    let size = TableSize::for_identities(config.limit_table.identities.0);
    let limits = limit::compile(config.limits.as_ref(), &services, size, findings);
    services.into_used(findings);
    limit::services::check_leases(config, findings);
    let peer = peer::default(config, findings);
    let resources = resource::compile(config, &peer, &issuers, &api_keys, &limits, findings);
    if limits.uses_are_clear() {
        limit::uses::check(config, findings);
    }
    issuer::revocation::check(config, findings);
    slips::check(config, findings);
    reading::doubts::check(config, findings);
    let hosts = Hosts::of(&resources);
    resource::metadata::check(config, &hosts, findings);
    resource::dpop::check(config, &hosts, findings);
    let limits = limits.into_used(findings);
    let api_keys = api_keys.into_used(findings);
    if findings.is_empty() {
        limit::idle::check(&resources, &limits, findings);
    }
    Policy {
        unrouted: unrouted(resources.iter().flat_map(|resource| &resource.unrouted)),
        needs_identities: matches!(*peer, PeerSource::Hop(_))
            || resources.iter().any(|resource| resource.needs_identities()),
        hosts,
        mode: config.mode.mode(),
        resources,
        issuers: issuers.into_used(findings),
        api_keys,
        limits,
        mark: config.mark.as_ref().map_or_else(Mark::default, |mark| Mark::named(&mark.0)),
        peer,
        assume_validated: config.peer.insecure_assume_validated,
        warn_before: config.peer.warn_before.0,
        limit_identities: config.limit_table.identities.0,
        limit_fields: Dialects { draft: config.limit_fields, older: config.x_ratelimit.dialect() },
        limit_fields_in_report: config.limit_fields_in_report,
        awaited_body: AwaitedBody { bytes: config.refusals.await_body.0, lasts: config.refusals.within.0 },
        token_cache: TokenCacheBounds {
            entries: config.token_cache.entries.0 as usize,
            bytes: config.token_cache.bytes.0 as usize,
        },
        max_token_bytes: config.max_token_bytes.0 as usize,
        doubts: Vec::new(),
    }
}
