//! API keys: their digests and clients, and which are good for a resource. In: their tables, the table of a resource. Out: [`ApiKeys`].
//! Not here: which routes take them (`routes`).

use std::rc::Rc;

use serde_json::json;

use crate::config::keys::EnvironmentTable;
use crate::config::reading::defined::Defined;
use crate::config::reading::finding::{Findings, Place, quoted};
use crate::config::reading::table::{Key, Named, Written, not_what};
use crate::config::resource::caller::HeaderName;
use crate::config::resource::keys::{ApiKeyTable, ResourceTable};
use crate::config::route::access::AccessSetting;
use crate::config::route::keys::RouteTable;
use crate::config::route::{peers, plain};
use crate::json::Value;
use crate::policy::{ApiKey, ApiKeys, EnvironmentDigest, Fact, ForwardRule, KeyDigest, KeyDigestSource, Limit};

/// SHA-256 of nothing: what `sha256sum` says where the key was not there.
const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The digest of a key: 64 hexadecimal digits, or `{ env: NAME }`.
#[derive(Debug)]
pub(in crate::config) enum DigestSetting {
    Here(KeyDigest),
    Environment(Box<str>),
}

impl Key for DigestSetting {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        const REMEDY: &str = "Write the 64 hexadecimal digits of `printf %s \"$KEY\" | sha256sum`, or { env: NAME } for a variable of the VM that holds them.";
        match value {
            Value::Text(text) if text.eq_ignore_ascii_case(OF_NOTHING) => {
                findings.add(at, "the digest of nothing", REMEDY);
                None
            }
            // Never quoted: it may be the key.
            Value::Text(text) => {
                let digest = KeyDigest::from_hex(text).map(Self::Here);
                if digest.is_none() {
                    findings.add(at, "no SHA-256 digest; a key itself must not stand here", REMEDY);
                }
                digest
            }
            Value::Object(_) => {
                let table = EnvironmentTable::read(value, at, findings)?;
                table.env.map(|variable| Self::Environment(variable.0))
            }
            other => {
                findings.add(at, not_what(other, "a digest"), REMEDY);
                None
            }
        }
    }

    fn schema() -> serde_json::Value {
        json!({ "oneOf": [{ "type": "string", "pattern": "^[0-9A-Fa-f]{64}$" }, EnvironmentTable::schema()] })
    }
}

impl Written for HeaderName {
    fn written(&self) -> serde_json::Value {
        (*self.0).into()
    }
}

pub(in crate::config) fn compile(written: Option<&Named<ApiKeyTable>>, findings: &mut Findings) -> Defined<ApiKey> {
    let mut digests: Vec<(Place, KeyDigest)> = Vec::new();
    Defined::compile("api_key", written, findings, |origin, table, findings| {
        let at = table.at.key("sha256");
        let peers = peers(table.peers.as_deref(), &table.at.key("peers"), findings);
        if table.scopes.as_ref().is_some_and(Vec::is_empty) {
            findings.add(&table.at.key("scopes"), "an empty list", "Name a scope, or remove the key.");
        }
        let digest = match table.sha256.as_ref()? {
            DigestSetting::Here(digest) => {
                if let Some((first, _)) = digests.iter().find(|(_, other)| other == digest) {
                    findings.add(&at, format!("the same as {}", first.as_str()), "Give each client a key of its own.");
                }
                digests.push((at, *digest));
                KeyDigestSource::Here(*digest)
            }
            DigestSetting::Environment(name) => KeyDigestSource::Environment(EnvironmentDigest::of(name)),
        };
        Some(ApiKey {
            origin,
            digest,
            client_id: table.client_id.as_ref()?.0.clone(),
            scopes: table.scopes.as_deref().map(plain).unwrap_or_default(),
            peers,
            not_after: table.not_after.map(|moment| moment.0),
        })
    })
}

/// Those that are good for the routes of a resource, if one takes them.
pub(in crate::config) fn of_resource(
    table: &ResourceTable,
    keys: &Defined<ApiKey>,
    findings: &mut Findings,
) -> Option<Rc<ApiKeys>> {
    let (at, at_header) = (table.at.key("api_keys"), table.at.key("api_key_header"));
    if findings.touch(&at) {
        keys.reference_unclear();
    }
    let written = table.api_keys.as_deref().unwrap_or_default();
    let named = keys.resolve(written, findings);
    let routes = || table.routes.iter().flatten().map(|route| &route.value);
    if !routes().any(|route| route.access == AccessSetting::Key) {
        let unclear =
            findings.touch(&table.at.key("routes")) || routes().any(|route| findings.touch(&route.at.key("access")));
        for (key, at) in [("api_keys", &at), ("api_key_header", &at_header)] {
            if table.wrote(key) && !unclear && !findings.touch(at) {
                findings.add(at, "means nothing, because no route takes API keys", "Remove it, or write access: key.");
            }
        }
        return None;
    }
    if written.is_empty() && !findings.touch(&at) {
        findings.add(&at, "needed, because a route takes API keys", "Name the API keys that are good here.");
    }
    let header = table.api_key_header.0.clone();
    if ForwardRule::listed(&header) {
        let finding = format!("{} tells who a caller is, by the word of a proxy", quoted(&header));
        findings.add(&at_header, finding, "Choose another name, like x-api-key.");
    }
    Some(Rc::new(ApiKeys { header, keys: named.into_iter().map(|(_, key)| key).collect() }))
}

/// Of those of its resource, the ones that are good for a route, if it says which.
pub(in crate::config) fn of_route(
    table: &RouteTable,
    keys: &ApiKeys,
    findings: &mut Findings,
) -> Option<Vec<Rc<ApiKey>>> {
    let written = table.api_keys.as_deref()?;
    let at = table.at.key("api_keys");
    if written.is_empty() && !findings.touch(&at) {
        findings.add(&at, "an empty list, so that nobody could pass", "Name API keys of the resource, or remove it.");
    }
    let mut only = Vec::new();
    for name in written {
        match keys.keys.iter().find(|key| key.origin.name == name.value.0) {
            Some(key) => only.push(key.clone()),
            None => findings.add(
                &name.at,
                format!("{} is none of the API keys of this resource", quoted(&name.value.0)),
                "Name it in api_keys of the resource too.",
            ),
        }
    }
    Some(only)
}

/// What a limit would tell a rate-limit service.
pub(in crate::config) fn check_limit(keys: Option<&Rc<ApiKeys>>, limit: &Limit, at: &Place, findings: &mut Findings) {
    let Some(keys) = keys else { return };
    let tells = |part: &&Fact| matches!(part, Fact::Header(name) if *name == keys.header);
    if let Some(part) = limit.parts().iter().find(tells) {
        let finding = format!("limit {} counts by {part}, which carries API keys here", quoted(&limit.origin.name));
        findings.add(at, finding, "Count by client_id.");
    }
}
