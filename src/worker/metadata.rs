//! The metadata of an authorization server (RFC 8414 §2, OpenID Connect Discovery 1.0 §3), read for one thing: where its keys
//! are. In: a document that was fetched. Out: the place, or why it is not believed.
//!
//! Whoever answers under the issuer's name could point anywhere. So the place must be at the issuer's own host, or at one that the
//! configuration lists, and the call goes to the cluster that the configuration has for that host.

use std::fmt;

use crate::http::{HttpsUrl, HttpsUrlFault};
use crate::json::{Bounds, parse};
use crate::policy::{Discovery, Endpoint};
use crate::worker::fetch_fault::quote;

/// The largest document that is read.
pub(super) const MAX_METADATA_BYTES: usize = 64 * 1024;

/// Why a document says nothing about keys that is believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MetadataFault {
    TooLarge,
    /// No strict JSON.
    NotJson(String),
    /// No object with a text `issuer`.
    NotMetadata,
    /// Of this issuer.
    OtherIssuer(String),
    /// No text `jwks_uri`.
    NoJwksUri,
    /// That is no https URL.
    NotHttps(String, HttpsUrlFault),
    /// At this host.
    OtherHost(String),
}

/// Where the metadata says that the keys are.
pub(super) fn keys_endpoint(document: &[u8], discovery: &Discovery) -> Result<Endpoint, MetadataFault> {
    if document.len() > MAX_METADATA_BYTES {
        return Err(MetadataFault::TooLarge);
    }
    let metadata =
        parse(document, Bounds::METADATA).map_err(|fault| MetadataFault::NotJson(quote(fault.0.as_bytes())))?;
    let text = |member| metadata.as_object().and_then(|metadata| metadata.get(member)?.as_text());
    let issuer = text("issuer").ok_or(MetadataFault::NotMetadata)?;
    if *issuer != *discovery.issuer {
        return Err(MetadataFault::OtherIssuer(quote(issuer.as_bytes())));
    }
    let uri = text("jwks_uri").ok_or(MetadataFault::NoJwksUri)?;
    let HttpsUrl { authority, path, .. } =
        HttpsUrl::parse(uri).map_err(|fault| MetadataFault::NotHttps(quote(uri.as_bytes()), fault))?;
    let listed = discovery.hosts.iter().find(|(host, _)| **host == *authority.as_str());
    let (authority, cluster) = listed.ok_or_else(|| MetadataFault::OtherHost(quote(authority.as_str().as_bytes())))?;
    Ok(Endpoint { cluster: cluster.clone(), authority: authority.clone(), path })
}

impl fmt::Display for MetadataFault {
    /// What is wrong, and what to do about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetadataFault::TooLarge => write!(
                f,
                "the metadata is larger than {MAX_METADATA_BYTES} bytes. Is \"discovery\" right? Else write \"uri\" instead of it"
            ),
            MetadataFault::NotJson(why) => write!(f, "the metadata is not JSON: {why}. Is \"discovery\" right?"),
            MetadataFault::NotMetadata => {
                f.write_str("the document is no metadata: it has no text \"issuer\". Is \"discovery\" right?")
            }
            MetadataFault::OtherIssuer(issuer) => write!(
                f,
                "the metadata is that of \"{issuer}\". Write \"issuer\" exactly so if tokens say it too, else correct the server's own name or where the cluster leads"
            ),
            MetadataFault::NoJwksUri => {
                f.write_str("the metadata has no text \"jwks_uri\". Write \"uri\" instead of \"discovery\"")
            }
            MetadataFault::NotHttps(uri, fault) => {
                write!(f, "the \"jwks_uri\" of the metadata, \"{uri}\", {fault}. Have the server publish an https URL")
            }
            MetadataFault::OtherHost(host) => write!(
                f,
                "the \"jwks_uri\" of the metadata is at \"{host}\", which is not the issuer's host. If the keys are to come from there, write it into \"hosts\", with the cluster that leads there"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{JwksAt, JwksSource};

    fn endpoint(document: &str) -> Result<Endpoint, MetadataFault> {
        let JwksAt::Discovered(discovery) = JwksSource::discovered().at else { panic!() };
        keys_endpoint(document.as_bytes(), &discovery)
    }

    fn of(issuer: &str, uri: &str) -> Result<Endpoint, MetadataFault> {
        endpoint(&format!(r#"{{"jwks_uri":"{uri}","issuer":"{issuer}","response_types_supported":["code"]}}"#))
    }

    const ISSUER: &str = "https://as.example.com";

    #[test]
    fn keys_are_where_the_metadata_says_and_the_cluster_is_the_configurations() {
        assert_eq!(of(ISSUER, "https://as.example.com/oauth/jwks?v=1"), Ok(Endpoint::example("/oauth/jwks?v=1")));
        assert_eq!(of(ISSUER, "https://AS.example.com:443/jwks"), Ok(Endpoint::example("/jwks")));
        let listed = Endpoint { cluster: "keys".into(), authority: "keys.example.com".into(), path: "/".into() };
        assert_eq!(of(ISSUER, "https://keys.example.com"), Ok(listed));
    }

    #[test]
    fn the_issuer_must_be_the_same_to_the_last_character() {
        for issuer in [
            "https://as.example.com/",
            "https://AS.example.com",
            "https://as.example.com:443",
            "http://as.example.com",
            "https://as.example.com/realms/other",
            "https://evil.example.com",
            "",
        ] {
            let fault = of(issuer, "https://as.example.com/jwks");
            assert_eq!(fault, Err(MetadataFault::OtherIssuer(issuer.into())), "{issuer}");
        }
    }

    #[test]
    fn keys_are_fetched_from_no_host_that_the_configuration_does_not_know() {
        for (uri, host) in [
            ("https://evil.example.com/jwks", "evil.example.com"),
            ("https://as.example.com:8443/jwks", "as.example.com:8443"),
            ("https://as.example.com.evil.example/jwks", "as.example.com.evil.example"),
            ("https://127.0.0.1/jwks", "127.0.0.1"),
            ("https://169.254.169.254/latest/meta-data", "169.254.169.254"),
            ("https://[::1]:9901/stats", "[::1]:9901"),
        ] {
            assert_eq!(of(ISSUER, uri), Err(MetadataFault::OtherHost(host.into())), "{uri}");
        }
        for (uri, fault) in [
            ("http://as.example.com/jwks", HttpsUrlFault::Scheme),
            ("file:///etc/passwd", HttpsUrlFault::Scheme),
            ("/jwks", HttpsUrlFault::Scheme),
            ("", HttpsUrlFault::Scheme),
            ("https://as.example.com@evil.example.com/", HttpsUrlFault::Host),
            ("https://as.example.com/ HTTP/1.1", HttpsUrlFault::Characters),
            ("https://as.example.com/jwks#x", HttpsUrlFault::Fragment),
        ] {
            assert_eq!(of(ISSUER, uri), Err(MetadataFault::NotHttps(uri.into(), fault)), "{uri}");
        }
    }

    #[test]
    fn what_is_no_metadata_is_refused() {
        let fault = |document: &str| endpoint(document).unwrap_err();
        for text in ["<html>", "", r#"{"issuer":"https://as.example.com","issuer":"https://evil.example.com"}"#] {
            assert!(matches!(fault(text), MetadataFault::NotJson(_)), "{text}");
        }
        for text in ["[]", "{}", r#"{"keys":[]}"#, r#"{"issuer":["https://as.example.com"]}"#, "null"] {
            assert_eq!(fault(text), MetadataFault::NotMetadata, "{text}");
        }
        for uri in ["", r#","jwks_uri":null"#, r#","jwks_uri":["https://as.example.com/jwks"]"#] {
            assert_eq!(fault(&format!(r#"{{"issuer":"{ISSUER}"{uri}}}"#)), MetadataFault::NoJwksUri, "{uri}");
        }
        assert_eq!(fault(&" ".repeat(MAX_METADATA_BYTES + 1)), MetadataFault::TooLarge);
    }
}
