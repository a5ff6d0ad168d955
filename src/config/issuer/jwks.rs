//! Where the keys of an issuer are fetched. In: its table and the issuer. Out: a [`JwksSource`], and what the trust in the keys says
//! about it. Not here: keys that stand in the configuration (`trust`).

use crate::config::issuer::keys::JwksTable;
use crate::config::reading::finding::{Findings, quoted};
use crate::config::reading::table::{Mistake, TextKey, Written, config_settings, described, unknown_word};
use crate::config::reading::values::set;
use crate::config::resource::addresses::IssuerUrl;
use crate::config::resource::caller::HeaderName;
use crate::http::{Authority, HttpsUrl};
use crate::policy::{Discovery, Endpoint, JwksAt, JwksSource};

config_settings! {
    /// The metadata of an issuer that names its keys.
    DiscoverySetting {
        /// `<issuer>/.well-known/openid-configuration` (OpenID Connect Discovery 1.0).
        OpenId = "openid-configuration",
        /// `/.well-known/oauth-authorization-server` between host and path of the issuer (RFC 8414).
        OAuth = "oauth-authorization-server",
    }
    refused {
    }
}

impl DiscoverySetting {
    /// The path of the metadata of `issuer`. A slash at its end goes before anything is added.
    fn path(self, issuer: &HttpsUrl) -> String {
        let (own, word) = (issuer.path.strip_suffix('/').unwrap_or(&issuer.path), self.word());
        match self {
            Self::OpenId => format!("{own}/.well-known/{word}"),
            Self::OAuth => format!("/.well-known/{word}{own}"),
        }
    }
}

/// Which metadata stands at `path`, by its well-known name.
pub(in crate::config) fn metadata_word(path: &str) -> Option<DiscoverySetting> {
    let words = [DiscoverySetting::OpenId, DiscoverySetting::OAuth];
    words.into_iter().find(|word| path.contains(&format!("/.well-known/{}", word.word())))
}

/// The source, and the text that the trust says about it.
pub(in crate::config) fn source(
    table: &JwksTable,
    issuer: Option<&IssuerUrl>,
    findings: &mut Findings,
) -> Option<(JwksSource, String)> {
    if table.max_stale.0 < table.refresh.0 && !findings.touch(&table.at) {
        findings.add(
            &table.at.key("max_stale"),
            "shorter than refresh, so that keys would end before they are fetched anew",
            "Raise max_stale or lower refresh.",
        );
    }
    let (at, text) = match (table.wrote("uri"), table.wrote("discovery")) {
        (true, true) => {
            findings.add(&table.at.key("discovery"), "stands beside uri", "Write one of both.");
            return None;
        }
        (false, false) => {
            findings.add(
                &table.at,
                "has neither uri nor discovery",
                "Write uri: https://..., where the keys are, or discovery: openid-configuration to have the issuer's metadata name it.",
            );
            return None;
        }
        (true, false) => configured(table, findings)?,
        (false, true) => discovered(table, issuer, findings)?,
    };
    let headers = headers(table, findings);
    // What a server answers may depend on them.
    let text = if headers.is_empty() { text } else { format!("{text} with {headers:?}") };
    let (refresh, max_stale, timeout) = (table.refresh.0, table.max_stale.0, table.timeout.0);
    Some((JwksSource { at, refresh, max_stale, timeout, headers }, text))
}

/// Header fields that carry secrets.
const SECRET_FIELDS: &[&str] = &["authorization", "cookie", "proxy-authorization"];
/// The most header fields of a fetch.
const MAX_FIELDS: usize = 16;

fn headers(table: &JwksTable, findings: &mut Findings) -> Vec<(Box<str>, Box<str>)> {
    let mut headers = Vec::new();
    let written = table.headers.as_ref().map(|named| named.0.as_slice()).unwrap_or_default();
    if written.len() > MAX_FIELDS {
        findings.add(&table.at.key("headers"), "more than 16 header fields", "Write those that the server asks for.");
    }
    for (name, entry) in written {
        if SECRET_FIELDS.contains(&&*name.to_ascii_lowercase()) {
            findings.add(
                &entry.at,
                "carries a secret, which does not belong into a configuration",
                "Remove it, and have the server give its keys to everybody: they are public. Or to this proxy, by its address or by a client certificate in the cluster's transport_socket.",
            );
            continue;
        }
        match field_name(name) {
            Ok(name) => headers.extend(entry.value.as_ref().map(|value| (name, value.0.clone()))),
            Err(Mistake { finding, remedy }) => findings.add(&entry.at, finding, remedy),
        }
    }
    headers
}

/// The name of a header field that a fetch may have.
fn field_name(name: &str) -> Result<Box<str>, Mistake> {
    match name {
        "accept-encoding" => Err(Mistake::new("compressed answers are not read", "Remove it.")),
        name => HeaderName::parse(name).map(|name| name.0),
    }
}

/// The value of a header field of fetches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct FieldValue(Box<str>);

impl TextKey for FieldValue {
    const WHAT: &'static str = "the value of a header";
    const EXAMPLE: &'static str = "text, in quotation marks if it looks like a number";

    fn parse(text: &str) -> Result<Self, Mistake> {
        let fits = (1..=1024).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if fits && text.trim_matches(' ') == text {
            return Ok(Self(text.into()));
        }
        Err(Mistake::new(
            format!("{} is no value of a header", quoted(text)),
            "Write 1 to 1024 printable ASCII characters, without spaces at the ends.",
        ))
    }

    fn restrict(schema: &mut serde_json::Value) {
        set(schema, "pattern", "^[!-~]([ -~]{0,1022}[!-~])?$");
    }
}

fn configured(table: &JwksTable, findings: &mut Findings) -> Option<(JwksAt, String)> {
    if table.wrote("hosts") {
        findings.add(
            &table.at.key("hosts"),
            "stands beside uri, which names the host already",
            "Remove it, or write discovery instead of uri.",
        );
    }
    let uri = table.uri.as_ref()?;
    if let Some(word) = metadata_word(&uri.path) {
        findings.add(
            &table.at.key("uri"),
            "the metadata of the issuer, which names where the keys are and has none",
            format!("Write discovery: {} instead of uri.", word.word()),
        );
    }
    let endpoint = Endpoint {
        cluster: table.cluster.as_ref()?.0.clone(),
        authority: uri.authority.as_str().into(),
        path: uri.path.clone(),
    };
    let text = format!("from {:?} {endpoint}", endpoint.cluster);
    Some((JwksAt::Configured(endpoint), text))
}

fn discovered(table: &JwksTable, issuer: Option<&IssuerUrl>, findings: &mut Findings) -> Option<(JwksAt, String)> {
    let mut hosts = Vec::new();
    for (name, cluster) in table.hosts.iter().flat_map(|hosts| &hosts.0) {
        let Ok(host) = Authority::parse(name.as_bytes()) else {
            findings.add(
                &cluster.at,
                format!("{} is no host", quoted(name)),
                "Write the host of the keys, with its port unless that is 443, and the cluster that leads there.",
            );
            continue;
        };
        if issuer.is_some_and(|issuer| issuer.0.authority == host) {
            findings.add(&cluster.at, "the issuer's own host, which cluster leads to", "Remove it.");
        }
        hosts.extend(cluster.value.as_ref().map(|cluster| (Box::from(host.as_str()), cluster.0.clone())));
    }
    let (issuer, cluster) = (&issuer?.0, &table.cluster.as_ref()?.0);
    let authority: Box<str> = issuer.authority.as_str().into();
    let path = table.discovery.as_ref()?.path(issuer).into();
    let metadata = Endpoint { cluster: cluster.clone(), authority: authority.clone(), path };
    let text = format!("named by {cluster:?} {metadata} or at {hosts:?}");
    hosts.insert(0, (authority, cluster.clone()));
    Some((JwksAt::Discovered(Discovery { metadata, issuer: issuer.text.clone(), hosts }), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_where_its_standard_says() {
        for (issuer, openid, oauth) in [
            ("https://as.example.com", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"),
            ("https://as.example.com/", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"),
            (
                "https://as.example.com/realms/a",
                "/realms/a/.well-known/openid-configuration",
                "/.well-known/oauth-authorization-server/realms/a",
            ),
            (
                "https://as.example.com/realms/a/",
                "/realms/a/.well-known/openid-configuration",
                "/.well-known/oauth-authorization-server/realms/a",
            ),
        ] {
            let url = HttpsUrl::parse(issuer).unwrap();
            assert_eq!(
                (DiscoverySetting::OpenId.path(&url), DiscoverySetting::OAuth.path(&url)),
                (openid.to_owned(), oauth.to_owned()),
                "{issuer}"
            );
        }
    }
}
