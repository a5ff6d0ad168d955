//! Where something is, and what it is called there: clusters, hosts, URLs, identifiers. In: text. Out: it, parsed, or a
//! finding.

use crate::config::issuer::jwks::metadata_word;
use crate::config::reading::finding::quoted;
use crate::config::reading::table::{Mistake, TextKey};
use crate::config::reading::values::set;
use crate::http::{HostPattern, HostPatternFault, HttpsUrl};

/// The name of a cluster of Envoy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Cluster(pub(in crate::config) Box<str>);

impl TextKey for Cluster {
    const WHAT: &'static str = "the name of a cluster";
    const EXAMPLE: &'static str = "the name of a cluster in Envoy's configuration";
    const LOOKS_LIKE_ANYTHING: bool = true;

    fn parse(text: &str) -> Result<Self, Mistake> {
        if (1..=256).contains(&text.len()) && !text.chars().any(char::is_control) {
            return Ok(Self(text.into()));
        }
        Err(Mistake::new(format!("{} is no name of a cluster", quoted(text)), format!("Write {}.", Self::EXAMPLE)))
    }
}

/// An identifier that is compared as it stands: visible ASCII without spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Identifier(pub(in crate::config) Box<str>);

impl TextKey for Identifier {
    const WHAT: &'static str = "an identifier";
    const EXAMPLE: &'static str = r#"text, like "https://api.example.com""#;
    const LOOKS_LIKE_ANYTHING: bool = true;

    fn parse(text: &str) -> Result<Self, Mistake> {
        if (1..=2048).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(text.into()));
        }
        Err(Mistake::new(
            format!("{} is no identifier", quoted(text)),
            "Write visible ASCII characters without spaces.",
        ))
    }
}

/// Whether a URL has something before its host, which may be a password and is not repeated.
fn names_user(text: &str) -> bool {
    let behind = text.split_once("//").map_or(text, |(_, behind)| behind);
    behind.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

impl TextKey for HttpsUrl {
    const WHAT: &'static str = "an https URL";
    const EXAMPLE: &'static str = r#"one like "https://as.example.com/path""#;

    fn parse(text: &str) -> Result<Self, Mistake> {
        if names_user(text) {
            return Err(Mistake::new(
                "names a user before the host",
                "Remove that: no URL here has a user or a password.",
            ));
        }
        HttpsUrl::parse(text)
            .map_err(|fault| Mistake::new(format!("{} {fault}", quoted(text)), format!("Write {}.", Self::EXAMPLE)))
    }

    fn restrict(schema: &mut serde_json::Value) {
        set(schema, "pattern", "^https://");
    }
}

/// Where the metadata of a protected resource is (RFC 9728 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct MetadataUrl(pub(in crate::config) HttpsUrl);

impl TextKey for MetadataUrl {
    const WHAT: &'static str = "an https URL";
    const EXAMPLE: &'static str = r#"one like "https://api.example.com/.well-known/oauth-protected-resource""#;

    fn parse(text: &str) -> Result<Self, Mistake> {
        let url = <HttpsUrl as TextKey>::parse(text)
            .map_err(|mistake| Mistake::new(mistake.finding, format!("Write {}.", Self::EXAMPLE)))?;
        Ok(Self(url))
    }

    fn restrict(schema: &mut serde_json::Value) {
        HttpsUrl::restrict(schema);
    }
}

/// An issuer identifier (RFC 8414 §2): an https URL without query and fragment, compared as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct IssuerUrl(pub(in crate::config) HttpsUrl);

impl TextKey for IssuerUrl {
    const WHAT: &'static str = "an https URL";
    const EXAMPLE: &'static str = r#"the exact "iss" of its tokens, like "https://as.example.com""#;

    fn parse(text: &str) -> Result<Self, Mistake> {
        let url = <HttpsUrl as TextKey>::parse(text)
            .map_err(|mistake| Mistake::new(mistake.finding, format!("Write {}.", Self::EXAMPLE)))?;
        if text.contains('?') {
            return Err(Mistake::new(
                format!("{} has a query, which no issuer has (RFC 8414)", quoted(text)),
                format!("Write {}.", Self::EXAMPLE),
            ));
        }
        if let Some(word) = metadata_word(&url.path) {
            let finding = format!("{} is where the metadata of an issuer is, and no \"iss\"", quoted(text));
            let remedy = format!("Write what its \"issuer\" says, and jwks: {{ discovery: {} }}.", word.word());
            return Err(Mistake::new(finding, remedy));
        }
        Ok(Self(url))
    }

    fn restrict(schema: &mut serde_json::Value) {
        set(schema, "pattern", "^https://[^?#]+$");
    }
}

/// Hosts that requests name: `api.example.com`, `*.example.com`, `localhost:8443`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Host(pub(in crate::config) HostPattern);

impl TextKey for Host {
    const WHAT: &'static str = "a host";
    const EXAMPLE: &'static str = r#"a host, like "api.example.com", "*.example.com" or "*"; with a port, like "localhost:8443", for that one only"#;

    fn parse(text: &str) -> Result<Self, Mistake> {
        HostPattern::parse(text).map(Self).map_err(|fault| match fault {
            HostPatternFault::Host => {
                Mistake::new(format!("{} is no host", quoted(text)), format!("Write {}.", Self::EXAMPLE))
            }
            HostPatternFault::Wildcard => Mistake::new(
                format!("{} has a * where none can stand", quoted(text)),
                r#"Write "*.example.com" for all names below one, or "*" for all hosts."#,
            ),
        })
    }
}
