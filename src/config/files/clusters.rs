//! Clusters of Envoy that tokens are sent to or that keys and revocations come from, and whether each knows whom it talks to. In: a
//! configuration of Envoy, a policy. Out: findings for clusters that would send tokens to anybody, and warnings for those that would believe
//! anybody, or are not in the file.
//! Not here: what is asked there (`introspection`).

use crate::config::files::documents::at;
use crate::config::reading::finding::{Findings, Place, quoted};
use crate::json::Value;
use crate::policy::{Issuer, JwksAt, KeySource, Policy};

/// The clusters of a file.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Clusters {
    /// Each with what is missing, if anything is.
    named: Vec<(String, Option<&'static str>)>,
    /// Whether more come from a server.
    more_come: bool,
}

const REMEDY: &str = "Give it a transport_socket with an UpstreamTlsContext whose validation_context has trusted_ca and match_typed_subject_alt_names.";

impl Clusters {
    /// All in `value`, however deep. As deep as the file, which is bounded.
    pub(in crate::config) fn of(value: &Value) -> Self {
        let mut found = Self::default();
        found.look_into(value);
        found
    }

    fn look_into(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.look_into(item)),
            Value::Object(object) => {
                self.more_come |= object.get("cds_config").is_some();
                let clusters = object.get("clusters").and_then(Value::as_array).unwrap_or_default();
                let named = clusters.iter().filter_map(|cluster| Some((at(cluster, &["name"])?.as_text()?, cluster)));
                self.named.extend(named.map(|(name, cluster)| (name.to_owned(), missing(cluster))));
                object.members().for_each(|(_, member)| self.look_into(member));
            }
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) | Value::Text(_) => {}
        }
    }

    /// The clusters that `policy` sends tokens to and that would send them to anybody.
    pub(in crate::config) fn unpinned(&self, policy: &Policy) -> Findings {
        let mut findings = Findings::default();
        for (issuer, cluster) in sent_to(policy) {
            if let Some(missing) = self.lacks(cluster) {
                let at = Place::of(&issuer.origin).key("introspection").key("cluster");
                findings.add(&at, format!("{} {missing}, and tokens are sent to it", quoted(cluster)), REMEDY);
            }
        }
        findings
    }

    /// The clusters that `policy` sends tokens to and that stand somewhere else; those that it believes and that would believe anybody; and
    /// those that are nowhere.
    pub(in crate::config) fn doubtful(&self, policy: &Policy) -> Vec<String> {
        let unseen = sent_to(policy).filter(|(_, cluster)| !self.have(cluster));
        let unseen = unseen.map(|(issuer, cluster)| {
            let (place, cluster) = (&issuer.origin.path, quoted(cluster));
            format!(
                "{place}.introspection.cluster: {cluster} is not in this file. Tokens are sent to it: see that it checks the server's \
                 certificate and name (trusted_ca, match_typed_subject_alt_names)"
            )
        });
        let all_are_here = !self.named.is_empty() && !self.more_come;
        let other = believed(policy).into_iter().filter_map(|Believed { place, cluster, what }| match what {
            Some(what) if self.have(&cluster) => {
                let (missing, cluster) = (self.lacks(&cluster)?, quoted(&cluster));
                Some(format!("{place}: {cluster} {missing}, and {what} come from it. {REMEDY}"))
            }
            _ if self.have(&cluster) || !all_are_here => None,
            _ => Some(format!("{place}: {} is not in this file. Define it, or correct the name", quoted(&cluster))),
        });
        unseen.chain(other).collect()
    }

    fn have(&self, cluster: &str) -> bool {
        self.named.iter().any(|(name, _)| name == cluster)
    }

    fn lacks(&self, cluster: &str) -> Option<&'static str> {
        self.named.iter().find(|(name, _)| name == cluster)?.1
    }
}

/// A cluster that something comes from which is believed.
struct Believed {
    place: String,
    cluster: Box<str>,
    /// What comes from it; nothing where a signature says whose it is.
    what: Option<&'static str>,
}

fn believed(policy: &Policy) -> Vec<Believed> {
    let mut found = Vec::new();
    let mut add = |place: &str, key: &str, cluster: &str, what| {
        found.push(Believed { place: format!("{place}.{key}"), cluster: cluster.into(), what });
    };
    for issuer in &policy.issuers {
        let place = &issuer.origin.path;
        if let KeySource::Remote(source) = &issuer.keys {
            match &source.at {
                JwksAt::Configured(endpoint) => add(place, "jwks.cluster", &endpoint.cluster, Some("keys")),
                JwksAt::Discovered(discovery) => {
                    add(place, "jwks.cluster", &discovery.metadata.cluster, Some("keys"));
                    for (host, cluster) in discovery.hosts.iter().skip(1) {
                        let key = Place::root().key("jwks").key("hosts").key(host);
                        add(place, key.as_str(), cluster, Some("keys"));
                    }
                }
            }
        }
        if let Some(lists) = &issuer.status_lists {
            add(place, "revocation.status_lists.cluster", &lists.below.cluster, None);
        }
    }
    for (place, source) in policy.revocation_sources() {
        add(place, "revocation.cluster", &source.at.cluster, Some("revocations"));
    }
    found
}

/// The clusters that tokens are sent to.
fn sent_to(policy: &Policy) -> impl Iterator<Item = (&Issuer, &str)> {
    policy.issuers.iter().filter_map(|issuer| Some((&**issuer, &*issuer.introspection.as_ref()?.endpoint.cluster)))
}

/// What a cluster lacks so that it would not send to anybody.
fn missing(cluster: &Value) -> Option<&'static str> {
    let tls = at(cluster, &["transport_socket", "typed_config"]);
    let Some(context) = tls.and_then(|tls| at(tls, &["common_tls_context"])) else {
        return Some("has no TLS");
    };
    // What a secret of SDS says is not in the file.
    let by_secret: [&[&str]; 2] = [
        &["validation_context_sds_secret_config"],
        &["combined_validation_context", "validation_context_sds_secret_config"],
    ];
    let written: [&[&str]; 2] =
        [&["validation_context"], &["combined_validation_context", "default_validation_context"]];
    let any = |places: &[&[&str]]| places.iter().any(|place| at(context, place).is_some());
    let has = |name: &str| {
        written.iter().any(|place| at(context, place).is_some_and(|context| at(context, &[name]).is_some()))
    };
    if any(&by_secret) || ["verify_certificate_spki", "verify_certificate_hash"].into_iter().any(has) {
        return None;
    }
    let trusts = ["trusted_ca", "system_root_certs", "ca_certificate_provider_instance", "custom_validator_config"];
    let accepts_all = written.iter().any(|place| {
        let verification = at(context, place).and_then(|context| at(context, &["trust_chain_verification"]));
        verification.and_then(Value::as_text) == Some("ACCEPT_UNTRUSTED")
    });
    if accepts_all || !trusts.into_iter().any(has) {
        return Some("checks no certificate");
    }
    let names = ["match_typed_subject_alt_names", "match_subject_alt_names", "custom_validator_config"];
    let options = ["typed_extension_protocol_options", "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
    let by_host = at(cluster, &options)
        .and_then(|options| at(options, &["upstream_http_protocol_options", "auto_san_validation"]));
    let by_sni = tls.and_then(|tls| at(tls, &["auto_sni_san_validation"]));
    let is_set = |flag: Option<&Value>| flag == Some(&Value::Bool(true));
    let checks_names = names.into_iter().any(has) || is_set(by_host) || is_set(by_sni);
    (!checks_names).then_some("checks no name of the server, so that any certificate of its CA would do")
}

#[cfg(test)]
mod tests {
    use super::REMEDY;
    use crate::config::files::documents::documents;

    const DOCUMENT: &str = r#"{
        "issuers": { "main": { "issuer": "https://as.example.com", "introspection": { "cluster": "as", "uri": "https://as.example.com/i" } } },
        "resources": [{ "hosts": ["a"], "audiences": ["a"], "issuers": ["main"], "routes": [{ "path": "/" }] }]
    }"#;

    /// What is said of a file with this cluster, in findings and in warnings.
    fn said(cluster: &str) -> (String, Vec<String>) {
        said_of(DOCUMENT, cluster)
    }

    fn said_of(document: &str, cluster: &str) -> (String, Vec<String>) {
        let filter = format!(
            r#"{{ "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": {{ "name": "boundgate",
                 "configuration": {{ "@type": "type.googleapis.com/google.protobuf.Struct", "value": {document} }} }} }}"#
        );
        let file =
            format!(r#"{{ "static_resources": {{ "listeners": [{{ "x": {filter} }}], "clusters": [{cluster}] }} }}"#);
        let documents = documents(&file).unwrap().documents;
        match documents[0].policy() {
            Ok(policy) => (String::new(), documents[0].warnings(&policy)),
            Err(findings) => (findings.to_string(), Vec::new()),
        }
    }

    fn tls(context: &str) -> String {
        format!(
            r#"{{ "name": "as", "transport_socket": {{ "typed_config": {{ "common_tls_context": {context} }} }} }}"#
        )
    }

    #[test]
    fn a_cluster_that_does_not_check_whom_it_sends_tokens_to_is_a_finding() {
        for (cluster, what) in [
            (r#"{ "name": "as" }"#.to_owned(), "has no TLS"),
            (tls("{}"), "checks no certificate"),
            (tls(r#"{ "validation_context": { "match_typed_subject_alt_names": [] } }"#), "checks no certificate"),
            (
                tls(
                    r#"{ "validation_context": { "trusted_ca": {}, "match_typed_subject_alt_names": [], "trust_chain_verification": "ACCEPT_UNTRUSTED" } }"#,
                ),
                "checks no certificate",
            ),
            (tls(r#"{ "validation_context": { "trusted_ca": {} } }"#), "checks no name"),
        ] {
            let (findings, _) = said(&cluster);
            assert!(
                findings.starts_with(&format!("issuers.main.introspection.cluster: \"as\" {what}")),
                "{cluster}: {findings}"
            );
        }
    }

    #[test]
    fn a_cluster_that_keys_or_revocations_come_from_and_that_believes_anybody_is_a_warning() {
        let document = r#"{
            "issuers": { "main": {
                "issuer": "https://as.example.com", "jwks": { "cluster": "as", "uri": "https://as.example.com/jwks" }, "algorithms": ["ES256"],
                "revocation": {
                    "cluster": "revoked", "uri": "https://as.example.com/r",
                    "status_lists": { "cluster": "lists", "uri": "https://as.example.com/lists/" }
                }
            } },
            "resources": [{ "hosts": ["a"], "audiences": ["a"], "issuers": ["main"], "routes": [{ "path": "/" }] }]
        }"#;
        let good = |name: &str| {
            let context = r#"{ "validation_context": { "trusted_ca": {}, "match_typed_subject_alt_names": [] } }"#;
            tls(context).replace("\"as\"", &format!("\"{name}\""))
        };
        let said = |clusters: &[String]| said_of(document, &clusters.join(",")).1;
        assert_eq!(said(&[good("as"), good("revoked"), good("lists")]), Vec::<String>::new());
        // A list is signed.
        let plain = |name: &str| format!(r#"{{ "name": "{name}" }}"#);
        assert_eq!(
            said(&[plain("as"), plain("revoked"), plain("lists")]),
            [
                format!("issuers.main.jwks.cluster: \"as\" has no TLS, and keys come from it. {REMEDY}"),
                format!(
                    "issuers.main.revocation.cluster: \"revoked\" has no TLS, and revocations come from it. {REMEDY}"
                ),
            ]
        );
        let missing = said(&[good("other")]);
        assert_eq!(missing.len(), 3, "{missing:?}");
        assert_eq!(
            missing[1],
            "issuers.main.revocation.status_lists.cluster: \"lists\" is not in this file. Define it, or correct the name"
        );
        assert_eq!(said(&[]), Vec::<String>::new(), "they are somewhere else");
    }

    #[test]
    fn a_cluster_that_knows_its_server_is_good_and_one_that_is_not_there_is_a_warning() {
        for context in [
            r#"{ "validation_context": { "trusted_ca": {}, "match_typed_subject_alt_names": [] } }"#,
            r#"{ "combined_validation_context": { "default_validation_context": { "trusted_ca": {}, "match_typed_subject_alt_names": [] } } }"#,
            r#"{ "validation_context_sds_secret_config": { "name": "ca" } }"#,
            r#"{ "validation_context": { "verify_certificate_spki": ["x"] } }"#,
        ] {
            assert_eq!(said(&tls(context)), (String::new(), Vec::new()), "{context}");
        }
        let (findings, warnings) = said(r#"{ "name": "other" }"#);
        assert_eq!(findings, "");
        assert!(
            warnings[0].starts_with("issuers.main.introspection.cluster: \"as\" is not in this file"),
            "{warnings:?}"
        );
    }
}
