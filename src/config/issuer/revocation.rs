//! How tokens of an issuer, or those that come to a resource, end before their time. In: the table of either. Out: a [`RevocationRule`];
//! of an issuer also a [`StatusListRule`]. Not here: the form of what is revoked (`revocation`).

use serde_json::json;

use crate::config::issuer::keys::{RevocationTable, StatusListsTable};
use crate::config::keys::ConfigTable;
use crate::config::reading::finding::{Findings, Place};
use crate::config::reading::table::{
    Key, Mistake, TextKey, Written, config_settings, described, not_what, unknown_word,
};
use crate::config::resource::keys::ResourceTable;
use crate::json::Value;
use crate::policy::{Endpoint, OnStale, RevocationRule, RevocationSource, StatusListRule};
use crate::revocation::Listed;

config_settings! {
    /// What becomes of tokens of which nobody knows whether they were revoked.
    OnStaleSetting {
        /// They are refused with 503.
        Refuse = "refuse",
        /// They pass, unless the document that was fetched last names them.
        Allow = "allow",
    }
    refused {}
}

/// Revocations in the configuration, in the form of a document of them.
#[derive(Debug)]
pub(in crate::config) struct Entries(Listed);

impl Key for Entries {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        const REMEDY: &str = "Write what a document of revocations has: { jti: [...], sub: [...], issued_before: { sub: { alice: 1767225600 } } }.";
        let Some(members) = value.as_object() else {
            findings.add(at, not_what(value, "a table"), REMEDY);
            return None;
        };
        let listed = Listed::read(members, |path, what| {
            let at = path.iter().fold(at.clone(), |at, name| at.key(name));
            findings.add(&at, what, REMEDY);
        });
        Some(Self(listed))
    }

    fn schema() -> serde_json::Value {
        let texts = json!({ "type": "array", "items": { "type": "string" } });
        let moments = json!({ "type": "object", "additionalProperties": { "type": "number" } });
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "jti": texts, "sub": texts, "client_id": texts, "sid": texts, "x5t#S256": texts, "jkt": texts,
                "issued_before": {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": { "sub": moments, "client_id": moments, "all": { "type": "number" } },
                },
            },
        })
    }
}

/// The table of a resource: that of an issuer, without the lists that tokens name.
#[derive(Debug)]
pub(in crate::config) struct OfResource(RevocationTable);

/// What stands in the table of an issuer alone.
const STATUS_LISTS: &str = "status_lists";

impl Key for OfResource {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        let table = RevocationTable::read(value, at, findings)?;
        if table.wrote(STATUS_LISTS) {
            findings.add(
                &table.at.key(STATUS_LISTS),
                "belongs to an issuer, whose tokens name the lists and whose keys sign them",
                "Write it into issuers.<name>.revocation.",
            );
        }
        Some(Self(table))
    }

    fn schema() -> serde_json::Value {
        let mut schema = RevocationTable::schema();
        if let Some(properties) = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
            properties.remove(STATUS_LISTS);
        }
        schema
    }
}

/// What an issuer takes back, and the lists that its tokens name.
pub(in crate::config) fn of_issuer(
    table: Option<&RevocationTable>,
    findings: &mut Findings,
) -> (RevocationRule, Option<StatusListRule>) {
    let Some(table) = table else { return Default::default() };
    let rule = rule(table, "has neither uri nor entries nor status_lists", findings);
    (rule, table.status_lists.as_ref().and_then(|lists| status_lists(lists, table, findings)))
}

/// What a resource takes back.
pub(in crate::config) fn of_resource(
    table: &ResourceTable,
    takes_tokens: bool,
    findings: &mut Findings,
) -> RevocationRule {
    let Some(OfResource(revocation)) = &table.revocation else { return RevocationRule::default() };
    if !takes_tokens && !findings.touch(&table.at.key("routes")) {
        findings.add(&revocation.at, "means nothing, because no route here takes tokens", "Remove it.");
    }
    rule(revocation, "has neither uri nor entries", findings)
}

/// A document that several name is fetched once, as often as all of them say.
pub(in crate::config) fn check(config: &ConfigTable, findings: &mut Findings) {
    let issuers = config.issuers.iter().flat_map(|issuers| &issuers.0).filter_map(|(_, entry)| entry.value.as_ref());
    let resources = config.resources.iter().flatten().filter_map(|entry| entry.value.revocation.as_ref());
    let tables =
        issuers.filter_map(|issuer| issuer.revocation.as_ref()).chain(resources.map(|OfResource(table)| table));
    let mut known: Vec<(Endpoint, &RevocationTable)> = Vec::new();
    for table in tables {
        let Some(at) = endpoint(table) else { continue };
        let says = |table: &RevocationTable| (table.refresh.0, table.max_stale.0, table.timeout.0, table.max_bytes.0);
        match known.iter().find(|(other, _)| *other == at) {
            Some((_, other)) if says(other) != says(table) => findings.add(
                &table.at,
                format!("is the document of {}, with other times or another max_bytes", other.at.as_str()),
                "Write refresh, max_stale, timeout and max_bytes alike: it is fetched once for all who name it.",
            ),
            Some(_) => {}
            None => known.push((at, table)),
        }
    }
}

/// `nothing`: what to say of a table that takes nothing back.
fn rule(table: &RevocationTable, nothing: &str, findings: &mut Findings) -> RevocationRule {
    let source = source(table, nothing, findings);
    let listed = table.entries.as_ref().map(|entries| entries.0.clone()).unwrap_or_default();
    RevocationRule { listed, source }
}

/// Where the document is.
fn endpoint(table: &RevocationTable) -> Option<Endpoint> {
    let uri = table.uri.as_ref()?;
    let cluster = table.cluster.as_ref()?.0.clone();
    Some(Endpoint { cluster, authority: uri.authority.as_str().into(), path: uri.path.clone() })
}

fn source(table: &RevocationTable, nothing: &str, findings: &mut Findings) -> Option<RevocationSource> {
    const OF_SOURCE: [&str; 2] = ["cluster", "max_bytes"];
    const OF_FETCHES: [&str; 4] = ["refresh", "max_stale", "timeout", "on_stale"];
    check_times(table, findings);
    if !table.wrote("uri") {
        let idle = OF_FETCHES.iter().filter(|_| !table.wrote("status_lists"));
        for key in OF_SOURCE.iter().chain(idle).filter(|key| table.wrote(key)) {
            findings.add(
                &table.at.key(key),
                "means nothing without uri",
                "Write uri: https://..., where the document of revocations is, or remove this.",
            );
        }
        if !table.wrote("entries") && !table.wrote("status_lists") && !findings.touch(&table.at) {
            findings.add(
                &table.at,
                nothing,
                "Write cluster and uri of a document of revocations, or one of these, or remove it.",
            );
        }
        return None;
    }
    if !table.wrote("cluster") {
        findings.add(&table.at.key("cluster"), "missing", "Write the cluster of Envoy that leads to uri.");
    }
    let at = endpoint(table)?;
    Some(RevocationSource {
        id: format!("{} {at}", at.cluster).into(),
        at,
        refresh: table.refresh.0,
        max_stale: table.max_stale.0,
        timeout: table.timeout.0,
        max_bytes: usize::try_from(table.max_bytes.0).unwrap_or(usize::MAX),
        on_stale: table.on_stale.rule(),
    })
}

fn check_times(table: &RevocationTable, findings: &mut Findings) {
    if table.max_stale.0 < table.refresh.0 && !findings.touch(&table.at) {
        findings.add(
            &table.at.key("max_stale"),
            "shorter than refresh, so that everything would be stale before it is fetched anew",
            "Raise max_stale or lower refresh.",
        );
    }
}

impl OnStaleSetting {
    fn rule(self) -> OnStale {
        match self {
            OnStaleSetting::Refuse => OnStale::Refuse,
            OnStaleSetting::Allow => OnStale::Allow,
        }
    }
}

fn status_lists(lists: &StatusListsTable, table: &RevocationTable, findings: &mut Findings) -> Option<StatusListRule> {
    let uri = lists.uri.as_ref()?;
    if !uri.path.ends_with('/') || uri.path.contains('?') {
        findings.add(
            &lists.at.key("uri"),
            "does not end with a slash, so that it is no folder of lists",
            "Write what the uri of each list begins with, up to and with a slash.",
        );
    }
    let cluster = lists.cluster.as_ref()?.0.clone();
    Some(StatusListRule {
        below: Endpoint { cluster, authority: uri.authority.as_str().into(), path: uri.path.clone() },
        refresh: table.refresh.0,
        max_stale: table.max_stale.0,
        timeout: table.timeout.0,
        on_stale: table.on_stale.rule(),
        max_bytes: usize::try_from(lists.max_bytes.0).unwrap_or(usize::MAX),
        max_lists: usize::try_from(lists.max_lists.0).unwrap_or(usize::MAX),
    })
}
