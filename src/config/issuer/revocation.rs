//! How tokens of an issuer end before their time. In: its table. Out: a [`RevocationRule`]. Not here: the form of what is revoked
//! (`revocation`).

use serde_json::json;

use crate::config::issuer::keys::{IssuerTable, RevocationTable, StatusListsTable};
use crate::config::reading::finding::{Findings, Place};
use crate::config::reading::table::{
    Key, Mistake, Named, TextKey, Written, config_settings, described, not_what, unknown_word,
};
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
                "jti": texts, "sub": texts, "client_id": texts, "sid": texts, "x5t#S256": texts,
                "issued_before": {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": { "sub": moments, "client_id": moments, "all": { "type": "number" } },
                },
            },
        })
    }
}

/// The rule of the table of an issuer.
pub(in crate::config) fn rule(table: Option<&RevocationTable>, findings: &mut Findings) -> RevocationRule {
    let Some(table) = table else { return RevocationRule::default() };
    let source = source(table, findings);
    let listed = table.entries.as_ref().map(|entries| entries.0.clone()).unwrap_or_default();
    let status_lists = table.status_lists.as_ref().and_then(|lists| status_lists(lists, table, findings));
    RevocationRule { listed, source, status_lists }
}

fn source(table: &RevocationTable, findings: &mut Findings) -> Option<RevocationSource> {
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
                "has neither uri nor entries nor status_lists",
                "Write cluster and uri of a document of revocations, or one of these, or remove it.",
            );
        }
        return None;
    }
    if !table.wrote("cluster") {
        findings.add(&table.at.key("cluster"), "missing", "Write the cluster of Envoy that leads to uri.");
    }
    let uri = table.uri.as_ref()?;
    let at = Endpoint {
        cluster: table.cluster.as_ref()?.0.clone(),
        authority: uri.authority.as_str().into(),
        path: uri.path.clone(),
    };
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

/// Documents that several issuers name: each is fetched once for all of them.
pub(in crate::config) fn check_shared(written: Option<&Named<IssuerTable>>, findings: &mut Findings) {
    let tables = written.iter().flat_map(|issuers| &issuers.0).filter_map(|(_, issuer)| issuer.value.as_ref());
    let mut before: Vec<&RevocationTable> = Vec::new();
    for table in tables.filter_map(|issuer| issuer.revocation.as_ref()).filter(|table| table.uri.is_some()) {
        let same = |other: &&&RevocationTable| {
            let place = |table: &RevocationTable| {
                Some((
                    table.cluster.as_ref()?.0.clone(),
                    table.uri.as_ref()?.authority.clone(),
                    table.uri.as_ref()?.path.clone(),
                ))
            };
            place(other) == place(table)
        };
        let times = |table: &RevocationTable| (table.refresh.0, table.max_stale.0, table.timeout.0, table.max_bytes.0);
        if let Some(other) = before.iter().find(same).filter(|other| times(other) != times(table)) {
            findings.add(
                &table.at,
                format!(
                    "names the document of {} and has other values of refresh, max_stale, timeout or max_bytes",
                    other.at.as_str()
                ),
                "Write the same in both: it is fetched once for both. Only on_stale may differ.",
            );
        }
        before.push(table);
    }
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
